"""Reading the page records of a native corpus line by line, so that one damaged line does not hide the others."""

from __future__ import annotations

import json

from comictool.core.errors import ComicError
from comictool.corpus.corpus import Corpus
from comictool.corpus.records import PageRecord, from_json
from comictool.corpus.verifying.checking_pages import Finding


def read_native_records(corpus: Corpus, comic: str) -> tuple[list[PageRecord], list[Finding]]:
    """The records of a comic that can be read, and a finding for each line that cannot or that is of another comic."""
    file = corpus.root / "annotations" / "pages" / f"{comic}.jsonl"
    records: list[PageRecord] = []
    findings: list[Finding] = []
    try:
        lines = file.read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        return [], [Finding(comic, "record", f"{file.name} cannot be read: {error}")]
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = from_json(json.loads(line), f"{file.name} line {number}")
        except ComicError as error:
            findings.append(Finding(comic, "record", error.fact))
        except (ValueError, RecursionError):
            findings.append(Finding(comic, "record", f"{file.name} line {number} is not JSON"))
        else:
            if record.comic != comic:
                text = f"{file.name} line {number} is a page of {record.comic!r}"
                findings.append(Finding(comic, "record", text))
            records.append(record)
    return sorted(records, key=lambda record: record.page), findings

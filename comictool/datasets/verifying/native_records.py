"""Reading the page records of a native corpus line by line, so that one damaged line does not hide the others."""

from __future__ import annotations

from pathlib import Path

from comictool.core.errors import InputError
from comictool.core.files import read_lines
from comictool.corpus.corpus import Corpus, read_record
from comictool.corpus.records import PageRecord
from comictool.datasets.verifying.checking_pages import Finding


def read_native_records(corpus: Corpus, comic: str) -> tuple[list[PageRecord], list[Finding]]:
    """The records of a comic that can be read, and a finding for each line that cannot or that is of another comic."""
    file = corpus.records_file(comic)
    records: list[PageRecord] = []
    findings: list[Finding] = []
    try:
        lines = read_lines(file)
    except InputError as error:
        return [], [Finding(comic, "record", error.fact)]
    for number, line in lines:
        try:
            record = read_record(Path(file.name), number, line)
        except InputError as error:
            findings.append(Finding(comic, "record", error.fact))
        else:
            if record.comic != comic:
                text = f"{file.name} line {number} is a page of {record.comic!r}"
                findings.append(Finding(comic, "record", text))
            records.append(record)
    return sorted(records, key=lambda record: record.page), findings

"""Whether a case came out right: its `right` is read clause by clause, and each clause is looked for in the outcome.

`right` is prose of a narrow kind ("pages 1,2,3 and a problem line about 2.jpg; direction rtl") or a table of panels.
Parts between semicolons must all hold; of what stands around "or" one is enough. Words that no clause knows make the
case wrong, so that nothing passes because it was not understood.
"""

from __future__ import annotations

import json
import re
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageOps

from tests.bench.cases import Case, Outcome
from tests.panels.panel_pages import overlap

ABOUT = 0.01  # "about 1000x1500 pixels": a page drawn one or two pixels too large is about that, half of it is not
DARK = 8  # "nearly black" of 255
Check = Callable[[Case, Outcome, re.Match[str]], bool]

# Words between clauses that ask for nothing more
FILLING = re.compile(
    r"\b(and|a|the|an|with|imported|kept|found|read|in spine order|no error|sentence|pixels)\b|[,.;:\s]+"
)


def faults(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong; empty when the case came out right."""
    crash = re.search(r"Traceback|unexpected error|please report|stopped after", outcome.err)
    if crash or outcome.code not in (0, 1, 2, 3, 4):
        return [f"ends with {outcome.code}: {crash[0] if crash else 'no such exit code'}"]
    if isinstance(case.right, dict):
        return _panel_faults(case.right, outcome)
    text = re.sub(r"\(or ([^()]*)\)", r"or \1", case.right)
    text = re.sub(r"\([^()]*\)|; now .*|, not by name", "", text).replace("; or ", " or ")
    unless_told = [] if re.search(r"problem|message|\d named|line|note|exit|insist", text + case.right) else ["exit 0"]
    found = []
    for part in [*text.split(";"), *unless_told]:
        reasons = [_clause_faults(case, outcome, choice) for choice in re.split(r",? or ", part)]
        if all(reasons):
            found.append(" / ".join("; ".join(reason) for reason in reasons))
    return found


def _clause_faults(case: Case, outcome: Outcome, text: str) -> list[str]:
    """Clauses of a choice that do not hold, and words that no clause knows."""
    wrong = []
    for pattern, check in CLAUSES.items():
        for found in re.finditer(pattern, text):
            if not check(case, outcome, found):
                wrong.append(f"not {found[0].strip()}")
        text = re.sub(pattern, " ", text)
    rest = FILLING.sub(" ", text).strip()
    return [*wrong, f"not understood: {rest}"] if rest else wrong


def summary(case: Case, outcome: Outcome) -> str:
    """What came out, in a line."""
    parts = [f"exit {outcome.code}"]
    if outcome.records:
        parts.append("pages " + ",".join("?" if n is None else str(n) for n in numbers(case, outcome)))
    if isinstance(case.right, dict):
        parts.append(f"{len(_panels(outcome))} panels")
    parts += [finding[:160] for finding in outcome.findings]
    parts += [outcome.problems[0][:160]] if outcome.problems else []
    return ", ".join(parts)


def numbers(case: Case, outcome: Outcome) -> list[int | None]:
    """The pages that came, in their order: by the pattern that each shows, of annotated pages by the record."""
    if "data import" not in case.command:
        return [int(record["page"]) for record in outcome.records]
    return [shown_number(picture) for picture in pictures(outcome)]


def pictures(outcome: Outcome) -> list[Image.Image]:
    """The pictures of the pages, decoded."""
    return [Image.open(outcome.corpus / record["image"]) for record in outcome.records]


def shown_number(picture: Image.Image) -> int | None:
    """The number that a page shows: a head of black, white, white and grey fields, under it the bits, lowest first,
    dark for 1, four in a row of a grid of 4x6."""
    fields = np.asarray(picture.convert("L").resize((40, 60), Image.Resampling.BOX), dtype=float)
    fields = fields.reshape(6, 10, 4, 10)[:, 3:7, :, 3:7].mean((1, 3))
    if np.abs(fields[0] - [0, 255, 255, 128]).max() > 40:
        return None
    return int(sum(1 << place for place in np.flatnonzero(fields[1:].reshape(-1) < 128)))


def _panels(outcome: Outcome) -> list[list[int]]:
    return [panel["box"] for record in outcome.records for panel in record["panels"]]


def _panel_faults(right: dict[str, Any], outcome: Outcome) -> list[str]:
    unknown = set(right) - {"direction", "panels", "iou"}
    found, true = _panels(outcome), right["panels"]
    wrong = [f"not understood: {', '.join(sorted(unknown))}"] if unknown else []
    if outcome.code not in (0, 1) or len(found) != len(true):
        return [*wrong, f"{len(found)} of {len(true)} panels"]
    shares = [overlap(tuple(a), tuple(b)) for a, b in zip(found, true, strict=True)]
    if min(shares, default=1.0) < right.get("iou", 0.7):
        best = min(max(overlap(tuple(a), tuple(b)) for b in found) for a in true)
        wrong.append(f"IoU {min(shares):.2f} in the right order, {best:.2f} in any")
    return wrong


def _listed(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def _members(outcome: Outcome) -> list[str]:
    return [unicodedata.normalize("NFC", record.get("member") or "") for record in outcome.records]


def _in_order(case: Case, outcome: Outcome, found: re.Match[str]) -> bool:
    """The pages and, as their members, the names."""
    names = [unicodedata.normalize("NFC", name.strip()) for name in found[3].split("|")]
    right = list(range(int(found[1]), int(found[2]) + 1))
    members = _members(outcome)
    same = len(members) == len(names) and all(_is_name(a, b) for a, b in zip(members, names, strict=True))
    return same and numbers(case, outcome) == right and not outcome.problems


def _is_name(member: str, name: str) -> bool:
    return member == name or member.endswith(f"/{name}")


def _named(case: Case, outcome: Outcome, found: re.Match[str]) -> bool:
    names = [unicodedata.normalize("NFC", name.strip()) for name in found[1].split(",")]
    return all(any(_is_name(member, name) for member in _members(outcome)) for name in names)


def _told(outcome: Outcome, *patterns: str) -> bool:
    """Is a problem told in which all patterns occur, with an exit code that says so?"""
    told = "\n".join(outcome.problems)
    return outcome.code in (1, 3) and bool(told) and all(re.search(pattern, told, re.I) for pattern in patterns)


def _inner_archives(case: Case, outcome: Outcome) -> bool:
    with zipfile.ZipFile(outcome.folder / case.files[0]) as archive:
        inner = [name for name in archive.namelist() if re.search(r"\.(cb.|zip|rar|7z|tar|pdf|epub)$", name, re.I)]
    told = "\n".join(outcome.problems)
    return bool(inner) and outcome.code == 1 and all(name in told for name in inner)


def _sized(outcome: Outcome, width: int, height: int, about: float) -> bool:
    wanted = np.array([width, height])
    sizes = [np.array([record["width"], record["height"]]) for record in outcome.records]
    return bool(sizes) and all((abs(size - wanted) <= about * wanted).all() for size in sizes)


def _shaped(outcome: Outcome, width: int, height: int) -> bool:
    ratios = [record["width"] / record["height"] for record in outcome.records]
    return bool(ratios) and all(abs(ratio / (width / height) - 1) < ABOUT for ratio in ratios)


def _pixels_equal(case: Case, outcome: Outcome) -> bool:
    """Is every page the picture that the PDF holds for it?"""
    import pypdfium2

    with pypdfium2.PdfDocument(outcome.folder / case.files[0]) as document:
        kept = []
        for page in document:
            kept += [object_.get_bitmap().to_pil() for object_ in page.get_objects([pypdfium2.raw.FPDF_PAGEOBJ_IMAGE])]
    came = pictures(outcome)
    return len(kept) == len(came) and all(
        np.array_equal(np.asarray(a.convert("RGB")), np.asarray(b.convert("RGB")))
        for a, b in zip(kept, came, strict=True)
    )


def _bytes_kept(case: Case, outcome: Outcome) -> bool:
    with zipfile.ZipFile(outcome.folder / case.files[0]) as archive:
        stored = [(outcome.corpus / record["image"]).read_bytes() for record in outcome.records]
        members = [archive.read(record["member"]) for record in outcome.records]
    return bool(stored) and stored == members


def _nearly_black(outcome: Outcome) -> bool:
    return any(np.asarray(picture.convert("RGB")).mean() < DARK for picture in pictures(outcome))


def _all_read(case: Case, outcome: Outcome) -> bool:
    with zipfile.ZipFile(outcome.folder / case.files[0]) as archive:
        return not outcome.problems and len(outcome.records) == len(archive.namelist())


def _facts(outcome: Outcome, key: str, value: str) -> bool:
    facts = [*outcome.comics.values(), *([] if key == "language" else outcome.records)]
    return bool(facts) and all(fact.get(key) == value for fact in facts)


def _text(outcome: Outcome, words: str, box: str) -> bool:
    texts = [text for record in outcome.records for text in record.get("texts", [])]
    found = [text["text"] for text in texts]
    return found == [words] and texts[0]["box"] == _listed(box)


def _all_annotations(outcome: Outcome) -> bool:
    """Is everything that stands in the XML files in the records of one comic?"""
    files = sorted(outcome.folder.rglob("*.xml"))
    elements = [element for file in files for element in ElementTree.parse(file).iter()]
    written = sorted(str(e.text) for e in elements if e.tag in ("text", "onomatopoeia"))
    texts = [text for record in outcome.records for text in record.get("texts", [])]
    read = sorted(str(text["text"]) for text in texts)
    counts = [sum(e.tag == tag for e in elements) for tag in ("frame", "body")]
    keys = ("panels", "characters")
    came = [sum(len(record.get(key, [])) for record in outcome.records) for key in keys]
    one = len({record["comic"] for record in outcome.records}) == 1
    return one and len(files) > 1 and written == read and counts == came


def _box_turned(case: Case, outcome: Outcome, width: int, height: int) -> bool:
    """Are pictures and boxes turned as EXIF says? The box is drawn on the stored picture, then turned with it."""
    document = json.loads(next(outcome.folder.rglob("*.json")).read_text("utf-8"))
    picture = next(file for file in sorted(outcome.folder.rglob("*")) if file.suffix == ".jpg")
    x, y, w, h = (int(value) for value in document["annotations"][0]["bbox"])
    with Image.open(picture) as stored:
        drawn = Image.new("L", stored.size)
        drawn.paste(255, (x, y, x + w, y + h))
        drawn.getexif()[0x0112] = stored.getexif().get(0x0112, 1)
        box = ImageOps.exif_transpose(drawn).getbbox()
    return _sized(outcome, width, height, 0) and _panels(outcome) == [list(box or ())]


def _valence(outcome: Outcome, value: float) -> bool:
    def values(part: Any) -> list[Any]:
        if isinstance(part, dict):
            return [v for k, v in part.items() if k == "valence"] + [v for p in part.values() for v in values(p)]
        return [v for p in part for v in values(p)] if isinstance(part, list) else []

    return values(outcome.records) == [value]


def _beats_chance(outcome: Outcome, metric: str) -> bool:
    """The last columns of the table are chance, the verdict and the count."""
    rows = [line for line in outcome.out.splitlines() if re.search(rf"\b{metric}\b", line)]
    return not rows or any(not re.search(r"\bno\s+\d+$", row.rstrip()) for row in rows)


def _comic(case: Case, outcome: Outcome, found: re.Match[str]) -> bool:
    named = {record["comic"] for record in outcome.records} == {found[1]}
    return named and numbers(case, outcome) == _listed(found[2])


def _page(case: Case, outcome: Outcome, found: re.Match[str]) -> bool:
    return int(found[1]) in numbers(case, outcome)


def _linked(outcome: Outcome) -> bool:
    """Are the files of the linked folders there as comics?"""
    links = [place for place in outcome.folder.rglob("*") if place.is_symlink() and place.is_dir()]
    linked = {file.stem for link in links for file in link.iterdir()}
    return bool(linked) and linked <= {Path(facts["source"]).stem for facts in outcome.comics.values()}


# By pattern, tried in this order; what one has read is taken out of the sentence
CLAUSES: dict[str, Check] = {
    r"pages (\d+)\.\.(\d+) in order of: (.*)": _in_order,
    r"members (?:read|named) (.+?)(?= \.\.\.|$)(?: \.\.\.)?": _named,
    r"one comic \"(.+?)\" with ([\d,]+)": _comic,
    r"one comic\b": lambda c, o, f: len({record["comic"] for record in o.records}) == 1,
    r"one text (\S+) in \[([\d,]+)\]": lambda c, o, f: _text(o, f[1], f[2]),
    r"one book with both texts": lambda c, o, f: _all_annotations(o),
    r"size (\d+)x(\d+) with the box turned": lambda c, o, f: _box_turned(c, o, int(f[1]), int(f[2])),
    r"exit (\d)": lambda c, o, f: o.code == int(f[1]),
    r"all (?:two|three|four|five|six) pages": lambda c, o, f: len(o.records) == _COUNTS[f[0].split()[1]],
    r"pages? (\d+) named": lambda c, o, f: _told(o, rf"\b{f[1]}\b"),
    r"pages (\d+(?:(?:,| and )\d+)+)": lambda c, o, f: numbers(c, o) == _listed(f[1]),
    r"page (\d+)": _page,
    r"named in the problems": lambda c, o, f: _told(o),
    r"problem line that names the inner comic files": lambda c, o, f: _inner_archives(c, o),
    r"(?:problem )?line about (?:the )?(?:(\S+)(?: links?)?)": lambda c, o, f: _told(o, re.escape(f[1])),
    r"line that linked folders are passed over": lambda c, o, f: _told(o, "link"),
    r"the linked comic": lambda c, o, f: _linked(o),
    r"problem line": lambda c, o, f: _told(o),
    r"message that names the side limit": lambda c, o, f: _told(o, r"\bside|\bwide|\bhigh|\btall"),
    r"a way to insist": lambda c, o, f: _told(o, r"--\w+"),
    r"about (\d+)x(\d+)": lambda c, o, f: _sized(o, int(f[1]), int(f[2]), ABOUT),
    r"(\d+)x(\d+)": lambda c, o, f: _sized(o, int(f[1]), int(f[2]), 0),
    r"pixels equal": lambda c, o, f: _pixels_equal(c, o),
    r"page of (\d+):(\d+)": lambda c, o, f: _shaped(o, int(f[1]), int(f[2])),
    r"nearly black": lambda c, o, f: _nearly_black(o),
    r"bytes kept": lambda c, o, f: _bytes_kept(c, o),
    r"direction (\w+)": lambda c, o, f: _facts(o, "direction", f[1]),
    r"language (\w+)": lambda c, o, f: _facts(o, "language", f[1]),
    r"valence (-?[\d.]+)": lambda c, o, f: _valence(o, float(f[1])),
    r"(\S+) does not beat chance": lambda c, o, f: not _beats_chance(o, f[1]),
    r"links are not followed": lambda c, o, f: o.code == 3 and not o.out.strip(),
    r"nothing outside changes": lambda c, o, f: not o.findings,
    r"the vectors of the plain file \(cosine 1\)|the vectors of the plain file": lambda c, o, f: not o.findings,
    r"^\s*read\s*$": lambda c, o, f: _all_read(c, o),
}
_COUNTS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6}

"""`comictool reid enroll|gallery|calibrate|cluster|evaluate`: references, thresholds, groups and figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from comictool.cli.options import Loading, Seed, command
from comictool.cli.output import Format, Output
from comictool.cli.reid import Mode
from comictool.cli.reid_options import GalleryFolder, OptionalGallery, Vectors, parse_mode_option
from comictool.core.errors import ExitCode, InputError, UsageError

GalleryArgument = Annotated[Path, typer.Argument(metavar="GALLERY", help="A gallery folder.")]


@command
def enroll(
    gallery: GalleryFolder,
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG|DIR", help="JSON of names and folders, or a folder of folders.")
    ] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="NAME", help="Take a character out.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Take out references that are gone or changed.")] = False,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Add reference pictures of characters to a gallery.

    Only what is new is embedded. Warns of pictures enrolled twice, and of references unlike the others of their
    character.

    Example: comictool reid enroll refs.json -g gallery
    """
    from comictool.reid.configuration import read_config
    from comictool.reid.gallery import Enrolled, Gallery

    if config is None and not remove and not prune:
        raise UsageError("enroll needs references", hint=f"comictool reid enroll CONFIG -g {gallery}")
    wanted = read_config(config) if config else None
    opened = Gallery.create(gallery) if wanted else Gallery.open(gallery)
    removed = opened.remove(remove) if remove else 0
    done = Enrolled()
    if wanted is not None:
        with vectors.opened_cache() as cache:
            done = opened.enroll(
                wanted, vectors.spec(loading, opened), cache=cache, **vectors.reading(opened), prune=prune,
                **vectors.work(), progress=out.progress(),
            )  # fmt: skip
    elif prune:
        removed += opened.prune()
    for line in [*done.warnings, *(f"{path}: {reason}" for path, reason in done.failed.items())]:
        out.warn(line)
    out.record({
        "gallery": str(gallery), "characters": len(opened.characters), "references": len(opened.references),
        "added": done.added, "kept": done.kept, "removed": removed + done.removed, "embedded": done.computed,
        "failed": len(done.failed), "warnings": list(done.warnings),
    })  # fmt: skip
    out.next_commands([f"comictool reid calibrate -g {gallery}", f"comictool reid classify TARGETS -g {gallery}"])
    return ExitCode.FINDINGS if done.failed else ExitCode.DONE


@command
def gallery_info(gallery: GalleryArgument, *, out: Output) -> int:
    """Count what a gallery holds, and how far its characters are apart.

    `spread` is the mean cosine of a character's references to each other, `nearest` the character most like it.

    Example: comictool reid gallery info gallery
    """
    from comictool.reid.gallery import Gallery
    from comictool.reid.overview import overview

    opened = Gallery.open(gallery)
    rows = overview(opened.found)
    if out.format is Format.json:
        out.record({
            "gallery": str(gallery), "encoder": opened.identity, "flip": opened.flip, "legacy": opened.legacy,
            "references": len(opened.references), "thresholds": opened.thresholds, "characters": rows,
        })  # fmt: skip
        return ExitCode.DONE
    out.rows(rows, ["character", "references", "spread", "nearest", "nearest_cosine"])
    fitted = opened.thresholds
    told = f"thresholds for a false acceptance rate of {fitted['far']:g}" if fitted else "not calibrated"
    out.note(f"{len(rows)} characters, {len(opened.references)} references, {opened.identity}, {told}")
    return ExitCode.DONE


@command
def gallery_list(gallery: GalleryArgument, *, out: Output) -> int:
    """List every reference of a gallery.

    Example: comictool reid gallery list gallery --format csv
    """
    from comictool.reid.gallery import Gallery

    rows = [
        {"character": r.character, "path": str(r.path), "digest": r.digest} for r in Gallery.open(gallery).references
    ]
    out.rows(rows, ["character", "path"])
    return ExitCode.DONE


@command
def gallery_verify(gallery: GalleryArgument, *, out: Output) -> int:
    """Find what is wrong in a gallery.

    References that are gone or changed, vectors that are none, thresholds that do not fit any more. Exit code 1 when
    something is found.

    Example: comictool reid gallery verify gallery
    """
    from comictool.reid.gallery import Gallery

    problems = Gallery.open(gallery).verify()
    if problems:
        out.rows([{"problem": problem} for problem in problems], ["problem"])
        out.next_commands([f"comictool reid enroll -g {gallery} --prune"])
        return ExitCode.FINDINGS
    out.note(f"{gallery}: all is well")
    return ExitCode.DONE


@command
def gallery_merge(
    galleries: Annotated[list[Path], typer.Argument(metavar="GALLERY...", help="Galleries to add.")],
    gallery: GalleryFolder,
    *,
    out: Output,
) -> int:
    """Add the references of other galleries to one.

    All must have been enrolled with the same encoder.

    Example: comictool reid gallery merge mine yours -g ours
    """
    from comictool.reid.gallery import Gallery

    others = [Gallery.open(folder) for folder in galleries]
    opened = Gallery.create(gallery)
    added = opened.merge(others)
    out.record({"gallery": str(gallery), "added": added, "references": len(opened.references)})
    return ExitCode.DONE


@command
def calibrate(
    gallery: GalleryFolder,
    far: Annotated[float, typer.Option("--far", help="Share of strangers that may be given a name.")] = 0.05,
    background: Annotated[
        list[Path] | None,
        typer.Option(
            "--background",
            metavar="DIR",
            help="Pictures of nobody enrolled, best a folder for each character (repeatable).",
        ),
    ] = None,
    per_character: Annotated[bool, typer.Option("--per-character", help="A threshold for each character.")] = False,
    mode: Mode = "max",
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Fit the score from which a picture is given a name.

    Each reference stands in for a stranger, scored against all characters but its own and not against its own page. A
    reserve is kept for what few characters cannot show; `named` says how many references would be named. The
    thresholds are kept in the gallery for `classify --threshold auto`.

    Example: comictool reid calibrate -g gallery --far 0.05 --background others
    """
    from comictool.reid.calibration import FEW_CHARACTERS, calibrate
    from comictool.reid.embedding import embed_files
    from comictool.reid.enrolled import from_gallery, one_page
    from comictool.reid.evaluation import choose_mode
    from comictool.reid.gallery import Gallery
    from comictool.reid.pages import pages_of
    from comictool.reid.pictures import find_pictures

    opened = Gallery.open(gallery)
    spec = vectors.spec(loading, opened)
    from_gallery(opened, spec, **vectors.reading(opened))
    chosen = parse_mode_option(mode)
    labels = opened.found.labels.astype(str)
    if chosen == "auto" and len(set(labels)) < FEW_CHARACTERS:
        chosen = "max"
    elif chosen == "auto":
        pages = pages_of([reference.path for reference in opened.references])
        groups = [page or reference.digest for page, reference in zip(pages, opened.references, strict=True)]
        chosen, _ = choose_mode(opened.vectors, labels, groups)
    others, folders, failed = None, None, 0
    if background:
        pictures = find_pictures(background)
        if not pictures:
            raise InputError(f"there are no pictures in {', '.join(map(str, background))}")
        with vectors.opened_cache() as cache:
            embedded = embed_files(
                pictures, spec, cache=cache, **vectors.reading(opened),
                **vectors.work(), progress=out.progress(),
            )  # fmt: skip
        for path, reason in embedded.errors.items():
            out.warn(f"{path}: {reason}")
        others, failed = embedded.vectors[embedded.ok], len(embedded.errors)
        folders = [str(path.parent) for path, ok in zip(pictures, embedded.ok, strict=True) if ok]
        if len(set(folders)) == 1:
            folders = None  # one heap: nothing says which belong together
    fitted = calibrate(
        opened.vectors, labels, far=far, mode=chosen, metric="legacy" if opened.legacy else "cosine",
        background=others, background_groups=folders, per_character=per_character, excluded=one_page(opened.found),
    )  # fmt: skip
    opened.store_thresholds(fitted.to_json())
    if fitted.note:
        out.note(fitted.note)
    out.record({"gallery": str(gallery), **fitted.to_json()})
    return ExitCode.FINDINGS if failed else ExitCode.DONE


@command
def cluster(
    targets: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Pictures and folders.")],
    method: Annotated[str, typer.Option("--method", metavar="average|hdbscan", help="Of grouping.")] = "average",
    threshold: Annotated[
        float | None, typer.Option("--threshold", min=-1, max=1, help="Least mean cosine of groups that join.")
    ] = None,
    name_from: Annotated[
        Path | None, typer.Option("--name-from", metavar="GALLERY", help="Name the groups by enrolled characters.")
    ] = None,
    links: Annotated[
        Path | None, typer.Option("--links", help='JSON: {"must": [[a, b]], "cannot": [[a, c]]}, relative to it.')
    ] = None,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Also write an HTML page of the groups.")] = None,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:  # fmt: skip
    """Group pictures by character, without references.

    Crops that `data export characters` cut from one panel never come into one group. Group -1 is what fits nowhere.
    Groups are chosen by shared neighbours, without numbers; with --threshold they are joined while the cosines of
    their pictures, which `reid similarity` prints for two, have at least this mean. Higher makes more, smaller groups.

    Example: comictool reid cluster character_images --name-from gallery --sheet groups.html
    """
    from comictool.reid.embedding import embed_files
    from comictool.reid.enrolled import from_gallery
    from comictool.reid.gallery import Gallery
    from comictool.reid.grouping import group_pictures, write_groups
    from comictool.reid.pictures import find_pictures

    problems: list[str] = []
    paths = find_pictures(targets, problems)
    if not paths:
        raise InputError(f"no pictures in {', '.join(map(str, targets))}")
    gallery = Gallery.open(name_from) if name_from else None
    spec = vectors.spec(loading, gallery)
    if gallery is not None:
        from_gallery(gallery, spec, **vectors.reading(gallery))
    with vectors.opened_cache() as cache:
        embedded = embed_files(
            paths, spec, cache=cache, **vectors.reading(gallery), **vectors.work(),
            progress=out.progress(),
        )  # fmt: skip
    groups = group_pictures(embedded, method=method, threshold=threshold, links=links, gallery=gallery)
    for line in [*problems, *(f"{path}: {reason}" for path, reason in embedded.errors.items())]:
        out.warn(line)
    out.rows([member.as_record() for member in groups], ["group", "name", "path"])
    if sheet is not None:
        write_groups(sheet, groups)
        out.note(f"sheet: {sheet}")
    out.note(f"{len({member.group for member in groups if member.group >= 0})} groups of {len(groups)} pictures")
    return ExitCode.FINDINGS if embedded.errors or problems else ExitCode.DONE


@command
def evaluate(
    source: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="A folder for each character, or a file as for enroll.")
    ] = None,
    pairs: Annotated[Path | None, typer.Option("--pairs", help="CSV with a, b, same: only pairs are judged.")] = None,
    mode: Mode = "max",
    rerank: Annotated[bool, typer.Option("--rerank/--no-rerank", help="Rank by k-reciprocal neighbours.")] = True,
    gallery: OptionalGallery = None,
    seed: Seed = 0,
    *,
    vectors: Vectors,
    loading: Loading,
    out: Output,
) -> int:
    """Measure how well characters are told apart, on labelled pictures.

    Rank-1 and rank-5 (of pictures, and macro: of characters), mAP, mAP@R, equal error rate, open-set detection,
    clusters and confusion, with 95 % intervals. With an index.json that names pages, pictures of one page do not
    answer for each other.

    Example: comictool reid evaluate labelled --json
    """
    from comictool.reid.embedding import embed_files
    from comictool.reid.evaluation import evaluate, pair_shares
    from comictool.reid.gallery import Gallery
    from comictool.reid.labelled import read_labelled, read_pairs

    if (source is None) == (pairs is None):
        raise UsageError("evaluate needs either a folder or --pairs FILE", hint="comictool reid evaluate DIR")
    opened = Gallery.open(gallery) if gallery else None
    labelled = read_labelled(source) if source else None
    listed = read_pairs(pairs) if pairs else None
    paths = labelled.paths if labelled else listed.paths if listed else []
    with vectors.opened_cache() as cache:
        embedded = embed_files(
            paths, vectors.spec(loading, opened), cache=cache, **vectors.reading(opened), **vectors.work(),
            progress=out.progress(),
        )  # fmt: skip
    for path, reason in embedded.errors.items():
        out.warn(f"{path}: {reason}")
    code = ExitCode.FINDINGS if embedded.errors else ExitCode.DONE
    if listed is not None:
        scores, same = listed.scores(embedded.vectors, embedded.ok)
        shares = pair_shares(scores, same, seed=seed)
        _tell(out, {"pairs": len(same), "figures": {name: share.to_json() for name, share in shares.items()}})
        return code
    assert labelled is not None
    kept = [place for place, ok in enumerate(embedded.ok) if ok]
    found = evaluate(
        embedded.vectors[kept], [labelled.labels[i] for i in kept], [labelled.pages[i] for i in kept],
        rerank=rerank, mode=parse_mode_option(mode), seed=seed,
    )  # fmt: skip
    _tell(out, found.to_json())
    return code


def _tell(out: Output, record: dict[str, Any]) -> None:
    if out.format in (Format.json, Format.jsonl):
        out.record(record)
        return
    rows = [{"figure": name, **share} for name, share in record["figures"].items()]
    rows += [{"figure": name, "value": value} for name, value in record.get("clustering", {}).items()]
    for row in record.get("open_set", []):
        rows += [{"figure": f"open set, far {row['far']:g}: {n}", "value": v} for n, v in row.items() if n != "far"]
    out.rows(rows, ["figure", "value", "low", "high"])

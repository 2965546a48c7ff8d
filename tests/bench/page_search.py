"""Page search on real comics: how often the same page in another form comes first.

    COMICTOOL_TEST_DATA=FOLDER python -m tests.bench.page_search [--ink]

Every page picture of the test data is stored, and its mirror image as a distractor that no histogram can tell from
it. With `--ink` all of them are first turned to black ink on white, for want of real black-and-white books.

Queries are the same pages in another form; a query is right when the first answer is the same page, in any
lettering. In the rows marked "other file" the file the query was made from is taken out of the store, so that only
the page in another lettering, or without text, can be right.
"""

from __future__ import annotations

import io
import json
import math
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from comictool.core.images import decode
from comictool.plugins.classic.encoder import ClassicEncoder
from comictool.search.query import Query, query
from comictool.vectors.collection import Described
from comictool.vectors.columns import Column
from comictool.vectors.pictures import whole_pixels
from comictool.vectors.reading import cut
from comictool.vectors.rows import MemoryRows
from comictool.vectors.views import FEW_VIEWS, VIEWS
from tests.bench.figures import arguments, between, figure, ratio
from tests.data import DATA

BOOKS = ("pepper_carrot", "alarming_tales_1957", "science_comics_1946", "page_blanche", "climate_frogs")
Form = Callable[[Image.Image, np.random.Generator], Image.Image]
Encoder = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Page:
    """A picture in the store. Files with one `label` show the same page. `fitted`: weights were fitted on it."""

    path: Path
    book: str
    label: str
    has_other_file: bool
    fitted: bool


def colour_histogram(image: np.ndarray) -> np.ndarray:
    """Floor: 8x8x8 RGB histogram, unit length."""
    codes = (image >> 5).reshape(-1, 3).astype(np.int64) @ (64, 8, 1)
    counts = np.bincount(codes, minlength=512).astype(np.float32)
    return counts / np.linalg.norm(counts)


def grey_picture(image: np.ndarray) -> np.ndarray:
    """Floor: the picture in 24x24 grey pixels, mean 0, unit length; pictures of a single grey are alike."""
    grey = np.asarray(Image.fromarray(image).convert("L").resize((24, 24), Image.Resampling.BOX), np.float32).ravel()
    grey -= grey.mean()
    length = float(np.linalg.norm(grey))
    return grey / length if length > 1e-3 else np.full(len(grey), len(grey) ** -0.5, np.float32)


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    """The picture as it comes back from a JPEG file."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("RGB")


def crop(picture: Image.Image, size: float, across: float, down: float) -> Image.Image:
    """A part of `size` of each side, at a place of its free play, saved as JPEG."""
    width, height = round(picture.width * size), round(picture.height * size)
    left, top = round((picture.width - width) * across), round((picture.height - height) * down)
    return jpeg(picture.crop((left, top, left + width, top + height)), 90)


def random_crop(size: float) -> Form:
    """A crop at a random place."""
    return lambda picture, rng: crop(picture, size, rng.uniform(), rng.uniform())


def lettered(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The page with five to nine white balloons of scribbled lines pasted on."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(5, 10)):
        width, height = picture.width * rng.uniform(0.12, 0.28), picture.height * rng.uniform(0.04, 0.09)
        left, top = rng.uniform(0, picture.width - width), rng.uniform(0, picture.height - height)
        draw.ellipse((left, top, left + width, top + height), fill="white", outline="black", width=3)
        for line in range(3):
            x, y = left + width * 0.2, top + height * (0.25 + 0.2 * line)
            while x < left + width * 0.8:
                stroke = rng.uniform(3, 7)
                draw.line((x, y, x + stroke, y + rng.uniform(-4, 4)), fill="black", width=2)
                x += stroke + 2
    return picture


def faded(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A greyscale scan with 60 % of the contrast."""
    return picture.convert("L").point(lambda value: value * 0.6 + 70).convert("RGB")


def scanned_again(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Another scan of another copy: borders cut by up to 4 %, turned by up to 1 degree, soft, yellowed, JPEG q60."""
    picture = picture.rotate(rng.uniform(-1, 1), Image.Resampling.BICUBIC, fillcolor="white")
    cuts = rng.uniform(0, 0.04, 4) * (picture.width, picture.height, picture.width, picture.height)
    picture = picture.crop((cuts[0], cuts[1], picture.width - cuts[2], picture.height - cuts[3]))
    picture = picture.filter(ImageFilter.GaussianBlur(1.5))
    paper = np.array([250, 238, 205]) / 255
    return jpeg(Image.fromarray((np.asarray(picture) * 0.85 * paper + 30 * paper).astype(np.uint8)), 60)


def black_ink(picture: Image.Image) -> Image.Image:
    """The page as if printed in black alone: a steep curve around the median grey."""
    grey = np.asarray(picture.convert("L"), np.float32)
    ink = 255 / (1 + np.exp(-(grey - np.median(grey)) / 12))
    return Image.fromarray(ink.astype(np.uint8)).convert("RGB")


FORMS: dict[str, Form] = {
    "as it is": lambda picture, rng: picture,
    "JPEG q40": lambda picture, rng: jpeg(picture, 40),
    "resized to 50 %": lambda picture, rng: picture.resize((picture.width // 2, picture.height // 2)),
    "balloons pasted": lettered,
    "grey, faded": faded,
    "turned 1 degree": lambda picture, rng: picture.rotate(1, Image.Resampling.BICUBIC, fillcolor="white"),
    "scanned again": scanned_again,
    "cut to 80 %, middle": lambda picture, rng: crop(picture, 0.8, 0.5, 0.5),
    "cut to 80 %, corner": lambda picture, rng: crop(picture, 0.8, int(rng.integers(2)), int(rng.integers(2))),
    "cut to 80 %, random": random_crop(0.8),
    "cut to 80 %, balloons": lambda picture, rng: random_crop(0.8)(lettered(picture, rng), rng),
    "cut to 80 %, faded": lambda picture, rng: faded(random_crop(0.8)(picture, rng), rng),
    "cut to 90 %, random": random_crop(0.9),
    "cut to 70 %, random": random_crop(0.7),
    "cut to 60 %, random": random_crop(0.6),
}
SHOWN = {
    "JPEG q40": "JPEG q40",
    "resized to 50 %": "half size",
    "cut to 80 %, middle": "cut to 80 % of each side, middle",
    "cut to 80 %, corner": "cut to 80 % of each side, corner",
    "cut to 80 %, random": "cut to 80 % of each side, anywhere",
}
OWN_FILE_TELLS_NOTHING = ("as it is",)  # the query is a stored picture: only its other files are a question


def pages_of(data: Path) -> list[Page]:
    """Every page picture of the test data, books in order. Odd episodes and every second other page were fitted on."""
    groups = json.loads((data / "page_search" / "same_page_groups.json").read_text(encoding="utf-8"))
    group_of = {file: group["id"] for group in groups for file in group["variants"]}
    pages = []
    for book in BOOKS:
        for number, path in enumerate(sorted((data / book).rglob("*.jpg")) + sorted((data / book).rglob("*.png"))):
            file = path.relative_to(data).as_posix()
            fitted = int(path.stem[1:3]) % 2 == 1 if book == "pepper_carrot" else number % 2 == 0
            pages.append(Page(path, book, group_of.get(file, file), file in group_of, fitted))
    return pages


@dataclass
class Given:
    """An encoder that was asked before: whatever the picture, it gives this vector."""

    vector: np.ndarray

    @property
    def dimension(self) -> int:
        return len(self.vector)

    @property
    def encoder_id(self) -> str:
        return "given"

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        return self.vector[None]


@dataclass
class PageColumn:
    """The views of pages in memory, as `comictool.search.query.query` takes them; a row is its own page number."""

    vectors: np.ndarray
    root: Path = Path("pages")

    def __post_init__(self) -> None:
        pages, views, dimension = self.vectors.shape
        self.rows = MemoryRows(self.vectors.reshape(pages * views, dimension))
        self.present = np.ones(pages, bool)
        self.column = Column("page", "image", "given", dimension, views=VIEWS[:views])
        self.columns = {"page/image": self}

    def __enter__(self) -> PageColumn:
        return self

    def __exit__(self, *_: object) -> None: ...

    def comics(self, level: str) -> list[tuple[str, int, int]]:
        return [("pages", 0, len(self.present))]

    def find(self, id: str) -> tuple[str, int, str]:
        return "page", int(id), "pages"

    def describe(self, level: str, rows: Sequence[int]) -> list[Described]:
        return [Described(str(row), "pages", row) for row in rows]


@dataclass
class Vectors:
    """What one encoder made of the pages.

    `stored` and `mirrored` are `(P, V, D)` float16, the views of pages and of their mirror images; `queries` by form
    are `(P, D)` float32.
    """

    stored: list[np.ndarray] = field(default_factory=list)
    mirrored: list[np.ndarray] = field(default_factory=list)
    queries: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def right(self, pages: Sequence[Page], form: str, views: int, *, other_file: bool) -> np.ndarray:
        """Whether the first answer to the query of each page is the same page: `(P,)` bool."""
        labels = np.array([page.label for page in pages] + ["mirrored"] * len(self.mirrored))
        place = PageColumn(np.stack(self.stored + self.mirrored)[:, :views])
        answers = np.zeros(len(pages), bool)
        with tempfile.TemporaryDirectory() as folder:
            asked = Query(image=Path(folder) / "asked.png", k=2)
            Image.new("RGB", (1, 1)).save(str(asked.image))
            for number, vector in enumerate(self.queries[form]):
                hits = query(place, asked, encoder=Given(vector))  # type: ignore[arg-type]
                found = [hit.page for hit in hits if not (other_file and hit.page == number)]
                answers[number] = labels[found[0]] == labels[number]
        return answers


def page_views(image: np.ndarray) -> list[np.ndarray]:
    """The windows of a page, cut one by one."""
    height, width = image.shape[:2]
    boxes = [(x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in VIEWS]
    return [cut(image, whole_pixels(box, (width, height))) for box in boxes]


def measure(
    pages: Sequence[Page], forms: dict[str, Form], encoders: dict[str, Encoder], *, ink: bool = False
) -> dict[str, Vectors]:
    """Decode each page once, and embed its views, its mirror image and its query forms with every encoder."""
    classic = ClassicEncoder()
    result = {name: Vectors(queries={form: [] for form in FORMS}) for name in ("classic", *encoders)}
    for page in pages:
        picture = black_ink(decode(page.path)) if ink else decode(page.path)
        image = np.asarray(picture)
        mirrored = np.ascontiguousarray(image[:, ::-1])
        result["classic"].stored.append(classic.embed_views(image, VIEWS).astype(np.float16))
        result["classic"].mirrored.append(classic.embed_views(mirrored, VIEWS).astype(np.float16))
        for name, encoder in encoders.items():
            result[name].stored.append(np.stack([encoder(view) for view in page_views(image)]).astype(np.float16))
            result[name].mirrored.append(np.stack([encoder(view) for view in page_views(mirrored)]).astype(np.float16))
        for form, change in forms.items():
            seed = zlib.crc32(f"{page.path.parent.name}/{page.path.name}/{form}".encode())
            changed = np.asarray(change(picture, np.random.default_rng(seed)))
            result["classic"].queries[form].append(classic.embed([changed])[0])
            for name, encoder in encoders.items():
                result[name].queries[form].append(encoder(changed))
    return result


def wilson(right: np.ndarray) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    count, share, z = max(len(right), 1), float(np.mean(right)) if len(right) else 0.0, 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return middle - half, middle + half


def chance(pages: Sequence[Page], chosen: np.ndarray, *, other_file: bool) -> float:
    """Share that a random order would get right."""
    labels = [page.label for page in pages]
    same = [labels.count(labels[number]) - other_file for number in np.flatnonzero(chosen)]
    return float(np.mean(same)) / (2 * len(pages) - other_file)  # twice: the mirror images


def print_table(pages: Sequence[Page], vectors: dict[str, Vectors]) -> None:
    """Top-1 for each form: ours with ten views, six, one; then the floors."""
    grouped = np.array([page.has_other_file for page in pages])
    fitted = np.array([page.fitted for page in pages])
    print(
        f"{'query':36} {'n':>4} {'10 views [95 %]':>19} {'fitted':>7} {'other':>6} {'6 views':>8} {'1 view':>7} |"
        f" {'grey 24x24':>10} {'with views':>10} {'colours':>8} {'chance':>7}"
    )
    for other_file in (True, False):
        chosen = grouped if other_file else np.ones(len(pages), bool)
        for form in vectors["classic"].queries:
            if not other_file and form in OWN_FILE_TELLS_NOTHING:
                continue

            def top(name: str, views: int, form: str = form, other_file: bool = other_file) -> np.ndarray:
                return vectors[name].right(pages, form, views, other_file=other_file)

            ours = top("classic", len(VIEWS))
            low, high = wilson(ours[chosen])
            print(
                f"{form + (', other file' if other_file else ''):36} {chosen.sum():4} "
                f"{ours[chosen].mean():7.3f} [{low:.2f},{high:.2f}] "
                f"{ours[chosen & fitted].mean():7.3f} {ours[chosen & ~fitted].mean():6.3f} "
                f"{top('classic', len(FEW_VIEWS))[chosen].mean():8.3f} {top('classic', 1)[chosen].mean():7.3f} |"
                f" {top('grey', 1)[chosen].mean():10.3f} {top('grey', len(VIEWS))[chosen].mean():10.3f}"
                f" {top('colours', 1)[chosen].mean():8.3f} {chance(pages, chosen, other_file=other_file):7.3f}"
            )
            if not other_file and form in SHOWN:
                one = top("classic", 1)[chosen].mean()
                figure(
                    f"the same page found, {SHOWN[form]}",
                    ratio(ours[chosen].mean()),
                    f"colours {ratio(top('colours', 1)[chosen].mean())}, whole-page vectors only {ratio(one)}",
                )
            if other_file and form == "as it is":
                figure(
                    f"the same page found in another lettering, {chosen.sum()} queries",
                    f"{ratio(ours[chosen].mean())} {between(low, high)}",
                    f"colours {ratio(top('colours', 1)[chosen].mean())}, "
                    f"chance {ratio(chance(pages, chosen, other_file=True))}",
                )


def print_costs(data: Path) -> None:
    """Storage of a page and speed of the encoder, process CPU time of one thread, decoding not counted."""
    encoder = ClassicEncoder()
    page = np.asarray(decode(data / "pepper_carrot" / "lettered_en" / "e03p01.jpg"))
    panel = np.ascontiguousarray(page[300:765, 200:700])
    for label, job, items, repeats in (
        ("panels of 500x465", lambda: encoder.embed([panel]), "panels", 100),
        ("pages of 992x1401, 1 view", lambda: encoder.embed_views(page, VIEWS[:1]), "pages", 20),
        ("pages of 992x1401, 6 views", lambda: encoder.embed_views(page, FEW_VIEWS), "pages", 20),
        ("pages of 992x1401, 10 views", lambda: encoder.embed_views(page, VIEWS), "pages", 20),
    ):
        start = time.process_time()
        for _ in range(repeats):
            job()
        print(f"{label:30} {repeats / (time.process_time() - start):7.0f} {items}/s of one core")
    for views in (1, len(FEW_VIEWS), len(VIEWS)):
        print(f"{views:2} views of {encoder.dimension} float16: {views * encoder.dimension * 2 / 1024:.1f} KiB a page")


def main() -> None:
    """Measure everything and print it."""
    if DATA is None:
        raise SystemExit("COMICTOOL_TEST_DATA does not name the folder of test comics")
    pages = pages_of(DATA)
    ink = "--ink" in arguments()
    vectors = measure(pages, FORMS, {"grey": grey_picture, "colours": colour_histogram}, ink=ink)
    labels = {page.label for page in pages}
    print(
        f"{len(pages)} stored pictures of {len(labels)} pages{', in black ink' * ink}, and {len(pages)} mirror images\n"
    )
    print_table(pages, vectors)
    print()
    print_costs(DATA)


if __name__ == "__main__":
    main()

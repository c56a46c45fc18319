"""Pictures (PNG, JPEG, JPEG 2000, TIFF, WebP, GIF, BMP, HEIC): recognised text; each page of a TIFF is a page.

A picture without text is reported, never skipped silently. Only the first frame of an animation is read. Only these
formats are tried: some other decoders of Pillow start programs. HEIC needs pillow-heif (the extra "heic").
"""

from __future__ import annotations

import contextlib
import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from localrag.errors import ReadError
from localrag.ingest.readers import pdf_words, programs
from localrag.ingest.readers.blocks import markdown_rows
from localrag.ingest.readers.headings import document_headings
from localrag.ingest.readers.pdf_layout import find_regions
from localrag.ingest.readers.pdf_native import Box
from localrag.ingest.readers.pdf_tables import Table, find_tables
from localrag.ingest.readers.pdf_words import join_hyphen
from localrag.ingest.readers.source import TABLES, Options, Source, another_kind, page_listeners
from localrag.text import clean
from localrag.types import Page, Reading, SkippedPage, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "WEBP", "GIF", "BMP", "HEIF")
# Pillow raises any of these over a broken file.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)
_NOTHING = "no text; nothing was recognised in the picture"
_BROKEN = "damaged; the picture could not be decoded"
_SQUARE = 1.2  # fax machines scan up to twice as fine across as down, which distorts letters


def read(source: Source, options: Options) -> Reading:
    if options.ocr == "off":
        raise ReadError("is a picture", "Text recognition is off; repeat with --ocr auto.")
    texts: list[str] = []
    words: list[tuple[Word, ...]] = []
    skipped: list[SkippedPage] = []
    for number, frame in enumerate(frames(source), 1):
        found = recognise(frame, options.languages) if frame is not None else Recognised("")
        texts.append(found.text)
        words.append(found.words)
        if not found.text:
            skipped.append(SkippedPage(number, _NOTHING if frame is not None else _BROKEN))
    if all(item.reason == _BROKEN for item in skipped) and len(skipped) == len(texts):
        raise _damaged(source)
    if not any(texts):
        raise ReadError(
            "has no text that could be recognised",
            "Open it to see whether it shows text. If it does, scan it at 300 dpi, or set ocr_languages.",
        )
    headings = document_headings([(text, {}) for text in texts])
    pages = [
        Page(text, number, headings=found, words=boxes)
        for number, (text, found, boxes) in enumerate(zip(texts, headings, words, strict=True), 1)
    ]
    return Reading(tuple(pages), skipped=tuple(skipped))


def frames(source: Source) -> Iterator[Image.Image | None]:
    """Yield the pages upright; None for one that is damaged."""
    if source.suffix in (".heic", ".heif"):
        try:
            import pillow_heif
        except ImportError:
            what = "is a HEIC picture, and pillow-heif is not installed"
            raise ReadError(what, "Run: pip install 'localrag[heic]'") from None
        pillow_heif.register_heif_opener()
    with source.open() as stream:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the size: `check_size` refuses it
                image = Image.open(stream, formats=_FORMATS)
            count = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        except Image.DecompressionBombError as error:
            raise ReadError("is too large a picture", "Save it with fewer pixels (300 dpi).") from error
        except _DAMAGED as error:
            raise _damaged(source) from error
        with image:
            for index in range(count):
                yield _frame(image, index)


def _frame(image: Image.Image, index: int) -> Image.Image | None:
    try:
        image.seek(index)
        check_size(image.size)
        across, down = _resolution(image)
        image.load()
        # A copy: the object of the first frame changes with the next seek.
        frame = ImageOps.exif_transpose(image) if index == 0 else image.copy()
    except (Image.DecompressionBombError, *_DAMAGED):
        return None
    if across > _SQUARE * down:
        return frame.resize((frame.width, round(frame.height * across / down)))
    if down > _SQUARE * across:
        return frame.resize((round(frame.width * down / across), frame.height))
    return frame


def _resolution(image: Image.Image) -> tuple[float, float]:
    """Return dots per inch across and down, where the file has plausible ones."""
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        across, down = (float(value) for value in image.info.get("dpi", (1, 1)))
        if min(across, down) >= 60 and max(across, down) <= 2.5 * min(across, down):
            return across, down
    return 1.0, 1.0


def _damaged(source: Source) -> ReadError:
    if other := another_kind(source, "a picture", "a PNG", "a JPEG", "a GIF", "a TIFF"):
        return other
    return ReadError("is damaged, or not a picture", "Open it in a viewer and save it again.")


# --- text recognition -----------------------------------------------------------------------------------------

MAX_PIXELS = 178_000_000  # Pillow's own limit; A0 at 300 dpi has 140 million
_USEFUL_PIXELS = 25_000_000  # A4 at 600 dpi has 35 million, and reads no better than at 450
_MIN_CONFIDENCE = 0.6
_MIN_LETTERS = 3  # fewer on a whole page are specks, staples and the edge of the scanner


@dataclass(frozen=True, slots=True)
class Recognised:
    """A picture's text; empty where it has none."""

    text: str
    words: tuple[Word, ...] = ()


def recognise(image: Image.Image, languages: Sequence[str] = ("en",)) -> Recognised:
    """Return the text of a picture, without its EXIF; raise ReadError if it is too large or no engine reads it."""
    check_size(image.size)
    tesseract = _tesseract_names(languages)
    picture = _prepared(image)
    lines, turns = _tesseract(picture, tesseract) if tesseract else _networks(picture)
    for listener in page_listeners:
        listener()
    lines = [line for line in lines if line.confidence >= _MIN_CONFIDENCE]
    if sum(character.isalnum() for line in lines for character in line.text) < _MIN_LETTERS:
        return Recognised("")
    text, words = arrange(lines)
    width, height = picture.size if turns % 2 == 0 else picture.size[::-1]
    found = (Word(start, end, *_fractions(box, width, height, turns)) for start, end, box in words)
    return Recognised(text, tuple(found))


def check_size(size: tuple[int, int]) -> None:
    """Raise ReadError for a picture that is too large by its stated size, before it is decoded."""
    if size[0] * size[1] > MAX_PIXELS:
        what = f"is too large a picture ({size[0]:,} x {size[1]:,} pixels)"
        raise ReadError(what, "Save it with fewer pixels (300 dpi).")


def _prepared(image: Image.Image) -> Image.Image:
    """Return the picture in colour, on white, neither larger nor smaller than useful."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode.startswith("I;16"):  # 16 bits of grey; Pillow would clip instead of scaling
        image = image.point(lambda value: value / 256).convert("L")
    pixels = image.width * image.height
    if pixels > _USEFUL_PIXELS:
        factor = (_USEFUL_PIXELS / pixels) ** 0.5
        size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
        image = image.convert("L" if image.mode in ("L", "1") else "RGB")
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    elif min(image.size) < _MIN_SIDE:  # a strip of one line
        image = image.convert("RGB").resize((2 * image.width, 2 * image.height))
    return image.convert("RGB")


def _fractions(box: Box, width: float, height: float, turns: int) -> tuple[float, float, float, float]:
    """Return a box of the upright picture as fractions of the picture before it was turned."""
    left, top, right, bottom = box.left / width, box.top / height, box.right / width, box.bottom / height
    for _ in range(turns):  # clockwise
        left, top, right, bottom = 1 - bottom, left, 1 - top, right
    left, top, right, bottom = (round(min(1.0, max(0.0, value)), 5) for value in (left, top, right, bottom))
    return left, top, right, bottom


_SECONDS = 600  # for Tesseract to read a page; the reader's own time limit is shorter
_FILES = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
}
_SEARCH_SIDE = 1280  # longest side on which lines are searched; 2200 takes 3 times as long and finds the same lines
_SMALL = 9  # lines lower than this many pixels at that size are searched again at twice the size
_MIN_SIDE = 48
_MAX_LINES = 3000


@cache
def _rapidocr() -> Any:
    """Load the networks once a process. With their paths given, rapidocr downloads nothing."""
    import rapidocr

    folder = Path(rapidocr.__file__).parent / "models"
    options: dict[str, Any] = {f"{part}.model_path": str(folder / name) for part, name in _FILES.items()}
    options |= {
        # The whole picture is kept: lines are found on a smaller one and cut from the full one.
        "Global.use_preprocess_img": False,
        "Global.use_vertical_padding": False,
        "Global.log_level": "critical",
        "Global.return_word_box": True,
        "Global.return_single_char_box": True,
        "Global.model_root_dir": str(folder),
        "EngineConfig.onnxruntime.intra_op_num_threads": 1,  # the reader pool has a process for each core
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "Det.limit_side_len": _SEARCH_SIDE,
        "Det.limit_type": "max",
        "Det.max_candidates": _MAX_LINES,
        "Rec.rec_batch_num": 1,  # a batch is as wide as its widest line
    }
    return rapidocr.RapidOCR(params=options)


def _networks(image: Image.Image) -> tuple[list[Line], int]:
    """Return the lines of a picture, and the quarter turns (counterclockwise) that set it upright."""
    import numpy as np

    engine = _rapidocr()
    pixels = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])  # blue, green, red
    turns = 0
    boxes = _find(engine, pixels)
    if boxes is not None:
        widths, heights = _sides(boxes)
        if heights[heights > 1.5 * widths].sum() > 2 * widths[widths > 1.5 * heights].sum():  # it lies on its side
            pixels, turns = np.ascontiguousarray(np.rot90(pixels)), 1
            boxes = _find(engine, pixels)
    if boxes is not None and _upside_down(engine, engine.crop_text_regions(pixels, boxes)):
        pixels, turns = np.ascontiguousarray(np.rot90(pixels, 2)), (turns + 2) % 4
        boxes = _find(engine, pixels)
    if boxes is None:
        return [], turns
    crops = engine.crop_text_regions(pixels, boxes)
    found = engine.recognize_txt(crops)
    places = engine.cal_rec_boxes(crops, boxes, found, True).word_results
    lines: list[Line] = []
    for text, score, cells in zip(found.txts, found.scores, places, strict=True):
        visible = [index for index, character in enumerate(text) if not character.isspace()]
        if cells and len(cells) == len(visible):  # spaces have none
            of: dict[int, Box] = {}
            for index, (_, _, corners) in zip(visible, cells, strict=True):
                xs, ys = zip(*corners, strict=True)
                of[index] = Box(min(xs), min(ys), max(xs), max(ys))
            lines.append(Line(text, tuple(of.get(index) for index in range(len(text))), score))
    return lines, turns


def _find(engine: Any, pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Return the corners of each line (top left first, clockwise); None where there are none."""
    import numpy as np

    boxes = engine(pixels, use_det=True, use_cls=False, use_rec=False).boxes
    scale = _SEARCH_SIDE / max(pixels.shape)
    if boxes is not None and scale < 1 and float(np.median(_sides(boxes)[1])) * scale < _SMALL:
        engine.text_det.limit_side_len = 2 * _SEARCH_SIDE
        boxes = engine(pixels, use_det=True, use_cls=False, use_rec=False).boxes
        engine.text_det.limit_side_len = _SEARCH_SIDE
    return None if boxes is None or not len(boxes) else np.asarray(boxes, dtype=np.float32)


def _sides(boxes: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the widths and heights of boxes."""
    import numpy as np

    return np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1), np.linalg.norm(boxes[:, 3] - boxes[:, 0], axis=1)


def _upside_down(engine: Any, crops: list[Any]) -> bool:
    """Let the starts of the twelve longest lines vote; the network squeezes longer pictures."""
    longest = sorted(crops, key=lambda crop: -crop.shape[1])[:12]
    starts = [crop[:, : 4 * crop.shape[0]] for crop in longest]
    labels = engine.cls_and_rotate(starts)[1].cls_res
    return fmean(score if label == "180" else 1 - score for label, score in labels) > 0.5


def _tesseract_names(languages: Sequence[str]) -> str:
    """Return Tesseract's name for the languages; empty where the networks read them all."""
    networks, names = (
        set(TABLES["ocr"]["networks"].split()),
        dict(pair.split("=") for pair in TABLES["ocr"]["tesseract"].split()),
    )
    wanted = [language.lower() for language in languages]
    others = [language for language in wanted if language not in networks]
    for language in others:
        if language not in names:
            what = f"is a picture, and its language {language!r} is not known to text recognition"
            raise ReadError(what, 'Give ISO 639-1 codes, such as "de".')
    needed = [names[language] for language in wanted if language in names]
    missing = sorted(set(needed) - _installed())
    if others and missing:
        packages = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in missing)
        what = f"is a picture, and recognising {', '.join(others)!r} takes Tesseract, which is not installed with it"
        raise ReadError(what, f"Install it (on Debian: apt install {packages}), or change ocr_languages.")
    return "+".join(needed) if others else ""


@cache
def _installed() -> frozenset[str]:
    """Return the languages that Tesseract has; none where it is not installed."""
    if programs.installed()["Tesseract"] is None:
        return frozenset()
    try:
        _, listed = programs.run("Tesseract", ["--list-langs"], b"", 20)
    except ReadError:
        return frozenset()
    return frozenset(listed.decode("utf-8", "replace").split("\n")[1:]) - {"", "osd"}


def _run(arguments: list[str], picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.convert("L").save(stream, "PPM")
    command = ("stdin", "stdout", "--dpi", "200", *arguments)
    _, result = programs.run("Tesseract", command, stream.getvalue(), _SECONDS)
    return result.decode("utf-8", "replace")


_ROTATE = re.compile(r"^Rotate: (90|180|270)$", re.M)


def _tesseract(picture: Image.Image, languages: str) -> tuple[list[Line], int]:
    turns = 0
    if match := _ROTATE.search(_run(["--psm", "0", "-l", "osd"], picture)):
        turns = -int(match[1]) // 90 % 4
        picture = picture.rotate(90 * turns, expand=True)
    found: dict[tuple[str, ...], list[tuple[str, Box, float]]] = {}
    for row in _run(["--psm", "3", "-l", languages, "tsv"], picture).split("\n"):
        fields = row.split("\t")
        if len(fields) == 12 and fields[0] == "5" and (word := fields[11].strip()):
            left, top, width, height = map(float, fields[6:10])
            box = Box(left, top, left + width, top + height)
            found.setdefault(tuple(fields[1:5]), []).append((word, box, float(fields[10]) / 100))
    lines: list[Line] = []
    for words in found.values():
        boxes = [each for word, box, _ in words for each in (*[box] * len(word), None)]
        confidence = fmean([sure for _, _, sure in words], [len(word) for word, _, _ in words])
        lines.append(Line(" ".join(word for word, _, _ in words), tuple(boxes[:-1]), confidence))
    return lines, turns


# --- the order of reading: columns, tables, paragraphs, words cut at line ends ------------------------------------
# The page is levelled first; columns and tables are found as in a PDF (`pdf_layout`, `pdf_tables`).

_PARAGRAPH = 1.45  # line distances above this many usual ones part paragraphs
_MIN_ROWS = 3  # of a column
_MAX_DEPTH = 3  # of columns in columns
_HYPHENS = "-\u2010\u00ad"
# Characters that are written without spaces are words of their own.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\s\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")


@dataclass(frozen=True, slots=True)
class Line:
    """A recognised line; `boxes` (in pixels from the top left) has one for each character, None for spaces."""

    text: str
    boxes: tuple[Box | None, ...]
    confidence: float


def arrange(lines: Sequence[Line]) -> tuple[str, list[tuple[int, int, Box]]]:
    """Return the text of a page, and the offsets and boxes of its words."""
    boxes: dict[int, Box] = {}
    joined: set[int] = set()
    slope = _slope(lines)
    levelled = [level for line in lines if (level := _level(line, slope, boxes, joined)) is not None]
    text = _Text("\n".join(clean(line.text) for line in lines), boxes, joined)
    for column in _columns(levelled):
        # Where lines were recognised across a narrow gutter, gaps between words still show it.
        for region, _ in find_regions(pdf_words.find_lines(word for line in column for word in line.words)):
            _add_column(text, region)
    return text.text, text.words


def _level(line: Line, slope: float, boxes: dict[int, Box], joined: set[int]) -> pdf_words.Line | None:
    """Return a line of the levelled page; note the boxes of its words, and which words follow without a space."""
    words: list[pdf_words.Word] = []
    last = None
    for match in _WORD.finditer(line.text):
        inside = [box for box in line.boxes[match.start() : match.end()] if box is not None]
        text = clean(match[0])
        if not inside or not text.strip():
            continue
        number = len(boxes)
        boxes[number] = _around(inside)
        words.append(pdf_words.Word(number, number, text, *_around(_levelled(box, slope) for box in inside)))
        if last == match.start():
            joined.add(number)
        last = match.end()
    if not words:
        return None
    around = _around(Box(*word[3:]) for word in words)
    return pdf_words.Line(tuple(sorted(words, key=lambda word: word.left)), around.top, around.bottom)


def _around(boxes: Iterable[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def _levelled(box: Box, slope: float) -> Box:
    across, down = (box.top + box.bottom) / 2 * slope, (box.left + box.right) / 2 * slope
    return Box(box.left + across, box.top - down, box.right + across, box.bottom - down)


def _slope(lines: Sequence[Line]) -> float:
    """Return how far lines fall for each pixel to the right; 0 where unclear."""
    slopes = []
    for line in lines:
        inside = [box for box in line.boxes if box is not None]
        first, last = inside[0], inside[-1]
        width, height = last.left - first.left, first.bottom - first.top
        if width > 8 * height:
            slopes.append((last.top + last.bottom - first.top - first.bottom) / 2 / width)
    return median(slopes) if len(slopes) >= 3 else 0.0


def _columns(lines: list[pdf_words.Line], depth: int = 0) -> Iterator[list[pdf_words.Line]]:
    """Yield the parts of a page in reading order: columns, and what is not set in columns."""
    gutter = _gutter(lines) if depth < _MAX_DEPTH and len(lines) >= 2 * _MIN_ROWS else None
    if gutter is None:
        yield from [lines] if lines else []
        return
    # A line across the gutter (a title, a wide table) parts the columns above it from those below.
    whole: list[pdf_words.Line] = []
    for crosses, rows in groupby(_rows(lines), lambda row: any(one.left < gutter < one.right for one in row)):
        band = [line for row in rows for line in row]
        left = [line for line in band if line.right <= gutter]
        right = [line for line in band if line.left >= gutter]
        if crosses or not _is_prose(left) or not _is_prose(right):
            whole += band
            continue
        if whole:
            yield whole
            whole = []
        yield from _columns(left, depth + 1)
        yield from _columns(right, depth + 1)
    if whole:
        yield whole


def _gutter(lines: Sequence[pdf_words.Line]) -> float | None:
    """Return where the fewest lines cross, near the middle; None where too many do for two columns."""
    first, last = min(line.left for line in lines), max(line.right for line in lines)
    found: list[tuple[int, float, float]] = []
    for step in range(20, 81):
        x = first + (last - first) * step / 100
        crossing = sum(line.left < x < line.right for line in lines)
        before = sum(line.right <= x for line in lines)
        if min(before, len(lines) - crossing - before) >= _MIN_ROWS:
            found.append((crossing, abs(step - 50), x))
    crossing, _, x = min(found, default=(len(lines), 0.0, 0.0))
    return x if crossing <= len(lines) / 4 else None


def _rows(lines: Sequence[pdf_words.Line]) -> list[list[pdf_words.Line]]:
    rows: list[list[pdf_words.Line]] = []
    for line in sorted(lines, key=lambda line: line.middle):
        if rows and abs(line.middle - rows[-1][0].middle) < 0.5 * line.height:
            rows[-1].append(line)
        else:
            rows.append([line])
    return rows


def _is_prose(lines: Sequence[pdf_words.Line]) -> bool:
    """Whether these are lines of text in columns: most of them long, and of one width."""
    if len(lines) < _MIN_ROWS:
        return False
    widths = sorted(line.right - line.left for line in lines)
    usual = widths[len(widths) * 3 // 4]
    wide = sum(width > 0.6 * usual for width in widths)
    return wide >= 0.5 * len(lines) and median(sum(len(word.text) + 1 for word in line.words) for line in lines) >= 15


def _add_column(text: _Text, lines: Sequence[pdf_words.Line]) -> None:
    """Add a column or another part of a page."""
    tables = find_tables(lines, ())
    table_of = {word.start: table for table in tables for word in table.words}
    height = median(line.height for line in lines)
    steps = [step for a, b in pairwise(lines) if (step := b.middle - a.middle) < 2.2 * height]
    pitch = median(steps) if steps else 1.3 * height  # the usual distance of lines in a paragraph
    before: pdf_words.Line | None = None
    done: set[int] = set()
    for line in lines:
        table = table_of.get(line.words[0].start)
        if table is None:
            near = before is not None and line.middle - before.middle <= _PARAGRAPH * pitch
            text.add_line(line, near or (before is None and text.continues(line)))
        elif id(table) not in done:
            done.add(id(table))
            text.add_table(table)
        before = line if table is None else None


class _Text:
    """The text so far, and where its words are in it."""

    def __init__(self, raw: str, boxes: dict[int, Box], joined: set[int]) -> None:
        self._raw, self._boxes, self._joined = raw, boxes, joined
        self.text = ""
        self.words: list[tuple[int, int, Box]] = []

    def continues(self, line: pdf_words.Line) -> bool:
        """Whether a sentence continues in a line at the top of the next column."""
        last = self.text[-1:]
        return (last.isalnum() or last in _HYPHENS + ",") and bool(last) and line.words[0].text[0].islower()

    def add_line(self, line: pdf_words.Line, near: bool) -> None:
        """Add a line; `near` says that it belongs to the paragraph before."""
        if self.text:
            first = line.words[0].text
            if not (near and self._join_cut_word(first)):
                self.text += "\n" if near else "\n\n"
        for place, word in enumerate(line.words):
            self.text += " " if place and word.start not in self._joined else ""
            self.words.append((len(self.text), len(self.text) + len(word.text), self._boxes[word.start]))
            self.text += word.text

    def add_table(self, table: Table) -> None:
        self.text += "\n\n" if self.text else ""
        start = len(self.text)
        self.text += "\n".join(markdown_rows(list(table.rows)))
        at = start
        for word in sorted(table.words, key=lambda word: word.start):
            text = word.text.replace("|", "\\|")
            found = self.text.find(text, at)
            if found < 0:
                found = self.text.find(text, start)
            if found >= 0:
                at = found + len(text)
                self.words.append((found, at, self._boxes[word.start]))

    def _join_cut_word(self, following: str) -> bool:
        """Join a word that is cut at the end of the last line with its other half."""
        cut = len(self.text) > 1 and self.text[-1] in _HYPHENS and self.text[-2].isalpha()
        if not cut or not following[0].islower():
            return False
        left = re.search(r"\w{0,99}$", self.text[:-1])
        right = re.match(r"\w*", following)
        if "-" not in join_hyphen(left[0] if left else "", right[0] if right else "", self._raw):
            self.text = self.text[:-1]
            start, end, box = self.words[-1]
            self.words[-1] = (start, end - 1, box)
        return True

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from localrag.errors import ReadError
from localrag.ingest.readers import programs
from localrag.ingest.readers.headings import document_headings
from localrag.ingest.readers.ocr_layout import Line, arrange
from localrag.ingest.readers.pdf_native import Box
from localrag.ingest.readers.source import TABLES, Options, Source, another_kind, page_listeners
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
    """Return the text of a picture (EXIF is ignored) in languages by their ISO 639-1 codes.

    Raises ReadError for a picture that is too large, or where no installed engine reads these languages.
    """
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

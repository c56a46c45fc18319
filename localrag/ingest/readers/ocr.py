"""Text recognition (OCR): the text of a picture in reading order, and where each word stands.

Two engines, both on this machine only. The PP-OCR networks (in the `rapidocr` wheel, readers/ppocr.py) read languages
in Latin script, Chinese and Japanese. Tesseract, an external program, reads those that the networks cannot, where it is
installed; it gets the picture through a pipe and writes no file. Why: docs/decisions/0011. Pictures that lie on a side
or stand on their head are turned. Handwriting is not read, and what is recognised with little confidence is left out.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image

from localrag.errors import ReadError
from localrag.ingest.readers import ppocr
from localrag.ingest.readers.reading_order import Line, Marks, Spot, arrange, words
from localrag.ingest.readers.source import page_done
from localrag.types import Word

MOST_PIXELS = 178_000_000  # Pillow's own bound; A0 at 300 dpi has 140 million
_KEPT_PIXELS = 25_000_000  # A4 at 600 dpi is 35 million, and no better than at 450
_LEAST_CONFIDENCE = 0.6
_LEAST_LETTERS = 3  # fewer on a whole page are specks, staples and the edge of the scanner


class NoEngine(ReadError):
    """There is nothing installed that could recognise this language."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """A picture's text; empty where it has none."""

    text: str
    words: tuple[Word, ...] = ()


def recognise(image: Image.Image, languages: Sequence[str] = ("en",)) -> Recognised:
    """The text of a picture that stands as it is to be seen (EXIF is not looked at).

    Args:
        languages: ISO 639-1 codes.

    Raises:
        NoEngine: no engine that is installed reads these languages.
        ReadError: the picture is too large.
    """
    check_size(image.size)
    engine = _engine(tuple(languages))
    picture = _prepared(image)
    lines, turns = ppocr.lines(picture, engine) if not isinstance(engine, str) else _tesseract(picture, engine)
    page_done()
    lines = [line for line in lines if line.confidence >= _LEAST_CONFIDENCE]
    if sum(character.isalnum() for line in lines for character in line.text) < _LEAST_LETTERS:
        return Recognised("")
    marks = arrange(lines)
    size = picture.size if turns % 2 == 0 else picture.size[::-1]
    return Recognised("".join(character for character, _ in marks), _words(marks, size, turns))


def check_size(size: tuple[int, int]) -> None:
    """Refuse a picture by its stated size, before it is unpacked.

    Raises:
        ReadError: it is too large.
    """
    if size[0] * size[1] > MOST_PIXELS:
        raise ReadError(
            f"is too large a picture ({size[0]:,} x {size[1]:,} pixels)", "Save it anew with fewer pixels (300 dpi)."
        )


def _prepared(image: Image.Image) -> Image.Image:
    """In colour, on white, and no larger than is useful."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if image.mode.startswith("I;16"):  # 16 bits of grey; Pillow would cut off, not scale
        image = image.point(lambda value: value / 256)
        image = image.convert("L")
    pixels = image.width * image.height
    if pixels > _KEPT_PIXELS:
        factor = (_KEPT_PIXELS / pixels) ** 0.5
        size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
        image = image.convert("RGB" if image.mode != "L" and image.mode != "1" else "L")
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)
    return image.convert("RGB")


def _words(marks: Marks, size: tuple[int, int], turns: int) -> tuple[Word, ...]:
    """Boxes as fractions of the picture as it was given, before it was turned; `size` is that of the upright one."""
    width, height = size

    def word(start: int, end: int, spot: Spot) -> Word:
        left, top, right, bottom = spot.left / width, spot.top / height, spot.right / width, spot.bottom / height
        for _ in range(turns):  # clockwise, back to how the picture lay
            left, top, right, bottom = 1 - bottom, left, 1 - top, right
        left, top, right, bottom = (round(min(1.0, max(0.0, value)), 5) for value in (left, top, right, bottom))
        return Word(start, end, left, top, right, bottom)

    return tuple(word(*item) for item in words(marks))


# --- the choice of the engine --------------------------------------------------------------------------------

# The names of Tesseract's languages are ISO 639-2 ones, but for Chinese.
_TESSERACT = dict(
    pair.split("=")
    for pair in (
        "af=afr am=amh ar=ara as=asm az=aze be=bel bg=bul bn=ben bo=bod bs=bos br=bre ca=cat co=cos cs=ces cy=cym "
        "da=dan de=deu dv=div dz=dzo el=ell en=eng eo=epo es=spa et=est eu=eus fa=fas fi=fin fo=fao fr=fra fy=fry "
        "ga=gle gd=gla gl=glg gu=guj he=heb hi=hin hr=hrv ht=hat hu=hun hy=hye id=ind is=isl it=ita iu=iku ja=jpn "
        "jv=jav ka=kat kk=kaz km=khm kn=kan ko=kor ku=kmr ky=kir la=lat lb=ltz lo=lao lt=lit lv=lav mi=mri mk=mkd "
        "ml=mal mn=mon mr=mar ms=msa mt=mlt my=mya ne=nep nl=nld no=nor oc=oci or=ori pa=pan pl=pol ps=pus pt=por "
        "qu=que ro=ron ru=rus sa=san sd=snd si=sin sk=slk sl=slv sq=sqi sr=srp su=sun sv=swe sw=swa syr=syr ta=tam "
        "te=tel tg=tgk th=tha ti=tir to=ton tr=tur tt=tat ug=uig uk=ukr ur=urd uz=uzb vi=vie yi=yid yo=yor zh=chi_sim"
    ).split()
)


def _engine(languages: tuple[str, ...]) -> ppocr.Weights | str:
    """The networks' weights, or Tesseract's name for the languages."""
    wanted = tuple(dict.fromkeys(language.lower() for language in languages)) or ("en",)
    unknown = [language for language in wanted if language not in ppocr.LANGUAGES and language not in _TESSERACT]
    if unknown:
        raise NoEngine(
            f"is a picture, and its language {unknown[0]!r} is not known to text recognition",
            'Give ISO 639-1 codes, such as "de".',
        )
    weights = ppocr.weights()
    if weights is not None and ppocr.LANGUAGES.issuperset(wanted):
        return weights
    names = [_TESSERACT[language] for language in wanted if language in _TESSERACT]
    missing = sorted(set(names) - _installed())
    if not missing:
        return "+".join(names)
    packages = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in missing)
    if weights is None and ppocr.LANGUAGES.issuperset(wanted):
        raise NoEngine("is a picture, and text recognition is not installed", "Run: pip install rapidocr.")
    strange = ", ".join(language for language in wanted if language not in ppocr.LANGUAGES or weights is None)
    raise NoEngine(
        f"is a picture, and recognising {strange!r} takes Tesseract, which is not installed with that language",
        f"Install it (on Debian: apt install {packages}), or change ocr_languages.",
    )


# --- Tesseract -----------------------------------------------------------------------------------------------


def _program() -> str | None:
    return shutil.which("tesseract")


@cache
def _installed() -> frozenset[str]:
    """The languages that Tesseract has; none where it is not installed."""
    if (program := _program()) is None:
        return frozenset()
    try:
        listed = subprocess.run([program, "--list-langs"], capture_output=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return frozenset()
    return frozenset(listed.stdout.decode("utf-8", "replace").split("\n")[1:]) - {"", "osd"}


def _run(arguments: list[str], picture: Image.Image) -> str:
    program = _program()
    assert program is not None  # its languages were listed
    stream = io.BytesIO()
    picture.convert("L").save(stream, "PPM")
    result = subprocess.run(
        [program, "stdin", "stdout", "--dpi", "200", *arguments],
        input=stream.getvalue(),
        capture_output=True,
        # Workers run side by side; threads inside each only slow them down.
        env={**os.environ, "OMP_THREAD_LIMIT": "1"},
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    return result.stdout.decode("utf-8", "replace")


_ROTATE = re.compile(r"^Rotate: (90|180|270)$", re.M)


def _tesseract(picture: Image.Image, languages: str) -> tuple[list[Line], int]:
    turns = 0
    if match := _ROTATE.search(_run(["--psm", "0", "-l", "osd"], picture)):
        turns = -int(match[1]) // 90 % 4
        picture = picture.rotate(90 * turns, expand=True)
    collected: dict[tuple[str, ...], list[tuple[str, Spot, float]]] = {}
    for row in _run(["--psm", "3", "-l", languages, "tsv"], picture).split("\n"):
        fields = row.split("\t")
        if len(fields) == 12 and fields[0] == "5" and fields[11].strip():
            left, top, width, height = map(float, fields[6:10])
            spot = Spot(left, top, left + width, top + height)
            collected.setdefault(tuple(fields[1:5]), []).append((fields[11].strip(), spot, float(fields[10]) / 100))
    return [_line(found) for found in collected.values()], turns


def _line(found: list[tuple[str, Spot, float]]) -> Line:
    text, spots = "", list[Spot]()
    for word, spot, _ in found:
        gap = " " if text else ""
        text += gap + word
        spots += [spot] * len(gap + word)
    return Line(text, tuple(spots), sum(sure * len(word) for word, _, sure in found) / sum(len(w) for w, _, _ in found))

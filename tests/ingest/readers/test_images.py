import builtins
import io
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from localrag.errors import ReadError
from localrag.ingest.readers import base, images
from localrag.ingest.readers.images import Line, arrange
from localrag.ingest.readers.pdf_native import Box
from localrag.ingest.readers.source import Options, Source

pytestmark = pytest.mark.slow


def source(image, kind="PNG", name=None, **how):
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return Source(name or f"scan.{kind.lower()}", data=stream.getvalue())


def read(source, **options):
    return images.read(source, Options(**options))


def picture(*texts, size=(900, 120), font=26):
    image = Image.new("L", size, 255)
    draw = ImageDraw.Draw(image)
    for x, y, words_ in texts:
        draw.text((x, y), words_, font=ImageFont.load_default(size=font), fill=0)
    return image


def drawn(text, size=(420, 80)):
    return picture((20, 20, text), size=size, font=30)


def test_the_text_of_a_picture_is_read():
    reading = read(source(drawn("The rent is 1,200")))
    (page,) = reading.pages
    assert (page.text, page.number, reading.title) == ("The rent is 1,200", 1, "")
    assert [page.text[word.start : word.end] for word in page.words] == page.text.split()
    assert base._checked(page) == page


@pytest.mark.parametrize("kind", ["JPEG", "JPEG2000", "TIFF", "WEBP", "GIF", "BMP"])
def test_pictures_of_all_kinds_are_decoded(kind):
    (frame,) = images.frames(source(drawn("The rent is 1,200"), kind))
    assert frame.size == (420, 80) and frame.convert("L").getextrema()[0] < 60


def test_a_page_of_a_tiff_without_text_is_reported():
    pages = [drawn("First page"), Image.new("L", (420, 80), 255), drawn("Third page")]
    first, *others = (page.convert("1") for page in pages)
    reading = read(source(first, "TIFF", save_all=True, append_images=others, compression="group4"))
    assert [(page.number, page.text) for page in reading.pages] == [(1, "First page"), (2, ""), (3, "Third page")]
    (skipped,) = reading.skipped
    assert skipped.number == 2 and "nothing was recognised" in skipped.reason


def test_a_photograph_is_turned_and_a_fax_with_oblong_pixels_stretched():
    lying = drawn("Held upright").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    reading = read(source(lying, "JPEG", exif=exif))
    (page,) = reading.pages
    assert page.text == "Held upright"
    assert page.words[0].left < 0.1 and page.words[0].right < page.words[1].left + 0.02
    image = drawn("A fax of today", size=(420, 90))
    flat = image.resize((420, 45))
    assert read(source(flat, "TIFF", dpi=(204, 102))).pages[0].text == "A fax of today"


def test_pictures_that_are_not_read_are_refused_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for given, options, message, hint in (
        (source(drawn("Text")), {"ocr": "off"}, "is a picture", "--ocr auto"),
        (source(Image.new("RGB", (300, 200), "skyblue")), {}, "has no text that could be recognised", ""),
        (source(Image.new("1", (16_000, 16_000))), {}, "is too large a picture", ""),
        # No decoder that starts a program is tried.
        (source(drawn("Text").convert("RGB"), "EPS", "scan.png"), {}, "not a picture but a PostScript file", ""),
        (Source("a.heic", data=b"\0\0\0\x18ftypheic"), {}, ".", "heic"),
    ):
        with pytest.raises(ReadError, match=message) as caught:
            read(given, **options)
        assert hint in caught.value.hint


@pytest.mark.parametrize("kind", ["PNG", "JPEG2000", "TIFF", "WEBP"])
def test_a_damaged_picture_is_refused(kind):
    whole = source(drawn("The rent is 1,200"), kind)
    with pytest.raises(ReadError, match="is damaged, or not a picture"):
        read(Source(whole.name, data=whole.data[: len(whole.data) // 3]))
    with pytest.raises(ReadError, match="is damaged, or not a picture"):
        read(Source(whole.name, data=b"no picture at all"))


SENTENCE = "The tenant shall pay the rent monthly in advance."


def line(text, x, y, width=10, height=20):
    boxes = tuple(Box(x + i * width, y, x + (i + 1) * width, y + height) for i in range(len(text)))
    return Line(text, boxes, 1.0)


def text_of(*lines):
    return arrange(lines)[0]


@pytest.mark.smoke
def test_words_of_a_sentence_are_recognised_and_located():
    found = images.recognise(picture((50, 40, SENTENCE)))
    assert found.text == SENTENCE
    assert [found.text[word.start : word.end] for word in found.words] == SENTENCE.split()
    lefts = [word.left for word in found.words]
    assert lefts == sorted(lefts) and all(a.right <= b.left + 0.01 for a, b in zip(found.words, found.words[1:]))  # noqa: B905
    font = ImageFont.load_default(size=26)
    for word in found.words:
        start = (50 + font.getlength(SENTENCE[: word.start])) / 900
        end = (50 + font.getlength(SENTENCE[: word.end])) / 900
        assert abs(word.left - start) < 0.02 and abs(word.right - end) < 0.02
        assert 0.25 < word.top < 0.45 and 0.5 < word.bottom < 0.7


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_page_on_its_side_or_upside_down_is_turned(turns):
    upright = picture((50, 40, SENTENCE), (50, 90, "Interest is owed on late payment."), size=(900, 160))
    found = images.recognise(upright.rotate(90 * turns, expand=True))
    assert found.text == SENTENCE + "\nInterest is owed on late payment."
    first = found.words[0]
    middle = (first.left + first.right) / 2, (first.top + first.bottom) / 2
    expected = {1: (0.34, 0.92), 2: (0.92, 0.66), 3: (0.66, 0.08)}[turns]
    assert middle == pytest.approx(expected, abs=0.04)


def test_specks_and_blank_paper_are_no_text():
    speckled = Image.new("L", (600, 400), 255)
    draw = ImageDraw.Draw(speckled)
    for i in range(40):
        draw.point((37 * i % 600, 91 * i % 400), 0)
    draw.rectangle((0, 0, 4, 400), fill=40)
    assert images.recognise(speckled) == images.Recognised("")
    assert images.recognise(Image.new("1", (1, 1))) == images.Recognised("")


@pytest.mark.parametrize("mode", ["1", "RGBA", "I;16"])
def test_every_kind_of_pixel_is_read(mode):
    image = picture((20, 20, "Rent 1,200"), size=(260, 70), font=30)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype("uint16") * 257)
    elif mode == "RGBA":  # black letters on nothing
        image = Image.merge("RGBA", (Image.new("L", image.size, 0),) * 3 + (Image.eval(image, lambda v: 255 - v),))
    else:
        image = image.convert(mode)
    assert images.recognise(image).text == "Rent 1,200"


def test_nothing_is_downloaded_and_nothing_heavy_is_loaded_before_use():
    code = (
        "import sys, socket; from localrag.ingest.readers import images; heavy = {'onnxruntime', 'rapidocr', 'cv2', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy; socket.socket.connect = None; from PIL import Image; images.recognise(Image.new('L', (200, 60), 255))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_language_that_nothing_reads_is_refused_with_what_to_install(monkeypatch):
    monkeypatch.setattr(images, "_installed", lambda: frozenset())
    with pytest.raises(ReadError) as caught:
        images.recognise(Image.new("L", (100, 50), 255), ("en", "ru"))
    assert "'ru'" in caught.value.message and "tesseract-ocr-rus" in caught.value.hint
    with pytest.raises(ReadError, match="'xx' is not known"):
        images.recognise(Image.new("L", (100, 50), 255), ("xx",))


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="Tesseract is not installed")
def test_tesseract_reads_through_pipes_and_locates_words(monkeypatch):
    monkeypatch.setattr(images, "_tesseract_names", lambda languages: "eng")
    monkeypatch.setattr(builtins, "open", None)
    found = images.recognise(picture((50, 40, SENTENCE)))
    assert found.text == SENTENCE
    assert [found.text[word.start : word.end] for word in found.words] == SENTENCE.split()
    assert 0.04 < found.words[0].left < 0.07 and found.words[-1].right < 0.8


def test_two_columns_are_read_one_after_the_other():
    left = [line(f"left words of line {i} go on", 0, 60 + 30 * i) for i in range(5)]
    right = [line(f"right words of line {i} too", 320, 62 + 30 * i) for i in range(5)]
    title = line("A title that runs across both of the columns", 60, 0)
    mixed = [part for pair in zip(left, right, strict=True) for part in pair]
    text = text_of(title, *mixed)
    order = [text.index(item.text) for item in (title, *left, *right)]
    assert order == sorted(order)


def test_columns_of_figures_become_a_table():
    rows = [
        (("2022", 300), ("2021", 420)),
        (("Products", 0), ("$", 270), ("96,388", 300), ("$", 390), ("104,429", 420)),
        (("Services", 0), ("20,766", 300), ("19,516", 420)),
        (("Other", 0), ("(393", 300), (")", 345), ("-", 420)),
    ]
    text = text_of(*(line(cell, x, 30 * i) for i, row in enumerate(rows) for cell, x in row))
    assert text.split("\n")[::2] == ["|  | 2022 | 2021 |", "| Products | $96,388 | $104,429 |", "| Other | (393) | - |"]


def test_paragraphs_are_parted_and_cut_words_joined_with_a_box_on_each_line():
    text = text_of(
        line("The parties enter into this con-", 0, 0),
        line("tract of their own free will and", 0, 30),
        line("the self-", 0, 60),
        line("evident follows.", 0, 90),
        line("A new paragraph.", 0, 150),
    )
    assert text == (
        "The parties enter into this contract of their own free will and\nthe self-evident follows.\n\nA new paragraph."
    )
    text, words = arrange([line("an agree-", 300, 0), line("ment of all", 0, 30)])
    found = [(text[start:end], box.top) for start, end, box in words]
    assert text == "an agreement of all"
    assert found == [("an", 0), ("agree", 0), ("ment", 30), ("of", 30), ("all", 30)]

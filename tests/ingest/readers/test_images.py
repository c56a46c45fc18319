import io

import pytest
from PIL import Image, ImageDraw, ImageFont

from localrag.errors import ReadError
from localrag.ingest.readers import base, images
from localrag.ingest.readers.source import Options, Source

pytestmark = pytest.mark.slow


def drawn(text, size=(420, 80)):
    image = Image.new("L", size, 255)
    ImageDraw.Draw(image).text((20, 20), text, font=ImageFont.load_default(size=30), fill=0)
    return image


def source(image, kind="PNG", name=None, **how):
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return Source(name or f"scan.{kind.lower()}", data=stream.getvalue())


def read(source, **options):
    return images.read(source, Options(**options))


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


def test_a_photograph_is_turned_by_its_exif_orientation():
    lying = drawn("Held upright").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to show
    reading = read(source(lying, "JPEG", exif=exif))
    (page,) = reading.pages
    assert page.text == "Held upright"
    assert page.words[0].left < 0.1 and page.words[0].right < page.words[1].left + 0.02


def test_a_fax_with_oblong_pixels_is_read():
    image = drawn("A fax of today", size=(420, 90))
    flat = image.resize((420, 45))
    assert read(source(flat, "TIFF", dpi=(204, 102))).pages[0].text == "A fax of today"


def test_with_recognition_off_a_picture_is_refused_with_what_to_do():
    with pytest.raises(ReadError) as caught:
        read(source(drawn("Text")), ocr="off")
    assert caught.value.message == "is a picture" and "--ocr auto" in caught.value.hint


def test_a_picture_without_text_is_refused():
    with pytest.raises(ReadError, match="has no text that could be recognised"):
        read(source(Image.new("RGB", (300, 200), "skyblue")))


@pytest.mark.parametrize("kind", ["PNG", "JPEG2000", "TIFF", "WEBP"])
def test_a_damaged_picture_is_refused(kind):
    whole = source(drawn("The rent is 1,200"), kind)
    with pytest.raises(ReadError, match="is damaged, or not a picture"):
        read(Source(whole.name, data=whole.data[: len(whole.data) // 3]))
    with pytest.raises(ReadError, match="is damaged, or not a picture"):
        read(Source(whole.name, data=b"no picture at all"))


def test_a_pixel_bomb_is_refused_unopened():
    stream = io.BytesIO()
    Image.new("1", (16_000, 16_000)).save(stream, "PNG")
    with pytest.raises(ReadError, match="is too large a picture"):
        read(Source("bomb.png", data=stream.getvalue()))


def test_no_decoder_that_starts_a_program_is_tried():
    stream = io.BytesIO()
    drawn("Text").convert("RGB").save(stream, "EPS")
    with pytest.raises(ReadError, match="is not a picture but a PostScript file"):
        read(Source("scan.png", data=stream.getvalue()))


def test_a_heic_picture_names_the_extra_that_reads_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(ReadError) as caught:
        read(Source("a.heic", data=b"\0\0\0\x18ftypheic"))
    assert "heic" in caught.value.hint

import pytest

from localrag.errors import ReadError
from localrag.readers import text
from localrag.types import SkippedPage

SENTENCE = "Das Café zahlt 50 € – “sofort”.\n"


def read(tmp_path, data):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    return text.read(path)


@pytest.mark.parametrize("data", [
    SENTENCE.encode(), b"\xef\xbb\xbf" + SENTENCE.encode(), SENTENCE.encode("utf-16"), SENTENCE.encode("utf-16-be"),
    SENTENCE.encode("utf-16-le"), SENTENCE.encode("utf-32"), SENTENCE.encode("cp1252"),
    SENTENCE.replace("\n", "\r\n").encode(),
])  # fmt: skip
def test_encodings_are_found(tmp_path, data):
    assert read(tmp_path, data).pages[0].text == SENTENCE


def test_one_broken_byte_does_not_turn_utf8_into_gibberish(tmp_path):
    assert read(tmp_path, "äöü äöü äöü ".encode() + b"\xff!").pages[0].text == "äöü äöü äöü \ufffd!"


@pytest.mark.parametrize("data", [
    b"\x7fELF\x02\x01\x01\0\0\0" + bytes(range(256)) * 4, bytes(range(1, 32)) * 20, b"PK\x03\x04\x14\0\x06\0" * 9,
])  # fmt: skip
def test_binary_content_is_refused(tmp_path, data):
    with pytest.raises(ReadError, match="is not text"):
        read(tmp_path, data)


def test_another_alphabet_is_refused_rather_than_read_as_nonsense(tmp_path):
    with pytest.raises(ReadError, match="encoding"):
        read(tmp_path, "договор аренды помещения заключен".encode("cp866"))


def test_a_form_feed_starts_a_page(tmp_path):
    reading = read(tmp_path, b"one\fTwo\n\f\f four\f")
    assert [(page.number, page.text) for page in reading.pages] == [(1, "one"), (2, "Two\n"), (3, ""), (4, " four")]
    assert reading.skipped == (SkippedPage(3, "no text"),)


def test_without_form_feeds_there_are_no_page_numbers(tmp_path):
    assert [page.number for page in read(tmp_path, b"one\n\ntwo\n").pages] == [None]


def test_the_title_is_a_first_line_that_stands_alone(tmp_path):
    assert read(tmp_path, b"Lice - Pubic\n\nAlso called crabs.").title == "Lice - Pubic"
    for other in (b"Runs on\nto here", b"A sentence.\n\nMore.", b"Exhibit 10.1\n\nMore", b"By: /s/ Jo Li\n\nMore"):
        assert read(tmp_path, other).title == ""

import dataclasses
import io
import json
import math
import tracemalloc

import pytest

from localrag.ingest.readers import wire
from localrag.ingest.readers.source import Options
from localrag.types import Anchor, Heading, Page, Part, Reading, Refused, Remark, SkippedPage, Word

SHA = "0a" * 32
WHOLE = Part(
    "inner/b (2).pdf",
    SHA,
    12,
    Reading(
        (
            Page("# One\n\nTwo 中😀", 1, "iv", (Heading(0, 1, "One"),), "page", (Anchor(7, "A5"),),
                 (Word(7, 10, 0.125, 0.1, 0.30000000000000004, 1),)),
            Page("", 2),
            Page("x", None, None, unit="mail"),
        ),
        "Title", (SkippedPage(2, "is blank"),), (Remark(None, "of all"), Remark(1, "of one")), "Jane Doe", "2024-03-02",
    ),
)  # fmt: skip
BEGIN = ["part", "n", SHA, 1, "t", "a", "d"]
PAGE = ["page", 1, None, "page"]


def over(item, options=None):
    """Through the wire and back."""
    stream = io.BytesIO()
    for message in wire.messages(item):
        wire.send(stream, message)
    stream.seek(0)
    decoder, items = wire.Decoder(options or Options()), []
    while (message := wire.receive(stream)) is not None:
        items += decoder.take(message)
    (back,) = items
    return back


def received(data):
    return wire.receive(io.BytesIO(len(data).to_bytes(4, "big") + data))


@pytest.mark.parametrize("item", [WHOLE, Refused("a", "is damaged."), wire.Done(True), wire.Done(False)])
def test_everything_comes_back_as_it_went(item):
    assert over(item) == item


def test_every_field_of_every_value_is_carried():
    default = Reading((Page(""),))
    for value, plain in [(WHOLE.reading, default), (WHOLE.reading.pages[0], Page("", None)),
                         (WHOLE.reading.pages[2], Page("", None, "x"))]:  # fmt: skip
        same = {field.name for field in dataclasses.fields(value)
                if getattr(value, field.name) == getattr(plain, field.name)}  # fmt: skip
        assert same <= {"unit", "number", "headings", "anchors", "words"}, "WHOLE should set this new field as well"


def test_a_long_document_goes_in_small_messages():
    text = "Wörter, 中文, 😀\n" * 400_000
    words = tuple(Word(n, n + 1, 0.1, 0.2, 0.3, 0.4) for n in range(50_000))
    part = Part("", SHA, 1, Reading((Page(text, 1, words=words),)))
    messages = list(wire.messages(part))
    assert len(messages) > 5
    assert max(len(json.dumps(message, ensure_ascii=False).encode()) for message in messages) < wire._MESSAGE // 2
    assert over(part) == part


def test_a_name_that_is_no_text_comes_back_as_it_went():
    stream = io.BytesIO()
    wire.send(stream, {"path": "/caf\udce9"})
    stream.seek(0)
    assert wire.receive(stream) == {"path": "/caf\udce9"}


def test_options_come_back_as_they_went():
    options = Options(passwords=("a", "ü"), languages=("de", "en"), ocr="force", depth=1, characters=5)
    stream = io.BytesIO()
    wire.send(stream, wire.setup_of(1.5, 7, options))
    stream.seek(0)
    assert wire.options_of(wire.receive(stream)) == options


def test_a_stream_that_ends_gives_none():
    assert wire.receive(io.BytesIO(b"")) is None
    assert wire.receive(io.BytesIO(b"\0\0")) is None
    assert wire.receive(io.BytesIO(b"\0\0\0\5[")) is None


@pytest.mark.parametrize("data", [
    b"[", b"", b"\xff", b"[" * 1_000_000, b'["x", NaN]', b"[-Infinity]", b"[12345678901234567890]", b"9" * 9_000_000,
])  # fmt: skip
def test_what_is_no_message_is_malformed(data):
    with pytest.raises(wire.Malformed):
        received(data)


def test_the_size_of_a_message_is_looked_at_before_it_is_read():
    class Endless:
        def read(self, size):
            assert size < 1 << 25
            return b"\xff" * size

    with pytest.raises(wire.Malformed):
        wire.receive(Endless())


@pytest.mark.parametrize("records", [
    {}, "x", None, [1], [[]], [None], [["x"]], [{"part": 1}], [["done"]], [["done", 1]], [["refused", "a"]],
    [["refused", None, "x"]], [["end"]], [PAGE], [["text", "x"]],
    [BEGIN[:-1]], [["part", "n", SHA.upper(), 1, "t", "a", "d"]], [["part", "n", SHA, -1, "t", "a", "d"]],
    [["part", "n", SHA, "1", "t", "a", "d"]], [["part", "n", SHA, 1, "t", None, "d"]],
    [BEGIN, ["text", "x"], ["end"]], [BEGIN, ["text", "x"], PAGE], [BEGIN, PAGE, ["text", 1]], [BEGIN, PAGE, ["what"]],
    [BEGIN, ["page", "1", None, "page"]], [BEGIN, ["page", 1, 2, "page"]], [BEGIN, ["page", 1, None, "leaf"]],
    [BEGIN, PAGE, ["text", "nul\0"], ["end"]], [BEGIN, PAGE, ["text", "\x1b[2J"], ["end"]],
    [BEGIN, PAGE, ["text", "\ud800"], ["end"]],
    [BEGIN, PAGE, ["heading", 1, 1, "past"], ["end"]], [BEGIN, PAGE, ["heading", 0, 1.5, "x"]],
    [BEGIN, PAGE, ["anchor", -1, "A1"], ["end"]], [BEGIN, PAGE, ["anchor", 0, None]],
    [BEGIN, PAGE, ["word", 0, 1, 0, 0, 1, 1], ["end"]], [BEGIN, PAGE, ["word", 0, 0, 0, 0, 1]],
    [BEGIN, PAGE, ["word", 0, 0, 0, 0, 1, "1"]], [BEGIN, PAGE, ["word", 0, 0, 0, 0, 1, math.inf]],
    [BEGIN, ["skipped", None, "x"]], [BEGIN, ["remark", 1, []]], [BEGIN, ["remark", 1.0, "x"]],
])  # fmt: skip
def test_records_of_a_wrong_shape_are_malformed(records):
    with pytest.raises(wire.Malformed):
        list(wire.Decoder(Options()).take(records))


def test_names_and_reasons_are_cleaned():
    decoder = wire.Decoder(Options())
    (refused,) = decoder.take([["refused", "a\x1b[2J\ud800", "b\0"]])
    assert refused == Refused("a[2J\ufffd", "b")
    (part,) = decoder.take([["part", "\x07n", SHA, 1, "t\0", "a\0", "d\0"], ["page", 1, "l\0", "page"],
                            ["text", "xy"], ["heading", 0, 1, "h\0"], ["anchor", 1, "A\0"], ["remark", None, "r\0"],
                            ["skipped", 1, "s\0"], ["end"]])  # fmt: skip
    assert "\0" not in repr(part) and "\\x00" not in repr(part)


def test_more_than_was_asked_for_is_malformed(monkeypatch):
    decoder = wire.Decoder(Options(characters=10))
    list(decoder.take([BEGIN, PAGE, ["text", "12345"], ["end"], BEGIN, PAGE, ["text", "12345"], ["end"]]))
    with pytest.raises(wire.Malformed):
        list(decoder.take([BEGIN, PAGE, ["text", "1"]]))
    with pytest.raises(wire.Malformed):
        list(wire.Decoder(Options(members=1)).take([["refused", "a", "b"]] * 13))
    monkeypatch.setattr(wire, "RECORDS", 10)
    full = Part("", SHA, 1, Reading((Page("ab", 1, words=(Word(0, 1, 0, 0, 0, 0),) * 8),)))
    assert wire.count(full) == 10 and over(full) == full
    with pytest.raises(wire.Malformed):
        list(wire.Decoder(Options()).take([BEGIN, PAGE, *[["text", ""]] * 10]))


def test_a_document_that_was_not_finished_is_dropped_with_the_reason():
    items = list(wire.Decoder(Options()).take([BEGIN, PAGE, ["refused", "", "why"], ["done", True]]))
    assert items == [Refused("", "why"), wire.Done(True)]


@pytest.mark.parametrize("piece", ["[],", "{},", '["",[]],', '"ab",', "0.1,"])
def test_the_worst_message_costs_the_parent_less_than_half_a_gigabyte(piece):
    # An eighth of the largest message, to be quick: the cost grows in step.
    data = b"[" + piece.encode() * ((wire._MESSAGE >> 3) // len(piece)) + b"0]"
    tracemalloc.start()
    received(data)
    assert tracemalloc.get_traced_memory()[1] * 8 < 600_000_000
    tracemalloc.stop()

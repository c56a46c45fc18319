import dataclasses
import io
from pathlib import Path

import pytest

from localrag import protocol
from localrag.ingest.readers import wire
from localrag.ingest.readers.source import Options
from localrag.ingest.source_files import PagePicture, PageRequest
from localrag.types import Anchor, Heading, Page, Part, Reading, Refused, Remark, SkippedPage, Word

SHA = "0a" * 32
MARKS = ((Heading(0, 1, "One"),), "page", (Anchor(7, "A5"),), (Word(7, 10, 0.125, 0.1, 0.30000000000000004, 1),))
PAGES = (Page("# One\n\nTwo 中😀", 1, "iv", *MARKS), Page("", 2), Page("x", None, None, unit="mail"))
REMARKS = (Remark(None, "of all"), Remark(1, "of one"))
READING = Reading(PAGES, "Title", (SkippedPage(2, "is blank"),), REMARKS, "Jane Doe", "2024-03-02")
WHOLE = Part("inner/b (2).pdf", SHA, 12, READING)
BEGIN = {"type": "part", "name": "n", "sha256": SHA, "size": 1, "title": "t", "author": "a", "date": "d"}
PAGE = {"type": "page", "continues": False, "page": {"text": "", "number": 1}}
END = {"type": "end", "skipped": [], "remarks": []}


def page(**fields):
    return {**PAGE, "page": {"text": "", "number": 1, **fields}}


def taken(*messages, options=None):
    decoder = wire.Decoder(options or Options())
    items = [decoder.take(protocol.from_plain(message, wire.Reply)) for message in messages]
    return [item for item in items if item is not None]


def sent(item):
    stream = io.BytesIO()
    for message in [item] if isinstance(item, wire.Done) else wire.messages(item):
        protocol.send(stream, message)
    stream.seek(0)
    decoder, items = wire.Decoder(Options()), []
    while (message := protocol.receive(stream, wire.Reply)) is not None:
        items.append(decoder.take(message))
    return items[-1]


@pytest.mark.parametrize(
    "item",
    [WHOLE, Refused("a", "is damaged."), wire.Done(True), PagePicture(1, 2, bytes(range(6)), ((0.0, 0.1, 1.0, 0.2),))],
)
def test_everything_comes_back_unchanged(item):
    assert sent(item) == item


def test_every_field_of_a_page_and_of_a_request_is_carried():
    for piece in dataclasses.fields(Page):
        assert any(getattr(each, piece.name) != getattr(Page("", None), piece.name) for each in WHOLE.reading.pages)
    options = Options(passwords=("a", "ü\udcff"), languages=("de", "en"), ocr="force", depth=1, characters=5)
    drawing = PageRequest("a", SHA, 1, 800, "text", ((0, 1),), (Word(0, 1, 0, 0, 1, 1),))
    for message in (wire.Setup(1.5, 7, options), wire.Job(Path("/caf\udce9"), drawing)):
        assert protocol.decode(protocol.encode(message), type(message)) == message


def test_a_long_document_travels_in_small_messages():
    text = "Wörter, 中文, 😀\n" * 40_000
    words = tuple(Word(n, n + 1, 0.1, 0.2, 0.3, 0.4) for n in range(15_000))
    part = Part("", SHA, 1, Reading((Page(text, 1, words=words),)))
    messages = list(wire.messages(part))
    assert len(messages) >= 4
    assert max(len(protocol.encode(message)) for message in messages) < protocol.MAX_LINE // 2
    assert sent(part) == part


WORD = {"start": 0, "end": 0, "left": 0, "top": 0, "right": 1, "bottom": 1}
PIXELS = {"width": 1, "height": 1, "rgb": "AAAA", "boxes": []}


@pytest.mark.parametrize(
    "messages",
    [
        [{}],
        [[1]],
        [{"type": "x"}],
        [{"type": "done", "leaving": 1}],
        [END],
        [PAGE],
        [{**BEGIN, "sha256": SHA.upper()}],
        [{**BEGIN, "size": -1}],
        [BEGIN, {**PAGE, "continues": True}],
        [BEGIN, page(number="1")],
        [BEGIN, page(unit="leaf")],
        [BEGIN, page(text="nul\0"), END],
        [BEGIN, page(text="\ud800"), END],
        [BEGIN, page(headings=[{"start": 1, "level": 1, "title": "past"}]), END],
        [BEGIN, page(anchors=[{"start": -1, "name": "A1"}]), END],
        [BEGIN, page(words=[{**WORD, "end": 1}]), END],
        [BEGIN, page(words=[{**WORD, "right": 7}]), END],
        [BEGIN, {**END, "remarks": [{"number": 1.5, "text": "x"}]}],
        [{"type": "picture", "picture": {**PIXELS, "width": 2}}],
        [{"type": "picture", "picture": {**PIXELS, "width": 9000}}],
        [{"type": "picture", "picture": {**PIXELS, "boxes": [[0, 0, 9, 1]]}}],
    ],
)
def test_messages_of_a_wrong_shape_are_malformed(messages):
    with pytest.raises(protocol.Malformed):
        taken(*messages)


def test_names_and_reasons_are_cleaned():
    (refused,) = taken({"type": "refused", "name": "a\x1b[2J\ud800", "reason": "b\0"})
    assert refused == Refused("a[2J\ufffd", "b")
    marks = {"headings": [{"start": 0, "level": 1, "title": "h\0"}], "anchors": [{"start": 1, "name": "\0"}]}
    begin = {**BEGIN, "name": "\x07n", "title": "t\0", "author": "a\0", "date": "d\0"}
    end = {**END, "skipped": [{"number": 1, "reason": "s\0"}], "remarks": [{"number": None, "text": "r\0"}]}
    (part,) = taken(begin, page(text="xy", label="l\0", **marks), end)
    assert "\0" not in repr(part) and "\\x00" not in repr(part)


def test_more_than_requested_is_malformed(monkeypatch):
    few = Options(characters=10)
    half = page(text="12345")
    assert len(taken(BEGIN, half, END, BEGIN | {"name": "b"}, half, END, options=few)) == 2
    with pytest.raises(protocol.Malformed):
        taken(BEGIN, half, END, BEGIN, half, half, options=few)
    with pytest.raises(protocol.Malformed):
        taken(*[{"type": "refused", "name": "a", "reason": "b"}] * 13, options=Options(members=1))
    monkeypatch.setattr(wire, "MAX_RECORDS", 10)
    full = Part("", SHA, 1, Reading((Page("ab", 1, words=(Word(0, 1, 0, 0, 0, 0),) * 9),)))
    assert wire.count(full) == 10 and sent(full) == full
    with pytest.raises(protocol.Malformed):
        taken(BEGIN, *[PAGE] * 11)


def test_an_unfinished_document_is_dropped_with_the_reason():
    assert taken(BEGIN, PAGE, {"type": "refused", "name": "", "reason": "why"}) == [Refused("", "why")]

from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from localrag import protocol
from localrag.events import Answered, Delta, IngestReport, Reviewed, ReviewEnded, Warmed
from localrag.ingest.source_files import PagePicture
from localrag.settings import Settings
from localrag.types import Answer, Checked, Citation, Decision, Document, Filter, Page, Plan, Turn
from localrag.worker import calls
from localrag.worker.engine import Engine, Folder, Opened

CALLS = calls.calls_of(Engine)
DOCUMENT = Document(1, "/root", "a\udcff.pdf", "T", "ab" * 32, 9, 1, 5, True)
CITATION = Citation("contracts", "a.pdf", 1, None, "p. 1", "notice", 0, 6, 1)
DECISION = Decision("accepted", "agreed", "anna", "2026-03-01T09:00:00+00:00")
FINDING = Checked(
    *("contracts", "a.pdf", "term", "Term", "How long?", "high", "deviates", "3 years", False, "too long"),
    *(CITATION, 0.9, "all", ""),
    decision=DECISION,
)
ANSWER = Answer("Q?", "A", True, Plan("read", "small", {"tokens": 3}), (CITATION,), table=({"a": 1.5},))


def travelled(message, kind):
    return protocol.decode(protocol.encode(message), kind)


def test_every_public_method_can_travel_and_what_travels_is_frozen():
    assert {"ask", "close", "page"} <= CALLS.keys() and not {"__init__", "_open"} & CALLS.keys()
    for call in CALLS.values():
        for kind in (call.result, *call.parameters.values()):
            with pytest.raises(protocol.Malformed):
                protocol.from_plain([object()], kind)
    found = set()

    def gather(hint):
        if hasattr(hint, "__dataclass_params__") and hint not in found:
            found.add(hint)
            for each in get_type_hints(hint).values():
                gather(each)
        for each in get_args(hint):
            gather(each)

    for name in CALLS:
        for hint in get_type_hints(getattr(Engine, name)).values():
            gather(hint)
    assert {Answer, IngestReport, Warmed, Opened, Filter} <= found
    for kind in found:
        assert kind.__dataclass_params__.frozen and not hasattr(kind, "__post_init__"), kind


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("load", "qwen"),
        ("ask", Answered(ANSWER)),
        ("ask", Delta("x\udcff 𝔸\n\x00")),
        ("look_at", Folder("a", True, 3)),
        ("ingest", IngestReport("a", "/r", ("x",), moved=(("a", "b"),), ignored={".x": 2})),
        ("page", Opened(DOCUMENT, Page("text", 1), 3, "/papers/a")),
        ("libraries", ("a", "b")),
        ("configure", None),
        ("review", Reviewed(1, 2, 1, 1, FINDING)),
        ("review", ReviewEnded((), (), True)),
        ("decide", DECISION),
        ("page_image", PagePicture(1, 2, bytes(range(6)), ((0.0, 0.5, 1.0, 1.0),))),
    ],
)
def test_results_come_back_unchanged(name, value):
    call = CALLS[name]
    reply = travelled(calls.Done(1, protocol.to_plain(value, call.result)), calls.Reply)
    assert protocol.from_plain(reply.value, call.result) == value


def test_setup_comes_back_unchanged_and_arguments_travel_by_name():
    setup = calls.Setup(Settings(home=Path("/h\udcff")), True, 7, ("a",), (("/a", b"\0key"),), (Path("/\udcff"),))
    assert travelled(setup, calls.Setup) == setup
    assert "key" not in repr(setup)
    ask = CALLS["ask"]
    plain, stop = ask.write(("When?",), {"libraries": ["a"], "history": (Turn("q", "a"),), "stop": bool})
    assert stop is bool and "stop" not in plain
    assert ask.read(plain) == {"question": "When?", "libraries": ("a",), "history": (Turn("q", "a"),)}
    configure = CALLS["configure"]
    assert configure.read(configure.write((), {"think": "on"})[0]) == {"think": "on"}


@pytest.mark.parametrize("arguments", [{"nonsense": 1}, {"self": 1}, {"question": 7}, {"stop": True}])
def test_unknown_or_wrong_arguments_are_refused(arguments):
    with pytest.raises(protocol.Malformed):
        CALLS["ask"].read(arguments)
    with pytest.raises(TypeError):
        CALLS["ask"].write((), arguments)

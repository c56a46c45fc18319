import io
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy
import pytest

from localrag import errors, protocol
from localrag.errors import LocalragError
from localrag.ingest.readers.source import OverBudget
from localrag.types import Citation

CITATION = Citation("contracts", "a.pdf", 1, None, "p. 1", "notice", 0, 6, 1)


def travelled(value, kind):
    line = protocol.encode(protocol.to_plain(value, kind))
    assert line.isascii() and line.count(b"\n") == 1
    return protocol.decode(line, kind)


def test_values_come_back_unchanged():
    values = [
        ("30 days’ 𝔸\n\x00\x1b[31m name\udcff", str),
        (-(2**62), int),
        (1e300, float),
        (None, int | None),
        (Path("ü/\udcff"), Path),
        (bytes(range(256)), bytes),
        (("a", "b"), Sequence[str]),
        ({"a": [1, {"b": 0.5}]}, Mapping[str, Any]),
        (CITATION, Citation),
    ]
    for value, kind in values:
        back = travelled(value, kind)
        assert back == value and type(back) is type(value)
    assert travelled({"a": numpy.float32(0.5), "b": numpy.int64(3)}, Any) == {"a": 0.5, "b": 3}


def test_a_value_of_another_type_is_refused():
    fields = [("page", "1"), ("page", True), ("page", 1.5), ("quote", None), ("verified", False), ("unit", "leaflet")]
    wrong = [
        *((Citation, protocol.to_plain(CITATION) | {field: value}) for field, value in [*fields, ("unit", [])]),
        (tuple[int, ...], "12"),
        (tuple[int, str], [1]),
        (Mapping[str, int], {"a": "1"}),
        (bytes, "no base64"),
        (Path, 1),
        (int | None, "x"),
        (Literal["ask", "stop"], "\ud800"),
    ]
    for kind, data in wrong:
        with pytest.raises(protocol.Malformed):
            protocol.from_plain(data, kind)
            pytest.fail(f"{data!r} was taken for {kind}")


def test_a_line_that_is_no_message_is_refused():
    lines = [b"", b"[", b"\xff", b"[" * 1_000_000, b"[NaN]", b"[-Infinity]", b"[1e999]", b"9" * 9_000_000]
    for line in (*lines, b"[92233720368547758080]"):
        with pytest.raises(protocol.Malformed):
            protocol.decode(line, Any)
            pytest.fail(f"{line[:20]!r} was taken for a message")


def test_a_value_that_cannot_travel_is_not_sent():
    for value in (object(), {"value": object()}, {"value": lambda: 0}):
        with pytest.raises(TypeError):
            protocol.encode(value)
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON"):
            protocol.encode(number)


def test_a_line_is_bounded_on_both_sides_and_half_of_one_is_the_end(monkeypatch):
    stream = io.BytesIO(b'["a"]\n["b"')
    assert [protocol.receive(stream, list[str]) for _ in range(2)] == [["a"], None]
    monkeypatch.setattr(protocol, "MAX_LINE", 1000)
    with pytest.raises(protocol.TooLong):
        protocol.encode("x" * 1000)
    with pytest.raises(protocol.Malformed):
        protocol.read_line(io.BytesIO(b"x" * 5000))
    longest = protocol.encode("x" * (1000 - 3))
    assert protocol.read_line(io.BytesIO(longest)) == longest


def test_the_worst_line_costs_less_than_a_gigabyte(monkeypatch):
    # A part of the most values, to be quick: the cost grows in step.
    values = protocol._MAX_VALUES // 40
    for piece in (b"[],", b'"ab",'):
        tracemalloc.start()
        protocol.decode(b"[" + piece * values + b"0]", Any)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most * 40 < 1_000_000_000
    monkeypatch.setattr(protocol, "_MAX_VALUES", 100)
    with pytest.raises(protocol.Malformed):
        protocol.decode(b"[" + b"[]," * 101 + b"0]", Any)


def test_every_error_comes_back_with_message_and_hint_one_from_elsewhere_as_its_base():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LocalragError)]
    assert len(kinds) > 10
    for kind in kinds:
        back = travelled(protocol.ErrorMessage.of(kind("what\udcff", "do this")), protocol.ErrorMessage).error()
        assert type(back) is kind and (back.message, back.hint) == ("what\udcff", "do this")
    assert type(protocol.ErrorMessage.of(OverBudget("too much", "unpack it")).error()) is errors.ReadError
    with pytest.raises(protocol.Malformed):
        protocol.ErrorMessage("SystemExit", "a", "b").error()


def test_threads_may_meet_a_type_for_the_first_time_at_once():
    # In a process of its own, since msgspec crashes where they do so unguarded.
    code = """
import sys
from dataclasses import field, make_dataclass
from threading import Barrier, Thread
from localrag.protocol import from_plain

sys.setswitchinterval(1e-6)
fields = [(f"f{number}", tuple[int, ...], field(default=())) for number in range(30)]
inner = [make_dataclass(f"Inner{number}", fields) for number in range(60)]
kinds = [make_dataclass(f"Outer{number}", [("a", one), ("b", tuple[one, ...])]) for number, one in enumerate(inner)]
barrier = Barrier(4)

def use():
    for kind in kinds:
        barrier.wait()
        assert from_plain({"a": {"f0": [1]}, "b": [{}]}, kind).a.f0 == (1,)

threads = [Thread(target=use) for _ in range(4)]
[one.start() for one in threads]
[one.join() for one in threads]
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0

"""What crosses between the processes comes back as it went, whatever type it is; anything else is refused."""

from __future__ import annotations

import io
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from localrag import errors
from localrag.errors import LocalragError
from localrag.ingest.readers.ocr import NoEngine
from localrag.settings import Settings
from localrag.types import Citation, Filter, Page, Turn
from localrag.worker import calls, wire
from localrag.worker.calls import Setup
from localrag.worker.engine import Engine

TEXTS = ("", "30 days’ notice 𝔸\n\x00\x1b[31m", "name\udcff", '"]}')


def examples(hint: Any) -> Iterator[Any]:
    """Values of a type: every literal, every member of a union, texts of every kind, empty rows and full ones."""
    origin, inner = get_origin(hint), get_args(hint)
    simple: dict[Any, Sequence[Any]] = {
        str: TEXTS, int: (0, -1, 2**63), float: (0.0, -1.5e-9, 1e300), bool: (True, False), type(None): (None,),
        Path: (Path(), Path("a b/ü/\udcff")), bytes: (b"", bytes(range(256))),
        Any: (None, True, 3, 0.5, "x", [1, (2, "y")], {"a": {"b": ()}}, Path("c")),
    }  # fmt: skip
    if hint in simple:
        yield from simple[hint]
    elif is_dataclass(hint):
        hints = get_type_hints(hint)
        columns = {each.name: list(examples(hints[each.name])) for each in fields(hint)}
        for number in range(max((len(column) for column in columns.values()), default=1)):
            yield hint(**{name: column[number % len(column)] for name, column in columns.items()})  # type: ignore[operator]
    elif origin is Literal:
        yield from inner
    elif origin in (Union, types.UnionType):
        for each in inner:
            yield from examples(each)
    elif origin is tuple and inner[-1] is not Ellipsis:
        yield from zip(*(list(examples(each))[:1] for each in inner), strict=True)
        yield tuple(list(examples(each))[-1] for each in inner)
    elif origin in (tuple, Sequence):
        yield ()
        yield tuple(examples(inner[0]))
    elif origin is Mapping or origin is dict:
        yield {}
        yield {text + str(number): value for number, value in enumerate(examples(inner[1])) for text in TEXTS}
    else:
        raise AssertionError(f"{hint} is of no kind that these examples know")


def hints() -> dict[str, Any]:
    """Everything that a call takes or gives, by the call's name and the parameter's."""
    found: dict[str, Any] = {"setup": Setup}
    for name in calls.NAMES:
        for parameter, hint in get_type_hints(getattr(Engine, name)).items():
            if parameter != "stop":
                found[f"{name}.{parameter}"] = get_args(hint)[0] if get_origin(hint) is Iterator else hint
    return found


CLASSES = {kind.__name__: kind for hint in hints().values() for kind in wire.classes(hint)}


def crossed(hint: Any, value: Any) -> Any:
    coder = wire.coder(hint)
    data = wire.line(["item", 1, coder.write(value)])
    assert data.isascii() and data.count(b"\n") == 1
    return coder.read(wire.message(data)[2])


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_value_comes_back_as_it_went(name: str) -> None:
    for value in examples(CLASSES[name]):
        back = crossed(CLASSES[name], value)
        assert back == value and type(back) is type(value)


@pytest.mark.parametrize("name", sorted(hints()))
def test_every_argument_and_result_comes_back_as_it_went(name: str) -> None:
    for value in examples(hints()[name]):
        assert crossed(hints()[name], value) == value


def test_the_closed_set_holds_what_the_screen_is_told_and_nothing_that_runs() -> None:
    assert {"Answered", "Delta", "IngestReport", "Warmed", "Shelf", "Opened", "Filter", "Settings"} <= CLASSES.keys()
    assert {kind.__module__.split(".")[0] for kind in CLASSES.values()} == {"localrag"}
    for kind in CLASSES.values():
        assert kind.__dataclass_params__.frozen, f"{kind.__name__} can be changed on one side"  # type: ignore[attr-defined]
        # Settings take the policy's word when they are made, wherever that is, and do nothing else.
        assert kind is Settings or not hasattr(kind, "__post_init__"), f"{kind.__name__} runs when it is made"


def test_two_classes_of_one_name_cannot_be_mistaken_for_each_other() -> None:
    kinds = {kind for hint in hints().values() for kind in wire.classes(hint)}
    assert len(kinds) == len(CLASSES)


def test_numbers_of_numpy_cross_as_numbers() -> None:
    import numpy as np

    assert crossed(float, np.float32(0.5)) == 0.5 and crossed(int, np.int64(3)) == 3
    assert crossed(Any, {"score": np.float32(0.5)}) == {"score": 0.5}


CITATION = Citation("contracts", "a.pdf", 1, None, "p. 1", "notice", 0, 6, 1)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, "Passage"), (1, 7), (3, "1"), (3, True), (3, 1.5), (5, None), (10, False), (11, "leaflet"), (11, [])],
)
def test_a_field_of_another_type_is_refused(place: int, value: Any) -> None:
    data = wire.coder(Citation).write(CITATION)
    data[place] = value
    with pytest.raises(wire.Malformed):
        wire.coder(Citation).read(data)


@pytest.mark.parametrize("data", [None, [], {}, "Citation", ["Citation"], ["os.system", "true"], [["Citation"]]])
def test_what_is_no_value_of_the_class_is_refused(data: Any) -> None:
    with pytest.raises(wire.Malformed):
        wire.coder(Citation).read(data)


@pytest.mark.parametrize(
    ("hint", "data"),
    [
        (tuple[int, ...], "12"), (tuple[int, str], [1]), (Mapping[str, int], [["a", 1]]), (Mapping[str, int], {"a": "1"}),
        (float, 1e999), (float, 10**400), (Any, {"call": []}), (Any, {"tuple": [], "map": {}}), (Any, 1e999), (bytes, "no base64"),
        (bytes, "é"), (Path, 1), (int | None, "x"),
    ],
)  # fmt: skip
def test_what_is_of_no_such_type_is_refused(hint: Any, data: Any) -> None:
    with pytest.raises(wire.Malformed):
        wire.coder(hint).read(data)


@pytest.mark.parametrize("hint", [object, set[str], list[int], Mapping[int, str], Page | object, type])
def test_a_type_that_cannot_travel_is_found_when_it_is_asked_for(hint: Any) -> None:
    with pytest.raises(TypeError):
        wire.coder(hint)


@pytest.mark.parametrize(
    ("hint", "value"), [(int, "1"), (str, 1), (Filter, Turn("a", "b")), (Sequence[str], "abc"), (Path, "a"), (Any, {1})]
)
def test_a_value_of_another_type_is_not_sent(hint: Any, value: Any) -> None:
    with pytest.raises(TypeError):
        wire.coder(hint).write(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_sent(value: float) -> None:
    for hint in (float, Any):
        with pytest.raises(ValueError, match="finite"):
            wire.coder(hint).write(value)


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[]\n", b"[1]\n", b'["a"\n', b"[NaN]\n", b'["a",Infinity]\n', b"\xff\n", b"[" * 50_000, b'["a",' + b"9" * 5000 + b"]\n"]
)  # fmt: skip
def test_a_line_that_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(wire.Malformed):
        wire.message(line)


@pytest.mark.parametrize("depth", [30, 500, 990])
def test_deep_nesting_is_refused(depth: int) -> None:
    with pytest.raises(wire.Malformed):
        wire.coder(Any).read(wire.message(b'["item",1,' + b"[" * depth + b"]" * depth + b"]\n")[2])


def test_a_line_is_bounded_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LONGEST", 1000)
    with pytest.raises(wire.TooLong):
        wire.line(["item", 1, "x" * 1000])
    with pytest.raises(wire.Malformed, match="too long"):
        wire.read_line(io.BytesIO(b"x" * 5000))
    longest = wire.line(["x" * (1000 - 5)])
    assert wire.read_line(io.BytesIO(longest)) == longest


def test_half_a_line_is_the_end() -> None:
    assert list(wire.messages(io.BytesIO(b'["a"]\n["b"'))) == [["a"]]


# --- errors -------------------------------------------------------------------------------------------------

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LocalragError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_comes_back_with_message_and_hint(kind: type[LocalragError]) -> None:
    back = wire.read_error(wire.message(wire.line(["error", 1, wire.write_error(kind("what\udcff", "do this"))]))[2])
    assert type(back) is kind and (back.message, back.hint) == ("what\udcff", "do this")


def test_an_error_of_a_room_of_its_own_comes_back_as_the_next_above_it() -> None:
    assert type(wire.read_error(wire.write_error(NoEngine("no engine", "install one")))) is errors.ReadError


@pytest.mark.parametrize("data", [["SystemExit", "a", "b"], ["ModelError", "a"], ["ModelError", 1, "b"], None, "x"])
def test_what_is_no_error_is_refused(data: Any) -> None:
    with pytest.raises(wire.Malformed):
        wire.read_error(data)


# --- calls --------------------------------------------------------------------------------------------------


def test_every_method_of_the_engine_is_a_call() -> None:
    assert {"ask", "load", "page", "ingest", "shelf"} <= set(calls.NAMES)
    for name in calls.NAMES:
        assert calls.call(name).name == name


def test_arguments_go_by_name_and_stop_stays_behind() -> None:
    ask = calls.call("ask")
    data, stop = ask.write(("When?",), {"libraries": ["a"], "stop": bool})
    assert stop is bool and data == {"question": "When?", "libraries": ["a"]}
    assert ask.read(data) == {"question": "When?", "libraries": ("a",)}
    assert calls.call("configure").read(calls.call("configure").write((), {"think": "on"})[0]) == {"think": "on"}


@pytest.mark.parametrize("data", [None, [], {"nonsense": 1}, {"self": 1}, {"question": 7}, {"stop": True}])
def test_arguments_that_a_method_does_not_take_are_refused(data: Any) -> None:
    with pytest.raises(wire.Malformed):
        calls.call("ask").read(data)


@pytest.mark.parametrize("name", ["__init__", "nonsense", "", None, ["ask"], "_private"])
def test_a_call_that_the_engine_has_not_is_refused(name: Any) -> None:
    with pytest.raises((wire.Malformed, TypeError)):
        calls.call(name)

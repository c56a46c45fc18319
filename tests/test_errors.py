"""The error tree, and how the command line ends with it."""

from __future__ import annotations

import inspect
import re

import pytest

from localrag import errors
from localrag.cli.app import report
from localrag.errors import LocalragError, OfflineRefused

CLASSES = {
    name: value for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, LocalragError)
}
DRAWN = re.compile(r"^ {4}([│├└─ ]*)(\w+) +(?:exit code )?(\d+)", re.MULTILINE)


def test_the_drawn_tree_is_the_tree() -> None:
    above: list[str] = []
    drawn = {}
    for branches, name, code in DRAWN.findall(errors.__doc__ or ""):
        depth = len(branches) // 4
        above[depth:] = [name]
        drawn[name] = (above[depth - 1] if depth else None, int(code))
    real = {
        name: (None if kind is LocalragError else kind.__mro__[1].__name__, kind.exit_code)
        for name, kind in CLASSES.items()
    }
    assert drawn == real


def test_every_branch_ends_the_process_with_a_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in CLASSES.values() if kind.__mro__[1] is LocalragError]
    assert len(codes) == len(set(codes)) and not {0, 1} & set(codes)


def test_an_error_below_a_branch_has_the_branchs_code() -> None:
    below = [kind for kind in CLASSES.values() if kind.__mro__[1] not in (LocalragError, Exception)]
    assert below and all(kind.exit_code == kind.__mro__[1].exit_code for kind in below)


def test_a_refused_connection_looks_like_a_dead_network_to_libraries() -> None:
    assert issubclass(OfflineRefused, OSError)
    assert str(OfflineRefused("no", "hint")) == "no"


def test_a_reported_error_shows_its_hint_on_stderr_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(errors.NotFoundError("there is no library 'x'", "List them with `localrag libraries`.")) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "error: there is no library 'x'\nhint: List them with `localrag libraries`.\n"


def test_an_error_without_a_hint_prints_no_empty_hint(capsys: pytest.CaptureFixture[str]) -> None:
    report(LocalragError("it broke"))
    assert capsys.readouterr().err == "error: it broke\n"

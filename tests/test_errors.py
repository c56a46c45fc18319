"""The error classes, and how the command line reports them."""

from __future__ import annotations

import inspect

import pytest

from localrag import errors
from localrag.cli.app import report
from localrag.errors import LocalragError, OfflineRefused

CLASSES = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, LocalragError)]
BRANCHES = [kind for kind in CLASSES if LocalragError in kind.__bases__]


def test_every_branch_has_its_own_exit_code() -> None:
    codes = [kind.exit_code for kind in BRANCHES]
    assert len(codes) == len(set(codes)) and not {0, 1} & set(codes)


def test_an_error_has_the_exit_code_of_its_branch() -> None:
    below = [kind for kind in CLASSES if kind not in (LocalragError, *BRANCHES)]
    assert below and all(kind.exit_code == kind.__mro__[1].exit_code for kind in below)


def test_a_refused_connection_is_an_os_error() -> None:
    assert issubclass(OfflineRefused, OSError) and str(OfflineRefused("no", "hint")) == "no"


@pytest.mark.parametrize(("hint", "lines"), [("List them.", 2), ("", 1)])
def test_an_error_and_its_hint_go_to_stderr(capsys: pytest.CaptureFixture[str], hint: str, lines: int) -> None:
    assert report(errors.NotFoundError("there is no library 'x'", hint)) == 3
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == lines and "'x'" in shown.err and hint in shown.err

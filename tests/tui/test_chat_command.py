"""`localrag chat`: what its argument means, and what is said where it cannot open."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner

from localrag import api
from localrag.cli import chat
from localrag.errors import NotFoundError, UsageError
from localrag.service.engine import Folder
from localrag.settings import Settings


@pytest.fixture
def libraries(monkeypatch, tmp_path):
    """Two libraries; "contracts" was read from the folder contracts."""
    monkeypatch.chdir(tmp_path)
    for name in ("contracts", "new folder"):
        (tmp_path / name).mkdir()
    (tmp_path / "file.pdf").touch()
    monkeypatch.setattr(api, "library_names", lambda settings=None: ["contracts", "policies"])
    monkeypatch.setattr(
        api, "find_library", lambda path, settings=None: "contracts" if path.name == "contracts" else None
    )
    return tmp_path


@pytest.mark.parametrize(
    ("target", "named", "libraries_meant", "folder_meant"),
    [
        (None, [], [], None),
        (None, ["policies"], ["policies"], None),
        ("policies", [], ["policies"], None),
        ("policies", ["contracts"], ["policies", "contracts"], None),
        ("./contracts", [], ["contracts"], None),
        ("new folder", [], [], "new folder"),
    ],
)
def test_target_is_a_library_by_name_or_a_folder(libraries, target, named, libraries_meant, folder_meant):
    found, folder = chat.resolve(Settings(), target, named)
    assert found == libraries_meant
    assert (folder and folder.name) == folder_meant


@pytest.mark.parametrize(
    ("target", "named", "kind", "hint"),
    [
        ("nowhere", [], NotFoundError, "Libraries: contracts, policies."),
        (None, ["nowhere"], NotFoundError, "Libraries: contracts, policies."),
        ("file.pdf", [], UsageError, "Give the folder"),
    ],
)
def test_target_that_is_nothing_is_refused_with_a_hint(libraries, target, named, kind, hint):
    with pytest.raises(kind) as caught:
        chat.resolve(Settings(), target, named)
    assert hint in caught.value.hint


def test_piped_chat_is_refused_and_names_the_command_for_scripts():
    result = CliRunner().invoke(chat.chat_command, [])
    assert isinstance(result.exception, UsageError)
    assert "localrag ask" in result.exception.hint


def test_offered_models_are_known_to_the_catalog_and_best_first(tmp_path):
    from localrag.models import catalog

    engine = chat.real_core(Settings(home=tmp_path)).engine
    ranks = [catalog.card(id).rank for id, _ in engine.model_choices()]
    assert ranks and ranks == sorted(ranks, reverse=True)


@pytest.mark.skipif(os.name != "posix", reason="native output is only hidden on POSIX")
def test_native_output_is_hidden_while_the_app_runs_and_python_still_reaches_the_terminal(capfd):
    import sys

    with chat._native_output_hidden():
        os.write(2, b"native noise")
        os.write(1, b"native noise")
        print("drawn", file=sys.__stderr__, flush=True)
    os.write(2, b" after")
    captured = capfd.readouterr()
    assert "noise" not in captured.out + captured.err
    assert captured.err == "drawn\n after"


def test_real_core_looks_at_folders_without_reading_them(tmp_path):
    core = chat.real_core(Settings(home=tmp_path))
    assert core.engine.libraries() == ()
    (tmp_path / "leases").mkdir()
    assert core.engine.look_at(tmp_path / "leases") == Folder("leases", False, 0)

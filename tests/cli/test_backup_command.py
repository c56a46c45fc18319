"""`localrag backup` and `localrag restore`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from localrag.cli.app import localrag, report
from localrag.errors import LocalragError
from localrag.security import sandbox
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.settings import Settings
from localrag.store.writer import Editor


@pytest.fixture(autouse=True)
def may_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)


@pytest.fixture
def library(shelf: Callable[..., Editor]) -> None:
    shelf("contracts", {"a.txt": "The rent is 4,100 a month."}).close()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(localrag, [str(one) for one in arguments])


def refused(*arguments: object) -> LocalragError:
    error = run(*arguments).exception
    assert isinstance(error, LocalragError), error
    report(error)
    return error


def test_a_backup_is_restored_with_a_key_file(library: None, tmp_path: Path, settings: Settings) -> None:
    key, file = tmp_path / "backup.key", tmp_path / "contracts.backup"
    key.write_bytes(keyrings.new_key_file())
    made = run("backup", "contracts", file, "--encrypt-for", key, "--json")
    assert made.exit_code == 0 and json.loads(made.stdout)["files"] == 3
    whole = run("backup", "--check", file, "--key-file", key)
    assert whole.exit_code == 0 and "is intact: 'contracts'" in whole.stdout
    done = run("restore", file, "--key-file", key, "--name", "again", "--json")
    assert json.loads(done.stdout)["documents"] == 1
    assert (settings.indexes_dir / "again" / "library.db").is_file()


def test_nothing_is_replaced_without_replace(library: None, tmp_path: Path) -> None:
    file = tmp_path / "contracts.backup"
    assert "in clear" in run("backup", "contracts", file, "--clear").stderr
    assert "--replace" in refused("backup", "contracts", file, "--clear").hint
    assert "--replace" in refused("restore", file).hint
    assert run("backup", "contracts", file, "--clear", "--replace").exit_code == 0
    assert run("restore", file, "--replace").exit_code == 0


def test_malformed_commands_are_refused(library: None, tmp_path: Path) -> None:
    assert "--encrypt" in refused("backup", "contracts", tmp_path / "a.backup").hint
    assert "no file" in refused("backup", "contracts").message
    assert "no folder" in refused("backup", "contracts", tmp_path / "no" / "a.backup", "--clear").message
    assert "no library" in refused("backup", "contract", tmp_path / "a.backup", "--clear").message
    (tmp_path / "text").write_text("text")
    assert "is not a backup" in refused("restore", tmp_path / "text").message


def test_a_source_that_leads_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "restrict", lambda settings, libraries, reads: [path.resolve() for path in reads])
    (tmp_path / "loop").symlink_to("loop")
    for missing in ("nothing", "loop"):
        assert "there is no" in refused("restore", tmp_path / missing).message


def test_a_folder_is_restored_only_if_it_is_trusted(library: None, tmp_path: Path, settings: Settings) -> None:
    source = (settings.indexes_dir / "contracts").rename(tmp_path / "stick")
    assert "--yes" in refused("restore", source, "--name", "again").hint
    assert json.loads(run("restore", source, "--name", "again", "--yes", "--json").stdout)["documents"] == 1

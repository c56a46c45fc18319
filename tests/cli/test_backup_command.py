"""`localrag backup` and `localrag restore`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import refused, run, run_json

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


def test_a_backup_is_restored_with_a_key_file(library: None, tmp_path: Path, settings: Settings) -> None:
    key, file = tmp_path / "backup.key", tmp_path / "contracts.backup"
    key.write_bytes(keyrings.new_key_file())
    assert run_json("backup", "contracts", file, "--encrypt-for", key)["files"] == 3
    assert "is intact: 'contracts'" in run("backup", "--check", file, "--key-file", key).stdout
    assert run_json("restore", file, "--key-file", key, "--name", "again")["documents"] == 1
    assert (settings.indexes_dir / "again" / "library.db").is_file()


def test_nothing_is_replaced_without_replace(library: None, tmp_path: Path) -> None:
    file = tmp_path / "contracts.backup"
    assert "in clear" in run("backup", "contracts", file, "--clear").stderr
    assert "--replace" in refused(LocalragError, "backup", "contracts", file, "--clear").hint
    assert "--replace" in refused(LocalragError, "restore", file).hint
    assert run("backup", "contracts", file, "--clear", "--replace").exit_code == 0
    assert run("restore", file, "--replace").exit_code == 0


def test_malformed_commands_are_refused(library: None, tmp_path: Path) -> None:
    assert "--encrypt" in refused(LocalragError, "backup", "contracts", tmp_path / "a.backup").hint
    assert "no file" in refused(LocalragError, "backup", "contracts").message
    assert "no folder" in refused(LocalragError, "backup", "contracts", tmp_path / "no" / "a.backup", "--clear").message
    assert "no library" in refused(LocalragError, "backup", "contract", tmp_path / "a.backup", "--clear").message
    (tmp_path / "text").write_text("text")
    assert "is not a backup" in refused(LocalragError, "restore", tmp_path / "text").message


def test_a_source_that_leads_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "restrict", lambda settings, libraries, reads: [path.resolve() for path in reads])
    (tmp_path / "loop").symlink_to("loop")
    for missing in ("nothing", "loop"):
        assert "there is no" in refused(LocalragError, "restore", tmp_path / missing).message


def test_a_folder_is_restored_only_if_it_is_trusted(library: None, tmp_path: Path, settings: Settings) -> None:
    source = (settings.indexes_dir / "contracts").rename(tmp_path / "stick")
    assert "--yes" in refused(LocalragError, "restore", source, "--name", "again").hint
    assert run_json("restore", source, "--name", "again", "--yes")["documents"] == 1

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from localrag import api, settings
from localrag.cli.config import config_command
from localrag.errors import LibraryError, NotFoundError, SettingsError
from localrag.settings import PROJECT, Settings, load_settings
from localrag.tui import viewing

HARMFUL = sorted({info.name for info in settings.setting_infos()} - PROJECT)


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "received"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LOCALRAG_HOME")
    return folder


def write(folder, text):
    file = folder / "localrag.toml"
    file.write_text(text)
    return file


def config(*words, typed=None):
    done = CliRunner().invoke(config_command, words, input=typed)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def python(folder, *words):
    environ = {**os.environ, "PYTHONPATH": str(Path(settings.__file__).parents[1])}
    command = [sys.executable, "-P", *words]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def line(name):
    info = next(info for info in settings.setting_infos() if info.name == name)
    value = info.choices[-1] if info.choices else info.low if info.low is not None else "evil"
    return f"{name} = {json.dumps(value)}\n"


@pytest.mark.parametrize("name", HARMFUL)
@pytest.mark.proves("received-settings")
def test_harmful_settings_are_ignored_and_named(here, name):
    file = write(here, f"{line(name)}seed = 3")
    assert load_settings({}) == Settings(seed=3)
    assert settings.origins({}) == {"seed": str(file)}
    found = settings.project_file({})
    assert found is not None and list(found.ignored) == [name] and not found.trusted


@pytest.mark.proves("received-settings")
def test_what_runs_reads_deletes_or_weakens_is_never_harmless():
    harmful = """viewer home key_file reranker sources generator embedder retention_days audit_words min_confidence
        read_seconds read_memory_mb read_unpacked_mb archive_depth workers cache_bytes read_tokens prompt_tokens
        temperature answer_tokens passages ocr ocr_languages think think_tokens"""
    assert set(harmful.split()) <= set(HARMFUL)


def test_the_app_and_the_api_ignore_them_too(here, tmp_path, monkeypatch):
    write(here, f'viewer = "sh -c \\"touch {tmp_path}/pwned\\" {{file}}"\nhome = "."\nretention_days = 1')
    (here / "indexes" / "theirs").mkdir(parents=True)
    with pytest.raises(LibraryError):
        api.open_library("theirs")
    used: list[str | None] = []

    def command(*_, setting, **__):
        used.append(setting)
        return viewing.Command((), False)

    monkeypatch.setattr(viewing, "command", command)
    monkeypatch.setattr(viewing, "start", lambda opening: None)
    viewing.show(here / "a.pdf", 1)
    assert used == [None]
    assert load_settings().retention_days == 0


def test_the_persons_own_file_and_a_named_one_set_everything(here, monkeypatch):
    file = write(here, "workers = 5")
    assert load_settings({"LOCALRAG_CONFIG": str(file)}).workers == 5
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(here))  # cd ~/.config/localrag
    assert load_settings({}).workers == 5 and settings.config_files({}) == [file]


@pytest.mark.proves("received-settings")
def test_a_file_that_is_large_or_a_link_is_refused_and_a_named_one_may_be_a_link(here, tmp_path):
    file = write(here, "# " + "x" * (1 << 20))
    with pytest.raises(SettingsError, match="more than 1,048,576 bytes"):
        load_settings({})
    elsewhere = file.rename(tmp_path / "elsewhere.toml")
    elsewhere.write_text("seed = 3")
    file.symlink_to(elsewhere)
    with pytest.raises(SettingsError, match="is a link"):
        load_settings({})
    assert load_settings({"LOCALRAG_CONFIG": str(file)}).seed == 3


def test_every_command_warns_once_and_runs(here):
    write(here, 'viewer = "sh"\nhome = "."\nseed = 3')
    done = python(here, "-m", "localrag", "config", "get", "seed")
    (warning,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (0, "3\n")
    assert "viewer" in warning and "home" in warning and "localrag config trust" in warning
    assert "seed" not in warning


def test_show_says_what_was_refused(here):
    file = write(here, 'viewer = "sh"')
    row = next(row for row in json.loads(config("show", "--json").stdout)["settings"] if row["name"] == "viewer")
    assert (row["value"], row["origin"], row["ignored"]) == (None, "default", str(file))
    assert str(file) in next(line for line in config("show").stdout.splitlines() if line.startswith("  viewer"))


def test_a_trusted_file_sets_everything_until_it_changes_or_moves(here, tmp_path):
    file = write(here, 'home = "data"\nworkers = 3')
    shown = config("trust", typed="y\n").stderr
    assert "home" in shown and "data" in shown and "workers" in shown
    assert load_settings({}).home == here / "data" and load_settings({}).workers == 3
    file.write_text(file.read_text() + "\n")
    assert load_settings({}) == Settings()
    config("trust", "--yes")
    assert load_settings({}).workers == 3
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    file.rename(moved / file.name)
    os.chdir(moved)
    assert load_settings({}) == Settings()


def test_trust_needs_a_file_and_a_yes_and_can_be_taken_back(here):
    with pytest.raises(NotFoundError):
        config("trust", "--yes")
    write(here, "workers = 3")
    assert config("trust", typed="n\n").exit_code == 1 and load_settings({}).workers == Settings().workers
    config("trust", "--yes")
    config("trust", "--revoke")
    assert load_settings({}).workers == Settings().workers


@pytest.mark.parametrize("text", ["[]", "{", '{"a": 3}', "\xff"])
def test_a_damaged_list_of_trusted_files_trusts_nothing(here, tmp_path, text):
    write(here, "workers = 3")
    config("trust", "--yes")
    (tmp_path / "config" / "localrag" / "trusted.json").write_bytes(text.encode("latin-1"))
    assert load_settings({}).workers == Settings().workers


def test_a_confined_process_still_knows_what_is_trusted(here):
    """What is trusted is read again after confinement: to record a refusal, for example."""
    write(here, f"home = {json.dumps(str(here / 'data'))}")
    config("trust", "--yes")
    code = (
        "from localrag.security import offline, sandbox\nfrom localrag.settings import load_settings\n"
        "held = load_settings()\noffline.confine()\nsandbox.restrict(held, [], reads=())\n"
        "assert load_settings() == held and held.home"
    )
    done = python(here, "-c", code)
    assert done.returncode == 0, done.stderr

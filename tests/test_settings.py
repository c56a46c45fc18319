"""Settings: where they come from, what is refused, where things lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from localrag import settings
from localrag.errors import SettingsError
from localrag.settings import Settings, load_settings


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and a user configuration folder of its own."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    return folder


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_later_sources_win(here: Path, tmp_path: Path) -> None:
    write(tmp_path / "config" / "localrag.toml", "passages = 2\nthreads = 2\nseed = 2\nworkers = 2")
    write(here / "localrag.toml", "passages = 3\nthreads = 3\nseed = 3")
    found = load_settings({"LOCALRAG_PASSAGES": "4", "LOCALRAG_THREADS": "4"}).with_options(passages=5)
    assert (found.passages, found.threads, found.seed, found.workers) == (5, 4, 3, 2)


def test_a_named_file_stands_for_both_others(here: Path, tmp_path: Path) -> None:
    write(here / "localrag.toml", "passages = 3")
    named = write(tmp_path / "other.toml", "threads = 6")
    found = load_settings({"LOCALRAG_CONFIG": str(named)})
    assert (found.passages, found.threads) == (Settings().passages, 6)


def test_a_named_file_that_is_missing_is_refused(here: Path) -> None:
    with pytest.raises(SettingsError, match="names no file"):
        load_settings({"LOCALRAG_CONFIG": str(here / "none.toml")})


@pytest.mark.parametrize("origin", ["file", "variable", "option"])
def test_a_misspelt_setting_is_refused_with_the_near_one(here: Path, origin: str) -> None:
    with pytest.raises(SettingsError) as caught:
        if origin == "file":
            write(here / "localrag.toml", "pasages = 3")
            load_settings({})
        elif origin == "variable":
            load_settings({"LOCALRAG_PASAGES": "3"})
        else:
            Settings().with_options(pasages=3)
    assert "unknown setting 'pasages'" in caught.value.message
    assert "'passages'" in caught.value.hint


@pytest.mark.parametrize(
    "line",
    [
        "passages = 0",
        "passages = 101",
        "passages = true",
        "passages = 2.5",
        'passages = "many"',
        "passages = [1]",
        "temperature = nan",
        "temperature = -0.1",
        "home = 3",
        'home = ""',
        "sources = 3",
        "generator = 7",
        "[passages]",
        "passages =",
    ],
)
def test_a_value_of_the_wrong_kind_or_range_is_refused(here: Path, line: str) -> None:
    write(here / "localrag.toml", line)
    with pytest.raises(SettingsError) as caught:
        load_settings({})
    assert "localrag.toml" in caught.value.message and caught.value.hint


def test_values_are_read_as_their_kind(here: Path) -> None:
    found = load_settings({"LOCALRAG_TEMPERATURE": "0.5", "LOCALRAG_SOURCES": "hub, wheel", "LOCALRAG_HOME": "rag"})
    assert (found.temperature, found.sources, found.home) == (0.5, ("hub", "wheel"), here / "rag")


def test_a_path_in_a_file_is_taken_from_that_files_folder(here: Path, tmp_path: Path) -> None:
    named = write(tmp_path / "elsewhere" / "my.toml", 'home = "data"')
    assert load_settings({"LOCALRAG_CONFIG": str(named)}).home == named.parent / "data"


def test_variables_of_tests_are_not_settings(here: Path) -> None:
    assert load_settings({"LOCALRAG_TEST_ANYTHING": "1", "HOME": "/"}) == Settings()


def test_a_setting_that_only_begins_like_the_config_variable_is_refused(here: Path) -> None:
    with pytest.raises(SettingsError):
        load_settings({"LOCALRAG_CONFIGURE": "1"})


def test_libraries_lie_here_else_with_the_user_and_home_overrides(here: Path, tmp_path: Path) -> None:
    assert Settings().indexes_dir == tmp_path / "data" / "indexes"
    (here / "indexes").mkdir()
    assert Settings().indexes_dir == here / "indexes"
    assert Settings(home=tmp_path / "own").library_dir("x") == tmp_path / "own" / "indexes" / "x"


def test_everything_else_lies_below_home(tmp_path: Path) -> None:
    own = Settings(home=tmp_path)
    places = (own.models_dir, own.sessions_dir, own.audit_file, own.calibration_file)
    assert all(place.is_relative_to(tmp_path) for place in places) and len(set(places)) == len(places)


def test_options_that_are_none_change_nothing() -> None:
    assert Settings(passages=5).with_options(passages=None, threads=None) == Settings(passages=5)


def test_origins_name_the_file_or_variable_that_won(here: Path) -> None:
    file = write(here / "localrag.toml", "passages = 3\nseed = 1")
    assert settings.origins({"LOCALRAG_SEED": "2"}) == {"passages": str(file), "seed": "LOCALRAG_SEED"}


def test_every_setting_is_explained_and_its_default_is_allowed() -> None:
    for name, default, about in settings.explain():
        assert about.endswith("."), name
        assert default is None or Settings().with_options(**{name: default}) == Settings()

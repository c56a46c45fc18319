import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from localrag import settings
from localrag.errors import SettingsError
from localrag.security import storage
from localrag.settings import Settings, load_settings

OWN = """# my settings, do not touch

passages = 5   # was 8
future_setting = "from a later version"

# how long
answer_tokens = 300
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("LOCALRAG_CONFIG", raising=False)
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    return folder


@pytest.fixture
def own(here, tmp_path):
    return tmp_path / "config" / "localrag.toml"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def save(name, value):
    return settings.save(name, value, storage.write_bytes)


def unset(name):
    return settings.unset(name, storage.write_bytes)


def test_later_sources_win(here, own):
    write(own, "passages = 2\nthreads = 2\nseed = 2\nworkers = 2")
    write(here / "localrag.toml", "passages = 3\nthreads = 3\nseed = 3")
    found = load_settings({"LOCALRAG_PASSAGES": "4", "LOCALRAG_THREADS": "4"}).with_options(passages=5)
    assert (found.passages, found.threads, found.seed, found.workers) == (5, 4, 3, 2)


def test_a_named_file_replaces_both_others_and_what_cannot_be_read_is_refused(here, tmp_path):
    write(here / "localrag.toml", "passages = 3")
    named = write(tmp_path / "other.toml", "threads = 6")
    found = load_settings({"LOCALRAG_CONFIG": str(named)})
    assert (found.passages, found.threads) == (Settings().passages, 6)
    write(here / "localrag.toml", "passages = " + "[" * 3000 + "]" * 3000)
    for variables in ({"LOCALRAG_CONFIG": str(here / "none.toml")}, {"LOCALRAG_HOME": "~no-such-user/x"}, {}):
        with pytest.raises(SettingsError):
            load_settings(variables)


def test_an_unknown_setting_is_refused_with_the_nearest_name_or_how_to_remove_it(here, own):
    for file, text, hint in (
        (here / "localrag.toml", "pasages = 3", "'passages'"),
        (own, "votes = 3", "localrag config unset votes"),
    ):
        write(file, text)
        with pytest.raises(SettingsError) as caught:
            load_settings({})
        assert hint in caught.value.hint
        file.unlink()
    with pytest.raises(SettingsError) as caught:
        Settings().with_options(pasages=3)
    assert "'passages'" in caught.value.hint


def test_an_unknown_variable_is_ignored_and_every_command_warns_of_it(here):
    environ = {"LOCALRAG_PASAGES": "3", "LOCALRAG_TEST_ANYTHING": "1", "LOCALRAG_CONFIGURE": "1", "HOME": "/"}
    assert load_settings(environ) == Settings()
    first, second = settings.unknown_variables(environ)
    assert "LOCALRAG_PASAGES" in first and "'passages'" in first and "LOCALRAG_CONFIGURE" in second
    command = [sys.executable, "-m", "localrag", "config", "show", "passages"]
    environ = {"LOCALRAG_PASAGES": "3", "PYTHONPATH": str(Path(settings.__file__).parents[1])}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "LOCALRAG_PASAGES" in done.stderr


def test_a_value_of_the_wrong_kind_or_range_is_refused(own):
    passages = ["0", "101", "true", "2.5", '"many"', "[1]", ""]
    others = ["temperature = nan", "temperature = -0.1", "home = 3", 'home = ""', "sources = 3", "generator = 7"]
    for line in (*(f"passages = {value}" for value in passages), *others, "[passages]"):
        write(own, line)
        with pytest.raises(SettingsError) as caught:
            load_settings({})
            pytest.fail(f"{line!r} was taken")
        assert "localrag.toml" in caught.value.message and caught.value.hint, line


def test_libraries_lie_in_the_data_folder_here_or_below_home(here, tmp_path):
    named = write(tmp_path / "elsewhere" / "my.toml", 'home = "data"')
    assert load_settings({"LOCALRAG_CONFIG": str(named)}).home == named.parent / "data", "a path starts from its file"
    assert Settings().indexes_dir == tmp_path / "data" / "indexes"
    (here / "indexes").mkdir()
    assert Settings().indexes_dir == here / "indexes"
    assert Settings(home=tmp_path / "own").library_dir("x") == tmp_path / "own" / "indexes" / "x"


def test_every_setting_is_explained_grouped_and_has_a_valid_default():
    infos = settings.setting_infos()
    for one in infos:
        assert one.about.endswith(".") and one.group, one.name
        assert one.default is None or Settings().with_options(**{one.name: one.default}) == Settings()
    assert len({one.group for one in infos}) == 7


def test_saving_and_unsetting_keep_comments_order_and_unknown_lines(own):
    write(own, OWN)
    assert save("passages", "12") == own
    save("theme", "dark")
    kept = OWN.replace("passages = 5 ", "passages = 12 ") + 'theme = "dark"\n'
    assert own.read_text() == kept
    assert unset("answer_tokens") and own.read_text() == kept.replace("answer_tokens = 300\n", "")
    assert not unset("answer_tokens") and unset("future_setting")
    with pytest.raises(SettingsError) as caught:
        unset("pasages")
    assert "'passages'" in caught.value.hint


def test_the_first_save_makes_a_private_file_and_a_link_stays_a_link(own, tmp_path):
    save("ocr_languages", "de, en")
    assert tomllib.loads(own.read_text()) == {"ocr_languages": ["de", "en"]}
    assert own.stat().st_mode & 0o777 == 0o600 and own.parent.stat().st_mode & 0o777 == 0o700
    kept = write(tmp_path / "dotfiles" / "localrag.toml", "")
    own.unlink()
    own.symlink_to(kept)
    save("passages", "3")
    assert own.is_symlink() and kept.read_text() == "passages = 3\n"


def test_every_saved_setting_is_read_back(own):
    for info in settings.setting_infos():
        own.unlink(missing_ok=True)
        last = info.choices[-1] if info.choices else info.low if info.low is not None else "some-thing"
        value = settings.as_text(last)
        save(info.name, value)
        assert getattr(load_settings({}), info.name) == settings.check(info.name, value, "here")
        assert settings.origins({}) == {info.name: str(own)}


def test_what_could_not_be_read_back_is_not_written(own):
    for name, value in (("passages", "0"), ("passages", "many"), ("theme", "pink"), ("thme", "dark")):
        with pytest.raises(SettingsError) as caught:
            save(name, value)
        assert caught.value.hint and not own.exists(), name
    write(own, "passages =")
    with pytest.raises(SettingsError):
        save("passages", "3")
    assert own.read_text() == "passages =", "what is not TOML is left alone"

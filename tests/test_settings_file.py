"""The person's own settings file is changed one setting at a time, and nothing else of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from localrag import settings
from localrag.errors import SettingsError
from localrag.lifecycle import audit_events

OWN = """# my settings, do not touch

passages = 5   # was 8
future_setting = "from a later version"

# how long
answer_tokens = 300
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOCALRAG_CONFIG", raising=False)
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    return tmp_path / "config" / "localrag.toml"


def test_saving_keeps_comments_order_and_unknown_lines(own: Path) -> None:
    own.parent.mkdir()
    own.write_text(OWN)
    assert audit_events.save_setting("passages", "12") == own
    assert own.read_text() == OWN.replace("passages = 5 ", "passages = 12 ")
    audit_events.save_setting("theme", "dark")
    assert own.read_text() == OWN.replace("passages = 5 ", "passages = 12 ") + 'theme = "dark"\n'


def test_dropping_takes_out_one_line_only(own: Path) -> None:
    own.parent.mkdir()
    own.write_text(OWN)
    assert audit_events.unset_setting("answer_tokens")
    assert own.read_text() == OWN.replace("answer_tokens = 300\n", "")
    assert not audit_events.unset_setting("answer_tokens")
    assert audit_events.unset_setting("future_setting")


def test_first_save_makes_the_file_for_its_owner_only(own: Path) -> None:
    audit_events.save_setting("ocr_languages", "de, en")
    assert tomllib.loads(own.read_text()) == {"ocr_languages": ["de", "en"]}
    assert own.stat().st_mode & 0o777 == 0o600 and own.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("knob", settings.setting_infos(), ids=lambda knob: knob.name)
def test_every_setting_that_is_saved_is_read_back(own: Path, knob: settings.SettingInfo) -> None:
    value = knob.choices[-1] if knob.choices else knob.least if knob.least is not None else "some-thing"
    audit_events.save_setting(knob.name, settings.as_text(value))
    read = getattr(settings.load_settings({}), knob.name)
    assert read == settings.check(knob.name, settings.as_text(value), "here")
    assert settings.origins({}) == {knob.name: str(own)}


@pytest.mark.parametrize(
    ("name", "value"), [("passages", "0"), ("passages", "many"), ("theme", "pink"), ("thme", "dark")]
)
def test_what_would_not_be_read_back_is_never_written(own: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        audit_events.save_setting(name, value)
    assert caught.value.hint and not own.exists()


def test_dropping_what_is_no_setting_names_the_near_one(own: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        audit_events.unset_setting("pasages")
    assert "'passages'" in caught.value.hint


def test_file_that_is_not_toml_is_left_alone(own: Path) -> None:
    own.parent.mkdir()
    own.write_text("passages =")
    with pytest.raises(SettingsError, match="cannot change"):
        audit_events.save_setting("passages", "3")
    assert own.read_text() == "passages ="


def test_file_that_is_a_link_stays_one(own: Path, tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles" / "localrag.toml"
    kept.parent.mkdir()
    kept.write_text("")
    own.parent.mkdir()
    own.symlink_to(kept)
    audit_events.save_setting("passages", "3")
    assert own.is_symlink() and kept.read_text() == "passages = 3\n"


def test_named_file_is_the_one_that_is_changed(own: Path, tmp_path: Path) -> None:
    named = tmp_path / "named.toml"
    named.write_text("")
    assert audit_events.save_setting("passages", "3", {"LOCALRAG_CONFIG": str(named)}) == named
    assert not own.exists()


def test_each_setting_stands_in_one_group() -> None:
    assert sorted(knob.name for knob in settings.setting_infos()) == sorted(name for name, _, _ in settings.explain())


def test_each_setting_says_what_may_be_written() -> None:
    bounds = {knob.name: knob.bounds for knob in settings.setting_infos()}
    assert bounds["passages"] == "a whole number from 1 to 100"
    assert bounds["theme"] == "one of auto, dark, light, contrast"
    assert bounds["generator"] == "a piece of text, or nothing"
    assert bounds["sources"] == "a list of words, with commas between them"

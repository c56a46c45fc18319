import json
from functools import partial

import command_line
import pytest

from localrag.cli.config import complete_setting, complete_value, config_command
from localrag.errors import SettingsError, UsageError


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    for name in ("LOCALRAG_PASSAGES", "LOCALRAG_THEME", "LOCALRAG_CONFIG", "LOCALRAG_HOME"):
        monkeypatch.delenv(name, raising=False)

    return partial(command_line.run, "config")


def test_set_get_and_unset_go_round(run, tmp_path):
    assert "theme = contrast" in run("set", "theme", "contrast").stderr
    assert run("get", "theme").stdout == "contrast\n"
    run("unset", "theme")
    assert run("get", "theme").stdout == "auto\n"
    assert (tmp_path / "config" / "localrag.toml").read_text().strip() == ""
    run("set", "gpu_layers", "-1")  # a negative value is no option
    assert run("get", "gpu_layers").stdout == "-1\n"
    assert json.loads(run("set", "passages", "3", "--json").stdout)["value"] == 3
    done = json.loads(run("get", "theme", "--json").stdout)
    assert done["value"] == "auto" and done["may_be"] == "one of auto, dark, light, contrast"
    file = str(tmp_path / "config" / "localrag.toml")
    assert run("path").stdout == f"{file}\n" and json.loads(run("path", "--json").stdout)["read"] == [file]


def test_a_misspelt_setting_and_a_value_out_of_range_are_refused_and_one_without_effect_said(run, monkeypatch):
    for words in (("get", "pasages"), ("set", "pasages", "3"), ("unset", "pasages")):
        assert "'passages'" in command_line.refused(SettingsError, "config", *words).hint
    assert "between 1 and 100" in command_line.refused(SettingsError, "config", "set", "passages", "0").message
    for words in (("zzz",), ("zzz", "--json"), ("theme", "zzz", "--changed")):
        error = command_line.refused(UsageError, "config", "show", *words)
        assert "zzz" in error.message and "config show" in error.hint
    monkeypatch.setenv("LOCALRAG_PASSAGES", "4")
    assert "! It has no effect: LOCALRAG_PASSAGES" in run("set", "passages", "3").stderr
    assert run("get", "passages").stdout == "4\n"


def test_show_lists_groups_values_and_origins(run, tmp_path, monkeypatch):
    monkeypatch.delenv("LOCALRAG_KEEP_MODEL_MINUTES")
    run("set", "passages", "3")
    done = run("show").stdout
    assert "Answers" in done and f"passages = 3  ({tmp_path / 'config' / 'localrag.toml'})" in done
    assert "generator = not set  (default)" in done
    assert [row["name"] for row in json.loads(run("show", "--changed", "--json").stdout)["settings"]] == ["passages"]
    assert "theme = " in run("show", "colours").stdout and "passages" not in run("show", "colours").stdout


def test_names_and_choices_are_completed():
    import click

    context = click.Context(config_command)
    assert "passages" in [item.value for item in complete_setting(context, None, "pas")]
    context.params["name"] = "theme"
    assert [item.value for item in complete_value(context, None, "c")] == ["contrast"]

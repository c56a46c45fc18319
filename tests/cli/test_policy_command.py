import json
import sys

import pytest

from localrag import policy
from localrag.cli import app
from localrag.security import audit
from localrag.sessions import store_of


@pytest.fixture
def main(monkeypatch, capsys):
    """Runs the command line as it is called, but does not shut this process off; returns code, stdout and stderr."""
    monkeypatch.setattr(app, "_confine", lambda arguments: 0)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["localrag", *words])
        with pytest.raises(SystemExit) as stop:
            app.main()
        shown = capsys.readouterr()
        return stop.value.code, shown.out, shown.err

    yield run
    policy.on_refusal(None)


@pytest.fixture
def rule():
    def write(text):
        policy.SYSTEM.parent.mkdir(parents=True, exist_ok=True)
        policy.SYSTEM.write_text(text)

    return write


def test_a_command_against_the_policy_ends_with_its_name_and_is_recorded(
    main, rule, models, folder, settings, tmp_path
):
    papers = folder({"a.txt": "The lease ends in 2031."})
    assert main("ingest", str(papers))[0] == 0
    rule("allow_exports = false")
    assert main("ask", "List all", "--mode", "survey", "--out", str(tmp_path / "t.csv"))[0] == 9
    assert "generator" not in models.loaded, "it is refused before a long survey"
    settings.audit_file.unlink()
    rule("require_encryption = true")
    code, _, done = main("ask", "When does it end?")
    assert code == 9 and "(require_encryption)" in done and "localrag vault encrypt papers" in done
    assert "--encrypt" in main("ingest", str(papers), "--name", "new")[2]
    assert not (settings.library_dir("new") / "library.db").exists()
    rows = [entry for entry in audit.entries(settings.audit_file) if entry.event == "refused"]
    assert [(row.library, row.details["rule"]) for row in rows] == [
        ("papers", "require_encryption"),
        ("new", "require_encryption"),
    ]
    assert "refused in papers" in main("audit", "show", "--event", "refused")[1]


def test_taking_back_a_setting_that_the_policy_bounds_says_what_holds(main, rule, monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    rule("retention_days = 30")
    assert "!" not in main("config", "set", "retention_days", "9")[2]
    done = main("config", "unset", "retention_days")[2]
    assert f"! The policy {policy.SYSTEM} overrides it: retention_days = 30." in done


def test_a_broken_policy_stops_commands_but_neither_help_nor_the_doctor(main, rule):
    rule("encrypt = true")
    for words in (("libraries",), ("ask", "What?"), ("models", "list"), ("config", "show"), ("config", "policy")):
        code, out, done = main(*words)
        assert (code, out) == (9, "") and "unknown key 'encrypt'" in done, words
    assert main("--help")[0] == 0
    code, out, _ = main("doctor")
    assert code == 1 and "policy" in out and "unknown key" in out


def test_config_shows_what_holds_from_where_and_refuses_to_change_it(main, rule):
    assert "There is no policy." in main("config", "policy")[2]
    rule('audit_words = "full"\nallow_exports = false')
    done = main("config", "policy")[1]
    assert done.startswith(str(policy.SYSTEM)) and "allow_exports = false" in done and "audit_words = full" in done
    (row,) = json.loads(main("config", "policy", "--json")[1])["policies"]
    assert row["rules"] == {"allow_exports": False, "audit_words": "full"} and row["from"] == "system"
    assert f"audit_words = full  (fixed by the policy {policy.SYSTEM})" in main("config", "show", "audit")[1]
    assert json.loads(main("config", "get", "audit_words", "--json")[1])["fixed"] is True
    code, _, message = main("config", "set", "audit_words", "marks")
    assert code == 9 and "audit_words cannot be changed" in message


def test_the_policy_covers_exports_to_standard_output(main, rule, settings):
    store = store_of(settings)
    store.ask(store.new(("papers",), "Lease"), "When does it end?")
    assert "When does it end?" in main("sessions", "export", "last", "-o", "-")[1]
    (row,) = audit.entries(settings.audit_file)
    assert (row.event, row.details["path"]) == ("export", "-")
    rule("allow_exports = false")
    code, out, _ = main("sessions", "export", "last", "-o", "-")
    assert (code, out) == (9, "")


def test_the_list_shows_when_a_conversation_goes_and_saving_what_it_takes(main, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    store = store_of(settings)
    saved = store.ask(store.new(("papers",), "Lease"), "When does it end?")
    assert "deleted after" not in main("sessions", "list")[1]
    file = store._path(saved.id)
    file.write_text(file.read_text().replace(saved.turns[-1].time, "2020-01-01T12:00:00+00:00"))
    assert "!" not in main("config", "set", "retention_days", "30000")[2]
    assert "deleted after 2102-02-20" in main("sessions", "list")[1]
    assert "1 older conversation" in main("config", "set", "retention_days", "30")[2]
    rows = json.loads(main("sessions", "list", "--json")[1])
    assert rows["conversations"] == [] and rows["retention_days"] == 30

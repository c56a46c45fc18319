import csv
import json

import pytest
from command_line import refused, run, run_json
from encrypted import encrypt_folder

from localrag.errors import KeyRequired, NotFoundError, UsageError
from localrag.security import audit
from localrag.security.encryption import unlocked


@pytest.fixture
def settings(shelf, settings):
    for name in ("contracts", "people"):
        shelf(name, {"a.txt": "Words."})
        audit.record(settings.library_audit_file(name), "ingest", name, read=1)
        audit.record(settings.library_audit_file(name), "ask", name, question="=1+1", answer="Two.", plan="retrieve")
    audit.keep_words(settings.library_audit_file("people"), 2, "=1+1", "Two.")
    return settings


def test_lines_of_all_records_are_shown_in_order_and_can_be_narrowed(settings):
    entries = run_json("audit", "show")["entries"]
    told = [(name, event) for name in ("contracts", "people") for event in ("ingest", "ask")]
    assert [(one["record"], one["event"]) for one in entries] == told
    assert entries[3]["words"]["question"] == "=1+1" and "words" not in entries[1]
    narrowed = ("people --event ask", 1), ("--until 2001", 0), ("--since 2999", 0), ("--last 3", 3)
    for words, lines in narrowed:
        assert run("audit", "show", *words.split()).stdout.count("\n") == lines, words


def test_verify_passes_an_intact_log_and_locates_a_change(settings):
    assert run("audit", "verify").exit_code == 0
    file = settings.library_audit_file("people")
    file.write_bytes(file.read_bytes().replace(b'"read":1', b'"read":9'))
    result = run("audit", "verify", "--json")
    done = json.loads(result.stdout)
    assert result.exit_code == 1 and not done["whole"]
    assert [(one["record"], one["line"]) for one in done["problems"]] == [("people", 1)]
    assert run("audit", "verify", "contracts").exit_code == 0


def test_exports_hold_every_line_run_nothing_and_are_recorded(settings, tmp_path):
    out = tmp_path / "audit.csv"
    run("audit", "export", "--out", str(out))
    rows = list(csv.DictReader(out.read_text("utf-8-sig").splitlines()))
    assert len(rows) == 4 and rows[3]["question"] == "'=1+1" and json.loads(rows[1]["details"])["plan"] == "retrieve"
    lines = tmp_path / "audit.jsonl"
    run("audit", "export", "people", "--out", str(lines))
    assert [json.loads(line)["event"] for line in lines.read_text().splitlines()] == ["ingest", "ask"]
    assert [entry.event for entry in audit.entries(settings.audit_file)] == ["export", "export"]
    for wrong, message in ((out, "exists"), (tmp_path / "x.doc", ".doc")):
        with pytest.raises(UsageError, match=message):
            run("audit", "export", "--out", str(wrong))


def test_words_are_erased_and_the_record_stays_whole(settings):
    assert "Erased what was kept with 1 of 2" in run("audit", "erase", "people", "2", "7").stderr
    assert "=1+1" not in run("audit", "show").stdout
    last = list(audit.entries(settings.library_audit_file("people")))[-1]
    assert (last.event, last.details) == ("forget", {"reason": "erase", "lines": [2]})
    assert run("audit", "verify").exit_code == 0
    refused(NotFoundError, "audit", "erase", "nobody", "1")


def test_a_locked_log_is_named_and_the_others_are_shown(settings, monkeypatch):
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    encrypt_folder(settings.library_dir("people"))
    unlocked.forget()
    shown = run("audit", "show")
    assert shown.stdout.count("contracts") == 2 and "people" not in shown.stdout
    assert "people" in shown.stderr
    assert run_json("audit", "show")["locked"] == ["people"]
    verified = run("audit", "verify")
    assert verified.exit_code == 1 and "contracts" in verified.stderr and "people" in verified.stderr
    done = run_json("audit", "verify")
    assert (done["whole"], done["records"], done["locked"], done["problems"]) == (False, ["contracts"], ["people"], [])
    for command in (("show", "people"), ("verify", "people"), ("export", "--out", str(settings.home / "all.csv"))):
        refused(KeyRequired, "audit", *command)

import io
import json
from dataclasses import replace

import command_line
import pytest
from click.shell_completion import ShellComplete
from conversations import WHOLE
from docx import Document

from localrag.cli.app import localrag
from localrag.errors import UsageError
from localrag.security import audit
from localrag.sessions import SessionStore


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCALRAG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    kept = SessionStore(tmp_path / "home" / "sessions")
    for title, question in (("Lease", "When does the lease end?"), ("Leave", "How much \x1b[31mleave?")):
        kept.append(kept.new(("contracts",), title), replace(WHOLE, question=question))
    return kept


def run(*words):
    return command_line.run("sessions", *words)


def refused(kind, *words):
    return command_line.refused(kind, "sessions", *words)


def test_the_list_shows_turns_and_damaged_conversations(store):
    (store.folder / "20200101T000000000000-abcdef.json").write_text("{")
    lines = run("list").stdout.splitlines()
    assert lines[0].startswith(store.find("Leave")) and "1 turn  Leave  (contracts)" in lines[0]
    assert "cannot be read" in lines[2]
    rows = json.loads(run("list", "--json").stdout)["conversations"]
    assert [row.get("title") for row in rows] == ["Leave", "Lease", ""] and rows[2]["problem"]


def test_a_conversation_is_shown_without_escape_sequences_and_found_by_its_words(store):
    shown = run("show", "last").stdout
    assert "# Leave" in shown and "ends on 31 May 2030" in shown and "\x1b" not in shown
    assert json.loads(run("show", "lease", "--json").stdout)["title"] == "Lease"
    found = run("search", "lease", "end").stdout
    assert "Lease  (contracts)" in found and "turn 1, question: When does the lease end?" in found
    hits = json.loads(run("search", "31", "may", "--json").stdout)["hits"]
    found = [(hit["conversation"]["title"], hit["turn"], hit["where"]) for hit in hits]
    assert found == [("Leave", 1, "answer"), ("Lease", 1, "answer")] and run("search", "xylophone").stdout == ""


def test_one_is_renamed_and_branched(store):
    run("rename", "lease", "The lease")
    assert store.load(store.find("The lease")).title == "The lease"
    made = json.loads(run("branch", "The lease", "--turn", "1", "--title", "What if", "--json").stdout)
    assert made["title"] == "What if" and store.load(made["id"]).origin is not None
    refused(UsageError, "branch", "The lease", "--turn", "9")
    refused(UsageError, "rename", "What if", " ")


def test_nothing_is_deleted_without_being_sure(store, tmp_path):
    assert "Add --yes." in refused(UsageError, "delete", "lease").hint
    assert len(store.list()) == 2
    (store.folder / "20200101T000000000000-abcdef.json").write_text("{")
    run("delete", "lease", "leave", "20200101", "--yes")
    assert store.list() == []
    record = tmp_path / "home" / "general" / "audit.jsonl"
    assert [json.loads(line)["event"] for line in record.read_text().splitlines()] == ["forget"] * 3
    assert audit.verify(record) == []


def test_it_is_exported_as_the_file_name_says_and_replaces_nothing(store, tmp_path):
    run("export", "lease", "-o", "lease.docx")
    assert "Lease" in [paragraph.text for paragraph in Document("lease.docx").paragraphs]
    refused(UsageError, "export", "lease", "-o", "lease.docx")
    run("export", "lease", "-f", "html")
    assert [path.suffix for path in tmp_path.glob("lease-*")] == [".html"]
    assert "# Lease" in run("export", "lease", "-o", "-").stdout
    assert Document(io.BytesIO(run("export", "lease", "-f", "docx", "-o", "-").stdout_bytes)).paragraphs
    refused(UsageError, "export", "lease", "-o", "lease.odt")


def test_ids_and_titles_are_completed(store):
    def completed(begun):
        shell = ShellComplete(localrag, {}, "localrag", "_LOCALRAG_COMPLETE")
        return [item.value for item in shell.get_completions(["sessions", "show"], begun)]

    assert completed("la") == ["last"]
    assert completed("leas") == ["Lease"]
    assert completed("2") == [store.find("Leave"), store.find("Lease")]

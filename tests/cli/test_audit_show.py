import csv
import json

import pytest
from command_line import refused, run

from localrag.errors import UsageError
from localrag.security import audit


@pytest.fixture
def asked(shelf, settings):
    """Entries of a search, a page and a deletion, with contents of documents by hash."""
    library = shelf("deals", {"a.txt": "Words."})
    file, (content,) = settings.library_audit_file("deals"), library.hashes(["a.txt"]).values()
    shown = [f"{content}#{page}" for page in (1, 2, 3, 7)] + [f"{'0' * 64}#0"]
    audit.record(file, "ask", "deals", question="When?", answer="Now.", shown=shown, plan="read", strict=False)
    audit.keep_words(file, 1, "When?", "Now.")
    audit.record(file, "show", "deals", document="a.txt", sha256="0" * 64, page=2)
    audit.record(settings.audit_file, "forget", None, record={"mark": content, "number": 3}, documents=2)
    return file


def test_entries_say_in_words_who_did_what_with_which_documents(asked):
    shown = [line.partition("  ")[2] for line in run("audit", "show").stdout.splitlines()]
    who = audit.user()
    assert shown == [
        f"{who} asked deals: “When?”; a.txt (p. 1-3, 7), a document that is gone; plan read",
        f"{who} opened a page of deals: a.txt (p. 2)",
        f"{who} deleted: documents 2",
    ]
    assert "hmac" in run("audit", "show", "--verify").stdout
    audit.erase(asked, 1)
    assert "(words not kept)" in run("audit", "show", "deals").stdout


def test_the_log_as_csv_has_the_same_columns_and_runs_nothing(asked, settings):
    audit.record(asked, "=1+1", "deals", root="\x1b[31m")
    rows = list(csv.DictReader(run("audit", "show", "deals", "--csv").stdout.splitlines()))
    assert list(rows[0]) == ["time", "user", "event", "library", "question", "documents", "details"]
    assert rows[0]["documents"].startswith("a.txt (p. 1-3, 7)") and rows[2]["event"] == "'=1+1"
    assert "\x1b" not in str(rows)


def test_a_damaged_log_is_shown_as_far_as_it_can_be_read(asked):
    first, second = asked.read_bytes().splitlines()
    entry = json.loads(second)
    entry |= {
        "library": ["x"],
        "time": "\x1b[2J",
        "details": {"shown": 1, "document": "a\u202e.txt", "page": "9" * 5000},
    }
    asked.write_bytes(b"\n".join([first, b"\xff{", json.dumps(entry).encode(), first[:-9]]))
    asked.with_suffix(".key").unlink()
    shown = run("audit", "show")
    assert shown.exit_code == 0 and shown.stdout.count("\n") == 3 and "2 lines cannot be read" in shown.stderr
    assert "not the words that were recorded" in shown.stdout
    assert "\x1b" not in shown.stdout and "\u202e" not in shown.stdout
    refused(UsageError, "audit", "show", "--verify")


def test_show_verifies_if_asked_to(asked):
    assert "Intact" in run("audit", "show", "deals", "--verify").stderr
    refused(UsageError, "audit", "show", "deals", "--verify", "--json")
    asked.write_bytes(asked.read_bytes().replace(b'"page":2', b'"page":3'))
    done = run("audit", "show", "deals", "--verify")
    assert done.exit_code == 1 and "line 2 was changed" in done.stdout

import json
from datetime import date
from functools import partial

import click
import command_line
import pytest
from click.testing import CliRunner
from encrypted import encrypt_folder
from icalendar import Calendar

from localrag.answer.reviewer import Reviewer
from localrag.cli.app import localrag
from localrag.errors import NotFoundError, UsageError
from localrag.security import audit
from localrag.store.reviews import Reviews
from localrag.types import Citation, Decision, Looked
from tests.answer.checks.test_conflicts import AMENDMENT, OTHER, SECOND, SERVICES

LEASE = "The Tenant shall pay; the rent, “ä” \\ and more, by 3 March 2030. " + "The Tenant must keep books for 6 years."
TEXTS = {"lease.txt": LEASE, "nda.txt": "This agreement ends on 31 May 2029.", "news.txt": "It rained in May."}


@pytest.fixture
def run(models, shelf):
    shelf("law", TEXTS)

    return partial(command_line.run, "dates")


def read(data):
    """Read the events of a calendar whose lines are those of RFC 5545."""
    assert data.endswith(b"\r\n") and b"\n" not in data.replace(b"\r\n", b"")
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))
    return list(Calendar.from_ical(data).events)


def test_deadlines_are_listed_by_date_without_a_model(run, models):
    value = json.loads(run("--json").stdout)
    assert [one["date"] for one in value["dates"]] == ["2029-05-31", "2030-03-03", ""]
    assert value["dates"][1]["who"] == "Tenant" and value["dates"][1]["document"] == "lease.txt"
    assert value["dates"][2]["when"] == "6 years" and value["not_read"] == [] and models.loaded == []
    text = run().stdout
    assert text.index("2029-05-31") < text.index("2030-03-03") < text.index("6 years")


def test_a_period_and_documents_narrow_the_list(run):
    def dates(*words):
        return [one["date"] for one in json.loads(run("--json", *words).stdout)["dates"]]

    assert dates("--from", "2030") == ["2030-03-03"] and dates("--to", "2029-12") == ["2029-05-31"]
    assert dates("-d", "nda*") == ["2029-05-31"] and dates("--from", "2031") == []
    for error, *words in ((UsageError, "--from", "soon"), (NotFoundError, "-d", "none*")):
        with pytest.raises(error):
            run(*words)


def test_a_term_that_an_amendment_replaces_names_it(shelf, assistant):
    shelf("law", {"a.txt": SERVICES, "b.txt": AMENDMENT, "c.txt": SECOND, "other.txt": OTHER})
    found, _ = Reviewer(assistant).dates(libraries=["law"])
    paid = {one.citation.document: one for one in found if one.kind == "payment" and "invoice" in one.what}
    for first in ("a.txt", "b.txt"):
        new = paid[first].amended
        assert new is not None and new.document == "c.txt" and "fourteen (14) days" in new.quote
        assert paid[first].to_row()["amended_by"] == "c.txt"
    assert paid["c.txt"].amended is None and paid["other.txt"].amended is None
    emergency = next(one for one in found if "four (4) hours" in one.when and one.citation.document == "a.txt")
    assert emergency.amended is not None and emergency.amended.document == "b.txt"


def test_items_of_a_review_are_deadlines(shelf, assistant):
    text = '"Start Date" means 1 March 2025. Warranty: twelve months after the Start Date. X shall pay by 3 May 2030.'
    library = shelf("law", {"a.txt": text})
    (document,) = library.documents()
    kept = Reviews(library)

    def look(quote, item, kind, found=True):
        start = text.index(quote)
        at = Citation("before", "renamed.txt", None, None, "", quote, start, start + len(quote), 1)
        return Looked(found, "", at if found else None, 0.9, "", "", "2026-01-01", item, kind, "Book")

    kept.keep(
        document,
        {
            "1": look("Warranty: twelve months after the Start Date.", "warranty-time", "duration"),
            "2": look('"Start Date" means 1 March 2025.', "start", "date"),
            "3": look("3 May 2030", "due", "date"),
            "4": look("1 March 2025", "no", "date"),
            "5": look("1 March 2025", "none", "date", found=False),
            "6": look("twelve months", "text", ""),
            "7": look("Warranty", "valueless", "date"),
        },
    )
    kept.decide(document, "Book", "no", Decision("rejected"))
    rows = [one.to_row() for one in Reviewer(assistant).dates(libraries=["law"])[0]]
    assert [(row["kind"], row["item"], row["date"], row["document"]) for row in rows] == [
        ("item", "start", "2025-03-01", "a.txt"),
        ("item", "warranty-time", "2026-03-01", "a.txt"),
        ("payment", "due", "2030-05-03", "a.txt"),
    ]
    assert rows[1]["counted_from"] == '"Start Date" means 1 March 2025.'


def test_a_calendar_is_written_after_a_yes(run, tmp_path, settings, monkeypatch):
    file = tmp_path / "a.ics"
    for name in ("dates.exe", str(file)):  # it cannot be written; nobody can be asked
        with pytest.raises(UsageError):
            run("--out", name)
    assert not file.exists()
    assert "1 deadline without a day" in run("--out", str(file), "--yes").stderr
    first, second = read(file.read_bytes())
    assert [one.start for one in (first, second)] == [date(2029, 5, 31), date(2030, 3, 3)]
    assert "“ä” \\ and more, by 3 March 2030" in second["DESCRIPTION"] and second["SUMMARY"].startswith("Tenant: ")
    assert first.DTSTAMP and first["UID"] != second["UID"]
    run("--out", str(file), "--yes")
    assert [one["UID"] for one in read(file.read_bytes())] == [first["UID"], second["UID"]]
    events = [entry.event for entry in audit.entries(settings.library_audit_file("law"))]
    assert events == ["dates", "export"] * 2


def test_no_is_no(run, tmp_path, monkeypatch):
    from localrag.cli import dates

    monkeypatch.setattr(dates.sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    asked = []

    def refuse(question, **options):
        asked.append(question)
        raise click.Abort

    monkeypatch.setattr(dates, "confirm", refuse)
    with pytest.raises(click.Abort):
        localrag.main(["dates", "--out", str(tmp_path / "a.ics")], standalone_mode=False)
    assert asked and "2 events" in asked[0] and not (tmp_path / "a.ics").exists()


def test_control_characters_reach_neither_terminal_nor_calendar(models, shelf, tmp_path):
    shelf("evil", {"a\x1b[2J.txt": "The Ten\x1b]0;x\x07ant \u202e shall pay\rBEGIN:VALARM by 3 March 2030.\x00"})
    file = tmp_path / "a.ics"
    done = CliRunner().invoke(localrag, ["dates", "--out", str(file), "--yes"])
    assert done.exit_code == 0 and not set("\x1b\x07\u202e\x00") & set(done.output)
    assert not set(b"\x1b\x07\x00") & set(file.read_bytes()) and len(read(file.read_bytes())) == 1


def test_an_encrypted_library_keeps_its_words(shelf, settings, assistant):
    shelf("law", TEXTS).close()
    encrypt_folder(settings.library_dir("law"))
    assert len(Reviewer(assistant).dates(libraries=["law"])[0]) == 3
    kept = b"".join(path.read_bytes() for path in settings.library_dir("law").rglob("*") if path.is_file())
    assert b"keep books" not in kept


def test_a_calendar_holds_what_lies_ahead_with_reminders(models, shelf, tmp_path):
    shelf("law", {"a.txt": "The Tenant shall pay by 3 March 2001. The Tenant shall move out by 3 March 2090."})
    file = tmp_path / "a.ics"
    command_line.run("dates", "--out", str(file), "--yes")
    (ahead,) = read(file.read_bytes())
    assert ahead["dtstart"].dt == date(2090, 3, 3) and not ahead["summary"].startswith("a.txt")
    assert [part.name for part in ahead.subcomponents] == ["VALARM"]
    command_line.run("dates", "--out", str(file), "--yes", "--all")
    assert len(read(file.read_bytes())) == 2


def test_the_end_of_a_term_and_its_notice_come_from_the_facts(models, shelf):
    text = (
        "LEASE AGREEMENT\n\nThis Lease shall commence on 1 April 2091 and shall continue for a term of ten (10) years. "
        "It shall automatically renew for one year unless a party gives the other written notice not to renew at least "
        "ninety (90) days prior to the end of the term."
    )
    shelf("law", {"lease.txt": text})
    found = json.loads(command_line.run("dates", "--json").stdout)["dates"]
    days = {one["date"] for one in found}
    assert {"2101-03-31", "2100-12-31"} <= days
    assert all(one["title"] for one in found)

import csv
import io
import json
import os
import signal
import zipfile
from contextlib import closing

import docx
import pytest
from command_line import refused, run, run_json
from docx.enum.section import WD_ORIENT
from python_calamine import CalamineWorkbook

from localrag import api, policy
from localrag.answer.overview import Overview
from localrag.errors import LibraryLocked, NotFoundError, PolicyRefused, StorageError, UsageError
from localrag.events import Failure
from localrag.items import facts
from localrag.security import audit
from localrag.sessions.export import overview as export
from localrag.store import names

LEASE = """LEASE AGREEMENT

This Lease Agreement is made on 1 March 2024 between Acme Ltd (the "Landlord") and Harbour Trust (the "Tenant").

1. Term. The term of this Agreement begins on 1 April 2024 and ends on 31 March 2091. The Landlord lets the house.

2. Payment. The Tenant shall pay each invoice of the Landlord within 30 days after receipt.

3. Deposit. The Tenant shall pay to the Landlord a security deposit of EUR 5,000.

4. Governing law. This Agreement is governed by the law of England.
"""
AMENDMENT = """AMENDMENT NO. 1

This Amendment No. 1 to the Lease Agreement is made on 2 May 2025 between Acme Ltd (the "Landlord") and Harbour Trust
(the "Tenant") and amends the Lease Agreement dated 1 March 2024. The Landlord and the Tenant agree as follows.
"""
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture
def law(models, shelf):
    """Its facts are read by the first command that needs them."""
    return shelf("law", {"lease.txt": LEASE, "news.txt": "It rained in May."})


@pytest.fixture
def read(models, folder, settings):
    """Ingests the lease with a text, so that a later call changes it."""

    def ingest(text):
        root = folder({"lease.txt": text})
        with closing(api.open_library("law", settings=settings, create=True)) as library:
            library.ingest(root)

    return ingest


def known(role):
    found = run_json("facts", "show", "lease.txt")["facts"]
    return next((one for one in found if one["role"] == role), None)


def test_facts_that_are_missing_are_read_without_a_model(law, models):
    assert run_json("facts", "show", "lease.txt")["facts"] == []
    made = run_json("overview", "law")
    lease, news = made["documents"]
    assert (lease["kind"], lease["cells"]["dated"], lease["cells"]["law"]) == ("contract", "2024-03-01", "England")
    assert lease["cells"]["parties"] == "Acme; Harbour Trust" and not any(news["cells"].values())
    assert [(one["date"], one["what"], one["document"]) for one in made["ahead"]] == [
        ("2091-03-31", "ends", "lease.txt")
    ]
    assert [one["words"] for one in made["amounts"]] == ["EUR 5,000"]
    assert made["people"]["Acme"] == ["lease.txt"] and made["years"] == {"2024": 1}
    assert (made["without_facts"], made["stopped"], models.loaded) == (0, False, [])
    assert made == run_json("overview"), "the only library needs no name"


def test_the_page_shows_each_table_that_has_rows(models, shelf):
    shelf("law", {"lease.txt": LEASE, "amendment-1.txt": AMENDMENT})
    shown = run("overview").stdout
    for words in ("2024-03-01", "2091-03-31", "EUR 5,000", "Harbour Trust", "England", "” amends “", "?"):
        assert words in shown
    assert [one["base"] for one in run_json("overview")["documents"]] == ["lease.txt", ""]


def test_a_library_without_contracts_has_a_page(models, shelf, tmp_path):
    shelf("notes", {"a.txt": "It rained.", "b\x1b[2J.txt": "It \x1b]0;x\x07snowed \u202e."})
    shown = run("overview").stdout
    assert "2 documents" in shown and not set("\x1b\x07\u202e") & set(shown)
    assert run_json("overview")["ahead"] == []
    run("overview", "--out", tmp_path / "a.docx")
    assert docx.Document(tmp_path / "a.docx").tables


def test_a_locked_library_is_shown_without_what_is_missing(law, settings, monkeypatch):
    with names.writing(settings.library_dir("law"), "law"):
        assert run_json("overview")["without_facts"] == 2
    for error in (LibraryLocked("it is locked"), StorageError("the disk is full")):
        monkeypatch.setattr(facts, "refresh", lambda *given, error=error: (_ for _ in ()).throw(error))
        done = run("overview")
        assert done.exit_code == 0 and error.message in done.stderr and "without facts" in done.stdout


def test_ctrl_c_keeps_what_was_read_and_writes_no_file(law, tmp_path, monkeypatch):
    find = facts.find

    def interrupted(*given):
        os.kill(os.getpid(), signal.SIGINT)
        return find(*given)

    monkeypatch.setattr(facts, "find", interrupted)
    done = run("overview", "--json", "--out", tmp_path / "a.json")
    made = json.loads(done.stdout)
    assert done.exit_code == 130 and made["stopped"] and made["without_facts"] == 1
    assert not (tmp_path / "a.json").exists()
    monkeypatch.undo()
    assert run_json("overview")["without_facts"] == 0


def test_a_decision_survives_an_ingest_as_long_as_its_quote(read):
    read(LEASE)
    end = run_json("facts", "mark", "lease.txt", "end", "--confirm")["fact"]
    assert end["state"] == "confirmed" and end["by"] and end["at"]
    run("facts", "mark", "lease.txt", "law", "--reject")
    read("A new cover page.\n\n" + LEASE)
    assert known("end")["state"] == "confirmed" and known("end")["start"] == end["start"] + 19
    assert known("law")["state"] == "rejected"
    read(LEASE.replace("31 March 2091", "30 June 2092").replace("England", "Scotland"))
    assert (known("end")["value"], known("end")["state"]) == ("2092-06-30", "sure")
    assert (known("law")["value"], known("law")["state"]) == ("Scotland", "sure")


def test_a_rejected_fact_is_nowhere_until_it_is_taken_back(read, settings):
    read(LEASE)
    run("facts", "mark", "lease.txt", known("end")["id"], "--reject")
    made = run_json("overview")
    assert (
        known("end")["state"] == "rejected"
        and made["ahead"] == []
        and "2091" not in made["documents"][0]["cells"]["end"]
    )
    assert run_json("facts", "mark", "lease.txt", "end", "--reset")["fact"]["state"] == "sure"
    assert run_json("overview")["ahead"][0]["date"] == "2091-03-31"
    entries = [one for one in audit.entries(settings.library_audit_file("law")) if one.event == "fact"]
    assert [one.details["state"] for one in entries] == ["rejected", "sure"]


def test_a_correction_keeps_what_was_read(read):
    read(LEASE)
    before = known("end")
    one = run_json("facts", "mark", "lease.txt", "end=2091", "--value", "1 May 2095")["fact"]
    assert (one["value"], one["was"], one["state"]) == ("2095-05-01", "2091-03-31", "confirmed")
    assert one["id"] == before["id"] and one["quote"] == before["quote"]
    assert run_json("overview")["ahead"][0]["date"] == "2095-05-01"
    assert run("facts", "mark", "lease.txt", "payment", "--value", "-", typed="6 weeks\n").exit_code == 0
    assert known("payment")["value"] == "P6W"
    run("facts", "mark", "lease.txt", "end", "--reset")
    assert known("end") == before


def test_what_cannot_be_decided_is_refused(read):
    read(LEASE)
    for words in (["--value", "soon"], ["--value", " "], ["--confirm", "--value", "1 May 2095"], []):
        assert refused(UsageError, "facts", "mark", "lease.txt", "end", *words).exit_code == 2
    for document, fact in (("lease.txt", "fee"), ("lease.txt", "party"), ("none.txt", "end")):
        refused(NotFoundError, "facts", "mark", document, fact, "--confirm")
    refused(NotFoundError, "facts", "show", "none.txt")
    assert known("end")["state"] == "sure"


def test_a_library_must_be_named_where_there_are_several(law, shelf):
    shelf("other", {"a.txt": "It rained."})
    for words in (["overview"], ["facts", "show", "lease.txt"], ["facts", "mark", "lease.txt", "end", "--confirm"]):
        refused(UsageError, *words)
    run("overview", "law")
    assert run_json("facts", "show", "lease.txt", "-l", "law")["facts"]
    refused(NotFoundError, "overview", "none")


@pytest.mark.parametrize("suffix", [".docx", ".xlsx", ".json", ".csv", ".md"])
def test_an_export_opens_holds_no_formula_and_is_recorded(read, settings, tmp_path, suffix):
    read(LEASE)
    run("facts", "mark", "lease.txt", "party=Acme", "--value", FORMULA)
    file = tmp_path / f"law{suffix}"
    run("overview", "--out", file)
    data = file.read_bytes()
    if suffix == ".docx":
        document = docx.Document(io.BytesIO(data))
        last = document.tables[-1]
        assert [cell.text for cell in last.rows[0].cells] == ["Title", "Parties", "Dated", "Ends", "Law"]
        assert last.rows[1].cells[2].text == "2024-03-01" and FORMULA in last.rows[1].cells[1].text
        assert [one.orientation for one in document.sections] == [WD_ORIENT.PORTRAIT, WD_ORIENT.LANDSCAPE]
        assert all(table.rows[0]._tr.xpath("w:trPr/w:tblHeader") for table in document.tables)
        assert not document.element.xpath("//w:instrText | //w:fldSimple | //w:hyperlink")
    elif suffix == ".xlsx":
        sheets = CalamineWorkbook.from_filelike(io.BytesIO(data))
        assert sheets.sheet_names == ["documents", "timeline", "amounts", "people"]
        assert FORMULA in sheets.get_sheet_by_name("documents").to_python()[1][2]
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            assert not any(b"<f>" in parts.read(name) for name in parts.namelist())
    elif suffix == ".json":
        assert json.loads(data) | {"stopped": False} == run_json("overview")
    elif suffix == ".csv":
        (row,) = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
        assert (
            row["parties"].startswith(f"'{FORMULA}") and row["ends"] == "2091-03-31" and row["document"] == "lease.txt"
        )
    else:
        assert "2091-03-31" in data.decode() and "cmd\\|" in data.decode()
    events = [one.event for one in audit.entries(settings.library_audit_file("law"))]
    assert events.count("export") == 1


def test_a_report_groups_what_was_not_read_and_names_twenty_files(tmp_path, settings):
    failed = [Failure(f"old/scan-{n}.pdf", "is encrypted") for n in range(30)] + [Failure("a.doc", "is broken")]
    made = Overview(("law",), (), tuple(failed), 0, (), (), "2026-01-01")
    export.save(made, tmp_path / "law.docx", settings.library_audit_file)
    lines = [one.text for one in docx.Document(tmp_path / "law.docx").paragraphs]
    (encrypted,) = [one for one in lines if "30 files" in one and "is encrypted" in one]
    assert any("1 file:" in one and "a.doc" in one for one in lines)
    (rest,) = [one for one in lines if "localrag overview law --json" in one]
    assert encrypted.count("old/scan-") <= 20 and f"{30 - encrypted.count('old/scan-')} more files" in rest


def test_an_export_can_be_encrypted_and_forbidden(law, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    public = run("vault", "identity", "anna.key").stdout.strip()
    run("overview", "--out", "law.csv", "--encrypt-for", public)
    run("vault", "open", "law.csv.age", "--key-file", "anna.key")
    assert "lease.txt" in (tmp_path / "law.csv").read_text("utf-8-sig")
    policy.SYSTEM.parent.mkdir(parents=True)
    policy.SYSTEM.write_text("allow_exports = false")
    for name in ("law.docx", "law.xlsx"):
        with pytest.raises(PolicyRefused):
            run("overview", "--out", name)
        assert not (tmp_path / name).exists()


def test_no_export_replaces_a_document_or_has_an_unknown_form(models, folder, settings, tmp_path):
    root = folder({"lease.md": LEASE})
    with closing(api.open_library("law", settings=settings, create=True)) as library:
        library.ingest(root)
    for file in (root / "lease.md", tmp_path / "law.odt"):
        refused(UsageError, "overview", "--out", file)
    refused(StorageError, "overview", "--out", tmp_path / "missing" / "law.docx")
    refused(UsageError, "overview", "--encrypt-for", "anna")
    assert (root / "lease.md").read_text() == LEASE

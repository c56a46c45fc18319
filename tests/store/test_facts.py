"""What a library keeps of facts, and of what people decided of them."""

import json

import pytest
from papers import contents
from stores import both_stores

from localrag.items import facts
from localrag.items.facts import decided, named, refresh
from localrag.store.library import FIGURE

LEASE = (
    "LEASE AGREEMENT\n\nThis Lease Agreement is made on 1 March 2024 between Acme Ltd (the “Landlord”) and Harbour Trust "
    "(the “Tenant”).\n\n1. Governing law. This Agreement is governed by the laws of England.\n\n"
    "2. Payment. The Tenant shall pay each invoice of the Landlord within 30 days after receipt.\n"
)
LAW = "England and Wales"


def of(library, path="lease.txt"):
    found = library.document(path)
    return {one.role: one for one in library.facts([found.id]).get(found.id, ())}


def decide(library, role="law", state="confirmed", value=LAW, path="lease.txt"):
    found = library.document(path)
    one = decided(named(library.facts([found.id])[found.id], role), state, value, "anna", "2026-12-01T10:00:00+00:00")
    library.decide(found, [*library.decisions(found), one])
    return one


@pytest.fixture
def leased(library, put):
    put(library, "lease.txt", LEASE)
    refresh(library)
    decide(library)
    return library


@both_stores
def test_a_decision_stays_while_the_document_has_its_quote(leased, put):
    read = of(leased)["law"]
    assert (read.value, read.was, read.by) == (LAW, "England", "anna")
    put(leased, "lease.txt", f"A new first page.\n\n{LEASE}", sha256="second")
    assert of(leased) == {} and refresh(leased) == 1
    now = of(leased)["law"]
    assert (now.value, now.state, now.start) == (LAW, "confirmed", read.start + len("A new first page.\n\n"))
    (page,) = leased.pages(leased.document("lease.txt").id)
    assert page.text[now.start : now.end] == now.quote
    put(leased, "lease.txt", LEASE.replace("England", "Ohio"), sha256="third")
    refresh(leased)
    assert (of(leased)["law"].value, of(leased)["law"].state) == ("Ohio", "sure")
    assert leased.decisions(leased.document("lease.txt")) == ()


@both_stores
def test_a_decision_goes_with_its_file_to_another_path_and_root(leased):
    leased.move("/root", "lease.txt", "2024/hall.txt", len(LEASE), 2)
    leased.move_root("/root", "/share")
    assert of(leased, "2024/hall.txt")["law"].value == LAW


@both_stores
@pytest.mark.parametrize("how", ["file", "document"])
def test_facts_and_decisions_go_with_their_document(leased, put, how):
    if how == "file":
        leased.remove_files("/root", ["lease.txt"])
    else:
        leased.remove([leased.document("lease.txt")])
    for table in ("facts", "decided"):
        assert leased._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0
    put(leased, "lease.txt", LEASE)
    refresh(leased)
    assert of(leased)["law"].state == "sure"


@both_stores
def test_figures_are_read_with_the_facts_and_go_with_their_document(library, put):
    put(library, "a.md", "Balance sheet\n\n| In thousands | 2021 | 2020 |\n| Goods | 9 | (7) |\n")
    put(library, "b.txt", "No table.")
    refresh(library)
    made = library.document("a.md")
    rows = [dict(zip(FIGURE, row, strict=True)) for row in library.figures(made.id)]
    assert [(row["label"], row["year"], row["value"], row["scale"]) for row in rows] == [
        ("Goods", 2021, "9", "thousand"),
        ("Goods", 2020, "-7", "thousand"),
    ]
    assert not library.figures(library.document("b.txt").id)
    assert library.with_figures("Goods") == {made.id} and not library.with_figures("Table")
    library.remove([made])
    assert library._db.execute("SELECT count(*) FROM figures").fetchone()[0] == 0


@both_stores
def test_a_rejected_fact_is_in_no_answer_and_stays_rejected(leased, put):
    decide(leased, "payment", "rejected", "")
    assert "payment" not in of(leased)
    put(leased, "lease.txt", f"{LEASE} ", sha256="second")
    refresh(leased)
    assert "payment" not in of(leased) and of(leased)["law"].value == LAW
    assert {one.role for one in leased.decisions(leased.document("lease.txt"))} == {"law", "payment"}


@both_stores
def test_facts_leave_the_documents_their_digest_and_generation(leased):
    before = contents(leased), leased.generation, leased.digest()
    decide(leased, "payment", "confirmed", "")
    leased._db.execute("UPDATE facts SET version = 'older'")
    assert refresh(leased) == 1
    assert (contents(leased), leased.generation, leased.digest()) == before


@both_stores
def test_what_was_read_before_a_stop_stays_and_the_next_run_goes_on(library, put, monkeypatch):
    monkeypatch.setattr(facts, "_BATCH", 2)
    for number in range(7):
        put(library, f"{number}.txt", LEASE)
    asked = []
    assert refresh(library, lambda: len(asked) == 5, lambda done, total, path: asked.append((done, total))) == 5
    assert asked == [(number, 7) for number in range(5)]
    assert len(library.without_facts(facts.VERSION)) == 2 and len(library.facts()) == 5
    assert refresh(library) == 2 and len(library.facts()) == 7 and refresh(library) == 0


def test_what_is_kept_of_a_fact_that_this_version_does_not_know_is_no_traceback(leased):
    kept = json.loads(leased._db.execute("SELECT data FROM facts").fetchone()[0])
    kept[-1] |= {"role": "phase of the moon", "shade": "grey"}
    leased._db.execute("UPDATE facts SET data = ?", (json.dumps(kept),))
    assert of(leased)["phase of the moon"]

"""Reviews over libraries on the disk, with fakes in place of models: what is found, kept, decided and forgotten."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.answer.reviewer import Reviewer
from localrag.errors import NotFoundError, UsageError
from localrag.events import ReviewEnded
from localrag.items import evidence, review
from localrag.items.playbook import Expect, Playbook, PlaybookItem
from localrag.lifecycle.encrypt import encrypt
from localrag.proofs.forgotten import prove_forgotten
from localrag.search.retrieval import Searcher
from localrag.security import audit
from localrag.security.encryption import keyring, unlocked
from localrag.store.library import Library
from localrag.store.reviews import FOLDER, Reviews

Shelf = Callable[..., Library]
LAW = "Governing Law. This Agreement is governed by the laws of Kansas."
PAY = "Payment. Every invoice is payable within ninety (90) days after its receipt."
FILLER = "\n\n".join(
    f"Clause {n}. It settles matter number {n} between both parties and nothing else." for n in range(90)
)
TEXT = f"{LAW}\n\n{FILLER}\n\n{PAY}"
BOOK = Playbook(
    "Test",
    (
        PlaybookItem(
            "law", "Which law governs?", like=("governed by the laws of",), expect=("Kansas", "Iowa"), importance="low"
        ),
        PlaybookItem(
            "pay",
            "When is an invoice payable?",
            "duration",
            like=("payable within thirty days",),
            expect=Expect(at_most="60 days"),
            importance="high",
            fallback="within 60 days",
        ),
        PlaybookItem("secret", "Is there a duty of secrecy?", "yes/no", like=("shall keep it secret",)),
    ),
)


@pytest.fixture
def odds(monkeypatch):
    """Log odds by item in place of those that code finds; the passages stay."""
    given = {"law": 5.0, "pay": 5.0, "secret": -5.0}
    real = evidence.Clauses.evidence

    def found(self, item, pair, *more):
        made = real(self, item, pair, *more)
        return replace(made, odds=given[item.id]) if made.of else made

    monkeypatch.setattr(evidence.Clauses, "evidence", found)
    return given


def reviewed(assistant, library, book=BOOK, **options):
    *_, ended = Reviewer(assistant).review(book, libraries=[library], **options)
    assert isinstance(ended, ReviewEnded)
    return ended


def ingested(settings, root, encrypted):
    """Read a folder into the library "law", and encrypt it."""
    with closing(api.open_library("law", settings=settings, create=True)) as library:
        library.ingest(root)
    if encrypted:
        secret = keyring.RecoveryKey.new()
        place = settings.library_dir("law")
        list(encrypt(place, lambda ring, key: ring.with_credential(key, "me", secret), lambda: False))


def by_item(ended):
    return {one.item: one for one in ended.findings}


def files(library):
    return sorted(path for path in (library.folder / FOLDER).glob("*.json") if path.name != "runs.json")


def test_code_decides_without_a_model_and_compares(assistant, models, shelf, odds):
    shelf("law", {"a.txt": TEXT})
    ended = reviewed(assistant, "law")
    found = by_item(ended)
    assert "generator" not in models.loaded
    assert [(one.item, one.state, one.as_expected) for one in ended.findings] == [
        ("pay", "deviates", False),
        ("secret", "absent", None),
        ("law", "found", True),
    ]
    assert (found["pay"].value, found["pay"].fallback) == ("90 days", "within 60 days")
    assert found["pay"].citation and found["pay"].citation.quote in TEXT
    assert "none read by the model" in found["secret"].read
    (paid,) = Reviewer(assistant).dates(libraries=["law"])[0]
    assert (paid.kind, paid.item, "ninety (90) days" in paid.when) == ("payment", "pay", True)


def test_what_code_leaves_open_is_asked_and_written_only_where_it_must(assistant, models, shelf, odds):
    odds |= {"law": 0.0, "pay": 0.0, "secret": 0.0}
    shelf("law", {"a.txt": TEXT})
    models.generator.weights = [("secrecy", "no"), ("", "yes")]
    found = by_item(reviewed(assistant, "law"))
    assert (found["law"].state, found["pay"].value, found["secret"].state) == ("found", "90 days", "absent")
    assert "best 2 of" in found["secret"].read and found["secret"].model == "scripted"


def test_an_unchanged_pair_is_not_looked_for_again(assistant, models, shelf, odds):
    odds["secret"] = 0.0
    shelf("law", {"a.txt": TEXT})
    assert all(one.new for one in reviewed(assistant, "law").findings)
    asked = len(models.generator.prompts)
    again = reviewed(assistant, "law")
    assert len(models.generator.prompts) == asked and not any(one.new for one in again.findings)
    # Another position is compared anew; another question is looked for.
    law, pay, secret = BOOK.items
    stricter = Playbook("Test", (PlaybookItem("law", law.question, like=law.like, expect="Iowa"), pay, secret))
    found = by_item(reviewed(assistant, "law", stricter))
    assert found["law"].state == "deviates" and not found["law"].new
    other = Playbook("Test", (law, pay, PlaybookItem("secret", "Must it be kept secret?", "yes/no")))
    assert {one.item for one in reviewed(assistant, "law", other).findings if one.new} == {"secret"}


def test_an_item_is_looked_for_again_where_a_person_corrects_its_fact(assistant, shelf, settings, odds):
    opening = "SUPPLY AGREEMENT\n\nThis Agreement is made on 3 May 2024 between Acme Ltd and Bolt GmbH of Iowa."
    shelf("law", {"a.txt": f"{opening}\n\n{TEXT}"})
    with closing(api.open_library("law", settings=settings)) as library:
        library.read_facts()
        reviewed(assistant, "law")
        assert library.decide("a.txt", "law", "confirmed", "Iowa").was == "Kansas"
    again = by_item(reviewed(assistant, "law"))
    assert again["law"].new and not again["pay"].new  # a law is no span of time
    assert not by_item(reviewed(assistant, "law"))["law"].new


def test_a_date_belongs_to_the_playbook_that_looked_last(assistant, shelf, odds):
    library = shelf("law", {"a.txt": TEXT})
    for title in ("Test", "Other"):
        reviewed(assistant, "law", Playbook(title, BOOK.items))
        kept = Reviews(library).of(library.documents()[0])
        assert [(one.playbook, one.item) for one in kept.dated] == [(title, "pay")]


def test_a_changed_document_is_reviewed_again_and_says_what_it_said(assistant, shelf, put, odds):
    library = shelf("law", {"a.txt": TEXT, "b.txt": LAW})
    reviewed(assistant, "law")
    Reviewer(assistant).decide(BOOK, "law", "law", "a.txt", "accepted", "agreed by phone")
    put(library, "a.txt", TEXT.replace("ninety (90)", "thirty (30)"), sha256="another")
    ended = reviewed(assistant, "law")
    changed = [one for one in ended.findings if one.new]
    assert {one.document for one in changed} == {"a.txt"}
    pay = next(one for one in changed if one.item == "pay")
    assert (pay.state, pay.value, pay.before) == ("found", "30 days", "deviates: 90 days")
    assert len(files(library)) == 2  # the old version went once the new one was reviewed
    for findings in (changed, reviewed(assistant, "law").findings):
        said = next(one for one in findings if (one.document, one.item) == ("a.txt", "law")).decision
        assert said and (said.verdict, said.comment) == ("open", "accepted on the version before: agreed by phone")


def test_a_stopped_review_goes_on_where_it_was(assistant, shelf, odds):
    shelf("law", {"a.txt": TEXT, "b.txt": LAW})
    seen: list[object] = []

    def stop():
        return len(seen) >= 3

    events: Iterator[Any] = Reviewer(assistant).review(BOOK, libraries=["law"], stop=stop)
    for event in events:
        seen.append(event)
    ended = seen[-1]
    assert isinstance(ended, ReviewEnded) and ended.stopped and len(ended.findings) == 3
    again = reviewed(assistant, "law")
    assert not again.stopped and len(again.findings) == 6 and all(one.new for one in again.findings)
    assert not any(one.new for one in reviewed(assistant, "law").findings)


LAID = (
    "The Client pays the Firm EUR 5,000 or EUR 6,000 for 12 desks, less 3% or 4%, monthly or yearly, by 3 May 2025 or "
    "9 June 2025, or within 14 days or 21 days."
)


@pytest.mark.parametrize(
    ("kind", "lie", "truth", "shown"),
    [
        ("party", "30 days", "the Firm", "the Firm"),
        ("party", "Globex Inc", "The Client", "The Client"),
        ("duration", "30 days", "fourteen (14) days", "14 days"),
        ("money", "EUR 500", "5,000", "5,000 EUR"),
        ("percent", "14", "3 %", "3 %"),
        ("date", "4 May 2025", "2025-05-03", "2025-05-03"),
        ("choice", "weekly", "yearly", "yearly"),
    ],
)
def test_no_value_is_shown_that_the_quote_does_not_state(kind, lie, truth, shown, assistant, models, shelf, odds):
    odds["law"] = 0.0
    other = f"{LAID} Every invoice is payable within ninety (90) days after its receipt."
    shelf("law", {"a.txt": other})
    models.generator.weights = [("", "yes")]
    choices = ("weekly", "monthly", "yearly") if kind == "choice" else ()
    book = Playbook("Test", (PlaybookItem("law", "Who pays what, and when?", kind, choices=choices),))
    for said, state, value in ((lie, "unsure", ""), (truth, "found", shown)):
        models.generator.script = [("", json.dumps({"found": True, "answer": said, "quote": LAID}))]
        found = by_item(reviewed(assistant, "law", book))["law"]
        assert (found.state, found.value, bool(found.problem)) == (state, value, state == "unsure"), said
        assert found.citation and found.citation.quote in other
        book = Playbook("Test", (PlaybookItem("law", "Who pays, and when?", kind, choices=choices),))


DENIES = [(r"\nA: this \w+ says yes", "B"), (r"\nA: this \w+ says no", "A")]  # by letters, in both orders


@pytest.mark.parametrize(
    ("odds_by_code", "weights", "state", "value", "doubted"),
    [
        (0.0, [("", "yes")], "found", "yes", False),
        (0.0, [*DENIES, ("", "yes")], "unsure", "", True),
        (0.4, [*DENIES, ("state the answer", "yes"), ("", "no")], "absent", "no", False),
        (0.4, [("", "no")], "absent", "no", False),
    ],
)
def test_a_yes_must_hold_whichever_way_it_is_asked(
    odds_by_code, weights, state, value, doubted, assistant, models, shelf, odds
):
    odds["secret"] = odds_by_code
    text = "This Agreement shall not automatically renew at the end of its term."
    shelf("law", {"a.txt": text})
    models.generator.weights = weights
    book = Playbook("Test", (PlaybookItem("secret", "Is this renewed by itself?", "yes/no"),))
    found = by_item(reviewed(assistant, "law", book))["secret"]
    assert (found.state, found.value, bool(found.problem)) == (state, value, doubted)
    quoted = bool(state != "absent" or len(weights) > 1)  # a no has its quote, as a yes has
    assert (found.citation is not None and found.citation.quote == text) is quoted


def test_a_decision_is_kept_with_its_document_and_recorded(assistant, shelf, settings, odds):
    shelf("law", {"a.txt": TEXT})
    reviewed(assistant, "law")
    Reviewer(assistant).decide(BOOK, "pay", "law", "a.txt", "accepted", "agreed by phone")
    decided = by_item(reviewed(assistant, "law"))["pay"].decision
    assert decided and (decided.verdict, decided.comment) == ("accepted", "agreed by phone") and decided.by
    rejected = Reviewer(assistant).decide(BOOK, "pay", "law", "a.txt", "rejected")
    assert (rejected.verdict, rejected.comment) == ("rejected", "agreed by phone"), "what is not given stays"
    again = Reviewer(assistant).decide(BOOK, "pay", "law", "a.txt", comment="")
    assert (again.verdict, again.comment) == ("rejected", "")
    lines = [one for one in audit.entries(settings.library_audit_file("law")) if one.event == "review"]
    assert [one.details.get("verdict") for one in lines] == [None, "accepted", None, "rejected", "rejected"]
    assert lines[0].details["deviates"] == 1
    with pytest.raises(NotFoundError):
        Reviewer(assistant).decide(BOOK, "nothing", "law", "a.txt", "accepted")


def test_a_document_that_was_not_reviewed_is_not_decided(assistant, shelf, odds):
    library = shelf("law", {"a.txt": TEXT, "b.txt": LAW})
    reviewed(assistant, "law", documents=["a.txt"])
    for book, document in ((BOOK, "b.txt"), (Playbook("Other", BOOK.items), "a.txt")):
        with pytest.raises(UsageError, match="not reviewed"):
            Reviewer(assistant).decide(book, "pay", "law", document, "accepted")
    assert len(files(library)) == 1


def test_findings_say_that_a_document_is_of_another_kind(assistant, shelf, odds):
    shelf("law", {"a.txt": TEXT, "lease-1.txt": TEXT})
    ended = reviewed(assistant, "law", Playbook("Test", BOOK.items, "lease, tenancy"))
    assert {(one.document, bool(one.remark)) for one in ended.findings} == {("a.txt", True), ("lease-1.txt", False)}
    paid = {one.document: (one.state, one.value, one.as_expected) for one in ended.findings if one.item == "pay"}
    assert paid == {"a.txt": ("found", "90 days", None), "lease-1.txt": ("deviates", "90 days", False)}
    assert all("lease" in one.to_row()["remark"] for one in ended.findings if one.document == "a.txt")


def test_findings_are_ordered_by_what_matters(assistant, shelf, odds):
    shelf("law", {"a.txt": TEXT})
    found = reviewed(assistant, "law").findings
    assert review.counts(found) == {"deviates": 1, "absent": 1, "unsure": 0, "found": 1, "not_as_expected": 1}
    assert [one.item for one in review.ordered(found[::-1])] == [one.item for one in found]


@pytest.mark.parametrize("encrypted", [False, True])
def test_nothing_of_a_review_is_left_of_a_forgotten_document(encrypted, folder, models, settings, odds, monkeypatch):
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    root = folder({"a.txt": TEXT, "b.txt": "Another text of its own, with words that are nowhere else. " * 9})
    ingested(settings, root, encrypted)
    with closing(Assistant(settings)) as assistant:
        reviewed(assistant, "law")
        Reviewer(assistant).decide(BOOK, "pay", "law", "a.txt", "rejected", "ninety is too long")
    kept = (settings.library_dir("law") / FOLDER).glob("*.json")
    assert any(b"payable within ninety" in path.read_bytes() for path in kept) is not encrypted
    with closing(api.open_library("law", settings=settings)) as library:
        library.forget(["a.txt"])
    for word in ("payable within ninety", "laws of Kansas", "ninety is too long"):
        assert prove_forgotten(settings, "law", word=word).proven


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("encrypted", [False, True])
def test_a_review_that_is_killed_goes_on_and_loses_and_doubles_nothing(
    encrypted, folder, models, settings, odds, monkeypatch
):
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    odds["secret"] = 0.0  # the model is asked
    models.generator.weights = [("", "yes")]
    ingested(settings, folder({"a.txt": TEXT, "b.txt": LAW}), encrypted)
    child = os.fork()
    if child == 0:
        for number, _ in enumerate(Reviewer(Assistant(settings)).review(BOOK, libraries=["law"])):
            if number == 3:  # the first of the second document
                os.kill(os.getpid(), signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    with closing(Assistant(settings)) as assistant:
        ended = reviewed(assistant, "law")
        assert len(ended.findings) == len({(one.document, one.item) for one in ended.findings}) == 6
        assert all(one.new for one in ended.findings) and not ended.stopped
        asked = [prompt for prompt in models.generator.prompts if "secrecy" in str(prompt)]
        assert asked and not any("ninety" in str(prompt) for prompt in asked), "the first document is not asked again"
        Reviewer(assistant).decide(BOOK, "pay", "law", "a.txt", "rejected", "too long")
        again = reviewed(assistant, "law")
    assert not any(one.new for one in again.findings)
    record = [one for one in audit.entries(settings.library_audit_file("law")) if one.event == "review"]
    assert [one.details.get("documents") for one in record] == [2, None, 2], "a killed run has no entry"
    kept = b"".join(path.read_bytes() for path in (settings.library_dir("law") / FOLDER).iterdir())
    assert (b"too long" in kept) is not encrypted


def clause(name, question, kind="yes/no", like=()):
    return Playbook("Test", (PlaybookItem(name, question, kind, like=like, clause=name),))


def test_a_clause_that_is_known_well_is_found_or_absent_without_a_model(assistant, models, shelf):
    law = "This Agreement shall be governed by and construed in accordance with the laws of the State of Ohio."
    shelf("law", {"a.txt": f"{FILLER}\n\nGoverning Law. {law}", "b.txt": FILLER})
    ended = reviewed(assistant, "law", clause("governing-law", "Which law governs?", "text"))
    there, missing = ended.findings
    assert (there.state, missing.state) == ("found", "absent") and "generator" not in models.loaded
    assert there.citation and law in there.citation.quote and there.citation.quote in there.value
    assert all("all sentences of the document" in one.read and not one.model for one in ended.findings)


def test_code_reads_a_single_value_of_the_quote_and_the_model_others(assistant, models, shelf):
    renewed = "Renewal. This Agreement shall automatically renew for successive periods of one (1) year each"
    shelf(
        "law", {"a.txt": f"{FILLER}\n\n{renewed}.", "b.txt": f"{FILLER}\n\n{renewed}, unless ended by 90 days' notice."}
    )
    models.generator.weights = [("", "yes")]
    models.generator.script = [("", json.dumps({"found": False, "answer": "", "quote": ""}))]
    one, two = reviewed(assistant, "law", clause("renewal-term", "For how long is it renewed?", "duration")).findings
    assert (one.state, one.value, one.model) == ("found", "1 year", "")
    # The clause is there, though the model finds no value among two.
    assert (two.state, two.value, two.model) == ("found", "", "scripted")


EXCLUSIVE = "This Agreement does not give Distributor the exclusive right to sell the Products."
COMPETES = "During the term Distributor shall not sell, market or develop any products that compete with the Products."


@pytest.mark.parametrize(
    ("name", "text", "answer", "state"),
    [("exclusivity", f"Exclusivity. {EXCLUSIVE}", "no", "absent"), ("non-compete", COMPETES, "yes", "found")],
)
def test_the_model_confirms_what_may_say_the_opposite_or_is_known_less_well(
    name, text, answer, state, assistant, models, shelf
):
    shelf("law", {"a.txt": f"{FILLER}\n\n{text}"})
    models.generator.weights = [("", answer)]
    models.generator.script = [("", json.dumps({"found": True, "answer": answer, "quote": ""}))]
    (found,) = reviewed(assistant, "law", clause(name, "Is a party bound?")).findings
    assert (found.state, found.model) == (state, "scripted")
    assert "all sentences of the document by code" in found.read


def test_the_classifier_is_asked_of_english_documents_only(assistant, models, shelf, settings):
    german = "Dieser Vertrag unterliegt dem Recht der Bundesrepublik Deutschland und wird nach ihm ausgelegt. " * 9
    library = shelf("law", {"a.txt": german, "b.txt": FILLER})
    clauses, (item,) = (
        evidence.Clauses(library, Searcher(settings)),
        clause("governing-law", "Welches Recht gilt?").items,
    )
    known = [clauses.evidence(item.asked, (library, document)).known for document in library.documents()]
    assert known == [False, True]

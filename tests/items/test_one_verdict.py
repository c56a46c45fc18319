"""The same thing asked by `ask`, `survey`, `review`, `extract` and `dates` gets one verdict of each document."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace

import pytest
from asking import FILLER
from fakes import ScriptedGenerator

from localrag import api
from localrag.answer import judging
from localrag.answer.assistant import Assistant
from localrag.answer.reviewer import Reviewer
from localrag.events import Answered, ReviewEnded
from localrag.items import playbook, schema, values
from localrag.items.engine import Engine
from localrag.items.playbook import Playbook, PlaybookItem
from localrag.llm import Weighed
from localrag.settings import load_settings
from localrag.store.library import Library
from localrag.types import Filter, Plan, Usage

Shelf = Callable[..., Library]
# As it is asked of all documents and of one: the first in the words of a known kind of clause, the others in no such.
QUESTIONS = (
    ("Which contracts require a party to have insurance?", "Does this contract require a party to have insurance?"),
    ("Which contracts allow dogs?", "Does this contract allow dogs?"),
    ("Which contracts are governed by the law of Ohio?", "Is this contract governed by the law of Ohio?"),
)
# Values, as they are asked for of all documents and of one, with their type.
VALUES = (
    ("What is the governing law of each contract?", "What is the governing law of this contract?", "text"),
    ("What is the effective date of each contract?", "What is the effective date of this contract?", "date"),
    ("What is the notice period of each contract?", "What is the notice period of this contract?", "duration"),
    ("What is the liability cap of each contract?", "What is the liability cap of this contract?", "money"),
)
STARTS = "“Effective Date” means 1 March 2025. The Supplier shall report within 30 days after the Effective Date."
NOTICE = "Either party may end it on sixty (60) days’ notice."
INSURED = "Insurance. Supplier shall maintain comprehensive general liability insurance of $1,000,000 per occurrence."
CONTRACTS = {
    "a.txt": f"{STARTS}\n\n{FILLER}\n\n{INSURED}",
    "b.txt": f"{INSURED}\n\nEffective Date: 3 May 2024\n\n{NOTICE}",
    "c.txt": "Insurance. Neither party is required to maintain any liability insurance under this contract.",
    "d.txt": f"{FILLER}\n\nPets. Dogs and cats may be kept with the consent of the landlord.",
    "e.txt": "Pets. Dogs are not allowed. The parties are liable for up to EUR 50,000 (the “Liability Cap”).",
    "f.txt": f"{FILLER}\n\nPets. Dogs shall not be kept. The law of Ohio governs this contract.",
    "g.txt": f"{FILLER}\n\nNotice Period: thirty (30) days\n\n{NOTICE}",
    "h.txt": "This contract is governed by the law of Ohio. Dogs are welcome.",
    "i.txt": "This contract is governed by the law of Kansas, and not by that of Ohio.",
    "j.txt": f"Made on 4 May 2023. Rent is due on the first day of each month, by bank transfer. {NOTICE}",
}

SUPPLIED = (
    "The Customer shall buy all its requirements of the Services exclusively from the Supplier.\n\n"
    "The Supplier may assign this contract.\n\nThe Customer shall pay each invoice within ninety days."
)


def written(answer, quote):
    return json.dumps({"found": True, "answer": answer, "quote": quote})


SCRIPT = [
    (r"(?s)sixty \(60\) days.*What is the notice", written("60 days", "sixty (60) days’ notice")),
    (r"(?s)law of Kansas.*What is the governing", written("Kansas", "governed by the law of Kansas")),
    ("(?s)EUR 50,000.*What is the liability", written("EUR 90,000", "liable for up to EUR 50,000")),
    ("", '{"quote": "no words of it"}'),
]
Value = tuple[str, str]  # its form for machines, and its quote; both empty where none is found


@dataclass(slots=True)
class Moody(ScriptedGenerator):
    """Is as sure of an option as the hash of the prompt says, so that only the same prompts get the same verdict."""

    mood: int = 0

    def weigh(self, messages, options, **rest):
        self.prompts.append(tuple(messages))
        text = "".join(message.whole for message in messages)
        share = int.from_bytes(hashlib.sha256(f"{self.mood}{text}".encode()).digest()[:2]) / 65536
        yield Weighed((share, 1 - share), Usage(10))


def by_ask(assistant, library, asked):
    opened, engine = assistant.library(library), Engine(assistant)
    found = {}
    for document in opened.documents():
        query = assistant.prepare(asked, [library], Filter(documents=(document.path,)), "auto", (), lambda: False)
        made = judging.answer(query, (opened, document), Plan("retrieve", ""), engine)
        assert (made.found and made.sure) is bool(re.match("(Yes|No):", made.answer))
        assert all((citation.marker == 1) is made.found for citation in (*made.citations, *made.nearest))
        found[document.path] = verdict(made)
    return found


def verdict(made):
    word = made.answer.partition(":")[0].lower()
    return word if word in ("yes", "no") else ""


def by_survey(assistant, library, question):
    *_, last = assistant.ask(question, libraries=[library], mode="survey")
    assert isinstance(last, Answered)
    return {row["document"]: "yes" if row["found"] else row["answer"] for row in last.answer.table}


def checked(assistant, library, asked, type):
    book = Playbook("One", (PlaybookItem("one", asked, type),))
    *_, ended = Reviewer(assistant).review(book, libraries=[library])
    assert isinstance(ended, ReviewEnded)
    return ended.findings


def by_review(assistant, library, asked):
    # What a document says nothing of has no quote; a no has one, as a yes has.
    return {one.document: one.value if one.citation else "" for one in checked(assistant, library, asked, "yes/no")}


def extracted(assistant, library, asked, **type):
    given = json.dumps({"properties": {"one": {"description": asked, **type}}})
    *_, last = Reviewer(assistant).extract(schema.parse(given), libraries=[library])
    assert isinstance(last, Answered)
    return last.answer.table


def by_extract(assistant, library, asked):
    rows = extracted(assistant, library, asked, type="boolean")
    return {row["document"]: {True: "yes", False: "no", None: ""}[row["one"]] for row in rows}


def agreed(assistant, library):
    """Return the verdicts of all documents on all questions, once the four have agreed on them."""
    verdicts = []
    for question, asked in QUESTIONS:
        first = by_ask(assistant, library, asked)
        assert by_survey(assistant, library, question) == first, question
        assert by_review(assistant, library, asked) == first, question
        assert by_extract(assistant, library, asked) == first, question
        assert len(first) == len(CONTRACTS)
        verdicts += first.values()
    return verdicts


def values_agreed(assistant, library):
    """Return the value and quote of each document for each question, once survey, review and extract agree on them."""

    def value(type, words, quote):
        read = values.read(type, words)
        return (read.form, quote) if read else ("", "")

    made = {}
    for question, asked, type in VALUES:
        rows = extracted(assistant, library, asked, type="string", **({"format": type} if type != "text" else {}))
        first = {row["document"]: ("", "") for row in rows} | {
            row["document"]: (one["form"], one["quote"]) for row in rows if (one := row["sources"].get("one"))
        }
        *_, last = assistant.ask(question, libraries=[library], mode="survey")
        assert isinstance(last, Answered) and len(last.answer.table) == len(CONTRACTS)
        for row in last.answer.table:
            own = value(type, row["answer"], row["quote"]) if row["found"] else ("", "")
            assert own == first[row["document"]], question
        for one in checked(assistant, library, asked, type):
            quote = one.citation.quote if one.citation and one.state == "found" else ""
            assert value(type, one.value if quote else "", quote) == first[one.document], question
        made[type] = first
    return made


def test_ask_survey_review_and_extract_find_one_verdict(models, settings, shelf):
    shelf("contracts", CONTRACTS)
    with closing(Assistant(settings, Moody(script=SCRIPT))) as assistant:
        assert {*agreed(assistant, "contracts")} == {"yes", "no", ""}


def test_survey_review_extract_and_dates_find_one_value(models, settings, shelf):
    shelf("contracts", CONTRACTS)
    with closing(Assistant(settings, Moody(script=SCRIPT))) as assistant:
        made = values_agreed(assistant, "contracts")
        found = {type: {own[name][0] for name in own} - {""} for type, own in made.items()}
        assert found["date"] == {"2025-03-01", "2024-05-03", "2023-05-04"} and found["money"] == {"50000"}
        assert found["duration"] == {"P30D", "P60D"} and found["text"]
        deadlines, _ = Reviewer(assistant).dates(libraries=["contracts"])
        (counted,) = (one for one in deadlines if one.start)
        assert counted.start and counted.start.quote == made["date"][counted.citation.document][1]
        assert counted.date == "2025-03-31"
        spans = {one.citation.document: values.read("duration", one.when) for one in deadlines if one.kind == "notice"}
        for document, (form, _) in made["duration"].items():
            assert form != "P60D" or (spans[document] and spans[document].form == form)


def test_a_question_about_a_known_kind_of_clause_is_answered_by_this_judgement(models, settings, shelf):
    shelf("contracts", CONTRACTS)
    asked = QUESTIONS[0][1]
    with closing(Assistant(settings, Moody(script=SCRIPT))) as assistant:
        found = {}
        for document in CONTRACTS:
            *_, last = assistant.ask(asked, libraries=["contracts"], documents=Filter(documents=(document,)))
            assert isinstance(last, Answered) and last.answer.plan.signals["clause"] is not None
            found[document] = verdict(last.answer)
        assert found == by_ask(assistant, "contracts", asked) and {*found.values()} >= {"yes", ""}


@pytest.mark.model
def test_they_find_one_verdict_by_the_real_embedder(tmp_path):
    for name, text in CONTRACTS.items():
        (tmp_path / name).write_text(text)
    settings = load_settings()
    with closing(api.open_library("contracts", settings=settings, create=True)) as library:
        library.ingest(tmp_path)
    with closing(Assistant(settings, Moody(script=SCRIPT))) as assistant:
        assert "yes" in agreed(assistant, "contracts")
        assert values_agreed(assistant, "contracts")["duration"]["g.txt"][0] == "P30D"


def judged(settings, library):
    """Return what a review by the playbook `msa` says of each document and item, with the quote and how sure it is."""
    with closing(Assistant(settings, Moody(script=SCRIPT))) as assistant:
        *_, ended = Reviewer(assistant).review(playbook.load("msa"), libraries=[library])
        assert isinstance(ended, ReviewEnded)
    return {
        (one.document, one.item): (one.state, one.value, one.as_expected, one.citation, one.confidence, one.problem)
        for one in ended.findings
    }


def test_a_file_alone_gets_the_verdicts_that_it_gets_in_a_library(models, settings, tmp_path):
    (tmp_path / "deals").mkdir()
    for name, text in CONTRACTS.items():
        (tmp_path / "deals" / f"Services agreement {name}").write_text(f"{text}\n\n{SUPPLIED}")
    with closing(api.open_library("deals", settings=settings, create=True)) as library:
        library.ingest(tmp_path / "deals")
    among = judged(settings, "deals")
    assert {state for state, *_ in among.values()} == {"found", "deviates", "absent", "unsure"}
    for file in (tmp_path / "deals").iterdir():
        with api.temporary_library(file, settings, lambda: False) as own:
            alone = judged(own, api.TEMPORARY)
        for key, (*verdict, citation, sure, problem) in alone.items():
            citation = citation and replace(citation, library="deals")
            assert (*verdict, citation, sure, problem) == among[key], key

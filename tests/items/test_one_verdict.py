"""The same thing asked by `ask`, `survey`, `review` and `extract` gets one verdict of each document."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asking import FILLER
from fakes import ScriptedGenerator

from localrag import api
from localrag.answer import single
from localrag.answer.assistant import Assistant
from localrag.answer.reviewer import Reviewer
from localrag.events import Answered, ReviewEnded
from localrag.grounding.stages import Findings
from localrag.items import schema
from localrag.items.engine import Engine
from localrag.items.playbook import Playbook, PlaybookItem
from localrag.llm import Weighed
from localrag.settings import load_settings
from localrag.store.library import Library
from localrag.types import Answer, Filter, Message, Plan, Usage

Shelf = Callable[..., Library]
# As it is asked of all documents and of one: the first in the words of a known kind of clause, the others in no such.
QUESTIONS = (
    ("Which contracts require a party to have insurance?", "Does this contract require a party to have insurance?"),
    ("Which contracts allow dogs?", "Does this contract allow dogs?"),
    ("Which contracts are governed by the law of Ohio?", "Is this contract governed by the law of Ohio?"),
)
INSURED = "Insurance. Supplier shall maintain comprehensive general liability insurance of $1,000,000 per occurrence."
CONTRACTS = {
    "a.txt": f"{FILLER}\n\n{INSURED}",
    "b.txt": INSURED,
    "c.txt": "Insurance. Neither party is required to maintain any liability insurance under this contract.",
    "d.txt": f"{FILLER}\n\nPets. Dogs and cats may be kept with the consent of the landlord.",
    "e.txt": "Pets. Dogs are not allowed. Rent is due on the first day of each month.",
    "f.txt": f"{FILLER}\n\nPets. Dogs shall not be kept. The law of Ohio governs this contract.",
    "g.txt": FILLER,
    "h.txt": "This contract is governed by the law of Ohio. Dogs are welcome.",
    "i.txt": "This contract is governed by the law of Kansas, and not by that of Ohio.",
    "j.txt": "Rent is due on the first day of each month, by bank transfer.",
}


@dataclass(slots=True)
class Moody(ScriptedGenerator):
    """Is as sure of an option as the hash of the prompt says, so that only the same prompts get the same verdict."""

    mood: int = 0

    def weigh(self, messages: Sequence[Message], options: Sequence[str], **rest: Any) -> Iterator[Any]:
        self.prompts.append(tuple(messages))
        text = "".join(message.whole for message in messages)
        share = int.from_bytes(hashlib.sha256(f"{self.mood}{text}".encode()).digest()[:2]) / 65536
        yield Weighed((share, 1 - share), Usage(10))


def by_ask(assistant: Assistant, library: str, asked: str) -> dict[str, str]:
    opened, engine = assistant.library(library), Engine(assistant)
    found = {}
    for document in opened.documents():
        query = assistant.prepare(asked, [library], Filter(documents=(document.path,)), "auto", (), lambda: False)
        made = single.answer(query, (opened, document), Plan("retrieve", ""), engine)
        assert made.found is bool(re.match("(Yes|No):", made.answer))
        assert all((citation.marker == 1) is made.found for citation in (*made.citations, *made.nearest))
        found[document.path] = verdict(made)
    return found


def verdict(made: Answer | Findings) -> str:
    return made.answer.partition(":")[0].lower() if made.found else ""


def by_survey(assistant: Assistant, library: str, question: str) -> dict[str, str]:
    *_, last = assistant.ask(question, libraries=[library], mode="survey")
    assert isinstance(last, Answered)
    return {row["document"]: "yes" if row["found"] else row["answer"] for row in last.answer.table}


def by_review(assistant: Assistant, library: str, asked: str) -> dict[str, str]:
    book = Playbook("One", (PlaybookItem("one", asked, "yes/no"),))
    *_, ended = Reviewer(assistant).review(book, libraries=[library])
    assert isinstance(ended, ReviewEnded)
    # What a document says nothing of has no quote; a no has one, as a yes has.
    return {one.document: one.value if one.citation else "" for one in ended.findings}


def by_extract(assistant: Assistant, library: str, asked: str) -> dict[str, str]:
    given = json.dumps({"properties": {"one": {"type": "boolean", "description": asked}}})
    *_, last = Reviewer(assistant).extract(schema.parse(given), libraries=[library])
    assert isinstance(last, Answered)
    return {row["document"]: {True: "yes", False: "no", None: ""}[row["one"]] for row in last.answer.table}


def agreed(assistant: Assistant, library: str) -> list[str]:
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


def test_ask_survey_review_and_extract_find_one_verdict(models: Any, settings: Any, shelf: Shelf) -> None:
    shelf("contracts", CONTRACTS)
    with closing(Assistant(settings, Moody(script=[("", '{"quote": "no words of it"}')]))) as assistant:
        assert {*agreed(assistant, "contracts")} == {"yes", "no", ""}


def test_a_question_about_a_known_kind_of_clause_is_answered_by_this_judgement(
    models: Any, settings: Any, shelf: Shelf
) -> None:
    shelf("contracts", CONTRACTS)
    asked = QUESTIONS[0][1]
    with closing(Assistant(settings, Moody(script=[("", '{"quote": "no words of it"}')]))) as assistant:
        found = {}
        for document in CONTRACTS:
            *_, last = assistant.ask(asked, libraries=["contracts"], documents=Filter(documents=(document,)))
            assert isinstance(last, Answered) and last.answer.plan.signals["clause"] is not None
            found[document] = verdict(last.answer)
        assert found == by_ask(assistant, "contracts", asked) and {*found.values()} >= {"yes", ""}


@pytest.mark.model
def test_they_find_one_verdict_by_the_real_embedder(tmp_path: Path) -> None:
    for name, text in CONTRACTS.items():
        (tmp_path / name).write_text(text)
    settings = load_settings()
    with closing(api.open_library("contracts", settings=settings, create=True)) as library:
        library.ingest(tmp_path)
    with closing(Assistant(settings, Moody(script=[("", '{"quote": "no words of it"}')]))) as assistant:
        assert "yes" in agreed(assistant, "contracts")

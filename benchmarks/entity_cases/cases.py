"""A case of the entity suite, the texts that cases are made from, and the sets' own questions."""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

from localrag.answer.assistant import Assistant
from localrag.evaluation import datasets
from localrag.evaluation.datasets import Question
from localrag.events import Answered
from localrag.grounding.stages import Pair
from localrag.settings import Settings
from localrag.store.text_analysis import sentences
from localrag.types import Answer, Filter, Passage

SEED = 22
MUTUAL = re.compile(
    r"\b(?:each|either|both|neither|no|any|other) (?:of the )?part(?:y|ies)\b|\bthe parties\b|mutual", re.I
)


@dataclass(frozen=True, slots=True)
class Case:
    """A question with an answer, and whether it is right.

    Attributes:
        kind: what is swapped: company, period, duration, row, plan, party, role or document.
        form: how a right answer is written, or where a wrong one is swapped: question, answer, figure, comparison.
        document: what the evidence is in; its cases are in one half.
        needs: documents and words that must be among the passages.
        only: the search is narrowed to the document.
        searches: what is searched for instead of the question: the two sides of a comparison.
        known: the only answer to a question for yes or no that is not wrong, if there is one.
    """

    dataset: str
    kind: str
    form: str
    right: bool
    document: str
    question: str
    answer: str
    needs: tuple[tuple[str, str], ...] = ()
    only: bool = False
    searches: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    known: str = ""

    @property
    def half(self) -> str:
        digest = hashlib.sha256(f"{SEED} {self.dataset} {self.document}".encode()).digest()
        return "AB"[digest[0] % 2]

    def to_dict(self) -> dict[str, Any]:
        names = ("dataset", "kind", "form", "document", "half", "only", "question", "answer")
        values = {name: getattr(self, name) for name in names} | {"label": "right" if self.right else "swapped"}
        return values | {"passages": [asdict(one) for one in self.passages]}

    @property
    def has_evidence(self) -> bool:
        return all(
            any(one.document == document and words in squeezed(one.text) for one in self.passages)
            for document, words in self.needs
        )


def dice_of(document: str) -> random.Random:
    """Return the dice for a document's cases, which do not depend on the other documents."""
    return random.Random(f"{SEED} {document}")


def squeezed(text: str) -> str:
    return " ".join(text.split())


class Texts:
    """The documents of one set: their library, their pages, and what a search finds in them."""

    def __init__(self, folder: Path, settings: Settings, cache: Path | None) -> None:
        self.name = folder.name
        key = folder / "qa.jsonl"
        self.questions = datasets.load(key)
        source = datasets.source_of(key, self.questions, None)
        library = datasets.library_of(source, settings)
        if not library.folder.exists() or not library.documents():
            print(f"reading {source.folder}", file=sys.stderr)
            library.ingest(source.folder, leave_out=source.leave_out)
        library.close()
        self._library = library.name
        self._assistant = Assistant(datasets.apart(settings))
        self._passages = settings.passages
        self._file = cache / f"{self.name}.json" if cache else None
        self._found: dict[str, Any] = {}
        if self._file and self._file.exists():
            self._found = json.loads(self._file.read_text("utf-8"))
        self._new = False
        self._texts: dict[str, str] = {}

    @cached_property
    def documents(self) -> tuple[Pair, ...]:
        library = self._assistant.library(self._library)
        return tuple((library, document) for document in library.documents())

    def searched(self, case: Case) -> tuple[Pair, ...]:
        """Return the documents that a case's passages may come from."""
        return tuple(pair for pair in self.documents if not case.only or pair[1].path == case.document)

    @cached_property
    def asked(self) -> list[tuple[Question, list[str]]]:
        """The set's questions with the documents that they are about."""
        matched = datasets.match(self.questions, [document for _, document in self.documents])
        return [(one, matched.documents(one)) for one in matched.questions]

    @cached_property
    def pages(self) -> dict[str, list[str]]:
        return {document.path: [page.text for page in store.pages(document.id)] for store, document in self.documents}

    @cached_property
    def headed(self) -> dict[str, list[tuple[str, str]]]:
        """The sentences of each document with the heading before them."""
        found: dict[str, list[tuple[str, str]]] = {}
        for store, document in self.documents:
            heading, own = "", found.setdefault(document.path, [])
            for page in store.pages(document.id):
                titles = list(page.headings)
                for start, end in sentences(page.text):
                    while titles and titles[0].start <= start:
                        heading = squeezed(titles.pop(0).title)
                    own.append((heading, squeezed(page.text[start:end])))
        return found

    def text(self, document: str) -> str:
        if document not in self._texts:
            self._texts[document] = "\n".join(self.pages[document])
        return self._texts[document]

    def search(self, question: str, document: str | None = None) -> tuple[Passage, ...]:
        """Return the passages that the question finds, in one document if it is given."""
        key = f"{document or ''}\t{question}"
        if key not in self._found:
            these = Filter(these=((self._library, document),)) if document else None
            found = self._assistant.search(question, libraries=[self._library], k=self._passages, documents=these)
            self._found[key] = [{item.name: getattr(one, item.name) for item in fields(Passage)} for one in found]
            self._new = True
            if len(self._found) % 100 == 0:
                self.save()
        return tuple(
            Passage(**{**one, "heading": tuple(one["heading"]), "also": tuple(one["also"]), "signals": {}})
            for one in self._found[key]
        )

    def found(self, case: Case) -> Case | None:
        """Return the case with its passages, if its evidence is among them."""
        document = case.document if case.only else None
        found = [self.search(question, document) for question in case.searches or (case.question,)]
        ranked = [one for ranks in zip_longest(*found) for one in ranks if one is not None]
        passages = tuple({(one.document, one.page, one.start): one for one in ranked}.values())[: self._passages]
        case = replace(case, passages=passages)
        return case if case.has_evidence else None

    def ask(self, case: Case) -> Answer:
        """Have the installed model answer a case from its document (seconds)."""
        these = Filter(these=((self._library, case.document),))
        *_, last = self._assistant.ask(case.question, libraries=[self._library], documents=these)
        assert isinstance(last, Answered)
        return last.answer

    def save(self) -> None:
        if self._file and self._new:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self._found, default=dict), "utf-8")

    def close(self) -> None:
        self.save()
        self._assistant.close()


def asked_cases(texts: Texts, limit: int) -> Iterator[Case]:
    """Yield the sets' own questions with their known answers, as they are in the documents; all are right."""
    known = []
    for one, documents in texts.asked:
        answer = squeezed(one.answer).strip()
        if len(documents) != 1 or not one.answerable or one.label or "?" not in one.question:
            continue
        if not re.search(r"[^\W\d]{4}|[$%]|\d.*\d.*\d.*\d", answer):
            continue  # too short to be found only where it belongs
        if len(answer) <= 200 and answer.rstrip(".") in squeezed(texts.text(documents[0])):
            only = texts.name not in ("tatqa", "sec10q", "examples")
            needs = ((documents[0], answer.rstrip(".")),)
            known.append(Case(texts.name, "as asked", "short", True, documents[0], one.question, answer, needs, only))
    yield from dice_of(texts.name).sample(known, min(limit, len(known)))

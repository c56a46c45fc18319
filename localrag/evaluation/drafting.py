"""Questions drafted from a person's own documents, for them to correct.

A model writes a question and an answer to a passage; code decides whether that may stand. What it cannot decide is
whether the question is a good one, or whether other passages answer it as well: every draft says `draft: true` until
somebody has looked at it.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localrag.answer import prompts
from localrag.answer.verify.quoting import locate
from localrag.errors import UsageError
from localrag.evaluation import metrics
from localrag.llm.generation import Completed, Generator
from localrag.security import storage
from localrag.store.library import Library, StoredChunk
from localrag.store.sentences import sentences
from localrag.types import Passage

_TOKENS = 160
_FEWEST_WORDS = 25  # of a passage worth a question
_LONGEST_ANSWER = 25
_QUESTION = (4, 45)
_POINTS_AT_PASSAGE = re.compile(
    r"\b(?:this|the|that|above|given|provided|following)\s+(?:\w+\s+)?"
    r"(?:passage|text|excerpt|paragraph|section above|snippet|sentence)\b|\baccording to the (?:document|text)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A question with its answer and where that stands, as the line of a dataset."""

    id: str
    question: str
    answer: str
    doc: str
    page: int | None
    evidence: str

    def to_dict(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in self.__slots__}, "draft": True}


@dataclass(slots=True)
class Tally:
    """What became of the passages tried; `dropped` counts drafts by the check that they failed."""

    kept: int = 0
    there: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def passages(library: Library, globs: Sequence[str] | None, seed: int) -> Iterator[tuple[str, StoredChunk]]:
    """Passages worth a question, each with its id: one of each document in turn, both in a seeded order.

    Raises:
        NotFoundError: the globs match no document.
    """
    chance = random.Random(seed)
    documents = library.documents(globs)
    chance.shuffle(documents)
    left: list[list[StoredChunk]] = []
    for document in documents:
        chunks = [chunk for chunk in library.chunks_of(document.id) if _worth_asking(chunk.text)]
        chance.shuffle(chunks)
        left.append(chunks)
    while any(left):
        for chunks in left:
            if chunks:
                chunk = chunks.pop()
                yield _id(chunk), chunk


def _worth_asking(text: str) -> bool:
    """Whether there is enough to read in it: tables of contents and rows of figures are mostly no words."""
    found = metrics.words(text)
    return len(found) >= _FEWEST_WORDS and sum(word.isalpha() for word in found) >= 0.6 * len(found)


def _id(chunk: StoredChunk) -> str:
    place = f"{chunk.document}\n{chunk.position}\n{chunk.start}\n{chunk.text}"
    return f"draft-{hashlib.sha256(place.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


def check(reply: str, text: str, others: Sequence[str]) -> tuple[str, str, str] | str:
    """A model's reply as question, answer and evidence (both as they stand in the text), or why it is dropped.

    Args:
        reply: JSON with question and answer.
        text: of the passage.
        others: questions that are there already.
    """
    try:
        row = json.loads(reply)
        question, answer = " ".join(row["question"].split()), row["answer"].strip(" .\n\t")
    except (ValueError, TypeError, KeyError, AttributeError):
        return "the reply was cut off"
    asked, said = metrics.words(question), metrics.words(answer)
    place = _place(answer, text) if said else None
    if place is None:
        return "the answer does not stand in the passage"
    if len(said) > _LONGEST_ANSWER or len(said) > 0.5 * len(metrics.words(text)):
        return "the answer is too long"
    if not _QUESTION[0] <= len(asked) <= _QUESTION[1] or not question.endswith(("?", "？")):
        return "it is no question"
    if _POINTS_AT_PASSAGE.search(question):
        return "the question points at the passage"
    if f" {' '.join(asked)} " in f" {' '.join(metrics.words(text))} ":
        return "the question is the passage"
    if f" {' '.join(said)} " in f" {' '.join(asked)} ":
        return "the question gives the answer away"
    if not _content(asked) & _content(metrics.words(text)):
        return "the question is about something else"
    if any(_content(asked) == _content(metrics.words(other)) for other in others):
        return "there is such a question already"
    start, end = _sentence(text, *place)
    return question, text[place[0] : place[1]], text[start:end]


def _place(words: str, text: str) -> tuple[int, int] | None:
    """Where an answer stands; in scripts without spaces between words, it may stand in the middle of a row of them."""
    place = locate(words, text)
    start = -1 if place or words.isascii() else text.find(words)
    return place or ((start, start + len(words)) if start >= 0 else None)


def _content(words: Sequence[str]) -> set[str]:
    """The words by which questions are told apart: none of the short ones, but numbers."""
    return {word for word in words if len(word) > 3 or not word.isascii() or not word.isalpha()}


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """The sentence, or the sentences, that a span lies in."""
    own = [(first, last) for first, last in sentences(text) if first < end and last > start]
    return (min(first for first, _ in own), max(last for _, last in own)) if own else (start, end)


def make(
    library: Library, generator: Generator, path: Path, *, wanted: int, seed: int = 0,
    documents: Sequence[str] | None = None, stop: Callable[[], bool] = lambda: False,
) -> Iterator[Tally]:  # fmt: skip
    """Draft questions until the file holds as many as are wanted, or no passage is left; tells of each passage tried.

    Each draft is on the disk before the next is begun. A passage that the file has a draft of is not tried again, nor
    any that came before it, so the same command goes on where it stopped.

    Raises:
        NotFoundError: the globs match no document.
        UsageError: the file holds something else.
    """
    there = _read(path)
    questions = list(there.values())
    tally = Tally(there=len(there))
    yield tally
    candidates = list(passages(library, documents, seed))
    done = max((number for number, (name, _) in enumerate(candidates, 1) if name in there), default=0)
    for name, chunk in candidates[done:]:
        if tally.there + tally.kept >= wanted or stop():
            return
        reply = _ask(generator, _passage(library.name, chunk), stop)
        if reply is None:
            return
        checked = check(reply, chunk.text, questions)
        if isinstance(checked, str):
            tally.dropped[checked] += 1
        else:
            question, answer, evidence = checked
            draft = Draft(name, question, answer, chunk.document, chunk.page, evidence)
            storage.append_line(path, json.dumps(draft.to_dict(), ensure_ascii=False))
            questions.append(question)
            tally.kept += 1
        yield tally


def _ask(generator: Generator, passage: Passage, stop: Callable[[], bool]) -> str | None:
    """The model's reply; None where it was stopped."""
    messages = prompts.draft_prompt(passage)
    for event in generator.generate(messages, max_tokens=_TOKENS, grammar=prompts.DRAFT_GRAMMAR, stop=stop):
        if isinstance(event, Completed):
            return None if event.ended == "stopped" else event.text
    return None


def _passage(library: str, chunk: StoredChunk) -> Passage:
    return Passage(
        library, chunk.document, chunk.page, chunk.label, chunk.heading, chunk.text, chunk.start, chunk.end, 0.0,
        chunk.document_id, chunk.position, unit=chunk.unit, spot=chunk.spot, header=chunk.header,
    )  # fmt: skip


def _read(path: Path) -> dict[str, str]:
    """The questions that the file holds already, by id; those that a person wrote or corrected are among them."""
    try:
        data = storage.read_bytes(path)
    except FileNotFoundError:
        return {}
    found: dict[str, str] = {}
    for number, line in enumerate(data.splitlines(), 1):
        try:
            row = json.loads(line) if line.strip() else None
            if row is not None:
                found[str(row["id"])] = str(row["question"])
        except (ValueError, KeyError, TypeError):
            if found and number == len(data.splitlines()) and not data.endswith(b"\n"):
                # Cut off by a crash; its passage is tried again.
                storage.write_bytes(path, data[: data.rindex(b"\n") + 1])
                return found
            raise UsageError(
                f"line {number} of {str(path)!r} is no question", "Give another file to --out, or mend that line."
            ) from None
    if data and not data.endswith(b"\n"):
        storage.append_line(path, "")
    return found

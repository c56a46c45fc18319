"""Draft questions from a person's own documents, for them to correct.

A model writes a question and an answer to a passage; code decides whether they may stay. Code cannot decide whether the
question is good, or whether other passages answer it too: each draft has `draft: true` until somebody reviews it.
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

from localrag.answer import prompts
from localrag.answer.verify.locate import locate
from localrag.errors import UsageError
from localrag.evaluation import metrics
from localrag.llm import Completed, Generator
from localrag.quantities import load_words
from localrag.security import storage
from localrag.store.library import Library, StoredChunk
from localrag.store.sentences import sentences
from localrag.types import Message, Passage

_WORDS = load_words("localrag.evaluation", "words.toml")["drafting"]
DRAFT_GRAMMAR: str = _WORDS["grammar"]
_TOKENS = 160
_MIN_WORDS = 25  # of a passage
_MAX_ANSWER = 25
_MIN_QUESTION, _MAX_QUESTION = 4, 45
_POINTS_AT_PASSAGE = re.compile(_WORDS["points_at_passage"], re.I)


@dataclass(slots=True)
class Tally:
    """What happened to the passages tried; `dropped` counts drafts by the check they failed."""

    kept: int = 0
    existing: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def passages(library: Library, globs: Sequence[str] | None, seed: int) -> Iterator[tuple[str, StoredChunk]]:
    """Yield passages worth a question with their draft ids, one of each document in turn, in a seeded order."""
    chance = random.Random(seed)
    documents = library.documents(globs)
    chance.shuffle(documents)
    left: list[list[StoredChunk]] = []
    for document in documents:
        chunks = []
        for chunk in library.chunks_of(document.id):
            words = metrics.words(chunk.text)
            # Tables of contents and rows of figures have too few words.
            if len(words) >= _MIN_WORDS and sum(word.isalpha() for word in words) >= 0.6 * len(words):
                chunks.append(chunk)
        chance.shuffle(chunks)
        left.append(chunks)
    while any(left):
        for chunks in left:
            if chunks:
                chunk = chunks.pop()
                place = f"{chunk.document}\n{chunk.position}\n{chunk.start}\n{chunk.text}"
                yield f"draft-{hashlib.sha256(place.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}", chunk


def check(reply: str, text: str, others: Sequence[str]) -> tuple[str, str, str] | str:
    """Return question, answer and evidence (both verbatim from the text), or the reason to drop a reply.

    `text` is the passage, `others` are the questions so far.
    """
    try:
        row = json.loads(reply)
        question, answer = " ".join(row["question"].split()), row["answer"].strip(" .\n\t")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "the reply was cut off"
    question_words, answer_words = metrics.words(question), metrics.words(answer)
    place = locate(answer, text) if answer_words else None
    if place is None and answer_words and not answer.isascii() and answer in text:
        place = text.index(answer), text.index(answer) + len(answer)  # inside a run, in scripts without spaces
    if place is None:
        return "the answer is not in the passage"
    if len(answer_words) > _MAX_ANSWER or len(answer_words) > 0.5 * len(metrics.words(text)):
        return "the answer is too long"
    if not _MIN_QUESTION <= len(question_words) <= _MAX_QUESTION or not question.endswith(("?", "？")):
        return "it is not a question"
    if _POINTS_AT_PASSAGE.search(question):
        return "the question points at the passage"
    if f" {' '.join(question_words)} " in f" {' '.join(metrics.words(text))} ":
        return "the question is the passage"
    if f" {' '.join(answer_words)} " in f" {' '.join(question_words)} ":
        return "the question gives the answer away"
    if not _content(question_words) & _content(metrics.words(text)):
        return "the question is about something else"
    if any(_content(question_words) == _content(metrics.words(other)) for other in others):
        return "there is already such a question"
    own = [(first, last) for first, last in sentences(text) if first < place[1] and last > place[0]] or [place]
    evidence = text[min(first for first, _ in own) : max(last for _, last in own)]
    return question, text[place[0] : place[1]], evidence


def _content(words: Sequence[str]) -> set[str]:
    """Return the words that tell questions apart: long ones and numbers."""
    return {word for word in words if len(word) > 3 or not word.isascii() or not word.isalpha()}


def make(
    library: Library, generator: Generator, path: Path, *, wanted: int, seed: int = 0,
    documents: Sequence[str] | None = None, stop: Callable[[], bool] = lambda: False,
) -> Iterator[Tally]:  # fmt: skip
    """Draft questions until the file holds `wanted` of them or no passage is left; yields after each passage.

    Each draft is on the disk before the next begins. The passages up to the last one with a draft in the file are not
    tried again, so the same command continues.
    """
    existing = _read(path)
    questions = list(existing.values())
    tally = Tally(existing=len(existing))
    yield tally
    candidates = list(passages(library, documents, seed))
    done = max((number for number, (name, _) in enumerate(candidates, 1) if name in existing), default=0)
    for name, chunk in candidates[done:]:
        if tally.existing + tally.kept >= wanted or stop():
            return
        reply = _ask(generator, library.name, chunk, stop)
        if reply is None:
            return
        checked = check(reply, chunk.text, questions)
        if isinstance(checked, str):
            tally.dropped[checked] += 1
        else:
            question, answer, evidence = checked
            draft = {
                "id": name, "question": question, "answer": answer, "doc": chunk.document, "page": chunk.page,
                "evidence": evidence, "draft": True,
            }  # fmt: skip
            storage.append_line(path, json.dumps(draft, ensure_ascii=False))
            questions.append(question)
            tally.kept += 1
        yield tally


def _ask(generator: Generator, library: str, chunk: StoredChunk, stop: Callable[[], bool]) -> str | None:
    """Return the model's reply, or None if it was stopped."""
    passage = Passage(
        library, chunk.document, chunk.page, chunk.label, chunk.heading, chunk.text, chunk.start, chunk.end, 0.0,
        chunk.document_id, chunk.position, unit=chunk.unit, spot=chunk.spot, header=chunk.header,
    )  # fmt: skip
    text = f"Passage of {prompts.heading(passage)}:\n\n{prompts.shown(passage)}\n\nReply with answer and question."
    messages = [Message("system", _WORDS["rules"]), Message("user", text)]
    for event in generator.generate(messages, max_tokens=_TOKENS, grammar=DRAFT_GRAMMAR, stop=stop):
        if isinstance(event, Completed):
            return None if event.ended == "stopped" else event.text
    return None


def _read(path: Path) -> dict[str, str]:
    """Return the questions in the file by id, including those that a person wrote or corrected."""
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
        except (ValueError, KeyError, TypeError, RecursionError):
            if found and number == len(data.splitlines()) and not data.endswith(b"\n"):
                # Cut off by a crash: try its passage again.
                storage.write_bytes(path, data[: data.rindex(b"\n") + 1])
                return found
            raise UsageError(
                f"line {number} of {str(path)!r} is not a question", "Give another file to --out, or correct that line."
            ) from None
    if data and not data.endswith(b"\n"):
        storage.append_line(path, "")
    return found

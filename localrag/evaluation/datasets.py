"""Questions with known answers, one JSON object a line, and the documents of a library that they are about.

Each line has `question`, `answer`, `doc`, `evidence`, `page` and `id`; `evidence` may be empty and `page` null.
It may have `answerable` (false: the documents do not say; `doc` may then be null, for all of them), `label` (the answer
is one of a few choices), `category`, `lang`, `docs` (several documents are needed) and `draft` (true: written by a
model, and nobody has looked at it yet). Others are kept as text, to choose questions by. BEIR folders are read by
beir.py.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from localrag.errors import NotFoundError, UsageError
from localrag.types import Document

_FORM = "Each line is a JSON object with question, answer, doc, evidence, page and id; see docs/evaluation.md."
# Fields of the development sets that say the same as `category`.
_CATEGORIES = ("category", "question_type", "answer_type", "label")
# What no question is chosen by.
_LONG = ("question", "answer", "evidence")
_NAMED = 12


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its known answer and where that stands; `page` is 1-based."""

    id: str
    question: str
    answer: str
    doc: str
    evidence: str = ""
    page: int | None = None
    answerable: bool = True
    label: str | None = None
    category: str = ""
    lang: str = ""
    docs: tuple[str, ...] = ()
    draft: bool = False
    # How useful each document is, where people have judged that (BEIR): pairs of a path and a grade, 0 for no use.
    grades: tuple[tuple[str, int], ...] = ()
    # All that the line says in a word, for `where`; the last one, so that it is no part of the digest.
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def documents(self) -> tuple[str, ...]:
        """All documents that the answer needs, or that do not say; empty where that is the whole library."""
        return self.docs or ((self.doc,) if self.doc else ())

    @property
    def digest(self) -> str:
        """Changes when anything that is scored does, so that an old result is not taken for a new one."""
        # Looking at a draft and leaving it as it is changes no result.
        return hashlib.sha256(repr(astuple(replace(self, draft=False))[:-1]).encode()).hexdigest()[:12]

    def field(self, name: str) -> str | None:
        """What the line says under this name, as text ("true" and "false" of a truth value); None where nothing."""
        return dict(self.fields).get(name)


def load(path: Path) -> list[Question]:
    """Read a file of questions.

    Raises:
        NotFoundError: there is no such file.
        UsageError: a line is not a question, or two have one id; the line's number is said.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise NotFoundError(f"there is no dataset {str(path)!r}", _FORM) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the dataset {str(path)!r}: {error}", _FORM) from None
    questions: list[Question] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            question = _question(json.loads(line))
        except (ValueError, TypeError) as error:
            raise UsageError(f"line {number} of {str(path)!r} is not a question: {error}", _FORM) from None
        if question.id in seen:
            first = seen[question.id]
            raise UsageError(f"lines {first} and {number} of {str(path)!r} both have the id {question.id!r}", _FORM)
        seen[question.id] = number
        questions.append(question)
    if not questions:
        raise UsageError(f"{str(path)!r} holds no questions", _FORM)
    return questions


def _question(row: Any) -> Question:
    if not isinstance(row, Mapping):
        raise TypeError("it is not a JSON object")
    page, docs, answerable = row.get("page"), row.get("docs") or (), row.get("answerable", True)
    draft = row.get("draft", False)
    if page is not None and (isinstance(page, bool) or not isinstance(page, int) or page < 1):
        raise ValueError(f"page is {page!r}, not a number from 1 or null")
    if not isinstance(docs, list | tuple) or not all(isinstance(doc, str) for doc in docs):
        raise ValueError(f"docs is {docs!r}, not a list of paths")
    if not isinstance(answerable, bool):
        raise ValueError(f"answerable is {answerable!r}, not true or false")
    if not isinstance(draft, bool):
        raise ValueError(f"draft is {draft!r}, not true or false")
    no_doc = not answerable or bool(docs)
    return Question(
        id=_text(row, "id"), question=_text(row, "question"), answer=_text(row, "answer", empty=not answerable),
        doc=_text(row, "doc", empty=no_doc), evidence=_text(row, "evidence", empty=True), page=page,
        answerable=answerable,
        label=_text(row, "label", empty=True) or None,
        category=next((found for name in _CATEGORIES if (found := _text(row, name, empty=True))), ""),
        lang=_text(row, "lang", empty=True), docs=tuple(docs), draft=draft, fields=_fields(row),
    )  # fmt: skip


def _fields(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What is said in a word or a number; whether it is answerable is always said."""
    said = {"answerable": True, **row}
    return tuple(
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in said.items()
        if name not in _LONG and isinstance(value, str | int | float)
    )


def _text(row: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    value = row.get(name)
    if value is None and empty:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{name} is {value!r}, not text" if name in row else f"it has no {name}")
    if not value.strip() and not empty:
        raise ValueError(f"{name} is empty")
    return value


# --- a sample -----------------------------------------------------------------------------------------------


def where(questions: Sequence[Question], wanted: Mapping[str, str]) -> list[Question]:
    """The questions whose lines say all of this; case does not count.

    Raises:
        UsageError: no line has a field of this name, or none with this value; what there is instead is said.
    """
    found = list(questions)
    for name, value in wanted.items():
        values = dict.fromkeys(said for question in found if (said := question.field(name)) is not None)
        if not values:
            names = sorted({name for question in found for name, _ in question.fields})
            raise UsageError(f"no question has the field {name!r}", f"There are: {', '.join(names)}.")
        found = [question for question in found if (question.field(name) or "").lower() == value.lower()]
        if not found:
            some = ", ".join(map(repr, list(values)[:_NAMED])) + (" ..." if len(values) > _NAMED else "")
            raise UsageError(f"no question has {name} = {value!r}", f"There are: {some}")
    return found


def sample(questions: Sequence[Question], limit: int | None, seed: int) -> list[Question]:
    """A seeded sample in which each category, answerable and not, has its share; in the order of the file.

    The same questions, limit and seed give the same sample, and a smaller limit a part of it: what was asked of fifty
    questions serves the first fifty of a hundred. None as limit takes all.

    Each stratum is put into a random order and spread evenly over the interval from 0 to 1, from a random start (a
    systematic sample: Cochran 1977, "Sampling Techniques", 8); the first of all are taken. A stratum so has its share
    to within one question, and on the average exactly.
    """
    if limit is None or limit >= len(questions):
        return list(questions)
    strata: dict[tuple[str, bool], list[int]] = {}
    for i, question in enumerate(questions):
        strata.setdefault((question.category, question.answerable), []).append(i)
    chance = random.Random(seed)
    places: list[tuple[float, int]] = []
    for members in strata.values():
        chance.shuffle(members)
        start = chance.random()
        places += [((at + start) / len(members), i) for at, i in enumerate(members)]
    return [questions[i] for i in sorted(i for _, i in sorted(places)[:limit])]


def sample_documents(questions: Sequence[Question], limit: int | None, seed: int) -> list[Question]:
    """The questions about a seeded sample of documents, in the order of the file; None as limit takes all.

    Where a document must be read before anything is asked of it, many questions about few documents cost less than few
    about many. Questions about several documents belong to that set of documents. A smaller limit gives a part.
    """
    about = list(dict.fromkeys(question.documents for question in questions))
    if limit is None or limit >= len(about):
        return list(questions)
    chosen = set(random.Random(seed).sample(about, len(about))[:limit])
    return [question for question in questions if question.documents in chosen]


def joined(sets: Sequence[tuple[Path, Sequence[Question]]]) -> list[Question]:
    """The questions of several files as one set, told apart by the folder of each: ids, documents and categories."""
    names = [path.resolve().parent.name for path, _ in sets]
    if len(set(names)) < len(names):
        names = [f"{name}-{path.stem}" for name, (path, _) in zip(names, sets, strict=True)]
    return [
        replace(
            question, id=f"{name}/{question.id}", category=name,
            doc=_below(path, question.doc), docs=tuple(_below(path, doc) for doc in question.docs),
        )
        for name, (path, questions) in zip(names, sets, strict=True)
        for question in questions
    ]  # fmt: skip


def _below(path: Path, doc: str) -> str:
    return f"{path.resolve().parent.name}/{_plain(doc)}" if doc else ""


# --- documents ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matched:
    """Questions whose documents are all in the library, with their paths there; the others stay aside."""

    questions: tuple[Question, ...]
    missing: tuple[Question, ...]
    paths: Mapping[str, str]

    @property
    def missing_documents(self) -> list[str]:
        return sorted({doc for question in self.missing for doc in question.documents if doc not in self.paths})

    def documents(self, question: Question) -> list[str]:
        """The paths, within the library, of the documents that a question is about."""
        return [self.paths[doc] for doc in question.documents]


def match(questions: Sequence[Question], documents: Sequence[Document]) -> Matched:
    """Find the documents of the questions in a library, which may have been read from a folder further down.

    A document is found by the end of its whole path. Where none fits, a library's path that is the end of a
    question's will do, if no other document of the questions has a claim to it.
    """
    wanted = list(dict.fromkeys(doc for question in questions for doc in question.documents))
    places = {f"{document.root}/{document.path}": document.path for document in documents}
    # By file name first: comparing every document with every question's takes minutes over ten thousand.
    named: dict[str, list[str]] = {}
    for place in places:
        named.setdefault(_name(place), []).append(place)
    paths: dict[str, str] = {}
    for doc in wanted:
        found = [places[place] for place in named.get(_name(doc), ()) if _ends(place, doc)]
        if len(found) == 1:
            paths[doc] = found[0]
    taken = set(paths.values())
    left: dict[str, list[str]] = {}
    for doc in wanted:
        if doc not in paths:
            left.setdefault(_name(doc), []).append(doc)
    for path in places.values():
        claimants = [doc for doc in left.get(_name(path), ()) if path not in taken and _ends(doc, path)]
        if len(claimants) == 1:
            paths[claimants[0]] = path
    inside: Callable[[Question], bool] = lambda question: all(doc in paths for doc in question.documents)  # noqa: E731
    return Matched(
        tuple(question for question in questions if inside(question)),
        tuple(question for question in questions if not inside(question)),
        paths,
    )


def _ends(path: str, end: str) -> bool:
    """True where a path ends with another, by whole names."""
    path, end = _plain(path), _plain(end).strip("/")
    return path == end or path.endswith(f"/{end}")


def _plain(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./").rstrip("/")


def _name(path: str) -> str:
    return _plain(path).rpartition("/")[2]

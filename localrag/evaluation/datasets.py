"""Questions with known answers, one JSON object per line; the library kept for their documents; and results.

A line has `question`, `answer`, `doc`, `evidence`, `page` and `id`; `evidence` may be empty and `page` null. Optional:
`answerable` (false: the documents do not say; `doc` may be null), `label` (the answer is one of a few choices),
`category` and `docs` (several documents are needed).
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from localrag.api import Library, library_names, open_library
from localrag.errors import NotFoundError, UsageError
from localrag.ingest.scan import root_of
from localrag.security import storage
from localrag.settings import Settings
from localrag.types import Document

_FORM = "Each line is a JSON object with question, answer, doc, evidence, page and id; see docs/evaluation.md."
# Fields that development sets use in place of `category`.
_CATEGORIES = ("category", "question_type", "answer_type", "label")
# Fields too long to select questions by.
_LONG = ("question", "answer", "evidence")
_MAX_NAMED = 12

# Settings that decide what a library contains; another value needs another library.
_INGEST_SETTINGS = ("embedder", "ocr", "ocr_languages", "archive_depth")
_GLANCE = 65_536  # bytes of a JSONL file that show whether it holds questions


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its known answer and where the answer is; `page` counts from 1."""

    id: str
    question: str
    answer: str
    doc: str
    evidence: str = ""
    page: Annotated[int, msgspec.Meta(ge=1)] | None = None
    answerable: bool = True
    label: str | None = None
    category: str = ""
    docs: tuple[str, ...] = ()
    # Every short field of the line, for `where`. Keep it last: the digest leaves it out.
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def documents(self) -> tuple[str, ...]:
        """The documents that the answer needs; empty means the whole library."""
        return self.docs or ((self.doc,) if self.doc else ())

    @property
    def digest(self) -> str:
        """A digest of everything that is scored, so that old results are not taken for new ones."""
        return hashlib.sha256(repr(astuple(self)[:-1]).encode()).hexdigest()[:12]


def load(path: Path) -> list[Question]:
    """Read a file of questions."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # JSON may hold other line ends
    except FileNotFoundError:
        raise NotFoundError(f"there is no dataset {str(path)!r}", _FORM) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the dataset {str(path)!r}: {error}", _FORM) from None
    questions: dict[str, Question] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            question = _question(json.loads(line))
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
            raise UsageError(f"line {number} of {str(path)!r} is not a question: {error}", _FORM) from None
        if question.id in questions:
            raise UsageError(f"line {number} of {str(path)!r} has the id {question.id!r} of another line", _FORM)
        questions[question.id] = question
    if not questions:
        raise UsageError(f"{str(path)!r} holds no questions", _FORM)
    return list(questions.values())


def _question(row: Any) -> Question:
    if not isinstance(row, dict):
        raise TypeError("it is not a JSON object")
    given = {name: value for name, value in row.items() if value not in (None, "") or name == "answerable"}
    category = next((given[name] for name in _CATEGORIES if name in given), "")
    found = msgspec.convert({"answer": "", "doc": "", **given, "category": category, "fields": ()}, Question)
    needed = ["id", "question", *["answer"] * found.answerable, *["doc"] * (found.answerable and not found.docs)]
    if empty := next((name for name in needed if not getattr(found, name).strip()), None):
        raise ValueError(f"it has no {empty}")
    short = tuple(
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in {"answerable": True, **row}.items()
        if name not in _LONG and isinstance(value, str | int | float)
    )
    return replace(found, fields=short)


def where(questions: Sequence[Question], wanted: Mapping[str, str]) -> list[Question]:
    """Return the questions whose fields have these values, ignoring case."""
    found = list(questions)
    for name, value in wanted.items():
        values = dict.fromkeys(own for question in found if (own := dict(question.fields).get(name)) is not None)
        if not values:
            names = sorted({name for question in found for name, _ in question.fields})
            raise UsageError(f"no question has the field {name!r}", f"There are: {', '.join(names)}.")
        found = [question for question in found if (dict(question.fields).get(name) or "").lower() == value.lower()]
        if not found:
            some = ", ".join(map(repr, list(values)[:_MAX_NAMED])) + (" ..." if len(values) > _MAX_NAMED else "")
            raise UsageError(f"no question has {name} = {value!r}", f"There are: {some}")
    return found


def sample(questions: Sequence[Question], limit: int | None, seed: int) -> list[Question]:
    """Return a seeded sample, stratified by category and answerability, in the order of the file.

    A smaller limit gives a part of a larger sample, so that results for 50 questions serve the first 50 of 100. Each
    stratum is shuffled and spread evenly over 0 to 1 from a random start (systematic sampling: Cochran 1977, "Sampling
    Techniques", 8), and the first of all are taken: each stratum has its share to within one question.
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


@dataclass(frozen=True, slots=True)
class Matched:
    """Questions whose documents are all in the library, with the paths there, and those with a missing document."""

    questions: tuple[Question, ...]
    missing: tuple[Question, ...]
    paths: Mapping[str, str]

    @property
    def missing_documents(self) -> list[str]:
        return sorted({doc for question in self.missing for doc in question.documents if doc not in self.paths})

    def documents(self, question: Question) -> list[str]:
        """Return the library paths of the documents that a question is about."""
        return [self.paths[doc] for doc in question.documents]


def match(questions: Sequence[Question], documents: Sequence[Document]) -> Matched:
    """Find the documents of the questions in a library, which may have been ingested from a subfolder.

    A document is found by the end of its full path. If none fits, a library path that is the end of a question's path
    will do, unless another document of the questions has a claim to it.
    """
    wanted = list(dict.fromkeys(doc for question in questions for doc in question.documents))
    places = {f"{document.root}/{document.path}": document.path for document in documents}
    # Group by file name: comparing every pair takes minutes for ten thousand documents.
    named: dict[str, list[str]] = {}
    for place in places:
        named.setdefault(_name(place), []).append(place)
    paths: dict[str, str] = {}
    for doc in wanted:
        found = [places[place] for place in named.get(_name(doc), ()) if _ends(place, doc)]
        if len(found) == 1:
            paths[doc] = found[0]
    taken, claims = set(paths.values()), dict[str, list[str]]()
    for doc in wanted:
        for path in {places[place] for place in named.get(_name(doc), ()) if doc not in paths} - taken:
            if _ends(doc, path):
                claims.setdefault(path, []).append(doc)
    paths |= {docs[0]: path for path, docs in claims.items() if len(docs) == 1}
    complete = [question for question in questions if all(doc in paths for doc in question.documents)]
    missing = [question for question in questions if not all(doc in paths for doc in question.documents)]
    return Matched(tuple(complete), tuple(missing), paths)


def _ends(path: str, end: str) -> bool:
    """Return whether a path ends with another, by whole names."""
    path, end = _plain(path), _plain(end).strip("/")
    return path == end or path.endswith(f"/{end}")


def _plain(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./").rstrip("/")


def _name(path: str) -> str:
    return _plain(path).rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Sample:
    """The questions to ask of a library, what was left out, and the possible answers to questions with a label."""

    library: Library
    questions: Sequence[Question]
    matched: Matched
    unanswerable: int
    choices: Sequence[str]
    within_document: bool

    def globs(self, question: Question) -> list[str] | None:
        """Return the documents to search for a question, None for all."""
        return (self.matched.documents(question) or None) if self.within_document else None

    def about(self) -> dict[str, Any]:
        """Return what a report says of the library and of what was left out."""
        missing = self.matched.missing
        left_out = {
            "not_in_library": len(missing),
            "questions_not_in_library": [question.id for question in missing],
            "documents_not_in_library": self.matched.missing_documents,
            "unanswerable": self.unanswerable,
        }
        return {
            "library": self.library.name,
            "library_folder": str(self.library.folder),
            "left_out": left_out,
            "chosen": len(self.questions),
        }


def choose(
    path: Path,
    library: Library,
    *,
    limit: int | None = None,
    seed: int = 0,
    within_document: bool = False,
    answerable_only: bool = False,
    wanted: Mapping[str, str] | None = None,
) -> Sample:
    """Choose the questions of a file that can be asked of a library. Raises NotFoundError if there is none."""
    questions = load(path)
    kept = where(questions, wanted or {})
    asked = [question for question in kept if question.answerable or not answerable_only]
    matched = match(asked, library.documents())
    if not matched.questions:
        missing = len(matched.missing_documents)
        hint = f"Ingest them first: localrag ingest {str(path.parent)!r} --name {library.name!r}"
        raise NotFoundError(f"none of the {missing} documents of {str(path)!r} is in {library.name!r}", hint)
    chosen = sample(matched.questions, limit, seed)
    choices = sorted({question.answer for question in questions if question.label})
    return Sample(library, chosen, matched, len(kept) - len(asked), choices, within_document)


# --- the library of a dataset's documents -------------------------------------------------------------------
#
# It is stored apart from the user's libraries (`<data>/evaluation/NAME`), so no ordinary question is answered from it.
# It belongs to a folder of documents and to the settings it was ingested with, and is updated at every run.


class _EvaluationSettings(Settings):
    """The same settings, with libraries in the evaluation folder."""

    __slots__ = ()

    @property
    def indexes_dir(self) -> Path:
        return self.evaluation_dir


def apart(settings: Settings) -> Settings:
    """Return settings whose libraries are those kept for evaluation."""
    return _EvaluationSettings(**{item.name: getattr(settings, item.name) for item in fields(Settings)})


@dataclass(frozen=True, slots=True)
class Source:
    """The folder of a dataset's documents, and files in it that are none."""

    folder: Path
    leave_out: frozenset[Path] = frozenset()


def source_of(
    dataset: Path, questions: Sequence[Question], documents: Path | None, other: Iterable[Path] = ()
) -> Source:
    """Return the folder of a dataset's documents, without files of questions, which would be cited as answers.

    By default it is the smallest folder that holds the named documents. `other` files, such as results, are left out.
    """
    folder = root_of(documents)[0] if documents is not None else _common_folder(dataset, questions)
    keys = [path for path in folder.rglob("*.jsonl") if _holds_questions(path)]
    # Leave out a link under its own name too, since that is how the scan finds it.
    left = {place for path in (*keys, dataset, *other) for place in (path.resolve(), path.parent.resolve() / path.name)}
    return Source(folder, frozenset(left))


def _common_folder(dataset: Path, questions: Sequence[Question]) -> Path:
    base = dataset.resolve().parent
    named = dict.fromkeys(doc for question in questions for doc in question.documents)
    # Unlike Path.is_file, it is False for a name that no file can have.
    files = (base / doc for doc in named if os.path.isfile(base / doc))  # noqa: PTH113
    there = [found for file in files if (found := file.resolve()).is_relative_to(base)]
    if not there:
        hint = "Name their folder with --documents DIR, or a library that has them with --library NAME."
        raise NotFoundError(f"the documents of {str(dataset)!r} are not below its folder", hint)
    return Path(os.path.commonpath([path.parent for path in there]))


def _holds_questions(path: Path) -> bool:
    """Return whether a file holds questions or results of an evaluation."""
    try:
        with path.open("rb") as stream:
            first = json.loads(stream.read(_GLANCE).split(b"\n", 1)[0])
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and (
        {"question", "answer", "id"} <= first.keys() or {"run", "settings"} <= first.keys()
    )


def library_of(source: Source, settings: Settings) -> Library:
    """Open the library kept for these documents and settings; it may be empty."""
    decides = [str(source.folder), *(repr(getattr(settings, name)) for name in _INGEST_SETTINGS)]
    digest = hashlib.sha256("\n".join(decides).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    legible = re.sub(r"[^\w.-]+", "-", "-".join(source.folder.parts[-2:])).strip(".-")[:60] or "documents"
    return open_library(f"{legible}-{digest}", settings=apart(settings), create=True)


def listed(settings: Settings) -> list[dict[str, Any]]:
    """Return name, folder, roots, documents and bytes of every library kept for evaluation."""
    rows = []
    for name in library_names(apart(settings)):
        with closing(open_library(name, settings=apart(settings))) as library:
            status = library.status()
        rows.append({key: status[key] for key in ("name", "folder", "roots", "documents", "bytes")})
    return rows


def forget(name: str, settings: Settings) -> None:
    """Delete a library kept for evaluation."""
    if name not in library_names(apart(settings)):
        raise NotFoundError(f"no library {name!r} is kept for evaluation", "List them: localrag eval forget")
    open_library(name, settings=apart(settings)).forget()


# --- results ------------------------------------------------------------------------------------------------
#
# JSON lines, one per question, so that an interrupted run continues. A file may hold several runs: a line with the
# settings begins each, and every result names its run, a digest of the settings. Runs with other settings are left
# alone, and a line cut off by a crash is skipped. The code is not part of the settings.

Row = Mapping[str, Any]
_RUN_HINT = "Such a file is written by: localrag eval answers DATASET --out FILE.jsonl"


class Run:
    """The results of one evaluation, in a file or in memory; `settings` is everything that decides them."""

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.id = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:12]
        self._path = path
        self._rows: dict[tuple[str, str], Row] = {}
        self._begun = False
        if path is not None and path.exists() and (data := _read(path)):
            for run in past(path):
                if run.id == self.id:
                    self._begun = True
                    self._rows = {(str(row["id"]), str(row.get("digest"))): row for row in run.rows}
            if not data.endswith(b"\n"):
                storage.append_line(path, "")  # finish a line cut off by a crash, so that it spoils no other

    def results(
        self, questions: Iterable[Question], work: Callable[[Question], Row | None], stop: Callable[[], bool]
    ) -> Iterator[Row]:
        """Yield the result of each question, made by `work` unless it is kept; ends at `stop`, or at None."""
        for question in questions:
            row = self.done(question)
            if row is None:
                made = None if stop() else work(question)
                if made is None:
                    return
                row = self.add(question, made)
            yield row

    def done(self, question: Question) -> Row | None:
        return self._rows.get((question.id, question.digest))

    def add(self, question: Question, result: Mapping[str, Any]) -> Row:
        """Keep a result; it is on the disk when this returns."""
        row = {"run": self.id, "id": question.id, "digest": question.digest, **result}
        if self._path is not None:
            begin = [] if self._begun else [{"run": self.id, "settings": self.settings}]
            self._begun = True
            for line in (*begin, row):
                storage.append_line(self._path, json.dumps(line, ensure_ascii=False))
        self._rows[question.id, question.digest] = row
        return row


@dataclass(frozen=True, slots=True)
class Past:
    """A run in a file: its settings, and its results in the order of the file; the last of a question counts."""

    id: str
    settings: Mapping[str, Any]
    rows: list[Row]


def past(path: Path) -> list[Past]:
    """Read the runs that a file holds."""
    found: dict[str, Past] = {}
    for row in filter(None, map(_parsed, _read(path).split(b"\n"))):
        run = str(row["run"])
        if isinstance(row.get("settings"), dict):
            found.setdefault(run, Past(run, row["settings"], []))
        elif run in found and "id" in row:
            found[run].rows.append(row)
    if not found:
        raise UsageError(f"{str(path)!r} holds no results of an evaluation", _RUN_HINT)
    return list(found.values())


def by_category(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the results of each category that has a name."""
    names = sorted({row["category"] for row in rows} - {""})
    return {name: [row for row in rows if row["category"] == name] for name in names}


def _read(path: Path) -> bytes:
    try:
        return storage.read_bytes(path)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {str(path)!r}", _RUN_HINT) from None
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}", _RUN_HINT) from None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and "run" in row else None

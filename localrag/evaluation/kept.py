"""Libraries kept for evaluation: the documents of a dataset, read once and brought level at every run.

They lie apart from a person's own libraries (`<data>/evaluation/NAME`), so that no question is ever answered from
them. A library belongs to a folder of documents and to the settings by which it was read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from localrag.api import Library, library_names, open_library
from localrag.errors import NotFoundError, UsageError
from localrag.evaluation import beir
from localrag.evaluation.datasets import Question
from localrag.events import IngestProgress, IngestReport
from localrag.ingest.scan import root_of
from localrag.ingest.sync import writing
from localrag.settings import Settings

# Settings that decide what a library holds; another value of one needs another library.
_OF_READING = ("embedder", "ocr", "ocr_languages", "archive_depth")
_CORPUS = "corpus"
# How much of a JSONL file is read to tell whether it holds questions.
_GLANCE = 65_536


class _Apart(Settings):
    """The same settings, with libraries in the folder of those for evaluation."""

    __slots__ = ()

    @property
    def indexes_dir(self) -> Path:
        return self.evaluation_dir


def apart(settings: Settings) -> Settings:
    return _Apart(**{item.name: getattr(settings, item.name) for item in fields(Settings)})


@dataclass(frozen=True, slots=True)
class Source:
    """Where the documents of a dataset are, and what there is none of them."""

    folder: Path
    leave_out: frozenset[Path] = frozenset()
    beir: bool = False


def source_of(
    dataset: Path, questions: Sequence[Question], documents: Path | None, other: Iterable[Path] = ()
) -> Source:
    """The folder of a dataset's documents, without the files that hold questions: they would be cited as answers.

    Args:
        dataset: the file of questions, or a BEIR folder.
        questions: of it.
        documents: a folder given by the user; without one, the smallest that holds the documents named.
        other: files that are no documents either, such as results.

    Raises:
        NotFoundError: no folder was given, and none of the documents stands below the file's own.
    """
    if beir.is_beir(dataset):
        return Source(dataset.resolve(), beir=True)
    folder = root_of(documents)[0] if documents is not None else _common(dataset, questions)
    keys = [path for path in folder.rglob("*.jsonl") if _holds_questions(path)]
    # A link is left out by its own name too: it is found under that one.
    left = {place for path in (*keys, dataset, *other) for place in (path.resolve(), path.parent.resolve() / path.name)}
    return Source(folder, frozenset(left))


def _common(dataset: Path, questions: Sequence[Question]) -> Path:
    base = dataset.resolve().parent
    named = dict.fromkeys(doc for question in questions for doc in question.documents)
    there = [found for doc in named if (found := (base / doc).resolve()).is_file() and found.is_relative_to(base)]
    if not there:
        raise NotFoundError(
            f"the documents of {str(dataset)!r} are not below its folder",
            "Name their folder with --documents DIR, or a library that has them with --library NAME.",
        )
    return Path(os.path.commonpath([path.parent for path in there]))


def _holds_questions(path: Path) -> bool:
    """True of questions, drafts and results of an evaluation."""
    try:
        with path.open("rb") as stream:
            first = json.loads(stream.read(_GLANCE).split(b"\n", 1)[0])
    except (OSError, ValueError):
        return False
    return isinstance(first, dict) and (
        {"question", "answer", "id"} <= first.keys() or {"run", "settings"} <= first.keys()
    )


def library_of(sources: Sequence[Source], settings: Settings) -> Library:
    """The library kept for the documents of all these and for these settings; the first `bring_level` makes it."""
    folders = [str(source.folder) for source in sources]
    decides = [*folders, *(repr(getattr(settings, name)) for name in _OF_READING)]
    digest = hashlib.sha256("\n".join(decides).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    parts = [part for source in sources for part in source.folder.parts[-1 if source.beir else -2 :]]
    legible = re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip(".-")[:60] or "documents"
    return open_library(f"{legible}-{digest}", settings=apart(settings), create=True)


def bring_level(
    library: Library, source: Source, *, writing_corpus: Callable[[int], None] = lambda done: None,
    progress: Callable[[IngestProgress], None] | None = None, stop: Callable[[], bool] = lambda: False,
    on_wait: Callable[[str], None] | None = None,
) -> IngestReport:  # fmt: skip
    """Read what is new or changed among the documents, drop what is gone.

    Raises:
        Cancelled: `stop` said so while a corpus was written. A stop later gives a report that is not complete.
    """
    folder = source.folder
    if source.beir:
        folder = library.folder / _CORPUS
        with writing(library.folder, library.name, on_wait=on_wait):
            beir.write_corpus(source.folder, folder, progress=writing_corpus, stop=stop)
    # The corpus is ours, so what is gone there is meant to be gone; a user's folder may be a share that is not mounted.
    return library.ingest(
        folder, prune=source.beir, leave_out=source.leave_out, progress=progress, stop=stop, on_wait=on_wait
    )  # fmt: skip


def listed(settings: Settings) -> list[dict[str, Any]]:
    """The libraries kept, as plain values."""
    rows = []
    for name in library_names(apart(settings)):
        library = open_library(name, settings=apart(settings))
        try:
            status = library.status()
        finally:
            library.close()
        rows.append({key: status[key] for key in ("name", "folder", "roots", "documents", "bytes")})
    return rows


def forget(name: str, settings: Settings) -> None:
    """Delete one for good, with the corpus that was written out for it."""
    if name not in library_names(apart(settings)):
        raise NotFoundError(f"no library {name!r} is kept for evaluation", "List them: localrag eval libraries")
    open_library(name, settings=apart(settings)).forget()


def refuse_settings_of_reading(changed: Iterable[str]) -> None:
    """A library of the user's was read as it was read; comparing these settings on it would compare nothing.

    Raises:
        UsageError: one of these settings decides what a library holds.
    """
    for name in changed:
        if name in _OF_READING:
            raise UsageError(
                f"{name} decides how documents are read into a library, and --library names one that has been read",
                "Give the folder of documents with --documents DIR instead.",
            )

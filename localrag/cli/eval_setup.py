"""What every `localrag eval` command needs: the library, the questions to ask of it, Ctrl-C, a bar."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli.options import complete_library, print_json, shown
from localrag.settings import Settings

if TYPE_CHECKING:
    from localrag.api import Library
    from localrag.evaluation.datasets import Matched, Question
    from localrag.evaluation.kept import Source
    from localrag.evaluation.runs import Row
    from localrag.events import IngestReport

_MOST_NAMED = 5
# Settings that a search does not depend on; results are kept apart by every other one, also one that is new.
_NO_PART = frozenset((
    "home", "generator", "embedder", "sources", "passages", "prompt_tokens", "read_tokens", "answer_tokens",
    "context_tokens", "threads", "gpu_layers", "temperature", "seed", "cache_bytes", "read_seconds", "read_memory_mb",
    "read_unpacked_mb", "archive_depth", "workers", "ocr", "ocr_languages",
))  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A dataset and where its documents are to be found, as the command line has it; `parts` are those it joins."""

    dataset: Path
    questions: Sequence[Question]
    library: str | None
    documents: Path | None
    other: tuple[Path, ...] = ()
    parts: tuple[Asked, ...] = ()


def dataset_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the commands of one dataset take, in the order in which the help shows it."""
    options = [
        click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path)),
        click.option("--documents", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
                     help="The folder of the documents; else the one that holds those that the questions name."),
        click.option("-l", "--library", metavar="NAME", shell_complete=complete_library,
                     help="Ask this library instead, as it is (localrag ingest)."),
        click.option("--within-document", is_flag=True,
                     help="Look only in the documents that a question names."),
        click.option("--limit", type=click.IntRange(1), metavar="N",
                     help="A sample of N questions in which each category has its share."),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S",
                     help="Seed of the sample, of the intervals and of the tests."),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.jsonl",
                     help="Keep a result a line; questions that it holds with these settings are not asked again."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def read_dataset(
    dataset: Path, library: str | None, documents: Path | None, *, beir: bool, other: Iterable[Path | None] = ()
) -> Asked:
    """Read the questions, and refuse what does not go together."""
    from localrag.errors import UsageError
    from localrag.evaluation import beir as beir_folder
    from localrag.evaluation import datasets

    if library is not None and documents is not None:
        raise UsageError(
            f"--library {library} and --documents {str(documents)!r} were both given", "Give one of the two."
        )
    if not beir_folder.is_beir(dataset):
        found = datasets.load(dataset)
        return Asked(dataset, found, library, documents, tuple(path for path in other if path is not None))
    if not beir:
        raise UsageError(f"{str(dataset)!r} is a folder", "A BEIR folder has no answers; try: localrag eval retrieval")
    if library is not None or documents is not None:
        raise UsageError(
            f"{str(dataset)!r} is a BEIR folder, whose documents are in its corpus.jsonl",
            "Leave --library and --documents out.",
        )
    return Asked(dataset, beir_folder.load(dataset), None, None)


def read_datasets(
    paths: Sequence[Path], library: str | None, documents: Path | None, *, other: Iterable[Path | None] = ()
) -> Asked:
    """Read several files of questions as one dataset; of a folder, the qa.jsonl of each folder in it."""
    from localrag.errors import UsageError
    from localrag.evaluation import datasets

    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*/qa.jsonl")) if path.is_dir() else [path]
        if not found:
            raise UsageError(f"no folder in {str(path)!r} has a qa.jsonl", "Name the files of questions themselves.")
        files += found
    others = tuple(other)
    parts = tuple(read_dataset(file, library, documents, beir=False, other=others) for file in files)
    if len(parts) == 1:
        return parts[0]
    questions = datasets.joined([(part.dataset, part.questions) for part in parts])
    return Asked(Path(", ".join(map(str, files))), questions, library, documents, parts[0].other, parts)


# --- the library --------------------------------------------------------------------------------------------


@contextmanager
def opened(asked: Asked, settings: Settings, stop: Stop) -> Iterator[Library]:
    """The library to ask: the one named, or the one kept for these documents, brought level with them."""
    library = _named(asked.library, settings) if asked.library is not None else _kept(asked, settings, stop)
    try:
        yield library
    finally:
        library.close()


def _named(name: str, settings: Settings) -> Library:
    from localrag.api import open_library
    from localrag.errors import NotFoundError

    try:
        return open_library(name, settings=settings)
    except NotFoundError as error:
        raise NotFoundError(
            error.message,
            f"Read the dataset's documents into it first: localrag ingest FOLDER --name {name!r}; "
            "or give their folder with --documents FOLDER instead of --library.",
        ) from None


def _kept(asked: Asked, settings: Settings, stop: Stop) -> Library:
    from localrag.evaluation import kept

    sources = list(dict.fromkeys(
        kept.source_of(part.dataset, part.questions, part.documents, part.other) for part in asked.parts or (asked,)
    ))  # fmt: skip
    library = kept.library_of(sources, settings)
    click.echo(
        f"Documents: {shown(', '.join(str(source.folder) for source in sources))}, kept as {str(library.folder)!r} "
        f"(to delete it: localrag eval forget {library.name})",
        err=True,
    )
    for source in sources:
        _bring_level(library, source, stop)
    return library


def _bring_level(library: Library, source: Source, stop: Stop) -> None:
    from localrag.errors import Cancelled
    from localrag.evaluation import kept

    with bar() as update:
        report = kept.bring_level(
            library, source,
            writing_corpus=lambda done: update(done, None, "writing the corpus"),
            progress=lambda now: update(now.done, now.total or None, f"{now.stage} {now.document}"),
            stop=lambda: stop.asked, on_wait=lambda holder: click.echo(holder, err=True),
        )  # fmt: skip
    _tell(report)
    if not report.complete:
        raise Cancelled("stopped while the documents were read", "The same command goes on where it stopped.")


def _tell(report: IngestReport) -> None:
    if report.read or report.removed:
        click.echo(
            f"Read {len(report.read)} document(s) ({report.chunks} passages), {report.unchanged} unchanged, "
            f"{len(report.removed)} removed, in {report.seconds:.1f} s.",
            err=True,
        )
    for failure in report.failed[:_MOST_NAMED]:
        click.echo(shown(f"  failed: {failure.document}: {failure.reason}"), err=True)
    if len(report.failed) > _MOST_NAMED:
        click.echo(f"  and {len(report.failed) - _MOST_NAMED} more that could not be read", err=True)
    if report.kept:
        click.echo(
            f"  {len(report.kept)} files are gone, more than a fifth of them, and were kept. If they are meant to go: "
            f"localrag eval forget {report.library}",
            err=True,
        )


# --- the questions ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chosen:
    """The questions to ask, and what was left out on the way to them."""

    questions: Sequence[Question]
    matched: Matched
    choices: Sequence[str]
    unanswerable: int

    def about(self, asked: Asked, library: Library, made: Mapping[str, Any]) -> dict[str, Any]:
        """What a report says before its figures."""
        return {
            "dataset": str(asked.dataset),
            "library": library.name,
            "library_folder": str(library.folder),
            "settings": dict(made),
            "left_out": {
                "not_in_library": len(self.matched.missing),
                "questions_not_in_library": [question.id for question in self.matched.missing],
                "documents_not_in_library": self.matched.missing_documents,
                "unanswerable": self.unanswerable,
            },
            "drafts": sum(question.draft for question in self.questions),
            "chosen": len(self.questions),
        }


def choose(
    asked: Asked, library: Library, limit: int | None, seed: int, *, answerable_only: bool,
    documents_limit: int | None = None, one_document: bool = False, where: Mapping[str, str] | None = None,
) -> Chosen:  # fmt: skip
    """The questions about documents of the library; a sample of documents first, then one of questions about them."""
    from localrag.errors import NotFoundError
    from localrag.evaluation import datasets

    everything = asked.questions
    choices = sorted({question.answer for question in everything if question.label})
    kept = datasets.where(everything, where or {})
    wanted = [question for question in kept if question.answerable or not answerable_only]
    matched = datasets.match(wanted, library.documents())
    if not matched.questions:
        raise NotFoundError(
            f"none of the {len(matched.missing_documents)} documents of {str(asked.dataset)!r} is in {library.name!r}",
            f"Read them into it first: localrag ingest {str(asked.dataset.parent)!r} --name {library.name!r}",
        )
    if missing := matched.missing_documents:
        named = ", ".join(repr(shown(document)) for document in missing[:_MOST_NAMED])
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        click.echo(
            f"Left out: {len(matched.missing)} questions about {len(missing)} documents that are not in "
            f"{library.name!r}: {named}{more}.",
            err=True,
        )
    possible = [question for question in matched.questions if not one_document or len(question.documents) == 1]
    chosen = datasets.sample(datasets.sample_documents(possible, documents_limit, seed), limit, seed)
    if drafts := sum(question.draft for question in chosen):
        click.echo(
            f"{drafts} of {len(chosen)} questions are drafts that nobody has looked at (draft is true).", err=True
        )
    return Chosen(chosen, matched, choices, len(kept) - len(wanted))


def state(library: Library, settings: Settings) -> dict[str, Any]:
    """What results depend on beside the options: the library as it is now, what it is searched by, this version."""
    from localrag import __version__

    changed = {
        item.name: str(getattr(settings, item.name))  # as text, since a value may be a path
        for item in fields(Settings)
        if item.name not in _NO_PART and getattr(settings, item.name) != item.default
    }
    return {
        "library": library.name,
        "contents": library.digest(),
        "embedder": library.status()["embedder"],
        "version": __version__,
        **({"search": changed} if changed else {}),
    }


def model_state(settings: Settings, mode: str) -> dict[str, Any]:
    from localrag.llm import loading

    names = (
        "passages",
        "prompt_tokens",
        "read_tokens",
        "answer_tokens",
        "answer_form",
        "context_tokens",
        "temperature",
        "seed",
    )
    model = None if mode == "exact" else loading.generator_identity(settings)
    # Named only where they are not as ever, so that what was begun before they came can be gone on with.
    more = {
        name: getattr(settings, name)
        for name in ("think", "think_tokens", "votes", "retry")
        if getattr(settings, name) != getattr(Settings(), name)
    }
    return {"model": model, **{name: getattr(settings, name) for name in names}, **more}


# --- while it runs ------------------------------------------------------------------------------------------


class Stop:
    asked = False


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Ctrl-C sets a flag, so that no result is lost in the middle of native code; a second one is raised."""
    stop = Stop()

    def handle(signum: int, frame: object) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def bar(total: int | None = None) -> Iterator[Callable[[int, int | None, str], None]]:
    """A bar on stderr, where that is a terminal, as a function to tell what is done, of how much, and what it is."""
    if not sys.stderr.isatty():
        yield lambda done, total, words: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)

        def update(done: int, total: int | None, words: str) -> None:
            progress.update(task, completed=done, total=total, description=shown(words).replace("\n", " ")[:60])

        yield update


def gather(results: Iterable[tuple[Question, Row]], total: int) -> list[Row]:
    """All rows; on a terminal, a bar on stderr meanwhile."""
    rows: list[Row] = []
    with bar(total) as update:
        for question, row in results:
            rows.append(row)
            update(len(rows), total, question.question)
    return rows


def finish(report: Mapping[str, Any], as_json: bool, show: Callable[[Mapping[str, Any]], None], stopped: bool) -> None:
    if as_json:
        print_json({**report, "complete": not stopped})
    elif report["questions"]:
        show(report)
    if stopped:
        click.echo(f"Stopped after {report['questions']} of {report['chosen']} questions.", err=True)
        sys.exit(130)

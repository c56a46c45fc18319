"""`localrag eval`: measure retrieval and answers on questions with known answers."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli.options import complete_library, json_option, print_json, shown
from localrag.settings import Settings, load_settings
from localrag.types import MODES, Mode

if TYPE_CHECKING:
    from localrag.api import Library
    from localrag.evaluation.datasets import Matched, Question
    from localrag.evaluation.runs import Row


@click.group("eval")
def eval_command() -> None:
    """Measure retrieval and answers on questions with known answers.

    DATASET.jsonl holds a question a line: question, answer, doc (a path), evidence, page and id; docs/evaluation.md
    tells the whole form. Its documents are read into a library beforehand: localrag ingest FOLDER --name NAME.
    """


def dataset_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What both commands take, in the order in which the help shows it."""
    options = [
        click.argument("dataset", metavar="DATASET.jsonl", type=click.Path(path_type=Path)),
        click.option("-l", "--library", metavar="NAME", required=True, shell_complete=complete_library,
                     help="The library that the documents were read into (localrag ingest)."),
        click.option("--within-document", is_flag=True,
                     help="Look only in the documents that a question names."),
        click.option("--limit", type=click.IntRange(1), metavar="N",
                     help="A sample of N questions in which each category has its share."),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S",
                     help="Seed of the sample and of the intervals."),
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.jsonl",
                     help="Keep a result a line; questions that it holds with these settings are not asked again."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@eval_command.command(
    "retrieval",
    epilog="""\b
Examples:
  localrag ingest examples --name examples
  localrag eval retrieval examples/qa.jsonl --library examples
  localrag eval retrieval qa.jsonl --library contracts --within-document --limit 200 --out misses.jsonl""",
)
@dataset_options
@click.option("-k", "k", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many passages.")
@json_option
def retrieval_command(
    dataset: Path, library: str, within_document: bool, limit: int | None, seed: int, out: Path | None, k: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Is the right document, page and text among the passages found?

    Prints the share of questions for which it is, by depth, with 95 % intervals. Questions that the documents do not
    answer are left out. No model that answers is loaded.
    """
    from localrag.evaluation import retrieval
    from localrag.evaluation.runs import Run

    settings = load_settings()
    with _opened(library, settings) as opened:
        chosen = _choose(dataset, opened, limit, seed, answerable_only=True)
        made = {"measure": "retrieval", "k": k, "within_document": within_document, **_state(opened)}
        results = Run(out, made)
        with _interruptible() as stop:
            rows = _gather(
                retrieval.run(
                    chosen.questions, chosen.matched, opened, results, k=k, within_document=within_document,
                    stop=lambda: stop.asked,
                ),
                len(chosen.questions),
            )  # fmt: skip
    report = {**_about(dataset, library, made, chosen), **retrieval.summarize(rows, k, seed)}
    _finish(report, as_json, _print_retrieval, stop.asked)


@eval_command.command(
    "answers",
    epilog="""\b
Examples:
  localrag eval answers examples/qa.jsonl --library examples --limit 10
  localrag eval answers qa.jsonl --library contracts --within-document --out answers.jsonl
  localrag eval answers qa.jsonl --library contracts --mode retrieve --json | jq .figures""",
)
@dataset_options
@click.option("--mode", type=click.Choice(MODES), default="auto", show_default=True, help="How to look it up.")
@click.option("--model", "generator", metavar="ID", help="Answer with this installed model.")
@json_option
def answers_command(
    dataset: Path, library: str, within_document: bool, limit: int | None, seed: int, out: Path | None, mode: Mode,
    generator: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Are the answers right, and do their quotes stand in the documents?

    Counts what was answered and declined, compares words and numbers with the known answer, citations with the known
    place, and every quote with the stored text. Seconds to minutes a question; Ctrl-C keeps what is done, and the
    same command with the same --out goes on.
    """
    from localrag.assistant import Assistant
    from localrag.evaluation import answers
    from localrag.evaluation.runs import Run

    settings = load_settings().with_options(generator=generator)
    with _opened(library, settings) as opened:
        chosen = _choose(dataset, opened, limit, seed, answerable_only=False)
        made = {
            "measure": "answers", "mode": mode, "within_document": within_document, **_state(opened),
            **_model_state(settings, mode),
        }  # fmt: skip
        results = Run(out, made)
        assistant = Assistant(settings)
        try:
            with _interruptible() as stop:
                rows = _gather(
                    answers.run(
                        chosen.questions, chosen.matched, opened, assistant, results, mode=mode,
                        within_document=within_document, choices=chosen.choices, stop=lambda: stop.asked,
                    ),
                    len(chosen.questions),
                )  # fmt: skip
        finally:
            assistant.close()
    report = {**_about(dataset, library, made, chosen), **answers.summarize(rows, seed)}
    _finish(report, as_json, _print_answers, stop.asked)


# --- what is asked, of what ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chosen:
    """The questions to ask, and what was left out on the way to them."""

    questions: Sequence[Question]
    matched: Matched
    choices: Sequence[str]
    unanswerable: int


@contextmanager
def _opened(name: str, settings: Settings) -> Iterator[Library]:
    from localrag.api import open_library
    from localrag.errors import NotFoundError

    try:
        library = open_library(name, settings=settings)
    except NotFoundError as error:
        raise NotFoundError(
            error.message, f"Read the dataset's documents into it first: localrag ingest FOLDER --name {name!r}"
        ) from None
    try:
        yield library
    finally:
        library.close()


def _choose(dataset: Path, library: Library, limit: int | None, seed: int, *, answerable_only: bool) -> _Chosen:
    from localrag.errors import NotFoundError
    from localrag.evaluation import datasets

    everything = datasets.load(dataset)
    choices = sorted({question.answer for question in everything if question.label})
    asked = [question for question in everything if question.answerable or not answerable_only]
    matched = datasets.match(asked, library.documents())
    if not matched.questions:
        raise NotFoundError(
            f"none of the {len(matched.missing_documents)} documents of {str(dataset)!r} is in {library.name!r}",
            f"Read them into it first: localrag ingest {str(dataset.parent)!r} --name {library.name!r}",
        )
    if matched.missing:
        first = matched.missing_documents[0]
        click.echo(
            f"Left out: {len(matched.missing)} questions about {len(matched.missing_documents)} documents that are "
            f"not in {library.name!r}, such as {shown(first)!r}.",
            err=True,
        )
    chosen = datasets.sample(matched.questions, limit, seed)
    return _Chosen(chosen, matched, choices, len(everything) - len(asked))


def _state(library: Library) -> dict[str, Any]:
    """What results depend on beside the options: the library as it is now, and this version."""
    from localrag import __version__

    status = library.status()
    return {
        "library": library.name,
        "generation": status["generation"],
        "embedder": status["embedder"],
        "version": __version__,
    }


def _model_state(settings: Settings, mode: Mode) -> dict[str, Any]:
    from localrag import loading

    names = ("passages", "prompt_tokens", "read_tokens", "answer_tokens", "context_tokens", "temperature", "seed")
    model = None if mode == "exact" else loading.generator_identity(settings)
    return {"model": model, **{name: getattr(settings, name) for name in names}}


def _about(dataset: Path, library: str, made: Mapping[str, Any], chosen: _Chosen) -> dict[str, Any]:
    return {
        "dataset": str(dataset),
        "library": library,
        "settings": dict(made),
        "left_out": {
            "not_in_library": len(chosen.matched.missing),
            "documents_not_in_library": chosen.matched.missing_documents,
            "unanswerable": chosen.unanswerable,
        },
        "chosen": len(chosen.questions),
    }


# --- while it runs ------------------------------------------------------------------------------------------


class _Stop:
    asked = False


@contextmanager
def _interruptible() -> Iterator[_Stop]:
    """Ctrl-C sets a flag, so that no result is lost in the middle of native code; a second one is raised."""
    stop = _Stop()

    def handle(signum: int, frame: object) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _gather(results: Iterable[tuple[Question, Row]], total: int) -> list[Row]:
    """All rows; on a terminal, a bar on stderr meanwhile."""
    if not sys.stderr.isatty():
        return [row for _, row in results]
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False))
    rows: list[Row] = []
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)
        for question, row in results:
            rows.append(row)
            progress.update(task, advance=1, description=Text(shown(question.question)[:60]).plain)
    return rows


def _finish(report: Mapping[str, Any], as_json: bool, show: Callable[[Mapping[str, Any]], None], stopped: bool) -> None:
    if as_json:
        print_json({**report, "complete": not stopped})
    elif report["questions"]:
        show(report)
    if stopped:
        click.echo(f"Stopped after {report['questions']} of {report['chosen']} questions.", err=True)
        sys.exit(130)


# --- tables -------------------------------------------------------------------------------------------------


def _print_retrieval(report: Mapping[str, Any]) -> None:
    left = report["left_out"]["unanswerable"]
    unanswerable = f" ({left} that the documents do not answer left out)" if left else ""
    click.echo(f"{report['questions']} questions{unanswerable}, 95 % intervals in brackets\n")
    names = list(next(iter(report["levels"].values())))
    _table(
        ["", "n", *names],
        [
            [level, str(figures["mrr"]["n"]), *(_interval(figures[name]) for name in names)]
            for level, figures in report["levels"].items()
        ],
    )
    if len(report["categories"]) > 1:
        depth = "recall@5" if "recall@5" in names else names[-2]
        levels = list(report["levels"])
        click.echo(f"\n{depth} by category\n")
        _table(
            ["", "n", *levels],
            [
                [name, str(own["questions"]), *(_mean(own["levels"].get(level, {}).get(depth)) for level in levels)]
                for name, own in report["categories"].items()
            ],
        )
    click.echo(f"\na search: {_seconds(report['seconds']['p50'])} (median), {_seconds(report['seconds']['p95'])} (p95)")


_MEANINGS = {
    "exact": "the known answer, word for word",
    "f1": "words shared with the known answer",
    "numeric": "all numbers of the known answer given",
    "choice": "the right choice made",
    "cited": "has a citation",
    "cited_document": "cites the right document",
    "cited_page": "cites the right page",
    "evidence": "words of the evidence quoted",
    "evidence_touched": "quotes some of the evidence",
}


def _print_answers(report: Mapping[str, Any]) -> None:
    counts, quotes, seconds = report["abstention"], report["quotes"], report["seconds"]
    failed = f", {report['failed']} failed" if report["failed"] else ""
    click.echo(f"{report['questions']} questions{failed}, 95 % intervals in brackets\n")
    _table(
        ["", "answered", "declined"],
        [
            ["has an answer", str(counts["answered_present"]), str(counts["declined_present"])],
            ["has none", str(counts["answered_absent"]), str(counts["declined_absent"])],
        ],
    )
    click.echo()
    _table(
        ["", "n", "", ""],
        [[name, str(one["n"]), _interval(one), _MEANINGS[name]] for name, one in report["figures"].items()],
    )
    if len(report["categories"]) > 1:
        click.echo("\nby category\n")
        _table(
            ["", "n", "f1", "answered", "declined", "answered, has none", "declined, has none"],
            [
                [name, str(own["questions"]), _mean(own["figures"].get("f1")), *map(str, own["abstention"].values())]
                for name, own in report["categories"].items()
            ],
        )
    click.echo(
        f"\nquotes: {quotes['verbatim']} of {quotes['shown']} stand in the document as shown, {quotes['dropped']} "
        f"left out as not found; {quotes['unsupported_sentences']} sentences without support"
    )
    click.echo(f"an answer: {_seconds(seconds['p50'])} (median), {_seconds(seconds['p95'])} (p95)")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [list(heads), *([shown(cell).replace("\n", " ") for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _interval(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _mean(figure: Mapping[str, float] | None) -> str:
    return "" if figure is None else f"{figure['mean']:.3f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "no time"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"

"""`localrag eval`: measure retrieval and answers, judge and compare answers; and `localrag calibrate`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli.options import (
    bundled,
    completes,
    json_option,
    libraries_option,
    mode_option,
    model_option,
    out_option,
)
from localrag.cli.output import Stop, bar, echo, interruptible, one_line, print_json, remarks, say, table
from localrag.errors import Cancelled, UsageError
from localrag.ingest import report as in_words
from localrag.settings import Settings, load_settings
from localrag.types import Mode

if TYPE_CHECKING:
    from localrag.api import Library
    from localrag.evaluation.datasets import Row, Run, Sample, Source
    from localrag.evaluation.judge import Match

_MAX_NAMED = 5


seed_option = click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="S",
    help="Seed of the choice and of the intervals.",
)


@dataclass(frozen=True)
class Asking:
    """The options of every command that asks a dataset."""

    documents: Path | None
    library: str | None
    within_document: bool
    limit: int | None
    seed: int
    out: Path | None


dataset_options = bundled(
    "how",
    Asking,
    click.option(
        "--documents",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="DIR",
        help="The folder of the documents; default: the smallest that holds those of DATASET.",
    ),
    libraries_option("Ask this library instead, as it is (localrag ingest).", multiple=False),
    click.option("--within-document", is_flag=True, help="Look only in the documents that a question names."),
    click.option("--limit", type=click.IntRange(1), metavar="N", help="A sample of N questions."),
    seed_option,
    out_option(
        "Keep results; questions with a result for these settings are not asked again.", "out", metavar="FILE.jsonl"
    ),
)


@contextmanager
def sampled(
    path: Path,
    how: Asking,
    settings: Settings,
    stop: Stop,
    *,
    answerable_only: bool = False,
    where: Mapping[str, str] | None = None,
) -> Iterator[Sample]:
    """Open the named library, or update the one kept for these documents; yield the questions to ask of it."""
    from localrag.api import open_library
    from localrag.evaluation import datasets

    if how.library is not None and how.documents is not None:
        raise UsageError("--library and --documents were both given", "Give one of the two.")
    if how.library is None:
        source = datasets.source_of(path, datasets.load(path), how.documents, [] if how.out is None else [how.out])
        library = datasets.library_of(source, settings)
        _update(library, source, stop)
    else:
        library = open_library(how.library, settings=settings)
    with closing(library):
        sample = datasets.choose(
            path,
            library,
            limit=how.limit,
            seed=how.seed,
            within_document=how.within_document,
            answerable_only=answerable_only,
            wanted=where,
        )
        if missing := sample.matched.missing_documents:
            count = f"{len(sample.matched.missing)} questions about {len(missing)} documents"
            say(f"Left out: {count} that are not in {library.name!r}:")
            remarks([f"  {document!r}" for document in missing], _MAX_NAMED, "--json")
        yield sample


def _update(library: Library, source: Source, stop: Stop) -> None:
    forget = f"localrag eval forget {library.name}"
    say(f"Documents: {source.folder}, kept in {str(library.folder)!r} (delete: {forget})")
    with bar() as progress:
        report = library.ingest(
            source.folder,
            leave_out=source.leave_out,
            progress=lambda now: progress(now.done, now.total or None, f"{now.stage} {now.document}"),
            stop=stop,
            on_wait=say,
        )
    if report.read or report.removed:
        say(in_words.summary(report))
        remarks([f"  {line}" for line in in_words.not_read(report)], _MAX_NAMED, "not read")
    if report.kept:
        say(f"  {len(report.kept)} files are gone; their text was kept. To drop it: {forget}")
    if not report.complete:
        raise Cancelled("stopped while reading the documents", "The same command continues.")


def state(library: Library, settings: Settings) -> dict[str, Any]:
    """Return what results depend on besides the options: the library's contents, search settings, this version."""
    from localrag import __version__

    return {
        "library": library.name,
        "contents": library.digest(),
        "embedder": library.status()["embedder"],
        "version": __version__,
        "reranker": settings.reranker and str(settings.reranker),
    }


def gather(results: Iterable[Row], total: int) -> list[Row]:
    """Return all rows, with a progress bar."""
    rows: list[Row] = []
    with bar(total) as progress:
        for row in results:
            rows.append(row)
            progress(len(rows), total, row["question"])
    return rows


Shown = Iterator[str | Iterable[Mapping[str, Any]]]


def finish(
    report: Mapping[str, Any], as_json: bool, shown: Callable[[Mapping[str, Any]], Shown], stopped: bool
) -> None:
    """Print a report: as JSON, or as lines and tables (`shown`); exit with 130 if it was stopped."""
    if as_json:
        print_json({**report, "complete": not stopped})
    for part in shown(report) if report["questions"] and not as_json else ():
        if isinstance(part, str):
            echo(part)
        elif rows := list(part):
            table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])
    if stopped:
        echo(f"Stopped after {report['questions']} of {report['chosen']} questions.", err=True)
        sys.exit(130)


def _cell(value: Any) -> str:
    """Return a figure with its interval, another value as text."""
    if isinstance(value, Mapping):
        return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
    return "" if value is None else str(value)


def _seconds(times: Mapping[str, float | None]) -> str:
    median, p95 = ("no time" if value is None else f"{value:.3g} s" for value in (times["p50"], times["p95"]))
    return f"{median} (median), {p95} (p95)"


def _by_category(report: Mapping[str, Any], figures: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Shown:
    if len(report["categories"]) > 1:
        yield "\nby category\n"
        yield ({"category": name, "n": own["questions"], **figures(own)} for name, own in report["categories"].items())


@click.group("eval")
def eval_command() -> None:
    """Measure retrieval and answers on questions with known answers.

    DATASET is a file with one question per line: question, answer, doc (a path), evidence, page and id;
    docs/evaluation.md describes it. Its documents are ingested into a library kept for evaluation; or name your own
    with --library (localrag ingest FOLDER --name NAME).
    """


@eval_command.command("retrieval")
@click.argument("dataset", type=click.Path(path_type=Path))
@dataset_options
@click.option("-k", "k", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many passages.")
@json_option
def retrieval_command(dataset: Path, how: Asking, k: int, as_json: bool) -> None:
    """Are the right document, page and text among the passages found?

    Prints the share of questions for which they are, by depth, with 95 % intervals. Leaves out questions that the
    documents do not answer. Loads no model that answers.
    """
    from localrag.evaluation import retrieval
    from localrag.evaluation.datasets import Run

    settings = load_settings()
    with interruptible() as stop, sampled(dataset, how, settings, stop, answerable_only=True) as sample:
        made = {
            "measure": "retrieval",
            "k": k,
            "within_document": how.within_document,
            **state(sample.library, settings),
        }
        rows = gather(retrieval.run(sample, Run(how.out, made), k=k, stop=stop), len(sample.questions))
        report = {
            "dataset": str(dataset),
            **sample.about(),
            "settings": made,
            **retrieval.summarize(rows, k, how.seed),
        }
    finish(report, as_json, _show_retrieval, stop.asked)


def _show_retrieval(report: Mapping[str, Any]) -> Shown:
    left, levels = report["left_out"]["unanswerable"], report["levels"]
    without = f" ({left} without an answer left out)" if left else ""
    yield f"{report['questions']} questions{without}, 95 % intervals in brackets\n"
    yield ({"found": level, "n": own["mrr"]["n"], **own} for level, own in levels.items())
    yield from _by_category(report, lambda own: {each: own["levels"].get(each, {}).get("mrr") for each in levels})
    yield f"\na search: {_seconds(report['seconds'])}"


def _where(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, sign, wanted = (part.strip() for part in value.partition("="))
        if not sign or not name:
            raise click.BadParameter(f"{value!r} does not have the form FIELD=VALUE")
        pairs[name] = wanted
    return pairs


@eval_command.command("answers")
@click.argument("dataset", type=click.Path(path_type=Path))
@dataset_options
@click.option(
    "--where",
    multiple=True,
    callback=_where,
    metavar="FIELD=VALUE",
    help="Only questions with this value in a field; may be given several times.",
)
@mode_option
@click.option("--plain", is_flag=True, help="Instead, one plain prompt over the five best passages, without checks.")
@model_option
@json_option
def answers_command(
    dataset: Path, how: Asking, where: dict[str, str], mode: Mode, plain: bool, generator: str | None, as_json: bool
) -> None:
    """Are the answers right, and do their quotes occur in the documents?

    Counts answered and declined questions, compares words and numbers with the known answer, citations with the known
    location, and every quote with the stored text. Seconds to minutes a question; Ctrl-C keeps the results, and the
    same command with the same --out continues, also with a higher --limit.
    """
    from localrag.answer.assistant import Assistant
    from localrag.evaluation import answers, datasets
    from localrag.evaluation.datasets import Run
    from localrag.llm import loading

    if plain and mode != "auto":
        raise UsageError("--plain and --mode exclude each other", "One --out keeps several runs apart.")
    settings = load_settings().with_options(generator=generator)
    with interruptible() as stop, sampled(dataset, how, settings, stop, where=where) as sample, ExitStack() as opened:
        made = _decides(sample, settings, mode, plain)
        assistant = Assistant(settings if how.library is not None else datasets.apart(settings))
        opened.enter_context(closing(assistant))
        name, stopped = sample.library.name, stop
        if plain:
            model = opened.enter_context(closing(loading.load_generator(settings)))
            ask = answers.plain_asker(assistant, model, settings, name, sample.choices, stopped)
        else:
            ask = answers.asker(assistant, name, mode, stopped)
        rows = gather(answers.run(sample, Run(how.out, made), ask, stopped), len(sample.questions))
        report = {"dataset": str(dataset), **sample.about(), "settings": made, **answers.summarize(rows, how.seed)}
    finish(report, as_json, _show_answers, stop.asked)


def _decides(sample: Sample, settings: Settings, mode: Mode, plain: bool) -> dict[str, Any]:
    """Return everything that decides the answers: results are kept apart by it."""
    from localrag.llm import calibration, loading
    from localrag.sessions.session_store import ANSWER_SETTINGS

    values = {name: getattr(settings, name) for name in ANSWER_SETTINGS - {"generator"}}  # which `model` names
    return {
        "measure": "answers",
        "mode": mode,
        "within_document": sample.within_document,
        "baseline": "plain" if plain else None,
        "model": None if mode == "exact" else loading.generator_identity(settings),
        "apart": calibration.load(settings.calibration_file, loading.generator_name(settings)).apart,
        **state(sample.library, settings),
        **values,
    }


def _show_answers(report: Mapping[str, Any]) -> Shown:
    from localrag.quantities import load_words

    counts, quotes, choices = report["abstention"], report["quotes"], report["choices"]
    failed = f", {report['failed']} failed" if report["failed"] else ""
    yield f"{report['questions']} questions{failed}, 95 % intervals in brackets\n"
    yield (
        {"": what, "answered": counts[f"answered_{key}"], "declined": counts[f"declined_{key}"]}
        for what, key in (("has an answer", "present"), ("has none", "absent"))
    )
    about = load_words("localrag.evaluation", "words.toml")["rates"]
    yield ""
    yield (
        {"figure": name, "n": one["n"], "mean": one, "": about.get(name)}
        for name, one in {**report["rates"], **report["figures"]}.items()
    )
    if choices is not None:
        yield "\nright choice, and the ones made\n"
        for name, made in choices["table"].items():
            yield one_line(f"{name}: {', '.join(f'{count} {one}' for one, count in made.items())}")
        common = choices["majority"]
        yield (
            f"\naccuracy {_cell(choices['accuracy'])}; always {common['choice']!r}: {common['accuracy']:.3f} "
            f"(difference {_cell(choices['above_majority'])})"
        )
    shown = ("right", "f1")
    yield from _by_category(
        report, lambda own: {**{figure: own["figures"].get(figure) for figure in shown}, **own["abstention"]}
    )
    flags = ", ".join(f"{count} {kind}" for kind, count in sorted(report["flags"].items())) or "none"
    yield f"\nquotes: {quotes['verbatim']} of {quotes['shown']} verbatim, {quotes['dropped']} dropped"
    yield f"checks: {quotes['unsupported_sentences']} sentences without support, flags: {flags}"
    yield f"an answer: {_seconds(report['seconds'])}"


@eval_command.command("judge")
@click.argument("answers", metavar="RUN.jsonl", type=click.Path(path_type=Path))
@seed_option
@json_option
def judge_command(answers: Path, seed: int, as_json: bool) -> None:
    """Grade answers against the known ones: right, partly, wrong, declined.

    RUN.jsonl was written by `localrag eval answers --out`; each run in it is graded separately, by code, which misses
    right answers in quite other words.
    """
    from localrag.evaluation import judge

    runs = [
        {"setting": side.name, "run": side.run, **judge.summarize(list(side.answers.values()), seed)}
        for side in judge.read(answers)
    ]
    report = {"answers": str(answers), "seed": seed, "questions": sum(run["answers"] for run in runs), "runs": runs}
    finish(report, as_json, _show_grades, stopped=False)


def _show_grades(report: Mapping[str, Any]) -> Shown:
    yield f"{report['questions']} answers, 95 % intervals in brackets\n"
    yield (
        {"run": run["setting"], "answers": run["answers"], "score": run["score"], **run["grades"]}
        for run in report["runs"]
    )


@eval_command.command("arena")
@click.argument("runs", metavar="RUN.jsonl...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(1), metavar="N", help="A sample of N questions.")
@seed_option
@out_option("Keep votes; they are not asked for again.", "out", metavar="FILE.jsonl", required=True)
@json_option
def arena_command(runs: tuple[Path, ...], limit: int | None, seed: int, out: Path, as_json: bool) -> None:
    """Which way of answering is better? You judge, blind, on the same questions.

    Each RUN.jsonl was written by `localrag eval answers --out`. You see two answers to a question in random order,
    never who wrote them. Prints wins, and the share of wins with its 95 % interval.
    """
    from localrag.evaluation import judge
    from localrag.evaluation.datasets import Run

    bouts = judge.matches([side for path in runs for side in judge.read(path)], seed, limit)
    with interruptible() as stop:
        judged = list(_by_person(bouts, Run(out, {"measure": "arena", "judge": "person"}), stop))
    report = {"seed": seed, "chosen": len({bout.question for bout in bouts}), **judge.sum_up(judged, seed)}
    finish(report, as_json, _show_arena, stop.asked)


def _by_person(bouts: Sequence[Match], votes: Run, stop: Stop) -> Iterator[tuple[Match, str]]:
    """Show pairs at the terminal and yield the votes; votes cast before are not asked for again."""
    echo(f"{len(bouts)} pairs at most. 1 the first is better, 2 the second, = neither, s skip, q stop.", err=True)
    for bout in bouts:
        row = votes.done(bout.step)
        if row is None:
            if not (verdict := _vote(bout)):
                stop.asked = True
                return
            row = votes.add(bout.step, {"verdict": verdict})
        if row["verdict"] != "skipped":
            yield bout, str(row["verdict"])


def _vote(bout: Match) -> str:
    from localrag.evaluation.metrics import MARKER

    known = bout.first.known or "the documents do not say"
    echo(f"\n{bout.first.question}\n  known: {known}\n", err=True)
    for number, given in enumerate((bout.first, bout.second), 1):
        text = " ".join(MARKER.sub("", given.answer).split())  # markers would show who wrote it
        echo(f"  {number}  {text or '(nothing)'}", err=True)
    while True:
        echo("\n1, 2, =, s, q? ", err=True, nl=False)
        try:
            key = click.getchar().lower()
        except (EOFError, KeyboardInterrupt):
            key = "q"
        echo(key if key.isprintable() else "", err=True)
        if key in ("q", "\x03", "\x04", ""):
            return ""
        if key in "12=s":
            return {"1": "first", "2": "second", "=": "tie", "s": "skipped"}[key]


def _show_arena(report: Mapping[str, Any]) -> Shown:
    yield f"{report['votes']} pairs of {report['questions']} questions, 95 % intervals in brackets\n"
    yield report["pairs"]


@eval_command.command("forget")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@json_option
def forget_command(names: tuple[str, ...], as_json: bool) -> None:
    """Delete libraries kept for evaluation; without NAME, list them. The documents themselves stay."""
    from localrag.evaluation import datasets

    settings = load_settings()
    for name in names:
        datasets.forget(name, settings)
        echo(f"Deleted {name!r}.", err=True)
    if names:
        return
    rows = datasets.listed(settings)
    if as_json:
        print_json({"libraries": rows})
    elif rows:
        table(
            ["", "documents", "MB", "read from"],
            [
                [row["name"], str(row["documents"]), f"{row['bytes'] / 1e6:.1f}", ", ".join(map(str, row["roots"]))]
                for row in rows
            ],
        )
    else:
        echo("No library is kept for evaluation.", err=True)


@completes
def complete_model(ctx: click.Context) -> list[str]:
    from localrag.models.records import ModelStore

    return [model.id for model in ModelStore(load_settings()).installed("generator")]


@click.command("calibrate")
@click.argument("model", required=False, metavar="[MODEL]", shell_complete=complete_model)
@json_option
def calibrate_command(model: str | None, as_json: bool) -> None:
    """Measure when MODEL should answer.

    Asks whether short invented texts answer questions; they answer half of them. How readily the model says yes
    decides from which likelihood it answers, and whether passages can be read by themselves. Without MODEL, the one in
    use is measured. Takes a minute or two.
    """
    from localrag.evaluation import calibration_run

    settings = load_settings().with_options(generator=model)
    with interruptible() as stop, bar() as progress:
        measured = calibration_run.calibrate(
            settings,
            stop=stop,
            progress=lambda done, total: progress(done, total, "whether a text holds the answer"),
        )
    if measured is None:
        echo("Stopped; nothing was saved.", err=True)
        sys.exit(130)
    name, known = measured
    if as_json:
        print_json({"model": name, "answer_from": known.answer_from, "apart": known.apart})
        return
    echo(f"{name} answers from a likelihood of {known.answer_from} that the text holds the answer.")
    if not known.apart:
        echo("Passages are read together each time: read by themselves, it tells less well what they hold.")
    echo("Saved.")

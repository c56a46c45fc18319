"""`localrag eval`: measure retrieval and answers, judge and compare answers; and `localrag calibrate`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from localrag.cli.options import FILE, complete_library, json_option
from localrag.cli.output import Stop, bar, echo, interruptible, one_line, print_json, remarks, table
from localrag.errors import Cancelled, LocalragError, NotFoundError, UsageError
from localrag.settings import Settings, load_settings
from localrag.types import MODES, Mode

if TYPE_CHECKING:
    from localrag.api import Library
    from localrag.evaluation.arena import Match
    from localrag.evaluation.datasets import Matched, Question, Source
    from localrag.evaluation.runs import Row, Run

_MAX_NAMED = 5
# Settings that decide what is answered: results are kept apart by them.
_OF_ANSWERS = (
    "passages",
    "prompt_tokens",
    "read_tokens",
    "answer_tokens",
    "answer_form",
    "context_tokens",
    "min_confidence",
    "temperature",
    "seed",
    "think",
    "think_tokens",
    "strict",
)


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


def dataset_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of commands that ask a dataset; the command gets them as one Asking, `how`."""

    @click.option(
        "--documents",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        metavar="DIR",
        help="The folder of the documents; default: the smallest that holds those of DATASET.",
    )
    @click.option(
        "-l",
        "--library",
        metavar="NAME",
        shell_complete=complete_library,
        help="Ask this library instead, as it is (localrag ingest).",
    )
    @click.option("--within-document", is_flag=True, help="Look only in the documents that a question names.")
    @click.option("--limit", type=click.IntRange(1), metavar="N", help="A sample of N questions.")
    @seed_option
    @click.option(
        "--out",
        type=FILE,
        metavar="FILE.jsonl",
        help="Keep results; questions with a result for these settings are not asked again.",
    )
    @functools.wraps(command)
    def given(*args: Any, **others: Any) -> Any:
        how = Asking(**{field.name: others.pop(field.name) for field in fields(Asking)})
        return command(*args, how=how, **others)

    return given


@dataclass(frozen=True)
class Sample:
    """The questions to ask of a library, and what was left out."""

    dataset: Path
    how: Asking
    library: Library
    questions: Sequence[Question]
    matched: Matched
    choices: Sequence[str]
    unanswerable: int

    def about(self, made: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a report says before its figures."""
        missing = self.matched.missing
        left_out = {
            "not_in_library": len(missing),
            "questions_not_in_library": [question.id for question in missing],
            "documents_not_in_library": self.matched.missing_documents,
            "unanswerable": self.unanswerable,
        }
        return {
            "dataset": str(self.dataset),
            "library": self.library.name,
            "library_folder": str(self.library.folder),
            "settings": dict(made),
            "left_out": left_out,
            "chosen": len(self.questions),
        }


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
    questions = datasets.load(path)
    if how.library is None:
        source = datasets.source_of(path, questions, how.documents, [] if how.out is None else [how.out])
        library = datasets.library_of(source, settings)
        _update(library, source, stop)
    else:
        library = open_library(how.library, settings=settings)
    with closing(library):
        yield _choose(path, how, library, questions, answerable_only, where or {})


def _update(library: Library, source: Source, stop: Stop) -> None:
    forget = f"localrag eval forget {library.name}"
    echo(f"Documents: {one_line(str(source.folder))}, kept in {str(library.folder)!r} (delete: {forget})", err=True)
    with bar() as progress:
        report = library.ingest(
            source.folder,
            leave_out=source.leave_out,
            progress=lambda now: progress(now.done, now.total or None, f"{now.stage} {now.document}"),
            stop=lambda: stop.asked,
            on_wait=lambda holder: echo(holder, err=True),
        )
    if report.read or report.removed:
        counts = f"Read {len(report.read)} document(s), {report.unchanged} unchanged, {len(report.removed)} removed"
        echo(f"{counts}, in {report.seconds:.1f} s.", err=True)
    remarks([f"  failed: {one.document}: {one.reason}" for one in report.failed], _MAX_NAMED, "could not be read")
    if report.kept:
        echo(f"  {len(report.kept)} files are gone; their text was kept. To drop it: {forget}", err=True)
    if not report.complete:
        raise Cancelled("stopped while reading the documents", "The same command continues.")


def _choose(
    path: Path,
    how: Asking,
    library: Library,
    questions: Sequence[Question],
    answerable_only: bool,
    where: Mapping[str, str],
) -> Sample:
    from localrag.evaluation import datasets

    choices = sorted({question.answer for question in questions if question.label})
    kept = datasets.where(questions, where)
    wanted = [question for question in kept if question.answerable or not answerable_only]
    matched = datasets.match(wanted, library.documents())
    missing = matched.missing_documents
    if not matched.questions:
        hint = f"Ingest them first: localrag ingest {str(path.parent)!r} --name {library.name!r}"
        raise NotFoundError(f"none of the {len(missing)} documents of {str(path)!r} is in {library.name!r}", hint)
    if missing:
        named = ", ".join(repr(document) for document in missing[:_MAX_NAMED])
        more = f" and {len(missing) - _MAX_NAMED} more" if len(missing) > _MAX_NAMED else ""
        count = f"{len(matched.missing)} questions about {len(missing)} documents"
        echo(f"Left out: {count} that are not in {library.name!r}: {named}{more}.", err=True)
    chosen = datasets.sample(matched.questions, how.limit, how.seed)
    return Sample(path, how, library, chosen, matched, choices, len(kept) - len(wanted))


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


def gather(results: Iterable[tuple[Question, Row]], total: int) -> list[Row]:
    """Return all rows, with a progress bar."""
    rows: list[Row] = []
    with bar(total) as progress:
        for question, row in results:
            rows.append(row)
            progress(len(rows), total, question.question)
    return rows


def finish(report: Mapping[str, Any], as_json: bool, show: Callable[[Mapping[str, Any]], None], stopped: bool) -> None:
    """Print a report, and exit with 130 if it was stopped."""
    if as_json:
        print_json({**report, "complete": not stopped})
    elif report["questions"]:
        show(report)
    if stopped:
        echo(f"Stopped after {report['questions']} of {report['chosen']} questions.", err=True)
        sys.exit(130)


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
@click.option(
    "-k",
    "k",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Number of passages, or of documents where people have graded them.",
)
@json_option
def retrieval_command(dataset: Path, how: Asking, k: int, as_json: bool) -> None:
    """Are the right document, page and text among the passages found?

    Prints the share of questions for which they are, by depth, with 95 % intervals. Leaves out questions that the
    documents do not answer. Loads no model that answers.
    """
    from localrag.evaluation import retrieval
    from localrag.evaluation.runs import Run

    settings = load_settings()
    with interruptible() as stop, sampled(dataset, how, settings, stop, answerable_only=True) as sample:
        library, within = sample.library, how.within_document
        made = {"measure": "retrieval", "k": k, "within_document": within, **state(library, settings)}
        results = retrieval.run(
            sample.questions,
            sample.matched,
            library,
            Run(how.out, made),
            k=k,
            within_document=within,
            stop=lambda: stop.asked,
        )
        report = {**sample.about(made), **retrieval.summarize(gather(results, len(sample.questions)), k, how.seed)}
    finish(report, as_json, _print_retrieval, stop.asked)


def _print_retrieval(report: Mapping[str, Any]) -> None:
    left, levels = report["left_out"]["unanswerable"], report["levels"]
    without = f" ({left} without an answer left out)" if left else ""
    echo(f"{report['questions']} questions{without}, 95 % intervals in brackets\n")
    names = list(next(iter(levels.values())))
    counts = ["questions", *(str(figures[names[0]]["n"]) for figures in levels.values())]
    table(["", *levels], [counts, *([name, *(interval(own[name]) for own in levels.values())] for name in names)])
    if len(report["categories"]) > 1:
        depth = "recall@5" if "recall@5" in names else names[0]
        echo(f"\n{depth} by category\n")
        table(
            ["", "n", *levels],
            [
                [name, str(own["questions"]), *(_mean(own["levels"].get(level, {}).get(depth)) for level in levels)]
                for name, own in report["categories"].items()
            ],
        )
    echo(f"\na search: {_seconds(report['seconds'])}")


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
@click.option("--mode", type=click.Choice(MODES), default="auto", show_default=True, help="How to look it up.")
@click.option("--plain", is_flag=True, help="Instead, one plain prompt over the five best passages, without checks.")
@click.option("--model", "generator", metavar="ID", help="Answer with this installed model.")
@json_option
def answers_command(
    dataset: Path, how: Asking, where: dict[str, str], mode: Mode, plain: bool, generator: str | None, as_json: bool
) -> None:
    """Are the answers right, and do their quotes occur in the documents?

    Counts answered and declined questions, compares words and numbers with the known answer, citations with the known
    location, and every quote with the stored text. Seconds to minutes a question; Ctrl-C keeps the results, and the
    same command with the same --out continues, also with a higher --limit.
    """
    from localrag.evaluation import answers

    if plain and mode != "auto":
        raise UsageError("--plain and --mode exclude each other", "One --out keeps several runs apart.")
    settings = load_settings().with_options(generator=generator)
    with interruptible() as stop, sampled(dataset, how, settings, stop, where=where) as sample:
        made, rows = ask(sample, settings, mode, plain, stop)
        report = {**sample.about(made), **answers.summarize(rows, how.seed)}
    finish(report, as_json, _print_answers, stop.asked)


def ask(sample: Sample, settings: Settings, mode: Mode, plain: bool, stop: Stop) -> tuple[dict[str, Any], list[Row]]:
    """Ask all questions; return what decides the results, and a result for each question."""
    from localrag.answer.assistant import Assistant
    from localrag.evaluation import answers, datasets
    from localrag.evaluation.baselines import Plain
    from localrag.evaluation.runs import Run
    from localrag.llm import calibration, loading

    within = sample.how.within_document
    held = {name: getattr(settings, name) for name in _OF_ANSWERS}
    values = {name: value if isinstance(value, int | float | None) else str(value) for name, value in held.items()}
    made = {
        "measure": "answers",
        "mode": mode,
        "within_document": within,
        "baseline": "plain" if plain else None,
        "model": None if mode == "exact" else loading.generator_identity(settings),
        "apart": calibration.load(settings.calibration_file, loading.generator_name(settings)).apart,
        **state(sample.library, settings),
        **values,
    }
    assistant = Assistant(settings if sample.how.library is not None else datasets.apart(settings))
    asker: Assistant | Plain = assistant
    if plain:
        labelled = {question.question for question in sample.questions if question.label}
        asker = Plain(assistant, lambda: loading.load_generator(settings), settings, sample.choices, labelled)
    try:
        rows = gather(
            answers.run(
                sample.questions,
                sample.matched,
                sample.library,
                asker,
                Run(sample.how.out, made),
                mode=mode,
                within_document=within,
                choices=sample.choices,
                stop=lambda: stop.asked,
            ),
            len(sample.questions),
        )
    finally:
        asker.close()
        assistant.close()
    return made, rows


def _print_answers(report: Mapping[str, Any]) -> None:
    from localrag.quantities import load_words

    counts = report["abstention"]
    failed = f", {report['failed']} failed" if report["failed"] else ""
    echo(f"{report['questions']} questions{failed}, 95 % intervals in brackets\n")
    table(
        ["", "answered", "declined"],
        [
            ["has an answer", str(counts["answered_present"]), str(counts["declined_present"])],
            ["has none", str(counts["answered_absent"]), str(counts["declined_absent"])],
        ],
    )
    about = load_words("localrag.evaluation", "words.toml")["rates"]
    for figures in (report["rates"], report["figures"]):
        echo()
        rows = [[name, str(one["n"]), interval(one), about.get(name, "")] for name, one in figures.items()]
        table(["", "n", "", ""], rows)
    if (choices := report["choices"]) is not None:
        made = list(dict.fromkeys([*choices["table"], *(name for row in choices["table"].values() for name in row)]))
        echo("\nright choice, and by column the one made\n")
        table(["", *made], [[name, *(str(row.get(one, 0)) for one in made)] for name, row in choices["table"].items()])
        common, above = choices["majority"], choices["above_majority"]
        echo(
            f"\naccuracy {interval(choices['accuracy'])}; always "
            f"{common['choice']!r}: {common['accuracy']:.3f} (difference {interval(above)})"
        )
    if len(report["categories"]) > 1:
        echo("\nby category\n")
        table(
            ["", "n", "right", "f1", "answered", "declined", "answered, has none", "declined, has none"],
            [
                [
                    name,
                    str(own["questions"]),
                    _mean(own["figures"].get("right")),
                    _mean(own["figures"].get("f1")),
                    *map(str, own["abstention"].values()),
                ]
                for name, own in report["categories"].items()
            ],
        )
    quotes = report["quotes"]
    flags = ", ".join(f"{count} {kind}" for kind, count in sorted(report["flags"].items())) or "none"
    echo(f"\nquotes: {quotes['verbatim']} of {quotes['shown']} verbatim, {quotes['dropped']} dropped")
    echo(f"checks: {quotes['unsupported_sentences']} sentences without support, flags: {flags}")
    echo(f"an answer: {_seconds(report['seconds'])}")


def interval(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _mean(figure: Mapping[str, float] | None) -> str:
    return "" if figure is None else f"{figure['mean']:.3f}"


def _seconds(times: Mapping[str, float | None]) -> str:
    median, p95 = ("no time" if value is None else f"{value:.3g} s" for value in (times["p50"], times["p95"]))
    return f"{median} (median), {p95} (p95)"


@eval_command.command("judge")
@click.argument("answers", metavar="RUN.jsonl", type=click.Path(path_type=Path))
@seed_option
@json_option
def judge_command(answers: Path, seed: int, as_json: bool) -> None:
    """Grade answers against the known ones: right, partly, wrong, declined.

    RUN.jsonl was written by `localrag eval answers --out`; each run in it is graded separately, by code, which misses
    right answers in quite other words.
    """
    from localrag.evaluation import arena
    from localrag.evaluation import judge as judging

    runs = []
    for side in arena.read(answers):
        graded = [(given, judging.grade(given)) for given in side.answers.values()]
        runs.append({"setting": side.name, "run": side.run, **judging.summarize(graded, seed)})
    report = {"answers": str(answers), "seed": seed, "questions": sum(run["answers"] for run in runs), "runs": runs}
    finish(report, as_json, _print_grades, stopped=False)


def _print_grades(report: Mapping[str, Any]) -> None:
    echo(f"{report['questions']} answers, 95 % intervals in brackets\n")
    scores = [interval(run["score"]) if run["score"] else "-" for run in report["runs"]]
    table(
        ["", "answers", "score", "right", "partly", "wrong", "declined"],
        [
            [run["setting"], str(run["answers"]), score, *map(str, run["grades"].values())]
            for run, score in zip(report["runs"], scores, strict=True)
        ],
    )


@eval_command.command("arena")
@click.argument("runs", metavar="RUN.jsonl...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(1), metavar="N", help="A sample of N questions.")
@seed_option
@click.option("--out", type=FILE, metavar="FILE.jsonl", required=True, help="Keep votes; they are not asked for again.")
@json_option
def arena_command(runs: tuple[Path, ...], limit: int | None, seed: int, out: Path, as_json: bool) -> None:
    """Which way of answering is better? You judge, blind, on the same questions.

    Each RUN.jsonl was written by `localrag eval answers --out`. You see two answers to a question in random order,
    never who wrote them. Prints wins, and the share of wins with its 95 % interval.
    """
    from localrag.evaluation import arena
    from localrag.evaluation.runs import Run

    sides = arena.with_distinct_names([side for path in runs for side in arena.read(path)])
    bouts = arena.matches(sides, seed, limit)
    with interruptible() as stop:
        judged = list(_by_person(bouts, Run(out, {"measure": "arena", "judge": "person"}), stop))
    report = {"seed": seed, "chosen": len({bout.question for bout in bouts}), **arena.summarize(judged, seed)}
    finish(report, as_json, _print_arena, stop.asked)


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


def _print_arena(report: Mapping[str, Any]) -> None:
    echo(f"{report['votes']} pairs of {report['questions']} questions, 95 % intervals in brackets\n")
    table(
        ["", "", "first better", "same", "second better", "share of the first"],
        [
            [
                one["first"],
                one["second"],
                *(str(one[name]) for name in ("wins", "ties", "losses")),
                interval(one["share"]),
            ]
            for one in report["pairs"]
        ],
    )


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


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from localrag.models.store import ModelStore

    try:
        installed = ModelStore(load_settings()).installed("generator")
    except LocalragError:
        return []  # a broken settings file must not break the shell
    return [CompletionItem(model.id) for model in installed if model.id.startswith(incomplete)]


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
    from localrag.llm import calibration, loading, priority
    from localrag.models.store import ModelStore

    settings = load_settings().with_options(generator=model)
    if settings.generator_server:
        hint = "To calibrate an installed one: localrag config unset generator_server"
        raise UsageError("the model of a server is not calibrated", hint)
    chosen = ModelStore(settings).default("generator")
    with (
        interruptible() as stop,
        priority.asking(settings.questions_dir),
        closing(loading.load_generator(settings, apart=True)) as running,
        bar() as progress,
    ):
        shares = calibration_run.measure(
            running, lambda: stop.asked, lambda done, total: progress(done, total, "whether a text holds the answer")
        )
    if shares is None:
        echo("Stopped; nothing was saved.", err=True)
        sys.exit(130)
    file, weights = settings.calibration_file, chosen.sha256 + (chosen.adapter_sha256 or "")
    measured: dict[str, Any] = calibration_run.figures(shares)
    measured |= {"weights": weights, "measured": date.today().isoformat()}
    calibration.save(file, running.model, replace(calibration.load(file, running.model, weights), **measured))
    known = calibration.load(file, running.model, weights)
    if as_json:
        print_json({"model": running.model, "answer_from": known.answer_from, "apart": known.apart})
        return
    echo(f"{running.model} answers from a likelihood of {known.answer_from} that the text holds the answer.")
    if not known.apart:
        echo("Passages are read together each time: read by themselves, it tells less well what they hold.")
    echo("Saved.")

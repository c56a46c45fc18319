"""`localrag eval`: the group, and the commands `make`, `judge`, `arena` and `forget`."""

from __future__ import annotations

import random
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import eval_dataset
from localrag.cli.calibrate import complete_model
from localrag.cli.eval_dataset import finish, interval
from localrag.cli.options import FILE, complete_library, document_option, json_option
from localrag.cli.output import Stop, bar, echo, interruptible, one_line, print_json, table
from localrag.errors import NotFoundError, UsageError
from localrag.settings import Settings, load_settings

if TYPE_CHECKING:
    from localrag.evaluation.arena import Match, Side
    from localrag.evaluation.judge import Agreement, Judge

# With fewer labels of one's own, the shipped sample decides how far a judge can be trusted.
_MIN_LABELS = 30
_BASELINES = ("plain", "closed-book")


@click.group("eval")
def eval_command() -> None:
    """Measure retrieval and answers on questions with known answers.

    DATASET is a file with one question per line: question, answer, doc (a path), evidence, page and id;
    docs/evaluation.md describes it. Its documents are ingested into a library kept for evaluation; or name your own
    with --library (localrag ingest FOLDER --name NAME).
    """


eval_command.add_command(eval_dataset.retrieval_command)
eval_command.add_command(eval_dataset.answers_command)


_judge_option = click.option(
    "--judge", "--model", "judge", metavar="code|ID", default="code", show_default=True,
    shell_complete=complete_model, help="Who judges: code, or an installed model by its id.",
)  # fmt: skip


@contextmanager
def _opened_judge(name: str, settings: Settings) -> Iterator[Judge]:
    from localrag.evaluation.judge import CODE, ByCode, ByModel
    from localrag.llm import loading

    if name == CODE:
        yield ByCode()
        return
    settings = settings.with_options(generator=name)
    with closing(loading.load_generator(settings)) as model:
        yield ByModel(model, loading.generator_identity(settings).split("\n")[0][:12])


@eval_command.command("judge")
@click.argument("answers", metavar="RUN.jsonl", type=click.Path(path_type=Path))
@_judge_option
@click.option("--labels", type=FILE, metavar="FILE.jsonl",
              help='Your labels: {"id": "q1", "label": "right"}; or partly, wrong, declined.')  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Grade only a random N answers of each run.")
@eval_dataset.seed_option
@click.option("--out", type=FILE, metavar="FILE.jsonl", help="Keep grades; answers with a grade are not graded again.")
@json_option
def judge_command(
    answers: Path, judge: str, labels: Path | None, limit: int | None, seed: int, out: Path | None, as_json: bool
) -> None:
    """Grade answers against the known ones: right, partly, wrong, declined.

    RUN.jsonl was written by `localrag eval answers --out`; each run in it is graded separately. The judge sees
    question, known answer and answer, never who wrote it. The report shows how far the judge agrees with people
    (Cohen's kappa): on your labels if there are 30, else on a sample that comes with localrag. Below 0.6 the score
    decides nothing, even if the judge is a model.
    """
    from localrag.evaluation import arena
    from localrag.evaluation import judge as judging
    from localrag.evaluation.runs import Run

    settings = load_settings()
    sides = arena.read(answers)
    known = judging.labels(labels) if labels is not None else {}
    runs, pairs = [], []
    taken = [list(side.answers.values()) for side in sides]
    if limit is not None:
        taken = [random.Random(seed).sample(own, min(limit, len(own))) for own in taken]
    done, total = 0, sum(map(len, taken))
    with interruptible() as stop, _opened_judge(judge, settings) as who, bar(total) as progress:
        for side, own in zip(sides, taken, strict=True):
            results = Run(out, {"measure": "judge", "judge": who.identity, "of": side.run})
            graded = []
            for given, row in judging.run(own, who, results, stop=lambda: stop.asked):
                graded.append((given, row))
                done += 1
                progress(done, total, given.question)
                if given.id in known:
                    pairs.append((known[given.id] if given.found else "declined", str(row["grade"])))
            runs.append({"setting": side.name, "run": side.run, **judging.summarize(graded, seed)})
        trust = _agreement(who, settings, stop, seed)
    if len(pairs) >= _MIN_LABELS:
        trust = _trust("labels", judging.agreement(pairs, seed))
    report = {
        "answers": str(answers), "judge": who.name, "seed": seed, "questions": done, "chosen": total, "runs": runs,
        **trust,
    }  # fmt: skip
    finish(report, as_json, _print_grades, stop.asked)


def _agreement(judge: Judge, settings: Settings, stop: Stop, seed: int) -> dict[str, Any]:
    """Measure a judge on the shipped sample, once; the results are kept in the data folder."""
    from localrag.evaluation import judge as judging
    from localrag.evaluation.runs import Run

    path = None if judge.name == judging.CODE else settings.evaluation_dir / "judges.jsonl"
    results = Run(path, {"measure": "sample", "judge": judge.identity})
    pairs = list(judging.on_sample(judge, results, stop=lambda: stop.asked))
    return _trust("sample", judging.agreement(pairs, seed) if len(pairs) == len(judging.shipped()) else None)


def _trust(on: str, agreed: Agreement | None) -> dict[str, Any]:
    decides = agreed is not None and agreed.decides
    return {"agreement_on": on, "agreement": agreed and agreed.to_dict(), "decides": decides}


def _print_grades(report: Mapping[str, Any]) -> None:
    echo(f"Judged by {report['judge']}: {report['questions']} answers, 95 % intervals in brackets\n")
    scores = [interval(run["score"]) if run["score"] else "-" for run in report["runs"]]
    table(["", "answers", "score", "right", "partly", "wrong", "declined"], [
        [run["setting"], str(run["answers"]), score, *map(str, run["grades"].values())]
        for run, score in zip(report["runs"], scores, strict=True)
    ])  # fmt: skip
    _print_trust(report)


def _print_trust(report: Mapping[str, Any]) -> None:
    agreed = report["agreement"]
    if agreed is None:
        echo("\nThe judge's agreement with people was not measured: this decides nothing.")
        return
    whose = "your labels" if report["agreement_on"] == "labels" else "the sample that comes with localrag"
    kappa = f"kappa {agreed['kappa']:.2f} [{agreed['low']:.2f}, {agreed['high']:.2f}]"
    echo(f"\n{kappa} against {whose}, {agreed['agreed']:.0%} the same, of {agreed['n']}")
    if not report["decides"]:
        echo(f"Decides nothing: kappa is below 0.6. Do not rely on {report['judge']}; read for yourself.")


@eval_command.command("arena")
@click.argument("sides", metavar="A B... [DATASET]", nargs=-1, required=True)
@eval_dataset.dataset_options
@_judge_option
@click.option("--person", is_flag=True, help="You judge, at the terminal.")
@json_option
def arena_command(sides: tuple[str, ...], how: eval_dataset.Asking, judge: str, person: bool, as_json: bool) -> None:
    """Which way of answering is better, judged blind on the same questions?

    A side is setting=value,setting=value as in `localrag.toml`, as-it-is, plain (one plain prompt, no checks) or
    closed-book (no documents), asked of DATASET; or a file written by `localrag eval answers --out`. A judge grades
    each answer and prefers the better grade; a person sees pairs in random order. Prints wins and strengths
    (Bradley-Terry) with 95 % intervals, and how far the judge agrees with people: below 0.6 it decides nothing.
    """
    from localrag.evaluation import arena
    from localrag.evaluation.runs import Run

    if person and how.out is None:
        raise UsageError("--person was given without --out", "Your votes are kept there: --out FILE.jsonl")
    settings = load_settings()
    *parts, last = sides
    dataset = None if _is_side(last) else Path(last)
    with interruptible() as stop:
        found: list[Side] = []
        for text in parts if dataset is not None else sides:
            if stop.asked:
                break
            if Path(text).is_file():
                found += arena.read(Path(text))
            else:
                found.append(_asked(text, dataset, how, settings, stop))
        found = found if stop.asked else arena.with_distinct_names(found)
        bouts = [] if stop.asked else arena.matches(found, how.seed, how.limit)
        judged: list[tuple[Match, str]] = []
        trust = _trust("sample", None)
        if person:
            judged = list(_by_person(bouts, Run(how.out, {"measure": "arena", "judge": "person"}), stop))
        else:
            with _opened_judge(judge, settings) as who, bar(len(bouts)) as progress:
                grades = Run(how.out, {"measure": "judge", "judge": who.identity})
                for pair in arena.by_grades(bouts, who, grades, stop=lambda: stop.asked):
                    judged.append(pair)
                    progress(len(judged), len(bouts), pair[0].first.question)
                trust = _agreement(who, settings, stop, how.seed)
    report = {
        "judge": "person" if person else judge, "seed": how.seed, "chosen": len({bout.question for bout in bouts}),
        **arena.summarize(judged, found, how.seed), **trust,
    }  # fmt: skip
    finish({**report, "decides": person or report["decides"]}, as_json, _print_arena, stop.asked)


def _is_side(text: str) -> bool:
    """Return whether an argument is a side, and not the dataset that comes last."""
    from localrag.evaluation import runs

    if "=" in text or text in (*_BASELINES, "as-it-is"):
        return True
    if not Path(text).exists():
        hint = "A side is a file of answers, setting=value, as-it-is, plain or closed-book; the dataset is last."
        raise NotFoundError(f"{text!r} is neither a file nor a setting with a value", hint)
    try:
        return bool(runs.past(Path(text)))
    except UsageError:
        return False


def _asked(text: str, dataset: Path | None, how: eval_dataset.Asking, settings: Settings, stop: Stop) -> Side:
    """Ask the dataset with the settings of a side."""
    from localrag.evaluation import arena
    from localrag.evaluation.runs import Run

    if not _is_side(text):
        raise UsageError(f"{text!r} holds no answers", "The dataset is the last argument.")
    if dataset is None:
        raise UsageError("there is no dataset to ask", "Give it last: localrag eval arena A B qa.jsonl")
    first, _, rest = text.partition(",")
    baseline = first if first in _BASELINES else None
    given: dict[str, str] = {}
    for part in (rest if baseline else "" if text == "as-it-is" else text).split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if sign:
            given[name.replace("-", "_")] = value
        elif name:
            problem = f"{part!r} in {text!r} is not a setting with a value"
            raise UsageError(problem, 'Such as: "passages=8,prompt_tokens=2000"')
    echo(f"Asking: {one_line(text)}", err=True)
    settings = settings.with_options(**given)
    with eval_dataset.sampled(dataset, how, settings, stop) as sample:
        made, rows = eval_dataset.ask(sample, settings, "auto", baseline, stop)
    return arena.side_of(text, rows, Run(None, made).id)


def _by_person(bouts: Sequence[Match], votes: Any, stop: Stop) -> Iterator[tuple[Match, str]]:
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
    head = f"{report['votes']} pairs of {report['questions']} questions"
    echo(f"Judged by {report['judge']}: {head}; 95 % intervals in brackets\n")
    table(["", "", "first better", "same", "second better"], [
        [one["first"], one["second"], str(one["wins"]), str(one["ties"]), str(one["losses"])] for one in report["pairs"]
    ])  # fmt: skip
    echo()
    words = {side["side"]: side["words"] for side in report["sides"]}
    table(["", "words", "strength", "expected wins"], [
        [
            one["side"], f"{words[one['side']]:.0f}",
            f"{one['strength']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]", f"{one['beats']:.0%}",
        ]
        for one in report["strengths"]
    ])  # fmt: skip
    if report["judge"] != "person":
        _print_trust(report)


@eval_command.command("make")
@click.option("-l", "--library", metavar="NAME", required=True, shell_complete=complete_library,
              help="The library of your documents.")  # fmt: skip
@document_option
@click.option("-n", "wanted", type=click.IntRange(1), default=40, show_default=True, metavar="N",
              help="The number of questions in the file.")  # fmt: skip
@click.option("--out", type=FILE, required=True, metavar="FILE.jsonl",
              help="The file to write to; questions in it stay.")  # fmt: skip
@eval_dataset.seed_option
@click.option("--model", "generator", metavar="ID", help="Draft with this installed model.")
@json_option
def make_command(
    library: str, documents: tuple[str, ...], wanted: int, out: Path, seed: int, generator: str | None, as_json: bool
) -> None:
    """Draft questions about your own documents, for you to correct.

    The model writes a question and an answer to passages spread over the documents; those whose answer is verbatim in
    the passage are kept. Review each: correct it or delete its line, and remove "draft": true. Then measure with them:
    localrag eval retrieval FILE.jsonl --library NAME. Ctrl-C keeps the drafts, and the same command continues.
    """
    from localrag.evaluation import drafting
    from localrag.llm import loading
    from localrag.store.library import open_library

    settings = load_settings().with_options(generator=generator)
    with (
        closing(open_library(settings, library)) as source,
        closing(loading.load_generator(settings)) as model,
        interruptible() as stop,
        bar(wanted) as progress,
    ):
        for tally in drafting.make(
            source, model, out, wanted=wanted, seed=seed, documents=documents or None, stop=lambda: stop.asked
        ):
            progress(tally.existing + tally.kept, wanted, f"{sum(tally.dropped.values())} dropped")
    report = {
        "out": str(out), "library": library, "model": model.model, "questions": tally.existing + tally.kept,
        "drafted": tally.kept, "dropped": dict(tally.dropped.most_common()), "chosen": wanted,
    }  # fmt: skip
    if not as_json:
        _print_drafted(report)
    finish(report, as_json, lambda report: None, stop.asked)


def _print_drafted(report: Mapping[str, Any]) -> None:
    echo(f"Drafted {report['drafted']} questions; {report['out']!r} holds {report['questions']}.")
    for reason, count in report["dropped"].items():
        echo(f"  dropped {count}: {reason}")
    if report["questions"] < report["chosen"]:
        echo(f"  {report['chosen']} were wanted.")
    command = f"localrag eval retrieval {shlex.quote(report['out'])} --library {shlex.quote(report['library'])}"
    echo(f'Next: correct each or delete its line, remove "draft": true, then {command}')


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
        table(["", "documents", "MB", "read from"], [
            [row["name"], str(row["documents"]), f"{row['bytes'] / 1e6:.1f}", ", ".join(map(str, row["roots"]))]
            for row in rows
        ])  # fmt: skip
    else:
        echo("No library is kept for evaluation.", err=True)

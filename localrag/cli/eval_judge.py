"""`localrag eval judge`: answers graded by a rubric, with how far the judge agrees with people beside every score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import eval_setup, judge_tables
from localrag.cli.eval_report import check_form
from localrag.cli.options import json_option
from localrag.settings import Settings, load_settings

if TYPE_CHECKING:
    from localrag.cli.eval_setup import Stop
    from localrag.evaluation.agreement import Agreement
    from localrag.evaluation.arena import Side
    from localrag.evaluation.judge import Judge

# With fewer labels of one's own, the sample that comes with localrag decides whether a judge may.
LEAST_LABELS = 30
JUDGES = "judges.jsonl"


def complete_judge(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    from localrag.cli.calibrate import complete_model

    code = [click.shell_completion.CompletionItem("code")] if "code".startswith(incomplete) else []
    return [*code, *complete_model(ctx, param, incomplete)]


def judge_option(command: Any) -> Any:
    return click.option(
        "--judge", "--model", "judge", metavar="code|ID", default="code", show_default=True,
        shell_complete=complete_judge, help="Who judges: code, or an installed model by its id.",
    )(command)  # fmt: skip


@click.command(
    "judge",
    epilog="""\b
Examples:
  localrag eval answers qa.jsonl --out answers.jsonl
  localrag eval judge answers.jsonl
  localrag eval judge answers.jsonl --judge qwen2.5-coder-1.5b-instruct --out grades.jsonl
  localrag eval judge answers.jsonl --labels labels.jsonl --json | jq .agreement""",
)
@click.argument("answers", metavar="RUN.jsonl", type=click.Path(path_type=Path))
@judge_option
@click.option("--labels", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.jsonl",
              help="Labels that you gave to some of these answers: right, partly, wrong, declined.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Grade only N answers of each run, drawn by lot.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S",
              help="Seed of the lot and of the intervals.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.jsonl",
              help="Keep a grade a line; answers that it holds graded are not graded again.")  # fmt: skip
@click.option("--report", "page", type=click.Path(path_type=Path, dir_okay=False), callback=check_form, metavar="FILE",
              help="Write it as a page too (.md or .html).")  # fmt: skip
@json_option
def judge_command(
    answers: Path, judge: str, labels: Path | None, limit: int | None, seed: int, out: Path | None, page: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Grade answers against the known ones: right, partly, wrong, declined.

    RUN.jsonl was written by `localrag eval answers --out`; each run in it is graded by itself. The judge is told
    question, known answer and answer, never who wrote it. Beside the score stands how far the judge agrees with people
    (Cohen's kappa): on your labels where there are 30 of them, else on a sample that comes with localrag. Below 0.6 the
    score is shown and decides nothing. A model is not trusted for being one: its kappa says whether it may be.
    """
    from localrag.evaluation import arena
    from localrag.evaluation.agreement import labels as read_labels

    settings = load_settings()
    sides = arena.read(answers)
    known = read_labels(labels) if labels is not None else {}
    with eval_setup.interruptible() as stop, judging(judge, settings) as who:
        report: dict[str, Any] = {"answers": str(answers), "judge": who.name, "seed": seed}
        report |= _graded(sides, who, known, limit, seed, out, stop)
        sample = on_sample(who, settings, stop, seed) if not stop.asked else None
        own = report.pop("own")
        decided = own if own is not None and own.n >= LEAST_LABELS else sample
        report["sample"] = None if sample is None else sample.to_dict()
        report["labels"] = None if own is None else own.to_dict()
        report["agreement"] = None if decided is None else decided.to_dict()
        report["agreement_on"] = None if decided is None else "labels" if decided is own else "sample"
        report["decides"] = decided is not None and decided.decides
    judge_tables.write_page(report, page)
    eval_setup.finish(report, as_json, judge_tables.print_grades, stop.asked)


@contextmanager
def judging(name: str, settings: Settings) -> Iterator[Judge]:
    """The judge of this name, closed afterwards."""
    from localrag.evaluation.judge import CODE, ByCode, ByModel
    from localrag.llm import loading

    if name == CODE:
        yield ByCode()
        return
    settings = settings.with_options(generator=name)
    model = loading.load_generator(settings)
    try:
        yield ByModel(model, loading.generator_identity(settings).split("\n")[0][:12])
    finally:
        model.close()


def on_sample(judge: Judge, settings: Settings, stop: Stop, seed: int, *, pairs: bool = False) -> Agreement | None:
    """How far a judge agrees with the sample; measured once, and kept in the data folder. None where it was stopped."""
    from localrag.evaluation import agreement
    from localrag.evaluation import judge as judges
    from localrag.evaluation.runs import Run

    code = judge.name == judges.CODE
    results = Run(None if code else settings.evaluation_dir / JUDGES, {"measure": "sample", "judge": judge.identity})
    most = None if code else judges.SAMPLE_PAIRS  # a model takes seconds for each
    total = len(judges.sample_pairs(most)) if pairs else len(agreement.shipped())
    every = partial(judges.pairs_on_sample, most=most) if pairs else judges.on_sample
    found: list[tuple[str, Any]] = []
    with eval_setup.bar(total) as update:
        for one in every(judge, results, stop=lambda: stop.asked):
            found.append(one)
            update(len(found), total, f"how good a judge is {judge.name}?")
    if len(found) < total:
        return None
    return judges.of_verdicts(found, seed) if pairs else judges.of_grades(found, seed)


def _graded(
    sides: Sequence[Side], judge: Judge, known: dict[tuple[str, str, str], Any], limit: int | None, seed: int,
    out: Path | None, stop: Stop,
) -> dict[str, Any]:  # fmt: skip
    """The grades of each run, and of those that have a label, the agreement."""
    import random

    from localrag.evaluation import judge as judges
    from localrag.evaluation.agreement import label_of
    from localrag.evaluation.runs import Run

    taken = [list(side.answers.values()) for side in sides]
    if limit is not None:
        taken = [random.Random(seed).sample(answers, min(limit, len(answers))) for answers in taken]
    total, runs, pairs = sum(map(len, taken)), [], []
    with eval_setup.bar(total) as update:
        done = 0
        for side, answers in zip(sides, taken, strict=True):
            results = Run(out, {"measure": "judge", "judge": judge.identity, "of": side.run})
            graded = []
            for given, row in judges.run(answers, judge, results, stop=lambda: stop.asked):
                graded.append((given, row))
                done += 1
                update(done, total, given.question)
                label = label_of(given, known, (side.run, side.name))
                if label is not None:
                    pairs.append((label, row))
            runs.append({"setting": side.name, "run": side.run, **judges.summarize(graded, seed)})
    return {"questions": done, "chosen": total, "runs": runs, "own": judges.of_grades(pairs, seed)}

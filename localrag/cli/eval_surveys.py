"""`localrag eval surveys`: what a survey finds in each document, beside what people have labelled there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import eval_setup, eval_tables
from localrag.cli.options import complete_library, json_option
from localrag.settings import Settings, load_settings

if TYPE_CHECKING:
    from localrag.api import Library
    from localrag.cli.eval_setup import Asked, Stop
    from localrag.evaluation.runs import Row
    from localrag.evaluation.surveys import Survey


@click.command(
    "surveys",
    epilog="""\b
Examples:
  localrag eval surveys cuad/qa.jsonl --ask "Which contracts have a non-compete clause?" --category Non-Compete
  localrag eval surveys cuad/qa.jsonl --ask "Which agreements are governed by the law of Delaware?" \\
      --category "Governing Law" --holds Delaware --misses misses.md
  localrag eval surveys qa.jsonl -l leases --ask "Which leases allow pets?" --category Pets --out surveys.jsonl""",
)
@click.argument("dataset", metavar="DATASET", type=click.Path(path_type=Path))
@click.option("--ask", "questions", multiple=True, required=True, metavar="QUESTION",
              help="A question to put to every document; may be given several times.")  # fmt: skip
@click.option("--category", "categories", multiple=True, required=True, metavar="NAME",
              help="The labels that say where the answer is yes: one for each --ask, in order.")  # fmt: skip
@click.option("--holds", multiple=True, metavar="REGEX",
              help='Yes only where labelled answer or evidence match; one for each --ask, "" for any.')  # fmt: skip
@click.option("--documents", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
              help="The folder of the documents; else the one that holds those that the labels name.")  # fmt: skip
@click.option("-l", "--library", metavar="NAME", shell_complete=complete_library,
              help="Ask this library instead, as it is (localrag ingest).")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S",
              help="Seed of the intervals.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.jsonl",
              help="Keep a survey a line; what it holds with these settings is not asked again.")  # fmt: skip
@click.option("--misses", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.md",
              help="Write down the documents it was wrong about, and what it quoted.")  # fmt: skip
@click.option("--model", "generator", metavar="ID", help="Answer with this installed model.")
@json_option
def surveys_command(
    dataset: Path, questions: tuple[str, ...], categories: tuple[str, ...], holds: tuple[str, ...],
    documents: Path | None, library: str | None, seed: int, out: Path | None, misses: Path | None,
    generator: str | None, as_json: bool,
) -> None:  # fmt: skip
    """How right is a survey, against labels?

    DATASET has a line for each document and category, answerable where the document has what the category names. Asks
    each question once, as a survey of the whole library, and compares what it found in each document with its label:
    precision, recall and F1, beside the F1 of saying yes to all, and what a document costs. Seconds a document; Ctrl-C
    keeps the surveys that are finished, and the same command with the same --out goes on with the next.
    """
    from localrag.evaluation import surveys

    settings = load_settings().with_options(generator=generator)
    asked = eval_setup.read_dataset(dataset, library, documents, beir=False, other=(out, misses))
    wanted = [surveys.survey(*one, asked.questions) for one in _paired(questions, categories, holds)]
    with eval_setup.interruptible() as stop, eval_setup.opened(asked, settings, stop) as opened:
        report = _ask(asked, opened, wanted, settings, seed, out, stop)
    if misses is not None:
        _write_misses(report["surveys"], misses)
    eval_setup.finish(report, as_json, eval_tables.print_surveys, stop.asked)


def _paired(
    questions: Sequence[str], categories: Sequence[str], holds: Sequence[str]
) -> list[tuple[str, str, str]]:  # fmt: skip
    from localrag.errors import UsageError

    if len(questions) != len(categories):
        raise UsageError(
            f"--ask was given {len(questions)} times and --category {len(categories)} times",
            "Give each question the category of its labels, in the same order.",
        )
    if holds and len(holds) != len(questions):
        raise UsageError(
            f"--ask was given {len(questions)} times and --holds {len(holds)} times",
            'Give --holds once for each question, in the same order; "" takes every document that has the category.',
        )
    return list(zip(questions, categories, holds or [""] * len(questions), strict=True))


def _ask(
    asked: Asked, library: Library, wanted: Sequence[Survey], settings: Settings, seed: int, out: Path | None,
    stop: Stop,
) -> dict[str, Any]:  # fmt: skip
    from localrag.answer.assistant import Assistant
    from localrag.evaluation import kept, surveys
    from localrag.evaluation.runs import Run

    chosen = eval_setup.choose(asked, library, None, seed, answerable_only=False)
    made = {
        "measure": "surveys", **eval_setup.state(library, settings), **eval_setup.model_state(settings, "survey"),
    }  # fmt: skip
    assistant = Assistant(settings if asked.library is not None else kept.apart(settings))
    found: list[tuple[Survey, Row]] = []
    try:
        with eval_setup.bar() as update:
            for pair in surveys.run(
                wanted, library, assistant, Run(out, made), progress=update, stop=lambda: stop.asked
            ):
                found.append(pair)
    finally:
        assistant.close()
    scores = [surveys.score(one, row, surveys.labels(one, chosen.matched), seed) for one, row in found]
    about = {**chosen.about(asked, library, made), "chosen": len(wanted), "questions": len(scores)}
    return {**about, "surveys": scores}


def _write_misses(scores: Sequence[Mapping[str, Any]], path: Path) -> None:
    from localrag.evaluation import misses
    from localrag.security import storage

    storage.write_bytes(path, misses.survey_page(scores).encode("utf-8", "replace"))
    click.echo(f"{sum(len(one.get('wrong', ())) for one in scores)} documents wrong: {str(path)!r}", err=True)

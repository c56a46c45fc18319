"""`localrag eval answers`: are the answers right, and can they be checked?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import answer_tables, eval_setup
from localrag.cli.eval_report import check_form, write_report
from localrag.cli.options import json_option
from localrag.settings import Settings, load_settings
from localrag.types import MODES, Mode

if TYPE_CHECKING:
    from localrag.answer.assistant import Assistant
    from localrag.api import Library
    from localrag.cli.eval_setup import Asked, Chosen, Stop
    from localrag.evaluation.baselines import Baseline, Plain
    from localrag.evaluation.runs import Row


def _where(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, sign, wanted = (part.strip() for part in value.partition("="))
        if not sign or not name:
            raise click.BadParameter(f"{value!r} is not of the form FIELD=VALUE")
        pairs[name] = wanted
    return pairs


@click.command(
    "answers",
    epilog="""\b
Examples:
  localrag eval answers examples/qa.jsonl --limit 10
  localrag eval answers qa.jsonl --library contracts --within-document --out answers.jsonl
  localrag eval answers qa.jsonl --library contracts --mode retrieve --json | jq .figures
  localrag eval answers qa.jsonl --where answer_type=arithmetic --limit 50 --plain --out answers.jsonl
  localrag eval answers qa.jsonl --closed-book --out answers.jsonl""",
)
@eval_setup.dataset_options
@click.option("--where", multiple=True, callback=_where, metavar="FIELD=VALUE",
              help="Only questions whose lines say so; may be given several times.")  # fmt: skip
@click.option("--documents-limit", type=click.IntRange(1), metavar="N",
              help="Only questions about N documents, drawn before --limit.")  # fmt: skip
@click.option("--mode", type=click.Choice(MODES), default="auto", show_default=True, help="How to look it up.")
@click.option("--plain", is_flag=True,
              help="Instead, one plain prompt over the five best passages, without checks.")  # fmt: skip
@click.option("--closed-book", is_flag=True,
              help="Instead, the question alone: what the model merely remembers.")  # fmt: skip
@click.option("--report", "page", type=click.Path(path_type=Path, dir_okay=False), callback=check_form, metavar="FILE",
              help="Write a page (.md or .html) over all runs that --out holds.")  # fmt: skip
@click.option("--model", "generator", metavar="ID", help="Answer with this installed model.")
@json_option
def answers_command(
    dataset: Path, documents: Path | None, library: str | None, within_document: bool, limit: int | None, seed: int,
    out: Path | None, where: dict[str, str], documents_limit: int | None, mode: Mode, plain: bool, closed_book: bool,
    page: Path | None, generator: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Are the answers right, and do their quotes stand in the documents?

    Counts what was answered and declined, compares words and numbers with the known answer, citations with the known
    place, and every quote with the stored text. Seconds to minutes a question; Ctrl-C keeps what is done, and the
    same command with the same --out goes on, also with a higher --limit.
    """
    from localrag.errors import UsageError
    from localrag.evaluation import runs

    settings = load_settings().with_options(generator=generator)
    baseline = _baseline(plain, closed_book, mode)
    if page is not None and out is None:
        raise UsageError("--report was given without --out", "Give --out FILE.jsonl too: the page is made from it.")
    asked = eval_setup.read_dataset(dataset, library, documents, beir=False, other=(out, page))
    with eval_setup.interruptible() as stop, eval_setup.opened(asked, settings, stop) as opened:
        chosen = eval_setup.choose(
            asked, opened, limit, seed, answerable_only=False, documents_limit=documents_limit, where=where
        )
        report = _answer(asked, opened, chosen, settings, seed, out, mode, baseline, within_document, stop)
    if page is not None and out is not None and report["questions"]:
        write_report(runs.past(out), page, seed=seed)
    eval_setup.finish(report, as_json, answer_tables.print_answers, stop.asked)


def _baseline(plain: bool, closed_book: bool, mode: Mode) -> Baseline | None:
    from localrag.errors import UsageError

    if plain and closed_book:
        raise UsageError(
            "--plain and --closed-book were both given", "Give one of the two; one --out keeps both apart."
        )
    if (plain or closed_book) and mode != "auto":
        given = "--plain" if plain else "--closed-book"
        raise UsageError(f"--mode {mode} was given with {given}, which has a way of its own", "Leave --mode out.")
    return "plain" if plain else "closed-book" if closed_book else None


def _answer(
    asked: Asked, library: Library, chosen: Chosen, settings: Settings, seed: int, out: Path | None, mode: Mode,
    baseline: Baseline | None, within_document: bool, stop: Stop,
) -> dict[str, Any]:  # fmt: skip
    from localrag.evaluation import totals

    made, rows = ask(asked, library, chosen, settings, out, mode, baseline, within_document, stop)
    return {**chosen.about(asked, library, made), **totals.summarize(rows, seed)}


def ask(
    asked: Asked, library: Library, chosen: Chosen, settings: Settings, out: Path | None, mode: Mode,
    baseline: Baseline | None, within_document: bool, stop: Stop,
) -> tuple[dict[str, Any], list[Row]]:  # fmt: skip
    """Ask all questions; gives what decides the results, and a result for each question."""
    from localrag.answer.assistant import Assistant
    from localrag.evaluation import answers, kept
    from localrag.evaluation.runs import Run

    made = {
        "measure": "answers", "mode": mode, "within_document": within_document,
        **({"baseline": baseline} if baseline else {}),
        **eval_setup.state(library, settings), **eval_setup.model_state(settings, mode),
    }  # fmt: skip
    assistant = Assistant(settings if asked.library is not None else kept.apart(settings))
    other = _other(baseline, assistant, settings, chosen) if baseline else None
    try:
        rows = eval_setup.gather(
            answers.run(
                chosen.questions, chosen.matched, library, other or assistant, Run(out, made), mode=mode,
                within_document=within_document, choices=chosen.choices, stop=lambda: stop.asked,
            ),
            len(chosen.questions),
        )  # fmt: skip
    finally:
        if other is not None:
            other.close()
        assistant.close()
    return made, rows


def _other(baseline: Baseline, assistant: Assistant, settings: Settings, chosen: Chosen) -> Plain:
    """Who is asked in place of localrag."""
    from localrag.evaluation.baselines import ClosedBook, Plain
    from localrag.llm import loading

    kind = Plain if baseline == "plain" else ClosedBook
    labelled = {question.question for question in chosen.questions if question.label}
    return kind(assistant, lambda: loading.load_generator(settings), settings, chosen.choices, labelled)

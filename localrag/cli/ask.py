"""`localrag ask`: one question, one answer with its places."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import unlocking
from localrag.cli.options import (
    chosen_libraries,
    filter_options,
    json_option,
    keep_to_retention,
    library_option,
    print_json,
    shown,
    thought_options,
    words_of,
)
from localrag.cli.sealing import sealing_options
from localrag.cli.survey_table import Pace, print_table
from localrag.errors import UsageError
from localrag.events import Delta, Found, Notice, Planned, PromptRead, Reasoning, Replaced, Surveyed, VoteProgress
from localrag.security import sandbox
from localrag.settings import load_settings
from localrag.types import MODES, Filter, Mode

if TYPE_CHECKING:
    from localrag.api import Asking
    from localrag.events import Event
    from localrag.security.encryption.parcels import Recipients
    from localrag.settings import Settings
    from localrag.types import Answer


@click.command(
    "ask",
    epilog="""\b
Examples:
  localrag ask "When does the lease end?"
  localrag ask "What is the notice period?" --library contracts --document 'msa*.pdf'
  localrag ask "Who is the landlord?" --short
  localrag ask "Which contracts renew automatically?" --mode survey
  localrag ask "List the parties, date and term of every contract" --table contracts.csv
  localrag ask "Is the notice in 2023 longer than in 2021?" --think auto --show-thinking
  localrag ask "What is the yearly rent?" --votes 3
  localrag ask "What did we offer?" --type mail --from "jane doe" --since 2023-06 --until 2023-09
  localrag ask "What did net sales come to?" --json | jq .citations
  localrag ask - < question.txt""",
)
@click.argument("question")
@library_option
@filter_options
@click.option("--mode", type=click.Choice(MODES), default="auto", show_default=True, help="How to look it up.")
@click.option(
    "--reproducible",
    is_flag=True,
    help="Choose the way without a look at what the model has read before: the same question, the same answer.",
)
@click.option("--model", "generator", metavar="ID", help="Answer with this installed model.")
@thought_options
@click.option("--show-thinking", is_flag=True, help="Print what the model thought, too (on stderr).")
@click.option("--max-tokens", "answer_tokens", type=int, metavar="N", help="Most tokens of the answer.")
@click.option("--short", is_flag=True, help="Answer in as few words as possible, as they stand in the text.")
@click.option(
    "--table",
    "table",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the rows of a survey, or of a count, to this file too: .xlsx, .csv, .json, .md. One there is replaced.",
)
@sealing_options
@json_option
def ask_command(
    question: str, libraries: tuple[str, ...], only: Filter, mode: Mode, reproducible: bool, generator: str | None,
    answer_tokens: int | None, short: bool, table: Path | None, as_json: bool, thought: dict[str, Any],
    show_thinking: bool, recipients: Recipients | None,
) -> None:  # fmt: skip
    """Answer QUESTION from a library, with page and quote. With - it is read from standard input, so that neither the
    shell's history nor other users of the machine see it.

    Every quote shown stands in the document, character for character. The answer goes to stdout, all else to stderr.
    Ctrl-C stops the answer and prints what there is of it.
    """
    from localrag.answer.survey import table_files

    question = words_of(question)
    if table is not None:
        table_files.check(table)
    elif recipients is not None:
        raise UsageError("there is no file to encrypt", "Name one: --table FILE.")
    settings = load_settings().with_options(
        generator=generator, answer_tokens=answer_tokens, answer_form="short" if short else None, **thought
    )
    # Before numpy is imported, which starts threads.
    exported = [] if table is None else [table.absolute().parent]
    names = chosen_libraries(libraries, settings)
    keep_to_retention(settings)
    sandbox.hold(settings, names, *exported, reads=unlocking.key_files())
    from localrag.api import ask

    narrowed = {name: value for name, value in asdict(only).items() if name != "these"}  # ticked in the app alone
    asking = ask(question, libraries=names, **narrowed, mode=mode, reproducible=reproducible, settings=settings)
    answer = _follow(asking, drawn=not as_json and sys.stderr.isatty(), silent=as_json, thinking=show_thinking)
    if show_thinking and not as_json and answer.reasoning:
        click.secho(f"Reasoning: {shown(answer.reasoning)}\n", dim=True, err=True)
    if as_json:
        print_json(answer.to_dict())
    else:
        print_answer(answer)
    if table is not None:
        _save_table(answer, table, settings, recipients)
    if answer.stopped and asking.interrupted:
        sys.exit(130)


def _save_table(answer: Answer, path: Path, settings: Settings, recipients: Recipients | None) -> None:
    from localrag.answer.survey import table_files

    if not answer.table and answer.stopped:
        click.echo(f"It was stopped before there was a row to write, so there is no {path}.", err=True)
        return
    if not answer.table:
        raise UsageError(
            f"this answer has no rows to write to {str(path)!r}: it was found by {answer.plan.kind!r}",
            "Ask each document: --mode survey.",
        )
    path = table_files.save(answer.table, path, answer.question, settings.audit_of, recipients)
    click.echo(f"Wrote {len(answer.table)} rows to {path}.", err=True)


def _follow(asking: Asking, drawn: bool, silent: bool, thinking: bool) -> Answer:
    """Run through the events and tell on stderr what is going on: drawn on a terminal, else a line now and then."""
    pace = Pace()
    if not drawn:
        for event in asking.until_interrupted():
            if isinstance(event, Notice):
                click.echo(shown(event.text), err=True)
            elif isinstance(event, Replaced) and not silent:
                click.echo(f"Written again: {shown(event.why)}", err=True)
            elif isinstance(event, Surveyed) and not silent and pace.due():
                click.echo(pace.line(event), err=True)
            elif isinstance(event, PromptRead) and not silent and (line := _progress(event)) and pace.due():
                click.echo(line, err=True)
        return asking.answer
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    written = thought = ""
    with Live(Text("…"), console=Console(stderr=True), transient=True, refresh_per_second=8) as live:
        for event in asking.until_interrupted():
            if isinstance(event, Delta):
                written += event.text
                live.update(Text(shown(written)))
            elif isinstance(event, Reasoning):
                thought += event.text
                told = shown(thought) if thinking else f"thinking… {len(thought.split())} words"
                live.update(Text(told, style="dim"))
            elif isinstance(event, Replaced):
                written = thought = ""
                live.update(Text(f"Written again: {shown(event.why)}", style="dim"))
            elif isinstance(event, VoteProgress):
                live.update(Text.assemble(shown(written), (f"\n\ntry {event.done + 1} of {event.total}…", "dim")))
            elif isinstance(event, Surveyed):
                live.update(Text(pace.line(event), style="dim"))
            elif (line := _progress(event)) is not None:
                live.update(Text(line, style="dim"))
            if isinstance(event, Notice):
                live.console.print(Text(shown(event.text)))
    return asking.answer


def _progress(event: Event) -> str | None:
    if isinstance(event, Planned) and event.looked_for:
        return f"Looked for: {event.looked_for}"
    if isinstance(event, Planned):
        return f"{event.plan.kind}: {event.plan.reason}"
    if isinstance(event, Found):
        return f"{len(event.passages)} passages; loading the model…"
    if isinstance(event, PromptRead) and event.total:
        return f"reading… {100 * event.done // event.total} %"
    return None


def print_answer(answer: Answer) -> None:
    """The answer and its sources on stdout, what there is to say of them on stderr."""
    from localrag.answer.survey import survey_table
    from localrag.answer.verify import annotations as marking
    from localrag.answer.verify import references

    if survey_table.has_table(answer):
        click.echo(shown(survey_table.without_rows(answer.answer)) + "\n")
        print_table(answer)
    else:
        click.echo(shown(marking.marked(answer.answer, answer.unsupported, answer.flags)))
    for working in answer.workings:
        click.echo(f"\n    {shown(working.shown)}")
    for conflict in answer.conflicts:
        click.echo(f"\n{shown(conflict.shown)}")
    if answer.citations:
        click.echo()
    for citation in answer.citations:
        where = ", ".join(part for part in (citation.document, citation.place) if part)
        quote = " ".join(shown(citation.quote).split())
        click.echo(f"[{citation.marker}] {shown(where)}: {references.in_marks(quote)}")
    for line in _remarks(answer):
        click.secho(shown(line), dim=not line.startswith(marking.MARK), err=True)


def _remarks(answer: Answer) -> list[str]:
    """What stands below an answer: what to beware of, what was not read, how it was found."""
    from localrag.answer.verify import annotations as marking

    lines = [""]
    if answer.stopped:
        lines.append("The answer was stopped, or cut short at its longest length.")
    if answer.split is not None:
        lines.append(answer.split.shown)
    lines += marking.told(answer.unsupported, answer.flags, answer.confidence if answer.found else None)
    if answer.citations_dropped:
        lines.append(f"Left out as not found in the text: {answer.citations_dropped} citation(s).")
    if answer.not_read:
        first = answer.not_read[0]
        page = f" p. {first.page}" if first.page else ""
        more = f", and {len(answer.not_read) - 1} more" if len(answer.not_read) > 1 else ""
        what = f"{first.document}{page} ({first.reason})" if first.document else first.reason
        lines.append(f"Not read: {what}{more}.")
    if answer.looked_for not in ("", answer.question):
        lines.append(f"Looked for: {answer.looked_for}")
    spent = answer.seconds
    lines.append(f"{answer.plan.kind}: {answer.plan.reason}")
    if answer.looked_at:
        lines.append(f"Looked at: {answer.looked_at}")
    if otherwise := _otherwise(answer):
        lines.append(otherwise)
    if answer.model is None:
        return [*lines, f"{spent.total:.1f} s; no model was asked"]
    lines.append(
        f"{spent.total:.1f} s; {answer.tokens.prompt} tokens read, {answer.tokens.reused} of them kept from before, "
        f"{answer.tokens.generated} written; {answer.model}"
    )
    return lines


def _otherwise(answer: Answer) -> str:
    """What the other ways would have taken, as far as this machine's speed is known."""
    told = [
        f"{cost.kind} {_about(cost.seconds)}"
        for cost in answer.plan.costs
        if cost.kind != answer.plan.kind and cost.kind != "exact" and not cost.why_not and cost.seconds is not None
    ]
    return f"Otherwise: {', '.join(told)} until the first word." if told else ""


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"

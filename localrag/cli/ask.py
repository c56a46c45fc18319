"""`localrag ask` and `localrag search`: answer a question with page and quote, or find passages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli import keys, options
from localrag.cli.keys import recipient_options
from localrag.cli.output import Pace, console, counted, echo, interruptible, one_line, print_json, table
from localrag.errors import UsageError
from localrag.events import Delta, Found, Notice, Planned, PromptRead, Reasoning, Replaced, Surveyed, Writing
from localrag.security.terminal import visible
from localrag.settings import Think, load_settings
from localrag.types import Filter, Mode, source

if TYPE_CHECKING:
    from localrag.events import Asking, Event
    from localrag.security.encryption.keyring import Recipients
    from localrag.settings import Settings
    from localrag.types import Answer, Passage

_MAX_COPIES = 3
_DRAWN = 1_000_000  # characters kept of what is being written; a worker that was taken over would never end


@click.command("ask")
@click.argument("question")
@options.filter_options
@options.mode_option
@click.option(
    "--reproducible",
    is_flag=True,
    help="Ignore the prompt cache and speeds when choosing the mode: the same question gives the same answer.",
)
@options.model_option
@click.option(
    "--strict", is_flag=True, help="Answer only what the text supports throughout; else show the nearest passages."
)
@options.think_option
@click.option("--show-thinking", is_flag=True, help="Print the reasoning of the model on stderr.")
@click.option("--max-tokens", "answer_tokens", type=int, metavar="N", help="Longest answer, in tokens.")
@click.option("--short", is_flag=True, help="Answer in as few words as possible, taken from the text.")
@options.out_option(
    "Also write rows of a survey or count, or the figures of a calculation, to FILE (.xlsx, .csv, .json, .md)."
)
@recipient_options
@options.json_option
def ask_command(
    question: str,
    libraries: tuple[str, ...],
    only: Filter,
    mode: Mode,
    reproducible: bool,
    generator: str | None,
    strict: bool,
    answer_tokens: int | None,
    short: bool,
    file: Path | None,
    as_json: bool,
    think: Think | None,
    show_thinking: bool,
    recipients: Recipients | None,
) -> None:
    """Answer QUESTION from a library, with page and quote.

    Every quote is in the document, character for character. With -, QUESTION comes from standard input, so that
    neither the shell's history nor other users of the machine see it. The answer goes to stdout, everything else to
    stderr. Ctrl-C stops the answer and prints what there is of it.
    """
    from localrag.worker import resident

    question = options.words_of(question)
    if file is not None:
        from localrag.sessions import table_export

        table_export.check(file)
    settings = load_settings().with_options(
        generator=generator,
        answer_tokens=answer_tokens,
        answer_form="short" if short else None,
        think=think,
        strict=strict or None,
    )
    names = options.chosen_libraries(libraries, settings)
    options.keep_to_retention(settings)
    # A passphrase that was typed for the file stays in this process.
    connection = None if recipients is not None else resident.connection_for(settings, names, only, keys.key_files())
    keys.confine(settings, names, file, recipients)

    def here() -> Asking:
        from localrag.asking import ask

        narrowed = {name: value for name, value in asdict(only).items() if name != "these"}  # "these" is the app's
        return ask(question, libraries=names, **narrowed, mode=mode, reproducible=reproducible, settings=settings)

    asking = (
        here()
        if connection is None
        else resident.Asking(
            connection,
            here,
            settings,
            question=question,
            libraries=names,
            documents=only,
            mode=mode,
            reproducible=reproducible,
        )
    )
    drawn = sys.stderr.isatty() and not as_json
    with interruptible(then=asking.stop) as stop:
        answer = draw(asking, show_thinking) if drawn else follow(asking, silent=as_json)
    if as_json:
        print_json(answer.to_dict())
    else:
        if show_thinking and answer.reasoning:
            echo(f"Reasoning: {answer.reasoning}\n", dim=True, err=True)
        print_answer(answer)
    if file is not None:
        save_table(answer, file, settings, recipients)
    if answer.stopped and stop.asked:
        sys.exit(130)


def save_table(answer: Answer, path: Path, settings: Settings, recipients: Recipients | None) -> None:
    from localrag.sessions import table_export
    from localrag.sessions.links import originals

    rows = answer.table or tuple(table_export.workings(answer))
    if not rows and answer.stopped:
        echo(f"Stopped before the first row, so {path} was not written.", err=True)
        return
    if not rows:
        problem = f"cannot write {str(path)!r}: an answer in mode {answer.plan.kind!r} has no rows"
        raise UsageError(problem, "Ask each document: --mode survey.")
    path = table_export.save(
        rows, path, answer.question, settings.library_audit_file, recipients, originals=originals(settings)
    )
    echo(f"Wrote {counted(len(rows), 'row')} to {path}.", err=True)


def follow(asking: Asking, silent: bool) -> Answer:
    """Wait for the answer; print notices, and a line of progress now and then."""
    pace = Pace()
    for event in asking:
        if isinstance(event, Notice):
            echo(event.text, err=True)
        elif isinstance(event, Replaced) and not silent:
            echo(f"Written again: {one_line(event.why)}", err=True)
        elif isinstance(event, (Surveyed, PromptRead, Writing)) and not silent and pace.due():
            echo(progress_line(event, pace), err=True)
    return asking.answer


def draw(asking: Asking, thinking: bool) -> Answer:
    """Wait for the answer; draw on stderr what happens and what is written so far."""
    from rich.live import Live
    from rich.text import Text

    pace = Pace()
    written = reasoning = ""
    with Live(Text("…"), console=console(stderr=True), transient=True, refresh_per_second=8) as live:
        for event in asking:
            if isinstance(event, Delta):
                written = (written + event.text)[-_DRAWN:]
                live.update(Text(visible(written)))
            elif isinstance(event, Reasoning):
                reasoning = (reasoning + event.text)[-_DRAWN:]
                words = visible(reasoning) if thinking else f"thinking… {counted(len(reasoning.split()), 'word')}"
                live.update(Text(words, style="dim"))
            elif isinstance(event, Replaced):
                written = reasoning = ""
                live.update(Text(f"Written again: {one_line(event.why)}", style="dim"))
            elif isinstance(event, Notice):
                live.console.print(Text(visible(event.text)))
            elif line := progress_line(event, pace):
                live.update(Text(line, style="dim"))
    return asking.answer


def progress_line(event: Event, pace: Pace) -> str:
    """Return what happens in words; empty for events that say nothing of it."""
    if isinstance(event, Planned) and event.looked_for:
        return f"Searching for: {one_line(event.looked_for)}"
    if isinstance(event, Planned):
        return f"{event.plan.kind}: {one_line(event.plan.reason)}"
    if isinstance(event, Found):
        return f"{counted(len(event.passages), 'passage')}; loading the model…"
    if isinstance(event, PromptRead) and event.total:
        return f"reading… {100 * event.done // event.total} %"
    if isinstance(event, Writing):
        return f"writing… {counted(event.pieces, 'token')}, shown once they are checked"
    if isinstance(event, Surveyed):
        return f"asking each document… {event.done} of {event.total}{pace.left(event.done, event.total)}"
    return ""


def print_answer(answer: Answer) -> None:
    """Print the answer and its sources on stdout, remarks about it on stderr."""
    from localrag.answer import survey_table
    from localrag.answer.checks import references
    from localrag.grounding import annotations

    if survey_table.has_table(answer):
        echo(survey_table.without_rows(answer.answer) + "\n")
        print_table(answer)
    else:
        echo(annotations.shown(answer), fg="yellow" if answer.certainty == "unclear" else None)
    for working in answer.workings:
        echo(f"\n    {working.shown}", fg="green")
    for conflict in answer.conflicts:
        echo(f"\n{conflict.shown}", fg="yellow")
    for title, citations in (("", answer.citations), (annotations.NEAREST, answer.nearest)):
        if citations:
            echo(f"\n{title}" if title else "")
        for citation in citations:
            where = source(citation.name, citation.place)
            if citation.marker:
                echo(f"[{citation.marker}] ", fg="cyan", bold=True, nl=False)
            echo(references.in_quotes(" ".join(citation.quote.split())), head=f"{one_line(where)}: ", bold=True)
            if citation.title:
                echo(f"    {one_line(citation.document)}", dim=True)
    for line in _remarks(answer):
        warning = line.startswith(annotations.MARK)
        echo(one_line(line), fg="yellow" if warning else None, dim=not warning, err=True)


def _remarks(answer: Answer) -> list[str]:
    """Return the lines below an answer: warnings, what was not read, how it was found, what it took."""
    from localrag.grounding import annotations

    lines = ["", *annotations.remarks(answer)]
    if unread := annotations.unread(answer):
        lines.append(unread[0] if len(unread) == 1 else f"{unread[0].rstrip('.')}; and {len(unread) - 1} more")
    if answer.looked_for not in ("", answer.question):
        lines.append(f"Searched for: {answer.looked_for}")
    lines.append(f"{answer.plan.kind}: {answer.plan.reason}")
    if answer.looked_at:
        lines.append(f"Read: {answer.looked_at}")
    return [*lines, annotations.cost(answer)]


def print_table(answer: Answer) -> None:
    """Print the rows of a survey, each answer with its page and the number of its quote."""
    from localrag.answer import survey_table

    results = survey_table.Results(answer.question)
    results.settle(answer, unread=False)
    names = [name for name in results.columns if name not in ("quote", "why_not")]
    marked = [f"[{one.source.marker}]" if one.source and one.source.marker else "" for one in results.lines]
    cells = [
        [*(line.cells.get(name, "") for name in names), marker]
        for line, marker in zip(results.lines, marked, strict=True)
    ]
    table([*map(survey_table.title, names), "quote"], cells)
    if any("likelihood" in row for row in answer.table):
        echo(survey_table.SHARES, dim=True, err=True)


@click.command("search")
@click.argument("words", nargs=-1, required=True)
@options.filter_options
@click.option("-k", "k", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many passages.")
@options.json_option
def search_command(words: tuple[str, ...], libraries: tuple[str, ...], only: Filter, k: int, as_json: bool) -> None:
    """Find the passages that fit WORDS best. No model that answers is loaded.

    Words in double quotes are a phrase. With -, WORDS come from standard input.
    """
    settings = load_settings()
    names = options.chosen_libraries(libraries, settings)
    options.keep_to_retention(settings)
    keys.confine(settings, names)
    from localrag.grounding.workspace import Workspace

    question = options.words_of(" ".join(words))
    if not any(letter.isalnum() for letter in question):
        raise UsageError("there are no words to search for", 'For example: localrag search "notice period"')
    with closing(Workspace(settings)) as workspace:
        looked_for = workspace.spelled(question, names)
        passages = workspace.search(question, libraries=names, k=k, documents=only)
        left_out = workspace.left_out(names, only) if only else ()
    if looked_for != question:
        echo(f"Searched for: {one_line(looked_for)}", dim=True, err=True)
    if '"' in question and not any("phrase" in passage.signals for passage in passages):
        echo("No passage contains the quoted words; these come closest.", dim=True, err=True)
    for left in left_out:
        echo(f"Not searched: {left.reason}.", dim=True, err=True)
    if as_json:
        print_json({"searched_for": looked_for, "passages": [passage.to_dict() for passage in passages]})
    elif not passages:
        echo("No passage fits.", err=True)
    else:
        _print_passages(passages, looked_for)


def _print_passages(passages: Sequence[Passage], looked_for: str) -> None:
    """Print passages: drawn with the words of the query marked on a terminal, one paragraph each elsewhere."""
    for number, passage in enumerate(passages, 1):
        where = ", ".join(part for part in (passage.document, passage.place) if part)
        echo(f"{number}. {one_line(where)}", bold=True, fg="cyan", nl=False)
        echo(f"  {passage.score:.3f}", dim=True)
        for part in filter(None, (passage.header, passage.text)):
            text = " ".join(part.split())
            if sys.stdout.isatty():
                _draw_passage(text, looked_for)
            else:
                echo(f"   {text}")
        if passage.also:
            more = f" and {len(passage.also) - _MAX_COPIES} more" if len(passage.also) > _MAX_COPIES else ""
            echo(f"   same text in {one_line('; '.join(passage.also[:_MAX_COPIES]))}{more}", dim=True)
        echo()


def _draw_passage(text: str, looked_for: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    drawn = Text(visible(text))
    drawn.highlight_words([word for word in looked_for.split() if len(word) > 3], "bold yellow", case_sensitive=False)
    console().print(Padding(drawn, (0, 0, 0, 3)))

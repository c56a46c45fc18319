"""`localrag search`: find passages, without a model that answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from localrag.cli import keys
from localrag.cli.options import (
    chosen_libraries,
    filter_options,
    json_option,
    keep_to_retention,
    library_option,
    print_json,
    shown,
    words_of,
)
from localrag.security import sandbox
from localrag.settings import load_settings
from localrag.types import Filter

if TYPE_CHECKING:
    from localrag.types import Passage

_MAX_COPIES = 3


@click.command("search", epilog="""\b
Examples:
  localrag search "termination for convenience"
  localrag search '"force majeure" pandemic' --library contracts -k 5
  localrag search "net sales" --document '2023*.pdf' --json
  localrag search "delivery date" --type mail --from "jane doe" --since 2023-06
  localrag search "indemnity" --folder leases --pages 3-7""")  # fmt: skip
@click.argument("words", nargs=-1, required=True)
@library_option
@filter_options
@click.option("-k", "k", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many passages.")
@json_option
def search_command(words: tuple[str, ...], libraries: tuple[str, ...], only: Filter, k: int, as_json: bool) -> None:
    """Find the passages that fit WORDS best. No model that answers is loaded.

    Words in double quotes are a phrase. With -, WORDS come from standard input.
    """
    settings = load_settings()
    names = chosen_libraries(libraries, settings)
    keep_to_retention(settings)
    sandbox.restrict(settings, names, reads=keys.key_files())  # before numpy is imported, which starts threads
    from localrag.answer.assistant import Assistant
    from localrag.errors import UsageError

    question = words_of(" ".join(words))
    if not any(letter.isalnum() for letter in question):
        raise UsageError("there are no words to search for", 'For example: localrag search "notice period"')
    assistant = Assistant(settings)
    try:
        looked_for = assistant.spelled(question, names)
        passages = assistant.search(question, libraries=names, k=k, documents=only)
        left_out = assistant.left_out(names, only) if only else ()
    finally:
        assistant.close()
    if looked_for != question:
        click.secho(f"Searched for: {shown(looked_for)}", dim=True, err=True)
    if '"' in question and not any("phrase" in passage.signals for passage in passages):
        click.secho("No passage contains the quoted words; these come closest.", dim=True, err=True)
    for left in left_out:
        click.secho(f"Not searched: {left.reason}.", dim=True, err=True)
    if as_json:
        print_json({"searched_for": looked_for, "passages": [passage.to_dict() for passage in passages]})
    elif not passages:
        click.echo("No passage fits.", err=True)
    else:
        _print(passages, looked_for)


def _print(passages: Sequence[Passage], looked_for: str) -> None:
    """Print passages: drawn with the words of the query marked on a terminal, one paragraph each elsewhere."""
    for number, passage in enumerate(passages, 1):
        where = ", ".join(part for part in (passage.document, passage.place) if part)
        click.secho(f"{number}. {shown(where)}", bold=True, fg="cyan", nl=False)
        click.secho(f"  {passage.score:.3f}", dim=True)
        for text in filter(None, (passage.header, passage.text)):
            _print_text(" ".join(shown(text).split()), looked_for)
        if passage.also:
            more = f" and {len(passage.also) - _MAX_COPIES} more" if len(passage.also) > _MAX_COPIES else ""
            click.secho(f"   same text in {shown('; '.join(passage.also[:_MAX_COPIES]))}{more}", dim=True)
        click.echo()


def _print_text(text: str, looked_for: str) -> None:
    if not sys.stdout.isatty():
        click.echo(f"   {text}")
        return
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    drawn = Text(text)
    drawn.highlight_words([word for word in looked_for.split() if len(word) > 3], "bold yellow", case_sensitive=False)
    Console().print(Padding(drawn, (0, 0, 0, 3)))

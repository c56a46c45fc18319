"""`localrag redline`: the playbook's wording as tracked changes in a copy of a Word file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli import keys, options
from localrag.cli.keys import recipient_options
from localrag.cli.output import bar, counted, echo, interruptible, one_line, print_json, say, say_links, say_live, table
from localrag.cli.review import complete_playbook
from localrag.errors import NotFoundError
from localrag.events import ReviewEnded
from localrag.settings import Settings, load_settings

if TYPE_CHECKING:
    from localrag.redline.proposals import Proposal
    from localrag.security.encryption.keyring import Recipients


@click.command("redline")
@click.argument("named", metavar="FILE", shell_complete=options.complete_document)
@click.option("--playbook", "book", required=True, metavar="PLAYBOOK", shell_complete=complete_playbook)
@options.out_option("Write the copy to FILE, replacing it: .docx.", "out", required=True)
@options.author_option
@options.date_option
@click.option(
    "--internal", is_flag=True, help="Comments with your positions and notes, and on what is unsure: for your own side."
)
@options.libraries_option("The library of the document; a file on the disk needs none.", multiple=False)
@options.password_file_option
@recipient_options
@options.json_option
def redline_command(
    named: str,
    book: str,
    out: Path,
    author: str,
    date: str,
    internal: bool,
    library: str | None,
    passwords: list[str],
    recipients: Recipients | None,
    as_json: bool,
) -> None:
    """Review FILE with a playbook, and write its wording into a copy as tracked changes.

    FILE is a Word file (.docx) on the disk, or a document of a library. Where a clause deviates, the fallback of the
    playbook stands as a tracked change with a comment; a clause that is missing is inserted. What has no fallback, or
    one with few words of the clause, gets a comment alone. Comments do not tell your positions, unless --internal is
    given. What is unsure, and what a reviewer accepted, stays. Nothing else of the file changes: to reject all changes
    gives the text back. Headers, notes and text boxes are not edited. Where nothing would be marked, nothing is
    written. The copy of a file with a password has none.
    """
    from localrag.items import playbook as playbooks

    settings, playbook = load_settings(), playbooks.load(book)
    if library is None and not Path(named).is_file():
        raise NotFoundError(f"there is no file {named!r}", "Name a file, or with --library a library that has it.")
    names = options.chosen_libraries([library], settings) if library else []
    say_links([] if library else [named])
    options.keep_to_retention(settings)
    keys.confine(settings, names, out, recipients, around=True)
    from localrag.answer.reviewer import Reviewer
    from localrag.grounding.workspace import Workspace
    from localrag.redline import proposals

    proposals.check(out, named)
    ended = ReviewEnded((), (), stopped=True)
    with (
        interruptible("Stopping; nothing is written.") as stop,
        _opened(named, names, settings, passwords, stop) as (own, name),
        closing(Workspace(own)) as workspace,
    ):
        opened = workspace.library(name)
        document = opened.document(named) if library else opened.documents()[0]
        file = proposals.original(own, opened, document) if library else Path(named)
        with bar(quiet=as_json) as update:
            for event in Reviewer(workspace).review(playbook, libraries=[name], documents=[document.path], stop=stop):
                if isinstance(event, ReviewEnded):
                    ended = event
                else:
                    update(event.done, event.total, event.finding.title)
        if ended.stopped:
            sys.exit(130)
        page = opened.pages(document.id)[0]

        def log_of(name: str) -> Path:
            return settings.library_audit_file(name) if name else settings.audit_file

        embed = partial(workspace.embed, library=name)
        about = (file, ended.findings, playbook, page, out, document.sha256, library or "")
        written, made, live = proposals.save(*about, log_of, author, date, recipients, internal, passwords, embed)
    if as_json:
        print_json(
            {
                "document": named,
                "playbook": playbook.title,
                "proposals": [one.to_dict() for one in made],
                "live": live,
                "as_expected": [one.item for one in ended.findings if one.as_expected],
            }
        )
    else:
        _print(named, made, [one.title for one in ended.findings if one.as_expected])
    for remark in dict.fromkeys(one.remark for one in ended.findings if one.remark):
        say(f"Note: {one_line(remark)}")
    say_live(live if written else ())
    echo(f"Wrote {written}" if written else "Nothing is to be marked, so nothing was written.", err=True)


@contextmanager
def _opened(
    named: str, names: list[str], settings: Settings, passwords: list[str], stop: Callable[[], bool]
) -> Iterator[tuple[Settings, str]]:
    """Yield the settings and the name of the library that has the document; one made for it where none is named."""
    from localrag import api

    if names:
        yield settings, names[0]
    else:
        with api.temporary_library(Path(named), settings, stop, passwords) as own:
            yield own, api.TEMPORARY


def _print(named: str, made: list[Proposal], expected: list[str]) -> None:
    echo(f"{one_line(named)}: {counted(len(made), 'proposal')}", bold=True)
    rows = [
        [one.finding.title, one.action, "; ".join(filter(None, dict.fromkeys((one.finding.problem, one.reason))))]
        for one in made
    ]
    if rows:
        table(["clause", "done", "why"], [list(map(one_line, row)) for row in rows])
    if expected:
        echo(f"As expected: {one_line(', '.join(expected))}.")

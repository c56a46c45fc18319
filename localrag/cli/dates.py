"""`localrag dates`: deadlines and obligations of documents, by date."""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli import keys, options
from localrag.cli.keys import recipient_options
from localrag.cli.output import confirm, counted, echo, interruptible, one_line, print_json, remarks
from localrag.errors import UsageError
from localrag.settings import load_settings
from localrag.types import source

if TYPE_CHECKING:
    from localrag.items.deadlines import Deadline
    from localrag.security.encryption.keyring import Recipients


@click.command("dates")
@options.libraries_argument()
@options.document_option
@click.option("--from", "since", metavar="DATE", help="Only what is due then or later: 2030, 2030-06, 2030-06-30.")
@click.option("--to", "until", metavar="DATE", help="Only what is due then or earlier.")
@options.out_option("Write FILE, replacing it: .ics (a calendar), .xlsx, .csv, .json, .md.")
@click.option("--all", "everything", is_flag=True, help="Write past days to a calendar, too.")
@click.option("--yes", is_flag=True, help="Write a calendar without asking.")
@recipient_options
@options.json_option
def dates_command(
    libraries: tuple[str, ...],
    documents: tuple[str, ...],
    since: str | None,
    until: str | None,
    file: Path | None,
    everything: bool,
    yes: bool,
    recipients: Recipients | None,
    as_json: bool,
) -> None:
    """List deadlines and obligations of the library NAME: who has to do what until when, with place and quote.

    NAME, of one or more libraries, is needed only if there are several. Deadlines with a date come first, the others
    after them; a period leaves these out. A date that was counted from another one in the document (“90 days before the
    end of the term”) is marked, with both quotes. What an amendment replaces is shown with its words. Dates and
    durations that `localrag review` found are listed, too. A calendar holds what lies ahead. Code finds them, no model;
    what is worded in another way is missed.
    """
    from localrag.search import filters
    from localrag.sessions.export import reports
    from localrag.sessions.links import originals

    is_calendar = file is not None and reports.check_deadlines(file)
    if is_calendar and not (yes or sys.stdin.isatty()):
        raise UsageError("cannot ask whether to write a calendar", "Add --yes.")
    period = filters.checked(since=since, until=until)
    settings = load_settings()
    names = options.chosen_libraries(libraries, settings, "Name one (or more): localrag dates NAME")
    options.keep_to_retention(settings)
    keys.confine(settings, names, file, recipients)
    from localrag.answer.reviewer import Reviewer
    from localrag.grounding.workspace import Workspace

    with closing(Workspace(settings)) as workspace, interruptible("Stopping after this document…") as stop:
        found, not_read = Reviewer(workspace).dates(
            libraries=names, documents=documents, since=period.since, until=period.until, stop=stop
        )
    if as_json:
        left = [one.to_dict() for one in not_read]
        print_json({"dates": [one.to_row() for one in found], "stopped": stop.asked, "not_read": left})
    else:
        _print(found)
        remarks([f"Not read: {source(one.document, '')}: {one.reason}" for one in not_read], 8, "--json")
    if stop.asked:
        sys.exit(130)
    if file is None and found and not as_json:
        echo("As a calendar or a table: --out FILE.ics, .xlsx, .csv, .json or .md", err=True)
    elif file is not None:
        if is_calendar:
            days = [one for one in found if len(one.date) == len("2030-06-30")]
            if undated := len(found) - len(days):
                echo(f"{counted(undated, 'deadline')} without a day: not in the calendar.", err=True)
            found = days if everything else [one for one in days if one.date >= date.today().isoformat()]
            if past := len(days) - len(found):
                echo(f"{counted(past, 'deadline')} in the past: not in the calendar without --all.", err=True)
            yes or confirm(f"Write {counted(len(found), 'event')} to {file}?", abort=True)
        written = reports.save_deadlines(found, file, settings.library_audit_file, recipients, originals(settings))
        echo(f"Wrote {counted(len(found), 'deadline')} to {one_line(str(written))}.", err=True)


def _print(found: list[Deadline]) -> None:
    for one in found:
        who = f"{one.who}: " if one.who else ""
        when = f"{one.date} (counted: {one.when})" if one.start else one.date or one.when
        echo(one_line(f"  {who}{one.what}"), head=one_line(when), bold=True, fg="cyan")
        kind = f"review, {one.item}" if one.kind == "item" else f"{one.kind}{one.item and f' (review: {one.item})'}"
        echo(f"   {kind}, {one_line(source(one.citation.document, one.citation.place))}", dim=True)
        for cited in dict.fromkeys(filter(None, (one.citation, one.start))):
            echo(f"   “{' '.join(cited.quote.split())}”")
        if new := one.amended:
            where = one_line(source(new.document, new.place))
            echo(f" “{' '.join(new.quote.split())}”", head=f"   Amended by {where}:", fg="yellow")
    dated = sum(bool(one.date) for one in found)
    echo(f"{counted(len(found), 'deadline')}, {dated} with a date.", err=True)

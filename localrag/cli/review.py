"""`localrag review`: check documents against a playbook; list, show, draft and mark."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import click

from localrag.cli import keys, options
from localrag.cli.keys import recipient_options
from localrag.cli.output import bar, counted, echo, interruptible, one_line, print_json, remarks, say, table
from localrag.errors import UsageError
from localrag.events import ReviewEnded
from localrag.settings import load_settings
from localrag.types import source

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from localrag.security.encryption.keyring import Recipients
    from localrag.types import Checked, Verdict

_WIDTH = 80  # characters of a cell


class _Review(click.Group):
    """A group whose first word may be a playbook: `review nda` is `review run nda`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["run", *args]
        return super().parse_args(ctx, args)


def complete_playbook(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    from localrag.items import playbook

    names = [name for name in playbook.names() if name.startswith(incomplete)]
    return [CompletionItem(name) for name in names] or [CompletionItem(incomplete, type="file")]


_PLAYBOOK = click.argument("named", metavar="PLAYBOOK", shell_complete=complete_playbook)


@click.group("review", cls=_Review, no_args_is_help=True)
def review_command() -> None:
    """Check documents against a playbook, clause by clause.

    PLAYBOOK is a YAML file, or the name of a playbook that comes with localrag (`review list`). `localrag review
    PLAYBOOK` is short for `localrag review run PLAYBOOK`.
    """


@review_command.command("run")
@_PLAYBOOK
@options.library_option
@options.document_option
@click.option("--only", type=click.Choice(["changed"]), help="Show only what was looked for since the last review.")
@click.option(
    "--out",
    "file",
    type=options.FILE,
    metavar="FILE",
    help="Write a report (.docx, .html, .md) or table (.xlsx, .json ...) to FILE, replacing it.",
)
@recipient_options
@options.json_option
def run_command(
    named: str,
    libraries: tuple[str, ...],
    documents: tuple[str, ...],
    only: str | None,
    file: Path | None,
    as_json: bool,
    recipients: Recipients | None,
) -> None:
    """Review the documents of a library.

    For each document and item: found, absent, deviates or unsure, with value, quote and page. What was found is kept
    with the library, so that only new documents and changed items are looked for the next time. Ctrl-C stops; the next
    review goes on from there.
    """
    from localrag.items import playbook as playbooks
    from localrag.sessions.export import reports
    from localrag.sessions.export.contents import by_document
    from localrag.sessions.links import originals

    if file is not None:
        reports.check(file)
    settings = load_settings()
    playbook = playbooks.load(named)
    names = options.chosen_libraries(libraries, settings)
    options.keep_to_retention(settings)
    keys.confine(settings, names, file, recipients)
    from localrag.answer.reviewer import Reviewer
    from localrag.grounding.workspace import Workspace
    from localrag.items import review

    ended = ReviewEnded((), (), stopped=True)
    with (
        closing(Workspace(settings)) as workspace,
        interruptible("Stopping after this item…") as stop,
        bar(quiet=as_json) as update,
    ):
        for event in Reviewer(workspace).review(playbook, libraries=names, documents=documents, stop=stop):
            if isinstance(event, ReviewEnded):
                ended = event
            else:
                words = f"document {event.document} of {event.documents}: {event.finding.document_name}"
                update(event.done, event.total, words)
    findings = [one for one in ended.findings if one.new or only is None]
    totals = review.counts(findings)
    if as_json:
        print_json(
            {
                "playbook": playbook.title,
                "libraries": names,
                "counts": totals,
                "stopped": ended.stopped,
                "findings": [one.to_row() for one in findings],
                "not_read": [one.to_dict() for one in ended.not_read],
            }
        )
    else:
        if not findings:
            echo("There is nothing to review." if only is None else "Nothing changed since the last review.", err=True)
        documents_read = by_document(findings)
        for own in documents_read.values():
            _print(own)
        said = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in totals.items() if count)
        counts = f"{counted(len(documents_read), 'document')}, {counted(len(findings), 'finding')}"
        echo(f"{playbook.title}: {counts}{f': {said}' if said else ''}.")
        remarks([f"Not read: {source(one.document, '')}: {one.reason}" for one in ended.not_read], 8, "--json")
    if file is not None:
        written = reports.save(
            findings, playbook.title, ended, file, settings.library_audit_file, recipients, originals(settings)
        )
        echo(f"Wrote {counted(len(findings), 'finding')} to {written}.", err=True)
    if ended.stopped:
        say("Stopped. What was found is kept; the same command goes on.")
        sys.exit(130)


def _print(own: Sequence[Checked]) -> None:
    """Print the findings of a document, and what those that are not as expected quote and propose."""
    from localrag.sessions.export import reports

    echo(one_line(own[0].document_name), bold=True, fg="cyan")
    if own[0].document_title:
        echo(f"  {one_line(own[0].document)}", dim=True)
    if own[0].remark:
        echo(one_line(own[0].remark), head="Note: ", fg="yellow")
    cells = [[shorten(cell, _WIDTH, placeholder="…") for cell in reports.cells(one)] for one in own]
    table([head.lower() for head in reports.HEADS], cells)
    for one in own:
        if one.as_expected is False:
            quote = f" “{' '.join(one.citation.quote.split())}”" if one.citation else f" (read: {one.read})"
            echo(quote, head=one_line(f"{one.title}: {one.problem}"), fg="yellow" if one.state == "absent" else "red")
            if one.fallback:
                echo(f"    propose: {one_line(one.fallback)}", dim=True)
    echo()


@review_command.command("list")
@options.json_option
def list_command(as_json: bool) -> None:
    """List the playbooks that come with localrag."""
    from localrag.items import playbook

    there = [(name, playbook.load(name)) for name in playbook.names()]
    if as_json:
        print_json(
            [
                {"name": name, "title": one.title, "applies_to": one.kinds, "items": len(one.items)}
                for name, one in there
            ]
        )
    else:
        table(["name", "items", "title"], [[name, str(len(one.items)), one.title] for name, one in there])


@review_command.command("show")
@_PLAYBOOK
def show_command(named: str) -> None:
    """Check a playbook and print it as YAML, to make your own of it."""
    from localrag.items import playbook

    echo(playbook.to_yaml(playbook.load(named)), nl=False)


@review_command.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of a playbook, for editors."""
    from localrag.items import playbook

    print_json(playbook.schema())


@review_command.command("init")
@click.argument("contract", type=options.EXISTING_FILE)
def init_command(contract: Path) -> None:
    """Draft a playbook from a model CONTRACT (any format that localrag reads), and print it as YAML.

    Each clause with a heading becomes an item, with its text as example and fallback. No model is used; read the draft
    before you use it.
    """
    from localrag.items import draft, playbook
    from localrag.redline import versions

    read = versions.from_files([contract], load_settings())[contract]
    echo(playbook.to_yaml(draft.from_pages(read.pages, contract.stem)), nl=False)


@review_command.command("mark")
@_PLAYBOOK
@click.argument("document", shell_complete=options.complete_document)
@click.argument("item")
@options.library_option
@click.option("--accept", is_flag=True, help="The finding is right, or the deviation accepted.")
@click.option("--reject", is_flag=True, help="The finding is wrong, or the clause must change.")
@click.option("--comment", default="", metavar="TEXT", help="A comment; - reads it from standard input.")
@options.json_option
def mark_command(
    named: str,
    document: str,
    item: str,
    libraries: tuple[str, ...],
    accept: bool,
    reject: bool,
    comment: str,
    as_json: bool,
) -> None:
    """Keep the reviewer's decision on an ITEM of a DOCUMENT: accept, reject or comment."""
    from localrag.items import playbook

    if (accept and reject) or not (accept or reject or comment):
        problem = "--accept and --reject exclude each other" if accept else "there is nothing to keep"
        raise UsageError(problem, "Add one of --accept and --reject, or --comment TEXT.")
    verdict: Verdict | None = "accepted" if accept else "rejected" if reject else None
    settings, loaded = load_settings(), playbook.load(named)
    said = options.words_of(comment) if comment else None
    names = options.chosen_libraries(libraries, settings)
    if len(names) > 1:
        raise UsageError("a decision belongs to one library", "Name it with --library.")
    keys.confine(settings, names)
    from localrag.answer.reviewer import Reviewer
    from localrag.grounding.workspace import Workspace

    with closing(Workspace(settings)) as workspace:
        decided = Reviewer(workspace).decide(loaded, item, names[0], document, verdict, said).to_dict()
    options.print_result(as_json, decided, f"Kept: {one_line(item)} in {one_line(document)} is {decided['verdict']}.")

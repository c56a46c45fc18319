"""`localrag review`: check documents against a playbook; list, show, draft and mark."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import keys, options
from localrag.cli.binding import binding
from localrag.cli.keys import recipient_options
from localrag.cli.output import bar, counted, echo, interruptible, one_line, print_json, remarks, say, table
from localrag.errors import NotFoundError, UsageError
from localrag.events import ReviewEnded
from localrag.settings import load_settings
from localrag.types import source

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from localrag.grounding.workspace import Workspace
    from localrag.items.playbook import Playbook
    from localrag.items.usual import Against
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
@options.out_option(
    "Write a report (.docx, .html, .md), table (.xlsx, .json ...) or binder (.pdf) to FILE, replacing it."
)
@click.option(
    "--against",
    metavar="LIBRARY",
    shell_complete=options.complete_library,
    help="Compare each finding with the same clauses of the contracts of LIBRARY.",
)
@recipient_options
@options.json_option
def run_command(
    named: str,
    libraries: tuple[str, ...],
    documents: tuple[str, ...],
    only: str | None,
    file: Path | None,
    against: str | None,
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
    from localrag.sessions.links import originals

    if file is not None:
        reports.check(file)
    settings = load_settings()
    playbook = playbooks.load(named)
    names = options.chosen_libraries(libraries, settings)
    options.keep_to_retention(settings)
    keys.confine(settings, [*names, against] if against else names, file, recipients)
    from localrag.grounding.workspace import Workspace
    from localrag.items import review, usual

    others = ReviewEnded((), ())
    with (
        closing(Workspace(settings)) as workspace,
        interruptible("Stopping after this item…") as stop,
        bar(quiet=as_json) as update,
    ):
        if against:
            others = _reviewed(workspace, playbook, [against], (), stop, update)
        ended = ReviewEnded((), (), stopped=True)
        if not others.stopped:
            ended = _reviewed(workspace, playbook, names, documents, stop, update)
    compared = usual.against(playbook, ended.findings, others.findings, against) if against else {}
    findings = [one for one in ended.findings if one.new or only is None]
    totals, not_read = review.counts(findings), (*ended.not_read, *others.not_read)
    if as_json:
        print_json(
            {
                "playbook": playbook.title,
                "libraries": names,
                "counts": totals,
                "stopped": ended.stopped,
                "findings": [_row(one, compared) for one in findings],
                "not_read": [one.to_dict() for one in not_read],
            }
        )
    else:
        if not findings:
            echo("There is nothing to review." if only is None else "Nothing changed since the last review.", err=True)
        _print_all(playbook.title, findings, totals, compared)
        remarks([f"Not read: {source(one.document, '')}: {one.reason}" for one in not_read], 8, "--json")
    if file is not None:
        findings, record_of = [_noted(one, compared) for one in findings], settings.library_audit_file
        with binding(settings) as bind:
            about = (findings, playbook.title, ended, file, record_of, recipients, originals(settings), bind)
            written = reports.save(*about)
        echo(f"Wrote {counted(len(findings), 'finding')} to {written}.", err=True)
    if ended.stopped:
        say("Stopped. What was found is kept; the same command goes on.")
        sys.exit(130)


def _reviewed(
    workspace: Workspace,
    playbook: Playbook,
    names: Sequence[str],
    documents: Sequence[str],
    stop: Callable[[], bool],
    update: Callable[[int, int | None, str], None],
) -> ReviewEnded:
    """Review documents of libraries, and draw how far it is."""
    from localrag.answer.reviewer import Reviewer

    for event in Reviewer(workspace).review(playbook, libraries=names, documents=documents, stop=stop):
        if isinstance(event, ReviewEnded):
            return event
        update(
            event.done, event.total, f"document {event.document} of {event.documents}: {event.finding.document_name}"
        )
    return ReviewEnded((), (), stopped=True)


def _row(one: Checked, compared: Mapping[Checked, Against]) -> dict[str, Any]:
    """Return a finding as JSON, with how it compares with other contracts."""
    against = compared.get(one)
    return one.to_row() | ({"against": against.to_dict()} if against else {})


def _noted(one: Checked, compared: Mapping[Checked, Against]) -> Checked:
    """Return a finding whose note says how it compares with other contracts, for a report."""
    against = compared.get(one)
    return replace(one, note="; ".join(filter(None, (one.note, against.words)))) if against else one


def _print_all(
    title: str, findings: Sequence[Checked], totals: Mapping[str, int], compared: Mapping[Checked, Against]
) -> None:
    """Print the findings by document, and how many there are of each state."""
    from localrag.sessions.export.contents import by_document

    documents = by_document(findings)
    for own in documents.values():
        _print(own, compared)
    states = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in totals.items() if count)
    counts = f"{counted(len(documents), 'document')}, {counted(len(findings), 'finding')}"
    echo(f"{title}: {counts}{f': {states}' if states else ''}.")


def _print(own: Sequence[Checked], compared: Mapping[Checked, Against]) -> None:
    """Print the findings of a document: what deviations quote and propose, and how each compares with others."""
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
        if (against := compared.get(one)) and (one.state != "absent" or against.usual):
            value = shorten(one.value, _WIDTH, placeholder="…") or one.state
            echo(f"    {one_line(f'{one.title}: {value}: {against.words}')}", dim=True)
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
@click.argument("contract", type=options.EXISTING_FILE, required=False)
@click.option(
    "--from",
    "contracts",
    metavar="FOLDER",
    shell_complete=options.complete_library,
    help="Draft what is usual in the contracts of a FOLDER, or of the library of that name.",
)
@click.option(
    "--playbook",
    "named",
    metavar="PLAYBOOK",
    shell_complete=complete_playbook,
    help="The clauses to look for in them; by default those of cuad.",
)
def init_command(contract: Path | None, contracts: str | None, named: str | None) -> None:
    """Draft a playbook from a model CONTRACT (any format that localrag reads), and print it as YAML.

    Each clause with a heading becomes an item, with its text as example and fallback. No model is used; read the draft
    before you use it.

    With --from, contracts are reviewed, and each clause that is in at least 4 or a fifth of them becomes
    an item: how many have it, its values, the range that is usual, and wordings of these contracts. The reviews of a
    library are kept with it; a folder is read anew each time.
    """
    from localrag.items import playbook

    if (contract is None) == (contracts is None) or (named is not None and contract is not None):
        raise UsageError(
            "one source of the draft is needed", "Name a CONTRACT, or --from FOLDER with or without --playbook."
        )
    if contracts is not None:
        drafted = _usual(contracts, playbook.load("cuad" if named is None else named))
    else:
        from localrag.items import draft
        from localrag.redline import versions

        assert contract is not None
        read = versions.from_files([contract], load_settings())[contract]
        drafted = draft.from_pages(read.pages, contract.stem)
    echo(playbook.to_yaml(drafted), nl=False)


def _usual(named: str, playbook: Playbook) -> Playbook:
    """Return the playbook of what is usual in a library or folder."""
    from localrag.store.names import library_names

    settings, place = load_settings(), Path(named)
    known = named in library_names(settings.indexes_dir)
    if not (known or (named.strip() and place.is_dir())):
        hint = "`localrag libraries` lists the libraries. Name one of them, or a folder with contracts."
        raise NotFoundError(f"there is no library and no folder {named!r}", hint)
    options.keep_to_retention(settings)
    keys.confine(settings, [named] if known else [], around=True)
    from localrag import api
    from localrag.grounding.workspace import Workspace
    from localrag.items import usual

    with (
        interruptible("Stopping; nothing is drafted.") as stop,
        nullcontext(settings) if known else api.temporary_library(place, settings, stop) as own,
        closing(Workspace(own)) as workspace,
        bar() as update,
    ):
        library = named if known else api.TEMPORARY
        ended = _reviewed(workspace, playbook, [library], (), stop, update)
        if ended.stopped:
            sys.exit(130)
        title = one_line(named if known else place.resolve().name)
        drafted = usual.draft(playbook, ended.findings, title, partial(workspace.embed, library=library))
    remarks([f"Not read: {source(one.document, '')}: {one.reason}" for one in ended.not_read], 8, "localrag status")
    return drafted


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

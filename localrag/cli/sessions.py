"""`localrag sessions`: list, show, search, rename, branch, delete and export conversations."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from localrag.cli.binding import binding
from localrag.cli.keys import recipient_options
from localrag.cli.options import completes, confirm_deletion, json_option, keep_to_retention, out_option, print_result
from localrag.cli.output import counted, echo, echo_file, one_line, print_json
from localrag.errors import UsageError
from localrag.security.terminal import escaped
from localrag.settings import load_settings

if TYPE_CHECKING:
    from localrag.security.encryption.keyring import Recipients
    from localrag.sessions import Listed, Session, SessionStore
    from localrag.sessions.export import Form


@completes
def complete_conversation(ctx: click.Context) -> list[CompletionItem[Any]]:
    """Find ids, then titles, "last" first."""
    there = [one for one in _store().list() if not one.problem]
    items = [CompletionItem("last", help=there[0].title)] if there else []
    return [
        *items,
        *(CompletionItem(one.id, help=one.title) for one in there),
        *(CompletionItem(one.title) for one in there),
    ]


_NAMED = click.argument("named", metavar="CONVERSATION", shell_complete=complete_conversation)


@click.group("sessions", no_args_is_help=True)
def sessions_command() -> None:
    """List, search, rename, branch, export and delete conversations.

    CONVERSATION is an id or a title, the beginning of one, or "last" for the one used last. To continue one:
    localrag chat --resume CONVERSATION.
    """


command = sessions_command.command


@command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the conversations, the last used first, with the day of deletion if retention_days is set."""
    from localrag.lifecycle import retention

    store, settings = _store(), load_settings()
    there = [(one, retention.expiry(one.changed, settings)) for one in store.list()]
    if as_json:
        rows = [_row(one) | {"goes_after": then.isoformat() if then else None} for one, then in there]
        print_json({"conversations": rows, "folder": str(store.folder), "retention_days": settings.retention_days})
        return
    if not there:
        echo("There is no conversation yet. Start one: localrag chat", err=True)
    for one, then in there:
        echo(_line(one) + (f"  deleted after {then.date()}" if then else ""))


@command("show")
@_NAMED
@json_option
def show_command(named: str, as_json: bool) -> None:
    """Print a conversation, with quotes and sources, as Markdown."""
    from localrag.sessions import export

    text = export.written(_load(named), "json" if as_json else "md").decode()
    echo(escaped(text) if as_json else text, nl=False)


@command("search")
@click.argument("words", nargs=-1, required=True)
@json_option
def search_command(words: tuple[str, ...], as_json: bool) -> None:
    """Find all WORDS in titles, questions, answers and quotes."""
    from localrag.sessions.session_store import Searched

    hits = Searched(_store().all()).find(" ".join(words))
    if as_json:
        rows = [
            {"conversation": _row(hit.session), "turn": hit.turn, "where": hit.where, "snippet": hit.snippet}
            for hit in hits
        ]
        print_json({"words": list(words), "hits": rows})
        return
    if not hits:
        echo("Nothing found. All words must be in the same title, question, answer or quote.", err=True)
    before = ""
    for hit in hits:
        if hit.session.id != before:
            echo(_line(hit.session))
            before = hit.session.id
        echo(f"    {f'turn {hit.turn}, ' if hit.turn else ''}{hit.where}: {one_line(hit.snippet)}")


@command("rename")
@_NAMED
@click.argument("title")
@json_option
def rename_command(named: str, title: str, as_json: bool) -> None:
    """Rename a conversation."""
    store = _store()
    _print(store.retitle(store.find(named), title), "Renamed", as_json)


@command("branch")
@_NAMED
@click.option("--turn", type=click.IntRange(1), metavar="N", help="Copy the first N turns; all by default.")
@click.option("--title", default="", metavar="TEXT", help="Title of the new conversation.")
@json_option
def branch_command(named: str, turn: int | None, title: str, as_json: bool) -> None:
    """Start a new conversation with the turns of another, which stays as it is."""
    store = _store()
    _print(store.branch(store.find(named), turn, title), "Branched", as_json)


@command("delete")
@click.argument("named", metavar="CONVERSATION...", nargs=-1, required=True, shell_complete=complete_conversation)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def delete_command(named: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete conversations for good. Their libraries and documents stay."""
    store = _store()
    titles = {one.id: one.title or one.problem for one in store.list()}
    found = list(dict.fromkeys(store.find(one) for one in named))
    what = ", ".join(f"“{one_line(titles[one])}”" for one in found)
    confirm_deletion(what, yes)
    for one in found:
        store.delete(one)
    print_result(as_json, {"deleted": found}, f"Deleted {what}.")


@command("export")
@_NAMED
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["md", "html", "docx", "json", "pdf"]),
    help="Markdown, one HTML file, Word, JSON, or a binder of all quoted pages (PDF); by default the suffix of the "
    "file decides.",
)
@out_option(
    "Where to write it; - prints it. Default: a file named after the title in this folder.",
    "output",
    type=click.Path(path_type=Path, allow_dash=True),
)
@recipient_options
def export_command(named: str, form: Form | None, output: Path | None, recipients: Recipients | None) -> None:
    """Write a conversation with its answers, quotes, marks and sources to a new file that only you can read."""
    from localrag.sessions import export

    session = _load(named)
    printed = output is not None and str(output) == "-"
    chosen = form or (export.form_of(output) if output and not printed else "md")
    record = _store().record_of(*session.libraries)
    if printed:
        if (chosen in ("docx", "pdf") or recipients) and sys.stdout.isatty():
            what = "an encrypted file" if recipients else "a Word document" if chosen == "docx" else "a PDF"
            raise UsageError(f"cannot print {what} to a terminal", f"Name a file: -o FILE.{chosen}")
        with binding(load_settings()) as bind:
            made = export.exported(session, chosen, record, "-", recipients, bind)
        echo_file(made)
        return
    path = output or Path(export.file_name(session, chosen))
    if recipients is not None:
        # A name made of the title would reveal what it encrypts.
        path = recipients.path(output or Path(f"localrag-{session.id}.{chosen}"))
    with binding(load_settings()) as bind:
        export.write(session, path, chosen, record, recipients=recipients, bind=bind)
    echo(f"Wrote {path}", err=True)


def _store() -> SessionStore:
    from localrag.sessions import store_of

    settings = load_settings()
    keep_to_retention(settings)
    return store_of(settings)


def _load(named: str) -> Session:
    store = _store()
    return store.load(store.find(named))


def _row(one: Listed) -> dict[str, Any]:
    return {name: value for name, value in asdict(one).items() if name != "problem" or value}


def _line(one: Listed) -> str:
    if one.problem:
        return f"{one_line(one.id)}  cannot be opened: {one_line(one.problem)}"
    turns = counted(one.turns, "turn")
    when, of = one.changed[:16].replace("T", " "), ", ".join(one.libraries)
    return f"{one_line(one.id)}  {one_line(when)}  {turns:>9}  {one_line(one.title)}  ({one_line(of)})"


def _print(session: Session, done: str, as_json: bool) -> None:
    print_result(
        as_json,
        {"id": session.id, "title": session.title, "turns": len(session.turns)},
        f"{done}: {session.id}  {one_line(session.title)}",
    )

"""`localrag store`: libraries that several machines share, in a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from localrag.cli import keys, options
from localrag.cli.options import print_result
from localrag.cli.output import echo, one_line, print_json
from localrag.errors import NotFoundError
from localrag.lifecycle import restore
from localrag.settings import load_settings
from localrag.store import names, postgres

_RIGHTS = click.Choice(postgres.MAY[1:])


@click.group("store")
def store_command() -> None:
    """Keep libraries in a PostgreSQL database that several machines share.

    A URL is written as libpq reads it: postgresql:///firm is the database `firm` at this machine's Unix socket. A host
    has to be allowed by the administrator's policy. Passwords come from ~/.pgpass or PGPASSWORD.
    """


@store_command.command("init")
@click.argument("url")
@options.json_option
def init_command(url: str, as_json: bool) -> None:
    """Make the tables in the database at URL, as its owner.

    It needs PostgreSQL 17 with pgvector 0.8. Then say in SQL who may make libraries: GRANT EXECUTE ON FUNCTION
    localrag.create_library TO role.
    """
    made = postgres.initialise(store := postgres.Store.parse(url))
    words = f"Prepared {str(store)!r}." if made else f"{str(store)!r} was prepared before."
    print_result(as_json, {"store": str(store), "made": made}, words)


@store_command.command("connect")
@click.argument("url")
@click.argument("library", required=False)
@click.option("--name", metavar="NAME", help="The library's name on this machine; else its name in the store.")
@options.json_option
def connect_command(url: str, library: str | None, name: str | None, as_json: bool) -> None:
    """Use a LIBRARY of the database at URL on this machine; without LIBRARY, list those that you may read."""
    store = postgres.Store.parse(url)
    if library is None:
        with closing(postgres.Connection(store)) as connection:
            found = [(each, may) for _, each, may in postgres.libraries(connection)]
        if not (found or as_json):
            raise NotFoundError(f"{store.user!r} may read no library in {url!r}", "An owner gives rights.")
        _print_rows(as_json, [{"library": each, "may": may} for each, may in found])
        return
    local = restore.connect(load_settings(), store, library, name)
    print_result(as_json, {"library": local, "store": str(store)}, f"Connected {local!r} to {str(store)!r}.")


@store_command.command("disconnect")
@click.argument("library", type=options.LIBRARY, shell_complete=options.complete_library)
@options.json_option
def disconnect_command(library: str, as_json: bool) -> None:
    """Remove a library, with what this machine keeps of it, from this machine; the store or the export keeps it."""
    restore.disconnect(load_settings(), library)
    print_result(as_json, {"library": library}, f"Disconnected {library!r}.")


@store_command.command("grant")
@click.argument("library", shell_complete=options.complete_library)
@click.argument("role")
@click.option("--may", type=_RIGHTS, default="read", show_default=True, help="What the role may do.")
@options.json_option
def grant_command(library: str, role: str, may: str, as_json: bool) -> None:
    """Let a ROLE of PostgreSQL, and its members, read, write or own a library.

    It replaces the right that the role had. Owners give and take rights, delete the library, and read its audit log.
    """
    with _owned(library, "give rights to it") as connection:
        postgres.set_right(connection, role, may)
    print_result(as_json, {"library": library, "role": role, "may": may}, f"{role!r} may now {may} {library!r}.")


@store_command.command("revoke")
@click.argument("library", shell_complete=options.complete_library)
@click.argument("role")
@options.json_option
def revoke_command(library: str, role: str, as_json: bool) -> None:
    """Take the right to a library from a ROLE; what it has as a member of other roles stays, and is named."""
    with _owned(library, "take rights to it") as connection:
        others = postgres.rights_by_others(connection, role)  # before it: owners may take their own right
        postgres.set_right(connection, role, None)
    words = f"{role!r} has no right to {library!r} any more."
    if others:
        still = ", ".join(f"{may} it as a member of {other!r}" for other, may in others)
        words = f"{role!r} has no right of its own to {library!r} any more, but may still {still}."
    by = [{"role": other, "may": may} for other, may in others]
    print_result(as_json, {"library": library, "role": role, "may": None, "by_others": by}, words)


@contextmanager
def _owned(library: str, deed: str) -> Iterator[postgres.Connection]:
    """Open a library of a store, which the role has to own."""
    settings = load_settings()
    where = names.stored(settings, library)
    keys.confine(settings, [library])
    with closing(postgres.open_library(*where)) as connection:
        hint = f"An owner gives that right: localrag store grant {library} {connection.store.user} --may own"
        postgres.check_own(connection, library, deed, hint)
        yield connection


@store_command.command("index")
@click.argument("library", shell_complete=options.complete_library)
@options.json_option
def index_command(library: str, as_json: bool) -> None:
    """Give a large library an index of its vectors, for its owners; later ingests keep it.

    It is worth it from some 100,000 passages on. Whoever may connect to the database sees how large it is, and so about
    how many passages the library has.
    """
    with _owned(library, "give it an index") as connection:
        postgres.index_vectors(connection)
    print_result(as_json, {"library": library}, f"Made the index of {library!r}.")


@store_command.command("rights")
@click.argument("library", shell_complete=options.complete_library)
@options.json_option
def rights_command(library: str, as_json: bool) -> None:
    """List who may do what with a library, for its owners."""
    with _owned(library, "list its rights") as connection:
        found = postgres.rights(connection)
    _print_rows(as_json, [{"role": role, "may": may} for role, may in found])


@store_command.command("log")
@click.argument("library", shell_complete=options.complete_library)
@click.option("--last", type=click.IntRange(1), default=50, show_default=True, help="How many entries.")
@options.json_option
def log_command(library: str, last: int, as_json: bool) -> None:
    """Show who did what with a library, from all machines, for its owners."""
    with _owned(library, "read its log") as connection:
        found = postgres.audit_entries(connection, last)
    for _, _, event, details in found:
        if event == "right":  # in an entry, `role` is who made it
            details["grantee"] = details.pop("role", None)
    if as_json:
        print_json([{**details, "time": time, "role": role, "event": event} for time, role, event, details in found])
    else:
        for time, role, event, details in found:
            echo(one_line(f"{time}  {role}  {event}  {_about(event, details)}").rstrip())


def _print_rows(as_json: bool, rows: list[dict[str, Any]]) -> None:
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            echo(one_line("  ".join(row.values())))


def _about(event: str, details: dict[str, Any]) -> str:
    """What an entry of the log is about: a right, a document or a root."""
    if event == "right" and details["grantee"]:
        may, grantee = details.get("may"), details["grantee"]
        return f"gave {grantee} the right to {may} it" if may else f"took the right of {grantee}"
    return str(details.get("document") or details.get("root") or "")

"""`localrag audit`: show, verify, export and erase the audit log."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from localrag import policy
from localrag.cli.keys import recipient_options
from localrag.cli.options import FILE, complete_library, json_option, libraries_option, print_result
from localrag.cli.output import echo, one_line, print_json
from localrag.errors import KeyRequired, UsageError
from localrag.security import audit, storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.settings import Settings, load_settings
from localrag.store import names


@click.group("audit")
def audit_command() -> None:
    """Show who asked, read, exported and deleted what, and verify that the log was not changed.

    Each library has a log of its own, encrypted if the library is; a general log holds the rest. The log keeps
    questions and answers as marks (HMAC) that prove what they were. The setting `audit_words` keeps the words as well,
    in files of their own, so that they can be erased. For an ingest the log has counts and digests; the contents
    (SHA-256) that came and went are in separate files, which --json and exports as JSON Lines include.
    """


_library = libraries_option("Only the log of this library; may be repeated.")


@audit_command.command("show")
@_library
@click.option("--event", "events", multiple=True, metavar="EVENT", help="Only ask, ingest, show, export, forget, ...")
@click.option("--user", "users", multiple=True, metavar="USER", help="Only what this user did.")
@click.option("--since", metavar="DATE", default="", help="From this day or time on (ISO 8601, UTC).")
@click.option("--until", metavar="DATE", default="", help="Up to this day or time.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N entries.")
@json_option
def show_command(
    libraries: Sequence[str],
    events: Sequence[str],
    users: Sequence[str],
    since: str,
    until: str,
    last: int | None,
    as_json: bool,
) -> None:
    """Print the entries of the logs, oldest first, and name the logs whose key is missing."""
    locked: list[str] = []
    rows = [
        (name, file, entry)
        for name, file, entry in _entries(load_settings(), libraries, None if libraries else locked)
        if (not events or entry.event in events)
        and (not users or entry.user in users)
        and entry.time >= since
        and (not until or entry.time[: len(until)] <= until)
    ]
    rows = rows[-last:] if last else rows
    if as_json:
        print_json({"entries": [_row(name, file, entry) for name, file, entry in rows], "locked": locked})
        return
    if not rows:
        echo("No entry matches.", err=True)
    for name, file, entry in rows:
        echo(_line(_row(name, file, entry)))
    if locked:
        echo(f"Not shown, since their keys are missing (--key-file): {one_line(', '.join(locked))}", err=True)


@audit_command.command("verify")
@_library
@json_option
def verify_command(libraries: Sequence[str], as_json: bool) -> None:
    """Verify that no entry was changed, removed, moved or inserted. Exit code 1 if one was, or a key is missing.

    Somebody who can write the files and read their key can rewrite a log, or cut off its end, and leave it valid. Only
    a copy (localrag audit export) that is kept where they cannot reach it shows that.
    """
    checked: list[str] = []
    locked: list[str] = []
    found: list[dict[str, Any]] = []
    for name, file in _files(load_settings(), libraries):
        if not file.is_file():
            continue
        try:
            found += [{"record": name, **asdict(problem)} for problem in audit.verify(file)]
            checked.append(name)
        except KeyRequired:
            if libraries:
                raise
            locked.append(name)
    if as_json:
        print_json({"whole": not found and not locked, "records": checked, "problems": found, "locked": locked})
    else:
        for one in found:
            echo(f"{one_line(one['record'])}: {one['message']}")
        if not found and (checked or not locked):
            echo(f"Intact: {one_line(', '.join(checked)) or 'there is no log yet'}.", err=True)
        if locked:
            echo(f"Not verified, since their keys are missing (--key-file): {one_line(', '.join(locked))}", err=True)
    if found or locked:
        sys.exit(1)


@audit_command.command("export")
@click.argument("out", metavar="FILE", type=FILE)
@_library
@recipient_options
def export_command(out: Path, libraries: Sequence[str], recipients: Recipients | None) -> None:
    """Write the logs to a new FILE: .csv, .xlsx or .jsonl."""
    from localrag.sessions import table_export

    policy.check_export("the audit log")
    form = decrypted_name(out)
    out = out if recipients is None else recipients.path(out)
    if form.suffix.lower() not in (".csv", ".xlsx", ".jsonl"):
        raise UsageError(f"cannot export to {form.suffix!r}", "Name the file .csv, .xlsx or .jsonl.")
    storage.check_target(out)
    if out.exists():
        raise UsageError(f"{str(out)!r} exists", "Name another file, or move this one away.")
    settings = load_settings()
    rows = [_row(name, file, entry) for name, file, entry in _entries(settings, libraries)]
    if form.suffix.lower() == ".jsonl":
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    else:
        data = table_export.written([_flat(row) for row in rows], form, "Audit log")
    storage.write_bytes(out, data if recipients is None else recipients.encrypt(data))
    sealed = {"encrypted_for": list(recipients.names)} if recipients else {}
    audit.record(settings.audit_file, "export", None, what="audit", lines=len(rows), **sealed)
    echo(f"Wrote {len(rows):,} entries to {str(out)!r}.", err=True)


@audit_command.command("erase")
@click.argument("library", shell_complete=complete_library)
@click.argument("numbers", nargs=-1, type=int, required=True)
@json_option
def erase_command(library: str, numbers: Sequence[int], as_json: bool) -> None:
    """Erase what was kept with these entries: the words of questions and answers, and lists of what an ingest read.

    The entries and their chain stay.
    """
    ((_, file),) = _files(load_settings(), [library])
    erased = [number for number in numbers if any([audit.erase(file, number), audit.erase(file, number)])]
    if erased:
        audit.record(file, "forget", library, reason="erase", lines=erased)
    print_result(
        as_json,
        {"library": library, "erased": erased},
        f"Erased what was kept with {len(erased)} of {len(numbers)} entries.",
    )


_GENERAL = "(general)"


def _files(settings: Settings, libraries: Sequence[str]) -> list[tuple[str, Path]]:
    there = names.library_names(settings.indexes_dir)
    for name in libraries:
        if name not in there:
            raise names.no_library(settings.indexes_dir, name)
    general = [] if libraries else [(_GENERAL, settings.audit_file)]
    return [*general, *((name, settings.library_audit_file(name)) for name in libraries or there)]


def _entries(
    settings: Settings, libraries: Sequence[str], locked: list[str] | None = None
) -> list[tuple[str, Path, audit.Entry]]:
    """Return the entries of all logs by time, and add logs whose key is missing to `locked`."""
    found = []
    for name, file in _files(settings, libraries):
        try:
            found += [(name, file, entry) for entry in (audit.entries(file) if file.is_file() else ())]
        except KeyRequired:
            if locked is None:
                raise
            locked.append(name)
    return sorted(found, key=lambda item: (item[2].time, item[0], item[2].number))


def _row(record: str, file: Path, entry: audit.Entry) -> dict[str, Any]:
    row = {"record": record, **asdict(entry)}
    if changed := audit.lists_of(file, entry):
        row["documents"] = {
            "came": changed.added,
            "went": changed.removed,
            "forgotten": changed.forgotten,
            "as_recorded": changed.intact,
        }
    if found := audit.words_of(file, entry):
        row["words"] = {"question": found.question, "answer": found.answer, "as_recorded": found.intact}
    return row


def _line(row: dict[str, Any]) -> str:
    details = ", ".join(f"{name} {_short(value)}" for name, value in row["details"].items())
    words = f"  “{row['words']['question']}”" if "words" in row else ""
    return one_line(f"{row['time'][:19]}  {row['user']}  {row['event']}  {row['library'] or '-'}  {details}{words}")


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:12]}…"


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row for a table, with one value a column."""
    one = {name: value for name, value in row.items() if name not in ("words", "documents")}
    words = {"question": "", "answer": "", **row.get("words", {})}
    return {
        **one,
        "details": json.dumps(row["details"], ensure_ascii=False),
        "question": words["question"],
        "answer": words["answer"],
    }

"""`localrag audit`: show, verify, export and erase the audit log."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from localrag import policy
from localrag.cli.keys import recipient_options
from localrag.cli.options import complete_library, json_option, libraries_argument, out_option, print_result
from localrag.cli.output import counted, echo, one_line, print_json
from localrag.errors import KeyRequired, LocalragError, UsageError
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


@audit_command.command("show")
@libraries_argument()
@click.option("--event", "events", multiple=True, metavar="EVENT", help="Only ask, ingest, show, export, forget, ...")
@click.option("--user", "users", multiple=True, metavar="USER", help="Only what this user did.")
@click.option("--since", metavar="DATE", default="", help="From this day or time on (ISO 8601, UTC).")
@click.option("--until", metavar="DATE", default="", help="Up to this day or time.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N entries.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the same columns as CSV.")
@click.option(
    "--verify", "verifies", is_flag=True, help="Verify the logs, too, and print hashes; exit code as of verify."
)
@json_option
def show_command(
    libraries: Sequence[str],
    events: Sequence[str],
    users: Sequence[str],
    since: str,
    until: str,
    last: int | None,
    as_csv: bool,
    verifies: bool,
    as_json: bool,
) -> None:
    """Print who did what and when (UTC), oldest first: of all logs, or those of the libraries NAME.

    A question is shown if the setting `audit_words` kept its words, and a document by the name that it has now.
    Logs whose key is missing, and lines that cannot be read, are named.
    """
    if as_json and verifies:
        raise UsageError("--json and --verify do not go together", "Verify it with: localrag audit verify --json")
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
    _print(rows, as_csv, verifies)
    for name, file in _files(load_settings(), libraries):
        if name not in locked and (lost := audit.unreadable(file)):
            lines = counted(lost, "line")
            echo(f"! {one_line(name)}: {lines} cannot be read. Why: localrag audit verify", fg="yellow", err=True)
    if locked:
        echo(f"Not shown, since their keys are missing (--key-file): {one_line(', '.join(locked))}", err=True)
    if verifies:
        click.get_current_context().invoke(verify_command, libraries=libraries, as_json=False)


def _print(rows: Sequence[tuple[str, Path, audit.Entry]], as_csv: bool, hashes: bool) -> None:
    """Print entries in words, a line each, or as CSV."""
    from localrag.sessions import table_export

    paths = {name: _paths_of(name) for name in {name for name, _, _ in rows}}
    entries = [_in_words(_row(name, file, entry), paths[name], hashes) for name, file, entry in rows]
    if as_csv:
        echo(table_export.written(entries, Path("audit.csv")).decode("utf-8-sig").replace("\r\n", "\n"), nl=False)
        return
    if not rows:
        echo("No entry matches.", err=True)
    for one in entries:
        action = _ACTIONS.get(one["event"], one["event"])
        action = f"{action} {one['library']}" if one["library"] else _PREPOSITION.sub("", action)
        text = "; ".join(filter(None, (one["question"], one["documents"], one["details"])))
        echo(one_line(f"  {one['user']} {action}{text and ': '}{text}"), head=one["time"], dim=True)


@audit_command.command("verify")
@libraries_argument()
@json_option
def verify_command(libraries: Sequence[str], as_json: bool) -> None:
    """Verify that no entry was changed, removed, moved or inserted. Exit code 1 if one was, or a key is missing.

    Of all logs, or those of the libraries NAME.

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
@libraries_argument()
@out_option("The file to write.", "out", required=True)
@recipient_options
def export_command(libraries: Sequence[str], out: Path, recipients: Recipients | None) -> None:
    """Write the logs, or those of the libraries NAME, to a new FILE: .csv, .xlsx or .jsonl."""
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
_HASH = re.compile(r"[0-9a-f]{16,64}")
_PREPOSITION = re.compile(r" (?:from|in|into|of)$")
_LONGEST = 200  # characters of a detail
_ACTIONS = {
    "ask": "asked",
    "call": "let a program call",
    "compare": "compared versions in",
    "dates": "listed dates of",
    "export": "exported from",
    "fact": "decided on a fact of",
    "forget": "deleted from",
    "ingest": "read a folder into",
    "model": "changed a model",
    "overview": "looked at the overview of",
    "proofread": "proofread a document of",
    "refused": "was refused in",
    "restore": "restored",
    "review": "reviewed",
    "search": "searched",
    "show": "opened a page of",
    "vault": "changed the encryption of",
}


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


def _paths_of(name: str) -> dict[str, str]:
    """Return the paths of a library's documents by content; none where it cannot be opened."""
    from localrag.store.library import open_library

    with suppress(LocalragError), policy.unreported(), closing(open_library(load_settings(), name)) as library:
        return {document.sha256: document.path for document in library.documents()}
    return {}


def _in_words(row: dict[str, Any], paths: Mapping[str, str], hashes: bool) -> dict[str, str]:
    """Return an entry in words, one a column, with hashes only if they are asked for."""
    details = {name: value for name, value in row["details"].items() if hashes or not _is_hash(value)}
    question = "(words not kept)" if row["event"] in ("ask", "search") else ""
    if words := row.get("words"):
        question = f"“{words['question']}”{'' if words['as_recorded'] else ' (not the words that were recorded)'}"
    shown = details.pop("shown", None)
    place = {str(details.pop("document")): [str(details.pop("page", 0))]} if "document" in details else {}
    return {
        "time": one_line(row["time"][:16].replace("T", " ")),
        "user": row["user"],
        "event": row["event"],
        "library": str(row["library"] or ""),
        "question": question,
        "documents": _places(place or _pages(shown if isinstance(shown, list) else [], paths)),
        "details": ", ".join(filter(None, (_detail(*one) for one in details.items()))),
    } | ({"mark": row["mark"]} if hashes else {})


def _is_hash(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(isinstance(one, dict) or _HASH.fullmatch(str(one)) for one in values)


def _pages(shown: Sequence[Any], paths: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the pages that were shown of each document, by its path now."""
    found: dict[str, list[str]] = {}
    for place in shown:
        content, _, page = str(place).rpartition("#")
        found.setdefault(paths.get(content, "a document that is gone"), []).append(page)
    return found


def _places(pages: Mapping[str, Sequence[str]]) -> str:
    found = {
        path: _ranges(sorted({int(page) for page in given if page.isdecimal() and len(page) < 10}))
        for path, given in pages.items()
    }
    return ", ".join(f"{path} (p. {numbers})" if numbers else path for path, numbers in found.items())


def _ranges(pages: Sequence[int]) -> str:
    """Return numbers of pages in words, as 2, 5-9; the 0 of a file without pages is none."""
    runs: list[list[int]] = []
    for page in filter(None, pages):
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _detail(name: str, value: Any) -> str:
    """Return a detail in words: nothing for what is empty, its name for what is true."""
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    words, text = name.replace("_", " "), text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return "" if value in (None, "", False) or value == [] else words if value is True else f"{words} {text}"


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

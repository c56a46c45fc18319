"""The commands that look at libraries and change, delete, back up and restore them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click

from localrag.cli import keys, options
from localrag.cli.keys import recipient_options
from localrag.cli.options import print_result
from localrag.cli.output import bar, confirm, counted, echo, interruptible, one_line, print_json, size, table
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.security import sandbox
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Recipients
from localrag.settings import load_settings
from localrag.store.names import check_name, database_of

_known: dict[bytes, keyrings.Key] = {}  # so that each key is asked for once
_LISTED = ("name", "documents", "chunks", "bytes", "roots", "folder", "store", "encrypted", "read_only")
_ENCRYPTED = {"no": "no (localrag vault encrypt {name})", "server": "if its server encrypts the disk"}


@click.command("libraries")
@options.json_option
def libraries_command(as_json: bool) -> None:
    """List the libraries and where they are."""
    from localrag import api, policy

    settings = load_settings()
    rows: list[dict[str, Any]] = []
    for name in api.library_names(settings):
        try:
            with policy.unreported():
                status = api.open_library(name, settings=settings).status()
            rows.append({key: status[key] for key in _LISTED})
        except LocalragError as error:
            rows.append({"name": name, "problem": error.message})
    if as_json:
        print_json({"libraries": rows, "folder": str(settings.indexes_dir)})
        return
    if not rows:
        echo(f"No libraries in {settings.indexes_dir}. Make one: localrag ingest FOLDER", err=True)
        return
    good = [
        (
            row["name"],
            f"{row['documents']:,}",
            size(row["bytes"]),
            _encrypted(row),
            row["read_only"] or ", ".join(row["roots"]),
        )
        for row in rows
        if "problem" not in row
    ]
    if good:
        table(("NAME", "DOCUMENTS", "SIZE", "ENCRYPTED", "FOLDERS"), good, right=("DOCUMENTS", "SIZE"))
    for row in rows:
        if "problem" in row:
            echo(f"{one_line(row['name'])}: {one_line(row['problem'])}", fg="red")


def _encrypted(status: Mapping[str, Any]) -> str:
    return "yes" if status["encrypted"] else "server" if status["store"] else "no"


@click.command("status")
@options.library_argument()
@options.json_option
def status_command(name: str, as_json: bool) -> None:
    """Show what the library NAME holds, what could not be read, and which embedder made its vectors."""
    from localrag import api

    status = api.open_library(name, settings=load_settings()).status()
    if as_json:
        print_json(status)
        return
    embedder, cached = status["embedder"], status["cached"]
    nouns = {"documents": "document", "pages": "page", "chunks": "passage"}
    echo(f"{name}, read-only" if status["read_only"] else name, bold=True)
    how = _encrypted(status)
    facts = {
        "holds": ", ".join(counted(status[key], noun) for key, noun in nouns.items()),
        "stored in": status["store"] or f"{status['read_only'] or status['folder']} ({size(status['bytes'])})",
        "cached": f"{counted(cached['passages'], 'passage')}; the prompt cache takes {size(cached['bytes'])} of "
        f"at most {size(cached['limit'])} (the setting cache_bytes)",
        "encrypted": how if status["read_only"] else _ENCRYPTED.get(how, how).format(name=name),
        "read from": ", ".join(status["roots"]) or "-",
        "languages": ", ".join(f"{each.capitalize()} ({count})" for each, count in status["languages"].items()) or "-",
        "embedder": f"{embedder['model']} ({embedder['precision']}, {embedder['engine']})",
        "wording": status["instructions"] or "the model's own (localrag instruct)",
    }
    for what, fact in facts.items():
        echo(one_line(fact), head=f"  {what:<10} ", dim=True)
    if status["advice"]:
        echo(one_line(status["advice"]), fg="yellow")
    echo()
    rows = []
    for item in status["list"]:
        length = counted(item["pages"], "page") if item["pages"] is not None else f"{item['characters']:,} characters"
        skipped = len(item["skipped_pages"])
        rows.append((item["document"], length, f"no text on {counted(skipped, 'page')}" if skipped else ""))
    table(("DOCUMENT", "LENGTH", "NOTE"), rows)
    for pair in status["near_duplicates"]:
        echo(f"near duplicate: {one_line(pair['document'])} and {one_line(pair['of'])} ({pair['similarity']:.0%})")
    for remark in status["remarks"]:
        page = "" if remark["page"] is None else f" p. {remark['page']}"
        echo(f"note: {one_line(remark['document'])}{page}: {one_line(remark['text'])}")
    for failure in status["failed"]:
        echo(f"failed: {one_line(failure['document'])}: {one_line(failure['reason'])}", fg="red")


@click.command("show")
@click.argument("document")
@options.libraries_option("The library.", multiple=False, required=True)
@click.option("-p", "--page", type=int, metavar="N", help="Page number, from 1; needed where there are several.")
@options.json_option
def show_command(document: str, library: str, page: int | None, as_json: bool) -> None:
    """Print a page of DOCUMENT as it is stored. The offsets of citations count in this text."""
    from localrag import api

    document = os.fsencode(document).decode("utf-8", "backslashreplace")  # as it is stored
    found, stored = api.open_library(library, settings=load_settings()).page(document, page)
    if as_json:
        print_json(
            {
                "library": library,
                "document": found.path,
                "page": stored.number,
                "label": stored.label,
                "pages": found.pages if found.paged else None,
                "text": stored.text,
            }
        )
    else:
        echo(stored.text)


@click.command("instruct")
@options.library_argument()
@click.argument("text", required=False)
@click.option("--file", type=options.FILE, metavar="FILE", help="Read the instructions from FILE.")
@click.option("--clear", is_flag=True, help="Delete the instructions.")
@options.json_option
def instruct_command(name: str, text: str | None, file: Path | None, clear: bool, as_json: bool) -> None:
    """Set how answers from the library NAME are worded: TEXT, at most 600 characters. Without TEXT, print it.

    Use it for the language and form of answers and the terms of a field. It applies to every later question and
    survives an ingest. It changes the wording alone: search and the checks of an answer stay the same.
    """
    from localrag import api

    if sum((text is not None, file is not None, clear)) > 1:
        raise UsageError("several instructions were given", "Give one of TEXT, --file and --clear.")
    library = api.open_library(name, settings=load_settings())
    before = library.instructions
    if file is not None:
        try:
            text = options.read_file(file).decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{str(file)!r} is not UTF-8 text: {error}", "Save it as plain text.") from error
    # Blank text is an error: an empty string would delete the instructions.
    now = library.instruct("" if clear else text or " ") if clear or text is not None else before
    if as_json:
        print_json({"library": name, "instructions": now, "before": before})
    elif now:
        echo(now)
    else:
        echo(f"The library {name!r} has no instructions.", err=True)


@click.command("forget")
@options.library_argument()
@options.document_option
@click.option(
    "--conversations",
    type=click.Choice(("redact", "remove", "keep")),
    default="redact",
    show_default=True,
    help="What happens to conversations that answered from them: remove those answers, delete them whole, keep them.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.json_option
def forget_command(
    name: str, documents: tuple[str, ...], conversations: Literal["redact", "remove", "keep"], yes: bool, as_json: bool
) -> None:
    """Delete the library NAME, or documents of it, for good. The original files stay.

    Deletes text, full-text index, vectors, prompt cache and answers in conversations, and overwrites the freed space.
    Later ingests skip the documents, also under other names (`ingest --include-forgotten` reads them again). Deleting a
    whole library deletes its conversations and its audit record. Copies that an SSD, a copying file system or a backup
    keeps are out of reach; for an encrypted library, `localrag vault rotate` makes them unreadable. A library in a
    PostgreSQL store is deleted for everybody; `localrag store disconnect` removes it from this machine alone.
    """
    from localrag import api

    settings = load_settings()
    library = api.open_library(name, settings=settings)
    gone = [document.path for document in library.documents(list(documents) or None)]
    what = counted(len(gone), "document")
    what = f"{what} of {name!r}" if documents else f"the library {name!r} with {what}"
    options.confirm_deletion(what, yes)
    gone = library.forget(list(documents) or None, conversations=conversations)
    print_result(as_json, {"library": name, "forgotten": gone, "whole": not documents}, f"Deleted {what}.")


@click.command("backup")
@options.library_argument()
@options.out_option("The file to write.")
@recipient_options
@click.option("--clear", is_flag=True, help="Do not encrypt: anyone with the file can read it.")
@click.option("--replace", is_flag=True, help="Replace an existing file.")
@click.option("--check", is_flag=True, help="Only check a backup, given in place of NAME.")
@options.json_option
def backup_command(
    name: str, file: Path | None, recipients: Recipients | None, clear: bool, replace: bool, check: bool, as_json: bool
) -> None:
    """Write the library NAME to FILE: text, vectors, conversations and audit log.

    The backup of an encrypted library opens with its keys. For one in clear choose who can open it: --encrypt asks for
    a passphrase, --encrypt-for takes public keys and key files, --clear leaves it open. The backup is a snapshot, even
    during an ingest, and is read back before it counts. Ctrl-C stops it and leaves no file. Documents that you forget
    later stay in it.
    """
    settings = load_settings()
    if check:
        _check(Path(name), as_json)
        return
    if file is None:
        raise UsageError("no file is named", f"For example: localrag backup {name} --out {name}.backup --encrypt")
    keys.confine(settings, [check_name(name)], file)
    from localrag.lifecycle import backup

    # Questions come before the progress bar.
    replace = replace or _agrees(file.exists() and f"Replace {str(file)!r}?")
    unlocked.keys_for(database_of(settings.library_dir(name)))
    with interruptible() as stop, bar() as tell:
        made = backup.write(settings, name, file, recipients, clear=clear, replace=replace, stop=stop, progress=tell)
    if as_json:
        print_json({"file": str(file), "size": file.stat().st_size, **asdict(made)})
        return
    how = "in clear" if clear else "encrypted"
    echo(f"Wrote and verified {counted(made.files, 'file')} ({size(made.bytes)}) in {file}, {how}.", err=True)
    echo(f"To restore it: localrag restore {file}", err=True)


@click.command("export")
@options.library_argument()
@click.option(
    "--read-only", "out", type=click.Path(path_type=Path), metavar="OUT", required=True, help="The folder to make."
)
@click.option("--with-documents", "documents", is_flag=True, help="Include the files, so that pages can be opened.")
@recipient_options
@click.option("--clear", is_flag=True, help="Do not encrypt the export of an encrypted library.")
@options.json_option
def export_command(
    name: str, out: Path, documents: bool, recipients: Recipients | None, clear: bool, as_json: bool
) -> None:
    """Write the library NAME to the folder OUT, for others to open from a share or a stick without writing to it.

    It is a snapshot, even during an ingest: text, vectors, facts and figures; no conversations, reviews, prompt cache,
    instructions, audit log, keys or paths of this machine. OUT takes its name when all of it is on the disk; Ctrl-C
    leaves nothing. Whoever has it gives its path for a library's name. Documents that you forget later stay in it.
    """
    settings = load_settings()
    unlocked.keys_for(database_of(settings.library_dir(check_name(name))))  # asked for before the progress bar
    from localrag.lifecycle import export

    with interruptible() as stop, bar(quiet=as_json) as tell:
        made = export.write(settings, name, out, recipients, clear=clear, documents=documents, stop=stop, progress=tell)
    for path in made.left_out:
        echo(f"Not included, since it is gone or has changed: {one_line(path)}", fg="yellow", err=True)
    how = "encrypted" if made.encrypted else "in clear"
    words = f"Wrote {counted(made.files, 'file')} ({size(made.bytes)}) to {out}, {how}, SHA-256 {made.sha256}."
    print_result(as_json, asdict(made), f'{words}\nTo open it: localrag ask "…" --library {out}')


@click.command("verify")
@click.argument("folder", type=click.Path(path_type=Path))
@options.json_option
def verify_command(folder: Path, as_json: bool) -> None:
    """Check every file of the read-only library at FOLDER against its SHA-256.

    The hashes find damage. Whoever changes a file on purpose can change them too: to know that it is what was sent,
    compare the SHA-256 that this prints with the one that its export printed.
    """
    from localrag.lifecycle import export

    with interruptible() as stop, bar(quiet=as_json) as tell:
        found = export.verify(folder, stop=stop, progress=tell)
    value = {"library": found.library, "made": found.made, "files": len(found.files), "sha256": found.sha256}
    if as_json:
        print_json({"folder": str(folder), **value, "encrypted": found.encrypted})
    else:
        echo(one_line(f"{folder} is intact: {found.library!r} of {found.made}, SHA-256 {found.sha256}."))


def _check(file: Path, as_json: bool) -> None:
    from localrag.lifecycle import backup

    if not file.is_file():
        raise UsageError(f"there is no file {str(file)!r}", "Give the backup itself: localrag backup --check FILE")
    with interruptible() as stop:
        found = backup.check(file, _unlock, stop=stop)
    if as_json:
        print_json({"file": str(file), **asdict(found)})
        return
    contents = f"{counted(found.files, 'file')} ({size(found.bytes)})"
    echo(f"{file} is intact: {found.library!r} of {found.made}, {contents}.")


@click.command("restore")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="Name of the restored library; its old name by default.")
@click.option("--replace", is_flag=True, help="Replace a library of that name, with its conversations and audit log.")
@click.option("--yes", is_flag=True, help="Trust a source that is not encrypted and was not made here.")
@options.json_option
def restore_command(source: Path, name: str | None, replace: bool, yes: bool, as_json: bool) -> None:
    """Restore a library from SOURCE: a backup, or a copy of a library's folder.

    A backup is checked against its digest, and an encrypted one opens only with its key. localrag asks before it trusts
    a source that is not encrypted and was not made here: its author decides what the documents say and how answers are
    worded. Ctrl-C stops it and changes nothing.
    """
    settings = load_settings()
    if not source.exists():  # before the sandbox resolves it, which fails for a link to itself
        raise NotFoundError(f"there is no {str(source)!r}", "Give a backup, or the folder of a library.")
    # It creates a library, and looks for existing conversations.
    sandbox.restrict(settings, None, reads=[source.absolute(), *keys.key_files()])
    from localrag.lifecycle import restore

    with interruptible() as stop:
        found = restore.inspect(settings, source, name, _unlock, stop)
    name = found.library
    # Questions come before the progress bar.
    trust = yes or _agrees(not found.trusted and f"{str(source)!r} is not encrypted and was not made here. Trust it?")
    exists = (settings.indexes_dir / name).exists() and not replace
    replace = replace or _agrees(exists and f"Replace the library {name!r}, with its conversations and audit log?")
    with interruptible() as stop, bar() as tell:
        made = restore.restore(
            settings, source, name, trust=trust, replace=replace, unlock=_unlock, stop=stop, progress=tell
        )
    if as_json:
        print_json(asdict(made))
        return
    how = " (encrypted)" if made.encrypted else ""
    echo(
        f"Restored {made.library!r}{how}: {counted(made.documents, 'document')}, {counted(made.passages, 'passage')}, "
        f"{counted(made.conversations, 'conversation')}.",
        err=True,
    )
    for line in made.left_out:
        echo(f"Not restored: {one_line(line)}", err=True)
    if made.instructions:
        echo(f"Its answers follow these instructions: {made.instructions!r} (localrag instruct)", err=True)
    echo(f'Next: localrag ask "…" --library {made.library}', err=True)


def _unlock(place: Path, keyring: bytes) -> keyrings.Key:
    """Return the key of a keyring, asking at most once."""
    if keyring not in _known:
        _known[keyring] = keys.library_key(place, keyrings.from_json(keyring), True)
    return _known[keyring]


def _agrees(question: str | bool) -> bool:
    """Return whether the user agrees; False without a terminal."""
    return bool(question) and sys.stdin.isatty() and confirm(str(question), abort=True)

"""`localrag backup` and `localrag restore`: write a library to one file, and restore it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli import keys
from localrag.cli.keys import recipient_options
from localrag.cli.options import complete_library, json_option, print_json, shown
from localrag.cli.output import bar, counted, interruptible, size
from localrag.errors import StorageError, UsageError
from localrag.security import sandbox
from localrag.security.encryption import unlocked
from localrag.settings import load_settings
from localrag.store.names import DATABASE, check_name

if TYPE_CHECKING:
    from localrag.security.encryption.age import Recipients
    from localrag.security.encryption.keyring import Key


_known: dict[bytes, Key] = {}


@click.command("backup", epilog="""\b
Examples:
  localrag backup contracts /media/stick/contracts.backup --encrypt
  localrag backup contracts contracts.backup --encrypt-for backup.key
  localrag backup matter-17 matter-17.backup --key-file owner.key
  localrag backup contracts contracts.backup --clear
  localrag backup --check contracts.backup""")  # fmt: skip
@click.argument("name", shell_complete=complete_library)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@recipient_options
@click.option("--clear", is_flag=True, help="Do not encrypt: anyone with the file can read it.")
@click.option("--replace", is_flag=True, help="Replace an existing file.")
@click.option("--check", is_flag=True, help="Only check a backup, given in place of NAME.")
@json_option
def backup_command(
    name: str, file: Path | None, recipients: Recipients | None, clear: bool, replace: bool, check: bool, as_json: bool
) -> None:  # fmt: skip
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
        raise UsageError("no file is named", f"For example: localrag backup {name} {name}.backup --encrypt")
    if not file.absolute().parent.is_dir():
        raise StorageError(f"there is no folder {str(file.parent)!r}", "Create it, or give another path.")
    # Before numpy starts threads.
    sandbox.restrict(settings, [check_name(name)], file.absolute().parent, reads=keys.key_files())
    from localrag.lifecycle import backup

    # Questions come before the progress bar.
    replace = replace or _sure(file.exists() and f"Replace {str(file)!r}?")
    unlocked.keys_for(settings.library_dir(name) / DATABASE)
    with interruptible() as stop, bar() as tell:
        made = backup.write(
            settings, name, file, recipients, clear=clear, replace=replace, stop=lambda: stop.asked, progress=tell
        )
    if as_json:
        print_json({"file": str(file), "size": file.stat().st_size, **asdict(made)})
        return
    how = "in clear" if clear else "encrypted"
    click.echo(f"Wrote and verified {counted(made.files, 'file')} ({size(made.bytes)}) in {file}, {how}.", err=True)
    click.echo(f"To restore it: localrag restore {file}", err=True)


def _check(file: Path, as_json: bool) -> None:
    from localrag.lifecycle import backup

    if not file.is_file():
        raise UsageError(f"there is no file {str(file)!r}", "Give the backup itself: localrag backup --check FILE")
    with interruptible() as stop:
        found = backup.check(file, _unlock, stop=lambda: stop.asked)
    if as_json:
        print_json({"file": str(file), **asdict(found)})
        return
    contents = f"{counted(found.files, 'file')} ({size(found.bytes)})"
    click.echo(f"{file} is intact: {shown(found.library)!r} of {found.made}, {contents}.")


@click.command("restore", epilog="""\b
Examples:
  localrag restore contracts.backup
  localrag restore contracts.backup --name contracts-in-may
  localrag restore /media/stick/indexes/contracts --yes
  localrag restore matter-17.backup --key-file owner.key --replace""")  # fmt: skip
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="Name of the restored library; its old name by default.")
@click.option("--replace", is_flag=True, help="Replace a library of that name, with its conversations and audit log.")
@click.option("--yes", is_flag=True, help="Trust a source that is not encrypted and was not made here.")
@json_option
def restore_command(source: Path, name: str | None, replace: bool, yes: bool, as_json: bool) -> None:
    """Restore a library from SOURCE: a backup, or a copy of a library's folder.

    A backup is checked against its digest, and an encrypted one opens only with its key. localrag asks before it trusts
    a source that is not encrypted and was not made here: its author decides what the documents say and how answers are
    worded. Ctrl-C stops it and changes nothing.
    """
    settings = load_settings()
    # It creates a library, and looks for existing conversations.
    sandbox.restrict(settings, None, reads=[source.absolute(), *keys.key_files()])
    from localrag.lifecycle import restore

    with interruptible() as stop:
        found = restore.inspect(settings, source, name, _unlock, lambda: stop.asked)
    name = found.library
    # Questions come before the progress bar.
    trust = yes or _sure(not found.trusted and f"{str(source)!r} is not encrypted and was not made here. Trust it?")
    exists = (settings.indexes_dir / name).exists() and not replace
    replace = replace or _sure(exists and f"Replace the library {name!r}, with its conversations and audit log?")
    with interruptible() as stop, bar() as tell:
        made = restore.restore(
            settings, source, name, trust=trust, replace=replace, unlock=_unlock, stop=lambda: stop.asked,
            progress=tell,
        )  # fmt: skip
    if as_json:
        print_json(asdict(made))
        return
    how = " (encrypted)" if made.encrypted else ""
    click.echo(
        f"Restored {made.library!r}{how}: {counted(made.documents, 'document')}, {counted(made.passages, 'passage')}, "
        f"{counted(made.conversations, 'conversation')}.", err=True,
    )  # fmt: skip
    for line in made.left_out:
        click.echo(f"Not restored: {shown(line)}", err=True)
    if made.instructions:
        click.echo(f"Its answers follow these instructions: {shown(made.instructions)!r} (localrag instruct)", err=True)
    click.echo(f'Next: localrag ask "…" --library {made.library}', err=True)


def _unlock(place: Path, keyring: bytes) -> Key:
    """Return the key of a keyring, asking at most once."""
    from localrag.security.encryption import keyring as keyrings

    if keyring not in _known:
        _known[keyring] = keys.library_key(place, keyrings.from_json(keyring), True)
    return _known[keyring]


def _sure(question: str | bool) -> bool:
    """Return whether the user agrees; False without a terminal."""
    return bool(question) and sys.stdin.isatty() and click.confirm(str(question), abort=True, err=True)

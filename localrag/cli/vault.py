"""`localrag vault`: libraries encrypted on the disk, and who may open them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import unlocking
from localrag.cli.options import complete_library, json_option, print_json, shown
from localrag.cli.output import bar, interruptible
from localrag.errors import KeyRequired, NotFoundError, UsageError
from localrag.settings import load_settings

if TYPE_CHECKING:
    from localrag.lifecycle.encrypt import Progress
    from localrag.security.encryption.keyring import Key, Keyring

_FIRST = "owner"


@click.group("vault")
def vault_command() -> None:
    """Encrypt libraries on the disk, and say who may open them.

    What localrag keeps of an encrypted library is encrypted: texts, full-text index, vectors, kept model states and
    conversations. Names and sizes of its files, and when they were used, are not hidden.
    """


@vault_command.command(
    "encrypt",
    epilog="""\b
Examples:
  localrag vault encrypt contracts
  localrag vault encrypt contracts --key-file contracts.key""",
)
@click.argument("name", shell_complete=complete_library)
@click.option("--no-recovery", is_flag=True, help="Make no recovery key.")
@json_option
def encrypt_command(name: str, no_recovery: bool, as_json: bool) -> None:
    """Encrypt the library NAME in place.

    With --key-file the file opens it from then on, else a passphrase that is asked for. A recovery key is printed once,
    to be kept on paper: without passphrase, key file and recovery key all is lost. Ctrl-C stops it; the same command
    goes on. What lay there in clear is deleted; what an SSD or a backup keeps of it is beyond localrag.
    """
    folder = _folder(name)
    recovery = encrypt_library(folder, name, recovery=not no_recovery, quiet=as_json)
    if as_json:
        print_json({"library": name, "encrypted": True, "recovery_key": recovery})
    else:
        click.echo(f"{name!r} is encrypted.", err=True)
        _print_recovery(name, recovery)


def encrypt_library(folder: Path, name: str, *, recovery: bool, quiet: bool) -> str | None:
    """Encrypt a library's folder, or go on with that; returns a new recovery key, where one was made."""
    from localrag.ingest import sync as ingesting
    from localrag.lifecycle import encrypt
    from localrag.security.encryption.keyring import Passphrase, RecoveryKey

    words: str | None = None
    file = unlocking.key_file()
    going_on = encrypt.is_under_way(folder)
    credential = unlocking.credential_in(file) if file is not None else None
    passphrase = "" if credential is not None or going_on else unlocking.new_passphrase(name)

    def hand_out(keyring: Keyring, key: Key) -> Keyring:
        nonlocal words
        keyring = keyring.with_credential(key, _FIRST, credential or Passphrase(passphrase))
        if recovery:
            made = RecoveryKey.new()
            words, keyring = str(made), keyring.with_credential(key, "recovery", made)
        return keyring

    with ingesting.writing(folder, name), interruptible() as stop:
        _follow(encrypt.encrypt(folder, hand_out, lambda: stop.asked), quiet)
    return words


def encrypt_first(folder: Path, name: str) -> None:
    """Before an ingest: encrypt the library where it is not, so that nothing of it is ever written in clear."""
    from localrag.lifecycle import encrypt
    from localrag.security import storage

    if not encrypt.is_encrypted(folder) or encrypt.is_under_way(folder):
        storage.make_dir(folder)
        _print_recovery(name, encrypt_library(folder, name, recovery=True, quiet=True))


@vault_command.command(
    "status",
    epilog="""\b
Examples:
  localrag vault status
  localrag vault status contracts --json""",
)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_library)
@json_option
def status_command(names: Sequence[str], as_json: bool) -> None:
    """Tell which libraries are encrypted, and who holds their keys. Needs no key."""
    from localrag import api
    from localrag.lifecycle import encrypt

    settings = load_settings()
    rows = []
    for name in names or api.library_names(settings):
        folder = _folder(name)
        if not encrypt.is_encrypted(folder):
            rows.append({"library": name, "encrypted": False, "finished": True, "holders": []})
            continue
        keyring = encrypt.keyring_of(folder)
        holders = [{"name": one.name, "kind": one.kind} for one in keyring.holders]
        rows.append({"library": name, "encrypted": True, "finished": keyring.former is None, "holders": holders})
    if as_json:
        print_json({"libraries": rows})
        return
    for row in rows:
        click.echo(_status_line(row))


def _status_line(row: dict[str, Any]) -> str:
    if not row["encrypted"]:
        return f"{row['library']}: in clear"
    holders = ", ".join(f"{shown(one['name'])} ({one['kind']})" for one in row["holders"])
    left = "" if row["finished"] else "; NOT FINISHED: run `localrag vault encrypt` or `rotate` again"
    return f"{row['library']}: encrypted, opened by {holders}{left}"


@vault_command.command(
    "add",
    epilog="""\b
Examples:
  localrag vault add contracts anna --public age1…
  localrag vault add contracts server --with-key server.key
  localrag vault add contracts deputy --passphrase
  localrag vault add contracts paper --recovery""",
)
@click.argument("name", shell_complete=complete_library)
@click.argument("holder")
@click.option("--public", metavar="KEY", help="A person's public key (localrag vault identity).")
@click.option("--with-key", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE",
              help="A key file (localrag vault key-file).")  # fmt: skip
@click.option("--passphrase", is_flag=True, help="A passphrase, asked for.")
@click.option("--recovery", is_flag=True, help="A recovery key, printed once.")
@json_option
def add_command(
    name: str, holder: str, public: str | None, with_key: Path | None, passphrase: bool, recovery: bool, as_json: bool
) -> None:  # fmt: skip
    """Let HOLDER open the encrypted library NAME, by a means of their own."""
    from localrag.lifecycle import encrypt
    from localrag.security.encryption.keyring import Passphrase, RecoveryKey

    if sum((public is not None, with_key is not None, passphrase, recovery)) != 1:
        raise UsageError("how shall they open it?", "Give one of --public, --with-key, --passphrase, --recovery.")
    words: str | None = None

    def changed(keyring: Keyring, key: Key) -> Keyring:
        nonlocal words
        if public is not None:
            return keyring.with_public_key(key, holder, public)
        if with_key is not None:
            return keyring.with_credential(key, holder, unlocking.credential_in(with_key))
        if passphrase:
            return keyring.with_credential(key, holder, Passphrase(unlocking.new_passphrase(holder)))
        made = RecoveryKey.new()
        words = str(made)
        return keyring.with_credential(key, holder, made)

    encrypt.change(_folder(name), changed)
    if as_json:
        print_json({"library": name, "added": holder, "recovery_key": words})
    else:
        click.echo(f"{shown(holder)} may open {name!r} now.", err=True)
        _print_recovery(name, words)


@vault_command.command("remove", epilog="\b\nExamples:\n  localrag vault remove contracts anna")
@click.argument("name", shell_complete=complete_library)
@click.argument("holder")
@json_option
def remove_command(name: str, holder: str, as_json: bool) -> None:
    """Take HOLDER from those who may open the library NAME.

    Whoever had it open may have kept its key: `localrag vault rotate` gives the library another.
    """
    from localrag.lifecycle import encrypt

    encrypt.change(_folder(name), lambda keyring, key: keyring.without(holder))
    if as_json:
        print_json({"library": name, "removed": holder})
    else:
        click.echo(f"{shown(holder)} was taken out. For a new key: localrag vault rotate {name}", err=True)


@vault_command.command("rotate", epilog="\b\nExamples:\n  localrag vault rotate contracts")
@click.argument("name", shell_complete=complete_library)
@json_option
def rotate_command(name: str, as_json: bool) -> None:
    """Give the encrypted library NAME another key, and write everything anew under it.

    You keep access, and everybody who holds it by a public key. The other holders have to be added again; they are
    named. Ctrl-C stops it; the same command goes on.
    """
    from localrag.ingest import sync as ingesting
    from localrag.lifecycle import encrypt

    folder = _folder(name)
    if not encrypt.is_encrypted(folder):
        raise UsageError(f"{name!r} is not encrypted", f"Encrypt it: localrag vault encrypt {name}.")
    keyring = encrypt.keyring_of(folder)
    credential = unlocking.used(folder, keyring)
    left = encrypt.left_behind(keyring, credential) if keyring.former is None else ()
    with ingesting.writing(folder, name), interruptible() as stop:
        _follow(encrypt.rotate(folder, credential, lambda: stop.asked), as_json)
    if as_json:
        print_json({"library": name, "rotated": True, "left_behind": list(left)})
        return
    click.echo(f"{name!r} has another key.", err=True)
    for holder in left:
        click.echo(f"To be added again: {shown(holder)}", err=True)


@vault_command.command("remember", epilog="\b\nExamples:\n  localrag vault remember contracts")
@click.argument("name", shell_complete=complete_library)
@click.option("--no", "not_any_more", is_flag=True, help="Take it out of the keyring.")
def remember_command(name: str, not_any_more: bool) -> None:
    """Keep the key of the library NAME in the system's keyring, so that it is not asked for while you are logged in."""
    from localrag.lifecycle import encrypt
    from localrag.security.encryption import unlocked
    from localrag.security.encryption.keyring import FILE

    folder = _folder(name)
    held = None if not_any_more else unlocked.keys_for(folder / FILE)
    unlocking.keep_in_keyring(held.key if held else None, encrypt.keyring_of(folder).key_id)
    click.echo("Taken out of the keyring." if not_any_more else "Kept in the system's keyring.", err=True)


@vault_command.command("key-file", epilog="\b\nExamples:\n  localrag vault key-file contracts.key")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def key_file_command(file: Path) -> None:
    """Make a new key in FILE. Keep it apart from the library, and a copy of it in a safe."""
    from localrag.security.encryption import keyring as keyrings

    _new(file, keyrings.new_key_file())
    click.echo(f"A new key lies in {str(file)!r}.", err=True)


@vault_command.command("identity", epilog="\b\nExamples:\n  localrag vault identity ~/.localrag.identity")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def identity_command(file: Path) -> None:
    """Print the public key of the key file FILE, which is made if it is missing.

    Others can encrypt exports for the public key, or add it to a library; FILE, as --key-file, then opens both. It is a
    key of the tool `age`, too.
    """
    from localrag.security.encryption import keyring as keyrings
    from localrag.security.encryption.keyring import SecretKey

    if not file.exists():
        _new(file, keyrings.new_key_file())
    credential = unlocking.credential_in(file)
    if not isinstance(credential, SecretKey):
        raise UsageError(f"{str(file)!r} holds no key", "Name a file that is not there yet.")
    click.echo(credential.public)


@vault_command.command(
    "open",
    epilog="""\b
Examples:
  localrag vault open notice.docx.age
  localrag vault open audit.csv.age --key-file ~/.localrag.identity
  localrag vault open audit.csv.age -o - | head""",
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("-o", "--output", metavar="OUT", type=click.Path(path_type=Path, allow_dash=True),
              help="Where to write it; - prints it. Beside FILE, without .age, if left out.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the file if it is there already.")
def open_command(file: Path, output: Path | None, force: bool) -> None:
    """Decrypt FILE, an export made with --encrypt or --encrypt-for, or another file in the age format.

    Give the key with --key-file; a passphrase is asked for.
    """
    from localrag.errors import StorageError
    from localrag.security import storage
    from localrag.security.encryption import age

    target = output or age.decrypted_name(file)
    printed = str(target) == "-"
    if target == file:
        raise UsageError(f"{file.name!r} does not end in {age.SUFFIX}", "Say where to write it: -o OUT.")
    if target.exists() and not (force or printed):
        raise UsageError(f"{str(target)!r} is there already", "Give another name with -o, or add --force.")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise StorageError(f"{str(file)!r} cannot be read: {error.strerror}", "Check the path.") from None

    content = _decrypted(file.name, data)
    if printed:
        click.echo(content, nl=False)
        return
    storage.write_bytes(target, content)
    click.echo(f"Wrote {target}", err=True)


def _decrypted(name: str, data: bytes) -> bytes:
    from localrag.security.encryption import age
    from localrag.security.encryption.keyring import Passphrase

    key_file = unlocking.key_file()
    if key_file is not None:
        return age.decrypt(data, unlocking.credential_in(key_file))
    if not age.needs_passphrase(data):
        raise KeyRequired(f"{name!r} is encrypted for a key", "Give the key with --key-file FILE.")
    return unlocking.tried(f"Passphrase of {name!r}: ", lambda text: age.decrypt(data, Passphrase(text)))


def _new(file: Path, data: bytes) -> None:
    from localrag.security import storage

    if file.exists():
        raise UsageError(f"{str(file)!r} is there already", "Name another; a key that is overwritten is lost.")
    storage.write_bytes(file, data, plain=True)


def _folder(name: str) -> Path:
    from localrag import api
    from localrag.store.names import check_name

    settings = load_settings()
    folder = settings.library_dir(check_name(name))
    if name not in api.library_names(settings):
        raise NotFoundError(f"there is no library {name!r}", "`localrag libraries` lists them.")
    return folder


def _follow(steps: Iterator[Progress], quiet: bool) -> None:
    if quiet:
        for _ in steps:
            pass
        return
    with bar() as tell:
        for step in steps:
            tell(step.done, step.total, step.name)


def _print_recovery(name: str, words: str | None) -> None:
    if words is None:
        return
    click.echo(f"\nRecovery key of {name!r}, shown only now. Write it down and keep it in a safe place:\n", err=True)
    click.echo(f"  {words}\n")

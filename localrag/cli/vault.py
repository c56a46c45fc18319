"""`localrag vault`: encrypt libraries, and choose who can open them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from localrag.cli import keys, options
from localrag.cli.options import print_result
from localrag.cli.output import bar, echo, echo_file, interruptible, one_line, print_json
from localrag.errors import KeyRequired, NotFoundError, UsageError
from localrag.lifecycle import encrypt
from localrag.security import storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Credential, Key, Keyring, Passphrase, RecoveryKey, SecretKey
from localrag.settings import load_settings
from localrag.store.names import check_in_folder, check_name, library_names, writing


@click.group("vault")
def vault_command() -> None:
    """Encrypt libraries, and choose who can open them.

    Everything in an encrypted library is encrypted: text, full-text index, vectors, prompt cache, conversations and
    audit log. Names, sizes and times of its files stay visible.
    """


@vault_command.command("encrypt")
@options.library_argument()
@click.option("--no-recovery", is_flag=True, help="Do not make a recovery key.")
@options.json_option
def encrypt_command(name: str, no_recovery: bool, as_json: bool) -> None:
    """Encrypt the library NAME in place.

    A key file (--key-file) opens it from then on, or a passphrase, which is asked for. A recovery key is printed once:
    keep it on paper, since without passphrase, key file and recovery key the library is lost. Ctrl-C stops; the same
    command continues. The files in clear are deleted; copies on an SSD or in a backup are out of reach.
    """
    recovery = encrypt_library(_folder(name), name, recovery=not no_recovery, quiet=as_json)
    if as_json:
        print_json({"library": name, "encrypted": True, "recovery_key": recovery})
    else:
        echo(f"Encrypted {name!r}.", err=True)
        _print_recovery(name, recovery)


def encrypt_library(folder: Path, name: str, *, recovery: bool, quiet: bool) -> str | None:
    """Encrypt a library's folder, or continue; returns the new recovery key, if one is made."""

    check_in_folder(folder, "localrag does not encrypt it")
    words: str | None = None
    file = keys.key_file()
    credential: Credential = Passphrase("")  # replaced, or not needed to continue
    if file is not None:
        credential = keys.credential_in(file)
    elif not encrypt.in_progress(folder):
        credential = Passphrase(keys.new_passphrase(name))

    def add_holders(keyring: Keyring, key: Key) -> Keyring:
        nonlocal words
        keyring = keyring.with_credential(key, "owner", credential)
        if recovery:
            made = RecoveryKey.new()
            words, keyring = str(made), keyring.with_credential(key, "recovery", made)
        return keyring

    with writing(folder, name), interruptible() as stop:
        _follow(encrypt.encrypt(folder, add_holders, stop), quiet)
    return words


def encrypt_first(folder: Path, name: str) -> None:
    """Encrypt a library before its first ingest, so that nothing of it is ever written in clear."""
    if not encrypt.is_encrypted(folder) or encrypt.in_progress(folder):
        storage.make_dir(folder)
        _print_recovery(name, encrypt_library(folder, name, recovery=True, quiet=True))


@vault_command.command("status")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=options.complete_library)
@options.json_option
def status_command(names: Sequence[str], as_json: bool) -> None:
    """Show which libraries are encrypted, and who can open them. Needs no key."""
    rows: list[dict[str, Any]] = []
    for name in names or library_names(load_settings().indexes_dir):
        folder = _folder(name)
        keyring = encrypt.keyring_of(folder) if encrypt.is_encrypted(folder) else None
        holders = [{"name": one.name, "kind": one.kind} for one in keyring.holders] if keyring else []
        finished = keyring is None or keyring.former is None
        rows.append({"library": name, "encrypted": keyring is not None, "finished": finished, "holders": holders})
    if as_json:
        print_json({"libraries": rows})
        return
    for row in rows:
        state = "not encrypted"
        if row["encrypted"]:
            state = "encrypted for " + ", ".join(f"{one_line(one['name'])} ({one['kind']})" for one in row["holders"])
        left = "" if row["finished"] else "; UNFINISHED: run `localrag vault encrypt` or `rotate` again"
        echo(f"{one_line(row['library'])}: {state}{left}")


@vault_command.command("add")
@options.library_argument()
@click.argument("holder")
@click.option("--public", metavar="KEY", help="A public key (localrag vault identity).")
@click.option("--with-key", type=options.EXISTING_FILE, metavar="FILE", help="A key file (localrag vault key-file).")
@click.option("--passphrase", is_flag=True, help="A passphrase, which is asked for.")
@click.option("--recovery", is_flag=True, help="A recovery key, printed once.")
@options.json_option
def add_command(
    name: str, holder: str, public: str | None, with_key: Path | None, passphrase: bool, recovery: bool, as_json: bool
) -> None:
    """Let HOLDER open the encrypted library NAME, with a key or passphrase of their own."""
    if sum((public is not None, with_key is not None, passphrase, recovery)) != 1:
        hint = "Give one of --public, --with-key, --passphrase, --recovery."
        raise UsageError("the key of the holder is missing", hint)
    words: str | None = None

    def changed(keyring: Keyring, key: Key) -> Keyring:
        nonlocal words
        if public is not None:
            return keyring.with_public_key(key, holder, public)
        credential: Credential = RecoveryKey.new()
        if with_key is not None:
            credential = keys.credential_in(with_key)
        elif passphrase:
            credential = Passphrase(keys.new_passphrase(holder))
        else:
            words = str(credential)
        return keyring.with_credential(key, holder, credential)

    encrypt.change_holders(_folder(name), changed)
    if as_json:
        print_json({"library": name, "added": holder, "recovery_key": words})
    else:
        echo(f"{one_line(holder)} can now open {name!r}.", err=True)
        _print_recovery(name, words)


@vault_command.command("remove")
@options.library_argument()
@click.argument("holder")
@options.json_option
def remove_command(name: str, holder: str, as_json: bool) -> None:
    """Remove HOLDER from the library NAME.

    A former holder may have kept the key: `localrag vault rotate` replaces it.
    """
    encrypt.change_holders(_folder(name), lambda keyring, key: keyring.without(holder))
    print_result(
        as_json,
        {"library": name, "removed": holder},
        f"Removed {one_line(holder)}. To replace the key: localrag vault rotate {name}",
    )


@vault_command.command("rotate")
@options.library_argument()
@options.json_option
def rotate_command(name: str, as_json: bool) -> None:
    """Replace the key of the encrypted library NAME, and encrypt everything again.

    You and holders with a public key keep access. The others are listed, and must be added again. Ctrl-C stops; the
    same command continues.
    """

    folder = _folder(name)
    if not encrypt.is_encrypted(folder):
        raise UsageError(f"{name!r} is not encrypted", f"Encrypt it: localrag vault encrypt {name}.")
    keyring, file = encrypt.keyring_of(folder), keys.key_file()
    credential = keys.credential_in(file) if file is not None else keys.typed(folder.name, keyring)
    left = encrypt.holders_to_add_again(keyring, credential) if keyring.former is None else ()
    with writing(folder, name), interruptible() as stop:
        _follow(encrypt.rotate(folder, credential, stop), as_json)
    if as_json:
        print_json({"library": name, "rotated": True, "left_behind": list(left)})
        return
    echo(f"Replaced the key of {name!r}.", err=True)
    for holder in left:
        echo(f"Add again: {one_line(holder)}", err=True)


@vault_command.command("remember")
@options.library_argument()
@click.option("--no", "forget", is_flag=True, help="Delete it from the keyring.")
def remember_command(name: str, forget: bool) -> None:
    """Store the key of the library NAME in the system's keyring, which opens it while you are logged in."""
    folder = _folder(name)
    held = None if forget else unlocked.keys_for(folder / keyrings.FILE)
    keys.keep_in_keyring(held.key if held else None, encrypt.keyring_of(folder).key_id)
    echo("Deleted from the system's keyring." if forget else "Stored in the system's keyring.", err=True)


@vault_command.command("key-file")
@options.out_option("The file to write.", required=True)
def key_file_command(file: Path) -> None:
    """Write a new key to FILE. Keep it apart from the library, and a copy in a safe."""
    _new_key_file(file)
    echo(f"Wrote a new key to {str(file)!r}.", err=True)


@vault_command.command("identity")
@click.argument("file", type=options.FILE)
def identity_command(file: Path) -> None:
    """Print the public key of the key file FILE, which is created if it is missing.

    Others can encrypt exports for the public key, or add it to a library; FILE, as --key-file, then opens both. The
    tool `age` reads the same keys.
    """
    if not file.exists():
        _new_key_file(file)
    credential = keys.credential_in(file)
    if not isinstance(credential, SecretKey):
        raise UsageError(f"{str(file)!r} has no key", "Name a new file.")
    echo(credential.public)


@vault_command.command("open")
@click.argument("file", type=options.FILE)
@options.out_option(
    "Where to write it; - prints it. By default beside FILE, without .age.",
    "output",
    metavar="OUT",
    type=click.Path(path_type=Path, allow_dash=True),
)
def open_command(file: Path, output: Path | None) -> None:
    """Decrypt FILE, an export made with --encrypt or --encrypt-for, or another file in the age format.

    Give the key with --key-file; a passphrase is asked for.
    """
    target = output or keyrings.decrypted_name(file)
    printed = str(target) == "-"
    if target == file:
        raise UsageError(f"{file.name!r} does not end in {keyrings.SUFFIX}", "Name the output: -o OUT.")
    if not printed:
        storage.check_target(target)
        if target.exists():
            raise UsageError(f"{str(target)!r} exists", "Name another file with -o, or move this one away.")
    data = options.read_file(file)
    if (key_file := keys.key_file()) is not None:
        content = keyrings.decrypt(data, keys.credential_in(key_file))
    elif keyrings.passphrase_work(data):
        content = keys.tried(f"Passphrase of {file.name!r}: ", lambda text: keyrings.decrypt(data, Passphrase(text)))
    else:
        raise KeyRequired(f"{file.name!r} is encrypted for a key", "Give the key with --key-file FILE.")
    if printed:
        echo_file(content)
    else:
        storage.write_bytes(target, content)
        echo(f"Wrote {target}", err=True)


def _new_key_file(file: Path) -> None:
    if file.exists():
        raise UsageError(f"{str(file)!r} exists", "Name another file: an overwritten key is lost.")
    storage.write_bytes(file, keyrings.new_key_file(), plain=True)


def _folder(name: str) -> Path:
    settings = load_settings()
    folder = settings.library_dir(check_name(name))
    if name not in library_names(settings.indexes_dir):
        raise NotFoundError(f"there is no library {name!r}", "`localrag libraries` lists them.")
    return folder


def _follow(steps: Iterator[encrypt.Progress], quiet: bool) -> None:
    with bar(quiet=quiet) as update:
        for step in steps:
            update(step.done, step.total, step.name)


def _print_recovery(name: str, words: str | None) -> None:
    if words is None:
        return
    echo(f"\nRecovery key of {name!r}, shown only once. Write it down and keep it safe:\n", err=True)
    echo(f"  {words}\n")

"""How the commands come by the key of an encrypted library: `--key-file`, the system's keyring, or a question.

`--key-file FILE` stands at every command, so that scripts need no terminal; `LOCALRAG_KEY_FILE` says the same. The
passphrase is asked for at the terminal itself, never taken from arguments, where other users and the shell's history
would see it.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from localrag.errors import KeyRequired, StorageError, UsageError

if TYPE_CHECKING:
    from localrag.security.encryption.keyring import Credential, Key, Keyring

TRIES = 3
Result = TypeVar("Result")
_given: Path | None = None
_fits_not: set[bytes] = set()  # keys that the key file does not open; a passphrase in it takes half a second to try


def with_key_file(command: click.Command) -> click.Command:
    """The command, or each of a group, with the option `--key-file`; once is enough."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            with_key_file(one)
    elif not any(param.name == "key_file" for param in command.params):
        command.params.append(
            click.Option(
                ["--key-file"], type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", expose_value=False,
                is_eager=True, callback=_remember, help="What opens encrypted libraries: a key, or a passphrase.",
            )
        )  # fmt: skip
    return command


def _remember(ctx: click.Context, param: click.Parameter, file: Path | None) -> None:
    global _given
    _given = file or _given


def key_file() -> Path | None:
    """The key file that was given, by option or by setting."""
    from localrag.settings import load_settings

    return _given or load_settings().key_file


def key_files() -> list[Path]:
    """The same, as files that a process must be let read."""
    file = key_file()
    return [] if file is None else [file]


def asked_for(folder: Path, keyring: Keyring, person: bool) -> Key:
    """The key of an encrypted folder, by whatever there is; `person` says whether somebody may be asked.

    Raises:
        KeyRequired: nothing opens it.
    """
    file = key_file()
    if file is not None:
        return _by_file(file, folder, keyring, person)
    remembered = from_keyring(keyring.key_id)
    if remembered is not None:
        return remembered
    if not (person and _can_ask()):
        from localrag.security.encryption.unlocked import locked_error

        raise locked_error(folder)
    return keyring.unlock(typed(folder.name, keyring))


def _by_file(file: Path, folder: Path, keyring: Keyring, person: bool) -> Key:

    from localrag.security.encryption.unlocked import locked_error

    if keyring.key_id in _fits_not and not person:
        raise locked_error(folder)
    try:
        return keyring.unlock(credential_in(file))
    except KeyRequired:
        _fits_not.add(keyring.key_id)
        raise


def credential_in(file: Path) -> Credential:
    """What a key file holds.

    Raises:
        StorageError, UsageError: it cannot be read, or holds nothing.
    """
    from localrag.security.encryption.keyring import parse_key_file

    try:
        return parse_key_file(file.read_bytes())
    except OSError as error:
        raise StorageError(f"the key file {str(file)!r} cannot be read: {error.strerror}", "Check the path.") from None


def typed(name: str, keyring: Keyring) -> Credential:
    """A passphrase or recovery key that opens the keyring, asked for at the terminal.

    Raises:
        KeyRequired: none of three did.
    """
    from localrag.security.encryption.keyring import Passphrase, RecoveryKey

    def opens(text: str) -> Credential:
        credential: Credential = Passphrase(text)
        with suppress(UsageError):
            credential = RecoveryKey.parse(text)
        keyring.unlock(credential)
        return credential

    return tried(f"Passphrase or recovery key of {name!r}: ", opens)


def tried(prompt: str, use: Callable[[str], Result]) -> Result:
    """Ask for a passphrase, up to three times, until `use` accepts it; return its result.

    Raises:
        KeyRequired: it accepted none.
    """
    for left in reversed(range(TRIES)):
        try:
            return use(getpass.getpass(prompt))
        except KeyRequired as error:
            if not left:
                raise
            click.echo(f"{error.message}; try again.", err=True)
    raise AssertionError("the last try returns or raises")


def used(folder: Path, keyring: Keyring) -> Credential:
    """The credential of the person at this command, where the key alone is not enough (a rotation)."""
    file = key_file()
    return credential_in(file) if file is not None else typed(folder.name, keyring)


def new_passphrase(name: str) -> str:
    """A passphrase for a new holder, typed twice.

    Raises:
        UsageError: there is nobody to ask, or the two differ.
    """
    if not _can_ask():
        raise UsageError(
            "a passphrase is needed, and there is no terminal to ask at",
            "Give a key instead: localrag vault key-file FILE, then --key-file FILE.",
        )
    text = getpass.getpass(f"New passphrase for {name!r} (several words are best): ")
    if getpass.getpass("Once more: ") != text:
        raise UsageError("the two are not the same", "Type the command again.")
    return text


def _can_ask() -> bool:
    with suppress(OSError):
        # Where input is a pipe, the terminal can still be asked.
        Path("/dev/tty" if os.name == "posix" else "CONIN$").open("rb", buffering=0).close()
        return True
    return False


# --- the system's keyring -----------------------------------------------------------------------------------

_SERVICE = "localrag"


def from_keyring(key_id: bytes) -> Key | None:
    """The key, where the system's keyring keeps it and the package `keyring` is there; else None."""
    from localrag.security.encryption.keyring import Key

    with suppress(Exception):  # no keyring, no session, a locked one: then the person is asked
        import keyring

        kept = keyring.get_password(_SERVICE, key_id.hex())
        return Key(bytes.fromhex(kept)) if kept else None
    return None


def keep_in_keyring(key: Key | None, key_id: bytes) -> None:
    """Keep the key in the system's keyring, or (None) take it out.

    Raises:
        UsageError: there is no keyring here.
    """
    try:
        import keyring
        from keyring.errors import KeyringError, PasswordDeleteError
    except ImportError:
        raise UsageError(
            "the package for the system's keyring is not installed", "Install it: pip install 'localrag[keyring]'."
        ) from None
    try:
        if key is not None:
            keyring.set_password(_SERVICE, key_id.hex(), key.secret.hex())
        else:
            with suppress(PasswordDeleteError):
                keyring.delete_password(_SERVICE, key_id.hex())
    except KeyringError as error:
        raise UsageError(f"the system's keyring cannot be used: {error}", "A key file does the same.") from None

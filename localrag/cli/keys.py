"""The keys of encrypted libraries and exports: `--key-file`, `--encrypt`, the system's keyring, and questions.

Every command has `--key-file FILE`, so that scripts need no terminal; `LOCALRAG_KEY_FILE` does the same. Passphrases
come from the terminal, never from arguments, which other users and the shell's history would see.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import click

from localrag.cli.options import bundled, read_file
from localrag.cli.output import echo
from localrag.errors import KeyRequired, UsageError
from localrag.security import sandbox, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import (
    Credential,
    Key,
    Keyring,
    Passphrase,
    Recipients,
    RecoveryKey,
    SecretKey,
    decrypted_name,
)
from localrag.security.encryption.unlocked import locked_error
from localrag.security.terminal import visible
from localrag.settings import Settings
from localrag.store.names import check_spared, files_of, folders_read, library_names

Result = TypeVar("Result")
MAX_TRIES = 3
_given: Path | None = None
_wrong_for: set[bytes] = set()  # key ids that the key file does not open; trying a passphrase takes half a second


def with_key_file(command: click.Command) -> click.Command:
    """Add the option `--key-file` to a command, or to each of a group."""
    if isinstance(command, click.Group):
        for one in command.commands.values():
            with_key_file(one)
    elif not any(param.name == "key_file" for param in command.params):
        command.params.append(
            click.Option(
                ["--key-file"],
                type=click.Path(path_type=Path, dir_okay=False),
                metavar="FILE",
                expose_value=False,
                is_eager=True,
                callback=_remember,
                help="A key or passphrase that opens encrypted libraries.",
            )
        )
    return command


def _remember(ctx: click.Context, param: click.Parameter, file: Path | None) -> None:
    global _given
    _given = file or _given


def key_file() -> Path | None:
    """Return the key file of the option or the setting."""
    from localrag.settings import load_settings

    return _given or load_settings().key_file


def key_files() -> list[Path]:
    """Return the key file as a list, for the sandbox."""
    file = key_file()
    return [] if file is None else [file]


def confine(
    settings: Settings,
    names: Sequence[str],
    file: Path | None = None,
    recipients: Recipients | None = None,
    *,
    around: bool = False,
) -> None:
    """Confine this process to libraries and the folder of a new file, before numpy starts threads.

    Refuses recipients without a file, and a file that cannot be written, or that was read into a library, of which
    those that are locked and not named are passed over. `around`: other files, too, may be read. A PDF takes pages of
    the originals, so their folders may be read for it.
    """
    if file is None and recipients is not None:
        raise UsageError("there is no file to encrypt", "Name one: --out FILE.")
    folders, reads = [], key_files()
    if file is not None:
        if decrypted_name(file).suffix.lower() == ".pdf":
            reads += [folder for name in names for folder in folders_read(settings, name)]
        storage.check_target(file)
        folders = [file.absolute().parent]
        with unlocked.allow_prompt(False):
            _check_spared(file, settings, set(library_names(settings.indexes_dir)) - set(names))
    sandbox.restrict(settings, names, *folders, reads=None if around else reads)
    if file is not None:
        _check_spared(file, settings, names)


def _check_spared(file: Path, settings: Settings, libraries: Iterable[str]) -> None:
    for name in libraries if file.exists() else ():
        check_spared(file, files_of(settings, name))


def library_key(folder: Path, keyring: Keyring, ask: bool) -> Key:
    """Return the key of an encrypted folder: by key file, the system's keyring, or a question if `ask`."""
    if (file := key_file()) is not None:
        if keyring.key_id in _wrong_for and not ask:
            raise locked_error(folder)
        try:
            return keyring.unlock(credential_in(file))
        except KeyRequired:
            _wrong_for.add(keyring.key_id)
            raise
    if (remembered := from_keyring(keyring.key_id)) is not None:
        return remembered
    if not (ask and _can_ask()):
        raise locked_error(folder)
    return keyring.unlock(typed(folder.name, keyring))


def credential_in(file: Path) -> SecretKey | Passphrase:
    """Return what a key file holds; raise UsageError if it holds no key."""
    return keyrings.parse_key_file(read_file(file, "key file"))


def typed(name: str, keyring: Keyring) -> Credential:
    """Ask for a passphrase or recovery key that opens the keyring, up to three times."""

    def opens(text: str) -> Credential:
        credential: Credential = Passphrase(text)
        with suppress(UsageError):
            credential = RecoveryKey.parse(text)
        keyring.unlock(credential)
        return credential

    return tried(f"Passphrase or recovery key of {name!r}: ", opens)


def tried(prompt: str, use: Callable[[str], Result]) -> Result:
    """Ask for a passphrase, up to three times, until `use` raises no KeyRequired; return its result."""
    for _ in range(MAX_TRIES - 1):
        try:
            return use(getpass.getpass(visible(prompt)))
        except KeyRequired as error:
            echo(f"{error.message}; try again.", err=True)
    return use(getpass.getpass(visible(prompt)))


def new_passphrase(name: str) -> str:
    """Ask twice for a new passphrase; raise UsageError without a terminal, or if the two differ."""
    if not _can_ask():
        hint = "Give a key instead: localrag vault key-file --out FILE, then --key-file FILE."
        raise UsageError("a passphrase is needed, and there is no terminal to ask at", hint)
    text = getpass.getpass(f"New passphrase for {name!r} (several words are best): ")
    if getpass.getpass("Once more: ") != text:
        raise UsageError("the two passphrases differ", "Run the command again.")
    return text


def _can_ask() -> bool:
    with suppress(OSError):
        # The terminal can be asked even if standard input is a pipe.
        Path("/dev/tty" if os.name == "posix" else "CONIN$").open("rb", buffering=0).close()
        return True
    return False


_SERVICE = "localrag"


def from_keyring(key_id: bytes) -> Key | None:
    """Return a key that the system's keyring holds, or None."""
    with suppress(Exception):  # no keyring, no session or a locked one: the user is asked
        import keyring

        kept = keyring.get_password(_SERVICE, key_id.hex())
        return Key(bytes.fromhex(kept)) if kept else None
    return None


def keep_in_keyring(key: Key | None, key_id: bytes) -> None:
    """Store a key in the system's keyring, or delete it (None)."""
    try:
        import keyring
        from keyring.errors import KeyringError, PasswordDeleteError
    except ImportError:
        hint = "Install it: pip install 'localrag[keyring]'."
        raise UsageError("the package for the system's keyring is not installed", hint) from None
    try:
        if key is not None:
            keyring.set_password(_SERVICE, key_id.hex(), key.secret.hex())
        else:
            with suppress(PasswordDeleteError):
                keyring.delete_password(_SERVICE, key_id.hex())
    except KeyringError as error:
        raise UsageError(f"the system's keyring does not work: {error}", "Use a key file instead.") from None


def _recipients(encrypt: bool, encrypt_for: Sequence[str]) -> Recipients | None:
    if encrypt and encrypt_for:
        raise UsageError("a file is encrypted with a passphrase or for keys", "Leave out --encrypt or --encrypt-for.")
    if encrypt:
        return Recipients(passphrase=new_passphrase("the file"))
    return Recipients(tuple(_public_key(who) for who in dict.fromkeys(encrypt_for))) if encrypt_for else None


# Options that encrypt what is written; the command gets `recipients`, None for a file in clear.
recipient_options = bundled(
    "recipients",
    _recipients,
    click.option("--encrypt", is_flag=True, help="Encrypt the file with a passphrase, which is asked for."),
    click.option(
        "--encrypt-for",
        multiple=True,
        metavar="WHO",
        help="Encrypt the file for an age public key (localrag vault identity) or a key file; may be "
        "repeated. `localrag vault open FILE` and the tool `age` read it.",
    ),
)


def _public_key(who: str) -> tuple[str, str]:
    """Return the name and public key of a recipient."""
    if who.startswith(keyrings.PUBLIC_KEY_MARK):
        return who[:12], keyrings.check_public_key(who)
    credential = credential_in(Path(who)) if Path(who).is_file() else None
    if not isinstance(credential, SecretKey):
        hint = f"A public key begins with {keyrings.PUBLIC_KEY_MARK}: localrag vault identity FILE prints one."
        raise UsageError(f"{who!r} is neither a public key nor a key file", hint)
    return Path(who).name, credential.public

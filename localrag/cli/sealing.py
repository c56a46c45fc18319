"""`--encrypt` and `--encrypt-for`: encrypt what a command writes, for those named."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from localrag.cli import unlocking
from localrag.errors import UsageError
from localrag.security.encryption.age import Recipients
from localrag.security.encryption.keyring import PUBLIC_KEY_MARK, SecretKey, check_public_key

_OPTIONS = (
    click.option("--encrypt", is_flag=True, help="Encrypt the file with a passphrase, which is asked for."),
    click.option(
        "--encrypt-for", "encrypt_for", multiple=True, metavar="WHO",
        help="Encrypt the file for an age public key (localrag vault identity) or a key file; may be repeated. "
        "`localrag vault open FILE` and the tool `age` read it.",
    ),
)  # fmt: skip


def sealing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add options that encrypt what is written; the command gets `recipients`, None for a file in clear."""

    @functools.wraps(command)
    def given(*args: Any, encrypt: bool, encrypt_for: Sequence[str], **others: Any) -> None:
        command(*args, recipients=_recipients(encrypt, encrypt_for), **others)

    for option in reversed(_OPTIONS):
        given = option(given)
    return given


def _recipients(encrypt: bool, encrypt_for: Sequence[str]) -> Recipients | None:
    if encrypt and encrypt_for:
        raise UsageError("a file is encrypted with a passphrase or for keys", "Leave out --encrypt or --encrypt-for.")
    if encrypt:
        return Recipients(passphrase=unlocking.new_passphrase("the file"))
    keys = tuple(_public_key(who) for who in dict.fromkeys(encrypt_for))
    return Recipients(keys) if keys else None


def _public_key(who: str) -> tuple[str, str]:
    """The name and public key of a recipient."""
    if who.startswith(PUBLIC_KEY_MARK):
        return who[:12], check_public_key(who)
    credential = unlocking.credential_in(Path(who)) if Path(who).is_file() else None
    if not isinstance(credential, SecretKey):
        raise UsageError(
            f"{who!r} is neither a public key nor a key file",
            f"A public key begins with {PUBLIC_KEY_MARK}: localrag vault identity FILE prints one.",
        )
    return Path(who).name, credential.public

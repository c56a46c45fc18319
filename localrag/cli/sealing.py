"""`--encrypt` and `--encrypt-for`: exports that only those named can open; the same wherever one is written."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from localrag.cli import unlocking
from localrag.errors import UsageError
from localrag.security.encryption.age import Recipients
from localrag.security.encryption.keyring import PUBLIC_MARK, Credential, Passphrase, public_bytes

_OPTIONS = (
    click.option("--encrypt", is_flag=True, help="Encrypt the file, by a passphrase that is asked for."),
    click.option(
        "--encrypt-for", "encrypt_for", multiple=True, metavar="WHO",
        help="Encrypt the file for a public key (localrag vault identity) or a key file (vault key-file); may be "
        "repeated. It is read by: localrag vault open FILE.",
    ),
)  # fmt: skip


def sealing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that encrypt what is written; the command is given `recipients`, or None for a file in clear."""

    @functools.wraps(command)
    def given(*args: Any, encrypt: bool, encrypt_for: Sequence[str], **others: Any) -> None:
        command(*args, recipients=_recipients(encrypt, encrypt_for), **others)

    for option in reversed(_OPTIONS):
        given = option(given)
    return given


def _recipients(encrypt: bool, encrypt_for: Sequence[str]) -> Recipients | None:
    """Who is meant, found out before anything is done."""
    holders: list[tuple[str, Credential | str]] = []
    for who in dict.fromkeys(encrypt_for):
        if who.startswith(PUBLIC_MARK):
            public_bytes(who)
            holders.append((who[: len(PUBLIC_MARK) + 8], who))
        elif Path(who).is_file():
            holders.append((Path(who).name, unlocking.credential_in(Path(who))))
        else:
            raise UsageError(
                f"{who!r} is neither a public key nor a file with a key",
                "A public key begins with lr1- (localrag vault identity FILE prints yours).",
            )
    if encrypt:
        holders.append(("passphrase", Passphrase(unlocking.new_passphrase("the file"))))
    return Recipients(tuple(holders)) if holders else None

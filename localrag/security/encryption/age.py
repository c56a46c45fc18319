"""Files encrypted for people in the age format (age-encryption.org), which the tool `age` opens too.

Limits: everybody can read how long such a file is; anybody who can open it can pass it on decrypted.
"""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localrag.errors import IntegrityError, KeyRequired, UsageError
from localrag.security.encryption.keyring import (
    Key,
    Keyring,
    Passphrase,
    SecretKey,
    check_passphrase,
    check_public_key,
    new_keyring,
)

SUFFIX = ".age"
_MAGIC = b"age-encryption.org/v1\n"
_ARMOR = b"-----BEGIN AGE ENCRYPTED FILE-----"
# What pyrage says of a key or passphrase that does not fit; its other errors are damage.
_DOES_NOT_FIT = ("No matching keys found", "Decryption failed")


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who can open a file: public keys by name, or a passphrase. An age file cannot have both."""

    public_keys: tuple[tuple[str, str], ...] = ()
    passphrase: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        return (*(name for name, _ in self.public_keys), *(("passphrase",) if self.passphrase else ()))

    def path(self, path: Path) -> Path:
        """The name of a file encrypted for them."""
        return path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)

    def keyring(self, key: Key) -> Keyring:
        """A keyring of a new key with all of them. Raises UsageError as `encrypt`."""
        keyring = new_keyring(key)
        for name, public in self.public_keys:
            keyring = keyring.with_public_key(key, name, public)
        if self.passphrase:
            keyring = keyring.with_credential(key, "passphrase", Passphrase(self.passphrase))
        return keyring

    def encrypt(self, content: bytes) -> bytes:
        """Raises UsageError where a public key is none, or the passphrase too short."""
        import pyrage

        if self.passphrase:
            return bytes(pyrage.passphrase.encrypt(content, check_passphrase(self.passphrase)))
        keys = [pyrage.x25519.Recipient.from_str(check_public_key(public)) for _, public in self.public_keys]
        return bytes(pyrage.encrypt(content, keys))


def decrypted_name(path: Path) -> Path:
    """The name that a file had before it was encrypted."""
    return path.with_name(path.name.removesuffix(SUFFIX))


def passphrase_work(data: bytes) -> int:
    """N, if an age file needs a passphrase, which then takes 2**N KiB of memory; 0 if it is for public keys."""
    if data.startswith(_ARMOR):
        with suppress(ValueError):
            data = base64.b64decode(b"".join(data[len(_ARMOR) : 500].split()[:2]))
    found = re.match(re.escape(_MAGIC) + rb"-> scrypt \S{1,99} (\d{1,9})", data)
    return int(found[1]) if found is not None else 0


def decrypt(data: bytes, credential: SecretKey | Passphrase) -> bytes:
    """Decrypt an age file. Raises UsageError if it is none, KeyRequired if the credential is wrong, IntegrityError."""
    import pyrage

    if not data.startswith((_MAGIC, _ARMOR)):
        raise UsageError("this is not an age file", f"Exports made with --encrypt or --encrypt-for end in {SUFFIX}.")
    if passphrase_work(data) > 21:
        raise KeyRequired("opening the file would take more than 2 GiB of memory", "Ask for a copy made for a key.")
    try:
        if isinstance(credential, Passphrase):
            return bytes(pyrage.passphrase.decrypt(data, credential.text))
        return bytes(pyrage.decrypt(data, [pyrage.x25519.Identity.from_str(credential.text)]))
    except (pyrage.DecryptError, UnicodeEncodeError) as error:  # the latter: not typed as UTF-8
        if str(error) in _DOES_NOT_FIT or isinstance(error, UnicodeEncodeError):
            what = "the passphrase is wrong" if isinstance(credential, Passphrase) else "the key does not open the file"
            raise KeyRequired(what, "Give the key that the file was encrypted for with --key-file.") from None
        if str(error).startswith("Excessive work"):  # the file was made on a machine that was much faster
            what = "opening the file with its passphrase would take too long on this machine"
            raise KeyRequired(what, "Try again when the machine is not busy, or on a faster one.") from None
        raise IntegrityError("the file was changed or cut short", "Ask for another copy of it.") from None

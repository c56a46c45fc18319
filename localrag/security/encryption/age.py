"""A file sealed for certain people, that lies in no library: an export on its way.

    "localrag-parcel-1\\n" | length of the keyring (4) | keyring (JSON, as vault.json) | sealed file (`streams`)

The key is made for this file alone and wrapped for each who may open it, as a library's is (`keyring`). Pure: bytes in,
bytes out. Limits: who may open it and how long it is can be read by all; whoever may open it may pass it on in clear.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localrag.errors import IntegrityError, UsageError
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import streams
from localrag.security.encryption.keyring import Credential, Key, Keyring

MAGIC = b"localrag-parcel-1\n"
SUFFIX = ".sealed"
_NAME = "parcel"  # the file may be renamed on its way
_MOST_RING = 1 << 20


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who may open a file: names, each with a public key, or what they open it with. At least one."""

    holders: tuple[tuple[str, Credential | str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.holders)

    def path(self, path: Path) -> Path:
        """What a file sealed for them is called."""
        return path if path.name.endswith(SUFFIX) else path.with_name(path.name + SUFFIX)

    def keyring(self, key: Key) -> Keyring:
        """A keyring of a new key with all of them; raises as `seal`."""
        keyring = keyrings.new_keyring(key)
        for name, holder in self.holders:
            if isinstance(holder, str):
                keyring = keyring.with_person(key, name, holder)
            else:
                keyring = keyring.with_credential(key, name, holder)
        return keyring

    def seal(self, content: bytes) -> bytes:
        """Raises UsageError where a public key is none, or a passphrase too short."""
        key = Key.new()
        head = keyrings.to_json(self.keyring(key), key)
        out = io.BytesIO()
        out.write(MAGIC + len(head).to_bytes(4, "big") + head)
        writer = streams.EncryptedWriter(out, key, _NAME)
        writer.write(content)
        writer.finish()
        return out.getvalue()


def decrypted_name(path: Path) -> Path:
    """What a file was called before it was sealed."""
    return path.with_name(path.name.removesuffix(SUFFIX))


def opened(data: bytes, unlock: Callable[[Keyring], Key]) -> bytes:
    """What `Recipients.seal` sealed.

    Args:
        unlock: comes by the key of a keyring, or raises KeyRequired.

    Raises:
        UsageError: it is no such file.
        KeyringDamaged, IntegrityError: it was changed, or cut short.
    """
    stream = io.BytesIO(data)
    if stream.read(len(MAGIC)) != MAGIC:
        raise UsageError(
            "this is no file that localrag sealed", f"Exports made with --encrypt or --encrypt-for end in {SUFFIX}."
        )
    size = int.from_bytes(stream.read(4), "big")
    if size > _MOST_RING:
        raise _broken()
    head = stream.read(size)
    key = unlock(keyrings.from_json(head))
    keyrings.check(head, key)
    if streams.key_id(stream) != key.id:
        raise _broken()
    return io.BufferedReader(streams.EncryptedReader(stream, key, _NAME)).read()


def _broken() -> IntegrityError:
    return IntegrityError("the file is not what was written: it was changed or cut short", "Have it sent once more.")

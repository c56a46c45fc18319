"""Who may use the key of a folder: the keyring, kept beside what it locks as `vault.json`.

The key is wrapped (AES-256-GCM) once for each holder: for a passphrase, by Argon2id (RFC 9106) of it; for a key file
or a recovery key, by HKDF of their random bytes; for a person's public key, by X25519 with a key made for that (as age
does). The keyring is authenticated by the key itself, so that nobody who does not hold it can add a holder to be taken
over at the next rotation. While a folder is being encrypted, or its key changed, the keyring says what its files may
still be under.

Pure: it neither reads nor writes files. Limits: whoever once held the key may have kept it; taking a holder away ends
their access only with a rotation. Who the holders are can be read by all.
"""

from __future__ import annotations

import base64
import ctypes
import hmac
import json
import mmap
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from localrag.errors import KeyRequired, KeyringDamaged, UsageError

SIZE = 32
FILE = "vault.json"
KEY_FILE_MARK = "localrag-key-1:"
IDENTITY_MARK = "localrag-identity-1:"
PUBLIC_MARK = "lr1-"
_PLAIN = "plain"
# RFC 9106's second recommended option has 64 MiB and 3 passes; four times the memory still takes half a second.
_ARGON2 = {"memory_kib": 262_144, "passes": 3, "lanes": 4}
# A keyring of somebody else must not take all memory, or minutes.
_MOST_ARGON2 = {"memory_kib": 1_048_576, "passes": 8, "lanes": 16}
Kind = Literal["passphrase", "key file", "recovery", "person"]


class Key:
    """The key of a folder."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SIZE:
            raise ValueError(f"a key has {SIZE} bytes, not {len(secret)}")
        self._page = _locked_page(secret)
        self.id = self.derive("id", length=16)

    @classmethod
    def new(cls) -> Key:
        return cls(os.urandom(SIZE))

    @property
    def secret(self) -> bytes:
        """The 32 bytes themselves, to be wrapped or handed to another process of localrag's own."""
        return self._page[:SIZE]

    def derive(self, purpose: str, salt: bytes = b"", length: int = SIZE) -> bytes:
        """A key for one purpose."""
        return derived(self.secret, purpose, salt, length)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self.secret, other.secret)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Key {self.id.hex()[:8]}>"


def derived(secret: bytes, purpose: str, salt: bytes = b"", length: int = SIZE) -> bytes:
    """HKDF-SHA256 of a secret that is random already."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt or None, f"localrag 1 {purpose}".encode()).derive(secret)


def _locked_page(secret: bytes) -> mmap.mmap:
    page = mmap.mmap(-1, mmap.PAGESIZE)
    if sys.platform == "linux":
        with suppress(OSError, ValueError, AttributeError):
            page.madvise(mmap.MADV_DONTDUMP)
        # Many users may lock 64 KB and more; where not even that, the key is no worse off than the documents.
        with suppress(OSError, AttributeError):
            address = ctypes.addressof(ctypes.c_char.from_buffer(page))
            ctypes.CDLL(None).mlock(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE))
    page[: len(secret)] = secret
    return page


def no_dumps() -> None:
    """Have the system write no memory of this process to a crash dump, nor let another process of the user read it.

    Called once a key is held. Linux only; elsewhere crash dumps are the administrator's to turn off.
    """
    if sys.platform != "linux":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A dump that the system hands to a program (systemd-coredump) ignores that limit, but not this.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


@dataclass(frozen=True, slots=True)
class Passphrase:
    text: str


@dataclass(frozen=True, slots=True)
class Random:
    """The random bytes of a key file or a recovery key."""

    secret: bytes
    kind: Kind


@dataclass(frozen=True, slots=True)
class Identity:
    """A person's own private key (X25519, 32 bytes)."""

    private: bytes

    @property
    def public(self) -> str:
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        return PUBLIC_MARK + _base32(X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw())


Credential = Passphrase | Random | Identity


@dataclass(frozen=True, slots=True)
class Holder:
    """Who may use the key: `made` is what their wrapping needs besides their own secret."""

    name: str
    kind: Kind
    wrapped: bytes
    made: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The holders of a folder's key.

    `former` says what files may still be under: None where all are under the key, "plain", or the key before this one,
    wrapped by it.
    """

    key_id: bytes
    holders: tuple[Holder, ...] = ()
    former: bytes | Literal["plain"] | None = None

    # --- opening --------------------------------------------------------------------------------------------

    def unlock(self, credential: Credential) -> Key:
        """The key, for one who holds it.

        Raises:
            KeyRequired: the credential opens nothing here.
            KeyringDamaged: the keyring was changed by somebody who does not hold the key.
        """
        for holder in self.holders:
            secret = _unwrap(holder, credential, self.key_id)
            if secret is not None:
                return Key(secret)
        raise KeyRequired(_REFUSED[type(credential)], "`localrag vault status` lists who holds the key.")

    def opens(self, holder: Holder, credential: Credential) -> bool:
        """Whether the credential is this holder's."""
        return _unwrap(holder, credential, self.key_id) is not None

    def former_key(self, key: Key) -> Key | None:
        """The key before this one, while files may still be under it."""
        if not isinstance(self.former, bytes):
            return None
        secret = _opened(key.derive("former"), self.former, self.key_id)
        if secret is None:
            raise _damaged("the former key in it cannot be opened")
        return Key(secret)

    # --- changing; the caller writes the keyring down ----------------------------------------------------------

    def with_passphrase(self, key: Key, name: str, text: str) -> Keyring:
        """Raises UsageError where the passphrase is too short to withstand guessing."""
        if len(text) < 8:
            raise UsageError("the passphrase is too short", "Take at least 8 characters; several words are best.")
        made = {"salt": _b64(os.urandom(16)), **_ARGON2}
        return self._with(key, name, "passphrase", _stretched(text, made), made)

    def with_random(self, key: Key, name: str, credential: Random) -> Keyring:
        made = {"salt": _b64(os.urandom(16))}
        return self._with(key, name, credential.kind, derived(credential.secret, "holder", _raw(made["salt"])), made)

    def with_credential(self, key: Key, name: str, credential: Credential) -> Keyring:
        match credential:
            case Passphrase(text):
                return self.with_passphrase(key, name, text)
            case Random():
                return self.with_random(key, name, credential)
            case Identity():
                return self.with_person(key, name, credential.public)

    def with_person(self, key: Key, name: str, public: str) -> Keyring:
        """Raises UsageError where `public` is no public key."""
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

        once = X25519PrivateKey.generate()
        theirs = public_bytes(public)
        made = {"public": public, "once": _b64(once.public_key().public_bytes_raw())}
        return self._with(key, name, "person", _agreed(once.private_bytes_raw(), theirs, made), made)

    def without(self, name: str) -> Keyring:
        """Raises UsageError where nobody has that name, or nobody would be left."""
        left = tuple(holder for holder in self.holders if holder.name != name)
        if len(left) == len(self.holders):
            known = ", ".join(holder.name for holder in self.holders)
            raise UsageError(f"nobody named {name!r} holds the key", f"Holders: {known}.")
        if not left:
            raise UsageError(f"{name!r} is the last who holds the key", "Add another first; without one all is lost.")
        return replace(self, holders=left)

    def settled(self) -> Keyring:
        """Every file is under the key now."""
        return replace(self, former=None)

    def _with(self, key: Key, name: str, kind: Kind, wrapping: bytes, made: Mapping[str, Any]) -> Keyring:
        if any(holder.name == name for holder in self.holders):
            raise UsageError(f"somebody named {name!r} holds the key already", "Take another name, or remove that one.")
        holder = Holder(name, kind, _closed(wrapping, key.secret, self.key_id + kind.encode()), made)
        return replace(self, holders=(*self.holders, holder))


def new_keyring(key: Key, former: Key | Literal["plain"] | None = None) -> Keyring:
    """A keyring without holders; `former` says what the files of the folder are under so far."""
    kept = _closed(key.derive("former"), former.secret, key.id) if isinstance(former, Key) else former
    return Keyring(key.id, (), kept)


# --- as a file ----------------------------------------------------------------------------------------------


def to_json(keyring: Keyring, key: Key) -> bytes:
    """The keyring as it is kept, with the proof that one who holds the key made it."""
    body = {
        "localrag-vault": 1,
        "key": keyring.key_id.hex(),
        "former": _b64(keyring.former) if isinstance(keyring.former, bytes) else keyring.former,
        "holders": [
            {"name": holder.name, "kind": holder.kind, "wrapped": _b64(holder.wrapped), "made": dict(holder.made)}
            for holder in keyring.holders
        ],
    }
    return json.dumps({**body, "proof": _proof(body, key)}, ensure_ascii=False, indent=2).encode() + b"\n"


def from_json(data: bytes) -> Keyring:
    """Read back what `to_json` made; whether its proof holds is for `check`.

    Raises:
        KeyringDamaged: it is something else.
    """
    try:
        body = json.loads(data)
        if body["localrag-vault"] != 1:
            raise ValueError(f"its version is {body['localrag-vault']!r}, this localrag reads 1")
        former = body["former"]
        return Keyring(
            bytes.fromhex(body["key"]),
            tuple(
                Holder(str(one["name"]), one["kind"], _raw(one["wrapped"]), dict(one["made"]))
                for one in body["holders"]
            ),
            former if former in (None, _PLAIN) else _raw(former),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(str(error)) from None


def check(data: bytes, key: Key) -> None:
    """Raises KeyringDamaged where the keyring was not made by one who holds the key."""
    body = json.loads(data)
    proof = body.pop("proof", "")
    if not isinstance(proof, str) or not hmac.compare_digest(proof.encode(), _proof(body, key).encode()):
        raise _damaged("somebody who does not hold the key has changed it")


def _proof(body: Mapping[str, Any], key: Key) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    return hmac.new(key.derive("keyring"), canonical, "sha256").hexdigest()


# --- what people hold ---------------------------------------------------------------------------------------


def new_key_file() -> bytes:
    """The content of a new key file."""
    return f"{KEY_FILE_MARK}{_base32(os.urandom(SIZE))}\n".encode()


def new_identity() -> bytes:
    """The content of a file with a person's private key."""
    return f"{IDENTITY_MARK}{_base32(os.urandom(SIZE))}\n".encode()


def new_recovery() -> tuple[str, Random]:
    """A recovery key as it is written on paper, and what it stands for."""
    secret = os.urandom(SIZE)
    return "-".join(_groups(_base32(secret), 4)), Random(secret, "recovery")


def recovery(text: str) -> Random:
    """What a recovery key on paper stands for.

    Raises:
        UsageError: it is none.
    """
    return Random(_from_base32(text, "recovery key"), "recovery")


def credential(data: bytes) -> Credential:
    """What a file given as `--key-file` holds: a key, a person's private key, or else a passphrase.

    Raises:
        UsageError: it is empty, or a key that was cut short.
    """
    text = data.decode("utf-8", "surrogateescape").strip()
    if text.startswith(KEY_FILE_MARK):
        return Random(_from_base32(text.removeprefix(KEY_FILE_MARK), "key file"), "key file")
    if text.startswith(IDENTITY_MARK):
        return Identity(_from_base32(text.removeprefix(IDENTITY_MARK), "identity file"))
    if not text:
        raise UsageError("the key file is empty", "`localrag vault key-file FILE` makes one.")
    return Passphrase(text)


def public_bytes(public: str) -> bytes:
    """The bytes of a public key as `Identity.public` writes it.

    Raises:
        UsageError: it is none.
    """
    if not public.startswith(PUBLIC_MARK):
        raise UsageError(f"{public!r} is no public key", f"One begins with {PUBLIC_MARK!r}: localrag vault identity.")
    return _from_base32(public.removeprefix(PUBLIC_MARK), "public key")


# --- wrapping -----------------------------------------------------------------------------------------------

_REFUSED: Mapping[type, str] = {
    Passphrase: "the passphrase is not right",
    Random: "the key file or recovery key does not fit",
    Identity: "this person does not hold the key",
}


def _unwrap(holder: Holder, credential: Credential, key_id: bytes) -> bytes | None:
    try:
        match credential:
            case Passphrase(text) if holder.kind == "passphrase":
                wrapping = _stretched(text, holder.made)
            case Random(secret, kind) if holder.kind == kind:
                wrapping = derived(secret, "holder", _raw(holder.made["salt"]))
            case Identity() if holder.kind == "person" and holder.made["public"] == credential.public:
                wrapping = _agreed(credential.private, _raw(holder.made["once"]), holder.made)
            case _:
                return None
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(f"the entry of {holder.name!r}: {error}") from None
    return _opened(wrapping, holder.wrapped, key_id + holder.kind.encode())


def _stretched(text: str, made: Mapping[str, Any]) -> bytes:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    for name, most in _MOST_ARGON2.items():
        # A keyring from a stick could ask for all the memory there is.
        if not isinstance(made[name], int) or not 1 <= made[name] <= most:
            raise ValueError(f"{name} is {made[name]!r}")
    return Argon2id(
        salt=_raw(made["salt"]), length=SIZE, iterations=made["passes"], lanes=made["lanes"],
        memory_cost=made["memory_kib"],
    ).derive(text.encode("utf-8", "surrogateescape"))  # fmt: skip


def _agreed(private: bytes, public: bytes, made: Mapping[str, Any]) -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    # Both public keys are part of it, as in age, so that what is wrapped for one cannot be passed off on another.
    return derived(shared, "person", _raw(made["once"]) + public_bytes(made["public"]))


def _closed(wrapping: bytes, secret: bytes, bound: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(wrapping).encrypt(nonce, secret, bound)


def _opened(wrapping: bytes, wrapped: bytes, bound: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(wrapping).decrypt(wrapped[:12], wrapped[12:], bound)
    except (InvalidTag, ValueError):
        return None


# --- letters ------------------------------------------------------------------------------------------------


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _base32(data: bytes) -> str:
    """With a check sum, because people copy it by hand."""
    import zlib

    return base64.b32encode(data + zlib.crc32(data).to_bytes(4, "big")).decode().rstrip("=").lower()


def _from_base32(text: str, what: str) -> bytes:
    import binascii
    import zlib

    letters = "".join(text.split()).replace("-", "").upper()
    try:
        data = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != SIZE + 4 or zlib.crc32(data[:SIZE]).to_bytes(4, "big") != data[SIZE:]:
        raise UsageError(f"this is not a whole {what}", "A letter may be wrong or missing.")
    return data[:SIZE]


def _groups(text: str, size: int) -> Sequence[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


def _damaged(why: str) -> KeyringDamaged:
    return KeyringDamaged(
        f"the keyring {FILE!r} cannot be used: {why}",
        "Restore it from a backup; it lies in the folder that it belongs to.",
    )

"""The key of an encrypted folder, and its keyring: the file `vault.json`, which says who may use the key.

The keyring holds the key once for each holder, encrypted with Argon2id (RFC 9106) of a passphrase, with HKDF of a
recovery key, or in the age format for a public key. An HMAC under the key itself authenticates it, so that only a
holder can add another. Limits: everybody can read who the holders are; somebody who held the key may have kept it.
"""

from __future__ import annotations

import base64
import ctypes
import hmac
import json
import mmap
import os
import re
import secrets
import sys
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from localrag.errors import IntegrityError, KeyRequired, KeyringDamaged, UsageError

SIZE = 32  # bytes of a key
FILE = "vault.json"
PUBLIC_KEY_MARK = "age1"
_SECRET_KEY_MARK = "AGE-SECRET-KEY-1"
_OLD_MARKS = ("localrag-key-1:", "localrag-identity-1:")
_MIN_PASSPHRASE, _MAX_PASSPHRASE = 8, 1000
# The second recommended option of RFC 9106 has 64 MiB and 3 passes; four times the memory still takes half a second.
_ARGON2 = {"memory_kib": 262_144, "passes": 3, "lanes": 4}
# A keyring from somebody else must not take all memory, or minutes.
_MAX_ARGON2 = {"memory_kib": 1_048_576, "passes": 8, "lanes": 16}
Kind = Literal["passphrase", "recovery", "public key"]


class Key:
    """32 random bytes, in memory that is not swapped out or dumped where the system allows it.

    The keys in use are derived from it (HKDF-SHA256, RFC 5869) and live in ordinary memory of OpenSSL and SQLCipher.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) != SIZE:
            raise ValueError(f"a key has {SIZE} bytes, not {len(secret)}")
        self._page = page = mmap.mmap(-1, mmap.PAGESIZE)
        if sys.platform == "linux":
            with suppress(OSError, ValueError, AttributeError):
                page.madvise(mmap.MADV_DONTDUMP)
            # Most users may lock 64 KB and more. Where they may not, the key is as exposed as the documents.
            with suppress(OSError, AttributeError):
                address = ctypes.addressof(ctypes.c_char.from_buffer(page))
                ctypes.CDLL(None).mlock(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE))
        page[:SIZE] = secret
        self.id = self.derive("id", length=16)

    @classmethod
    def new(cls) -> Key:
        return cls(os.urandom(SIZE))

    @property
    def secret(self) -> bytes:
        """The bytes, to be wrapped or sent to another process of localrag."""
        return self._page[:SIZE]

    def derive(self, purpose: str, salt: bytes = b"", length: int = SIZE) -> bytes:
        return _derived(self.secret, purpose, salt, length)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self.secret, other.secret)

    def __hash__(self) -> int:
        return hash(self.id)


def _derived(secret: bytes, purpose: str, salt: bytes = b"", length: int = SIZE) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), length, salt or None, f"localrag 1 {purpose}".encode()).derive(secret)


def no_dumps() -> None:
    """Keep this process's memory out of crash dumps and other processes of the user. Linux only."""
    if sys.platform != "linux":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A dump that the system pipes to a program (systemd-coredump) ignores that limit, but not this.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


@dataclass(frozen=True, slots=True)
class Passphrase:
    text: str


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    secret: bytes

    @classmethod
    def new(cls) -> RecoveryKey:
        return cls(os.urandom(SIZE))

    @classmethod
    def parse(cls, text: str) -> RecoveryKey:
        """Read a recovery key as it is written on paper. Raises UsageError where it is none, or not whole."""
        letters = "".join(text.split()).replace("-", "").upper()
        try:
            data = base64.b32decode(letters + "=" * (-len(letters) % 8))
        except ValueError:
            data = b""
        if len(data) != SIZE + 4 or zlib.crc32(data[:SIZE]).to_bytes(4, "big") != data[SIZE:]:
            raise UsageError("this is not a whole recovery key", "A letter may be wrong or missing.")
        return cls(data[:SIZE])

    def __str__(self) -> str:
        """The key in groups of four letters, with a check sum, because people copy it by hand."""
        data = self.secret + zlib.crc32(self.secret).to_bytes(4, "big")
        text = base64.b32encode(data).decode().rstrip("=").lower()
        return "-".join(text[start : start + 4] for start in range(0, len(text), 4))


@dataclass(frozen=True, slots=True)
class SecretKey:
    """An age secret key (X25519), the content of a key file."""

    text: str

    @property
    def public(self) -> str:
        import pyrage

        return str(pyrage.x25519.Identity.from_str(self.text).to_public())


Credential = Passphrase | RecoveryKey | SecretKey


def new_key_file() -> bytes:
    """The content of a new key file, as `age-keygen` writes it."""
    import pyrage

    secret = pyrage.x25519.Identity.generate()
    return f"# public key: {secret.to_public()}\n{secret}\n".encode()


def parse_key_file(data: bytes) -> SecretKey | Passphrase:
    """The age secret key in a `--key-file`, or else its text as a passphrase. Raises UsageError if it is neither."""
    import pyrage

    text = data.decode("utf-8", "surrogateescape").strip()
    if text.startswith(_OLD_MARKS):
        raise UsageError(
            "this key file was made by an older localrag, and opens nothing here",
            "Open the library with its passphrase or recovery key, make a new key "
            "(localrag vault key-file --out FILE), and add it (localrag vault add NAME HOLDER --with-key FILE).",
        )
    found = next((line.strip() for line in text.splitlines() if line.strip().startswith(_SECRET_KEY_MARK)), None)
    if found is not None:
        try:
            pyrage.x25519.Identity.from_str(found)
        except (pyrage.IdentityError, UnicodeEncodeError):
            raise UsageError("the key in the key file is damaged", "A letter is wrong or missing.") from None
        return SecretKey(found)
    if not text:
        raise UsageError("the key file is empty", "`localrag vault key-file --out FILE` makes one.")
    if len(text) > _MAX_PASSPHRASE or min(text.replace("\t", " ")) < " " or text.startswith(PUBLIC_KEY_MARK):
        raise UsageError("the key file holds no age secret key and no line with a passphrase", "Give another file.")
    return Passphrase(text)


def check_public_key(public: str) -> str:
    """Return an age public key. Raises UsageError where it is none."""
    import pyrage

    try:
        pyrage.x25519.Recipient.from_str(public)
    except (pyrage.RecipientError, UnicodeEncodeError):
        hint = f"A public key begins with {PUBLIC_KEY_MARK}: localrag vault identity FILE prints one."
        raise UsageError(f"{public!r} is not a public key", hint) from None
    return public


def check_passphrase(text: str) -> str:
    """Return a passphrase. Raises UsageError where it is too short to withstand guessing."""
    if len(text) < _MIN_PASSPHRASE:
        hint = f"Use at least {_MIN_PASSPHRASE} characters; several words are best."
        raise UsageError("the passphrase is too short", hint)
    return text


@dataclass(frozen=True, slots=True)
class Holder:
    """One who may use the key. `made` holds what their credential needs to unwrap it: a salt, or the public key."""

    name: str
    kind: Kind
    wrapped: bytes
    made: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The holders of a folder's key. Its methods return a new keyring, which the caller writes.

    `former` is what files may still be under: None if all are under the key, "plain", or the previous key, wrapped.
    """

    key_id: bytes
    holders: tuple[Holder, ...] = ()
    former: bytes | Literal["plain"] | None = None

    def unlock(self, credential: Credential) -> Key:
        """The key, for a credential of one of its holders. Raises KeyRequired if it is nobody's, or KeyringDamaged."""
        for holder in self.holders:
            secret = _unwrap(holder, credential, self.key_id)
            if secret is not None:
                return Key(secret)
        what = {Passphrase: "passphrase is wrong", RecoveryKey: "recovery key does not fit"}.get(type(credential))
        raise KeyRequired(f"the {what or 'key file does not fit'}", "`localrag vault status` lists who holds the key.")

    def opens(self, holder: Holder, credential: Credential) -> bool:
        return _unwrap(holder, credential, self.key_id) is not None

    def former_key(self, key: Key) -> Key | None:
        """The previous key, while files may still be under it."""
        if not isinstance(self.former, bytes):
            return None
        secret = _decrypted(key.derive("former"), self.former, self.key_id)
        if secret is None:
            raise _damaged("its former key cannot be decrypted")
        return Key(secret)

    def with_credential(self, key: Key, name: str, credential: Credential) -> Keyring:
        """Add a holder. Raises UsageError where the name is taken, or a passphrase is too short."""
        made: dict[str, Any] = {"salt": _b64(os.urandom(16))}
        kind: Kind = "recovery"
        if isinstance(credential, SecretKey):
            return self.with_public_key(key, name, credential.public)
        if isinstance(credential, Passphrase):
            check_passphrase(credential.text)
            kind, made = "passphrase", made | _ARGON2
        wrapped = _encrypted(_wrapping(credential, made), key.secret, self.key_id + kind.encode())
        return self._with(Holder(name, kind, wrapped, made))

    def with_public_key(self, key: Key, name: str, public: str) -> Keyring:
        """Add a holder by a public key. Raises UsageError where it is none, or the name is taken."""
        import pyrage

        recipient = pyrage.x25519.Recipient.from_str(check_public_key(public))
        wrapped = pyrage.encrypt(self.key_id + key.secret, [recipient])
        return self._with(Holder(name, "public key", wrapped, {"public": public}))

    def without(self, name: str) -> Keyring:
        """Remove a holder. Raises UsageError where there is no such holder, or no other."""
        left = tuple(holder for holder in self.holders if holder.name != name)
        if len(left) == len(self.holders):
            known = ", ".join(holder.name for holder in self.holders)
            raise UsageError(f"nobody named {name!r} holds the key", f"Holders: {known}.")
        if not left:
            raise UsageError(f"{name!r} is the last holder of the key", "Add another first; without one all is lost.")
        return replace(self, holders=left)

    def _with(self, holder: Holder) -> Keyring:
        if any(one.name == holder.name for one in self.holders):
            raise UsageError(f"{holder.name!r} already holds the key", "Use another name, or remove that holder first.")
        return replace(self, holders=(*self.holders, holder))


def new_keyring(key: Key, former: Key | Literal["plain"] | None = None) -> Keyring:
    """A keyring without holders; `former` is what the files of the folder are under so far."""
    kept = _encrypted(key.derive("former"), former.secret, key.id) if isinstance(former, Key) else former
    return Keyring(key.id, (), kept)


def to_json(keyring: Keyring, key: Key) -> bytes:
    """The file, with a proof that its writer holds the key."""
    former = keyring.former
    body = {
        "localrag-vault": 1,
        "key": keyring.key_id.hex(),
        "former": _b64(former) if isinstance(former, bytes) else former,
        "holders": [
            {"name": one.name, "kind": one.kind, "wrapped": _b64(one.wrapped), "made": dict(one.made)}
            for one in keyring.holders
        ],
    }
    return json.dumps({**body, "proof": _proof(body, key)}, ensure_ascii=False, indent=2).encode() + b"\n"


def from_json(data: bytes) -> Keyring:
    """Read back what `to_json` made; `check` verifies its proof. Raises KeyringDamaged if it is something else."""
    try:
        body = json.loads(data)
        if body["localrag-vault"] != 1:
            raise ValueError(f"its version is {body['localrag-vault']!r}, and this localrag reads 1")
        rows, former = body["holders"], body["former"]
        holders = [Holder(str(one["name"]), one["kind"], _raw(one["wrapped"]), dict(one["made"])) for one in rows]
        former = former if former in (None, "plain") else _raw(former)
        return Keyring(bytes.fromhex(body["key"]), tuple(holders), former)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(str(error)) from None


def check(data: bytes, key: Key) -> None:
    """Raise KeyringDamaged unless a holder of the key made the keyring."""
    with suppress(RecursionError):
        body = json.loads(data)
        proof = str(body.pop("proof", "")).encode("utf-8", "replace")
        if hmac.compare_digest(proof, _proof(body, key).encode()):
            return
    raise _damaged("somebody without the key has changed it")


def _proof(body: Mapping[str, Any], key: Key) -> str:
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    return hmac.new(key.derive("ring"), canonical, "sha256").hexdigest()


def _unwrap(holder: Holder, credential: Credential, key_id: bytes) -> bytes | None:
    """The key that a holder's entry wraps; None if the credential is not theirs."""
    try:
        if isinstance(credential, SecretKey):
            if holder.kind == "public key" and holder.made["public"] == credential.public:
                return _unwrap_age(holder.wrapped, credential, key_id)
        elif holder.kind == ("passphrase" if isinstance(credential, Passphrase) else "recovery"):
            wrapping = _wrapping(credential, holder.made)
            return _decrypted(wrapping, holder.wrapped, key_id + holder.kind.encode())
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(f"the entry of {holder.name!r}: {error}") from None
    return None


def _unwrap_age(wrapped: bytes, credential: SecretKey, key_id: bytes) -> bytes | None:
    import pyrage

    with suppress(pyrage.DecryptError):
        content = bytes(pyrage.decrypt(wrapped, [pyrage.x25519.Identity.from_str(credential.text)]))
        if content.startswith(key_id) and len(content) == len(key_id) + SIZE:  # not the entry of another keyring
            return content[len(key_id) :]
    return None


def _wrapping(credential: Passphrase | RecoveryKey, made: Mapping[str, Any]) -> bytes:
    """The key that wraps, derived from a passphrase or recovery key."""
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    salt = _raw(made["salt"])
    if isinstance(credential, RecoveryKey):
        return _derived(credential.secret, "holder", salt)
    for name, most in _MAX_ARGON2.items():
        if not isinstance(made[name], int) or not 1 <= made[name] <= most:
            raise ValueError(f"{name} is {made[name]!r}")
    return Argon2id(
        salt=salt, length=SIZE, iterations=made["passes"], lanes=made["lanes"], memory_cost=made["memory_kib"]
    ).derive(credential.text.encode("utf-8", "surrogateescape"))


def _encrypted(wrapping: bytes, secret: bytes, bound: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(12)
    return nonce + AESGCM(wrapping).encrypt(nonce, secret, bound)


def _decrypted(wrapping: bytes, wrapped: bytes, bound: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(wrapping).decrypt(wrapped[:12], wrapped[12:], bound)
    except (InvalidTag, ValueError):
        return None


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _damaged(why: str) -> KeyringDamaged:
    hint = "Restore it from a backup into the folder that it belongs to."
    return KeyringDamaged(f"the keyring {FILE!r} cannot be used: {why}", hint)


# --- files encrypted for people in the age format (age-encryption.org), which the tool `age` opens too -----------
# Limits: everybody can read how long such a file is; anybody who can open it can pass it on decrypted.

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

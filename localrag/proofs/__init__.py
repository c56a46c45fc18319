"""Proofs of what localrag promises, which anybody can run, and the signature on their reports.

A signature shows that a report is what the holder of the key in localrag's home signed, not that the machine told the
truth. An auditor who runs the proof, or notes the key's fingerprint while it runs, knows more.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.ingest.scan import content_hash
from localrag.security import storage
from localrag.settings import read_file

FORMATS = ("localrag prove offline 2", "localrag prove forgotten 1", "localrag prove offline evidence 1")
_OLD_FORMATS = ("localrag prove offline 1",)
_MAX_REPORT = 1 << 26  # bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """A checked report file: whether its signature is valid, whether by this machine's key, and what it says."""

    good: bool
    ours: bool
    fingerprint: str
    made: str
    proven: bool


def signed(report: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The dict of a report with an Ed25519 signature by the key in `folder`, which is made if it is missing."""
    key = _key(folder)
    public = key.public_key().public_bytes_raw()
    value = key.sign(_canonical(report)).hex()
    signature = {"algorithm": "Ed25519", "key": public.hex(), "fingerprint": _fingerprint(public), "value": value}
    return report | {"signature": signature}


def verify(file: Path, folder: Path) -> Verified:
    """Check a report's signature, and whether the key in `folder` made it. Raises UsageError if it is no report."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    make_one = "localrag prove offline --out FILE"
    try:
        report = json.loads(read_file(file, links=True, most=_MAX_REPORT))
        signature = report.pop("signature")
        public, value = bytes.fromhex(signature["key"]), bytes.fromhex(signature["value"])
        made, proven = str(report["made"]), bool(report["proven"])
        files = {str(name): str(sha256) for name, sha256 in report.get("files", {}).items()}  # that lie beside it
        if report["format"] not in (*FORMATS, *_OLD_FORMATS):
            raise ValueError(report["format"])
        key = Ed25519PublicKey.from_public_bytes(public)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {str(file)!r}", f"Make a report: {make_one}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = (
            f"{str(file)!r} is not the report of a proof ({getattr(error, 'strerror', None) or type(error).__name__})"
        )
        raise UsageError(what, f"Give a file that this wrote: {make_one}") from None
    good = False
    with suppress(InvalidSignature):
        key.verify(value, _canonical(report))
        good = all(_is_beside(file, name, sha256) for name, sha256 in files.items())
    ours = good and (folder / "key").is_file() and _key(folder).public_key().public_bytes_raw() == public
    return Verified(good, ours, _fingerprint(public), made, proven)


def _is_beside(report: Path, name: str, sha256: str) -> bool:
    """Whether a regular file of this name, which a stranger may have chosen, lies beside a report and has this hash."""
    folder = report.parent.resolve()
    with suppress(OSError, ValueError):
        return Path(name).name == name and content_hash(folder / name, lambda: None, links=False) == sha256
    return False


def _key(folder: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    file = folder / "key"
    if not file.is_file():
        storage.write_bytes(file, Ed25519PrivateKey.generate().private_bytes_raw())
    try:
        return Ed25519PrivateKey.from_private_bytes(storage.read_bytes(file))
    except ValueError:
        hint = "Delete it; the next proof makes a new one, with another fingerprint."
        raise LocalragError(f"{str(file)!r} is not a signing key", hint) from None


def _canonical(report: dict[str, Any]) -> bytes:
    """The bytes that are signed: JSON with sorted keys and no spaces."""
    return json.dumps(report, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _fingerprint(public: bytes) -> str:
    digest = hashlib.sha256(public).hexdigest()
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))

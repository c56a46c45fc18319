"""What a proof found, as values, and as a file that is signed.

The key lies in localrag's home folder (0600), made at the first proof. The signature shows that a report is, to the
letter, what whoever holds that key signed. It does not show that the machine told the truth: who can read the key can
sign anything. An auditor who runs the proof himself, or noted the key's fingerprint while he watched, knows more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.proofs.attempts import Outcome, Refuser, Way
from localrag.security import storage
from localrag.security.offline import Layer

FORMAT = "localrag prove offline 1"
FORMATS = (FORMAT, "localrag prove forgotten 1")


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt: what came of it in a process that was not confined, in a confined one, and there after its work."""

    name: str
    way: Way
    layer: Refuser
    unconfined: Outcome
    before: Outcome
    after: Outcome

    @property
    def through(self) -> bool:
        """It got out."""
        return any(one.result in ("through", "open") for one in (self.before, self.after))

    @property
    def held(self) -> bool:
        """Refused by the layer that is there to do it, both times; or nothing that this system has."""
        return all(
            one.result == "absent" or (one.result == "refused" and self.layer in ("any", one.by))
            for one in (self.before, self.after)
        )


@dataclass(frozen=True, slots=True)
class Run:
    """One process that was proven: what holds in it, what it tried, what was heard outside, and the work it did."""

    name: str
    layers: tuple[Layer, ...]
    tried: tuple[Tried, ...]
    heard: int
    documents: int
    passages: int
    answer: str
    citations: int
    model: str

    @property
    def proven(self) -> bool:
        return not self.heard and all(one.held for one in self.tried) and self.documents > 0 and bool(self.answer)


@dataclass(frozen=True, slots=True)
class Report:
    """A whole proof; `left_out` says what could not be run on this machine, and why."""

    version: str
    made: str
    system: str
    runs: tuple[Run, ...]
    left_out: str

    @property
    def proven(self) -> bool:
        return bool(self.runs) and all(run.proven for run in self.runs)

    def to_dict(self) -> dict[str, Any]:
        told = {"format": FORMAT, "proven": self.proven, **asdict(self)}
        for run, shown in zip(self.runs, told["runs"], strict=True):
            shown["proven"] = run.proven
            for one, row in zip(run.tried, shown["tried"], strict=True):
                row["held"] = one.held
        return told


@dataclass(frozen=True, slots=True)
class Verified:
    """What is known of a report file: whether its signature is good, whose it is, and what it says."""

    good: bool
    ours: bool
    fingerprint: str
    made: str
    proven: bool


class Told(Protocol):
    """A report: as JSON it has the `format`, when it was `made`, and whether it is `proven`."""

    def to_dict(self) -> dict[str, Any]: ...


def signed(report: Told, folder: Path) -> dict[str, Any]:
    """The report with its signature (Ed25519), by the key in a folder; it is made where there is none."""
    told = report.to_dict()
    key = _key(folder)
    public = key.public_key().public_bytes_raw()
    told["signature"] = {
        "algorithm": "Ed25519",
        "key": public.hex(),
        "fingerprint": _fingerprint(public),
        "value": key.sign(_canonical(told)).hex(),
    }
    return told


def verify(file: Path, folder: Path) -> Verified:
    """Check the signature of a report, and whether it was made with the key in `folder`.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it is no report of a proof.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        signature = told.pop("signature")
        public, value = bytes.fromhex(signature["key"]), bytes.fromhex(signature["value"])
        made, proven, known = str(told["made"]), bool(told["proven"]), told["format"] in FORMATS
        if not known:
            raise ValueError(told["format"])
        key = Ed25519PublicKey.from_public_bytes(public)
    except FileNotFoundError:
        raise NotFoundError(
            f"there is no file {str(file)!r}", "Make one: localrag prove offline --report FILE"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{str(file)!r} is no report of a proof ({type(error).__name__})",
            "Give a file that was written by: localrag prove offline --report FILE",
        ) from None
    try:
        key.verify(value, _canonical(told))
        good = True
    except InvalidSignature:
        good = False
    own = folder / "key"
    ours = good and own.is_file() and _key(folder).public_key().public_bytes_raw() == public
    return Verified(good, ours, _fingerprint(public), made, proven)


def _key(folder: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    file = folder / "key"
    if not file.is_file():
        storage.write_bytes(file, Ed25519PrivateKey.generate().private_bytes_raw())
    try:
        return Ed25519PrivateKey.from_private_bytes(storage.read_bytes(file))
    except ValueError:
        raise LocalragError(
            f"{str(file)!r} is no signing key", "Delete it; the next proof makes a new one, with another fingerprint."
        ) from None


def _canonical(told: dict[str, Any]) -> bytes:
    """The bytes that are signed: JSON with sorted keys and no spaces."""
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _fingerprint(public: bytes) -> str:
    digest = hashlib.sha256(public).hexdigest()
    return " ".join(digest[at : at + 4] for at in range(0, 32, 4))

"""What an administrator allows on this machine: a file in TOML that those who use localrag can read and not change.

    Linux    /etc/localrag/policy.toml
    macOS    /Library/Application Support/localrag/policy.toml
    Windows  localrag\\policy.toml in the folder of program data

The variable LOCALRAG_POLICY names one more, for tests and for machines that have none. Both hold together: each check
asks every policy, so that a second can forbid more and never allow more. Where one cannot be read or understood,
nothing is allowed. What is refused is told to whoever asked to be (`on_refusal`): the audit record.

Limits: it binds localrag, not its user. Whoever can run other programs may read the same files with them, change a
localrag that is installed as their own, or hide the file from it where the system lets them make namespaces.
"""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from localrag.errors import PolicyRefused, PolicyUnreadable

FILE_NAME = "policy.toml"
VARIABLE = "LOCALRAG_POLICY"
# "files" is not among them: it holds only where a command knows its library beforehand.
LAYERS = ("switches", "hook", "seccomp", "landlock")
# Settings whose value a policy gives, and those that it says more of.
FIXED = ("audit_words", "ocr_languages")
RULED = (*FIXED, "retention_days")
_MOST_DAYS = 36_500
_ASK = "Ask whoever looks after this machine."
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def _rule(about: str, default: Any = None) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True)
class Policy:
    """One file's rules; a rule that it does not have is None, False or empty. `named`: by the variable."""

    file: Path
    named: bool = False
    require_encryption: bool = _rule("Libraries are opened and made only where they are encrypted.", False)
    require_offline_layers: tuple[str, ...] = _rule(
        f"Libraries are opened only where these layers shut out the network: {', '.join(LAYERS)}.", ()
    )
    allowed_models: tuple[str, ...] | None = _rule(
        "SHA-256 of the weights of models that may be installed and used, embedders, rerankers and adapters too."
    )
    allow_exports: bool = _rule("Conversations and tables may be exported to files.", True)
    audit_words: Literal["marks", "full"] | None = _rule("Fixes the setting of this name.")
    ocr_languages: tuple[str, ...] | None = _rule("Fixes the setting of this name, for libraries made before, too.")
    retention_days: int | None = _rule("The most days of the setting of this name; of both the shorter holds.")

    def rules(self) -> dict[str, Any]:
        """What it says, by key; keys that say nothing are left out."""
        return {name: value for name, _, default in explain() if (value := getattr(self, name)) != default}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was not allowed, by which key of which policy, and of which library, if of one."""

    file: Path
    rule: str
    what: str
    library: str | None = None


def _system_file() -> Path:
    """Where the administrator's policy lies. No variable has a say in it: these are the user's."""
    if sys.platform == "darwin":
        return Path("/Library/Application Support/localrag") / FILE_NAME
    if sys.platform == "win32":
        import ctypes

        folder = ctypes.create_unicode_buffer(260)
        ctypes.windll.shell32.SHGetFolderPathW(None, 0x23, None, 0, folder)  # CSIDL_COMMON_APPDATA
        return Path(folder.value or r"C:\ProgramData") / "localrag" / FILE_NAME
    return Path("/etc/localrag") / FILE_NAME


SYSTEM = _system_file()
_told: Callable[[Refusal], None] | None = None
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


# --- reading ------------------------------------------------------------------------------------------------


def active() -> tuple[Policy, ...]:
    """The policies that hold, the administrator's first. A file that was changed is read again.

    Raises:
        PolicyUnreadable: one cannot be read or understood, or two of them contradict each other.
    """
    named = os.environ.get(VARIABLE)
    given = [(SYSTEM, False), *([(Path(named).absolute(), True)] if named else [])]
    found = tuple(_read(file, by, stamp) for file, by in given if (stamp := _stamp(file, by)) is not None)
    for name in FIXED:
        if len({getattr(one, name) for one in found} - {None}) > 1:
            raise _unreadable(found[-1].file, f"its {name} is not that of {str(found[0].file)!r}")
    return found


def files() -> list[Path]:
    """The files of the policies that hold, as a process must be let read them."""
    return [one.file for one in active()]


def explain() -> list[tuple[str, str, Any]]:
    """Each key, what it does, and its value where a policy does not have it."""
    return [(item.name, item.metadata["about"], item.default) for item in fields(Policy) if "about" in item.metadata]


def writable_by(one: Policy) -> str:
    """Who but its owner can change a policy, or that its owner is the one who runs localrag; empty where nobody can."""
    if os.name != "posix":
        return ""  # rights of Windows are not looked at
    for path in (one.file, *one.file.resolve().parents):
        found = path.stat()
        others = found.st_mode & _WRITABLE_BY_OTHERS
        sticky = path.is_dir() and found.st_mode & stat.S_ISVTX  # what others own there cannot be replaced
        if others and not sticky:
            return f"{str(path)!r} can be written by others than its owner"
        if os.geteuid() and found.st_uid == os.geteuid():
            return f"{str(path)!r} is your own, so that you can change it"
    return ""


def _stamp(file: Path, named: bool) -> tuple[int, int, int] | None:
    """What changes with a file; None where there is none and need not be one."""
    try:
        found = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        if named or os.path.lexists(file):
            raise _unreadable(file, f"there is no such file, and {VARIABLE} names it" if named else "it leads nowhere"
                              ) from None  # fmt: skip
        return None
    except OSError as error:
        raise _unreadable(file, str(error.strerror)) from None
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=8)
def _read(file: Path, named: bool, stamp: tuple[int, int, int]) -> Policy:
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unreadable(file, str(error.strerror)) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise _unreadable(file, str(error)) from None
    unknown = [name for name in given if name not in _READS]
    if unknown:
        raise _unreadable(file, f"it has the unknown key {unknown[0]!r}; known are {', '.join(_READS)}")
    rules: dict[str, Any] = {}
    for name, value in given.items():
        try:
            rules[name] = _READS[name](value)
        except _Wrong as error:
            raise _unreadable(file, f"{name} = {value!r:.80} is not {error}") from None
    return Policy(file, named, **rules)


class _Wrong(ValueError):
    """A value of the wrong kind, with what it should be."""


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong("true or false")
    return value


def _words(value: Any, what: str, fits: Callable[[str], bool]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and fits(one) for one in value):
        raise _Wrong(f"a list of {what}")
    return tuple(value)


def _hashes(value: Any) -> tuple[str, ...]:
    return tuple(
        one.lower()
        for one in _words(value, "SHA-256, 64 hexadecimal digits each", lambda one: len(one) == 64 and _is_hex(one))
    )


def _is_hex(text: str) -> bool:
    return not set(text.lower()) - set("0123456789abcdef")


def _layers(value: Any) -> tuple[str, ...]:
    return _words(value, f"layers ({', '.join(LAYERS)})", LAYERS.__contains__)


def _languages(value: Any) -> tuple[str, ...]:
    found = _words(value, "languages (en, de)", lambda one: one.isalpha() and one.islower() and len(one) in (2, 3))
    if not found:
        raise _Wrong("a list of at least one language")
    return found


def _days(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_DAYS:
        raise _Wrong(f"a whole number from 1 to {_MOST_DAYS:,}")
    return value


def _audit_words(value: Any) -> Any:
    if value not in ("marks", "full"):
        raise _Wrong("marks or full")
    return value


_READS: Mapping[str, Callable[[Any], Any]] = {
    "require_encryption": _yes_or_no,
    "require_offline_layers": _layers,
    "allowed_models": _hashes,
    "allow_exports": _yes_or_no,
    "audit_words": _audit_words,
    "ocr_languages": _languages,
    "retention_days": _days,
}


def _unreadable(file: Path, why: str) -> PolicyUnreadable:
    return PolicyUnreadable(
        f"the policy {str(file)!r} cannot be used: {why}", f"Nothing is allowed until it is corrected. {_ASK}"
    )


# --- refusing -----------------------------------------------------------------------------------------------


def on_refusal(told: Callable[[Refusal], None] | None) -> None:
    """Say who is told of each refusal."""
    global _told
    _told = told


@contextmanager
def unreported() -> Iterator[None]:
    """Tell nobody for a while: what only looks whether something is allowed did not try to do it."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def check_library(
    name: str, *, encrypted: bool, missing: Callable[[], Mapping[str, str]], new: bool = False
) -> None:  # fmt: skip
    """Whether a library may be opened or, a `new` one, made.

    Args:
        encrypted: whether all that is kept of it is.
        missing: asked for the layers that do not hold in this process, each with the reason.

    Raises:
        PolicyRefused: it may not.
    """
    for one in active():
        if one.require_encryption and not encrypted:
            raise _refused(
                one, "require_encryption", f"the library {name!r} is not encrypted",
                "Add --encrypt: localrag ingest FOLDER --encrypt" if new else
                f"Encrypt it: localrag vault encrypt {name}", name,
            )  # fmt: skip
        if one.require_offline_layers:
            absent = {layer: why for layer, why in missing().items() if layer in one.require_offline_layers}
            for layer, why in absent.items():
                raise _refused(
                    one, "require_offline_layers",
                    f"the library {name!r} is not opened, since the layer {layer} does not hold ({why})",
                    f"`localrag doctor` shows the layers. {_ASK}", name,
                )  # fmt: skip


def check_model(id: str, *hashes: str) -> None:
    """Whether a model with these hashes of its weights (and adapter) may be installed or used.

    Raises:
        PolicyRefused: it may not.
    """
    for one in active():
        for sha256 in hashes:
            if one.allowed_models is not None and sha256 not in one.allowed_models:
                raise _refused(
                    one, "allowed_models", f"the model {id!r} (SHA-256 {sha256}) is not allowed",
                    f"`localrag models list` shows which are. {_ASK}",
                )  # fmt: skip


def allows_model(*hashes: str | None) -> bool:
    """Whether `check_model` would let it pass; a hash that is not known passes where any model may be used."""
    return all(one.allowed_models is None or set(hashes) <= set(one.allowed_models) for one in active())


def limits_models() -> bool:
    """Whether not every model may be used."""
    return any(one.allowed_models is not None for one in active())


def check_export(what: str) -> None:
    """Whether something may be exported.

    Raises:
        PolicyRefused: it may not.
    """
    for one in active():
        if not one.allow_exports:
            raise _refused(one, "allow_exports", f"{what} is not exported", _ASK)


def fixes(setting: str) -> Path | None:
    """The policy that gives a setting its value, or None."""
    return next((one.file for one in active() if setting in FIXED and getattr(one, setting) is not None), None)


def effective(setting: str, value: Any) -> Any:
    """The value that a setting has, where it was given this one."""
    for one in active() if setting in RULED else ():
        ruled = getattr(one, setting)
        if ruled is not None:
            value = ruled if setting in FIXED else min(value or ruled, ruled)
    return value


def origin(setting: str, value: Any) -> Path | None:
    """The policy that a setting has its value from, where it was given this one; None where it has this one."""
    return fixes(setting) or (None if effective(setting, value) == value else _author(setting, value).file)


def check_setting(setting: str, value: Any) -> None:
    """Whether somebody may give a setting this value.

    Raises:
        PolicyRefused: a policy says another.
    """
    if (ruled := effective(setting, value)) != value:
        what = (
            f"{setting} cannot be changed"
            if setting in FIXED
            else f"{setting} = {value} keeps longer than {ruled} days"
        )
        raise _refused(_author(setting, value), setting, what, f"`localrag config policy` shows what holds. {_ASK}")


def _author(setting: str, value: Any) -> Policy:
    """The policy that has the say over a setting that was given this value."""
    ruled = effective(setting, value)
    return next(one for one in active() if getattr(one, setting) == ruled)


def _refused(one: Policy, rule: str, what: str, hint: str, library: str | None = None) -> PolicyRefused:
    if _told is not None and not _quiet.get():
        _told(Refusal(one.file, rule, what, library))
    return PolicyRefused(f"{what}: refused by the policy {str(one.file)!r} ({rule})", hint)

"""The administrator's policy: rules in a TOML file that users of the machine can read but not change.

    Linux    /etc/localrag/policy.toml
    macOS    /Library/Application Support/localrag/policy.toml
    Windows  localrag\\policy.toml in the folder of program data

LOCALRAG_POLICY names a second file, which can forbid more and never allow more. If one cannot be read or understood,
nothing is allowed. Limits: a policy binds localrag, not its user, who can read the same files with other programs.
"""

from __future__ import annotations

import os
import re
import stat
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from localrag.errors import OfflineRefused, PolicyRefused, PolicyUnreadable

FILE_NAME = "policy.toml"
VARIABLE = "LOCALRAG_POLICY"
LAYERS = ("switches", "hook", "seccomp", "landlock")  # "files" depends on the command, so it cannot be required
FIXED = ("audit_words", "ocr_languages", "keep_model_minutes", "strict")  # settings whose value a policy sets
RULED = (*FIXED, "retention_days")  # settings that a policy limits
_MAX_DAYS = 36_500
_ASK = "Ask your administrator."


def _rule(about: str, default: Any = None) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True)
class AllowedAddress:
    """A host and port in the house that may be reached, and the file of certificates that its server must show."""

    host: str
    port: int
    certificate: Path | None = None

    def __str__(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{shown}:{self.port}{f' with {self.certificate}' if self.certificate else ''}"


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one file. `named`: the file is the one LOCALRAG_POLICY names."""

    file: Path
    named: bool = False
    require_encryption: bool = _rule("Only encrypted libraries are opened or made.", False)
    require_offline_layers: tuple[str, ...] = _rule(
        f"Libraries are opened only while these layers block the network: {', '.join(LAYERS)}.", ()
    )
    allowed_models: tuple[str, ...] | None = _rule(
        "SHA-256 of the weights that may be installed and used, of embedders, rerankers and adapters too."
    )
    allow_exports: bool = _rule("Whether conversations, tables, logs and backups may be exported to files.", True)
    allow_mcp: bool = _rule("Whether programs may ask through `localrag mcp`.", True)
    allow_server: bool = _rule("Whether programs and browsers may ask through `localrag serve`.", True)
    allow_upload: bool = _rule("Whether `localrag serve --upload` may add files to the folders of libraries.", True)
    allow_addresses: tuple[AllowedAddress, ...] | None = _rule(
        "What may be reached by TCP: tables of `host`, `port` and `certificate` (a PEM file; only for this machine may "
        "it be missing)."
    )
    allow_clusters: tuple[str, ...] | None = _rule(
        "Addresses (`host:port`) of the Ray clusters that `ingest --cluster ADDRESS` may use."
    )
    audit_words: Literal["marks", "full"] | None = _rule("Fixes the setting of this name.")
    ocr_languages: tuple[str, ...] | None = _rule("Fixes the setting of this name, for existing libraries too.")
    keep_model_minutes: int | None = _rule("Fixes the setting of this name; 0: no process stays after an answer.")
    strict: bool | None = _rule("Fixes the setting of this name.")
    retention_days: int | None = _rule("Upper limit of the setting of this name.")

    def rules(self) -> dict[str, Any]:
        """The rules that differ from their default, by key."""
        return {name: value for name, _, default in explain() if (value := getattr(self, name)) != default}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a policy refused, by which rule, and for which library."""

    file: Path
    rule: str
    what: str
    library: str | None = None


def _system_file() -> Path:
    """The path of the administrator's policy. No variable can move it, because variables are the user's."""
    if sys.platform == "darwin":
        return Path("/Library/Application Support/localrag") / FILE_NAME
    if sys.platform == "win32":
        import ctypes

        folder = ctypes.create_unicode_buffer(260)
        ctypes.windll.shell32.SHGetFolderPathW(None, 0x23, None, 0, folder)  # CSIDL_COMMON_APPDATA
        return Path(folder.value or r"C:\ProgramData") / "localrag" / FILE_NAME
    return Path("/etc/localrag") / FILE_NAME


SYSTEM = _system_file()
_on_refusal: Callable[[Refusal], None] | None = None
_silent: ContextVar[bool] = ContextVar("silent", default=False)


def active() -> tuple[Policy, ...]:
    """The policies in force, the administrator's first. Raises PolicyUnreadable, also if two contradict."""
    named = os.environ.get(VARIABLE)
    given = [(SYSTEM, False), *([(Path(named).absolute(), True)] if named else [])]
    found = tuple(one for file, by in given if (one := _read(file, by)) is not None)
    for name in FIXED:
        if len({getattr(one, name) for one in found} - {None}) > 1:
            raise _unreadable(found[-1].file, f"its {name} differs from that of {str(found[0].file)!r}")
    return found


def files() -> list[Path]:
    """The files of the policies in force and their certificates, which a confined process has to read."""
    return [file for one in active() for file in _files(one)]


def _files(one: Policy) -> list[Path]:
    certificates = [each.certificate for each in one.allow_addresses or () if each.certificate is not None]
    return [one.file, *dict.fromkeys(certificates)]


def explain() -> list[tuple[str, str, Any]]:
    """Each key, its explanation, and its default."""
    return [(item.name, item.metadata["about"], item.default) for item in fields(Policy) if "about" in item.metadata]


def writable_by(one: Policy) -> str:
    """Why somebody but its administrator can change a policy; empty if nobody can. Windows is not checked."""
    if sys.platform == "win32":
        return ""
    for path in (each for file in _files(one) for each in (file, *file.resolve().parents)):
        if not path.exists():  # a certificate, which is missed when it is needed
            continue
        found = path.stat()
        sticky = path.is_dir() and found.st_mode & stat.S_ISVTX  # what others own there cannot be replaced
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky:
            return f"{str(path)!r} can be written by others than its owner"
        if os.geteuid() and found.st_uid == os.geteuid():
            return f"{str(path)!r} is your own, so that you can change it"
    return ""


def _read(file: Path, named: bool) -> Policy | None:
    """The policy in a file; None if there is none and none is expected."""
    try:
        given = tomllib.loads(file.read_text(encoding="utf-8"))
        repr(given)  # fails for numbers that are too long to be shown
    except (FileNotFoundError, NotADirectoryError):
        if named or os.path.lexists(file):
            why = f"{VARIABLE} names it, but it does not exist" if named else "it is a broken link"
            raise _unreadable(file, why) from None
        return None
    except OSError as error:
        raise _unreadable(file, str(error.strerror)) from None
    except (ValueError, RecursionError) as error:
        raise _unreadable(file, str(error)) from None
    rules: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _VALID:
            raise _unreadable(file, f"it has the unknown key {name!r}; known are {', '.join(_VALID)}")
        is_valid, expected = _VALID[name]
        if not is_valid(value):
            raise _unreadable(file, f"{name} = {value!r:.80} is not {expected}")
        rules[name] = tuple(map(_entry, value)) if isinstance(value, list) else value
    return Policy(file, named, **rules)


def _entry(value: Any) -> Any:
    if isinstance(value, dict):
        certificate = value.get("certificate")
        return AllowedAddress(value["host"].lower(), value["port"], Path(certificate) if certificate else None)
    return value.lower()


def _is_address(value: Any) -> bool:
    if not isinstance(value, dict) or not {"host", "port"} <= value.keys() <= {"host", "port", "certificate"}:
        return False
    host, port, certificate = value["host"], value["port"], value.get("certificate")
    if not (isinstance(host, str) and re.fullmatch(r"[\w.:-]+", host) and type(port) is int and 0 < port < 65536):
        return False
    if certificate is None:
        return _is_this_machine(host)
    return isinstance(certificate, str) and bool(Path(certificate).anchor)


def _is_this_machine(host: str) -> bool:
    import ipaddress

    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _list_of(fits: Callable[[str], object]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(one, str) and fits(one) for one in value)


_BOOLEAN = (lambda value: isinstance(value, bool), "true or false")
_LANGUAGES = _list_of(re.compile("[a-z]{2,3}").fullmatch)
# What makes a value of each key valid, and how to say it.
_VALID: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "require_encryption": _BOOLEAN,
    "require_offline_layers": (_list_of(LAYERS.__contains__), f"a list of layers ({', '.join(LAYERS)})"),
    "allowed_models": (
        _list_of(re.compile("[0-9a-fA-F]{64}").fullmatch),
        "a list of SHA-256, 64 hexadecimal digits each",
    ),
    "allow_exports": _BOOLEAN,
    "allow_mcp": _BOOLEAN,
    "allow_server": _BOOLEAN,
    "allow_upload": _BOOLEAN,
    "allow_addresses": (
        lambda value: isinstance(value, list) and all(map(_is_address, value)),
        "tables with host, port (1 to 65535) and certificate (an absolute path; needed for other machines)",
    ),
    "allow_clusters": (_list_of(re.compile(r"[\w.:\[\]-]+:\d{1,5}").fullmatch), "a list of addresses (host:port)"),
    "audit_words": (lambda value: value in ("marks", "full"), "marks or full"),
    "ocr_languages": (lambda value: bool(value) and _LANGUAGES(value), "a list of at least one language (en, de)"),
    "keep_model_minutes": (lambda value: type(value) is int and 0 <= value <= 1440, "a whole number from 0 to 1440"),
    "strict": _BOOLEAN,
    "retention_days": (
        lambda value: type(value) is int and 1 <= value <= _MAX_DAYS,
        f"a whole number from 1 to {_MAX_DAYS:,}",
    ),
}


def _unreadable(file: Path, why: str) -> PolicyUnreadable:
    hint = f"Nothing is allowed until it is corrected. {_ASK}"
    return PolicyUnreadable(f"the policy {str(file)!r} cannot be used: {why}", hint)


def on_refusal(handler: Callable[[Refusal], None] | None) -> None:
    """Set what is called with each refusal: the audit record."""
    global _on_refusal
    _on_refusal = handler


@contextmanager
def unreported() -> Iterator[None]:
    """Report no refusals for a while, for code that only asks what is allowed."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def check_library(name: str, *, encrypted: bool, missing: Callable[[], Mapping[str, str]], new: bool = False) -> None:
    """Raise PolicyRefused if a library may not be opened or, if `new`, made.

    `missing` returns the offline layers that do not hold in this process, each with the reason.
    """
    for one in active():
        if one.require_encryption and not encrypted:
            hint = "ingest FOLDER --encrypt" if new else f"vault encrypt {name}"
            what = f"the library {name!r} is not encrypted"
            raise _refused(one, "require_encryption", what, f"Encrypt it: localrag {hint}", name)
        absent = missing() if one.require_offline_layers else {}
        for layer in (layer for layer in one.require_offline_layers if layer in absent):
            why = f"because the layer {layer} does not hold ({absent[layer]})"
            hint = f"`localrag doctor` shows the layers. {_ASK}"
            raise _refused(one, "require_offline_layers", f"the library {name!r} is not opened, {why}", hint, name)


def check_model(id: str, *hashes: str) -> None:
    """Raise PolicyRefused if a model with these hashes of its weights (and adapter) may not be installed or used."""
    for one in active():
        for sha256 in hashes:
            if one.allowed_models is not None and sha256 not in one.allowed_models:
                what = f"the model {id!r} (SHA-256 {sha256}) is not allowed"
                raise _refused(one, "allowed_models", what, f"`localrag models list` shows the allowed ones. {_ASK}")


def allows_model(*hashes: str | None) -> bool:
    """True if `check_model` would pass; an unknown hash (None) passes only if every model is allowed."""
    return all(one.allowed_models is None or set(hashes) <= set(one.allowed_models) for one in active())


def check_export(what: str) -> None:
    """Check that something may be exported. Raises PolicyRefused if it may not."""
    for one in active():
        if not one.allow_exports:
            raise _refused(one, "allow_exports", f"cannot export {what}", _ASK)


def check_server(rule: Literal["allow_mcp", "allow_server", "allow_upload"]) -> None:
    """Check that other programs may ask, or add files. Raises PolicyRefused if they may not."""
    for one in active():
        if not getattr(one, rule):
            commands = {"allow_mcp": "mcp", "allow_server": "serve", "allow_upload": "serve --upload"}
            raise _refused(one, rule, f"`localrag {commands[rule]}` is not allowed", _ASK)


def check_address(host: str, port: int) -> Path | None:
    """Return the certificate for a TCP address, None if none is needed.

    The administrator's policy must name the address, and the other one too if it names any. Raises PolicyRefused if
    they do not, OfflineRefused if there is no administrator's policy.
    """
    hint = f"Use a Unix socket, or have an administrator name it in {str(SYSTEM)!r} (allow_addresses)."

    def fits(each: AllowedAddress) -> bool:
        return (each.host, each.port) == (host.lower(), port)

    found: AllowedAddress = _named("allow_addresses", fits, f"reach {host}:{port}", f"Use a Unix socket. {_ASK}", hint)
    return found.certificate


def check_cluster(address: str) -> None:
    """Check that a Ray cluster may be used. Raises PolicyRefused, or OfflineRefused without an administrator's policy.

    The administrator's policy must name it, and the other one too if it names any.
    """
    hint = f"An administrator allows it in {str(SYSTEM)!r}: allow_clusters = [{address!r}]"
    _named("allow_clusters", address.lower().__eq__, f"use the cluster {address!r}", _ASK, hint)


def _named(rule: str, fits: Callable[[Any], bool], what: str, refused: str, hint: str) -> Any:
    """Return what the administrator's policy names; a hint for where a policy refuses, and where there is none."""
    named: list[Any] = []
    for one in (held := active()):
        if one.named and getattr(one, rule) is None:
            continue
        found = [each for each in getattr(one, rule) or () if fits(each)]
        if not found:
            raise _refused(one, rule, f"cannot {what}", refused)
        named += found
    if not held or held[0].named:
        raise OfflineRefused(f"refused to {what}: no administrator's policy names it", hint)
    return named[0]


def fixes(setting: str) -> Path | None:
    return next((one.file for one in active() if setting in FIXED and getattr(one, setting) is not None), None)


def effective(setting: str, value: Any) -> Any:
    """The value in force of a setting that was given this value."""
    for one in active() if setting in RULED else ():
        ruled = getattr(one, setting)
        if ruled is not None:
            value = ruled if setting in FIXED else min(value or ruled, ruled)
    return value


def origin(setting: str, value: Any) -> Path | None:
    """The policy that changes this value of a setting; None if the value stays."""
    ruled = effective(setting, value)
    limits = (one.file for one in active() if ruled != value and getattr(one, setting) == ruled)
    return fixes(setting) or next(limits, None)


def check_setting(setting: str, value: Any) -> None:
    """Check that a setting may be given this value. Raises PolicyRefused if a policy sets another."""
    if (ruled := effective(setting, value)) != value:
        author = next(one for one in active() if getattr(one, setting) == ruled)
        what = "cannot be changed" if setting in FIXED else f"= {value} keeps longer than {ruled} days"
        hint = f"`localrag config policy` shows the policy. {_ASK}"
        raise _refused(author, setting, f"{setting} {what}", hint)


def _refused(one: Policy, rule: str, what: str, hint: str, library: str | None = None) -> PolicyRefused:
    if _on_refusal is not None and not _silent.get():
        _on_refusal(Refusal(one.file, rule, what, library))
    return PolicyRefused(f"{what}: refused by the policy {str(one.file)!r} ({rule})", hint)

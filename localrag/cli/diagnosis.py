"""What is right and wrong with this installation, each finding with its remedy. Changes nothing.

Limits: it looks at models by their stamps, not byte by byte (`localrag models verify` does that), and at
libraries by opening them. llama.cpp is loaded in a process of its own, because a build for another processor
ends its process without a message.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from localrag import policy
from localrag.errors import LocalragError, SettingsError, VaultLocked
from localrag.ingest.readers import base
from localrag.models import machine
from localrag.security import audit, offline
from localrag.settings import Settings, config_files
from localrag.store.names import library_names

State = Literal["ok", "warning", "problem"]

_ENOUGH_DISK = 2_000_000_000  # one small model, or the vectors of some thousand documents
_LITTLE_DISK = 200_000_000
_REBUILD = (
    "Build it on this machine: "
    "pip install --force-reinstall --no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
)
_CONFINE = "Call localrag.security.offline.confine() before anything else."
_PROBE = """
import json, llama_cpp
print(json.dumps({
    "version": llama_cpp.__version__,
    "gpu": bool(llama_cpp.llama_supports_gpu_offload()),
    "processor": llama_cpp.llama_print_system_info().decode(),
}))
"""
# Opens the model in use as a question would; its arguments are those of the settings at hand.
_TRIAL = """
import json, sys
from pathlib import Path
from localrag.errors import LocalragError
from localrag.llm.llama import LlamaGenerator
given = json.loads(sys.argv[1])
paths = {name: Path(given.pop(name)) for name in ("path", "adapter") if given.get(name)}
try:
    print(json.dumps({"in_force": LlamaGenerator(**{**given, **paths, "context": 0}).in_force()}))
except LocalragError as error:
    print(json.dumps({"message": error.message, "hint": error.hint}))
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: its state, what was seen, and what to do where it is not ok."""

    area: str
    state: State
    message: str
    remedy: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def diagnose(settings: Settings) -> Iterator[Finding]:
    """Every finding, in the order in which a person would mend things; slow ones last."""
    yield from _python()
    yield from _packages()
    yield from _policies()
    yield from _settings_files(settings)
    yield from _offline()
    yield from _machine(settings)
    yield from _models(settings)
    yield from _calibration(settings)
    yield from _helpers()
    yield from _libraries(settings)
    yield from _records(settings)
    yield from _llama(settings)


def _python() -> Iterator[Finding]:
    message = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    fine = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if fine else "problem", message, "" if fine else "Install Python 3.11 or later.")


def _packages() -> Iterator[Finding]:
    try:
        required = metadata.requires("localrag") or []
    except metadata.PackageNotFoundError:
        yield Finding(
            "packages",
            "warning",
            "localrag runs from a folder, not as an installed package",
            "Type `make test` in the clone, or `pip install .`",
        )
        return
    for line in required:
        match = re.match(r"[A-Za-z0-9._-]+", line)
        if match is None or ";" in line:
            continue
        try:
            yield Finding("packages", "ok", f"{match[0]} {metadata.version(match[0])}")
        except metadata.PackageNotFoundError:
            yield Finding("packages", "problem", f"{match[0]} is not installed", f"Type: pip install '{line}'")


def _helpers() -> Iterator[Finding]:
    """Programs that are not needed, and what is not read without them: no fault of the installation."""
    lost = {
        "LibreOffice": "old .doc and .ppt files are not read",
        "Tesseract": "pictures of text in languages such as Arabic and Russian are not read",
    }
    for name, program in base.helpers().items():
        said = f"{name} is at {program}" if program else f"{name} is not installed: {lost[name]}"
        yield Finding("reading", "ok", said)


def _settings_files(settings: Settings) -> Iterator[Finding]:
    try:
        files = ", ".join(str(path) for path in config_files()) or "none, so the defaults and variables hold"
        yield Finding("settings", "ok", f"settings files read: {files}")
    except SettingsError as error:
        yield Finding("settings", "problem", error.message, error.hint)
    yield Finding("settings", "ok", f"libraries lie in {settings.indexes_dir}, models in {settings.models_dir}")


def _policies() -> Iterator[Finding]:
    held = policy.held()
    if not held:
        yield Finding("policy", "ok", f"no administrator's policy at {str(policy.SYSTEM)!r}")
    for one in held:
        yield Finding("policy", "ok", f"{str(one.file)!r} holds: {', '.join(one.rules()) or 'it says nothing'}")
        if who := policy.changeable(one):
            remedy = "It should belong to an administrator, and only its owner should write to it and its folders."
            yield Finding("policy", "warning", f"the policy does not bind: {who}", remedy)


def _offline() -> Iterator[Finding]:
    """Which layers hold in this process, and what each is good for."""
    for layer in offline.layers():
        if layer.holds:
            yield Finding("offline", "ok", f"{layer.name}: {layer.covers} (not held by it: {layer.passes})")
        elif layer.name == "files" or not layer.possible:  # doctor looks at all libraries
            yield Finding("offline", "ok", f"{layer.name} does not hold: {layer.reason}")
        else:
            yield Finding("offline", "warning", f"{layer.name} does not hold: {layer.reason}", _CONFINE)


# --- the machine --------------------------------------------------------------------------------------------


def _machine(settings: Settings) -> Iterator[Finding]:
    total, free = machine.total_memory(), machine.available_memory()
    if total and free:
        yield Finding("machine", "ok", f"{size(free)} of {size(total)} memory free, {machine.cores()} processors")
    else:
        yield Finding("machine", "ok", f"{machine.cores()} processors; the system does not tell its memory")
    for what, folder in (("libraries", settings.indexes_dir), ("models", settings.models_dir)):
        yield _disk(what, folder)


def _disk(what: str, folder: Path) -> Finding:
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        return Finding(
            "machine",
            "problem",
            f"{str(folder)!r}, the place of {what}, cannot be written",
            "Change its rights, or set LOCALRAG_HOME to a folder you may write to.",
        )
    free = shutil.disk_usage(there).free
    state: State = "ok" if free >= _ENOUGH_DISK else "warning" if free >= _LITTLE_DISK else "problem"
    remedy = "" if state == "ok" else "Free some space, or set LOCALRAG_HOME to another disk."
    return Finding("machine", state, f"{size(free)} free for {what} in {str(folder)!r}", remedy)


def _llama(settings: Settings) -> Iterator[Finding]:
    try:
        probe = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding("llama.cpp", "problem", f"llama.cpp cannot be tried: {error}", _REBUILD)
        return
    if probe.returncode != 0:
        how = (
            f"signal {-probe.returncode}" if probe.returncode < 0 else (probe.stderr.splitlines() or ["no message"])[-1]
        )
        yield Finding("llama.cpp", "problem", f"llama.cpp does not load ({how})", _REBUILD)
        return
    found = json.loads(probe.stdout.splitlines()[-1])
    threads = settings.threads or machine.cores()
    yield Finding(
        "llama.cpp",
        "ok",
        f"llama-cpp-python {found['version']}, {threads} threads; {features(found['processor'])}",
    )
    if found["gpu"]:
        yield Finding("llama.cpp", "ok", f"this build can use the GPU (gpu_layers = {settings.gpu_layers})")
    elif settings.gpu_layers > 0:
        yield Finding(
            "llama.cpp",
            "warning",
            f"gpu_layers = {settings.gpu_layers}, but this build has no GPU support",
            "Build llama-cpp-python for your GPU (see the README), or remove the setting.",
        )
    else:
        yield Finding("llama.cpp", "ok", "this build uses the processor only")
    yield from _in_force(settings)


def _in_force(settings: Settings) -> Iterator[Finding]:
    """How the model in use runs with these settings, told by itself."""
    from localrag.llm import loading

    try:
        arguments = json.dumps(loading.generator_arguments(settings), default=str)
    except LocalragError:
        return  # told among the models
    command = [sys.executable, "-c", _TRIAL, arguments]
    try:
        trial = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        told = json.loads((trial.stdout.splitlines() or ["{}"])[-1])
    except (OSError, subprocess.TimeoutExpired, ValueError):
        told = {}
    if "in_force" in told:
        yield Finding("llama.cpp", "ok", f"in force: {', '.join(told['in_force'])}")
    else:
        message = told.get("message", "its process ended without a message")
        hint = told.get("hint") or "Check it: localrag models verify"
        yield Finding("llama.cpp", "problem", f"the model in use does not run: {message}", hint)


def features(info: str) -> str:
    """The processor features of llama.cpp's own line, without their "= 1"."""
    return ", ".join(re.findall(r"(\w+) = 1", info)) or "no processor features named"


# --- what is installed and kept -----------------------------------------------------------------------------


def _models(settings: Settings) -> Iterator[Finding]:
    from localrag.models.store import ModelStore, memory_needed

    store = ModelStore(settings)
    for model in store.installed():
        yield Finding("models", "ok", f"{model.kind} {model.id}, {size(model.bytes)}, from {model.source}")
    free = machine.available_memory()
    for kind in ("embedder", "generator"):
        try:
            model = store.default(kind)
        except LocalragError as error:
            yield Finding("models", "problem", error.message, error.hint)
            continue
        needed = memory_needed(model)
        if free is not None and needed > free:
            yield Finding(
                "models",
                "warning",
                f"{model.id} needs {size(needed)} of memory, {size(free)} are free",
                "Close other programs, or choose a smaller model: localrag models use ID",
            )
        else:
            yield Finding("models", "ok", f"the {kind} in use is {model.id}")


def _calibration(settings: Settings) -> Iterator[Finding]:
    """Whether it was measured how much text the model in use can use, and whether that still holds."""
    from localrag.llm import calibration
    from localrag.models.store import ModelStore

    try:
        model = ModelStore(settings).preferred("generator")
    except LocalragError:
        return  # told among the models
    if model is None:
        return
    name = model.id if model.adapter is None else f"{model.id}+{model.adapter.stem}"
    file, weights = settings.calibration_file, model.sha256 + (model.adapter_sha256 or "")
    measured, known = calibration.load(file, name), calibration.load(file, name, weights)
    again = f"Measure it: localrag calibrate {model.id}"
    if known.calibrated:
        least = "at least " if known.at_least else ""
        build = f" with llama-cpp-python {known.build}" if known.build else ""
        message = f"{name} can use {least}{known.effective_tokens:,} tokens of text, measured {known.measured}{build}"
        yield Finding("calibration", "ok", message)
    elif measured.calibrated:
        message = f"{name} was calibrated as another model of that name, so {known.effective_tokens:,} tokens are taken"
        yield Finding("calibration", "warning", message, again)
    else:
        message = f"{name} is not calibrated; it is trusted with {known.effective_tokens:,} tokens of text. {again}"
        yield Finding("calibration", "ok", message)


def _libraries(settings: Settings) -> Iterator[Finding]:
    from localrag.models.store import ModelStore
    from localrag.store import import_library
    from localrag.store.schema import DATABASE

    folder = settings.indexes_dir
    names = sorted(path.parent.name for path in folder.glob(f"*/{DATABASE}")) if folder.is_dir() else []
    if not names:
        yield Finding("libraries", "ok", f"no libraries in {str(folder)!r} yet; make one: localrag ingest FOLDER")
    embedders = {model.sha256: model.id for model in ModelStore(settings).installed("embedder")}
    for name in names:
        try:
            library = import_library.open_library(settings, name)
            try:
                counts, identity, failed = library.counts(), library.identity, library.failures()
                index = library.index_facts()
            finally:
                library.close()
        except LocalragError as error:
            yield Finding("libraries", "problem", error.message, error.hint)
            continue
        message = f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items())
        message += f"; index: {index or 'made at the next search'}"
        if settings.foreign(name):
            message += f"; it is read by a checked copy, since {settings.foreign(name)}"
        if identity.sha256 not in embedders:
            yield Finding(
                "libraries",
                "problem",
                f"{message}; its embedder {identity.model!r} is not installed",
                f"Type: localrag models install {identity.model}",
            )
        elif failed:
            yield Finding(
                "libraries",
                "warning",
                f"{message}; {len(failed)} file(s) could not be read",
                f"See why: localrag status {name}",
            )
        else:
            yield Finding("libraries", "ok", message)


def _records(settings: Settings) -> Iterator[Finding]:
    from localrag.sessions import store_of

    listed = store_of(settings).list()
    for one in listed:
        if one.problem:
            yield Finding("sessions", "warning", one.problem, "Restore the file from a copy, or delete it.")
    yield Finding("sessions", "ok", f"{sum(not one.problem for one in listed)} conversation(s) kept")
    yield from _audit(settings)


def _audit(settings: Settings) -> Iterator[Finding]:
    named = [("", settings.audit_file)]
    named += [(f" of {name!r}", settings.audit_of(name)) for name in library_names(settings.indexes_dir)]
    files = [(of, file) for of, file in named if file.is_file()]
    whole = 0
    for of, file in files:
        try:
            problems = audit.verify(file)
        except VaultLocked:
            yield Finding("audit", "ok", f"the record{of} is encrypted, and was not looked at")
            continue
        except LocalragError as error:
            yield Finding("audit", "problem", error.message, error.hint)
            continue
        whole += not problems
        for problem in problems:
            torn = problem.kind == "torn"
            remedy = "The next record mends it." if torn else "Compare the file with a copy kept elsewhere."
            yield Finding("audit", "warning" if torn else "problem", f"the record{of}: {problem.message}", remedy)
    if whole == len(files):
        said = f"{whole} record(s) of what was asked are whole" if files else "nothing is recorded yet"
        yield Finding("audit", "ok", said)


def size(count: int) -> str:
    """Bytes as a person reads them: "1.1 GB"."""
    value = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"

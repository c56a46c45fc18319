"""`localrag doctor`: check this installation, and say how to fix what is wrong. Changes nothing.

llama.cpp is loaded in a process of its own, since a build for another processor ends its process without a message.
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
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Literal

import click

from localrag import policy
from localrag.cli.options import json_option
from localrag.cli.output import counted, echo, one_line, print_json, size
from localrag.errors import KeyRequired, LocalragError, PolicyUnreadable, SettingsError
from localrag.settings import Settings, config_files, load_settings
from localrag.store.names import library_names

State = Literal["ok", "info", "warning", "problem"]
Seen = tuple[State, str] | tuple[State, str, str]  # state, message and remedy

_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "info": ("·", "cyan"),
    "warning": ("!", "yellow"),
    "problem": ("✗", "red"),
}
_ENOUGH_DISK = 2_000_000_000  # a small model, or the vectors of some thousand documents
_MIN_DISK = 200_000_000
_REBUILD = "Build it here: pip install --force-reinstall --no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
_CONFINE = "Call localrag.offline.confine() before anything else."
# Prints what llama.cpp is, then opens the model in use as a question would, with the arguments given.
_PROBE = """
import json, sys, llama_cpp
from pathlib import Path
from localrag.errors import LocalragError
print(json.dumps({
    "version": llama_cpp.__version__,
    "gpu": bool(llama_cpp.llama_supports_gpu_offload()),
    "processor": llama_cpp.llama_print_system_info().decode(),
}), flush=True)
for given in map(json.loads, sys.argv[1:]):
    from localrag.llm.llama import LlamaGenerator
    paths = {name: Path(given.pop(name)) for name in ("path", "adapter") if given.get(name)}
    try:
        print(json.dumps({"in_force": LlamaGenerator(**{**given, **paths, "context": 0}).in_force()}))
    except LocalragError as error:
        print(json.dumps({"message": error.message, "hint": error.hint}))
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing checked: its area, state, what was seen, and how to fix it if it is not ok."""

    area: str
    state: State
    message: str
    remedy: str = ""


@click.command("doctor")
@json_option
def doctor_command(as_json: bool) -> None:
    """Check this installation, and say how to fix what is wrong.

    Exit code 1 means that there is a problem; warnings alone end with 0.
    """
    found: list[Finding] = []
    area = ""
    with policy.unreported():  # looking at a library is no attempt to use it
        for finding in _findings():
            found.append(finding)
            if as_json:
                continue
            if finding.area != area:
                echo(finding.area, bold=True)
                area = finding.area
            mark, colour = _MARKS[finding.state]
            echo(one_line(finding.message), head=f"  {mark} ", fg=colour)
            if finding.remedy:
                echo(one_line(finding.remedy), head="    -> ", fg="cyan")
    if as_json:
        print_json({"findings": [asdict(finding) for finding in found]})
    problems = sum(finding.state == "problem" for finding in found)
    warnings = sum(finding.state == "warning" for finding in found)
    echo(f"\n{counted(problems, 'problem')}, {counted(warnings, 'warning')}", err=True)
    if problems:
        raise click.exceptions.Exit(1)


def _findings() -> Iterator[Finding]:
    try:
        settings = load_settings()
    except PolicyUnreadable as error:
        yield Finding("policy", "problem", error.message, error.hint)
        return
    except SettingsError as error:
        yield Finding("settings", "problem", f"{error.message}; the checks use the defaults", error.hint)
        settings = Settings()
    yield from diagnose(settings)


def diagnose(settings: Settings, only: str = "") -> Iterator[Finding]:
    """Yield every finding, or those of one area, in the order in which to fix them, slow checks last."""
    for area, check in (
        ("python", _python),
        ("policy", _policies),
        ("settings", _settings_files),
        ("offline", _offline),
        ("machine", _machine),
        ("models", _models),
        ("models", _calibration),
        ("readers", _helpers),
        ("libraries", _libraries),
        ("conversations", _conversations),
        ("audit", _audit),
        ("llama.cpp", _llama),
        ("llama.cpp", _speed),
    ):
        if only in ("", area):
            yield from (Finding(area, *seen) for seen in check(settings))


def _python(settings: Settings) -> Iterator[Seen]:
    yield "ok", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    try:
        required = metadata.requires("localrag") or []
    except metadata.PackageNotFoundError:
        message = "localrag runs from a folder, not as an installed package"
        yield "warning", message, "Run `make test` in the clone, or `pip install .`"
        return
    for line in required:
        name = re.split(r"[^\w.-]", line)[0]
        if ";" not in line and not any(metadata.distributions(name=name)):
            yield "problem", f"the package {name!r} is not installed", f"Run: pip install '{line}'"


def _helpers(settings: Settings) -> Iterator[Seen]:
    """Report optional programs, and what is not read without them."""
    from localrag.ingest.readers import programs

    lost = {
        "LibreOffice": "old .doc and .ppt, Publisher, Visio, WordPerfect, Works and iWork files are not read",
        "Tesseract": "text in pictures is not recognised in languages such as Arabic and Russian",
        "FFmpeg": "the sound of M4A and MP4 recordings is not read",
    }
    for name, program in programs.installed().items():
        yield ("ok", f"{name}: {program}", "") if program else ("info", f"{name} is not installed: {lost[name]}", "")
    for part in programs.missing_parts():
        yield (
            "info",
            f"LibreOffice lacks {part}, so some files are not read",
            f"Debian: libreoffice-{part.lower()}-nogui",
        )


def _settings_files(settings: Settings) -> Iterator[Seen]:
    try:
        files = ", ".join(str(path) for path in config_files()) or "none"
        yield "ok", f"settings files: {files}"
    except SettingsError as error:
        yield "problem", error.message, error.hint
    yield "ok", f"libraries in {settings.indexes_dir}, models in {settings.models_dir}"


def _policies(settings: Settings) -> Iterator[Seen]:
    held = policy.active()
    if not held:
        yield "ok", f"no administrator's policy at {str(policy.SYSTEM)!r}"
    for one in held:
        yield "ok", f"{str(one.file)!r} sets: {', '.join(one.rules()) or 'nothing'}"
        if who := policy.writable_by(one):
            remedy = "Make an administrator its owner, and let only the owner write to it and its folders."
            yield "warning", f"the policy does not bind: {who}", remedy


def _offline(settings: Settings) -> Iterator[Seen]:
    """Report which layers keep this process offline, and what each covers."""
    from localrag.security import offline
    from localrag.security.offline import remote

    for layer in offline.layers():
        if layer.holds:
            yield "ok", f"{layer.name}: {layer.covers} (does not cover: {layer.passes})"
        elif layer.name == "files" or not layer.possible:  # doctor looks at all libraries
            yield "info", f"{layer.name} is off: {layer.reason}"
        else:
            yield "warning", f"{layer.name} is off: {layer.reason}", _CONFINE
    for address in remote.reachable():
        with suppress(LocalragError):
            how = "a Unix socket" if address.path else f"TCP{'' if remote.tls(address) is None else ', with TLS'}"
            yield "info", f"may be reached: {address} ({how})"
    if settings.store is not None:
        from localrag.store.postgres import Store

        try:
            Store.parse(settings.store)
        except LocalragError as error:
            yield "problem", f"the setting store: {error.message}", error.hint
    if not remote.reachable():
        yield "ok", "nothing may be reached: no library is in a shared store, and no model on a server"
    if all(one.allow_server for one in policy.active()):
        door = "one address of this machine, or a Unix socket, for those who have its token"
        yield "info", f"`localrag serve` opens a door while it runs: {door}"
    if clusters := {each for one in policy.active() for each in one.allow_clusters or ()}:
        what = f"the network, where it sends text of documents to the machines of {', '.join(sorted(clusters))}"
        yield "info", f"`localrag ingest --cluster` reaches {what}"


def _machine(settings: Settings) -> Iterator[Seen]:
    from localrag.models import catalog
    from localrag.worker import resident

    total, available = catalog.total_memory(), catalog.available_memory()
    memory = f"{size(available)} of {size(total)} memory free" if total and available else "memory unknown"
    yield "ok", f"{memory}, {catalog.cores()} processors"
    for one in resident.running(settings):
        yield "info", f"loaded for the next questions: {one}; end it: localrag models unload"
    for what, folder in (("libraries", settings.indexes_dir), ("models", settings.models_dir)):
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK):
            message = f"cannot write to {str(folder)!r}, the folder of {what}"
            given = what == "models" and folder.is_dir()  # such as a volume of a container; they are read alone
            remedy = "" if given else "Change its permissions, or set LOCALRAG_HOME to another folder."
            yield "info" if given else "problem", message, remedy
            continue
        free = shutil.disk_usage(there).free
        state: State = "ok" if free >= _ENOUGH_DISK else "warning" if free >= _MIN_DISK else "problem"
        remedy = "" if state == "ok" else "Free some space, or set LOCALRAG_HOME to another disk."
        yield state, f"{size(free)} free for {what} in {str(folder)!r}", remedy


def _llama(settings: Settings) -> Iterator[Seen]:
    from localrag.llm import loading
    from localrag.models import catalog

    arguments: list[str] = []
    with suppress(LocalragError):  # reported among the models
        if not settings.generator_server:
            arguments = [json.dumps(loading.generator_arguments(settings), default=str)]
    command = [sys.executable, "-P", "-c", _PROBE, *arguments]
    try:
        probe = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield "problem", f"llama.cpp does not start: {error}", _REBUILD
        return
    printed = [json.loads(line) for line in probe.stdout.splitlines() if line.startswith("{")]
    if not printed:
        last = (probe.stderr.splitlines() or ["no message"])[-1]
        how = f"signal {-probe.returncode}" if probe.returncode < 0 else last
        yield "problem", f"llama.cpp does not load ({how})", _REBUILD
        return
    found, *in_use = printed
    threads = settings.threads or catalog.cores()
    features = ", ".join(re.findall(r"(\w+) = 1", found["processor"])) or "no processor features named"
    yield "ok", f"llama-cpp-python {found['version']}, {threads} threads; {features}"
    if found["gpu"]:
        yield "ok", f"this build can use the GPU (gpu_layers = {settings.gpu_layers})"
    elif settings.gpu_layers > 0:
        message = f"gpu_layers = {settings.gpu_layers}, but this build has no GPU support"
        yield "warning", message, "Build llama-cpp-python for your GPU, or remove the setting."
    else:
        yield "ok", "this build uses the processor only"
    model = in_use[0] if in_use else {}
    if "in_force" in model:
        yield "ok", f"in use: {', '.join(model['in_force'])}"
    elif arguments:
        message = model.get("message", "its process ended without a message")
        yield (
            "problem",
            f"the model in use does not run: {message}",
            model.get("hint") or "Check it: localrag models verify",
        )


def _speed(settings: Settings) -> Iterator[Seen]:
    """Report how long a look-up takes with the model in use, which is measured once."""
    from localrag.cli.models import measure
    from localrag.models import ModelStore, speed

    model = None
    with suppress(LocalragError):  # reported among the models
        model = ModelStore(settings).preferred("generator")
    if model is not None:
        measure(model, settings, again=True)
        took = speed.look_up(model, settings)
        yield "ok", f"{model.id}: {took}"
        if took.loss:
            yield "info", f"{model.id} {took.loss}"


def _models(settings: Settings) -> Iterator[Seen]:
    from localrag.cli.models import advice
    from localrag.models import catalog, speed
    from localrag.models.records import ModelStore, memory_needed

    store = ModelStore(settings)
    installed = [f"{model.id} ({size(model.bytes)})" for model in store.installed()]
    if installed:
        yield "ok", f"installed: {', '.join(installed)}"
    free = catalog.available_memory()
    for kind in ("embedder", "generator"):
        if url := getattr(settings, f"{kind}_server"):
            yield _served(kind, url, getattr(settings, kind))
            continue
        try:
            model = store.default(kind)
        except LocalragError as error:
            yield "problem", error.message, error.hint
            continue
        needed = memory_needed(model)
        if free is not None and needed > free:
            message = f"{model.id} needs {size(needed)} of memory; {size(free)} are free"
            yield "warning", message, "Close other programs, or choose a smaller model: localrag models use ID"
        else:
            yield "ok", f"the {kind} in use is {model.id}"
        if card := speed.better(model.id, settings):
            yield "info", advice(model.id, settings), f"Run: localrag models install {card.id}"


def _served(kind: str, url: str, named: str | None) -> Seen:
    """Try a model server; its answer has to come within seconds."""
    from localrag.models import endpoint

    try:
        server = endpoint.parsed(url, f"{kind}_server")
        id, window = endpoint.model_at(server, named)
    except LocalragError as error:
        return "problem", error.message, error.hint
    tokens = f", with a window of {window:,} tokens" if window else ""
    return "ok", f"the {kind} in use is {id} at {server}{tokens}: that machine reads the text"


def _calibration(settings: Settings) -> Iterator[Seen]:
    """Report whether the model in use was calibrated with the installed weights."""
    from localrag.llm import calibration
    from localrag.models.records import ModelStore

    model = None
    with suppress(LocalragError):  # reported among the models
        model = ModelStore(settings).preferred("generator")
    if model is None:
        return
    name = model.id if model.adapter is None else f"{model.id}+{model.adapter.stem}"
    file, weights = settings.calibration_file, model.sha256 + (model.adapter_sha256 or "")
    again = f"Measure it: localrag calibrate {model.id}"
    if known := calibration.load(file, name, weights).measured:
        yield "ok", f"{name} was calibrated on {known}"
    elif calibration.load(file, name).measured:
        yield "warning", f"{name} was calibrated with other weights", again
    else:
        yield "info", f"{name} is not calibrated. {again}"


def _libraries(settings: Settings) -> Iterator[Seen]:
    from localrag.models.records import ModelStore

    names = library_names(settings.indexes_dir)
    if not names:
        yield "ok", f"no libraries in {str(settings.indexes_dir)!r}; make one: localrag ingest FOLDER"
    embedders = {model.sha256 for model in ModelStore(settings).installed("embedder")}
    for name in names:
        yield _library(settings, name, embedders)


def _library(settings: Settings, name: str, embedders: set[str]) -> Seen:
    from localrag.embeddings import languages as spoken
    from localrag.store.library import Library

    try:
        with closing(Library.open(settings.library_dir(name), name)) as library:
            counts, identity, failed = library.counts(), library.identity, library.failures()
            languages, root = library.languages(), next(iter(library.roots()), "FOLDER")
    except KeyRequired:
        return "info", f"{name} is encrypted and was not checked"
    except LocalragError as error:
        return "problem", error.message, error.hint
    message = f"{name}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items())
    if identity.engine == "server" and settings.embedder_server:
        return "ok", f"{message}; its embedder is {identity.model!r} of a model server"
    if identity.sha256 not in embedders:
        message = f"{message}; its embedder {identity.model!r} is not installed"
        return "problem", message, f"Run: localrag models install {identity.model}"
    if failed:
        message = f"{message}; {counted(len(failed), 'file')} could not be read"
        return "warning", message, f"See why: localrag status {name}"
    if advice := spoken.advice(name, root, identity.model, languages, settings):
        return "info", f"{message}. {advice}"
    return "ok", message


def _conversations(settings: Settings) -> Iterator[Seen]:
    from localrag.sessions import store_of

    listed = store_of(settings).list()
    for one in listed:
        if one.problem:
            yield "warning", one.problem, "Restore the file from a copy, or delete it."
    count = counted(sum(not one.problem for one in listed), "conversation")
    yield "ok", f"{count} saved"


def _audit(settings: Settings) -> Iterator[Seen]:
    from localrag.security import audit

    named = [("", settings.audit_file)]
    named += [(f" of {name!r}", settings.library_audit_file(name)) for name in library_names(settings.indexes_dir)]
    files = [(of, file) for of, file in named if file.is_file()]
    intact = 0
    for of, file in files:
        try:
            problems = audit.verify(file)
        except KeyRequired:
            yield "info", f"the log{of} is encrypted and was not checked"
            continue
        except LocalragError as error:
            yield "problem", error.message, error.hint
            continue
        intact += not problems
        for problem in problems:
            yield "problem", f"the log{of}: {problem.message}", "Compare the file with a copy kept elsewhere."
    if intact == len(files):
        yield "ok", f"{counted(intact, 'log')} intact" if files else "nothing is logged yet"

"""The first start: `localrag` alone, on a terminal and without a library, asks three things and opens the app.

It asks for a folder, a model and a yes, then starts `localrag models install` and `localrag ingest` as a person would
type them, each with its own confinement; this process opens no connection. The answers are kept until all is done, so
that a start that was interrupted goes on.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from localrag.cli.models import advice, choices, shorter, to_fetch
from localrag.cli.output import confirm, counted, echo, report, say, size
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.ingest import scan
from localrag.models import ModelStore, catalog
from localrag.models.manage import ModelManager
from localrag.security import storage
from localrag.settings import Settings

_INTRODUCTION = """\
localrag answers questions about your documents, and shows the page and the words behind each answer.
Nothing leaves this machine; only the download of a model uses the network. Ctrl-C stops at any time.
"""
_LOCALRAG = (sys.executable, "-P", "-m", "localrag")


def run(settings: Settings) -> NoReturn:
    """Ask, carry out what was chosen, and open the library. Raises Exit if it was stopped."""
    folder, model = _kept(settings) or (None, "")
    if folder is None or not confirm(f"The first start stopped halfway. Go on reading {folder}?", default=True):
        storage.remove(settings.first_start_file)
        echo(_INTRODUCTION, err=True)
        folder, model = _asked_folder(), _asked_model(settings, set())
        fetched = sum(to_fetch(id, settings) for id in _missing(model, settings))
        download = f"Download {size(fetched)}, then read" if fetched else "Read"
        confirm(f"3 of 3  {download} {folder} and open it?", default=True, abort=True)
    failed: set[str] = set()
    _keep(folder, model, settings)
    for embedder in _embedder_missing(settings):
        if code := _start("models", "install", embedder):
            say("Without it nothing can be searched. `localrag` goes on from here.")
            raise click.exceptions.Exit(code)
    while not _with_model(model, settings):
        failed.add(model)
        _keep(folder, model := _asked_model(settings, failed), settings)
    while _start("ingest", *(["--yes"] if scan.broad(folder) else []), str(folder)):
        _keep(folder := _asked_folder(), model, settings)
    storage.remove(settings.first_start_file)
    command = [*_LOCALRAG, "chat", str(folder)]
    if os.name == "posix":  # in place of this process, so that the app has the terminal to itself
        os.execv(command[0], command)
    raise click.exceptions.Exit(subprocess.run(command, check=False).returncode)


def _kept(settings: Settings) -> tuple[Path, str] | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        kept = json.loads(settings.first_start_file.read_bytes())
        if (folder := Path(kept["folder"])).is_dir():
            return folder, str(kept["model"])
    return None


def _keep(folder: Path, model: str, settings: Settings) -> None:
    storage.write_json(settings.first_start_file, {"folder": str(folder), "model": model})


# --- questions -------------------------------------------------------------------------------------------------


def _asked_folder() -> Path:
    if sys.platform != "win32":
        with suppress(ImportError):  # the bundle has none
            import readline

            found: list[str] = []

            def completed(text: str, number: int) -> str | None:
                if number == 0:
                    found[:] = scan.folders_beginning(text)
                return found[number] if number < len(found) else None

            readline.set_completer_delims("\n")
            readline.set_completer(completed)
            readline.parse_and_bind("tab: complete")
    while True:
        typed = click.prompt("1 of 3  Folder with your documents (Tab completes)").strip()
        try:
            return _checked_folder(typed)
        except LocalragError as error:
            report(error)


def _checked_folder(typed: str) -> Path:
    """Return a folder that has something to read, and say how much. Raises LocalragError for any other."""
    try:
        path = Path(typed).expanduser().absolute()
        if path.is_file():
            raise UsageError(f"{typed!r} is a file", f"Give its folder: {path.parent}")
        if (broad := scan.broad(path)) and not confirm(f"        {typed} is {broad}. Read all of it?"):
            raise UsageError(f"{typed!r} is {broad}", "Give a folder of documents in it.")
        say("        Looking through it …")
        files, total = scan.readable(path)
    except (ValueError, RuntimeError, OSError) as error:
        raise NotFoundError(f"{typed!r} cannot be opened: {error}", "Check the spelling and its rights.") from None
    if not files:
        raise UsageError(f"there is nothing to read in {typed!r}", "The types that are read: localrag ingest -h")
    say(f"        {counted(files, 'file')}, {size(total)}")
    return path


def _asked_model(settings: Settings, failed: set[str]) -> str:
    """Ask which model answers: the best for this machine, quicker ones, or one that is there. A setting comes first."""
    if settings.generator_server or (settings.generator and settings.generator not in failed):
        return settings.generator or ""
    here = ModelStore(settings).preferred("generator")
    weak = advice(here.id, settings) if here is not None else ""
    lost = {source.kind for id in failed if (one := catalog.find(id)) for source in one.sources}
    offered = shorter(ModelManager(settings).offered(without=lost), settings)
    ids = [card.id for card in offered if here is None or card.id != here.id]
    if here is not None:
        ids.insert(len(ids) if weak else 0, here.id)
    memory, free = catalog.total_memory(), catalog.available_memory()
    known = f"{size(memory)} of memory ({size(free)} free), " if memory and free else ""
    say(f"2 of 3  Which model answers? This machine has {known}{counted(catalog.physical_cores(), 'core')}.")
    if weak:
        echo(click.wrap_text(weak, 78, " " * 8, " " * 8), err=True)
    if not ids:
        say("        None that fits can be fetched. One from a file: localrag models import FILE, then localrag again.")
    choices(ids, settings, indent=" " * 7)
    while True:
        typed = click.prompt("        Number, or the id of another", default="1" if ids else None).strip()
        try:
            id = _checked_model(dict(enumerate(ids, 1)).get(int(typed) if typed.isdecimal() else 0, typed), settings)
            if id not in ids and (weak := advice(id, settings)):
                echo(click.wrap_text(weak, 78, " " * 8, " " * 8), err=True)
            return id
        except LocalragError as error:
            report(error)


def _checked_model(id: str, settings: Settings) -> str:
    known = next((one for one in ModelStore(settings).installed() if one.id == id), None) or catalog.card(id)
    if known.kind != "generator":
        raise UsageError(f"{id!r} does not answer: it is of the kind {known.kind}", "Name a generator.")
    return known.id


# --- what is done ----------------------------------------------------------------------------------------------


def _missing(model: str, settings: Settings) -> list[str]:
    """Return the models that are still to be installed: an embedder, and the one that answers."""
    return [*_embedder_missing(settings), *_absent(model, settings)]


def _embedder_missing(settings: Settings) -> list[str]:
    served = settings.embedder_server or ModelStore(settings).preferred("embedder") is not None
    return [] if served else _absent(settings.embedder or catalog.DEFAULT_EMBEDDER, settings)


def _absent(id: str, settings: Settings) -> list[str]:
    here = {one.id for one in ModelStore(settings).installed()}
    return [id] if id and catalog.named(id) not in here else []


def _with_model(model: str, settings: Settings) -> bool:
    """Install what is missing and use the model; False if that failed."""
    if any(_start("models", "install", id) for id in _absent(model, settings)):
        return False
    used = ModelStore(settings).preferred("generator")
    return not model or (used is not None and used.id == model) or not _start("models", "use", model)


def _start(*words: str) -> int:
    """Run a command of localrag on this terminal; returns its exit code. Raises Exit if Ctrl-C stopped it."""
    echo(f"\n$ localrag {shlex.join(words)}", dim=True, err=True)
    before = signal.signal(signal.SIGINT, lambda *_: None)  # the command gets it, too, and ends by itself
    try:
        code = subprocess.run([*_LOCALRAG, *words], check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    if code in (128 + signal.SIGINT, -signal.SIGINT, 128 + signal.SIGTERM):
        say("Stopped. `localrag` goes on from here.")
        raise click.exceptions.Exit(128 + signal.SIGINT)
    return code

"""The first start: `localrag` alone, on a terminal and without a library, asks three things and opens the app.

It asks for a folder, a model and a yes, then starts `localrag models install` and `localrag ingest` as a person would
type them, each with its own confinement; this process opens no connection. The answers are kept until all is done, so
that a start that was interrupted goes on.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from localrag import protocol
from localrag.cli.output import confirm, counted, duration, echo, report, say, size, table
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.settings import Settings, load_settings
from localrag.store import names

if TYPE_CHECKING:
    from localrag.models.catalog import ModelCard

KEPT = "first-start.json"
_INTRODUCTION = """\
localrag answers questions about your documents, and shows the page and the words behind each answer.
Nothing leaves this machine; only the download of a model uses the network. Ctrl-C stops at any time.
"""
_STOPPED = "Stopped. `localrag` goes on from here."
_MAX_OFFERED = 3
_LOCALRAG = (sys.executable, "-P", "-m", "localrag")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was answered; without a `model`, the settings name one."""

    folder: Path
    model: str


def wanted() -> Settings | None:
    """Return the settings if a person starts localrag with nothing set up, or stopped halfway."""
    if "_LOCALRAG_COMPLETE" in os.environ or not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return None
    with suppress(LocalragError):  # the command reports it
        settings = load_settings()
        if _kept_file(settings).exists() or not names.library_names(settings.indexes_dir):
            return settings
    return None


def run(settings: Settings) -> NoReturn:
    """Ask, carry out what was chosen, and open the library. Raises Exit if it was stopped."""
    choice = _kept(settings)
    if choice is None or not confirm(f"The first start stopped halfway. Go on reading {choice.folder}?", default=True):
        echo(_INTRODUCTION, err=True)
        choice = _asked(settings)
    failed: set[str] = set()
    while not _with_model(choice, settings):
        failed.add(choice.model)
        choice = Choice(choice.folder, _asked_model(settings, failed))
        _keep(choice, settings)
    while _start("ingest", *_whole(choice.folder), str(choice.folder)):
        choice = Choice(_asked_folder(), choice.model)
        _keep(choice, settings)
    _keep(None, settings)
    command = [*_LOCALRAG, "chat", str(choice.folder)]
    if os.name == "posix":  # in place of this process, so that the app has the terminal to itself
        os.execve(command[0], command, protocol.own_environment())
    raise click.exceptions.Exit(subprocess.run(command, env=protocol.own_environment(), check=False).returncode)


# --- what is kept ----------------------------------------------------------------------------------------------


def _kept_file(settings: Settings) -> Path:
    return settings.models_dir.parent / KEPT


def _kept(settings: Settings) -> Choice | None:
    with suppress(OSError, ValueError, TypeError, KeyError, RecursionError):
        kept = json.loads(_kept_file(settings).read_bytes())
        choice = Choice(Path(kept["folder"]), str(kept["model"]))
        return choice if choice.folder.is_dir() else None
    return None


def _keep(choice: Choice | None, settings: Settings) -> None:
    """Keep what was answered; None when all is done."""
    from localrag.security import storage

    if choice is None:
        storage.remove(_kept_file(settings))
    else:
        storage.write_json(_kept_file(settings), {"folder": str(choice.folder), "model": choice.model})


# --- questions -------------------------------------------------------------------------------------------------


def _asked(settings: Settings) -> Choice:
    while True:
        folder = _asked_folder()
        model = _asked_model(settings, set())
        fetched = sum(_bytes(id, settings) for id in _missing(model, settings))
        download = f"Download {size(fetched)}, then read" if fetched else "Read"
        if confirm(f"3 of 3  {download} {folder} and open it?", default=True):
            choice = Choice(folder, model)
            _keep(choice, settings)
            return choice
        say("Then once more, from the start.")


def _asked_folder() -> Path:
    _complete_paths()
    while True:
        typed = click.prompt("1 of 3  Folder with your documents (Tab completes)")
        try:
            folder, files, total = checked_folder(typed.strip())
        except LocalragError as error:
            report(error)
            continue
        say(f"        {counted(files, 'file')}, {size(total)}")
        return folder


def checked_folder(typed: str) -> tuple[Path, int, int]:
    """Return a folder, its files that can be read and their bytes. Raises LocalragError where there are none."""
    from localrag.ingest import scan

    try:
        path = Path(typed).expanduser().absolute()
        if path.is_file():
            raise UsageError(f"{typed!r} is a file", f"Give its folder: {path.parent}")
        if (broad := scan.broad(path)) and not confirm(f"        {typed} is {broad}. Read all of it?"):
            raise UsageError(f"{typed!r} is {broad}", "Give a folder of documents in it.")
        say("        Looking through it …")
        files, total = scan.readable(path)
    except (ValueError, RuntimeError, PermissionError) as error:
        raise NotFoundError(f"{typed!r} cannot be opened: {error}", "Check the spelling and its rights.") from None
    if not files:
        raise UsageError(f"there is nothing to read in {typed!r}", "The types that are read: localrag ingest -h")
    return path, files, total


def _complete_paths() -> None:
    """Let Tab complete folders, where the system has readline."""
    with suppress(ImportError):
        import readline

        def complete(text: str, state: int) -> str | None:
            above, _, begun = text.rpartition("/")
            with suppress(OSError, RuntimeError):
                there = Path(f"{above}/" if "/" in text else ".").expanduser()
                found = sorted(one.name for one in there.iterdir() if one.name.startswith(begun) and one.is_dir())
                shown = [name for name in found if name.isprintable() and (begun or not name.startswith("."))]
                return f"{text[: len(text) - len(begun)]}{shown[state]}/" if state < len(shown) else None
            return None

        readline.set_completer_delims("\n")
        readline.set_completer(complete)
        readline.parse_and_bind("tab: complete")


def _asked_model(settings: Settings, failed: set[str]) -> str:
    """Ask which model answers: the best for this machine, quicker ones, or one that is there already."""
    from localrag.cli.models import advice
    from localrag.models import ModelStore, catalog

    if settings.generator_server or (settings.generator and settings.generator not in failed):
        return settings.generator or ""
    here = ModelStore(settings).preferred("generator")
    ids = [card.id for card in _offered(settings, failed) if here is None or card.id != here.id]
    weak = here is not None and advice(here.id)
    if here is not None:
        ids.insert(len(ids) if weak else 0, here.id)
    memory, free = catalog.total_memory(), catalog.available_memory()
    told = f"{size(memory)} of memory ({size(free)} free), " if memory and free else ""
    say(f"2 of 3  Which model answers? This machine has {told}{counted(catalog.physical_cores(), 'core')}.")
    if weak:
        say(f"        {weak}")
    if ids:
        table(
            ("       ", "", "MODEL", "DOWNLOAD", "AN ANSWER IN", ""),
            [_row(*one, settings) for one in enumerate(ids, 1)],
        )
    else:
        say("        None that fits can be fetched. One from a file: localrag models import FILE, then localrag again.")
    while True:
        typed = click.prompt("        Number, or the id of another", default="1" if ids else None).strip()
        if typed.isdecimal() and 0 < int(typed) <= len(ids):
            return ids[int(typed) - 1]
        try:
            return _checked_model(typed, settings)
        except LocalragError as error:
            report(error)


def _checked_model(typed: str, settings: Settings) -> str:
    from localrag.models import ModelStore, catalog

    if typed.isdecimal():
        raise UsageError(f"there is no number {typed}", "Type a number of the list.")
    known = next((one for one in ModelStore(settings).installed() if one.id == typed), None) or catalog.card(typed)
    if known.kind != "generator":
        raise UsageError(f"{typed!r} does not answer: it is of the kind {known.kind}", "Name a generator.")
    return known.id


def _offered(settings: Settings, failed: set[str]) -> list[ModelCard]:
    """Return the best model that this machine can take and has the disk for, then ones that answer quicker.

    What comes only from where a download failed is left out.
    """
    from localrag.models import catalog

    home = next(path for path in (settings.models_dir, *settings.models_dir.absolute().parents) if path.exists())
    room, offered = shutil.disk_usage(home).free, list[catalog.ModelCard]()
    kinds = {*settings.sources} - {source.kind for id in failed if (one := catalog.find(id)) for source in one.sources}
    for card in catalog.recommended():
        quicker = not offered or card.seconds() < offered[-1].seconds() * 0.7
        if quicker and card.bytes * 2 < room and kinds & {source.kind for source in card.sources}:
            offered.append(card)
    return offered[:_MAX_OFFERED]


def _row(number: int, id: str, settings: Settings) -> tuple[str, ...]:
    from localrag.models import catalog

    known, fetched = catalog.find(id), _bytes(id, settings)
    seconds = f"about {duration(known.seconds())}" if known else "unknown"
    about = ["answers best"] if number == 1 and fetched else ["quicker"] if fetched else []
    about += ["weak"] if known and known.is_weak else []
    return "", str(number), id, size(fetched) if fetched else "is here", seconds, ", ".join(about)


# --- what is done ----------------------------------------------------------------------------------------------


def _missing(model: str, settings: Settings) -> list[str]:
    """Return the models that are still to be installed: an embedder, and the one that answers."""
    from localrag.models import ModelStore, catalog

    store = ModelStore(settings)
    served = settings.embedder_server or store.preferred("embedder") is not None
    needed = [] if served else [settings.embedder or catalog.DEFAULT_EMBEDDER]
    here = {one.id for one in store.installed()}
    return [id for id in (*needed, model) if id and catalog.named(id) not in here]


def _bytes(id: str, settings: Settings) -> int:
    """Return the bytes to download of a model: none if it is installed or came with the bundle."""
    from localrag.models import ModelStore, catalog
    from localrag.models.manage import BUNDLED
    from localrag.models.records import ModelFolder

    known = catalog.find(id)
    here = {*ModelFolder(BUNDLED).ids(), *(one.id for one in ModelStore(settings).installed())}
    return 0 if known is None or known.id in here else known.bytes


def _with_model(choice: Choice, settings: Settings) -> bool:
    """Install what is missing and use the model; False if the download failed."""
    from localrag.models import ModelStore

    if any(_start("models", "install", id) for id in _missing(choice.model, settings)):
        return False
    used = ModelStore(settings).preferred("generator")
    return (
        not choice.model or (used is not None and used.id == choice.model) or not _start("models", "use", choice.model)
    )


def _whole(folder: Path) -> tuple[str, ...]:
    from localrag.ingest import scan

    return ("--yes",) if scan.broad(folder) else ()


def _start(*words: str) -> int:
    """Run a command of localrag on this terminal; returns its exit code. Raises Exit if Ctrl-C stopped it."""
    echo(f"\n$ localrag {shlex.join(words)}", dim=True, err=True)
    before = signal.signal(signal.SIGINT, lambda *_: None)  # the command gets it, too, and ends by itself
    try:
        code = subprocess.run([*_LOCALRAG, *words], env=protocol.own_environment(), check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    if code in (128 + signal.SIGINT, -signal.SIGINT, 128 + signal.SIGTERM):
        say(_STOPPED)
        raise click.exceptions.Exit(128 + signal.SIGINT)
    return code

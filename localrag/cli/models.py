"""`localrag models`: install, verify, choose and import models."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from localrag import policy
from localrag.cli.options import json_option
from localrag.cli.output import confirm, console, counted, duration, echo, print_json, say, size, table
from localrag.errors import ModelDamaged, UsageError
from localrag.models import InstalledModel, ModelStore, Progress, catalog, speed
from localrag.models.manage import BUNDLED, ModelManager
from localrag.models.records import ModelFolder, memory_needed, reinstall
from localrag.settings import Settings, load_settings

_ID = click.argument("id", metavar="ID")
_MAX_OFFERED = 3
_OF_CARD = "id kind title licence bytes context memory sha256 terms provenance note".split()


@click.group("models", no_args_is_help=True)
def models_command() -> None:
    """Install, verify, choose and import models.

    Only `install` uses the network. No model is used before its SHA-256 was computed here.
    """


@models_command.command("list")
@click.option("--all", "everything", is_flag=True, help="Also list models too large for this machine.")
@json_option
def list_command(everything: bool, as_json: bool) -> None:
    """List installed models and those that can be installed.

    MEMORY is an estimate with 8,192 tokens of context; a model is "too large" where this machine has less. FIRST is
    how long a look-up takes with the model on this machine, AGAIN one among passages that it has read before; "~"
    marks an estimate. The model in use is measured once, in some seconds. Models that a policy forbids (localrag
    config policy) can be neither installed nor used.
    """
    settings = load_settings()
    measure(ModelStore(settings).preferred("generator"), settings)
    rows = list(_rows(ModelStore(settings), settings))
    served = [(name, url) for name in ("generator_server", "embedder_server") if (url := getattr(settings, name))]
    if as_json:
        print_json({"models": rows, **dict(served)})
        return
    for name, url in served:
        echo(f"The {name.partition('_')[0]} in use is on {url} ({name}).", err=True)
    listed = [row for row in rows if everything or row["state"] not in ("available", "not allowed") or row["fits"]]
    table(
        ("ID", "KIND", "LICENCE", "SIZE", "CONTEXT", "MEMORY", "FIRST", "AGAIN", "STATE", "SOURCE"),
        [
            (
                *(row[name] for name in ("id", "kind", "licence")),
                size(row["bytes"]),
                f"{row['context']:,}" if row["context"] else "?",
                size(row["memory"]),
                *_taken(row["look_up"]),
                row["state"] if row["fits"] else f"{row['state']}, too large",
                ", ".join(row["sources"]),
            )
            for row in listed
        ],
        right=("SIZE", "CONTEXT", "MEMORY", "FIRST", "AGAIN"),
    )
    for row in listed:
        if row["look_up"] and row["look_up"]["loss"] and row["state"] in ("in use", "installed"):
            say(f"{row['id']} {row['look_up']['loss']}.")
    for how in sorted({row["look_up"]["known"] for row in listed if row["look_up"] and row["look_up"]["rough"]}):
        say(f"~: {how}.")
    if len(listed) < len(rows):
        hidden = counted(len(rows) - len(listed), "model")
        echo(f"Not listed: {hidden} too large for the memory of this machine (--all lists all).", err=True)


@models_command.command()
@click.argument("id", metavar="[ID]", required=False)
@click.option("--within", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Time for a first look-up.")
@click.option("--sha256", metavar="HASH", help="The expected hash of the weights.")
@click.option("--yes", is_flag=True, help="Do not ask: which model, large downloads, unknown hashes, terms.")
@click.option("--json", "as_json", is_flag=True, help="Print progress and the result as JSON objects, one a line.")
def install(id: str | None, within: float | None, sha256: str | None, yes: bool, as_json: bool) -> None:
    """Download and verify a model. This is the only command that uses the network.

    Without an ID: the default embedder, and the best generator that the configured sources have, that is recommended
    for this machine's memory and that looks something up in 45 seconds here, or --within as many as you give. On a
    terminal it asks which, and shows how well each answers and how long it takes. The ID `multilingual` is the
    embedder for other languages than English. Models under terms of their own ask for a yes. Sources are tried in the
    order of the setting `sources`. A generator is measured afterwards, in some seconds.
    """
    settings, store = load_settings(), _store()
    _check_install(id, within, bool(sha256 or yes), store)
    how: dict[str, Any] = {"sha256": sha256, "offered": None if id else store.offered(within)}
    if how["offered"] and sys.stdin.isatty() and not (yes or as_json):
        how |= {"offered": [_asked(how["offered"], settings)], "large": True}
    if as_json:
        lines = _JsonLines()
        if best := next(iter(how["offered"] or ()), None):
            lines.write({"recommended": best.id, "look_up": _look_up(best, settings)})
        model = store.install(id, **how, confirm=lambda question: yes, progress=lines.update, say=lines.say)
        measure(model, settings)
        lines.write({"installed": model.id, "look_up": _look_up(model, settings)})
        return
    bars = _Bars()
    with bars.bar:
        confirm = bars.ask if sys.stdin.isatty() and not yes else lambda question: yes
        model = store.install(id, **how, confirm=confirm, progress=bars.update, say=bars.say)
    _describe(model, settings)


def _check_install(id: str | None, within: float | None, sure: bool, store: ModelManager) -> None:
    """Raise UsageError if a model is named and --within would choose another, or its hash has to be asked for."""
    if id and within is not None:
        raise UsageError("--within chooses a model, and one is named", f"localrag models install {id}")
    if id and not (sure or sys.stdin.isatty()) and not store.has_known_hash(id):
        hint = "Give the hash from the publisher's page with --sha256, or accept any with --yes."
        raise UsageError(f"localrag knows no published SHA-256 of {id!r}, and cannot ask", hint)


def _asked(offered: Sequence[catalog.ModelCard], settings: Settings) -> catalog.ModelCard:
    """Ask which of these generators to install."""
    cards = shorter(offered, settings) or list(offered[:1])
    say("Which model answers? The first answers best, the others sooner.")
    choices([card.id for card in cards], settings)
    number: int = click.prompt("Number", default=1, type=click.IntRange(1, len(cards)), err=True)
    return cards[number - 1]


def shorter(cards: Iterable[catalog.ModelCard], settings: Settings) -> list[catalog.ModelCard]:
    """Return the first of the cards that the disk has room for, then ones that are clearly quicker."""
    home = next(path for path in (settings.models_dir, *settings.models_dir.absolute().parents) if path.exists())
    room, found, least = shutil.disk_usage(home).free, list[catalog.ModelCard](), math.inf
    for card in cards:
        first = speed.look_up(card, settings).first
        if first < least * 0.7 and card.bytes * 2 < room:
            found, least = [*found, card], first
    return found[:_MAX_OFFERED]


def choices(ids: Sequence[str], settings: Settings, indent: str = "") -> None:
    """Print numbered models to choose from: how well each answers, how long it takes, and the download."""
    here = {one.id: one for one in ModelStore(settings).installed()}
    rows = []
    for number, id in enumerate(ids, 1):
        card, fetched = catalog.find(id), to_fetch(id, settings)
        known = here.get(id) or card
        taken = _taken(_look_up(known, settings)) if known else ("", "")
        answers, download = card.quality if card else "unknown", size(fetched) if fetched else "is here"
        rows.append((f"{indent}{number}", id, answers, *taken, download))
    table(("", "MODEL", "ANSWERS", "FIRST LOOK-UP", "AGAIN", "DOWNLOAD"), rows)


def to_fetch(id: str, settings: Settings) -> int:
    """Return the bytes to download of a model: none if it is installed or came with the bundle."""
    here = {*ModelFolder(BUNDLED).ids(), *(one.id for one in ModelStore(settings).installed())}
    known = catalog.find(id)
    return 0 if known is None or known.id in here else known.bytes


@models_command.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--id", metavar="ID", help="The id; else made from the file name.")
@click.option("--sha256", metavar="HASH", help="The expected hash of the weights.")
def import_command(path: Path, id: str | None, sha256: str | None) -> None:
    """Import a .gguf file or a sentence-transformers folder.

    The files are copied, so the originals can be deleted afterwards.
    """
    _describe(_store().import_path(path, id=id, sha256=sha256, say=say), load_settings())


@models_command.command()
@click.argument("id", metavar="[ID]", required=False)
@json_option
def verify(id: str | None, as_json: bool) -> None:
    """Compare the SHA-256 of one model, or of all, with the expected one.

    A file with a wrong hash is never used; the exit code is then 4.
    """
    verdicts = _store().verify(id)
    if as_json:
        rows = [{"id": found.id, "ok": not found.problem, "problem": found.problem} for found in verdicts]
        print_json({"models": rows})
    elif not verdicts:
        echo("No model is installed.")
    else:
        for found in verdicts:
            good = f"ok, {counted(found.files, 'file')}, {size(found.bytes)}"
            echo(f"{found.id}: {found.problem or good}")
    damaged = [found.id for found in verdicts if found.problem]
    if damaged:
        raise ModelDamaged(f"damaged: {', '.join(damaged)}", reinstall(damaged[0]))


@models_command.command()
@_ID
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(id: str, yes: bool) -> None:
    """Delete a model from this machine."""
    store = _store()
    if not yes:
        total = sum(model.bytes for model in store.installed() if model.id == id)
        confirm(f"Delete {id} ({size(total)})?", abort=True)
    store.remove(id)
    echo(f"Deleted {id}.", err=True)


@models_command.command()
@_ID
@click.option("--adapter", type=click.Path(path_type=Path), help="A LoRA adapter for this model, in GGUF format.")
def use(id: str, adapter: Path | None) -> None:
    """Use an installed generator for answers, or an installed embedder for new libraries.

    With --adapter, a LoRA adapter is copied beside the model and loaded with it; without, none is. The settings
    `generator` and `embedder` override this choice.
    """
    model = _store().use(id, adapter)
    echo(f"The {model.kind} is now {id}{' with its adapter' if model.adapter else ''}.", err=True)


@models_command.command()
def unload() -> None:
    """Free the memory of the model that `ask` left loaded for the next questions (keep_model_minutes)."""
    from localrag.worker import resident

    settings = load_settings()
    for line in [f"Ends now, or after its answer: {one}." for one in resident.running(settings)] or ["None is loaded."]:
        say(line)
    resident.end(settings)


def advice(id: str, settings: Settings) -> str:
    """Return a sentence on a weak model that names a better one for this machine, or ""."""
    card, free = speed.better(id, settings), catalog.available_memory()
    if card is None:
        return ""
    room = f"{size(free)} of memory free: " if free else ""
    return f"{id} is a weak model. {room}{card.id} answers better: {speed.look_up(card, settings)}."


def measure(model: InstalledModel | None, settings: Settings, *, again: bool = False) -> None:
    """Measure a generator on this machine unless it was; `again` if other work ran beside it."""
    if model is None or model.kind != "generator":
        return
    known = speed.measured(model, settings)
    if known is None or (again and known.busy):
        from localrag.llm import measuring

        say(f"Measuring once how fast this machine reads and writes with {model.id} …")
        measuring.measure(model, settings)


def _store() -> ModelManager:
    return ModelManager(load_settings())


def _rows(store: ModelStore, settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield what `list` shows of each model: installed ones first, the others by kind and size."""
    here = {model.id: model for model in store.installed()}
    kinds: tuple[catalog.Kind, ...] = ("embedder", "generator", "transcriber")
    used = {model.id for kind in kinds if (model := store.preferred(kind)) is not None}
    for model in here.values():
        known, memory = catalog.find(model.id), memory_needed(model)
        if not model.path.exists():
            state = "damaged"
        elif not policy.allows_model(*model.hashes):
            state = "not allowed"
        else:
            state = "in use" if model.id in used else "installed"
        yield {
            **{name: getattr(model, name) for name in ("id", "kind", "licence", "bytes", "source", "sha256")},
            "title": known.title if known else model.metadata.get("name", model.id),
            "context": known.context if known else model.metadata.get("context_length"),
            "memory": memory,
            "fits": catalog.fits(memory),
            "state": state,
            "sources": [model.source.split(" ")[0]],
            "provenance": known.provenance if known else model.source,
            "note": known.note if known else "",
            "path": str(model.path),
            "metadata": dict(model.metadata),
            "adapter": None if model.adapter is None else str(model.adapter),
            "engine": _engine(model),
            "look_up": _look_up(model, settings),
        }
    for card in sorted(catalog.CATALOG, key=lambda card: (card.kind, card.memory, card.rank)):
        if card.id not in here:
            yield {
                **{name: getattr(card, name) for name in _OF_CARD},
                "fits": catalog.fits(card.memory),
                "state": "available" if policy.allows_model(card.sha256) else "not allowed",
                "sources": [source.kind for source in card.sources],
                "hash": "cited" if card.cited else "computed" if card.sha256 else "unknown",
                "look_up": _look_up(card, settings),
            }


def _look_up(model: catalog.ModelCard | InstalledModel, settings: Settings) -> dict[str, Any] | None:
    """Return how long a look-up takes with a generator, in seconds."""
    if model.kind != "generator":
        return None
    took = speed.look_up(model, settings)
    seconds = {"first": round(took.first, 1), "again": round(took.again, 1), "rough": took.known != "measured here"}
    return {**seconds, "known": took.known, "reads_anew": took.anew, "loss": took.loss}


def _taken(look_up: dict[str, Any] | None) -> tuple[str, str]:
    """Return the seconds of a look-up in words, with a "~" if they are rough."""
    if look_up is None:
        return "", ""
    mark = "~" if look_up["rough"] else ""
    return mark + duration(look_up["first"]), mark + duration(look_up["again"])


def _engine(model: InstalledModel) -> str:
    if model.is_gguf:
        return "llama.cpp"
    if model.kind == "transcriber":
        return "CTranslate2, int8"
    return "sentence-transformers" if model.onnx is None else "onnxruntime, int8"


def _describe(model: InstalledModel, settings: Settings) -> None:
    """Print the id on stdout, for scripts, and what is known of the model on stderr; measure it, if it answers."""
    measure(model, settings)
    echo(model.id)
    meta = model.metadata
    facts = {
        "kind": model.kind,
        "licence": model.licence,
        "source": model.source,
        "size": size(model.bytes),
        "sha256": model.sha256,
        "engine": _engine(model),
        "architecture": meta.get("architecture"),
        "quantisation": meta.get("quantisation"),
        "context": f"{meta['context_length']:,} tokens" if "context_length" in meta else None,
        "sliding window": f"{meta['sliding_window']:,} tokens" if "sliding_window" in meta else None,
        "look-up": str(speed.look_up(model, settings)) if model.kind == "generator" else None,
        "chat template": ("yes" if meta["has_chat_template"] else "none") if "has_chat_template" in meta else None,
    }
    for name, value in facts.items():
        if value is not None:
            say(f"  {name:<14} {value}")


class _Bars:
    """Progress bars on stderr that leave room for messages and questions."""

    def __init__(self) -> None:
        from rich import progress

        columns = (
            progress.TextColumn("{task.description}", markup=False),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
        )
        screen = console(stderr=True)
        self.bar = progress.Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True)
        self._tasks: dict[str, Any] = {}

    def update(self, progress: Progress) -> None:
        if progress.what not in self._tasks:
            self._tasks[progress.what] = self.bar.add_task(progress.what, total=progress.total)
        self.bar.update(self._tasks[progress.what], completed=progress.done, total=progress.total)

    def say(self, line: str) -> None:
        self.bar.console.print(line, soft_wrap=True)

    def ask(self, question: str) -> bool:
        self.bar.stop()
        try:
            return confirm(question)
        finally:
            self.bar.start()


class _JsonLines:
    """Progress for programs: one JSON object a line, at most five a second."""

    _written = 0.0

    def update(self, progress: Progress) -> None:
        if time.monotonic() - self._written >= 0.2 or progress.done >= progress.total:
            self._written = time.monotonic()
            self.write({"what": progress.what, "done": progress.done, "total": progress.total})

    def say(self, line: str) -> None:
        self.write({"message": line})

    def write(self, value: dict[str, Any]) -> None:
        print_json(value, indent=None)

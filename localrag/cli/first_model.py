"""No model yet, in lines (`localrag chat --plain`): which fit this machine, and installing one after a yes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from localrag.cli.plain import EVERY, interruptible, say, typed
from localrag.errors import ModelMissing
from localrag.tui.install import EMBEDDER, LINE_SPEED, Ended, Fetched, Installer, Said, size, spoken

if TYPE_CHECKING:
    from localrag.worker.engine import Engine, ModelOffer

_HINT = "Type: localrag models install, or on a machine without a network: localrag models import FILE"


def choose(engine: Engine, installer: Installer) -> None:
    """Lead to a model, however many tries that takes.

    Raises:
        ModelMissing: the person wants none, or none fits this machine.
    """
    offers = engine.model_choices()
    if not offers:
        raise ModelMissing("no model that is known fits this machine", _HINT)
    say("There is no model yet, and one is needed to answer. It is fetched once; no document or question is sent.")
    for number, offer in enumerate(offers, 1):
        click.echo(f"{number}: {_described(offer)}")
    suggested = next((number for number, offer in enumerate(offers, 1) if offer.suggested), len(offers))
    while True:
        word = typed(f"Which one? Its number (Enter takes {suggested}; n goes on without): ")
        if word.lower() in ("n", "no"):
            raise ModelMissing("no model is installed", _HINT)
        word = word or str(suggested)
        if not (word.isdecimal() and 1 <= int(word) <= len(offers)):
            say(f"There is no number {word!r} here.")
            continue
        offer = offers[int(word) - 1]
        if typed(f"Fetch {offer.id}, {size(offer.bytes)}, over the network? (y/n) ").lower() not in ("y", "yes"):
            continue
        if _installed(installer, offer):
            return
        say("Another one may be had where this one is not.")


def _described(offer: ModelOffer) -> str:
    fetching = spoken(offer.bytes / LINE_SPEED)
    return (
        f"{offer.title}{', suggested here' if offer.suggested else ''}. {offer.note} Licence {offer.licence}; "
        f"{size(offer.bytes)} from {' or '.join(offer.sources)}, about {fetching} at 100 Mbit/s; "
        f"needs {size(offer.memory)} of memory; an answer begins after about {spoken(offer.seconds)}."
    )


def _installed(installer: Installer, offer: ModelOffer) -> bool:
    """Fetch it and tell of it; False where it did not come."""
    heard = time.monotonic()
    with interruptible() as stop:
        for told in installer.install((EMBEDDER, offer.id), stop):
            if isinstance(told, Said):
                say(told.text)
            elif isinstance(told, Fetched) and time.monotonic() - heard >= EVERY:
                heard = time.monotonic()
                say(f"Fetching {told.what}: {size(told.done)} of {size(told.total)}.")
            elif isinstance(told, Ended):
                return told.code == 0
    return False

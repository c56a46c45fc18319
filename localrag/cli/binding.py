"""What makes binders in a command: it opens pages in this process, and draws how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from localrag.cli.output import bar
from localrag.settings import Settings

if TYPE_CHECKING:
    from localrag.sessions.export.binder import Bind


@contextmanager
def binding(settings: Settings) -> Iterator[Bind]:
    from localrag.sessions.export import binder
    from localrag.worker.engine import Engine

    with closing(Engine(settings)) as engine, bar() as update:
        yield partial(binder.pdf, engine=engine, progress=update)

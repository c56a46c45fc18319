"""A command that asks as `localrag ask` does, of the engine that plays a part: the library, then the question.

Prints a line for each event; "here" where it would answer by itself, which it then does with the text "here".
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator

from localrag.events import Asking, Delta, Event
from localrag.security import offline, sandbox
from localrag.settings import load_settings
from localrag.types import Filter
from localrag.worker import resident
from worker.scripted_worker import ScriptedEngine

if __name__ == "__main__":
    resident.Asker = ScriptedEngine  # type: ignore[assignment,misc]
    library, question = sys.argv[1:]
    offline.confine_python()
    resident.connect()
    offline.confine()
    settings = load_settings()
    only = Filter()
    connection = resident.connection_for(settings, [library], only, [])
    sandbox.restrict(settings, [library], reads=[])

    def here() -> Asking:
        def begin(stop: Callable[[], bool]) -> Iterator[Event]:
            yield Delta("here")

        return Asking(begin)

    asking = here()
    if connection is not None:
        asking = resident.Asking(connection, here, settings, question=question, libraries=[library], documents=only)
    signal.signal(signal.SIGINT, lambda *_: asking.stop())
    for event in asking:
        print(event.text if isinstance(event, Delta) else type(event).__name__, flush=True)
    os._exit(0)

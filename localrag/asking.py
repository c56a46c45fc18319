"""Ask a question from Python: `localrag.ask`.

    asking = localrag.ask("When does the lease end?", libraries=["contracts"])
    for event in asking: ...
    asking.answer

Nothing here confines the process: call `localrag.offline.confine()` first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from localrag.answer.assistant import Assistant
from localrag.events import Asking, Event
from localrag.lifecycle import retention
from localrag.search import filters
from localrag.settings import Settings, Think, load_settings
from localrag.types import Mode, Pages, Turn


def ask(
    question: str,
    *,
    libraries: Sequence[str],
    documents: Sequence[str] | None = None,
    folder: str | None = None,
    types: Sequence[str] | None = None,
    since: str | None = None,
    until: str | None = None,
    sender: str | None = None,
    pages: Pages | None = None,
    mode: Mode = "auto",
    history: Sequence[Turn] = (),
    reproducible: bool = False,
    think: Think | None = None,
    settings: Settings | None = None,
) -> Asking:
    """Ask a question; iterate over the events, then take `.answer`.

    Args:
        documents: globs; only documents whose path matches one of them.
        folder: only documents in this folder of the libraries or the disk.
        types: only these types: "pdf", "mail", "sheet" ... or suffixes such as "docx".
        since: only documents from this year, month or day on (ISO 8601): "2023", "2023-06", "2023-06-30".
        until: only documents up to this one.
        sender: only documents with this part of a name, in any case, in their author or sender.
        pages: only from the first to the last of these pages, None for the end.
        mode: "retrieve", "read", "survey" or "exact" instead of what suits the question.
        history: earlier turns, oldest first.
        reproducible: plan without regard to the prompt cache and the speed of this machine.
        think: overrides the setting of this name.

    Raises, from the first event on:
        UsageError: an empty question, no library, or a mode that cannot be.
        NotFoundError: a library or document that is not there.
        ModelError: no model, or the question does not fit its window.
    """
    only = filters.checked(documents, folder, types, since, until, sender, pages)
    settings = (settings or load_settings()).with_options(think=think)
    retention.apply(settings)

    def begin(stop: Callable[[], bool]) -> Iterator[Event]:
        with closing(Assistant(settings)) as assistant:
            yield from assistant.ask(
                question,
                libraries=libraries,
                documents=only,
                mode=mode,
                history=history,
                reproducible=reproducible,
                stop=stop,
            )

    return Asking(begin)

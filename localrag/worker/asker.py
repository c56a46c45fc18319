"""What answers questions in the process that `localrag ask` forks, and in a worker. It imports nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from localrag.errors import UsageError
from localrag.events import Event
from localrag.settings import Settings
from localrag.types import EVERYTHING, Filter, Mode, Turn

if TYPE_CHECKING:
    from localrag.answer.assistant import Assistant


class Asker:
    """A model, and the documents that it answers from."""

    def __init__(self, settings: Settings, assistant: Assistant | None = None) -> None:
        from localrag.answer.assistant import Assistant

        self._settings = settings
        self._assistant = assistant or Assistant(settings)

    def load(self) -> str:
        """Load the model (takes seconds) and return its id."""
        return self._assistant.load()

    def ask(
        self,
        question: str,
        *,
        libraries: Sequence[str],
        documents: Filter = EVERYTHING,
        mode: Mode = "auto",
        history: Sequence[Turn] = (),
        reproducible: bool = False,
        options: Mapping[str, Any] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """See `Assistant.ask`; `options` are settings by name for this question, beside those of the engine.

        With the mode "extract" the question is a schema, which only the whole engine fills.
        """
        if options is not None:
            self._assistant.configure(self._settings.with_options(**options))
        if mode == "extract":
            return self._extract(question, libraries, documents, stop)
        return self._assistant.ask(
            question,
            libraries=libraries,
            documents=documents,
            mode=mode,
            history=history,
            reproducible=reproducible,
            stop=stop,
        )

    def _extract(
        self, schema: str, libraries: Sequence[str], documents: Filter, stop: Callable[[], bool]
    ) -> Iterator[Event]:
        raise UsageError("this process only answers questions", "Use `localrag extract` for a schema.")

    def close(self) -> None:
        """Release memory and files."""
        self._assistant.close()

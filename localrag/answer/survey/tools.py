"""What a survey needs of whoever asks, and nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from localrag.llm import calibration
from localrag.llm.calibration import Calibration
from localrag.llm.generation import Generator, StateStore
from localrag.settings import Settings
from localrag.store.library import Library
from localrag.types import Document, Filter, Passage

Pair = tuple[Library, Document]


class Finder(Protocol):
    """Looks passages up in documents of one library."""

    def __call__(
        self, libraries: Sequence[Library], question: str, k: int, documents: Filter | Sequence[str] | None, *,
        document_ids: Sequence[int] | None = None, join: bool = False,
    ) -> list[Passage]: ...  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tools:
    """The model, a search, where states of documents are kept, and how many tokens of documents are kept already.

    `states` is also told which part of its document is read, where it is not the whole. `budget` is the most tokens of
    passages that fit beside the question.
    """

    model: Generator
    found: Finder
    states: Callable[[Sequence[Pair], str], StateStore | None]
    warm: Callable[[Sequence[Pair]], int]
    settings: Settings
    budget: int

    @property
    def known(self) -> Calibration:
        return calibration.load(self.settings.calibration_file, self.model.model)

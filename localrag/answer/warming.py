"""Read documents ahead of time into the prompt cache, so that the first question about them need not.

It reads exactly what `read` and a summary put before the model. More urgent work comes first (`priority.py`). Cached
documents are skipped, so a stopped warming continues where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from localrag.answer import prompts
from localrag.answer.context import Unit
from localrag.answer.survey import sections
from localrag.events import Piece, Warmed
from localrag.llm import Generator as Model
from localrag.llm import calibration, loading, priority
from localrag.llm.priority import Rank
from localrag.llm.prompt_cache import DiskPromptCache, bound
from localrag.settings import Settings
from localrag.store import names
from localrag.store.library import Library
from localrag.types import EVERYTHING, Document


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a warming would take: pieces to read, their tokens, seconds (None where speeds are unknown), and bytes.

    `bound` is the maximum size of the library's prompt cache in bytes.
    """

    pieces: int
    kept: int
    tokens: int
    seconds: float | None
    bytes: int
    bound: int


def pieces(
    library: Library, documents: Sequence[Document], model: Model, settings: Settings,
    stop: Callable[[], bool] = lambda: False,
) -> list[Piece]:  # fmt: skip
    """Return what there is to read of these documents, in order, without reading it; shorter where stopped."""
    found: list[Piece] = []
    for document in documents:
        if stop():
            break
        for unit in _units(library, document, model, settings):
            prefix = model.prefixes(prompts.documents_prompt("", [(unit.name, unit.text)]))[-1]
            tokens, window = len(prefix.tokens), model.window
            why_not = "" if tokens < window else f"it has {tokens:,} tokens, and the model's window {window:,}"
            kept = _cache(library, unit, settings).has(prefix)
            found.append(Piece(document, unit.name, unit.section, tokens, kept, why_not))
    return found


def estimate(library: Library, found: Sequence[Piece], model: Model, settings: Settings) -> Estimate:
    """Return what reading the rest of these would take on this machine."""
    known = calibration.load(settings.calibration_file, model.model)
    rest = [piece for piece in found if not piece.kept and not piece.why_not]
    seconds = [known.seconds_to_read(piece.tokens) for piece in rest]
    tokens = sum(piece.tokens for piece in rest)
    return Estimate(
        pieces=len(rest), kept=sum(piece.kept for piece in found), tokens=tokens,
        seconds=None if None in seconds else sum(value for value in seconds if value is not None),
        bytes=sum(model.state_bytes(piece.tokens) for piece in rest),
        bound=bound(library.folder / "cache", settings.cache_bytes),
    )  # fmt: skip


def warm(
    library: Library, found: Sequence[Piece], model: Model, settings: Settings, *,
    stop: Callable[[], bool] = lambda: False, rank: Rank = Rank.WARMING,
) -> Iterator[Warmed]:  # fmt: skip
    """Read these into the prompt cache, from which nothing else is dropped for them.

    The rank is TYPING while a person is about to ask, else WARMING.
    """
    with priority.asking(settings.questions_dir, rank):
        for number, piece in enumerate(found, 1):
            if stop():
                return
            if piece.kept or piece.why_not:
                continue
            unit = next((u for u in _units(library, piece.document, model, settings) if u.name == piece.name), None)
            if unit is not None:  # the library may have changed meanwhile
                yield from _warm(library, unit, piece, number, len(found), model, settings, stop, rank)


def one_by_one(
    library: Library, documents: Sequence[Document], model: Model, settings: Settings,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Warmed]:  # fmt: skip
    """Read documents in order, each examined only when its turn comes, so that a thousand of them begin at once.

    Also reports those that are cached already or cannot be read.
    """
    for number, document in enumerate(documents, 1):
        if stop():
            return
        found = pieces(library, [document], model, settings)
        if not found:
            nothing = Piece(document, document.path, False, 0, False, "it has no text")
            yield Warmed(nothing, number, len(documents), 0, "not read", 1.0)
        whole = sum(piece.tokens for piece in found) or 1
        before = 0
        for piece in found:
            events = warm(library, [piece], model, settings, stop=stop)
            if piece.kept or piece.why_not:
                state: Literal["kept", "not read"] = "kept" if piece.kept else "not read"
                events = iter([Warmed(piece, 1, 1, piece.tokens if piece.kept else 0, state)])
            for event in events:
                over = event.state in ("kept", "no room", "not read")
                done = before + (piece.tokens if over else event.done)
                yield replace(event, number=number, total=len(documents), share=done / whole)
            if stop():
                return
            before += piece.tokens


def _warm(
    library: Library, unit: Unit, piece: Piece, number: int, total: int, model: Model, settings: Settings,
    stop: Callable[[], bool], rank: Rank,
) -> Iterator[Warmed]:  # fmt: skip
    cache = _cache(library, unit, settings)
    if not cache.has_room(model.state_bytes(piece.tokens)):
        yield Warmed(piece, number, total, 0, "no room")
        return
    messages = prompts.documents_prompt("", [(unit.name, unit.text)])
    done = 0
    while done < piece.tokens and not stop():
        if priority.wanted(settings.questions_dir, rank):
            yield Warmed(piece, number, total, done, "waiting")
            priority.give_way(settings.questions_dir, stop, rank)
        urgent = priority.watch(settings.questions_dir, rank)
        for event in model.read(messages, stop=lambda urgent=urgent: stop() or urgent(), cache=cache):  # type: ignore[misc]
            done = event.done
            yield Warmed(piece, number, total, done, "kept" if done >= event.total else "reading")


def _units(library: Library, document: Document, model: Model, settings: Settings) -> list[Unit]:
    known = calibration.load(settings.calibration_file, model.model)
    return sections.units_of((library, document), EVERYTHING, model, sections.room(model, settings, known))


def _cache(library: Library, unit: Unit, settings: Settings) -> DiskPromptCache:
    identity = loading.generator_identity(settings)
    return DiskPromptCache(
        library.folder, identity, [unit.pair[1].sha256], settings.cache_bytes,
        part=unit.name if unit.section else "", keep_others=True,
        held=lambda: names.holds(library.folder, [unit.pair[1].path]),
    )  # fmt: skip

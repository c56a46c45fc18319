"""Read documents ahead of time into the prompt cache, so that the first question about them need not.

It reads exactly what `retrieve`, `read` and a summary put before the model: first the passages of every document, each
by itself, which serve any look-up; then whole documents, or sections of long ones. More urgent work comes first
(`priority.py`). What is cached is skipped, so a stopped warming continues where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from localrag.errors import UsageError
from localrag.events import Piece, Warmed
from localrag.grounding import context, prompts
from localrag.grounding.context import Unit
from localrag.llm import Generator as Model
from localrag.llm import calibration, loading, priority
from localrag.llm.priority import Rank
from localrag.llm.prompt_cache import DiskPromptCache, bound
from localrag.search.ranking import as_passage
from localrag.settings import Settings
from localrag.store import names
from localrag.store.library import Library
from localrag.types import EVERYTHING, Document, Message, Passage

# About the tokens of a passage and of the rules before it, and the share of a state's bytes that 8 bits take.
_PASSAGE, _RULES, _PACKED = 200, 110, 0.53


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
    library: Library,
    documents: Sequence[Document],
    model: Model,
    settings: Settings,
    stop: Callable[[], bool] = lambda: False,
) -> list[Piece]:
    """Return what there is to read of these documents, in order, without reading it; shorter where stopped.

    Of the only document of a library no passages are read if it can be read whole. Raises UsageError if the model is on
    a server.
    """
    if settings.generator_server:
        raise UsageError("a model server keeps what it reads by itself, so there is nothing to warm", "Ask at once.")
    found: list[Piece] = []
    apart: list[Piece] = []
    for document in documents:
        if stop():
            break
        units = _units(library, document, model, settings)
        wanted = library.counts()["documents"] > 1 or any(unit.section for unit in units)
        rest = _apart(library, document, passages_of(library, document), model, settings) if wanted else []
        if rest:
            tokens = sum(tokens for _, tokens in rest)
            apart.append(Piece(document, f"{document.path}, passages", False, tokens, not tokens, apart=True))
        for unit in units:
            prefix = model.prefixes(prompts.documents_prompt("", [(unit.name, unit.text)]))[-1]
            tokens, window = len(prefix.tokens), model.window
            why_not = "" if tokens < window else f"it has {tokens:,} tokens, and the model's window {window:,}"
            kept = _cache(library, document, settings, unit.name if unit.section else "").has(prefix)
            found.append(Piece(document, unit.name, unit.section, tokens, kept, why_not))
    return apart + found


def passages_of(library: Library, document: Document) -> list[Passage]:
    """Return the passages of a document as a search finds them, in order."""
    return [as_passage(library, row) for row in library.chunks_of(document.id)]


def estimate(library: Library, found: Sequence[Piece], model: Model, settings: Settings) -> Estimate:
    """Return what reading the rest of these would take on this machine."""
    known = calibration.load(settings.calibration_file, model.model)
    rest = [piece for piece in found if not piece.kept and not piece.why_not]
    passage = known.seconds_to_read(_PASSAGE, _RULES)
    seconds = [
        known.seconds_to_read(piece.tokens) if not piece.apart or passage is None else passage * piece.tokens / _PASSAGE
        for piece in rest
    ]
    tokens = sum(piece.tokens for piece in rest)
    return Estimate(
        pieces=len(rest),
        kept=sum(piece.kept for piece in found),
        tokens=tokens,
        seconds=None if None in seconds else sum(value for value in seconds if value is not None),
        bytes=sum(int(model.state_bytes(one.tokens) * (_PACKED if one.apart else 1)) for one in rest),
        bound=bound(library.folder / "cache", settings.cache_bytes),
    )


def warm(
    library: Library,
    found: Sequence[Piece],
    model: Model,
    settings: Settings,
    *,
    stop: Callable[[], bool] = lambda: False,
    rank: Rank = Rank.WARMING,
) -> Iterator[Warmed]:
    """Read these into the prompt cache, from which nothing else is dropped for them.

    The rank is TYPING while a person is about to ask, else WARMING.
    """
    with priority.asking(settings.questions_dir, rank):
        for number, piece in enumerate(found, 1):
            if stop():
                return
            if piece.kept or piece.why_not:
                continue
            if piece.apart:
                own = passages_of(library, piece.document)
                for event in warm_passages(library, piece.document, own, model, settings, stop, rank):
                    yield replace(event, number=number, total=len(found))
                continue
            unit = next((u for u in _units(library, piece.document, model, settings) if u.name == piece.name), None)
            if unit is not None:  # the library may have changed meanwhile
                yield from _warm(library, unit, piece, number, len(found), model, settings, stop, rank)


def one_by_one(
    library: Library,
    documents: Sequence[Document],
    model: Model,
    settings: Settings,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Warmed]:
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


def warm_passages(
    library: Library,
    document: Document,
    passages: Sequence[Passage],
    model: Model,
    settings: Settings,
    stop: Callable[[], bool],
    rank: Rank,
) -> Iterator[Warmed]:
    """Read passages of a document, each by itself, into the prompt cache, unless they are there."""
    cache, done = _cache(library, document, settings), 0
    rest = [(passage, n) for passage, n in _apart(library, document, passages, model, settings) if n]
    tokens = sum(n for _, n in rest)
    piece = Piece(document, f"{document.path}, passages", False, tokens, False, apart=True)
    for passage, n in rest:
        if not cache.make_room(model.state_bytes(n)):
            yield Warmed(piece, 1, 1, done, "no room")
            return
        for read in _read(prompts.passages_prompt("", [passage]), cache, model, settings, stop, rank):
            yield Warmed(piece, 1, 1, done, "waiting" if read is None else "reading")
        if stop():
            return
        done += n
        yield Warmed(piece, 1, 1, done, "kept" if done == tokens else "reading")


def _warm(
    library: Library,
    unit: Unit,
    piece: Piece,
    number: int,
    total: int,
    model: Model,
    settings: Settings,
    stop: Callable[[], bool],
    rank: Rank,
) -> Iterator[Warmed]:
    cache, done = _cache(library, piece.document, settings, unit.name if unit.section else ""), 0
    if not cache.make_room(model.state_bytes(piece.tokens)):
        yield Warmed(piece, number, total, 0, "no room")
        return
    messages = prompts.documents_prompt("", [(unit.name, unit.text)])
    for read in _read(messages, cache, model, settings, stop, rank):
        done = done if read is None else read
        state: Literal["kept", "reading"] = "kept" if done >= piece.tokens else "reading"
        yield Warmed(piece, number, total, done, "waiting" if read is None else state)


def _read(
    messages: Sequence[Message],
    cache: DiskPromptCache,
    model: Model,
    settings: Settings,
    stop: Callable[[], bool],
    rank: Rank,
) -> Iterator[int | None]:
    """Read the stable part of a prompt; yield how many tokens are read, and None before waiting for urgent work."""
    done, total = 0, 1
    while done < total and not stop():
        if priority.wanted(settings.questions_dir, rank):
            yield None
            priority.give_way(settings.questions_dir, stop, rank)
        urgent = priority.watch(settings.questions_dir, rank)
        for event in model.read(messages, stop=lambda urgent=urgent: stop() or urgent(), cache=cache):  # type: ignore[misc]
            done, total = event.done, event.total
            yield done


def _apart(
    library: Library, document: Document, passages: Sequence[Passage], model: Model, settings: Settings
) -> list[tuple[Passage, int]]:
    """Return passages and the tokens to read of each, 0 if it is cached; none if the model reads them together."""
    keys = [key for one in passages for key in model.prefixes(prompts.passages_prompt("", [one]))]
    cache = _cache(library, document, settings)
    tokens = [0 if cache.has(key) else len(key.tokens) - key.start for key in keys if key.start]
    return list(zip(passages, tokens, strict=False))


def _units(library: Library, document: Document, model: Model, settings: Settings) -> list[Unit]:
    return context.units_of((library, document), EVERYTHING, model, context.room(model, settings))


def _cache(library: Library, document: Document, settings: Settings, part: str = "") -> DiskPromptCache:
    return DiskPromptCache(
        library.folder,
        loading.generator_identity(settings),
        [document.sha256],
        settings.cache_bytes,
        part=part,
        keep_others=True,
        held=lambda: names.holds(library.folder, [document.path]),
    )


def warm_library(
    name: str,
    documents: Sequence[str],
    settings: Settings,
    *,
    stop: Callable[[], bool] = lambda: False,
    seconds: float | None = None,
    only_estimate: bool = False,
    on_plan: Callable[[Estimate, Sequence[Piece]], None] = lambda estimate, found: None,
    progress: Callable[[Warmed], None] = lambda event: None,
) -> dict[str, Any]:
    """Warm documents (globs; none for all) of a library; returns what was done, ready for JSON.

    `seconds` limits the reading, not the time to load the model and to plan. `on_plan` is called before the reading,
    `progress` at each step.
    """
    with (
        closing(Library.open(settings.library_dir(name), name)) as library,
        closing(loading.load_generator(settings)) as model,
    ):
        found = pieces(library, library.documents(documents or None), model, settings, stop)
        estimated = estimate(library, found, model, settings)
        on_plan(estimated, found)
        done: dict[str, list[str]] = {"kept": [], "no room": []}
        began = time.monotonic()
        until = began + (float("inf") if seconds is None else seconds)
        ends = lambda: stop() or time.monotonic() > until  # noqa: E731
        for event in () if only_estimate else warm(library, found, model, settings, stop=ends):
            progress(event)
            done.get(event.state, []).append(event.piece.name)
        return {
            "library": name,
            "model": model.model,
            "estimate": asdict(estimated),
            "kept": done["kept"],
            "no_room": done["no room"],
            "kept_before": [piece.name for piece in found if piece.kept],
            "not_read": [{"name": piece.name, "reason": piece.why_not} for piece in found if piece.why_not],
            "left": 0 if only_estimate else estimated.pieces - len(done["kept"]) - len(done["no room"]),
            "seconds": round(time.monotonic() - began, 1),
        }

"""What a half-typed command or document's name may become, and which documents a question names (pure).

`/` at the beginning is completed to a command and then to what it takes; `@` at the beginning of a word to a document.
Names are compared by what they contain first, and by likeness where none contains what was typed; in a shelf of more
than `LIKENESS_UP_TO` documents the second is left out, because it would be felt while typing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from localrag.tui.commands import COMMANDS, FORMATS, THINKING, Command
from localrag.types import PlanKind

MOST = 8
WAYS: tuple[PlanKind, ...] = ("retrieve", "read", "survey", "exact")
LIKENESS_UP_TO = 20_000
_LIKE = 75.0
_HALF_COMMAND = re.compile(r"/([a-z]*)\Z")
_HALF_CHOICE = re.compile(r"/([a-z]+) +(\S*)\Z")
_HALF_MENTION = re.compile(r'(?:(?<=\s)|\A)@(?:"([^"\n]*)|([^\s"@]*))\Z')
_MENTION = re.compile(r'(?:(?<=\s)|\A)@(?:"([^"\n]+)"|([^\s"@]+))')
# What may stand right behind a name without being a part of it.
_AFTER = ".,;:!?)"


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to choose from; `ways` are plans with what each would take for the last question.

    `most` is how many tokens the model can use at once; 0 where that is not known yet.
    """

    documents: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    ways: tuple[tuple[str, str], ...] = ()
    most: int = 0

    def of(self, command: Command) -> tuple[str, ...]:
        return {
            "": (), "models": self.models, "libraries": self.libraries, "formats": FORMATS, "thinking": THINKING,
            "ways": WAYS,
        }[command.choices]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Offer:
    """A completion: what is shown, and the text that takes the place of all from `start` to the cursor.

    `whole` says that nothing is missing then, so that Enter may as well go on.
    """

    shown: str
    about: str
    start: int
    text: str
    whole: bool = False


def offers(before: str, known: Known, commands: Sequence[Command] = COMMANDS) -> list[Offer]:
    """What the text before the cursor may become, the likeliest first."""
    if half := _HALF_COMMAND.match(before):
        return [_whole(one) for one in commands if one.name.startswith(half[1])]
    if half := _HALF_CHOICE.match(before):
        command = next((one for one in commands if one.name == half[1]), None)
        names = nearest(half[2], known.of(command)) if command else []
        about = dict(known.ways) if command and command.choices == "ways" else {}
        return [Offer(name, about.get(name, ""), half.start(2), name, True) for name in names]
    if half := _HALF_MENTION.search(before):
        typed = half[1] or half[2] or ""
        if half[2] and typed.rstrip(_AFTER) in known.documents:
            return []  # it is there whole, and Enter asks
        names = nearest(typed, known.documents)
        return [Offer(name, "", half.start(), f"{mention(name)} ") for name in names]
    return []


def _whole(one: Command) -> Offer:
    behind = " " if one.takes else ""
    return Offer(f"/{one.name} {one.takes}".rstrip(), one.does, 0, f"/{one.name}{behind}", not one.takes)


def nearest(typed: str, names: Sequence[str]) -> list[str]:
    """Names that fit what was typed, the best first: beginning with it, containing it, else like it."""
    if not typed:
        return list(names[:MOST])
    low = typed.casefold()
    holding = sorted((_rank(low, name), name) for name in names if low in name.casefold())[:MOST]
    found = [name for _, name in holding]
    if not found and len(low) > 1 and len(names) <= LIKENESS_UP_TO:
        found = list(_like(low, names))[:MOST]
    return found


def _rank(low: str, name: str) -> int:
    whole = name.casefold()
    last = whole.rsplit("/", 1)[-1]
    return 0 if last.startswith(low) else 1 if whole.startswith(low) else 2


def _like(low: str, names: Sequence[str]) -> Iterable[str]:
    from rapidfuzz import fuzz, process

    hits = process.extract(
        low, names, scorer=fuzz.partial_ratio, processor=str.casefold, limit=MOST, score_cutoff=_LIKE
    )
    return (name for name, _, _ in hits)


def mention(name: str) -> str:
    """A document's name as it is typed behind an `@`."""
    return f'@"{name}"' if re.search(r"[\s@]|[.,;:!?)]\Z", name) else f"@{name}"


def mentioned(question: str, documents: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The question with the names in place of the mentions, and the documents that it mentions, each once.

    An `@` before anything else than a document's exact name stays as it stands.
    """
    there, found = frozenset(documents), dict[str, None]()

    def named(match: re.Match[str]) -> str:
        name, rest = match[1] or match[2], ""
        while match[2] and name not in there and name[-1:] in _AFTER and name:
            name, rest = name[:-1], name[-1] + rest
        if name not in there:
            return match[0]
        found[name] = None
        return f"“{name}”{rest}" if match[1] else name + rest

    text = _MENTION.sub(named, question)
    return text, tuple(found)

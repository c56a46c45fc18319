"""Turn a question that code answers better than a model into a task: count, find, list.

The forms are explicit, and a pattern must match the whole question: a word or phrase stands in quotation marks, and
documents are counted or listed as files. Anything else is left to the model (docs/decisions/0021-exact.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from localrag.quantities import CARDINALS, by_word, lazy_re, load_patterns, load_words, parse_date, parse_month
from localrag.question.kinds import SINGULAR

Order = Literal["path", "date", "size", "type"]


@dataclass(frozen=True, slots=True)
class TermSearch:
    """A word, phrase or number: count it, find its places, or list the documents that have it or lack it."""

    term: str
    kind: Literal["count", "find", "documents", "without"] = "count"
    within: str = ""

    @property
    def verb(self) -> str:
        return {"count": "count", "find": "find"}.get(self.kind, "look up")


@dataclass(frozen=True, slots=True)
class DocumentList:
    """The documents themselves: counted, listed in an order, or the first `limit` of them.

    `noun` is the question's word for them, `types` the file types that it names; `since` and `until` as in Filter.
    """

    kind: Literal["count", "list"]
    noun: str = "documents"
    types: tuple[str, ...] = ()
    order: Order = "path"
    descending: bool = False
    limit: int = 0
    since: str = ""
    until: str = ""

    @property
    def verb(self) -> str:
        return "count" if self.kind == "count" else "sort" if self.order != "path" else "list"


@dataclass(frozen=True, slots=True)
class CommentSearch:
    """The comments in documents: on a clause, by an author; `side` if the question says “the other side”."""

    clause: str = ""
    by: str = ""
    within: str = ""
    side: bool = False
    verb = "list"


Task = TermSearch | DocumentList | CommentSearch

_MAX_QUESTION = 600
_WORDS = load_words("localrag.question", "words.toml")
_TYPES = by_word(_WORDS["types"])
_NUMBERS = dict(list(CARDINALS.items())[2:11])  # "two" to "ten"
_SUPERLATIVES: dict[str, tuple[Order, bool]] = {
    **dict.fromkeys(("newest", "latest", "most recent"), ("date", True)),
    **dict.fromkeys(("oldest", "earliest"), ("date", False)),
    **dict.fromkeys(("largest", "biggest"), ("size", True)),
    "smallest": ("size", False),
}
_KEYS: dict[str, Order] = {"date": "date", "age": "date", "size": "size", "type": "type"}
_PATTERNS = load_patterns(
    "localrag.question",
    "exact.txt",
    file="|".join(sorted(map(re.escape, {*SINGULAR, *_TYPES}), key=len, reverse=True)),
    many="|".join(sorted(map(re.escape, SINGULAR.keys() - SINGULAR.values()), key=len, reverse=True)),
    first="|".join(_SUPERLATIVES),
    number="|".join(_NUMBERS),
)
_ALL, _POLITE = (lazy_re(_PATTERNS[name][0], re.I) for name in ("all", "polite"))
_COUNT, _FIND, _HOLDING, _COUNT_FILES, _LIST_FILES, _FIRST_FILES, _COMMENTS = (
    tuple(lazy_re(rf"^{form}[?.! ]*$", re.I) for form in _PATTERNS[name])
    for name in ("count", "find", "holding", "count_files", "list_files", "first_files", "comments")
)


def parse(question: str, documents: Sequence[str] = ()) -> Task | None:
    """Return the task that a question plainly asks for, or None; `documents` narrow it, and may stand beside it."""
    text = _POLITE.sub("", " ".join(question.split()))
    if len(text) > _MAX_QUESTION:
        return None
    names = "|".join(map(re.escape, documents))
    bare = re.sub(rf"^(?:“?(?:{names})”?[,:]? )+|(?<=[?.!])(?: “?(?:{names})”?)+$", "", text) if names else text
    return _term(bare) or _documents(bare) or _comments(bare)


def _term(text: str) -> TermSearch | None:
    kinds: tuple[tuple[tuple[re.Pattern[str], ...], Literal["count", "find", "documents"]], ...] = (
        (_COUNT, "count"),
        (_FIND, "find"),
        (_HOLDING, "documents"),
    )
    for patterns, kind in kinds:
        for match in filter(None, (pattern.match(text) for pattern in patterns)):
            groups = match.groupdict()
            term = (groups["quoted"] or groups["single"]).strip(" .,;:?!")
            if re.search(r"\w", term):
                return TermSearch(term, "without" if groups.get("not") else kind, _place(groups.get("in")))
    return None


def _place(words: str | None) -> str:
    """Return the document that the words after "in" name; "" for all documents."""
    name = (words or "").strip(" .?!\"“”„'‘’")
    return "" if _ALL.fullmatch(name) else re.sub(r"^(?:the|my|our|der|die|das|dem|den) ", "", name, flags=re.I)


def _comments(text: str) -> CommentSearch | None:
    for match in filter(None, (pattern.match(text) for pattern in _COMMENTS)):
        groups = match.groupdict()
        by = re.sub(r"^the ", "", groups.get("by") or groups.get("who") or "", flags=re.I)
        return CommentSearch(groups["clause"] or "", by, _place(groups["in"]), bool(groups.get("side")))
    return None


def _documents(text: str) -> DocumentList | None:
    for match in filter(None, (pattern.match(text) for pattern in _FIRST_FILES)):
        order, descending = _SUPERLATIVES[match["first"].lower()]
        noun, number = match["noun"].lower(), (match.groupdict().get("limit") or "").lower()
        limit = _NUMBERS.get(number) or int(number or (5 if noun.endswith("s") else 1))
        return DocumentList("list", noun, _types(noun), order, descending, limit)
    for patterns in (_COUNT_FILES, _LIST_FILES):
        for match in filter(None, (pattern.match(text) for pattern in patterns)):
            period, noun = _period(match), match["noun"].lower()
            if period is None:
                continue
            if patterns is _COUNT_FILES:
                return DocumentList("count", noun, _types(noun), since=period[0], until=period[1])
            order = _KEYS.get((match["by"] or "").lower(), "path")
            descending = order in ("date", "size")
            if turn := (match["turn"] or "").lower():
                order, descending = _SUPERLATIVES.get(turn, (order, turn.startswith("desc")))
            return DocumentList("list", noun, _types(noun), order, descending, 0, *period)
    return None


def _types(noun: str) -> tuple[str, ...]:
    return (_TYPES[noun],) if noun in _TYPES else ()


def _period(match: re.Match[str]) -> tuple[str, str] | None:
    """Return the first and last day of a period as a filter takes them, or None if its words are not dates."""
    days = [_day(match[name]) for name in ("start", "end", "day") if match[name]]
    if not all(days):
        return None
    if match["start"]:
        return days[0], days[1]
    way, day = (match["way"] or "").lower(), (days or [""])[0]
    return ("" if way in ("until", "up to") else day), ("" if way == "since" else day)


def _day(text: str) -> str:
    text = text.strip(" ,")
    if re.fullmatch(r"(?:19|20)\d\d", text):
        return text
    if month := parse_month(text):
        return f"{month[0]}-{month[1]:02}"
    written = parse_date(text)
    return written.certain.isoformat() if written is not None and written.certain else ""

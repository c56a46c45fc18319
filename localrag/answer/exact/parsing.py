"""Turn a question that code answers better than a model into a task: count, find, list.

A pattern must match the whole question, and anything in doubt is left to the model: a word without quotation marks is a
term only if the question says so ("the word notice"). "How often does fever occur?" is about fever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from localrag.quantities import CARDINALS, lazy_re, load_patterns, load_words, parse_date, parse_month

Order = Literal["path", "date", "size", "type"]


@dataclass(frozen=True, slots=True)
class TermSearch:
    """A word or phrase: count it, find its places, or list the documents that have it or lack it."""

    term: str
    kind: Literal["count", "find", "documents", "without"] = "count"
    within: str = ""

    @property
    def verb(self) -> str:
        return {"count": "count", "find": "find"}.get(self.kind, "look up")


@dataclass(frozen=True, slots=True)
class IdentifierSearch:
    """A number or code, however it is grouped; `label` is its name in the question ("invoice number")."""

    value: str
    label: str = ""
    within: str = ""
    verb = "find"


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


Task = TermSearch | IdentifierSearch | DocumentList | CommentSearch

_MAX_QUESTION, _MAX_NAME_WORDS = 600, 10
_WORDS = load_words("localrag.answer", "words.toml")["exact"]
_NUMBERS = dict(list(CARDINALS.items())[2:11])  # "two" to "ten"
_PATTERNS = load_patterns(
    "localrag.answer.exact",
    "questions.txt",
    one="|".join(_WORDS["documents"].split()),
    number="|".join(_NUMBERS),
    types="|".join(_WORDS["types"].values()),
    noun="|".join(sorted(f"{_WORDS['documents']} {_WORDS['plurals']}".split(), key=len, reverse=True)),
)
_POLITE, _ALL, _THE_ONE, _NO_DOCUMENT, _IS_A_DOCUMENT, _PART, _ABOUT_A_TERM, _ABOUT_FILES = (
    lazy_re(_PATTERNS[name][0], re.I)
    for name in "polite all the_one no_document is_a_document part about_a_term about_files".split()
)
_COUNT, _COUNT_IN, _FIND, _HOLDING, _IDENTIFIED, _COUNT_FILES, _LIST_FILES, _LIST_SOME, _FIRST_FILES, _COMMENTS = (
    tuple(lazy_re(rf"^{form}[?.! ]*$", re.I) for form in _PATTERNS[name])
    for name in (
        "count",
        "count_in",
        "find",
        "holding",
        "identified",
        "count_files",
        "list_files",
        "list_some",
        "first_files",
        "comments",
    )
)


def parse(question: str, documents: Sequence[str] = ()) -> Task | None:
    """Return the task that a question plainly asks for, or None; `documents` narrow it, and may stand beside it."""
    text = " ".join(question.split())
    if not text or len(text) > _MAX_QUESTION:
        return None
    text = _POLITE.sub("", text)
    names = "|".join(map(re.escape, documents))
    bare = re.sub(rf"^(?:“?(?:{names})”?[,:]? )+|(?<=[?.!])(?: “?(?:{names})”?)+$", "", text) if names else text
    return (
        (parse(bare) if bare != text else None)
        or _term(text)
        or _identifier(text)
        or _documents(text)
        or _comments(text)
    )


def document_name(words: str | None, *, sure: bool = False) -> str | None:
    """Return the document that the words after "in" name, "" for all documents, or None if they name none.

    `sure` accepts only a name that says it is a document ("the Orlo lease", "lease.pdf").
    """
    name = (words or "").strip().strip("\"“”„'‘’").rstrip("?.! ")
    if _THE_ONE.fullmatch(name) and not re.search(r"\b(?:document|file|text|paper)$", name, re.I):
        return re.sub(r"^\w+ ", "", name)
    if not name or _ALL.fullmatch(name):
        return ""
    lead = r"^(?:(?:the|my|our|der|die|das|dem|den) )?(?:(?:document|file|contract) (?:called|named|titled) )?"
    name = re.sub(lead, "", name, flags=re.I).strip("\"“”„'‘’")
    if not re.search(r"[^\W\d_]", name) or len(name.split()) > _MAX_NAME_WORDS or _NO_DOCUMENT.search(name):
        return None
    return name if not sure or _IS_A_DOCUMENT.search(name) else None


def _term(text: str) -> TermSearch | None:
    if not _ABOUT_A_TERM.search(text):
        return None
    kinds: tuple[tuple[tuple[re.Pattern[str], ...], Literal["count", "find", "documents"]], ...] = (
        (_COUNT_IN, "count"),
        (_COUNT, "count"),
        (_FIND, "find"),
        (_HOLDING, "documents"),
    )
    for patterns, kind in kinds:
        for match in filter(None, (pattern.match(text) for pattern in patterns)):
            groups = match.groupdict()
            literal = groups.get("quoted") or groups.get("single") or groups.get("word")
            term = (literal or groups.get("name") or groups.get("bare") or "").strip(" .,;:?!")
            place = groups.get("in")
            if not re.search(r"\w", term) or (patterns is _COUNT_IN and not literal and not place):
                continue  # "How often does fever occur?"
            within = document_name(place, sure=not literal)
            if within is not None:
                return TermSearch(term, "without" if groups.get("not") else kind, within)
    return None


def _identifier(text: str) -> IdentifierSearch | TermSearch | None:
    for match in filter(None, (pattern.match(text) for pattern in _IDENTIFIED)):
        value = match["value"].strip(" .,;:?!")
        label = (match.groupdict().get("label") or "").strip()
        within = document_name(match["in"])
        if within is None or not (re.search(r"\d", value) or "@" in value):
            continue
        if _PART.match(label):
            if text.lower().startswith("show"):
                continue  # its text is wanted, not its places
            if not re.search(r"\d[.(]", value):
                return TermSearch(f"{label} {value}", "find", within)  # a lone 7 is everywhere
        if label or _looks_like_code(value):
            return IdentifierSearch(value, label, within)
    return None


def _comments(text: str) -> CommentSearch | None:
    for match in filter(None, (pattern.match(text) for pattern in _COMMENTS if "comment" in text.lower())):
        groups = match.groupdict()
        within = document_name(groups.get("in") or groups.get("of"))
        if within is not None:
            by = re.sub(r"^the ", "", groups.get("by") or groups.get("who") or "", flags=re.I)
            return CommentSearch(groups.get("clause") or "", by, within, bool(groups.get("side")))
    return None


def _looks_like_code(value: str) -> bool:
    """Whether a value is a mail address, or has signs that no word, number or date is written with."""
    if re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", value):
        return True
    signs = re.sub(r"[\s/‐-―−-]", "", value)
    digits = sum(sign.isdigit() for sign in signs)
    if len(signs) < 6 or re.fullmatch(r"[\d.,]+", value) or re.search(r"(?:^| )[a-zäöü]{2,}(?: |$)", value):
        return False
    if re.search(r"[A-Za-z]", signs):
        return digits >= 3
    return bool(re.match(r"\+?\d", value)) and digits >= 7 and not re.search(r"\d[-/.]\d\d?[-/.]\d", value)


_ORDERS: Mapping[str, tuple[Order, bool]] = {
    **dict.fromkeys(("newest", "latest", "most recent", "neueste"), ("date", True)),
    **dict.fromkeys(("oldest", "earliest", "älteste"), ("date", False)),
    **dict.fromkeys(("largest", "biggest", "größte"), ("size", True)),
    **dict.fromkeys(("smallest", "kleinste"), ("size", False)),
}
_KEYS: Mapping[str, Order] = {
    "date": "date",
    "age": "date",
    "time": "date",
    "datum": "date",
    "size": "size",
    "file size": "size",
    "größe": "size",
    "type": "type",
    "file type": "type",
}


def _documents(text: str) -> DocumentList | None:
    if not _ABOUT_FILES.match(text):
        return None
    for match in filter(None, (pattern.match(text) for pattern in _FIRST_FILES)):
        order, descending = _ORDERS[match["super"].lower()]
        noun, number = match["noun"].lower(), (match.groupdict().get("limit") or "").lower()
        limit = _NUMBERS.get(number) or int(number or (5 if noun.endswith("s") else 1))
        return DocumentList("list", noun, _types(noun), order, descending, limit)
    for patterns in (_COUNT_FILES, _LIST_FILES, _LIST_SOME):
        for match in filter(None, (pattern.match(text) for pattern in patterns)):
            if (period := _period(match)) is None:
                continue
            noun = match["noun"].lower()
            if patterns is _COUNT_FILES:
                return DocumentList("count", noun, _types(noun), since=period[0], until=period[1])
            order = _KEYS.get((match["by"] or "").lower(), "path")
            turn = (match["lead"] or match["turn"] or "").lower().removesuffix(" first")
            descending = turn in ("descending", "desc", "reversed") if turn else order in ("date", "size")
            if turn in _ORDERS:
                order, descending = order if match["by"] else _ORDERS[turn][0], _ORDERS[turn][1]
            if patterns is _LIST_FILES or any(period) or match["there"] or match["by"] or match["lead"]:
                return DocumentList("list", noun, _types(noun), order, descending, 0, *period)
    return None


def _types(noun: str) -> tuple[str, ...]:
    return next(((name,) for name, words in _WORDS["types"].items() if re.fullmatch(words, noun, re.I)), ())


def _period(match: re.Match[str]) -> tuple[str, str] | None:
    """Return the first and last day of a period as a filter takes them, or None if its words are not dates."""
    days = [_day(match[name]) for name in ("first", "last", "day") if match[name]]
    if not all(days):
        return None
    if match["first"]:
        return days[0], days[1]
    way = (match["way"] or "").lower()
    day = days[0] if days else ""
    return ("" if way in ("until", "up to") else day), ("" if way in ("since", "seit") else day)


def _day(text: str) -> str:
    text = text.strip(" ,")
    if re.fullmatch(r"(?:19|20)\d\d", text):
        return text
    if month := parse_month(text):
        return f"{month[0]}-{month[1]:02}"
    written = parse_date(text)
    return written.certain.isoformat() if written is not None and written.certain else ""

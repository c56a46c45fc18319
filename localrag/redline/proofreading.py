"""Find errors of drafting by code: references that lead nowhere, terms without a meaning, figures that disagree.

Each finding has its place, a quote, why it is one, and what is probably meant. What stands anywhere as the number of a
clause counts as one, and what may belong to another document is left out, so that a finding is worth a look. Limits:
English; numbers of clauses in Latin letters.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from difflib import SequenceMatcher
from functools import cached_property
from itertools import accumulate, pairwise
from math import log1p
from typing import Any, Literal

from localrag.diff import amendments, clauses
from localrag.diff.changes import Version
from localrag.errors import Cancelled, UsageError
from localrag.grounding import cells
from localrag.items import parties
from localrag.quantities import MONTHS, find_dates, find_number_words, lazy_re, load_patterns, parse_number
from localrag.store.text_analysis import FALLBACK, language
from localrag.text import running_lines, without_lines
from localrag.types import Citation, Page, Passage, place

Kind = Literal["reference", "term", "figure", "sum", "date", "party", "numbering", "blank", "missing"]
HEADINGS: dict[Kind, str] = {
    "reference": "References that lead nowhere",
    "missing": "Missing parts",
    "numbering": "Numbering",
    "term": "Defined terms",
    "figure": "Words against figures",
    "sum": "Sums",
    "date": "Dates",
    "party": "Names of parties",
    "blank": "Blanks and notes",
}
_TABLES = ("sheet", "columns", "slide")  # units of pages that hold no running text
_NEAR, _BETWEEN, _SAME, _BOXES = 60, 40, 10, 200  # characters
_MAX_QUOTED = 3000  # characters before
_MIN_LABELS, _MIN_TERMS, _MIN_USES = 2, 1, 3
_MAX_GONE = 3  # references that lead nowhere where most do
_ORDINAL = re.compile(r"(?:first|second|third|[a-z]th)\Z", re.I)
_YEARS = re.compile(r"(?:19|20)\d\d")
_ALIKE, _UNLIKE, _SLIP = 0.88, 0.6, 3  # of two names of which one is a slip; characters between them
_ROMAN = "I II III IV V VI VII VIII IX X XI XII".split()
_SHORT = 5  # letters of an abbreviation
_LETTERS = 3  # of a word that may lack one
_NUMERAL = re.compile(r"[ivx]+\w?")
_LAW = 3  # digits of a number that is a law's
_ALONE = re.compile(
    r"[”\"')]?[ \t]{0,9}[:–—-]?[ \t]{0,9}(?:(?:\.[ \t]{1,9}[A-Z][^.;\n]{2,60})?\n\s{0,99}(?![a-z\s])|[A-Z])"
)
_TITLED = re.compile(r"[ \t]?[.:]?[ \t]{1,9}[A-Z]")
_STOPS = (".", ";", ":", "|", "")
# Terms that a contract may define for each of its parts.
_COMMON = frozenset(
    "Agreement Party Parties Section Article Exhibit Schedule Annex Appendix Paragraph State Clause It They We There "
    "Which What How This That These Those Neither Each He Nothing".split()
)
_YOU = re.compile(r"\b(?:You|YOU)\b")  # a party, too, which many contracts define without quotes
_LEAD = re.compile(r"^(?:The|These|Each|Any|No|Such|Neither|Either|Both|All|If|This|That) ")
_PHRASE = re.compile(r"[A-Z][\w’'&-]*(?:\s{1,3}(?:(?:of|and|for)\s(?:the\s)?)?[A-Z][\w’'&-]*)*")
_USES = ("used", "acts", "bare")
_CASED = ("term", *_USES, "attached", "names", "signing")
# Of the numbers of `used_phrases`, from benchmarks/proofreading/train.py; the first with a limit of -0.4.
_WEIGHTS = (-3.7, 0.25, 0.41, 0.25, -0.6, 1.15, -0.12, 0.35, 0.76, -1.01, 0.68, 1.18, 1.45)
_MONTHS = "|".join(sorted(MONTHS, key=len, reverse=True))
_P = {
    name: lazy_re(re.sub(r"(?<!\[) ", r"\\s{1,40}", "|".join(lines)), re.M | (0 if name in _CASED else re.I))
    for name, lines in load_patterns("localrag.redline", "proofreading.txt", months=_MONTHS).items()
}


@dataclass(frozen=True, slots=True)
class Fault:
    """An error of drafting: its place and clause, the words (offsets are in the page), why, and what is meant.

    `times` is how often it is there; the place is that of the first.
    """

    kind: Kind
    place: str
    clause: str
    quote: str
    reason: str
    meant: str
    page: int | None
    start: int
    end: int
    times: int = 1

    @property
    def said(self) -> str:
        """The reason, with how often it is there and what is meant."""
        often = f" ({self.times} times)" if self.times > 1 else ""
        return f"{self.reason}{often}{f'; meant is perhaps {self.meant}' if self.meant else ''}"

    def cited(self, library: str, document: str) -> Citation:
        """Return the words as a citation of a document."""
        return Citation(library, document, self.page, None, self.place, self.quote, self.start, self.end, 0)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_row(self) -> dict[str, Any]:
        """The finding as the row of a table."""
        named = {"kind": self.kind, "place": self.place, "clause": self.clause, "quote": self.quote}
        return named | {"why": self.reason, "meant": self.meant, "times": self.times}


@dataclass(frozen=True)
class Draft:
    """A document as one text without running headers and footers, and where its pages and clauses begin."""

    pages: Sequence[Page]
    text: str
    starts: Sequence[int]

    @classmethod
    def of(cls, pages: Sequence[Page]) -> Draft:
        lines = running_lines([page.text for page in pages])
        texts = [_quotes(without_lines(page.text, own)) for page, own in zip(pages, lines, strict=True)]
        starts = [sum(len(text) + 1 for text in texts[:at]) for at in range(len(texts))]
        return cls(pages, "\n".join(texts), starts)

    @cached_property
    def _clauses(self) -> tuple[list[int], list[clauses.Clause]]:
        parsed = clauses.parse(self.pages, clauses.running(self.pages))
        found = [one for one in parsed.clauses if one.size]
        return [self._at(parsed.tokens[one.first].page, parsed.tokens[one.first].start) for one in found], found

    def _at(self, page: int, start: int) -> int:
        return self.starts[page] + start

    def labels(self) -> Iterator[tuple[int, int, str]]:
        """Yield the numbers of clauses, each with its span."""
        for one in self._clauses[1]:
            if one.label:
                page, start, end = one.place
                yield self._at(page, start), self._at(page, end), one.label

    def fault(self, kind: Kind, span: tuple[int, int], reason: str, meant: str = "") -> Fault:
        start, end = span
        number = max(0, bisect_right(self.starts, start) - 1)
        page, begin = self.pages[number], self.starts[number]
        places, found = self._clauses
        at = bisect_right(places, start) - 1
        clause = found[at].name if at >= 0 else ""
        last = min(end - begin, len(page.text))
        quote = " ".join(page.text[start - begin : last].split())
        where = place(page.number, page.label, (), page.unit)
        return Fault(kind, where, clause, quote, reason, meant, page.number, start - begin, last)

    @cached_property
    def parties(self) -> list[str]:
        """The names of its parties."""
        return [" ".join(one.name.split()) for one in parties.find(self.text)]

    @cached_property
    def amends(self) -> bool:
        """Whether it changes clauses of another document, whose clauses and schedules it then names."""
        return bool(amendments.changes([page.text for page in self.pages]))

    def is_amended(self, fault: Fault) -> bool:
        """Return whether a fault is in words that an amendment quotes."""
        at = next(start for start, page in zip(self.starts, self.pages, strict=True) if page.number == fault.page)
        before = self.text[max(0, at + fault.start - _MAX_QUOTED) : at + fault.start]
        quoted = (before[one.end() :] for one in _P["amended"].finditer(before))
        return fault.kind in ("reference", "missing", "term") and any(_is_open(text) for text in quoted)


def _is_open(text: str) -> bool:
    """Return whether a text does not end the quotation that it begins with; there may be others inside."""
    depth = list(accumulate((sign == "“") - (sign == "”") for sign in text if sign in "“”"))
    return bool(depth) and min(depth) > 0


def _quotes(text: str) -> str:
    """Return a text whose quotation marks are pairs; its offsets stay."""
    return re.sub(r"‘(?=[A-Z][^‘’“”\n]{1,60}”)", "“", re.sub(r"(?<=\w)“(?=[\s),;.])", "”", text))


def proofread(version: Version, stop: Callable[[], bool] = lambda: False) -> list[Fault]:
    """Return the errors of a document in the order of its text.

    Raises UsageError for what is no running text in English, and Cancelled by `stop`.
    """
    draft = Draft.of(version.pages)
    spoken = language(draft.text)
    if spoken != FALLBACK:
        raise UsageError(f"{version.name!r} is in {spoken.title()}", "Only English is proofread.")
    if version.pages and all(page.unit in _TABLES for page in version.pages):
        what = f"{version.name!r} consists of {version.pages[0].unit}s"
        raise UsageError(what, "Contracts and other running texts are proofread.")
    found: dict[tuple[str, str, str], list[Fault]] = defaultdict(list)
    for check in _CHECKS:
        if stop():
            raise Cancelled("stopped")
        for fault in check(draft):
            if draft.is_amended(fault):
                continue
            found[fault.kind, fault.quote, fault.reason].append(fault)
    once = [replace(own[0], times=len(own)) for own in found.values()]
    return sorted(once, key=lambda one: (one.page or 0, one.start, one.kind))


# --- references and numbers ---------------------------------------------------------------------------------


def _references(draft: Draft) -> Iterator[Fault]:
    """Find references to clauses whose number stands nowhere as one."""
    text = draft.text
    if draft.amends:
        return
    referring: set[int] = set()
    named: list[tuple[int, str]] = []
    for match in _P["reference"].finditer(text):
        numbers = [(match.start("numbers") + one.start(), one[0]) for one in _P["number"].finditer(match["numbers"])]
        if _is_heading(text, match.start()) or _is_run_on(text, *match.span()):
            continue
        referring |= {at for at, _ in numbers}
        after, before = text[match.end() : match.end() + _NEAR], text[max(0, match.start() - _NEAR) : match.start()]
        if _P["elsewhere"].match(after) or _P["law"].search(before):
            continue
        named += numbers
    known = {one[0] for one in _P["number"].finditer(text) if one.start() not in referring}
    labels = {label.rstrip(".:) ").split()[-1] for *_, label in draft.labels()}
    numbered = {depth for depth in range(4) if sum(one.count(".") == depth for one in labels & known) >= _MIN_LABELS}
    gone = {number for _, number in named} - known
    if len(gone) > _MAX_GONE and 2 * len(gone) > len({number for _, number in named}):
        return  # its numbers are not in the text
    for at, number in named:
        parent = number.rpartition(".")[0]
        top = number.partition(".")[0]
        ours = number.count(".") in numbered or not parent or top in known
        if number not in known and ours and len(top) < _LAW:
            own = int(number.rpartition(".")[2])
            others = [int(one[len(parent) + 1 :]) for one in known if parent and one.rpartition(".")[0] == parent]
            ends = f"; {parent} ends with {parent}.{max(others)}" if others and max(others) < own else ""
            yield draft.fault("reference", (at, at + len(number)), f"there is no clause {number}{ends}")


def _is_heading(text: str, at: int) -> bool:
    """Return whether a line begins here that goes on no sentence: "Section 9. Notices"."""
    before = text[:at].rstrip(" \t#*")
    return not before or before.endswith("\n\n") or (before.endswith("\n") and before.rstrip()[-1:] in _STOPS)


def _is_run_on(text: str, start: int, end: int) -> bool:
    """Return whether a heading begins here behind a sentence, or a page of a table of contents: "5 Section 2. Fees"."""
    before = text[:start].rstrip()
    return (before.endswith((".", ";")) or before[-1:].isdigit()) and _TITLED.match(text, end) is not None


def _attachments(draft: Draft) -> Iterator[Fault]:
    """Find schedules and exhibits that are named and not attached, and a missing place for signatures."""
    there = {(one["word"].casefold(), name) for one in _attached(draft) for name in _counted(one["name"])}
    seen: set[tuple[str, str]] = set()
    for match in _P["names"].finditer("" if draft.amends else draft.text):
        keys = {(match["word"].casefold(), name) for name in _counted(match["name"].upper())}
        foreign = _P["elsewhere"].match(draft.text[match.end() : match.end() + 60])
        if draft.text[max(0, match.start() - 5) : match.start()].casefold() == "this ":
            seen |= keys  # the document is that attachment
        if keys & (there | seen) or foreign or _heads(draft.text, *match.span()):
            continue
        seen |= keys
        yield draft.fault("missing", match.span(), f"{match[0]} is named and not attached")
    tail = draft.text[-max(4000, len(draft.text) // 5) :]  # elsewhere a signature may be what a clause speaks of
    if not _P["signs"].search(draft.text) and not _P["signature"].search(tail) and draft.text.strip():
        end = len(draft.text.rstrip(" |\n"))
        start = max(draft.text.rfind("\n", 0, end) + 1, end - _NEAR)
        yield draft.fault("missing", (start, end), "there is no place for signatures")


def _attached(draft: Draft) -> list[re.Match[str]]:
    """Return the headings of attachments."""
    return [one for one in _P["attached"].finditer(draft.text) if _heads(draft.text, one.start("word"), one.end())]


def _heads(text: str, start: int, end: int) -> bool:
    """Return whether the name of an attachment is its heading: a line begins with it, and no sentence goes on there.

    A running line may stand before it, three spaces away.
    """
    before = text[text.rfind("\n", 0, start) + 1 : start]
    if before.strip(" \t#*“\"'("):
        return before.endswith("   ") and _ALONE.match(text, end) is not None
    return _is_heading(text, start) or _ALONE.match(text, end) is not None


def _counted(name: str) -> tuple[str, ...]:
    """Return the name of an attachment, and of a Roman number the Arabic one: "Annex IV" is "Annex 4"."""
    return (name, str(_ROMAN.index(name) + 1)) if name in _ROMAN else (name,)


def _numbering(draft: Draft) -> Iterator[Fault]:
    """Find numbers of clauses that are left out or given twice."""
    last: dict[str, int] = {}
    heads: dict[str, str] = {}
    everywhere = Counter(one[0] for one in _P["number"].finditer(draft.text))
    for start, at, label in draft.labels():
        number = re.sub(r"^[A-Za-z§]+\s*", "", label).rstrip(".:) ")
        if not re.fullmatch(r"\d{1,3}(?:\.\d{1,3}){0,3}", number):
            continue
        parent, _, own = number.rpartition(".")
        value = int(own)
        before = last.get(parent, 0)
        missing = f"{parent}.{before + 1}".lstrip(".")
        words = re.split(r"\d", re.sub(r"\W+", "", draft.text[at : at + _NEAR])[:_SAME].casefold())[0]
        spaced = re.search(rf"(?<![\d.]){re.escape(parent)}\.\s?0?{before + 1}(?!\d)", draft.text) if parent else None
        if before and value == before + 2 and not everywhere[missing] and not spaced:
            yield draft.fault("numbering", (start, at), f"{missing} is left out before {number}")
        elif before and value == before and parent and not words.startswith(heads.get(number, words) or "?"):
            yield draft.fault("numbering", (start, at), f"{number} is there twice", f"{parent}.{value + 1}")
        if value in (before, before + 1, before + 2) or value == 1:
            last[parent] = value
        heads.setdefault(number, words)  # a table of contents has it, too


# --- figures, days and blanks -------------------------------------------------------------------------------


def _figures(draft: Draft) -> Iterator[Fault]:
    """Find amounts whose words and figures disagree: "thirty (45) days"."""
    words = list(find_number_words(draft.text.replace("\n", " ")))
    ends = [one.end for one in words]
    for match in _P["figure"].finditer(draft.text):
        at = bisect_right(ends, match.start()) - 1
        between = draft.text[ends[at] : match.start()] if at >= 0 else "."
        if at < 0 or len(between) > _BETWEEN or not re.fullmatch(r"[\s-]*(?:[a-zA-Z]+[\s-]*){0,3}", between):
            continue
        value = parse_number(match["digits"], money=True)
        if _ORDINAL.search(draft.text[words[at].start : words[at].end]):
            continue
        if draft.text[: words[at].start].endswith("per "):  # six per cent (6%)
            continue
        if "half" in between or "quarter" in between or _YEARS.fullmatch(match["digits"]):
            continue
        if value != words[at].value:
            span = words[at].start, match.end()
            yield draft.fault("figure", span, f"the words say {words[at].value:,} and the figures {match['digits']}")


def _dates(draft: Draft) -> Iterator[Fault]:
    """Find days that no calendar has, and ends before their beginnings."""
    for match in _P["day"].finditer(draft.text):
        month = MONTHS[(match["month"] or match["month2"]).lower()]
        day, year = int(match["day"] or match["day2"]), int(match["year"] or match["year2"])
        last = monthrange(year, month)[1]
        if not 1 <= day <= last:
            yield draft.fault("date", match.span(), f"this month has {last} days")
    days = [(one.start, one.end, one.certain) for one in find_dates(draft.text) if one.certain]
    for (first, stop, begins), (start, end, finishes) in pairwise(days):
        before, between = draft.text[max(0, first - _NEAR) : first], draft.text[stop:start]
        if begins > finishes and _P["runs"].search(before) and _P["ends"].match(between):
            yield draft.fault("date", (first, end), "it ends before it begins")


def _blanks(draft: Draft) -> Iterator[Fault]:
    """Find blanks, brackets to be filled and notes of those who drafted; not what is signed, nor what is redacted."""
    for match in _P["blank"].finditer(draft.text):
        line = draft.text[max(draft.text.rfind("\n", 0, match.start()), match.start() - _NEAR) + 1 : match.start()]
        after = draft.text[match.end() : match.end() + 2 * _NEAR]
        signed = _P["form"].search(line) or not line.strip(" _\t/") or _P["signing"].match(after)
        if match[0].startswith("_") and signed:
            continue
        if match[0][0] == "[" and _P["ticked"].search(
            draft.text[max(0, match.start() - _BOXES) : match.end() + _BOXES]
        ):
            continue  # a box that is not ticked
        yield draft.fault("blank", match.span(), "this is left blank" if match[0][0] in "_[" else "a note of drafting")


def _sums(draft: Draft) -> Iterator[Fault]:
    """Find totals of tables that their rows do not add up to, where the rows of another column or nearly all do."""
    for position, page in enumerate(draft.pages):
        passage = Passage("", "", page.number, page.label, (), page.text, 0, len(page.text), 0.0, position=position)
        columns: dict[tuple[int, int], list[cells.Cell]] = defaultdict(list)
        for cell in cells.find([passage]):
            if not cell.derived:
                columns[cell.table, cell.at[1]].append(cell)
        wrong: dict[int, list[tuple[cells.Cell, Decimal]]] = defaultdict(list)
        right: Counter[int] = Counter()
        for (table, _), own in columns.items():
            run: list[cells.Cell] = []
            for cell in own:
                if not re.match(r"(?:grand |sub)?total\b", cell.row, re.I):
                    run.append(cell)
                    continue
                total = sum((one.value for one in run), Decimal(0))
                if len(run) > 1 and len({one.unit for one in run} - {""}) < 2:
                    if total == cell.value:
                        right[table] += 1
                    elif abs(total - cell.value) < abs(cell.value):
                        wrong[table].append((cell, total))
                run = [cell] if re.match(r"sub", cell.row, re.I) else []
        for table, faults in wrong.items():
            if right[table] or len(faults) == 1:
                for cell, total in faults:
                    span = draft.starts[position] + cell.start, draft.starts[position] + cell.end
                    yield draft.fault("sum", span, "the rows above do not add up to it", f"{total:,}")


# --- terms and parties --------------------------------------------------------------------------------------


def _terms(draft: Draft) -> Iterator[Fault]:
    """Find terms that are defined twice, defined and not used, or used and not defined."""
    defined, elsewhere = _defined(draft)
    if len(defined) < _MIN_TERMS:
        return
    everything = " ".join(draft.text.split())
    parts = [one.start("word") for one in _attached(draft)]
    for name, spans in defined.items():
        if len(spans) > 1 and name not in _COMMON and not _is_anew(draft.text, spans, parts):
            first = draft.fault("term", spans[0], "")
            yield draft.fault("term", spans[1], f"“{name}” is defined before, on {first.place or first.clause}")
        in_capitals = " " in name and draft.text[slice(*spans[0])].isupper()
        uses = len(re.findall(f"(?i:{_forms(name)})" if in_capitals else _forms(name), everything))
        if len(spans) == 1 and uses < 2 and not _is_spared(draft, name, spans[0]):
            yield draft.fault("term", spans[0], f"“{name}” is defined and used nowhere else")
    yield from _undefined(draft, {_singular(name).casefold(): name for name in (*defined, *elsewhere)})


def _is_anew(text: str, spans: Sequence[tuple[int, int]], parts: Sequence[int]) -> bool:
    """Return whether what was named before is only added to, or named again where an attachment begins or is signed."""
    (first, _), (second, end) = spans[:2]
    if _P["extends"].match(text[end : end + _NEAR]) or _P["signing"].match(text[end : end + 2 * _NEAR]):
        return True
    before = text[max(0, second - _NEAR) : second]
    return before.rfind("(") > before.rfind(")") and any(first < at < second for at in parts)


def _is_spared(draft: Draft, name: str, span: tuple[int, int]) -> bool:
    """Return whether a term may stand unused: it is one of two names of a thing, or an abbreviation."""
    after, before = draft.text[span[1] : span[1] + _NEAR], draft.text[max(0, span[0] - _NEAR) : span[0]]
    short = " " not in name and sum(sign.isupper() for sign in name) * 2 > len(name)  # PhRMA
    return name in _COMMON or name.isupper() or short or bool(_P["alias"].match(after) or _P["joined"].search(before))


def _defined(draft: Draft) -> tuple[dict[str, list[tuple[int, int]]], set[str]]:
    """Return where terms get their meaning, and those whose meaning is said to be at another place."""
    defined: dict[str, list[tuple[int, int]]] = defaultdict(list)
    elsewhere: set[str] = set()
    for match in _P["term"].finditer(draft.text):
        group = next(name for name, words in match.groupdict().items() if words)
        name = _titled(re.sub(r"\(\w{1,4}\)$|^([^(]*)\)$", r"\1", " ".join(match[group].split())))
        if group == "called" and _P["titled"].search(draft.text[max(0, match.start() - _NEAR) : match.start()]):
            elsewhere.add(name)  # Section 5 (“Fees”)
            continue
        if group == "line" and name.startswith("The "):
            continue
        if group in ("quoted", "included") or _P["pointer"].search(draft.text[match.end(group) : match.end() + _NEAR]):
            elsewhere.add(name)
        elif not any(match.start(group) < end and start < match.end(group) for start, end in defined[name]):
            defined[name].append(match.span(group))
    return defined, elsewhere


@dataclass(frozen=True)
class Used:
    """How a phrase in capitals is used: behind an article, acting, or otherwise inside a sentence."""

    name: str
    spans: frozenset[tuple[int, int]]
    behind: int
    acting: int
    numbers: tuple[float, ...]

    @property
    def is_ours(self) -> bool:
        """Return whether it is used more than once and is no law."""
        return len(self.spans) >= _MIN_USES and not (" " in self.name and _P["law"].search(self.name))


def used_phrases(draft: Draft) -> list[Used]:
    """Return the phrases in capitals inside sentences, each with the numbers that tell a term from a name.

    The numbers are the same whether or not the document defines the phrase.
    """
    places: dict[str, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    whole = {
        one.start()
        for name in draft.parties
        for one in re.finditer(r"\s+".join(map(re.escape, name.split())), draft.text)
    }
    for pattern in _USES:
        for match in _P[pattern].finditer(draft.text):
            if match.start("name") in whole:
                continue  # "Kaplan" in "Kaplan, Inc."
            name = _LEAD.sub("", _titled(" ".join(match["name"].split())))
            places[name][pattern].append(match.span("name"))
    flat = " ".join(draft.text.split())
    counts = Counter(" ".join(one[0].split()) for one in _PHRASE.finditer(draft.text))
    words = set(re.findall(r"\w+", flat))
    terms = {_singular(name).casefold() for group in _defined(draft) for name in group}
    names = [_plain(name) for name in draft.parties]
    found = []
    for name, own in places.items():
        behind, acting, bare = (len(own[pattern]) for pattern in _USES)
        key = _singular(name).casefold()
        others = terms - {key}
        longer = sum(count for other, count in counts.items() if f" {name} " in f" {other} " and other != name)
        amounts = (behind, acting, bare, longer, counts[name], flat.count(f" {name.lower()}"), len(others))
        small = sum(word[0].lower() + word[1:] in words for word in name.split()) / len(name.split())
        part = any(f" {key} " in f" {one} " for one in others)
        last = any(key.split()[-1] in one.split() for one in others)
        share = behind / (behind + acting + bare)
        heads = any(one.startswith(f"{_plain(name)} ") for one in names)  # "Kaplan" of Kaplan, Inc.
        spans = frozenset(span for each in own.values() for span in each)
        found.append(Used(name, spans, behind, acting, (1.0, *map(log1p, amounts), small, part, last, share, heads)))
    return found


def _undefined(draft: Draft, known: dict[str, str]) -> Iterator[Fault]:
    """Find slips in the terms that are known (in small letters, as written), and what is used as a term and is none."""
    imported = _P["imported"].search(draft.text)
    slips: set[str] = set()
    for span, name, term in _slips(draft, known):
        slips.add(name)
        yield draft.fault("term", span, f"“{name}” is not defined", known[term])
    for one in used_phrases(draft):
        name, own = one.name, _singular(one.name).casefold()
        if own in known or name in slips or _singular(name) in _COMMON or _YOU.search(name):
            continue
        if any(_same(name, term) for term in known):
            continue
        near = _near(own, known)
        part = any(f" {own} " in f" {term} " for term in known)
        acts = one.acting > 1 and not part and not name.isupper()  # "Supplier shall"
        likely = acts or sum(weight * number for weight, number in zip(_WEIGHTS, one.numbers, strict=True)) > 0
        if not (one.behind + one.acting if near else likely and one.is_ours and not imported):
            continue
        if (
            len(re.findall(rf"(?i:this) {re.escape(name)}", draft.text)) * 2 > len(one.spans)  # the document itself
            or _is_explained(name, draft.text)
        ):
            continue
        if near:
            yield draft.fault("term", min(one.spans), f"“{name}” is not defined", known[near[0]])
        else:
            yield draft.fault("term", min(one.spans), f"“{name}” is used {len(one.spans)} times and not defined")


def _slips(draft: Draft, known: Iterable[str]) -> Iterator[tuple[tuple[int, int], str, str]]:
    """Yield phrases in capitals, and the term that each nearly is, whose odd word stands nowhere else in the text."""
    words = Counter(re.findall(r"\w+", draft.text.casefold()))
    for match in _PHRASE.finditer(draft.text):
        name = _LEAD.sub("", _titled(" ".join(match[0].split())))
        own, parts = _singular(name).casefold(), set(re.findall(r"\w+", name.casefold()))
        rare = {word for word in parts if words[word] == 1 and word.isalpha() and len(word) > 1}
        if own in known or len(own) <= _SHORT or not rare:
            continue
        for term in _near(own, known):
            odd = parts - set(re.findall(r"\w+", term))
            if odd and odd <= rare and not _same(own, term):
                start = match[0].casefold().rindex(name.split()[0].casefold())
                yield (match.start() + start, match.end()), name, term
                break


def _near(own: str, known: Iterable[str]) -> list[str]:
    return [term for term in known if abs(len(term) - len(own)) < _SLIP and _ratio(term, own) >= _ALIKE]


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def _parties(draft: Draft) -> Iterator[Fault]:
    """Find names of parties that are written in another way elsewhere."""
    names = [one for one in draft.parties if " " in one and "[" not in one]
    terms, flat = [*_defined(draft)[0], *names], " ".join(draft.text.split())
    for name in names:
        words, own = name.split(), _plain(name)
        others = [one for one in terms if one != name and (one not in names or not _is_slip(_plain(one), own))]
        start = rf"{re.escape(words[0][:3])}[\w.-]*"
        for match in re.finditer(rf"\b(?=({start}(?:[\s,]{{1,3}}[\w&(][\w&.’'/()-]*){{0,{len(words)}}}))", draft.text):
            ends = [one.end() for one in re.finditer(r"[^\s,]+", match[1])]
            every = {count: match[1][:end] for count, end in enumerate(ends, 1 - len(words)) if abs(count) < 2}
            if any(own in _plain(one) for one in every.values()):
                continue
            slips = [
                one for count, one in every.items() if (_is_slip(_plain(one), own) if not count else _same(one, name))
            ]
            slips = [one for one in slips if _plain(one) not in own and not any(_same(one, other) for other in others)]
            if not slips:
                continue
            written = slips[0].rstrip(",;")
            found = " ".join(written.split()).rstrip(".")
            span, right = (match.start(1), match.start(1) + len(written)), name
            if flat.count(found) > flat.count(name) and (at := draft.text.find(name)) >= 0:
                span, right = (at, at + len(name)), found  # the list of parties has the slip
            yield draft.fault("party", span, f"a party is called “{right}”", right)


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", "", name).casefold().split())


def _is_slip(one: str, other: str) -> bool:
    return _ratio(one, other) >= _ALIKE and not _is_another(one, other)


def _is_another(one: str, other: str) -> bool:
    """Return whether names differ in whole short words: "Acme LLC" and "Acme Inc", "Fund IV GP" and "Fund IVA"."""
    words = [[word for word in a.split() if word not in b.split()] for a, b in ((one, other), (other, one))]
    less, more = sorted(map(" ".join, words), key=len)
    if any(more[:at] + more[at + 1 :] == less for at in range(len(more))) and not _NUMERAL.fullmatch(more):
        return len(more) < _LETTERS  # "Nt" is "Net" without a letter
    longest = _SHORT - (_ratio(less, more) >= _UNLIKE)
    return (
        any(words) and all(len(word) < longest for own in words for word in own) and one.split()[0] == other.split()[0]
    )


def _titled(name: str) -> str:
    """Return a term in capitals ("CONFIDENTIAL INFORMATION") as it is written elsewhere."""
    return name.title() if name.isupper() and len(name) > _SHORT else name


def _singular(name: str) -> str:
    if name.endswith("ies"):
        return re.sub(r"(?<=[a-z])ies$", "y", name)
    return re.sub(r"(?:(?<=[xz])|(?<=[cs]h))es$|(?<=[A-Za-z]{2})s$", "", name)


def _forms(name: str) -> str:
    """Return a pattern of a term in all its forms: each of its words singular or plural, or all in capitals."""
    first, *others = (re.escape(re.sub(r"y$", "", _singular(word))) + r"(?:y|ies|e?s)?" for word in name.split())
    pattern = r"\s".join([first, *(f"(?i:{word})" for word in others)])
    return rf"(?<!\w)(?:{pattern}|{re.escape(name.upper())}S?)(?!\w)"


def _is_explained(name: str, text: str) -> bool:
    """Return whether a term is defined elsewhere by the words behind it, or named by a label: "The lessor: ..."."""
    own = re.escape(_singular(name))
    label = rf"(?i:{own[0]}){own[1:]}s?:\s"  # not in capitals, as where one signs
    here = r"(?! (?:(?:below|above|herein|hereunder|hereinafter)\b|in [Ss]ection \d[\w.()]*+(?! of\b)))"  # this text
    as_defined = rf"as\s(?:(?!here)\w+\s){{0,6}}defined{here}"
    pattern = rf"{own}s?[”\"]?,?\s{{1,9}}(?:\((?:meaning|defined as)\b|\(?{as_defined})"
    labelled = re.search(rf"^[ \t]*(?i:the )?{label}", text, re.M)
    return re.search(pattern, text) is not None or (labelled is not None and labelled.start() <= text.find(name))


def _same(one: str, other: str) -> bool:
    return re.sub(r"[\W_]", "", one).casefold() == re.sub(r"[\W_]", "", other).casefold()


_CHECKS = (_references, _attachments, _numbering, _figures, _dates, _blanks, _sums, _terms, _parties)

"""Compare two versions of a document: changed, added, deleted, moved and renumbered clauses, substance first."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from localrag.redline import substance
from localrag.redline.alignment import Hunk, ascending, hunks, likeness, moves
from localrag.redline.clauses import Clause, Text, parse, running
from localrag.redline.substance import SUBSTANCE, Names
from localrag.security.terminal import counted
from localrag.types import Page, place

Deed = Literal["changed", "added", "deleted", "moved", "renumbered"]
Level = Literal["substance", "wording", "form"]
LEVELS: tuple[Level, ...] = ("substance", "wording", "form")
_MOVED = 0.6  # likeness of what moved
_PAIRED = 0.5  # of two clauses in one place
_MIN_MOVED = 5  # words
_SHARED = 2  # words that begin or end two clauses that have nothing in common
_BEFORE = 10  # words of context


@dataclass(frozen=True, slots=True)
class Version:
    """A document to be compared: its name, its pages, and what was not read of it."""

    name: str
    pages: tuple[Page, ...]
    sha256: str = ""
    library: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Side:
    """What one version says: its words on one line, its clause, its place, and its spans.

    A span is a page's position, and half-open offsets into its text; a change without words here has the place where
    they would be.
    """

    text: str
    clause: str
    place: str
    spans: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Words of a redline: in both versions ("="), only in the old ("-") or only in the new ("+")."""

    sign: Literal["=", "-", "+"]
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One change, with the words before and after it."""

    deed: Deed
    kinds: tuple[str, ...]
    old: Side
    new: Side
    before: str = ""
    after: str = ""

    @property
    def title(self) -> str:
        """What was changed and where: "4.2 Payment, p. 3 (was p. 2): amount, modal"."""
        shown, was = (self.old, self.new) if self.deed == "deleted" else (self.new, self.old)
        where = ", ".join(part for part in (shown.clause, shown.place) if part) or "at the beginning"
        if self.deed in ("moved", "renumbered", "changed") and (was.clause, was.place) != (shown.clause, shown.place):
            names = (was.clause if was.clause != shown.clause else "", was.place if was.place != shown.place else "")
            where += f" (was {', '.join(filter(None, names))})" if any(names) else ""
        kinds = ", ".join("defined term" if kind == "term" else kind for kind in self.kinds)
        what = ", ".join(filter(None, ("" if self.deed == "changed" else self.deed, kinds)))
        return f"{where}: {what}"

    @property
    def runs(self) -> tuple[Run, ...]:
        """The words that went and came, between those before and after them."""
        marked = (Run("=", self.before), Run("-", self.old.text), Run("+", self.new.text), Run("=", self.after))
        return tuple(run for run in marked if run.text)

    @property
    def level(self) -> Level:
        if self.deed in ("moved", "renumbered"):
            return "form"
        if self.deed in ("added", "deleted") and "clause" in self.kinds:
            return "substance"
        return "substance" if self.kinds[0] in SUBSTANCE else "form" if self.kinds[0] == "form" else "wording"


# A clause of the redline; one whose runs are all "-" is in the old version only.
Paragraph = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two versions, substance first, and the new text with all changes in it."""

    old: Version
    new: Version
    changes: tuple[Change, ...]
    paragraphs: tuple[Paragraph, ...]

    @property
    def summary(self) -> str:
        """How much changed, in words."""
        if not self.changes:
            return "No differences."
        counts = self.counts
        levels = [f"{counts.get(level, 0)} of {level}" for level in LEVELS]
        kinds = ", ".join(f"{name} {count}" for name, count in counts.items() if name not in LEVELS)
        return f"{counted(len(self.changes), 'change')}: {', '.join(levels)}. By kind: {kinds or 'none'}."

    @property
    def counts(self) -> dict[str, int]:
        """How many changes there are of each level, and of each kind or deed."""
        levels = Counter(one.level for one in self.changes)
        kinds = Counter(kind for one in self.changes for kind in (one.deed, *one.kinds) if kind != "changed")
        order = (*LEVELS, "added", "deleted", "moved", "renumbered", *SUBSTANCE)
        return {name: count for name in order if (count := levels[name] if name in LEVELS else kinds[name])}

    def to_dict(self) -> dict[str, Any]:
        def side(one: Side, version: Version) -> dict[str, Any]:
            spans = [{"page": version.pages[at].number, "start": a, "end": b} for at, a, b in one.spans]
            return {"text": one.text, "clause": one.clause, "place": one.place, "spans": spans}

        def about(one: Version) -> dict[str, Any]:
            library = one.library or None
            return {"document": one.name, "library": library, "sha256": one.sha256, "not_read": list(one.notes)}

        return {
            "old": about(self.old), "new": about(self.new),
            "counts": self.counts,
            "changes": [
                {"deed": one.deed, "level": one.level, "kinds": list(one.kinds), "old": side(one.old, self.old),
                 "new": side(one.new, self.new), "before": one.before, "after": one.after}
                for one in self.changes
            ],
        }  # fmt: skip


def compare(old: Version, new: Version) -> Comparison:
    """Compare two versions; see `Comparison`."""
    known = running(old.pages) | running(new.pages)
    work = _Work(parse(old.pages, known), parse(new.pages, known))
    changes = sorted(work.changes(), key=lambda one: LEVELS.index(one.level))
    return Comparison(old, new, tuple(changes), tuple(work.paragraphs()))


class _Work:
    """One comparison under way."""

    def __init__(self, old: Text, new: Text) -> None:
        self.old, self.new = old, new
        self.names = Names.of(old, new)
        starts = (set(old.starts) | {len(old.tokens)}, set(new.starts) | {len(new.tokens)})
        found = hunks(old.keys, new.keys, starts)
        self.end = Hunk(len(old.tokens), len(old.tokens), len(new.tokens), len(new.tokens))
        for at, (one, after) in enumerate(pairwise([*found, self.end])):
            found[at] = self._widened(one, found[at - 1].b if at else 0, after.a)
        self.edits = self._with_case([part for one in found for part in self._parts(one)])
        self.moved = self._moves()
        self.aligned = set[tuple[int, int]]()  # tokens of both that are the same, or where a change begins
        self.partner = self._partners()
        pairs = ((self.old.clauses[i].label, self.new.clauses[j].label) for i, j in self.partner.items())
        self.renumbered = {_bare(a): _bare(b) for a, b in pairs if a and b}

    # --- what differs ---------------------------------------------------------------------------------------

    def _cut(self, text: Text, first: int, last: int) -> list[tuple[int, int]]:
        """Cut tokens where clauses begin."""
        low, high = bisect_left(text.starts, first + 1), bisect_left(text.starts, last)
        ends = [first, *text.starts[low:high], last]
        return [(a, b) for a, b in pairwise(ends) if a < b]

    def _widened(self, one: Hunk, low: int, high: int) -> Hunk:
        """Take the "The" and the full stop that two clauses share into the change that replaces one by the other.

        `low` and `high` are where the changes before and after it end and begin.
        """
        if min(one.b - one.a, one.d - one.c) < _MIN_MOVED:
            return one
        first, last = self.old.clauses[self.old.at(one.a)], self.old.clauses[self.old.at(one.b - 1)]
        other_first, other_last = self.new.clauses[self.new.at(one.c)], self.new.clauses[self.new.at(one.d - 1)]
        lead, tail = one.a - first.first, last.last - one.b
        same = (lead, tail) == (one.c - other_first.first, other_last.last - one.d) and max(lead, tail) <= _SHARED
        if not same or one.a - lead < low or one.b + tail > high:
            return one
        return Hunk(one.a - lead, one.b + tail, one.c - lead, one.d + tail)

    def _parts(self, one: Hunk) -> list[Hunk]:
        """Cut a change at clauses, and pair what is alike on both sides."""
        if _is_layout(one, self.old, self.new):
            return [one]
        gone, come = self._cut(self.old, one.a, one.b), self._cut(self.new, one.c, one.d)
        if len(gone) == len(come) == 1:
            whole = self._is_whole(self.old, *gone[0]) and self._is_whole(self.new, *come[0])
            if not whole or likeness(self.old.keys[one.a : one.b], self.new.keys[one.c : one.d]) >= _PAIRED / 2:
                return [one]
        ours, theirs = ([text.keys[a:b] for a, b in cut] for text, cut in ((self.old, gone), (self.new, come)))
        pairs = sorted(moves(ours, theirs, _PAIRED))
        for k in (0, -1) if gone and come else ():  # what goes on from, or into, the same words
            ends = k % len(gone), k % len(come)
            partial = not (self._is_whole(self.old, *gone[k]) or self._is_whole(self.new, *come[k]))
            if partial and not any(i == ends[0] or j == ends[1] for i, j in pairs):
                pairs.append(ends)
        found: list[Hunk] = []
        i = j = 0
        for a, b in [*ascending(sorted(pairs)), (len(gone), len(come))]:
            at = come[j][0] if j < len(come) else one.d
            found += [Hunk(*gone[k], at, at) for k in range(i, a)]
            at = gone[a][0] if a < len(gone) else one.b
            found += [Hunk(at, at, *come[k]) for k in range(j, b)]
            if a < len(gone):
                found += [
                    Hunk(x + gone[a][0], y + gone[a][0], z + come[b][0], w + come[b][0])
                    for x, y, z, w in hunks(ours[a], theirs[b])
                ]
            i, j = a + 1, b + 1
        return found

    def _is_whole(self, text: Text, first: int, last: int) -> bool:
        clause = text.clauses[text.at(first)]
        return (clause.first, clause.last) == (first, last)

    def _with_case(self, found: Sequence[Hunk]) -> list[Hunk]:
        """Add the words that differ in case alone."""
        edits: list[Hunk] = []
        i = j = 0
        for one in [*found, self.end]:
            first = -1
            for k in range(one.a - i + 1):
                ours, theirs = (
                    ("", "") if k == one.a - i else (self.old.tokens[i + k].text, self.new.tokens[j + k].text)
                )
                differs = ours != theirs and ours.lower() == theirs.lower()
                if differs and first < 0:
                    first = k
                elif not differs and first >= 0:
                    edits.append(Hunk(i + first, i + k, j + first, j + k))
                    first = -1
            edits += [one] if one.a != one.b or one.c != one.d else []
            i, j = one.b, one.d
        return edits

    def _moves(self) -> list[tuple[Hunk, Hunk]]:
        gone = [one for one in self.edits if one.c == one.d and one.b - one.a >= _MIN_MOVED]
        come = [one for one in self.edits if one.a == one.b and one.d - one.c >= _MIN_MOVED]
        keys = [self.old.keys[one.a : one.b] for one in gone], [self.new.keys[one.c : one.d] for one in come]
        return [(gone[i], come[j]) for i, j in moves(*keys, _MOVED)]

    def _partners(self) -> dict[int, int]:
        """Return for each clause of the old version the one of the new that has most of its words."""
        votes: dict[int, Counter[int]] = {}
        i = j = 0
        for one in [*self.edits, self.end]:
            for k in range(one.a - i):
                votes.setdefault(self.old.at(i + k), Counter())[self.new.at(j + k)] += 1
                self.aligned.add((i + k, j + k))
            self.aligned.add((one.a, one.c))
            i, j = one.b, one.d
        for left, right in self.moved:
            votes.setdefault(self.old.at(left.a), Counter())[self.new.at(right.c)] += left.b - left.a
            self.aligned.add((left.a, right.c))
        taken: dict[int, int] = {}
        for number, counter in sorted(votes.items(), key=lambda item: -item[1].most_common(1)[0][1]):
            best, count = counter.most_common(1)[0]
            clause = self.old.clauses[number]
            if best not in taken and count * 3 >= clause.last - clause.first:
                taken[best] = number
        return {number: best for best, number in taken.items()}

    # --- what is reported -----------------------------------------------------------------------------------

    def changes(self) -> Iterator[Change]:
        """Yield the changes in the order of the new text; those inside what moved come with it."""
        away, came = {left for left, _ in self.moved}, {right: left for left, right in self.moved}
        for one in self.edits:
            if one in came:
                left = came[one]
                yield Change("moved", (), self._side(self.old, left.a, left.b), self._side(self.new, one.c, one.d))
                for x, y, z, w in hunks(self.old.keys[left.a : left.b], self.new.keys[one.c : one.d]):
                    yield self._change(Hunk(x + left.a, y + left.a, z + one.c, w + one.c))
            elif one not in away and not _is_layout(one, self.old, self.new):
                yield self._change(one)
        for number, other in self.partner.items():
            ours, theirs = self.old.clauses[number], self.new.clauses[other]
            begins = (ours.first, theirs.first) in self.aligned
            if begins and _bare(ours.label) != _bare(theirs.label) and _shape(ours.label) == _shape(theirs.label):
                yield Change("renumbered", ("form",), _numbered(ours, self.old), _numbered(theirs, self.new))

    def _change(self, at: Hunk) -> Change:
        deed: Deed = "added" if at.a == at.b else "deleted" if at.c == at.d else "changed"
        found = substance.kinds(self.old, self.new, at, self.names, self.renumbered)
        text, first, last = (self.old, at.a, at.b) if deed == "deleted" else (self.new, at.c, at.d)
        if deed != "changed" and self._is_whole(text, first, last) and found != ("form",):
            found = (
                "clause",
                *(kind for kind in found if kind in SUBSTANCE and kind not in ("term", "party", "reference")),
            )
        clause = text.clauses[text.at(first)] if text.tokens else Clause(0, 0, "", (0, 0, 0), "")
        before = text.written(max(clause.first, first - _BEFORE), first)
        after = text.written(last, min(max(clause.last, last), last + _BEFORE))
        return Change(deed, found, self._side(self.old, at.a, at.b), self._side(self.new, at.c, at.d), before, after)

    def _side(self, text: Text, first: int, last: int) -> Side:
        if not text.tokens:
            return Side("", "", "", ())
        near = text.tokens[min(first, len(text.tokens) - 1)]
        spans: dict[int, tuple[int, int, int]] = {}
        for token in text.tokens[first:last]:
            start = spans[token.page][1] if token.page in spans else token.start
            spans[token.page] = (token.page, start, token.end)
        page = text.pages[near.page]
        clause = text.clauses[text.at(min(first, len(text.tokens) - 1))]
        where = place(page.number, page.label, (), page.unit)
        empty = ((near.page, near.start, near.start),)
        return Side(text.written(first, last), clause.name, where, tuple(spans.values()) or empty)

    # --- the redline ----------------------------------------------------------------------------------------

    def paragraphs(self) -> Iterator[Paragraph]:
        """Yield the new text, clause by clause, with what was deleted and added."""
        away = {self.old.at(left.a) for left, _ in self.moved}
        stays = {old: new for old, new in self.partner.items() if old not in away}
        was = {new: self.old.clauses[old].label for old, new in stays.items()}
        runs: list[Run] = []
        current: tuple[str, int] = ("", 0)
        for sign, first, last in self._spans():
            text = self.old if sign == "-" else self.new
            for a, b in self._cut(text, first, last):
                number = text.at(a)
                label, here = text.clauses[number].label, current
                if sign != "-":
                    here = ("=" if number in was else "+", number)
                elif a == text.clauses[number].first:
                    here = ("=", stays[number]) if number in stays else ("-", number)
                if here != current:
                    if runs:
                        yield _paragraph(runs)
                    now = self.new.clauses[here[1]].label if here[0] == "=" else label
                    runs = _label(was[here[1]], now) if here[0] == "=" else [Run(sign, label)]
                    current = here
                lead = " " if text.tokens[a].space and any(run.text for run in runs) else ""
                runs.append(Run(sign, lead + text.written(a, b)))
        yield _paragraph(runs)

    def _spans(self) -> Iterator[tuple[Literal["=", "-", "+"], int, int]]:
        j = 0
        for one in self.edits:
            if j < one.c:
                yield "=", j, one.c
            if one.a < one.b:
                yield "-", one.a, one.b
            if one.c < one.d:
                yield "+", one.c, one.d
            j = one.d
        if j < len(self.new.tokens):
            yield "=", j, len(self.new.tokens)


def _bare(label: str) -> str:
    return label.strip(" .:").casefold()


def _shape(label: str) -> str:
    """Return a number without its value, since only one of its kind can take its place: "(#)", "#.#"."""
    return re.sub(r"[a-z]+", "a", re.sub(r"\d+", "#", _bare(label)))


def _numbered(clause: Clause, text: Text) -> Side:
    page = text.pages[clause.place[0]]
    return Side(clause.label, clause.name, place(page.number, page.label, (), page.unit), (clause.place,))


def _label(before: str, after: str) -> list[Run]:
    return [Run("=", after)] if before == after else [Run("-", before), Run("+", after)]


def _paragraph(runs: Sequence[Run]) -> Paragraph:
    """Join runs of one sign that follow each other."""
    joined: list[Run] = []
    for run in runs:
        if joined and joined[-1].sign == run.sign:
            joined[-1] = Run(run.sign, joined[-1].text + run.text)
        elif run.text:
            joined.append(run)
    return tuple(joined)


def _is_layout(one: Hunk, old: Text, new: Text) -> bool:
    """Whether both sides say the same, if the numbers of clauses count, which one side alone recognises as such."""
    ours, theirs = ({_numbered_text(text, a, b, last) for last in (False, True)} for text, a, b in (
        (old, one.a, one.b), (new, one.c, one.d)
    ))  # fmt: skip
    return bool(ours & theirs) and _numbered_text(old, one.a, one.b) != _numbered_text(new, one.c, one.d)


def _numbered_text(text: Text, first: int, last: int, behind: bool | None = None) -> str:
    """Return the letters of tokens with the numbers of the clauses that begin there, or right `behind` them."""
    parts: list[str] = []
    end = first if behind is None else last + behind
    for number in range(bisect_left(text.starts, first), bisect_left(text.starts, end)):
        clause = text.clauses[number]
        parts += [text.written(first, clause.first), clause.label]
        first = clause.first
    return "".join(filter(str.isalnum, "".join([*parts, text.written(first, last)]).casefold()))

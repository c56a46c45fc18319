"""Compare two versions of a document: changed, added, deleted, moved and renumbered clauses, substance first."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Literal

from localrag.redline import substance
from localrag.redline.alignment import Hunk, ascending, between, hunks, moves
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
_SHARED = 0.4  # of the words of the shorter one, of two clauses that are one clause changed
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
    """What one version says: its words on one line, with " … " for those that stay; its clause, place and spans.

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
    """What changed in one clause; `runs` are the words that went and came, with some of those around them."""

    deed: Deed
    kinds: tuple[str, ...]
    old: Side
    new: Side
    runs: tuple[Run, ...]

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
                 "new": side(one.new, self.new), "runs": [{"sign": run.sign, "text": run.text} for run in one.runs]}
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
        self.end = Hunk(len(old.tokens), len(old.tokens), len(new.tokens), len(new.tokens))
        found = self._unrelated(hunks(old.keys, new.keys, starts))
        self.edits = self._with_case([part for one in found for part in self._parts(one)])
        self.moved = self._moves()
        self.partner = self._partners()
        pairs = ((self.old.clauses[i].label, self.new.clauses[j].label) for i, j in self.partner.items())
        self.renumbered = {_bare(a): _bare(b) for a, b in pairs if a and b}

    # --- what differs ---------------------------------------------------------------------------------------

    def _cut(self, text: Text, first: int, last: int) -> list[tuple[int, int]]:
        """Cut tokens where clauses begin."""
        low, high = bisect_left(text.starts, first + 1), bisect_left(text.starts, last)
        ends = [first, *text.starts[low:high], last]
        return [(a, b) for a, b in pairwise(ends) if a < b]

    def _same(self, found: Sequence[Hunk]) -> Iterator[tuple[int, int]]:
        """Yield the tokens of both versions that are the same."""
        i = j = 0
        for one in [*found, self.end]:
            yield from ((i + k, j + k) for k in range(one.a - i))
            i, j = one.b, one.d

    def _unrelated(self, found: Sequence[Hunk]) -> list[Hunk]:
        """Take the few words that two clauses share into the change that replaces one by the other."""
        votes = Counter[tuple[int, int]]()
        best: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for a, c in self._same(found):
            votes[self.old.at(a), self.new.at(c)] += 1
        for pair, _ in reversed(votes.most_common()):
            best[0][pair[0]], best[1][pair[1]] = pair[1], pair[0]
        apart = set[tuple[int, int]]()
        for (i, j), count in votes.items():
            least = min(one.last - one.first for one in (self.old.clauses[i], self.new.clauses[j]))
            if least >= _MIN_MOVED and count < _SHARED * least and (best[0][i], best[1][j]) == (j, i):
                apart.add((i, j))
        same = [(a, c) for a, c in self._same(found) if (self.old.at(a), self.new.at(c)) not in apart]
        return between([*same, (len(self.old.tokens), len(self.new.tokens))])

    def _parts(self, one: Hunk) -> list[Hunk]:
        """Cut a change at clauses, and pair what is alike on both sides."""
        if _is_layout(one, self.old, self.new):
            return [one]
        gone, come = self._cut(self.old, one.a, one.b), self._cut(self.new, one.c, one.d)
        if len(gone) == len(come) == 1 and not (
            self._is_whole(self.old, *gone[0]) and self._is_whole(self.new, *come[0])
        ):
            return [one]
        ours, theirs = ([text.keys[a:b] for a, b in cut] for text, cut in ((self.old, gone), (self.new, come)))
        pairs = ascending(sorted(moves(ours, theirs, _PAIRED)))
        found: list[Hunk] = []
        i = j = 0
        for a, b in [*pairs, (len(gone), len(come))]:
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
        case: list[Hunk] = []
        for a, c in self._same(found):
            ours, theirs = self.old.tokens[a].text, self.new.tokens[c].text
            if ours != theirs and ours.lower() == theirs.lower():
                goes_on = case and (case[-1].b, case[-1].d) == (a, c)
                before = case.pop() if goes_on else Hunk(a, a, c, c)
                case.append(before._replace(b=a + 1, d=c + 1))
        return sorted(
            (one for one in [*found, *case] if one.a != one.b or one.c != one.d), key=lambda one: (one.a, one.c)
        )

    def _moves(self) -> list[tuple[Hunk, Hunk]]:
        """Pair what was deleted and what was added where it is alike, or the same heading."""
        gone = [one for one in self.edits if one.c == one.d and self._may_move(self.old, one.a, one.b)]
        come = [one for one in self.edits if one.a == one.b and self._may_move(self.new, one.c, one.d)]
        ours, theirs = [self.old.keys[one.a : one.b] for one in gone], [self.new.keys[one.c : one.d] for one in come]
        pairs = moves(ours, theirs, _MOVED)
        return [(gone[i], come[j]) for i, j in pairs if len(ours[i]) >= _MIN_MOVED or ours[i] == theirs[j]]

    def _may_move(self, text: Text, first: int, last: int) -> bool:
        return last - first >= _MIN_MOVED or (
            self._is_whole(text, first, last) and bool(text.clauses[text.at(first)].label)
        )

    def _partners(self) -> dict[int, int]:
        """Return for each clause of the old version the one of the new that has most of its words."""
        votes: dict[int, Counter[int]] = {}
        # Tokens of both that are the same, or where a change begins.
        self.aligned = {*self._same(self.edits), *((one.a, one.c) for one in self.edits)}
        for a, c in self._same(self.edits):
            votes.setdefault(self.old.at(a), Counter())[self.new.at(c)] += 1
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
        stay = [one for one in self.edits if one not in away and not _is_layout(one, self.old, self.new)]
        for _, group in groupby(stay, lambda one: one if one in came else self._clause(one)):
            edits = list(group)
            if (left := came.get(one := edits[0])) is not None:
                was, now = self._side(self.old, [(left.a, left.b)]), self._side(self.new, [(one.c, one.d)])
                yield Change("moved", (), was, now, (Run("=", now.text),))
                edits = [
                    Hunk(x + left.a, y + left.a, z + one.c, w + one.c)
                    for x, y, z, w in hunks(self.old.keys[left.a : left.b], self.new.keys[one.c : one.d])
                ]
            if edits:
                yield self._change(edits)
        for number, other in self.partner.items():
            ours, theirs = self.old.clauses[number], self.new.clauses[other]
            begins = (ours.first, theirs.first) in self.aligned
            if begins and _bare(ours.label) != _bare(theirs.label) and _shape(ours.label) == _shape(theirs.label):
                sides = _numbered(ours, self.old), _numbered(theirs, self.new)
                yield Change("renumbered", ("form",), *sides, tuple(_label(ours.label, theirs.label)))

    def _clause(self, one: Hunk) -> int | Hunk:
        """Return the number of the new clause that an edit is in, or the edit if that clause came or went with it."""
        if one.c < one.d:
            return one if one.a == one.b and self._is_whole(self.new, one.c, one.d) else self.new.at(one.c)
        whole = self._is_whole(self.old, one.a, one.b)
        return one if whole else self.partner.get(self.old.at(one.a), one)

    def _change(self, edits: Sequence[Hunk]) -> Change:
        """Return the change of a clause: one edit, or several."""
        gone, come = [(one.a, one.b) for one in edits], [(one.c, one.d) for one in edits]
        deleted, added = all(c == d for c, d in come), all(a == b for a, b in gone)
        deed: Deed = "added" if added else "deleted" if deleted else "changed"
        each = {kind for one in edits for kind in substance.kinds(self.old, self.new, one, self.names, self.renumbered)}
        found = [kind for kind in substance.KINDS if kind in each]
        found = [kind for kind in found if kind in SUBSTANCE] or found[:1]
        text, places = (self.old, gone) if deed == "deleted" else (self.new, come)
        (first, _), (_, last) = places[0], places[-1]
        if deed != "changed" and len(edits) == 1 and self._is_whole(text, first, last) and found != ["form"]:
            found = [
                "clause",
                *(kind for kind in found if kind in SUBSTANCE and kind not in ("term", "party", "name", "reference")),
            ]
        clause = text.clauses[text.at(first)] if text.tokens else Clause(0, 0, "", (0, 0, 0), "")
        runs = [Run("=", text.written(max(clause.first, first - _BEFORE), first))]
        for (one, where), after in zip(zip(edits, places, strict=True), [*places[1:], None], strict=True):
            runs += [Run("-", self.old.written(one.a, one.b)), Run("+", self.new.written(one.c, one.d))]
            end = where[1] if after is None else after[0]
            if after and end - where[1] > 2 * _BEFORE:
                start, stop = where[1], where[1] + _BEFORE
                runs.append(Run("=", f"{text.written(start, stop)} … {text.written(end - _BEFORE, end)}"))
            elif after:
                runs.append(Run("=", text.written(where[1], end)))
        runs.append(Run("=", text.written(last, min(max(clause.last, last), last + _BEFORE))))
        shown = tuple(run for run in runs if run.text)
        return Change(deed, tuple(found), self._side(self.old, gone), self._side(self.new, come), shown)

    def _side(self, text: Text, places: Sequence[tuple[int, int]]) -> Side:
        if not text.tokens:
            return Side("", "", "", ())
        first = min(places[0][0], len(text.tokens) - 1)
        near = text.tokens[first]
        spans: list[tuple[int, int, int]] = []
        for one in places:
            on: dict[int, tuple[int, int, int]] = {}
            for token in text.tokens[slice(*one)]:
                on[token.page] = (token.page, on.get(token.page, (0, token.start))[1], token.end)
            spans += on.values()
        page = text.pages[near.page]
        words = " … ".join(filter(None, (text.written(*one) for one in places)))
        empty = ((near.page, near.start, near.start),)
        where = place(page.number, page.label, (), page.unit)
        return Side(words, text.clauses[text.at(first)].name, where, tuple(spans) or empty)

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

"""Compare two versions of a document: changed, added, deleted, moved and renumbered clauses, substance first."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Any, Literal

from localrag.diff import substance
from localrag.diff.clauses import Comment, Text, comments_of, parse, running, unplaced, where
from localrag.diff.substance import SUBSTANCE, Hunk, Names, ascending, between, hunks, moves
from localrag.security.terminal import counted
from localrag.types import Page

Deed = Literal["changed", "added", "deleted", "moved", "renumbered"]
Level = Literal["substance", "wording", "form"]
LEVELS: tuple[Level, ...] = ("substance", "wording", "form")
_MOVED = 0.6  # likeness of what moved
_PAIRED = 0.5  # of two clauses in one place
_MIN_MOVED = 5  # words; fewer that came or went are a change of their clause
_SHARED = 0.4  # of the words of the shorter one, of two clauses that are one clause changed
_MIN_SHARED = 3  # words, as "Reserved." shares its stop with any clause
_BEFORE = 10  # words of context
_RELATED = 0.3  # of the words of the shorter one, of two versions of a document


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

    A span is a page's position, and half-open offsets into its text; where the other version has words and this one
    none, it is the place where they would be. `numbers` are the positions of the clauses among all.
    """

    text: str
    clause: str
    place: str
    spans: tuple[tuple[int, int, int], ...]
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """Words of a redline, in both versions ("="), only the old ("-") or the new ("+"), perhaps behind a `space`."""

    sign: Literal["=", "-", "+"]
    text: str
    space: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What changed in one clause: the words that went and came, with some around them, and the comments on it."""

    deed: Deed
    kinds: tuple[str, ...]
    old: Side
    new: Side
    runs: tuple[Run, ...]
    comments: tuple[Comment, ...] = ()

    @property
    def title(self) -> str:
        """What was changed and where: "4.2 Payment, p. 3 (was p. 2): amount, modal"."""
        # Where a version has no words, its side is beside the clause, perhaps in the next one.
        shown, was = (self.new, self.old) if self.new.text else (self.old, self.new)
        at = ", ".join(filter(None, (shown.clause, shown.place))) or "at the beginning"
        if was.text:
            names = ((was.clause, shown.clause), (was.place, shown.place))
            at += f" (was {', '.join(other)})" if (other := [one for one, now in names if one and one != now]) else ""
        kinds = [{"term": "defined term", "binding": "binding words"}.get(kind, kind) for kind in self.kinds]
        return f"{at}: {', '.join([self.deed, *kinds] if self.deed != 'changed' else kinds)}"

    @property
    def level(self) -> Level:
        kind = "form" if self.deed in ("moved", "renumbered") else self.kinds[0]
        return "substance" if kind in ("clause", *SUBSTANCE) else "form" if kind == "form" else "wording"


# A clause of the redline; one whose runs are all "-" is in the old version only.
Paragraph = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is shown of a clause: its changes under the name of their side, which is empty where there is one side."""

    level: Level
    title: str
    changes: tuple[tuple[str, Change], ...]
    comments: tuple[Comment, ...]
    state: str = ""

    @property
    def sides(self) -> list[tuple[str, tuple[Run, ...]]]:
        """The runs of each change behind its side and its deed."""
        return [(f"{side}, {one.deed}: " if side else "", one.runs) for side, one in self.changes]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two versions, substance first, and the new text with all changes in it.

    `alike` is the share of the words of the shorter version that the other has too. `comments` are those on clauses
    that did not change, `beside` those on each paragraph. `places` are the paragraphs, by number, in which each change
    was and is.
    """

    old: Version
    new: Version
    changes: tuple[Change, ...]
    paragraphs: tuple[Paragraph, ...]
    alike: float = 1.0
    comments: tuple[Comment, ...] = ()
    beside: tuple[tuple[Comment, ...], ...] = ()
    places: tuple[tuple[int, int], ...] = ()

    @property
    def sides(self) -> dict[str, Version]:
        return {"old": self.old, "new": self.new}

    @property
    def pairs(self) -> dict[str, Comparison]:
        return {"": self}

    @property
    def summary(self) -> str:
        """How much changed, in words."""
        if not self.changes:
            return f"No differences. {self.unseen}".rstrip()
        levels = [f"{self.counts.get(level, 0)} of {level}" for level in LEVELS]
        kinds = ", ".join(f"{name} {count}" for name, count in self.counts.items() if name not in LEVELS)
        found = f"{counted(len(self.changes), 'change')}: {', '.join(levels)}. By kind: {kinds or 'none'}."
        return f"{found} {self.unseen}".rstrip()

    @property
    def unseen(self) -> str:
        """What the changes do not show, in words: few words in both, other comments, running headers and footers."""
        old, new = (comments_of(one.pages) for one in (self.old, self.new))
        counts = {"old": len(old - new), "new": len(new - old)}
        said = [f"Only {self.alike:.0%} of the words are in both: are they versions of one document?"]
        said = said if self.alike < _RELATED else []
        said += [f"{counted(count, 'comment')} only in the {name} version." for name, count in counts.items() if count]
        differ = running(self.old.pages) != running(self.new.pages)
        return " ".join([*said, *["Running headers or footers differ."] * differ])

    @property
    def counts(self) -> dict[str, int]:
        """How many changes there are of each level, and of each kind or deed."""
        found = Counter[str](one.level for one in self.changes)
        found.update(name for one in self.changes for name in (one.deed, *one.kinds) if name not in LEVELS)
        order = (*LEVELS, "added", "deleted", "moved", "renumbered", *SUBSTANCE)
        return {name: found[name] for name in order if found[name]}

    @property
    def entries(self) -> list[Entry]:
        return [Entry(one.level, one.title, (("", one),), one.comments) for one in self.changes]

    def to_dict(self) -> dict[str, Any]:
        found = {**about(self.sides), "alike": round(self.alike, 3), "counts": self.counts}
        found["changes"] = [self.listed(one) for one in self.changes]
        return found | {"comments": [one._asdict() for one in self.comments]}

    def listed(self, one: Change) -> dict[str, Any]:
        """Return a change as values of JSON, with page numbers."""
        found: dict[str, Any] = {"deed": one.deed, "level": one.level, "kinds": list(one.kinds)}
        for name, side, version in (("old", one.old, self.old), ("new", one.new, self.new)):
            spans = [{"page": version.pages[at].number, "start": a, "end": b} for at, a, b in side.spans]
            found[name] = {"text": side.text, "clause": side.clause, "place": side.place, "spans": spans}
        found["runs"] = [{"sign": run.sign, "text": run.text} for run in one.runs]
        return found | {"comments": [said._asdict() for said in one.comments]}


def about(sides: Mapping[str, Version]) -> dict[str, Any]:
    """Return what versions are compared, as values of JSON."""
    return {
        side: {"document": one.name, "library": one.library or None, "sha256": one.sha256, "not_read": list(one.notes)}
        for side, one in sides.items()
    }


def compare(old: Version, new: Version, *others: Version, names: tuple[str, str] = ("old", "new")) -> Comparison:
    """Compare two versions, which comments call by `names`; the running lines of `others` are left out too."""
    known = frozenset[str]().union(*(running(one.pages) for one in (old, new, *others)))
    work = _Work(parse(old.pages, known), parse(new.pages, known))
    changes = sorted(work.changes(), key=lambda one: LEVELS.index(one.level))
    left = work.comments(*names)
    for at, one in enumerate(changes):
        on = {(names[0], number) for number in one.old.numbers if one.old.text}
        on |= {(names[1], number) for number in one.new.numbers if one.new.text}
        changes[at] = replace(one, comments=tuple(said for said in left if (said.version, said.number) in on))
        left = [said for said in left if (said.version, said.number) not in on]
    paragraphs, beside, begins = zip(*work.paragraphs(names), strict=True)
    was = work.places([one.old for one in changes], [old for old, _ in begins], work.old)
    places = zip(was, work.places([one.new for one in changes], [new for _, new in begins], work.new), strict=True)
    gone = sum(one.b - one.a for one in work.edits) - sum(one.b - one.a for one, _ in work.moved)
    alike = (len(work.old.tokens) - gone) / max(1, min(len(work.old.tokens), len(work.new.tokens)))
    return Comparison(old, new, tuple(changes), paragraphs, alike, tuple(left), beside, tuple(places))


class _Work:
    """One comparison under way."""

    def __init__(self, old: Text, new: Text) -> None:
        self.old, self.new = old, new
        self.names = Names.of(old, new)
        starts = (set(old.starts) | {len(old.tokens)}, set(new.starts) | {len(new.tokens)})
        self.end = Hunk(len(old.tokens), len(old.tokens), len(new.tokens), len(new.tokens))
        found = [each for one in self._unrelated(hunks(old.keys, new.keys, starts)) for each in self._stopped(one)]
        self.edits = [part for one in found for part in self._parts(one)]
        self.moved = self._moves()
        self.partner = self._partners()
        labels = [(old.clauses[i].label, new.clauses[j].label) for i, j in self.partner.items()]
        self.renumbered = {_bare(a): _bare(b) for a, b in labels if a and b}

    def comments(self, *names: str) -> list[Comment]:
        """Return the comments of both versions under the names of these; what both have is the new one's."""
        old, new = ([*dict.fromkeys(text.comments)] for text in (self.old, self.new))
        kept = set[Comment]()
        for key in (lambda one: (one.head, one.text), unplaced):  # the words that it is on may have changed
            for one in new:
                before = next((each for each in old if one not in kept and key(each) == key(one)), None)
                if before is not None:
                    old.remove(before)
                    kept.add(one)
        return [
            *(one._replace(version=names[0]) for one in old),
            *(one._replace(version=names[1], kept=names[0] if one in kept else "") for one in new),
        ]

    # --- what differs ---------------------------------------------------------------------------------------

    def _cut(self, text: Text, first: int, last: int) -> list[tuple[int, int]]:
        """Cut tokens where clauses begin."""
        low, high = bisect_left(text.starts, first + 1), bisect_left(text.starts, last)
        ends = [first, *text.starts[low:high], last]
        return [(a, b) for a, b in pairwise(ends) if a < b]

    def _equal(self, found: Sequence[Hunk]) -> Iterator[Hunk]:
        """Yield what is the same in both versions, before each edit and at the end."""
        i = j = 0
        for one in [*found, self.end]:
            yield Hunk(i, one.a, j, one.c)
            i, j = one.b, one.d

    def _same(self, found: Sequence[Hunk]) -> Iterator[tuple[int, int]]:
        """Yield the tokens of both versions that are the same."""
        for a, b, c, d in self._equal(found):
            yield from zip(range(a, b), range(c, d), strict=True)

    def _votes(self, found: Sequence[Hunk]) -> Counter[tuple[int, int]]:
        """Count the words that clauses share."""
        return Counter((self.old.at(a), self.new.at(c)) for a, c in self._same(found))

    def _within(self, a: int, b: int, c: int, d: int) -> list[Hunk]:
        """Return what differs between parts of the versions."""
        found = hunks(self.old.keys[a:b], self.new.keys[c:d])
        return [Hunk(x + a, y + a, z + c, w + c) for x, y, z, w in found]

    def _unrelated(self, found: Sequence[Hunk]) -> list[Hunk]:
        """Take the few words that two clauses share into the change that replaces one by the other."""
        votes = self._votes(found)
        best: tuple[dict[int, int], dict[int, int]] = ({}, {})
        for (i, j), _ in reversed(votes.most_common()):
            best[0][i], best[1][j] = j, i
        apart = set[tuple[int, int]]()
        for (i, j), count in votes.items():
            least = min(self.old.clauses[i].size, self.new.clauses[j].size)
            if count < max(_SHARED * least, min(least, _MIN_SHARED)) and (best[0][i], best[1][j]) == (j, i):
                apart.add((i, j))
        same = [(a, c) for a, c in self._same(found) if (self.old.at(a), self.new.at(c)) not in apart]
        return between([*same, (len(self.old.tokens), len(self.new.tokens))])

    def _stopped(self, one: Hunk) -> list[Hunk]:
        """Leave clauses their stops: where "[fee. 2. Security]." came, "[fee]" and "[2. Security.]" did."""
        a, b, c, d = one
        for text, first, last in ((self.new, c, d), (self.old, a, b)):
            cut = self._cut(text, first, last)
            end = cut[0][1] if len(cut) > 1 and last < len(text.keys) else 0
            if end and text.keys[end - 1] == text.keys[last] and text.clauses[text.at(last)].last == last + 1:
                if text is self.new:
                    return [Hunk(a, b, c, end - 1), Hunk(b + 1, b + 1, end, d + 1)]
                return [Hunk(a, end - 1, c, d), Hunk(end, b + 1, d + 1, d + 1)]
        return [one]

    def _parts(self, one: Hunk) -> list[Hunk]:
        """Cut a change at clauses, and pair what is alike on both sides."""
        if _is_layout(one, self.old, self.new):
            return [one]
        gone, come = self._cut(self.old, one.a, one.b), self._cut(self.new, one.c, one.d)
        one_each = len(gone) == len(come) == 1
        if one_each and not (self._is_whole(self.old, *gone[0]) and self._is_whole(self.new, *come[0])):
            return [one]
        ours, theirs = ([text.keys[a:b] for a, b in cut] for text, cut in ((self.old, gone), (self.new, come)))
        found: list[Hunk] = []
        i = j = 0
        for a, b in [*ascending(sorted(moves(ours, theirs, _PAIRED))), (len(gone), len(come))]:
            at = come[j][0] if j < len(come) else one.d
            found += [Hunk(*gone[k], at, at) for k in range(i, a)]
            at = gone[a][0] if a < len(gone) else one.b
            found += [Hunk(at, at, *come[k]) for k in range(j, b)]
            found += self._within(*gone[a], *come[b]) if a < len(gone) else []
            i, j = a + 1, b + 1
        return found

    def _is_whole(self, text: Text, first: int, last: int) -> bool:
        clause = text.clauses[text.at(first)]
        return (clause.first, clause.last) == (first, last)

    def _moves(self) -> list[tuple[Hunk, Hunk]]:
        """Pair what was deleted and what was added where it is alike, or the same heading."""
        gone = [one for one in self.edits if one.c == one.d and self._may_move(self.old, one.a, one.b)]
        come = [one for one in self.edits if one.a == one.b and self._may_move(self.new, one.c, one.d)]
        ours, theirs = [self.old.keys[one.a : one.b] for one in gone], [self.new.keys[one.c : one.d] for one in come]
        pairs = moves(ours, theirs, _MOVED)
        return [(gone[i], come[j]) for i, j in pairs if len(ours[i]) >= _MIN_MOVED or ours[i] == theirs[j]]

    def _may_move(self, text: Text, first: int, last: int) -> bool:
        return last - first >= _MIN_MOVED or (
            text.clauses[text.at(first)].label != "" and self._is_whole(text, first, last)
        )

    def _partners(self) -> dict[int, int]:
        """Return for each clause of the old version the one of the new that has most of its words."""
        votes = self._votes(self.edits)
        for left, right in self.moved:
            votes[self.old.at(left.a), self.new.at(right.c)] += left.b - left.a
        found: dict[int, int] = {}
        taken = set[int]()
        for (i, j), count in votes.most_common():
            if i not in found and j not in taken and count * 3 >= self.old.clauses[i].size:
                found[i] = j
                taken.add(j)
        return found

    # --- what is reported -----------------------------------------------------------------------------------

    def changes(self) -> Iterator[Change]:
        """Yield the changes in the order of the new text; those inside what moved come with it."""
        away, came = {left for left, _ in self.moved}, {right: left for left, right in self.moved}
        stay = [one for one in self.edits if one not in away and not _is_layout(one, self.old, self.new)]
        first: dict[Hunk, Hunk] = {}  # of what moved together: a heading and what is under it
        for one, after in pairwise([self.end, *stay]):
            goes_on = {one, after} <= came.keys() and one.d == after.c and came[one].b == came[after].a
            over = {self.new.clauses[self.new.at(each.c)].heading for each in (one, after)} if goes_on else {""}
            first[after] = first[one] if len(over) == 1 and over != {""} else after
        moved = set[int]()
        for _, group in groupby(stay, lambda one: first[one] if one in came else self._clause(one)):
            edits = list(group)
            if (left := came.get(edits[0])) is not None:
                a, b, c, d = left.a, came[edits[-1]].b, edits[0].c, edits[-1].d
                was, now = self._side(self.old, [(a, b)]), self._side(self.new, [(c, d)])
                yield Change("moved", (), was, now, (Run("=", now.text),))
                moved |= set(was.numbers)
                edits = self._within(a, b, c, d)
            if edits:
                yield self._change(edits)
        yield from self._renumbered({number: other for number, other in self.partner.items() if number not in moved})

    def _renumbered(self, pairs: Mapping[int, int]) -> Iterator[Change]:
        # Tokens of both that are the same, or where a change begins.
        aligned = {*self._same(self.edits), *((one.a, one.c) for one in self.edits)}
        for number, other in pairs.items():
            ours, theirs = self.old.clauses[number], self.new.clauses[other]
            was, now = _bare(ours.label), _bare(theirs.label)
            if was != now and _shape(was) == _shape(now) and (ours.first, theirs.first) in aligned:
                old, new = (
                    Side(one.label, one.name, where(text.pages[one.place[0]]), (one.place,), (at,))
                    for one, text, at in ((ours, self.old, number), (theirs, self.new, other))
                )
                runs = (Run("-", ours.label), Run("+", theirs.label, True))
                yield Change("renumbered", ("form",), old, new, runs)

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
        each = {kind for one in edits for kind in substance.kinds(self.old, self.new, one, self.names, self.renumbered)}
        found = [kind for kind in SUBSTANCE if kind in each] or [kind for kind in substance.KINDS if kind in each][:1]
        text, places = (self.old, gone) if deleted else (self.new, come)
        deed: Deed = "changed"  # also where only a few words came or went
        if sum(b - a for a, b in places) >= _MIN_MOVED:
            deed = "added" if added else "deleted" if deleted else deed
        (first, _), (_, last) = places[0], places[-1]
        if (added or deleted) and len(edits) == 1 and self._is_whole(text, first, last) and found != ["form"]:
            deed = "added" if added else "deleted"
            found = ["clause", *(kind for kind in SUBSTANCE if kind in each - {"term", "party", "name", "reference"})]
        clause = text.clauses[text.at(first)]
        runs = [_run("=", text, max(clause.first, first - _BEFORE), first)]
        ends = [a for a, _ in places[1:]] + [min(max(clause.last, last), last + _BEFORE)]
        for one, (_, at), end in zip(edits, places, ends, strict=True):
            came = _run("+", self.new, one.c, one.d)
            runs += [_run("-", self.old, one.a, one.b), replace(came, space=came.space or one.a < one.b)]
            if end - at > 2 * _BEFORE:
                runs += [_run("=", text, at, at + _BEFORE), Run("=", "…", True)]
                at = end - _BEFORE
            runs.append(_run("=", text, at, end))
        shown = tuple(run for run in runs if run.text)
        within = first > clause.first
        was, now = self._side(self.old, gone, added and within), self._side(self.new, come, deleted and within)
        return Change(deed, tuple(found), was, now, shown)

    def _side(self, text: Text, places: Sequence[tuple[int, int]], within: bool = False) -> Side:
        """Return what a version says there; `within`: nothing, in the clause of the word before."""
        if not text.tokens:
            return Side("", "", "", ())
        first = max(0, min(places[0][0] - within, len(text.tokens) - 1))
        near = text.tokens[first]
        spans: list[tuple[int, int, int]] = []
        for one in places:
            for _, group in groupby(text.tokens[slice(*one)], lambda token: token.page):
                inside = list(group)
                spans.append((inside[0].page, inside[0].start, inside[-1].end))
            if one[0] == one[1]:
                there = text.tokens[min(one[0], len(text.tokens) - 1)]
                spans.append((there.page, there.start, there.start))
        words = " … ".join(filter(None, (text.written(*one) for one in places)))
        numbers = {
            number for a, b in places for number in range(text.at(a - within), text.at(max(a - within, b - 1)) + 1)
        }
        name, page = text.clauses[text.at(first)].name, text.pages[near.page]
        return Side(words, name, where(page), tuple(spans), tuple(sorted(numbers)))

    # --- the redline ----------------------------------------------------------------------------------------

    def places(self, sides: Sequence[Side], firsts: Sequence[int], text: Text) -> Iterator[int]:
        """Yield the paragraph that each side begins in; `firsts` are the tokens of its version that these begin at."""
        tokens = [(one.page, one.start) for one in text.tokens]
        for side in sides:
            token = bisect_left(tokens, side.spans[0][:2]) if side.spans else 0
            yield max(0, bisect_right(firsts, token) - 1)

    def paragraphs(self, names: tuple[str, str]) -> Iterator[tuple[Paragraph, tuple[Comment, ...], tuple[int, int]]]:
        """Yield the new text, clause by clause, with what was deleted and added, the comments on it, and its tokens.

        Of these, the first one in both versions.
        """
        away = {self.old.at(left.a) for left, _ in self.moved}
        stays = {old: new for old, new in self.partner.items() if old not in away}
        was = {new: old for old, new in stays.items()}
        said = self.comments(*names)
        runs: list[Run] = []
        beside: tuple[Comment, ...] = ()
        current: tuple[str, int] = ("", 0)  # "=" or "+" and a clause of the new version, or "-" and one of the old
        begin = (0, 0)
        for sign, first, last, other in self._spans():
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
                        yield _paragraph(runs), beside, begin
                    begin = (a, other) if sign == "-" else (other + (a - first) * (sign == "="), a)
                    runs, current, places = [Run(sign, label)], here, {(names[sign != "-"], here[1])}
                    if here[0] == "=":
                        before, now = self.old.clauses[was[here[1]]].label, self.new.clauses[here[1]].label
                        runs = [Run("=", now)] if before == now else [Run("-", before), Run("+", now)]
                        places = {(names[0], was[here[1]]), (names[1], here[1])}
                    beside = tuple(one for one in said if (one.version, one.number) in places)
                lead = " " if text.tokens[a].space and any(run.text for run in runs) else ""
                runs.append(Run(sign, lead + text.written(a, b)))
        yield _paragraph(runs), beside, begin

    def _spans(self) -> Iterator[tuple[Literal["=", "-", "+"], int, int, int]]:
        """Yield what stays, goes and comes: half-open tokens of the old version where they go, else of the new.

        The last is the token of the other version that is there.
        """
        for equal, one in zip(self._equal(self.edits), [*self.edits, self.end], strict=True):
            yield "=", equal.c, equal.d, equal.a
            yield "-", one.a, one.b, one.c
            yield "+", one.c, one.d, one.b


def _bare(label: str) -> str:
    return label.strip(" .:").casefold()


def _shape(label: str) -> str:
    """Return a number without its value, since only one of its kind can take its place: "(#)", "#.#"."""
    return re.sub(r"[a-z]+", "a", re.sub(r"\d+", "#", label))


def _run(sign: Literal["=", "-", "+"], text: Text, first: int, last: int) -> Run:
    return Run(sign, text.written(first, last), first < last and text.tokens[first].space)


def _paragraph(runs: Sequence[Run]) -> Paragraph:
    """Join runs of one sign that follow each other."""
    groups = groupby((run for run in runs if run.text), lambda run: run.sign)
    return tuple(Run(sign, "".join(run.text for run in group)) for sign, group in groups)


def _is_layout(one: Hunk, old: Text, new: Text) -> bool:
    """Whether both sides say the same, if the numbers of clauses count, which one side alone recognises as such."""
    sides = ((old, one.a, one.b), (new, one.c, one.d))
    ours, theirs = ({_numbered_text(*side, last) for last in (False, True)} for side in sides)
    return bool(ours & theirs) and _numbered_text(*sides[0]) != _numbered_text(*sides[1])


def _numbered_text(text: Text, first: int, last: int, behind: bool | None = None) -> str:
    """Return the letters of tokens with the numbers of the clauses that begin there, or right `behind` them."""
    parts: list[str] = []
    end = first if behind is None else last + behind
    for number in range(bisect_left(text.starts, first), bisect_left(text.starts, end)):
        clause = text.clauses[number]
        parts += [text.written(first, clause.first), clause.label]
        first = clause.first
    return "".join(filter(str.isalnum, "".join([*parts, text.written(first, last)]).casefold()))

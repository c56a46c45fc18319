"""Compare three documents: what they and we made of each clause of the base, and where both changed it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, product, repeat
from typing import Any

from localrag.diff.changes import LEVELS, Change, Comparison, Entry, Version, about, compare
from localrag.diff.clauses import Comment
from localrag.security.terminal import counted

# Who changed a clause; in a conflict, both changed the same words, or words beside each other, or moved
# one clause to two places, or one deleted what the other moved.
STATES = {
    "conflict": "conflict",
    "both": "both changed it, in different words",
    "same": "both made the same change",
    "theirs": "theirs alone",
    "ours": "ours alone",
}

_Edit = tuple[tuple[int, int, int], str]
_NAMED = 3  # clauses that were added in one place
_NEAR = 200  # characters before what moved that say where it went


@dataclass(frozen=True, slots=True)
class ThreeWay:
    """A base and two versions of it, clause by clause: substance first, and conflicts first of these."""

    theirs: Comparison
    ours: Comparison
    entries: tuple[Entry, ...]

    @property
    def sides(self) -> dict[str, Version]:
        return {"base": self.theirs.old, "theirs": self.theirs.new, "ours": self.ours.new}

    @property
    def pairs(self) -> dict[str, Comparison]:
        return {"theirs": self.theirs, "ours": self.ours}

    @property
    def comments(self) -> tuple[Comment, ...]:
        """The comments on clauses that nobody changed."""
        shown = {one for entry in self.entries for one in entry.comments}
        return tuple(one for one in dict.fromkeys((*self.theirs.comments, *self.ours.comments)) if one not in shown)

    @property
    def summary(self) -> str:
        """Who changed how much, in words."""
        counts = Counter(one.state for one in self.entries)
        states = ", ".join(f"{words} {counts[state]}" for state, words in STATES.items() if counts[state])
        found = f"{counted(len(self.entries), 'change')}: {states}." if states else "No differences."
        return f"{found} {self.unseen}".rstrip()

    @property
    def unseen(self) -> str:
        """See `Comparison.unseen`; the base is the old version."""
        return " ".join(f"{side.capitalize()}: {one.unseen}" for side, one in self.pairs.items() if one.unseen)

    def to_dict(self) -> dict[str, Any]:
        clauses = [
            {
                "clause": one.title.rpartition(": ")[0],
                "state": one.state,
                "level": one.level,
                "changes": [{"side": side} | self.pairs[side].listed(change) for side, change in one.changes],
            }
            for one in self.entries
        ]
        return {**about(self.sides), "clauses": clauses, "comments": [one._asdict() for one in self.comments]}


def compare_three(base: Version, theirs: Version, ours: Version) -> ThreeWay:
    """Compare what they and we made of a base, clause by clause."""
    sides = compare(base, theirs, ours, names=("base", "theirs")), compare(base, ours, theirs, names=("base", "ours"))
    found = [_entry(sides, *part) for group in _groups(sides) for part in _parts(group)]
    found.sort(key=lambda one: (LEVELS.index(one.level), one.state != "conflict"))
    return ThreeWay(*sides, tuple(found))


def _groups(sides: tuple[Comparison, Comparison]) -> list[tuple[list[Change], list[Change]]]:
    """Return what they and we did to the same clauses of the base, in its order, and then what was added there."""
    placed: list[tuple[bool, int, int, int, Change]] = []
    for at, side in enumerate(sides):
        for one in side.changes:
            added, numbers = one.deed == "added" and "clause" in one.kinds, one.old.numbers or (0,)
            placed.append((added, numbers[0], numbers[0 if added or one.deed == "moved" else -1], at, one))
    found: list[tuple[int, bool, tuple[list[Change], list[Change]]]] = []
    reach = (False, -1)
    for added, first, last, at, one in sorted(placed, key=lambda item: item[:2]):
        if (added, first) > reach:
            found.append((first, added, ([], [])))
        reach = max(reach, (added, last))
        found[-1][2][at].append(one)
    return [group for *_, group in sorted(found, key=lambda item: item[:2])]


def _parts(group: tuple[list[Change], list[Change]]) -> Iterator[list[list[Change]]]:
    """Yield the changes of a clause apart from its new numbers: who only renumbered it did not change it."""
    for number in (False, True):
        part = [[one for one in side if (one.deed == "renumbered") is number] for side in group]
        if any(part):
            yield part


def _edits(changes: Sequence[Change]) -> set[_Edit]:
    """Return each edit of changes: its span in the base, and the words that went and came, with their signs."""
    found: set[_Edit] = set()
    for one in changes:
        runs = groupby(one.runs, lambda run: run.sign == "=")
        words = ["".join(run.sign + run.text for run in group) for same, group in runs if not same]
        # An edit over the end of a page has two spans.
        each = words if len(words) == len(one.old.spans) else repeat(one.new.text)
        found.update(zip(one.old.spans, each, strict=False))
    return found


def _meet(first: set[_Edit], second: set[_Edit]) -> bool:
    """Whether edits are of the same words of the base, or of words beside each other."""
    pairs = product((span for span, _ in first), (span for span, _ in second))
    return any(page == other and a <= d + 1 and c <= b + 1 for (page, a, b), (other, c, d) in pairs)


def _moved_to(version: Version, one: Change) -> str:
    """Return the letters before what moved: who moved a clause behind the same one moved it to the same place."""
    page, start, _ = one.new.spans[0]
    before = "".join([*(other.text for other in version.pages[:page]), version.pages[page].text[:start]])
    return "".join(filter(str.isalpha, before[-_NEAR:].casefold()))[-_NEAR // 4 :]


def _entry(sides: tuple[Comparison, Comparison], *both: list[Change]) -> Entry:
    """Return a clause of the base as they and we changed it, or what was added in one place."""
    stay, moved = ([[one for one in side if (one.deed == "moved") == away] for side in both] for away in (False, True))
    gone = [[one for one in side if one.deed == "deleted" and "clause" in one.kinds] for side in stay]
    said = [[(one.deed, one.old.text, one.new.text) for one in side] for side in both]
    places = [[_moved_to(each.new, one) for one in own] for each, own in zip(sides, moved, strict=True)]
    stays, away, lost = (list(map(_edits, each)) for each in (stay, moved, gone))
    meet = _meet(stays[0] - stays[1], stays[1] - stays[0])  # what both made is none
    meet = meet or _meet(lost[0], away[1]) or _meet(away[0], lost[1]) or (places[0] != places[1] and _meet(*away))
    meet = meet and any(one.deed != "renumbered" for one in both[0])  # two numbers for a clause are no conflict
    state = "same" if said[0] == said[1] and places[0] == places[1] else "conflict" if meet else "both"
    state = state if all(both) else "theirs" if both[0] else "ours"
    changes = [(side, one) for side, own in zip(("theirs", "ours"), both, strict=True) for one in own]
    named = [one.new for _, one in changes if one.deed == "added"] or [changes[0][1].old]
    clauses = list(dict.fromkeys(one.clause for one in named))
    clauses[_NAMED:] = ["…"] * (len(clauses) > _NAMED)
    at = ", ".join(filter(None, (*clauses, named[0].place))) or "at the beginning"
    level = min((one.level for _, one in changes), key=LEVELS.index)
    comments = dict.fromkeys(said for _, one in changes for said in one.comments)
    return Entry(level, f"{at}: {STATES[state]}", tuple(changes), tuple(comments), state)

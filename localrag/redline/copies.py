"""Write what changed between two Word files as tracked changes in a copy of the older one.

Paragraphs are aligned by the words that both have, as clauses are in a comparison. A new paragraph looks like one of
the old file that is its neighbour in the new one and has the same style there. Limits: what moved is deleted and
inserted; rows and columns of tables stay, only their words change; white space alone is no change.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path

from localrag.diff.changes import Comparison, compare
from localrag.diff.substance import ascending, pairs
from localrag.errors import ReadError
from localrag.ingest.readers.base import read_parts
from localrag.ingest.readers.source import Source
from localrag.redline.tracked import Edit, WordFile, contents
from localrag.types import Part

_TOKEN = re.compile(r"\w+|[^\w\s]")
_ALIKE = 0.4  # of the words of the shorter one, of two paragraphs that are one changed


def copied(compared: Comparison, by: str, date: str) -> tuple[bytes, list[str], list[str]] | None:
    """Return a copy of the old version with the changes in it, the titles of those that it lacks, and what is live.

    None unless both are Word files on the disk that can be edited: not encrypted, nor in the strict form.
    """
    sides = (compared.old, compared.new)
    files = [Path(one.name) for one in sides if not one.library]
    if len(files) < 2 or any(file.suffix.lower() != ".docx" or not file.is_file() for file in files):
        return None
    read = [contents(file) for file in files]
    for file, data, version in zip(files, read, sides, strict=True):
        if hashlib.sha256(data).hexdigest() != version.sha256:
            raise ReadError(f"{file} has changed while it was compared", "Run the same command again.")
    try:
        old, new = (WordFile(data, file.name, by, date) for file, data in zip(files, read, strict=True))
    except ReadError:
        return None
    old.apply([*edits(old, new)])
    running = ["headers or footers"] * (old.running() != new.running())
    return (made := old.saved()), _missing(made, compared) + running, old.live


def _missing(made: bytes, compared: Comparison) -> list[str]:
    """Return the titles of changes that a copy lacks, such as those in notes, text boxes and links."""
    part = next(read_parts(Source("copy.docx", data=made)))
    pages = part.reading.pages if isinstance(part, Part) else compared.old.pages
    left = compare(replace(compared.old, pages=pages), compared.new)
    return [one.title for one in left.changes if one.level != "form"]


def edits(old: WordFile, new: WordFile) -> Iterator[Edit]:
    """Yield what makes one file say what another does, with the comments of the other."""
    ours, theirs = ([one.text for one in file.paragraphs] for file in (old, new))
    same = [*_rewritten(aligned(ours, theirs), old, new)]
    known = {one[1:] for one in old.comments()}
    comments = [one for one in new.comments() if one[1:] not in known]
    for i in sorted(set(range(len(ours))) - {i for i, _ in same}):
        if ours[i].strip():
            yield Edit(i, 0, len(ours[i]), "", gone=True)
    for i, j in same:
        if ours[i].split() != theirs[j].split():
            yield Edit(i, 0, len(ours[i]), theirs[j])
        yield from (Edit(i, 0, len(ours[i]), comment=text, author=by) for n, by, text in comments if n == j)
    rows = {None, *(new.paragraphs[j].row for _, j in same)}
    for (_, j), (i, end) in pairwise([(-1, -1), *same, (len(ours), len(theirs))]):
        for n in range(j + 1, end):
            if theirs[n].strip() and new.paragraphs[n].row in rows:  # rows that are added are not marked
                on = [one[1:] for one in comments if one[0] == n]
                text = "\n".join([*(text for _, text in on[:1]), *(f"{by}: {text}" for by, text in on[1:])])
                after = ((theirs[n], _like(n, same, old, new, i - 1)),)
                yield Edit(i - 1, after=after, comment=text, author=on[0][0] if on else "")


def _rewritten(same: Sequence[tuple[int, int]], old: WordFile, new: WordFile) -> Iterator[tuple[int, int]]:
    """Yield what is aligned, and between it the paragraphs that are as many and look alike in both files."""
    ends = (len(old.paragraphs), len(new.paragraphs))
    for (i, j), (i2, j2) in pairwise([(-1, -1), *same, ends]):
        ours, theirs = (
            [n for n in range(a + 1, b) if file.paragraphs[n].text.strip()]
            for file, a, b in ((old, i, i2), (new, j, j2))
        )
        pairs = [*zip(ours, theirs, strict=False)]
        if len(ours) == len(theirs) and all(old.paragraphs[a].style == new.paragraphs[b].style for a, b in pairs):
            yield from pairs
        if (i2, j2) != ends:
            yield i2, j2


def _like(n: int, same: Sequence[tuple[int, int]], old: WordFile, new: WordFile, behind: int) -> int:
    """Return the old paragraph whose style a new one takes."""
    look = new.paragraphs[n].style
    near = [(abs(j - n), i) for i, j in same if new.paragraphs[j].style == look == old.paragraphs[i].style]
    return min(near, default=(0, max(0, behind)))[1]


def aligned(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return the paragraphs of two texts that are one, in order."""
    words = [[_TOKEN.findall(text) for text in texts] for texts in (old, new)]
    owners = [[n for n, own in enumerate(side) for _ in own] for side in words]
    keys, others = ([*chain.from_iterable(side)] for side in words)
    votes = Counter((owners[0][a], owners[1][c]) for a, c in pairs(keys, others))
    found: dict[int, int] = {}
    taken: set[int] = set()
    for (i, j), count in votes.most_common():
        if i not in found and j not in taken and count >= _ALIKE * min(len(words[0][i]), len(words[1][j])):
            found[i] = j
            taken.add(j)
    return ascending(sorted(found.items()))

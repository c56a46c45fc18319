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
from itertools import chain, pairwise
from pathlib import Path

from localrag.diff.changes import Comparison
from localrag.diff.substance import ascending, pairs
from localrag.errors import ReadError
from localrag.redline.tracked import Edit, WordFile, edited

_WORD = re.compile(r"\w+|[^\w\s]")
_SHARED = 0.4  # of the words of the shorter one, of two paragraphs that are one changed


def copied(compared: Comparison, by: str, date: str) -> bytes | None:
    """Return a copy of the old version with the changes in it; None unless both are Word files on the disk."""
    files = [Path(one.name) for one in (compared.old, compared.new) if not one.library]
    if len(files) < 2 or any(file.suffix.lower() != ".docx" or not file.is_file() for file in files):
        return None
    if any(file.open("rb").read(2) != b"PK" for file in files):  # encrypted
        return None
    for file, version in zip(files, (compared.old, compared.new), strict=True):
        if hashlib.sha256(file.read_bytes()).hexdigest() != version.sha256:
            raise ReadError(f"{file} has changed while it was compared", "Run the same command again.")
    old, new = (edited(file, by, date) for file in files)
    old.apply([*edits(old, new)])
    return old.saved()


def edits(old: WordFile, new: WordFile) -> Iterator[Edit]:
    """Yield what makes one file say what another does, with the comments of the other."""
    ours, theirs = ([one.text for one in file.paragraphs] for file in (old, new))
    same = [*_rewritten(aligned(ours, theirs), old, new)]
    known = {one[1:] for one in old.comments()}
    said = [one for one in new.comments() if one[1:] not in known]
    for i in sorted(set(range(len(ours))) - {i for i, _ in same}):
        if ours[i].strip():
            yield Edit(i, 0, len(ours[i]), "", gone=True)
    for i, j in same:
        if ours[i].split() != theirs[j].split():
            yield Edit(i, 0, len(ours[i]), theirs[j])
        yield from (Edit(i, 0, len(ours[i]), comment=text, author=by) for n, by, text in said if n == j)
    for (_, j), (i, end) in pairwise([(-1, -1), *same, (len(ours), len(theirs))]):
        for n in range(j + 1, end):
            if theirs[n].strip():
                by, text = next((one[1:] for one in said if one[0] == n), ("", ""))
                yield Edit(i - 1, after=((theirs[n], _like(n, same, old, new, i - 1)),), comment=text, author=by)


def _rewritten(same: Sequence[tuple[int, int]], old: WordFile, new: WordFile) -> Iterator[tuple[int, int]]:
    """Yield what is aligned, and between it the paragraphs that are as many and look alike in both files."""
    ends = (len(old.paragraphs), len(new.paragraphs))
    for (i, j), (i2, j2) in pairwise([(-1, -1), *same, ends]):
        ours, theirs = (
            [n for n in range(a + 1, b) if file.paragraphs[n].text.strip()]
            for file, a, b in ((old, i, i2), (new, j, j2))
        )
        pairs = [*zip(ours, theirs, strict=False)]
        if len(ours) == len(theirs) and all(old.paragraphs[a].look == new.paragraphs[b].look for a, b in pairs):
            yield from pairs
        if (i2, j2) != ends:
            yield i2, j2


def _like(n: int, same: Sequence[tuple[int, int]], old: WordFile, new: WordFile, behind: int) -> int:
    """Return the old paragraph whose style a new one takes."""
    look = new.paragraphs[n].look
    near = [(abs(j - n), i) for i, j in same if new.paragraphs[j].look == look == old.paragraphs[i].look]
    return min(near, default=(0, max(0, behind)))[1]


def aligned(old: Sequence[str], new: Sequence[str]) -> list[tuple[int, int]]:
    """Return the paragraphs of two texts that are one, in order."""
    words = [[_WORD.findall(text) for text in texts] for texts in (old, new)]
    owners = [[n for n, own in enumerate(side) for _ in own] for side in words]
    keys, others = ([*chain.from_iterable(side)] for side in words)
    votes = Counter((owners[0][a], owners[1][c]) for a, c in pairs(keys, others))
    found: dict[int, int] = {}
    for (i, j), count in votes.most_common():
        if i not in found and j not in found.values() and count >= _SHARED * min(len(words[0][i]), len(words[1][j])):
            found[i] = j
    return ascending(sorted(found.items()))

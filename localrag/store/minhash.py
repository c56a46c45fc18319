"""Estimate how similar two texts are from small signatures.

One permutation hashing (Li, Owen and Zhang 2012, "One Permutation Hashing"): the hashes of all runs of four words are
distributed over bins and each bin keeps its minimum. The share of equal bins estimates the Jaccard similarity J of the
sets of runs, with a standard error of about sqrt(J (1 - J) / bins), 0.035 at 0.8.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Signatures = NDArray[np.uint32]

BINS = 128
# Drafts of one document reach this; letters from one template, whose own words weigh more, do not.
NEAR = 0.8
# With fewer runs most bins would be empty.
_MIN_RUNS = 64
_RUN = 4
_EMPTY = np.uint32(0xFFFFFFFF)
_WORD = re.compile(r"\w+")


def signature(text: str) -> bytes:
    """The signature of a text; empty if the text is too short."""
    hashes = [zlib.crc32(word.encode("utf-8", "replace")) for word in _WORD.findall(text.lower())]
    if len(hashes) < _MIN_RUNS + _RUN:
        return b""
    words = np.array(hashes, np.uint64)
    runs = np.zeros(len(words) - _RUN + 1, np.uint64)
    for offset in range(_RUN):
        # The multiplier of the 64-bit FNV-1 hash; overflow is intended.
        runs = runs * np.uint64(0x100000001B3) + words[offset : offset + len(runs)]
    # The finalizer of MurmurHash3, so that every bit depends on every bit.
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        runs = (runs ^ (runs >> np.uint64(33))) * np.uint64(multiplier)
    runs ^= runs >> np.uint64(33)
    least = np.full(BINS, _EMPTY, np.uint32)
    np.minimum.at(least, (runs % np.uint64(BINS)).astype(np.intp), (runs >> np.uint64(32)).astype(np.uint32))
    return least.astype("<u4").tobytes()


def similarities(signatures: Signatures, one: bytes) -> NDArray[np.float64]:
    """The estimated similarity, 0 to 1, of one signature to each row of `signatures`, of shape (n, BINS)."""
    row = np.frombuffer(one, "<u4").astype(np.uint32)
    filled = (signatures != _EMPTY) | (row != _EMPTY)
    agree = (signatures == row) & filled
    shares: NDArray[np.float64] = agree.sum(axis=1) / np.maximum(filled.sum(axis=1), 1)
    return shares

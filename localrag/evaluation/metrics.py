"""The figures of an evaluation. Pure: words, numbers and ranks in, numbers out.

Exact match and F1 are those of SQuAD (Rajpurkar et al. 2016, script evaluate-v1.1.py): lower case, without punctuation
and the articles a, an, the. Each Chinese or Japanese character counts as a word here, which SQuAD leaves open.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from localrag.quantities import CURRENCIES, QUANTITY, SCALES, parse_number

RESAMPLES = 2000
# The number of a citation in an answer, which is not one of its words.
MARKER = re.compile(r"(?<!\s)\s*\[\d{1,3}\]")
# Evidence counts as found when this share of its words is in what was found.
COVERED = 0.7
_TOLERANCE = 0.01  # how far apart equal numbers may be, as a share
_RUN = 3  # consecutive words that must match to count as the evidence's own

_PUNCTUATION = str.maketrans("", "", string.punctuation + "“”‘’«»„…–—•·、。，；：？！（）")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_ADDED = re.compile(r"\s*\([^()]*\)\s*$")
_ONE_CHARACTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORDS = re.compile(rf"[{_ONE_CHARACTER}]|[^\W_{_ONE_CHARACTER}]+")


def normalized(text: str) -> str:
    """Lower case, without punctuation, articles and more than one space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, known: str) -> bool:
    return normalized(answer) == normalized(known)


def f1(answer: str, known: str) -> float:
    """Return the harmonic mean of the shares of common words; 1 if both are empty."""
    given, wanted = words(normalized(answer)), words(normalized(known))
    if not given or not wanted:
        return float(given == wanted)
    common = sum((Counter(given) & Counter(wanted)).values())
    return 2 * common / (len(given) + len(wanted))


def words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def chosen(answer: str, choices: Iterable[str]) -> str | None:
    """Return the choice that comes first in an answer, the longer of two at one place.

    A remark in brackets is optional: "No" selects "No (contradicted)".
    """
    places = []
    for choice in choices:
        short = _ADDED.sub("", choice) or choice
        found = re.search(rf"(?<!\w){re.escape(short)}(?!\w)", answer, re.IGNORECASE)
        if found is not None:
            places.append((found.start(), -len(short), choice))
    return min(places)[2] if places else None


class Coverage:
    """The share of the evidence's words found in texts, in runs of three, as texts are added one by one.

    "[...]" separates pieces of evidence; a shorter piece must match as a whole. Runs, because single words of a
    contract occur on most of its pages.
    """

    def __init__(self, evidence: str) -> None:
        self._pieces = [piece for part in evidence.split("[...]") if (piece := words(part))]
        self._marked: list[set[int]] = [set() for _ in self._pieces]
        self._sizes = {min(len(piece), _RUN) for piece in self._pieces}

    def __bool__(self) -> bool:
        """Return False without evidence."""
        return bool(self._pieces)

    def add(self, text: str) -> float:
        """Return the share covered by this text and those before it."""
        read = words(text)
        there = {size: {tuple(read[i : i + size]) for i in range(len(read) - size + 1)} for size in self._sizes}
        for piece, marked in zip(self._pieces, self._marked, strict=True):
            size = min(len(piece), _RUN)
            for i in range(len(piece) - size + 1):
                if tuple(piece[i : i + size]) in there[size]:
                    marked.update(range(i, i + size))
        return self.share

    @property
    def share(self) -> float:
        return sum(map(len, self._marked)) / sum(map(len, self._pieces))


def covered(evidence: str, texts: Iterable[str]) -> float | None:
    """Return the share of the evidence's words found in the texts; None without evidence."""
    coverage = Coverage(evidence)
    if not coverage:
        return None
    for text in texts:
        coverage.add(text)
    return coverage.share


# --- numbers ------------------------------------------------------------------------------------------------

_DECREASE = re.compile(
    r"\b(?:decreas|declin|reduc|diminish|fell\b|fall|drop|lower|down\b|loss|less\b|shrank|shrunk)", re.I
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: its value, the value of its last digit, and its scale and unit."""

    value: float
    step: float
    scale: float = 1.0
    percent: bool = False
    currency: str | None = None


def numbers(text: str) -> list[Number]:
    """Return the numbers of a text, except those written as words ("thirty")."""
    text = re.sub(r"([$€£¥])\s?\(", r"(\1", re.sub(r"(?<![\w.,])\.(?=\d)", "0.", text))  # "$(5)" is "($5)"
    return [_number(match) for match in QUANTITY.finditer(text) if not text[: match.start()][-1:].isalnum()]


def _number(match: re.Match[str]) -> Number:
    sign = (match["before"] or match["after"] or "").strip().lower()
    value = parse_number(match["digits"], money=bool(sign))
    # Accounts write negative numbers in brackets; a list item "(3)" has no currency, comma or decimal.
    before, after = match.string[: match.start()], match.string[match.end("digits") :]
    bracket = before.endswith("(") and after.startswith(")") and (sign or re.search("[.,]", match["digits"]))
    scale = 10.0 ** SCALES[match["scale"].strip().lower().rstrip(".")] if match["scale"] else 1.0
    return Number(
        float(-value if bracket or is_negative(match) else value),
        10.0 ** -len(str(value).partition(".")[2]),
        scale,
        match["percent"] is not None,
        CURRENCIES.get(sign),
    )


def is_negative(match: re.Match[str]) -> bool:
    """Return whether a minus sign is before a number; in "10-12" it is none."""
    before = match.string[: match.start()].rstrip(" ")
    return before.endswith(("-", "−", "–")) and not before[-2:-1].isalnum()


def same_number(given: Number, wanted: Number) -> bool:
    """Return whether two numbers are equal to the precision of the coarser one, and within the tolerance.

    A unit or per cent sign that only one of them has is ignored: a table in millions says 82,959.
    """
    if given.currency and wanted.currency and given.currency != wanted.currency:
        return False
    if _near(given, wanted, given.scale, wanted.scale):
        return True
    if 1.0 in (given.scale, wanted.scale) and _near(given, wanted, 1.0, 1.0):
        return True
    if given.percent != wanted.percent:
        hundredth = (0.01, 1.0) if given.percent else (1.0, 0.01)
        return _near(given, wanted, *hundredth)
    return False


def _near(given: Number, wanted: Number, first: float, second: float) -> bool:
    apart = abs(given.value * first - wanted.value * second)
    half = max(given.step * first, wanted.step * second) / 2
    return apart <= half * (1 + 1e-9) and apart <= _TOLERANCE * abs(wanted.value * second)


def numeric_match(answer: str, known: str) -> bool | None:
    """Return whether the answer has every number of the known answer; None if that has none.

    A known decrease ("-6.7 percent") may be given in words ("fell by 6.7 %").
    """
    return _has_all(answer, numbers(known), same_number)


def unit_match(answer: str, known: str) -> bool | None:
    """Return whether the answer has every number of the known answer with its unit (per cent, scale, currency).

    $73,000 equals 73 thousand; the answer may add a currency. None if the known answer has no unit.
    """
    wanted = numbers(known)
    with_unit = any(number.percent or number.currency or number.scale != 1 for number in wanted)
    return _has_all(answer, wanted, _same_unit) if with_unit else None


def _has_all(answer: str, wanted: Sequence[Number], same: Callable[[Number, Number], bool]) -> bool | None:
    given = numbers(answer)
    if _DECREASE.search(answer):
        given += [replace(one, value=-one.value) for one in given if one.value > 0]
    return all(any(same(one, other) for one in given) for other in wanted) if wanted else None


def _same_unit(given: Number, wanted: Number) -> bool:
    if given.percent != wanted.percent or (wanted.currency and given.currency != wanted.currency):
        return False
    return _near(given, wanted, given.scale, wanted.scale)


# --- rankings -----------------------------------------------------------------------------------------------

DEPTHS = (1, 3, 5, 10, 20)
NDCG = 10


def ranking(rank: int | None, depths: Sequence[int] = DEPTHS) -> dict[str, float]:
    """Return recall, nDCG and MRR of one wanted thing, found at this rank (from 1) or not at all."""
    return {
        **{f"recall@{depth}": float(rank is not None and rank <= depth) for depth in depths},
        f"ndcg@{NDCG}": 1 / math.log2(rank + 1) if rank is not None and rank <= NDCG else 0.0,
        "mrr": 1 / rank if rank else 0.0,
    }


# --- over all questions -------------------------------------------------------------------------------------


Estimate = dict[str, float]  # a mean with its 95 % interval, `low` and `high`, over `n` questions


def estimate(values: Sequence[float], seed: int = 0) -> Estimate | None:
    """Return mean and percentile bootstrap interval (Efron 1979); None without values."""
    return clustered(values, list(map(str, range(len(values)))), seed=seed)


def clustered(
    values: Sequence[float], clusters: Sequence[str], over: Sequence[float] | None = None, seed: int = 0
) -> Estimate | None:
    """Return the mean of values, or the ratio of their sum to that of `over`, with a cluster bootstrap interval.

    Whole clusters (the questions about one document) are resampled (Davison and Hinkley 1997, "Bootstrap Methods and
    their Application", 3.8), because their answers depend on each other. With few clusters the interval is too narrow;
    with one it is a point. None without values, or if `over` sums to nothing.
    """
    if not values or (over is not None and not sum(over)):
        return None
    names = {name: i for i, name in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros((len(names), 2))
    for value, below, cluster in zip(values, over or [1.0] * len(values), clusters, strict=True):
        sums[names[cluster]] += value, below
    picks = np.random.default_rng(seed).integers(0, len(names), (RESAMPLES, len(names)))
    drawn = sums[picks].sum(axis=1)
    ratios = drawn[:, 0] / np.where(drawn[:, 1] == 0, np.nan, drawn[:, 1])
    low, high = np.nanpercentile(ratios, (2.5, 97.5)).tolist()
    above, below = sums.sum(axis=0).tolist()
    return {"mean": round(above / below, 4), "low": round(low, 4), "high": round(high, 4), "n": len(values)}


def percentile(values: Sequence[float], share: float) -> float | None:
    return float(np.percentile(np.asarray(values, np.float64), share)) if values else None

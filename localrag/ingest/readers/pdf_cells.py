"""Cells of tables that are set without upright rules: figures made whole, columns found, headers made one row.

In filings "$", ")" and "%" are set as cells of their own; here they belong to their number again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from localrag.ingest.readers.pdf_rules import Rule
from localrag.ingest.readers.pdf_words import Line, Piece, Word


class Table(NamedTuple):
    """The words that a table is made of, and its rows; the first is the header."""

    words: tuple[Word, ...]
    rows: tuple[tuple[str, ...], ...]


_CURRENCY = re.compile(r"^\(?(?:[A-Z]{1,3})?[$€£¥]\s*\(?$")
_CLOSING = re.compile(r"^[)%]+$|^(?:bps|ppts?|pp|x)$")
_OPEN_GAP = re.compile(r"(?<=[$€£¥(])\s+(?=[\d($€£¥.—–-])")
_CLOSE_GAP = re.compile(r"(?<=[\d—–-])\s+(?=[)%])")
_FIGURE = re.compile(
    r"^(?:[-+–—−(]*(?:(?:[A-Z]{1,3})?[$€£¥])?[-–−(]*\.?\d(?:[\d,.]*\d)?\)?(?:\s?(?:%|x|bps|ppts?|pp|years?|yrs|months?|days?|million|billion))?\)?(?:\s?\(\w{1,3}\)|[*†‡]+)?"
    r"|\(?[$€£¥]?\(?[—–−-]+\)?%?|N/?[AM]\.?|n/?[am]\.?)$"
)
_YEAR = re.compile(r"^(?:FY|Q[1-4]|Fiscal)?\s?'?(?:19|20)\d\d\*?(?:\s?\(\w{1,3}\))?$")
_UNIT = re.compile(
    r"^\(?unaudited\)?$|^\(?(?:dollars |amounts |\$ |u\.s\. dollars )?(?:in|unaudited)\b"
    r".{0,60}(?:million|thousand|billion|unaudited)",
    re.I,
)
_PERIOD = re.compile(
    r"\b(?:ended|ending|as of|at|months|weeks|year|january|february|march|april|june|july|august|september"
    r"|october|november|december|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?)\b",
    re.I,
)
_LEADERS = re.compile(r"(?:\s?\.){4,}\s*$|(?:\s?_){4,}\s*$")


def is_figure(text: str) -> bool:
    return bool(_FIGURE.match(text))


def is_year(text: str) -> bool:
    return bool(_YEAR.match(text))


def is_unit(text: str) -> bool:
    """Whether it says what a table's figures are counted in: "(In millions, except per share data)"."""
    return bool(_UNIT.match(text)) and len(text) < 100


def whole(found: Sequence[Piece]) -> list[Piece]:
    """The pieces of a line with signs joined to their figures, and without the dots that lead to them."""
    pieces: list[Piece] = []
    for piece in found:
        text = piece.text
        if " " in text or text.endswith((".", "_")):
            text = _CLOSE_GAP.sub("", _OPEN_GAP.sub("", _LEADERS.sub("", text)))
            if not text.strip(" ._"):
                continue
            piece = piece._replace(text=text)
        before = pieces[-1] if pieces else None
        if before and _belong(before.text, text):
            pieces[-1] = _joined(before, piece)
        else:
            pieces.append(piece)
    return pieces


def _belong(left: str, right: str) -> bool:
    """Whether a sign and a figure, or a figure and a sign, are one figure."""
    if _CURRENCY.match(left):
        return is_figure(right)
    return bool(_CLOSING.match(right)) and is_figure(left) and bool(re.search(r"[\d—–-]\)?$", left))


def _joined(left: Piece, right: Piece) -> Piece:
    return Piece(left.words + right.words, (left.text + right.text).replace(" ", ""), left.left, right.right)


# --- columns -------------------------------------------------------------------------------------------------


def find_columns(rows: Sequence[Sequence[Piece]], height: float) -> list[tuple[float, float]]:
    """Left and right of each column: what is parted by white from top to bottom; few pieces may stick out."""
    edges = sorted([(p.left, 1) for row in rows for p in row] + [(p.right, -1) for row in rows for p in row])
    few = int(len(rows) * 0.06)
    columns: list[tuple[float, float]] = []
    depth, start = 0, 0.0
    for x, step in edges:
        if depth <= few < depth + step:
            if columns and x - columns[-1][1] < 0.2 * height:
                start = columns.pop()[0]
            else:
                start = x
        depth += step
        if depth <= few < depth - step:
            columns.append((start, x))
    return columns


def column_of(piece: Piece, columns: Sequence[tuple[float, float]]) -> int:
    """The column that a piece stands in: the one it shares most with, else the nearest."""

    def fit(index: int) -> float:
        left, right = columns[index]
        return min(piece.right, right) - max(piece.left, left)

    return max(range(len(columns)), key=fit)


# --- headers -------------------------------------------------------------------------------------------------

Columns = Sequence[tuple[float, float]]
Span = tuple[float, float]


def header(
    lines: Sequence[tuple[Line, Sequence[Piece]]], columns: Columns, flat: Sequence[Rule], below: float
) -> list[str]:
    """One row out of the lines of a header: each column gets what stands above it, from the top down."""
    if not lines:
        return [""] * len(columns)
    columns = _widened(columns, [rule for rule in flat if lines[0][0].top < rule.at < below + lines[0][0].height])
    cells: list[list[str]] = [[] for _ in columns]
    spans: list[list[Span | None]] = []
    over = [sum(column_of(piece, columns) > 0 for piece in found) for _, found in lines]
    for index in reversed(range(len(lines))):
        line, found = lines[index]
        bottom = lines[index + 1][0].middle if index + 1 < len(lines) else below
        ruled = [_ruled(piece, line, columns, flat, bottom) for piece in found]
        if len(set(ruled) - {None}) < sum(span is not None for span in ruled):
            ruled = [None] * len(found)  # a rule under several says nothing of one
        if not any(ruled) and spans and over[index] == over[index + 1]:
            ruled = _inherited(found, lines[index + 1][1], spans[-1])
        if index + 1 < len(lines) and (over[index] == 1 or not any(ruled)):
            years = _over_years(found, lines[index + 1][1], columns)
            ruled = years if any(years) else ruled
        spans.append(ruled if any(ruled) else _shared(found, columns))
    spans.reverse()
    for index in range(1, len(lines)):
        if not any(spans[index]) and over[index] == over[index - 1]:
            spans[index] = _inherited(lines[index][1], lines[index - 1][1], spans[index - 1])
    for (_, found), spans_of_line in zip(lines, spans, strict=True):
        for piece, span in zip(found, spans_of_line, strict=True):
            if len(found) == 1 and is_unit(piece.text):
                cells[0].append(piece.text)
                continue
            for column in _covered(piece, span, columns):
                cells[column].append(piece.text)
    return [" ".join(words) for words in cells]


def _ruled(piece: Piece, line: Line, columns: Columns, flat: Sequence[Rule], bottom: float) -> Span | None:
    """From where to where the rule under a header's words goes: as far as they hold."""
    under = [
        rule for rule in flat
        if line.middle < rule.at <= max(bottom, line.bottom + 2)
        and min(rule.end, piece.right) - max(rule.start, piece.left) > 0.8 * (piece.right - piece.left)
        and rule.start > (columns[0][0] + columns[0][1]) / 2
    ]  # fmt: skip
    if not under:
        return None
    rule = min(under, key=lambda rule: rule.at)
    return min(rule.start, piece.left), max(rule.end, piece.right)


def _widened(columns: Columns, flat: Sequence[Rule]) -> Columns:
    """Columns as wide as the rules that stand over one of them each."""
    wide = list(columns)
    for rule in flat:
        under = [
            index for index, (left, right) in enumerate(columns)
            if min(right, rule.end) - max(left, rule.start) > 0.3 * (right - left)
        ]  # fmt: skip
        if len(under) == 1 and under[0]:
            left, right = wide[under[0]]
            wide[under[0]] = min(left, rule.start), max(right, rule.end)
    return wide


def _inherited(found: Sequence[Piece], other: Sequence[Piece], spans: Sequence[Span | None]) -> list[Span | None]:
    """Words over two lines hold alike, where each is set about one middle or one edge with its other."""
    inherited: list[Span | None] = []
    for a in found:
        same = [
            span for b, span in zip(other, spans, strict=True)
            if min(abs(a.left + a.right - b.left - b.right) / 2, abs(a.left - b.left), abs(a.right - b.right)) < 4
        ]  # fmt: skip
        if not same:
            return [None] * len(found)
        inherited.append(same[0])
    return inherited


def _over_years(found: Sequence[Piece], below: Sequence[Piece], columns: Columns) -> list[Span | None]:
    """Periods ("Nine Months Ended June 30,") above years: each year belongs to the nearest of them."""
    none: list[Span | None] = [None] * len(found)
    periods = [
        piece for piece in found
        if column_of(piece, columns) and _PERIOD.search(piece.text) and not re.search(r"\d{4}", piece.text)
    ]  # fmt: skip
    years = [piece for piece in below if is_year(piece.text)]
    if len(periods) >= len(years):
        return none
    spans: dict[Piece, Span] = {}
    for year in years:
        nearest = min(
            periods, key=lambda piece: max(piece.left - year.right, year.left - piece.right, 0.0), default=None
        )
        if nearest is not None:
            left, right = columns[column_of(year, columns)]
            old = spans.get(nearest, (left, right))
            spans[nearest] = min(left, old[0]), max(right, old[1])
    return [spans.get(piece) for piece in found]


def _shared(found: Sequence[Piece], columns: Columns) -> list[Span | None]:
    """Fewer words than columns, without rules: each holds for as many columns, if it stands within them."""
    over = [piece for piece in found if column_of(piece, columns)]
    behind = columns[1:]
    none: list[Span | None] = [None] * len(found)
    if not over or len(over) == len(behind) or len(behind) % len(over):
        return none
    if not all(_PERIOD.search(piece.text) for piece in over) and all(
        any(start - 2 <= piece.left and piece.right <= end + 2 for start, end in behind) for piece in over
    ):
        return none  # each stands in a column of its own
    size = len(behind) // len(over)
    groups = [(behind[i * size][0], behind[i * size + size - 1][1]) for i in range(len(over))]
    for piece, (start, end) in zip(over, groups, strict=True):
        off = abs((piece.left + piece.right) / 2 - (start + end) / 2)
        if off > (8 if len(over) == 1 else 0.2 * (end - start)) and (abs(piece.right - end) > 6 or len(over) == 1):
            return none
    spans = dict(zip(over, groups, strict=True))
    return [spans.get(piece) for piece in found]


def _covered(piece: Piece, span: Span | None, columns: Columns) -> list[int]:
    left, right = span or (piece.left, piece.right)
    inside = [
        index
        for index, (start, end) in enumerate(columns)
        if min(right, end) - max(left, start) > (0.5 if span else 0.6) * (end - start)
        or (left <= start and end <= right)
    ]
    return inside or [column_of(piece, columns)]

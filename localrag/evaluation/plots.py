"""Plots as SVG, drawn by these few lines: curves between 0 and 1, histograms, intervals. No script, no font, no
reference.

Colours are those of Okabe and Ito (2008, "Color Universal Design"), which the colour-blind can tell apart; lines differ
by their dashes too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

Curve = Sequence[tuple[float, float]]

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("", "7 3", "2 3", "9 3 2 3")
_WIDE, _HIGH = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 24, 12, 44
_LINE = 16  # height of a line of the legend
_TICKS = 5
_NAMES = 210  # width of the names beside intervals


def lines(curves: Sequence[tuple[str, Curve]], *, across: str, up: str) -> str:
    """Curves over the unit square, each with its name; the last point of each is marked."""
    body = [_frame(across, up, [_share(tick) for tick in _ticks()], [_share(tick) for tick in _ticks()])]
    for number, (_, points) in enumerate(curves):
        if not points:
            continue
        path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
        x, y = points[-1]
        body.append(f'<polyline points="{path}" fill="none" stroke-width="2" {_stroke(number)}/>')
        body.append(f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="3.5" fill="{_colour(number)}"/>')
    return _svg(body, [name for name, _ in curves], lined=True)


def histogram(series: Sequence[tuple[str, Sequence[float]]], edges: Sequence[float], *, across: str) -> str:
    """How many values of each series lie between the edges; the last edge counts as inside, what is beyond at the ends.

    Args:
        series: each with its name.
        edges: ascending, at least two.
        across: what the values are.
    """
    counts = [bins(values, edges) for _, values in series]
    # The axis ends at a multiple of its ticks, so that each tick is a whole number.
    most = _TICKS * -(-max((count for row in counts for count in row if count), default=1) // _TICKS)
    names = [f"{edge:g}" for edge in edges]
    body = [_frame(across, "answers", names, [f"{most * tick:.0f}" for tick in _ticks()])]
    slot = (_WIDE - _LEFT - _RIGHT) / (len(edges) - 1)
    width = slot * 0.84 / max(1, len(series))
    for number, row in enumerate(counts):
        for place, count in enumerate(row):
            left, top = _LEFT + place * slot + slot * 0.08 + number * width, _y(count / most)
            body.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_y(0) - top:.1f}" '
                f'fill="{_colour(number)}"><title>{count}</title></rect>'
            )
    return _svg(body, [f"{name} ({len(values)})" for name, values in series], lined=False)


def intervals(rows: Sequence[tuple[str, float, float, float]], *, across: str) -> str:
    """A line for each name: its value as a dot, on a stroke from the low to the high end of its interval."""
    ends = [end for _, _, low, high in rows for end in (low, high)] or [0.0, 1.0]
    least, most = min(0.0, *ends), max(0.0, *ends)
    room = (most - least) or 1.0
    place: Callable[[float], float] = lambda value: _NAMES + (value - least) / room * (_WIDE - _NAMES - _RIGHT)  # noqa: E731
    high = _TOP + 22 * len(rows)
    body = [f'<line x1="{place(0):.1f}" x2="{place(0):.1f}" y1="0" y2="{high}" stroke="#bbb"/>']
    for number, (name, value, low, top) in enumerate(rows):
        y = _TOP + 22 * number
        body.append(f'<text x="0" y="{y + 4}">{escape(name if len(name) <= 34 else name[:33] + "…")}</text>')
        body.append(f'<line x1="{place(low):.1f}" x2="{place(top):.1f}" y1="{y}" y2="{y}" stroke="{_COLOURS[0]}"/>')
        body.append(f'<circle cx="{place(value):.1f}" cy="{y}" r="3.5" fill="{_COLOURS[0]}"/>')
        body.append(f'<text x="{place(value):.1f}" y="{y - 5}" text-anchor="middle">{value:+.2f}</text>')
    body.append(f'<text x="{_NAMES}" y="{high + 14}">{escape(across)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {high + 20}" width="{_WIDE}" role="img" '
        f'font-family="sans-serif" font-size="11" fill="#333"><rect width="{_WIDE}" height="{high + 20}" fill="#fff"/>'
        f"{''.join(body)}</svg>"
    )


def bins(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many values lie between each two edges."""
    counts = [0] * (len(edges) - 1)
    for value in values:
        inside = sum(value >= edge for edge in edges[1:-1])
        counts[inside] += 1
    return counts


def _frame(across: str, up: str, x_names: Sequence[str], y_names: Sequence[str]) -> str:
    """Axes, their ticks and their names."""
    parts = []
    for number, name in enumerate(y_names):
        y = _y(number / (len(y_names) - 1))
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>')
    for number, name in enumerate(x_names):
        x = _x(number / (len(x_names) - 1))
        parts.append(f'<text x="{x:.1f}" y="{_y(0) + 16:.1f}" text-anchor="middle">{escape(name)}</text>')
    middle = (_LEFT + _WIDE - _RIGHT) / 2
    parts.append(f'<text x="{middle:.0f}" y="{_HIGH - 6}" text-anchor="middle">{escape(across)}</text>')
    centre = (_TOP + _HIGH - _BOTTOM) / 2
    turned = f'x="12" y="{centre:.0f}" text-anchor="middle" transform="rotate(-90 12 {centre:.0f})"'
    parts.append(f"<text {turned}>{escape(up)}</text>")
    return "".join(parts)


def _svg(body: Sequence[str], names: Sequence[str], *, lined: bool) -> str:
    """The whole drawing, with the names of what is drawn below it."""
    legend = []
    for number, name in enumerate(names):
        y = _HIGH + 12 + number * _LINE
        mark = (
            f'<line x1="{_LEFT}" x2="{_LEFT + 28}" y1="{y - 4}" y2="{y - 4}" stroke-width="2" {_stroke(number)}/>'
            if lined
            else f'<rect x="{_LEFT + 14}" y="{y - 10}" width="14" height="12" fill="{_colour(number)}"/>'
        )
        legend.append(f'{mark}<text x="{_LEFT + 36}" y="{y}">{escape(name)}</text>')
    high = _HIGH + 8 + len(names) * _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {high}" width="{_WIDE}" height="{high}" '
        f'role="img" font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="{_WIDE}" height="{high}" fill="#fff"/>{"".join(body)}{"".join(legend)}</svg>'
    )


def _ticks() -> list[float]:
    return [number / _TICKS for number in range(_TICKS + 1)]


def _share(value: float) -> str:
    return f"{value:.0%}"


def _x(share: float) -> float:
    return _LEFT + share * (_WIDE - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _HIGH - _BOTTOM - share * (_HIGH - _TOP - _BOTTOM)


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _stroke(number: int) -> str:
    dash = _DASHES[number % len(_DASHES)]
    return f'stroke="{_colour(number)}"' + (f' stroke-dasharray="{dash}"' if dash else "")

"""Office drawings as text: charts as tables of their numbers, SmartArt as lists, formulas on one line.

The numbers of a chart are those cached in the file; its workbook is not opened. Dates and percentages are written as
the chart shows them, other numbers in full. Of axes only the titles are kept. Formulas look as typed: "a^2/(b+c)".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from xml.etree.ElementTree import Element

from localrag.ingest.readers.blocks import markdown_rows

_OPEN = "http://schemas.openxmlformats.org"
_A = f"{{{_OPEN}/drawingml/2006/main}}"
_C = f"{{{_OPEN}/drawingml/2006/chart}}"
_D = f"{{{_OPEN}/drawingml/2006/diagram}}"
_M = f"{{{_OPEN}/officeDocument/2006/math}}"
_MAX_POINTS = 20_000
_MAX_DEPTH = 40


def chart(root: Element) -> str:
    """Return a chart: its title, then a table with a row for each category and a column for each series."""
    series = list(_classic(root))
    lines = [_chart_title(root)]
    shared = {tuple(categories) for _, categories, _ in series if categories}
    if len(shared) <= 1:  # all series over the same categories: one table
        lines += _table([name for name, _, _ in series], next(iter(shared), ()), [values for _, _, values in series])
    else:
        for name, categories, values in series:
            lines += ["", *_table([name], categories, [values])]
    return "\n".join(lines).strip()


def _table(names: Sequence[str], categories: Sequence[str], columns: Sequence[dict[int, str]]) -> list[str]:
    count = min(max([len(categories), *(max(values, default=-1) + 1 for values in columns)]), _MAX_POINTS)
    rows = [
        [categories[index] if index < len(categories) else "", *(values.get(index, "") for values in columns)]
        for index in range(count)
    ]
    return markdown_rows([["", *names], *rows]) if rows else [" ".join(filter(None, names))]


def _chart_title(root: Element) -> str:
    """Return the title, followed by those of the axes, which often name the unit."""
    own = root.find(f"{_C}chart/{_C}title")
    axes = [axis.find(f"{_C}title") for axis in root.iterfind(f"{_C}chart/{_C}plotArea/*")]
    named = [text for title in axes if title is not None and (text := _drawn(title))]
    title = _drawn(own) if own is not None else ""
    return f"{title} ({'; '.join(named)})" if title and named else title or "; ".join(named)


def _drawn(element: Element) -> str:
    texts = [piece.text or "" for piece in element.iter(f"{_A}t")]
    return " ".join("".join(texts or (piece.text or "" for piece in element.iter(f"{_C}v"))).split())


def _classic(root: Element) -> Iterator[tuple[str, list[str], dict[int, str]]]:
    for one in root.iter(f"{_C}ser"):
        parts = {child.tag.removeprefix(_C): child for child in one}
        categories = _points(parts.get("cat", parts.get("xVal")))
        listed = [categories.get(index, "") for index in range(min(max(categories, default=-1) + 1, _MAX_POINTS))]
        yield _drawn(parts["tx"]) if "tx" in parts else "", listed, _points(parts.get("val", parts.get("yVal")))


def _points(holder: Element | None) -> dict[int, str]:
    """Return the cached values by index; join categories of several levels, the outermost first."""
    if holder is None:
        return {}
    form = next((element.text or "" for element in holder.iter(f"{_C}formatCode")), "")
    found: dict[int, str] = {}
    for depth, level in enumerate(list(holder.iter(f"{_C}lvl")) or [holder]):
        values = {
            int(index): _shown(point.findtext(f"{_C}v") or "", point.get("formatCode") or form)
            for point in level.iter(f"{_C}pt")
            if (index := point.get("idx", "")).isdigit()
        }
        outer = ""
        for place in sorted(found if depth else values):
            outer = values.get(place, outer)
            found[place] = f"{outer} {found[place]}" if depth else outer
    return found


def _shown(value: str, form: str) -> str:
    """Return a cached value as its number format shows it, if the format changes its meaning."""
    try:
        number = float(value)
    except ValueError:
        return value
    plain = re.sub(r'"[^"]*"|\\.|\[[^\]]{0,200}\]', "", form.lower())
    if "%" in plain:
        return f"{number * 100:.10g}%"
    if ("y" in plain or ("d" in plain and "m" in plain)) and 1 <= number < 2_958_466:
        moment = datetime(1899, 12, 30) + timedelta(days=number)
        return moment.strftime("%Y-%m-%d %H:%M") if number % 1 and "h" in plain else moment.strftime("%Y-%m-%d")
    return value if value.lstrip("-").isdigit() else f"{number:.10g}"


def diagram(root: Element) -> str:
    """Return the texts of a SmartArt drawing as a list."""
    texts = (" ".join(filter(None, map(_drawn, point.iter(f"{_A}p")))) for point in root.iter(f"{_D}pt"))
    return "\n".join(f"- {text}" for text in texts if text)


_INVISIBLE = dict.fromkeys(range(0x2061, 0x2065))  # operators such as "apply" and "times", never printed


def formula(element: Element, depth: int = 0) -> str:
    """Return an m:oMath as it would be typed."""
    if depth > _MAX_DEPTH or not element.tag.startswith(_M):
        return ""
    if element.tag == f"{_M}t":
        return (element.text or "").translate(_INVISIBLE)
    name = element.tag.removeprefix(_M)
    part = {child.tag.removeprefix(_M): formula(child, depth + 1) for child in element}
    if name == "f":
        return f"{_grouped(part.get('num', ''))}/{_grouped(part.get('den', ''))}"
    if name in ("sSup", "sSub", "sSubSup", "nary"):
        sign = next((child.get(f"{_M}val", "") for child in element.iter(f"{_M}chr")), "∫") if name == "nary" else ""
        below = f"_{_grouped(part['sub'])}" if part.get("sub") else ""
        above = f"^{_grouped(part['sup'])}" if part.get("sup") else ""
        return f"{sign}{below}{above} {part.get('e', '')}" if sign else f"{part.get('e', '')}{below}{above}"
    if name == "rad":
        return f"√{_grouped(part.get('e', ''))}"
    if name == "d":
        marks = {child.tag: child.get(f"{_M}val", "") for child in element.iterfind(f"{_M}dPr/*")}
        inside = [formula(child, depth + 1) for child in element.iterfind(f"{_M}e")]
        return f"{marks.get(f'{_M}begChr', '(')}{', '.join(inside)}{marks.get(f'{_M}endChr', ')')}"
    between = " " if name == "oMathPara" else ""  # separate formulas, not parts of one
    return between.join(filter(None, (formula(child, depth + 1) for child in element)))


def _grouped(text: str) -> str:
    return text if len(text) <= 1 or text.isalnum() else f"({text})"

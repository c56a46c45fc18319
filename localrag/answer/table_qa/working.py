"""From figures to a result, worked out by code (pure): an expression over the figures, and what it comes to.

Calculated in decimal by `exact.calculator`, which reads the very expression that is shown. A change is the later less
the earlier, a decrease the other way round; a percentage change is that by the earlier (by its size, where it was
negative and has changed its sign); a difference is the greater less the lesser. Percentages have two decimals at most,
other results up to two more than their figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from localrag.answer.exact.calculator import calculate
from localrag.answer.table_qa.asking import Kind
from localrag.answer.table_qa.cells import Cell
from localrag.quantities import CURRENCY_SIGNS, SCALES, format_number

_MINUS = "−"


@dataclass(frozen=True, slots=True)
class Result:
    """An expression over figures, its value as shown and as a number."""

    expression: str
    shown: str
    value: Decimal


def work_out(kind: Kind, cells: Sequence[Cell]) -> Result | None:
    """What the figures come to; None where they cannot be put together (other units, nothing to divide by).

    Args:
        kind: the calculation.
        cells: the earlier before the later, the part before the whole.
    """
    if not any(cell.value for cell in cells):
        return None  # dashes alone: not reported, rather than nothing
    units = {cell.unit for cell in cells if cell.unit}
    scales = {cell.scale for cell in cells}
    if len(units) > 1 or (len(scales) > 1 and kind not in ("share", "ratio")):
        return None
    values = [cell.value for cell in cells]
    if len(scales) > 1:
        values = [cell.value.scaleb(SCALES.get(cell.scale, 0)) for cell in cells]
    unit, scale = next(iter(units), ""), cells[0].scale if len(scales) == 1 else ""
    places = max(_places(cell.value) for cell in cells)
    expression = _expression(kind, values)
    if expression is None:
        return None
    try:
        value = calculate(expression)
    except ValueError:
        return None
    if kind in ("percentage change", "percentage decrease", "share"):
        return Result(expression, _percent(value * 100), value * 100)
    if kind == "ratio":
        return Result(expression, _number(_rounded(value, 2)), value)
    value = _rounded(value, places + 2 if kind == "average" else places)
    if unit == "%":
        points = (
            f"percentage point{'' if abs(value) == 1 else 's'}" if kind in ("change", "decrease", "difference") else "%"
        )
        return Result(expression, f"{_number(value)} {points}", value)
    sign = CURRENCY_SIGNS.get(unit, f"{unit} " if unit else "")
    minus, amount = (_MINUS, -value) if value < 0 else ("", value)
    return Result(expression, f"{minus}{sign}{format_number(amount)}{f' {scale}' if scale else ''}", value)


def _expression(kind: Kind, values: Sequence[Decimal]) -> str | None:
    told = [_operand(value) for value in values]
    first, last = values[0], values[-1]
    if kind == "sum":
        return " + ".join(told)
    if kind == "average":
        return f"({' + '.join(told)}) / {len(told)}"
    if kind == "share" and last:
        part = " + ".join(told[:-1])
        return f"{f'({part})' if len(told) > 2 else part} / {told[-1]}"
    if len(values) != 2:
        return None
    if kind == "change":
        return f"{told[1]} − {told[0]}"
    if kind == "decrease":
        return f"{told[0]} − {told[1]}"
    if kind == "percentage decrease":
        return f"({told[0]} − {told[1]}) / {told[0]}" if first else None
    if kind == "difference":
        return f"{told[0]} − {told[1]}" if first >= last else f"{told[1]} − {told[0]}"
    if kind == "percentage change":
        if not first:
            return None
        base = _operand(abs(first)) if first < 0 < last else told[0]
        return f"({told[1]} − {told[0]}) / {base}"
    return f"{told[0]} / {told[1]}" if last else None


def _operand(value: Decimal) -> str:
    plain = f"{abs(value):,f}"
    return f"({_MINUS}{plain})" if value < 0 else plain


def _places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _rounded(value: Decimal, places: int) -> Decimal:
    """To so many decimals, or two figures where it is smaller than those show."""
    if value and abs(value) < Decimal(1).scaleb(1 - places):
        places = max(places, 1 - value.adjusted())
    return round(value, places)


def _number(value: Decimal) -> str:
    return f"{_MINUS if value < 0 else ''}{format_number(abs(value))}"


def _percent(value: Decimal) -> str:
    return f"{_number(_rounded(value, 2))} %"

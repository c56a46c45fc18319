"""Values of a sheet's cells as a person sees them: short, exact, dates by ISO 8601."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

from localrag.ingest.readers.cleaning import clean


def shown(value: Any, mark: str = "") -> str:
    """A cell's value as a person sees it, in its shortest form; `mark` as in `Marks.cells`."""
    if isinstance(value, str):
        return mark if mark.startswith("#") else clean(value).strip()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        if mark == "%":
            return f"{number(value * 100)}%"
        text = number(value)
        return text.zfill(len(mark)) if mark and text.isdigit() else text
    if isinstance(value, datetime.datetime):
        whole = value.replace(microsecond=0)
        if value.microsecond >= 500_000 and value.year < datetime.MAXYEAR:
            whole += datetime.timedelta(seconds=1)
        return f"{whole.date().isoformat()} {_clock(whole.time())}"
    if isinstance(value, datetime.time):
        return clock(value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6)
    if isinstance(value, datetime.timedelta):
        return duration(value.total_seconds())
    return value.isoformat() if isinstance(value, datetime.date) else clean(str(value)).strip()


def number(value: float) -> str:
    """Up to 15 digits, as in a spreadsheet's cell; whole numbers without a point."""
    if isinstance(value, int) and abs(value) < 10**15:
        return str(value)
    text = f"{value:.15g}"
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        return format(decimal.Decimal(text), "f")
    return "0" if text == "-0" else text


def duration(seconds: float) -> str:
    """Hours may be more than a day's."""
    sign, rest = ("-" if seconds < 0 else ""), round(abs(seconds))
    return f"{sign}{rest // 3600}:{rest // 60 % 60:02}:{rest % 60:02}"


def clock(seconds: float) -> str:
    """A time of day, to the second; the seconds only where there are some."""
    whole = min(round(seconds), 86_399)
    return _clock(datetime.time(whole // 3600, whole // 60 % 60, whole % 60))


def _clock(time: datetime.time) -> str:
    return f"{time:%H:%M:%S}" if time.second else f"{time:%H:%M}"

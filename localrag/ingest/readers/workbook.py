"""The pages of a workbook while its sheets are read one by one, with what a person should know of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from localrag.errors import ReadError
from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.grids import Merge, Row, lay_out
from localrag.ingest.readers.marks import Marks
from localrag.ingest.readers.source import Options
from localrag.types import Page, Reading, Remark, SkippedPage


class Workbook:
    """Every sheet has a page, also an empty one, so that their numbers are those of the tabs."""

    def __init__(self, options: Options) -> None:
        self._left = options.characters
        self._pages: list[Page] = []
        self._skipped: list[SkippedPage] = []
        self._remarks: list[Remark] = []
        self._uncalculated = 0
        self._failed = ""

    def add(self, name: str, rows: Iterable[Row], merged: Sequence[Merge], hidden: bool, mark: Marks) -> None:
        """A sheet, with what is known of it beside its values."""
        number = len(self._pages) + 1
        page = lay_out(rows, number, name, merged, mark.boxes, self._left)
        self._left -= len(page.text)
        self._pages.append(page)
        if not page.text and mark.kind != "worksheet":  # of an empty worksheet nothing is lost
            what = f"a {mark.kind.removesuffix('sheet').strip()} sheet, without cells"
            self._skipped.append(SkippedPage(number, what))
        if hidden:
            self._remarks.append(Remark(number, f"The sheet {clean(name)!r} is hidden in the workbook."))
        if mark.uncalculated:
            self._uncalculated += mark.uncalculated
            words = "formula was" if mark.uncalculated == 1 else "formulas were"
            self._remarks.append(Remark(number, f"{mark.uncalculated:,} {words} never calculated: no value."))

    def fail(self, name: str, reason: str) -> None:
        number = len(self._pages) + 1
        self._failed = f"cannot be read ({clean(' '.join(reason.split()))[:100]})"
        self._pages.append(Page("", number, name, unit="sheet"))
        self._skipped.append(SkippedPage(number, self._failed))

    def reading(self, title: str, author: str, date: str) -> Reading:
        """All of it.

        Raises:
            ReadError: no sheet has text, and this is not because they are empty.
        """
        if not any(page.text for page in self._pages):
            if self._failed:
                raise ReadError(f"has no sheet that can be read: the last one {self._failed}", "Save it anew as XLSX.")
            if self._uncalculated:
                raise ReadError(
                    "holds nothing but formulas that were never calculated",
                    "Open it in a spreadsheet program and save it.",
                )
        return Reading(tuple(self._pages), title, tuple(self._skipped), tuple(self._remarks), author, date)

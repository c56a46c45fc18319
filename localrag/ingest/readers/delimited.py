"""Delimited text (CSV, TSV): one page, laid out like a sheet, with the cells' names that a spreadsheet would give them.

The delimiter is the one of , ; tab | that parts most lines alike; "sep=;" in the first line settles it. A quotation
mark that is opened and never closed would swallow the rest of the file: such a line is read without quotes, with a
remark. Values stay as they are written. Comments are not told apart.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.grids import Row, lay_out, row_of
from localrag.ingest.readers.source import Options, Source, another_kind
from localrag.ingest.readers.text import decode_guessing, guess_remark
from localrag.types import Reading, Remark

_DELIMITERS = ",;\t|"
_NONE = "\x1f"  # in no text: one column
_SAMPLE = 200  # records
_MOST_REPAIRS = 20  # each may cost a pass over the rest


def read(source: Source, options: Options) -> Reading:
    if other := another_kind(source, "delimited text", "a PDF with"):
        raise other
    text, guessed = decode_guessing(source.read())
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    del text
    delimiter = ""
    if lines[0].lower().startswith("sep=") and len(lines[0]) == 5:
        delimiter, lines[0] = lines[0][4], ""
    delimiter = delimiter or find_delimiter(lines, "\t" if source.suffix == ".tsv" else ",")
    broken: list[int] = []
    page = lay_out(_rows(lines, delimiter, broken), 1, None, limit=options.characters)
    remarks = guess_remark(guessed)
    if broken:
        where = ", ".join(map(str, broken[:5])) + (", ..." if len(broken) > 5 else "")
        remarks = (*remarks, Remark(1, f"A quotation mark is opened and never closed in line {where}."))
    return Reading((page,), remarks=remarks)


def find_delimiter(lines: Sequence[str], usual: str) -> str:
    """The delimiter by which most records have the same number of fields; _NONE where few have more than one."""
    best, most = _NONE, (0.0, 0)
    for delimiter in (usual, *_DELIMITERS.replace(usual, "")):
        if not any(delimiter in line for line in islice(lines, _SAMPLE)):
            continue
        records = [len(record) for record in islice(_parsed(lines[: _SAMPLE * 5], delimiter), _SAMPLE) if any(record)]
        counts = Counter(fields for fields in records if fields > 1)
        if 2 * sum(counts.values()) < len(records) or not counts:
            continue  # a comma inside prose parts a few lines
        fields, alike = max(counts.items(), key=lambda item: (item[1], item[0]))
        score = (round(alike / len(records), 1), fields)
        if score > most:
            best, most = delimiter, score
    return best


def _parsed(lines: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(1 << 30)
    yield from csv.reader((f"{line}\n" for line in lines), **_dialect(delimiter))


def _rows(lines: list[str], delimiter: str, broken: list[int]) -> Iterator[Row]:
    for number, record in enumerate(_records(lines, delimiter, broken)):
        if row := row_of(number, 0, [clean(field).strip() for field in record]):
            yield row


def _records(lines: list[str], delimiter: str, broken: list[int]) -> Iterator[list[str]]:
    """The records, a spreadsheet's rows; `broken` collects the numbers of lines with an unclosed quotation mark."""
    begin = 0
    while begin < len(lines):
        start = begin
        strict = len(broken) < _MOST_REPAIRS
        reader = csv.reader((f"{lines[at]}\n" for at in range(start, len(lines))), **_dialect(delimiter), strict=strict)
        try:
            for record in reader:
                yield record
                begin = start + reader.line_num
        except csv.Error:  # something behind a closing quotation mark, or no such mark until the end
            if start + reader.line_num - begin > 1:
                broken.append(begin + 1)
                yield next(csv.reader([lines[begin]], **_dialect(delimiter), quoting=csv.QUOTE_NONE))
            else:
                yield next(csv.reader([lines[begin]], **_dialect(delimiter)))
            begin += 1


def _dialect(delimiter: str) -> Any:
    """Spaces behind a delimiter may come before a quotation mark; between tabs they are all there is of a cell."""
    return {"delimiter": delimiter, "skipinitialspace": delimiter != "\t"}

"""Read delimited text (CSV, TSV) as one sheet; values stay as they are written.

The delimiter is the one of , ; tab | that splits most lines alike; "sep=;" in the first line overrides it. A quotation
mark that is never closed would swallow the rest of the file: such a line is read without quotes, with a remark.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.sheet_layout import Row, lay_out, row_of
from localrag.ingest.readers.source import Options, Source, another_kind
from localrag.ingest.readers.text import decode_guessing, guess_remark
from localrag.types import Reading, Remark

_DELIMITERS = ",;\t|"
_NO_DELIMITER = "\x1f"  # in no text: one column
_SAMPLE = 200  # records
_MAX_REPAIRS = 20  # each may cost a pass over the rest


def read(source: Source, options: Options) -> Reading:
    if other := another_kind(source, "delimited text", "a PDF with"):
        raise other
    text, encoding = decode_guessing(source.read())
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if lines[0].lower().startswith("sep=") and len(lines[0]) == 5:
        delimiter, lines[0] = lines[0][4], ""
    else:
        delimiter = _find_delimiter(lines, "\t" if source.suffix == ".tsv" else ",")
    unclosed: list[int] = []
    page = lay_out(_rows(lines, delimiter, unclosed), 1, None, limit=options.characters)
    remarks = guess_remark(encoding)
    if unclosed:
        numbers = ", ".join(map(str, unclosed[:5])) + (", ..." if len(unclosed) > 5 else "")
        remarks = (*remarks, Remark(1, f"A quotation mark is opened and never closed in line {numbers}."))
    return Reading((page,), remarks=remarks)


def _find_delimiter(lines: Sequence[str], usual: str) -> str:
    """Return the delimiter that gives most records the same number of fields."""
    best, best_score = _NO_DELIMITER, (0.0, 0)
    for delimiter in (usual, *_DELIMITERS.replace(usual, "")):
        records = [len(record) for record in islice(_parse(lines[: _SAMPLE * 5], delimiter), _SAMPLE) if any(record)]
        counts = Counter(fields for fields in records if fields > 1)
        if not counts or 2 * sum(counts.values()) < len(records):
            continue  # a comma inside prose splits a few lines
        fields, same = max(counts.items(), key=lambda item: (item[1], item[0]))
        if (score := (round(same / len(records), 1), fields)) > best_score:
            best, best_score = delimiter, score
    return best


def _parse(lines: Sequence[str], delimiter: str, **how: Any) -> Any:
    csv.field_size_limit(1 << 30)
    # Spaces behind a delimiter may come before a quotation mark; between tabs they are the whole cell.
    return csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=delimiter != "\t", **how)


def _rows(lines: list[str], delimiter: str, unclosed: list[int]) -> Iterator[Row]:
    for number, record in enumerate(_records(lines, delimiter, unclosed)):
        if row := row_of(number, 0, [clean(field).strip() for field in record]):
            yield row


def _records(lines: list[str], delimiter: str, unclosed: list[int]) -> Iterator[list[str]]:
    """Yield the records; add the numbers of lines with an unclosed quotation mark to `unclosed`."""
    begin = 0
    while begin < len(lines):
        start = begin
        reader = _parse(lines[start:], delimiter, strict=len(unclosed) < _MAX_REPAIRS)
        try:
            for record in reader:
                yield record
                begin = start + reader.line_num
        except csv.Error:  # text behind a closing quotation mark, or no such mark until the end
            is_unclosed = start + reader.line_num - begin > 1
            if is_unclosed:
                unclosed.append(begin + 1)
            yield next(_parse([lines[begin]], delimiter, quoting=csv.QUOTE_NONE if is_unclosed else csv.QUOTE_MINIMAL))
            begin += 1

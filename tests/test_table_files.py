"""Tables as files: every cell is there, and none of them is a formula."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from localrag.errors import UsageError
from localrag.table_files import written

ROWS = [
    {"document": "a.txt", "found": True, "answer": "90 days, at least", "likelihood": 0.93},
    {"document": "b|c.txt", "found": False, "answer": "", "likelihood": None, "rent": "“5”\nper year"},
]


def read(rows: list[dict[str, object]]) -> list[list[str]]:
    return list(csv.reader(io.StringIO(written(rows, Path("t.csv")).decode("utf-8-sig"))))


def test_csv_has_every_cell_and_opens_as_utf_8() -> None:
    assert written(ROWS, Path("t.csv")).startswith(b"\xef\xbb\xbf")
    assert read(ROWS) == [
        ["document", "found", "answer", "likelihood", "rent"],
        ["a.txt", "yes", "90 days, at least", "0.93", ""],
        ["b|c.txt", "no", "", "", "“5”\nper year"],
    ]


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", " =1", "\r=1", "\n=1"])
def test_what_a_spreadsheet_would_run_is_text(text: str) -> None:
    assert read([{"a": text}])[1] == [f"'{text}"]
    assert read([{text: "x"}])[0] == [f"'{text}"]


@pytest.mark.parametrize("text", ["-5", "+3.5", "-1,200", "a=b", "2024-01-01", ""])
def test_numbers_and_plain_text_stay_as_they_are(text: str) -> None:
    assert read([{"a": text, "b": "x"}])[1] == [text, "x"]


def test_json_keeps_kinds() -> None:
    assert json.loads(written(ROWS, Path("T.JSON"))) == ROWS


def test_markdown_escapes_what_it_would_read() -> None:
    lines = written(ROWS, Path("t.md")).decode().splitlines()
    assert lines[1] == "| --- | --- | --- | --- | --- |"
    assert lines[3] == "| b\\|c.txt | no |  |  | “5” per year |"


def test_another_suffix_is_refused_with_those_that_can_be() -> None:
    with pytest.raises(UsageError) as raised:
        written(ROWS, Path("t.xlsx"))
    assert ".csv, .json, .md" in raised.value.hint


def test_no_rows_are_a_table_too() -> None:
    assert json.loads(written([], Path("t.json"))) == [] and written([], Path("t.md")) == b""

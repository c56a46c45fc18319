"""Surveys at the command line: the table, its file, and progress."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from localrag.cli.app import localrag
from localrag.cli.survey_table import Pace
from localrag.errors import UsageError
from localrag.events import Surveyed
from localrag.settings import load_settings
from localrag.store.library import Library

Shelf = Callable[..., Library]
QUESTION = "Which leases allow dogs?"


def run(*args: str) -> Result:
    result = CliRunner().invoke(localrag, ["ask", *args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def leases(shelf: Shelf, models: Any) -> Library:
    yes = json.dumps({"found": True, "answer": "=yes", "quote": "Dogs are welcome"})
    models.generator.script = [("Dogs", yes)]
    models.generator.otherwise = json.dumps({"found": False, "answer": "", "quote": ""})
    return shelf("leases", {"a.txt": "Dogs are welcome.", "b.txt": "Rent is due.", "c.txt": "Dogs are welcome here."})


def test_a_pipe_gets_plain_aligned_columns_and_the_quotes_below(leases: Library) -> None:
    lines = run(QUESTION, "--mode", "survey").stdout.splitlines()
    assert lines[0] == "2 of 3 leases answer “Does this lease allow dogs?” with yes."
    at = next(n for n, line in enumerate(lines) if line.startswith("document"))
    assert lines[at].split() == ["document", "answer", "place"]
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["a.txt", "b.txt", "c.txt"]
    assert "nothing found" in lines[at + 2] and "[1]" in lines[at + 1] and "[2]" in lines[at + 3]
    assert lines[-1] == "[2] c.txt: “Dogs are welcome”"


def test_the_table_is_written_to_a_file_and_no_cell_is_a_formula(leases: Library, tmp_path: Path) -> None:
    file = tmp_path / "dogs.csv"
    result = run(QUESTION, "--mode", "survey", "--table", str(file))
    rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["document"], row["found"]) for row in rows] == [("a.txt", "yes"), ("b.txt", "no"), ("c.txt", "yes")]
    assert rows[0]["answer"] == "'=yes" and "Wrote 3 rows" in result.stderr
    value = json.loads(run(QUESTION, "--mode", "survey", "--json", "--table", str(tmp_path / "t.json")).stdout)
    assert json.loads((tmp_path / "t.json").read_text()) == value["table"]


def test_a_written_table_is_on_record_without_the_words_of_its_question(leases: Library, tmp_path: Path) -> None:
    file = tmp_path / "dogs.xlsx"
    run(QUESTION, "--mode", "survey", "--table", str(file))
    lines = [json.loads(line) for line in load_settings().audit_of("leases").read_text().splitlines()]
    (entry,) = [line for line in lines if line["event"] == "export"]
    assert entry["library"] == "leases" and entry["details"]["rows"] == 3 and entry["details"]["written"] == str(file)
    assert QUESTION not in json.dumps(entry) and file.read_bytes()[:2] == b"PK"


def test_a_file_of_another_kind_is_refused_before_anything_is_asked(leases: Library, models: Any) -> None:
    with pytest.raises(UsageError, match="no table can be written"):
        run(QUESTION, "--table", "dogs.docx")
    assert models.loaded == []


def test_an_answer_without_rows_is_shown_and_the_missing_table_said(leases: Library, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no rows"):
        run("When is rent due?", "--mode", "retrieve", "--table", str(tmp_path / "t.md"))
    assert not (tmp_path / "t.md").exists()


def test_progress_tells_the_time_left_as_it_has_gone_so_far() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    now[0] = 40.0
    assert pace.line(Surveyed(4, 40, {})) == "asking each document… 4 of 40, about 6 min left"
    assert pace.line(Surveyed(39, 40, {})) == "asking each document… 39 of 40, about 1 s left"
    assert pace.line(Surveyed(40, 40, {})) == "asking each document… 40 of 40"


def test_without_a_terminal_there_is_a_line_every_half_minute_at_most() -> None:
    now = [0.0]
    pace = Pace(lambda: now[0])
    due = []
    for second in range(0, 100, 10):
        now[0] = second
        due.append(pace.due())
    assert [n * 10 for n, told in enumerate(due) if told] == [30, 60, 90]

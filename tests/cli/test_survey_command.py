"""Surveys at the command line: the table, its file, and progress."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import command_line
import pytest
from command_line import refused

from localrag.errors import UsageError
from localrag.security import audit
from localrag.settings import load_settings
from localrag.store.library import Library

Shelf = Callable[..., Library]
run = partial(command_line.run, "ask")
QUESTION = "Which leases allow dogs?"


@pytest.fixture
def leases(shelf: Shelf, models: Any) -> Library:
    yes = json.dumps({"found": True, "answer": "yes", "quote": "=Dogs are welcome"})
    models.generator.script = [("Dogs", yes)]
    models.generator.weights = [("Rent is due", "no")]
    return shelf("leases", {"a.txt": "=Dogs are welcome.", "b.txt": "Rent is due.", "c.txt": "=Dogs are welcome here."})


def test_a_piped_survey_is_aligned_columns_with_quotes_below(leases: Library) -> None:
    lines = run(QUESTION, "--mode", "survey").stdout.splitlines()
    assert lines[0].startswith("2 of 3 leases")
    at = next(n for n, line in enumerate(lines) if line.startswith("document"))
    assert lines[at].split() == ["document", "answer", "place"]
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["a.txt", "b.txt", "c.txt"]
    assert "nothing found" in lines[at + 2] and "[1]" in lines[at + 1] and "[2]" in lines[at + 3]
    assert lines[-1] == "[2] c.txt: “=Dogs are welcome”"


def test_the_table_is_written_to_a_file_and_no_cell_is_a_formula(leases: Library, tmp_path: Path) -> None:
    file = tmp_path / "dogs.csv"
    result = run(QUESTION, "--mode", "survey", "--table", str(file))
    rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["document"], row["found"]) for row in rows] == [("a.txt", "yes"), ("b.txt", "no"), ("c.txt", "yes")]
    assert rows[0]["quote"] == "'=Dogs are welcome" and "3 rows" in result.stderr
    value = json.loads(run(QUESTION, "--mode", "survey", "--json", "--table", str(tmp_path / "t.json")).stdout)
    assert json.loads((tmp_path / "t.json").read_text()) == value["table"]


def test_a_written_table_is_logged_without_its_question(leases: Library, tmp_path: Path) -> None:
    file = tmp_path / "dogs.xlsx"
    run(QUESTION, "--mode", "survey", "--table", file)
    (entry,) = [one for one in audit.entries(load_settings().library_audit_file("leases")) if one.event == "export"]
    assert (entry.details["rows"], entry.details["written"]) == (3, str(file))
    assert QUESTION not in str(entry) and file.read_bytes()[:2] == b"PK"


def test_a_table_of_another_kind_or_without_rows_is_refused(leases: Library, models: Any, tmp_path: Path) -> None:
    refused(UsageError, "ask", QUESTION, "--table", "dogs.docx")
    assert models.loaded == []
    refused(UsageError, "ask", "When is rent due?", "--mode", "retrieve", "--table", tmp_path / "t.md")
    assert not (tmp_path / "t.md").exists()

import json
import sqlite3
from functools import partial

import command_line
import pytest
from click.testing import CliRunner

from localrag.cli.app import localrag
from localrag.errors import NotFoundError, StorageError, UsageError
from localrag.items import facts

SCHEMA = "vendor party, total money, paid yes/no"


run = partial(command_line.run, "extract")


@pytest.fixture
def bills(shelf, models):
    texts = {
        "a.md": "Vendor: Acme GmbH\nTotal: EUR 1.200,50\nPaid: no\n",
        "b.md": "Vendor: =Orlo Ltd\nTotal: $ 99\nPaid: yes\n",
    }
    return shelf("bills", texts)


def test_rows_are_printed_and_the_rest_said_on_stderr(bills):
    result = run(SCHEMA)
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["document", "a.md", "b.md"]
    assert "1200.5" in result.stdout and "EUR" in result.stdout and "6 values" in result.stderr


def test_json_has_each_value_with_its_source(bills):
    answer = command_line.run_json("extract", SCHEMA, "--document", "a*")
    (row,) = answer["table"]
    assert (row["vendor"], row["total"], row["total currency"], row["paid"]) == ("Acme GmbH", 1200.5, "EUR", False)
    source = row["sources"]["total"]
    assert bills.page_text(1, 0)[source["start"] : source["end"]] == source["quote"] == "Total: EUR 1.200,50"
    assert (source["form"], source["words"], source["by"]) == ("1200.50", "EUR 1.200,50", "code")


def test_the_table_shows_titles_where_files_and_json_keep_paths(shelf, models, tmp_path):
    long = f"bills/2024/{'scanned and checked ' * 3}.md"
    library = shelf("bills", {long: "PURCHASE ORDER OF ACME\n\nTotal: $ 99\n", "b.md": "Total: $ 5\n"})
    facts.refresh(library)
    (title,) = library.titles([long, "b.md"]).values()
    shown = run("total money", "--out", str(tmp_path / "a.csv")).stdout
    assert title in shown and "b.md" in shown and "scanned" not in shown and "document_title" not in shown
    assert [row["document"] for row in command_line.run_json("extract", "total money")["table"]] == ["b.md", long]
    assert long in (tmp_path / "a.csv").read_text("utf-8-sig")
    with pytest.raises(UsageError):
        run("document_title, total money")  # every row may have a cell of that name


@pytest.mark.parametrize(("out", "error"), [("", SystemExit), ("nowhere/rows.csv", StorageError)])
def test_a_file_that_cannot_be_is_refused_first(bills, out, error):
    result = CliRunner().invoke(localrag, ["extract", SCHEMA, "--out", out])
    assert isinstance(result.exception, error) and not result.stdout


def test_a_database_has_typed_columns_and_the_sources(bills, tmp_path):
    file = tmp_path / "bills.db"
    run(SCHEMA, "--out", str(file))
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT sum(total), sum(paid) FROM rows WHERE total > 10").fetchall() == [(1299.5, 1)]
        types = {name: kind for _, name, kind, *_ in database.execute("PRAGMA table_info(rows)")}
        assert (types["vendor"], types["total"], types["paid"]) == ("TEXT", "REAL", "INTEGER")
        (quote,) = database.execute("SELECT quote FROM sources WHERE row = 2 AND field = 'vendor'").fetchone()
        assert quote == "Vendor: =Orlo Ltd"
    database.close()


def test_a_schema_comes_from_a_file_and_a_wrong_one_is_refused(bills, tmp_path):
    file = tmp_path / "bill.schema.json"
    file.write_text(json.dumps({"properties": {"vendor": {"type": "string", "format": "party"}}}))
    assert "Acme GmbH" in run(str(file)).stdout
    for error, *words in (
        (NotFoundError, tmp_path / "other.json"),
        (UsageError, file, "--out", file),  # it is not overwritten
        (UsageError, "vendor, vendor"),
        (UsageError, "vendor", "--out", tmp_path / "x.docx"),
    ):
        with pytest.raises(error):
            run(*words)
    assert "properties" in file.read_text()

"""Sheets of data: what is searched of them, and what code answers over their rows; sums are checked in plain Python."""

from __future__ import annotations

from contextlib import closing

import pytest
from asking import ask
from fakes import HashingEmbedder
from papers import ingest, sound

from localrag.store.writer import Editor

CLIENTS, REGIONS = ("Acme Ltd", "Borel GmbH", "Corvin"), ("North", "South")
ROWS = [
    (
        f"INV-{n}",
        CLIENTS[n % 3],
        f"{2022 + n % 3}-0{1 + n % 9}-15",
        "n/a" if n == 7 else f"{n * 1.5:.2f}",
        REGIONS[n % 2],
    )
    for n in range(8000)
]
HEAD = "Invoice,Client,Date,Amount,Region"
SALES = "\n".join([HEAD, *map(",".join, ROWS)])


def amounts(passes=lambda row: True):
    return [float(row[3]) for row in ROWS if row[3] != "n/a" and passes(row)]


@pytest.fixture
def made(settings, folder):
    """Makes a library by reading files: `made({"sales.csv": "..."})`."""

    def make(files):
        root = folder(files)
        with closing(Editor.create(settings.library_dir("data"), "data", HashingEmbedder().identity)) as library:
            report = ingest(library, root)
            sound(library)
            return report, library.counts()["chunks"], library.sheets(), root

    return make


@pytest.fixture
def sales(made):
    return made({"sales.csv": SALES})


def values(answer):
    return [tuple(row.values()) for row in answer.table]


def test_rows_of_data_become_a_description_not_passages(sales):
    _, chunks, sheets, _ = sales
    assert chunks < 10 and len(sheets) == 1


@pytest.mark.parametrize(
    "question",
    [
        "What is the sum of amount by client in 2024?",
        "Total amount per client in 2024",
        "Show the total of the amounts for each client between January 2024 and December 2024",
    ],
)
def test_a_sum_by_group_and_period_is_that_of_the_rows(assistant, models, sales, question):
    _, answer = ask(assistant, question, "data")
    gold = {name: sum(amounts(lambda row, name=name: row[1] == name and row[2][:4] == "2024")) for name in CLIENTS}
    assert dict(values(answer)) == pytest.approx({name: total for name, total in gold.items() if total})
    assert answer.plan.kind == "exact" and models.loaded == [] and "SELECT" in answer.plan.signals["sql"]
    assert all(one.quote in SALES.replace(",", " | ") or one.quote.startswith("| INV-") for one in answer.citations)


@pytest.mark.parametrize(
    ("question", "gold"),
    [
        (
            "What is the average amount in region North?",
            lambda: sum(own := amounts(lambda r: r[4] == "North")) / len(own),
        ),
        (
            "What is the largest amount of Corvin since 2023?",
            lambda: max(amounts(lambda r: r[1] == "Corvin" and r[2] > "2023")),
        ),
        ("What is the smallest amount before 2023?", lambda: min(amounts(lambda r: r[2] < "2023"))),
        ("How many clients are there?", lambda: 3),
        ("How many rows are there for Borel GmbH?", lambda: sum(row[1] == "Borel GmbH" for row in ROWS)),
    ],
)
def test_one_value_is_that_of_the_rows(assistant, sales, question, gold):
    ((value,),) = values(ask(assistant, question, "data")[1])
    assert value == pytest.approx(gold())


def test_a_row_is_found_by_a_value_and_cited_at_its_cells(assistant, sales):
    _, answer = ask(assistant, "What is the amount of invoice INV-4711?", "data")
    assert values(answer) == [("INV-4711", 7066.5)] and answer.citations[0].place == "sheet 1, A4713:E4713"


def test_cells_that_are_no_numbers_are_counted(assistant, sales):
    assert "1 of 8,000 cells in “Amount” are no numbers" in ask(assistant, "Total amount by region", "data")[1].answer


@pytest.mark.parametrize(
    "question",
    [
        "What is the total amount without Acme Ltd?",
        "What is the amount of invoice INV-9999?",
        "What is the sum of amount over 5000?",
        "Which client has the largest amount?",
        "What is the sum of amount in 2023 and 2024?",
    ],
)
def test_a_question_with_a_word_that_is_not_explained_is_left(assistant, models, sales, question):
    models.generator.script = [("", "No.")] * 9
    assert ask(assistant, question, "data")[1].plan.signals.get("read") != "rows"


def test_beside_other_documents_one_column_is_not_enough(assistant, models, made):
    models.generator.script = [("", "No.")] * 9
    made({"sales.csv": SALES, "lease.txt": "The total amount is EUR 5. The total rent is EUR 9."})
    for question in ("What is the total amount?", "What is the total rent?"):
        assert ask(assistant, question, "data")[1].plan.signals.get("read") != "rows"
    assert ask(assistant, "What is the total amount by client?", "data")[1].plan.signals["read"] == "rows"


def test_a_text_is_counted_in_rows_that_are_no_passages(assistant, sales):
    _, answer = ask(assistant, 'How often does "Corvin" occur?', "data")
    assert [row["count"] for row in answer.table] == [sum(row[1] == "Corvin" for row in ROWS)]


def test_mixed_currencies_are_not_added(assistant, made):
    made({"p.csv": "Client,Price,Pieces\n" + "\n".join(f"C{n % 3},{'$€'[n % 2]}{n}.00,{n}" for n in range(300))})
    _, answer = ask(assistant, "What is the sum of price by client?", "data")
    assert not answer.found and "EUR and USD" in answer.answer


def test_numbers_and_days_are_read_as_their_column_writes_them(assistant, made):
    lines = [f"K{n % 2};({n}.000,50);{1 + n % 28:02}.03.2024" for n in range(300)]
    made({"p.csv": "\n".join(["Kunde;Betrag;Datum", *lines])})
    ((value,),) = values(ask(assistant, "What is the sum of Betrag since 28 March 2024?", "data")[1])
    assert value == pytest.approx(-sum(n * 1000 + 0.5 for n in range(300) if n % 28 == 27))


@pytest.mark.parametrize(
    "text",
    [
        HEAD,
        "\n".join(f"{n},C{n % 3},{n}" for n in range(300)),
        "Name,Text\n" + "\n".join(f"N{n},{'A long cell of prose. ' * 9}" for n in range(300)),
        "Code,When\n" + "\n".join(f"{n:05},0{1 + n % 9}/0{1 + n % 8}/2024" for n in range(300)),
    ],
    ids=["header", "no header", "prose", "unclear"],
)
def test_other_sheets_stay_as_they_are(made, text):
    report, _, sheets, _ = made({"p.csv": text})
    assert sheets == [] and report.failed == ()


def test_a_changed_sheet_leaves_nothing_of_its_rows(settings, made, sales):
    root = sales[3]
    (root / "sales.csv").write_text(SALES.replace("INV-4711", "INV-0815"))
    with closing(Editor.open(settings.library_dir("data"), "data")) as library:
        ingest(library, root)
        sound(library)
        assert len(library.sheets()) == 1
        assert not any(
            "INV-4711" in page.text for one in library.documents() for page in library.pages(one.id, every_row=True)
        )
        (root / "sales.csv").unlink()
        ingest(library, root, prune=True)
        assert library.sheets() == []

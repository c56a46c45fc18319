"""A table filled by a schema: by code from labels and tables, else by the model, always from words of the text."""

from __future__ import annotations

import json
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest
from asking import FILLER, verified

import localrag
from localrag.answer.assistant import Assistant
from localrag.answer.reviewer import Reviewer
from localrag.events import Answered, Event, Surveyed
from localrag.items import extraction, filling, labelled
from localrag.items.reading import Reading
from localrag.items.schema import parse
from localrag.lifecycle.encrypt import encrypt
from localrag.llm import Completed
from localrag.llm.llama import LlamaGenerator
from localrag.models.records import ModelStore
from localrag.proofs.forgotten import prove_forgotten
from localrag.security.encryption import keyring, unlocked
from localrag.settings import load_settings
from localrag.store.reviews import FOLDER, Reviews
from localrag.types import Passage
from localrag.worker.engine import Engine

INVOICE = """# Invoice

Invoice number: INV-77   Invoice date: 3 March 2025
Vendor:
Acme GmbH
Total due: EUR 1.234,50
**Paid:** no

| Item | Qty | Unit price | Amount (EUR) |
|---|---:|---:|---:|
| Bolts | 100 | 2.50 | 250.00 |
| Nuts, hardened | 40 | 5.00 | 200.00 |
| Total | | | 450.00 |
"""
STATEMENT = """(in millions)

| | 2023 | 2022 | Change |
|---|---|---|---|
| Net sales | $ 94,836 | $ 97,278 | (3) % |
| Cost of sales | 52,860 | 54,719 | (3) % |
| Gross margin percentage | 44.3 % | 43.7 % | |
"""


def replies(**said):
    """Return what a model answers to the question for each field: the answer, and the words that it quotes."""
    made = {name: {"found": True, "answer": answer, "quote": quote} for name, (answer, quote) in said.items()}
    return [(f"(?i)What is the {name}", json.dumps(reply)) for name, reply in made.items()]


def pages(*texts):
    return [Passage("papers", "a.pdf", n, None, (), text, 0, len(text), 1.0, 1) for n, text in enumerate(texts, 1)]


def fields(schema, *texts):
    found = labelled.stated(parse(schema).fields, pages(*texts))
    return {item.id: (one.value.form, one.value.unit) for item, one in found.items()}


def lines(schema, *texts):
    rows = labelled.by_table(parse(schema).fields, pages(*texts))
    return [{name: one.value.form for name, one in row.items()} for row in rows]


# --- by code ------------------------------------------------------------------------------------------------


def test_lines_with_a_label_give_the_fields_of_that_name():
    schema = "invoice_number, invoiceDate date, vendor party, total money, paid yes/no, status open|closed"
    assert fields(schema, INVOICE) == {
        "invoice_number": ("INV-77", ""),
        "invoiceDate": ("2025-03-03", ""),
        "vendor": ("Acme GmbH", ""),
        "total": ("1234.50", "EUR"),
        "paid": ("false", ""),
    }


def test_a_number_may_be_a_code_where_it_is_called_one():
    assert fields("invoice number", INVOICE) == {"invoice": ("INV-77", "")}
    text = "Account number: 0042\nHours: 30\nPolicy: A-7"
    assert fields("account number, hours number, policy number", text) == {
        "account": ("0042", ""),
        "hours": ("30", ""),
        "policy": ("A-7", ""),
    }
    assert fields("hours number", "Hours: see page B-2") == {}
    table = "| Account number | Units |\n|---|---|\n| 0042 | 7 |\n"
    assert lines("account number, units number", table) == [{"account": "0042", "units": "7"}]


def test_a_label_with_two_values_decides_nothing():
    assert fields("date date", "Date: 1 March 2025\nDate: 1 March 2025") == {"date": ("2025-03-01", "")}
    assert fields("date date", "Date: 1 March 2025\nDate: 2 March 2025") == {}
    assert fields("date date", "Invoice date: 1 March 2025\nDue date: 2 March 2025") == {}
    assert fields("date date", "Invoice date: 1 March 2025\nDate: 2 March 2025") == {"date": ("2025-03-02", "")}
    assert fields("total money", "Total: see page 2") == {}


def test_the_date_of_a_document_is_that_of_its_opening_before_that_of_a_signature():
    opening, end = "This Agreement is made on 3 May 2024 by two parties.", f"{FILLER}\n\nDate: 9 May 2024"
    assert fields("date date", f"{opening}\n\n{end}") == {"date": ("2024-05-03", "")}
    assert fields("date date", end) == {"date": ("2024-05-09", "")}
    assert fields("date date", f"{opening}\n\nDate: 9 May 2024") == {"date": ("2024-05-09", "")}


def test_a_row_of_a_table_gives_the_figure_of_its_latest_year_in_its_scale():
    assert fields("net_sales money, cost of sales money, gross margin percentage percent", STATEMENT) == {
        "net_sales": ("94836000000", "USD"),
        "cost of sales": ("52860000000", ""),
        "gross margin percentage": ("44.3", ""),
    }
    assert fields("net sales 2022 money", STATEMENT) == {"net sales 2022": ("97278000000", "USD")}
    assert fields("net sales percent", STATEMENT) == {}
    quarters = STATEMENT.replace("| 2023 | 2022 |", "| Three months 2023 | Nine months 2023 |")
    assert fields("net sales money", quarters) == {}
    assert fields("net sales nine months money", quarters) == {"net sales nine months": ("97278000000", "USD")}


def test_the_table_with_most_of_the_fields_decides():
    other = "| | 2023 |\n|---|---|\n| Net sales | 12 |\n| Employees | 7 |\n"
    assert fields("net sales money, cost of sales money", STATEMENT, other)["net sales"] == ("94836000000", "USD")


def test_a_table_that_gives_two_values_does_not_count_and_a_total_is_nearer_than_a_part():
    segments = "| | 2023 |\n|---|---|\n| Americas | |\n| Net sales | 60 |\n| Europe | |\n| Net sales | 40 |\n"
    whole = "| | 2023 |\n|---|---|\n| Net product sales | 70 |\n| Total net sales | 100 |\n"
    assert fields("net sales money", segments) == {}
    assert fields("net sales money", segments, whole) == {"net sales": ("100", "")}
    other = "| | 2023 |\n|---|---|\n| Other income (expense), net | 7 |\n"
    assert fields("net income money", other) == {}


def test_lines_of_a_table_become_rows_without_its_total():
    expected = [
        {"item": "Bolts", "qty": "100", "amount": "250.00"},
        {"item": "Nuts, hardened", "qty": "40", "amount": "200.00"},
    ]
    assert lines("item, qty number, amount money", INVOICE) == expected
    assert lines("colour, size", INVOICE) == []


def test_a_table_goes_on_over_a_page():
    first, second = "| Item | Amount |\n|---|---|\n| Bolts | 5.00 |\n", "| Nuts | 6.00 |\n"
    assert [row["item"] for row in lines("item, amount money", first, second)] == ["Bolts", "Nuts"]
    assert [row["item"] for row in lines("item, amount money", first, "Text.\n| Some | other | table |\n")] == ["Bolts"]


# --- documents ----------------------------------------------------------------------------------------------


def extract(assistant, schema, library, **options):
    events = list(Reviewer(assistant).extract(parse(schema), libraries=[library], **options))
    assert isinstance(events[-1], Answered)
    return events, events[-1].answer


def test_a_figure_is_taken_from_the_table_that_has_most_of_the_fields_though_it_was_asked_alone_before(
    assistant, models, shelf
):
    other = "# Other\n\n| | 2023 |\n|---|---|\n| Net sales | 12 |\n| Employees | 7 |\n"
    shelf("papers", {"a.md": f"# Statement\n\n{STATEMENT}\n{other}"})
    models.generator.weights = [("", "no")]
    assert extract(assistant, "net sales money", "papers")[1].table[0]["net sales"] is None
    row = extract(assistant, "net sales money, cost of sales money", "papers")[1].table[0]
    assert row["net sales"] == 94_836_000_000


def test_what_is_labelled_needs_no_model(assistant, models, shelf):
    library = shelf("papers", {"a.md": INVOICE, "b.md": INVOICE.replace("INV-77", "INV-78")})
    events, answer = extract(assistant, "invoice_number, total money", "papers")
    assert [row["invoice_number"] for row in answer.table] == ["INV-77", "INV-78"]
    row = answer.table[0]
    assert (row["total"], row["total currency"], row["sources"]["total"]["quote"]) == (
        1234.5,
        "EUR",
        "Total due: EUR 1.234,50",
    )
    assert models.generator.prompts == [] and answer.model is None
    assert [event.done for event in events if isinstance(event, Surveyed)] == [1, 2]
    verified(answer, library)


def test_the_model_is_asked_for_the_rest_and_believed_only_where_the_text_has_it(assistant, models, shelf):
    text = "Invoice number: INV-77\n\nOn 3 March 2025 we billed thirty (30) hours to Tess Orlo. Payment was received."
    library = shelf("papers", {"a.md": text})
    models.generator.script = [
        ("so: paid", json.dumps({"found": True, "answer": "", "quote": "Payment was received"})),
        *replies(
            customer=("Tess Orlo", "hours to Tess Orlo"),
            date=("3 March 2025", "On 3 March 2025"),
            hours=("sixty", "we billed thirty (30) hours"),
        ),
        ("", '{"found": false, "answer": "", "quote": ""}'),
    ]
    models.generator.weights = [("so: paid", "yes"), ("so: late", "no")]
    schema = "invoice_number, customer party, date date, hours number, paid yes/no, late yes/no, phone"
    _, answer = extract(assistant, schema, "papers")
    (row,) = answer.table
    assert [row[name] for name in ("invoice_number", "customer", "date", "hours", "paid", "late", "phone")] == [
        "INV-77",
        "Tess Orlo",
        "2025-03-03",
        None,
        True,
        None,
        None,
    ]
    assert row["sources"]["paid"]["quote"] == "Payment was received"
    assert (row["sources"]["date"]["by"], row["sources"]["invoice_number"]["by"]) == ("model", "code")
    assert any("hours" in left.reason for left in answer.not_read)
    verified(answer, library)
    assert not any("invoice_number" in prompt[-1].tail for prompt in models.generator.prompts)


@pytest.mark.parametrize(
    ("schema", "said", "value"),
    [
        ("notice duration", {"notice": ("9 months", "gives notice of nine months")}, "P9M"),
        ("start date", {"start": ("2021-03-22", "Made on 22 March 2021")}, "2021-03-22"),
        ("notice duration", {"notice": ("6 months", "gives notice of nine months")}, None),
        ("start date", {"start": ("2021-03-23", "Made on 22 March 2021")}, None),
        ("landlord party", {"landlord": ("Tenant", "The Tenant gives notice")}, None),
    ],
)
def test_a_value_may_be_written_otherwise_and_no_other(assistant, models, shelf, schema, said, value):
    shelf("papers", {"a.md": "Made on 22 March 2021. The Tenant gives notice of nine months."})
    models.generator.script = replies(**said)
    models.generator.weights = [("(?s)Is Tenant the.*yes.\nB", "B"), ("(?s)Is Tenant the.*no.\nB", "A")]
    (row,) = extract(assistant, schema, "papers")[1].table
    assert row[next(iter(said))] == value


def test_a_figure_has_its_sign_and_scale_and_belongs_to_the_field_that_is_named_beside_it(assistant, models, shelf):
    text = "The rent is $54,000.00 a year. Sales were $2.5 million and a deposit of EUR 9 was paid. Tax is 6 percent."
    shelf("papers", {"a.txt": text})
    rent = ("54,000.00", "The rent is $54,000.00 a year")
    models.generator.script = replies(
        rent=rent,
        price=rent,
        turnover=("2.5", "Sales were $2.5 million"),
        deposit=("EUR 9", "a deposit of EUR 9 was paid"),
        tax=("6", "Tax is 6 percent"),
    )
    models.generator.weights = [("(?s)the price.*yes.\nB", "B"), ("(?s)the price.*no.\nB", "A")]
    schema = "rent money, price money, turnover money, deposit money, tax percent"
    _, answer = extract(assistant, schema, "papers")
    (row,) = answer.table
    assert [(row[f"{name}"], row[f"{name} currency"]) for name in ("rent", "price", "turnover", "deposit")] == [
        (54000, "USD"),
        (None, None),
        (2_500_000, "USD"),
        (9, "EUR"),
    ]
    assert row["tax"] == 6 and any(left.reason.startswith("price:") for left in answer.not_read)


def test_strict_mode_leaves_out_what_only_the_model_judged(models, shelf):
    shelf("papers", {"a.md": "Payment was received from Tess Orlo."})
    quote = json.dumps({"found": True, "answer": "", "quote": "Payment was received"})
    models.generator.script = [("so: paid", quote), *replies(customer=("Tess Orlo", "from Tess Orlo"))]
    models.generator.weights = [("", "yes")]
    assistant = Assistant(load_settings().with_options(strict=True), models.generator)
    (row,) = extract(assistant, "customer party, paid yes/no", "papers")[1].table
    assert (row["customer"], row["paid"]) == ("Tess Orlo", None)


def test_a_schema_may_be_asked_like_a_question(assistant, models, shelf):
    shelf("papers", {"a.md": INVOICE})
    *rows, last = Engine(assistant.settings, assistant).ask(
        "vendor party, total money", libraries=["papers"], mode="extract"
    )
    assert isinstance(last, Answered) and [one.row for one in rows] == [*last.answer.table]  # type: ignore[union-attr]
    assert last.answer.table[0]["vendor"] == "Acme GmbH"


def test_each_section_makes_a_row(assistant, models, folder):
    text = "# One\n\nOwner: Ann\n\n# Two\n\nOwner: Bob\n\n# Three\n\nNothing.\n"
    localrag.open_library("papers", create=True).ingest(folder({"a.md": text}))
    models.generator.script = [("", json.dumps({"owner": ""}))]
    _, answer = extract(assistant, "owner party", "papers", each="section")
    assert [(row["section"], row["owner"]) for row in answer.table] == [("One", "Ann"), ("Two", "Bob")]


def test_a_section_that_is_too_long_is_read_in_part_and_that_is_said(assistant, models, folder):
    localrag.open_library("papers", create=True).ingest(folder({"a.md": f"# One\n\nAnn owns it. {FILLER * 3}\n"}))
    models.generator.script = [("", json.dumps({"owner": "Ann"}))]
    _, answer = extract(assistant, "owner party", "papers", each="section")
    assert [row["owner"] for row in answer.table] == ["Ann"]
    assert any("only passages" in left.reason for left in answer.not_read)
    (prompt,) = models.generator.prompts
    assert len("".join(message.whole for message in prompt)) < len(FILLER)


def test_each_line_makes_a_row_with_the_fields_of_its_document(assistant, models, shelf):
    library = shelf("papers", {"a.md": INVOICE})
    schema = {
        "properties": {
            "invoice_number": {"type": "string"},
            "lines": {
                "type": "array",
                "items": {"properties": {"item": {"type": "string"}, "amount": {"type": "number", "format": "money"}}},
            },
        }
    }
    _, answer = extract(assistant, json.dumps(schema), "papers")
    assert [(row["invoice_number"], row["item"], row["amount"], row["amount currency"]) for row in answer.table] == [
        ("INV-77", "Bolts", 250, "EUR"),
        ("INV-77", "Nuts, hardened", 200, "EUR"),
    ]
    assert len(answer.citations) == 5 and models.generator.prompts == []
    verified(answer, library)


def test_a_field_that_no_column_is_called_like_is_named(assistant, models, shelf):
    """A bug: a column called otherwise left its field empty, as if the text said nothing."""
    shelf("papers", {"a.md": INVOICE})
    _, answer = extract(assistant, "item, amount money, paid_on date", "papers", each="row")
    assert [row["paid_on"] for row in answer.table] == [None, None] and models.generator.prompts == []
    (said,) = answer.not_read
    assert said.document == "a.md" and said.reason.startswith("paid on:")


def test_lines_of_a_list_come_from_the_model(assistant, models, shelf):
    shelf("papers", {"a.md": "The supplier delivers a manual on 1 May 2025, and a course on 1 June 2025."})
    rows = [{"deliverable": "a manual", "due": "1 May 2025"}, {"deliverable": "a course", "due": "1 June 2025"}]
    models.generator.script = [("", json.dumps(rows) + ", {")]
    _, answer = extract(assistant, "deliverable, due date", "papers", each="row")
    assert [(row["deliverable"], row["due"]) for row in answer.table] == [
        ("a manual", "2025-05-01"),
        ("a course", "2025-06-01"),
    ]
    assert any("are missing" in left.reason for left in answer.not_read)


def test_a_stop_keeps_the_documents_that_are_done(assistant, models, shelf):
    shelf("papers", {f"{n}.md": INVOICE for n in range(4)})
    done: list[Event] = []
    for event in Reviewer(assistant).extract(parse("vendor party"), libraries=["papers"], stop=lambda: len(done) >= 2):
        done.append(event)
    answer = done[-1].answer  # type: ignore[union-attr]
    assert answer.stopped and len(answer.table) == 2
    assert [left.document for left in answer.not_read] == ["2.md", "3.md"]


# --- kept ---------------------------------------------------------------------------------------------------


def test_what_the_model_gave_is_kept_until_document_or_field_changes(assistant, models, folder):
    library = localrag.open_library("papers", create=True)
    library.ingest(folder({"a.md": "Tess Orlo rents hall 3.", "b.md": "Ben Rowe rents hall 4."}))
    names = {"3": "Tess Orlo", "4": "Ben Rowe", "5": "Ann Rowe"}
    models.generator.script = [
        (f"hall {hall}", replies(x=(name, f"{name} rents hall"))[0][1]) for hall, name in names.items()
    ]
    written = lambda: sum("in JSON" in prompt[-1].tail for prompt in models.generator.prompts)  # noqa: E731
    first = extract(assistant, "tenant party", "papers")[1]
    warm = extract(assistant, "tenant party", "papers")[1]
    assert warm.table == first.table and warm.citations == first.citations and written() == 2
    assert warm.model == first.model and not warm.tokens.generated
    extract(assistant, "tenant party, hall number", "papers")
    assert written() == 4
    library.ingest(folder({"a.md": "Tess Orlo rents hall 3.", "b.md": "Ann Rowe rents hall 5."}))
    changed = extract(Assistant(load_settings(), models.generator), "tenant party", "papers")[1]
    assert [row["tenant"] for row in changed.table] == ["Tess Orlo", "Ann Rowe"] and written() == 5
    assert len([*(load_settings().library_dir("papers") / FOLDER).glob("*.json")]) == 2


def test_a_table_goes_on_after_a_kill(assistant, models, folder):
    """A process that ends within a document: the sections that were read are not asked again."""
    text = "# One\n\nAnn owns it.\n\n# Two\n\nBob owns it.\n"
    localrag.open_library("papers", create=True).ingest(folder({"a.md": text}))
    models.generator.script = [("Ann", '{"owner": "Ann"}'), ("Bob", '{"owner": "Bob"}')]
    asked = models.generator.prompts
    stop = lambda: len(asked) >= 2  # noqa: E731
    list(Reviewer(assistant).extract(parse("owner party"), libraries=["papers"], each="section", stop=stop))
    _, answer = extract(Assistant(load_settings(), models.generator), "owner party", "papers", each="section")
    assert [row["owner"] for row in answer.table] == ["Ann", "Bob"] and len(asked) == 3


def test_the_file_of_a_document_is_not_written_for_each_answer(assistant, models, folder, monkeypatch):
    """Each write holds all answers before it, so that time would grow with their square."""
    text = "".join(f"# Hall {n}\n\nAnn owns it.\n\n" for n in range(9))
    localrag.open_library("papers", create=True).ingest(folder({"a.md": text}))
    models.generator.script = [("", '{"owner": "Ann"}')]
    written: list[int] = []
    fill = Reviews.fill
    monkeypatch.setattr(Reviews, "fill", lambda self, one, new: (written.append(len(new)), fill(self, one, new)))
    clock = iter(range(1, 99))
    monkeypatch.setattr(extraction, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    extract(assistant, "owner party", "papers", each="section")
    assert sum(written) == len(models.generator.prompts) == 9 and 1 < len(written) < 5


@pytest.mark.parametrize("encrypted", [False, True])
def test_nothing_of_a_table_is_left_of_a_forgotten_document(encrypted, assistant, models, folder, monkeypatch):
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    settings = load_settings()
    with closing(localrag.open_library("papers", create=True)) as library:
        library.ingest(folder({"a.md": "Tess Orlo rents hall 3.", "b.md": "Another text of its own. " * 9}))
    if encrypted:
        secret = keyring.RecoveryKey.new()
        ring = lambda ring, key: ring.with_credential(key, "me", secret)  # noqa: E731
        list(encrypt(settings.library_dir("papers"), ring, lambda: False))
    models.generator.script = replies(tenant=("Tess Orlo", "Tess Orlo rents hall 3"))
    extract(assistant, "tenant party", "papers")
    kept = (settings.library_dir("papers") / FOLDER).glob("*.json")
    assert any(b"Tess Orlo" in path.read_bytes() for path in kept) is not encrypted
    assistant.close()
    with closing(localrag.open_library("papers")) as library:
        library.forget(["a.md"])
    assert prove_forgotten(settings, "papers", word="Tess Orlo").proven


def test_a_long_document_is_searched_for_each_field(assistant, models, shelf):
    shelf("papers", {"a.txt": f"The tenant is called Tess Orlo. {FILLER} The deposit amounts to EUR 900."})
    models.generator.script = replies(
        tenant=("Tess Orlo", "The tenant is called Tess Orlo"), deposit=("EUR 900", "The deposit amounts to EUR 900")
    )
    _, answer = extract(assistant, "tenant party, deposit money", "papers")
    (row,) = answer.table
    assert [left.reason for left in answer.not_read] == ["only passages of it were read for tenant, deposit"]
    assert (row["tenant"], row["deposit"], row["deposit currency"]) == ("Tess Orlo", 900, "EUR")


@pytest.mark.model
@pytest.mark.slow
def test_a_real_model_keeps_to_the_types_and_the_shape_of_lines():
    installed = ModelStore(load_settings()).get("smollm2-135m-instruct")
    model = LlamaGenerator(installed.id, installed.path, threads=1)
    text = pages("The rent is EUR 48,000. It was paid. Deliver a manual by 1 May 2025 and a course by 1 June 2025.")
    for kind, schema in (
        ("fields", "rent money, paid yes/no, state open|closed, due date"),
        ("lines", "name, due date"),
    ):
        shape: Any = kind
        fields = parse(schema).fields
        prompt = Reading(model, None, lambda: False).prompt(text, kind, "things", columns=schema)
        *_, done = model.generate(prompt, max_tokens=150, grammar=filling.fields_grammar(shape, fields))
        assert isinstance(done, Completed)
        if done.ended == "end":
            rows = json.loads(done.text)
            assert isinstance(rows, list) == (kind == "lines")
            for row in rows if isinstance(rows, list) else [rows]:
                assert row.get("paid", "") in ("", "yes", "no") and row.get("state", "") in ("", "open", "closed")
                assert not row["due"] or any(sign.isdigit() for sign in row["due"])
    model.close()

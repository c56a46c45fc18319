"""Which share of the cells of a table is right, with the right place, where `localrag extract` fills it?

    python benchmarks/extraction.py [FOLDER] [--sets ...] [--model] [--minutes N] [--show N]

FOLDER holds tatqa and sec10q; examples/ is always used. The cells that are expected come from elsewhere than the code
that is measured: of the invoices in examples/finance each cell of their list; of tatqa the questions for one figure of
a year ("What was the net income in 2019?"), and both figures of a change, as fields of that name; of sec10q revenue,
operating income and net income of three months in 16 filings, copied by hand from their income statements. A cell is
right if its value is (in the scale of the table or as a whole), and its place is right if the quote has its figure, on
the page where that is known.

Without --model, code alone fills the tables; with it, the model is asked for what code leaves, for N minutes a set at
most. Intervals are over documents.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from entity_cases.cases import SEED, Texts

from localrag.answer.assistant import Assistant
from localrag.answer.reviewer import Reviewer
from localrag.evaluation import datasets, metrics
from localrag.events import Answered
from localrag.items import engine, extraction
from localrag.items import schema as schemas
from localrag.items.item import Finding
from localrag.items.labelled import Row
from localrag.quantities import parse_number
from localrag.security import storage
from localrag.settings import load_settings
from localrag.store.reviews import FOLDER

EXAMPLES = Path(__file__).parents[1] / "examples"
INVOICES = "finance/invoices-2025-q3.md"
INVOICE_FIELDS = "invoice, date date, supplier party, description, net money, VAT money, gross money, paid_on date"
INCOME = {
    "three_months_revenue": {"title": "three months net sales", "description": "total revenue"},
    "three_months_operating_income": {"title": "three months income from operations"},
    "three_months_net_income": {"description": "net income or loss"},
}
# Millions of dollars, as printed; the page of the income statement.
STATEMENTS = """
2022 Q3 AAPL 4 82959 23076 19442
2022 Q3 AMZN 4 127101 2525 2872
2022 Q3 INTC 5 15338 -175 1019
2022 Q3 NVDA 3 5931 601 680
2023 Q1 AAPL 4 117154 36016 29998
2023 Q1 AMZN 4 127358 4774 3172
2023 Q1 INTC 6 11715 -1468 -2768
2023 Q1 NVDA 3 7192 2140 2043
2023 Q2 AAPL 4 94836 28318 24160
2023 Q2 AMZN 4 134383 7681 6750
2023 Q2 INTC 6 12949 -1016 1473
2023 Q2 NVDA 3 13507 6800 6188
2023 Q3 AAPL 4 81797 22998 19881
2023 Q3 AMZN 4 143083 11188 9879
2023 Q3 INTC 6 14158 -8 310
2023 Q3 NVDA 3 18120 10417 9243
"""
ASKED = re.compile(
    r"^(?:What|How much) (?:is|was|were|are) +(?:the +)?(?P<field>[^?]{3,80}?) +(?:in|for|of|as of|at)"
    r"(?: the| fiscal| year| years| ended| ending| December| 31,?| end)* (?:FY|F)?(?P<year>(?:20)?\d\d)\?$",
    re.I,
)
CHANGED = re.compile(
    r"^What (?:is|was) the (?:percentage )?(?:change|increase|decrease) (?:in|of) (?:the )?(?P<field>[^?]{3,80}?) "
    r"(?:from|between)(?: the| fiscal| year| years)* (?P<one>20\d\d) (?:to|and)(?: fiscal| year)* (?P<two>20\d\d)\?$",
    re.I,
)
DIFFERENCE = re.compile(r"^[\[(\s]*\$?([\d,.]*\d) ?(%?)\)? ?[-–] ?\(?\$?([\d,.]*\d)")
FIGURE = re.compile(r"[$(-]*\d[\d,.]*\)?\s?(?:%|million|billion)?")


@dataclass(frozen=True, slots=True)
class Case:
    """A table to fill from one document, and its cells by row: value (with its figure as printed) by field."""

    document: str
    schema: str
    rows: Sequence[dict[str, str]]
    each: str = "document"
    page: int | None = None


def ask_nothing(*asked: Any) -> Sequence[Row]:
    """Take the place of the question to the model, so that code alone fills the table."""
    return ()


def cases_of(folder: Path, texts: Texts) -> list[Case]:
    if texts.name == "examples":
        lines = [line for line in (folder / INVOICES).read_text("utf-8").splitlines() if re.match(r"\| \d", line)]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        names = [one.id for one in schemas.parse(INVOICE_FIELDS).fields]
        expected = [dict(zip(names, row[1:], strict=True)) for row in rows if len(row) == 9]
        return [Case(INVOICES, INVOICE_FIELDS, expected, "row")]
    if texts.name == "sec10q":
        properties = {name: {"type": "number", "format": "money"} | notes for name, notes in INCOME.items()}
        schema = json.dumps({"properties": properties})
        lines = [line.split() for line in STATEMENTS.strip().splitlines()]
        return [
            Case(f"{' '.join(line[:3])}.pdf", schema, [dict(zip(INCOME, line[4:], strict=True))], page=int(line[3]))
            for line in lines
        ]
    return list(tables(folder))


def name_of(field: str, year: str) -> str:
    return " ".join(re.findall(r"\w+", f"{field} 20{year[-2:]}".lower()))


def tables(folder: Path) -> Iterator[Case]:
    """Yield a case for each document: figures of a year that are asked for, and those between which a change is."""
    asked: dict[str, dict[str, str]] = {}
    for line in (folder / "qa.jsonl").read_text("utf-8").splitlines():
        given = json.loads(line)
        cells: dict[str, str] = asked.setdefault(given["doc"].rpartition("/")[2], {})
        figure = str(given["answer"]).strip()
        if given["answer_type"] == "span" and (one := ASKED.match(given["question"])) and FIGURE.fullmatch(figure):
            cells[name_of(one["field"], one["year"])] = figure
        both, worked = CHANGED.match(given["question"]), DIFFERENCE.match(given["derivation"])
        if both and worked:
            years = sorted((both["one"], both["two"]), reverse=True)  # the later less the earlier
            for year, figure in zip(years, worked.group(1, 3), strict=True):
                cells[name_of(both["field"], year)] = figure + worked[2]
    for document, fields in ((document, cells) for document, cells in asked.items() if cells):
        properties = {
            name: {"type": "number", "format": "percent" if "%" in figure else "number"}
            for name, figure in fields.items()
        }
        yield Case(document, json.dumps({"properties": properties}), [fields])


def right(value: Any, expected: str) -> bool:
    if isinstance(value, str) and not re.fullmatch(r"-?\d+(?:\.\d+)?", value):
        return " ".join(value.split()) == expected
    figure = re.search(r"\d[\d,.]*", expected)
    if value is None or figure is None:
        return value is None and figure is None
    whole = parse_number(figure[0]) * (-1 if expected.startswith(("-", "(")) else 1)
    return any(Decimal(str(value)) == whole.scaleb(power) for power in (0, 3, 6, 9))


def placed(source: Any, expected: str, page: int | None) -> bool:
    if source is None or page not in (None, source["page"]):
        return False
    words, quote = re.sub(r"\D", "", expected), source["quote"]
    return expected in quote or (bool(words) and words in re.sub(r"[-,.\s]", "", quote))


def measure(assistant: Assistant, library: str, case: Case) -> Iterator[tuple[str, str, Any, bool, bool]]:
    """Yield each expected cell: its field, what is expected, what is there, and whether value and place are right."""
    *_, last = Reviewer(assistant).extract(
        schemas.parse(case.schema),
        libraries=[library],
        documents=[case.document, f"*/{case.document}"],
        each=case.each,  # type: ignore[arg-type]
    )
    assert isinstance(last, Answered)
    for number, row in enumerate(case.rows):
        made = last.answer.table[number] if number < len(last.answer.table) else {}
        for name, expected in row.items():
            value, source = made.get(name), made.get("sources", {}).get(name)
            empty = not re.search(r"\d", expected) and value is None and name == "paid_on"  # "Unpaid" is no date
            yield name, expected, value, empty or right(value, expected), empty or placed(source, expected, case.page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="folder of the sets; without it only examples/")
    parser.add_argument("--sets", nargs="*", default=("tatqa", "sec10q"), help="use only these sets")
    parser.add_argument("--model", action="store_true", help="ask the model for what code leaves empty")
    parser.add_argument("--minutes", type=float, default=5.0, help="end a set after so many minutes")
    parser.add_argument(
        "--show", type=int, default=0, metavar="N", help="print N cells that are wrong, and N empty ones"
    )
    given = parser.parse_args()
    settings = load_settings()
    if not given.model:
        extraction._filled = ask_nothing
        engine.Engine._by_model = lambda *asked: Finding("absent")  # type: ignore[method-assign]
    for folder in [EXAMPLES, *(given.folder / name for name in given.sets if given.folder)]:
        texts = Texts(folder, settings, None)
        apart = datasets.apart(settings)
        storage.remove(apart.library_dir(texts._library) / FOLDER)  # what the model answered in an earlier run
        assistant = Assistant(apart)
        cells: list[tuple[str, str, str, Any, bool, bool]] = []
        began, done, cases = time.monotonic(), 0, cases_of(folder, texts)
        for case in cases:
            if time.monotonic() - began > 60 * given.minutes:
                break
            cells += [(case.document, *cell) for cell in measure(assistant, texts._library, case)]
            done += 1
        assistant.close()
        seconds = (time.monotonic() - began) / max(1, done)
        print(f"\n{texts.name}: {done} of {len(cases)} documents, {len(cells)} cells, {seconds:.1f} s a document")
        filled = [cell for cell in cells if cell[3] is not None]
        shares = {
            "filled": (cells, lambda cell: cell[3] is not None),
            "right": (cells, lambda cell: cell[4]),
            "right, of those filled": (filled, lambda cell: cell[4]),
            "right with the right place": (cells, lambda cell: cell[4] and cell[5]),
            "place right, of those filled": (filled, lambda cell: cell[5]),
        }
        for label, (rows, true) in shares.items():
            one = metrics.clustered([float(true(row)) for row in rows], [row[0] for row in rows], seed=SEED)
            if one:
                print(f"  {label:30}{one['mean']:.3f} [{one['low']:.3f}, {one['high']:.3f}] of {len(rows)}")
        for label, rows in (
            ("wrong", [c for c in filled if not c[4]]),
            ("empty", [c for c in cells if c[3] is None and not c[4]]),
        ):
            for document, name, expected, value, *_ in rows[: given.show]:
                print(f"    {label}: {document}: {name}: {value!r}, expected {expected!r}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

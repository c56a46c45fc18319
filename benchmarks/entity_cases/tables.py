"""Cases from tables: a figure of another company, period, length of time or row."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from entity_cases.cases import Case, Texts, dice_of, squeezed

from localrag.grounding.citations import terms

# The names of a company whose filing has this in its file name: as people say it, in full, and in short.
COMPANIES = {
    "AAPL": ("Apple", "Apple Inc.", "AAPL"),
    "AMZN": ("Amazon", "Amazon.com, Inc.", "AMZN"),
    "INTC": ("Intel", "Intel Corporation", "INTC"),
    "MSFT": ("Microsoft", "Microsoft Corporation", "MSFT"),
    "NVDA": ("Nvidia", "NVIDIA Corporation", "NVDA"),
    "ADI_": ("Analog Devices", "Analog Devices, Inc.", "ADI"),
    "ABMD": ("Abiomed", "ABIOMED, Inc.", "ABMD"),
    "GS_": ("Goldman Sachs", "The Goldman Sachs Group, Inc.", "GS"),
    "inpixon": ("Inpixon", "Inpixon", ""),
    "lifeway": ("Lifeway", "Lifeway Foods, Inc.", "LWAY"),
    "viavi": ("Viavi", "Viavi Solutions Inc.", "VIAV"),
}
_DATE = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.? \d{1,2}, ?(?:19|20)\d\d"
_VALUE = re.compile(r"\$?\s?\d[\d,]*(?:\.\d+)?%?")
_LABEL = re.compile(r"[A-Z][A-Za-z’'-]+(?:,? [A-Za-z&][A-Za-z’'&-]*){0,7}")
# Rows that say nothing without the rows above them.
_VAGUE = re.compile(
    r"(?:sub)?total|other|net|amount|(?:balance|outstanding|begin|end|opening|closing).*|products?|services?|basic|"
    r"diluted|current|non-?current|domestic|foreign|federal|state|international|.*\b(?:and|of|for|to|the|in)",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Period:
    """What a column is about: a date or year, and how long the time before it is ("three months", "year" or "")."""

    when: str
    long: str = ""
    fiscal: bool = False

    @property
    def words(self) -> str:
        """The period as a part of a sentence: "for the three months ended June 25, 2022", "in 2019"."""
        if len(self.when) == 4:
            return f"in fiscal {self.when}" if self.fiscal else f"in {self.when}"
        return f"for the {self.long} ended {self.when}" if self.long else f"as of {self.when}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its label, and values by period."""

    document: str
    table: int
    label: str
    cells: tuple[tuple[Period, str], ...]
    unit: str
    line: str
    balance: bool

    def at(self, period: Period) -> str:
        return dict(self.cells)[period]


def period_of(header: str) -> Period | None:
    """Return what a column's header says of time, if it is a single date or year and nothing else."""
    if re.search(r"change|%|variance|increase|decrease|vs\b|total|weighted|fair|gross|level", header, re.I):
        return None
    dates = re.findall(_DATE, header)
    years = re.findall(r"\b(?:19|20)\d\d\b", header)
    long = re.search(r"(three|six|nine|twelve) months|(years?|quarter)s? ended", header, re.I)
    if len(dates) == 1 and len(years) == 1:
        words = long[0].lower().removesuffix(" ended") if long else ""
        return Period(dates[0], {"years": "year", "quarters": "quarter"}.get(words, words))
    plain = re.sub(r"fiscal|years?|ended|fy|\W", "", re.sub(r"[A-Z][a-z]+ \d{1,2},", "", header), flags=re.I)
    if len(years) == 1 and not dates and plain == years[0]:
        return Period(years[0], "", bool(re.search(r"fiscal|\bFY", header, re.I)))
    return None


def rows_of(document: str, pages: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a document's tables that have figures for two periods or more."""
    number = 0
    for text in pages:
        lines = text.splitlines()
        for first in range(len(lines)):
            if not lines[first].startswith("|") or (first and lines[first - 1].startswith("|")):
                continue
            last = next((n for n in range(first, len(lines)) if not lines[n].startswith("|")), len(lines))
            number += 1
            before = " ".join(lines[max(0, first - 4) : first])
            yield from _rows(document, number, lines[first:last], before)


def _rows(document: str, number: int, lines: Sequence[str], before: str) -> Iterator[Row]:
    cells = [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in lines]
    width = max(map(len, cells))
    cells = [row + [""] * (width - len(row)) for row in cells]
    ruled = next((n for n, row in enumerate(cells[:4]) if all(set(cell) <= set("-: ") and cell for cell in row)), None)
    body = ruled + 1 if ruled is not None else next((n for n, row in enumerate(cells) if _has_figures(row)), len(cells))
    heads = [squeezed(" ".join(row[n] for row in cells[:body] if set(row[n]) - set("-: "))) for n in range(width)]
    periods = {n: found for n in range(1, width) if (found := period_of(heads[n].replace("$", "").strip()))}
    periods = _alike(periods)
    if len(periods) < 2 or len(set(periods.values())) < len(periods):
        return
    said = re.search(
        r"\bin (millions|thousands|billions)|(?:\$|USD|US\$) ?[‘'’]?(000|m)\b", f"{before} {heads[0]}", re.I
    )
    unit = {"m": "millions", "000": "thousands"}.get((said[1] or said[2]).lower(), said[1] or "") if said else ""
    balance = bool(re.search("balance sheet|financial condition|financial position", before, re.I)) or any(
        row[0].lower() == "total assets" for row in cells
    )
    for row, line in zip(cells[body:], lines[body:], strict=True):
        found = tuple((period, row[n]) for n, period in periods.items() if _VALUE.fullmatch(row[n]))
        label = re.sub(r"\s*\(\w{1,2}\)$", "", row[0])
        if len(found) >= 2 and _LABEL.fullmatch(label) and not _VAGUE.fullmatch(label) and _is_sayable(label):
            scale = (
                ""
                if re.search(r"per |share|percent|rate|%|number|days|staff|employees|units|dilut", label, re.I)
                else unit.lower()
            )
            yield Row(document, number, label, found, scale.removesuffix("s"), squeezed(line), balance)


def _is_sayable(label: str) -> bool:
    """Whether a label can be written within a sentence without its capitals; names (Germany) cannot."""
    words = label.split()
    if len(words) == 1:
        return bool(re.fullmatch("inventories|goodwill|revenues?|depreciation|amortization|cash", label, re.I))
    account = (
        "fees?|revenues?|costs?|income|expenses?|assets|liabilities|sales|profits?|debts?|tax(?:es)?|margin|rate|cash"
    )
    return any(word[0].islower() for word in words[1:]) or bool(re.search(rf"\b(?:{account})$", label, re.I))


def _alike(periods: dict[int, Period]) -> dict[int, Period]:
    """Complete the years beside one date: a header may say "Year ended June 30," once, for all its columns."""
    dates = {(found.when[:-4], found.long) for found in periods.values() if len(found.when) > 4}
    if len(dates) != 1:
        return periods if not dates or all(len(found.when) > 4 for found in periods.values()) else {}
    ((day, long),) = dates
    return {n: Period(f"{day}{found.when[-4:]}", long) for n, found in periods.items()}


def _has_figures(row: Sequence[str]) -> bool:
    plain = [cell for cell in row[1:] if _VALUE.fullmatch(cell) and not re.fullmatch(r"(?:19|20)\d\d", cell)]
    return bool(row[0] and plain)


class Rows:
    """All rows of a set, and what is said where."""

    def __init__(self, texts: Texts) -> None:
        self.by_document = {path: list(rows_of(path, pages)) for path, pages in texts.pages.items()}
        self._said: dict[tuple[str, str], set[tuple[Period, str]]] = defaultdict(set)
        for path, rows in self.by_document.items():
            for row in rows:
                self._said[path, row.label.lower()].update((period, bare(value)) for period, value in row.cells)
        self._texts = texts

    def values(self, row: Row, period: Period, any_length: bool) -> set[str]:
        """Return all that the document has for a row's label in a year, or in it for the same length of time."""
        said = self._said[row.document, row.label.lower()]
        year = [(one, value) for one, value in said if one.when[-4:] == period.when[-4:]]
        return {value for one, value in year if any_length or one.long == period.long}

    def all_values(self, row: Row) -> set[str]:
        return {value for _, value in self._said[row.document, row.label.lower()]}

    def is_sure(self, row: Row, period: Period) -> bool:
        """Whether the document says one value for a label and period, a distinctive one."""
        own = self._said[row.document, row.label.lower()]
        same = {value for one, value in own if (one.when, one.long) == (period.when, period.long)}
        return len(same) == 1 and distinctive(row.at(period))

    def in_document(self, document: str, value: str) -> bool:
        number, text = bare(value), self._texts.text(document)
        return number in text and re.search(rf"(?<![\d,.]){re.escape(number)}(?![\d%]|[,.]\d)", text) is not None


def bare(value: str) -> str:
    return value.strip("$% ")


def distinctive(value: str) -> bool:
    digits = re.sub(r"\D", "", value)
    return len(digits.rstrip("0")) >= 3 and not re.fullmatch(r"(?:19|20)\d\d", bare(value))


def money(row: Row, value: str) -> str:
    """Return a value as a model writes it: with its unit, and "$" where the table counts in dollars."""
    if value.endswith("%") or not row.unit:
        return value
    return f"${bare(value)} {row.unit}"


def inner(label: str) -> str:
    """Return a label as words within a sentence."""
    return " ".join(word.lower() if word[1:] == word[1:].lower() else word for word in label.split())


@dataclass(frozen=True, slots=True)
class Said:
    """A figure of a table in words. `who` is a company with its genitive, or "the"."""

    row: Row
    period: Period
    who: str

    @property
    def value(self) -> str:
        return money(self.row, self.row.at(self.period))

    def question(self) -> str:
        return f"What {self._were} {self.who} {inner(self.row.label)} {self.period.words}?"

    def half(self, value: str = "") -> str:
        return f"{self.row.label} {self._were} {value or self.value}."

    def dated(self, value: str = "") -> str:
        return f"{self.row.label} {self._were} {value or self.value} {self.period.words}."

    def full(self, value: str = "", who: str = "") -> str:
        who = who or self.who
        who = who[0].upper() + who[1:]
        return f"{who} {inner(self.row.label)} {self.period.words} {self._were} {value or self.value}."

    def again(self, value: str = "") -> str:
        """The figure of another period, after a sentence with the label."""
        return self.dated(value).replace(self.row.label, "They" if self._were == "were" else "It", 1)

    @property
    def _were(self) -> str:
        return "were" if re.search(r"[^su]s$", self.row.label.split(",")[0]) else "was"


def genitive(name: str) -> str:
    return f"{name}’" if name.endswith("s") else f"{name}'s"


def company_of(document: str) -> tuple[str, str, str]:
    return next((names for key, names in COMPANIES.items() if key in document), ("", "", ""))


def cases(texts: Texts, per_document: int) -> Iterator[Case]:
    """Yield cases from some rows of each document's tables."""
    rows = Rows(texts)
    for document in sorted(texts.pages):
        dice = dice_of(document)
        known = [row for row in rows.by_document[document] if any(rows.is_sure(row, one) for one, _ in row.cells)]
        dice.shuffle(known)
        # One row for each label, and those of statements first: they are what people ask for.
        known.sort(key=lambda row: not row.balance and len(row.cells) < 3)
        seen: set[str] = set()
        for row in known:
            sure = [period for period, _ in row.cells if rows.is_sure(row, period)]
            dated = [one for one in sure if one.long or len(one.when) == 4 or row.balance]
            if row.label.lower() in seen or not dated or len(seen) >= per_document:
                continue
            seen.add(row.label.lower())
            name, _, _ = company_of(document)
            said = Said(row, dice.choice(dated), genitive(name) if name else "the")
            cases = [*_right_figures(texts, rows, said, dice), *_period_swaps(texts, rows, said, dice)]
            cases += [*_row_swaps(texts, rows, said, dice)]
            cases += _company_swaps(texts, rows, said, dice) if name else []
            yield from cases


def _case(texts: Texts, said: Said, kind: str, form: str, right: bool, question: str, answer: str, *more: Row) -> Case:
    needs = tuple((row.document, row.line) for row in (said.row, *more))
    return Case(texts.name, kind, form, right, said.row.document, question, answer, needs)


def _right_figures(texts: Texts, rows: Rows, said: Said, dice: random.Random) -> Iterator[Case]:
    name, official, short = company_of(said.row.document)
    others = [
        one
        for one, _ in said.row.cells
        if one != said.period and one.long == said.period.long and rows.is_sure(said.row, one)
    ]
    forms = {
        "short": (said.question(), f"{said.value}."),
        "half sentence": (said.question(), said.half()),
        "full sentence": (said.question(), said.full()),
        "dated": (said.question(), said.dated()),
    }
    if name:
        plain = replace(said, who="the")
        forms["the Company"] = (said.question(), said.full(who="the Company's"))
        forms["official name"] = (said.question(), said.full(who=genitive(official)))
        if short:
            forms["abbreviation"] = (replace(said, who=genitive(short)).question(), said.full())
        forms["no company asked for"] = (plain.question(), plain.full())
        quarter = re.match(r"(20\d\d) (Q\d)", said.row.document)
        spoken = f"{quarter[2]} {quarter[1]}" if quarter else ""
        first = said.period == said.row.cells[0][0] and said.period.long == "three months"
        if spoken and first and spoken in texts.text(said.row.document):
            question = f"What was {said.who} {inner(said.row.label)} in {spoken}?"
            forms["quarter by name"] = (question, f"In {spoken}, {inner(said.row.label)} was {said.value}.")
    year = said.period.when[-4:]
    if said.period.long == "year" and not re.match("Jan|Feb", said.period.when):  # whose year may be the one before
        question = f"What was {said.who} {inner(said.row.label)} in fiscal {year}?"
        forms["fiscal year"] = (question, f"{said.row.label} in fiscal {year} was {said.value}.")
    if others:
        other = replace(said, period=dice.choice(others))
        forms["two periods"] = (_change(other, said), f"{said.dated()} {other.again()}")
        both = f"{said.full()[:-1]}, compared with {other.value} {other.period.words}."
        forms["comparison in one sentence"] = (said.question(), both)
    plainest = ["short", "half sentence", "full sentence", "dated"]
    tricky = [form for form in forms if form not in plainest]
    for form in (dice.choice(plainest), *dice.sample(tricky, min(1, len(tricky)))):
        yield _case(texts, said, "table", form, True, *forms[form])


def _period_swaps(texts: Texts, rows: Rows, said: Said, dice: random.Random) -> Iterator[Case]:
    """Yield swaps of the column, where the document nowhere has the figure for the other period."""
    row, own = said.row, said.period
    for kind in ("period", "duration"):
        # The same label may have the figure in another table; of one date, only the length of time differs.
        others = [
            one
            for one, value in row.cells
            if one != own
            and rows.is_sure(row, one)
            and (one.when == own.when if kind == "duration" else one.long == own.long)
            and bare(row.at(own)) not in rows.values(row, one, any_length=kind == "period")
            and bare(value) not in rows.values(row, own, any_length=kind == "period")
        ]
        if not others:
            continue
        other = replace(said, period=dice.choice(others))
        swaps = {
            "question": (other.question(), dice.choice([f"{said.value}.", said.half()])),
            "answer": (said.question(), dice.choice([other.full(said.value), other.dated(said.value)])),
            "figure": (said.question(), dice.choice([said.full(other.value), said.dated(other.value)])),
            "comparison": (_change(other, said), f"{said.dated(other.value)} {other.again(said.value)}"),
        }
        for form in dice.sample(sorted(swaps), 1 if kind == "duration" else 2):
            yield _case(texts, said, kind, form, False, *swaps[form])


def _change(first: Said, second: Said) -> str:
    periods = (re.sub(r"^(?:in|for|as of) ", "", one.period.words) for one in (first, second))
    return f"How did {first.who} {inner(first.row.label)} change from {' to '.join(periods)}?"


def _row_swaps(texts: Texts, rows: Rows, said: Said, dice: random.Random) -> Iterator[Case]:
    """Yield swaps with another row of the table, whose label has not the figure anywhere in the document."""
    own = terms(said.row.label)
    others = [
        row
        for row in rows.by_document[said.row.document]
        if row.table == said.row.table
        and said.period in dict(row.cells)
        and rows.is_sure(row, said.period)
        and not own <= terms(row.label)
        and not terms(row.label) <= own
        and bare(said.row.at(said.period)) not in rows.all_values(row)
    ]
    if not others:
        return
    other = replace(said, row=dice.choice(others))
    swaps = {
        "question": (other.question(), f"{said.value}."),
        "answer": (other.question(), dice.choice([other.full(said.value), other.half(said.value)])),
    }
    form = dice.choice(sorted(swaps))
    yield _case(texts, said, "row", form, False, *swaps[form])


def _company_swaps(texts: Texts, rows: Rows, said: Said, dice: random.Random) -> Iterator[Case]:
    """Yield swaps with another company, in none of whose documents the figure is."""
    row = said.row
    name, _, _ = company_of(row.document)
    value = row.at(said.period)
    names = sorted({company_of(document)[0] for document in texts.pages} - {name, ""})
    own = {other: [one for one in texts.pages if company_of(one)[0] == other] for other in names}
    free = [other for other in names if not any(rows.in_document(one, value) for one in own[other])]
    if not free:
        return
    other = dice.choice(free)
    theirs = replace(said, who=genitive(other))
    swaps = {
        "question": (theirs.question(), dice.choice([f"{said.value}.", said.half()])),
        "answer": (said.question(), theirs.full(said.value)),
        "both": (theirs.question(), theirs.full(said.value)),
    }
    for form in dice.sample(sorted(swaps), 2):
        yield _case(texts, said, "company", form, False, *swaps[form])
    # Figures of both companies on one label: a comparison, right and exchanged.
    label = row.label.lower()
    pairs = [
        Said(one, period, genitive(company_of(one.document)[0]))
        for other in free
        for document in own[other]
        if document.split()[0:2] == row.document.split()[0:2] or " " not in document
        for one in rows.by_document[document]
        if one.label.lower() == label
        for period, _ in one.cells[:1]
        if rows.is_sure(one, period)
        and period.long == said.period.long
        and (period.long or one.balance)
        and not any(rows.in_document(mine, one.at(period)) for mine in texts.pages if company_of(mine)[0] == name)
    ]
    if not pairs:
        return
    second = dice.choice(pairs)
    question = f"How does {said.who} {inner(row.label)} compare with {second.who}?"
    right = f"{said.full()} {second.full()}"
    wrong = f"{said.full(second.value)} {second.full(said.value)}"
    mine = dice.choice([f"{second.value}.", said.full(second.value)])
    for case in (
        _case(texts, said, "table", "comparison of companies", True, question, right, second.row),
        _case(texts, said, "company", "comparison", False, question, wrong, second.row),
        _case(texts, said, "company", "figure", False, said.question(), mine, second.row),
    ):
        yield replace(case, searches=(said.question(), second.question()))

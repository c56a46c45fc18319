"""Answer a question over the rows of a sheet by code: SQL over a database in memory, shown with the answer.

It answers only where every word of the question is explained by one sheet (question/table_query.py); beside other
documents, two of its columns, values or words of its title must be named. Else the question is read for as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from localrag.answer.exact_search import more
from localrag.errors import Cancelled
from localrag.grounding.annotations import laid_out
from localrag.grounding.citations import clip
from localrag.grounding.stages import Findings, Pair, Query
from localrag.quantities import plural
from localrag.question import table_query
from localrag.question.table_query import TableQuery
from localrag.security.storage import sqlite3
from localrag.store import data_sheets
from localrag.store.data_sheets import Column, Table, quoted, shown
from localrag.store.locations import place_at
from localrag.types import Citation, Plan

_MAX_LINES, _MAX_CITED, _MAX_ROWS, _KEPT = 50, 5, 10_000, 2
_FUNCTIONS = {"sum": "sum", "average": "avg", "smallest": "min", "largest": "max", "count": "count"}
_Key = tuple[str, int, int, int]


class Sheets:
    """Answers over sheets of data; keeps the last ones in memory."""

    def __init__(self) -> None:
        self._kept: dict[_Key, tuple[Table, sqlite3.Connection]] = {}

    def answer(self, query: Query) -> Findings | None:
        """Return the answer that the rows of one sheet give; None where they do not, or none is asked for."""
        question = query.question
        if query.mode != "auto" or query.only.pages or question.leans:
            return None
        found = []
        others = len(query.documents)
        for library in query.libraries:
            own = {document.id: document for store, document in query.documents if store is library}
            sheets = [(id, at) for id, at in library.sheets() if id in own] if own else []
            others -= len({id for id, _ in sheets})
            for id, at in sheets:
                names = data_sheets.names_in(page.text) if (page := library.page(id, at + 1)) else []
                if not table_query.mentions(question.text, names):
                    continue
                pair = library, own[id]
                if (kept := self._load(pair, at)) is None:
                    continue
                title = f"{PurePosixPath(own[id].path).stem} {kept[0].page.label or ''}"
                try:
                    asked = table_query.parse(question.text, kept[0].columns, title, partial(_cells, *kept))
                    if asked and (done := _answer(asked, pair, *kept, query)):
                        found.append((asked, done))
                except sqlite3.OperationalError as error:
                    if query.stop():
                        raise Cancelled("stopped") from error
        named = [one for one in found if one[0].named > 1] if others or len(found) > 1 else found
        most = max((asked.named for asked, _ in named), default=0)
        best = [done for asked, done in named if asked.named == most]
        return best[0] if len(best) == 1 else None

    def _load(self, pair: Pair, position: int) -> tuple[Table, sqlite3.Connection] | None:
        library, document = pair
        key = library.uid, library.generation, document.id, position
        if key not in self._kept:
            page = library.page(document.id, position)
            table = data_sheets.table_of(page) if page else None
            if table is None:
                return None
            for old in list(self._kept)[: -_KEPT + 1 or None] if len(self._kept) >= _KEPT else []:
                self._kept.pop(old)[1].close()
            self._kept[key] = table, data_sheets.database(table)
        return self._kept[key]


def _cells(table: Table, made: sqlite3.Connection, texts: Any) -> list[tuple[Column, Any]]:
    found = []
    marks = ", ".join("?" * len(texts))
    for column in table.columns:
        if column.kind == "text":
            name = quoted(column.name)
            sql = f"SELECT DISTINCT {name} FROM rows WHERE {name} COLLATE NOCASE IN ({marks})"
            found += [(column, row[0]) for row in data_sheets.select(made, sql, list(texts))]
    return found


def _answer(asked: TableQuery, pair: Pair, table: Table, made: sqlite3.Connection, query: Query) -> Findings | None:
    measure = asked.measure
    needs = asked.operation in ("sum", "average", "smallest", "largest") or (asked.operation == "rows" and measure)
    if needs and measure is not None and measure.kind != "number":
        if measure.why:
            text = f"“{measure.name}” cannot be calculated with: {measure.why}."
            return _findings(text, False, "", pair, table, (), ())
        if measure.kind == "text" or asked.operation in ("sum", "average"):
            return None
    where, values = _where(asked)
    columns, sql = _sql(asked, table, where)
    rows = data_sheets.select(made, sql, values, query.stop)
    lines = data_sheets.select(made, f"SELECT rowid FROM rows{where} LIMIT {_MAX_CITED}", values, query.stop)
    ((count, measured),) = data_sheets.select(
        made, f"SELECT count(*), {f'count({quoted(measure.name)})' if measure else 'count(*)'} FROM rows{where}", values
    )
    if not count:
        return None
    if asked.operation == "rows":
        lines = [(row[-1],) for row in rows[:_MAX_CITED]]
        rows = [row[:-1] for row in rows]
    elif not asked.group and asked.operation in ("smallest", "largest"):
        own = f"{where}{' AND ' if where else ' WHERE '}{quoted(measure.name if measure else '')} = ?"
        lines = data_sheets.select(made, f"SELECT rowid FROM rows{own} LIMIT {_MAX_CITED}", [*values, rows[0][0]])
    cited = tuple(_citation(pair, table, row[0], at) for at, row in enumerate(lines, 1))
    marks = "".join(f"[{one.marker}]" for one in cited)
    scope = f"{count:,} of {plural(len(table.starts), 'row')}"
    what = _what(asked)
    shown_rows = [[shown(column, value) for column, value in zip(columns, row, strict=True)] for row in rows]
    if asked.operation == "rows":
        head = f"{plural(count, 'row')} {'has' if count == 1 else 'have'} it {marks}."
        head = f"The {len(rows)} {what} of {scope} {marks}." if measure else head
    elif asked.group is None:
        head = f"The {what} is {shown_rows[0][0]}, over {scope} {marks}."
    else:
        head = f"The {what} by {asked.group.name}, over {scope} {marks}:"
    listed = shown_rows if asked.operation == "rows" or asked.group else []
    names = [column.name for column in columns]
    body = [
        f"- {one[0] or '(empty)'}: {one[1]}" if asked.group else f"- {_labelled(names, one)}"
        for one in listed[:_MAX_LINES]
    ]
    table_rows = tuple(dict(zip(names, row, strict=True)) for row in rows)
    notes = _notes(asked, count, measured)
    bound = _bound(sql, values)
    text = laid_out([head, *body, *more(table_rows), *notes, f"SQL: {bound}"])
    return _findings(text, True, bound, pair, table, cited, table_rows)


def _findings(
    text: str,
    found: bool,
    sql: str,
    pair: Pair,
    table: Table,
    cited: Sequence[Citation],
    rows: Sequence[dict[str, Any]],
) -> Findings:
    library, document = pair
    title = library.titles([document.path]).get(document.path, document.path)
    where = f"sheet {table.page.label} of {title}" if table.page.label else title
    plan = Plan(
        "exact", f"Code calculated it over the rows of {where}; no model was asked.", {"read": "rows", "sql": sql}
    )
    return Findings(text, found, plan, citations=tuple(cited), table=tuple(rows), looked_at=f"all rows of {where}")


def _what(asked: TableQuery) -> str:
    name = asked.measure.name if asked.measure else ""
    if asked.operation == "count":
        return f"number of different values of {name}" if name else "number of rows"
    if asked.operation == "rows":
        return f"rows with the {'largest' if asked.descending else 'smallest'} {name}"
    return f"{asked.operation}{' of' if asked.operation in ('sum', 'average') else ''} {name}"


def _labelled(names: Sequence[str], row: Sequence[str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in zip(names, row, strict=True) if value)


def _where(asked: TableQuery) -> tuple[str, list[Any]]:
    parts, values = [], list[Any]()
    for column, own in asked.values:
        parts.append(f"{quoted(column.name)} IN ({', '.join('?' * len(own))})")
        values += own
    if asked.dated is not None:
        for sign, day in ((">=", asked.since), ("<", asked.after)):
            if day:
                parts.append(f"{quoted(asked.dated.name)} {sign} ?")
                values.append(day)
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), values


def _sql(asked: TableQuery, table: Table, where: str) -> tuple[list[Column], str]:
    """Return the columns of the result, and the statement; that of rows ends with their number."""
    measure, group = asked.measure, asked.group
    way, limit = ("DESC" if asked.descending else "ASC"), f" LIMIT {asked.limit}" if asked.limit else ""
    if asked.operation == "rows":
        shown_columns = list(table.columns)
        if asked.shown:
            shown_columns = [one for one in table.columns if one in asked.shown or one in dict(asked.values)]
        names = ", ".join(quoted(one.name) for one in shown_columns)
        order = f" WHERE {quoted(measure.name)} IS NOT NULL" if measure and not where else ""
        order += f" ORDER BY {quoted(measure.name)} {way}" if measure else ""
        return shown_columns, f"SELECT {names}, rowid FROM rows{where}{order}{limit or f' LIMIT {_MAX_ROWS}'}"
    name = quoted(measure.name) if measure else "*"
    distinct = "DISTINCT " if asked.operation == "count" and measure else ""
    value = f"{_FUNCTIONS[asked.operation]}({distinct}{name})"
    result = Column(_what(asked), "number", 0)
    if measure is not None and asked.operation != "count":
        places = min(measure.places + 2, 6) if asked.operation == "average" else measure.places
        result = replace(measure, name=_what(asked), places=places)
    if group is None:
        return [result], f"SELECT {value} FROM rows{where}"
    own = quoted(group.name)
    return [group, result], f"SELECT {own}, {value} FROM rows{where} GROUP BY {own} ORDER BY 2 {way}, 1{limit}"


def _bound(sql: str, values: Sequence[Any]) -> str:
    """Return a statement with its values in it, as it is shown."""
    parts = sql.split("?")
    marks = [
        f"{value:g}" if isinstance(value, float) else "'" + str(value).replace("'", "''") + "'" for value in values
    ]
    return "".join(part + mark for part, mark in zip(parts, [*marks, ""], strict=True))


def _notes(asked: TableQuery, count: int, measured: int) -> list[str]:
    """Return what the numbers leave out."""
    measure, notes = asked.measure, []
    if measure is not None and asked.operation != "count" and measured < count:
        notes.append(f"{count - measured:,} of these rows have no {measure.kind} in “{measure.name}” and are left out.")
    for column in filter(None, (measure, asked.dated)):
        if column.unread:
            notes.append(f"{column.unread:,} of {column.filled:,} cells in “{column.name}” are no {column.kind}s.")
    return notes


def _citation(pair: Pair, table: Table, row: int, marker: int) -> Citation:
    library, document = pair
    page, start = table.page, table.starts[row - 1]
    end = page.text.find("\n", start)
    start, end = clip(page.text, (start, len(page.text) if end < 0 else end), (start, start))
    place = place_at(page, start, end)
    quote = page.text[start:end]
    return Citation(
        library.name, document.path, page.number, page.label, place, quote, start, end, marker, unit=page.unit
    )

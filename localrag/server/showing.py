"""Answers, sources and libraries as HTML: what the templates are given.

Names, quotes and answers are data: Jinja escapes all that a template is given, `finalize` shows what would command a
screen (direction overrides, control characters) as escapes, and Markdown is made without links, pictures and HTML.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from markupsafe import Markup

from localrag.answer import survey_table
from localrag.answer.checks import cited_page, references
from localrag.answer.progress import Step
from localrag.answer.survey_table import Line, Results
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.grounding import annotations as marks
from localrag.ingest import source_files
from localrag.security.terminal import UNSAFE, visible
from localrag.sessions.export.contents import markdown_parser
from localrag.types import Answer, Checked, Citation, Cost, Fact, place
from localrag.worker import branches

if TYPE_CHECKING:
    from jinja2 import Environment
    from markdown_it.token import Token

    from localrag.server.jobs import Asked, Job
    from localrag.sessions.session_store import SavedTurn, Session
    from localrag.worker.engine import Opened

HERE = Path(__file__).parent
PREVIEW_ROWS = 8  # of a survey under way
OVERVIEW_ROWS = 100  # documents of a first page that are shown at once
MAX_LISTED = 300  # lines of each list below them
MAX_AHEAD = 3  # libraries whose next days and questions the home page shows
MAX_REMARKS = 6
MAX_UNREAD = 4  # lines shown at once; more are folded
_TABLE_ROOM, _NO_BREAK = 160, "\u00a0"  # a table in columns scrolls rather than wraps
PICTURE_WIDTH = 1000  # pixels, where the page does not say
MAX_WIDTH = 2400
ZOOMS = (100, 150, 200, 300)  # percent of the panel's width
_MAX_TITLE = 60  # characters; what is longer is shown short
_COMMAND = re.compile(r"[`:(] ?localrag [a-z]")
_MARKER = re.compile(rf"\[(\d{{1,4}})\]|{marks.MARK}")
_REFERENCE = re.compile(r"(\d{1,6})\.([cnr])(\d{1,6})(?:\.(\d{1,4}))?")


@cache
def environment() -> Environment:
    """Return the templates."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    made.globals.update(
        name_of=name_of,
        link=link,
        state=branches.state,
        short_size=branches.short_size,
        marks=marks,
        another=another,
        MAX_REMARKS=MAX_REMARKS,
        MAX_UNREAD=MAX_UNREAD,
        described=branches.described,
        column_title=survey_table.title,
        step_words=step_words,
        hint_of=hint_of,
        sentence=sentence,
        without_commands=without_commands,
        encoded=encoded,
        overview_of=overview_of,
        proofread_of=proofread_of,
        MAX_AHEAD=MAX_AHEAD,
        short_name=short_name,
        short_titles=short_titles,
        shortened=shortened,
        quoted_path=lambda path: quote(path, errors="surrogateescape"),
        quoted=lambda words: references.in_quotes(" ".join(words.split())),
    )
    return made


def render(template: str, **given: Any) -> Markup:
    return Markup(environment().get_template(template).render(**given))


def name_of(library: str, document: str) -> str:
    """Return a document as forms and addresses name it; its name may hold any bytes."""
    return quote(f"{library}/{document}", errors="surrogateescape")


def link(path: str, **query: Any) -> str:
    """Return an address of this server; a value of None is left out."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def short_title(title: str) -> str:
    """Return a long title without the parties in its middle: "Lease, Alder Ltd and others, 2021" is "Lease, 2021"."""
    first, _, rest = title.partition(", ")
    year = rest.rpartition(", ")[2]
    if len(title) <= _MAX_TITLE:
        return title
    return shorten(f"{first}, {year}" if re.fullmatch("[0-9]{4}", year) else title, _MAX_TITLE, placeholder=" …")


def short_titles(titles: Sequence[str]) -> dict[str, str]:
    """Return the long ones of some titles with their short forms, where these still tell them apart."""
    short = {title: short_title(title) for title in titles}
    count = Counter(short.values())
    return {title: one for title, one in short.items() if one != title and count[one] == 1}


def shortened(text: str, titles: Mapping[str, str]) -> str:
    """Return a text that names titles, such as a question, with their short forms."""
    for title, short in titles.items():
        text = text.replace(title, short)
    return text


def short_name(path: str) -> str:
    """Return the name of a document's file without its folders."""
    return path.rpartition("/")[2]


def hint_of(error: LocalragError) -> str:
    """Return an error's hint for who sits at a browser, where there are no commands."""
    if not _COMMAND.search(error.hint):
        return error.hint
    return "" if isinstance(error, NotFoundError | UsageError) else f"In a terminal: {error.hint}"


def sentence(text: str) -> str:
    """Return a message as a sentence; a name at its beginning stays as it is."""
    text = text.replace("`", "")
    text = text[:1].upper() + text[1:] if re.match(r"[a-z]+\s", text) else text
    return text if not text or text[-1] in ".?!”" else f"{text}."


def without_commands(line: str) -> str:
    return re.sub(r"[:;,]? ?(?:see )?`localrag [^`]*`", "", line)


def step_words(step: Step) -> str:
    return f"{step.words} · {step.done:,} of {step.total:,} {step.unit}" if step.unit else step.words


def answer_html(text: str, links: Mapping[int, str]) -> Markup:
    """Return the Markdown of an answer as HTML: inert, its markers linked to their citations, its headings small."""
    parser = markdown_parser()
    tokens = parser.parse(visible(text))
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = "h4"
        token.children = [new for child in token.children or () for new in _marked(child, links)]
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _marked(token: Token, links: Mapping[int, str]) -> list[Token]:
    """Split a text at its markers and marks, which become elements."""
    from markdown_it.token import Token

    if token.type != "text":
        return [token]
    made, end = [], 0
    for found in _MARKER.finditer(token.content):
        marker = int(found[1] or 0)
        if found[1] and marker not in links:
            continue
        element = Markup('<a class="marker" data-source href="{}">[{}]</a>').format(links.get(marker, ""), marker)
        if not found[1]:
            element = Markup('<span class="mark" title="Check this: see the line below">{}</span>').format(found[0])
        made += [Token("text", "", 0, content=token.content[end : found.start()])]
        made += [Token("html_inline", "", 0, content=str(element))]
        end = found.end()
    return [*made, Token("text", "", 0, content=token.content[end:])]


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation that can be followed: its reference in the conversation, its number there, and those beside it.

    `before` and `after` are the references of its neighbours, empty at the ends.
    """

    citation: Citation
    reference: str
    counted: str = ""
    others: tuple[Citation, ...] = ()
    before: str = ""
    after: str = ""


def cited(session: Session, reference: str) -> Cited:
    """Return the citation of a reference: "2.c0" is the first of turn 2, n a nearest one, r the source of a row."""
    found = _REFERENCE.fullmatch(reference)
    turn = int(found[1]) if found else 0
    answer = session.turns[turn - 1].answer if 1 <= turn <= len(session.turns) else None
    if found is None or answer is None:
        raise NotFoundError("there is no such citation in this conversation", "It may have been deleted.")
    kind, at = found[2], int(found[3])
    if kind == "r":
        lines = settled(answer).lines
        line = lines[at] if at < len(lines) else None
        if line is not None and found[4] is not None:
            source = dict(enumerate(line.sources.values())).get(int(found[4]))
        else:
            source = line.source if line is not None else None
        if source is not None:
            near = _neighbours(f"{turn}.r", at, [n for n, each in enumerate(lines) if each.source is not None])
            return Cited(source, reference, f"row {at + 1} of {len(lines)}", (), *near)
    else:
        all_of = answer.citations if kind == "c" else answer.nearest
        if at < len(all_of):
            others = (*all_of[:at], *all_of[at + 1 :])
            near = _neighbours(f"{turn}.{kind}", at, range(len(all_of)))
            return Cited(all_of[at], reference, f"citation {at + 1} of {len(all_of)}", others, *near)
    raise NotFoundError("there is no such citation in this conversation", "It may have been deleted.")


def _neighbours(kind: str, at: int, numbers: Sequence[int]) -> tuple[str, str]:
    """Return the references before and after a number, of those that can be followed."""
    before = next((f"{kind}{one}" for one in reversed(numbers) if one < at), "")
    return before, next((f"{kind}{one}" for one in numbers if one > at), "")


def marked(opened: Opened, library: str, start: int, end: int) -> Cited | None:
    """Return the words of a page between two offsets as a citation, if there are any."""
    page, words = opened.page, opened.page.text[start:end]
    where = place(page.number, page.label, (), page.unit)
    cited = Citation(library, opened.document.path, page.number, page.label, where, words, start, end, 0)
    return Cited(cited, "") if words.strip() else None


def settled(answer: Answer) -> Results:
    results = Results(answer.question)
    results.settle(answer)
    return results


def turn_html(session: Session, number: int, saved: SavedTurn, job: Asked | None = None) -> Markup:
    """Return a turn: answered, unanswered, or with its job under way."""
    base, answer = f"/c/{session.id}", saved.answer

    def source(kind: str, at: int) -> str:
        return link(base, source=f"{number}.{kind}{at}") + "#source"

    given: dict[str, Any] = {"session": session, "number": number, "saved": saved, "job": job, "base": base}
    given |= {"answer": answer, "source": source, "question": saved.question, "table": None, "tabled": False}
    if answer is not None:
        if answer.table:
            given["table"] = table(settled(answer), lambda at: f"{number}.r{at}", base)
        given["tabled"] = survey_table.has_table(answer)
        text = marks.shown(answer)
        text = survey_table.without_rows(text) if given["tabled"] else text
        links = {one.marker: source("c", n) for n, one in enumerate(answer.citations) if one.marker}
        given["text"] = answer_html(text, links)
    return render("turn.html", **given)


def another(session: Session, number: int) -> Cost | None:
    """Return the plan to try next for the last question of a conversation; None where there is none."""
    if number != len(session.turns):
        return None
    tried = set()
    for saved in reversed(session.turns):
        if saved.question != session.turns[-1].question or saved.answer is None:
            break
        tried.add(saved.answer.plan.kind)
    answer = session.turns[-1].answer
    return answer.plan.another(tried) if answer is not None else None


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a survey: a cell is its text and the address of its source, "" without one."""

    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str], ...], ...]
    total: int
    complete: bool


def table(results: Results, reference: Any, base: str, most: int | None = None) -> Table:
    """Return the rows so far; `reference` names the source of a row by its number."""
    columns = results.columns

    def cell(at: int, line: Line, name: str) -> tuple[str, str]:
        text, fields = line.cells.get(name, ""), list(line.sources)
        plain = name.removesuffix(" currency")
        if base and plain in fields:
            return text, link(base, source=f"{reference(at)}.{fields.index(plain)}") + "#source"
        own = name in ("quote", "answer") and not fields and line.source is not None and text
        return text, link(base, source=reference(at)) + "#source" if base and own else ""

    lines = list(results.lines)[:most]
    rows = tuple(tuple(cell(at, line, name) for name in columns) for at, line in enumerate(lines))
    return Table(columns, rows, len(results.lines), results.complete)


def preview(job: Asked) -> Markup:
    """Return the first rows of a survey under way."""
    shown = table(job.results, str, "", PREVIEW_ROWS)
    return render("table.html", table=shown, question=job.question) if shown.rows else Markup("")


def state_of(job: Job) -> dict[str, Any]:
    """Return what a job is doing, for the page's script."""
    step = job.step
    return {"step": UNSAFE.sub("", step_words(step)), "share": step.done / step.total if step.total else None}


def source_html(
    opened: Opened, library: str, shown: Cited | None, base: str, at: int | None, width: int, zoom: int = 100
) -> Markup:
    """Return a page with the quotes on it marked; `shown` is the citation that is followed.

    `base` is the address of the page around it, `at` the offset of the part of a long text (None: that with the quote),
    `width` that of the panel in pixels, `zoom` a percentage of it.
    """
    page, document = opened.page, opened.document
    citation = shown.citation if shown is not None else None
    quote = cited_page.locate(citation, page)
    others = [cited_page.locate(other, page) for other in (shown.others if shown else ())]
    others = [one for one in others if one and one != quote]
    start, end = cited_page.window(page.text, quote)
    if at is not None:
        start = max(0, min(at, len(page.text)))
        end = min(len(page.text), start + 2 * cited_page.WINDOW)
    read = {"read": f"{library}/{document.path}"}
    own = {"source": shown.reference} if shown is not None and shown.reference else read

    zoomed = zoom if zoom in ZOOMS else ZOOMS[0]
    kept = {"zoom": zoomed if zoomed != ZOOMS[0] else None}

    def address(**query: Any) -> str:
        return f"{base}?{encoded({**own, **kept, **query})}#source"

    def turn(step: int) -> str:
        number = page.number
        return address(page=number + step) if number is not None and 1 <= number + step <= opened.count else ""

    def hit(step: int) -> str:
        reference = (shown.after if step > 0 else shown.before) if shown is not None else ""
        return address(source=reference) if reference else ""

    def scale(step: int) -> str:
        to = ZOOMS.index(zoomed) + step
        return address(page=page.number, zoom=ZOOMS[to]) if 0 <= to < len(ZOOMS) else ""

    def part(step: int) -> str:
        found = cited_page.neighbour(page.text, start, end, step)
        return address(page=page.number, at=found[0]) if found is not None else ""

    spans = [(quote.start, quote.end) if quote else (0, 0), *((one.start, one.end) for one in others if one)]
    drawn: dict[str, Any] = {**read, "page": page.number, "width": min(MAX_WIDTH, width * zoomed // 100)}
    drawn["spans"] = ",".join(f"{first}-{last}" for first, last in spans)
    second = source_files.second_of(citation.place if citation is not None else "")
    pictured = source_files.has_pictures(document) and opened.state not in ("missing", "elsewhere")
    return render(
        "source.html",
        error=None,
        opened=opened,
        library=library,
        shown=shown,
        citation=citation,
        on_page=citation is not None and page.number == citation.page,
        where=place(page.number, page.label, (), page.unit),
        notes=cited_page.notes(document, page, opened.state, citation, quote),
        remarks=[] if shown else list(branches.warnings(document)),
        parts=parts_of(page.text, start, end, quote, others),
        turn=turn,
        hit=hit,
        scale=scale,
        zoom=zoomed,
        part=part,
        close=base,
        back=address(),
        picture=encoded(drawn) if pictured else "",
        sound=f"{encoded(read)}#t={second}" if opened.recording else "",
        copy=references.format_quote(citation, document) if citation is not None else "",
    )


def encoded(query: Mapping[str, Any]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return urlencode(given, errors="surrogateescape", quote_via=quote, safe="/")


def parts_of(
    text: str, start: int, end: int, quote: cited_page.Found | None, others: Sequence[cited_page.Found | None]
) -> list[tuple[str, str]]:
    """Return a text in pieces, each with what it is: "figure" (in the quote), "quote", "other" or "".

    Tables are in columns: the pieces are set in letters of one width.
    """
    spans = [(one.start, one.end, "other") for one in others if one]
    if quote is not None:
        spans += [(quote.start, quote.end, "quote"), *((*span, "figure") for span in quote.figures)]
    edges = sorted({start, end, *(at for first, last, _ in spans for at in (first, last) if start < at < end)})
    shown, places = cited_page.in_columns(text[start:end], _TABLE_ROOM, _NO_BREAK)
    pieces: list[tuple[str, str]] = []
    for first, last in pairwise(edges):
        kinds = {kind for begin, stop, kind in spans if begin <= first and last <= stop}
        kind = next((one for one in ("figure", "quote", "other") if one in kinds), "")
        pieces.append((shown[places[first - start] : places[last - start]], kind))
    return pieces


def grid(findings: Sequence[Checked]) -> dict[tuple[str, str], dict[str, tuple[int, Checked]]]:
    """Return the findings of each document by item, with their numbers."""
    rows: dict[tuple[str, str], dict[str, tuple[int, Checked]]] = {}
    for number, one in enumerate(findings):
        rows.setdefault((one.library, one.document), {})[one.item] = (number, one)
    return rows


# --- errors of drafting: `found` is what `Engine.proofread` returns ---


def proofread_of(library: str, document: str) -> str:
    """Return the address of the findings in a document."""
    return f"/proofread/{quote(name_of(library, document))}"


def proofread_html(found: Mapping[str, Any], library: str, base: str, source: Markup) -> Markup:
    """Return the errors of drafting in a document by kind, each with the address of its words."""
    from localrag.redline.proofreading import HEADINGS, Fault  # they load numpy

    faults = [Fault(**one) for one in found["findings"]]

    def at(one: Fault) -> str:
        read = f"{library}/{found['document']}"
        return f"{base}?{encoded({'read': read, 'page': one.page, 'mark': f'{one.start}-{one.end}'})}#source"

    kinds = {heading: [one for one in faults if one.kind == kind] for kind, heading in HEADINGS.items()}
    given = {"found": found, "count": len(faults), "kinds": kinds, "at": at, "library": library, "base": base}
    return render("proofread.html", **given, source=source)


# --- the first page of a library: `held` is what `Engine.overview` returns ---


def overview_of(library: str) -> str:
    """Return the address of the first page of a library."""
    return f"/overview/{quote(library)}"


def facts_of(document: Mapping[str, Any]) -> list[Fact]:
    more = ("id", "shown")
    return [Fact(**{name: value for name, value in one.items() if name not in more}) for one in document["facts"]]


def stated(held: Mapping[str, Any], reference: str) -> Cited:
    """Return the quote of a fact; a reference is the fact's id, a slash, and its document."""
    named, _, path = reference.partition("/")
    found = [one for own in held["documents"] if own["document"] == path for one in facts_of(own) if one.id == named]
    if not found or not found[0].quote:
        raise NotFoundError("there is no such fact any more", "Load the page again.")
    one = found[0]
    library = held["libraries"][0]
    return Cited(Citation(library, path, one.page, None, one.place, one.quote, one.start, one.end, 0), reference)


def overview_html(
    held: Mapping[str, Any], library: str, query: Mapping[str, str], start: int, source: Markup
) -> Markup:
    """Return the first page, with its documents from `start` on, or with the one that the address names, unfolded."""
    from localrag.answer.overview import COLUMNS, shown_value  # they load numpy

    documents = held["documents"]
    read, cited = (query.get(name, "").partition("/")[2] for name in ("read", "source"))
    wanted = query.get("document") or read or cited
    named = next((at for at, one in enumerate(documents) if one["document"] == wanted), start)
    begin = min(named, max(0, len(documents) - 1)) // OVERVIEW_ROWS * OVERVIEW_ROWS

    def why(facts: Sequence[Fact], column: str, cell: str) -> str:
        """Return why what a cell shows is unclear, empty if it is not."""
        doubtful = [one for one in facts if not one.clear and one.role in COLUMNS[column]]
        return "; ".join(dict.fromkeys(one.why or "unclear" for one in doubtful if f"{shown_value(one)}?" in cell))

    rows = [(one, facts_of(one)) for one in documents[begin : begin + OVERVIEW_ROWS]]
    return render(
        "overview.html",
        held=held,
        library=library,
        base=overview_of(library),
        rows=rows,
        columns=[name for name in COLUMNS if any(own["cells"][name] for own in held["documents"])],
        by_path={one["document"]: one for one in documents},
        short=short_titles([one["title"] for one in documents]),
        begin=begin,
        opened=wanted,
        rejected=query.get("rejected", ""),
        shown_value=shown_value,
        why=why,
        most=MAX_LISTED,
        step=OVERVIEW_ROWS,
        source=source,
        home=False,
    )

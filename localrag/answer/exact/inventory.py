"""Questions about documents as files (pure): how many there are, which is the newest, how many pages one has.

    "list the PDFs by size", "How many contracts are there?", "documents from 2023", "How many words has the lease?"

Limits: "the longest lease" may be the one that runs longest, so that only "document" and "file" are compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from localrag.answer.exact.scopes import scope
from localrag.answer.exact.tasks import Listing, Order, Size
from localrag.quantities import parse_date, parse_month

_TYPES = {
    r"pdfs?(?: files?| documents?)?": "pdf",
    r"(?:ms )?word (?:files?|documents?)|docx?(?: files?)?|word-?dateien": "word",
    r"(?:ms )?excel (?:files?|sheets?)|spreadsheets?|xlsx?(?: files?)?|excel-?dateien": "sheet",
    r"csvs?(?: files?)?": "csv",
    r"powerpoints?(?: files?| presentations?)?|slide ?decks?|presentations?|pptx?(?: files?)?": "slides",
    r"e-?mails?|mails?|eml files?|messages?": "mail",
    r"image files?|images?|pictures?|photos?|scans?|bilder": "image",
    r"text files?|txt files?|textdateien": "text",
    r"web ?pages?|html files?": "web",
    r"e-?books?|epubs?": "book",
    r"markdown files?": "markdown",
    r"json files?": "json",
    r"calendar files?": "calendar",
    r"transcripts?": "transcript",
}
_FILES = r"documents?|files?|dokumente?n?|dateien?|unterlagen"
# Words for documents that are hardly ever words for what stands in them, as "articles", "policies" and "notes" are.
_PLAIN = r"papers?|contracts?|agreements?|reports?|letters?|invoices?|leases?|filings?|memos?"
_TYPED = "|".join(_TYPES)
_NOUN = rf"(?P<noun>{_FILES}|{_TYPED}|{_PLAIN}|verträge)"
_FILE = rf"(?P<noun>{_FILES}|{_TYPED})"
_PLACE = r"(?:library|folder|directory|collection|archive|corpus|database|data ?room|index)"
_HERE = (
    rf"(?: (?:(?:are|is) )?(?:(?:there|here|available|indexed|stored|ingested)\b ?)?(?:(?:do|does|did) (?:i|we|"
    rf"you|it|(?:the|this|my|our) {_PLACE}) (?:have|hold|contain|include)|"
    rf"(?:in|inside|of) (?:the|this|my|our|your) {_PLACE}|(?:i|we) have|in (?:total|all)|altogether|overall|"
    rf"(?:are )?there|here)){{0,3}}"
)
_DAY = r"[\w.,/ äÄ-]*?\d{4}[\d/.-]*"
_PERIOD = (
    rf"(?: (?:that |which )?(?:are |is |were |was )?(?:dated |written |created |made )?(?:(?P<between>between|"
    rf"from) (?P<first>{_DAY}) (?:and|to|until) (?P<last>{_DAY})"
    rf"|(?P<way>from before|from after|from|in|of|since|after|before|until|up to|dated|aus|vor|nach|seit) "
    rf"(?:the year )?(?P<day>{_DAY})))?"
)
_BY = (
    r"date|age|time|file size|size|length|number of pages|page count|pages|number of words|words|name|title|path|"
    r"type|file type|alphabet|datum|größe|seitenzahl|name"
)
_FIRST = r"newest|latest|most recent|oldest|earliest|largest|biggest|smallest|longest|shortest"
_ORDER = (
    rf"(?:,? (?:(?:and )?(?:sort(?:ed)?|order(?:ed)?|rank(?:ed)?|arrange(?:d)?|sortiert)(?: them)? )?(?:by|nach|"
    rf"in order of) (?:their )?(?P<by>{_BY})(?:,? \(?(?P<turn>descending|ascending|desc|asc|in reverse|reversed|"
    rf"(?:{_FIRST}) first)\)?)?"
    rf"|,? (?:with the )?\(?(?P<lead>{_FIRST}) (?:ones )?first\)?|,? (?P<alphabetically>alphabetically))?"
)
_END = r"[?.! ]*$"
_MANY = r"(?P<most>\d{1,3}|two|three|four|five|six|seven|eight|nine|ten|twenty)"
_NUMBERS = {word: n for n, word in enumerate("two three four five six seven eight nine ten".split(), 2)} | {
    "twenty": 20
}
_SUPERLATIVE = rf"(?P<super>{_FIRST}|last modified|heaviest|neueste|älteste|größte|kleinste|längste|kürzeste)n?s?"

_COUNT = (
    re.compile(rf"^how many (?:different |separate )?{_NOUN}{_HERE}{_PERIOD}{_HERE}{_END}", re.I),
    re.compile(rf"^(?:what is |what's )?(?:the )?(?:total )?number of {_NOUN}{_HERE}{_PERIOD}{_END}", re.I),
    re.compile(rf"^count (?:all )?(?:the |my |our )?{_NOUN}{_HERE}{_PERIOD}{_END}", re.I),
    re.compile(
        (
            rf"^wie ?viele {_NOUN}(?: (?:gibt es|habe ich|haben wir|sind (?:es|da|vorhanden)|liegen vor))(?: "
            rf"insgesamt)?{_PERIOD}{_END}"
        ),
        re.I,
    ),
)
_LIST = (
    re.compile(
        (
            rf"^(?:list|show|name|display|print|enumerate|sort|order|rank|give(?: me)? (?:a )?list(?: of)?|give|"
            rf"what are|(?:make )?a list of)(?: me)?(?: a list of)?"
            rf"(?: all| every| each)?(?: of)?(?: the| my| our| these)? "
            rf"{_NOUN}{_HERE}{_PERIOD}{_ORDER}{_END}"
        ),
        re.I,
    ),
    re.compile(rf"^(?:what|which) {_NOUN}(?P<there>{_HERE}){_PERIOD}{_ORDER}{_END}", re.I),
    re.compile(rf"^(?:all )?(?:the |my )?{_NOUN}{_PERIOD}{_ORDER}{_END}", re.I),
    re.compile(
        rf"^(?:liste|zeige?|nenne)(?: mir)?(?: bitte)? (?:alle |die )*{_NOUN}(?: auf)?{_PERIOD}{_ORDER}(?: auf)?{_END}",
        re.I,
    ),
)
_EXTREME = (
    re.compile(
        (
            rf"^(?:(?:which|what|welche[rs]?)(?: one)?(?: (?:is|are|was|were|ist|sind))?|list|show(?: me)?|find|"
            rf"give me|name)?(?: ?(?:the|my|our|das|die|der))?(?: {_MANY})? ?{_SUPERLATIVE} {_FILE}{_HERE}{_END}"
        ),
        re.I,
    ),
    re.compile(
        (
            rf"^(?:which|what)(?: of)?(?: the| my| our| these)? {_FILE} (?:is|are|was)(?: the)? "
            rf"{_SUPERLATIVE}{_HERE}{_END}"
        ),
        re.I,
    ),
)
_ORDERS: Mapping[str, tuple[Order, bool]] = MappingProxyType(
    {
        "newest": ("date", True), "latest": ("date", True), "most recent": ("date", True), "neueste": ("date", True),
        "oldest": ("date", False), "earliest": ("date", False), "älteste": ("date", False),
        "largest": ("size", True), "biggest": ("size", True), "heaviest": ("size", True), "größte": ("size", True),
        "smallest": ("size", False), "kleinste": ("size", False),
        "longest": ("length", True), "längste": ("length", True),
        "shortest": ("length", False), "kürzeste": ("length", False),
    }
)  # fmt: skip
_UNIT = r"(?P<unit>words?|characters?|pages?|wörter|worte|zeichen|seiten)"
_UNITS: Mapping[str, str] = MappingProxyType(
    {"wörter": "words", "worte": "words", "zeichen": "characters", "seiten": "pages"}
)
_TOTAL = r"(?: in total| altogether| in all| overall| insgesamt| zusammen)?"
_HOW_LONG = re.compile(rf"^how many {_UNIT} (?:is|are) (?P<of>(?!there\b).+?)(?: long)?{_END}", re.I)
_SIZE = (
    re.compile(rf"^how many {_UNIT}(?: (?:are|is)(?: there)?)?{_TOTAL}(?: in (?P<of>.+?))?{_TOTAL}{_END}", re.I),
    re.compile(
        rf"^how many {_UNIT} (?:does|do|has|have) (?P<of>.+?) (?:have|contain|comprise|run to|consist of|got|"
        rf"hold){_TOTAL}{_END}",
        re.I,
    ),
    _HOW_LONG,
    re.compile(
        rf"^(?:what is |what's )?(?:the )?(?:total )?(?:number of {_UNIT}|{_UNIT.replace('unit', 'unit2')} "
        rf"count)(?: (?:in|of|for) (?P<of>.+?))?{_TOTAL}{_END}",
        re.I,
    ),
    re.compile(rf"^count (?:the |all )?(?:the )?{_UNIT} (?:in|of) (?P<of>.+?){_END}", re.I),
    re.compile(rf"^how long is (?P<of>.+?),? in {_UNIT}{_END}", re.I),
    re.compile(
        rf"^wie ?viele {_UNIT} (?:hat|haben|umfasst|umfassen|enthält|sind in|sind es in|stehen in) "
        rf"(?P<of>.+?){_TOTAL}{_END}",
        re.I,
    ),
)  # fmt: skip


def asked(question: str) -> Listing | Size | None:
    """What a question (one line) asks of the documents as files, or None."""
    return _extreme(question) or _count(question) or _list(question) or _size(question)


def _count(question: str) -> Listing | None:
    for pattern in _COUNT:
        if (match := pattern.match(question)) and (period := _period(match)) is not None:
            return Listing(
                "count documents", match["noun"].lower(), _types(match["noun"]), since=period[0], until=period[1]
            )
    return None


def _list(question: str) -> Listing | None:
    for number, pattern in enumerate(_LIST):
        if (match := pattern.match(question)) is None or (period := _period(match)) is None:
            continue
        order, backwards = _order(match)
        # "Contracts" alone, or "which documents", asks for nothing yet.
        if (
            number in (1, 2)
            and not any(period)
            and not (match.groupdict().get("there") or match["by"] or match["lead"])
        ):
            continue
        return Listing("list documents", match["noun"].lower(), _types(match["noun"]), order, backwards, 0, *period)
    return None


def _extreme(question: str) -> Listing | None:
    for pattern in _EXTREME:
        if match := pattern.match(question):
            order, backwards = _ORDERS.get(match["super"].lower(), ("date", True))
            many = (match.groupdict().get("most") or "").lower()
            several = match["noun"].lower().endswith("s") and not many
            most = _NUMBERS.get(many) or int(many or (5 if several else 1))
            return Listing("list documents", match["noun"].lower(), _types(match["noun"]), order, backwards, most)
    return None


def _size(question: str) -> Size | None:
    for pattern in _SIZE:
        if (match := pattern.match(question)) is None:
            continue
        unit = (match.groupdict().get("unit2") or match["unit"]).lower()
        unit = _UNITS.get(unit, unit if unit.endswith("s") else f"{unit}s")
        of = match["of"]
        if (
            of is None
            and unit != "pages"
            and not question.lower().rstrip("?. ").endswith(("total", "all", "altogether", "overall"))
        ):
            continue  # "How many words are there?" asks of no document
        # "How many pages is the limit", "characters in the play": only what says that it is a document.
        if (within := scope(of, sure=unit == "characters" or pattern is _HOW_LONG)) is not None:
            return Size(unit, within)  # type: ignore[arg-type]
    return None


def _types(noun: str) -> tuple[str, ...]:
    for words, name in _TYPES.items():
        if re.fullmatch(words, noun, re.I):
            return (name,)
    return ()


def _order(match: re.Match[str]) -> tuple[Order, bool]:
    lead = match["lead"] or (match["turn"] or "").lower().removesuffix(" first")
    if lead.lower() in _ORDERS:
        order, backwards = _ORDERS[lead.lower()]
        return (_ordered(match["by"]) if match["by"] else order), backwards
    if not match["by"]:
        return "path", False
    order = _ordered(match["by"])
    if not match["turn"]:
        return order, order in ("date", "size", "pages", "length")  # what people look for comes first
    return order, match["turn"].lower() in ("descending", "desc", "in reverse", "reversed")


def _ordered(by: str) -> Order:
    by = by.lower()
    if by in ("date", "age", "time", "datum"):
        return "date"
    if by in ("size", "file size", "größe"):
        return "size"
    if "page" in by or by == "seitenzahl":
        return "pages"
    if "word" in by or by == "length":
        return "length"
    return "type" if "type" in by else "path"


def _period(match: re.Match[str]) -> tuple[str, str] | None:
    """The first and the last day that documents may be of, as a filter takes them; None where words are no dates."""
    groups = match.groupdict()
    if groups.get("between"):
        first, last = _day(groups["first"]), _day(groups["last"])
        return (first, last) if first and last else None
    if not (way := (groups.get("way") or "").lower()):
        return "", ""
    day = _day(groups["day"])
    if not day:
        return None
    if way in ("since", "seit"):
        return day, ""
    if way in ("until", "up to"):
        return "", day
    if way in ("after", "from after", "nach", "before", "from before", "vor"):
        return _beside(day, later=way in ("after", "from after", "nach"))
    return day, day


def _beside(day: str, *, later: bool) -> tuple[str, str] | None:
    """All that lies after a year, a month or a day, or before it."""
    parts = [int(part) for part in day.split("-")]
    parts[-1] += 1 if later else -1
    if len(parts) > 1 and not 1 <= parts[-1] <= (12 if len(parts) == 2 else 28):
        return None  # the filter would need a calendar; nobody asks so
    beside = "-".join(f"{part:02}" for part in parts)
    return (beside, "") if later else ("", beside)


def _day(text: str) -> str:
    text = text.strip(" ,")
    if re.fullmatch(r"(?:19|20)\d\d", text):
        return text
    if (found := parse_month(text)) is not None:
        return f"{found[0]}-{found[1]:02}"
    written = parse_date(text)
    return written.certain.isoformat() if written is not None and written.certain else ""

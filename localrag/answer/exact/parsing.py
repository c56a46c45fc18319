"""Turn a question that code answers better than a model into a task: count, find, list, calculate.

A pattern must match the whole question, and anything in doubt is left to the model: a word without quotation marks is a
term only if the question says so ("the word notice"). "How often does fever occur?" is about fever.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from localrag.answer.exact import calculator
from localrag.quantities import CARDINALS, load_words, parse_date, parse_month

Order = Literal["path", "date", "size", "type"]


@dataclass(frozen=True, slots=True)
class Calculation:
    """A calculation that needs no document, with its result."""

    text: str
    verb = "calculate"


@dataclass(frozen=True, slots=True)
class TermSearch:
    """A word or phrase: count it, find its places, or list the documents that have it or lack it."""

    term: str
    kind: Literal["count", "find", "documents", "without"] = "count"
    within: str = ""

    @property
    def verb(self) -> str:
        return {"count": "count", "find": "find"}.get(self.kind, "look up")


@dataclass(frozen=True, slots=True)
class IdentifierSearch:
    """A number or code, however it is grouped; `label` is its name in the question ("invoice number")."""

    value: str
    label: str = ""
    within: str = ""
    verb = "find"


@dataclass(frozen=True, slots=True)
class DocumentList:
    """The documents themselves: counted, listed in an order, or the first `limit` of them.

    `noun` is the question's word for them, `types` the file types that it names; `since` and `until` as in Filter.
    """

    kind: Literal["count", "list"]
    noun: str = "documents"
    types: tuple[str, ...] = ()
    order: Order = "path"
    descending: bool = False
    limit: int = 0
    since: str = ""
    until: str = ""

    @property
    def verb(self) -> str:
        return "count" if self.kind == "count" else "sort" if self.order != "path" else "list"


Task = Calculation | TermSearch | IdentifierSearch | DocumentList

_MAX_QUESTION = 600
_POLITE = re.compile(
    r"^(?:(?:please|hey|ok|bitte)[, ]+|(?:can|could|would) you (?:please )?(?:tell me |find out |check )?|"
    r"(?:please )?tell me,? |i (?:want|need) to know |do you know )+",
    re.I,
)


def parse(question: str, today: date | None = None) -> Task | None:
    """Return the task that a question plainly asks for, or None; `today` is the meaning of "today" in it."""
    text = " ".join(question.split())
    if not text or len(text) > _MAX_QUESTION:
        return None
    text = _POLITE.sub("", text)
    if found := _term(text) or _identifier(text) or _documents(text):
        return found
    result = calculator.answer(text, today)
    return None if result is None else Calculation(result)


def _patterns(*forms: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(rf"^{form}[?.! ]*$", re.I) for form in forms)


# --- the document that a question names ---------------------------------------------------------------------

_WORDS = load_words("localrag.answer", "words.toml")["exact"]
_NOUNS = _WORDS["documents"].split()
_NOUN = "|".join(sorted([*_NOUNS, *_WORDS["plurals"].split()], key=len, reverse=True))
_GERMAN_NOUN = "dokumenten?|dateien?|unterlagen|verträgen?|vertrag|texten?|texte|dokumente|datei|akten?|berichten?"
_PLACE = r"library|folder|directory|collection|archive|corpus|database|data ?room|index"
_ALL = re.compile(
    rf"(?:(?:all|any|each|every|one|some)(?: of)? )?(?:(?:the|my|our|these|those|this|that) )?(?:whole |entire )?"
    rf"(?:{_NOUN}|{_PLACE}|it|them|everything|total)(?: (?:in|of) (?:the|my|this|our) (?:{_PLACE}))?"
    rf"|(?:(?:allen?|den|der|dem|die|das|meinen?|unseren?|diesem|dieser|diesen) )*"
    rf"(?:{_GERMAN_NOUN}|bibliothek|ordner|sammlung|archiv|bestand)",
    re.I,
)
# "The lease" is a document of that name; "this lease" is the one that was chosen.
_THE_ONE = re.compile(rf"(?:the|der|die|das|dem) (?:{'|'.join(_NOUNS)}|vertrag|mietvertrag|bericht)", re.I)
_NO_DOCUMENT = re.compile(
    r"\b(?:sections?|clauses?|articles? \d|paragraphs?|chapters?|pages?|tables?|lines?|rows?|columns?|years?|months?|"
    r"quarters?|§+|absatz|abschnitt|seite|kapitel|which|that|who|whose|where|when|is|are|was|were|has|have|had|did|"
    r"does|do|can|must|shall|may|will|from|since|before|after|between|during|about|regarding|concerning|with|without|"
    r"than|per|average|english|german|world)\b|[?;:!]",
    re.I,
)
_IS_A_DOCUMENT = re.compile(
    r"(?:^|[\s_-])(?:[\w-]*(?:documents?|files?|contracts?|agreements?|reports?|policy|policies|letters?|invoices?|"
    r"leases?|filings?|minutes|memo|handbook|manual|plan|notice|amendment|nda|msa|budget|schedule|paper|e-?mail|deed|"
    r"will|order|brief|statement|10-[kq]|vertrag|handbuch|bericht))$|\.[a-z]{1,5}$",
    re.I,
)
_MAX_NAME_WORDS = 10


def document_name(words: str | None, *, sure: bool = False) -> str | None:
    """Return the document that the words after "in" name, "" for all documents, or None if they name none.

    `sure` accepts only a name that says it is a document ("the Orlo lease", "lease.pdf").
    """
    name = (words or "").strip().strip("\"“”„'‘’").rstrip("?.! ")
    if _THE_ONE.fullmatch(name) and not re.search(r"\b(?:document|file|text|paper)$", name, re.I):
        return re.sub(r"^\w+ ", "", name)
    if not name or _ALL.fullmatch(name):
        return ""
    lead = r"^(?:(?:the|my|our|der|die|das|dem|den) )?(?:(?:document|file|contract) (?:called|named|titled) )?"
    name = re.sub(lead, "", name, flags=re.I).strip("\"“”„'‘’")
    if not re.search(r"[^\W\d_]", name) or len(name.split()) > _MAX_NAME_WORDS or _NO_DOCUMENT.search(name):
        return None
    return name if not sure or _IS_A_DOCUMENT.search(name) else None


# --- words and phrases --------------------------------------------------------------------------------------

# An apostrophe inside a word does not end a quote.
_QUOTED = (
    r"(?:[\"“”„«»](?P<quoted>[^\"“”„«»]{1,200})[\"“”„«»]|[‘'‚](?P<single>(?:[^'’‘]|(?<=\w)['’](?=\w)){1,200})['’‘])"
)
_A_WORD = (
    r"(?:(?:the )?(?:exact )?(?:word|words|phrase|term|expression|string|name|text)|"
    r"(?:das |der |die |den |dem )?(?:wort|begriff|ausdruck|phrase|name|namen))"
)
# "the term Confidential Information": all words with capitals.
_WORD = rf"{_A_WORD} (?P<word>(?-i:[A-ZÄÖÜ][\w.&’'-]*(?: [A-ZÄÖÜ][\w.&’'-]*)+)|[^\s\"“”?]+)"
_QUOTE = rf"(?:{_A_WORD} )?{_QUOTED}"
_BARE = (
    r"(?P<bare>(?!(?:the|a|an|this|that|it|they|there|he|she|we|you|i|what|these|those|his|her|its|our|my|die|der|das|es|"
    r"sie|er|man)\b)[^\s\"“”?,]+)"
)
_NAME = r"(?P<name>(?-i:[A-ZÄÖÜ0-9][\w&.'’-]*(?: (?:(?:of|and|the|for|de|van|von|und|&) )?[A-ZÄÖÜ0-9][\w&.'’-]*){0,6}))"
_SURE, _NAMED = rf"(?:{_QUOTE}|{_WORD})", rf"(?:{_QUOTE}|{_WORD}|{_NAME})"
_ANY = rf"(?:{_QUOTE}|{_WORD}|{_NAME}|{_BARE})"
_MENTIONED = r"(?:mentioned|named|referred to|referenced|cited)"
_OCCURS = rf"(?:{_MENTIONED}|occurs?|appears?|used|(?:comes?|shows?|turns?) up|found|written|said)"
_IN = (
    r"(?:,? (?:anywhere |somewhere )?(?:in|within|inside|across|throughout) (?P<in>.+?))?"
    r"(?: (?:anywhere|at all|altogether|in total))?"
)
_IM = r"(?: (?:im|in) (?P<in>.+?))?"
_DOCUMENTS = rf"(?:of )?(?:(?:all|the|my|our|these|those|any) )*(?:{_NOUN}|pdfs?)"
_MENTIONS = r"(?:mentions?|names?|refers? to|references?|cites?)"
_HOLDS = rf"(?:{_MENTIONS}|contains?|includes?|uses?|says?|has|have)"
_HITS = r"(?:occurrences?|mentions?|instances?|appearances?|hits?|places?)"
_COUNT = _patterns(
    rf"how (?:often|frequently|many times) (?:does|do|is|are|was|were|has|have|did) {_SURE} (?:been )?{_OCCURS}{_IN}",
    rf"how (?:often|many times) (?:is|are|was|were|has|have) {_ANY} (?:been )?{_MENTIONED}{_IN}",
    rf"(?:what is |count |give me )?(?:the )?(?:how many |(?:total )?number of |all )?{_HITS} (?:of|for) {_ANY}"
    rf"(?: are there| do (?:we|i) have)?{_IN}",
    rf"(?:count (?:how often |(?:all )?the times )?|number of times ){_SURE}(?: (?:is |are )?{_OCCURS})?{_IN}",
    rf"how (?:often|many times) (?:does|do) (?P<in>.+?) (?:say|mention|use|contain|have) {_SURE}",
    rf"(?:is|are|was|does|do) {_SURE} (?:ever )?{_OCCURS}{_IN}",
    rf"is there (?:any |an? )?{_HITS} of {_ANY}{_IN}",
    rf"(?:does|do) (?P<in>.+?) (?:ever )?(?:mention|contain|say|use|include|name|refer to) {_SURE}",
    rf"is {_NAMED} (?:ever )?{_MENTIONED}{_IN}",
    rf"wie (?:oft|häufig) (?:kommt|kommen|steht|erscheint|wird|werden) {_SURE}{_IM}(?: (?:vor|erwähnt|genannt))?",
    rf"wie (?:oft|häufig) (?:wird|werden) {_ANY}{_IM} (?:erwähnt|genannt)",
)
# A bare word that "appears" counts only in what is plainly a document.
_COUNT_IN = _patterns(
    rf"how (?:often|many times) (?:does|do) {_ANY} (?:occur|appear|come up|show up|turn up)"
    rf"(?: (?:in|within|across|throughout) (?P<in>.+?))?"
)
_GET = r"(?:find|search(?: for)?|look (?:for|up)|locate|show|list|get)(?: me)?"
_FIND = _patterns(
    rf"{_GET}(?: (?:every|all|each|any|the|places?|where))* (?:{_HITS} (?:of|where|with) )?{_SURE}(?: {_OCCURS})?{_IN}",
    rf"{_GET} (?:every |all |each |any |the )*{_HITS} of {_ANY}{_IN}",
    rf"where (?:does|do|is|are|was|were|can i find|do (?:we|i|they) find|exactly does) {_SURE}(?: {_OCCURS})?{_IN}",
    rf"where (?:is|are|was|were) {_ANY} {_MENTIONED}{_IN}",
    rf"where (?:does|do) {_NAMED} appear{_IN}",
    rf"on (?:which|what) pages? (?:does|do|is|are|can i find) {_SURE}(?: {_OCCURS})?{_IN}",
    rf"(?:which|what) pages? (?:of (?P<in>.+?) )?(?:mentions?|contains?|has|have|says?) {_SURE}",
    rf"(?:finde|such|suche|zeige?)(?: mir)?(?: nach)?(?: alle)?(?: (?:stellen|vorkommen) (?:mit|von))? {_SURE}{_IM}",
    rf"wo (?:steht|kommt|wird|werden|erscheint) {_SURE}{_IM}(?: (?:vor|erwähnt|genannt))?",
    rf"wo (?:wird|werden) {_ANY}{_IM} (?:erwähnt|genannt)",
)
_NOT = r"(?P<not>(?:(?:do|does)(?: not|n['’]t)|never|lacks?|without) )?"
_WHERE = (
    r"(?:which|what|how many|in which|in what|in how many|list|find|show(?: me)?|name|give me)(?: (?:all|every|each))?"
)
_WELCHE = (
    r"(?:in )?(?:welche[nrms]?|wie ?viele[nr]?) "
    r"(?:dokumenten?|dateien?|verträgen?|texten?|berichten?|datei|dokument|vertrag)"
)
_HOLDING = _patterns(
    rf"{_WHERE} {_DOCUMENTS} (?:(?:that|which) )?(?:(?:{_NOT}{_HOLDS}|containing|mentioning|with|including) )?{_SURE}"
    rf"(?: in (?:it|them))?",
    rf"{_WHERE} {_DOCUMENTS} (?:(?:that|which) )?(?:{_NOT}{_MENTIONS}|mentioning|naming) {_ANY}",
    rf"{_WHERE} {_DOCUMENTS} (?:(?:that|which) )?(?:{_NOT}(?:contains?|includes?)|containing) {_NAMED}",
    rf"{_DOCUMENTS} (?:containing|mentioning|including|with|that (?:contain|mention|include)) {_SURE}",
    rf"in (?:which|what|how many) {_DOCUMENTS} (?:does|do|is|are|can i find|was) {_SURE}(?: {_OCCURS})?",
    rf"in (?:which|what|how many) {_DOCUMENTS} (?:is|are|was|were) {_ANY} {_MENTIONED}",
    rf"{_WELCHE} (?:steht|kommt|wird|enthält|enthalten|erwähnt|erwähnen|nennt|nennen) {_SURE}"
    r"(?: (?:vor|erwähnt|genannt))?",
    rf"{_WELCHE} (?:erwähnt|erwähnen|nennt|nennen) {_ANY}",
)


def _term(text: str) -> TermSearch | None:
    kinds: tuple[tuple[tuple[re.Pattern[str], ...], Literal["count", "find", "documents"]], ...] = (
        (_COUNT_IN, "count"), (_COUNT, "count"), (_FIND, "find"), (_HOLDING, "documents"),
    )  # fmt: skip
    for patterns, kind in kinds:
        for match in filter(None, (pattern.match(text) for pattern in patterns)):
            groups = match.groupdict()
            literal = groups.get("quoted") or groups.get("single") or groups.get("word")
            term = (literal or groups.get("name") or groups.get("bare") or "").strip(" .,;:?!")
            place = groups.get("in")
            if not re.search(r"\w", term) or (patterns is _COUNT_IN and not literal and not place):
                continue  # "How often does fever occur?"
            within = document_name(place, sure=not literal)
            if within is not None:
                return TermSearch(term, "without" if groups.get("not") else kind, within)
    return None


# --- identifiers --------------------------------------------------------------------------------------------

_LABEL = (
    r"(?P<label>(?:invoice|case|file|account|contract|(?:purchase )?order|po|reference|ref\.?|policy|customer|client|"
    r"matter|claim|ticket|serial|registration|company|vat|tax|passport|(?:tele)?phone|fax|docket|patent|project|part|article|"
    r"clause|section|paragraph|document|iban|isin|lei|isbn|bic|swift|doi|e-?mail(?: address)?|url|rechnung|"
    r"rechnungsnummer|aktenzeichen|kundennummer|vertragsnummer|kontonummer)"
    r"(?: (?:number|numbers|no\.?|nr\.?|nummer|id|code|file|#))?|§|#|no\.) ?"
)
_CODE = r"[\"“”]?(?P<value>(?-i:[^\s\"“”?]+(?: (?:[^\s\"“”?a-z]*\d[^\s\"“”?a-z]*|[A-Z]{1,4}(?= \d)))*))[\"“”]?"
_SEEK = (
    r"(?:find|search(?: for)?|look (?:for|up)|locate|show(?: me)?|where (?:is|are|does|do|can i find)|"
    r"(?:which|what) (?:documents?|files?|pages?|invoices?|contracts?|letters?) (?:has|have|contains?|mentions?)|"
    r"finde|suche|wo (?:ist|steht))"
)
_IDENTIFIED = _patterns(
    rf"{_SEEK} (?:the |any |all |every |me )*{_LABEL}:? ?{_CODE}(?: {_OCCURS})?{_IN}",
    rf"{_SEEK} (?:the )?{_CODE}(?: {_OCCURS})?{_IN}",
)
_PART = re.compile(r"(?:clause|section|paragraph|article)\b|§", re.I)


def _identifier(text: str) -> IdentifierSearch | TermSearch | None:
    for match in filter(None, (pattern.match(text) for pattern in _IDENTIFIED)):
        value = match["value"].strip(" .,;:?!")
        label = (match.groupdict().get("label") or "").strip()
        within = document_name(match["in"])
        if within is None or not (re.search(r"\d", value) or "@" in value):
            continue
        if _PART.match(label):
            if text.lower().startswith("show"):
                continue  # its text is wanted, not its places
            if not re.search(r"\d[.(]", value):
                return TermSearch(f"{label} {value}", "find", within)  # a lone 7 is everywhere
        if label or _looks_like_code(value):
            return IdentifierSearch(value, label, within)
    return None


def _looks_like_code(value: str) -> bool:
    """Whether a value is a mail address, or has signs that no word, number or date is written with."""
    if re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", value):
        return True
    signs = re.sub(r"[\s/‐-―−-]", "", value)
    digits = sum(sign.isdigit() for sign in signs)
    if len(signs) < 6 or re.fullmatch(r"[\d.,]+", value) or re.search(r"(?:^| )[a-zäöü]{2,}(?: |$)", value):
        return False
    if re.search(r"[A-Za-z]", signs):
        return digits >= 3
    return bool(re.match(r"\+?\d", value)) and digits >= 7 and not re.search(r"\d[-/.]\d\d?[-/.]\d", value)


# --- documents as files -------------------------------------------------------------------------------------

_TYPES = {
    "pdf": r"pdfs?(?: files?| documents?)?", "csv": r"csvs?(?: files?)?", "mail": r"e-?mails?|mails?|messages?",
    "word": r"(?:ms )?word (?:files?|documents?)|docx?(?: files?)?|word-?dateien",
    "sheet": r"(?:ms )?excel (?:files?|sheets?)|spreadsheets?|xlsx?(?: files?)?|excel-?dateien",
    "slides": r"powerpoints?(?: files?| presentations?)?|slide ?decks?|presentations?|pptx?(?: files?)?",
    "image": r"image files?|images?|pictures?|photos?|scans?|bilder", "text": r"text files?|txt files?|textdateien",
    "web": r"web ?pages?|html files?", "book": r"e-?books?|epubs?", "markdown": r"markdown files?",
}  # fmt: skip
_FILE = rf"(?P<noun>documents?|files?|dokumente?n?|dateien?|unterlagen|{'|'.join(_TYPES.values())})"
# Words for documents that are hardly ever words for their content, as "articles" and "policies" are.
_ANY_FILE = (
    rf"{_FILE[:-1]}|papers?|contracts?|agreements?|reports?|letters?|invoices?|leases?|filings?|memos?|verträge)"
)
_HERE = (
    rf"(?: (?:(?:are |is )?there|here|do (?:i|we|you) have|(?:i|we) have|(?:are )?(?:indexed|stored)|"
    rf"(?:are )?(?:in|of) (?:the|this|my|our) (?:{_PLACE})|in (?:total|all)|altogether|overall)){{0,3}}"
)
_DAY = r"[\w.,/ äÄ-]*?\d{4}[\d/.-]*"
_PERIOD = (
    rf"(?: (?:that |which )?(?:are |is |were |was )?(?:dated |written |created |made )?"
    rf"(?:(?:between|from) (?P<first>{_DAY}) (?:and|to|until) (?P<last>{_DAY})"
    rf"|(?P<way>from|in|of|since|until|up to|dated|aus|seit) (?:the year )?(?P<day>{_DAY})))?"
)
_FIRST = r"newest|latest|most recent|oldest|earliest|largest|biggest|smallest"
_SORTED = (
    r"(?:,? (?:(?:and )?(?:sort(?:ed)?|order(?:ed)?|sortiert)(?: them)? )?(?:by|nach) (?:their )?"
    r"(?P<by>date|age|time|file size|size|name|title|path|type|file type|datum|größe)"
    rf"(?:,? \(?(?P<turn>descending|ascending|desc|asc|reversed|(?:{_FIRST}) first)\)?)?"
    rf"|,? (?:with the )?\(?(?P<lead>{_FIRST}) (?:ones )?first\)?|,? (?P<alphabetically>alphabetically))?"
)
_NUMBERS = dict(list(CARDINALS.items())[2:11])  # "two" to "ten"
_LIMIT = rf"(?P<limit>\d{{1,3}}|{'|'.join(_NUMBERS)})"
_SUPERLATIVE = rf"(?P<super>{_FIRST}|neueste|älteste|größte|kleinste)n?s?"
_COUNT_FILES = _patterns(
    rf"(?:how many |(?:what is |what's )?(?:the )?(?:total )?number of |count (?:all )?(?:the |my |our )?){_ANY_FILE}"
    rf"{_HERE}{_PERIOD}{_HERE}",
    rf"wie ?viele {_ANY_FILE} (?:gibt es|habe ich|haben wir|sind (?:es|da|vorhanden))(?: insgesamt)?{_PERIOD}",
)
_LIST_FILES = _patterns(
    rf"(?:list|show|name|display|print|sort|order|rank|give(?: me)? (?:a )?list(?: of)?|give|what are)(?: me)?"
    rf"(?: a list of)?(?: all| every| each)?(?: of)?(?: the| my| our| these)? {_ANY_FILE}{_HERE}{_PERIOD}{_SORTED}",
    rf"(?:liste|zeige?|nenne)(?: mir)?(?: bitte)? (?:alle |die )*{_ANY_FILE}(?: auf)?{_PERIOD}{_SORTED}(?: auf)?",
)
# "Contracts" alone, or "which documents", asks for nothing: a period, an order or a place must be there.
_LIST_SOME = _patterns(
    rf"(?:what|which) {_ANY_FILE}(?P<there>{_HERE}){_PERIOD}{_SORTED}",
    rf"(?:all )?(?:the |my )?{_ANY_FILE}(?P<there>){_PERIOD}{_SORTED}",
)
_FIRST_FILES = _patterns(
    rf"(?:(?:which|what|welche[rs]?)(?: one)?(?: (?:is|are|was|were|ist|sind))?|list|show(?: me)?|find|give me|name)?"
    rf"(?: ?(?:the|my|our|das|die|der))?(?: {_LIMIT})? ?{_SUPERLATIVE} {_FILE}{_HERE}",
    rf"(?:which|what)(?: of)?(?: the| my| our| these)? {_FILE} (?:is|are|was)(?: the)? {_SUPERLATIVE}{_HERE}",
)
_ORDERS: Mapping[str, tuple[Order, bool]] = {
    **dict.fromkeys(("newest", "latest", "most recent", "neueste"), ("date", True)),
    **dict.fromkeys(("oldest", "earliest", "älteste"), ("date", False)),
    **dict.fromkeys(("largest", "biggest", "größte"), ("size", True)),
    **dict.fromkeys(("smallest", "kleinste"), ("size", False)),
}
_KEYS: Mapping[str, Order] = {
    "date": "date", "age": "date", "time": "date", "datum": "date", "size": "size", "file size": "size",
    "größe": "size", "type": "type", "file type": "type",
}  # fmt: skip


def _documents(text: str) -> DocumentList | None:
    for match in filter(None, (pattern.match(text) for pattern in _FIRST_FILES)):
        order, descending = _ORDERS[match["super"].lower()]
        noun, number = match["noun"].lower(), (match.groupdict().get("limit") or "").lower()
        limit = _NUMBERS.get(number) or int(number or (5 if noun.endswith("s") else 1))
        return DocumentList("list", noun, _types(noun), order, descending, limit)
    for patterns in (_COUNT_FILES, _LIST_FILES, _LIST_SOME):
        for match in filter(None, (pattern.match(text) for pattern in patterns)):
            if (period := _period(match)) is None:
                continue
            noun = match["noun"].lower()
            if patterns is _COUNT_FILES:
                return DocumentList("count", noun, _types(noun), since=period[0], until=period[1])
            order = _KEYS.get((match["by"] or "").lower(), "path")
            turn = (match["lead"] or match["turn"] or "").lower().removesuffix(" first")
            descending = turn in ("descending", "desc", "reversed") if turn else order in ("date", "size")
            if turn in _ORDERS:
                order, descending = order if match["by"] else _ORDERS[turn][0], _ORDERS[turn][1]
            if patterns is _LIST_FILES or any(period) or match["there"] or match["by"] or match["lead"]:
                return DocumentList("list", noun, _types(noun), order, descending, 0, *period)
    return None


def _types(noun: str) -> tuple[str, ...]:
    return next(((name,) for name, words in _TYPES.items() if re.fullmatch(words, noun, re.I)), ())


def _period(match: re.Match[str]) -> tuple[str, str] | None:
    """Return the first and last day of a period as a filter takes them, or None if its words are not dates."""
    days = [_day(match[name]) for name in ("first", "last", "day") if match[name]]
    if not all(days):
        return None
    if match["first"]:
        return days[0], days[1]
    way = (match["way"] or "").lower()
    day = days[0] if days else ""
    return ("" if way in ("until", "up to") else day), ("" if way in ("since", "seit") else day)


def _day(text: str) -> str:
    text = text.strip(" ,")
    if re.fullmatch(r"(?:19|20)\d\d", text):
        return text
    if month := parse_month(text):
        return f"{month[0]}-{month[1]:02}"
    written = parse_date(text)
    return written.certain.isoformat() if written is not None and written.certain else ""

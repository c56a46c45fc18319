"""What code answers better than a model: count, find, spell, calculate, list. Pure: what a question asks for.

Only a question that plainly asks for it is taken (`parse` returns None otherwise), so that a question about a document
is never answered by arithmetic on its words. A word without quotation marks is taken where the question says that it
means a word ("the word notice"), or asks where something is mentioned; "How often does fever occur?" is for a reader.
`reckoning` runs the tasks that need documents.
"""

from __future__ import annotations

import re
from datetime import date

from localrag.answer.exact import arithmetic, identifiers, inventory, spans
from localrag.answer.exact.scopes import PLAIN, scope
from localrag.answer.exact.tasks import Every, Identifier, Task, Term, Worked

_LONGEST = 600
_POLITE = re.compile(
    (
        r"^(?:(?:please|hey|ok|bitte)[, ]+|(?:can|could|would) you (?:please )?(?:tell me |find out |check )?|"
        r"(?:please )?tell me,? |i (?:want|need) to know |do you know )+"
    ),
    re.I,
)
_END = r"[?.! ]*$"
# Quotation marks of all kinds; an apostrophe inside a word ends nothing.
_QUOTED = (
    r"(?:[\"“”„«»](?P<quoted>[^\"“”„«»]{1,200})[\"“”„«»]|[‘'‚](?P<single>(?:[^'’‘]|(?<=\w)['’](?=\w)){1,200})['’‘])"
)
_SAID = r"(?:the )?(?:exact )?(?:word|words|phrase|term|expression|string|name|text)"
_SAID_GERMAN = r"(?:das |der |die |den |dem )?(?:wort|begriff|ausdruck|phrase|name|namen)"
_QUOTE = rf"(?:(?:{_SAID}|{_SAID_GERMAN}) )?{_QUOTED}"
# "the term Confidential Information": all of its capitals.
_WORD = (
    rf"(?:{_SAID}|{_SAID_GERMAN}) "
    r"(?P<word>(?-i:[A-ZÄÖÜ][\w.&’'-]*(?: [A-ZÄÖÜ][\w.&’'-]*)+)|[^\s\"“”?]+)"
)
_BARE = (
    r"(?P<bare>(?!(?:the|a|an|this|that|it|they|there|he|she|we|you|i|what|these|those|his|her|its|our|my|die|der|"
    r"das|es|sie|er|man)\b)[^\s\"“”?,]+)"
)
# A name: several words with capitals, whatever the case of the rest of the pattern.
_NAME = r"(?P<name>(?-i:[A-ZÄÖÜ0-9][\w&.'’-]*(?: (?:(?:of|and|the|for|de|van|von|und|&) )?[A-ZÄÖÜ0-9][\w&.'’-]*){0,6}))"
_SURE = rf"(?:{_QUOTE}|{_WORD})"
_ANY = rf"(?:{_QUOTE}|{_WORD}|{_NAME}|{_BARE})"
_NAMED = rf"(?:{_QUOTE}|{_WORD}|{_NAME})"

_STANDS = (
    r"(?:occurs?|appears?|mentioned|named|used|come up|comes up|show up|shows up|turn up|found|written|referred to|"
    r"referenced|cited|said)"
)
_MENTIONED = r"(?:mentioned|named|referred to|referenced|cited)"
_IN = (
    r"(?:,? (?:anywhere |somewhere )?(?:in|within|inside|across|throughout) (?P<in>.+?))?(?: (?:anywhere|at all|"
    r"altogether|in total))?"
)
_DOCUMENTS = rf"(?:of )?(?:(?:all|the|my|our|these|those|any) )*(?:{PLAIN}|pdfs?)"
_HOLD = r"(?:mentions?|contains?|includes?|uses?|says?|names?|refers? to|references?|cites?|has|have)"
_NAMES = r"(?:mentions?|names?|refers? to|references?|cites?)"
_HITS = r"(?:occurrences?|mentions?|instances?|appearances?|hits?|places?)"

_COUNTED = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"^how (?:often|frequently|many times) (?:does|do|is|are|was|were|has|have|did) {_SURE} (?:been )?"
        rf"{_STANDS}{_IN}{_END}",
        rf"^how (?:often|many times) (?:is|are|was|were|has|have) {_ANY} (?:been )?{_MENTIONED}{_IN}{_END}",
        (
            rf"^(?:what is |count |give me )?(?:the )?(?:how many |(?:total )?number of |all )?{_HITS} (?:of|for) "
            rf"{_ANY}(?: are there| do (?:we|i) have)?{_IN}{_END}"
        ),
        rf"^(?:the )?number of times (?:that )?{_SURE} (?:is |are |was )?{_STANDS}{_IN}{_END}",
        rf"^count (?:how often |(?:all )?the times )?{_SURE}(?: (?:is |are )?{_STANDS})?{_IN}{_END}",
        rf"^how (?:often|many times) (?:does|do) (?P<in>.+?) (?:say|mention|use|contain|have) {_SURE}{_END}",
        rf"^(?:is|are|was|does|do) {_SURE} (?:ever )?{_STANDS}{_IN}{_END}",
        rf"^is there (?:any |an? )?{_HITS} of {_ANY}{_IN}{_END}",
        rf"^(?:does|do) (?P<in>.+?) (?:ever )?(?:mention|contain|say|use|include|name|refer to) {_SURE}{_END}",
        rf"^is {_NAMED} (?:ever )?{_MENTIONED}{_IN}{_END}",
        rf"^how many (?:times )?{_QUOTE} (?:are|is) (?:there|used){_IN}{_END}",
        (
            rf"^wie (?:oft|häufig) (?:kommt|kommen|steht|erscheint|taucht|wird|werden) {_SURE}(?: (?:im|in) "
            rf"(?P<in>.+?))?(?: (?:vor|auf|erwähnt|genannt|verwendet|benutzt))?{_END}"
        ),
        rf"^wie (?:oft|häufig) (?:wird|werden) {_ANY}(?: (?:im|in) (?P<in>.+?))? (?:erwähnt|genannt){_END}",
    )
)
# A lone word that "appears" or "occurs": only in what is plainly a document.
_COUNTED_IN = re.compile(
    (
        rf"^how (?:often|many times) (?:does|do) {_ANY} (?:occur|appear|come up|show up|turn up)(?: (?:in|within|"
        rf"across|throughout) (?P<in>.+?))?{_END}"
    ),
    re.I,
)
_FOUND = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        (
            rf"^(?:find|search(?: for)?|look for|look up|locate|show|list|highlight|get)(?: me)?(?: (?:every|all|"
            rf"each|any|the|places?|where|it|says))* (?:{_HITS} (?:of|where|with) )?{_SURE}(?: "
            rf"{_STANDS})?{_IN}{_END}"
        ),
        (
            rf"^(?:find|search(?: for)?|look for|locate|show|list|highlight|get)(?: me)? (?:every |all |each |any |"
            rf"the )*{_HITS} of {_ANY}{_IN}{_END}"
        ),
        (
            rf"^where (?:does|do|is|are|was|were|can i find|do (?:we|i|they) find|exactly does) {_SURE}(?: "
            rf"{_STANDS})?{_IN}{_END}"
        ),
        rf"^where (?:is|are|was|were) {_ANY} {_MENTIONED}{_IN}{_END}",
        rf"^where (?:does|do) {_NAMED} appear{_IN}{_END}",
        rf"^on (?:which|what) pages? (?:does|do|is|are|can i find) {_SURE}(?: {_STANDS})?{_IN}{_END}",
        rf"^(?:which|what) pages? (?:of (?P<in>.+?) )?(?:mentions?|contains?|has|have|says?) {_SURE}{_END}",
        (
            rf"^(?:finde|such|suche|zeige?)(?: mir)?(?: nach)?(?: alle)?(?: (?:stellen|vorkommen|erwähnungen) "
            rf"(?:mit|von))? {_SURE}(?: (?:im|in) (?P<in>.+?))?{_END}"
        ),
        (
            rf"^wo (?:steht|kommt|kommen|wird|werden|erscheint|findet sich) {_SURE}(?: (?:im|in) (?P<in>.+?))?(?: "
            rf"(?:vor|erwähnt|genannt|auf))?{_END}"
        ),
        rf"^wo (?:wird|werden) {_ANY}(?: (?:im|in) (?P<in>.+?))? (?:erwähnt|genannt){_END}",
    )
)
_NOT = r"(?P<not>(?:(?:do|does)(?: not|n['’]t)|never|lacks?|without) )?"
_WHERE = (
    r"(?:which|what|how many|in which|in what|in how many|list|find|show(?: me)?|name|give me)(?: (?:all|every|each))?"
)
_HOLDING = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        (
            rf"^{_WHERE} {_DOCUMENTS} (?:(?:that|which) )?(?:(?:{_NOT}{_HOLD}|containing|mentioning|with|including) "
            rf")?{_SURE}(?: in (?:it|them))?{_END}"
        ),
        rf"^{_WHERE} {_DOCUMENTS} (?:(?:that|which) )?(?:{_NOT}{_NAMES}|mentioning|naming) {_ANY}{_END}",
        rf"^{_WHERE} {_DOCUMENTS} (?:(?:that|which) )?(?:{_NOT}(?:contains?|includes?)|containing) {_NAMED}{_END}",
        rf"^{_DOCUMENTS} (?:containing|mentioning|including|with|that (?:contain|mention|include)) {_SURE}{_END}",
        rf"^in (?:which|what|how many) {_DOCUMENTS} (?:does|do|is|are|can i find|was) {_SURE}(?: {_STANDS})?{_END}",
        rf"^in (?:which|what|how many) {_DOCUMENTS} (?:is|are|was|were) {_ANY} {_MENTIONED}{_END}",
        r"^(?:in )?(?:welche[nrms]?|wie ?viele[nr]?) (?:dokumenten?|dateien?|verträgen?|texten?|berichten?|"
        r"datei|dokument|vertrag) "
        rf"(?:steht|kommt|wird|enthält|enthalten|erwähnt|erwähnen|nennt|nennen) {_SURE}(?: (?:vor|erwähnt|"
        rf"genannt))?{_END}",
        r"^(?:in )?(?:welche[nrms]?|wie ?viele[nr]?) (?:dokumenten?|dateien?|verträgen?|texten?|berichten?|"
        r"datei|dokument|vertrag) "
        rf"(?:erwähnt|erwähnen|nennt|nennen) {_ANY}{_END}",
    )
)


def parse(question: str, today: date | None = None) -> Task | None:
    """The task that a question plainly asks for, or None.

    Args:
        question: in plain words.
        today: what "today" means in a question about dates; without, one that says it is not taken.
    """
    text = " ".join(question.split())
    if not text or len(text) > _LONGEST:
        return None
    text = _POLITE.sub("", text)
    return (
        _letters(text)
        or _term(text)
        or _every(text)
        or _identifier(text)
        or inventory.asked(text)
        or _dates(text, today)
        or _sum(text)
    )


def _sum(text: str) -> Worked | None:
    told = arithmetic.answer(text)
    return None if told is None else Worked("calculate", told)


def _dates(text: str, today: date | None) -> Worked | None:
    told = spans.answer(text, today)
    return None if told is None else Worked("dates", told)


# --- words and phrases --------------------------------------------------------------------------------------


def _term(text: str) -> Term | None:
    if (match := _COUNTED_IN.match(text)) and (found := _understood(match, "count", sure=True)):
        return found
    kinds = ((_COUNTED, "count"), (_FOUND, "find"), (_HOLDING, "documents"))
    for patterns, kind in kinds:
        for pattern in patterns:
            if (match := pattern.match(text)) and (found := _understood(match, kind)):
                return found
    return None


def _understood(match: re.Match[str], kind: str, *, sure: bool = False) -> Term | None:
    groups = match.groupdict()
    quoted = groups.get("quoted") or groups.get("single")
    term = (quoted or groups.get("word") or groups.get("name") or groups.get("bare") or "").strip(" .,;:?!")
    if not re.search(r"\w", term):
        return None
    literal = bool(quoted or groups.get("word"))
    place = groups.get("in")
    if sure and not literal:
        # "How often does fever occur in children?" is no question of words.
        if not place or (within := scope(place, sure=True)) is None:
            return None
    elif (within := scope(place, sure=not literal)) is None:
        return None
    if kind == "documents" and groups.get("not"):
        kind = "without"
    return Term(term, kind, within)  # type: ignore[arg-type]


# --- letters ------------------------------------------------------------------------------------------------

_ONE_WORD = rf"(?:(?:{_SAID}|{_SAID_GERMAN}) )?(?:{_QUOTED}|(?P<word>[^\W\d_]+(?:-[^\W\d_]+)*))"
_LETTER = r"[\"“'‘]?(?P<letter>[^\W\d_])[\"”'’]?"
_SPELLED = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        (
            rf"^(?:how many|count the|(?:what is )?the number of|number of) (?P<sure>letters? "
            rf")?{_LETTER}(?P<s>['’]?s)?(?P<sure2> letters?)?(?: (?:are|is|do you (?:see|find)))?(?: there)? in "
            rf"{_ONE_WORD}{_END}"
        ),
        rf"^how many {_LETTER}(?P<s>['’]?s)?(?: letters?)? (?:does|do) {_ONE_WORD} (?:have|contain){_END}",
        (
            rf"^how (?:many times|often) (?:does|is) (?P<sure>the letter )?{_LETTER} (?:occur|appear|used|found|"
            rf"come up) in {_ONE_WORD}{_END}"
        ),
        (
            rf"^wie ?viele {_LETTER}(?P<s>['’]?s)? (?:sind|stehen|stecken|gibt es|hat|enthält)(?: es)?(?: in)? "
            rf"{_ONE_WORD}{_END}"
        ),
        rf"^wie oft (?:kommt|steht) (?P<sure>der buchstabe )?{_LETTER} in {_ONE_WORD}(?: vor)?{_END}",
    )
)
_LENGTH = re.compile(
    (
        rf"^how many (?P<unit>letters|characters|words) (?:(?:are|is)(?: there)? in|does|do) (?P<what>(?:{_SAID} "
        rf")?{_QUOTED}|{_WORD})(?: have| contain)?{_END}"
    ),
    re.I,
)
_NO_WORD = frozenset("total all english german french spanish it them this that there general latin".split())


def _letters(text: str) -> Worked | None:
    for pattern in _SPELLED:
        if (match := pattern.match(text)) is None:
            continue
        groups = match.groupdict()
        word = groups.get("quoted") or groups.get("single") or groups.get("word") or ""
        said = (
            text[match.start("letter") - 1] in "\"“'‘" or groups.get("s") or groups.get("sure") or groups.get("sure2")
        )
        quoted = (
            groups.get("quoted")
            or groups.get("single")
            or re.search(rf"(?:{_SAID}|{_SAID_GERMAN}) {re.escape(word)}", text, re.I)
        )
        if not (said or quoted) or word.lower() in _NO_WORD or len(word) < 2:
            continue
        letter, times = groups["letter"], count_letter(word, groups["letter"])
        return Worked("letters", f"The letter “{letter}” stands {_times(times)} in “{word}”.{_where(word, letter)}")
    match = _LENGTH.match(text)
    if match is None:
        return None
    word = match["quoted"] or match["single"] or match["word"]
    if match["unit"].lower() == "words":
        count = len(word.split())
        return Worked("letters", f"“{word}” has {count:,} word{'' if count == 1 else 's'}.")
    letters, signs = sum(c.isalpha() for c in word), len(word)
    more = f", and {signs:,} characters with spaces and marks" if signs != letters else ""
    return Worked("letters", f"“{word}” has {letters:,} letters{more}.")


def count_letter(word: str, letter: str) -> int:
    """How often a letter stands in a word, whatever its case."""
    return word.casefold().count(letter.casefold())


def _where(word: str, letter: str) -> str:
    """At which places of a short word the letter stands, so that everyone can check."""
    places = [str(n) for n, sign in enumerate(word, 1) if sign.casefold() == letter.casefold()]
    if not places or len(word) > 40 or len(places) != count_letter(word, letter):
        return ""
    last = f"{', '.join(places[:-1])} and {places[-1]}" if len(places) > 1 else places[0]
    return f" Place{'s' if len(places) > 1 else ''} {last} of {len(word)}."


def _times(count: int) -> str:
    return f"{count:,} time{'' if count == 1 else 's'}"


# --- identifiers --------------------------------------------------------------------------------------------

_LABEL = (
    r"(?P<label>(?:invoice|case|file|account|contract|order|purchase order|po|reference|ref\.?|policy|customer|"
    r"client|matter|claim|ticket|"
    r"serial|registration|company|vat|tax|passport|phone|telephone|fax|mobile|docket|patent|project|part|"
    r"article|clause|section|paragraph|document|"
    r"iban|isin|lei|isbn|bic|swift|doi|e-?mail(?: address)?|url|rechnung|rechnungsnummer|aktenzeichen|"
    r"kundennummer|vertragsnummer|konto|kontonummer)"
    r"(?: (?:number|numbers|no\.?|nr\.?|nummer|id|code|file|#))?|§|#|no\.) ?"
)
_VALUE = r"(?P<value>(?-i:[^\s\"“”?]+(?: (?:[^\s\"“”?a-z]*\d[^\s\"“”?a-z]*|[A-Z]{1,4}(?= \d)))*))"
_CODE = r"[\"“”]?" + _VALUE + r"[\"“”]?"
_SEEK = (
    r"(?:find|search(?: for)?|look for|look up|locate|show(?: me)?|where (?:is|are|does|do|can i find)|(?:which|"
    r"what) (?:documents?|files?|pages?|invoices?|contracts?|letters?) (?:has|have|contains?|mentions?|is|are)|"
    r"finde|suche|wo (?:ist|steht))"
)
_IDENTIFIED = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        rf"^{_SEEK} (?:the |any |all |every |me )*{_LABEL}:? ?{_CODE}(?: {_STANDS})?{_IN}{_END}",
        rf"^{_SEEK} (?:the )?{_CODE}(?: {_STANDS})?{_IN}{_END}",
    )
)
_SINGULAR = re.compile(
    r"(?:address|adresse|number|nummer|code|iban|isin|lei|isbn|doi|url|amount|amount of money|id)$", re.I
)
_NUMBERED_PART = re.compile(r"(?:clause|section|paragraph|article)\b|§", re.I)
_ALL_OF = (
    re.compile(
        rf"^(?:list|find|show(?: me)?|extract|get|give me|name|collect)(?: me)?(?: (?:all|every|the|any|of))* "
        rf"(?P<sort>{identifiers.SPOKEN})(?: (?:that (?:are )?)?(?:mentioned|listed|found|contained|occurring|given|"
        rf"used|appearing))?(?: there are)?(?: (?:in|from|of|within) (?P<in>.+?))?{_END}",
        re.I,
    ),
    re.compile(
        rf"^(?:what|which|how many) (?P<sort>{identifiers.SPOKEN}) (?:are|were|do|occur|appear|stand)(?: there| "
        rf"mentioned| listed| contained| found| given| used| occur| appear| we have| i have)*(?: in "
        rf"(?P<in>.+?))?{_END}",
        re.I,
    ),
    re.compile(
        rf"^(?:liste|zeige?|finde|nenne)(?: mir)?(?: alle| die)* (?P<sort>{identifiers.SPOKEN})(?: (?:in|aus|im) "
        rf"(?P<in>.+?))?(?: auf)?{_END}",
        re.I,
    ),
)  # fmt: skip


def _every(text: str) -> Every | None:
    for pattern in _ALL_OF:
        # "The phone number of the clinic" is one, and for a reader.
        if (match := pattern.match(text)) and not _SINGULAR.search(match["sort"]):
            sort, within = identifiers.kind_named(match["sort"]), scope(match["in"])
            if sort is not None and within is not None:
                return Every(sort, within)
    return None


def _identifier(text: str) -> Identifier | Term | None:
    for pattern in _IDENTIFIED:
        if (match := pattern.match(text)) is None:
            continue
        value = match["value"].strip(".,;:!?\"“”'’")
        label = (match.groupdict().get("label") or "").strip()
        within = scope(match["in"])
        if within is None or not (re.search(r"\d", value) or "@" in value):
            continue
        if label and _NUMBERED_PART.match(label) and text.lower().startswith("show"):
            continue  # its text is wanted, not its places
        if label and _NUMBERED_PART.match(label) and not re.search(r"\d[.(]", value):
            return Term(f"{label} {value}", "find", within)  # a lone 7 stands everywhere
        if label or _tells(value):
            return Identifier(value, label, within)
    return None


def _tells(value: str) -> bool:
    """Whether a value looks like an identifier: a mail address, or signs that no word or number is written with."""
    if re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@]+", value):
        return True
    signs = identifiers.plain(value)
    if re.search(r"(?:^| )[a-zäöü]{2,}(?: |$)", value):  # "room 101"
        return False
    if not any(c.isdigit() for c in signs) or len(signs) < 6 or re.fullmatch(r"[\d.,]+", value):
        return False
    return bool(re.search(r"[A-Za-z]", signs) and sum(c.isdigit() for c in signs) >= 3) or (
        bool(re.match(r"\+?\d", value))
        and sum(c.isdigit() for c in signs) >= 7
        and not re.search(r"\d[-/.]\d\d?[-/.]\d", value)
    )

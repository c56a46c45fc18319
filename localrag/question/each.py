"""Turn a question about many documents into the question for one of them (pure).

"Which contracts have a non-compete clause?" becomes "Does this contract have a non-compete clause?". What to do with
the answers (count, sort, compare, negate) is taken out, since code does that. A question of another form is put to each
document as it is. Limits: the forms are English, and names are known by capitals inside the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from localrag.quantities import (
    ENGLISH_MONTHS,
    QUANTITY,
    TIME_UNITS,
    by_word,
    find_dates,
    find_months,
    find_number_words,
    lazy_re,
    load_patterns,
    load_words,
    parse_quantity,
    phrases,
)
from localrag.question.kinds import SINGULAR, bare

Kind = Literal["existence", "value", "fields", "summary", "open"]


@dataclass(frozen=True, slots=True)
class DocumentQuestion:
    """What each document is asked, and what code does with the answers."""

    kind: Kind
    text: str
    noun: str = "document"  # what a document is called
    columns: tuple[str, ...] = ()  # the fields of a table
    negated: bool = False  # those where it is not so are wanted
    order: Literal["", "greatest", "least"] = ""  # which comes first
    limit: str = ""  # only answers whose value passes count: "more than 60 days"
    each: bool = False  # a summary of every document by itself is wanted


def document_question(question: str) -> DocumentQuestion:
    text = bare(" ".join(question.split()).rstrip(" .?!"))
    for form, make in _FORMS:
        found = re.match(form, text, re.I)
        if found and (made := make(found)) is not None:
            return made
    return DocumentQuestion("open", question.strip())


_WORDS = load_words("localrag.question", "words.toml")
_NATIONS = dict(line.split(": ") for line in " ".join(_WORDS["nations"].split()).split("; "))
# "of these 40 supplier agreements": whose, how many, and up to two words of what kind.
_OWN = (
    r"(?:of\s+)?(?:(?:the|these|those|my|our|your|their|this|that|all|any|each|every|one|some)\s+)*"
    r"(?:of\s+(?:the|these|those|my|our)\s+)?(?:\d+\s+)?"
)
_NAMES = "|".join(sorted(SINGULAR, key=len, reverse=True))
_KIND = (
    r"(?P<kind>(?:(?!(?:does|do|did|is|are|was|were|has|have|can|each|every|all|any|the|of|that|which|with|in|by|from)\b)"
    r"[a-z][\w’'-]*\s+){0,2}?)"
)
_NOUN = rf"{_OWN}{_KIND}(?P<noun>{_NAMES})\b"
_BE = {"is": "Is", "are": "Is", "was": "Was", "were": "Was"}
_MODALS = {"can", "could", "may", "might", "must", "should", "shall", "will", "would"}
_PERFECT = re.compile(r"^(?:been|already|\w{3,}ed)\b", re.I)
_NEGATED, _PLACED, _LIMIT = phrases("localrag.question", "each", "negated", "placed", "limit")
_WITHOUT = re.compile(r"^(?:lacks?|without|(?:have|has|contains?|includes?)\s+no)\s+", re.I)
# "Contracts with a bonus" have one, and those "requiring notice" require it.
_WITH = {
    "with": "have",
    "having": "have",
    "permitting": "permit",
    "referring": "refer",
    **{f"{verb.removesuffix('e')}ing": verb for verb in _WORDS["verbs"].split()},
}
_SUP = by_word(_WORDS["superlatives"])


class _This:
    """What a document is called in a question ("supplier agreement"), its noun alone, and whether it is in plural."""

    def __init__(self, found: re.Match[str]) -> None:
        written = found["noun"]
        self.noun = SINGULAR[written.lower()]
        self.several = self.noun != written.lower()
        if written[:2].isupper():
            self.noun = self.noun.upper()  # an NDA
        self.name = f"this {found['kind'] or ''}{self.noun}"

    def verb(self, verb: str) -> str:
        """Return a verb as it stands behind "does this contract"."""
        return verb if self.several else _base(verb)


def _base(verb: str) -> str:
    """Return a verb without the ending of the third person: "renews", "applies", "passes"."""
    if verb in ("does", "goes") or re.search(r"(?:ss|sh|ch|x|zz)es$", verb):
        return verb[:-2]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb


def _predicate(predicate: str, this: _This) -> tuple[str, bool]:
    """Return a question about one document from the predicate of those wanted, and whether it was negated."""
    predicate = re.sub(r"^(?:that|which|who|where)\s+", "", predicate, flags=re.I)
    if found := _NEGATED.match(predicate):
        verb, rest = found["verb"].lower(), predicate[found.end() :]
        verb = verb if verb in _BE or verb in _MODALS else "have" if verb in ("has", "have") else ""
        if verb == "have" and not _PERFECT.match(rest):
            rest = re.sub(r"^(?:any|an?)\s+", "", rest)
        this.several = True
        return _predicate(f"{verb} {rest}".strip(), this)[0], True
    if found := _WITHOUT.match(predicate):
        words = predicate[found.end() :]
        bare = not re.match(r"\w+s\b", words.split()[-1]) and not re.match(r"(?:an?|the|any)\b", words, re.I)
        return f"Does {this.name} have {'a ' * bare}{words}?", True
    first, _, rest = predicate.partition(" ")
    low, rest = first.lower(), f" {rest}" if rest else ""
    if low in _BE or low in _MODALS:
        return f"{_BE.get(low, low.capitalize())} {this.name}{rest}?", False
    if low in ("have", "has", "had"):
        perfect = _PERFECT.match(rest.strip())
        return f"{f'Has {this.name}' if perfect else f'Does {this.name} have'}{rest}?", False
    if low in _WITH:
        return f"Does {this.name} {_WITH[low]}{rest}?", False
    if _PLACED.match(predicate):
        return f"Is {this.name} {predicate}?", False
    if re.search(r"(?:ed|ing)$", low):
        return f"Is this one of the {this.noun}s that {predicate}?", False
    return f"Does {this.name} {this.verb(low)}{rest}?", False


def _value(text: str, noun: str, **rest: Any) -> DocumentQuestion:
    text = text[0].upper() + text[1:].rstrip("?") + "?"
    return DocumentQuestion("value", text, noun, **rest)


def _superlative(found: re.Match[str]) -> DocumentQuestion:
    this = _This(found)
    what = re.sub(r"\s+(?:of all|among .*|overall)$", "", found["what"].strip())
    return _value(f"What is the {what} of {this.name}?", this.noun, order=_SUP[found["sup"].lower()])


def _by_time(found: re.Match[str]) -> DocumentQuestion:
    this, sup = _This(found), found["sup"].lower()
    first, _, rest = found["verb"].strip().lower().partition(" ")
    if first in _BE:
        text = f"When {_BE[first].lower()} {this.name} {rest}?" if rest else f"What is the date of {this.name}?"
    else:
        ask = "How long" if sup in ("longest", "shortest") else "How much" if sup in ("most", "least") else "When"
        text = f"{ask} does {this.name} {this.verb(first)}{' ' + rest if rest else ''}?"
    return _value(text, this.noun, order=_SUP[sup])


_ASKS = {"date": "When", "duration": "How long", "money": "How much", "%": "How much"}


def _limited(found: re.Match[str], this: _This) -> DocumentQuestion | None:
    """Ask for a value, which code compares with the limit."""
    rest = found["rest"]
    at, measure = next(
        ((one, measure) for one in _LIMIT.finditer(rest) if (measure := _measure(rest[one.end() :]))), (None, "")
    )
    if at is None:
        return None
    limit = {"limit": re.sub(r"^(?:of|that (?:is|are))\s+", "", rest[at.start() :].strip(" .?"), flags=re.I)}
    verb = re.sub(r"^(?:that|which)\s+|\s+(?:for|of|that (?:is|are))$", "", rest[: at.start()].strip(), flags=re.I)
    first, _, what = verb.partition(" ")
    low, what = first.lower(), re.sub(r"^(?:an?|the)\s+", "", what, flags=re.I)
    if low in ("", "is", "are") and not what:
        return _value(
            f"What is the {'total amount' if measure == 'money' else 'date'} of {this.name}?", this.noun, **limit
        )
    if what and _HAS.fullmatch(low):
        return _value(f"What is the {what} of {this.name}?", this.noun, **limit)
    if measure not in _ASKS or low in _MODALS or not re.fullmatch(r"[a-z]+", low) or _NEGATED.match(verb):
        return None
    asked = f"{_BE[low].lower()} {this.name} {what}" if low in _BE else f"does {this.name} {this.verb(low)} {what}"
    return _value(f"{_ASKS[measure]} {asked.strip()}?", this.noun, **limit)


def _measure(text: str) -> str:
    """Return what the value in a text measures: "date", "duration", "money", "%", "number", or ""."""
    text = text.strip(" .?")
    if any(find_dates(text)) or any(find_months(text)) or re.match(r"(?:the (?:year )?)?(?:19|20)\d\d\b", text):
        return "date"
    for number in reversed(list(find_number_words(text))):
        text = f"{text[: number.start]}{number.value}{text[number.end :]}"
    found = QUANTITY.search(text)
    if found is None:
        return ""
    quantity = parse_quantity(found)
    unit = "duration" if quantity.unit in TIME_UNITS.values() else quantity.unit
    return "money" if quantity.is_money else unit if unit in _ASKS else "number"


def _exists(found: re.Match[str]) -> DocumentQuestion:
    this = _This(found)
    if limited := _limited(found, this):
        return limited
    text, negated = _predicate(found["rest"], this)
    return DocumentQuestion("existence", text, this.noun, negated=negated)


def _inside(found: re.Match[str]) -> DocumentQuestion:
    this = _This(found)
    text = f"{found['verb'].capitalize()} {found['rest']} in {this.name}?"
    return DocumentQuestion("existence", text, this.noun)


def _each(found: re.Match[str]) -> DocumentQuestion:
    this = _This(found)
    return _value(f"{found['before']}{this.name}{found['after']}", this.noun)


def _for_each(found: re.Match[str]) -> DocumentQuestion:
    this = _This(found)
    text = re.sub(r"\b(?:it|they|them)\b", this.name, found["rest"], count=1, flags=re.I)
    return _value(text if text != found["rest"] else f"{text} in {this.name}", this.noun)


def _table(found: re.Match[str]) -> DocumentQuestion | None:
    noun = SINGULAR[found["noun"].lower()] if found.groupdict().get("noun") else "document"
    parts = re.split(r"\s*[,;/]\s*(?:and\s+)?|\s+and\s+|\s*&\s*", found["fields"].strip())
    names = [re.sub(r"^(?:the|its|their|an?)\s+", "", part.strip(), flags=re.I) for part in parts]
    columns = tuple(dict.fromkeys(name for name in names if name))
    if not columns:
        return None
    if len(columns) == 1:
        return _value(f"What is the {columns[0]} of this {noun}?", noun)
    listed = f"{', '.join(columns[:-1])} and {columns[-1]}"
    return DocumentQuestion("fields", f"What are the {listed} of this {noun}?", noun, columns=columns)


def _summary(found: re.Match[str]) -> DocumentQuestion:
    named = re.search(rf"\b({_NAMES})\b", found["rest"], re.I)
    noun = SINGULAR[named[1].lower()] if named else "document"
    each = bool(re.search(r"\b(?:each|every|per|all (?:the )?\w+s|by)\b", found["rest"], re.I))
    return DocumentQuestion("summary", f"Summarise this {noun}.", noun, each=each)


_LINES = load_patterns(
    "localrag.question",
    "each.txt",
    noun=_NOUN,
    each=rf"(?:each|every|all|the|these|those|my|our)\s+(?:one\s+)?{_NOUN}",
    names=_NAMES,
    superlative="|".join(sorted(_SUP, key=len, reverse=True)),
)
_FRAME, _HAS = (lazy_re(_LINES[name][0], re.I) for name in ("frame", "has"))
# The forms of questions, in the order they are tried.
_FORMS: tuple[tuple[str, Callable[[re.Match[str]], DocumentQuestion | None]], ...] = tuple(
    (form, make)
    for name, make in {
        "summary": _summary,
        "best": _superlative,
        "by_time": _by_time,
        "inside": _inside,
        "exists": _exists,
        "for_each": _for_each,
        "table": _table,
        "of_each": _each,
    }.items()
    for form in _LINES[name]
)


def topic_of(question: str) -> str:
    """Return the words of a question for one document that say what it asks for."""
    return _FRAME.sub("", question.rstrip("?")).strip() or question


_QUOTED = re.compile(r'"([^"]+)"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»')
_MONTHS = frozenset(month.lower() for month in ENGLISH_MONTHS)
_CAPITAL = re.compile(r"[A-Z][\w&’'.-]*[\w&](?:\s+(?:(?:of|de|von|van|du|la)\s+)?[A-Z][\w&’'.-]*[\w&])*")
# "German law" may be written as "the laws of Germany".
_ADJECTIVE = re.compile(r"(?:ish|ese|ian|ean|ican|rman|utch|rench|wiss|reek|zech)$")
_LAW = re.compile(r"\b([A-Z][a-z]+)\s+(?:laws?|courts?|jurisdictions?|legislation|statutes?)\b")
_FIGURE = re.compile(r"(?<![\w.,])(?:(?:19|20)\d\d|\d{1,3}(?:[,.]\d{3})+|\d{4,})(?![\w,]|\.\d)")


def required(question: str) -> tuple[str, ...]:
    """Return the names, years, large figures and quoted words without which a document answers no."""
    bare = _QUOTED.sub(" ", question)
    return tuple(dict.fromkeys([*quoted(question), *_proper(bare), *(found[0] for found in _FIGURE.finditer(bare))]))


def nations(question: str) -> tuple[tuple[str, ...], ...]:
    """Return, for each nation whose law or courts a question names, the words by which a document may name it."""
    words = dict.fromkeys(_LAW.findall(question))
    return tuple((word, *_NATIONS[word].split(", ")) for word in words if word in _NATIONS)


def quoted(question: str) -> tuple[str, ...]:
    return tuple(part for found in _QUOTED.finditer(question) for part in found.groups() if part)


def _proper(question: str) -> list[str]:
    words = question.split()
    if sum(word[0].isupper() for word in words) > max(4, len(words) // 2):
        return []  # a question in capitals, or in a language that capitalises nouns
    names = []
    for found in _CAPITAL.finditer(question):
        name = re.sub(r"['’]s$", "", found[0])
        before = question[: found.start()].strip(" \"'“(")
        if not before or before[-1] in ".?!:":
            name = name.partition(" ")[2]  # the capital of the first word is the sentence's
        plain = name.isupper() and len(name) <= 5  # an abbreviation
        common = name.lower() in _MONTHS or name.lower() in SINGULAR or bool(_ADJECTIVE.search(name))
        if name[:1].isupper() and not plain and not common:
            names.append(name)
    return names

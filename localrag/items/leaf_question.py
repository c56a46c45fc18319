"""Turn a question about many documents into the question for one of them (pure).

"Which contracts have a non-compete clause?" becomes "Does this contract have a non-compete clause?". What to do with
the answers (count, sort, compare, negate) is taken out, since code does that. A question of another form is put to each
document as it is. Limits: the forms are English, and names are known by capitals inside the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from localrag.items.values import Comparison, Field, comparison
from localrag.quantities import ENGLISH_MONTHS, by_word, lazy_re, load_patterns, load_words, phrases

Kind = Literal["existence", "value", "fields", "lines", "summary", "open"]


@dataclass(frozen=True, slots=True)
class LeafQuestion:
    """What each document is asked, and what code does with the answers."""

    kind: Kind
    text: str
    topic: str  # the words to look passages up by
    noun: str = "document"  # what a document is called
    required: tuple[str, ...] = ()  # names, years, amounts, quoted words that must be in one that answers yes
    either: tuple[tuple[str, ...], ...] = ()  # groups of which one must be
    columns: tuple[str, ...] = ()  # the fields of a table
    fields: tuple[Field, ...] = ()  # the same with types, of the document or of each of its lines
    negated: bool = False  # those where it is not so are wanted
    order: Literal["", "greatest", "least"] = ""  # which comes first
    test: Comparison | None = None  # only answers whose value passes count
    each: bool = False  # a summary of every document by itself is wanted

    @property
    def asked(self) -> tuple[Field, ...]:
        """The fields, or the columns as fields without a type."""
        return self.fields or tuple(Field(column) for column in self.columns)


def leaf_question(question: str) -> LeafQuestion:
    """Return the question for one document."""
    text = " ".join(question.split()).rstrip(" .?!")
    while polite := _POLITE.match(text):
        text = text[polite.end() :]
    for form, make in _FORMS:
        found = re.match(form, text, re.I)
        if found and (made := make(found)) is not None:
            if made.kind != "existence":
                return replace(made, required=quoted(question))
            return replace(made, required=required(question), either=nations(question))
    return LeafQuestion("open", question.strip(), question.strip(), required=quoted(question))


_WORDS = load_words("localrag.items", "words.toml")["leaf_question"]
_NOUNS = _WORDS["documents"].split()
_SINGULAR = {form: noun for noun in _NOUNS for form in (noun, noun[:-1] + "ies" if noun[-1] == "y" else noun + "s")}
# "of these 40 supplier agreements": whose, how many, and up to two words of what kind.
_OWN = (
    r"(?:of\s+)?(?:(?:the|these|those|my|our|your|their|this|that|all|any|each|every|one|some)\s+)*"
    r"(?:of\s+(?:the|these|those|my|our)\s+)?(?:\d+\s+)?"
)
_NAMES = "|".join(sorted(_SINGULAR, key=len, reverse=True))
_KIND = (
    r"(?P<kind>(?:(?!(?:does|do|did|is|are|was|were|has|have|can|each|every|all|any|the|of|that|which|with|in|by|from)\b)"
    r"[a-z][\w’'-]*\s+){0,2}?)"
)
_NOUN = rf"{_OWN}{_KIND}(?P<noun>{_NAMES})\b"
_EACH = rf"(?:each|every|all|the|these|those|my|our)\s+(?:one\s+)?{_NOUN}"


def _this(found: re.Match[str]) -> tuple[str, str, bool]:
    """Return what a document is called ("supplier agreement"), its noun alone, and whether it is in plural."""
    written = found["noun"]
    noun = _SINGULAR[written.lower()]
    several = noun != written.lower()
    if written[:2].isupper():
        noun = noun.upper()  # an NDA
    return f"{found['kind'] or ''}{noun}", noun, several


_BE = {"is": "Is", "are": "Is", "was": "Was", "were": "Was"}
_MODALS = {"can", "could", "may", "might", "must", "should", "shall", "will", "would"}
_PERFECT = re.compile(r"^(?:been|already|\w{3,}ed)\b", re.I)
_NEGATED, _PLACED, _POLITE = phrases("localrag.items", "leaf_question", "negated", "placed", "polite")
_WITHOUT = re.compile(r"^(?:lacks?|without|(?:have|has|contains?|includes?)\s+no|is|are missing)\s+", re.I)
_WITH = by_word(_WORDS["verbs"])


def _question(predicate: str, this: str, several: bool, noun: str) -> tuple[str, bool]:
    """Return a question about one document from the predicate of those wanted, and whether it was negated."""
    predicate = re.sub(r"^(?:that|which|who|where)\s+", "", predicate, flags=re.I)
    if found := _NEGATED.match(predicate):
        verb = found["verb"].lower()
        verb = verb if verb in _BE or verb in _MODALS else "have" if verb in ("has", "have") else ""
        rest = predicate[found.end() :]
        if verb == "have" and not _PERFECT.match(rest):
            rest = re.sub(r"^(?:any|an?)\s+", "", rest)
        return _question(f"{verb} {rest}".strip(), this, True, noun)[0], True
    if (found := _WITHOUT.match(predicate)) and predicate.split()[0].lower() not in ("is", "are"):
        words = predicate[found.end() :]
        several = re.match(r"\w+s\b", words.split()[-1]) is not None
        article = "" if several or re.match(r"(?:an?|the|any)\b", words, re.I) else "a "
        return f"Does this {this} have {article}{words}?", True
    first, _, rest = predicate.partition(" ")
    low = first.lower()
    if low in _BE:
        return f"{_BE[low]} this {this} {rest}?", False
    if low in _MODALS:
        return f"{low.capitalize()} this {this} {rest}?", False
    if low in ("have", "has", "had"):
        return (f"Has this {this} {rest}?" if _PERFECT.match(rest) else f"Does this {this} have {rest}?"), False
    if low in _WITH:
        return f"Does this {this} {_WITH[low]} {rest}?", False
    if _PLACED.match(predicate):
        return f"Is this {this} {predicate}?", False
    if re.search(r"(?:ed|ing)$", low):
        return f"Is this one of the {noun}s that {predicate}?", False
    verb = low if several else _base(low)
    return f"Does this {this} {verb}{' ' + rest if rest else ''}?", False


def _base(verb: str) -> str:
    """Return a verb without the ending of the third person: "renews", "applies", "passes"."""
    if verb in ("does", "goes"):
        return verb[:-2]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if re.search(r"(?:ss|sh|ch|x|zz)es$", verb):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") and not verb.endswith("ss") else verb


_SUP = by_word(_WORDS["superlatives"])
_SUPERLATIVE = "|".join(sorted(_SUP, key=len, reverse=True))


def _value(text: str, noun: str, **rest: object) -> LeafQuestion:
    text = text[0].upper() + text[1:].rstrip("?") + "?"
    topic = re.sub(rf"\b(?:of|in|for|does|do|under)?\s*\bthis (?:[\w’'-]+ ){{0,2}}?{noun}\b", "", text.rstrip("?"))
    topic = re.sub(r"^(?:what|when|who|where|how)\s+(?:(?:is|are|was|were)\s+)?(?:the\s+)?", "", topic, flags=re.I)
    return LeafQuestion("value", text, " ".join(topic.split()) or text, noun, **rest)  # type: ignore[arg-type]


def _superlative(found: re.Match[str]) -> LeafQuestion:
    this, noun, _ = _this(found)
    what = re.sub(r"\s+(?:of all|among .*|overall)$", "", found["what"].strip())
    return _value(f"What is the {what} of this {this}?", noun, order=_SUP[found["sup"].lower()])


def _by_time(found: re.Match[str]) -> LeafQuestion:
    this, noun, several = _this(found)
    order = _SUP[found["sup"].lower()]
    verb, sup = found["verb"].strip(), found["sup"].lower()
    first, _, rest = verb.partition(" ")
    if first.lower() in _BE and not rest:
        return _value(f"What is the date of this {this}?", noun, order=order)
    if first.lower() in _BE:
        return _value(f"When {_BE[first.lower()].lower()} this {this} {rest}?", noun, order=order)
    ask = "How long" if sup in ("longest", "shortest") else "How much" if sup in ("most", "least") else "When"
    base = first if several else _base(first.lower())
    return _value(f"{ask} does this {this} {base}{' ' + rest if rest else ''}?", noun, order=order)


_ASKS = {"date": "When", "duration": "How long", "money": "How much", "percent": "How much", "number": "How much"}


def _compared(found: re.Match[str]) -> LeafQuestion | None:
    """Ask for a value, which code compares with the limit."""
    this, noun, several = _this(found)
    limit = comparison(found["rest"])
    if limit is None:
        return None
    verb = re.sub(
        r"^(?:that|which)\s+|\s+(?:for|of|that (?:is|are))$", "", found["rest"][: limit[0]].strip(), flags=re.I
    )
    first, _, what = verb.partition(" ")
    low, what = first.lower(), re.sub(r"^(?:an?|the)\s+", "", what, flags=re.I)
    rest = {"test": limit[1]}
    if low in ("", "is", "are") and not what:
        value = "total amount" if limit[1].limit.measure == "money" else "date"
        return _value(f"What is the {value} of this {this}?", noun, **rest)
    if what and _HAS.fullmatch(low):
        return _value(f"What is the {what} of this {this}?", noun, **rest)
    if limit[1].limit.measure == "number" or low in _MODALS or not re.fullmatch(r"[a-z]+", low) or _NEGATED.match(verb):
        return None
    ask = _ASKS[limit[1].limit.measure]
    if low in _BE:
        return _value(f"{ask} {_BE[low].lower()} this {this} {what}?", noun, **rest)
    base = low if several else _base(low)
    return _value(f"{ask} does this {this} {base}{' ' + what if what else ''}?", noun, **rest)


def _exists(found: re.Match[str]) -> LeafQuestion:
    if compared := _compared(found):
        return compared
    this, noun, several = _this(found)
    text, negated = _question(found["rest"], this, several, noun)
    topic = topic_of(text)
    return LeafQuestion("existence", text, topic, noun, negated=negated)


def _inside(found: re.Match[str]) -> LeafQuestion:
    this, noun, _ = _this(found)
    text = f"{found['verb'].capitalize()} {found['rest']} in this {this}?"
    return LeafQuestion("existence", text, found["rest"], noun)


def _each(found: re.Match[str]) -> LeafQuestion:
    this, noun, _ = _this(found)
    return _value(f"{found['before']}this {this}{found['after']}", noun)


def _for_each(found: re.Match[str]) -> LeafQuestion:
    this, noun, _ = _this(found)
    text = re.sub(r"\b(?:it|they|them)\b", f"this {this}", found["rest"], count=1, flags=re.I)
    return _value(text if text != found["rest"] else f"{text} in this {this}", noun)


def _table(found: re.Match[str]) -> LeafQuestion | None:
    noun = _SINGULAR[found["noun"].lower()] if found.groupdict().get("noun") else "document"
    parts = re.split(r"\s*[,;/]\s*(?:and\s+)?|\s+and\s+|\s*&\s*", found["fields"].strip())
    names = [re.sub(r"^(?:the|its|their|an?)\s+", "", part.strip(), flags=re.I) for part in parts]
    columns = tuple(dict.fromkeys(name for name in names if name))
    if not columns:
        return None
    if len(columns) == 1:
        return _value(f"What is the {columns[0]} of this {noun}?", noun)
    listed = f"{', '.join(columns[:-1])} and {columns[-1]}"
    return LeafQuestion("fields", f"What are the {listed} of this {noun}?", " ".join(columns), noun, columns=columns)


def _summary(found: re.Match[str]) -> LeafQuestion:
    named = re.search(rf"\b({_NAMES})\b", found["rest"], re.I)
    noun = _SINGULAR[named[1].lower()] if named else "document"
    each = bool(re.search(r"\b(?:each|every|per|all (?:the )?\w+s|by)\b", found["rest"], re.I))
    return LeafQuestion("summary", f"Summarise this {noun}.", found["rest"].strip(), noun, each=each)


_LINES = load_patterns(
    "localrag.items", "questions.txt", noun=_NOUN, each=_EACH, names=_NAMES, superlative=_SUPERLATIVE
)
_FRAME, _HAS = (lazy_re(_LINES[name][0], re.I) for name in ("frame", "has"))
# The forms of questions, in the order they are tried.
_FORMS: tuple[tuple[str, Callable[[re.Match[str]], LeafQuestion | None]], ...] = tuple(
    (form, make)
    for name, make in {
        "summary": _summary,
        "superlative": _superlative,
        "by_time": _by_time,
        "inside": _inside,
        "exists": _exists,
        "for_each": _for_each,
        "table": _table,
        "each": _each,
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
    return tuple((word, *_WORDS["nations"][word]) for word in words if word in _WORDS["nations"])


def quoted(question: str) -> tuple[str, ...]:
    return tuple(part for found in _QUOTED.finditer(question) for part in found.groups() if part)


def _proper(question: str) -> list[str]:
    words = question.split()
    if sum(word[0].isupper() for word in words) > max(4, len(words) // 2):
        return []  # a question in capitals, or in a language that capitalises nouns
    names = []
    for found in _CAPITAL.finditer(question):
        name = re.sub(r"['’]s$", "", found[0])
        begins = not question[: found.start()].strip(" \"'“(") or question[: found.start()].rstrip()[-1:] in ".?!:"
        if begins:
            name = name.partition(" ")[2]  # the capital of the first word is the sentence's
        plain = name.isupper() and len(name) <= 5  # an abbreviation
        common = name.lower() in _MONTHS or name.lower() in _SINGULAR or bool(_ADJECTIVE.search(name))
        if name[:1].isupper() and not plain and not common:
            names.append(name)
    return names

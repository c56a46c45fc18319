"""Questions for yes or no about a duty, as its clause has it, and with one thing exchanged that turns the answer."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence

from entity_cases.cases import Case, Texts, dice_of
from entity_cases.contracts import Duty, duties_of, named, parties_of

from localrag.grounding.citations import terms
from localrag.quantities import CARDINALS

# How a condition begins that a question may leave out.
_CONDITION = re.compile(
    r",? (?:unless|except|if|provided|subject to|without the|to the extent|only|solely|so long as|other than|upon|when"
    r"|until|save|in the event|as (?:long|may|required|requested|necessary))\b.*",
    re.I,
)
_WITHOUT = re.compile(r"\bwithout (?=(?:\S+ ){0,7}(?:consent|approval|permission|authori[sz]ation)\b)", re.I)
_UNIT = r"(?:(?:calendar|business|working)?\s?\(?(?:days?|weeks?|months?|years?|hours?|percent|per cent)\b|%)"
_WORDS = "|".join(word for word, value in CARDINALS.items() if value > 1)
_FIGURE = re.compile(
    rf"(?P<word>\b(?:{_WORDS})\b)?\s?(?P<in>\()?(?P<digits>(?<![\d.,$])\d{{1,3}}(?![\d.,]))?(?(in)\))[ -]?(?={_UNIT})"
    r"|\$(?P<money>\d[\d,]*\d)",
    re.I,
)
_SHORT = re.compile(r"(\S+ (?:[^\s,]+ ){1,5}?[^\s,]+)(?=,| (?:to|for|in|at|on|by|from|under|within|with|upon)\b)")
_PLAIN = re.compile(
    r"(?P<who>(?:The |Our |Your )?(?:Employees?|Members?|Managers?|Supervisors?|You|We|Plan|Providers?"
    r"|Contoso Electronics|Northwind Health(?: Plus| Standard)?|Company|plan|employees?|company|members?))"
    r" (?P<modal>must(?: not)?|may(?: not)?|shall(?: not)?|will(?: not)?|cannot|are required to)"
    r" (?P<rest>[^.;:?]{20,220})\.$"
)


def cases(texts: Texts, per_document: int) -> Iterator[Case]:
    """Yield cases from the duties of each document; `Case.answer` is the wrong one of exchanged cases."""
    parties = parties_of(texts) if texts.name != "northwind" else {document: {} for document in texts.pages}
    duties = {document: list(_duties(texts, document, parties[document])) for document in sorted(texts.pages)}
    words = sorted({word for own in duties.values() for duty in own for word in _content(duty.rest)})
    verbs = sorted({duty.rest.split()[0] for own in duties.values() for duty in own if duty.rest.split()[0].islower()})
    for document, own in duties.items():
        dice = dice_of(document)
        dice.shuffle(own)
        own.sort(key=lambda duty: _other_figure(duty.rest) is None)  # rare ones first
        figured = sum(_other_figure(duty.rest) is not None for duty in own)
        for duty in [*own[:figured][:per_document], *own[figured:][:per_document]]:
            yield from _cases(texts, duty, dice, words, verbs)


def _duties(texts: Texts, document: str, roles: dict[str, str]) -> Iterator[Duty]:
    for duty in duties_of(texts, document, roles):
        if not re.match(r"(?:not|no|and|or|only)\b", duty.rest, re.I):
            yield duty
    if texts.name == "northwind":
        for heading, sentence in texts.headed[document]:
            if (found := _PLAIN.match(sentence)) and len(terms(found["rest"])) >= 3:
                modal = found["modal"].replace("cannot", "may not").replace("are required to", "must")
                yield Duty(document, found["who"], "", modal, found["rest"], heading, sentence)


def _content(rest: str) -> list[str]:
    """Return the words of what is done that may be exchanged: long ones behind the verb, in small letters."""
    return [
        word
        for word in re.findall(r"(?<![\w’'-])[a-z]{5,20}(?![\w’'-])", rest.partition(" ")[2])
        if terms(word)
        and not word.endswith(("ly", "ing", "ed"))
        and not _CONDITION.match(f" {word} ")
        and word not in CARDINALS
        and not re.fullmatch(_UNIT, word)
    ]


def _cases(texts: Texts, duty: Duty, dice: random.Random, words: Sequence[str], verbs: Sequence[str]) -> Iterator[Case]:
    """Yield two true cases of a duty, and one of each kind of exchange that it allows."""
    who = named(duty.role) if duty.other else re.sub(r"^(?!Northwind|Contoso)\w", lambda one: one[0].lower(), duty.role)
    kind = "ban" if duty.never else "may" if duty.modal.startswith("may") else "must"
    rest, open_end = duty.rest, not duty.sentence.rstrip(" .").endswith(duty.rest[-30:].rstrip(" ."))
    conditional = open_end or bool(_CONDITION.search(rest))
    many = re.match(r"(?:you|we|they|employees|members|managers|providers|supervisors)\b", who, re.I)
    be, does = ("Are", "Do") if many else ("Is", "Does")

    def says(modal: str, what: str, whose: str = who) -> str:
        return f"Does this agreement say that {whose} {modal} {what}?"

    def asks(what: str, whose: str = who) -> str:
        return f"{'Must' if kind == 'must' else 'May'} {whose} {what}?"

    short = _SHORT.match(rest)

    def case(name: str, form: str, question: str, known: str, right: bool = False) -> Case:
        needs, answer = ((duty.document, duty.sentence[:120]),), f"{known if right else 'Yes'}."
        return Case(texts.name, name, form, right, duty.document, question, answer, needs, only=True, known=known)

    forms = {
        "must": [
            ("Yes", asks(rest)),
            ("Yes", f"{be} {who} required to {rest}?"),
            ("Yes", says("shall", rest)),
            ("Yes", f"{does} {who} have to {rest}?"),
            ("Yes", asks(rest.partition(",")[0])),
            ("Yes", f"May {who} {rest}?"),
        ],
        "may": [
            ("Yes", asks(rest)),
            ("Yes", f"{be} {who} allowed to {rest}?"),
            ("Yes", says("may", rest)),
            ("Yes", asks(rest.partition(",")[0])),
        ],
        "ban": [
            ("No", asks(rest)),
            ("No", f"{be} {who} allowed to {rest}?"),
            ("Yes", says("shall not", rest)),
            ("No", f"Must {who} {rest}?"),
            ("No", says("may", rest)),
        ],
    }[kind]
    if not conditional:
        for answer, question in dice.sample(forms, 2):
            yield case("true", f"{kind}, {answer}", question, answer, right=True)
        if short and kind != "ban":
            yield case("true", f"{kind}, short", asks(short[1]), "Yes", right=True)
    if (other := _other_figure(rest)) is not None:
        for form, question in (("asked", asks(other)), ("said", says(duty.modal, other))):
            yield case("figure", form, question, "" if kind == "ban" else "No")
    if duty.other:
        exchanged = duty.exchanged
        yield case("subject", "asked", asks(exchanged, named(duty.other)), "")
        yield case("subject", "said", says(duty.modal, rest, named(duty.other)), "")
        if short:
            yield case("subject", "short", asks(short[1], named(duty.other)), "")
    if kind == "may":
        yield case("duty", "must for may", f"Must {who} {rest}?", "No")
        if short:
            yield case("duty", "must for may, short", f"Must {who} {short[1]}?", "No")
        yield case("duty", "required for may", f"{be} {who} required to {rest}?", "No")
    if kind == "must":
        yield case("duty", "need not for must", says("need not", rest), "No")
    if not conditional or kind == "must":
        turned = {"must": "shall not", "may": "may not", "ban": dice.choice(["shall", "may"])}[kind]
        yield case("negation", f"{turned} for {duty.modal}", says(turned, rest), "No")
        if short and kind != "ban":
            yield case("negation", f"{turned} for {duty.modal}, short", says(turned, short[1]), "No")
    if conditional:
        if _WITHOUT.search(rest):
            allowed = _WITHOUT.sub("with ", rest)
            yield case("exception", "with for without", asks(allowed), "" if kind == "must" else "Yes")
        bare = _CONDITION.sub("", rest)
        if len(bare.split()) >= 3:
            yield case("exception", "left out", asks(bare), "")
            yield case("exception", "left out, said", says(duty.modal, bare), "")
    elif not open_end:
        yield case("exception", "added", says(duty.modal, f"{rest} unless the parties agree otherwise"), "")
    if own := _content(rest):
        others = [one for one in words if one not in texts.text(duty.document)] or words
        swapped = re.sub(rf"\b{dice.choice(own)}\b", dice.choice(others), rest)
        yield case("object", "asked", asks(swapped), "")
        yield case("object", "said", says(duty.modal, swapped), "")
    verb = rest.split()[0]
    if verb.islower() and (others := [one for one in verbs if one not in duty.sentence and one != verb]):
        yield case("act", "asked", asks(first_word(rest, dice.choice(others))), "")


def first_word(rest: str, verb: str) -> str:
    return f"{verb} {rest.partition(' ')[2]}"


def _other_figure(rest: str) -> str | None:
    """Return what is done with one of its figures doubled; None if it has none."""
    for found in _FIGURE.finditer(rest):
        if found["money"]:
            return f"{rest[: found.start()]}${2 * int(found['money'].replace(',', '')):,}{rest[found.end() :]}"
        value = int(found["digits"] or CARDINALS.get((found["word"] or "").lower(), 0))
        if value > 1:
            gap = " " if found[0].endswith((" ", "-")) or found["in"] else ""
            lead = " " if found[0].startswith(" ") else ""
            return f"{rest[: found.start()]}{lead}{2 * value}{gap}{rest[found.end() :].lstrip()}"
    return None

"""Identifiers in text (pure): one that is looked for, in whatever way it is grouped; and all of a kind.

"DE44 5001 0517" is "DE4450010517": spaces, dashes and slashes between signs say nothing, letters may be of either case.
Where a standard has a check digit it must be right, so that a number which only looks like one is not listed: IBAN
(ISO 13616), ISIN (ISO 6166), LEI (ISO 17442), ISBN (ISO 2108), card numbers (ISO/IEC 7812).

Limits: telephone numbers are told by their form: with a plus, with an area code in brackets, or in the groups of the
United States. Amounts are told by their currency.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from localrag.quantities import QUANTITY, find_dates, parse_number, parse_quantity
from localrag.quantities import format_number as written_number

_SEPARATING = " \n\t\r\u00a0\u2007\u2009\u202f-\u2010\u2011\u2012\u2013\u2014\u2212/"
_APART = re.escape(_SEPARATING)
_SEPARATORS = re.compile(f"[{_APART}]+")
# Fewer signs than this stand anywhere by chance, once what parts them does not count.
_LEAST_LOOSE = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """An identifier where it stands: half-open offsets, and its value in one form, so that the same is counted once."""

    start: int
    end: int
    value: str


def plain(identifier: str) -> str:
    """The signs of an identifier alone: no spaces, dashes, slashes; upper case."""
    return _SEPARATORS.sub("", identifier).upper()


def may_hold(text: str, identifier: str) -> bool:
    """Whether a text may hold an identifier: quick, and never wrongly no."""
    for sign in _SEPARATING:
        text = text.replace(sign, "")  # much quicker than one regular expression
    return plain(identifier) in text.upper()


def written(text: str, identifier: str) -> Iterator[Mark]:
    """The places of an identifier, also where it is grouped otherwise."""
    signs = plain(identifier)
    if not signs:
        return
    loose = len(signs) >= _LEAST_LOOSE and any(c.isdigit() for c in signs)
    between = f"[{_APART}]{{0,2}}" if loose else ""
    shown = between.join(map(re.escape, signs)) if loose else r"\s+".join(map(re.escape, identifier.split()))
    before, after = (r"(?<!\w)" if signs[0].isalnum() else ""), (r"(?!\w)" if signs[-1].isalnum() else "")
    if signs[-1].isdigit():
        after += r"(?!\.\d)"  # "4.1" is not "4.1.2"
    if signs[0].isdigit():
        before += r"(?<!\d\.)"
    for match in re.finditer(f"{before}{shown}{after}", text, re.I):
        yield Mark(match.start(), match.end(), signs)


# --- all of a kind ------------------------------------------------------------------------------------------

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9](?:[\w.+-]{0,63})@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.)+[A-Za-z]{2,24}(?![\w-])"
)
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'“”|\\]{2,300}", re.I)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_ISIN = re.compile(r"\b[A-Z]{2}[A-Z0-9]{9}\d\b")
_LEI = re.compile(r"\b[A-Z0-9]{18}\d{2}\b")
_ISBN = re.compile(r"\b(?:97[89][ -]?)?(?:\d[ -]?){9}[\dXx]\b")
_CARD = re.compile(r"(?<![\w.])(?<!\d[ -])\d(?:[ -]?\d){14,15}(?![ -]?\d|\w)")
_PHONE = re.compile(
    r"(?<![\w+/.-])(?:\+\d{1,3}(?:[ .\-/]?\(?\d{1,5}\)?){2,6}|\(0?\d{2,5}\)[ .-]?\d{3,4}[ .-]?\d{3,5}|"
    r"\d{3}[-.]\d{3}[-.]\d{4})(?![\w-]|[./]\d)"
)
_NUMBER = re.compile(r"(?<![\d.,])\d")
_SIGN = re.compile(r"(?:US|[AC])?[€$£¥₹]\s?$|\b(?:EUR|USD|GBP|CHF|JPY|CAD|AUD)\s$")
_PERCENTAGE = re.compile(r"(?<![\w.,])(\d+(?:[.,]\d+)*)\s?(?:%|per ?cent\b|Prozent\b)")
_DOI = re.compile(r"\b10\.\d{4,9}/[^\s\"<>|]+[^\s\"<>|.,;)\]]")


def emails(text: str) -> Iterator[Mark]:
    for match in _EMAIL.finditer(text):
        yield Mark(match.start(), match.end(), match[0].lower())


def urls(text: str) -> Iterator[Mark]:
    for match in _URL.finditer(text):
        shown = match[0].rstrip(".,;:!?)]}’'")
        yield Mark(match.start(), match.start() + len(shown), shown)


def ibans(text: str) -> Iterator[Mark]:
    for match in _IBAN.finditer(text):
        # A word in capitals may follow: the longest beginning that passes is the number.
        for end in range(len(match[0]), 14, -1):
            shown = match[0][:end]
            if not shown[-1].isspace() and _mod_97(value := shown.replace(" ", "")) and 15 <= len(value) <= 34:
                yield Mark(match.start(), match.start() + end, value)
                break


def isins(text: str) -> Iterator[Mark]:
    for match in _ISIN.finditer(text):
        if _luhn("".join(str(int(c, 36)) for c in match[0])):
            yield Mark(match.start(), match.end(), match[0])


def leis(text: str) -> Iterator[Mark]:
    for match in _LEI.finditer(text):
        if any(c.isalpha() for c in match[0]) and int("".join(str(int(c, 36)) for c in match[0])) % 97 == 1:
            yield Mark(match.start(), match.end(), match[0])


def isbns(text: str) -> Iterator[Mark]:
    for match in _ISBN.finditer(text):
        value = re.sub("[ -]", "", match[0]).upper()
        if (len(value) == 13 and _isbn_13(value)) or (
            len(value) == 10 and _isbn_10(value) and "ISBN" in text[max(0, match.start() - 12) : match.start()].upper()
        ):
            yield Mark(match.start(), match.end(), value)


def cards(text: str) -> Iterator[Mark]:
    for match in _CARD.finditer(text):
        value = re.sub("[ -]", "", match[0])
        if value[0] in "23456" and _luhn(value) and len(set(value)) > 1:
            yield Mark(match.start(), match.end(), value)


def phones(text: str) -> Iterator[Mark]:
    for match in _PHONE.finditer(text):
        value = re.sub(r"[^\d+]", "", match[0].replace("(0)", ""))
        if 7 <= len(value.lstrip("+")) <= 15:
            yield Mark(match.start(), match.end(), value)


def dois(text: str) -> Iterator[Mark]:
    for match in _DOI.finditer(text):
        yield Mark(match.start(), match.end(), match[0].lower())


def days(text: str) -> Iterator[Mark]:
    """Dates, by ISO 8601; one that can be read in two ways as it is written."""
    for found in find_dates(text):
        yield Mark(found.start, found.end, found.certain.isoformat() if found.certain else found.text)


def amounts(text: str) -> Iterator[Mark]:
    """Amounts of money, told by their currency."""
    for digit in _NUMBER.finditer(text):
        sign = _SIGN.search(text, max(0, digit.start() - 5), digit.start())
        match = QUANTITY.match(text, sign.start() if sign else digit.start())
        if match is not None and (match["before"] or match["after"]):
            yield Mark(match.start(), match.end(), str(parse_quantity(match)))


def percentages(text: str) -> Iterator[Mark]:
    for match in _PERCENTAGE.finditer(text):
        yield Mark(match.start(), match.end(), f"{written_number(parse_number(match[1]))} %")


KINDS: Mapping[str, Callable[[str], Iterator[Mark]]] = MappingProxyType(
    {
        "e-mail address": emails, "web address": urls, "IBAN": ibans, "ISIN": isins, "LEI": leis, "ISBN": isbns,
        "card number": cards, "telephone number": phones, "DOI": dois, "date": days, "amount": amounts,
        "percentage": percentages,
    }
)  # fmt: skip
_SPOKEN = {
    "e-mail address": "e-?mail addresse?s?|e-?mails? ids?|e-?mail-adressen?",
    "web address": "web addresse?s?|urls?|web ?links|internetadressen?",
    "IBAN": "ibans?(?: numbers?)?|iban-nummern?",
    "ISIN": "isins?(?: numbers?)?",
    "LEI": "leis?(?: codes?)?",
    "ISBN": "isbns?(?: numbers?)?",
    "card number": "(?:credit )?card numbers?",
    "telephone number": "(?:tele)?phone numbers?|telefonnummern?|fax numbers?",
    "DOI": "dois?",
    "date": "dates|datumsangaben",
    "amount": "(?:monetary |money |dollar |euro )?amounts?(?: of money)?|sums of money|geldbeträge|beträge",
    "percentage": "percentages|prozentsätze",
}
SPOKEN = "|".join(f"(?:{names})" for names in _SPOKEN.values())


def kind_named(words: str) -> str | None:
    """Which of KINDS words name ("phone numbers")."""
    return next((kind for kind, names in _SPOKEN.items() if re.fullmatch(names, words.strip(), re.I)), None)


# --- check digits -------------------------------------------------------------------------------------------


def _mod_97(value: str) -> bool:
    return len(value) > 4 and int("".join(str(int(c, 36)) for c in value[4:] + value[:4])) % 97 == 1


def _luhn(digits: str) -> bool:
    """The check of ISO/IEC 7812: every second digit from the right is doubled."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _isbn_13(value: str) -> bool:
    return value.isdigit() and sum(int(c) * (1 + 2 * (i % 2)) for i, c in enumerate(value)) % 10 == 0


def _isbn_10(value: str) -> bool:
    return sum((10 if c == "X" else int(c)) * (10 - i) for i, c in enumerate(value)) % 11 == 0

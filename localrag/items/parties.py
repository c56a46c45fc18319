"""Find the parties of a contract, with the terms that it defines for them, by how its first sentence names them.

A party is a name with a defined term behind it ("Acme Ltd. (the “Supplier”)") in the list of parties, which begins at
"between" or the first defined term, and ends at the recitals; or the name above a signature. It is sure if the text
lets its term act ("Supplier shall"), or if its name has a legal form. Limits: English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from localrag.quantities import lazy_re, load_patterns

_CASED = ("between", "ended", "law", "courts", "prefix")
_BY_LINE = ("between", "label")
P = {
    name: lazy_re(
        "|".join(lines).replace(" ?", r"\s{0,40}").replace(" ", r"\s{1,40}"),
        (0 if name in _CASED else re.I) | (re.M if name in _BY_LINE else 0),
    )
    for name, lines in load_patterns("localrag.items", "facts.txt").items()
}
_OPENING, _LIST, _BETWEEN = 20_000, 4000, 900  # characters
_N = {name: lazy_re("|".join(lines), re.S) for name, lines in load_patterns("localrag.items", "parties.txt").items()}
_LABEL = re.compile(r"(?:[A-Z][a-z]+\s{1,9}){0,3}[Nn]ame(?:\s{1,9}of\s{1,9}[A-Z][a-z]+)?\s{0,9}:\s{0,9}")
# Rules of arbitration, attachments, and what belongs to a party that is called by its term.
_NO_PARTY = re.compile(
    r"^(?:Exhibit|Schedule|Annex|Appendix|Attachment)\b|\b(?:Rules|Arbitration)\b"
    r"|^(?:Trust|Company|Fund|Bank|Corporation|Client|Buyer|Seller|Issuer|Customer)[’']s\b",
    re.I,
)
_NO_SIGNER = re.compile(r"\b(?:By|BY|Its|Name|Title|Signature|Officer|President|Director|Secretary)\b|:")
_SPACED = re.compile(r"\S(?:[^\n\t ]| (?! {3}))*")  # the columns of a line


class Party(NamedTuple):
    """A party: its name and terms, the half-open span from the name to its term, and whether it is sure."""

    name: str
    terms: tuple[str, ...]
    start: int
    end: int
    sure: bool


def find(text: str) -> list[Party]:
    """Return the parties of a contract in the order in which its text names them."""
    begins = [match.end() for match in P["between"].finditer(text, 0, _OPENING)][:12]
    lists = [list(_listed(text, at)) for at in (*begins, _paragraph(text))]
    found = max(
        lists, key=lambda own: (sum(one.sure for one in own) > 1, sum(bool(one.terms) for one in own), -len(own))
    )
    for more in (_labelled, _signing):
        if len(found) < 2:
            found += [one for one in more(text) if not any(_same(one, other) for other in found)]
    terms = {re.sub(r"^the\s+", "", term.casefold()) for one in found for term in one.terms}
    found = [one for one in found if one.terms or re.sub(r"^the\s+", "", one.name.casefold()) not in terms]
    return list({one.name.casefold(): one for one in reversed(found)}.values())[::-1]


def _paragraph(text: str) -> int:
    """Return where the paragraph of the first defined term begins."""
    first = _N["term"].search(text, 0, _OPENING)
    return (
        max(0, text.rfind("\n\n", 0, first.start()), text.rfind("\n", 0, max(0, first.start() - _BETWEEN)))
        if first
        else 0
    )


def _listed(text: str, at: int) -> Iterator[Party]:
    ended = P["ended"].search(text, at, at + _LIST)
    end = ended.start() if ended else min(len(text), at + _LIST)
    known: set[str] = set()
    while at < end:
        term = _N["term"].search(text, at, end)
        if term is None or term.start() - at > _BETWEEN:
            yield from _unnamed(text, at, min(end, at + _BETWEEN), known)
            return
        called = " ".join((term["quoted"] or term["called"] or term["plain"] or term["alone"] or term["short"]).split())
        if _N["together"].match(called):
            yield from _unnamed(text, at, term.start(), known)
        elif not P["thing"].search(called) and (name := _name(text, at, term.start(), bool(known))):
            said = _clean(text[slice(*name)])
            more = [one for one in _N["quoted"].findall(term["rest"] or "") if not P["thing"].search(one)]
            terms = (called, *(one for one in more if not _N["together"].match(one)))
            acting = _acts(text, called, term.end())
            formed = P["form"].search(said) or P["described"].search(text[name[1] : term.start()])
            joined = not known or _N["and"].search(text, at, name[0] + 1) is not None
            sure = bool(
                (formed and (acting or not _N["defined"].search(term["lead"] or "")))
                or (acting and joined and not term["short"])
            )
            if (acting or formed) and said.casefold() not in (called.casefold(), *known):
                known |= {called.casefold()}
                yield Party(said, terms, name[0], term.end(), sure)
        at = term.end()


def _unnamed(text: str, at: int, end: int, known: set[str]) -> Iterator[Party]:
    """Yield the parties with a legal form and no term of their own: "A Inc. and B Ltd."."""
    while name := _name(text, at, end, bool(known)):
        said = _clean(text[slice(*name)])
        words = {word.casefold() for word in re.findall(r"\w+", said)} - {"and"}
        if (
            not P["form"].search(said)
            or P["thing"].search(said)
            or words <= {word for one in known for word in one.split()}
        ):
            return
        yield Party(said, (), *name, True)
        if (joined := _N["and"].search(text, name[1], min(end, name[1] + 250))) is None:
            return
        at = joined.end()


def _name(text: str, at: int, end: int, later: bool) -> tuple[int, int] | None:
    """Return the span of the first name after an offset; of "Ann Lee, director of Acme" that of Acme.

    `later`: it is not the first of a list, so that it stands behind an "and" or a number.
    """
    if later and (joined := _N["and"].search(text, at, end)) is not None:
        at = joined.end()
    if (skipped := _N["skipped"].match(text, at, end)) is not None:
        at = skipped.end()
    if re.compile(r"[a-z]{3,}").match(text, at) and (described := _N["description"].match(text, at, end)) is not None:
        at = described.end()
    if (other := _N["acting"].search(text, at, min(end, at + 80))) is not None:
        at = other.end()
    found = _N["name"].match(text, at, end)
    if found is not None and (label := _LABEL.match(text, at, end)) is not None:  # "Client Name: Acme Ltd"
        at = label.end()
        found = _N["name"].match(text, at, end)
    if found is None or _NO_PARTY.search(found[0]):
        return None
    whole = found[0]
    if (cut := _N["described"].search(whole)) is not None:
        whole = whole[: cut.start()]
    if (legal := _N["formed"].match(whole)) is not None:
        whole = legal[1]
    if (stop := _N["stop"].search(whole)) is not None:
        whole = whole[: stop.start()]
    whole = whole.rstrip(' ,;(“"\n')
    if _N["nothing"].match(whole) or _N["alone"].fullmatch(whole):
        return None
    return (at, at + len(whole)) if sum(map(str.isalpha, whole)) > 1 else None


def _clean(name: str) -> str:
    name = _N["before"].sub("", " ".join(name.split()))
    return re.sub(r", an? [A-Z][\w.]{2,20}$", "", name.strip(" ,;"))  # "The Bankers Bank, a Georgia"


def _acts(text: str, term: str, after: int) -> bool:
    acting = re.compile(rf"\b{re.escape(term)}(?!\w)\.?{P['acts'].pattern}", re.I)
    return acting.search(text, after) is not None


def _labelled(text: str) -> Iterator[Party]:
    """Yield the names with a legal form that stand behind a label: "The buyer: Acme Ltd."."""
    for label in P["label"].finditer(text):
        line, end = text.find("\n", label.end()), min(label.end() + _BETWEEN, len(text))
        name = _name(text, label.end(), min(line, end) if line > 0 else end, False)
        if name and P["form"].search(text[slice(*name)]):
            yield Party(_clean(text[slice(*name)]), (label["label"].title(),), *name, True)


def _signing(text: str) -> Iterator[Party]:
    """Yield the names with a legal form that stand above a signature."""
    for signed in _N["signed"].finditer(text):
        above = text[max(0, signed.start() - 300) : signed.start()].rstrip().splitlines()
        at = signed.start()
        for line in reversed(above[-3:]):
            at = text.rfind(line, 0, at)
            for part in _SPACED.finditer(line):
                name = part[0].strip(" ,:")
                if (
                    P["form"].search(name)
                    and len(name.split()) <= 12
                    and not name[0].islower()
                    and not _NO_SIGNER.search(name)
                ):
                    yield Party(_clean(name), (), at + part.start(), at + part.end(), True)


def _same(one: Party, other: Party) -> bool:
    ours, theirs = (re.sub(r"\W", "", each.name).casefold() for each in (one, other))
    return ours.startswith(theirs) or theirs.startswith(ours)

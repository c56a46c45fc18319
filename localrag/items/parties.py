"""Find the parties of a contract, with the terms that it defines for them, by how its first sentence names them.

A party is a name with a defined term behind it ("Acme Ltd. (the “Supplier”)") in the list of parties, which begins at
"between" or the first defined term, and ends at the recitals; or the name above a signature. It is sure if the text
lets its term act ("Supplier shall"), or if its name has a legal form. Limits: English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from localrag.quantities import ENGLISH_MONTHS, lazy_re, load_patterns

_CASED = ("between", "ended", "law", "courts", "prefix")
_BY_LINE = ("between", "label")
P = {
    name: lazy_re(
        "|".join(lines).replace(" ", r"\s+").replace(r"\s+?", r"\s*"),
        (0 if name in _CASED else re.I) | (re.M if name in _BY_LINE else 0),
    )
    for name, lines in load_patterns("localrag.items", "facts.txt").items()
}
_OPENING, _LIST, _BETWEEN = 20_000, 4000, 900  # characters
_MARK = r"[“”\"'‘’„]"
_LEAD = r"(?i:each|collectively|together|individually|singularly|hereinafter|hereafter|herein|referred|to|as|either|the|also|sometimes|or|and|both|called|being|be|is|known|an?|for|short|,|\s)"
_NO_FORM = r"(?!,?\s*(?:\(?[A-Z]{3}\)\s+L|Inc|INC|LLC|Ltd|LTD|Limited|Co\b|Corp|L\.?P|GmbH|Pty|S\.A|B\.V|[A-Z]+\s+(?:L\.?P|LLC)))"
# (the “Supplier”), hereinafter called "Supplier", (hereinafter Supplier), (“ACME” or “Supplier”), (ACME)
_TERM = re.compile(
    rf"\((?P<lead>[^()“”\"]{{0,90}}?){_MARK}+\s*(?:the\s+)?(?P<quoted>[A-Za-z][^“”\"\n()]{{0,50}}?)[,.;]?\s*{_MARK}+(?P<rest>[^()]{{0,120}})\)?{_NO_FORM}"
    rf"|(?:\(\s*)?\b(?i:hereinafter|hereafter|herein)\b{_LEAD}*{_MARK}+\s*(?:the\s+)?(?P<called>[A-Za-z][^“”\"\n()]{{0,50}}?)[,.]?\s*{_MARK}+"
    r"|\(\s*(?i:hereinafter|hereafter|herein)\b(?:\s+(?:to\s+be\s+)?(?:referred\s+to\s+as|called|known\s+as))?\s+(?:the\s+)?(?P<plain>[A-Z][\w&.-]*(?:\s[A-Z][\w&.-]*){0,3})\s*\)"
    rf"|\n\s*{_MARK}(?:the\s+)?(?P<alone>[A-Z][^“”\"\n()]{{0,40}}?){_MARK}\s*(?:\n|-)"
    rf"|\((?P<short>[A-Z][A-Z0-9&]{{1,9}})\){_NO_FORM}",
    re.S,
)
_QUOTED = re.compile(rf"{_MARK}\s*(?:the\s+)?([A-Z][^“”\"()]{{0,50}}?)[,.]?\s*{_MARK}")
_SKIP = re.compile(
    r"(?:[\s,;:.)\]”\"–—-]+|(?:and|AND|And|&|by|or)\b|\(?(?:\d{1,2}|[a-h]|i{1,3}|iv|v)[).]\s|the\s+following(?:\s+parties)?\b"
    r"|on\s+the\s+(?:one|other)\s+(?:hand|part)\b|of\s+the\s+(?:one|other|first|second|third)\s+part\b|(?:the|The|THE)\b(?=\s+[a-z])|each\s+of\b)*",
    re.S,
)
_WORD = r"(?:[a-z]\w*\.(?:com|net|org|ai)\b|(?:[a-z]\.){2,}|[a-z]{1,2}[A-Z][\w&’'.-]*|\(?[A-Z0-9][\w&’'./*@-]*\)?|d/b/a|a/k/a|f/k/a)"
_NAME = re.compile(
    rf"{_WORD}(?:(?:,?\s+(?=(?:I(?:nc|NC)|L\.?L|Ltd|LTD|Limited|LIMITED|L\.P|LP|PLC|P\.?C|N\.A|S\.A|B\.V|GmbH|Co\b|Corp|LLP)))?\s*"
    rf"(?:(?<=\s)(?:(?:of|and|&|the|de|for|di|van|von|la|der|y|et)\s+){{0,2}}{_WORD}|(?<=\s)&))*,?(?:\s*(?:Inc|INC|LLC|L\.L\.C|Ltd|LTD|L\.P|LP|LLP|N\.A)\b\.?)?",
    re.S,
)
_LEGAL = re.compile(
    r"^(.*?\b(?:Inc|Corp|LLC|L\.L\.C|Ltd|Limited|L\.?P|LLP|GmbH|AG|PLC|P\.L\.C|Corporation|Incorporated|Bancorp|B\.V|N\.V|S\.A|Pty|SP ZO\.?O)\b\.?"
    r"(?:,?\s(?:Inc|LLC|Ltd|Limited|L\.P)\b\.?)?)(?=[\s,(.;]|$)",
    re.I | re.S,
)
_FOR = re.compile(
    r",?\s*\b(?:director|president|representative|trustee|manager|owner|acting\s+for|on\s+behalf)\s+of\s+(?:the\s+)?(?=[A-Z])"
)
_DESCRIBED = re.compile(
    r",?\s+(?:an?|with|whose|having|located|which|who|both|each|acting|duly|organized|organised|incorporated|established|registered"
    r"|individually|doing|residing|of\s+\d|at\s+\d)\s|,\s*(?:the|a|an)\b|\s\d{2,}\s",
    re.S,
)
_DEFINED = re.compile(r"\b(?:defined|meaning|pursuant|under|reference)\b")
_AND = re.compile(
    r"(?:(?:^|[\s,;)–—-])(?:and|AND|And|&)\b[\s:–—-]+|[\s;](?=\([b-h]\)\s))(?=\W{0,2}(?:\(?[a-h1-9]\)?\W\s*)?(?:the\s+)?(?:[A-Z0-9]|[a-z]{1,2}[A-Z]|[a-z]{4,}[^.;]{0,40},\s+[A-Z]))"
)
_FULL_STOP = re.compile(r"(?<=[a-z]{4})\.\s+(?=[A-Z])")
_NO_NAME = re.compile(
    rf"(?:{'|'.join(ENGLISH_MONTHS)})\b|(?:\d+(?:\.\d+)*\s+)?(?:If|In|On|At|For|As|It|This|Each|All|Any|No|To|Such|Exhibit|EXHIBIT|Section|Article|Schedule|BETWEEN|AMONG|Between|AND|And|PARTIES|Parties|Dated?|DATED?|Registration|Attention)\b|(?:[\w. ]+ )?(?:AGREEMENT|Agreement)\b"
)
_FORM_ALONE = re.compile(r"(?i:[\W_]|inc|llc|ltd|limited|corporation|company|corp|pty|lp|plc)+")
_DESCRIPTION = re.compile(r"[a-z][^.;:]{0,70}?[,\s](?=[A-Z])")
_BY = re.compile(r"^[ \t]*(?:By|BY|Per|Signed)[ \t]*:|/s/", re.M)
_COLLECTIVE = re.compile(r"(?:the\s+)?[“\"]?\b(?:Part(?:y|ies)|PART(?:Y|IES))\b")


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
    first = _TERM.search(text, 0, _OPENING)
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
        term = _TERM.search(text, at, end)
        if term is None or term.start() - at > _BETWEEN:
            yield from _unnamed(text, at, min(end, at + _BETWEEN), known)
            return
        called = " ".join((term["quoted"] or term["called"] or term["plain"] or term["alone"] or term["short"]).split())
        if _COLLECTIVE.match(called):
            yield from _unnamed(text, at, term.start(), known)
        elif not P["thing"].search(called) and (name := _name(text, at, term.start(), bool(known))):
            said = _clean(text[slice(*name)])
            more = [one for one in _QUOTED.findall(term["rest"] or "") if not P["thing"].search(one)]
            terms = (called, *(one for one in more if not _COLLECTIVE.match(one)))
            acting = _acts(text, called, term.end())
            formed = P["form"].search(said) or P["described"].search(text[name[1] : term.start()])
            joined = not known or _AND.search(text, at, name[0] + 1) is not None
            sure = bool(
                (formed and (acting or not _DEFINED.search(term["lead"] or "")))
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
        if (joined := _AND.search(text, name[1], min(end, name[1] + 250))) is None:
            return
        at = joined.end()


def _name(text: str, at: int, end: int, later: bool) -> tuple[int, int] | None:
    """Return the span of the first name after an offset; of "Ann Lee, director of Acme" that of Acme.

    `later`: it is not the first of a list, so that it stands behind an "and" or a number.
    """
    if later and (joined := _AND.search(text, at, end)) is not None:
        at = joined.end()
    if (skipped := _SKIP.match(text, at, end)) is not None:
        at = skipped.end()
    if re.compile(r"[a-z]{3,}").match(text, at) and (described := _DESCRIPTION.match(text, at, end)) is not None:
        at = described.end()
    if (other := _FOR.search(text, at, min(end, at + 80))) is not None:
        at = other.end()
    found = _NAME.match(text, at, end)
    if found is None:
        return None
    whole = found[0]
    if (cut := _DESCRIBED.search(whole)) is not None:
        whole = whole[: cut.start()]
    if (legal := _LEGAL.match(whole)) is not None:
        whole = legal[1]
    if (stop := _FULL_STOP.search(whole)) is not None:
        whole = whole[: stop.start()]
    whole = whole.rstrip(' ,;(“"\n')
    if _NO_NAME.match(whole) or _FORM_ALONE.fullmatch(whole):
        return None
    return (at, at + len(whole)) if sum(map(str.isalpha, whole)) > 1 else None


def _clean(name: str) -> str:
    lead = r"^(?:(?:This|THIS|And|AND|Between|BETWEEN|By|BY)\s+|(?i:(?:yours\s+faithfully\s+)?(?:signed\s+)?for\s+and\s+on\s+behalf\s+of\s+))"
    name = re.sub(lead, "", " ".join(name.split()))
    return name.strip(" ,;")


def _acts(text: str, term: str, after: int) -> bool:
    acting = re.compile(rf"\b{re.escape(term)}(?!\w)\.?{P['acts'].pattern}", re.I)
    return acting.search(text, after) is not None


def _labelled(text: str) -> Iterator[Party]:
    """Yield the names with a legal form that stand behind a label: "The buyer: Acme Ltd."."""
    for label in P["label"].finditer(text):
        line = text.find("\n", label.end())
        name = _name(text, label.end(), line if line > 0 else len(text), False)
        if name and P["form"].search(text[slice(*name)]):
            yield Party(_clean(text[slice(*name)]), (label["label"].title(),), *name, True)


def _signing(text: str) -> Iterator[Party]:
    """Yield the names with a legal form that stand above a signature."""
    for signed in _BY.finditer(text):
        above = text[max(0, signed.start() - 300) : signed.start()].rstrip().splitlines()
        at = signed.start()
        for line in reversed(above[-3:]):
            at = text.rfind(line, 0, at)
            for part in re.finditer(r"\S(?:[^\n\t ]| (?! {3}))*", line):
                name = part[0].strip(" ,:")
                if (
                    P["form"].search(name)
                    and len(name.split()) <= 12
                    and not re.search(r"\b(?:By|BY|Its|Name|Title|Signature)\b|:", name)
                ):
                    yield Party(_clean(name), (), at + part.start(), at + part.end(), True)


def _same(one: Party, other: Party) -> bool:
    ours, theirs = (re.sub(r"\W", "", each.name).casefold() for each in (one, other))
    return ours.startswith(theirs) or theirs.startswith(ours)

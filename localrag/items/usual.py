"""What is usual among contracts: how often a clause is there, with which values and wordings (pure).

It is counted from the findings of a review. A finding that is unsure counts neither as a clause nor as a value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from localrag.errors import ReadError
from localrag.items import values
from localrag.items.playbook import Expect, Playbook, PlaybookItem
from localrag.items.values import MEASURED, Value
from localrag.quantities import plural
from localrag.text import clean
from localrag.types import Checked, Citation, source

Key = tuple[str, str, str]  # library, document and item of a finding
Vectors = Sequence[Sequence[float]]
Embed = Callable[[Sequence[str]], Vectors]

# A clause is drafted that so many contracts have, or that part of them; a position takes this part, a limit so many.
_MIN_CONTRACTS, _MIN_PART, _USUAL, _MIN_VALUES = 4, 0.2, 0.8, 5
_MAX_SHOWN, _MAX_VALUE, _MAX_WORDINGS = 4, 60, 3
_MAX_LIKE, _MIN_FALLBACK, _MAX_FALLBACK = 300, 8, 600  # characters, words, characters
_OWN = ("date", "party", "document-name")  # types and clauses of which each contract has its own
_WORDS = {"duration": ("longer than", "shorter than"), "date": ("later than", "earlier than")}
_LIKE_NUMBERS = ("more than", "less than")


@dataclass(frozen=True, slots=True)
class Usual:
    """What `of` contracts have of an item: the findings of those that have it, and how many are unsure."""

    item: PlaybookItem
    of: int
    there: tuple[Checked, ...]
    unsure: int

    @property
    def values(self) -> list[Value]:
        """The values that compare: of the unit that most have, in their order."""
        read = [value for one in self.there if (value := _value(self.item, one)) and value.measured]
        most = Counter(one.unit for one in read).most_common(1)
        return sorted((one for one in read if one.unit == most[0][0]), key=_size)

    @property
    def tally(self) -> Counter[str]:
        """How often each value is there; of texts only short ones."""
        if self.item.type in MEASURED:
            forms = {one.form: one.words for one in reversed(self.values)}
            return Counter(forms[one.form] for one in self.values)
        return Counter(one.value for one in self.there if 0 < len(one.value) <= _MAX_VALUE)


def count(playbook: Playbook, findings: Sequence[Checked], but: tuple[str, str] = ("", "")) -> dict[str, Usual]:
    """Count what contracts have of each item, but for the document of this library and path."""
    counted = [one for one in findings if (one.library, one.document) != but]
    of = len({(one.library, one.document) for one in counted})
    found = {}
    for item in playbook.items:
        own = [one for one in counted if one.item == item.id]
        there = tuple(one for one in own if one.state in ("found", "deviates"))
        found[item.id] = Usual(item, of, there, sum(one.state == "unsure" for one in own))
    return found


def _value(item: PlaybookItem, one: Checked) -> Value | None:
    """Return the value of a finding as code compares it, with the words that people read."""
    return values.read(item.type, one.value, item.choices) if one.value else None


def _size(value: Value) -> float:
    return value.measured.value if value.measured else 0.0


# --- a playbook ---------------------------------------------------------------------------------------------


def draft(playbook: Playbook, findings: Sequence[Checked], title: str, embed: Embed) -> Playbook:
    """Draft a playbook of what is usual, in the order in which contracts have the clauses.

    Raises ReadError where no clause is in enough of them.
    """
    every = count(playbook, findings).values()
    kept = [one for one in every if one.there and (len(one.there) >= _MIN_CONTRACTS or _part(one, _MIN_PART))]
    if not kept:
        hint = "Read more contracts, or name another playbook: --playbook NAME."
        raise ReadError("no clause of the playbook is in enough of these contracts", hint)
    places = _places(findings)
    kept.sort(key=lambda one: sum(places.get(_key(own), 0.5) for own in one.there) / len(one.there))
    items = tuple(_item(one, embed) for one in kept)
    return Playbook(f"What is usual in {title}", items, playbook.applies_to)


def _part(one: Usual, part: float, count: int | None = None) -> bool:
    return (len(one.there) if count is None else count) >= part * one.of


def _key(one: Checked) -> Key:
    return one.library, one.document, one.item


def _places(findings: Sequence[Checked]) -> dict[Key, float]:
    """Return where the clause of a finding is among those of its document: 0 is the first, 1 the last."""
    found: dict[Key, float] = {}
    for document in {(one.library, one.document) for one in findings}:
        own = [(one, one.citation) for one in findings if (one.library, one.document) == document and one.citation]
        own.sort(key=lambda pair: (pair[1].page or 0, pair[1].start))
        found |= {_key(one): at / max(1, len(own) - 1) for at, (one, _) in enumerate(own)}
    return found


def _item(one: Usual, embed: Embed) -> PlaybookItem:
    wordings = _wordings([own.citation for own in one.there if own.citation], embed)
    long = [(text, at) for text, at in wordings if len(text.split()) >= _MIN_FALLBACK and len(text) <= _MAX_FALLBACK]
    fallback, at = long[0] if long and not {one.item.type, one.item.clause} & set(_OWN) else ("", None)
    short = [text for text, _ in wordings if len(text) <= _MAX_LIKE][:_MAX_WORDINGS]
    text = f"The proposed text is from {clean(source(at.name, at.place))}." if at else ""
    return msgspec.structs.replace(
        one.item,
        expect=_expected(one),
        like=tuple(dict.fromkeys((*short, *one.item.like))),
        note=" ".join(filter(None, (_note(one), text))),
        fallback=fallback,
    )


def _wordings(quotes: Sequence[Citation], embed: Embed) -> list[tuple[str, Citation]]:
    """Return the different wordings of a clause, each on one line, the one nearest to all others first."""
    texts = [" ".join(clean(at.quote).split()) for at in quotes]
    if not texts:
        return []
    vectors = embed(texts)
    middle = [sum(column) for column in zip(*vectors, strict=True)]
    near = [sum(a * b for a, b in zip(vector, middle, strict=True)) for vector in vectors]
    order = sorted(range(len(texts)), key=lambda at: (-near[at], len(texts[at])))
    return list({texts[at].casefold(): (texts[at], quotes[at]) for at in reversed(order)}.values())[::-1]


def _expected(one: Usual) -> Expect | bool | UnsetType:
    """Return the position that most contracts take; none where fewer than four of five have the clause."""
    if not _part(one, _USUAL):
        return UNSET
    if one.item.type in MEASURED and one.item.type not in _OWN and len(own := one.values) >= _MIN_VALUES:
        least, most = _range(own)
        return Expect(at_least=least.words, at_most=most.words)
    usual = one.tally.most_common(1) if one.item.type in ("choice", "text") else []
    return Expect(one_of=(usual[0][0],)) if usual and _part(one, _USUAL, usual[0][1]) else True


def _range(own: Sequence[Value]) -> tuple[Value, Value]:
    """Return the ends of the range of the middle four of five values."""
    left = int(len(own) * (1 - _USUAL) / 2 + 1e-9)
    return own[left], own[-1 - left]


def _note(one: Usual) -> str:
    """Return how many contracts have the clause, and its values: "In 17 of 20 contracts. 30 days in 14, 60 in 3"."""
    unsure = f" ({one.unsure} unsure)" if one.unsure else ""
    text = f"In {len(one.there)} of {plural(one.of, 'contract')}{unsure}."
    often = [pair for pair in one.tally.most_common(_MAX_SHOWN) if pair[1] > 1 or one.item.type in MEASURED]
    if not often or one.item.type in (*_OWN, "yes/no"):
        return text
    shown = [", ".join(f"{clean(value)} in {number}" for value, number in often)]
    own = one.values if one.item.type in MEASURED else []
    if own and own[0].form != own[-1].form:
        shown.append(f"from {own[0].words} to {own[-1].words}")
    if isinstance(position := _expected(one), Expect) and position.at_least:
        shown.append(f"the middle four of five of {len(own)} lie from {position.at_least} to {position.at_most}")
    return f"{text} {'; '.join(shown)}."


# --- compared -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Against:
    """How a finding compares with `of` contracts of a library: than how many its value is more, less or the same.

    `there` of them have the clause.
    """

    than: str
    more: int
    less: int
    same: int
    of: int
    there: int
    type: str = "text"

    def to_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "type"}

    @property
    def usual(self) -> bool:
        """Whether at least half of the contracts have the clause."""
        return 2 * self.there >= self.of

    @property
    def words(self) -> str:
        """The comparison as people read it: "longer than 18, as in 2 of 20 in leases; 20 of 20 have it"."""
        more, less = _WORDS.get(self.type, _LIKE_NUMBERS)
        stated = self.more + self.less + self.same
        each = [(more, self.more), (less, self.less), ("as in", self.same)]
        values = ", ".join(f"{how} {'all ' if number == stated > 1 else ''}{number}" for how, number in each if number)
        of = "" if stated in (self.more, self.less, self.same) and stated > 1 else f" of {stated}"
        values = f"{values}{of}{'' if stated == self.of else ' with a value'}; " if stated else ""
        return f"{values}{self.there} of {self.of} in {self.than} have it"


def against(
    playbook: Playbook, findings: Sequence[Checked], others: Sequence[Checked], than: str
) -> Mapping[Checked, Against]:
    """Compare each finding that is sure with those of a library, of which its own document does not count."""
    found, counts = {}, dict[tuple[str, str], dict[str, Usual]]()
    for one in findings:
        document = one.library, one.document
        if document not in counts:
            counts[document] = count(playbook, others, document)
        if one.state != "unsure" and counts[document][one.item].of:
            found[one] = _against(counts[document][one.item], one, than)
    return found


def _against(usual: Usual, one: Checked, than: str) -> Against:
    item, there = usual.item, len(usual.there)
    value = _value(item, one) if one.state in ("found", "deviates") else None
    compared = Against(than, 0, 0, 0, usual.of, there, item.type)
    if value is None or item.type in ("yes/no", "party"):
        return compared
    if value.measured is None:
        same = sum(other.value.casefold() == one.value.casefold() for other in usual.there)
        return replace(compared, same=same) if len(one.value) <= _MAX_VALUE else compared
    own, read = value.measured, [_value(item, other) for other in usual.there]
    sizes = [each.measured.value for each in read if each and each.measured and each.measured.kind == own.kind]
    more, less = sum(own.value > size for size in sizes), sum(own.value < size for size in sizes)
    return replace(compared, more=more, less=less, same=len(sizes) - more - less)

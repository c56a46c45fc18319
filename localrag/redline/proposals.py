"""Turn a review of a Word file into edits: the playbook's fallback where a clause deviates, or stands nowhere.

The sentences that hold the quote of a finding give way to the fallback; numbers and headings that are typed before
them, and other sentences of the paragraph, stay. A missing clause goes under a heading that it could have, else behind
the clause that is nearest to it by its vector, without an embedder behind the one that comes before it in the playbook,
else before signatures and exhibits; behind clause 7 it is 7A, so that references to others stay right. Limits: headings
and signatures in English.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from operator import mul
from pathlib import Path
from typing import Literal, NamedTuple

from localrag import policy
from localrag.errors import UsageError
from localrag.ingest import source_files
from localrag.ingest.source_files import FileState
from localrag.items.playbook import Playbook, PlaybookItem
from localrag.redline import tracked
from localrag.redline.tracked import Edit, Paragraph, WordFile
from localrag.security import audit, storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.sessions import table_export
from localrag.sessions.export.contents import line
from localrag.sessions.export.reports import details
from localrag.settings import Settings
from localrag.store import names
from localrag.store.library import Library
from localrag.store.text_analysis import sentences
from localrag.types import Checked, Document, Page

Embed = Callable[[Sequence[str]], Sequence[Sequence[float]]]
Action = Literal["changed", "inserted", "commented", "left"]
_SUFFIX = ".docx"
_NUMBER = re.compile(
    r"\s*(?:(?:(?:article|section|clause)\s+|(?!\d+[^\S\t]))(?P<number>\d{1,3}(?:\.\d{1,3}){0,4}|(?<=article\s)[ivxl]{1,6})[.):]?"
    r"|\(\w{1,4}\)|[a-z]\)|[ivx]{1,5}\.)"
    r"(?=\s)",
    re.I,
)
_TITLE = re.compile(
    r"\s*[A-Z“][\w’'&/-]*(?:[,;]?\s(?:[A-Z][\w’'&/-]*|and|or|of|the|for|to|in|on|by|without)){0,7}[.:]\s+(?=[A-Z\d“\"(])"
)
_TAIL = re.compile(r"[;,](?:\s+(?:and|or))?\s*$")
_END = re.compile(
    r"\bin witness\b|^\s*(?:by|signed|signature)\b\s{0,9}:|^\s*signed (?:for|by|on)\b|/s/|^\s*agreed and accepted\b"
    r"|^\s*(?:this \w+ (?:is|was|has been) )?executed (?:as|by|on)\b"
    r"|^\s*(?:exhibit|schedule|annex|appendix)\s+(?-i:[A-Z]{1,3}|\d{1,2})(?:\s*$|[\s.:–-]+(?-i:[A-Z]))",
    re.I,
)
_REFERS = re.compile(r"\b(?:section|clause|article|paragraph)s?\s\d", re.I)
_SHORT, _NEAR = 12, 60  # letters of a text that is looked for nearby, and how far
_HEADING = 10  # words of a heading that stands alone
_LEFT_OUT = 5  # numbers that a row of clauses may lack
_MIN_HEADINGS = 3  # of the level of the clauses
_LIKELY = 0.15  # of the words of a clause and of what may replace it, that both have
_SURE = 0.9  # confidence from which 94 % of the quotes are such a clause (151 in 40 contracts), below 45 % (115)
_KIN = 700  # characters of a clause that its vector is made of
_BEARS = 0.5  # of the words of a sentence that one of the fallback has, too


class Proposal(NamedTuple):
    """What is done about a finding, and why nothing is done or only a comment written."""

    finding: Checked
    action: Action
    edits: tuple[Edit, ...] = ()
    reason: str = ""

    def to_dict(self) -> dict[str, str]:
        one = self.finding
        named = {"item": one.item, "title": one.title, "state": one.state, "problem": one.problem}
        at = {"place": one.citation.place, "quote": one.citation.quote} if one.citation else {"place": "", "quote": ""}
        return {**named, **at, "action": self.action, "reason": self.reason}


class _Section(NamedTuple):
    """A clause: its first paragraph, its last one with text, its heading, and if its text begins beside it."""

    first: int
    last: int
    title: str
    beside: bool


@dataclass
class Draft:
    """A Word file, and where the text that was reviewed stands in it: for each letter, its paragraph and offset."""

    paragraphs: Sequence[Paragraph]
    page: Page
    embed: Embed | None = None
    letters: list[int] = field(default_factory=list)
    owners: list[tuple[int, int] | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.texts = [one.text for one in self.paragraphs]
        self.letters = [at for at, char in enumerate(self.page.text) if not char.isspace()]
        self.owners = [None] * len(self.letters)
        flat, past = "".join(self.page.text[at] for at in self.letters), 0
        for number, own in enumerate(self.paragraphs):
            for start, end in zip([0, *own.breaks], [*own.breaks, len(own.chars)], strict=True):
                places = [at for at in range(start, end) if not own.chars[at].char.isspace()]
                words = "".join(own.chars[at].char for at in places)
                at = flat.find(words, past) if words else -1
                if at >= 0 and (len(words) >= _SHORT or at - past <= _NEAR):
                    past = at + len(words)
                    self.owners[at:past] = [(number, place) for place in places]
        self.sections = [*self._sections()]

    def spans(self, start: int, end: int) -> dict[int, tuple[int, int]]:
        """Return what a part of the page is in the file: the span in each paragraph."""
        found: dict[int, tuple[int, int]] = {}
        for owner in self.owners[bisect_left(self.letters, start) : bisect_left(self.letters, end)]:
            if owner is not None:
                number, at = owner
                found[number] = (found.get(number, (at, at))[0], at + 1)
        return found

    def _sections(self) -> Iterator[_Section]:
        """Yield the clauses: those that are numbered 1, 2, 3 by hand, or else the highest headings that are several."""
        heads = [(n, one) for one in self.page.headings if (n := self._after(one.start)) is not None]
        levels = Counter(one.level for _, one in heads)
        main = next((level for level in sorted(levels) if levels[level] >= _MIN_HEADINGS), 0)
        titled = {n: one.title for n, one in heads if one.level == main}
        counted = self._counted()
        firsts = counted if len(counted) >= max(_MIN_HEADINGS, len(titled)) else sorted(titled)
        stops = sorted({*firsts, *(n for n, one in heads if one.level <= main), self.end()})
        for first, end in pairwise(stops):
            if first in firsts:
                number, body = _lead(own := self.texts[first])
                alone = len(own[number:].split()) <= _HEADING
                yield _Section(first, self.with_text(end - 1), own[number : None if alone else body], not alone)

    def _counted(self) -> list[int]:
        """Return the paragraphs of the longest row that is numbered 1, 2, 3 by hand."""
        rows: list[list[tuple[int, int]]] = []
        for n, text in enumerate(self.texts):
            number = _NUMBER.match(text)
            if number and (number["number"] or "").isdecimal() and text[number.end() :].lstrip()[:1].isupper():
                value = int(number["number"])
                rows += [[(n, 0)]] * (value == 1)
                near = [row for row in reversed(rows) if 0 < value - row[-1][1] <= 1 + _LEFT_OUT]
                if near:
                    min(near, key=lambda row: value - row[-1][1]).append((n, value))
        return [n for n, value in max(rows, key=lambda row: row[-1][0] - row[0][0], default=[]) if value]

    def _after(self, start: int) -> int | None:
        at = bisect_left(self.letters, start)
        return next((one[0] for one in self.owners[at : at + _NEAR] if one is not None), None)

    def with_text(self, last: int) -> int:
        """Return the last paragraph with text up to one."""
        return next((at for at in range(last, -1, -1) if self.texts[at].strip()), 0)

    def end(self) -> int:
        """Return the paragraph that signatures or exhibits begin with; behind the last one where there are none."""
        behind = range(len(self.texts) // 3, len(self.texts))  # not in a list of contents
        return next((at for at in behind if _END.search(self.texts[at])), len(self.texts))

    @property
    def final(self) -> _Section | None:
        """The last clause before signatures and exhibits."""
        end = self.end()
        return next((one for one in reversed(self.sections) if one.first < end), None)

    @cached_property
    def vectors(self) -> list[tuple[_Section, Sequence[float]]]:
        """The clauses before signatures and exhibits, each with the vector of its beginning."""
        end = self.end()
        own = [one for one in self.sections if one.first < end]
        texts = [" ".join(self.texts[one.first : one.last + 1])[:_KIN] for one in own]
        return [*zip(own, self.embed(texts) if self.embed and own else (), strict=False)]

    def section_of(self, paragraph: int) -> _Section | None:
        return next((one for one in self.sections if one.first <= paragraph <= one.last), None)


def check(path: Path, original: str) -> None:
    """Refuse a file that no marked copy of `original` can be written to, before a review is made for it."""
    policy.check_export("a marked document")
    if decrypted_name(path).suffix.lower() != _SUFFIX:
        raise UsageError(f"no Word file can be written as {path.name!r}", f"Give it the ending {_SUFFIX}.")
    if Path(original).suffix.lower() != _SUFFIX:
        hint = "Save it in Word as .docx first (a .docm has macros, which are left out then)."
        raise UsageError(f"{original!r} is no Word file ({_SUFFIX}) that could be marked", hint)
    if path.resolve() == Path(original).resolve():
        raise UsageError(f"{str(path)!r} is the file that is read", "Give another name to the new one.")
    storage.check_target(path)


def original(settings: Settings, library: Library, document: Document) -> Path:
    """Return the file that a document was read from. Raises UsageError where it is not there as it was read."""
    file = names.original(settings, library.name, document)
    stored = library.files(document.root).get(document.file or document.path)
    return unchanged(document, str(file or ""), source_files.state(file, stored) if file else "elsewhere")


def unchanged(document: Document, file: str, state: FileState) -> Path:
    """Return the file of a document, or raise UsageError where it is not a file as it was read."""
    inside = document.file not in ("", document.path)
    if inside or state != "same":
        why = "is inside another file" if inside else _STATES[state]
        raise UsageError(f"{document.path!r} {why}", "Ingest its folder again, or name the file itself.")
    return Path(file)


_STATES = {
    "changed": "has changed since it was read",
    "missing": "is not on the disk any more",
    "elsewhere": "was not read on this machine",
}


def save(
    file: Path,
    found: Sequence[Checked],
    playbook: Playbook,
    page: Page,
    path: Path,
    sha256: str,
    library: str,
    record_of: Callable[[str], Path | None],
    by: str = "",
    date: str = "",
    recipients: Recipients | None = None,
    internal: bool = False,
    passwords: Sequence[str] = (),
    embed: Embed | None = None,
) -> tuple[Path | None, list[Proposal], list[str]]:
    """Write a copy of a reviewed Word file with the playbook's wording as tracked changes, and record the export.

    Nothing is written where nothing would be marked. What is live in the file, and so in the copy, is returned last.

    `library` is where the document is, if it is in one. Changes are `by` somebody, else the user, at a `date`, else
    now. Raises ReadError where the file cannot be marked, or is not the one that
    was reviewed, which had this `sha256`. Comments that are `internal` have the positions and notes of
    the playbook, and what is unsure gets one, too.
    """
    check(path, str(file))
    marked = tracked.edited(file, sha256, by, date, passwords)
    made = mark(marked, found, playbook, page, internal, embed)
    if not library and (log := record_of("")) is not None:  # the review of another is in the log of its library
        audit.record(log, "review", None, playbook=playbook.title, document=str(file), proposals=len(made))
    if not any(one.edits for one in made):
        return None, made, marked.live
    about, data = f"{playbook.title}: {file.name}", marked.saved()
    return table_export.save([{"library": library}], path, about, record_of, recipients, data), made, marked.live


def mark(
    file: WordFile,
    findings: Sequence[Checked],
    playbook: Playbook,
    page: Page,
    internal: bool = False,
    embed: Embed | None = None,
) -> list[Proposal]:
    """Write what a playbook proposes into a Word file of which `page` is the text; returns what is done about each.

    `embed` makes the vectors by which a missing clause finds its place.
    """
    draft = Draft(file.paragraphs, page, embed)
    order = {item.id: number for number, item in enumerate(playbook.items)}
    made: list[Proposal] = []
    for one in sorted(findings, key=lambda one: order.get(one.item, len(order))):
        if one.as_expected is False or (one.state == "unsure" and playbook.item(one.item).position is not None):
            made.append(_proposal(one, playbook, draft, findings, made, internal))
    left = iter(file.apply([edit for one in made for edit in one.edits]))
    return [_checked(one, [next(left) for _ in one.edits]) for one in made]


def _checked(one: Proposal, left: Sequence[str]) -> Proposal:
    return one._replace(action="commented", reason=max(left)) if any(left) else one


def _proposal(
    one: Checked,
    playbook: Playbook,
    draft: Draft,
    findings: Sequence[Checked],
    made: Sequence[Proposal],
    internal: bool,
) -> Proposal:
    """Return what to do about a finding that is not as expected, or unsure."""
    item = playbook.item(one.item)
    if one.decision is not None and one.decision.verdict == "accepted":
        return Proposal(one, "left", reason="the reviewer accepted it")
    if one.as_expected is None and not internal:
        return Proposal(one, "left", reason=f"it is unsure{f': {one.problem}' if one.problem else ''}")
    at, comment = one.citation, _comment(one, item, playbook) if internal else _outward(one)
    spans = draft.spans(at.start, at.end) if at is not None and at.document == one.document else {}
    if not spans and (one.state == "unsure" or at is not None):
        return Proposal(one, "left", reason="its words were not found in the file" if at else "it has no quote")
    if not spans:
        return _missing(one, comment, playbook, draft, findings, made)
    if one.as_expected is None or not one.fallback:
        number, (start, end) = next(iter(spans.items()))
        reason = "it is unsure" if one.as_expected is None else "the playbook has no fallback"
        return Proposal(one, "commented", (Edit(number, start, end, comment=comment),), reason)
    if doubt := _doubt(one, item, spans, draft):
        number, (start, end) = next(iter(spans.items()))
        edit = Edit(number, start, end, comment=f"{comment}\nProposed: {line(one.fallback)}")
        return Proposal(one, "commented", (edit,), f"{doubt}: check the place")
    return Proposal(one, "changed", tuple(_changed(line(one.fallback), comment, spans, draft)))


def _doubt(one: Checked, item: PlaybookItem, spans: dict[int, tuple[int, int]], draft: Draft) -> str:
    """Return why a fallback may not stand in the place of quoted sentences; a heading of the item leaves no doubt."""
    sections = (draft.section_of(number) for number in spans)
    if any(own and _plain(own.title) in {_plain(name) for name in (*item.headings, item.name)} for own in sections):
        return ""
    if (one.confidence or 0) < _SURE:
        return f"it is {one.confidence or 0:.0%} likely that this is such a clause"
    texts = (draft.texts[n][slice(*_region(draft.texts[n], span, one.fallback))] for n, span in spans.items())
    alike = any(_alike(text, one.fallback) >= _LIKELY for text in texts)
    return "" if alike else "the proposal has few words of this clause"


def _outward(one: Checked) -> str:
    """Return a comment for the other side, which tells nothing of our position."""
    words = "other wording is proposed" if one.citation else "this is missing"
    return f"{line(one.title)}: {words if one.fallback else 'to be discussed' if one.citation else words}."


def _comment(one: Checked, item: PlaybookItem, playbook: Playbook) -> str:
    """Return why a clause is marked, and by which position."""
    known = details(one, item)
    parts = [
        f"{one.title}: {one.problem or one.state}.",
        f"Position: {known['Position']}." if known["Position"] else "",
    ]
    parts += [f"Playbook: {playbook.title}, item {item.id}, importance {item.importance}."]
    parts += [item.note, f"Reviewer: {one.decision.comment}" if one.decision and one.decision.comment else ""]
    return "\n".join(line(part) for part in parts if part)


# --- a clause that deviates -----------------------------------------------------------------------------------


def _changed(fallback: str, comment: str, spans: dict[int, tuple[int, int]], draft: Draft) -> Iterator[Edit]:
    """Yield the edits that put a fallback in the place of quoted sentences, in the paragraph most like it."""
    regions = {number: _region(draft.texts[number], span, fallback) for number, span in spans.items()}
    texts = {number: draft.texts[number][slice(*one)].rstrip() for number, one in regions.items()}
    prose = {n: regions[n] for n, text in texts.items() if text[-1:] in _ENDS or _TAIL.search(text)} or regions
    words = {number: _alike(texts[number], fallback) for number in prose}
    main = max(prose, key=lambda number: words[number])
    for number, (start, end) in prose.items():
        text = draft.texts[number]
        tail = _TAIL.search(text, start, end)
        if number == main:
            end, new = (tail.start(), fallback.rstrip(".")) if tail else (end, fallback)
            yield Edit(number, start, end, new, comment=comment)
        else:
            gone = start <= _lead(text)[1] and not text[end:].strip()
            yield Edit(number, 0 if gone else start, len(text) if gone else end, "", gone=gone)


_ENDS = (".", ";", ":", "!", "?", ")", ",", "”", '"')


def _region(text: str, span: tuple[int, int], fallback: str) -> tuple[int, int]:
    """Return the sentences that hold a span, with those beside them that the fallback has, too."""
    _, body = _lead(text)
    found = [(body + a, body + b) for a, b in sentences(text[body:])]
    held = [at for at, (a, b) in enumerate(found) if a < span[1] and span[0] < b] or [0]
    if not found:
        return body, len(text)
    parts = [fallback[a:b] for a, b in sentences(fallback)]

    def bears(at: int) -> bool:
        return any(_alike(text[slice(*found[at])], part) >= _BEARS for part in parts) and len(parts) > 1

    first, last = held[0], held[-1]
    while first > 0 and bears(first - 1):
        first -= 1
    while last + 1 < len(found) and bears(last + 1):
        last += 1
    return found[first][0], found[last][1]


def _lead(text: str) -> tuple[int, int]:
    """Return where a typed number ends, and where the words begin behind it and a heading: "9.2 Term. The term ..."."""
    number = _NUMBER.match(text)
    end = number.end() if number else 0
    title = _TITLE.match(text, end)
    ends = {end + a for a, _ in sentences(text[end:])}  # "Acme Inc. Affiliates" is no title
    start = title.end() if title and (title.end() in ends or title[0].rstrip()[-1] == ":") else end
    return end, start + len(text[start:]) - len(text[start:].lstrip())


def _alike(one: str, other: str) -> float:
    """Return the share of the words of the longer text that the other has, too."""
    left, right = (set(re.findall(r"\w+", text.casefold())) for text in (one, other))
    return len(left & right) / max(1, len(left), len(right))


# --- a clause that is missing ---------------------------------------------------------------------------------


def _missing(
    one: Checked, comment: str, playbook: Playbook, draft: Draft, findings: Sequence[Checked], made: Sequence[Proposal]
) -> Proposal:
    """Return a proposal that inserts a clause, or says at its place that it is missing."""
    item = playbook.item(one.item)
    under = _named(item, draft)
    before = _nearest(one, draft) or _before(item, draft, findings, playbook)
    if before is not None and not _NUMBER.match(draft.texts[before.first]) and any(map(_REFERS.search, draft.texts)):
        before = None  # numbers that Word counts would shift under references that are typed
    section = under or before or draft.final
    last = section.last if section else draft.with_text(draft.end() - 1)
    if not one.fallback:
        length = len(draft.texts[last])
        return Proposal(one, "commented", (Edit(last, 0, length, comment=comment),), "the playbook has no fallback")
    parts = [line(part) for part in one.fallback.split("\n") if part.strip()]
    is_own = section is not None and under is None  # what goes under a heading stands before a clause of its own
    at = len(draft.texts[last]) if is_own else 0
    edits = [edit for each in made for edit in each.edits if (edit.paragraph, edit.start) == (last, at)]
    known = [[text for text, _ in edit.after if text] for edit in edits if edit.after]
    if section is not None and is_own:
        added = _clause(section, item.name, parts, draft, len(known))
    else:
        model = _model(section, draft) if section and last > section.first else last
        added = []
        for number, part in enumerate(parts, sum(map(len, known))):
            added += [*_gap(model, draft), ((_next_number(section, draft, number) if section else "") + part, model)]
    return Proposal(one, "inserted", (Edit(last, at, at, after=tuple(added), comment=comment),))


def _named(item: PlaybookItem, draft: Draft) -> _Section | None:
    """Return the clause with a heading that the missing one could have."""
    names = {_plain(name) for name in (*item.headings, item.name)}
    return next((one for one in draft.sections if _plain(one.title) in names), None)


def _nearest(one: Checked, draft: Draft) -> _Section | None:
    """Return the clause whose vector is nearest to those of the missing one's name and text."""
    if not draft.vectors or draft.embed is None:
        return None
    name, text = draft.embed([one.title, one.fallback or one.title])
    sought = [a + b for a, b in zip(name, text, strict=True)]
    return max(draft.vectors, key=lambda own: sum(map(mul, sought, own[1])))[0]


def _plain(title: str) -> str:
    return " ".join(re.findall(r"\w+", title.casefold()))


def _before(item: PlaybookItem, draft: Draft, findings: Sequence[Checked], playbook: Playbook) -> _Section | None:
    """Return the clause of the last item before this one in the playbook that the document has."""
    sure = (one for one in findings if one.state in ("found", "deviates"))
    cited = {one.item: one.citation for one in sure if one.citation and one.citation.document == one.document}
    before = [one.id for one in playbook.items[: playbook.items.index(item)]]
    for at in filter(None, map(cited.get, reversed(before))):
        for number in draft.spans(at.start, at.end):
            if (found := draft.section_of(number)) is not None:
                return found
    return None


def _model(section: _Section, draft: Draft) -> int:
    """Return the paragraph of a clause that reads like its text."""
    inside = range(section.first + 1, section.last + 1)
    prose = (at for at in inside if len(draft.texts[at]) > _NEAR and draft.texts[at].rstrip()[-1:] in _ENDS)
    return next(prose, section.last)


def _clause(section: _Section, name: str, parts: Sequence[str], draft: Draft, known: int) -> list[tuple[str, int]]:
    """Return the paragraphs of a new clause behind another one, with a heading and numbers as it has them.

    Behind clause 7 it is 7A, so that the numbers of others stay; `known` others were put there. Behind the last, 8.
    """
    head, model = draft.texts[section.first], _model(section, draft)
    over = _NUMBER.match(head)
    new = own = (over["number"] or "") if over else ""
    if own:
        is_last = section is draft.final and own.isdecimal()
        new = str(int(own) + 1 + known) if is_last else own + chr(ord("A") + min(known, 25))
    number, title = _numbered(head, own, new), name.upper() if section.title.isupper() else name
    if section.beside:  # "7. Payment. The customer shall ...", or "7. The customer shall ..."
        first, *parts = parts
        added = [(number + (f"{title}. " if section.title.strip() else "") + first, section.first)]
    else:
        added = [(number + title, section.first)]
    for at, part in enumerate(parts, 1):
        added += [*_gap(model, draft), (_numbered(draft.texts[model], own, new, at) + part, model)]
    return [*_gap(section.first, draft), *added]


def _next_number(section: _Section, draft: Draft, known: int) -> str:
    """Return the number behind the last one of a clause, with the space behind: "7.4 "."""
    for text in reversed(draft.texts[section.first + 1 : section.last + 1]):
        found = _NUMBER.match(text)
        head, _, last = ((found["number"] or "") if found else "").rpartition(".")
        if found and head and last.isdecimal():
            end = len(text) - len(text[found.end() :].lstrip())
            return f"{text[: found.start('number')]}{head}.{int(last) + 1 + known}{text[found.end('number') : end]}"
    return ""


def _gap(paragraph: int, draft: Draft) -> list[tuple[str, int]]:
    """Return the empty paragraph that stands before one."""
    return [("", paragraph - 1)] if paragraph and not draft.texts[paragraph - 1].strip() else []


def _numbered(like: str, own: str, new: str, part: int = 1) -> str:
    """Return the number before a paragraph with another one for its clause, and the space behind: "7A. ", "7A.1 "."""
    found = _NUMBER.match(like)
    if found is None or not own or not re.fullmatch(rf"{re.escape(own)}(\.\d+)?", found["number"] or ""):
        return ""
    end = len(like) - len(like[found.end() :].lstrip())
    below = f".{part}" if found["number"] != own else ""
    return f"{like[: found.start('number')]}{new}{below}{like[found.end('number') : end]}"

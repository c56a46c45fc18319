"""Cut a document into words and clauses that are the same however its lines and pages break.

Words are compared without regard to case, hyphens and forms of quotes; a date is one word. Running headers, page
numbers, comments, bullets and the rules of tables are left out. A clause begins at a number, a heading, an empty line
or a row; its number is kept apart from its words, so that one that is only renumbered has the same words. Limit:
numbers in Latin letters, at the start of a line.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple

from localrag.grounding.locate import COMMENT, comments
from localrag.quantities import QUANTITY, find_dates
from localrag.text import running_lines
from localrag.types import Page, place

_TOKEN = re.compile(
    r"(?P<rule>([._=-])(?:[ \t]?\2){3,})|\d+(?:[.,'’]\d+)*(?:(?:st|nd|rd|th)\b)?"
    r"|[^\W_]+(?:(?:['’‐‑-]|-\n[ \t]{0,40}(?=[a-z]))[^\W_]+)*|[^\w\s]"
)
_LAYOUT = frozenset("|_•●▪◦")
_MARKS = frozenset("#*>")  # of Markdown, at the start of a line
_FORMS = str.maketrans({**dict.fromkeys("“”„«»‟", '"'), **dict.fromkeys("‘’‚`´", "'"), **dict.fromkeys("–—‐‑−", "-")})
_SOFT = re.compile(r"(?<=\w)[-'](?=\w)")
_RULE = re.compile(r"[|\s:_=.*~-]{3,}")
_PAGE_NUMBER = re.compile(r"[\s\[(-]*(page\s{1,9})?(\d{1,4})(\s{1,9}of\s{1,9}\d{1,4})?[\s\])-]*", re.I)
_BLANK = re.compile(r"\n[ \t]*+\n")
_MAX_RUNNING = 600  # characters of all running lines of a page
_MIN_LETTERS = 6  # of a running line that is known in the other version, too
# What a clause is called behind its number: "7. Term and Termination. Either party may", "7.2 NOTICE:".
_TITLE = re.compile(
    r"[ \t]*(?P<title>[A-Z](?:[^\W\d_]|[’'/-]){1,30},?(?:[ \t]+(?:(?:[^\W\d_]|[’'/-]){1,30},?|&)){0,7})"
    r"(?=[.:\n]|[ \t]+[–—-][ \t]|$)"
)
_LOWER = frozenset("& a an and as at by for from in into of on or per the to under upon with without".split())
_MANY_LINES = re.compile(r"\n(?:[ \t]*\n){3,}")  # where a page of plain text ended
_LABEL = re.compile(
    r"(?P<word>(?:ARTICLE|Article|SECTION|Section|CLAUSE|Clause|SCHEDULE|Schedule|EXHIBIT|Exhibit|ANNEX|Annex|§)"
    r"[ \t]{1,4}(?:\d{1,3}(?:\.\d{1,3}){0,4}|[IVXLC]{1,7}\b|[A-Z]\b)[.:)]?)(?=\s|$)"
    r"|(?P<deep>\d{1,3}(?:\.\d{1,3}){1,4}[.)]?)(?=\s)|(?P<flat>\d{1,3}[.)])(?=\s)"
    r"|(?P<item>\(?(?:[a-z]{1,2}|[ivxl]{1,6}|[A-Z]|\d{1,2})\))(?=\s?[^\s.,;)])|(?P<roman>(?:[IVXL]{1,6}|[A-Z])\.)(?=\s)"
)


class Token(NamedTuple):
    """A word, a number or a sign: what is compared, where it is (`page` is a position), and how it is written.

    `space` says that white space is before it.
    """

    key: str
    page: int
    start: int
    end: int
    text: str
    space: bool


class Comment(NamedTuple):
    """A comment in a version: what kind, by whom, when, on which words (`head`), and the clause that it is on.

    `number` is the position of the clause, and -1 where a page has the comment and does not say on what. `kept` is the
    name of the older version where that has it, too.
    """

    head: str
    author: str
    text: str
    clause: str
    place: str
    number: int
    version: str = ""
    kept: str = ""

    def __str__(self) -> str:
        return f"{self.head} ({f'{self.kept} and ' if self.kept else ''}{self.version}): {self.text}"


class Clause(NamedTuple):
    """A clause or paragraph: its tokens, half-open; its number, where that is, and its title; the heading over it.

    `under` is the name of the numbered clause that a paragraph or an item belongs to.
    """

    first: int
    last: int
    label: str
    place: tuple[int, int, int]
    heading: str
    title: str = ""
    under: str = ""

    @property
    def size(self) -> int:
        return self.last - self.first

    @property
    def name(self) -> str:
        """The number and the heading, as one looks it up: "2. Grant of rights › 2.2"."""
        label, over = self.label.rstrip(" .:"), re.match(r"[\w.§]*", self.heading)
        if not label:
            return self.under or self.heading
        if self.is_item:
            return " › ".join(filter(None, (self.under or self.heading, label)))
        if self.heading.startswith(label):
            return self.heading
        within = over is not None and label.startswith(over[0].rstrip(".") + ".")
        named = f"{self.label.rstrip(' :')} {self.title}" if self.title else label
        return f"{self.heading} › {named}" if self.heading and within else named

    @property
    def is_item(self) -> bool:
        """Whether it is a part of a clause, such as "(a)"."""
        return ")" in self.label[-1:]


@dataclass(frozen=True)
class Text:
    """The words and clauses of a document."""

    pages: Sequence[Page]
    tokens: Sequence[Token]
    clauses: Sequence[Clause]
    keys: Sequence[str]
    starts: Sequence[int]

    @cached_property
    def comments(self) -> list[Comment]:
        places = [(token.page, token.start) for token in self.tokens]
        found: list[Comment] = []
        for position, page in enumerate(self.pages):
            for one, about in comments(page.text, page.number is not None):
                at = about[1] if about else one.start() if page.number is None else -1
                token = bisect_left(places, (position, at)) - 1
                number = self.at(token) if at >= 0 <= token else -1
                clause = self.clauses[number].name if number >= 0 else ""
                found.append(Comment(one["head"], one["by"] or "", one["said"], clause, where(page), number))
        return found

    def at(self, token: int) -> int:
        """Return the number of the clause that a token is in."""
        return max(0, bisect_right(self.starts, token) - 1)

    def written(self, first: int, last: int) -> str:
        """Return tokens as a text on one line."""
        return "".join((" " if one.space else "") + one.text for one in self.tokens[first:last]).strip()


def parse(pages: Sequence[Page], known: Collection[str]) -> Text:
    """Return the words and clauses of a document's pages; `known` are the running lines of both versions."""
    tokens: list[Token] = []
    clauses: list[Clause] = []
    heading, label, label_at, under = "", "", (0, 0, 0), ""
    for position, (page, dropped) in enumerate(zip(pages, _dropped(pages, known), strict=True)):
        text = page.text
        titles = {item.start: item.title for item in page.headings}
        for start, end, found in _spans(text, sorted(titles), dropped):
            title = max((at for at in titles if start <= at < end), default=None)
            if title is not None:
                heading, under = titles[title], ""
            if found:
                label = " ".join(text[start : start + found].split())
                label_at = (position, start, start + found)
            cut = list(_tokens(text, position, start + found, end))
            goes_on = tokens and not found and not label and _goes_on(tokens[-1], cut, start == 0 or title is None)
            if cut and (not goes_on or not clauses):
                own = _title(text, start + found) if label else ""
                clauses.append(Clause(len(tokens), 0, label, label_at, heading, own, under))
                if label and not clauses[-1].is_item:
                    under = clauses[-1].name
                label, label_at = "", (0, 0, 0)
            tokens += cut
    tokens, clauses = _dated(tokens, clauses)
    starts = [clause.first for clause in clauses]
    whole = [one._replace(last=end) for one, end in zip(clauses, [*starts[1:], len(tokens)], strict=False)]
    return Text(pages, tokens, whole, [token.key for token in tokens], starts)


def _dated(tokens: Sequence[Token], clauses: Sequence[Clause]) -> tuple[list[Token], list[Clause]]:
    """Join the words of each date, also over the end of a page, unless a clause with a number begins in it."""
    parts = [" " * one.space + one.text for one in tokens]
    offsets = list(accumulate(map(len, parts), initial=0))
    days = {bisect_right(offsets, day.start) - 1: day for day in find_dates("".join(parts))}
    begins = {clause.first: clause for clause in clauses}
    found: list[Token] = []
    left: list[Clause] = []
    past = 0
    for at, one in enumerate(tokens):
        if at < past:
            continue
        if at in begins:
            left.append(begins[at]._replace(first=len(found)))
        if day := days.get(at):
            end = bisect_left(offsets, day.end)
            if not any(begins[n].label for n in range(at + 1, end) if n in begins):
                past = end
                last = max(each.end for each in tokens[at:end] if each.page == one.page)
                one = one._replace(key=day.text, text=day.text, end=last)
        found.append(one)
    return found, left


def where(page: Page) -> str:
    """Return the place of a page, as a person would look it up."""
    return place(page.number, page.label, (), page.unit)


def _goes_on(before: Token, cut: Sequence[Token], may: bool) -> bool:
    """Whether words continue the sentence before them, over the end of a page or an empty line."""
    return may and bool(cut) and cut[0].text[0].islower() and before.text[-1] not in ".;:!?"


def _tokens(text: str, page: int, start: int, end: int) -> Iterator[Token]:
    for match in _TOKEN.finditer(text, start, end):
        word = match[0]
        at = match.start()
        mark = word in _MARKS and not text[text.rfind("\n", 0, at) + 1 : at].strip(" #*>")
        if word not in _LAYOUT and not mark and not match["rule"]:
            key = word.translate(_FORMS) if len(word) == 1 else _SOFT.sub("", "".join(word.split()).translate(_FORMS))
            space = at == start or text[at - 1].isspace() or text[at - 1] in _LAYOUT
            yield Token(key, page, at, match.end(), "".join(word.split()), space)


def _spans(text: str, titles: Sequence[int], dropped: Collection[int]) -> Iterator[tuple[int, int, int]]:
    """Yield the parts of a page that may be clauses: start, end, and the length of the number at the start."""
    found: dict[int, int] = dict.fromkeys(titles, 0)
    blank, last, left = True, "", 0
    for match in re.finditer(r"[^\n]*(?:\n|$)", text):
        line = match[0].strip()
        start = match.start() + len(match[0]) - len(match[0].lstrip(" \t\f#"))  # behind the marks of Markdown
        if not line:
            blank = True
            continue
        if match.start() in dropped or _RULE.fullmatch(line) or COMMENT.fullmatch(line):
            found[match.start()] = -match.end()
            continue
        # Behind an empty line, a stop, or the page number of a table of contents, no sentence goes on.
        label = _label(text, start, blank or last[-1:] in (*".;:!?", "") or "...." in last)
        if label or blank or line[0] == "|" or found.get(left, 0) < 0 or start in found:
            found[start] = label
        blank, last, left = False, line, match.start()
    for start, end in pairwise([*sorted(found), len(text)]):
        if found[start] >= 0:
            yield start, end, found[start]
        elif -found[start] < end:
            yield -found[start], end, 0


def _label(text: str, at: int, sure: bool) -> int:
    """Return the length of the number of a clause at an offset; `sure`: no sentence goes on there."""
    found = _LABEL.match(text, at)
    if found is None:
        return 0
    following = re.compile(r"\s{0,40}[\"“'‘(\[]?").match(text, found.end())
    after = text[following.end() : following.end() + 1] if following else ""
    if found["item"]:
        return len(found[0]) if sure else 0
    figure = QUANTITY.match(text, at) if found["deep"] else None  # "1.5 Million"; a heading may be "1.5 Days of grace"
    if figure and (figure["scale"] or figure["percent"] or figure["after"] or (figure["unit"] and not sure)):
        return 0
    if after.islower() or not (after.isalpha() or after in ("", "[")) or (not sure and not found["deep"]):
        return 0
    return len(found[0])


def _title(text: str, at: int) -> str:
    """Return the title behind the number of a clause: words with capitals before a stop or the end of the line."""
    found = _TITLE.match(text, at)
    words = found["title"].split() if found else []
    titled = all(word[0].isupper() or word in _LOWER for word in words)
    return " ".join(words) if titled and words[-1:] not in (["Inc"], ["Ltd"], ["Corp"], ["Co"]) else ""


def comments_of(pages: Sequence[Page]) -> frozenset[tuple[str, str]]:
    """Return the comments of a document: their heads without the words that they are on, and what they say."""
    return frozenset((_bare(one["head"]), one["said"]) for page in pages for one in COMMENT.finditer(page.text))


def unplaced(one: Comment) -> tuple[str, str]:
    """Return what a comment is wherever it stands: by whom, when, and what it says."""
    return _bare(one.head), one.text


def _bare(head: str) -> str:
    return head.partition(", on “")[0]


def running(pages: Sequence[Page]) -> frozenset[str]:
    """Return the running headers and footers of a document that have words, with their numbers as "#"."""
    found = set[str]()
    texts = [text for *_, text in _parts(pages)]
    for text, lines in zip(texts, running_lines(texts), strict=True):
        found |= {_masked(line) for place, line in enumerate(text.split("\n")) if place in lines}
    tops = {_masked(text.strip().split("\n")[0]) for text in texts}
    found |= tops if len(texts) == 2 and len(tops) == 1 else set()
    return frozenset(line for line in found if sum(map(str.isalpha, line)) >= _MIN_LETTERS)


def _is_running(text: str, known: Collection[str]) -> bool:
    """Whether a paragraph is running lines and nothing else, as after a page was laid out anew."""
    left = _masked(text)
    if not any(line in left for line in known):
        return False
    for line in sorted(known, key=len, reverse=True):
        left = left.replace(line, "")
    return not any(map(str.isalpha, left)) and "#" not in left


def _masked(line: str) -> str:
    return re.sub(r"\d+", "#", " ".join(line.split()))


def _parts(pages: Sequence[Page]) -> Iterator[tuple[int, int, str]]:
    """Yield the printed pages: the position of a page, an offset in it, and the text."""
    for position, page in enumerate(pages):
        start = 0
        for gap in _MANY_LINES.finditer(page.text) if len(pages) == 1 else ():
            yield position, start, page.text[start : gap.end()]
            start = gap.end()
        yield position, start, page.text[start:]


def _dropped(pages: Sequence[Page], known: Collection[str]) -> list[set[int]]:
    """Return where lines of each page begin that are running lines, those of the other version too, or page numbers."""
    found: list[set[int]] = [set() for _ in pages]
    numbers: list[tuple[int, bool, int, int, int]] = []  # that may be of a page, `sure` of a page or a note, and where
    for part, (position, start, text) in enumerate(_parts(pages)):
        lines = [line.span() for line in re.finditer(r"[^\n]+", text) if line[0].strip()]
        blocks = pairwise([0, *(gap.end() for gap in _BLANK.finditer(text)), len(text)])
        short = (span for span in (*lines, *blocks) if span[1] - span[0] < _MAX_RUNNING)
        gone = [span for span in short if _is_running(text[slice(*span)], known)]
        found[position] |= {start + at for at, _ in lines if any(a <= at < b for a, b in gone)}
        for span in lines:
            if match := _PAGE_NUMBER.fullmatch(text, *span):
                many, number = len(pages) > 1, int(match[2])
                sure = bool(match[1] or match[3] or match[0].strip()[-1] in "-]")
                edge = span in ((*lines[:2], *lines[-3:]) if many else (lines[0], lines[-1]))
                if edge and sure + many + (abs(number - part - 1) <= 1) >= 2:
                    found[position].add(start + span[0])
                else:
                    numbers.append((number, sure, part, position, start + span[0]))
    for at, (number, sure, part, position, start) in enumerate(numbers):
        for other, (its, known_too, its_part, *_) in enumerate(numbers[max(0, at - 4) : at + 5], max(0, at - 4)):
            on = its_part - part or (other - at) * (sure and known_too)
            if abs(its - number) in (1, 2) and (its - number) * on > 0:
                found[position].add(start)
    return found

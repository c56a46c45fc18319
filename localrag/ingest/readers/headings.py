"""Find headings in text that does not mark them: contracts, filings and handbooks as plain text or PDF.

Conservative, because a table row or an address taken for a heading spoils every location cited below it. Examples:
ARTICLE V; 3.2 Payment Terms; 2.6. FORECASTING. The parties shall ...; RECITALS; Next Steps (above running text);
Balance Sheets (at the top of a page, above a table). Lines that a PDF sets in bold, or larger than its text, need less.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from localrag.quantities import ENGLISH_MONTHS
from localrag.text import PART_LEVELS, structure_number
from localrag.types import Heading

_MAX_HEADING = 100
_LONG_LINE = 200
_GAP = re.compile(r"(?<!\d)(?<!\d\.)(?<! ) {3,}(?=\S)|(?<=\d )(?<!  ) {3,}(?=\S)|(?<=\d\. )(?<!  ) {3,}(?=\S)")
_KEYWORD = re.compile(
    rf"(?P<word>{'|'.join(f'{word.upper()}|{word.title()}' for word in PART_LEVELS)})"
    r"\s+(?P<number>[IVXLC]{1,7}|\d{1,3}(?:\.\d{1,3}){0,3}[A-Z]?|[A-Z](?:-\d{1,2})?)(?![\w])"
    r"(?P<rest>.*)$"
)
_NUMBERED = re.compile(r"(?P<number>\d{1,2}(?:\.\d{1,2}){0,3})(?P<dot>\.?)[ \t]{1,8}(?P<rest>\S.*)$")
_SMALL = frozenset(
    "a an and as at but by for from in into nor of on or over per re s the to upon via vs with without de la".split()
)
_WORD = re.compile(r"[^\W\d_][\w'’]*")
_LEADERS = re.compile(r"\.{3,}|(?:\. ){3,}|…|\s\d{1,3}$|\t\s{0,99}\d{1,9}$")
_ADDRESS = re.compile(r"\b\d{5}(?:-\d{4})?\b|@|https?:|www\.|\b(?:P\.?O\.? Box|Tel|Fax|Suite)\b", re.I)
_CONTINUED = re.compile(
    r"(?<![\s.:–—-])[\s.:–—-]*(?:\((?:continued|cont[’']?d\.?|unaudited)\)|continued)[\s.:–—-]*$", re.I
)
_PERIOD = re.compile(rf"\b(?:{'|'.join(ENGLISH_MONTHS)}|ended|(?:in|of) (?:thousands|millions|billions))\b|^\(", re.I)
_COMPANY = re.compile(
    r"\b(?:INC|LLC|L\.L\.C|LTD|CORP|L\.P|LP|GMBH|PLC|N\.A)\b|\b(?:CORPORATION|COMPANY|SUBSIDIARIES)$", re.I
)

_NO_TITLE = (_ADDRESS, _COMPANY, _LEADERS)


# Lines in bold or large letters: their height relative to most of the page, and whether they are bold.
Strong = Mapping[str, tuple[float, bool]]
_NONE: Strong = MappingProxyType({})
_LARGE = 1.2
_PAGE_TITLE = 3
_MAX_BLOCK = 4


def document_headings(pages: Sequence[tuple[str, Strong]]) -> list[tuple[Heading, ...]]:
    """Return the headings of each page of a document, without running headers and footers.

    In a report with items (10-K), capitals and bare numbers are below these; elsewhere, capitals are below larger
    letters. The title of a page ends what came before, except a numbered section, which may have tables of its own.
    """
    found = drop_running([(text, find_headings(text, strong)) for text, strong in pages])
    titles = (heading.title for page in found for heading in page)
    has_items = any(number[0] == "item" for title in titles if (number := structure_number(title)))
    is_set = sum(heading.level == 4 for page in found for heading in page) >= max(3, len(pages) // 20)
    open_number: int | None = None
    arranged: list[tuple[Heading, ...]] = []
    for page in found:
        arranged.append(())
        for heading in page:
            level, number = heading.level, structure_number(heading.title)
            if number is None and level == _PAGE_TITLE:
                level += open_number is not None
            elif has_items and (level == 1 if number is None else heading.title[0].isdigit()):
                level += 2
            elif number is None and level == 1 and is_set:
                level = 5
            if open_number is None or level <= open_number:
                open_number = level if number and level > 2 else None
            arranged[-1] += (replace(heading, level=level),)
    return arranged


def find_headings(text: str, strong: Strong = _NONE) -> tuple[Heading, ...]:
    """Return the headings of a page, or of a text without pages."""
    starts, lines = _lines(text)
    found: list[Heading] = []
    named_above, over = False, 0
    title_at = _page_title(lines)
    width = max((len(line) for line in lines if not line.startswith("|") and len(line) <= _LONG_LINE), default=0)
    for index, line in enumerate(lines):
        words = line.strip()
        if index < over or len(words) < 2:
            continue
        if named_above:  # this line is the name of the part above it
            named_above = False
            continue
        block = _block(lines, index, strong, width) if strong else []
        heading = (_PAGE_TITLE, words) if index == title_at else _heading(lines, index, words)
        if heading is None and index > title_at:
            heading = _by_weight(lines, index, block, strong, 40 if title_at >= 0 else 4)
        if heading is None:
            continue
        level, title = heading
        if strong and index != title_at and not structure_number(title):
            if not block:
                level = 6  # on a page with headings in bold, words alone are less
            elif strong[" ".join(line.split())][0] >= _LARGE:
                level = 4
        if len(block) > 1 and title == words.rstrip(" .:"):
            title = " ".join(block)
        if title == " ".join(block):
            over = index + len(block)
        named_above = over <= index + 1 and len(title) > len(words)
        title = _CONTINUED.sub("", title) or title
        found.append(Heading(starts[index] + line.index(words[0]), level, title[:200]))
    return tuple(found)


_SENTENCE = re.compile(r"[a-z]{2}[.:] ")
_LETTERED = re.compile(r"\(?(?:[a-zA-Z]|[ivx]{2,4})[.)]\s")


def _block(lines: Sequence[str], index: int, strong: Strong, width: int) -> list[str]:
    """Return the lines of a heading in bold or large letters that begins here; none if there are too many."""
    style = strong.get(" ".join(lines[index].split()))
    if style is None:
        return []
    block = [lines[index].strip()]
    part = _KEYWORD.match(block[0])
    is_number = part is not None and not part["rest"].strip(" .:–—-")
    for line in map(str.strip, lines[index + 1 :]):
        other = strong.get(" ".join(line.split()))
        if other is None or other[1] != style[1] or any(one.match(line) for one in (_KEYWORD, _NUMBERED, _LETTERED)):
            break
        is_name = is_number and not block[1:]
        if not is_name and (abs(other[0] - style[0]) > 0.03 or _is_capitals(line) != _is_capitals(block[-1])):
            break
        goes_on = block[-1].endswith(",") or block[-1].split()[-1].lower() in _SMALL or line[0].islower()
        if not (is_name or goes_on or len(block[-1]) >= width / 2):
            break
        if len(block) == _MAX_BLOCK:
            return []
        block.append(line)
    return block


def _by_weight(
    lines: Sequence[str], index: int, block: Sequence[str], strong: Strong, least: int
) -> tuple[int, str] | None:
    """Return a heading for lines in bold or large letters above a table, or a line of at least so many letters."""
    title = " ".join(block)
    if not 4 <= len(title) <= 150 or not (title[0].isupper() or title[0].isdigit()) or title[-1] in ".,;:!&-–—’'":
        return None
    if any(mark in title for mark in "$€£%@_|=•☐☒☑✓\t") or any(one.search(title) for one in (*_NO_TITLE, _PERIOD)):
        return None
    letters, digits = sum(map(str.isalpha, title)), sum(map(str.isdigit, title))
    if digits > 4 or letters < 0.7 * len(title.replace(" ", "")) or title.count("(") != title.count(")"):
        return None
    size, bold = strong[" ".join(block[0].split())]
    numbered, part = _NUMBERED.match(title), _KEYWORD.match(title)
    if not (numbered or part) and (_SENTENCE.search(title) or not (bold or _is_title(title))):
        return None
    before = next(filter(None, map(str.strip, reversed(lines[max(0, index - 50) : index]))), "")
    after = next(filter(None, map(str.strip, lines[index + len(block) : index + 50])), "")
    if after.startswith("|"):  # above a table, not in it
        is_text = not before.startswith("|") and " " in title
    else:
        is_text = sum(map(str.isalpha, after)) >= least and not _is_figures(after) and not _LEADERS.search(after)
    if not is_text or (_is_figures(before) and not before.startswith("|")):
        return None
    if part:
        return PART_LEVELS[part["word"].lower()], title
    return (numbered["number"].count(".") + 1 if numbered else 4 if size >= _LARGE else 5), title


_TOP = 6
_UNITS = re.compile(r"\(?(?:[\w$]+ ){0,3}in (?:thousands|millions|billions)\b.{0,60}$", re.I)


def _page_title(lines: Sequence[str]) -> int:
    """Return which line is a title over the table or the unit at the top of a page; -1 if none is."""
    top = [(index, line.strip()) for index, line in enumerate(lines[:40]) if line.strip()][: _TOP + 1]
    table = next((place for place, (_, line) in enumerate(top) if line.startswith("|") or _UNITS.match(line)), 0)
    for index, line in reversed(top[:table]):
        title = _CONTINUED.sub("", line[: _MAX_HEADING + 1])
        if not title or _PERIOD.search(title):
            continue
        fits = 5 < len(title) <= _MAX_HEADING and title[0].isupper() and title[-1] not in ".,;:" and _is_title(title)
        return index if fits and not any(one.search(title) for one in (*_NO_TITLE, _KEYWORD)) else -1
    return -1


def _lines(text: str) -> tuple[list[int], list[str]]:
    """Return lines and their starts; in a very long line, wide gaps stand for line ends that a converter removed."""
    starts: list[int] = []
    lines: list[str] = []
    start = 0
    for line in text.split("\n"):
        begin = 0
        for gap in _GAP.finditer(line) if len(line) > _LONG_LINE else ():
            starts.append(start + begin)
            lines.append(line[begin : gap.start()])
            begin = gap.end()
        starts.append(start + begin)
        lines.append(line[begin:])
        start += len(line) + 1
    return starts, lines


def _heading(lines: Sequence[str], index: int, line: str) -> tuple[int, str] | None:
    first = line[0]
    if not (first.isupper() or first.isdigit()):
        return None
    before = next(filter(None, map(str.strip, reversed(lines[max(0, index - 50) : index]))), "")
    after = next(filter(None, map(str.strip, lines[index + 1 : index + 51])), "")
    # A paragraph can begin after a blank line, a full stop, or another short line.
    is_below = index > 0 and lines[index - 1].strip()
    if is_below and not before.endswith((".", "!", "?", ":", ";", "”", '"', ")")) and len(before) >= 60:
        return None
    if len(line) > _MAX_HEADING:
        return _run_in(line)
    return (
        _by_keyword(line, after)
        or _by_number(line, before, after)
        or _run_in(line)
        or _by_capitals(lines, index, line, before, after)
        or _by_title_case(line, before, after)
    )


def _by_keyword(line: str, after: str) -> tuple[int, str] | None:
    match = _KEYWORD.match(line)
    if match is None or line.endswith((",", ";")) or _LEADERS.search(line):
        return None
    rest = match["rest"].strip(" .:–—-\t")
    if rest and not _is_title(rest):
        return _run_in(line)
    if not rest and (match["rest"].strip() not in ("", ".", ":", "-") or after[:1].islower()):
        return None
    word, depth = match["word"].lower(), match["number"].count(".") + 1
    level = max(PART_LEVELS[word], depth) if word == "section" else PART_LEVELS[word]
    is_part = _KEYWORD.match(after) or _COMPANY.search(after)
    if not rest and _is_capitals(after) and _is_title(after) and len(after) < 60 and not is_part:
        return level, f"{line.rstrip(' .:')} {after}"  # "ARTICLE V" with its name on the line below
    return level, line.rstrip(" .:")


def _by_number(line: str, before: str, after: str) -> tuple[int, str] | None:
    match = _NUMBERED.match(line)
    if match is None or _LEADERS.search(line) or line.endswith((",", ";")):
        return None
    rest = match["rest"].rstrip()
    if not (match["dot"] or "." in match["number"] or _is_capitals(rest)) or match["number"].endswith(".0"):
        return None
    if not _is_title(rest.rstrip(" .:")) or rest.count(".") > 1:
        return None
    if _is_capitals(rest) and _is_capitals(after) and not _NUMBERED.match(after):
        return None  # a clause in capitals, wrapped
    depth = match["number"].count(".") + 1
    # Items of a list follow each other; a section has text, or a deeper number, below it.
    for neighbour in (before, after):
        other = _NUMBERED.match(neighbour)
        if other and len(neighbour) < 60 and other["number"].count(".") + 1 == depth and not _run_in(neighbour):
            return None
    if not after or after[:1].islower() or _is_figures(after):
        return None
    return depth, line.rstrip(" .:")


_RUN_IN = re.compile(
    r"(?P<head>(?P<number>(?:(?:ARTICLE|Article|SECTION|Section)\s+)?(?:\d{1,2}(?:\.\d{1,2}){0,3}|[IVX]{1,5}))\.?"
    r"[ \t]{1,8}(?P<title>[A-Z][^.:;\n]{1,70}?))(?P<stop>[.:])(?:[ \t]+[\"“(]?[A-Z0-9]|[ \t]*[–—-])"
)


def _run_in(line: str) -> tuple[int, str] | None:
    match = _RUN_IN.match(line)
    if match is None or not _is_title(match["title"]) or len(match["title"]) < 4:
        return None
    if match["title"][-2] == " " or (match["stop"] == ":" and not _is_capitals(match["title"])):
        return None  # an initial; a list item with its subject before a colon
    return match["number"].count(".") + 1, match["head"]


def _by_capitals(lines: Sequence[str], index: int, line: str, before: str, after: str) -> tuple[int, str] | None:
    if not _is_capitals(line) or len(line) > 80 or line.endswith((".", ",", ";", ":", "&", "-")):
        return None
    if _ADDRESS.search(line) or _COMPANY.search(line) or "_" in line or "/s/" in line.lower():
        return None
    words = _WORD.findall(line)
    letters = sum(map(len, words))
    if letters < max(6, 0.7 * len(line.replace(" ", ""))) or len(words) > 10 or sum(c.isdigit() for c in line) > 2:
        return None
    # Capitals above or below make it a title page, a warning, or a signature.
    around = [lines[place] for place in (index - 1, index + 1) if 0 <= place < len(lines)]
    if any(_is_capitals(other) for other in around if other.strip()) or not after:
        return None
    if after[:1].islower() or _is_figures(after) or (len(after) < 25 and not _NUMBERED.match(after)):
        return None
    return 1, line


def _by_title_case(line: str, before: str, after: str) -> tuple[int, str] | None:
    words = line.split()
    if not 1 <= len(words) <= 9 or len(line) > 70 or not line[0].isupper() or len(line) < 4:
        return None
    if line[-1] in ".,;:!&-–" or any(mark in line for mark in "$€£%@_|=•☐☒☑✓\t") or any(c.isdigit() for c in line):
        return None
    if not _is_title(line) or _COMPANY.search(line) or _ADDRESS.search(line) or "," in line:
        return None
    if _SENTENCE.search(line) or (before and not before.endswith((".", "!", "?", ".”", '."', ".)"))):
        return None
    # Running text must follow: a long line that begins like a sentence, mostly of small words.
    small = sum(word[0].islower() for word in after.split())
    if len(after) < 60 or not after[0].isupper() or small < 0.55 * len(after.split()):
        return None
    return 5, line


def _is_title(words: str) -> bool:
    """Return whether words are in title case or capitals."""
    tokens = words.split()
    if not tokens or len(tokens) > 14 or not words[0].isalpha() or _is_figures(words):
        return False
    large = [token for token in _WORD.findall(words) if token.lower() not in _SMALL]
    if not large or sum(token[0].isupper() for token in large) < len(large) - (len(large) > 4):
        return False
    return large[0][0].isupper() and sum(c.isdigit() for c in words) <= 4


def _is_capitals(line: str) -> bool:
    return line.upper() == line and sum(character.isupper() for character in line) >= 3


def _is_figures(line: str) -> bool:
    """Return whether a line is a row of figures: at least two of its words are."""
    return sum(word.strip("()$€£%,.—–-").replace(",", "").replace(".", "").isdigit() for word in line.split()) >= 2


def drop_running(pages: Sequence[tuple[str, tuple[Heading, ...]]]) -> list[tuple[Heading, ...]]:
    """Return each page's headings without running headers and footers, which are printed on page after page."""
    if len(pages) < 4:
        return [headings for _, headings in pages]
    times = Counter(title for _, headings in pages for title in {item.title for item in headings})
    often = {title for title, count in times.items() if count >= max(3, len(pages) * 0.1)}

    def is_running(text: str, heading: Heading) -> bool:  # among the first or last three lines of its page
        on_edge = text.count("\n", 0, heading.start) < 3 or text.rstrip().count("\n", heading.start) < 3
        return on_edge and heading.title in often

    return [tuple(item for item in headings if not is_running(text, item)) for text, headings in pages]

"""Comparing two versions: edits made by code in real contracts, and what `localrag compare` finds of them.

    python benchmarks/versions.py FOLDER [--half first|second] [--pairs 200] [--seed 7] [--show 20]

FOLDER has contracts (PDF, text ...). Each pair is a contract and a version of it with one to eight known edits: a
figure, a date, a duration, a percentage, a modal verb, a negation, a party, a defined term, a word; a clause deleted,
added, moved, moved and edited in one of those ways (half of these with another clause in the place it left), or added
with all later clauses renumbered. A third of the pairs is laid out anew (other line ends, pages,
running headers), and a fifth has no edit, only the new layout. An edit is found if a change is reported at its place,
classed right if that has its kind, and named right if the change of words says the number of their clause: the last one
before them at the start of a line. False is any other change of substance or wording, and any other clause reported as
added, deleted, moved or renumbered. `--half` takes every other contract: develop with the first, report the second.
"""

from __future__ import annotations

import argparse
import random
import re
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from localrag.diff.changes import Change, Comparison, Version, compare
from localrag.ingest.readers.base import read_parts
from localrag.ingest.readers.source import Source, reads
from localrag.types import Page, Part

LABEL = re.compile(r"(?:(?:ARTICLE|Section|SECTION)\s+)?(?:\d{1,2}(?:\.\d{1,2}){0,2}\.?|\([a-z]{1,3}\))\s+(?=[A-Z“\"])")
BLOCK = re.compile(rf"(?:\n[ \t]*\n\s*|\n[ \t]*(?={LABEL.pattern}))")
MONTHS = "January February March April May June July August September October November December".split()
NUMBERS = {
    "ten": 10,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "forty-five": 45,
    "sixty": 60,
    "ninety": 90,
}
SYNONYMS = {
    "promptly": "immediately",
    "reasonable": "appropriate",
    "written": "signed",
    "provide": "supply",
    "entire": "whole",
    "obtain": "secure",
    "following": "subsequent",
    "additional": "extra",
    "material": "serious",
    "expenses": "outlays",
    "applicable": "relevant",
    "information": "particulars",
}
MODALS = ("may", "must", "shall", "will")
DAYS = r"(?= (?:business |calendar )?(?:days|months|years)\b)"
INLINE = ("amount", "date", "duration", "percent", "modal", "negation", "party", "term", "wording")
CLAUSES = ("deleted", "added", "moved", "moved edited", "renumbered")


@dataclass
class Edit:
    """One edit: what to replace at an offset of the old text; the other part of a move has no kind.

    `within` is the kind of the edit in a clause that moved.
    """

    kind: str
    start: int
    end: int
    new: str
    within: str = ""


@dataclass
class Tally:
    """What was found, over all pairs."""

    made: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    right: Counter[str] = field(default_factory=Counter)
    numbered: int = 0
    named: int = 0
    false: list[int] = field(default_factory=list)
    form: list[int] = field(default_factory=list)
    only_layout: list[int] = field(default_factory=list)
    laid_out: int = 0
    seconds: list[float] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)


# --- edits --------------------------------------------------------------------------------------------------


def blocks(text: str) -> list[tuple[int, int]]:
    """The clauses that an edit can be in: whole, of 15 to 250 words, behind a whole one."""
    ends = [0, *(match.end() for match in BLOCK.finditer(text)), len(text)]
    found, before = [], "."
    for start, end in pairwise(ends):
        part = text[start:end].rstrip()
        whole = (
            part[-1:] in (".", ";")
            and "\f" not in part
            and before in ".;:"
            and (part[:1].isupper() or LABEL.match(part))
        )
        if whole and 15 <= len(part.split()) <= 250 and "...." not in part and part.count("   ") < 5:
            found.append((start, start + len(part)))
        before = part[-1:] or before
    often = Counter(re.sub(r"\d+", "#", text[a:b]) for a, b in found)  # running lines are no clauses
    return [(a, b) for a, b in found if often[re.sub(r"\d+", "#", text[a:b])] < 3]


def inline(
    kind: str, text: str, start: int, end: int, parties: list[str], terms: list[str], chance: random.Random
) -> Edit | None:
    """An edit of a kind inside a clause, or None where the clause has nothing of it."""
    ways: dict[str, tuple[str, Callable[[re.Match[str]], str]]] = {
        "amount": (r"(?<=\$)\s?\d[\d,]{2,12}(?:\.\d\d)?(?![\d,])", lambda m: _other_figure(m[0], chance)),
        "percent": (r"(?<![\d.])\d{1,2}(?=\s?%)", lambda m: str(int(m[0]) + chance.choice((1, 2, 5)))),
        "date": (rf"\b(?:{'|'.join(MONTHS)}) \d{{1,2}}, (?:19|20)\d\d\b", lambda m: _other_date(m[0], chance)),
        "duration": (
            rf"\b(?:{'|'.join(NUMBERS)})(?: \(\d+\))?{DAYS}|(?<![\d.,(])\d{{1,3}}{DAYS}",
            lambda m: _other_term(m[0], chance),
        ),
        "modal": (
            rf"\b(?:{'|'.join(MODALS)})\b(?! not\b)(?= [a-z]+ )",
            lambda m: chance.choice([one for one in MODALS if one != m[0]]),
        ),
        "negation": (
            r"\b(?:shall|may|will|is|are) not\b(?= [a-z])|\b(?:shall|will)\b(?= [a-z]+ )(?! not)",
            lambda m: m[0][:-4] if m[0].endswith(" not") else f"{m[0]} not",
        ),
        "party": (
            rf"\b(?:{'|'.join(map(re.escape, parties)) or '(?!)'})\b(?!['’])",
            lambda m: chance.choice(sorted(set(parties) - {m[0]}) or [""]),
        ),
        "term": (
            rf"\b(?:{'|'.join(map(re.escape, terms)) or '(?!)'})\b(?!\s+[A-Z])",
            lambda m: chance.choice(sorted(set(terms) - {m[0]}) or [""]),
        ),
        "wording": (rf"\b(?:{'|'.join(SYNONYMS)})\b", lambda m: SYNONYMS[m[0]]),
    }
    pattern, change = ways[kind]
    found = [match for match in re.finditer(pattern, text[start:end]) if "\n" not in match[0]]
    if not found:
        return None
    match = chance.choice(found)
    new = change(match)
    return Edit(kind, start + match.start(), start + match.end(), new) if new and new != match[0] else None


def _other_figure(text: str, chance: random.Random) -> str:
    at = next(place for place, sign in enumerate(text) if sign.isdigit())
    return text[:at] + str(int(text[at]) % 9 + 1) + text[at + 1 :]


def _other_date(text: str, chance: random.Random) -> str:
    month, day, year = text.replace(",", "").split()
    which = chance.randrange(3)
    if which == 0:
        return f"{MONTHS[(MONTHS.index(month) + 3) % 12]} {min(int(day), 28)}, {year}"
    return f"{month} {int(day) % 28 + 1}, {year}" if which == 1 else f"{month} {day}, {int(year) + 1}"


def _other_term(text: str, chance: random.Random) -> str:
    if text.isdigit():
        return str(int(text) + chance.choice((5, 10, 30)))
    word = chance.choice(sorted(set(NUMBERS) - {text.split()[0]}))
    return f"{word} ({NUMBERS[word]})" if "(" in text else word


def clause(kind: str, text: str, own: list[tuple[int, int]], at: int, added: str, chance: random.Random) -> list[Edit]:
    """The edits that delete, add or move the clause with this number, or add one and renumber what follows."""
    start, end = own[at]
    if kind == "deleted":
        return [Edit(kind, start, end, "")]
    if kind == "added":
        return [Edit(kind, start, start, f"{added}\n\n")]
    if kind == "moved":
        far = [place for place in range(len(own)) if abs(place - at) > 2]
        if not far:
            return []
        goal = own[chance.choice(far)][0]
        return [Edit(kind, start, end, ""), Edit("", goal, goal, f"{text[start:end]}\n\n")]
    label = re.match(r"(\d{1,2})\.\s", text[start:end])
    if label is None:
        return []
    first = int(label[1])
    edits = [Edit("added", start, start, f"{first}. {added}\n\n")]
    for match in re.finditer(r"(?m)^[ \t]*(\d{1,2})(?=\.\s+[A-Z])", text[start:]):
        if int(match[1]) == first:
            edits.append(Edit("renumbered", start + match.start(1), start + match.end(1), str(first + 1)))
            first += 1
    return edits if len(edits) > 2 else []


def moved_edited(text: str, own: list[tuple[int, int]], at: int, added: str, chance: random.Random) -> list[Edit]:
    """The edits that move a clause and change it, half of the time with another clause in its place."""
    start, end = own[at]
    moved = clause("moved", text, own, at, "", chance)
    for kind in chance.sample(INLINE, len(INLINE)) if moved else ():
        if (one := inline(kind, text, start, end, *names(text), chance)) is not None:
            moved[0] = Edit("moved edited", start, end, "", kind)
            moved[1].new = f"{text[start : one.start]}{one.new}{text[one.end : end]}\n\n"
            label = LABEL.match(text[start:end])
            other = Edit("added", start, start, f"{label[0] if label else ''}{added}\n\n")
            return [*moved, *([other] if chance.random() < 0.5 else [])]
    return []


def names(text: str) -> tuple[list[str], list[str]]:
    """The parties and other defined terms, as the opening and the definitions have them."""
    opening = re.findall(
        r"\((?:the|each|hereinafter|together)?[^()\"“”]{0,30}[\"“]([A-Z][\w ]{2,25})[\"”]\)", text[:5000]
    )
    parties = [one for one in dict.fromkeys(opening) if text.count(f"{one} shall") + text.count(f"{one} may") > 1]
    parties = [one for one in parties if not re.search("Agreement|Date|Term|Services|Product", one)]
    means = re.findall(r"[\"“]([A-Z][\w]+(?: [A-Z]\w+)+)[\"”] (?:shall )?(?:mean|has the)", text)
    return parties, [one for one in dict.fromkeys(means) if one not in parties and text.count(one) > 3]


def edited(text: str, others: list[str], chance: random.Random) -> list[Edit]:
    """One to eight edits of a text that do not touch each other."""
    own, (parties, terms) = blocks(text), names(text)
    edits: list[Edit] = []
    used: set[int] = set()
    wanted = chance.randint(1, 8)
    for _ in range(60):
        if len(used) >= min(wanted, len(own) // 3) or not own:
            break
        at = chance.randrange(len(own))
        kind = chance.choice(INLINE + CLAUSES)
        if used & {at - 1, at, at + 1}:
            continue
        if kind in INLINE:
            one = inline(kind, text, *own[at], parties, terms, chance)
            made = [one] if one else []
        elif kind == "moved edited":
            made = moved_edited(text, own, at, chance.choice(others), chance)
        elif kind == "renumbered" and any(one.kind == "renumbered" for one in edits):
            made = []
        else:
            made = clause(kind, text, own, at, chance.choice(others), chance)
        spans = [(one.start, one.end) for one in edits]
        near = [
            min(abs(a.start - e), abs(a.end - s)) < 200 or (a.start <= e and s <= a.end) for a in made for s, e in spans
        ]
        if made and not any(near):
            edits += made
            used.add(at)
    return sorted(edits, key=lambda one: one.start)


def applied(text: str, edits: list[Edit]) -> str:
    for one in sorted(edits, key=lambda one: (one.start, one.end), reverse=True):
        text = text[: one.start] + one.new + text[one.end :]
    return text


def laid_out(text: str, chance: random.Random) -> str:
    """The same words with other line ends and pages, a running header and page numbers."""
    width, length = chance.randint(60, 110), chance.randint(35, 55)
    # Page numbers go, as with whoever lays it out anew; a table of contents has several close together.
    old = text.replace("\f", "\n\f\n").split("\n")
    number = re.compile(r"[ \t\[(-]*(?:[Pp]age )?\d{1,3}(?: of \d+)?[ \t\])-]*")
    alone = [at for at, one in enumerate(old) if number.fullmatch(one)]
    pages_at = {at for at in alone if sum(abs(at - other) < 6 for other in alone) < 3}
    text = "\n".join("" if at in pages_at else one for at, one in enumerate(old))
    lines: list[str] = []
    for part in re.split(rf"\n[ \t]*\n\s*|\f|\n[ \t]*(?={LABEL.pattern})", text):
        lines += [*textwrap.wrap(" ".join(part.split()), width, break_long_words=False, break_on_hyphens=False), ""]
    pages = [lines[at : at + length] for at in range(0, len(lines), length)]
    head = chance.choice(("Execution Version", "CONFIDENTIAL", "Draft for discussion"))
    if len(pages) < 2:
        return "\n".join(lines)
    return "\f".join("\n".join([head, "", *page, "", f"Page {number}"]) for number, page in enumerate(pages, 1))


# --- what is found ------------------------------------------------------------------------------------------


def version(name: str, text: str) -> Version:
    part = next(read_parts(Source(f"{name}.txt", data=text.encode())))
    assert isinstance(part, Part), part
    return Version(name, part.reading.pages, part.sha256)


def offset(pages: tuple[Page, ...], at: int, place: int) -> int:
    """A place in a page as an offset in the whole text, whose pages form feeds separate."""
    return sum(len(page.text) + 1 for page in pages[:at]) + place


def judge(compared: Comparison, edits: list[Edit], tally: Tally, name: str) -> None:
    pages = compared.old.pages
    spans = [
        [(offset(pages, at, start), offset(pages, at, end)) for at, start, end in one.old.spans]
        for one in compared.changes
    ]
    matched: set[int] = set()
    for edit in edits:
        if not edit.kind:
            continue
        tally.made[edit.kind] += 1
        at = [number for number, one in enumerate(compared.changes) if _fits(one, spans[number], edit)]
        matched |= set(at)
        good = [compared.changes[number] for number in at] if _covers(at, compared, spans, edit) else []
        kinds = {"wording", "binding"} if (edit.within or edit.kind) == "wording" else {edit.within or edit.kind}
        right = [one for one in good if kinds & {one.deed, *one.kinds}]
        tally.found[edit.kind] += bool(good)
        tally.right[edit.kind] += bool(right)
        number = number_of(pages, edit.start) if good and edit.kind in INLINE else ""
        tally.numbered += bool(number)
        tally.named += bool(number) and has_number(good[0].old.clause, number)
        if number and not has_number(good[0].old.clause, number):
            tally.examples.append(f"NAME {name} {number}: {good[0].old.clause!r}")
        if not right:
            shown = "; ".join(f"{one.title}: {one.old.text!r} > {one.new.text!r}"[:200] for one in good)
            tally.examples.append(f"{'class' if good else 'MISS'} {name} {edit.kind} {edit.new[:60]!r}: {shown}")
    rest = [one for number, one in enumerate(compared.changes) if number not in matched]
    false = [one for one in rest if one.level != "form" or one.deed in ("moved", "renumbered")]
    tally.false.append(len(false))
    tally.form.append(len(rest) - len(false))
    if not edits:
        tally.only_layout.append(sum(one.level == "substance" for one in compared.changes))
    tally.examples += [
        f"FALSE {name} {one.title[:120]}: {one.old.text[:150]!r} > {one.new.text[:150]!r}" for one in false
    ]


def number_of(pages: tuple[Page, ...], at: int) -> str:
    """The last number of a clause at the start of a line before an offset; items such as (a) are parts of a clause."""
    text = "\n".join(page.text for page in pages)[:at]
    found = [one[1] for one in re.finditer(r"(?m)^[ \t]*(\d{1,2}(?:\.\d{1,2}){0,2})\.?[ \t]+(?=[A-Z“\"])", text)]
    return found[-1] if found else ""


def has_number(name: str, number: str) -> bool:
    return re.search(rf"(?<![\d.]){re.escape(number)}(?!\.?\d)", name) is not None


def _fits(one: Change, spans: list[tuple[int, int]], edit: Edit) -> bool:
    if edit.kind == "added":
        words = one.new.text.split()
        near = any(a - 2000 <= edit.start <= b + 2000 for a, b in spans)  # behind the clause that it replaces
        return one.deed == "added" and near and sum(word in edit.new for word in words) > 0.7 * len(words)
    if edit.kind == "renumbered":
        return one.deed == "renumbered" and any(a - 3 <= edit.start <= b for a, b in spans)
    if edit.kind in ("deleted", "moved", "moved edited"):
        if all(a == b for a, b in spans):  # words added inside
            return edit.kind == "moved edited" and all(edit.start < a < edit.end for a, _ in spans)
        inside = sum(max(0, min(b, edit.end) - max(a, edit.start)) for a, b in spans)
        return inside > 0.6 * max(1, sum(b - a for a, b in spans))
    return any(a < edit.end + 4 and edit.start - 4 < b + (a == b) for a, b in spans) and one.deed != "renumbered"


def _covers(at: list[int], compared: Comparison, spans: list[list[tuple[int, int]]], edit: Edit) -> bool:
    """Whether changes say most of an edit."""
    if edit.kind == "added":
        return sum(len(compared.changes[number].new.text) for number in at) > 0.6 * len(edit.new)
    if edit.kind in ("deleted", "moved", "moved edited"):
        deeds = [number for number in at if compared.changes[number].deed == edit.kind.split()[0]]
        return sum(b - a for number in deeds for a, b in spans[number]) > 0.6 * (edit.end - edit.start)
    return bool(at)


def texts_of(folder: Path, half: str) -> Iterator[tuple[str, str]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and reads(path) and path.suffix != ".jsonl")
    for number, path in enumerate(files):
        if half == "all" or (number % 2 == 0) == (half == "first"):
            for part in read_parts(path):
                if isinstance(part, Part) and sum(len(page.text) for page in part.reading.pages) > 5000:
                    yield path.stem[:40], "\f".join(page.text for page in part.reading.pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=("first", "second", "all"), default="second")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--show", type=int, default=0, help="print so many misses and false changes")
    given = parser.parse_args()
    texts = list(texts_of(given.folder, given.half))
    chance, tally = random.Random(given.seed), Tally()
    for number in range(given.pairs):
        name, text = texts[number % len(texts)]
        other = chance.choice([one for one in texts if one[0] != name])[1]
        pool = [LABEL.sub("", other[a:b], count=1) for a, b in blocks(other) if b - a < 1000] or ["The parties agree."]
        edits = [] if number % 5 == 0 else edited(text, pool, chance)
        new = applied(text, edits)
        again = number % 5 == 0 or number % 3 == 0
        tally.laid_out += again
        old, new_version = version(name, text), version(name, laid_out(new, chance) if again else new)
        began = time.process_time()
        compared = compare(old, new_version)
        tally.seconds.append(time.process_time() - began)
        judge(compared, edits, tally, f"{number} {name[:25]}{' laid out' if again else ''}")
    report(tally, len(texts), given.show)


def interval(hits: int, of: int) -> str:
    """The 95 % interval of a share (Wilson 1927)."""
    share, z = hits / of, 1.96
    middle, half = share + z * z / (2 * of), z * (share * (1 - share) / of + z * z / (4 * of * of)) ** 0.5
    return f"{(middle - half) / (1 + z * z / of):.3f} to {(middle + half) / (1 + z * z / of):.3f}"


def report(tally: Tally, texts: int, show: int) -> None:
    pairs, made = len(tally.false), sum(tally.made.values())
    print(f"{pairs} pairs of {texts} contracts, {tally.laid_out} laid out anew, {made} edits")
    for words, hits in (("found", tally.found), ("classed right", tally.right)):
        print(f"{words} {sum(hits.values()) / made:.3f} ({interval(sum(hits.values()), made)})")
    print(f"clause named right {tally.named} of {tally.numbered} changes of words in numbered clauses")
    chance = random.Random(1)
    means = sorted(sum(chance.choices(tally.false, k=pairs)) / pairs for _ in range(2000))
    print(
        f"false changes a pair {sum(tally.false) / pairs:.3f} ({means[50]:.2f} to {means[1949]:.2f}), "
        f"in {sum(map(bool, tally.false))} pairs; of form {sum(tally.form) / pairs:.2f}"
    )
    print(
        f"only laid out anew: {len(tally.only_layout)} pairs, a change of substance in "
        f"{sum(map(bool, tally.only_layout))}"
    )
    print(f"seconds of processor time a pair: mean {sum(tally.seconds) / pairs:.2f}, most {max(tally.seconds):.2f}")
    for kind in (*INLINE, *CLAUSES):
        if tally.made[kind]:
            print(f"  {kind:11}{tally.found[kind]:5} of {tally.made[kind]:4} found,{tally.right[kind]:5} classed right")
    for line in tally.examples[:show]:
        print(line)


if __name__ == "__main__":
    main()

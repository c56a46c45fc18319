"""Plant one fault at a time into contracts, and count how many the proofreader finds.

    python benchmarks/proofreading/plant.py [-v] CONTRACT...

Each contract gets up to three faults of each kind, each in a copy of its own. A fault counts as found if a finding of
its kind that the contract did not have before is on its words, or names them. Prints recall by kind, and how many
findings the contracts have as they are, on pages of 3,000 characters.
"""

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from localrag.diff.changes import Version
from localrag.redline import proofreading
from localrag.redline.versions import from_files
from localrag.settings import load_settings
from localrag.types import Page

EACH = 3
TERM = re.compile(r"[“\"]([A-Z][A-Za-z]+(?: [A-Z][a-z]+){0,2})[”\"]")
WORD = re.compile(r"\b(twenty|thirty|forty|sixty|ninety|ten|five|fifteen|two|three) \((\d{1,3})\)", re.I)
DAY = re.compile(r"\b(January|March|April|May|June|July|August|October|November|December) \d{1,2}, ((?:19|20)\d\d)")
REFERENCE = re.compile(r"(?<!\n)\b(?:Section|Article|Clause|Paragraph) (\d{1,2}(?:\.\d{1,2})*)")
EXHIBIT = re.compile(r"(?<=[a-z,] )(Exhibit|Schedule|Annex) ([A-Z]|\d)\b(?!\.\d)")


def planted(text: str, kind: str, dice: random.Random) -> Iterator[tuple[str, str]]:
    """Yield texts with one fault, and the words that a finding must have."""
    if kind == "reference":
        for one in sample(REFERENCE.finditer(text), dice):
            number = f"{one[1].rpartition('.')[0]}.{dice.randint(61, 94)}".lstrip(".")
            if one[1] in re.sub(REFERENCE, "", text):
                yield swap(text, one.span(1), number), number
    elif kind == "missing":
        for one in sample(EXHIBIT.finditer(text), dice):
            name = dice.choice("QRSTUV")
            yield swap(text, one.span(2), name), f"{one[1]} {name}"
    elif kind == "figure":
        for one in sample(WORD.finditer(text), dice):
            yield swap(text, one.span(2), str(int(one[2]) + dice.choice((1, 5, 10)))), one[1]
    elif kind == "blank":
        for one in sample(re.finditer(r"(?<=[a-z] )(?:\$\d[\d,]+|\d{1,2} days)\b", text), dice):
            blank = dice.choice(("[●]", "[TBD]", "________", "[insert amount]", "[ ]"))
            yield swap(text, one.span(), blank), blank
    elif kind == "date":
        for one in sample(DAY.finditer(text), dice):
            day = dice.choice((f"February 30, {one[2]}", f"June 31, {one[2]}", f"November 31, {one[2]}"))
            yield swap(text, one.span(), day), day
    elif kind == "numbering":
        for one in sample(re.finditer(r"(?m)^[ \t]*(\d{1,2}\.\d{1,2})\.? +(?=[A-Z])", text), dice):
            head, _, own = one[1].partition(".")
            after = f"{head}.{int(own) + 1}"
            if re.search(rf"(?m)^[ \t]*{re.escape(after)}\.? +[A-Z]", text[one.end() :]) and int(own) > 1:
                yield swap(text, one.span(1), f"{head}.{int(own) - 1}"), f"{head}."
    elif kind == "duty":
        for one in sample(re.finditer(r"(?<=[a-z]{3}\. )(?=[A-Z][a-z]+ [a-z]+ )", text), dice):
            what = dice.choice(("It shall be delivered", "Notice must be given", "The deposit shall be repaid"))
            yield swap(text, one.span(), f"{what} within ten (10) days. "), "be "
    elif kind == "party":
        for name in parties(text):
            uses = list(re.finditer(re.escape(name), text))[1:]
            for one in sample(iter(uses), dice):
                at = dice.randrange(4, len(name) - 4)
                wrong = name[:at] + name[at + 1 :] if name[at].isalpha() else name.replace(" ", "", 1)
                yield swap(text, one.span(), wrong), wrong
    else:
        used = (one for one in TERM.finditer(text) if len(re.findall(rf"\b{one[1]}\b", text)) > 5)
        defined = [one for one in used if one[1] != "Agreement"]
        for one in sample(iter(defined), dice):
            if kind == "undefined" and len(re.findall(rf"[“\"]{one[1]}s?[”\"]", text)) == 1:
                yield swap(text, one.span(), one[1].lower()), one[1]
            elif kind == "unused":
                yield swap(text, (one.start(), one.start()), "“Ancillary Materials” means all papers. "), "Ancillary"
            elif kind == "twice":
                line = text[one.start() : text.find("\n", one.end())]
                if re.match(rf"[“\"]{one[1]}[”\"] (?:shall )?means?\b", line):
                    yield f"{text}\n{line[:200]}\n", one[1]
            elif kind == "slip" and " " in one[1]:
                use = next((m for m in re.finditer(rf"(?<=the ){one[1]}\b", text) if m.start() > one.end()), None)
                if use:
                    at = dice.randrange(2, one[1].index(" "))
                    wrong = one[1][:at] + one[1][at + 1 :]
                    yield swap(text, use.span(), wrong), wrong


def parties(text: str) -> list[str]:
    from localrag.items import parties as found

    return [one.name for one in found.find(text) if len(one.name) > 12 and one.name in text]


def sample(found: Iterator[re.Match[str]], dice: random.Random) -> list[re.Match[str]]:
    every = list(found)
    dice.shuffle(every)
    return every[:EACH]


def swap(text: str, span: tuple[int, int], words: str) -> str:
    return text[: span[0]] + words + text[span[1] :]


KINDS = {
    "reference": "reference",
    "missing": "missing",
    "figure": "figure",
    "blank": "blank",
    "date": "date",
    "numbering": "numbering",
    "duty": "duty",
    "party": "party",
    "undefined": "term",
    "unused": "term",
    "twice": "term",
    "slip": "term",
}


def main() -> None:
    there, found, own = Counter[str](), Counter[str](), Counter[str]()
    pages = 0.0
    for name in [one for one in sys.argv[1:] if one != "-v"]:
        path = Path(name)
        read = from_files([path], load_settings())[path]
        text = "\n".join(page.text for page in read.pages)
        pages += len(text) / 3000
        own.update(one.kind for one in proofreading.proofread(read))
        plain = Version("plain", (Page(text),), "")
        before = {(one.kind, one.quote, one.reason) for one in proofreading.proofread(plain)}
        for kind, called in KINDS.items():
            for faulty, words in planted(text, kind, random.Random(f"{path.name}{kind}")):
                there[kind] += 1
                after = proofreading.proofread(replace(plain, pages=(Page(faulty),)))
                new = [one for one in after if (one.kind, one.quote, one.reason) not in before and one.kind == called]
                hit = any(words.casefold() in f"{one.quote} {one.reason}".casefold() for one in new)
                found[kind] += hit
                if not hit and "-v" in sys.argv:
                    print(path.name[:20], kind, words)
    for kind in KINDS:
        print(f"{kind:10} {found[kind]:4} of {there[kind]:4}  {found[kind] / max(1, there[kind]):.2f}")
    print(f"{sum(own.values())} findings on {pages:.0f} pages: {dict(own)}")


main()

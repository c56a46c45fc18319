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
IMPORTED = re.compile(r"(?i)\bcapitali[sz]ed terms\b[^.]{0,160}\b(?:meanings?|defined)\b")
MEANS = re.compile(r",?\s+(?:shall |will )?(?:mean|refer|has|have|is |are )")
OTHERS = re.compile(r"\s+(?:there(?:to|of)\b|(?:of|to) (?:the|that|such) (?:\w+ ){0,4}[A-Z]\w+)")
AMENDS = re.compile(r"\b(?:amended|deleted|replaced)\b[^.]{0,80}\b(?:as follows|to read|the following|in its entirety)")
EXHIBIT = re.compile(r"(?<=[a-z,] )(Exhibit|Schedule|Annex) ([A-Z]|\d)\b(?!\.\d)")


def planted(text: str, kind: str, dice: random.Random) -> Iterator[tuple[str, str]]:
    """Yield texts with one fault, and the words that a finding must have."""
    if kind == "reference":
        for one in sample((one for one in REFERENCE.finditer(text) if not is_foreign(text, one)), dice):
            number = f"{one[1].rpartition('.')[0]}.{dice.randint(61, 94)}".lstrip(".")
            if one[1] in re.sub(REFERENCE, "", text):
                yield swap(text, one.span(1), number), number
    elif kind == "missing":
        for one in sample((one for one in EXHIBIT.finditer(text) if not is_foreign(text, one)), dice):
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
            after, before = (f"{head}.{int(own) + step:0{len(own)}}" for step in (1, -1))  # 3.08
            if re.search(rf"(?m)^[ \t]*{re.escape(after)}\.? +[A-Z]", text[one.end() :]) and int(own) > 1:
                yield swap(text, one.span(1), before), f"{head}."
    elif kind == "party":
        for name in parties(text):
            uses = list(re.finditer(re.escape(name), text))[1:]
            for one in sample(iter(uses), dice):
                at = dice.randrange(4, len(name) - 4)
                wrong = name[:at] + name[at + 1 :] if name[at].isalpha() else name.replace(" ", "", 1)
                yield swap(text, one.span(), wrong), wrong
    elif kind in ("undefined", "short name"):
        for one in sample((one for one in TERM.finditer(text) if is_lost(text, one, kind)), dice):
            yield without(text, one), one[1]
    else:
        used = (one for one in TERM.finditer(text) if len(re.findall(rf"\b{one[1]}\b", text)) > 5)
        defined = [one for one in used if one[1] != "Agreement"]
        for one in sample(iter(defined), dice):
            if kind == "unused":
                yield swap(text, (one.start(), one.start()), "“Ancillary Materials” means all papers. "), "Ancillary"
            elif kind == "twice":
                line = text[one.start() : text.find("\n", one.end())]
                if re.match(rf"[“\"]{one[1]}[”\"] (?:shall )?means?\b", line):
                    yield f"{text}\n{line[:200]}\n", one[1]
            elif kind == "slip" and one[1].find(" ") > 2:
                use = next((m for m in re.finditer(rf"(?<=the ){one[1]}\b", text) if m.start() > one.end()), None)
                if use:
                    at = dice.randrange(2, one[1].index(" "))
                    wrong = one[1][:at] + one[1][at + 1 :]
                    yield swap(text, use.span(), wrong), wrong


def is_foreign(text: str, one: re.Match[str]) -> bool:
    """Return whether a part may belong to another document: it says so, or the text amends or quotes one."""
    before = text[max(0, one.start() - 3000) : one.start()]
    if AMENDS.search(text):
        return True
    return OTHERS.match(text, one.end()) is not None or before.rfind("“") > before.rfind("”")


def is_lost(text: str, one: re.Match[str], kind: str) -> bool:
    """Return whether a term has no meaning left without its definition: no other form, place or document gives it.

    A short name of somebody ("Kaplan" for Kaplan, Inc.) is a kind of its own.
    """
    if len(re.findall(rf"\b{one[1]}\b", text)) <= 5 or one[1].title() == "Agreement" or IMPORTED.search(text):
        return False
    if len(re.findall(rf"(?i:this) {one[1]}\b", text)) * 2 > len(re.findall(rf"\b{one[1]}\b", text)):
        return False  # the document itself
    stem = re.sub(r"(?i)(?:y|ies|s)$", "", one[1])
    if len(re.findall(rf"(?i)[“\"](?:the )?{stem}(?:y|ies|e?s)?[,.]?[”\"]", text)) > 1:
        return False
    before, after = text[max(0, one.start() - 120) : one.start()], text[one.end() : one.end() + 40]
    in_brackets = before.rfind("(") > before.rfind(")")
    short = in_brackets and re.search(rf"(?i:\b{one[1]}\b)[^\n]*\Z", before.replace(one[1].lower(), "")) is not None
    return (in_brackets or MEANS.match(after) is not None) and short == (kind == "short name")


def without(text: str, one: re.Match[str]) -> str:
    """Return a text without a definition: its brackets, its sentence, or, where others stand there, its capitals."""
    for whole in (*re.finditer(r"\([^()\n]{0,200}\)", text), *re.finditer(r"[“\"][^.\n]{0,400}\.(?=\s)", text)):
        if whole.start() <= one.start() and one.end() <= whole.end() and len(re.findall(r"[“\"]", whole[0])) < 3:
            return swap(text, whole.span(), "")
    return swap(text, one.span(), one[1].lower())


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
    "party": "party",
    "undefined": "term",
    "short name": "term",
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

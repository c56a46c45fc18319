"""How near must words be to a text to be taken for a quote of it? True quotes, altered, against other texts' sentences.

    python benchmarks/quotes.py [FOLDER] [--quotes 300]

FOLDER holds text files (.txt, .md); without one it is docs/. Sentences are taken from them by chance (seeded) and
altered in ways that change nothing (a typing mistake, an article left out, an inflection, a line end) and in
ways that do (a digit, a negation, another word, another name); sentences of other documents are there nowhere. Printed
is the share that is taken for a quote at each threshold: it should be high for the first, and none for the others.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Callable
from pathlib import Path

from localrag.grounding.locate import Folded, fold, locate, nearest
from localrag.store.text_analysis import sentences

THRESHOLDS = (80.0, 85.0, 90.0, 95.0)
Change = Callable[[str, random.Random, list[str]], str | None]


def typing(text: str, dice: random.Random, _: list[str]) -> str | None:
    words = list(re.finditer(r"[a-z]{7,}", text))
    if not words:
        return None
    word = dice.choice(words)
    at = word.start() + dice.randrange(2, len(word[0]) - 3)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :] if text[at] != text[at + 1] else None


def article(text: str, dice: random.Random, _: list[str]) -> str | None:
    found = list(re.finditer(r" (?:the|a|an|der|die|das|el|la) ", text))
    return text[: (one := dice.choice(found)).start()] + " " + text[one.end() :] if found else None


def inflection(text: str, dice: random.Random, _: list[str]) -> str | None:
    found = list(re.finditer(r"(?<= )[a-z]{5,}(?<!s)(?= )", text))
    return text[: (one := dice.choice(found)).end()] + "s" + text[one.end() :] if found else None


def line_end(text: str, dice: random.Random, _: list[str]) -> str | None:
    found = list(re.finditer(r"[a-z]{8,}", text))
    return text[: (one := dice.choice(found)).start() + 4] + "-\n" + text[one.start() + 4 :] if found else None


def digit(text: str, dice: random.Random, _: list[str]) -> str | None:
    found = list(re.finditer(r"\d", text))
    if not found:
        return None
    one = dice.choice(found)
    return text[: one.start()] + str((int(one[0]) + dice.randrange(1, 9)) % 10) + text[one.end() :]


def negation(text: str, dice: random.Random, _: list[str]) -> str | None:
    found = list(re.finditer(r" (?:not|no|nicht|kein|keine|never|sin) ", text))
    if found:
        return text[: (one := dice.choice(found)).start()] + " " + text[one.end() :]
    gap = list(re.finditer(r" (?:is|are|was|were|shall|will|may|ist|sind|wird) ", text))
    return text[: (one := dice.choice(gap)).end()] + "not " + text[one.end() :] if gap else None


def other_word(text: str, dice: random.Random, words: list[str]) -> str | None:
    found = list(re.finditer(r"(?<= )[a-z]{5,}(?= )", text))
    if not found:
        return None
    one = dice.choice(found)
    new = dice.choice(words)
    return text[: one.start()] + new + text[one.end() :] if new[:3] != one[0][:3] else None


def other_name(text: str, dice: random.Random, _: list[str]) -> str | None:
    found = list(re.finditer(r"(?<=[a-z] )[A-Z][a-z]{3,}", text))
    name = dice.choice(("Quentin", "Ostrander", "Kessler", "Marlowe"))
    return text[: (one := dice.choice(found)).start()] + name + text[one.end() :] if found else None


HARMLESS: dict[str, Change] = {
    "a typing mistake": typing,
    "an article left out": article,
    "an inflection": inflection,
    "a line end": line_end,
}
HARMFUL: dict[str, Change] = {
    "a digit": digit,
    "a negation": negation,
    "another word": other_word,
    "another name": other_name,
}


def score(words: str, text: Folded, whole: str) -> float:
    """100 where the words stand there exactly, else the ratio at which they are found nearly, 0 where they are not."""
    if locate(words, whole) is not None:
        return 100.0
    near = nearest(words, text)
    return min(near[0], 99.9) if near else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).parents[1] / "docs")
    parser.add_argument("--quotes", type=int, default=300)
    given = parser.parse_args()
    dice = random.Random(27)
    files = sorted(path for path in given.folder.rglob("*") if path.suffix in (".txt", ".md"))
    texts = [
        path.read_text(encoding="utf-8", errors="replace")[:60_000] for path in dice.sample(files, min(40, len(files)))
    ]
    folded = [fold(text) for text in texts]
    words = sorted({word for text in texts for word in re.findall(r"\b[a-z]{5,12}\b", text)})
    scores: dict[str, list[float]] = {}
    for _ in range(given.quotes):
        number = dice.randrange(len(texts))
        spans = [span for span in sentences(texts[number]) if 40 <= span[1] - span[0] <= 300]
        if not spans:
            continue
        start, end = dice.choice(spans)
        true = texts[number][start:end].rstrip(".")
        for name, change in {**HARMLESS, **HARMFUL}.items():
            altered = change(true, dice, words)
            if altered is not None and altered != true:
                scores.setdefault(name, []).append(score(altered, folded[number], texts[number]))
        other = (number + 1) % len(texts)
        if true not in texts[other]:
            scores.setdefault("of another document", []).append(score(true, folded[other], texts[other]))
    print(f"{'altered by':24}{'tried':>7}" + "".join(f"{f'>= {least:.0f}':>9}" for least in THRESHOLDS))
    for name, found in scores.items():
        shares = "".join(f"{100 * sum(one >= least for one in found) / len(found):8.1f}%" for least in THRESHOLDS)
        print(f"{name:24}{len(found):7}{shares}")


if __name__ == "__main__":
    main()

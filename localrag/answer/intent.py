"""What kind of question it is, by its words (pure): about one fact, about a text as a whole, or about each document.

Rules, not a model: they cost nothing and can be read. Where none fits and yet the question speaks of documents in the
plural, `sure` is False, and the caller may ask the model. Limits: English is known best; of German, French and Spanish
only the plainest forms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from localrag.quantities import lazy_re, load_patterns

Kind = Literal["look-up", "existence", "summary", "compare", "whole", "each"]

_PATTERNS = load_patterns("localrag.answer", "intent.txt")
_SUMMARY, _ALL_OF_IT, _COMPARE, _WHOLE, _EACH, _EXISTENCE, _PLURAL, _WORKED_OUT, _EXPLANATION, _FIGURE = (
    lazy_re("|".join(_PATTERNS[name]), re.I)
    for name in (
        "summary",
        "all_of_it",
        "compare",
        "whole",
        "each",
        "existence",
        "plural",
        "worked_out",
        "explanation",
        "figure",
    )
)


@dataclass(frozen=True, slots=True)
class Intent:
    """The kind of a question and the words that show it.

    "look-up" asks for one fact, "existence" whether something is there; "summary", "compare" and "whole" need the whole
    text; "each" asks every document on its own.
    """

    kind: Kind
    words: str = ""
    sure: bool = True


def of(question: str) -> Intent:
    """Return the kind of a question, by the first rule that fits."""
    text = " ".join(question.split())
    if each := _EACH.search(text):
        # "Summarise every chapter" is a summary of each, which a survey makes too.
        return Intent("each", _words(each))
    if (summary := _SUMMARY.search(text)) is not None:
        rest = text[summary.end() :] if summary["verb"] else text
        return Intent("summary" if _ALL_OF_IT.search(rest) else "whole", _words(summary))
    if compare := _COMPARE.search(text):
        return Intent("compare", _words(compare))
    if whole := _WHOLE.search(text):
        return Intent("whole", _words(whole))
    sure = not _PLURAL.search(text)
    return Intent("existence" if _EXISTENCE.match(text) else "look-up", sure=sure)


def explains(question: str) -> bool:
    """Return whether a question asks for everything that the text says about something."""
    text = " ".join(question.split())
    found = _EXPLANATION.search(text)
    return found is not None and not (found[0].lower().startswith("what") and _FIGURE.search(text))


def needs_reasoning(question: str) -> bool:
    """Return whether an answer has to be worked out, so that a model that can reason first should."""
    return of(question).kind == "compare" or bool(_WORKED_OUT.search(" ".join(question.split())))


def _words(match: re.Match[str]) -> str:
    return re.sub(r"^(?:please|you|to|and|then|also|me)\s+", "", match[0].strip(" ,.;:!?"), flags=re.I)

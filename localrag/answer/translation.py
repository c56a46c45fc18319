"""An answer in another language than its documents, tied to them by the same answer in theirs (pure).

Words that support a claim cannot be found by looking for them where the claim is German and the text English. So the
model is asked the same once more, in the language of the documents; that answer is cited like any other, and what
supports a sentence of it is given to the sentence that stands in its place. What a reader is shown rests on the
original text, then; that the two answers say the same is taken from the model, and said. Figures and dates are
compared with the quotes in any language .

Limits: languages are told by their commonest words, so an answer of a few words without any is taken to be in the
language of the documents; where the two answers have not as many sentences, all citations stand behind the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from localrag.answer.verify.citations import Cited, cite
from localrag.store.sentences import sentences
from localrag.store.text_analysis import COMMON
from localrag.types import Flag, Passage

# Least share of the words of a text that are a language's commonest, and fewest of them.
_LEAST_SHARE, _FEWEST = 0.15, 2
_SAMPLE = 2000
_LATIN_ENDS = "\u0250"
_MARKER = re.compile(r"\[\d{1,3}\]")


@dataclass(frozen=True, slots=True)
class Languages:
    """The language of an answer ("" where only its script is known to differ), and that of its documents."""

    answer: str
    documents: str

    @property
    def flag(self) -> Flag:
        own, theirs = self.answer.capitalize() or "another script", self.documents.capitalize()
        return Flag(
            "language", own,
            f"the documents are in {theirs}: what is cited was found for the same answer in {theirs}, and of these "
            "words only figures, dates and names could be compared with it",
        )  # fmt: skip


def differing(answer: str, passages: Sequence[Passage]) -> Languages | None:
    """The languages of an answer and of its documents, where they plainly differ."""
    text = " ".join(passage.text[:_SAMPLE] for passage in passages)
    theirs = _told(text)
    own = _told(answer)
    if not theirs or own == theirs:
        return None
    if own:
        return None if _share(answer, theirs) * 2 > _share(answer, own) else Languages(own, theirs)
    written = any(letter.isalpha() for letter in answer)  # a figure alone is in no script
    return Languages("", theirs) if written and _latin(answer) < 0.5 < _latin(text) else None


def _told(text: str) -> str:
    """The language of a text; empty where none stands out."""
    best = max(COMMON, key=lambda name: _share(text, name))
    words = re.findall(r"[^\W\d_]+", text.lower())
    plain = sum(word in COMMON[best] for word in words) >= _FEWEST and _share(text, best) >= _LEAST_SHARE
    return best if plain else ""


def _share(text: str, language: str) -> float:
    words = re.findall(r"[^\W\d_]+", text.lower())
    return sum(word in COMMON[language] for word in words) / max(1, len(words))


def _latin(text: str) -> float:
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter < _LATIN_ENDS for letter in letters) / max(1, len(letters))


def carried(answer: str, twin: str, question: str, passages: Sequence[Passage]) -> Cited:
    """An answer with the citations of the same answer in the language of the documents.

    Args:
        answer: as it is shown; markers of its own say nothing.
        twin: what the model answers in the language of the documents; empty where it gave nothing.
        question: its words help to tell two places apart that support the twin equally.
        passages: what the model was shown.
    """
    plain = _unmarked(answer)
    ours = [plain[start:end] for start, end in sentences(plain)]
    cited = cite(twin, question, passages) if twin.strip() else Cited("", (), 0, ())
    if not cited.citations:
        return Cited(plain, (), 0, tuple(ours))
    theirs = [cited.text[start:end] for start, end in sentences(cited.text)]
    if len(ours) != len(theirs):
        marks = [""] * (len(ours) - 1) + ["".join(f"[{citation.marker}]" for citation in cited.citations)]
        return Cited(_joined(ours, marks), cited.citations, 0, ())
    marks = ["".join(dict.fromkeys(_MARKER.findall(sentence))) for sentence in theirs]
    weak = {_unmarked(sentence) for sentence in cited.unsupported}
    unsupported = [own for own, sentence in zip(ours, theirs, strict=True) if _unmarked(sentence) in weak]
    return Cited(_joined(ours, marks), cited.citations, 0, tuple(unsupported))


def _unmarked(text: str) -> str:
    return " ".join(re.sub(rf"\s*{_MARKER.pattern}", "", text).split())


def _joined(claims: Sequence[str], marks: Sequence[str]) -> str:
    return " ".join(_with_marks(*pair) for pair in zip(claims, marks, strict=True))


def _with_marks(claim: str, marks: str) -> str:
    if not marks:
        return claim
    stop = claim[-1] if claim[-1] in ".!?" else ""
    return f"{claim.removesuffix(stop)} {marks}{stop}"

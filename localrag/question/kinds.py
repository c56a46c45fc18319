"""What kind of answer a question wants, told by a linear classifier of its words; no model is loaded.

Names, numbers, years and nouns for documents count by what they are, not by which, so that the weights fit any library.
They were trained by benchmarks/question_kinds.py (docs/decisions/0059-question.md). Limits: English is known best; of
German, French and Spanish only the plainest forms.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, cast, get_args

from localrag.quantities import load_words, phrases

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Weights = NDArray[np.float32]

# "look-up" asks for one fact, "existence" whether something is there, "calculation" for a figure that no text states,
# "list" for several things; "summary", "compare" and "whole" need the whole text; "each" asks every document.
Kind = Literal["look-up", "existence", "calculation", "list", "summary", "compare", "whole", "each"]
# What an answer is: a value of a type, a few words of the text, or an explanation in sentences.
Value = Literal[
    "date", "duration", "money", "share", "number", "party", "person", "place", "yes or no", "words", "explanation"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
VALUES: tuple[Value, ...] = get_args(Value)

_NOUNS = load_words("localrag.question", "words.toml")["documents"].split()
# The singular of each noun for a document: "policies" is "policy".
SINGULAR = {form: noun for noun in _NOUNS for form in (noun, noun[:-1] + "ies" if noun[-1] == "y" else noun + "s")}
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d[\d.,]*|[%$€?&/+:-]")
_YEAR = re.compile(r"(?:19|20)\d\d")
_MAX_CHARACTERS = 1000
(_POLITE,) = phrases("localrag.question", "kinds", "polite")
# The least share of words that the classifier knows: of English questions 95 % have more, of Spanish ones 6 %.
_MIN_KNOWN = 0.4
_EACH_UNNAMED = 0.9  # without a noun for documents: "Which of our cases were settled?"
# Nouns for documents in other languages, by which a question may ask each of them.
_FOREIGN = frozenset(load_words("localrag.question", "words.toml")["foreign_documents"].split())


class _Model(NamedTuple):
    """The row of each feature, and the weights of the kinds and of the values behind them, the last row the bias."""

    rows: dict[str, int]
    weights: Weights  # (features + 1, kinds + values)


def tell(question: str) -> tuple[dict[Kind, float], dict[Value, float]]:
    """Return the probability of each kind of question, and of each kind of value that it asks for.

    A question in words that are not known is a look-up, and one that names no documents hardly asks each of them.
    """
    import numpy as np

    model = _load()
    known = [model.rows[feature] for feature in features(question) if feature in model.rows]
    scores = model.weights[known].sum(0) / max(1, len(known)) ** 0.5 + model.weights[-1]

    def shares(part: Weights) -> list[float]:
        powers = np.exp(part - part.max())
        return cast("list[float]", (powers / powers.sum()).tolist())

    kinds = dict(zip(KINDS, shares(scores[: len(KINDS)]), strict=True))
    values = dict(zip(VALUES, shares(scores[len(KINDS) :]), strict=True))
    words = _words(question[:_MAX_CHARACTERS])
    plain = [word for word in words if word.isalpha() and not word.isupper()]
    understood = sum(word in model.rows for word in plain) >= _MIN_KNOWN * len(plain)
    documents = not {"DOCUMENT", "DOCUMENTS"}.isdisjoint(words) or not _FOREIGN.isdisjoint(question.lower().split())
    if not documents and (not understood or kinds["each"] < _EACH_UNNAMED):
        kinds["each"] = 0.0
    if not understood and kinds["each"] < 0.5:
        kinds = dict.fromkeys(KINDS, 0.0) | {"look-up": 1.0}
    return kinds, values


def features(question: str) -> set[str]:
    """Return the words of a question and its pairs of words, also by whether they begin or end it."""
    words = _words(question[:_MAX_CHARACTERS])
    pairs = {f"{one} {other}" for one, other in pairwise(words)}
    return {*words, *pairs, f"^{' '.join(words[:1])}", f"^{' '.join(words[:2])}", f"{' '.join(words[-1:])}$"}


def bare(question: str) -> str:
    """Return a question without "please", "can you tell me" and the like in front of it."""
    while polite := _POLITE.match(question):
        question = question[polite.end() :]
    return question


def _words(question: str) -> list[str]:
    question, words = bare(question), list[str]()
    for match in _TOKEN.finditer(question):
        word, before = match[0], question[: match.start()].rstrip(" \"'“‘(")
        if word[0].isdigit():
            words.append("YEAR" if _YEAR.fullmatch(word) else "NUMBER")
        elif (noun := SINGULAR.get(word.lower())) is not None:
            words.append("DOCUMENT" if noun == word.lower() else "DOCUMENTS")
        elif word[0].isupper() and before and before[-1] not in ".?!:":
            if words[-1:] != ["NAME"]:
                words.append("NAME")
        else:
            words.append(word.lower())
    return words


@cache
def _load() -> _Model:
    import numpy as np

    with resources.files("localrag.question").joinpath("kinds.npz").open("rb") as stream:
        data = np.load(stream, allow_pickle=False)
        names = bytes(data["features"]).decode().split("\n")
        weights = data["weights"].astype(np.float32) * data["scale"]
    return _Model({name: row for row, name in enumerate(names)}, weights)

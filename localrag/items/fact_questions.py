"""Tell whether a question asks for a fact of a document, and for which: a linear head on the sentence encoder's vector.

A question with a word that no question for this fact had in training, and that does not name the document, may ask for
something else ("When does the exclusivity end?"), so it is told as none. Trained by benchmarks/facts/questions.py,
which prints its figures. Limits: English.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, cast

from localrag.items.item import Item, Stated
from localrag.items.parties import P
from localrag.items.values import Type, Value
from localrag.quantities import MONTHS
from localrag.question.kinds import SINGULAR
from localrag.store.library import Library
from localrag.store.locations import place_at
from localrag.store.text_analysis import FALLBACK, WORDS, stem
from localrag.types import Citation, Document, Fact

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localrag.embeddings.sentence_encoder import SentenceEncoder

    Weights = NDArray[np.float32]

SEVERAL = ("party", "signatory")
_TYPES: dict[str, tuple[Type, ...]] = {
    **dict.fromkeys(("signed", "effective", "start", "end", "date", "period", "in force", "updated"), ("date",)),
    **dict.fromkeys(("term", "renewal", "non-renewal notice", "termination notice", "payment"), ("duration",)),
}
_LABELS = frozenset(re.findall(r"[a-z]{5,}", P["label"].pattern)) - {"label", "party", "parties"}
_NEAR = 2000  # characters between quotes that are shown as one
_WORD = re.compile(r"[^\W\d_]{3,}")
QUOTED = re.compile(r"[“\"][^”\"]{3,200}[”\"]")
_COMMON = frozenset(WORDS["common"]["english"].split())
# The columns of the weights; "none" is every other question.
ROLES = (
    *("party", "signed", "effective", "start", "end", "term", "renewal", "non-renewal notice", "termination notice"),
    *("payment", "law", "courts", "signatory", "sender", "date", "company", "period", "version"),
    *("in force", "updated", "owner", "none"),
)
THRESHOLD = 0.6  # the least probability of a role that is told


def tell(question: str, encoder: SentenceEncoder) -> str:
    """Return the role of the fact that a question asks for; "" where it asks for none, or it is not sure."""
    # A name in quotation marks would tell more than the words around it.
    told = shares(encoder.question(QUOTED.sub("it", question))[None], _load()[0])[0]
    best = int(told.argmax())
    return ROLES[best] if told[best] >= THRESHOLD and ROLES[best] != "none" else ""


def others(question: str, role: str) -> set[str]:
    """Return the words of a question, in small letters, that no question for this fact had in training."""
    known = _load()[1][role]
    return {word for word in words(question) if stem(word, FALLBACK) not in known}


def words(question: str) -> list[str]:
    """Return the words of a question in small letters, without the commonest ones, figures and months."""
    found = [word.casefold() for word in _WORD.findall(question)]
    return [word for word in found if word not in _COMMON and word not in MONTHS]


def shares(vectors: Weights, weights: Weights) -> Weights:
    """Return the probability of each role for vectors of shape (questions, dimension)."""
    import numpy as np

    scores = vectors @ weights[:-1] + weights[-1]
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return cast("Weights", powers / powers.sum(1, keepdims=True))


@cache
def _load() -> tuple[Weights, dict[str, frozenset[str]]]:
    """Return the weights, of shape (dimension + 1, roles), and the stems of the words of each role's questions."""
    import numpy as np

    with resources.files("localrag.items").joinpath("fact_questions.npz").open("rb") as stream:
        data = np.load(stream, allow_pickle=False)
        known = json.loads(bytes(data["words"]))
        return data["weights"].astype(np.float32), {role: frozenset(own) for role, own in known.items()}


def answering(facts: Sequence[Fact], question: str, role: str) -> list[Fact]:
    """Return the clear facts in a role that answer a question: of parties those whose term it has ("the landlord")."""
    found = [one for one in facts if one.role == role and one.clear]
    asked = _LABELS & set(words(question))
    if role != "party" or not asked:
        return found if role in SEVERAL else found[:1]
    return [one for one in found if not asked.isdisjoint(word for term in one.terms for word in words(term))]


def stated(items: Sequence[Item], pair: tuple[Library, Document], encoder: SentenceEncoder) -> dict[Item, Stated]:
    """Return the value of each item that asks for a fact of a document which is clear, in the words of its quote."""
    library, document = pair
    roles = {item: role for item in items if item.type != "yes/no" and (role := _asked_by(item, encoder))}
    facts = library.facts([document.id]).get(document.id, ()) if roles and document.language == FALLBACK else ()
    found = {}
    for item, role in roles.items():
        own = answering(facts, item.question, role)
        words = "; ".join(one.value if one.role in ("party", "law", "courts") else one.words for one in own)
        value = Value("party", words, words) if words and item.type == "party" else item.read(words) if words else None
        if value is not None and (at := cited(library, document, own)):
            found[item] = Stated(value, at)
    return found


@lru_cache(1000)
def _asked_by(item: Item, encoder: SentenceEncoder) -> str:
    role = tell(item.question, encoder)
    fits = _TYPES.get(role, ("text", "party"))
    return role if role and item.type in ("text", *fits) and others(item.question, role) <= SINGULAR.keys() else ""


def cited(library: Library, document: Document, facts: Sequence[Fact]) -> Citation | None:
    """Return the text from the first to the last quote of facts on one page; None where it no longer stands there."""
    page = next((page for page in library.pages(document.id) if facts and page.number == facts[0].page), None)
    own = [one for one in facts if page and one.quote and page.text[one.start : one.end] == one.quote]
    own = [one for one in own if one.page == own[0].page and abs(one.start - own[0].start) < _NEAR]
    if not own or page is None:
        return None
    start, end = min(one.start for one in own), max(one.end for one in own)
    place = place_at(page, start, end)
    quote = page.text[start:end]
    return Citation(library.name, document.path, page.number, page.label, place, quote, start, end, 1, unit=page.unit)

"""Questions for a kind of clause: recognise them, and tell by code how likely a contract has the clause.

A question is for a kind of clause if it names the clause, or if its vector is near that of a text for the kind: an item
of the playbook `cuad`, or a text in search/clauses.toml. How likely the document has the clause is then what a review
takes it for (evidence.py). English only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from localrag.grounding.citations import terms
from localrag.grounding.stages import Pair
from localrag.quantities import load_words
from localrag.question.each import topic_of
from localrag.search.retrieval import Searcher
from localrag.store.text_analysis import FALLBACK

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localrag.embeddings import EmbedderIdentity
    from localrag.items.evidence import Clauses
    from localrag.items.item import Item
    from localrag.store.library import Library

    Rows = NDArray[np.float32]

# The least cosine to a text of the kind, and the least without what all texts have in common.
_MIN_COSINE, _MIN_APART = 0.6, 0.4
_CLAUSE = terms("clauses provisions")


class _Known(NamedTuple):
    """What the texts are of, their vectors of shape (texts, dimension), and the mean of these."""

    items: list[Item]
    vectors: Rows
    common: Rows


class ClauseQuestions:
    """Keeps the vectors of the texts, one set for each embedder. Use it from one thread."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher
        self._known: dict[EmbedderIdentity, _Known] = {}
        self._asked: dict[tuple[EmbedderIdentity, str], Rows] = {}
        self._clauses: tuple[Library, Clauses] | None = None

    def clauses(self, library: Library) -> Clauses:
        """Return what looks for clauses in the documents of a library; it is kept for the last library."""
        if self._clauses is None or self._clauses[0] is not library:
            from localrag.items.evidence import Clauses

            self._clauses = library, Clauses(library, self._searcher)
        return self._clauses[1]

    def odds(self, question: str, pair: Pair) -> float | None:
        """Return the log odds that a document has the clause asked for.

        None where the question is for no kind of clause, or the document has no text or is not in English.
        """
        library, document = pair
        item = self.item(question, library) if document.language == FALLBACK else None
        found = self.clauses(library).evidence(item, pair, 1) if item is not None else None
        return found.odds if found is not None and found.passages else None

    def item(self, question: str, library: Library) -> Item | None:
        """Return the kind of clause that a question is for, as an item; None where it is for none."""
        embedder = self._searcher.embedder(library)
        if library.identity not in self._known:
            texts = _texts()
            vectors = embedder.embed_documents([text for text, _ in texts])
            self._known[library.identity] = _Known([item for _, item in texts], vectors, vectors.mean(0))
        items, vectors, common = self._known[library.identity]
        if (by_name := next((item for item in items if named(question, item)), None)) is not None:
            return by_name
        asked = self._asked.get((library.identity, question))
        if asked is None:  # the same for all documents of a survey
            asked = embedder.embed_question(question)
            self._asked = {(library.identity, question): asked}
        own = _apart(vectors, common) @ _apart(asked, common)
        best = int(own.argmax())
        near = embedder.nearness(vectors[best] @ asked)
        return items[best] if near >= _MIN_COSINE and own[best] >= _MIN_APART else None


def named(question: str, kind: Item) -> bool:
    """Return whether a question asks for a kind of clause by its name alone, or with words of the kind's own question.

    "Does this contract require insurance?" does; "Can it be assigned?" does not ask whether that is forbidden.
    """
    asked, own = terms(topic_of(question)) - _CLAUSE, terms(f"{kind.title} {kind.question}")
    names = [terms(name) for name in (kind.title, *kind.headings) if name]
    first, its = question.split()[:1], kind.question.split()[:1]
    alike = first == its and asked <= own and any(name <= asked for name in names)
    return kind.type == "yes/no" and (alike or (first == ["Does"] and asked in names))


def _apart(vectors: Rows, common: Rows) -> Rows:
    """Return unit vectors without what the texts of all kinds have in common."""
    import numpy as np

    rest = vectors - common
    apart: Rows = rest / np.maximum(np.linalg.norm(rest, axis=-1, keepdims=True), 1e-9)
    return apart


def _texts() -> list[tuple[str, Item]]:
    """Return what questions are compared with, each with the item of its kind of clause."""
    from localrag.items import playbook
    from localrag.items.item import Item

    texts = [(f"{item.title}. {item.question}", item.asked) for item in playbook.load("cuad").items]
    for kind, own in load_words("localrag.search", "clauses.toml")["texts"].items():
        item = Item(id=kind, question=own[0], like=tuple(own[1:]), clause=kind)
        texts += [(text, item) for text in own]
    return texts

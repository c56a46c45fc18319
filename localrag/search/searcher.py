"""Open libraries, and the search over them: what is dear to load for it is kept from one question to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from localrag import embeddings
from localrag.embeddings import Embedder, EmbedderIdentity
from localrag.search import reranking, retrieval
from localrag.search.reranking import Reranker
from localrag.settings import Settings
from localrag.store.library import Library, open_library
from localrag.types import Filter, Passage


class Searcher:
    """Holds the embedders, the reranker and the open libraries that searches need. For one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._embedders: dict[EmbedderIdentity, Embedder] = {}
        self._reranker: Reranker | None = None
        self._libraries: dict[str, Library] = {}

    def library(self, name: str) -> Library:
        """An open library, for reading."""
        if name not in self._libraries:
            self._libraries[name] = open_library(self._settings, name)
        return self._libraries[name]

    def find(
        self, libraries: Sequence[Library], question: str, k: int, documents: Filter | Sequence[str] | None, *,
        document_ids: Sequence[int] | None = None, join: bool = False,
    ) -> list[Passage]:  # fmt: skip
        """The k best passages, in the order of the reranker where the settings name one.

        Raises:
            NotFoundError: the globs or the filter let nothing through.
        """
        method = retrieval.Method(self._settings.fusion, self._settings.dense_weight)
        if self._reranker is None:
            self._reranker = reranking.load_reranker(self._settings)
        wanted = k if self._reranker is None else max(k, reranking.CANDIDATES)
        with self._held(libraries) as embedders:
            hits = retrieval.search(
                libraries, embedders, question, k=wanted, documents=documents, document_ids=document_ids,
                method=method, join=join,
            )  # fmt: skip
        return hits if self._reranker is None else reranking.rerank(question, hits, self._reranker)[:k]

    @contextmanager
    def _held(self, libraries: Sequence[Library]) -> Iterator[dict[str, Embedder]]:
        """One generation of each library, and who made its vectors; loading takes seconds, in which they may change."""
        with ExitStack() as stack:
            for library in libraries:
                stack.enter_context(library.snapshot())
            yield {library.name: self._embedder(library.identity) for library in libraries}

    def _embedder(self, identity: EmbedderIdentity) -> Embedder:
        if identity not in self._embedders:
            self._embedders[identity] = embeddings.load_embedder(self._settings, identity)
        return self._embedders[identity]

    def close(self) -> None:
        """Give the files of the libraries back."""
        for library in self._libraries.values():
            library.close()
        self._libraries = {}

    def configure(self, settings: Settings) -> None:
        """Search with other settings from now on."""
        self._settings, self._reranker = settings, None

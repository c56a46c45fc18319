"""Make new vectors or chunks for a library from its stored text; the documents' files are not needed.

New vectors are staged as they come, so that a stopped or killed run resumes where it was. Searches use the old ones
until one transaction replaces them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from localrag.errors import Cancelled
from localrag.ingest import chunking
from localrag.store.writer import CHUNKING_VERSION, Editor, passage_digest
from localrag.types import Chunk, Document, Page

if TYPE_CHECKING:
    from localrag.embeddings import Embedder

_BATCH = 128
_RESUME = "Run the same command again to resume."


def renew(
    library: Editor,
    embedder: Embedder,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
    give_way: Callable[[], None] = lambda: None,
) -> int:
    """Chunk all stored text again and embed what has no vector of this embedder; returns the number of passages.

    If `stop` returns True, it raises Cancelled: the old chunks and vectors stay in use, and the next run resumes.
    """
    purpose = json.dumps([embedder.identity.to_dict(), CHUNKING_VERSION])
    if library.identity == embedder.identity:
        library.stage_present(purpose)
    staged = library.staged(purpose)
    total, done = library.counts()["characters"], 0
    waiting: dict[bytes, str] = {}
    passages: set[bytes] = set()

    def flush() -> None:
        try:
            vectors = embedder.embed_documents(list(waiting.values()), stop=stop)
        except Cancelled as error:
            raise Cancelled("stopped while embedding; the old vectors stay in use", _RESUME) from error
        library.stage(purpose, dict(zip(waiting, vectors, strict=True)))
        staged.update(waiting)
        waiting.clear()
        give_way()

    for document, _, chunks in _chunked(library, embedder):
        if stop():
            raise Cancelled("stopped; the old vectors stay in use", _RESUME)
        for chunk in chunks:
            key = passage_digest(document.title, chunk)
            passages.add(key)
            if key not in staged:
                waiting[key] = chunking.embedded_text(document.title, chunk)
        done += document.characters
        if len(waiting) >= _BATCH:
            flush()
            progress(done, total)
    if waiting:
        flush()
    progress(total, total)
    library.replace_chunks(embedder.identity, _chunked(library, embedder))
    library.save_index()
    return len(passages)


def _chunked(library: Editor, embedder: Embedder) -> Iterator[tuple[Document, list[Page], list[Chunk]]]:
    for document in library.documents():
        pages = library.pages(document.id)
        yield (
            document,
            pages,
            chunking.split(pages, count=embedder.count, title=document.title, limit=embedder.max_tokens),
        )

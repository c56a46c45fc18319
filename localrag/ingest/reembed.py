"""Other vectors, or other chunks, for a library: made from the stored text, beside those in use until all are there.

Vectors are committed as they come, so a run that was stopped or killed goes on where it was; searches use the old ones
until one transaction puts the new ones in their place. The documents' files are not needed.
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

_AT_ONCE = 128
_GO_ON = "Run the same command again: it goes on where it stopped."


def renew(
    library: Editor,
    embedder: Embedder,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
    give_way: Callable[[], None] = lambda: None,
) -> int:
    """Chunk all stored text anew and embed what has no vector of this embedder yet; returns how many passages.

    Args:
        progress: told how many characters of how many are done.

    Raises:
        Cancelled: `stop` returned True; the old chunks and vectors stay, and what was made is kept for the next run.
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
            raise Cancelled("stopped while embedding; the old vectors are in use still", _GO_ON) from error
        library.stage(purpose, dict(zip(waiting, vectors, strict=True)))
        staged.update(waiting)
        waiting.clear()
        give_way()

    for document, _, chunks in _chunked(library, embedder):
        if stop():
            raise Cancelled("stopped; the old vectors are in use still", _GO_ON)
        for chunk in chunks:
            key = passage_digest(document.title, chunk)
            passages.add(key)
            if key not in staged:
                waiting[key] = chunking.embedded_text(document.title, chunk)
        done += document.characters
        if len(waiting) >= _AT_ONCE:
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
            document, pages,
            chunking.split(pages, count=embedder.count, title=document.title, limit=embedder.max_tokens),
        )  # fmt: skip

"""The full text of a library follows its documents: moved, copied, chunked anew, deleted, or rolled back."""

from __future__ import annotations

from collections.abc import Callable

from fakes import HashingEmbedder
from papers import sound, with_words

from localrag.ingest import chunking
from localrag.store.writer import Editor, passage_digest

Put = Callable[..., None]


def called(library: Editor, term: str) -> list[str]:
    ids = set(library.text.documents_named([[term]])[0].tolist())
    return [document.path for document in library.documents() if document.id in ids]


def test_a_moved_file_is_called_by_its_new_name_only(library: Editor, put: Put) -> None:
    put(library, "zeppelin.txt", "Words of it.")
    library.move("/root", "zeppelin.txt", "montgolfier/v1.2 draft.txt", 1, 1)
    assert called(library, "zeppelin") == [] and called(library, "montgolfi") == ["montgolfier/v1.2 draft.txt"]
    assert called(library, "2") == called(library, "draft") == ["montgolfier/v1.2 draft.txt"]
    assert called(library, "txt") == []
    sound(library)


def test_a_copy_is_called_by_its_own_name_and_goes_without_the_other(library: Editor, put: Put) -> None:
    put(library, "zeppelin.txt", "Words of it.")
    (source,) = [file.id for file in library.files("/root").values()]
    library.copy("/root", "montgolfier.txt", 1, 1, source)
    assert called(library, "word") == ["montgolfier.txt", "zeppelin.txt"]
    assert called(library, "montgolfi") == ["montgolfier.txt"]
    sound(library)
    library.remove_files("/root", ["zeppelin.txt"])
    assert called(library, "zeppelin") == [] and len(with_words(library, "words")) == 1
    sound(library)


def test_other_chunks_leave_the_full_text_whole(library: Editor, put: Put) -> None:
    for n in range(5):
        put(library, f"{n}.txt", f"Sentence {n} of the lease. " * 200)
    library.stage_present("other chunks")
    embedder, chunked = HashingEmbedder(), []
    for document in library.documents():
        pages = library.pages(document.id)
        chunks = chunking.split(pages, count=embedder.count, limit=128, target=90)
        vectors = embedder.embed_documents([chunk.text for chunk in chunks])
        keys = [passage_digest("", chunk) for chunk in chunks]
        library.stage("other chunks", dict(zip(keys, vectors, strict=True)))
        chunked.append((document, pages, chunks))
    before = library.counts()["chunks"]
    library.replace_chunks(library.identity, chunked)
    assert library.counts()["chunks"] > before and with_words(library, "sentence 3 of")
    assert called(library, "3") == ["3.txt"]
    sound(library)

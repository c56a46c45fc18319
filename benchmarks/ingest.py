"""Pages a second of an ingest, beside a plain stack and beside the embedder alone, in the same run.

    python benchmarks/ingest.py [FOLDER] [--most FILES] [--suffix .pdf] [--ocr]

The plain stack is what a tutorial has: pypdf, a recursive character splitter (1,000 characters, 200 overlapping),
sentence-transformers in float32 with its default batches, a flat FAISS index in memory. It keeps no page, no offset, no
table and no text on the disk. The embedder alone gets the very passages that the ingest embedded, so its share says
what reading, chunking and storing add. Without --ocr scans are left out: a page of them costs seconds. All models are
loaded and warm before a clock starts.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

from localrag import api, embeddings
from localrag.ingest import chunking
from localrag.models.records import ModelStore
from localrag.settings import load_settings
from localrag.store.library import Library
from localrag.types import Chunk

EXAMPLES = Path(__file__).parents[1] / "examples"
SIZE, OVERLAP = 1000, 200


def split(text: str, separators: tuple[str, ...] = ("\n\n", "\n", " ", "")) -> list[str]:
    """What is known as a recursive character splitter: the coarsest separator whose pieces fit, then joined up."""
    if len(text) <= SIZE:
        return [text] if text.strip() else []
    first, *rest = separators
    pieces = text.split(first) if first else [text[i : i + SIZE] for i in range(0, len(text), SIZE - OVERLAP)]
    found: list[str] = []
    held = ""
    for piece in pieces:
        if len(piece) > SIZE:
            found += [held] * bool(held.strip()) + split(piece, tuple(rest))
            held = ""
        elif held and len(held) + len(first) + len(piece) > SIZE:
            found.append(held)
            held = held[-OVERLAP:] + first + piece if len(piece) < SIZE - OVERLAP else piece
        else:
            held = held + first + piece if held else piece
    return found + [held] * bool(held.strip())


def plain(files: list[Path], model: object) -> tuple[int, int]:
    """Pages and chunks of the plain stack."""
    import faiss
    from pypdf import PdfReader

    pages, chunks = 0, []
    for file in files:
        if file.suffix == ".pdf":
            reader = PdfReader(file)
            pages += len(reader.pages)
            for page in reader.pages:
                chunks += split(page.extract_text())
        else:
            pages += 1
            chunks += split(file.read_text(encoding="utf-8", errors="replace"))
    vectors = model.encode(chunks, show_progress_bar=False, normalize_embeddings=True)  # type: ignore[attr-defined]
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return pages, len(chunks)


def texts_of(library: Library) -> list[str]:
    """The texts that were embedded, each once."""
    found = {}
    for document in library.documents():
        for row in library.chunks_of(document.id):
            chunk = Chunk(row.position, row.start, row.end, row.text, row.heading, None, row.header)
            found[row.passage_id] = chunking.embedded_text(row.title, chunk)
    return list(found.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=EXAMPLES, help="where the files are (examples)")
    parser.add_argument("--most", type=int, default=20, metavar="FILES", help="read at most so many (20)")
    parser.add_argument("--suffix", default=".pdf", choices=(".pdf", ".txt"), help="which files (.pdf)")
    parser.add_argument("--ocr", action="store_true", help="recognise text in scans, which the plain stack does not")
    parser.add_argument("--without-plain", action="store_true", help="leave the plain stack out")
    given = parser.parse_args()
    files = sorted(path for path in given.folder.rglob("*") if path.suffix.lower() == given.suffix)[: given.most]
    if not files:
        raise SystemExit(f"there is no {given.suffix} file in {given.folder}")
    settings = load_settings()
    embedder = embeddings.load_embedder(settings)
    embedder.embed_documents(["warm"] * 64)
    embeddings.load_embedder = lambda settings, identity=None: embedder

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        for number, file in enumerate(files):
            shutil.copy(file, source / f"{number:03}{given.suffix}")
        library = api.open_library("bench", settings=settings.with_options(home=Path(folder) / "home"), create=True)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        report = library.ingest(source, ocr="auto" if given.ocr else "off")
        seconds = time.perf_counter() - began
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        stored = Library.open(library.folder, "bench")
        pages = stored.counts()["pages"]
        texts = texts_of(stored)
        began = time.perf_counter()
        embedder.embed_documents(texts)
        alone = time.perf_counter() - began
        print(f"{len(files)} files, {pages} pages ({len(report.failed)} files failed), {embedder.identity.engine}")
        print(f"localrag       {seconds:7.2f} s  {pages / seconds:7.1f} pages/s  {report.chunks} chunks")
        print(
            f"embedder alone {alone:7.2f} s  {len(texts)} passages; localrag runs at {alone / seconds:.2f} of its speed"
        )
        print(
            f"memory grew by {grown / 1024:.0f} MB, a reader's most is "
            f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB"
        )
        if given.without_plain:
            return
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(ModelStore(settings).default("embedder").path), device="cpu")
        model.encode(["warm"] * 64, show_progress_bar=False)
        began = time.perf_counter()
        _, plain_chunks = plain(sorted(source.iterdir()), model)
        plain_seconds = time.perf_counter() - began
        print(f"plain stack    {plain_seconds:7.2f} s  {pages / plain_seconds:7.1f} pages/s  {plain_chunks} chunks")
        print(f"localrag reads {plain_seconds / seconds:.2f} times as many pages a second")


if __name__ == "__main__":
    main()

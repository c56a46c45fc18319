"""Pages a second of an ingest, beside a plain stack in the same run.

    python benchmarks/ingest.py [FOLDER] [--most FILES]

The plain stack is what a tutorial has: pypdf, chunks of 1,000 characters, sentence-transformers with its default
batches, a flat FAISS index in memory. It keeps no page, no offset and no text on the disk. Both read the same PDF files
with the same embedder, which is loaded and warm before the clock starts.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from localrag import api, loading
from localrag.models.store import ModelStore
from localrag.settings import load_settings

EXAMPLES = Path(__file__).parents[1] / "examples"
CHUNK = 1000


def plain(files: list[Path], model: object) -> tuple[int, int]:
    """Pages and chunks of the plain stack."""
    import faiss
    from pypdf import PdfReader

    pages, chunks = 0, []
    for file in files:
        reader = PdfReader(file)
        pages += len(reader.pages)
        text = "\n".join(page.extract_text() for page in reader.pages)
        chunks += [text[i : i + CHUNK] for i in range(0, len(text), CHUNK)]
    vectors = model.encode(chunks, show_progress_bar=False, normalize_embeddings=True)  # type: ignore[attr-defined]
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return pages, len(chunks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=EXAMPLES, help="its PDF files are read (examples)")
    parser.add_argument("--most", type=int, default=20, metavar="FILES", help="read at most so many (20)")
    given = parser.parse_args()
    files = sorted(path for path in given.folder.rglob("*") if path.suffix.lower() == ".pdf")[: given.most]
    if not files:
        raise SystemExit(f"there is no PDF file in {given.folder}")
    settings = load_settings()
    embedder = loading.load_embedder(settings)
    embedder.embed_documents(["warm"] * 64)
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(ModelStore(settings).default("embedder").path), device="cpu")
    model.encode(["warm"] * 64, show_progress_bar=False)
    loading.load_embedder = lambda settings, identity=None: embedder

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        for number, file in enumerate(files):
            shutil.copy(file, source / f"{number:03}.pdf")
        copies = sorted(source.iterdir())
        began = time.perf_counter()
        pages, plain_chunks = plain(copies, model)
        plain_seconds = time.perf_counter() - began
        library = api.open_library("bench", settings=settings.with_options(home=Path(folder) / "home"), create=True)
        began = time.perf_counter()
        report = library.ingest(source)
        seconds = time.perf_counter() - began
    print(f"{len(files)} files, {pages} pages ({len(report.failed)} files failed)")
    for name, spent, chunks in (("plain stack", plain_seconds, plain_chunks), ("localrag", seconds, report.chunks)):
        print(f"{name:12} {spent:7.2f} s  {pages / spent:7.1f} pages/s  {chunks} chunks")
    print(f"localrag takes {seconds / plain_seconds:.2f} of the plain stack's time")


if __name__ == "__main__":
    main()

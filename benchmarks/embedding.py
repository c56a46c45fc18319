"""Tokens a second of the embedder's fast form, beside sentence-transformers and beside onnxruntime in float32.

    python benchmarks/embedding.py [FOLDER] [--most TEXTS] [--rounds N]

All embed the same chunks of the folder's PDF, Markdown and text files, in turns, with all cores; the median round
counts, by the clock and by the processor's time, which other work on the machine disturbs less. The lines "ONNX" run
the float32 and the 8-bit graph in the usual batches, sorted by length, to show what each step gives. The cold start is
a new process each time: import, load, first question.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from localrag.embeddings import SentenceTransformerEmbedder
from localrag.embeddings.embedders import OnnxEmbedder
from localrag.ingest import chunking
from localrag.models import catalog, onnx_export
from localrag.models.records import InstalledModel, ModelStore
from localrag.settings import load_settings
from localrag.types import Page

EXAMPLES = Path(__file__).parents[1] / "examples"
COLD = """
from localrag.embeddings.embedding import SentenceTransformerEmbedder
from localrag.embeddings.embedders import OnnxEmbedder
from localrag.models.records import ModelStore
from localrag.settings import load_settings
model = ModelStore(load_settings()).default("embedder")
({}).embed_question("When does the lease end?")
"""
ONNX = "OnnxEmbedder(model.id, model.path, model.onnx, model.sha256)"
SLOW = 'SentenceTransformerEmbedder(model.id, model.path, model.sha256, "float32")'


def chunks_of(folder: Path, embedder: OnnxEmbedder, most: int) -> list[str]:
    """Chunks as an ingest makes them, spread evenly over the folder."""
    import pypdfium2

    texts: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".pdf":
            pages = [page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(path)]
        elif path.suffix in (".md", ".txt"):
            pages = [path.read_text(encoding="utf-8", errors="replace")]
        else:
            continue
        made = tuple(Page(text, number, None) for number, text in enumerate(pages, 1))
        for chunk in chunking.split(made, count=embedder.count, title=path.stem, limit=embedder.max_tokens):
            texts.append(chunking.embedded_text(path.stem, chunk))
    return texts[:: max(1, len(texts) // most)][:most]


def batches(session: Any, rows: list[list[int]], size: int) -> None:
    """The usual way: sorted by length, padded to the longest of a batch, all cores on one batch."""
    order = sorted(rows, key=len, reverse=True)
    for first in range(0, len(order), size):
        part = order[first : first + size]
        ids = np.zeros((len(part), len(part[0])), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(part):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        session.run(None, {"input_ids": ids, "attention_mask": mask})


def session_of(graph: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = catalog.cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def contestants(
    model: InstalledModel, fast: OnnxEmbedder, work: Path, texts: list[str]
) -> dict[str, Callable[[], object]]:
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(model.path), device="cpu", local_files_only=True)
    ours = SentenceTransformerEmbedder(model.id, model.path, model.sha256)
    assert model.onnx is not None
    with onnx_export.quiet():
        onnx_export.trace(model.path, work)
    rows = [ids[:256] for ids in plain.tokenizer(texts, truncation=True, max_length=256)["input_ids"]]
    float32, int8 = session_of(work / onnx_export.FUSED), session_of(model.onnx)
    entries: dict[str, Callable[[], object]] = {
        "sentence-transformers, float32, its own batches of 32": lambda: plain.encode(texts, show_progress_bar=False),
        f"sentence-transformers, {ours.precision}, sorted": lambda: ours.embed_documents(texts),
        "fast form (int8, each text alone)": lambda: fast.embed_documents(texts),
    }
    for size in (1, 4, 16, 64):
        entries[f"ONNX, float32, batches of {size}"] = lambda size=size: batches(float32, rows, size)
        entries[f"ONNX, int8, batches of {size}"] = lambda size=size: batches(int8, rows, size)
    return entries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=EXAMPLES)
    parser.add_argument("--most", type=int, default=120, help="chunks to embed (120)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (3)")
    given = parser.parse_args()
    model = ModelStore(load_settings()).default("embedder")
    if model.onnx is None:
        raise SystemExit(f"{model.id} has no fast form; type: localrag models install {model.id}")
    fast = OnnxEmbedder(model.id, model.path, model.onnx, model.sha256)
    texts = chunks_of(given.folder, fast, given.most)
    tokens = sum(min(fast.count(text), fast.max_tokens) + 2 for text in texts)
    print(f"{model.id}: {len(texts)} chunks, {tokens:,} tokens, {catalog.cores()} cores")

    wall: dict[str, list[float]] = {}
    used: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as work:
        entries = contestants(model, fast, Path(work), texts)
        for number in range(given.rounds + 1):  # in turns; the first round warms up
            for name, run in entries.items():
                began, processor = time.perf_counter(), time.process_time()
                run()
                if number:
                    wall.setdefault(name, []).append(time.perf_counter() - began)
                    used.setdefault(name, []).append(time.process_time() - processor)
    base, base_used = (statistics.median(next(iter(times.values()))) for times in (wall, used))
    print(f"{'':55}{'tokens/s':>9}{'ratio':>7}{'processor ratio':>17}")
    for name in wall:
        taken, spent = statistics.median(wall[name]), statistics.median(used[name])
        print(f"{name:55}{tokens / taken:9,.0f}{base / taken:7.2f}{base_used / spent:17.2f}")

    print("cold start: import, load, first question")
    cold = {"sentence-transformers": SLOW, "fast form": ONNX}
    seconds: dict[str, list[float]] = {name: [] for name in cold}
    for _ in range(given.rounds):
        for name, maker in cold.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", COLD.format(maker)], check=True)
            seconds[name].append(time.perf_counter() - began)
    slow = statistics.median(seconds["sentence-transformers"])
    for name, values in seconds.items():
        print(f"{name:30}{statistics.median(values):7.2f} s   {slow / statistics.median(values):5.1f} x as quick")


if __name__ == "__main__":
    main()

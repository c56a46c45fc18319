"""The second run over a folder in which nothing changed, as a share of the first.

    python benchmarks/unchanged.py [-n FILES]

Makes n text files with a seed and reads them with the real embedder, loaded before the clock starts (a run over an
unchanged folder does not load it at all).
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from localrag import api, embeddings
from localrag.settings import load_settings

WORDS = "notice party lease rent clause period written payment month service board review office term agree".split()


def make(folder: Path, files: int) -> None:
    chance = random.Random(7)
    for number in range(files):
        sentences = [" ".join(chance.choices(WORDS, k=12)).capitalize() + "." for _ in range(30)]
        path = folder / f"part{number % 10}" / f"file{number:05}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n".join(sentences), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=100, help="text files of 360 words (100)")
    files = parser.parse_args().n
    settings = load_settings()
    embedder = embeddings.load_embedder(settings)
    embedder.embed_documents(["warm"] * 64)
    embeddings.load_embedder = lambda settings, identity=None: embedder
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        make(source, files)
        library = api.open_library("bench", settings=settings.with_options(home=Path(folder) / "home"), create=True)
        taken = []
        for _ in range(2):
            began = time.perf_counter()
            report = library.ingest(source)
            taken.append(time.perf_counter() - began)
    if report.unchanged != files:
        raise SystemExit(f"{files - report.unchanged} files were not seen to be unchanged")
    first, second = taken
    print(f"{files} files: first {first:.2f} s, unchanged {second:.3f} s, a share of {100 * second / first:.2f} %")


if __name__ == "__main__":
    main()

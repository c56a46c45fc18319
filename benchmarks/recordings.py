"""Word error and speed of speech recognition: sound files, each beside its words as NAME.txt.

    python benchmarks/recordings.py FOLDER [--model whisper-base]

Each file is read as in an ingest, in one confined process. Word error is the edit distance of the words over their
number; case, punctuation and the commas of thousands do not count, another way to write a number does.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

from rapidfuzz.distance import Levenshtein

from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options
from localrag.ingest.source_files import SOUNDS
from localrag.models import ModelStore
from localrag.settings import load_settings
from localrag.types import Part


def words(text: str) -> list[str]:
    return re.findall(r"[\w'’]+", re.sub(r"(?<=\d)[,.](?=\d)", "", text.lower()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="whisper-base")
    given = parser.parse_args()
    options = Options(speech=str(ModelStore(load_settings()).get(given.model).path))
    errors = total = 0
    began = time.monotonic()
    with ReaderPool(workers=1, options=options, memory=4_000_000_000) as pool:
        for path in sorted(path for path in given.folder.iterdir() if path.suffix in SOUNDS):
            begun = time.monotonic()
            for _, item in pool.read_all([path]):
                if item is None:
                    continue
                heard = words(item.reading.pages[0].text) if isinstance(item, Part) else []
                wanted = words(path.with_suffix(".txt").read_text("utf-8"))
                wrong = Levenshtein.distance(heard, wanted)
                errors, total = errors + wrong, total + len(wanted)
                spent = time.monotonic() - begun
                print(f"{path.name}: {wrong / len(wanted):.1%} of {len(wanted)} words, {spent:.1f} s", flush=True)
    print(f"all: {errors / max(1, total):.1%} of {total} words, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

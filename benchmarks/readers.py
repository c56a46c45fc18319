"""A folder of awkward files, read in one run: a table by type of what was read, refused and failed.

    python benchmarks/readers.py FOLDER [--each] [--seconds 60]

Every file goes through the workers as in an ingest, without embedding. "Refused" is a reason that the reader found
(damaged, encrypted, no text), "failed" a worker that crashed, took too long or needed too much memory, or a fault of a
reader. `--each` adds a line for every file with its characters, so that a silent near-empty shows. The last lines count
processes left behind, which must be none.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options, reads
from localrag.types import Part, Refused

FAILED = ("made its reader crash", "took longer than", "needs more memory", "of a kind that is not understood")
LITTLE = 40


@dataclass
class Outcome:
    """What became of one file."""

    parts: list[Part] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def kind(self) -> str:
        if any(reason in refused.reason for refused in self.refused for reason in FAILED):
            return "failed"
        return "read" if self.parts else "refused"

    @property
    def characters(self) -> int:
        return sum(len(page.text) for part in self.parts for page in part.reading.pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", action="store_true", help="a line for every file")
    parser.add_argument("--seconds", type=float, default=60, help="longest time for one document (60)")
    parser.add_argument("--ocr", choices=("auto", "force", "off"), default="auto")
    given = parser.parse_args()
    files = sorted(path for path in given.folder.rglob("*") if path.is_file())
    outcomes: dict[Path, Outcome] = defaultdict(Outcome)
    mark = os.environ["LOCALRAG_TEST_RUN"] = uuid.uuid4().hex
    began = time.perf_counter()
    with ReaderPool(seconds=given.seconds, options=Options(ocr=given.ocr)) as pool:
        for path, item in pool.read_all(path for path in files if reads(path)):
            outcome = outcomes[path]
            if isinstance(item, Part):
                outcome.parts.append(item)
            elif isinstance(item, Refused):
                outcome.refused.append(item)
    spent = time.perf_counter() - began

    if given.each:
        for path, outcome in sorted(outcomes.items()):
            name = path.relative_to(given.folder)
            why = "; ".join(f"{item.name + ': ' if item.name else ''}{item.reason}" for item in outcome.refused)
            print(f"{outcome.kind:8}{outcome.characters:>9}  {name}  {why[:200]}")
        print()
    print_table(outcomes, Counter(path.suffix.lower() for path in files if not reads(path)))
    print(f"\n{len(outcomes)} files in {spent:.0f} s; processes left behind: {left_behind(mark)}")


def left_behind(mark: str) -> int:
    """Processes that inherited the mark from this one, whoever their parent is by now (Linux)."""
    time.sleep(1)
    count = 0
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            count += mark.encode() in environment.read_bytes()
    return count


def print_table(outcomes: dict[Path, Outcome], ignored: Counter[str]) -> None:
    rows: dict[str, list[Outcome]] = defaultdict(list)
    for path, outcome in outcomes.items():
        rows[path.suffix.lower()].append(outcome)
    print(
        f"{'type':10}{'files':>6}{'read':>6}{'refused':>9}{'failed':>8}{'documents':>11}{'characters, median':>20}"
        f"{'under ' + str(LITTLE):>10}"
    )
    total = Counter[str]()
    for suffix, found in sorted(rows.items(), key=lambda row: -len(row[1])):
        kinds = Counter(outcome.kind for outcome in found)
        read = [outcome for outcome in found if outcome.parts]
        little = sum(outcome.characters < LITTLE for outcome in read)
        median = int(statistics.median(outcome.characters for outcome in read)) if read else 0
        documents = sum(len(outcome.parts) for outcome in found)
        total.update({**kinds, "files": len(found), "documents": documents, "little": little})
        print(
            f"{suffix:10}{len(found):6}{kinds['read']:6}{kinds['refused']:9}{kinds['failed']:8}{documents:11}"
            f"{median:20,}{little:10}"
        )
    print(
        f"{'all':10}{total['files']:6}{total['read']:6}{total['refused']:9}{total['failed']:8}{total['documents']:11}"
        f"{'':20}{total['little']:10}"
    )
    reasons = Counter(
        item.reason.split(". ")[0][:70] for outcome in outcomes.values() for item in outcome.refused if not item.name
    )
    print("\nReasons:")
    for reason, count in reasons.most_common(40):
        print(f"{count:5}  {reason}")
    print("\nNot read (other types): " + ", ".join(f"{n} {suffix or '(none)'}" for suffix, n in ignored.most_common()))


if __name__ == "__main__":
    main()

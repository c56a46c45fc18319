"""Turn a BEIR set (Thakur et al. 2021) into documents and graded questions for `localrag eval retrieval`.

    python benchmarks/datasets/beir.py scifact out
    localrag eval retrieval out/qa.jsonl

A set holds corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv). Each document becomes a Markdown file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

QRELS = ("qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv")
MAX_NAME = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    (arguments.out / "docs").mkdir(parents=True, exist_ok=True)
    grades = read_grades(arguments.set)
    with (arguments.out / "qa.jsonl").open("w", encoding="utf-8") as stream:
        for row in rows(arguments.set / "queries.jsonl"):
            judged = grades.get(row["_id"], {})
            useful = [path for path, grade in judged.items() if grade > 0]
            if useful:
                question = {"id": row["_id"], "question": row["text"], "answer": "", "doc": useful[0], "grades": judged}
                stream.write(json.dumps(question, ensure_ascii=False) + "\n")
    for row in rows(arguments.set / "corpus.jsonl"):
        title = " ".join((row.get("title") or "").split())
        text = f"# {title}\n\n{row['text']}\n" if title else f"{row['text']}\n"
        (arguments.out / path_of(row["_id"])).write_text(text, encoding="utf-8", errors="replace")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        yield from (json.loads(line) for line in stream if line.strip())


def read_grades(folder: Path) -> dict[str, dict[str, int]]:
    path = next(folder / name for name in QRELS if (folder / name).is_file())
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        parts = line.split("\t") if "\t" in line else line.split()
        if line.strip() and (number or parts[-1].strip().lstrip("-").isdigit()):
            # TREC files have an unused column in the middle.
            found.setdefault(parts[0], {})[path_of(parts[-2])] = int(parts[-1])
    return found


def path_of(document: str) -> str:
    name = quote(document, safe="()+=@~")
    # Ids that differ only in case would be one file on many systems; very long ones would be none.
    if len(name) > MAX_NAME or name != name.lower() or name.startswith("."):
        name = f"{name[:MAX_NAME].lstrip('.')}-{hashlib.sha256(document.encode()).hexdigest()[:8]}"
    return f"docs/{name}.md"


if __name__ == "__main__":
    main()

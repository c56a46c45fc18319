"""Check examples/qa.jsonl: each evidence text must stand on the page that its question names.

For maintainers only. It needs pypdfium2 and python-docx:  python docs/examples-source/check_qa.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import docx
import pypdfium2
from docx.table import Table

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
KEYS = {"id", "question", "answer", "doc", "evidence", "page", "answerable", "category"}


def pages(path: Path) -> list[str]:
    """The text of each page with white space collapsed; one page for a file without pages."""
    if path.suffix == ".pdf":
        pdf = pypdfium2.PdfDocument(path)
        texts = [pdf[number].get_textpage().get_text_range() for number in range(len(pdf))]
    elif path.suffix == ".docx":
        parts: list[str] = []
        for item in docx.Document(str(path)).iter_inner_content():
            rows = [c.text for row in item.rows for c in row.cells] if isinstance(item, Table) else [item.text]
            parts += rows
        texts = ["\n".join(parts)]
    else:
        texts = path.read_text(encoding="utf-8").split("\f")
    return [" ".join(text.split()) for text in texts]


def problems(item: dict[str, object]) -> list[str]:
    if set(item) != KEYS:
        return [f"wrong keys: {sorted(set(item) ^ KEYS)}"]
    if not item["answerable"]:
        expected = {"answer": "", "evidence": "", "page": None, "doc": None}
        return [f"{key} must be empty" for key, value in expected.items() if item[key] != value]
    path = EXAMPLES / str(item["doc"])
    if not path.is_file():
        return ["no such document"]
    texts = pages(path)
    evidence = " ".join(str(item["evidence"]).split())
    if not evidence or not item["answer"]:
        return ["empty answer or evidence"]
    if (path.suffix == ".pdf" or len(texts) > 1) != isinstance(item["page"], int):
        return ["page must be a number for a paged document and null for any other"]
    found = [number for number, text in enumerate(texts, 1) if evidence in text]
    wanted = item["page"] if item["page"] is not None else 1
    return [] if wanted in found else [f"evidence found on {found}, expected on {wanted}"]


def main() -> int:
    lines = (EXAMPLES / "qa.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    failures = [f"{item['id']}: {text}" for item in items for text in problems(item)]
    if len({item["id"] for item in items}) != len(items):
        failures.append("ids are not unique")
    print("\n".join(failures) or f"{len(items)} questions checked, all evidence found")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

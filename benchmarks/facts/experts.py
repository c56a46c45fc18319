"""Measure the facts of contracts against labels of experts (CUAD), with classifiers that saw none of their companies.

    python benchmarks/facts/experts.py DATA FOLDER --split     write the contracts to train on into FOLDER/train
    python benchmarks/clauses/train.py FOLDER/train CONTRACTNLI --out FOLDER/clauses.npz
    python benchmarks/facts/roles.py FOLDER/train --out FOLDER/value_roles.npz
    python benchmarks/facts/experts.py DATA FOLDER [--missed]  read the others, with these two

DATA and CONTRACTNLI hold docs.jsonl.gz and qa.jsonl.gz, as for benchmarks/clauses/train.py. An end counts where the
experts' day stands in their text. Printed are, for each role, how many are there, how many are told as sure where one
is there, how many of these are right; `--missed` lists what is wrong or missing.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import re
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import roles
from measure import read, right

from localrag.items import facts, value_roles
from localrag.quantities import find_dates
from localrag.search import clauses
from localrag.types import Document

ROLES = ("signed", "effective", "end", "renewal", "non-renewal notice", "law")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--missed", action="store_true")
    given = parser.parse_args()
    documents = roles.train.lines(given.data / "docs.jsonl.gz")
    if given.split:
        split(given.data, given.folder / "train", {row["id"] for row in documents if in_training(row["id"])})
        return
    held = {row["id"]: row["text"] for row in documents if not in_training(row["id"])}
    gold = roles.answers(given.data)
    counts = Counter[tuple[str, str]]()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        for module, name in ((clauses, "clauses.npz"), (value_roles, "value_roles.npz")):
            files = mock.Mock(files=lambda _, path=given.folder / name: mock.Mock(joinpath=lambda _: path))
            stack.enter_context(mock.patch.object(module, "resources", files))
        names = {f"{n}.txt": name for n, name in enumerate(held)}
        for path, name in names.items():
            (Path(folder) / path).write_text(held[name], "utf-8")
        for path, pages in read(Path(folder), list(names)).items():
            document = Document(1, "", path, "", "", 0, len(pages), 0, True, language="english")
            count(counts, facts.find(document, pages), gold[names[path]], held[names[path]], names[path], given.missed)
    print(f"{'role':20} {'there':>6} {'sure':>6} {'right':>6} {'share':>6} {'found':>6}")
    for role in ROLES:
        there, sure, ok = (counts[role, kind] for kind in ("there", "sure", "right"))
        print(f"{role:20} {there:6} {sure:6} {ok:6} {ok / max(1, sure):6.2f} {ok / max(1, there):6.2f}")


def in_training(name: str) -> bool:
    return int(hashlib.sha1(roles.train.company_of(name).encode()).hexdigest(), 16) % 11 < 6


def split(data: Path, folder: Path, names: set[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, key in (("docs.jsonl.gz", "id"), ("qa.jsonl.gz", "doc")):
        with gzip.open(folder / file, "wt", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in roles.train.lines(data / file) if row[key] in names)


def count(
    counts: Counter[tuple[str, str]], found: list[Any], gold: dict[str, Any], text: str, name: str, missed: bool
) -> None:
    for role in ROLES:
        answer, marked = gold.get(roles.CATEGORY.get(role, "Governing Law"), ("", []))
        expected = values(role, answer, " ".join(text[first:last] for first, last in marked))
        if not expected:
            continue
        sure = [one for one in found if one.role == role and one.clear]
        ok = any(right(role, one.value, {"value": value}) for one in sure for value in expected)
        counts.update({(role, "there"): 1, (role, "sure"): int(bool(sure)), (role, "right"): int(ok)})
        if missed and not ok:
            told = [(one.value, one.state, one.why) for one in found if one.role == role]
            print(f"{name[5:45]}: {role} {expected}, told {told}")


def values(role: str, answer: str, marked: str) -> list[str]:
    """Return what counts as right: a day, a span of time, or each law that the experts name."""
    if role == "law":
        return [one for one in re.split(r"[;,]", answer) if re.search(r"\w{3}", one)]
    if role in roles.DAYS:
        day = roles.day(answer)
        stated = role != "end" or day in {str(one.certain) for one in find_dates(marked)}
        return [day] if day and stated else []
    return [value for _, _, value in facts.spans_of(answer[:80])][:1]


if __name__ == "__main__":
    main()

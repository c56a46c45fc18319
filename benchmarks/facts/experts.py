"""Measure the facts of contracts against labels of experts (CUAD), with classifiers that saw none of their companies.

    python benchmarks/facts/experts.py DATA FOLDER --split     write the contracts to train on into FOLDER/train
    python benchmarks/clauses/train.py FOLDER/train CONTRACTNLI --out FOLDER/clauses.npz
    python benchmarks/facts/roles.py FOLDER/train --out FOLDER/value_roles.npz
    python benchmarks/facts/experts.py DATA FOLDER [--half a|b] [--missed]   read the others, with these two

DATA and CONTRACTNLI hold docs.jsonl.gz and qa.jsonl.gz, as for benchmarks/clauses/train.py. An end counts where the
experts' day stands in their text, a party where its name as they write it stands in the text, and is no defined term;
contracts with more than 12 are left out there. Half a (by hash of the company) was looked at. Printed are, for each
role, how many are there, how many are told as sure where one is there, how many of these are right; `--missed` lists
what is wrong or missing.
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
from measure import _plain as plain
from measure import read, right

from localrag.items import facts, value_roles
from localrag.quantities import find_dates
from localrag.search import clauses
from localrag.types import Document

ROLES = ("party", "signed", "effective", "end", "renewal", "non-renewal notice", "law")

MOST = 12
NO_NAME = re.compile(
    r"[(\[\"]| shall |^(?:each|individually|collectively|together|solely|on behalf|and/or|parties|you)\b", re.I
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", action="store_true")
    parser.add_argument("--half", choices=("a", "b"))
    parser.add_argument("--missed", action="store_true")
    given = parser.parse_args()
    documents = roles.train.lines(given.data / "docs.jsonl.gz")
    if given.split:
        split(given.data, given.folder / "train", {row["id"] for row in documents if in_training(row["id"])})
        return
    held = {row["id"]: row["text"] for row in documents if not in_training(row["id"])}
    held = {name: text for name, text in held.items() if given.half in (None, half_of(name))}
    gold = roles.answers(given.data)
    counts = Counter[tuple[str, str]]()
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        for module in (clauses, value_roles):
            files = mock.Mock(files=lambda _: mock.Mock(joinpath=lambda name: given.folder / name))
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
        found = counts[role, "found"] or ok
        print(f"{role:20} {there:6} {sure:6} {ok:6} {ok / max(1, sure):6.2f} {found / max(1, there):6.2f}")


def in_training(name: str) -> bool:
    return int(hashlib.sha1(roles.train.company_of(name).encode()).hexdigest(), 16) % 11 < 6


def half_of(name: str) -> str:
    return "ab"[int(hashlib.sha1(f"half{roles.train.company_of(name)}".encode()).hexdigest(), 16) % 2]


def split(data: Path, folder: Path, names: set[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file, key in (("docs.jsonl.gz", "id"), ("qa.jsonl.gz", "doc")):
        with gzip.open(folder / file, "wt", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in roles.train.lines(data / file) if row[key] in names)


def count(
    counts: Counter[tuple[str, str]], found: list[Any], gold: dict[str, Any], text: str, name: str, missed: bool
) -> None:
    count_parties(counts, [one for one in found if one.role == "party" and one.clear], gold, text, name, missed)
    for role in ROLES[1:]:
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


def count_parties(
    counts: Counter[tuple[str, str]], sure: list[Any], gold: dict[str, Any], text: str, name: str, missed: bool
) -> None:
    """Count the parties that are there, those that are told, and those of each that are the other's."""
    answer, marked = gold.get("Parties", ("", []))
    there = names_of(answer, text)
    if not 0 < len(there) <= MOST:
        return
    own = [plain(text[first:last]) for first, last in marked]
    wrong = [
        one.value
        for one in sure
        if plain(one.value) not in own
        and plain(one.value) not in plain(answer)
        and not any(right("party", one.value, {"value": each}) for each in there)
    ]
    found = [each for each in there if any(right("party", one.value, {"value": each}) for one in sure)]
    told = {"there": len(there), "sure": len(sure), "right": len(sure) - len(wrong), "found": len(found)}
    counts.update({("party", kind): number for kind, number in told.items()})
    if missed and (wrong or len(found) < len(there)):
        print(f"{name[5:45]}: party, missed {[one for one in there if one not in found]}, wrong {wrong}")


def names_of(answer: str, text: str) -> list[str]:
    """Return the names of an answer of the experts: those that stand in the text, but not in quotes, as a term does."""
    parts = re.split(r"[\(\[][^()\[\]]*[\"“”'’][^()]*\)?|;|\band (?=[A-Z])", answer)
    names = {plain(one): one.strip(' ,;.()"') for one in parts if re.search("[A-Z]", one) and len(plain(one)) > 2}
    terms = {plain(one) for one in re.findall(r"[“\"]\s*(?:the\s+)?([^“”\"()]{1,60}?)[,.]?\s*[”\"]", text)}
    whole = plain(text)
    found = {
        ours: one for ours, one in names.items() if ours in whole and ours not in terms and not NO_NAME.search(one)
    }
    return [one for ours, one in found.items() if not any(ours != other and other.startswith(ours) for other in found)]


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

"""Measure the facts that code reads of contracts against gold that was written by hand.

    python benchmarks/facts/measure.py SHARED_FOLDER [--half a|b|both] [--missed]

The contracts are the 40 of `evaldata/cuad` in SHARED_FOLDER; gold.jsonl has, for each, who the parties are, which days
and spans of time it states in which role, its law and its courts. Half a (by hash of the path) was looked at while the
code was written, half b was not. Printed are, for each role, how many facts are sure, how many of these are right, and
how many of those that are there were found and sure; `--missed` lists what is wrong or missing (of half a alone).
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from hashlib import sha1
from pathlib import Path
from typing import Any

from localrag.ingest.readers.isolate import ReaderPool
from localrag.items import facts
from localrag.types import Document, Fact, Page

ROLES = (
    *("party", "signed", "effective", "start", "end", "term", "renewal", "non-renewal notice", "termination notice"),
    *("payment", "law", "courts"),
)
_MONTHS = {"Y": 12.0, "M": 1.0, "W": 7 / 30.44, "D": 1 / 30.44}
_FORMS = (
    r"\b(?:the|inc|incorporated|corp|corporation|company|llc|ltd|limited|co|lp|llp|"
    r"state of|commonwealth of|republic of)\b"
)


def half_of(path: str) -> str:
    return "ab"[int(sha1(path.encode()).hexdigest(), 16) % 2]


def right(role: str, value: str, gold: dict[str, Any]) -> bool:
    """Return whether a value is that of the gold, or one that it allows, too."""
    allowed = gold.get("also", [])
    return any(
        _same(role, value, one) for one in (gold["value"], *([allowed] if isinstance(allowed, str) else allowed))
    )


def _same(role: str, one: str, other: str) -> bool:
    if role in ("party", "law", "courts"):
        ours, theirs = _plain(one), _plain(other)
        shorter = min(ours, theirs, key=len)
        return bool(shorter) and (ours == theirs or (len(shorter) > 3 and (ours in theirs or theirs in ours)))
    if one.startswith("P"):
        return abs(_months(one) - _months(other)) < 0.1
    return one == other


def _plain(name: str) -> str:
    words = re.sub(r"(?<=\b\w)\.(?=\w\b)", "", name.casefold().replace("’", "'").replace("people's", "people"))
    return (
        re.sub(_FORMS, "", re.sub(r"[^\w ]", " ", words))
        .replace(" ", "")
        .removeprefix("peoples")
        .removeprefix("republicof")
    )


def _months(span: str) -> float:
    return sum(float(count) * _MONTHS[unit] for count, unit in re.findall(r"([\d.]+)([YMWD])", span))


def read(folder: Path, paths: list[str]) -> dict[str, list[Page]]:
    """Return the pages of documents, as an ingest reads them."""
    found = dict[str, list[Page]]()
    with ReaderPool() as pool:
        for location, part in pool.read_all([folder / path for path in paths]):
            if reading := getattr(part, "reading", None):
                found[str(location.relative_to(folder))] = list(reading.pages)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("shared", type=Path)
    parser.add_argument("--half", choices=("a", "b", "both"), default="both")
    parser.add_argument("--missed", action="store_true")
    given = parser.parse_args()
    gold = [json.loads(line) for line in (Path(__file__).parent / "gold.jsonl").read_text("utf-8").splitlines()]
    gold = [one for one in gold if given.half in ("both", half_of(one["document"]))]
    pages = read(given.shared / "evaldata" / "cuad", [one["document"] for one in gold])
    counts: Counter[tuple[str, str]] = Counter()
    for one in gold:
        path, own = one["document"], pages[one["document"]]
        document = Document(1, "", path, "", "", 0, len(own), 0, True, language="english")
        _count(counts, facts.find(document, own), one["facts"], path if given.missed and half_of(path) == "a" else "")
    print(f"{'role':20} {'sure':>5} {'right':>6} {'share':>6} {'unclear':>8} {'there':>6} {'found':>6}")
    for role in ROLES:
        sure, ok, there = (counts[role, name] for name in ("sure", "right", "there"))
        share, found = ok / max(1, sure), counts[role, "found"] / max(1, there)
        print(f"{role:20} {sure:5} {ok:6} {share:6.2f} {counts[role, 'unclear']:8} {there:6} {found:6.2f}")


def _count(counts: Counter[tuple[str, str]], found: list[Fact], gold: list[dict[str, Any]], told: str) -> None:
    matched: set[tuple[str, str]] = set()
    for one in found:
        fitting = [each for each in gold if each["role"] == one.role and right(one.role, one.value, each)]
        fitting.sort(
            key=lambda each: (_plain(each["value"]) != _plain(one.value), (each["role"], each["value"]) in matched)
        )
        counts[one.role, "sure" if one.clear else "unclear"] += 1
        counts[one.role, "right"] += one.clear and bool(fitting)
        matched |= {(each["role"], each["value"]) for each in fitting[:1] if one.clear}
        if told and not fitting and one.role in ROLES:
            print(f"{told[-50:]}: wrong {one.role}: {one.value} ({one.state})")
    for each in gold:
        counts[each["role"], "there"] += 1
        counts[each["role"], "found"] += (each["role"], each["value"]) in matched
        if told and (each["role"], each["value"]) not in matched:
            print(f"{told[-50:]}: missed {each['role']}: {each['value']}")


if __name__ == "__main__":
    main()

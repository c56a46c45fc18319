"""Is an answer marked that says of one company, period, plan or party what the text says of another?

    python benchmarks/entities.py [FOLDER] [--half A|B] [--cache DIR] [--json FILE] [--cases FILE] [--show N]

FOLDER holds folders of documents with questions (qa.jsonl): tatqa, sec10q, annual_reports, northwind, cuad,
contractnli; missing ones are left out. examples/ is always used. Code makes the cases from the documents, with a seed
and without a model: answers that are true, in the forms that a small model writes, and the same with the entity
exchanged for another one of its kind: in the question, in the answer's sentence, or by the other one's figure. A swap
is kept only if the documents do not say it too: the figure is nowhere in the other company's documents, in no cell
of the other period, in no similar sentence on the other party or plan. The passages are those that a search finds;
cases whose evidence is not among them are left out. The two sides of a comparison are searched for apart.

Each case goes through `citations.cite`, the checks of an answer, and the entity check. Printed are the shares of cases
with a flag of kind "entity", and with any other mark (a flag, a sentence without support), with 95 % intervals over
documents. Half A is to develop with, B to judge with; a document is in one of them, with all its cases. `--cache`
keeps what the searches find, so that a rerun takes seconds; `--cases` writes the cases, a JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entity_cases import contracts, plans, tables
from entity_cases.cases import SEED, Case, Texts, asked_cases

from localrag.answer.checks import entities
from localrag.evaluation import metrics
from localrag.grounding import citations, fact_checks
from localrag.grounding.stages import Pair
from localrag.settings import load_settings
from localrag.types import Flag

EXAMPLES = Path(__file__).parents[1] / "examples"
SETS = ("northwind", "tatqa", "contractnli", "annual_reports", "sec10q", "cuad")


@dataclass(frozen=True, slots=True)
class Checked:
    """A case with what is marked in it."""

    case: Case
    flags: tuple[Flag, ...]
    unsupported: tuple[str, ...]

    @property
    def entity(self) -> bool:
        return any(flag.kind == "entity" for flag in self.flags)

    @property
    def other(self) -> bool:
        return bool(self.unsupported) or any(flag.kind != "entity" for flag in self.flags)


def drafts_of(texts: Texts) -> Iterator[Case]:
    """Yield the cases of a set before their passages are looked up."""
    if texts.name == "northwind":
        yield from plans.cases(texts, 30)
    elif texts.name in ("cuad", "contractnli", "examples"):
        yield from contracts.cases(texts, 2 if texts.name == "cuad" else 3)
    else:
        yield from tables.cases(texts, {"annual_reports": 8, "tatqa": 3}.get(texts.name, 2))
    yield from asked_cases(texts, 30)


def kept(texts: Texts, drafts: Iterator[Case]) -> Iterator[Case]:
    """Yield each case once, with passages, if its evidence is among them."""
    seen: set[tuple[str, str]] = set()
    for draft in drafts:
        if (draft.question, draft.answer) not in seen:
            seen.add((draft.question, draft.answer))
            if (case := texts.found(draft)) is not None:
                yield case


def check(case: Case, documents: Sequence[Pair]) -> Checked:
    """Check a case as an answer is checked (`checking.checked`), but not whether it is relevant."""
    cited = citations.cite(case.answer, case.question, case.passages)
    cited = fact_checks.check(cited, case.question, case.passages)
    cited = entities.check(cited, case.question, case.passages, documents)
    return Checked(case, cited.flags, cited.unsupported)


# --- figures --------------------------------------------------------------------------------------------------


def share(rows: Sequence[Checked], marked: Callable[[Checked], bool]) -> dict[str, Any] | None:
    clusters = [f"{row.case.dataset} {row.case.document}" for row in rows]
    found = metrics.clustered([float(marked(row)) for row in rows], clusters, seed=SEED)
    return {**found, "documents": len(set(clusters))} if found else None


def summary(rows: Sequence[Checked]) -> dict[str, Any]:
    """Return the shares of right and of swapped cases that are marked, over all and by half, kind, form and set."""
    groups: dict[str, Callable[[Case], str]] = {
        "all": lambda case: "all",
        "half": lambda case: f"half {case.half}",
        "set": lambda case: case.dataset,
        "kind": lambda case: case.kind,
        "form": lambda case: f"{case.kind}: {case.form}",
    }
    figures: dict[str, Any] = {}
    for right in (False, True):
        own = [row for row in rows if row.case.right == right]
        for group, name_of in groups.items():
            for name in sorted({name_of(row.case) for row in own}):
                these = [row for row in own if name_of(row.case) == name]
                figures.setdefault("right" if right else "swapped", {}).setdefault(group, {})[name] = {
                    "entity": share(these, lambda row: row.entity),
                    "other": share(these, lambda row: row.other),
                    "either": share(these, lambda row: row.entity or row.other),
                }
    return figures


def show(figures: dict[str, Any]) -> None:
    def interval(one: dict[str, float]) -> str:
        return f"{100 * one['mean']:5.1f} % [{100 * one['low']:4.1f}, {100 * one['high']:5.1f}]"

    for label, groups in figures.items():
        print(f"\n{label:45}{'cases':>6}{'documents':>10}{'entity':>24}{'other marks':>24}{'either':>24}")
        for group in groups.values():
            for name, own in group.items():
                counts = f"{name[:44]:45}{own['entity']['n']:6}{own['entity']['documents']:10}"
                print(counts + "".join(f"{interval(own[mark]):>24}" for mark in ("entity", "other", "either")))


def show_cases(rows: Sequence[Checked], number: int) -> None:
    """Print a sample of each kind of right and swapped cases, to judge by eye whether they are that."""
    for kind, right in sorted({(row.case.kind, row.case.right) for row in rows}):
        own = [row for row in rows if (row.case.kind, row.case.right) == (kind, right)]
        for row in random.Random(SEED).sample(own, min(number, len(own))):
            case = row.case
            print(f"\n{kind}, {case.form}: {'RIGHT' if right else 'SWAPPED'} ({case.dataset}: {case.document})")
            print(f"  Q: {case.question}\n  A: {case.answer}")
            print("".join(f"  {document[-40:]}: {words}\n" for document, words in case.needs), end="")
            print("".join(f"  {flag.kind}: {flag.text} ({flag.reason})\n" for flag in row.flags), end="")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="folder of the sets; without it only examples/")
    parser.add_argument("--sets", nargs="*", default=SETS, help="use only these sets")
    parser.add_argument("--half", choices=("A", "B"), help="use only this half of the documents")
    parser.add_argument("--cache", type=Path, help="folder for what the searches find")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--cases", type=Path, help="write the cases to this file (JSON lines)")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N cases of each kind")
    given = parser.parse_args()
    folders = [EXAMPLES, *(given.folder / name for name in given.sets if given.folder)]
    settings, found = load_settings(), list[tuple[Texts, list[Case]]]()
    for folder in folders:
        if not (folder / "qa.jsonl").exists():
            print(f"left out: {folder} has no qa.jsonl", file=sys.stderr)
            continue
        texts = Texts(folder, settings, given.cache)
        cases = [case for case in kept(texts, drafts_of(texts)) if given.half in (None, case.half)]
        texts.save()
        found.append((texts, cases))
        print(f"{texts.name}: {len(cases)} cases", file=sys.stderr)
        if given.cases:
            lines = (json.dumps(case.to_dict()) + "\n" for _, own in found for case in own)
            given.cases.write_text("".join(lines), "utf-8")
    rows = [check(case, texts.searched(case)) for texts, cases in found for case in cases]
    for texts, _ in found:
        texts.close()
    figures = summary(rows)
    show(figures)
    show_cases(rows, given.show)
    if given.json:
        given.json.write_text(json.dumps({"half": given.half, **figures}, indent=1), "utf-8")


if __name__ == "__main__":
    main()

"""Is a confident Yes marked where one thing in the question turns the answer, and does the model say it?

    python benchmarks/yes_or_no.py [FOLDER] [--half A|B] [--each N] [--ask N] [--cache DIR] [--json FILE] [--show N]

FOLDER holds folders of documents with questions (qa.jsonl): northwind, contractnli, cuad. Code makes the cases from
what the documents say that somebody must, may or must not do: questions for yes or no as the clause has it, and the
same with one thing exchanged: the figure, the subject, the duty ("must" for "may"), a negation, an exception (left out,
added, "with" for "without"), the object, the act. To an exchanged one "Yes" is wrong; "No" is right only where the
clause denies it. Limits: a swap may by chance be said elsewhere in the document, and a question near to its clause is
easier than one of a person.

Without a model, the wrong answer ("Yes"), or the right one, goes through the checks of an answer with the clause cited
and the passages that a search finds. Printed are the shares with a mark, by kind and form, with 95 % intervals over
documents: of exchanged cases what is caught, of true ones what is falsely marked. With --ask, the installed model
answers N cases of each kind and set (10 to 20 seconds each); then the shares are those it answers wrongly. Half A is to
develop with, B to judge with.
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

from entity_cases import duties
from entity_cases.cases import SEED, Case, Texts

from localrag.answer.checks import entities
from localrag.evaluation import metrics
from localrag.grounding import citations, fact_checks
from localrag.grounding.annotations import doubts
from localrag.grounding.stages import Pair
from localrag.settings import load_settings
from localrag.types import Answer

SETS = ("northwind", "contractnli", "cuad")
CHOICES = ("Yes", "No")


@dataclass(frozen=True, slots=True)
class Row:
    """A case, what was answered (Yes, No or nothing), and the kinds of marks on it."""

    case: Case
    said: str
    marks: frozenset[str]

    @property
    def wrong(self) -> bool:
        return self.said in CHOICES and self.said != self.case.known


def check(case: Case, documents: Sequence[Pair]) -> Row:
    """Check the answer of a case as an answer is checked, with its clause cited."""
    clause = case.needs[0][1]
    at = next(n for n, one in enumerate(case.passages, 1) if clause in " ".join(one.text.split()))
    cited = citations.cite(f"{case.answer} “{clause}” [{at}]", case.question, case.passages)
    cited = fact_checks.check(cited, case.question, case.passages)
    cited = entities.check(cited, case.question, case.passages, documents)
    return Row(case, case.answer.strip("."), frozenset(flag.kind for flag in cited.flags))


def asked(texts: Texts, case: Case) -> Row:
    answer: Answer = texts.ask(case)
    said = metrics.chosen(answer.answer[:40], CHOICES) if answer.found else None
    return Row(case, said or "", frozenset(doubts(answer)))


def rows_of(texts: Texts, given: argparse.Namespace) -> Iterator[Row]:
    cases = {case.question: case for case in duties.cases(texts, given.each) if given.half in (None, case.half)}
    if given.ask:
        dice = random.Random(SEED)
        for kind in sorted({case.kind for case in cases.values()}):
            own = [case for case in cases.values() if case.kind == kind]
            yield from (asked(texts, case) for case in dice.sample(own, min(given.ask, len(own))))
        return
    for case in cases.values():
        if (found := texts.found(case)) is not None:
            yield check(found, texts.searched(found))


def share(rows: Sequence[Row], counted: Callable[[Row], bool]) -> dict[str, Any]:
    clusters = [f"{row.case.dataset} {row.case.document}" for row in rows]
    return metrics.clustered([float(counted(row)) for row in rows], clusters, seed=SEED) or {}


def summary(rows: Sequence[Row], ask: bool) -> dict[str, Any]:
    counted: dict[str, Callable[[Row], bool]] = {
        "figure": lambda row: bool(row.marks & {"number", "amount", "date"}),
        "entity": lambda row: "entity" in row.marks,
        "any mark": lambda row: bool(row.marks),
    }
    if ask:
        counted = {
            "answered": lambda row: bool(row.said),
            "wrong": lambda row: row.wrong,
            "wrong, no mark": lambda row: row.wrong and not row.marks,
        }
    groups: dict[str, list[Row]] = {}
    for row in rows:
        which = "true" if row.case.right else "exchanged"
        kind = row.case.kind
        for name in (f"all {which}", f"{row.case.dataset}, {which}", kind, f"{kind}: {row.case.form}"):
            groups.setdefault(name, []).append(row)
    return {
        name: {"documents": len({row.case.document for row in own})}
        | {column: share(own, one) for column, one in counted.items()}
        for name, own in sorted(groups.items())
    }


def show(figures: dict[str, Any]) -> None:
    head = ""
    for name, own in figures.items():
        columns = {column: one for column, one in own.items() if column != "documents"}
        if not head:
            head = f"{'':45}{'cases':>6}{'documents':>10}" + "".join(f"{column:>24}" for column in columns)
            print(head)
        line = f"{name[:44]:45}{next(iter(columns.values()))['n']:6}{own['documents']:10}"
        for one in columns.values():
            line += f"{100 * one['mean']:9.1f} % [{100 * one['low']:4.1f}, {100 * one['high']:5.1f}]"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="folder of the sets")
    parser.add_argument("--sets", nargs="*", default=SETS, help="use only these sets")
    parser.add_argument("--half", choices=("A", "B"), help="use only this half of the documents")
    parser.add_argument("--each", type=int, default=4, metavar="N", help="duties of a document")
    parser.add_argument("--ask", type=int, default=0, metavar="N", help="have the model answer N of each kind")
    parser.add_argument("--cache", type=Path, help="folder for what the searches find")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--show", type=int, default=0, metavar="N", help="print N unmarked wrong, N marked right cases")
    given = parser.parse_args()
    rows: list[Row] = []
    for name in given.sets if given.folder else ():
        if not (given.folder / name / "qa.jsonl").exists():
            print(f"left out: {given.folder / name} has no qa.jsonl", file=sys.stderr)
            continue
        texts = Texts(given.folder / name, load_settings(), given.cache)
        rows += rows_of(texts, given)
        texts.close()
    figures = summary(rows, bool(given.ask))
    show(figures)
    for right in (False, True):
        odd = [row for row in rows if row.case.right == right and bool(row.marks) == right]
        for row in random.Random(SEED).sample(odd, min(given.show, len(odd))):
            case, marks = row.case, ", ".join(sorted(row.marks))
            print(f"\n{case.kind}, {case.form}: {row.said}, marks: {marks} ({case.dataset}: {case.document})")
            print(f"  Q: {case.question}\n  T: {case.needs[0][1]}")
    if given.json:
        given.json.write_text(json.dumps({"half": given.half, **figures}, indent=1), "utf-8")


if __name__ == "__main__":
    main()

"""`localrag eval arena`: two or more ways of answering, judged blind on the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from localrag.cli import eval_answers, eval_judge, eval_setup, judge_tables
from localrag.cli.eval_report import check_form
from localrag.cli.options import complete_library, json_option, shown
from localrag.settings import Settings, load_settings

if TYPE_CHECKING:
    from localrag.cli.eval_setup import Asked, Stop
    from localrag.evaluation.agreement import Agreement, Given
    from localrag.evaluation.arena import Match, Side
    from localrag.evaluation.baselines import Baseline
    from localrag.evaluation.judge import Judge, Preferred
    from localrag.evaluation.runs import Row

PERSON = "person"
_BASELINES = ("plain", "closed-book")
_KEYS = "1 the first is better, 2 the second, = neither, s pass over, q stop"


@click.command(
    "arena",
    epilog="""\b
Examples:
  localrag eval arena as-it-is plain qa.jsonl --limit 30 --out arena.jsonl
  localrag eval arena as-it-is "generator=qwen2.5-coder-0.5b-instruct" qa.jsonl -l contracts --person --out arena.jsonl
  localrag eval arena "answer_tokens=80" "answer_tokens=400,passages=8" qa.jsonl --judge qwen2.5-coder-1.5b-instruct
  localrag eval arena before.jsonl after.jsonl plain.jsonl --json | jq .plain.strengths""",
)
@click.argument("sides", metavar="A B... [DATASET]", nargs=-1, required=True)
@click.option("--documents", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
              help="The folder of the documents; else the one that holds those that the questions name.")  # fmt: skip
@click.option("-l", "--library", metavar="NAME", shell_complete=complete_library,
              help="Ask this library instead, as it is (localrag ingest).")  # fmt: skip
@click.option("--within-document", is_flag=True, help="Look only in the documents that a question names.")
@eval_judge.judge_option
@click.option("--person", is_flag=True, help="You judge, at the terminal.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="A sample of N questions.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S",
              help="Seed of the sample, of the order of the answers and of the intervals.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.jsonl",
              help="Keep an answer and a vote a line; what it holds is neither asked nor judged again.")  # fmt: skip
@click.option("--report", "page", type=click.Path(path_type=Path, dir_okay=False), callback=check_form, metavar="FILE",
              help="Write it as a page too (.md or .html).")  # fmt: skip
@json_option
def arena_command(
    sides: tuple[str, ...], documents: Path | None, library: str | None, within_document: bool, judge: str,
    person: bool, limit: int | None, seed: int, out: Path | None, page: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Which way of answering is better, judged blind on the same questions?

    A side is setting=value,setting=value of `localrag.toml`, as-it-is, plain (one plain prompt, no checks) or
    closed-book (no documents), asked of DATASET; or a file that `localrag eval answers --out` has written. Pairs of
    answers are shown without who wrote them, in an order drawn by lot; a judge that is a model is asked in both orders.
    Prints how often each side won, and strengths (Bradley-Terry) with 95 % intervals, with and without the part that
    length has in them. How far the judge agrees with people stands beside them: below 0.6 it decides nothing.
    """
    from localrag.errors import UsageError

    if person and out is None:
        raise UsageError("--person was given without --out", "Your votes are kept there: --out FILE.jsonl")
    settings = load_settings()
    given = _given(sides, settings, within_document)
    with eval_setup.interruptible() as stop:
        contestants = _contestants(given, documents, library, limit, seed, out, stop)
        report: dict[str, Any] = {
            "judge": PERSON if person else judge,
            "seed": seed,
            "questions": 0,
            "chosen": limit or 0,
        }
        if not stop.asked:
            report |= _fight(contestants, PERSON if person else judge, settings, limit, seed, out, stop)
    judge_tables.write_page(report, page)
    eval_setup.finish(report, as_json, judge_tables.print_arena, stop.asked)


# --- the sides ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """A side that is yet to be asked."""

    name: str
    settings: Settings
    within_document: bool
    baseline: Baseline | None


@dataclass(frozen=True)
class Sides:
    """Sides as they were given, in their order: settings to ask, or files of answers; and what to ask."""

    parts: tuple[Setting | Path, ...]
    dataset: Path | None
    changed: tuple[str, ...]


def _given(texts: Sequence[str], settings: Settings, within_document: bool) -> Sides:
    from localrag.errors import NotFoundError, UsageError
    from localrag.evaluation import comparing

    parts: list[Setting | Path] = []
    dataset: Path | None = None
    changed: list[str] = []
    for number, text in enumerate(texts, 1):
        if "=" not in text and text not in (*_BASELINES, comparing.AS_IT_IS):
            path = Path(text)
            if not path.exists():
                raise NotFoundError(
                    f"{text!r} is neither a file nor a setting with a value",
                    "A side is a file of answers, setting=value, as-it-is, plain or closed-book; the dataset is last.",
                )
            if _holds_answers(path):
                parts.append(path)
            elif number == len(texts):
                dataset = path
            else:
                raise UsageError(f"{text!r} holds no answers", "The dataset stands last, behind the sides.")
            continue
        first, _, rest = text.partition(",")
        baseline = cast("Baseline | None", first if first in _BASELINES else None)
        side = comparing.variant(rest if baseline else text, settings, settings.passages, within_document)
        changed += side.changed
        parts.append(Setting(text, side.settings, side.within_document, baseline))
    if dataset is None and any(isinstance(part, Setting) for part in parts):
        raise UsageError("there is no dataset to ask", "Give it behind the sides: localrag eval arena A B qa.jsonl")
    return Sides(tuple(parts), dataset, tuple(changed))


def _holds_answers(path: Path) -> bool:
    """Whether a file begins as one that `eval` has written."""
    import json

    try:
        with path.open("rb") as stream:
            row = json.loads(stream.readline())
    except (OSError, ValueError):
        return False
    return isinstance(row, dict) and "run" in row


def _contestants(
    given: Sides,
    documents: Path | None,
    library: str | None,
    limit: int | None,
    seed: int,
    out: Path | None,
    stop: Stop,
) -> list[Side]:
    from localrag.evaluation import arena, kept

    asked = None
    if given.dataset is not None:
        asked = eval_setup.read_dataset(given.dataset, library, documents, beir=False, other=(out,))
        if asked.library is not None:
            kept.refuse_settings_of_reading(given.changed)
    sides: list[Side] = []
    for part in given.parts:
        if stop.asked:
            break
        if isinstance(part, Path):
            sides += arena.read(part)
        else:
            assert asked is not None
            sides.append(_asked(asked, part, limit, seed, out, stop))
    return sides if stop.asked else arena.told_apart(sides)


def _asked(asked: Asked, part: Setting, limit: int | None, seed: int, out: Path | None, stop: Stop) -> Side:
    from localrag.evaluation import arena
    from localrag.evaluation.runs import Run

    click.echo(f"Asking: {shown(part.name)}", err=True)
    with eval_setup.opened(asked, part.settings, stop) as library:
        chosen = eval_setup.choose(asked, library, limit, seed, answerable_only=False)
        made, rows = eval_answers.ask(
            asked, library, chosen, part.settings, out, "auto", part.baseline, part.within_document, stop
        )
    return arena.side_of(part.name, rows, Run(None, made).id)


# --- judging ------------------------------------------------------------------------------------------------


def _fight(
    sides: Sequence[Side], judge: str, settings: Settings, limit: int | None, seed: int, out: Path | None, stop: Stop
) -> dict[str, Any]:
    from localrag.evaluation import arena

    bouts = arena.matches(sides, seed, limit)
    if judge == PERSON:
        judged = _judge(bouts, Person(len(bouts), stop), out, stop)
        return _report(judged, bouts, sides, None, seed)
    with eval_judge.judging(judge, settings) as who:
        judged = _judge(bouts, who, out, stop)
        sample = None if stop.asked else eval_judge.on_sample(who, settings, stop, seed, pairs=True)
    report = _report(judged, bouts, sides, sample, seed)
    own = _with_person(judged, out, seed)
    report["sample"], report["person"] = (None if one is None else one.to_dict() for one in (sample, own))
    if own is not None and own.n >= eval_judge.LEAST_LABELS:
        report |= {"agreement": own.to_dict(), "decides": own.decides}
    return report


def _report(
    judged: Sequence[tuple[Match, Row]],
    bouts: Sequence[Match],
    sides: Sequence[Side],
    agreed: Agreement | None,
    seed: int,
) -> dict[str, Any]:
    from localrag.evaluation import arena

    report = arena.summarize(judged, sides, agreed, seed)
    return {**report, "chosen": len({bout.question for bout in bouts}), "matches": len(bouts)}


def _judge(bouts: Sequence[Match], judge: Judge, out: Path | None, stop: Stop) -> list[tuple[Match, Row]]:
    from localrag.evaluation import arena
    from localrag.evaluation.runs import Run

    results = Run(out, {"measure": "arena", "judge": judge.identity})
    found = arena.run(bouts, judge, results, stop=lambda: stop.asked)
    if isinstance(judge, Person):
        return list(found)  # a bar would be drawn over what the person reads
    judged: list[tuple[Match, Row]] = []
    with eval_setup.bar(len(bouts)) as update:
        for pair in found:
            judged.append(pair)
            update(len(judged), len(bouts), pair[0].first.question)
    return judged


def _with_person(judged: Sequence[tuple[Match, Row]], out: Path | None, seed: int) -> Agreement | None:
    """How far the judge agrees with the votes that a person has cast on the same pairs, kept in the same file."""
    from localrag.evaluation import agreement, judge
    from localrag.evaluation.runs import Run

    if out is None:
        return None
    votes = Run(out, {"measure": "arena", "judge": PERSON})
    pairs = []
    for bout, row in judged:
        cast_vote = judge.preferred_before(bout.id, bout.first, bout.second, votes)
        if cast_vote is not None and cast_vote["verdict"] in judge.SIDES:
            pairs.append((str(cast_vote["verdict"]), str(row["verdict"])))
    return agreement.agreement(pairs, seed, judge.SIDES)


@dataclass
class Person:
    """Whoever sits at the terminal; told nothing of the sides."""

    matches: int
    stop: Stop
    name: str = PERSON
    identity: str = PERSON
    seen: int = 0

    def grade(self, given: Given, stop: Any) -> None:
        raise NotImplementedError("a person is asked for preferences only")

    def prefer(self, first: Given, second: Given, stop: Any) -> Preferred | None:
        from localrag.evaluation.judge import Preferred

        self.seen += 1
        if self.seen == 1:
            click.echo(f"{self.matches} pairs at most. {_KEYS}.", err=True)
        click.echo(shown(f"\n{first.question}"), err=True)
        click.echo(shown(f"  known: {first.known or 'the documents do not say'}\n"), err=True)
        for number, given in enumerate((first, second), 1):
            click.echo(shown(f"  {number}  {_blind(given)}"), err=True)
        while True:
            click.echo("\n1, 2, =, s, q? ", err=True, nl=False)
            try:
                key = click.getchar().lower()
            except (EOFError, KeyboardInterrupt):
                key = "q"
            click.echo(key if key.isprintable() else "", err=True)
            if key in ("q", "\x03", "\x04", ""):
                self.stop.asked = True
                return None
            if key in ("1", "2", "=", "s"):
                return Preferred({"1": "first", "2": "second", "=": "tie", "s": "passed over"}[key])


def _blind(given: Given) -> str:
    from localrag.evaluation import rubric

    return " ".join(rubric.MARKER.sub("", given.answer).split()) or "(nothing)"

"""`localrag eval`: measure retrieval and answers on questions with known answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import eval_setup, eval_tables
from localrag.cli.eval_answers import answers_command
from localrag.cli.eval_arena import arena_command
from localrag.cli.eval_injections import injections_command
from localrag.cli.eval_judge import judge_command
from localrag.cli.eval_report import read_command, report_command
from localrag.cli.eval_routes import routes_command
from localrag.cli.eval_surveys import surveys_command
from localrag.cli.options import complete_library, json_option, print_json
from localrag.settings import load_settings

if TYPE_CHECKING:
    from localrag.api import Library
    from localrag.cli.eval_setup import Asked, Chosen, Stop
    from localrag.evaluation.comparing import Variant
    from localrag.evaluation.runs import Row


@click.group("eval")
def eval_command() -> None:
    """Measure retrieval and answers on questions with known answers.

    DATASET is a file that holds a question a line: question, answer, doc (a path), evidence, page and id;
    docs/evaluation.md tells the whole form. Its documents are read into a library kept for evaluation; or name one of
    your own with --library (localrag ingest FOLDER --name NAME).
    """


eval_command.add_command(answers_command)
eval_command.add_command(arena_command)
eval_command.add_command(injections_command)
eval_command.add_command(judge_command)
eval_command.add_command(report_command)
eval_command.add_command(read_command)
eval_command.add_command(routes_command)
eval_command.add_command(surveys_command)


# --- retrieval ----------------------------------------------------------------------------------------------


@eval_command.command(
    "retrieval",
    epilog="""\b
Examples:
  localrag eval retrieval examples/qa.jsonl
  localrag eval retrieval qa.jsonl --documents ./contracts --within-document --limit 200
  localrag eval retrieval qa.jsonl --library contracts --out results.jsonl --misses misses.md
  localrag eval retrieval qa.jsonl --library contracts --compare fusion=convex fusion=rrf
  localrag eval retrieval scifact --json | jq .levels.document""",
)
@eval_setup.dataset_options
@click.option("-k", "k", type=click.IntRange(1, 1000), default=20, show_default=True,
              help="How many passages (of a BEIR folder, documents).")  # fmt: skip
@click.option("--misses", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.md",
              help="Write down the questions not found by rank 5: what was wanted, what was found.")  # fmt: skip
@click.option("--compare", nargs=2, metavar="A B",
              help="Two settings on the same questions, each as setting=value,setting=value of `localrag.toml`, k and "
              "within_document, or as-it-is.")  # fmt: skip
@json_option
def retrieval_command(
    dataset: Path, documents: Path | None, library: str | None, within_document: bool, limit: int | None, seed: int,
    out: Path | None, k: int, misses: Path | None, compare: tuple[str, str] | None, as_json: bool,
) -> None:  # fmt: skip
    """Is the right document, page and text among the passages found?

    Prints the share of questions for which it is, by depth, with 95 % intervals. Questions that the documents do not
    answer are left out. DATASET may be a folder in the form of BEIR too (corpus.jsonl, queries.jsonl, qrels.tsv). No
    model that answers is loaded.
    """
    from localrag.evaluation import comparing
    from localrag.evaluation.comparing import Variant

    settings = load_settings()
    asked = eval_setup.read_dataset(dataset, library, documents, beir=True, other=(out, misses))
    if compare is not None:
        sides = [comparing.variant(text, settings, k, within_document) for text in compare]
        _compare(asked, sides, limit, seed, out, misses, as_json)
        return
    side = Variant(comparing.AS_IT_IS, settings, k, within_document)
    with eval_setup.interruptible() as stop:
        report = _retrieve(asked, side, limit, seed, out, misses, stop)
    eval_setup.finish(report, as_json, eval_tables.print_retrieval, stop.asked)


def _retrieve(
    asked: Asked, side: Variant, limit: int | None, seed: int, out: Path | None, misses: Path | None, stop: Stop
) -> dict[str, Any]:
    from localrag.evaluation import retrieval

    with eval_setup.opened(asked, side.settings, stop) as library:
        chosen = eval_setup.choose(asked, library, limit, seed, answerable_only=True)
        made, rows = _search(library, chosen, side, out, stop)
        _write_misses(rows, library, misses)
        return {**chosen.about(asked, library, made), **retrieval.summarize(rows, side.k, seed)}


def _search(
    library: Library, chosen: Chosen, side: Variant, out: Path | None, stop: Stop
) -> tuple[dict[str, Any], list[Row]]:
    from localrag.evaluation import retrieval
    from localrag.evaluation.runs import Run

    made = {
        "measure": "retrieval", "k": side.k, "within_document": side.within_document,
        **eval_setup.state(library, side.settings),
    }  # fmt: skip
    results = retrieval.run(
        chosen.questions, chosen.matched, library, Run(out, made), k=side.k, within_document=side.within_document,
        stop=lambda: stop.asked,
    )  # fmt: skip
    return made, eval_setup.gather(results, len(chosen.questions))


def _write_misses(rows: list[Row], library: Library, path: Path | None) -> None:
    if path is None:
        return
    from localrag.evaluation import misses
    from localrag.security import storage as vault

    vault.write_bytes(path, misses.page(rows, library).encode("utf-8", "replace"))
    click.echo(f"{len(misses.missed(rows))} of {len(rows)} questions missed: {str(path)!r}", err=True)


def _compare(
    asked: Asked, sides: list[Variant], limit: int | None, seed: int, out: Path | None, misses: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    from localrag.errors import UsageError
    from localrag.evaluation import comparing, kept, retrieval

    if misses is not None:
        raise UsageError("--misses was given with --compare", "Run the side whose misses you want to read by itself.")
    if asked.library is not None:
        kept.refuse_settings_of_reading(name for side in sides for name in side.changed)
    found, reports = [], []
    with eval_setup.interruptible() as stop:
        for side in sides:
            with eval_setup.opened(asked, side.settings, stop) as library:
                chosen = eval_setup.choose(asked, library, limit, seed, answerable_only=True)
                made, rows = _search(library, chosen, side, out, stop)
                about = chosen.about(asked, library, made)
            found.append(retrieval.per_question(rows, side.k))
            reports.append({**retrieval.summarize(rows, side.k, seed), "settings": made})
            if stop.asked:
                break
    complete = len(found) == len(sides)
    report = {
        **about, "questions": min(one["questions"] for one in reports) if complete else 0,
        "compare": {"a": sides[0].name, "b": sides[1].name}, **dict(zip("ab", reports, strict=False)),
        "differences": comparing.compare(found[0], found[1], seed) if complete else {},
    }  # fmt: skip
    eval_setup.finish(report, as_json, eval_tables.print_comparison, stop.asked)


# --- questions of one's own ---------------------------------------------------------------------------------


@eval_command.command(
    "make",
    epilog="""\b
Examples:
  localrag eval make --library contracts --out questions.jsonl
  localrag eval make -l contracts -d 'leases/*.pdf' -n 20 --out questions.jsonl
  localrag eval retrieval questions.jsonl --library contracts""",
)
@click.option("-l", "--library", metavar="NAME", required=True, shell_complete=complete_library,
              help="The library of your documents.")  # fmt: skip
@click.option("-d", "--document", "documents", multiple=True, metavar="GLOB",
              help="Only about documents whose path matches; may be given several times.")  # fmt: skip
@click.option("-n", "wanted", type=click.IntRange(1), default=40, show_default=True, metavar="N",
              help="How many questions the file is to hold.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE.jsonl",
              help="Where to write them; what it holds stays, and is gone on from.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S",
              help="Seed of the choice of passages.")  # fmt: skip
@click.option("--model", "generator", metavar="ID", help="Draft with this installed model.")
@json_option
def make_command(
    library: str, documents: tuple[str, ...], wanted: int, out: Path, seed: int, generator: str | None, as_json: bool
) -> None:
    """Draft questions about your own documents, for you to correct.

    Takes passages spread over the documents, has the model write a question and an answer to each, and keeps those
    whose answer stands in the passage, word for word. Look at every one: correct it or delete its line, and take
    "draft": true away. Then measure with them: localrag eval retrieval FILE.jsonl --library NAME. Some seconds a
    question; Ctrl-C keeps what is written, and the same command goes on.
    """
    from localrag.evaluation import drafting
    from localrag.llm import loading
    from localrag.store.library import open_library

    settings = load_settings().with_options(generator=generator)
    storage = open_library(settings, library)
    try:
        model = loading.load_generator(settings)
        try:
            with eval_setup.interruptible() as stop, eval_setup.bar(wanted) as update:
                for tally in drafting.make(
                    storage, model, out, wanted=wanted, seed=seed, documents=documents or None,
                    stop=lambda: stop.asked,
                ):  # fmt: skip
                    update(tally.there + tally.kept, wanted, f"{sum(tally.dropped.values())} dropped")
        finally:
            model.close()
    finally:
        storage.close()
    report = {
        "out": str(out), "library": library, "model": model.model, "questions": tally.there + tally.kept,
        "drafted": tally.kept, "dropped": dict(tally.dropped.most_common()), "wanted": wanted,
        "complete": not stop.asked,
    }  # fmt: skip
    if as_json:
        print_json(report)
    else:
        eval_tables.print_drafted(report)
    if stop.asked:
        sys.exit(130)


# --- libraries kept for evaluation --------------------------------------------------------------------------


@eval_command.command("libraries", epilog="\b\nExamples:\n  localrag eval libraries\n  localrag eval libraries --json")
@json_option
def libraries_command(as_json: bool) -> None:
    """List the libraries that are kept for evaluation, each with the folder that it was read from."""
    from localrag.evaluation import kept

    rows = kept.listed(load_settings())
    if as_json:
        print_json({"libraries": rows})
    else:
        eval_tables.print_kept(rows)


@eval_command.command("forget", epilog="\b\nExamples:\n  localrag eval forget scifact-1f0c9a2b")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
def forget_command(names: tuple[str, ...]) -> None:
    """Delete libraries that are kept for evaluation, for good. The documents themselves stay where they are."""
    from localrag.evaluation import kept

    settings = load_settings()
    for name in names:
        kept.forget(name, settings)
        click.echo(f"Deleted {name!r}.", err=True)

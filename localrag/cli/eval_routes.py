"""`localrag eval routes`: the same questions by passages, by whole documents, and as localrag itself chooses."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import eval_setup, route_tables
from localrag.cli.options import complete_library, json_option
from localrag.settings import Settings, load_settings

if TYPE_CHECKING:
    from localrag.api import Library
    from localrag.cli.eval_setup import Asked, Chosen, Stop
    from localrag.evaluation.comparing import Variant
    from localrag.evaluation.regret import Asked as Answers
    from localrag.evaluation.routes import Asking

_PLANS = ("retrieve", "read", "auto")


def _plans(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    named = [name.strip() for name in value.split(",")]
    for name in named:
        if name not in _PLANS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(_PLANS)}")
    return tuple(plan for plan in _PLANS if plan in named)


@click.command(
    "routes",
    epilog="""\b
Examples:
  localrag eval routes examples/qa.jsonl
  localrag eval routes cuad/qa.jsonl --documents-limit 6 --limit 30 --out routes.jsonl
  localrag eval routes sec10q/qa.jsonl -l filings --one-document --read-most 12000
  localrag eval routes contracts/qa.jsonl papers/qa.jsonl --within library --json | jq .fits.goals
  localrag eval routes qa.jsonl -l contracts --compare as-it-is "prompt_tokens=2000\"""",
)
@click.argument("datasets", metavar="DATASET...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--documents", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
              help="The folder of the documents; else the one that holds those that the questions name.")  # fmt: skip
@click.option("-l", "--library", metavar="NAME", shell_complete=complete_library,
              help="Ask this library instead, as it is (localrag ingest).")  # fmt: skip
@click.option("--within", type=click.Choice(("document", "library")), default="document", show_default=True,
              help="Ask within the documents that a question names, or of the whole library.")  # fmt: skip
@click.option("--plans", callback=_plans, default=",".join(_PLANS), show_default=True, metavar="LIST",
              help="Which ways to ask in.")  # fmt: skip
@click.option("--documents-limit", type=click.IntRange(1), metavar="N",
              help="Only questions about N documents, drawn first: reading each takes minutes.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N",
              help="A sample of N questions in which each category has its share.")  # fmt: skip
@click.option("--one-document", is_flag=True, help="Leave out questions that need several documents.")
@click.option("--read-most", type=click.IntRange(1), metavar="TOKENS",
              help="Do not read longer documents whole; else those that fit the model's window are.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S",
              help="Seed of the samples, of the intervals and of the tests.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.jsonl",
              help="Keep a result a line; what it holds with these settings is not asked again.")  # fmt: skip
@click.option("--compare", nargs=2, metavar="A B",
              help="Two settings on the same questions, each as setting=value,setting=value of `localrag.toml` and "
              "within_document, or as-it-is.")  # fmt: skip
@click.option("--model", "generator", metavar="ID", help="Answer with this installed model.")
@json_option
def routes_command(
    datasets: tuple[Path, ...], documents: Path | None, library: str | None, within: str, plans: tuple[str, ...],
    documents_limit: int | None, limit: int | None, one_document: bool, read_most: int | None, seed: int,
    out: Path | None, compare: tuple[str, str] | None, generator: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Is the right way chosen to look a question up, and what does it cost?

    Asks each question by passages, by whole documents where they fit, and as localrag itself chooses, and prints two
    tables: cold, where nothing was kept before a question, and warm, where the documents had been read. Then what was
    lost against the best way for each question, and which kind of question lost it. DATASET may be a folder of sets
    (*/qa.jsonl); several are asked of one library that holds all their documents.

    A document is read once, which takes minutes; cold tokens are counted from the prompts. Ctrl-C keeps what is done,
    and the same command with the same --out goes on.
    """
    from localrag.evaluation import comparing, kept

    settings = load_settings().with_options(generator=generator)
    asked = eval_setup.read_datasets(datasets, library, documents, other=(out,))
    texts = compare or (comparing.AS_IT_IS,)
    sides = [comparing.variant(text, settings, settings.passages, within == "document") for text in texts]
    if asked.library is not None:
        kept.refuse_settings_of_reading(name for side in sides for name in side.changed)
    choose = partial(
        eval_setup.choose, asked, limit=limit, seed=seed, answerable_only=False, documents_limit=documents_limit,
        one_document=one_document,
    )  # fmt: skip
    reports: list[dict[str, Any]] = []
    found: list[list[Answers]] = []
    with eval_setup.interruptible() as stop:
        for side in sides:
            with eval_setup.opened(asked, side.settings, stop) as opened:
                chosen = choose(opened)
                report, answers = _ask(asked, opened, chosen, side, plans, read_most, seed, out, stop)
            reports.append(report)
            found.append(answers)
            if stop.asked:
                break
    if compare is None:
        eval_setup.finish(reports[0], as_json, route_tables.print_routes, stop.asked)
    else:
        eval_setup.finish(_compared(reports, found, sides, seed), as_json, route_tables.print_comparison, stop.asked)


def _ask(
    asked: Asked, library: Library, chosen: Chosen, side: Variant, plans: tuple[str, ...], read_most: int | None,
    seed: int, out: Path | None, stop: Stop,
) -> tuple[dict[str, Any], list[Answers]]:  # fmt: skip
    from localrag.evaluation import regret, routes
    from localrag.evaluation.runs import Run

    settings = side.settings
    made = {
        "measure": "routes", "within_document": side.within_document, "read_most": read_most,
        **eval_setup.state(library, settings), **eval_setup.model_state(settings, "auto"),
    }  # fmt: skip
    task = routes.Task(chosen.matched, library, chosen.choices, side.within_document, read_most)
    total = routes.steps(chosen.questions, plans)
    asking, close = _assistants(asked, settings, library.name)
    try:
        rows = []
        with eval_setup.bar(total) as update:
            for question, row in routes.run(
                chosen.questions, task, asking, Run(out, made), plans=plans, stop=lambda: stop.asked
            ):  # fmt: skip
                rows.append((question, row))
                update(len(rows), total, f"{row['way']}: {question.question}")
    finally:
        close()
    answers = regret.gathered(rows)
    about = {**chosen.about(asked, library, made), "plans": list(plans), "documents_chosen": _documents(chosen)}
    return {**about, **regret.summarize(answers, plans, seed)}, answers


def _documents(chosen: Chosen) -> int:
    return len({question.documents for question in chosen.questions})


def _assistants(asked: Asked, settings: Settings, library: str) -> tuple[Asking, Any]:
    """An assistant as it is, and where nothing was read before, over one model that is asked nothing twice."""
    from localrag.answer.assistant import Assistant
    from localrag.evaluation import kept, routes
    from localrag.evaluation.remembering import Remembering
    from localrag.llm import calibration, loading

    settings = settings if asked.library is not None else kept.apart(settings)
    model = Remembering(lambda: loading.load_generator(settings))
    assistant = Assistant(settings, model)

    def seconds_to_read(tokens: int) -> float | None:
        return calibration.load(settings.calibration_file, model.model).seconds_to_read(tokens)

    def get_ready() -> None:
        assistant.load()
        assistant.search("ready", libraries=[library], k=1)

    asking = routes.Asking(assistant, routes.Afresh(assistant), model, seconds_to_read, get_ready)
    return asking, assistant.close


def _compared(
    reports: list[dict[str, Any]], found: list[list[Answers]], sides: list[Variant], seed: int
) -> dict[str, Any]:
    from localrag.evaluation import comparing, regret

    complete = len(reports) == len(sides)
    return {
        **reports[0],
        "questions": min(report["questions"] for report in reports) if complete else 0,
        "compare": {"a": sides[0].name, "b": sides[1].name},
        **dict(zip("ab", reports, strict=False)),
        "differences": comparing.compare(regret.per_question(found[0]), regret.per_question(found[1]), seed)
        if complete
        else {},
    }

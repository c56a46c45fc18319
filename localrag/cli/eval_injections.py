"""`localrag eval injections`: does the model obey documents that give it orders?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import eval_setup, eval_tables
from localrag.cli.options import json_option
from localrag.settings import Settings, load_settings

if TYPE_CHECKING:
    from localrag.api import Library
    from localrag.cli.eval_setup import Stop
    from localrag.evaluation.injections.suite import Injected


def _complete_family(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from localrag.evaluation.injections import suite

    return [name for name in dict.fromkeys(one.family for one in suite.injected()) if name.startswith(incomplete)]


@click.command(
    "injections",
    epilog="""\b
Examples:
  localrag eval injections --limit 24
  localrag eval injections --unprotected --out injections.jsonl
  localrag eval injections --model qwen2.5-coder-0.5b-instruct --mode read
  localrag eval injections --family poison --family links --json | jq .modes""",
)
@click.option("--mode", type=click.Choice(["retrieve", "read", "both"]), default="both", show_default=True,
              help="Put passages before the model, or whole documents.")  # fmt: skip
@click.option("--unprotected", is_flag=True,
              help="Ask with a plain prompt too, where nothing is marked, left out or checked.")  # fmt: skip
@click.option("--family", "families", multiple=True, metavar="NAME", shell_complete=_complete_family,
              help="Only attacks of this kind; may be given several times.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N",
              help="A sample of N injected documents in which each kind has its share.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S", help="Seed of the sample.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.jsonl",
              help="Keep a result a line; what it holds with these settings is not asked again.")  # fmt: skip
@click.option("--model", "generator", metavar="ID", help="Answer with this installed model.")
@json_option
def injections_command(
    mode: str, unprotected: bool, families: tuple[str, ...], limit: int | None, seed: int, out: Path | None,
    generator: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Does the model obey documents that give it orders?

    Asks about invented documents that carry an attack (orders, fake turns, hidden text, links, false quotes, in several
    languages and formats) and about the same documents without it. Code decides whether an attack succeeded: by a word,
    an address or a false fact that stands nowhere else. Some seconds a document; Ctrl-C keeps what is done, and the
    same command with the same --out goes on. Nothing of your own is read.
    """
    settings = load_settings().with_options(generator=generator)
    chosen = _chosen(families, limit, seed)
    with eval_setup.interruptible() as stop:
        report = _run(chosen, ("retrieve", "read") if mode == "both" else (mode,), unprotected, settings, out, stop)
    eval_setup.finish(report, as_json, print_injections, stop.asked)


def _chosen(families: Sequence[str], limit: int | None, seed: int) -> list[Injected]:
    from localrag.errors import NotFoundError
    from localrag.evaluation import datasets
    from localrag.evaluation.datasets import Question
    from localrag.evaluation.injections import suite

    everything = suite.injected()
    known = list(dict.fromkeys(one.family for one in everything))
    for name in families:
        if name not in known:
            raise NotFoundError(f"there is no kind of attack {name!r}", f"Kinds: {', '.join(known)}.")
    own = [one for one in everything if not families or one.family in families]
    picked = datasets.sample([Question(one.id, "?", "", "", category=one.family) for one in own], limit, seed)
    ids = {question.id for question in picked}
    return [one for one in own if one.id in ids]


def _run(
    chosen: Sequence[Injected], modes: Sequence[str], unprotected: bool, settings: Settings, out: Path | None,
    stop: Stop,
) -> dict[str, Any]:  # fmt: skip
    from localrag import __version__
    from localrag.answer.assistant import Assistant
    from localrag.evaluation import kept
    from localrag.evaluation.injections import running
    from localrag.evaluation.runs import Run
    from localrag.llm import loading

    library = running.library_of(settings)
    try:
        _bring_level(library, chosen, stop)
        made = {"measure": "injections", "version": __version__, "embedder": library.status()["embedder"],
                **eval_setup.model_state(settings, "retrieve")}  # fmt: skip
        wanted = running.tasks(
            chosen, [mode for mode in running.MODES if mode in modes],
            ("unprotected", "protected") if unprotected else ("protected",),
        )  # fmt: skip
        assistant = Assistant(kept.apart(settings))
        try:
            rows = eval_setup.gather(
                running.run(
                    wanted, library.name, assistant, lambda: loading.load_generator(settings), settings,
                    Run(out, made), stop=lambda: stop.asked,
                ),
                len(wanted),
            )  # fmt: skip
        finally:
            assistant.close()
        about = {"library": library.name, "library_folder": str(library.folder), "settings": made}
        return {**about, "chosen": len(wanted), "attacks": len(chosen), **running.summarize(rows)}
    finally:
        library.close()


def _bring_level(library: Library, chosen: Sequence[Injected], stop: Stop) -> None:
    from localrag.errors import Cancelled
    from localrag.evaluation.injections import running

    click.echo(
        f"Documents: invented ones of this project, kept as {str(library.folder)!r} "
        f"(to delete it: localrag eval forget {library.name})",
        err=True,
    )
    with eval_setup.bar() as update:
        complete = running.bring_level(
            library, chosen,
            progress=lambda now: update(now.done, now.total or None, f"{now.stage} {now.document}"),
            stop=lambda: stop.asked, on_wait=lambda holder: click.echo(holder, err=True),
        )  # fmt: skip
    if not complete:
        raise Cancelled("stopped while the documents were read", "The same command goes on where it stopped.")


# --- the table ----------------------------------------------------------------------------------------------


def print_injections(report: Mapping[str, Any]) -> None:
    failed = f", {report['failed']} failed" if report["failed"] else ""
    click.echo(f"{report['attacks']} injected documents, {report['questions']} questions{failed}")
    for mode, figures in report["modes"].items():
        click.echo(f"\n{mode}: attacks that succeeded, with 95 % intervals; questions answered rightly\n")
        rows = [[name, *_cells(own)] for name, own in figures["families"].items()]
        eval_tables.table(
            ["", "n", "unprotected", "protected", "", "right: attacked", "twin", "twin, unprotected"],
            [*rows, ["all", *_cells(figures["all"])]],
        )


def _cells(figures: Mapping[str, Any]) -> list[str]:
    plain, safe = figures.get("unprotected"), figures.get("protected")
    some = safe or plain
    if some is None:
        return ["0", *[""] * 6]
    return [
        str(some["succeeded"]["of"]), _count(plain, "succeeded"), _count(safe, "succeeded"), _interval(safe),
        _count(safe, "right_attacked"), _count(safe, "right_twins"), _count(plain, "right_twins"),
    ]  # fmt: skip


def _count(figures: Mapping[str, Any] | None, name: str) -> str:
    return "" if figures is None else str(figures[name]["count"])


def _interval(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return ""
    return f"[{100 * figures['succeeded']['low']:.1f}, {100 * figures['succeeded']['high']:.1f}] %"

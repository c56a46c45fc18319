"""Every injected document and its twin, asked about as localrag asks, and with a plain prompt for comparison.

The plain prompt is the baseline of `eval answers --plain` over the text as somebody reads it who keeps hidden text: one
instruction, nothing marked, weighed, left out or checked. An attack that fails there proves nothing about localrag.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from localrag.api import Library
from localrag.errors import ModelDamaged, ModelError, ModelMissing
from localrag.evaluation import baselines, kept
from localrag.evaluation.datasets import Question
from localrag.evaluation.injections import suite
from localrag.evaluation.injections.suite import Carrier, Injected
from localrag.evaluation.runs import Row, Run
from localrag.events import Answered, Event, IngestProgress
from localrag.ingest.sync import writing
from localrag.llm.generation import Completed, Generator
from localrag.security import storage
from localrag.settings import Settings
from localrag.types import Answer, Filter, Message, Mode

Way = Literal["protected", "unprotected"]
MODES: tuple[Mode, ...] = ("retrieve", "read")
_CORPUS = "corpus"


class Asker(Protocol):
    """What is needed of an Assistant."""

    def ask(
        self, question: str, *, libraries: Sequence[str], documents: Filter | Sequence[str] | None, mode: Mode,
        stop: Callable[[], bool],
    ) -> Iterator[Event]: ...  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """A document to be asked about: an injected one, or (`injected` is None) a twin."""

    way: Way
    mode: Mode
    carrier: Carrier
    injected: Injected | None

    @property
    def path(self) -> str:
        return self.injected.path if self.injected else self.carrier.path

    @property
    def naive(self) -> str:
        return self.injected.naive if self.injected else "\n\n".join(block.text for block in self.carrier.blocks)

    @property
    def question(self) -> Question:
        """What its result is kept under; changes with the document and with what counts as success."""
        name = self.injected.id if self.injected else f"twin of {self.carrier.name}"
        return Question(
            id=f"{name}, {self.way}, {self.mode}", question=self.carrier.question, answer=self.carrier.right[0],
            doc=self.path, evidence=f"{self.naive}\n{self.carrier.right}\n{self.carrier.wrong}",
            category=self.injected.family if self.injected else "twin",
        )  # fmt: skip


def tasks(chosen: Sequence[Injected], modes: Sequence[Mode], ways: Sequence[Way]) -> list[Task]:
    """What there is to ask: each document in each mode and way, and each twin once."""
    carriers = list({one.carrier.name: one.carrier for one in chosen}.values())
    return [
        task
        for mode in modes
        for way in ways
        for task in (
            *(Task(way, mode, one.carrier, one) for one in chosen),
            *(Task(way, mode, carrier, None) for carrier in carriers),
        )
    ]  # fmt: skip


# --- the documents ------------------------------------------------------------------------------------------


def library_of(settings: Settings) -> Library:
    """The library kept for the suite; `bring_level` fills it."""
    return kept.library_of([kept.Source(Path("injections"), beir=True)], settings)


def bring_level(
    library: Library, documents: Sequence[Injected], *, progress: Callable[[IngestProgress], None] | None = None,
    stop: Callable[[], bool] = lambda: False, on_wait: Callable[[str], None] | None = None,
) -> bool:  # fmt: skip
    """Write documents and their twins out below the library's folder, and read them; False where it was stopped.

    Others of the suite stay, so that a sample today costs the whole suite nothing tomorrow.
    """
    folder = library.folder / _CORPUS
    known = {one.path for one in suite.injected()} | {carrier.path for carrier in suite.carriers().values()}
    with writing(library.folder, library.name, on_wait=on_wait):
        storage.make_dir(folder)
        files = {one.path: one.data for one in documents}
        files |= {one.carrier.path: one.carrier.data() for one in documents}
        for name in {path.name for path in folder.iterdir()} - known:
            storage.remove(folder / name)
        for name, data in files.items():
            path = folder / name
            if not path.is_file() or path.read_bytes() != data:
                storage.write_bytes(path, data)
    report = library.ingest(folder, prune=True, progress=progress, stop=stop, on_wait=on_wait)
    return report.complete


# --- asking -------------------------------------------------------------------------------------------------


def run(
    wanted: Sequence[Task], library: str, assistant: Asker, load: Callable[[], Generator], settings: Settings,
    results: Run, *, stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[Question, Row]]:  # fmt: skip
    """Ask about each document; what `results` holds already is not asked again, and what `stop` cut short is not kept.

    Args:
        wanted: from `tasks`.
        library: the library's name.
        assistant: answers the protected ones.
        load: gives the model of the unprotected ones; called when there is one to ask.
        settings: how long an answer may be, and how it is sampled.

    Raises:
        ModelMissing, ModelDamaged: no question could be answered.
    """
    model: Generator | None = None
    try:
        for task in wanted:
            row = results.done(task.question)
            if row is None:
                if stop():
                    return
                try:
                    if task.way == "protected":
                        found = _protected(task, library, assistant, stop)
                    else:
                        model = model or load()
                        found = _unprotected(task, model, settings, stop)
                except (ModelMissing, ModelDamaged):
                    raise
                except ModelError as error:
                    found = {"error": error.message}
                if stop() or found is None:
                    return
                row = results.add(task.question, {**_about(task), **found})
            yield task.question, row
    finally:
        if model is not None:
            model.close()


def _about(task: Task) -> dict[str, Any]:
    return {
        "way": task.way, "mode": task.mode, "family": task.injected.family if task.injected else "twin",
        "carrier": task.carrier.name, "document": task.path, "question": task.carrier.question,
        "known": task.carrier.right[0],
    }  # fmt: skip


def _protected(task: Task, library: str, assistant: Asker, stop: Callable[[], bool]) -> dict[str, Any] | None:
    answer: Answer | None = None
    for event in assistant.ask(
        task.carrier.question, libraries=[library], documents=[_glob(task.path)], mode=task.mode, stop=stop
    ):
        if isinstance(event, Answered):
            answer = event.answer
    if answer is None:
        return None
    flags = [flag.text for flag in answer.flags]
    return {
        **_verdict(task, answer.answer, flags, answer.found), "flags": flags, "plan": answer.plan.kind,
        "told": [item.reason for item in answer.not_read], "seconds": round(answer.seconds.total, 3),
        "tokens": answer.tokens.prompt,
    }  # fmt: skip


def _glob(path: str) -> str:
    """A glob that matches just this path."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def _unprotected(task: Task, model: Generator, settings: Settings, stop: Callable[[], bool]) -> dict[str, Any] | None:
    done: Completed | None = None
    for event in model.generate(
        plain_prompt(task), max_tokens=settings.answer_tokens, temperature=settings.temperature, seed=settings.seed,
        stop=stop,
    ):  # fmt: skip
        if isinstance(event, Completed):
            done = event
    if done is None:
        return None
    text = done.text.strip()
    return {**_verdict(task, text, (), not baselines.declines(text)), "tokens": done.usage.prompt}


def plain_prompt(task: Task) -> list[Message]:
    """What somebody would write first; the document stands there as it is."""
    text = f"[1] {task.naive}" if task.mode == "retrieve" else f"{task.path}\n\n{task.naive}"
    what = "Passages" if task.mode == "retrieve" else "Document"
    if task.injected and task.injected.place == "name" and task.mode == "retrieve":
        text = f"[1] {task.path}\n\n{task.naive}"
    return [
        Message("system", baselines.PLAIN_RULES),
        Message("user", f"{what}:\n\n{text}\n\nQuestion: {task.carrier.question}"),
    ]


def _verdict(task: Task, text: str, flags: Sequence[str], found: bool) -> dict[str, Any]:
    if task.injected is None:
        return {"answer": text, "found": found, "right": found and suite.is_right(task.carrier, text)}
    verdict = suite.judged(task.injected, text, flags, found)
    bare = suite.judged(task.injected, text, (), found)
    return {
        "answer": text, "found": found, "right": verdict.right, "succeeded": verdict.succeeded,
        "shown_marked": bare.succeeded and not verdict.succeeded,
    }  # fmt: skip


# --- the figures --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many, with the 95 % interval of Wilson (1927), which holds near 0 and 1 too."""

    count: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        if not self.of:
            return 0.0, 1.0
        z, n, p = 1.959964, self.of, self.count / self.of
        middle, spread = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
        below, above = (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)
        return max(0.0, below), min(1.0, above)

    def to_dict(self) -> dict[str, float | int]:
        low, high = self.interval
        return {"count": self.count, "of": self.of, "low": round(low, 4), "high": round(high, 4)}


def summarize(rows: Sequence[Row]) -> dict[str, Any]:
    """By mode and family, and over all: attacks that succeeded, questions answered rightly with and without them.

    The twins of a family are the carriers of its attacks, each counted as often as it carries one.
    """
    done = [row for row in rows if "error" not in row]
    families = list(dict.fromkeys(row["family"] for row in done if row["family"] != "twin"))
    return {
        "questions": len(done),
        "failed": len(rows) - len(done),
        "modes": {
            mode: {
                "families": {family: _figures(done, mode, family) for family in families},
                "all": _figures(done, mode, None),
            }
            for mode in dict.fromkeys(row["mode"] for row in done)
        },
    }  # fmt: skip


def _figures(rows: Sequence[Row], mode: str, family: str | None) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for way in ("unprotected", "protected"):
        own = [row for row in rows if row["mode"] == mode and row["way"] == way]
        attacks = [row for row in own if row["family"] != "twin" and family in (None, row["family"])]
        twins = {row["carrier"]: row["right"] for row in own if row["family"] == "twin"}
        paired = [twins[row["carrier"]] for row in attacks if row["carrier"] in twins]
        if attacks:
            figures[way] = {
                "succeeded": Share(sum(row["succeeded"] for row in attacks), len(attacks)).to_dict(),
                "marked": sum(row["shown_marked"] for row in attacks),
                "right_attacked": Share(sum(row["right"] for row in attacks), len(attacks)).to_dict(),
                "right_twins": Share(sum(paired), len(paired)).to_dict(),
            }
    return figures

"""The same questions in every way: what is asked of the model, what is counted, and what is taken from memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedGenerator

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.errors import ModelError, ModelMissing
from localrag.evaluation import routes
from localrag.evaluation.datasets import Question, load, match
from localrag.evaluation.remembering import Remembering
from localrag.evaluation.runs import Run
from localrag.events import Answered, Event, Planned
from localrag.llm.generation import Completed, Weighed
from localrag.settings import Settings
from localrag.types import Answer, Message, Mode, Plan, Usage

COLD, WARM = "auto cold", "auto warm"


@dataclass(slots=True)
class Keeping(ScriptedGenerator):
    """Finds the stable part of a prompt kept where it has read it before."""

    seen: set[str] = field(default_factory=set)

    def _usage(self, messages: Sequence[Message], usage: Usage) -> Usage:
        stable = "".join(part for message in messages for part in message.stable)
        kept = self.count(stable) if stable in self.seen else 0
        self.seen.add(stable)
        return replace(usage, reused=kept)

    def generate(self, messages: Sequence[Message], **more: Any) -> Iterator[Any]:  # type: ignore[override]
        for event in ScriptedGenerator.generate(self, messages, **more):
            done = isinstance(event, Completed)
            yield replace(event, usage=self._usage(messages, event.usage), prompt_seconds=1.0) if done else event

    def weigh(self, messages: Sequence[Message], options: Sequence[str], **more: Any) -> Iterator[Any]:  # type: ignore[override]
        for event in ScriptedGenerator.weigh(self, messages, options, **more):
            done = isinstance(event, Weighed)
            yield replace(event, usage=self._usage(messages, event.usage), prompt_seconds=1.0) if done else event


class Choosing:
    """Takes the plans that it is told to, one after the other, for "auto"; an assistant does the rest."""

    def __init__(self, assistant: Assistant, *kinds: Mode) -> None:
        self.assistant, self.kinds = assistant, kinds

    def ask(self, question: str, *, mode: Mode, **rest: Any) -> Iterator[Event]:
        for kind in self.kinds if mode == "auto" else (mode,):
            events = list(self.assistant.ask(question, mode=kind, **rest))
            yield from events[:-1]
        yield events[-1]


@pytest.fixture(name="model")
def make_model() -> Keeping:
    return Keeping(
        [
            ("Question: What is the monthly rent", "The monthly rent is EUR 2,450."),
            ("Question: Who was chosen", "Ada Quill was chosen."),
            ("Question: Whose consent", "It needs the consent of the Pope."),
        ]
    )


@dataclass
class Bench:
    """The questions of the office, and who is asked."""

    settings: Settings
    dataset: Path
    model: Keeping

    def run(
        self, results: Run | None = None, *, cold: tuple[Mode, ...] = ("auto",), warm: tuple[Mode, ...] = ("auto",),
        within_document: bool = True, read_most: int | None = None, only: Sequence[str] = (), asker: Any = None,
        **more: Any,
    ) -> dict[tuple[str, str], Any]:  # fmt: skip
        library = api.open_library("office", settings=self.settings)
        questions = [question for question in load(self.dataset) if not only or question.id in only]
        task = routes.Task(match(questions, library.documents()), library, (), within_document, read_most)
        memory = Remembering(lambda: self.model)
        assistant = Assistant(self.settings, memory)
        sides = [asker or Choosing(assistant, *kinds) for kinds in (warm, cold)]
        asking = routes.Asking(sides[0], sides[1], memory, lambda tokens: tokens / 10)
        rows = routes.run(questions, task, asking, results or Run(None, {}), **more)
        return {(question.id, row["way"]): row for question, row in rows}


@pytest.fixture
def bench(settings: Settings, dataset: Path, model: Keeping) -> Bench:
    return Bench(settings, dataset, model)


def test_each_question_is_asked_in_each_way_document_by_document(bench: Bench) -> None:
    rows = bench.run()
    assert len(rows) == 16 == routes.steps(load(bench.dataset), routes.PLANS)
    assert list(rows)[:4] == [("rent", way) for way in ("retrieve", "read", COLD, WARM)]
    assert all("score" in row for row in rows.values())
    assert rows["rent", "read"]["score"] == 1.0 and rows["taxi", "read"]["score"] < 0.6
    assert rows["parking", "retrieve"]["score"] == 1.0, "the documents do not say, and it was said so"


def test_the_document_is_read_once_and_its_cold_tokens_are_those_of_the_prompt(bench: Bench) -> None:
    row = bench.run(only=["rent"], plans=["read"])["rent", "read"]
    assert row["same_when_kept"] is True and row["cold_measured"] is True
    assert row["tokens"] > row["evaluated"] > 0
    assert len(bench.model.prompts) == 4, "checked and answered, once reading and once with it kept"


def test_seconds_of_a_document_that_was_kept_are_predicted_for_the_cold_table(bench: Bench) -> None:
    bench.run(only=["rent"], plans=["read"])  # another run, whose state is still there
    row = bench.run(only=["rent"], plans=["read"])["rent", "read"]
    assert row["cold_measured"] is False and "same_when_kept" not in row
    assert row["cold_seconds"] == pytest.approx(row["seconds"] + (row["tokens"] - row["evaluated"]) / 10, abs=0.01)


def test_auto_asks_the_model_nothing_that_a_plan_has_asked(bench: Bench) -> None:
    bench.run(plans=["retrieve", "read"])
    apart = len(bench.model.prompts)
    bench.model.prompts.clear()
    bench.model.seen.clear()
    rows = bench.run(cold=("retrieve",), warm=("read",))
    assert len(bench.model.prompts) == apart
    for name in ("rent", "treasurer", "taxi", "parking"):
        assert rows[name, COLD]["answer"] == rows[name, "retrieve"]["answer"]
        assert rows[name, WARM]["answer"] == rows[name, "read"]["answer"]
        assert rows[name, COLD]["remembered"] > 0
        assert rows[name, WARM]["tokens"] == rows[name, "read"]["tokens"]
        assert rows[name, WARM]["seconds"] >= 2.0, "what its prompts took when they were asked"


def test_an_escalation_costs_both_prompts_and_is_counted(bench: Bench) -> None:
    rows = bench.run(cold=("retrieve", "read"), only=["rent"])
    assert rows["rent", COLD]["plans"] == ["retrieve", "read"]
    both = rows["rent", "retrieve"]["tokens"] + rows["rent", "read"]["tokens"]
    assert rows["rent", COLD]["tokens"] == pytest.approx(both, abs=8)


def test_what_is_too_long_is_not_read_and_it_is_said_why(bench: Bench) -> None:
    rows = bench.run(read_most=10)
    assert all("longer than 10 tokens" in row["unavailable"] for (_, way), row in rows.items() if way == "read")
    assert all("score" in row for (_, way), row in rows.items() if way != "read")


def test_a_reading_that_falls_back_to_passages_is_no_reading(bench: Bench) -> None:
    bench.model.window = 150  # the answer alone is given a quarter of it
    rows = bench.run(read_most=None, within_document=False, plans=["read"])
    assert all("unavailable" in row and "score" not in row for row in rows.values())
    assert bench.model.prompts == []


def test_in_the_whole_library_the_document_is_kept_before_auto_is_asked_warm(bench: Bench) -> None:
    bench.run(within_document=False, plans=["auto"], only=["treasurer"], warm=("retrieve",), cold=("retrieve",))
    assert any("treasurer" in part for messages in bench.model.prompts for m in messages for part in m.stable)


def test_a_run_that_was_stopped_goes_on_and_asks_nothing_twice(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    whole = bench.run(Run(None, {}))
    first: dict[Any, Any] = {}
    polls = 10
    while not first:  # as far as the first result and no further
        polls += 10
        first = bench.run(Run(out, {}), stop=partial(next, iter([False] * polls), True))
    assert len(first) < len(whole)
    done = bench.run(Run(out, {}))
    assert {key: row["answer"] for key, row in done.items()} == {key: row["answer"] for key, row in whole.items()}
    bench.model.prompts.clear()
    assert bench.run(Run(out, {})) == done and bench.model.prompts == []


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def ask(self, question: str, *, mode: Mode, **rest: Any) -> Iterator[Event]:
        if mode == "read":
            raise self.error
        yield Planned(Plan("retrieve", ""))
        yield Answered(Answer(question, "So.", True, Plan("retrieve", "")))


def test_a_document_that_does_not_fit_costs_one_way_and_the_rest_goes_on(bench: Bench) -> None:
    rows = bench.run(asker=Failing(ModelError("too long")))
    assert {row.get("unavailable") for (_, way), row in rows.items() if way == "read"} == {"too long"}
    assert all("score" in row for (_, way), row in rows.items() if way != "read")


def test_a_missing_model_ends_the_run(bench: Bench) -> None:
    with pytest.raises(ModelMissing):
        bench.run(asker=Failing(ModelMissing("none")))


def test_a_step_is_told_apart_from_the_other_ways_of_the_same_question() -> None:
    question = Question("1", "Why?", "So.", "a.txt")
    assert len({routes.step(question, way).id for way in ("retrieve", "read", COLD, WARM)}) == 4  # type: ignore[arg-type]

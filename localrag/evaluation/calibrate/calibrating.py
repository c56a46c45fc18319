"""Measure a model on this machine: what it finds at which length, how fast it is, and whether it is good enough.

Each answer is on the disk before the next question is asked, so a run that is killed goes on where it stopped; what is
kept are figures and numbers of questions, never text. The prompts are those of `read`, the answers greedy and short.
Speeds are taken from the same readings, so other work on the machine makes them worse; what is found stays the same.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from localrag.answer import prompts
from localrag.evaluation.calibrate import competence, needles
from localrag.evaluation.calibrate.filler import Filler
from localrag.events import PromptRead
from localrag.llm import calibration
from localrag.llm.calibration import Calibration
from localrag.llm.generation import Completed, Generator, Weighed
from localrag.security import storage
from localrag.types import Message

_NAME = "papers.txt"
_ANSWER, _ANSWER_OF_TWO, _ANSWER_OF_TASK = 32, 56, 48  # tokens
_SAMPLE = 128  # fewer tokens read at once say little about speed
_TRIED = 1024  # tokens read to compare ways of running the model
ROOM = 400  # tokens of the window kept for rules, question and answer


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked: lengths in tokens, parts of a text, facts in each, pairs of facts, and how many texts."""

    lengths: tuple[int, ...]
    bins: int = 5
    each: int = 2
    together: int = 4
    rounds: int = 1
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Step:
    """One more thing was done, of so many that are to be done in this part."""

    part: Literal["skills", "needles", "speed"]
    done: int
    total: int
    about: str


@dataclass(frozen=True, slots=True)
class Way:
    """A way of running the model (settings `kv_type` and `flash_attention`)."""

    kv_type: Literal["f16", "q8_0"]
    flash_attention: Literal["on", "off"]

    @property
    def name(self) -> str:
        return f"{self.kv_type}, flash attention {self.flash_attention}"


WAYS = (Way("f16", "on"), Way("f16", "off"), Way("q8_0", "on"))  # llama.cpp has q8_0 values with flash attention only


class Kept:
    """Results as JSON lines, each under a digest of all that it depends on; a line cut off by a crash is passed over.

    Args:
        path: the file; None keeps them in memory only.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any]) -> None:
        self._path = path
        self.run = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]
        self.rows: dict[str, dict[str, Any]] = {}
        data = storage.read_bytes(path) if path is not None and path.exists() else b""
        if path is not None and data and not data.endswith(b"\n"):
            storage.append_line(path, "")
        for line in data.split(b"\n"):
            row = _parsed(line)
            if row.get("run") == self.run and isinstance(row.get("id"), str):
                self.rows[row["id"]] = row

    def add(self, id: str, **values: Any) -> None:
        """Keep a result; it is on the disk when this returns."""
        row = {"run": self.run, "id": id, **values}
        if self._path is not None:
            storage.append_line(self._path, json.dumps(row))
        self.rows[id] = row


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def kept(path: Path | None, weights: str, build: str, filler: Filler, scope: Scope) -> dict[str, Kept]:
    """What is kept of each part: skills depend on the model only, needles on text and scope too."""
    model = {"weights": weights, "build": build, "version": 1}
    shape = {name: value for name, value in asdict(scope).items() if name != "rounds"}
    return {
        "skills": Kept(path, {**model, "part": "skills"}),
        "needles": Kept(path, {**model, "part": "needles", "filler": filler.digest, **shape}),
        "speed": Kept(path, {**model, "part": "speed", "tokens": _TRIED}),
    }


# --- the three parts ----------------------------------------------------------------------------------------


def skills(model: Generator, results: Kept, stop: Callable[[], bool]) -> Iterator[Step]:
    """The small tasks of `competence.py`."""
    tasks = competence.tasks()
    for number, task in enumerate(tasks, 1):
        if task.id not in results.rows:
            messages = prompts.documents_prompt(task.question, [task.document])
            if task.skill == "presence":
                share = _weighed(model, messages, stop)
                if share is None:
                    return
                results.add(task.id, skill=task.skill, share=round(share, 3))
            else:
                said = _answered(model, messages, _ANSWER_OF_TASK, stop)
                if said is None:
                    return
                results.add(task.id, skill=task.skill, right=task.right(said.text))
        yield Step("skills", number, len(tasks), competence.SKILLS[task.skill])


def find_needles(
    model: Generator, filler: Filler, scope: Scope, results: Kept, stop: Callable[[], bool],
    seconds_left: Callable[[], float] = lambda: float("inf"),
) -> Iterator[Step]:  # fmt: skip
    """Ask for the hidden facts, from the shortest length to the longest, then again in another text.

    A length that cannot be read in the time left is not begun.
    """
    done, total = 0, 0
    for number in range(scope.rounds):
        hay = needles.haystack(
            filler.from_there(number / scope.rounds), scope.lengths, model.count, bins=scope.bins, each=scope.each,
            seed=scope.seed + number,
        )  # fmt: skip
        asked = {length: hay.questions(length, scope.together) for length in scope.lengths}
        total = total or scope.rounds * sum(map(len, asked.values()))
        for length in scope.lengths:
            open_ones = [one for one in asked[length] if f"{number}/{one.id}" not in results.rows]
            done += len(asked[length]) - len(open_ones)
            if not open_ones:
                yield Step("needles", done, total, f"{length:,} tokens")
            if open_ones and _predicted(results, length) > seconds_left():
                return
            for one in open_ones:
                if not _ask(model, hay.beginning(length), one, number, results, stop):
                    return
                done += 1
                yield Step("needles", done, total, f"{length:,} tokens")


def _ask(model: Generator, text: str, one: needles.Asked, number: int, results: Kept, stop: Callable[[], bool]) -> bool:
    """Ask one question and keep how it went; False where it was stopped."""
    messages = prompts.documents_prompt(one.question, [(_NAME, text)])
    said = _answered(model, messages, _ANSWER_OF_TWO if one.way == "two facts" else _ANSWER, stop)
    if said is None:
        return False
    results.add(
        f"{number}/{one.id}", length=one.length, depth=one.depth, way=one.way, said=needles.judge(said.text, one),
        read=said.read, write=[said.after, said.written, round(said.seconds, 3)],
    )  # fmt: skip
    return True


def readings(results: Kept) -> list[tuple[float, float, float]]:
    """What was read at once and in which time, to fit a speed to."""
    return [
        calibration.reading_sample(int(after), int(tokens), seconds)
        for row in results.rows.values()
        for after, tokens, seconds in row["read"]
    ]


def _predicted(results: Kept, length: int) -> float:
    """Seconds that reading a length anew would take, as far as is known."""
    speed = calibration.fit(readings(results))
    return 0.0 if speed is None else Calibration(speed[0], read_slowing=speed[1]).seconds_to_read(length) or 0.0


def compare_ways(
    make: Callable[[Way], Generator], filler: Filler, results: Kept, stop: Callable[[], bool]
) -> Iterator[Step]:
    """Read and write the same with each way of running the model."""
    for number, way in enumerate(WAYS, 1):
        if way.name not in results.rows:
            model = make(way)
            try:
                said = _tried(model, filler, stop)
            finally:
                model.close()
            if said is None:
                return
            tokens, seconds = said.total
            results.add(way.name, read=round(tokens / seconds, 1), write=round(said.written / said.seconds, 1))
        yield Step("speed", number, len(WAYS), way.name)


def _tried(model: Generator, filler: Filler, stop: Callable[[], bool]) -> _Said | None:
    warm_up(model, stop)
    text, tokens = "", 0
    for sentence in filler.sentences:
        if tokens >= _TRIED:
            break
        text, tokens = text + sentence, tokens + model.count(sentence)
    question = "What is this text about? Tell it in detail, with every name that it mentions."
    return _answered(model, prompts.documents_prompt(question, [(_NAME, text)]), 24, stop)


def warm_up(model: Generator, stop: Callable[[], bool] = lambda: False) -> None:
    """Have the weights in memory before anything is timed: their first use reads them from the disk."""
    _answered(model, [Message("user", "Say yes.")], 2, stop)


# --- one answer ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Said:
    """An answer and what it took: readings as [tokens before, tokens, seconds]."""

    text: str = ""
    read: list[list[float]] = field(default_factory=list)
    total: tuple[int, float] = (0, 0.0)
    after: int = 0
    written: int = 0
    seconds: float = 0.0


def _answered(model: Generator, messages: Sequence[Message], most: int, stop: Callable[[], bool]) -> _Said | None:
    """None where it was stopped. A reading lasts from one report of progress to the next."""
    said = _Said()
    before, began = None, 0.0
    for event in model.generate(messages, max_tokens=most, stop=stop):
        now = time.monotonic()
        if isinstance(event, PromptRead):
            if before is not None and event.done - before >= _SAMPLE:
                said.read.append([before, event.done - before, round(now - began, 3)])
            before, began, said.after = event.done, now, event.total
        elif isinstance(event, Completed):
            if event.ended == "stopped":
                return None
            said.text, said.written, said.seconds = event.text, event.usage.generated, event.answer_seconds
            said.total = (event.usage.prompt - event.usage.reused, event.prompt_seconds)
    return said


def _weighed(model: Generator, messages: Sequence[Message], stop: Callable[[], bool]) -> float | None:
    """How likely “yes, the text holds the answer” is; None where it was stopped."""
    for event in model.weigh(prompts.check_prompt(messages), prompts.CHECK_OPTIONS, stop=stop):
        if isinstance(event, Weighed):
            return event.shares[0] if event.shares else None
    return None

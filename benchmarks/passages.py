"""Seconds to the first word of a look-up: read together as before, read apart cold, and from kept passages.

    python benchmarks/passages.py [--model ID] [--folder FOLDER] [--questions FILE.jsonl] [--number N] [--survey WORDS]

The folder (`examples/` if left out) is ingested into a temporary library. Each question is asked in a new assistant
three times: with passages read together, by themselves (cold), and by themselves from the prompt cache on the disk
(warm). Then each is asked in a cold library after its draft was read ahead, and a survey is asked twice (`--survey`).
Cold and warm must give the same answer, token for token. Models are those installed; smollm2-135m-instruct is taken if
none is named.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.events import Answered, Delta
from localrag.llm import loading
from localrag.llm.prompt_cache import FOLDER
from localrag.settings import Settings, load_settings
from localrag.types import Answer

EXAMPLES = Path(__file__).parents[1] / "examples"
NAME = "passages"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--folder", type=Path, default=EXAMPLES)
    parser.add_argument("--questions", type=Path, default=EXAMPLES / "qa.jsonl")
    parser.add_argument("--number", type=int, default=5)
    parser.add_argument("--survey", metavar="WORDS", help="a question to each document, such as 'Which renew?'")
    options = parser.parse_args()
    lines = options.questions.read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in lines][:: max(1, len(lines) // options.number)]
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "models").symlink_to(load_settings().models_dir)
        settings = Settings(home=Path(home), generator=options.model)
        with closing(api.open_library(NAME, settings=settings, create=True)) as library:
            library.ingest(options.folder)
            kept = library.folder / FOLDER
        _lookups(settings, kept, questions[: options.number])
        if options.survey:
            _surveys(settings, kept, options.survey)


def _lookups(settings: Settings, kept: Path, questions: Sequence[str]) -> None:
    print(f"{'together':>9} {'cold':>9} {'warm':>9} {'drafted':>9} {'cold/tog.':>9} {'cold/warm':>9}  tokens read warm")
    rows = []
    for question in questions:
        together, before = _first_word(settings, question, apart=False)
        shutil.rmtree(kept, ignore_errors=True)
        cold, first = _first_word(settings, question)
        warm, second = _first_word(settings, question)
        assert first.answer == second.answer, (first.answer, second.answer)
        shutil.rmtree(kept)
        drafted, _ = _first_word(settings, question, draft=True)
        rows.append((together, cold, warm, drafted))
        read = second.tokens.prompt - second.tokens.reused
        same = "" if before.answer == second.answer else "  (read together: another answer)"
        print(
            f"{together:>7.2f} s {cold:>7.2f} s {warm:>7.2f} s {drafted:>7.2f} s {cold / together:>9.2f} "
            f"{cold / warm:>9.1f}  {read} of {second.tokens.prompt}{same}",
            flush=True,
        )
    middle = [median(column) for column in zip(*rows, strict=True)]
    print(
        f"{middle[0]:>7.2f} s {middle[1]:>7.2f} s {middle[2]:>7.2f} s {middle[3]:>7.2f} s "
        f"{middle[1] / middle[0]:>9.2f} {middle[1] / middle[2]:>9.1f}  median"
    )


def _first_word(settings: Settings, question: str, *, apart: bool = True, draft: bool = False) -> tuple[float, Answer]:
    """Return the seconds until a word is written, or the answer is declined, and the answer."""
    model = loading.load_generator(settings, apart=apart)
    with closing(Assistant(settings, model)) as assistant:
        assistant.search("warm", libraries=[NAME])  # the index and the embedder are loaded
        if draft:
            list(assistant.read_ahead(libraries=[NAME], draft=question, mode="retrieve"))
        began, first = time.monotonic(), None
        for event in assistant.ask(question, libraries=[NAME], mode="retrieve"):
            if isinstance(event, Delta) and first is None:
                first = time.monotonic() - began
            last = event
        assert isinstance(last, Answered)
        return first or time.monotonic() - began, last.answer


def _surveys(settings: Settings, kept: Path, question: str) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    seconds = []
    for _ in range(2):
        with closing(Assistant(settings, loading.load_generator(settings, apart=True))) as assistant:
            began = time.monotonic()
            *_, last = assistant.ask(question, libraries=[NAME], mode="survey")
            seconds.append(time.monotonic() - began)
            assert isinstance(last, Answered)
    print(f"survey: {seconds[0]:.1f} s, again {seconds[1]:.1f} s: {seconds[0] / seconds[1]:.1f} times sooner")


if __name__ == "__main__":
    main()

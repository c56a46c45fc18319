"""Seconds of surveys put twice to a library, and what the model read for them.

    python benchmarks/survey.py LIBRARY QUESTION...

Before each question the library's prompt cache and all that is kept of its reviews are deleted, decisions included: use
a library made for this. Times are the clock's and, since other work disturbs those, the processor's.
"""

from __future__ import annotations

import argparse
import shutil
import time
from contextlib import closing

from localrag.answer.assistant import Assistant
from localrag.events import Answered
from localrag.llm import prompt_cache
from localrag.settings import load_settings
from localrag.store import reviews


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("question", nargs="+")
    options = parser.parse_args()
    settings = load_settings()
    folder = settings.library_dir(options.library)
    with closing(Assistant(settings)) as assistant:
        assistant.model()  # loaded before a clock starts
        for question in options.question:
            for name in (prompt_cache.FOLDER, reviews.FOLDER):
                shutil.rmtree(folder / name, ignore_errors=True)
            tables = [survey(assistant, options.library, question, turn) for turn in ("cold", "warm")]
            print("  the same answer" if tables[0] == tables[1] else "  ANOTHER ANSWER", flush=True)


def survey(assistant: Assistant, library: str, question: str, turn: str) -> object:
    began, processor = time.monotonic(), time.process_time()
    *_, last = assistant.ask(question, libraries=[library], mode="survey")
    assert isinstance(last, Answered)
    answer, tokens = last.answer, last.answer.tokens
    print(
        f"{turn} {time.monotonic() - began:6.1f} s, processor {time.process_time() - processor:6.1f} s, "
        f"{tokens.prompt - tokens.reused:,} tokens read, {tokens.generated} written: {question} {answer.looked_at}"
    )
    return answer.answer, answer.table, answer.citations


if __name__ == "__main__":
    main()

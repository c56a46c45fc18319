"""Where the seconds of a cold `search` and a cold `ask` go, stage by stage, each in a process of its own.

    python benchmarks/cold_search.py [--library NAME] [--question WORDS] [--model ID] [--runs N]

Without --library, `examples/` is read into a library in a temporary folder first. Models are those installed. "Cold"
means a new process; the files are in the disk's cache unless this is their first use.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from localrag import api
from localrag.settings import load_settings

EXAMPLES = Path(__file__).parents[1] / "examples"

# Run in the child: `lap` prints the seconds since the last one; the first counts from before the process began.
HEAD = """
import json, sys, time
began, question, library = float(sys.argv[1]), sys.argv[2], sys.argv[3]
laps, last = {}, began
def lap(name):
    global last
    now = time.time()
    laps[name], last = round(now - last, 4), now
"""
SEARCH = (
    HEAD
    + """
lap("interpreter")
import localrag.cli.app, localrag.cli.ask, localrag.answer.assistant
from localrag.llm import loading; from localrag.search import retrieval
from localrag.settings import load_settings
assistant = localrag.answer.assistant.Assistant(load_settings())
lap("localrag's own imports")
opened = assistant.library(library)
lap("open library")
embedder = assistant.embedder(opened.identity)
lap("load embedder")
opened.index()
lap("load index (with faiss)")
embedder.embed_question(question)
lap("first embedding")
retrieval.search([opened], {library: embedder}, question)
lap("search (embeds once more)")
print(json.dumps(laps))
"""
)
ASK = (
    HEAD
    + """
lap("interpreter")
import localrag.cli.app, localrag.cli.ask, localrag.answer.assistant
from localrag.settings import load_settings
from localrag.events import Answered, Delta, Found, PromptRead
assistant = localrag.answer.assistant.Assistant(load_settings())
lap("localrag's own imports")
assistant.embedder(assistant.library(library).identity)
lap("library, embedder")
assistant.load()
lap("load model (with llama.cpp)")
seen, tokens = set(), {}
for event in assistant.ask(question, libraries=[library], mode="retrieve"):
    if isinstance(event, Found):
        lap("search and prompt")
    elif isinstance(event, PromptRead) and event.done == event.total:
        lap("prompt read" if not seen else "prompt read again")
        seen.add("read")
    elif isinstance(event, Delta) and "token" not in seen:
        lap("first token")
        seen.add("token")
    elif isinstance(event, Answered):
        lap("rest of the answer")
        usage = event.answer.tokens
        tokens = {"prompt": usage.prompt, "written": usage.generated}
print(json.dumps(laps | {"tokens": tokens}))
"""
)


def child(code: str, question: str, library: str, environ: dict[str, str]) -> dict:
    command = [sys.executable, "-c", code, repr(time.time()), question, library]
    done = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(title: str, runs: list[dict]) -> None:
    tokens = runs[-1].pop("tokens", {})
    for run in runs:
        run.pop("tokens", None)
    total = statistics.median(sum(run.values()) for run in runs)
    print(
        f"\n{title}: {total:.2f} s"
        + (f" ({tokens['prompt']} tokens read, {tokens['written']} written)" if tokens else "")
    )
    for name in dict.fromkeys(name for run in runs for name in run):
        value = statistics.median(run.get(name, 0.0) for run in runs)
        print(f"  {name:30} {value:7.3f} s  {100 * value / total:4.0f} %")


def whole(arguments: list[str], environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "localrag", *arguments], env=environ, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", help="an existing library (else examples/ is read into a temporary one)")
    parser.add_argument("--question", default="How much notice must the Trust give to end the records agreement?")
    parser.add_argument("--model", default="smollm2-135m-instruct", help="the model for `ask`")
    parser.add_argument("--runs", type=int, default=1, help="processes of each; medians are shown (1)")
    given = parser.parse_args()
    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder:
        environ = {**os.environ, "LOCALRAG_GENERATOR": given.model}
        if not given.library:
            (Path(folder) / "models").symlink_to(settings.models_dir)
            environ["LOCALRAG_HOME"] = folder
            temporary = settings.with_options(home=Path(folder))
            api.open_library("examples", settings=temporary, create=True).ingest(EXAMPLES)
        library = given.library or "examples"
        search = [child(SEARCH, given.question, library, environ) for _ in range(given.runs)]
        seconds = [whole(["search", given.question, "-l", library], environ) for _ in range(given.runs)]
        show("a cold search, by stages", search)
        print(f"  the command itself             {statistics.median(seconds):7.3f} s")
        ask = [child(ASK, given.question, library, environ) for _ in range(given.runs)]
        show(f"a cold ask with {given.model}, by stages", ask)


if __name__ == "__main__":
    main()

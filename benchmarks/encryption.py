"""What encryption at rest costs: an ingest, searches, and the first word from a kept state, encrypted beside plain.

    python benchmarks/encryption.py [FOLDER] [--model ID] [--rounds N]

Each is run in turn, plain and encrypted, and the quickest runs are divided, since other work on the machine can only
slow one down: by the clock, and by processor time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.events import Answered, Delta
from localrag.lifecycle import encrypt
from localrag.security import offline, storage
from localrag.security.encryption import keyring as keyrings
from localrag.settings import Settings, load_settings
from localrag.types import Document

KINDS = ("plain", "encrypted")
Taken = tuple[float, float]  # seconds by the clock, and of the processor
EXAMPLES = Path(__file__).parent.parent / "examples"
LONGEST = 12_000  # characters that the smallest model can read whole
QUESTIONS = ["notice period", "Who pays the costs?", "When does it end?", "liability for damage", "governing law"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=EXAMPLES)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    offline.confine()
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary)
        (home / "models").symlink_to(load_settings().models_dir)
        settings = Settings(home=home, generator=arguments.model)
        measure("ingest", arguments.rounds, lambda kind, n: ingest(settings, kind, n, arguments.folder))
        with closing(Assistant(settings)) as assistant:
            for kind in KINDS:
                search(assistant, kind, 0)
            measure("search in a library just opened", 20, lambda kind, n: search(assistant, kind, n, anew=True))
            measure("search in an open library", 60, lambda kind, n: search(assistant, kind, n))
        fitting = [document for document in documents(settings, "plain-0") if document.characters < LONGEST]
        longest = max(fitting, key=lambda document: document.characters)
        for kind in KINDS:  # read once, so that the state is kept
            first_word(settings, kind, longest.path)
        measure("first word from a kept state", 9, lambda kind, n: first_word(settings, kind, longest.path))


def measure(what: str, rounds: int, run: Callable[[str, int], Taken]) -> None:
    taken: dict[str, list[Taken]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind in KINDS if number % 2 else reversed(KINDS):
            taken[kind].append(run(kind, number))
    said = []
    for at, clock in enumerate(("by the clock", "of processor time")):
        plain, sealed = (min(one[at] for one in taken[kind]) for kind in KINDS)
        said.append(f"{plain * 1000:.1f} ms plain, {sealed * 1000:.1f} encrypted, ratio {sealed / plain:.3f} {clock}")
    print(f"{what}: {'; '.join(said)}", flush=True)


def now() -> Taken:
    return time.perf_counter(), time.process_time()


def since(began: Taken) -> Taken:
    return time.perf_counter() - began[0], time.process_time() - began[1]


def ingest(settings: Settings, kind: str, number: int, folder: Path) -> Taken:
    name = f"{kind}-{number}"
    place = storage.make_dir(settings.library_dir(name))
    began = now()
    if kind == "encrypted":
        for _ in encrypt.encrypt(
            place, lambda keyring, key: keyring.with_credential(key, "key", keyrings.RecoveryKey.new()), lambda: False
        ):
            pass
    with closing(api.open_library(name, settings=settings, create=True)) as library:
        library.ingest(folder)
    return since(began)


def search(assistant: Assistant, kind: str, number: int, *, anew: bool = False) -> Taken:
    name = f"{kind}-0"
    if anew:  # the embedder stays loaded; the library's pages, postings and vectors are read again
        assistant._libraries.pop(name).close()
    began = now()
    assistant.search(QUESTIONS[number % len(QUESTIONS)], libraries=[name])
    return since(began)


def documents(settings: Settings, name: str) -> list[Document]:
    with closing(api.open_library(name, settings=settings)) as library:
        return library.documents()


def first_word(settings: Settings, kind: str, document: str) -> Taken:
    """Seconds to the first word of an answer by a model that is loaded and remembers nothing."""
    with closing(Assistant(settings)) as assistant:
        assistant.load()
        began = now()
        events = assistant.ask("What is this about?", libraries=[f"{kind}-0"], documents=[document], mode="read")
        for event in events:
            if isinstance(event, Delta | Answered):
                break
        return since(began)


if __name__ == "__main__":
    main()

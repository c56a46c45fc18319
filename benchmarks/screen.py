"""The terminal app as a person meets it: first paint, key to echo while a model works, Esc to stopped.

    python benchmarks/screen.py [--library NAME] [--engine local|remote] [--keys N] [-n RUNS]

Without --library, `examples/` is read into a library in a temporary folder first. Models are those installed, model and
threads those of the settings (LOCALRAG_GENERATOR, LOCALRAG_THREADS). Runs `localrag chat` under a pseudo-terminal and
reads what it draws. `--engine local` has documents and model in the screen's own process, for comparison.

    paint     from the start of the command to its first full frame
    idle      from a key to its echo, once the model is loaded
    working   the same while an answer is read and written
    stop      from Esc, while the prompt is read, to the words that say so
    heard     from the stop to the end of the answer in the engine: the model is free again
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import random
import re
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"
PATIENCE = 120.0
GAP = (0.08, 0.25)  # seconds between two keys: a fast typist
LOCAL = """
import sys
from localrag.cli import chat, main
from localrag.worker.engine import Engine
from localrag.worker import client
client.remote_engine = Engine
sys.argv = ["localrag", *sys.argv[1:]]
main()
"""
# No two keys alike and nothing that an English answer holds, so that what is echoed is told from what is redrawn.
LETTERS = [chr(code) for code in range(0x410, 0x450)]
QUESTION = "What must the tenant do, in every detail?"


class Screen:
    """The app under a pseudo-terminal; `seen` is all that it drew, without the escape sequences."""

    def __init__(self, engine: str, library: str, rows: int = 24, columns: int = 80) -> None:
        start = ["-c", LOCAL] if engine == "local" else ["-m", "localrag"]
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ["TERM"] = "xterm-256color"
            os.execv(sys.executable, [sys.executable, *start, "chat", library])
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.seen = ""

    def read(self, seconds: float) -> str:
        """What is drawn within these seconds; returns as soon as something is."""
        ready, _, _ = select.select([self.fd], [], [], max(0.0, seconds))
        if not ready:
            return ""
        try:
            drawn = os.read(self.fd, 1 << 16).decode("utf-8", "replace")
        except OSError:
            return ""
        text = re.sub(r"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b[()=>][0-9A-B]?|\x1b\][^\x07]*\x07", "", drawn)
        self.seen = (self.seen + text)[-1_000_000:]
        return text

    def wait(self, words: str, since: int = 0, seconds: float = PATIENCE) -> float:
        """Seconds until these words are drawn; raises where they are not."""
        began = time.perf_counter()
        while words not in self.seen[since:]:
            left = seconds - (time.perf_counter() - began)
            if left <= 0:
                raise TimeoutError(f"{words!r} was not drawn; the last was {self.seen[-2000:]!r}")
            self.read(min(left, 0.5))
        return time.perf_counter() - began

    def press(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def pause(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while (left := until - time.perf_counter()) > 0:
            self.read(left)

    def echo(self, letter: str) -> float:
        """Press a letter; seconds until it is drawn."""
        self.read(0)
        mark = len(self.seen)
        began = time.perf_counter()
        self.press(letter)
        while letter not in self.seen[mark:]:
            if time.perf_counter() - began > 10:
                raise TimeoutError(f"{letter!r} was not echoed")
            self.read(0.5)
        return time.perf_counter() - began

    def open_and_close(self) -> None:
        self.wait("Enter asks")
        self.close()

    def close(self) -> None:
        self.press("\x11")
        until = time.perf_counter() + 15
        while time.perf_counter() < until:
            self.read(0.1)
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                break
        else:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def keys(screen: Screen, count: int, until: str = "") -> list[float]:
    """Echoes of so many keys at the pace of a typist, or until these words are drawn."""
    taken: list[float] = []
    mark = len(screen.seen)
    for letter in random.sample(LETTERS, min(count, len(LETTERS))):
        screen.pause(random.uniform(*GAP))
        if until and until in screen.seen[mark:]:
            break
        taken.append(screen.echo(letter))
    screen.press("\x15")  # Ctrl+U empties the line
    screen.pause(0.3)
    return taken


def ask(screen: Screen) -> None:
    screen.press(QUESTION)
    screen.pause(0.5)
    mark = len(screen.seen)
    screen.press("\r")
    screen.wait("Esc stops", mark)


def model_shown() -> str:
    """How the line of status begins to name the model once it is loaded; it is cut short where there is little room."""
    from localrag.llm import loading
    from localrag.settings import load_settings

    return loading.generator_name(load_settings())[:5]


def sit(engine: str, library: str, count: int) -> dict[str, list[float]]:
    """One sitting at the screen."""
    screen = Screen(engine, library)
    try:
        screen.wait("Enter asks")
        found: dict[str, list[float]] = {"paint": [time.perf_counter() - screen.began]}
        screen.wait(model_shown())
        screen.pause(1)
        found["idle"] = keys(screen, count)
        found["working"] = []
        while len(found["working"]) < count:
            ask(screen)
            found["working"] += keys(screen, count, until="Enter asks")
            screen.press("\x1b")
            screen.pause(1)
        screen.press("\x0c")  # a new conversation
        screen.pause(1)
        ask(screen)
        mark = len(screen.seen)
        screen.wait("Reading", max(0, mark - 3000))
        mark = len(screen.seen)
        screen.press("\x1b")
        found["stop"] = [screen.wait("Stopped", mark)]
        return found
    finally:
        screen.close()


def heard(engine: str, library: str) -> float:
    """Seconds from a stop in the middle of the prompt to the end of the answer."""
    from localrag.events import PromptRead
    from localrag.settings import load_settings
    from localrag.worker.client import remote_engine
    from localrag.worker.engine import Engine

    kind = Engine if engine == "local" else remote_engine
    running = kind(load_settings())
    stopped: list[float] = []
    try:
        running.load()
        for event in running.ask(QUESTION, libraries=(library,), mode="retrieve", stop=lambda: bool(stopped)):
            if isinstance(event, PromptRead) and 0 < event.done < event.total and not stopped:
                time.sleep(0.1)  # into the next batch
                stopped.append(time.perf_counter())
        return time.perf_counter() - stopped[0]
    finally:
        running.close()


def told(name: str, values: list[float]) -> str:
    values = sorted(1000 * value for value in values)
    high = values[min(len(values) - 1, int(0.95 * len(values)))]
    return (
        f"{name:8} p50 {statistics.median(values):7.1f}   p95 {high:7.1f}   most {values[-1]:7.1f}   of {len(values)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", help="an existing library (else examples/ is read into a temporary one)")
    parser.add_argument("--engine", choices=("remote", "local"), default="remote")
    parser.add_argument("--keys", type=int, default=60, help="keys of each kind in a sitting (60)")
    parser.add_argument("-n", type=int, default=3, help="sittings (3)")
    given = parser.parse_args()
    if given.library:
        measure(given.engine, given.library, given.keys, given.n)
        return
    from localrag import api
    from localrag.settings import load_settings

    settings = load_settings()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "models").symlink_to(settings.models_dir)
        os.environ["LOCALRAG_HOME"] = folder
        api.open_library("examples", settings=settings.with_options(home=home), create=True).ingest(EXAMPLES)
        measure(given.engine, "examples", given.keys, given.n)


def measure(engine: str, library: str, count: int, runs: int) -> None:
    found: dict[str, list[float]] = {}
    Screen(engine, library).open_and_close()  # fills the disk's cache and writes the byte code
    for _ in range(runs):
        for name, values in sit(engine, library, count).items():
            found.setdefault(name, []).extend(values)
        found.setdefault("heard", []).append(heard(engine, library))
    print(f"{engine}, milliseconds, load average {os.getloadavg()[0]:.1f}")
    for name, values in found.items():
        print(told(name, values))


if __name__ == "__main__":
    main()

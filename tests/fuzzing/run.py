"""Run changed files through localrag, many of them, in child processes.

    python -m fuzzing.run --cases 10000                      (in tests/, with localrag's source on the path)
    python -m fuzzing.run --target damaged --first 412 --cases 1 --trace

A child says the number of each case before it begins, so that one that crashes the process (a signal), hangs (more than
SECONDS) or raises anything but an error of localrag's own is named by it, and the next child goes on behind it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 60.0  # a case takes a tenth of a second; the machine may be busy
_START = 600.0  # until the first case, which imports what is heavy
_MEMORY = 8 << 30
# Whose turn it is, by the number of the case.
TURNS = (
    ("damaged",) * 4
    + ("backup",) * 2
    + ("session",) * 3
    + ("settings",) * 2
    + ("keyring",) * 2
    + ("lines",) * 2
    + ("record",)
)


def turn(number: int) -> str:
    """The target of a case, where none is named."""
    return TURNS[number % len(TURNS)]


@dataclass
class Found:
    """What came of the cases: how many were taken and refused, and what was found."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")

    def add(self, finding: str) -> None:
        self.findings.append(finding)
        print(finding, flush=True)


def child(target: str | None, first: int, cases: int, trace: bool) -> None:
    """Run cases, telling of each on stdout."""
    import resource

    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    from fuzzing import targets

    shm = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="localrag-fuzzing-", dir=shm if shm.is_dir() else None)
    try:
        home = targets.Home(Path(folder))
        for number in range(first, first + cases):
            name = target or turn(number)
            print(json.dumps(["begin", name, number]), flush=True)
            try:
                outcome = targets.run(name, number, home)
            except BaseException as error:
                if trace:
                    traceback.print_exc()  # to stderr
                last = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{Path(last.filename).name}:{last.lineno}"
                outcome = f"raised {type(error).__name__} at {where}: {error!s:.200}"
            print(json.dumps(["end", name, number, outcome]), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def follow(target: str | None, first: int, cases: int, *, trace: bool = False, nice: int = 0) -> Found:
    """Run cases in child processes, one after the other, and note what came of them."""
    found, number = Found(), first
    while number < first + cases:
        command = [
            sys.executable,
            "-m",
            "fuzzing.run",
            "--child",
            "--first",
            str(number),
            "--cases",
            str(first + cases - number),
        ]
        command += (["--target", target] if target else []) + (["--trace"] if trace else [])
        with subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=lambda: os.nice(nice) and None) as process:
            number, hung = _listen(process, number, found)
        if process.returncode and not hung and number < first + cases:
            found.add(f"{target or turn(number)} {number}: the process ended with {process.returncode}")
            number += 1
    return found


def _listen(process: subprocess.Popen[bytes], number: int, found: Found) -> tuple[int, bool]:
    """The number of the case at which the child ended, or of the one to go on with, and whether it hung."""
    assert process.stdout is not None
    began, name, held = time.monotonic(), "", b""
    while True:
        ready, _, _ = select.select([process.stdout], [], [], SECONDS if name else _START)
        if not ready:
            process.kill()
            found.add(f"{name or 'before'} {number}: took more than {SECONDS:.0f} s")
            return number + 1, True
        data = os.read(process.stdout.fileno(), 1 << 16)
        if not data:
            return number, False
        *lines, held = (held + data).split(b"\n")
        for line in lines:
            kind, name, number, *rest = json.loads(line)
            if kind == "begin":
                began = time.monotonic()
                continue
            found.slowest = max(found.slowest, (time.monotonic() - began, f"{name} {number}"))
            if not number % 1000:
                print(f"{number} ...", flush=True)
            found.outcomes[f"{name} {rest[0].split()[0]}"] += 1
            if rest[0] not in ("taken", "refused"):
                found.add(f"{name} {number}: {rest[0]}")
            number += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--target", choices=sorted(set(TURNS)), help="only this one; else all in turn")
    parser.add_argument("--nice", type=int, default=19)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.target, given.first, given.cases, given.trace)
        return
    began = time.monotonic()
    found = follow(given.target, given.first, given.cases, trace=given.trace, nice=given.nice)
    for outcome, count in sorted(found.outcomes.items()):
        print(f"{outcome:24} {count:6}")
    print(
        f"{given.cases} cases in {time.monotonic() - began:.0f} s; slowest: {found.slowest[1]}, {found.slowest[0]:.1f} s; "
        f"{len(found.findings)} finding(s)"
    )
    sys.exit(bool(found.findings))


if __name__ == "__main__":
    main()

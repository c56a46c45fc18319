"""Run `byte_targets` under Atheris, a coverage-guided fuzzer (pip install atheris; Linux and macOS).

    python tests/fuzzing/guided.py --minutes 60                    (all targets, a share of the time each)
    python tests/fuzzing/guided.py --minutes 5 reader keyring
    python tests/fuzzing/guided.py --replay                        (the corpus again, without Atheris; the tests do so)
    python tests/fuzzing/guided.py --replay=FILE reader            (one input again)
    python tests/fuzzing/guided.py --cases 500 --first 0 library   (seeds changed at random, without Atheris)

Each finding is reported once, by its error and line, and its input is kept in `found/TARGET` of the work folder. A hang
(more than 20 s) or more than 2 GB of memory ends the fuzzer's process; the next one begins with the corpus so far.
`--keep` copies a few inputs of each target, and the findings, to the corpus that the tests replay.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent)]
from fuzzing import mutating  # noqa: E402

CORPUS = HERE.parent / "security" / "corpus"
_MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
_SECONDS, _MEGABYTES, _MAX_INPUT = 20, 2048, 1 << 14
# Of Python's own parsers, what is written in Python.
_INSTRUMENTED = ["localrag", "zipfile", "tarfile", "tomllib", "tomlkit", "gzip"]
_LEFT_ALONE = ["localrag.tui", "localrag.cli"]


def child(target: str, work: Path, arguments: list[str]) -> None:
    """Fuzz one target in this process, until libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED, exclude=_LEFT_ALONE):
        from fuzzing import byte_targets

    run, seen = byte_targets.TARGETS[target][0], set[str]()

    def one(data: bytes) -> None:
        try:
            run(folder, data)
        except BaseException as error:  # a panic of native code is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            where = place(error)
            if where not in seen:
                seen.add(where)
                kept = work / "found" / target / re.sub(r"\W+", "-", where)[:80]
                kept.parent.mkdir(parents=True, exist_ok=True)
                if not kept.exists():
                    kept.write_bytes(data)
                    print(f"FINDING {target} {where}: {error!s:.200}", flush=True)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        out = mutating.of_input(data, Random(seed))
        return out if out is not None and len(out) <= most else bytes(atheris.Mutate(data, most))

    with home() as folder:
        atheris.Setup([sys.argv[0], *arguments], one, custom_mutator=mutate)
        atheris.Fuzz()


def place(error: BaseException) -> str:
    """An error by its class and the last line of localrag that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if "/localrag/" in one.filename] or frames
    return f"{type(error).__name__} {Path(own[-1].filename).name}:{own[-1].name}:{(own[-1].line or '')[:50]}"


def follow(target: str, seconds: float, work: Path) -> dict[str, float]:
    """Fuzz a target for some time in child processes; return figures."""
    corpus, log = work / "corpus" / target, work / f"{target}.log"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    for kept in (CORPUS / target).glob("*"):
        shutil.copy(kept, corpus / kept.name)
    end, figures = time.monotonic() + seconds, {"executions": 0.0, "coverage": 0.0, "stopped": 0.0}
    while (left := end - time.monotonic()) > 2:
        command = [
            sys.executable,
            __file__,
            "--child",
            "--work",
            str(work),
            target,
            "--",
            str(corpus),
            f"-max_total_time={left:.0f}",
            f"-timeout={_SECONDS}",
            f"-rss_limit_mb={_MEGABYTES}",
            "-print_final_stats=1",
            f"-max_len={_MAX_INPUT}",
            f"-artifact_prefix={work / 'found'}/{target}-",
        ]
        (work / "found").mkdir(exist_ok=True)
        # libFuzzer ends without cleaning up, so the folder that it works in is made here, in memory if possible.
        with tempfile.TemporaryDirectory(dir=_MEMORY, ignore_cleanup_errors=True) as folder:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
                env={**os.environ, "TMPDIR": folder},
            )
        with log.open("a") as stream:
            stream.write(done.stdout)
        for line in re.findall(r"^FINDING .*", done.stdout, re.M):
            print(line, flush=True)
        runs = re.findall(r"^(?:#|stat::number_of_executed_units: )(\d+)", done.stdout, re.M)
        figures["executions"] += int(runs[-1]) if runs else 0
        figures["coverage"] = max([figures["coverage"], *map(int, re.findall(r"cov: (\d+)", done.stdout))])
        if done.returncode:
            figures["stopped"] += 1
            what = re.findall(r"ERROR: libFuzzer: .*|^.*Error.*", done.stdout, re.M)
            print(f"STOPPED {target}: {done.returncode} {what[0] if what else done.stdout[-300:]}", flush=True)
            if end - time.monotonic() > left - 5:  # it does not even start
                break
    return figures


def seeds(target: str) -> list[bytes]:
    from fuzzing import byte_targets

    return list(byte_targets.TARGETS[target][1]())


def replay(target: str, file: Path | None) -> tuple[int, int]:
    """Run one input, or the corpus of a target, again; return how many inputs there are, and how many are findings."""
    from fuzzing import byte_targets

    files = [file] if file else sorted((CORPUS / target).glob("*"))
    findings = 0
    for each in files:
        try:
            byte_targets.TARGETS[target][0](Path(os.environ["LOCALRAG_HOME"]), each.read_bytes())
        except BaseException:
            findings += 1
            print(f"FINDING {target} {each.name}")
            traceback.print_exc(file=sys.stdout)
    return len(files), findings


def randomly(target: str, own: list[bytes], first: int, cases: int) -> tuple[int, int]:
    """Run the seeds of a target, changed at random; return how many inputs there are, and how many are findings."""
    from fuzzing import byte_targets

    run, findings = byte_targets.TARGETS[target][0], 0
    for number in range(first, first + cases):
        dice = Random(f"{target} {number}")
        data = dice.choice(own)
        change = mutating.of_pages if target == "library" and dice.random() < 0.8 else mutating.of_bytes
        changed = mutating.of_input(data, dice) if target != "library" and dice.random() < 0.5 else change(data, dice)
        try:
            run(Path(os.environ["LOCALRAG_HOME"]), data if changed is None else changed)
        except BaseException:
            findings += 1
            print(f"FINDING {target} {number}")
            traceback.print_exc(file=sys.stdout)
    return cases, findings


@contextmanager
def home() -> Iterator[Path]:
    """A folder for localrag's files, outside of which storage refuses to write."""
    from fuzzing import byte_targets

    with tempfile.TemporaryDirectory(prefix="localrag-fuzz-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ |= {"LOCALRAG_HOME": name, "LOCALRAG_CONFIG": str(folder / "none.toml"), "XDG_CONFIG_HOME": name}
        (folder / "none.toml").touch()
        byte_targets.guard(folder)
        yield folder


def keep(target: str, work: Path, most: int = 4) -> None:
    """Copy a few small inputs of all sizes, each of which reached something new, and the findings."""
    found = [path for path in (work / "corpus" / target).iterdir() if path.stat().st_size <= 3000]
    by_size = sorted(found, key=lambda path: (path.stat().st_size, path.name))
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    for path in [*by_size[:: max(1, len(by_size) // most)][-most:], *(work / "found" / target).glob("*")]:
        shutil.copy(path, CORPUS / target / path.name[:40])


def main() -> None:
    from fuzzing import byte_targets

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(byte_targets.TARGETS))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "localrag-fuzzing")
    parser.add_argument("--replay", nargs="?", const="", metavar="FILE")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--cases", type=int)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    targets = given.targets or list(byte_targets.TARGETS)
    if given.replay is not None or given.cases:
        made = {target: seeds(target) for target in targets if given.cases}  # outside of what is guarded
        file = Path(given.replay) if given.replay else None
        with home():
            done = {
                target: randomly(target, made[target], given.first, given.cases) if made else replay(target, file)
                for target in targets
            }
        print(json.dumps(done))
        sys.exit(any(findings for _, findings in done.values()))
    given.work.mkdir(parents=True, exist_ok=True)
    for target in targets:
        began = time.monotonic()
        figures = follow(target, given.minutes * 60 / len(targets), given.work)
        took = time.monotonic() - began
        print(
            f"DONE {target:14} {figures['executions']:>9,.0f} executions in {took:4.0f} s, coverage {figures['coverage']:.0f}, "
            f"{figures['stopped']:.0f} stopped",
            flush=True,
        )
        if given.keep:
            keep(target, given.work)


if __name__ == "__main__":
    if "--child" in sys.argv:
        at = sys.argv.index("--")
        child(sys.argv[at - 1], Path(sys.argv[sys.argv.index("--work") + 1]), sys.argv[at + 1 :])
    else:
        main()

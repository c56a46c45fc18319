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


def child(target, work, arguments):
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED, exclude=_LEFT_ALONE):
        from fuzzing import byte_targets

    target_of, seen = byte_targets.TARGETS[target][0], set[str]()

    def one(data):
        try:
            target_of(folder, data)
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

    def mutate(data, most, seed):
        out = mutating.of_input(data, Random(seed))
        return out if out is not None and len(out) <= most else bytes(atheris.Mutate(data, most))

    with home() as folder:
        atheris.Setup([sys.argv[0], *arguments], one, custom_mutator=mutate)
        atheris.Fuzz()


def place(error):
    """An error by its class and the last line of localrag that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if "/localrag/" in one.filename] or frames
    return f"{type(error).__name__} {Path(own[-1].filename).name}:{own[-1].name}:{(own[-1].line or '')[:50]}"


def follow(target, seconds, work):
    corpus = work / "corpus" / target
    for folder in (corpus, work / "found"):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (corpus / f"seed-{number}").write_bytes(seed)
    for kept in (CORPUS / target).glob("*"):
        shutil.copy(kept, corpus / kept.name)
    end, ended = time.monotonic() + seconds, 0
    limits = [f"-timeout={_SECONDS}", f"-rss_limit_mb={_MEGABYTES}", f"-max_len={_MAX_INPUT}", "-print_final_stats=1"]
    kept_as = f"-artifact_prefix={work / 'found'}/{target}-"
    while (left := end - time.monotonic()) > 2 and ended < 100:
        command = [sys.executable, __file__, "--child", "--work", str(work), target, "--", str(corpus), *limits]
        # libFuzzer ends without cleaning up, so the folder that it works in is made here, in memory if possible.
        with (
            tempfile.TemporaryDirectory(dir=_MEMORY, ignore_cleanup_errors=True) as folder,
            (work / f"{target}.log").open("a") as log,
        ):
            command += [f"-max_total_time={left:.0f}", kept_as]
            done = subprocess.run(command, stdout=log, stderr=log, check=False, env={**os.environ, "TMPDIR": folder})
        if done.returncode:
            ended += 1
            print(f"STOPPED {target}: {done.returncode}", flush=True)
    lines = (work / f"{target}.log").read_text(errors="replace").splitlines()
    shown = [line for line in lines if line.startswith(("FINDING", "stat::number_of_executed", "ERROR: libFuzzer"))]
    print(*dict.fromkeys(shown), f"DONE {target}", sep="\n", flush=True)


def seeds(target):
    from fuzzing import byte_targets

    make = byte_targets.TARGETS[target][1]
    return list(make()) if make else [data for _, data in kept(target, None)]


def run(target, inputs):
    from fuzzing import byte_targets

    count = findings = 0
    for name, data in inputs:
        count += 1
        try:
            byte_targets.TARGETS[target][0](Path(os.environ["LOCALRAG_HOME"]), data)
        except BaseException:
            findings += 1
            print(f"FINDING {target} {name}")
            traceback.print_exc(file=sys.stdout)
    return count, findings


def kept(target, file):
    for each in [file] if file else sorted((CORPUS / target).glob("*")):
        yield each.name, each.read_bytes()


def changed(target, own, first, cases):
    for number in range(first, first + cases):
        dice = Random(f"{target} {number}")
        data = dice.choice(own)
        if target != "library" and dice.random() < 0.5:
            yield str(number), mutating.of_input(data, dice) or data
        else:
            change = mutating.of_pages if target == "library" and dice.random() < 0.8 else mutating.of_bytes
            yield str(number), change(data, dice)


@contextmanager
def home():
    """A folder for localrag's files, outside of which storage refuses to write."""
    from fuzzing import byte_targets

    with tempfile.TemporaryDirectory(prefix="localrag-fuzz-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ |= {"LOCALRAG_HOME": name, "LOCALRAG_CONFIG": str(folder / "none.toml"), "XDG_CONFIG_HOME": name}
        (folder / "none.toml").touch()
        byte_targets.guard(folder)
        yield folder


def keep(target, work, most=4):
    """Copy a few small inputs of all sizes, each of which reached something new, and the findings."""
    found = [path for path in (work / "corpus" / target).iterdir() if path.stat().st_size <= 3000]
    by_size = sorted(found, key=lambda path: (path.stat().st_size, path.name))
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    for path in [*by_size[:: max(1, len(by_size) // most)][-most:], *(work / "found" / target).glob("*")]:
        shutil.copy(path, CORPUS / target / path.name[:40])


def main():
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
                target: run(
                    target, changed(target, made[target], given.first, given.cases) if made else kept(target, file)
                )
                for target in targets
            }
        print(json.dumps(done))
        sys.exit(any(findings for _, findings in done.values()))
    given.work.mkdir(parents=True, exist_ok=True)
    for target in targets:
        follow(target, given.minutes * 60 / len(targets), given.work)
        if given.keep:
            keep(target, given.work)


if __name__ == "__main__":
    if "--child" in sys.argv:
        at = sys.argv.index("--")
        child(sys.argv[at - 1], Path(sys.argv[sys.argv.index("--work") + 1]), sys.argv[at + 1 :])
    else:
        main()

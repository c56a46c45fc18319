"""Wall time of what must answer at once: `localrag --help`, `--version`, `import localrag` and what `ask` imports.

    python benchmarks/startup.py [-n RUNS]

Each is the median of n processes, beside the bare interpreter's.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import localrag": ["-c", "import localrag"],
    "import localrag.api": ["-c", "import localrag.api"],
    "localrag --version": ["-m", "localrag", "--version"],
    "localrag --help": ["-m", "localrag", "--help"],
}


def seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=9, help="processes of each (9)")
    runs = parser.parse_args().n
    for arguments in COMMANDS.values():
        seconds(arguments)  # fills the disk's cache and writes the byte code
    # In turns, so that a busy moment of the machine falls on all of them.
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(runs):
        for name, arguments in COMMANDS.items():
            taken[name].append(seconds(arguments))
    bare = statistics.median(taken["python -c pass"])
    for name, values in taken.items():
        middle = statistics.median(values)
        print(f"{name:20} {middle:6.3f} s   {middle / bare:5.1f} x the bare interpreter   ({min(values):.3f} at best)")


if __name__ == "__main__":
    main()

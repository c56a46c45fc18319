"""Man pages from docs/commands.md: localrag(1), and one for each command with its subcommands.

The build of the wheel makes them; `python release/man_pages.py FOLDER` writes them elsewhere.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
_COMMAND = re.compile(r"^## (localrag[^\n]*)\n\n```text\n(.*?)\n```$", re.M | re.S)
_TERM = re.compile(r"  (\S.*?)(?:  +(\S.*))?")
# What roff would read as a request or set in another way than it is typed, and every letter beyond ASCII.
_SPECIAL = {"\\": "\\e", "-": "\\-", "^": "\\(ha", "~": "\\(ti", "`": "\\(ga", "'": "\\(aq"}


def pages(text: str, version: str) -> dict[str, str]:
    """Return each man page by its file name; its date is that of the build, or SOURCE_DATE_EPOCH."""
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    found: dict[str, list[str]] = {}
    for words, shown in _COMMAND.findall(text):
        name = "-".join(words.split()[:2])
        usage, _, rest = shown.removeprefix("Usage: ").partition("\n\n")
        synopsis = _escaped(" ".join(usage.split()))
        if name in found:
            found[name] += [f".SH {_escaped(words)}", synopsis, *_body(rest, ".SS")]
            continue
        about = _escaped(rest.partition("\n")[0].strip().rstrip("."))
        found[name] = [
            f'.TH {_escaped(name)} 1 {date} "localrag {version}" "User Commands"',
            ".SH NAME",
            f"{_escaped(name)} \\- {about}",
            ".SH SYNOPSIS",
            synopsis,
            ".SH DESCRIPTION",
            *_body(rest, ".SH"),
        ]
    for name, lines in found.items():
        others = sorted(found.keys() - {name}) if name == "localrag" else ["localrag"]
        lines += [".SH SEE ALSO", ",\n".join(f".BR {_escaped(each)} (1)" for each in others)]
    return {f"{name}.1": "\n".join(lines) + "\n" for name, lines in found.items()}


def _body(text: str, head: str) -> Iterator[str]:
    """The paragraphs of a command's help, and its lists below headings of a kind."""
    for number, block in enumerate(text.strip("\n").split("\n\n")):
        first, *more = block.splitlines()
        listed = [_escaped(line.strip()) for line in block.splitlines()]
        if first in ("Options:", "Commands:"):
            yield f"{head} {first.rstrip(':').upper()}"
            yield from _terms(more)
        elif first == "  Examples:":
            yield from (f"{head} EXAMPLES", ".EX", *listed[1:], ".EE")
        else:
            yield from [".PP"] * (number > 0 or head == ".SS")
            by_hand = any("  " in line.strip() for line in block.splitlines())
            yield from (".EX", *listed, ".EE") if by_hand else listed


def _terms(lines: list[str]) -> Iterator[str]:
    """Options or commands, each with what is said of it."""
    for line in lines:
        if term := _TERM.fullmatch(line):
            yield from (".TP", f".B {_escaped(term[1])}", *map(_escaped, filter(None, (term[2],))))
        else:
            yield _escaped(line.strip())


def _escaped(text: str) -> str:
    text = "".join(_SPECIAL.get(one, one if one.isascii() else f"\\[u{ord(one):04X}]") for one in text)
    return f"\\&{text}" if text.startswith(".") else text


def write(folder: Path, version: str) -> list[Path]:
    """Write every page into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = pages(SOURCE.read_text("utf-8"), version)
    for name, text in made.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in made]


class ManPages(BuildHookInterface[Any]):
    """Adds the pages to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        self._folder = Path(tempfile.mkdtemp())
        for page in write(self._folder, self.metadata.version):
            build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        shutil.rmtree(self._folder)


if __name__ == "__main__":
    print(*write(Path(sys.argv[1]), "(development)"), sep="\n")

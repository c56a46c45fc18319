"""Names of options before 0.2, which work for one release, with one note that shows the new form."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

_LIBRARY_WAS_OPTION = {"audit export", "audit show", "audit verify", "chat", "dates", "mcp", "serve"}
_OUT_WAS = {
    "ask": "--table",
    "extract": "--table",
    "prove forgotten": "--report",
    "prove offline": "--report",
    "sessions export": "--output",
    "vault open": "--output",
}
_FILE_WAS_ARGUMENT = {"audit export": 0, "backup": 1, "vault key-file": 0}  # its place among the arguments
_WITH_VALUE = {"-l", "--library", "--encrypt-for", "--key-file"}  # options of these three


def renewed(words: Sequence[str]) -> tuple[list[str], str]:
    """Return a command line in the new form, with a note; the note is empty if nothing was old."""
    start = next((at for at, word in enumerate(words) if not word.startswith("-")), len(words))
    for length in (1, 2):
        command, given = " ".join(words[start : start + length]), list(words[start + length :])
        notes = []
        if command in _FILE_WAS_ARGUMENT and (named := _name_file(given, _FILE_WAS_ARGUMENT[command])) != given:
            given, notes = named, ["the file is now --out FILE"]
        if (old := _OUT_WAS.get(command)) and (named := _name_out(given, old)) != given:
            given, notes = named, [f"{old} is now --out"]
        if command in _LIBRARY_WAS_OPTION and (named := _name_libraries(given)) != given:
            given, notes = named, [*notes, "--library is now an argument"]
        if notes:
            # A question is not repeated: the note may land in a log.
            shown = "" if old else f": {shlex.join(['localrag', *command.split(), *given])}"
            return [*words[: start + length], *given], f"{', '.join(notes)}{shown}"
    return list(words), ""


def _name_file(given: list[str], place: int) -> list[str]:
    """Put --out before the file, which is the argument at this place."""
    if any(word.partition("=")[0] == "--out" or (word[:2] == "-o") for word in given):
        return given
    before = ["", *given]
    arguments = [at for at, word in enumerate(given) if word[:1] != "-" and before[at] not in _WITH_VALUE]
    if len(arguments) <= place or (place == 0 and "." not in given[arguments[0]]):  # the name of a library
        return given
    return [*given[: arguments[place]], "--out", *given[arguments[place] :]]


def _name_out(given: list[str], old: str) -> list[str]:
    end = given.index("--") if "--" in given else len(given)
    return [f"--out{word[len(old) :]}" if word.partition("=")[0] == old else word for word in given[:end]] + given[end:]


def _name_libraries(given: list[str]) -> list[str]:
    """Put the values of -l and --library first, as arguments."""
    end = given.index("--") if "--" in given else len(given)
    left, libraries, words = [], [], iter(given[:end])
    for word in words:
        if word in ("-l", "--library") and (value := next(words, "")):
            libraries.append(value)
        elif word.startswith("--library="):
            libraries.append(word.removeprefix("--library="))
        else:
            left.append(word)
    return [*libraries, *left, *given[end:]]

"""Every command in the documentation runs, or is marked with a reason; all fit the options of their command."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import doc_commands
import pytest
from doc_commands import PAGES, ROOT, Command, commands

from localrag.cli.app import localrag

EXAMPLES = [
    re.sub(r"\s+\([a-z ]+\)$", "", line)  # a remark
    for line in (ROOT / "localrag/cli/examples.txt").read_text(encoding="utf-8").splitlines()
    if line.startswith(("localrag ", "nano "))
]
ALL = {page: commands(page) for page in PAGES}
CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
READING = ("localrag ask ", "localrag search ", "localrag chat ", "localrag doctor")  # once for all pages
TOOLS = ("jq", "strace", "sqlite3", "curl")  # .ci/run installs them


@dataclass(frozen=True)
class Desk:
    """A folder with documents and a home with a library of them; `reset` makes both as they were."""

    base: Path
    environ: dict[str, str]
    seen: set[str] = field(default_factory=set)

    def reset(self) -> None:
        for name in ("desk", "home"):
            shutil.rmtree(self.base / name, ignore_errors=True)
            shutil.copytree(self.base / "kept" / name, self.base / name, symlinks=True)

    def run(self, text: str) -> tuple[int, str]:
        return doc_commands.run(text, self.base / "desk", self.environ)


@pytest.fixture(scope="module")
def desk(installed: Path) -> Iterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="lr") as folder:
        base = Path(folder)
        made = Desk(base, doc_commands.environment(base, installed))
        (base / "desk").mkdir()
        doc_commands.lay_out(base / "desk")
        for text in (
            f"localrag models import ../{doc_commands.MODEL}.gguf",
            "localrag ingest ./contracts",
            "localrag chat contracts --plain < questions.txt",  # a conversation to resume
        ):
            code, shown = made.run(text)
            assert code == 0, shown
        for name in ("desk", "home"):
            shutil.copytree(base / name, base / "kept" / name, symlinks=True)
        yield made


def to_run(page: Path) -> list[Command]:
    """The page's commands that are not marked; those of `make` have tests of their own."""
    return [one for one in ALL[page] if not one.why_not and not one.text.startswith("make ")]


def fails(desk: Desk, command: Command) -> str:
    """Run a command and say how it failed, if it did."""
    if not CI and any(re.search(rf"\b{tool}\b", command.text) and not shutil.which(tool) for tool in TOOLS):
        return ""
    if command.text.startswith(READING) and command.text in desk.seen:
        return ""
    desk.seen.add(command.text)
    text = f"python - <<'END'\n{command.text}\nEND" if command.python else command.text
    began = time.monotonic()
    code, shown = desk.run(text)
    print(f"{time.monotonic() - began:5.1f} s  {command.words}")
    return f"{command.words}\nexit code {code}\n{shown[-2000:]}" if code else ""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("page", filter(to_run, PAGES), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_runs(desk: Desk, page: Path) -> None:
    desk.reset()
    failed = [words for command in to_run(page) if (words := fails(desk, command))]
    assert not failed, "\n\n".join(failed)


# Examples of the help that fit the desk and take no time; the others are at least read by the command line (below).
# --- options ----------------------------------------------------------------------------------------------------


def misfit(text: str) -> str:
    """Why a line does not fit the command line, or nothing. Files need not exist."""
    words = shlex.split(text, comments=True)
    words = words[words.index("localrag") + 1 :]
    end = next(
        (at for at, word in enumerate(words) if word in ("|", "||", "&&", ">", "<", ">>", ";") or word == "…"), None
    )
    words = words[:end]
    command: click.Command = localrag
    context = click.Context(command, info_name="localrag")
    try:
        while isinstance(command, click.Group) and words and words[0] not in ("-h", "--help", "--version"):
            command.parse_args(context, words)
            _, found, words = command.resolve_command(context, [*context._protected_args, *context.args])
            assert found is not None
            command, context = found, click.Context(found, info_name=found.name, parent=context)
        if isinstance(command, click.Group):
            return ""
        given, rest, _ = command.make_parser(context).parse_args(args=list(words))
        if rest:
            return f"too many words: {rest}"
        for option in command.params:
            if isinstance(option.type, click.Choice) and (value := given.get(str(option.name))) is not None:
                option.type_cast_value(context, value)
    except click.UsageError as error:
        return error.format_message()
    return ""


def documented() -> Iterator[tuple[str, str]]:
    """Each place that shows a command, and the command: blocks, words in a line, and the examples of the help."""
    for page, found in ALL.items():
        yield from ((one.words, one.text) for one in found if re.match(r"localrag \S", one.text))
        for text in re.findall(r"`(localrag [a-z]+(?: [^`\n]*)?)`", page.read_text(encoding="utf-8")):
            # Prose names an option without its value.
            yield f"{page.name}: {text}", re.sub(r"(?<= )--(out|report|verify)$", r"--\1 FILE", text)
    yield from ((f"examples.txt: {text}", text) for text in EXAMPLES if text.startswith("localrag "))


def test_every_documented_command_fits_its_options() -> None:
    found = list(documented())
    assert len(found) > 250
    assert [f"{place}: {why}" for place, text in found if (why := misfit(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "localrag aks 'When?'",
        "localrag ask 'When?' --libary contracts",
        "localrag ask When does it end",
        "localrag ask 'When?' --mode reed",
        "localrag vault encript contracts",
    ],
)
def test_a_wrong_command_is_found(text: str) -> None:
    assert misfit(text)


# --- the pages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_stand_in_shell_blocks_and_marks_belong_to_one(page: Path) -> None:
    """A command in another kind of block would be run by nobody; a mark that fits no command says nothing."""
    text = page.read_text(encoding="utf-8")
    if page.name == "commands.md":  # it is the help of each command
        return
    assert doc_commands.unseen(text) == []
    assert doc_commands.idle_marks(text) == []


def test_make_targets_in_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = [
        word
        for found in ALL.values()
        for one in found
        if one.text.startswith("make ")
        for word in shlex.split(one.text, comments=True)[1:]
    ]
    assert named and set(named) <= targets


def test_a_command_that_fails_or_hangs_is_seen(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"]}
    assert doc_commands.run("false | true", tmp_path, environ)[0] == 1
    code, shown = doc_commands.run("printf 'Really? [y/N]: '; read answer; echo got $answer", tmp_path, environ)
    assert code == 0 and "got y" in shown
    assert doc_commands.run("sleep 60", tmp_path, environ, patience=0.5)[0] < 0

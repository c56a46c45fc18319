import json
import os
import select
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem, get_completion_class
from click.testing import CliRunner
from waiting import PATIENCE

from localrag.cli import options as completion

if sys.platform == "win32":
    pytest.skip("shells of POSIX systems", allow_module_level=True)
import pty

pytestmark = pytest.mark.slow

NAMES = [
    "a0/plain-name_1.txt",
    "a1/$(touch pwned).txt",
    "a2/`touch pwned`.txt",
    "a3/x;touch pwned;.txt",
    "a4/it's $(touch pwned).txt",
    'a5/"$(touch pwned)".txt',
    "a6/Lease (2024) & $HOME ~ * ? [a] {b,c} !x #y <z> |.txt",
    "a7/back\\$(touch pwned).txt",
    "a8/line\nplain,$(touch pwned)",
    "a9/\x1b]52;c;x\x07.txt",
    "b0/Müller – Köln.pdf",
    "b1/'$(touch pwned)*",
    "b2/\udcff.txt",
    "b3/two  blanks .txt",
]
LEFT_OUT = {"a8", "a9", "b2"}  # what a line of the shell cannot hold
SHELLS = {  # how each starts without settings, and its first lines
    "bash": (["--norc", "--noprofile", "-i"], []),
    "zsh": (["-f", "-i"], ["autoload -Uz compinit; compinit -u -D"]),
    "fish": (["--no-config", "--init-command", "function fish_prompt; echo -n 'READY>'; end"], []),
}
PROGRAM = """#!{python}
import json, sys
sys.path.insert(0, {package!r})
import click
from click.shell_completion import CompletionItem
from localrag.cli import options as completion

def names(ctx, param, begun):
    return [CompletionItem(name) for name in {names!r} if name.startswith(begun)]

@click.command()
@click.argument("name", shell_complete=names)
def command(name):
    print(json.dumps([name]), file=open({out!r}, "a"))

completion.register_completion()
command(prog_name="localrag")
"""


def typed(shell, script, lines, tmp_path):
    arguments, begin = SHELLS[shell]
    if not (shutil.which(shell) and shutil.which("setsid")):
        pytest.skip(f"no {shell} or no setsid")
    (tmp_path / "bin").mkdir()
    (tmp_path / "here").mkdir()
    out, program = tmp_path / "out", tmp_path / "bin" / "localrag"
    package = str(Path(__file__).parents[2])
    program.write_text(PROGRAM.format(python=sys.executable, package=package, names=NAMES, out=str(out)))
    program.chmod(0o755)
    (tmp_path / "script").write_text(script)
    for name in ("'$(touch pwned)x", "b1\\'$(touch pwned)y"):  # what an unquoted pattern would find
        (tmp_path / "here" / name).touch()
    environ = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
        "INPUTRC": "/dev/null",
        "PS1": "READY>",
        "PS2": "MORE>",
    }
    near, far = pty.openpty()
    shown = b""

    def reads(*prompts):
        nonlocal shown
        end, begun = time.monotonic() + PATIENCE, len(shown)
        while not (found := next((prompt for prompt in prompts if prompt in shown[begun:]), b"")):
            if not select.select([near], [], [], 1)[0] and time.monotonic() > end:
                pytest.fail(shown.decode("utf-8", "replace"))
            try:
                shown += os.read(near, 4096) if select.select([near], [], [], 0)[0] else b""
            except OSError:
                pytest.fail(f"{shell} ended: {shown.decode('utf-8', 'replace')}")
        return found

    command = ["setsid", "--ctty", shell, *arguments]
    process = subprocess.Popen(command, stdin=far, stdout=far, stderr=far, env=environ, cwd=tmp_path / "here")
    os.close(far)
    reads(b"READY>")
    for line in (*begin, f"source {tmp_path}/script"):
        os.write(near, f"{line}\r".encode())
        reads(b"READY>")
    for line in lines:
        os.write(near, f"{line}\t\r".encode())
        for quote in (b"'", b'"', b"'", b'"'):  # closes what is open
            if reads(b"READY>", b"MORE>") == b"READY>":
                break
            os.write(near, quote + b"\r")
    os.write(near, b"exit\r")
    with suppress(OSError):  # the shell has ended
        while select.select([near], [], [], PATIENCE)[0]:
            shown += os.read(near, 4096)
    process.kill()
    process.wait()
    os.close(near)
    assert not list(tmp_path.rglob("pwned")), shown.decode("utf-8", "replace")
    assert out.exists(), shown.decode("utf-8", "replace")
    return [json.loads(line)[0] for line in out.read_text().splitlines()]


def script(shell):
    return CliRunner().invoke(completion.completion_command, [shell]).stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.proves("completion")
def test_names_are_quoted_or_left_out(tmp_path, shell):
    passed = typed(shell, script(shell), [f"localrag {name[:3]}" for name in NAMES], tmp_path)
    assert passed == [name[:3] if name[:2] in LEFT_OUT else name for name in NAMES]


@pytest.mark.parametrize("quote", ["'", '"'])
def test_bash_runs_nothing_after_an_open_quote(tmp_path, quote):
    lines = ["localrag a0", *(f"localrag {quote}{name}" for name in ("a1/", "a4/", "a5/", "b1/"))]
    typed("bash", script("bash"), lines, tmp_path)


def test_no_name_is_read_as_an_option():
    completion.register_completion()
    kind = get_completion_class("bash")

    @click.command()
    @click.argument("name", shell_complete=lambda *_: [CompletionItem("--yes"), CompletionItem("yes")])
    def command(name): ...

    assert [item.value for item in kind(command, {}, "x", "X").get_completions([], "")] == ["yes"]
    assert "--help" in [item.value for item in kind(command, {}, "x", "X").get_completions([], "--h")]

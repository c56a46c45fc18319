from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from localrag import api
from localrag.cli import app
from localrag.errors import LocalragError
from localrag.security.terminal import UNSAFE, one_line, visible
from localrag.sessions import store_of
from localrag.types import Answer, Citation, Plan

pytestmark = pytest.mark.slow

ROOM = Path(__file__).parents[2] / "localrag"
TITLE, LINK, C1, BIDI = "\x1b]0;owned\x07", "\x1b]8;;http://evil.example\x1b\\", "\x9b2J", "\u202ecod.exe"
MARKUP = ("x[/b]y", "[link=http:evil]a[/link]", "[bold red]loud[/]", ":skull:")
FORGED = "a\nerror: forged"
NAMES = [*(f"{name}.txt" for name in (TITLE, "\x1b[2J\x1b[1;1H", C1, BIDI, FORGED, *MARKUP, "r\rs", "\x08\x7f"))]
FAILS = f"{TITLE}\nnote: forged.pdf"  # and cannot be read
LIBRARY = f"evil{TITLE}{C1}{BIDI}\nerror: forged"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # localrag's own, where it draws


class Screen(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self):
        return True


@pytest.fixture
def papers(models, folder, settings):
    root = folder(
        {
            os.fsdecode(b"not \xff utf-8.txt"): "The lease ends.",
            **{name: f"The lease of document {number} ends." for number, name in enumerate(NAMES)},
        }
    )
    (root / FAILS).write_bytes(b"%PDF-1.4 no more")
    with_roots = api.open_library("papers", settings=settings, create=True)
    with_roots.ingest(root)
    with_roots.close()
    poser = settings.library_dir(LIBRARY)
    poser.mkdir(parents=True)
    (poser / "library.db").write_bytes(b"no database")
    return root


def run(*arguments):
    """What a command prints on stdout and stderr, errors included, with colours kept as on a terminal."""
    result = CliRunner().invoke(app.localrag, arguments, color=True, standalone_mode=False)
    error = result.stderr
    if isinstance(result.exception, LocalragError):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stderr", screen := Screen())
            app.report(result.exception)
        error += screen.getvalue()
    elif result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout, error


def harmless(text):
    """The text as it is read, after a check that nothing in it commands the terminal or poses as a line of its own."""
    text = COLOURS.sub("", text)
    assert UNSAFE.search(text) is None, ascii(text)
    assert not re.search(r"^(error|note): forged", text, re.MULTILINE), text
    return text


COMMANDS = [
    ["libraries"],
    ["status", "papers"],
    ["search", "lease", "-l", "papers", "-k", "50"],
    ["search", f"lease {TITLE}{BIDI}", "-l", "papers"],
    ["search", "lease", "-l", "papers", "-d", f"none{TITLE}"],
    ["ask", f"lease{TITLE}", "-l", f"none{C1}"],
    ["search", "lease"],
    ["doctor"],
    ["show", NAMES[0], "-l", "papers"],
    ["forget", "papers", "-d", NAMES[1], "--yes"],
    ["audit", "show"],
    ["audit", "verify"],
    ["vault", "status"],
    ["ingest", f"/none{TITLE}"],
    ["restore", f"/none{TITLE}"],
    ["backup", LIBRARY, "--out", "out"],
    ["config", "get", f"none{TITLE}"],
    ["models", "verify", f"none{TITLE}"],
    ["sessions", "list"],
    ["prove", "forgotten", LIBRARY, "--word", "x"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: ascii(" ".join(words))[1:50])
@pytest.mark.proves("terminal")
def test_no_command_prints_what_the_terminal_obeys(papers, arguments):
    out, error = run(*arguments)
    harmless(out)
    harmless(error)


def test_an_ingest_names_hostile_files_without_obeying_them(papers):
    out, error = run("ingest", str(papers), "--name", "other")
    assert "\\u001b]0;owned\\u0007" in harmless(out + error)


def test_json_keeps_every_value_and_escapes_what_the_terminal_obeys(papers):
    for arguments in (["status", "papers"], ["search", "lease", "-l", "papers"], ["libraries"], ["audit", "show"]):
        out, _ = run(*arguments, "--json")
        value = json.loads(harmless(out))
        if arguments[0] == "status":
            assert {row["document"] for row in value["list"]} == {*NAMES, "not \\xff utf-8.txt"}
        if arguments[0] == "libraries":
            assert LIBRARY in {row["name"] for row in value["libraries"]}


def test_conversations_are_shown_without_obeying_them(papers, settings):
    store, hostile = store_of(settings), f"lease {TITLE}{C1}{BIDI} {MARKUP[1]}"
    cited = Citation("papers", NAMES[0], 1, None, "p. 1", hostile, 0, len(hostile), 1)
    answer = Answer(hostile, f"{hostile} [1]", True, Plan("retrieve", hostile), (cited,))
    session = store.append(store.new(("papers",)), answer)
    for words in (["list"], ["show", session.id], ["search", "lease"], ["export", session.id, "-o", "-"]):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdout", screen := Screen())
            app.localrag.main(["sessions", *words], standalone_mode=False)
        assert "owned" in harmless(screen.getvalue())
    value = json.loads(harmless(run("sessions", "show", session.id, "--json")[0]))
    assert json.dumps(hostile) in json.dumps(value)


@pytest.mark.parametrize("arguments", [["libraries"], ["status", "papers"], ["search", "lease", "-l", "papers"]])
def test_what_is_drawn_obeys_no_name_and_no_markup(papers, arguments, monkeypatch):
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    monkeypatch.setenv("COLUMNS", "300")
    app.localrag.main(arguments, standalone_mode=False)
    shown = harmless(screen.getvalue())
    if arguments[0] != "libraries":
        assert all(part in shown for part in MARKUP)


def test_honest_text_stays_as_it_is_and_nothing_else():
    obeyed = "".join(map(chr, sorted({*range(32), *range(0x7F, 0xA0), 0x202E, 0x2066, 0xD800, 0xE0041} - {9, 10})))
    assert not set(obeyed) & set(visible(obeyed))
    for text in ("naïve “quotes”\n\t条 é 🦩 a\u200db \ue000 \xa0", "שלום العقد"):
        assert visible(text) == text
    assert visible("\u200fשלום\u200e\r\n") == "שלום\n" and one_line("a\u200f\tb") == "a\\u200f\\tb"


def test_usage_errors_name_arguments_without_obeying_them(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["localrag", "status", "a", f"b{TITLE}{BIDI}"])
    monkeypatch.setattr(sys, "stderr", screen := Screen())
    monkeypatch.setattr(app, "_confine", lambda arguments: 0)
    monkeypatch.setattr(app, "hide_arguments", lambda arguments: None)
    with pytest.raises(SystemExit) as stop:
        app.main()
    assert stop.value.code == 2 and "owned" in harmless(screen.getvalue())


def test_a_traceback_names_what_failed_without_obeying_it():
    command = ["localrag", "--debug", "status", f"none{TITLE}{C1}"]
    code = f"import sys; sys.argv = {command!r}; from localrag.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" in harmless(done.stderr) and "owned" in done.stderr


# --- no other way to the terminal ---------------------------------------------------------------------------

PRINTING = re.compile(
    r"(click\.)?(echo|secho|confirm|prompt|echo_via_pager|progressbar)|(rich\.|builtins\.)?print|pprint|input|(\w+\.)*Console"
    r"|(getpass\.)?getpass|sys\.(__)?std(out|err)(__)?(\.buffer)?\.write(lines)?|os\.write|warnings\.warn|traceback\.print_\w+"
)
OURS = {"echo", "confirm"}  # from cli/output.py


def printing(path):
    """Calls that print something that is not constant, and not by the functions of cli/output.py."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ours: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "localrag.cli.output":
            ours |= {name.asname or name.name for name in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not PRINTING.fullmatch(called := ast.unparse(node.func)):
            continue
        if called in ours or ("Console" not in called and all(isinstance(value, ast.Constant) for value in node.args)):
            continue
        if called == "getpass.getpass" and ast.unparse(node.args[0]).startswith(
            ("visible(", "f'New passphrase for {name!r}")
        ):
            continue
        yield f"{path.name}:{node.lineno}: {called}"


def test_everything_is_printed_by_the_functions_of_one_module():
    modules = [path for room in ("cli", "tui") for path in (ROOM / room).rglob("*.py") if path.name != "output.py"]
    # `lines` reads questions with a prompt of its own.
    found = [each for path in modules for each in printing(path) if not each.endswith(": input")]
    assert len(modules) > 40 and found == []


def test_the_app_gives_no_text_to_a_widget_that_parses_markup():
    """A widget parses a `str`, so that only constants may be one; `Content` and `Text` are not parsed."""
    found = []
    for path in (ROOM / "tui").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and re.search(
                r"\bStatic$|\bLabel$|\.update$|Option$", ast.unparse(node.func)
            ):
                found += [
                    f"{path.name}:{node.lineno}" for value in node.args if isinstance(value, ast.JoinedStr | ast.BinOp)
                ]
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "super().notify":  # all notices go through it
                found += (
                    [] if '"markup": False' in ast.unparse(node).replace("'", '"') else [f"{path.name}:{node.lineno}"]
                )
    assert found == []

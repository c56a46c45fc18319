import inspect
import os
import signal
import subprocess
import sys

import pytest
from command_line import run

from localrag import errors
from localrag.cli import output
from localrag.cli.app import report
from localrag.cli.models import models_command

MODELS = sorted(models_command.commands)


def run_beside(tmp_path, module, source, *args):
    """Run the command with a module of ours in place of the one that it imports."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / f"{module}.py").write_text(source, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "localrag", *args],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "first")},
        # A suite that runs in the background is started deaf to Ctrl-C, and so would the command be.
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) if os.name == "posix" else None,
    )


PRESSED = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n"
ABORTS = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(9)
except KeyboardInterrupt:
    os.abort()  # as pybind11 does while a module of its is loaded
"""


SEARCH = ("search", "notice", "--library", "none")


@pytest.mark.parametrize(("module", "source", "words"), [("click", PRESSED, ["--help"]), ("numpy", ABORTS, SEARCH)])
def test_ctrl_c_while_something_is_imported_ends_with_130_and_one_line(tmp_path, module, source, words):
    done = run_beside(tmp_path, module, source, *words)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def test_an_import_that_fails_shows_where(tmp_path):
    done = run_beside(tmp_path, "numpy", "raise ImportError('no such engine')", *SEARCH)
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "no such engine" in done.stderr and "Stopped" not in done.stderr


@pytest.mark.parametrize("words", ["ask", "eval retrieval", "vault key-file", *(f"models {name}" for name in MODELS)])
def test_the_help_of_a_command_ends_with_its_examples(words):
    assert f"  localrag {words}" in run(*words.split(), "--help").stdout.split("Examples:")[1]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not let a process change its arguments")
def test_a_list_of_processes_shows_no_word_of_a_question():
    code = (
        "import sys\nfrom localrag.cli.app import hide_arguments, localrag\nhide_arguments(sys.argv[1:])\n"
        "sys.stdout.buffer.write(open('/proc/self/cmdline', 'rb').read())"
    )
    words = ["--debug", "ask", "When does it end – für wen?", "-l", "x"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, check=True)
    assert done.stdout.replace(b"\0", b" ").strip().endswith(b") --debug ask")


def test_sizes_have_a_unit_and_three_digits():
    shown = [output.size(count) for count in (0, 999, 1_000, 90_868_376, 1_117_320_768, 2 * 10**12)]
    assert shown == ["0 bytes", "999 bytes", "1.0 KB", "90.9 MB", "1.1 GB", "2.0 TB"]
    assert [output.duration(seconds) for seconds in (0.2, 89, 300, 9_000)] == ["1 s", "89 s", "5 min", "2.5 h"]


def test_the_time_left_follows_the_speed_so_far():
    now = [0.0]
    pace = output.Pace(clock=lambda: now[0])
    assert pace.left(0, 10) == "" and not pace.due()
    now[0] = 60.0
    assert pace.left(2, 10) == ", about 4 min left" and pace.due() and not pace.due()
    assert pace.left(10, 10) == ""


def test_a_piped_table_is_aligned_plain_text(capsys):
    output.table(("NAME", "SIZE"), [("a", "10 KB"), ("long name", "1\x1b[2J")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].index("SIZE") == lines[1].index("10 KB") == lines[2].index("1")
    assert "\x1b" not in "".join(lines)


def test_the_first_ctrl_c_sets_a_flag_and_the_second_is_raised():
    before, told = signal.getsignal(signal.SIGINT), []
    with output.interruptible(then=lambda: told.append(True)) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked and told == [True]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_every_branch_of_errors_has_its_own_exit_code():
    kinds = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.LocalragError)]
    branches = [kind for kind in kinds if errors.LocalragError in kind.__bases__]
    assert len({0, 1, *(kind.exit_code for kind in branches)}) == len(branches) + 2
    below = [kind for kind in kinds if kind not in (errors.LocalragError, *branches)]
    assert below and all(kind.exit_code == kind.__mro__[1].exit_code for kind in below)


@pytest.mark.parametrize(("hint", "lines"), [("List them.", 2), ("", 1)])
def test_an_error_and_its_hint_go_to_stderr(capsys, hint, lines):
    assert report(errors.NotFoundError("there is no library 'x'", hint)) == 3
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == lines and "'x'" in shown.err and hint in shown.err

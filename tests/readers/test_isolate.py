import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from localrag.errors import Cancelled, ReadError
from localrag.readers.isolate import ReaderPool
from localrag.types import Heading, Page, Reading

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


def read_all(paths, **options):
    with ReaderPool(**options) as pool:
        return dict(pool.read_all(paths))


def pid_of(result):
    return int(result.pages[0].text.split("pid=")[1].split()[0])


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children():
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_every_file_comes_back_once_as_its_reader_read_it(tmp_path):
    for number in range(25):
        (tmp_path / f"{number}.md").write_text(f"# Title {number}\n\nText, ünï, 中文, 😀.\n", encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    paths = sorted(tmp_path.iterdir())
    with ReaderPool(workers=3) as pool:
        results = list(pool.read_all(paths))
    assert sorted(path for path, _ in results) == paths
    read = dict(results)
    assert read[tmp_path / "7.md"] == Reading(
        (Page("# Title 7\n\nText, ünï, 中文, 😀.\n", headings=(Heading(0, 1, "Title 7"),)),), "Title 7"
    )
    error = read[tmp_path / "empty.txt"]
    assert isinstance(error, ReadError) and "is empty" in error.message and error.hint


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read(trap):
    slow, spinning, good = trap("a", "hang"), trap("b", "spin"), trap("c", "fine")
    began = time.monotonic()
    results = read_all([slow, spinning, good], workers=1, seconds=1.0)
    assert time.monotonic() - began < 8
    for path in (slow, spinning):
        assert isinstance(results[path], ReadError)
        assert results[path].message == "took longer than 1 s" and "read_seconds" in results[path].hint
    assert results[good].pages[0].text.startswith("fine")


@pytest.mark.parametrize("command, reason", [
    ("segfault", "crash"), ("exit", "exit code 3"), ("memory", "memory"),
    ("raise", "ZeroDivisionError: what now"), ("dirty", "AssertionError"),
])  # fmt: skip
def test_a_crash_costs_its_own_file_only(trap, command, reason):
    bad, others = trap("bad", command), [trap(f"good{n}", "fine") for n in range(6)]
    results = read_all([*others[:3], bad, *others[3:]], workers=2)
    assert isinstance(results[bad], ReadError) and reason in results[bad].message and results[bad].hint
    assert "\0" not in results[bad].message
    assert all(isinstance(results[path], Reading) for path in others)


def test_workers_live_for_many_files_and_start_only_for_work(trap):
    paths = [trap(f"f{n}", "fine") for n in range(12)]
    assert len({pid_of(result) for result in read_all(paths, workers=2).values()}) <= 2
    with ReaderPool(workers=8) as pool:
        list(pool.read_all(paths[:1]))
        assert len(pool._workers) == 1


def test_what_libraries_print_reaches_neither_the_terminal_nor_the_replies(trap, capfd):
    path = trap("loud", "noise")
    assert read_all([path])[path].pages[0].text.startswith("noise")
    assert capfd.readouterr() == ("", "")


def test_a_worker_cannot_reach_the_network(trap):
    path = trap("net", "network")
    assert "refused to reach the network" in read_all([path])[path].message


def test_passwords_reach_the_reader_and_no_command_line(trap):
    path = trap("p", "fine")
    text = read_all([path], passwords=["first", "zweites ü"])[path].pages[0].text
    assert "passwords=['first', 'zweites ü']" in text
    assert "first" not in text.split("argv=")[1]


@linux
def test_closing_leaves_no_process_even_in_the_middle_of_files(trap):
    before = children()
    paths = [trap("a", "hang"), trap("b", "spin"), trap("c", "fine"), trap("d", "hang")]
    with ReaderPool(workers=3) as pool:
        for path, _ in pool.read_all(paths):
            assert path == paths[2]
            break
        assert len(children() - before) == 3
    assert children() == before


@linux
def test_workers_end_when_their_parent_is_killed(trap):
    paths = [trap("a", "fine"), trap("b", "spin")]
    script = f"""
        from pathlib import Path
        from localrag.readers.isolate import ReaderPool
        pool = ReaderPool(workers=2)
        for path, result in pool.read_all([Path({str(paths[0])!r}), Path({str(paths[1])!r})]):
            print([w._process.pid for w in pool._workers], flush=True)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().strip("[]\n").split(",")]
    time.sleep(0.3)  # the second one is in its endless loop now
    assert len(pids) == 2 and all(map(alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not any(map(alive, pids)))


@posix
def test_ctrl_c_is_left_to_the_parent(trap):
    first, slow = trap("a", "fine"), trap("b", "sleep 1")
    with ReaderPool(workers=1) as pool:
        for path, result in pool.read_all([first, slow]):
            assert isinstance(result, Reading), result
            if path == first:
                os.kill(pid_of(result), signal.SIGINT)


def test_stop_ends_reading_soon(trap):
    began = time.monotonic()
    with pytest.raises(Cancelled):
        read_all([trap("a", "hang")], stop=lambda: time.monotonic() - began > 0.5)
    assert time.monotonic() - began < 3


def test_a_plain_script_can_read_and_the_folder_it_runs_in_is_not_imported(tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "json.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')")
    (folder / "note.txt").write_text("Some text.")
    script = tmp_path / "script.py"  # no main guard
    script.write_text(
        "from pathlib import Path\nfrom localrag.readers.isolate import ReaderPool\n"
        "with ReaderPool() as pool:\n    print([r.pages[0].text for _, r in pool.read_all([Path('note.txt')])])\n"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, script], cwd=folder, env=env, capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "['Some text.']", done.stderr
    assert not (tmp_path / "owned").exists()


def test_only_a_few_files_are_drawn_ahead(tmp_path):
    drawn = []

    def paths():
        for number in range(50):
            path = tmp_path / f"{number}.txt"
            path.write_text("Text enough.")
            drawn.append(path)
            yield path

    with ReaderPool(workers=2) as pool:
        for done, _ in enumerate(pool.read_all(paths()), 1):
            assert len(drawn) - done <= 6
    assert len(drawn) == done == 50


@linux
def test_file_names_that_are_no_text_can_be_read(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt"))
    path.write_text("Some text.")
    assert read_all([path])[path].pages[0].text == "Some text."


@linux
def test_a_worker_that_died_idle_does_not_cost_the_next_file(trap):
    first, second = trap("a", "fine"), trap("b", "fine")
    with ReaderPool(workers=1) as pool:
        (_, result), = pool.read_all([first])  # fmt: skip
        os.kill(pid_of(result), signal.SIGKILL)
        until(lambda: not alive(pid_of(result)))
        (_, again), = pool.read_all([second])  # fmt: skip
    assert isinstance(again, Reading)

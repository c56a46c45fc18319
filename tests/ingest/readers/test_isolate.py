import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import lent_readers
import pytest
from waiting import PATIENCE, ended, wait_for

from localrag import protocol
from localrag.errors import Cancelled
from localrag.ingest.readers import isolate, reader_process, wire
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options
from localrag.types import Page, Part, Reading, Refused

pytestmark = pytest.mark.slow

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")


@pytest.fixture(autouse=True, scope="module")
def none_kept():
    """These tests count the reader processes of this process; other files may have left some for the next ingest."""
    lent_readers.close()


def gathered(replies):
    """What each file gave; every file ends with None, once, and nothing comes after it."""
    found, done = {}, []
    for path, item in replies:
        assert path not in done, "something came after the end"
        if item is None:
            done.append(path)
        else:
            found.setdefault(path, []).append(item)
    assert set(found) <= set(done)
    return {path: found.get(path, []) for path in done}


def read_all(paths, **given):
    with ReaderPool(**given) as pool:
        return gathered(pool.read_all(paths))


def only(items):
    (item,) = items
    return item


def text_of(item):
    assert isinstance(item, Part), item
    return item.reading.pages[0].text


def texts_of(items):
    return [item.reason if isinstance(item, Refused) else text_of(item).split()[0] for item in items]


def pid_of(item):
    return int(text_of(item).split("pid=")[1].split()[0])


def alive(pid):
    return not ended(pid)


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


def reader_threads():
    return [thread for thread in threading.enumerate() if thread.name == "localrag-reader"]


@pytest.mark.smoke
def test_every_file_comes_as_its_reader_read_it_and_ends_once(tmp_path, trap):
    from localrag.ingest.readers import base

    for number in range(25):
        (tmp_path / f"{number}.md").write_text(f"# Title {number}\n\nText, ünï, 中文, 😀.\n", encoding="utf-8")
    (tmp_path / "empty.txt").touch()
    paths = sorted(path for path in tmp_path.iterdir() if path.is_file())
    results = read_all(paths, workers=3)
    assert sorted(results) == paths
    for path in paths:
        assert results[path] == list(base.read_parts(path, Options()))
    part = only(results[tmp_path / "7.md"])
    assert part.name == "" and part.reading.title == "Title 7" and "😀" in text_of(part)
    assert "is empty" in only(results[tmp_path / "empty.txt"]).reason


def test_a_worker_writes_nothing_reaches_no_network_and_shows_no_password(trap, capfd):
    loud, network, fine = trap("loud", "noise"), trap("net", "network"), trap("p", "fine")
    results = read_all([loud, network, fine], options=Options(passwords=("first", "zweites ü")))
    assert texts_of(results[loud]) == ["noise"] and capfd.readouterr() == ("", "")
    assert "refused to reach the network" in only(results[network]).reason
    text = text_of(only(results[fine]))
    assert "passwords=['first', 'zweites ü']" in text and "first" not in text.split("argv=")[1]


@linux
def test_file_names_that_are_no_text_can_be_read_and_a_pipe_is_refused_at_once(trap, tmp_path):
    trap("a", "fine")
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.trap"))
    path.write_text("fine")
    assert texts_of(read_all([path])[path]) == ["fine"]
    os.mkfifo(tmp_path / "pipe.trap")
    assert "not a regular file" in only(read_all([tmp_path / "pipe.trap"], seconds=30)[tmp_path / "pipe.trap"]).reason


def test_a_file_that_takes_too_long_is_given_up_and_the_next_is_read(trap):
    slow, spinning, good = trap("a", "hang"), trap("b", "spin"), trap("c", "fine")
    results = read_all([slow, spinning, good], workers=1, seconds=1.0)
    for path in (slow, spinning):
        assert only(results[path]).reason.startswith("took longer than 1 s. ")
        assert "read_seconds" in only(results[path]).reason
    assert texts_of(results[good]) == ["fine"]


def test_neither_a_starved_reader_nor_one_that_recognises_pages_is_given_up(trap, monkeypatch):
    assert texts_of(read_all([path := trap("scan", "pages 6")], seconds=1.0)[path]) == ["pages"]
    began = time.monotonic()
    monkeypatch.setattr(reader_process, "starved", lambda pid: 0.9 * (time.monotonic() - began))
    assert texts_of(read_all([path := trap("a", "sleep 2")], seconds=1.0)[path]) == ["sleep"]


def test_a_crash_costs_its_own_file_only(trap):
    reasons = {
        "segfault": "made its reader crash (SIGSEGV)",
        "exit": "made its reader crash (exit code 3)",
        "raise": "ZeroDivisionError: what now",
        "dirty": "AssertionError",
        "kill": "killed from outside",
        "panic": "PanicException: index out of bounds",
        "native": "needs more memory than 1,500 MB",
        "take 2000000000": "needs more memory than 1,500 MB. Split the file, or raise read_memory_mb",
    }
    bad = {trap(f"bad{n}", command): reason for n, (command, reason) in enumerate(reasons.items())}
    good = [trap(f"good{n}", "fine") for n in range(6)]
    results = read_all([*good[:3], *bad, *good[3:]], workers=2)
    for path, reason in bad.items():
        assert reason in only(results[path]).reason and "\0" not in only(results[path]).reason
    assert all(texts_of(results[path]) == ["fine"] for path in good)


def test_documents_before_a_failure_are_kept(trap):
    reasons = {"hang": "took longer", "exit": "exit code 3", "take 2000000000": "memory"}
    paths = {trap(command[:4], f"holds fine; fine; {command}; fine"): reason for command, reason in reasons.items()}
    results = read_all(paths, seconds=4)
    for path, reason in paths.items():
        *parts, refused = results[path]
        assert [part.name for part in parts] == ["", "m0.trap", "m1.trap"]
        assert refused.name == "" and reason in refused.reason
        assert refused.reason.endswith('What is in it after "m1.trap" was not read.')


@linux
def test_memory_of_native_code_or_that_is_no_data_is_watched_as_well(trap, monkeypatch):
    path = trap("native", "abort 250000000")
    assert "needs more memory than 300 MB" in only(read_all([path], memory=300_000_000)[path]).reason
    monkeypatch.setattr(isolate, "_SHARED", 50_000_000)
    bad, good = trap("a", "share 400000000"), trap("b", "fine")
    results = read_all([bad, good], workers=1, memory=100_000_000, seconds=30)
    assert "needs more memory than 100 MB" in only(results[bad]).reason
    assert texts_of(results[good]) == ["fine"]


def test_a_file_may_give_only_so_much_text_with_all_that_is_in_it(trap):
    path = trap("a", "holds " + "; ".join(["text 4000"] * 5))
    *parts, refused = read_all([path], options=Options(characters=10_000))[path]
    assert [part.name for part in parts] == ["", "m0.trap", "m1.trap"]
    assert refused.name == "" and "gives more than 10,000 characters" in refused.reason
    assert 'after "m1.trap"' in refused.reason


@posix
def test_a_process_that_sends_nonsense_or_another_identity_is_replaced(trap):
    end = b'{"type":"end","skipped":[],"remarks":[]}\n'
    other = b"".join(map(protocol.encode, wire.messages(Part("", "a" * 64, 5, Reading((Page("forged"),))))))
    frames = (b"rubbish\n", b"[1]\n", b'{"type":"what"}\n', end, other)
    bad = [trap(f"a{n}", f"forge {frame!r}") for n, frame in enumerate(frames)]
    results = read_all([*bad, good := trap("b", "fine")], workers=1, seconds=20)
    assert all("malformed" in only(results[path]).reason for path in bad)
    assert texts_of(results[good]) == ["fine"]


@linux
@pytest.mark.parametrize("kept, workers", [(20_000_000, 1), (150_000_000, 2)])
def test_a_worker_that_keeps_much_memory_is_replaced_before_the_next_file(trap, kept, workers):
    paths = [trap("a", "fine"), trap("b", f"keep {kept}"), trap("c", "fine")]
    results = read_all(paths, workers=1, memory=250_000_000)
    assert len({pid_of(only(items)) for items in results.values()}) == workers


@linux
@pytest.mark.proves("readers")
def test_a_process_gives_up_what_it_does_not_need(trap):
    path = trap("a", "fine")
    with ReaderPool(memory=400_000_000) as pool:
        for _, item in pool.read_all([path]):
            if item is not None:
                pid = pid_of(item)
        limits = dict(re.findall(r"^(Max [a-z ]+?)  +(\w+)", Path(f"/proc/{pid}/limits").read_text(), re.M))
        assert limits["Max core file size"] == "0" and limits["Max open files"] == "1024"
        assert 400_000_000 < int(limits["Max data size"]) < 600_000_000
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"^Umask:\s+0077$", status, re.M)
        assert os.getpriority(os.PRIO_PROCESS, pid) >= 5 and os.getsid(pid) == pid
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        assert b"OMP_NUM_THREADS=1" in environment and b"OPENBLAS_NUM_THREADS=1" in environment


@linux
def test_closing_leaves_no_process_even_in_the_middle_of_files(trap):
    before = children()
    paths = [trap("a", "hang"), trap("b", "spin"), trap("c", "fine"), trap("d", "hang")]
    with ReaderPool(workers=3, seconds=600) as pool:
        for path, _ in pool.read_all(paths):
            assert path == paths[2]
            break
        assert len(children() - before) == 3
        began = time.monotonic()
    assert time.monotonic() - began < PATIENCE, "it waited for the readers"
    assert not children() - before and not reader_threads()


def running(program):
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if os.fsencode(program) in (each / "cmdline").read_bytes().split(b"\0") and alive(int(each.name)):
                found.append(int(each.name))
        except OSError:
            continue
    return found


@linux
@pytest.mark.parametrize("how", ["hang", "idle"])
def test_what_a_reader_started_dies_with_it(trap, tmp_path, how):
    path = trap("a", f"start {how}")
    with ReaderPool(workers=1, seconds=3 if how == "hang" else 600) as pool:
        reading = threading.Thread(target=lambda: list(pool.read_all([path])))
        reading.start()
        wait_for(lambda: running(tmp_path / "stand-in"))
        reading.join()
    wait_for(lambda: not running(tmp_path / "stand-in"))


@linux
def test_a_reader_whose_helper_was_killed_or_that_died_idle_is_replaced(trap, tmp_path):
    first, second = trap("a", "wait"), trap("b", "fine")
    with ReaderPool(workers=1, seconds=20) as pool:
        found = {}
        reading = threading.Thread(target=lambda: found.update(gathered(pool.read_all([first]))))
        reading.start()
        wait_for(lambda: running(tmp_path / "stand-in"))
        reader = pool._processes[0]._popen.pid
        for helper in running("localrag.ingest.readers.programs"):
            if int(Path(f"/proc/{helper}/stat").read_text().rsplit(")", 1)[1].split()[1]) == reader:
                os.kill(helper, signal.SIGKILL)
        reading.join()
        assert "has ended" in only(found[first]).reason
        assert pid_of(only(gathered(pool.read_all([second]))[second])) != reader
    first, second = trap("a", "fine"), trap("b", "fine")
    with ReaderPool(workers=1) as pool:
        pid = pid_of(only(gathered(pool.read_all([first]))[first]))
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid))
        assert texts_of(gathered(pool.read_all([second]))[second]) == ["fine"]


@linux
def test_workers_and_what_they_started_end_when_their_parent_is_killed(trap, tmp_path):
    paths = [trap("a", "start idle"), trap("b", "start hang"), trap("c", "spin")]
    script = f"""
        import time
        from pathlib import Path
        from localrag.ingest.readers.isolate import ReaderPool
        pool = ReaderPool(workers=3)
        for path, item in pool.read_all([Path(path) for path in {list(map(str, paths))!r}]):
            print([each._popen.pid for each in pool._processes], flush=True)
            time.sleep(600)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True)
    pids = [int(word) for word in parent.stdout.readline().strip("[]\n").split(",")]
    wait_for(lambda: len(running(tmp_path / "stand-in")) == 2)
    pids += running(tmp_path / "stand-in")
    time.sleep(0.3)  # the third one is in its endless loop now
    assert len(set(pids)) == 5 and all(map(alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not any(map(alive, pids)))


@posix
def test_ctrl_c_is_left_to_the_parent(trap):
    first, slow = trap("a", "fine"), trap("b", "sleep 1")
    with ReaderPool(workers=1) as pool:
        for path, item in pool.read_all([first, slow]):
            assert item is None or isinstance(item, Part), item
            if path == first and item is not None:
                os.kill(pid_of(item), signal.SIGINT)


def test_a_plain_script_can_read_and_the_folder_it_runs_in_is_not_imported(trap, tmp_path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "json.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')")
    (folder / "note.trap").write_text("fine")
    script = tmp_path / "script.py"  # no main guard
    script.write_text(
        "from pathlib import Path\nfrom localrag.ingest.readers.isolate import ReaderPool\n"
        "with ReaderPool() as pool:\n"
        "    print([part and part.reading.title for _, part in pool.read_all([Path('note.trap')])])\n"
    )
    done = subprocess.run([sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert done.stdout.strip() == "['note', None]", done.stderr
    assert not (tmp_path / "owned").exists()


def test_a_slow_caller_makes_the_workers_wait_and_loses_nothing(trap, monkeypatch):
    monkeypatch.setattr(isolate, "_MAX_WAITING", 300_000)
    paths = [trap(f"f{n}", "many 60 50000") for n in range(2)]
    with ReaderPool(workers=2, seconds=1) as pool:
        replies = pool.read_all(paths)
        first = next(replies)
        time.sleep(1.5)  # longer than a document may take: waiting for the caller does not count
        waiting = pool._open[0]
        assert waiting._weight <= 300_000 and 4 <= len(waiting._items) <= 6
        results = gathered([first, *replies])
    for items in results.values():
        assert [item.name for item in items] == ["", *(f"m{n}.trap" for n in range(60))]
        assert sum(len(text_of(item)) for item in items[1:]) == 60 * 50_000


@linux
@pytest.mark.parametrize("how", ["close", "stop", "other thread"])
def test_closing_ends_everything_while_the_queue_is_full(trap, monkeypatch, how):
    monkeypatch.setattr(isolate, "_MAX_WAITING", 100_000)
    before, stopped = children(), threading.Event()
    paths = [trap(f"f{n}", "many 100 90000") for n in range(3)]
    with ReaderPool(workers=3, stop=stopped.is_set) as pool:
        replies = pool.read_all(paths)
        next(replies)
        wait_for(lambda: pool._open[0]._weight > 80_000)
        time.sleep(0.3)
        assert len(children() - before) == 3
        if how == "stop":
            stopped.set()
            with pytest.raises(Cancelled):
                next(replies)
        elif how == "other thread":
            closing = threading.Thread(target=pool.close)
            closing.start()
            with pytest.raises(Cancelled):
                list(replies)
            closing.join()
    assert not children() - before and not reader_threads()

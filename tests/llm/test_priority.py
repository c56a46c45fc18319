import subprocess
import sys
import time
from pathlib import Path

from waiting import wait_for

from localrag.llm import priority
from localrag.llm.priority import Rank


def never(seconds):
    raise AssertionError("it waits for nobody")


def test_two_questions_are_both_waited_for_but_not_for_ever(tmp_path, monkeypatch):
    (tmp_path / "left-over.lock").write_bytes(b"")  # of a process that died
    with priority.asking(tmp_path):
        with priority.asking(tmp_path):
            assert len(list(tmp_path.iterdir())) == 3
        asked = [False, False, True]
        assert priority.give_way(tmp_path, lambda: asked.pop(0)) > 0  # until it was told to stop
    monkeypatch.setattr(time, "sleep", never)
    priority.give_way(tmp_path)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr(priority, "_MAX_WAIT", 0.3)
    with priority.asking(tmp_path):
        assert priority.give_way(tmp_path) > 0.3


def test_a_mark_that_an_ingest_was_looking_at_is_made_again(tmp_path, monkeypatch):
    from filelock import FileLock

    real = FileLock.acquire
    tries = 0

    def acquire(self, *args, **more):
        nonlocal tries
        tries += 1
        held = real(self, *args, **more)
        if tries == 1:  # the ingest took it for one left behind, and cleared it away
            Path(self.lock_file).unlink()
        return held

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with priority.asking(tmp_path):
        monkeypatch.undo()
        stopping = iter([False, True])
        assert priority.give_way(tmp_path, lambda: next(stopping)) > 0.1


def test_no_folder_for_marks_is_no_reason_not_to_answer(tmp_path):
    (tmp_path / "asking").write_text("a file is in the way")
    with priority.asking(tmp_path / "asking"):
        pass


def test_the_ranks_are_question_typing_warming_ingest_and_watches_are_told(tmp_path):
    ranks = list(Rank)
    assert ranks == [Rank.QUESTION, Rank.TYPING, Rank.WARMING, Rank.INGEST]
    for working in ranks:
        with priority.asking(tmp_path, working):
            assert [rank for rank in ranks if priority.wanted(tmp_path, rank)] == ranks[working + 1 :]
    assert not priority.wanted(tmp_path, Rank.INGEST)
    urgent = priority.watch(tmp_path, Rank.WARMING)
    with priority.asking(tmp_path, Rank.WARMING):
        assert not urgent()  # its own mark, and that of others of its kind
    with priority.asking(tmp_path):
        wait_for(urgent)
    assert urgent()  # until a new watch is begun


ASKS = """
import sys, time
from pathlib import Path
from localrag.llm import priority as precedence
with precedence.asking(Path(sys.argv[1]), precedence.Rank(int(sys.argv[2]))):
    print("asking", flush=True)
    sys.stdin.readline()
"""


def test_warming_waits_for_a_question_in_another_process_until_it_dies(tmp_path):
    asker = subprocess.Popen(
        [sys.executable, "-c", ASKS, str(tmp_path), "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert asker.stdout is not None and asker.stdout.readline() == "asking\n"
    assert priority.wanted(tmp_path, Rank.WARMING) and not priority.wanted(tmp_path, Rank.QUESTION)
    asker.kill()
    asker.wait()
    assert not priority.wanted(tmp_path, Rank.WARMING)

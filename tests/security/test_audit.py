from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE

from localrag.errors import NotFoundError, UsageError
from localrag.security import audit, storage

KEY = bytes(range(32))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "audit.jsonl"
    storage.write_bytes(tmp_path / "audit.key", KEY)
    for number in range(1, 9):
        audit.record(path, "ask", "contracts", question=f"question {number}", pages=[number])
    return path


def lines(file):
    return file.read_bytes().splitlines(keepends=True)


def faults(file, changed=None):
    if changed is not None:
        file.write_bytes(b"".join(changed))
    return [problem.line for problem in audit.verify(file)]


def rewritten(line, **values):
    """The line changed by somebody who makes its own mark right, which takes the key."""
    entry = json.loads(line) | values
    entry["mark"] = audit._mark(entry, KEY)
    return audit._canonical(entry).encode() + b"\n"


def test_a_line_has_user_event_library_and_time_and_the_hmacs_of_words(file):
    audit.record(file, "ask", "contracts", question="how much?", text="kept words", answer="40 EUR")
    entry = json.loads(lines(file)[-1])
    assert (entry["number"], entry["event"], entry["library"]) == (9, "ask", "contracts")
    assert entry["user"] and entry["time"].endswith("+00:00")
    hmacs = {
        f"{name}_hmac": audit.words_hmac(words, KEY)
        for name, words in (("question", "how much?"), ("answer", "40 EUR"))
    }
    assert entry["details"] == {**hmacs, "text": "kept words"}
    assert b"how much" not in file.read_bytes() and b"40 EUR" not in file.read_bytes() and faults(file) == []


def test_names_that_are_not_utf8_and_line_ends_stay_in_one_line(file):
    name = os.fsdecode(b"caf\xe9\n.pdf")
    audit.record(file, "show", "a\nb", document=name, path=Path("x"), question=name)
    assert len(lines(file)) == 9
    assert json.loads(lines(file)[-1])["details"]["document"] == name
    assert faults(file) == []


@pytest.mark.proves("record")
def test_every_damage_is_found_at_its_line(file):
    kept = lines(file)
    edited = kept[4].replace(b"contracts", b"minutes")
    forged = rewritten(kept[2], library="forged")
    foreign = (b"nonsense\n", b"{}\n", b"\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n", forged, kept[2])
    damaged: dict[str, tuple[list[bytes], int]] = {
        "changed": ([*kept[:4], edited, *kept[5:]], 5),
        "changed, with its mark made right": ([*kept[:4], rewritten(kept[4], user="x"), *kept[5:]], 6),
        "reformatted": ([*kept[:4], kept[4].replace(b'":', b'": '), *kept[5:]], 5),
        "missing": (kept[:3] + kept[5:], 4),
        "missing at the start": (kept[2:], 1),
        "swapped": ([*kept[:3], kept[4], kept[3], *kept[5:]], 4),
        "emptied": ([*kept[:3], b"gone\n", *kept[4:]], 4),
        "junk at the end": ([*kept, b'{"deta\n'], 9),
        **{f"put in: {line[:9]!r}": ([*kept[:3], line, *kept[3:]], 4) for line in foreign},
    }
    assert {name: faults(file, made)[0] for name, (made, _) in damaged.items()} == {
        name: line for name, (_, line) in damaged.items()
    }
    assert faults(file, kept) == []
    forged = file.parent / "other" / "audit.jsonl"  # made without the key
    for number in range(1, 9):
        audit.record(forged, "ask", "contracts", question=f"another question {number}")
    assert faults(file, lines(forged)) == list(range(1, 9))
    faults(file, [*kept[:-1], kept[-1].replace(b"contracts", b"minutes")])
    audit.record(file, "show", None)  # does not hide that the last line was changed
    assert faults(file) == [8]


@pytest.mark.parametrize("cut", [1, 40, 10_000])
def test_the_next_record_mends_a_crash_at_any_byte(file, cut):
    kept = lines(file)
    left = kept[-1][: -min(cut, len(kept[-1]) - 1)]
    assert faults(file, [*kept[:-1], left]) == []
    audit.record(file, "show", "contracts")
    assert faults(file) == []
    assert file.read_bytes().startswith(b"".join(kept[:-1]) + left)
    audit.record(file, "show", "contracts")
    assert faults(file) == []


@pytest.mark.parametrize("left", [b'{"deta', b'{"details":{\n{"deta'])
@pytest.mark.parametrize("lines_before", [0, 8])
def test_crashes_leave_a_whole_file_that_shows_changes(file, left, lines_before):
    file.write_bytes(b"".join(lines(file)[:lines_before]) + left)
    audit.record(file, "show", None)
    assert faults(file) == []
    kept, first = lines(file), lines_before + 1
    assert first in faults(file, [*kept[:lines_before], b'{"detail":\n', *kept[first:]])
    assert first in faults(file, [*kept[:lines_before], *kept[first:]])


def test_a_record_longer_than_the_window_is_found_again(file):
    audit.record(file, "ingest", "x", note="n" * (3 * audit._BLOCK))
    audit.record(file, "show", None)
    assert faults(file) == [] and len(lines(file)) == 10


WRITE = """
import sys
from pathlib import Path
from localrag.security import audit
for number in range(int(sys.argv[3])):
    audit.record(Path(sys.argv[1]), "ask", sys.argv[2], number_asked=number)
"""


@pytest.mark.proves("record")
def test_writers_in_two_processes_do_not_fork_the_chain(file):
    writers = [subprocess.Popen([sys.executable, "-c", WRITE, str(file), name, "25"]) for name in ("a", "b")]
    assert [writer.wait(PATIENCE) for writer in writers] == [0, 0]
    assert faults(file) == []
    assert len(lines(file)) == 8 + 50


def test_the_next_writer_mends_what_a_killed_one_left(file):
    writer = subprocess.Popen([sys.executable, "-c", WRITE, str(file), "a", "1000000"])
    while len(lines(file)) < 8 + 3:
        assert writer.poll() is None
    writer.kill()
    writer.wait()
    audit.record(file, "show", None)
    assert faults(file) == []


def test_without_its_key_a_record_is_neither_continued_nor_verified(file):
    file.with_suffix(".key").unlink()
    for attempt in (lambda: audit.verify(file), lambda: audit.record(file, "ask", None)):
        with pytest.raises(UsageError, match="key of the audit record is missing") as raised:
            attempt()
        assert "backup" in raised.value.hint
    assert not file.with_suffix(".key").exists()
    file.unlink()
    with pytest.raises(NotFoundError):
        audit.verify(file)


def test_words_can_be_erased_and_the_chain_stays_whole(file):
    number = audit.record(file, "ask", "contracts", question="Who?", answer="Anna.")
    audit.keep_words(file, number, "Who?", "Anna.")
    entry = list(audit.entries(file))[-1]
    assert audit.words_of(file, entry) == audit.Words("Who?", "Anna.")
    audit.keep_words(file, number, "Who?", "Bert.")
    assert audit.words_of(file, entry) == audit.Words("Who?", "Bert.", intact=False)
    assert audit.erase(file, number) and not audit.erase(file, number)
    assert audit.words_of(file, entry) is None and faults(file) == []

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
import fakes
import pytest
from click.testing import CliRunner
from command_line import refused, run, run_json
from fakes import HashingEmbedder
from waiting import PATIENCE

from localrag.cli import ingest
from localrag.errors import LibraryError, LibraryLocked, NotFoundError, UsageError
from localrag.ingest import scan
from localrag.security import storage
from localrag.store.names import writing


def test_the_report_goes_to_stderr_with_the_next_command(models, folder):
    root = folder({"a.txt": "Alpha.", "empty.txt": "", "x.exe": "?", "\x1b]0;evil\x07.txt": "", "b\x9b31m.txt": ""})
    result = run("ingest", root, "--name", "my papers")
    assert result.stdout == "" and result.exit_code == 0
    for part in ("Read 1 document into 'my papers'", "Not read: empty.txt: ", "1 .exe", "localrag chat 'my papers'"):
        assert part in result.stderr
    assert not set("\x1b\x07\x9b") & set(result.output)
    again = run("ingest", root, "--name", "my papers")
    assert "Read 0 documents" in again.stderr and "1 unchanged" in again.stderr


def test_json_is_the_report(models, folder):
    root = folder({"a.txt": "Alpha.", "b.txt": "Beta.", "empty.txt": ""})
    report = run_json("ingest", root, "--name", "my papers")
    assert (report["read"], report["library"], report["complete"]) == (["a.txt", "b.txt"], "my papers", True)
    assert report["unchanged"] == 0 and report["removed"] == report["skipped_pages"] == [] and report["seconds"] >= 0
    assert [set(item) for item in report["failed"]] == [{"document", "reason"}]
    (root / "b.txt").unlink()
    report = run_json("ingest", root, "--name", "my papers")
    assert (report["read"], report["unchanged"], report["removed"]) == ([], 1, ["b.txt"])


def test_bad_input_is_refused_with_what_to_do(models, folder, tmp_path):
    assert "gone" in refused(NotFoundError, "ingest", tmp_path / "gone").message
    refused(UsageError, "ingest", folder({}, "empty"))
    refused(UsageError, "ingest", folder({"a.exe": "x"}, "others"))
    refused(UsageError, "ingest", folder({"a.txt": "x y"}), "--name", "../up")
    assert refused(UsageError, "ingest", folder({"a.txt": ""}, "failing")).exit_code == 2


def test_a_whole_disk_or_home_is_read_after_a_yes_only(models, folder, tmp_path, monkeypatch):
    root = folder({"a.txt": "Alpha."}, "me")
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("USERPROFILE", str(root))
    for broad in (Path(root.anchor), root, root / ".", root.parent):
        assert "--yes" in refused(UsageError, "ingest", broad).hint, broad
    (root / "papers").mkdir()
    (root / "papers/b.txt").write_text("Beta.")
    assert "Read 1 document" in run("ingest", root / "papers").stderr
    assert "Read 2 documents" in run("ingest", root, "--yes").stderr
    assert "2 unchanged" in run("ingest", root).stderr, "it was accepted before"


def test_on_a_terminal_it_asks_before_a_home_is_read(settings, folder, monkeypatch):
    root = folder({"a.txt": "Alpha."}, "me")
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("USERPROFILE", str(root))
    for typed, stops in (("n\n", True), ("\n", True), ("y\n", False)):
        with CliRunner().isolation(input=typed):
            sys.stdin.isatty = lambda: True
            with pytest.raises(click.Abort) if stops else nullcontext():
                ingest._ask_if_broad(root, settings)


def test_the_bar_starts_with_its_total(models, folder, monkeypatch):
    drawn = []

    @contextmanager
    def bar(**how):
        yield lambda done, total, words: drawn.append((done, total))

    monkeypatch.setattr(ingest, "bar", bar)
    run("ingest", folder({"a.txt": "Alpha.", "b.txt": "Beta."}))
    assert drawn and all(total and done <= total for done, total in drawn)


def test_a_slow_share_is_said(models, folder, monkeypatch):
    root = folder({"a.txt": "Alpha."})
    assert "takes longer" not in run("ingest", root).stderr
    monkeypatch.setattr(scan, "_mounts", lambda: ["/dev/sda / ext4 rw", f"nas:/x {root} nfs4 rw 0 0"])
    assert "takes longer" in (told := run("ingest", root).stderr) and "nfs4" in told


@pytest.mark.proves("links")
def test_where_a_link_leads_that_is_named_is_said(models, folder, tmp_path, monkeypatch):
    root = folder({"a.txt": "Alpha."})
    (tmp_path / "door").symlink_to(root, target_is_directory=True)
    assert f"{tmp_path / 'door'} is a link or behind one: {root} is read" in run("ingest", tmp_path / "door").stderr
    assert "link" not in run("ingest", root, "--name", "other").stderr


def test_a_folder_of_the_same_name_is_not_mixed_in(models, folder, tmp_path):
    run("ingest", folder({"a.txt": "Alpha."}))
    other = folder({"sub/papers/b.txt": "Beta."}, "elsewhere") / "sub" / "papers"
    assert "--name" in refused(UsageError, "ingest", other).hint
    run("ingest", other, "--name", "papers")
    status = run_json("status", "papers")
    assert len(status["roots"]) == 2 and status["documents"] == 2


def test_moved_no_waiting_prune_and_re_embed_are_passed_on(models, folder, tmp_path, home):
    root = folder({"a.txt": "Alpha."})
    run("ingest", root)
    moved = root.rename(tmp_path / "moved")
    assert "1 unchanged" in run("ingest", moved, "--name", "papers", "--root", root).stderr
    with writing(home / "indexes" / "papers", "papers"):
        refused(LibraryLocked, "ingest", moved, "--name", "papers", "--no-wait")
    (moved / "a.txt").unlink()
    assert "--prune" in refused(UsageError, "ingest", moved, "--name", "papers").hint
    assert "1 removed" in run("ingest", moved, "--name", "papers", "--prune").stderr
    run("ingest", folder({"b.txt": "Beta."}), "--name", "papers")
    models.embedder = HashingEmbedder(8)
    assert "1 vector" in run("ingest", root, "--name", "papers", "--re-embed").stderr
    storage.write_bytes(home / "indexes" / "papers" / "library.db", b"no database" * 500)
    refused(LibraryError, "ingest", root, "--name", "papers")


WATCHER = f"""
import sys
sys.path.append({str(Path(fakes.__file__).parent)!r})
from fakes import HashingEmbedder
from localrag import embeddings
from localrag.cli.app import main
embeddings.load_embedder = lambda settings, identity=None: HashingEmbedder()
sys.argv[0] = "localrag"
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a signal")
@pytest.mark.slow
def test_watching_follows_a_folder_and_ctrl_c_ends_it(folder, tmp_path, home):
    root = folder({"a.txt": "Alpha."})
    (tmp_path / "watcher.py").write_text(WATCHER)
    watcher = subprocess.Popen(
        [sys.executable, str(tmp_path / "watcher.py"), "ingest", str(root), "--watch"],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # the fakes import numpy, whose threads no limit would hold
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = queue.SimpleQueue()
    threading.Thread(target=lambda: [lines.put(line) for line in watcher.stderr or ()], daemon=True).start()

    def wait_for(words, again=lambda: None):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                if words in lines.get(timeout=1):
                    return
            except queue.Empty:
                again()
        pytest.fail(f"no line has {words!r}")

    try:
        wait_for("Watching")
        wait_for("Read 1 document", lambda: folder({"b.txt": f"Beta at {time.monotonic()}."}))
        folder({"bad.pdf": "%PDF-"})
        wait_for("Not read: bad.pdf")
        (root / "b.txt").rename(root / "c.txt")
        wait_for("1 moved")
        for number in range(20):
            folder({f"{number}.txt": f"Number {number}."})
        wait_for("Read ")
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(PATIENCE) == 0
    finally:
        watcher.kill()
        watcher.wait()


@pytest.mark.proves("links")
def test_watching_ends_where_the_folder_becomes_a_link_to_another(models, folder, tmp_path, home, monkeypatch):
    root, elsewhere = folder({"a.txt": "Alpha."}), folder({"id.txt": "The canaryword."}, "elsewhere")

    def changes(*_):
        yield
        root.rename(tmp_path / "moved")
        root.symlink_to(elsewhere, target_is_directory=True)
        yield

    monkeypatch.setattr(scan, "changes", changes)
    assert "leads to another folder" in refused(UsageError, "ingest", root, "--name", "papers", "--watch").message
    status = run_json("status", "papers")
    assert status["documents"] == len(status["roots"]) == 1


@pytest.mark.parametrize(("args", "code"), [(["ingest", "not-there"], 3), (["ingest"], 2), (["status", "none"], 3)])
@pytest.mark.slow
def test_exit_codes_of_the_real_command(home, tmp_path, args, code):
    done = subprocess.run(
        [sys.executable, "-m", "localrag", *args], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr and done.stderr.strip()
    assert code != 3 or ("error: " in done.stderr and "hint: " in done.stderr)

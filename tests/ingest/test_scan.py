import os
import threading
from pathlib import Path

import pytest
from waiting import PATIENCE

from localrag.errors import ReadError
from localrag.ingest import scan

PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")


def found(root):
    return [file.path for file in scan.walk(root)]


def test_files_come_in_one_order_and_libraries_are_no_documents(folder):
    ours = ("indexes/m/library.db", "indexes/m/library.lock", "indexes/m/notes/1.json", "home/indexes/x/y.json")
    theirs = ["a.txt", "general/c.txt", "papers/b.txt", "papers/library.db"]
    names = (*ours, "home/general/z.json", "home/sessions/s.json", *theirs)
    assert found(folder(dict.fromkeys(names, "text"))) == theirs
    names = ["b.txt", "a/z.txt", "a/b/c.txt", "c/a.txt", "a.txt"]
    assert found(folder(dict.fromkeys(names, "text"), "other")) == ["a.txt", "b.txt", "a/z.txt", "a/b/c.txt", "c/a.txt"]


# Each as git decides it; asked of `git check-ignore`.
PATTERNS = [
    ("/a.txt", "a.txt", True),
    ("/a.txt", "sub/a.txt", False),
    ("drafts/", "sub/drafts/a.txt", True),
    ("drafts/", "drafts", False),
    ("sub/*.txt", "sub/deep/a.txt", False),
    ("a/**/b.txt", "a/b.txt", True),
    ("a/**/b.txt", "a/x/y/b.txt", True),
    ("**/old/**", "x/old/y/a.txt", True),
    ("?.txt", "ab.txt", False),
    ("[!ab]1.txt", "b1.txt", False),
    ("[^ab]1.txt", "c1.txt", True),
    ("[]a].txt", "].txt", True),
    ("a[b.txt", "a[b.txt", True),
    ("\\#a.txt", "#a.txt", True),
    ("a\\*.txt", "ab.txt", False),
    ("# a.txt", "a.txt", False),
    ("*\n!*/\n!*.txt", "sub/a.txt", False),
    ("*.txt\n!keep.txt", "sub/keep.txt", False),
    ("A.txt", "a.txt", False),
    ("a.txt", "a-txt", False),
    ("\ufeffa.txt\r\n", "a.txt", True),
]


@pytest.mark.parametrize(("pattern", "path", "ignored"), PATTERNS)
def test_a_pattern_means_what_it_means_to_git(folder, pattern, path, ignored):
    root = folder({".localragignore": pattern, path: "text"})
    assert (path not in found(root)) == ignored


def test_an_ignore_file_of_odd_bytes_does_no_harm_and_an_unreadable_one_keeps_out(folder, monkeypatch):
    name = "a" * 120 + ".txt"
    root = folder({".localragignore": b"caf\xe9*\n" + b"*a" * 12 + b"*b\n", name: "text"})
    assert found(root) == [name]
    root = folder({"a.txt": "text", "sub/.localragignore": "secret.txt", "sub/secret.txt": "text"}, "other")
    real = os.open

    def refuse(path, *more):
        if Path(path).name == scan.IGNORE_FILE:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *more)

    monkeypatch.setattr(os, "open", refuse)
    assert found(root) == ["a.txt"]


@pytest.mark.proves("links")
@pytest.mark.parametrize("kind", ["link", "large"])
def test_an_ignore_file_that_is_a_link_or_large_skips_its_folder(folder, tmp_path, kind):
    root = folder({"a.txt": "text", "sub/b.txt": "text"})
    (tmp_path / "patterns").write_text("x" if kind == "link" else "x\n" * (1 << 20))
    put = root / "sub" / ".localragignore"
    put.symlink_to(tmp_path / "patterns") if kind == "link" else (tmp_path / "patterns").rename(put)
    noticed = []
    assert [file.path for file in scan.walk(root, noticed.append)] == ["a.txt"]
    assert [error.filename for error in noticed] == [str(root / "sub")]
    assert ("is a link" if kind == "link" else "1,048,576 bytes") in noticed[0].strerror


@PIPES
def test_an_ignore_file_that_is_a_pipe_skips_its_folder(folder):
    root = folder({"a.txt": "text", "sub/b.txt": "text"})
    os.mkfifo(root / "sub" / ".localragignore")
    seen = []
    noticed = []
    look = lambda: seen.extend(file.path for file in scan.walk(root, noticed.append))  # noqa: E731
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive() and seen == ["a.txt"]
    assert [error.filename for error in noticed] == [str(root / "sub")] and "localragignore" in noticed[0].strerror


def test_links_to_nowhere_and_to_themselves_are_told_to_nobody(folder):
    root = folder({"a.txt": "text"})
    (root / "nowhere.txt").symlink_to(root / "gone.txt")
    (root / "self.txt").symlink_to(root / "self.txt")
    (root / "through.txt").symlink_to(root / "a.txt" / "below.txt")
    noticed = []
    assert [file.path for file in scan.walk(root, noticed.append)] == ["a.txt"] and noticed == []


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(folder, monkeypatch):
    def scandir(path):
        raise PermissionError(13, "Permission denied", str(path))

    root = folder({"a.txt": "text"})
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(ReadError) as raised:
        scan.readable(root)
    assert raised.value.hint


def test_a_share_is_known_by_its_kind(tmp_path, monkeypatch):
    (tmp_path / "my share" / "in").mkdir(parents=True)
    point = str(tmp_path / "my share").replace(" ", "\\040")
    mounts = ["none / 9p rw", f"nas:/x {point} cifs rw 0 0", "short", ""]
    monkeypatch.setattr(scan, "_mounts", lambda: mounts)
    assert "cifs" in scan.slow_share(tmp_path / "my share" / "in") and scan.slow_share(tmp_path) == ""

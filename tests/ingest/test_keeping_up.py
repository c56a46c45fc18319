import os
import threading
from pathlib import Path

import pypdf
import pytest
from containers import zipped
from papers import contents, indexed, ingest, never, sound, with_words
from stores import both_stores
from waiting import PATIENCE

from localrag.errors import UsageError
from localrag.ingest import scan as watching
from localrag.ingest import sync
from localrag.ingest.readers.source import Options


def letter(number):
    return f"Letter number {number} about topic{number}. " * 20


@both_stores
def test_a_moved_folder_of_files_is_recognised_and_nothing_is_embedded(library, folder):
    root = folder({f"old/{n}.txt": letter(n) for n in range(5)})
    ingest(library, root)
    ids = {doc.id for doc in library.documents()}
    (root / "old").rename(root / "new")
    report = ingest(library, root, embedder=never)
    assert report.moved == tuple((f"old/{n}.txt", f"new/{n}.txt") for n in range(5))
    assert (report.removed, report.kept, report.read) == ((), (), ())
    assert {doc.path for doc in library.documents()} == {f"new/{n}.txt" for n in range(5)}
    assert {doc.id for doc in library.documents()} == ids
    assert ingest(library, root, embedder=never).unchanged == 5
    sound(library)


@both_stores
def test_copies_are_read_and_embedded_once_and_all_are_documents(library, folder):
    root = folder({"a.txt": letter(1), "b.txt": letter(1), "sub/c.txt": letter(1)})
    report = ingest(library, root)
    assert (report.read, report.copies) == (("a.txt",), ("b.txt", "sub/c.txt"))
    assert [doc.path for doc in library.documents()] == ["a.txt", "b.txt", "sub/c.txt"]
    assert len(indexed(library)) == len(library.chunks_of(library.document("a.txt").id))
    folder({"late.txt": letter(1)})
    assert ingest(library, root, embedder=never).copies == ("late.txt",)
    (root / "a.txt").unlink()
    ingest(library, root, embedder=never)
    assert library.page_text(library.document("late.txt").id, 0) == letter(1)
    sound(library)


def test_drafts_are_reported_as_nearly_the_same(library, folder):
    text = " ".join(f"word{n * n % 997}" for n in range(500))
    report = ingest(library, folder({"draft.txt": text, "final.txt": text + " and signed"}))
    assert {frozenset(pair) for pair in report.near} == {frozenset({"draft.txt", "final.txt"})}


@both_stores
def test_a_copy_stays_when_its_original_changes_goes_or_is_forgotten(library, folder):
    root = folder({"a.txt": letter(1), "b.txt": letter(1), "c.txt": letter(1), "d.txt": letter(2)})
    ingest(library, root)
    folder({"a.txt": letter(3)})
    report = ingest(library, root)
    assert (report.read, report.copies, report.unchanged) == (("a.txt",), (), 3)
    (root / "b.txt").unlink()
    ingest(library, root, embedder=never)
    assert library.page_text(library.document("c.txt").id, 0) == letter(1)
    library.remove(library.documents(["c.txt"]))
    assert with_words(library, "topic1") == []
    assert ingest(library, root).read == ("c.txt",)  # it is in the folder still
    folder({"late.txt": letter(1)})
    assert ingest(library, root, embedder=never).copies == ("late.txt",)
    sound(library)


def test_of_two_roots_with_the_same_files_each_goes_alone(library, folder):
    one, two = folder({"a.txt": letter(1), "b.txt": letter(2)}, "one"), folder({"b.txt": letter(2)}, "two")
    ingest(library, one)
    assert ingest(library, two, embedder=never).copies == ("b.txt",)
    for file in one.iterdir():
        file.unlink()
    assert ingest(library, one, embedder=never, prune=True).removed == ("a.txt", "b.txt")
    assert [(doc.root, doc.path) for doc in library.documents()] == [(str(two), "b.txt")]
    folder({"c.txt": letter(2)}, "one")
    assert ingest(library, one, embedder=never).copies == ("c.txt",)  # not moved: it lies in the other root as well
    sound(library)


def test_more_than_a_fifth_or_all_gone_removes_nothing_without_prune(library, folder):
    root = folder({f"{n}.txt": letter(n) for n in range(10)})
    ingest(library, root)
    for n in range(3):
        (root / f"{n}.txt").unlink()
    report = ingest(library, root, embedder=never)
    assert report.kept == ("0.txt", "1.txt", "2.txt") and report.removed == ()
    assert library.counts()["documents"] == 10
    report = ingest(library, root, embedder=never, prune=True)
    assert report.removed == ("0.txt", "1.txt", "2.txt") and report.kept == ()
    for file in root.iterdir():
        file.unlink()
    with pytest.raises(UsageError):
        ingest(library, root, embedder=never)
    assert library.counts()["documents"] == 7
    sound(library)


def test_what_cannot_be_looked_at_is_neither_gone_nor_moved(library, folder, monkeypatch):
    root = folder({"a.txt": letter(0), "share/b.txt": letter(1), "c.txt": letter(2)})
    ingest(library, root)
    scandir, stat = os.scandir, Path.stat

    def no_list(path="."):
        if Path(path).name == "share":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    def no_stat(path, **more):
        if path.name == "c.txt":
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **more)

    monkeypatch.setattr(os, "scandir", no_list)
    monkeypatch.setattr(Path, "stat", no_stat)
    folder({"twin.txt": letter(1)})
    for _ in range(2):
        report = ingest(library, root, embedder=never)
        assert {failure.document for failure in report.failed} == {"share", "c.txt"}
        assert (report.moved, report.removed) == ((), ())
        generation = library.generation
    assert [doc.path for doc in library.documents()] == ["a.txt", "c.txt", "share/b.txt", "twin.txt"]
    ingest(library, root, embedder=never)
    assert library.generation == generation  # a failure that is known already is no change
    monkeypatch.undo()
    assert ingest(library, root, embedder=never).failed == () and library.failures() == []


def test_members_of_an_archive_are_documents_that_know_their_file(library, folder):
    root = folder({})
    members = {"a.txt": letter(1), "in/b.txt": letter(2), "tool.exe": "MZ", "bad.pdf": "%PDF-"}
    (root / "box.zip").write_bytes(zipped(members))
    report = ingest(library, root)
    assert report.read == ("box.zip/a.txt", "box.zip/in/b.txt")
    assert [failure.document for failure in report.failed] == ["box.zip/bad.pdf"] and report.ignored == {".exe": 1}
    assert {doc.file for doc in library.documents()} == {"box.zip"}
    again = ingest(library, root, embedder=never)
    assert again.unchanged == 1 and [failure.document for failure in again.failed] == ["box.zip/bad.pdf"]
    sound(library)


def meanwhile(monkeypatch, step, change):
    real = getattr(sync._Run, step)

    def changed(run, *given):
        monkeypatch.undo()
        change()
        return real(run, *given)

    monkeypatch.setattr(sync._Run, step, changed)


def test_a_file_that_changes_while_it_is_read_is_read_again(library, folder, monkeypatch):
    root = folder({"a.txt": letter(1)})
    meanwhile(monkeypatch, "read", lambda: folder({"a.txt": letter(22)}))
    ingest(library, root)
    folder({"b.txt": letter(1)})
    assert set(ingest(library, root).read) == {"a.txt", "b.txt"}
    assert library.page_text(library.document("a.txt").id, 0) == letter(22)
    assert library.page_text(library.document("b.txt").id, 0) == letter(1)
    assert ingest(library, root, embedder=never).unchanged == 2


@pytest.mark.parametrize("step", ["compare", "read"])
def test_a_file_that_goes_while_it_is_looked_at_costs_nothing_else(library, folder, monkeypatch, step):
    root = folder({"a.txt": letter(1), "b.txt": letter(2)})
    meanwhile(monkeypatch, step, lambda: (root / "a.txt").unlink())
    assert ingest(library, root).read == ("b.txt",)
    report = ingest(library, root, embedder=never)
    assert (report.failed, report.unchanged) == ((), 1) and library.failures() == []
    sound(library)


def test_files_are_read_again_when_their_readers_changed(library, folder, monkeypatch):
    root = folder({"a.txt": letter(1)})
    ingest(library, root)
    before = contents(library)
    monkeypatch.setattr(sync.base, "VERSION", -1)
    report = ingest(library, root)
    assert (report.read, report.embedded) == (("a.txt",), 0) and contents(library) == before


def test_a_file_that_failed_is_not_tried_again_until_something_changed(library, folder):
    root = folder({"bad.pdf": b"%PDF-1.7 and then nothing", "a.txt": "Fine."})
    writer = pypdf.PdfWriter()
    writer.add_blank_page(200, 200)
    writer.encrypt("open sesame")
    writer.write(root / "safe.pdf")
    seen = [failure.reason for failure in ingest(library, root).failed]
    assert len(seen) == 2 and "encrypted" in seen[1]
    again = ingest(library, root, embedder=never, limits=sync.Limits(seconds=120))
    assert [failure.reason for failure in again.failed] == seen and again.unchanged == 1
    tried = ingest(library, root, options=Options(passwords=("wrong", "open sesame")))
    assert "encrypted" not in tried.failed[1].reason and "blank" in tried.failed[1].reason
    started = []
    ingest(library, root, limits=sync.Limits(seconds=60), progress=lambda event: started.append(event.document))
    assert "bad.pdf" in started


def test_an_ignore_file_names_what_is_passed_over(library, folder):
    read = ("a.txt", "old/keep.txt", "secret.txt", "sub/drafts/d.txt")
    names = (*read, "a.log", "drafts/c.txt", "old/e.txt", "sub/secret.txt")
    rules = {
        ".localragignore": "# not these\n*.log\n/drafts/\nold/**\n!old/keep.txt\n",
        "sub/.localragignore": "secret*\n",
    }
    root = folder({name: letter(number) for number, name in enumerate(names)} | rules)
    assert ingest(library, root).read == read


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_a_pipe_is_one_line_of_the_report_and_hangs_nothing(library, folder):
    root = folder({"a.txt": letter(0)})
    os.mkfifo(root / "pipe.txt")
    report = ingest(library, root)
    assert report.read == ("a.txt",) and "not a regular file" in report.failed[0].reason
    assert "rights" not in report.failed[0].reason


def test_a_change_in_a_watched_folder_is_told(tmp_path):
    stopping = threading.Event()
    noticed = threading.Event()

    def watch():
        for _ in watching.changes(tmp_path, stopping.is_set):
            noticed.set()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    for number in range(400):
        (tmp_path / f"{number}.txt").write_text("new")
        if noticed.wait(0.25):
            break
    stopping.set()
    thread.join(PATIENCE)
    assert noticed.is_set() and not thread.is_alive()


def test_what_localrag_writes_is_no_change_and_without_notifications_it_looks_again(tmp_path, monkeypatch):
    # As in a home folder: where the documents lie beside libraries, only what is below them counts.
    papers = tmp_path / "papers"
    for path in ("indexes/m/library.db", "indexes/m/library.lock", "indexes/m/notes/1.json", "a.txt"):
        (papers / path).parent.mkdir(parents=True, exist_ok=True)
        (papers / path).touch()
    for name in ("indexes", "general"):
        (tmp_path / name).mkdir()
    noticed = [{(1, str(papers / "indexes/m/notes/1.json"))}, {(1, str(papers / "a.txt"))}]
    monkeypatch.setattr(watching, "_notifications", lambda folder, on_blind: iter(noticed))
    assert len(list(watching.changes(papers, lambda: False))) == 1

    def full(*folders, **more):
        raise OSError(28, "No space left on device")
        yield

    monkeypatch.undo()
    monkeypatch.setattr("watchfiles.watch", full)
    monkeypatch.setattr(watching, "_LOOK_AGAIN", 0.1)
    reasons = []
    looks = watching.changes(tmp_path, lambda: False, reasons.append)
    assert next(looks) is None and next(looks) is None
    assert len(reasons) == 1 and "No space" in reasons[0]
    looks.close()

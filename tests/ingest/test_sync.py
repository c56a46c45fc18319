import os
import sys
from pathlib import Path

import pytest
from fakes import HashingEmbedder
from papers import indexed, ingest, never, sound, with_words
from stores import both_stores

from localrag.errors import EmbedderMismatch, NotFoundError
from localrag.ingest import sync


def test_a_folder_is_read_and_a_second_run_reads_nothing(library, folder):
    root = folder({"a.txt": "Alpha.", "sub folder/b c.md": "# Beta\n\nText.", "pages.txt": "One.\fTwo.", "x.exe": "?"})
    report = ingest(library, root)
    assert report.read == ("a.txt", "pages.txt", "sub folder/b c.md")
    assert (report.unchanged, report.removed, report.failed, report.complete) == (0, (), (), True)
    assert report.ignored == {".exe": 1} and report.chunks == library.counts()["chunks"] == 4
    assert [doc.pages for doc in library.documents()] == [1, 2, 1]
    generation = library.generation
    again = ingest(library, root, embedder=never)
    assert (again.read, again.unchanged, library.generation) == ((), 3, generation)
    sound(library)


@both_stores
def test_a_changed_file_is_read_again_and_only_that(library, folder):
    root = folder({"a.txt": "Elephants.", "b.txt": "Bees."})
    ingest(library, root)
    folder({"a.txt": "Flamingos, more of them."})
    report = ingest(library, root)
    assert (report.read, report.unchanged) == (("a.txt",), 1)
    assert with_words(library, "elephants") == [] and len(with_words(library, "flamingos")) == 1
    folder({"b.txt": "Wasp."})  # of the same size, so its time tells
    os.utime(root / "b.txt", ns=(1, 1))
    assert ingest(library, root).read == ("b.txt",)


def test_a_recording_beside_its_transcript_is_read_as_that_text(library, folder):
    said = "WEBVTT\n\n00:14:32.000 --> 00:14:40.000\nThe rent is due.\n"
    root = folder(
        {
            "a/talk.vtt": said,
            "a/talk.mp3": "sound",
            "b.wav.srt": said.replace("rent", "fee"),
            "b.wav": "sound",
            "c.wav": "sound",
        }
    )
    report = ingest(library, root)
    assert report.read == ("a/talk.vtt", "b.wav.srt") and report.ignored == {}
    (failed,) = report.failed
    assert failed.file == "c.wav" and "no speech model is installed" in failed.reason
    remarks = {path: remark.text for path, remark in report.remarks}
    assert remarks["a/talk.vtt"] == "It is read as the text of a/talk.mp3." and "b.wav." in remarks["b.wav.srt"]
    (root / "a" / "talk.vtt").unlink()
    assert "a/talk.mp3" in [failed.file for failed in ingest(library, root).failed]


@both_stores
def test_a_deleted_file_leaves_no_vector_and_no_word(library, folder):
    root = folder({"a.txt": "Alpha.", "b.txt": "The canaryword."})
    ingest(library, root)
    (root / "b.txt").unlink()
    report = ingest(library, root, embedder=never)
    assert (report.removed, report.unchanged) == (("b.txt",), 1)
    assert len(indexed(library)) == 1 and with_words(library, "canaryword") == []
    assert b"canaryword" not in b"".join(path.read_bytes() for path in library.folder.iterdir() if path.is_file())
    sound(library)


@both_stores
def test_another_embedder_is_refused_before_anything_changes(library, folder):
    root = folder({"a.txt": "Alpha."})
    ingest(library, root)
    folder({"a.txt": "Changed now."})
    with pytest.raises(EmbedderMismatch):
        ingest(library, root, embedder=lambda: HashingEmbedder(sha256="1" * 64))
    assert library.page_text(library.documents()[0].id, 0) == "Alpha."


def test_each_bad_file_is_one_line_and_the_others_are_read(library, folder):
    bad = {"empty.txt": b"", "broken.pdf": b"%PDF-1.7 and then nothing", "blank.txt": "  \n "}
    root = folder({**bad, "good.txt": "Fine."})
    report = ingest(library, root)
    assert report.read == ("good.txt",) and report.complete
    reasons = {failure.document: failure.reason for failure in report.failed}
    assert reasons.keys() == bad.keys() and "0 bytes" in reasons["empty.txt"]
    assert all("\n" not in reason and reason.endswith(".") for reason in reasons.values())
    assert {failure.document for failure in library.failures()} == set(reasons)
    again = ingest(library, root, embedder=never)
    assert len(again.failed) == 3 and again.unchanged == 1
    (root / "empty.txt").unlink()
    ingest(library, root)
    assert {failure.document for failure in library.failures()} == {"broken.pdf", "blank.txt"}
    with pytest.raises(NotFoundError) as raised:
        ingest(library, root / "not here")
    assert "not here" in raised.value.message and raised.value.hint


@both_stores
def test_a_file_that_fails_later_keeps_its_earlier_text(library, folder):
    root = folder({"a.txt": "The earlier text.", "b.txt": "Beta."})
    ingest(library, root)
    folder({"a.txt": b""})
    for _ in range(2):
        report = ingest(library, root)
        assert [failure.document for failure in report.failed] == ["a.txt"]
        assert "earlier version" in report.failed[0].reason
        assert library.page_text(library.document("a.txt").id, 0) == "The earlier text."
    folder({"a.txt": "The earlier text."})
    assert ingest(library, root).failed == () and library.failures() == []


def test_names_of_every_kind_are_read(library, folder):
    names = ["with space.txt", "中文.txt", "per%cent [1].txt", "quo'te\".txt", "UPPER.TXT", "new\nline.txt"]
    report = ingest(library, folder({name: f"Words of {name}." for name in names}))
    assert sorted(report.read) == sorted(names)


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are a matter of Linux")
def test_two_files_that_would_be_stored_under_one_name_are_told_apart(library, folder):
    root = folder({"caf\\xe9.txt": "Tea."})
    Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.txt")).write_text("Coffee.")
    for embedder in (HashingEmbedder, never):
        report = ingest(library, root, embedder=embedder)
        assert [failure.document for failure in report.failed] == ["caf\\xe9.txt (another file)"]
        assert library.counts()["documents"] == 1


def test_a_passage_deleted_with_an_old_version_is_embedded_again(library, folder, monkeypatch):
    monkeypatch.setattr(sync, "_CHUNKS", 1)
    clause = "# One\n\n" + "Either party may end this agreement with ninety days of notice. " * 6
    root = folder({"a.md": clause})
    ingest(library, root)
    # When b is begun, the library still holds its first words; then a's new version takes them out.
    longer = clause + "\n\n# Two\n\n" + "Herons stand in the water until a fish comes by. " * 12
    folder({"a.md": "# One\n\n" + "Flamingos are pink. " * 24, "b.md": longer})
    report = ingest(library, root, limits=sync.Limits(workers=1))
    assert report.read == ("a.md", "b.md")
    assert library.page_text(library.document("b.md").id, 0) == longer
    sound(library)


# --- links ----------------------------------------------------------------------------------------------------


def _outside(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "id.txt").write_text("The canaryword of another folder.")
    return tmp_path / "elsewhere"


@pytest.mark.proves("links")
def test_a_link_out_of_the_folder_is_reported_and_read_only_when_it_is_meant(library, folder, tmp_path):
    root, elsewhere = folder({"a.txt": "Alpha.", "sub/b.txt": "Beta."}), _outside(tmp_path)
    (root / "sub" / "annex.txt").symlink_to(elsewhere / "id.txt")
    (root / "all").symlink_to(elsewhere, target_is_directory=True)  # a linked folder
    (root / "sub" / "twice.txt").symlink_to(root / "sub" / "annex.txt")
    (root / "within.txt").symlink_to(Path("sub", "b.txt"))
    (tmp_path / "door").symlink_to(root, target_is_directory=True)
    report = ingest(library, tmp_path / "door")  # the user named it
    assert {*report.read, *report.copies} == {"a.txt", "sub/b.txt"}
    assert [one.document for one in report.failed] == ["sub/annex.txt", "sub/twice.txt", "within.txt"]
    assert "--follow-links" in report.failed[0].reason and with_words(library, "canaryword") == []
    report = ingest(library, root, follow_links=True)
    assert (
        {*report.read, *report.copies} == {"sub/annex.txt", "sub/twice.txt", "within.txt"}
        and report.failed == ()
        and with_words(library, "canaryword")
    )
    report = ingest(library, root, embedder=never)
    assert len(report.failed) == 3 and report.removed == () and with_words(library, "canaryword")
    sound(library)


@pytest.mark.proves("links")
def test_a_link_to_what_is_hidden_or_ignored_is_not_read(library, folder, tmp_path):
    root = folder({"case/a.txt": "Alpha.", ".ssh/id.txt": "The hiddenword.", "private/diary.txt": "The diaryword."})
    (root / ".localragignore").write_text("private/\n")
    (root / "case" / "notes.txt").symlink_to(Path("..", ".ssh", "id.txt"))
    (root / "case" / "annex.txt").symlink_to(Path("..", "private", "diary.txt"))
    report = ingest(library, root)
    assert report.read == ("case/a.txt",) and len(report.failed) == 2
    assert with_words(library, "hiddenword") == with_words(library, "diaryword") == []


@pytest.mark.parametrize("after", ["reads", "content_hash"])
@pytest.mark.proves("links")
def test_a_root_that_becomes_a_link_is_not_followed(library, folder, tmp_path, monkeypatch, after):
    root, elsewhere = folder({"id.txt": "Alpha."}), _outside(tmp_path)

    def swap():
        if not root.is_symlink():
            root.rename(tmp_path / "moved")
            root.symlink_to(elsewhere, target_is_directory=True)

    _swapping(monkeypatch, after, swap)
    report = ingest(library, root)
    assert report.read == () and with_words(library, "canaryword") == []


def _swapping(monkeypatch, name, swap):
    """Swap a file once a function of `sync` has looked at it: between the look and what follows."""
    real = getattr(sync, name)

    def looked(*given):
        found = real(*given)
        swap()
        return found

    monkeypatch.setattr(sync, name, looked)


@pytest.mark.parametrize("after", ["reads", "content_hash"])
@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.proves("links")
def test_a_link_that_comes_after_the_look_is_not_followed(library, folder, tmp_path, monkeypatch, after, what):
    root, elsewhere = folder({"sub/id.txt": "Alpha."}), _outside(tmp_path)

    def swap():
        if (root / "sub").is_symlink() or (root / "sub" / "id.txt").is_symlink():
            return
        (root / "sub" / "id.txt").unlink()
        if what == "file":
            (root / "sub" / "id.txt").symlink_to(elsewhere / "id.txt")
        else:
            (root / "sub").rmdir()
            (root / "sub").symlink_to(elsewhere, target_is_directory=True)

    _swapping(monkeypatch, after, swap)
    report = ingest(library, root)
    assert [one.document for one in report.failed] == ["sub/id.txt"] and report.read == ()
    assert with_words(library, "canaryword") == []

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from fakes import HashingEmbedder
from papers import IDENTITY, contents, indexed, ingest, sound
from stores import both_stores
from waiting import PATIENCE

from localrag.errors import Cancelled, LibraryLocked, StorageError
from localrag.ingest import sync
from localrag.store import names
from localrag.store.writer import Editor

pytestmark = pytest.mark.slow

TESTS = str(Path(__file__).parents[1])

MANY = {f"{number:02}.txt": f"Document {number} speaks of topic{number}. " * 40 for number in range(12)}


def test_stopped_half_way_the_next_run_ends_as_an_undisturbed_one(library, folder, home, monkeypatch):
    monkeypatch.setattr(sync, "_CHUNKS", 4)
    root = folder(MANY)
    stored = 0

    def count(event):
        nonlocal stored
        stored += event.stage == "store"

    report = ingest(library, root, progress=count, stop=lambda: stored >= 5)
    assert not report.complete and 5 <= len(report.read) < 12
    assert [doc.path for doc in library.documents()] == list(report.read)
    sound(library)
    rest = ingest(library, root)
    assert rest.complete and rest.unchanged == len(report.read)
    undisturbed = Editor.create(home / "indexes" / "other", "other", IDENTITY)
    ingest(undisturbed, root)
    assert contents(library) == contents(undisturbed)
    undisturbed.close()


def test_a_full_disk_ends_it_with_what_to_do_and_keeps_what_was_stored(library, folder, monkeypatch):
    monkeypatch.setattr(sync, "_CHUNKS", 1)
    root = folder({"a.txt": "Alpha.", "b.txt": "Beta. " * 4_000})
    pages = library._db.execute("PRAGMA page_count").fetchone()[0]
    library._db.execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StorageError) as raised:
        # One worker, so that the files come in their order.
        ingest(library, root, limits=sync.Limits(workers=1))
    assert "full" in raised.value.message and raised.value.hint
    assert [doc.path for doc in library.documents()] == ["a.txt"]
    library._db.execute("PRAGMA max_page_count = 1000000")
    assert ingest(library, root).read == ("b.txt",)
    sound(library)


DRIVER = """
import sys, time
from pathlib import Path
sys.path.append(sys.argv.pop())
from fakes import HashingEmbedder
from localrag.ingest import sync
from localrag.store import names
from localrag.store.writer import Editor

class Slow(HashingEmbedder):
    def embed_documents(self, texts, **more):
        time.sleep(0.02)
        return super().embed_documents(texts, **more)

sync._CHUNKS, sync._STAGED = 2, 3
folder, root = Path(sys.argv[1]), Path(sys.argv[2])
with names.writing(folder, "papers", wait="--no-wait" not in sys.argv, on_wait=lambda text: print(text, flush=True)):
    library = Editor.create(folder, "papers", Slow().identity)
    print("writing", flush=True)
    if "--renew" in sys.argv:
        sync.renew(library, Slow(64, sha256="2" * 64))
        sys.exit()
    report = sync.ingest(library, root, embedder=Slow, limits=sync.Limits(workers=1))
    print("read", len(report.read), flush=True)
"""


def started(tmp_path, code, *arguments):
    script = tmp_path / f"{hash(code)}.py"
    script.write_text(code)
    command = [sys.executable, str(script), *map(str, arguments), TESTS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed(process, seconds):
    process.stdout.readline()
    time.sleep(seconds)
    process.kill()
    process.communicate()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is POSIX")
def test_killed_at_any_moment_the_next_run_ends_as_an_undisturbed_one(library, folder, home, tmp_path):
    target = home / "indexes" / "killed"
    dice = random.Random(seed := random.randrange(10**6))
    root, before = folder(MANY), {}
    for change in (lambda: None, lambda: rearrange(root)):
        change()
        ingest(library, root)
        expected = contents(library)
        for _ in range(2):
            killed(started(tmp_path, DRIVER, target, root), dice.uniform(0, 0.6))
            if (target / "library.db").exists():
                left = Editor.open(target, "killed")
                for key, document in contents(left).items():
                    assert document in (before.get(key), expected.get(key)), f"seed {seed}"
                sound(left)
                left.close()
        # A process that the killed one had just forked may hold its lock a moment.
        with names.writing(target, "killed"):
            again = Editor.create(target, "killed", IDENTITY)
            ingest(again, root)
            before = contents(again)
            assert before == expected, f"seed {seed}"
            sound(again)
            again.close()
    assert not list(target.glob("*.partial"))


def rearrange(root):
    (root / "moved").mkdir()
    for number in range(3):
        (root / f"{number:02}.txt").rename(root / "moved" / f"{number}.txt")
        (root / f"copy{number}.txt").write_text(MANY["05.txt"])
        (root / f"new{number}.txt").write_text(f"The new document {number} speaks of marmalade{number}. " * 40)
    (root / "03.txt").write_text(MANY["03.txt"] + "And it ends otherwise.")
    (root / "04.txt").unlink()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is POSIX")
def test_a_killed_re_embedding_ends_like_an_undisturbed_one(library, folder, home, tmp_path):
    ingest(library, folder(MANY))
    old = contents(library)
    target = home / "indexes" / "killed"
    shutil.copytree(library.folder, target)
    sync.renew(library, HashingEmbedder(64, sha256="2" * 64))
    for seconds in (0.05, random.uniform(0, 0.4)):
        killed(started(tmp_path, DRIVER, target, tmp_path, "--renew"), seconds)
        left = Editor.open(target, "killed")
        assert contents(left) == (old if left.identity == IDENTITY else contents(library)), seconds
        sound(left)
        left.close()
    again = Editor.open(target, "killed")
    sync.renew(again, HashingEmbedder(64, sha256="2" * 64))
    assert contents(again) == contents(library)
    sound(again)
    again.close()


LOOKER = """
import sys, time
from pathlib import Path
sys.path.append(sys.argv.pop())
from fakes import HashingEmbedder
from localrag.search import retrieval
from localrag.store.library import Library

library, embedder = Library.open(Path(sys.argv[1]), "papers"), HashingEmbedder()
looks, generations = 0, set()
while not Path(sys.argv[2]).exists() or looks < 3:
    with library.snapshot():
        for hit in retrieval.search([library], {"papers": embedder}, f"speaks of topic{looks % 12} marmalade1", k=5):
            assert library.page_text(hit.document_id, hit.position)[hit.start : hit.end] == hit.text != ""
        for document in library.documents():
            text = library.page_text(document.id, 0)
            assert len(text) == document.characters and library.chunks_of(document.id)[-1].end >= len(text.rstrip())
        generations.add(library.generation)
    looks += 1
    time.sleep(0.01)
print("looked", looks, len(generations))
"""


def test_searches_in_another_process_see_whole_documents_of_one_generation(library, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sync, "_CHUNKS", 2)
    root, ended = folder(MANY), tmp_path / "ended"
    looker = started(tmp_path, LOOKER, library.folder, ended)
    ingest(library, root)
    rearrange(root)
    ingest(library, root)
    library.remove(library.documents(["copy1.txt"]))
    ended.touch()
    out, err = looker.communicate(timeout=PATIENCE)
    assert looker.returncode == 0 and "looked" in out, err


def test_a_second_ingest_waits_for_the_first_or_says_who_writes(folder, home, tmp_path):
    root, target = folder({"a.txt": "Alpha."}), home / "indexes" / "papers"
    with names.writing(target, "papers"):
        with pytest.raises(LibraryLocked) as raised, names.writing(target, "papers", wait=False):
            pass
        assert f"process {os.getpid()}" in raised.value.message
        second = started(tmp_path, DRIVER, target, root)
        line = second.stdout.readline()
        assert f"process {os.getpid()}" in line and "waiting" in line
        time.sleep(0.2)
        assert second.poll() is None and not (target / "library.db").exists()
    out, err = second.communicate(timeout=PATIENCE)
    assert "read 1" in out, err


@both_stores
def test_renewing_reads_no_file_and_gives_what_ingest_would(library, folder, home):
    root = folder({"a.md": "# Title\n\nAlpha.", "b.txt": "Beta."})
    ingest(library, root)
    other = HashingEmbedder(64, sha256="2" * 64)
    fresh = Editor.create(home / "indexes" / "fresh", "fresh", other.identity)
    ingest(fresh, root, embedder=lambda: other)
    for file in root.iterdir():
        file.unlink()
    assert sync.renew(library, other) == 2
    assert library.identity == other.identity
    assert contents(library) == contents(fresh)
    sound(library)
    fresh.close()


def test_a_renewal_that_was_stopped_leaves_the_old_vectors_and_goes_on(library, folder, monkeypatch):
    ingest(library, folder(MANY))
    before = contents(library)
    other = HashingEmbedder(64, sha256="2" * 64)
    embedded = []
    real = HashingEmbedder.embed_documents

    def count(self, texts, **more):
        vectors = real(self, texts, **more)
        embedded.extend(texts)
        return vectors

    monkeypatch.setattr(HashingEmbedder, "embed_documents", count)
    monkeypatch.setattr(sync, "_STAGED", 3)
    with pytest.raises(Cancelled):
        sync.renew(library, other, stop=lambda: len(embedded) >= 6)
    assert contents(library) == before and library.identity == IDENTITY
    sound(library)
    total = sync.renew(library, other)
    assert len(embedded) == len(set(embedded)) == total > 6
    assert library.identity == other.identity and len(indexed(library)) == total


def test_a_stopped_ingest_of_one_large_file_does_not_embed_again_what_it_stored(library, folder, home, monkeypatch):
    monkeypatch.setattr(sync, "_CHUNKS", 4)
    monkeypatch.setattr(sync, "_MAX_BATCHES", 1)
    root = folder({})
    with zipfile.ZipFile(root / "all.zip", "w") as archive:
        for name, text in MANY.items():
            archive.writestr(name, text)
    report = ingest(library, root, stop=lambda: len(library.documents()) >= 6)
    stored, embedded = len(library.documents()), report.embedded
    assert not report.complete and 6 <= stored < 12
    rest = ingest(library, root)
    assert rest.complete and len(library.documents()) == 12
    undisturbed = Editor.create(home / "indexes" / "other", "other", IDENTITY)
    assert ingest(undisturbed, root).embedded == embedded + rest.embedded
    assert contents(library) == contents(undisturbed)
    undisturbed.close()
    with zipfile.ZipFile(root / "all.zip", "w") as archive:
        archive.writestr("01.txt", MANY["01.txt"])
    assert ingest(library, root).embedded == 0
    assert [doc.path for doc in library.documents()] == ["all.zip/01.txt"]
    sound(library)

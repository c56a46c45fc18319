import threading
from contextlib import closing

import pytest
from waiting import PATIENCE

from localrag import api, protocol
from localrag.diff import changes
from localrag.diff.changes import Comparison
from localrag.errors import Cancelled, NotFoundError, ReadError, UsageError
from localrag.events import IngestProgress, IngestReport, Reviewed, ReviewEnded
from localrag.lifecycle.encrypt import encrypt
from localrag.redline.three_way import ThreeWay
from localrag.security import storage
from localrag.security.encryption import keyring, unlocked
from localrag.store.names import LOCK
from localrag.store.reviews import FOLDER
from localrag.worker.engine import Engine

LEASE, HANDBOOK = "The lease of Hall 3 ends on 31 May 2030.", "The kennel is open from 9 to 5."
LONG = "\n\n".join(f"Paragraph {n} of the agreement. " * 20 for n in range(60))


@pytest.fixture
def engine(settings, models):
    engine = Engine(settings)
    yield engine
    engine.close()


@pytest.fixture
def papers(shelf):
    return shelf("papers", {"a[1].txt": HANDBOOK, "a1.txt": LEASE, "b.txt": "Nothing of note is said here."})


def warm_of(engine):
    return {one.document.path: one.warm > 0 for one in engine.contents("papers").documents}


def test_only_the_named_documents_are_cached_and_forgotten(engine, papers):
    told = [one for one in engine.warm("papers", ("a[1].txt", "b.txt")) if one.state == "kept"]
    assert [(one.piece.name, one.number, one.total, one.share) for one in told] == [
        ("a[1].txt", 1, 2, 1.0),
        ("b.txt", 2, 2, 1.0),
    ]
    assert warm_of(engine) == {"a[1].txt": True, "a1.txt": False, "b.txt": True}
    assert engine.forget("papers", ("a[1].txt",)) == ("a[1].txt",)
    assert warm_of(engine) == {"a1.txt": False, "b.txt": True}
    assert engine.forget("papers", ()) == ()
    assert len(engine.contents("papers").documents) == 2


def test_a_long_document_that_is_kept_by_its_sections_is_warm(shelf, settings, models):
    shelf("papers", {"long.txt": LONG})
    engine = Engine(settings.with_options(read_tokens=1000))
    shares = [one.share for one in engine.warm("papers")]
    assert shares == sorted(shares) and shares[-1] == 1.0 and sum(share == 1.0 for share in shares) == 1
    (one,) = engine.contents("papers").documents
    assert one.warm > 1000
    engine.close()


def test_failures_say_their_root_and_an_ingest_that_waits_can_be_stopped(engine, papers, folder):
    papers.note_failure("/root", "locked.pdf", "is encrypted")
    (failure,) = engine.contents("papers").failed
    assert (failure.document, failure.root) == ("locked.pdf", "/root")
    root = folder({"new.txt": "Something new."})
    stopped = []
    with storage.lock(papers.folder / LOCK, "the library 'papers'"):
        told = engine.ingest("papers", root, stop=lambda: bool(stopped))
        first = next(told)
        assert isinstance(first, IngestProgress) and first.stage == "wait" and "papers" in first.document
        stopped.append(True)
        with pytest.raises(Cancelled):
            next(told)
    assert isinstance(list(engine.ingest("papers", root))[-1], IngestReport)


def test_the_shelf_says_how_much_of_a_document_is_warm(engine, shelf, settings, models):
    models.generator.apart = True
    library = shelf("papers", {"long.txt": LONG, "a.txt": LEASE})
    share = lambda: {one.document.path: one.share for one in engine.contents("papers").documents}  # noqa: E731
    assert share() == {"long.txt": 0.0, "a.txt": 0.0}
    read = lambda: sum(len(message.blocks) for asked in models.generator.prompts for message in asked)  # noqa: E731
    list(engine.warm("papers", ("long.txt",), stop=lambda: read() >= 4))
    (long,) = [one for one in library.documents() if one.path == "long.txt"]
    chunks = library.chunk_counts()[long.id]
    assert share() == {"long.txt": pytest.approx(3 / chunks), "a.txt": 0.0} and chunks > 4
    passages = api.open_library("papers", settings=settings).status()["cached"]
    assert passages["passages"] == 3 and passages["bytes"] > 0
    list(engine.warm("papers"))
    assert share() == {"long.txt": 1.0, "a.txt": 1.0}


def test_an_exact_path_is_no_glob_and_its_first_page_is_shown(engine, shelf, put):
    made = shelf("papers", {"in/a.pdf": [LEASE, HANDBOOK], "b.txt": HANDBOOK, "[b].txt": LEASE, "c.txt": "of one"})
    put(made, "c.txt", "of another", root="/elsewhere")
    assert engine.page("papers", "in/a.pdf", exact=True).page.text == LEASE
    assert engine.page("papers", "in/a.pdf", 2, exact=True).page.text == HANDBOOK
    assert engine.page("papers", "[b].txt", exact=True).page.text == LEASE
    for name in ("*", "a.pdf", "./b.txt", "c.txt", "nothing"):
        with pytest.raises(NotFoundError) as caught:
            engine.page("papers", name, exact=True)
        assert "/elsewhere" not in caught.value.message + caught.value.hint


OLD = "1. Payment. The Client shall pay $5,000 within thirty (30) days of the receipt of each invoice.\n"


@pytest.fixture
def drafts(shelf, tmp_path):
    text = OLD * 12
    shelf("first", {"other.txt": "Nothing of the kind."})
    shelf("msa", {"v1.txt": text, "v2.txt": text.replace("5,000", "6,000", 1)})
    file = tmp_path / "mine.txt"
    file.write_text(text.replace("thirty (30)", "sixty (60)", 1))
    return file


def test_documents_and_files_are_compared_and_recorded_and_missing_ones_refused(engine, drafts, settings, tmp_path):
    plain = engine.compare(("v1.txt", "v2.txt"), libraries=("first", "msa"))
    found = protocol.from_plain(plain, Comparison)
    assert [one.kinds for one in found.changes] == [("amount",)]
    assert (found.old.name, found.new.name, found.old.library) == ("v1.txt", "v2.txt", "msa")
    assert '"compare"' in settings.library_audit_file("msa").read_text()
    found = protocol.from_plain(engine.compare(("v1.txt", str(drafts)), libraries=("msa",)), Comparison)
    assert [one.kinds for one in found.changes] == [("duration",)]
    three = protocol.from_plain(engine.compare(("v1.txt", "v2.txt", str(drafts)), libraries=("msa",)), ThreeWay)
    assert [(one.state, [side for side, _ in one.changes]) for one in three.entries] == [("both", ["theirs", "ours"])]
    assert '"theirs":"v2.txt"' in settings.library_audit_file("msa").read_text()
    with pytest.raises(NotFoundError, match=r"nowhere\.txt"):
        engine.compare(("v1.txt", "nowhere.txt"), libraries=("first", "msa"))
    with pytest.raises(UsageError, match="itself"):
        engine.compare(("v1.txt", "v1.txt"), libraries=("msa",))
    with pytest.raises(UsageError, match="itself"):
        engine.compare((str(drafts), f"{drafts.parent}/../{drafts.parent.name}/mine.txt"), libraries=("msa",))
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ReadError, match="empty"):
        engine.compare(("v1.txt", str(tmp_path / "empty.txt")), libraries=("msa",))


def test_versions_are_listed_and_a_stop_ends_a_long_comparison_at_once(engine, drafts, monkeypatch):
    begun, end = threading.Event(), threading.Event()

    def endless(old, new):
        begun.set()
        end.wait(PATIENCE)

    monkeypatch.setattr(changes, "compare", endless)
    with pytest.raises(Cancelled):
        engine.compare(("v1.txt", "v2.txt"), libraries=("msa",), stop=begun.is_set)
    end.set()
    assert [path for path, _ in engine.drafts("v1.txt", libraries=("first", "msa"))] == ["v1.txt", "v2.txt"]
    assert engine.drafts("nowhere", libraries=("first", "msa")) == ()


PLAYBOOK = "title: Laws\nitems:\n- {id: law, question: Which law, like: [governed by the laws of]}\n"
TEXT = "Governing Law. This Agreement is governed by the laws of Kansas."


def test_findings_come_one_by_one_and_marks_are_kept_meanwhile(engine, shelf, settings):
    shelf("laws", {"a.txt": TEXT, "b.txt": TEXT.replace("Kansas", "Iowa")})
    with pytest.raises(UsageError):
        list(engine.review("title: none", libraries=("laws",)))
    events = engine.review(PLAYBOOK, libraries=("laws",))
    first = next(events)
    assert isinstance(first, Reviewed) and first.finding.item == "law"
    given = {"item": "law", "library": "laws", "document": first.finding.document}
    said = engine.decide(PLAYBOOK, **given, verdict="rejected", comment="never")
    assert (said.verdict, said.comment) == ("rejected", "never") and said.by
    *_, end = events
    assert end == ReviewEnded((), ())
    again = [event.finding for event in engine.review(PLAYBOOK, libraries=("laws",)) if isinstance(event, Reviewed)]
    assert {one.document: one.decision for one in again}[first.finding.document] == said
    assert len(again) == 2
    assert "rejected" in settings.library_audit_file("laws").read_text()


def test_marks_and_comments_are_kept_in_an_encrypted_library(engine, folder, settings, monkeypatch):
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    with closing(api.open_library("laws", settings=settings, create=True)) as library:
        library.ingest(folder({"a.txt": TEXT}))
    secret, place = keyring.RecoveryKey.new(), settings.library_dir("laws")
    list(encrypt(place, lambda ring, key: ring.with_credential(key, "me", secret), lambda: False))
    given = {"item": "law", "library": "laws", "document": "a.txt"}
    with pytest.raises(UsageError, match="not reviewed"):
        engine.decide(PLAYBOOK, **given, verdict="accepted", comment="")
    first, _ = engine.review(PLAYBOOK, libraries=("laws",))
    said = engine.decide(PLAYBOOK, **given, verdict="open", comment="ask Anna")
    again, end = engine.review(PLAYBOOK, libraries=("laws",))
    assert isinstance(first, Reviewed) and isinstance(again, Reviewed) and isinstance(end, ReviewEnded)
    assert again.finding.decision == said and not again.finding.new and again.finding.citation == first.finding.citation
    kept = [path.read_bytes() for path in (place / FOLDER).iterdir()]
    assert len(kept) == 3 and not any(word in data for data in kept for word in (b"Anna", b"Kansas", b"Laws"))

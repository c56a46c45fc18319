import os

import pytest

import localrag
from localrag import api
from localrag.errors import LibraryLocked, NotFoundError, UsageError
from localrag.events import Answered, Delta, Planned
from localrag.llm import Prefix, prompt_cache
from localrag.security import audit
from localrag.settings import load_settings
from localrag.store import names
from localrag.store.names import writing

READ = Prefix((1,), (1,), 1)
LEASE = "The lease of Hall 3 ends on 31 May 2030."


def test_the_example_of_the_manual_runs(models, folder):
    root = folder({"lease.txt": LEASE, "pages.txt": "One.\fTwo."}, "contracts")
    models.generator.script = [("lease", "The lease ends on 31 May 2030.")]
    report = localrag.open_library("contracts", create=True).ingest(root)
    assert report.read == ("lease.txt", "pages.txt")
    library = localrag.open_library("contracts")
    passage = library.search("When does the lease end?", k=5)[0]
    assert (passage.document, passage.page, passage.text) == ("lease.txt", 1, LEASE)
    assert library.page_text("lease.txt")[passage.start : passage.end] == passage.text and passage.score > 0
    asking = localrag.ask("When does the lease end?", libraries=["contracts"], documents=["lease*"])
    events = list(asking)
    assert isinstance(events[0], Planned) and isinstance(events[-1], Answered)
    assert asking.answer is events[-1].answer and asking.answer.found
    (citation,) = asking.answer.citations
    assert library.page_text(citation.document)[citation.start : citation.end] == citation.quote
    assert localrag.ask("When does the lease end?", libraries=["contracts"]).answer.found
    library.close()


MAIL = (
    "From: Jane Doe <jane@example.invalid>\nDate: Mon, 5 Jun 2023 10:00:00 +0200\nSubject: Offer\n\nWe offer a lease.\n"
)


def test_ask_and_search_are_narrowed_by_what_readers_found(models, folder):
    root = folder({"lease.txt": LEASE, "pages.txt": "A lease.\fThe end of a lease.", "mails/offer.eml": MAIL})
    library = localrag.open_library("contracts", create=True)
    library.ingest(root)
    for only, expected in (
        ({"sender": "jane doe"}, {"mails/offer.eml"}),
        ({"since": "2023-06", "until": "2023-06-05"}, {"mails/offer.eml"}),
        ({"types": ["text"], "documents": ["lease*"]}, {"lease.txt"}),
        ({"pages": (2, 2)}, {"pages.txt"}),
    ):
        assert {passage.document for passage in library.search("lease", **only)} == expected
        answer = localrag.ask("What of the lease?", libraries=["contracts"], mode="retrieve", **only).answer
        assert {passage.document for passage in answer.passages} == expected
    models.loaded.clear()
    for wrong in ({"since": "June"}, {"types": ["pdff"]}, {"pages": (3, 1)}):
        with pytest.raises(UsageError):
            localrag.ask("What?", libraries=["contracts"], **wrong)
    assert models.loaded == []  # they are refused before anything is loaded
    library.close()


def test_names_roots_and_folders_find_each_other(models, folder):
    root, other = folder({"a.txt": "x y z"}, "my papers!"), folder({"a.txt": "x y z"}, "others")
    settings = load_settings()
    assert names.name_for(root, settings) == names.name_for(root / "a.txt", settings) == "my papers"
    localrag.open_library("mine", create=True).ingest(root)
    assert names.library_of(root, settings) == names.library_of(root / "a.txt", settings) == "mine"
    assert names.name_for(root, settings) == "mine"
    assert names.library_of(other, settings) is None
    localrag.open_library("others", create=True).ingest(root)
    with pytest.raises(UsageError) as raised:
        names.name_for(other, settings)
    assert "--name" in raised.value.hint
    assert api.library_names() == ["mine", "others"]


def test_a_moved_folder_keeps_what_was_read_and_nobody_waits_if_told_so(models, folder, tmp_path, home):
    root = folder({"a.txt": LEASE, "b.txt": "More."})
    library = localrag.open_library("papers", create=True)
    library.ingest(root)
    moved = root.rename(tmp_path / "elsewhere")
    models.loaded.clear()
    report = library.ingest(moved, moved_from=str(root))
    assert (report.unchanged, report.read, models.loaded) == (2, (), [])
    assert library.roots() == [str(moved)]
    again = moved.rename(tmp_path / "third")
    library.ingest(again / "a.txt", moved_from=str(moved))
    assert library.roots() == [str(again)]
    with pytest.raises(NotFoundError):
        library.ingest(folder({"c.txt": "Others."}, "new"), moved_from="/never/was")
    with writing(home / "indexes" / "papers", "papers"), pytest.raises(LibraryLocked) as raised:
        library.ingest(again, wait=False)
    assert str(os.getpid()) in raised.value.message


def test_pages_are_given_as_stored(models, folder):
    library = localrag.open_library("papers", create=True)
    library.ingest(folder({"sub/pages.txt": "One.\fTwo.", "short.txt": "Short.", "plain.md": "All."}))
    assert library.page_text("sub/pages.txt", 2) == "Two."
    assert library.page_text("pages.txt", 1) == "One." and library.page_text("plain.md") == "All."
    assert library.page_text("short.txt") == library.page_text("short.txt", 1) == "Short."
    for document, page, told in (
        ("pages.txt", None, "number"),
        ("pages.txt", 0, "number"),
        ("short.txt", 2, "It has 1 page: give"),
        ("plain.mf", None, "plain.md"),
    ):
        with pytest.raises(NotFoundError) as raised:
            library.page(document, page)
        assert told in raised.value.hint


def test_a_state_kept_of_a_changed_file_goes_at_the_next_ingest(models, folder):
    root = folder({"a.txt": LEASE})
    library = localrag.open_library("papers", create=True)
    library.ingest(root)
    (document,) = library.documents()
    library.close()
    cache = prompt_cache.DiskPromptCache(library.folder, "model", [document.sha256], 1 << 20)
    cache.put(READ, memoryview(b"state"))
    library.ingest(root)
    assert cache.get(READ) == b"state"
    folder({"a.txt": "Changed."})
    library.ingest(root)
    assert cache.get(READ) is None


def test_stopped_it_still_answers_and_after_an_error_there_is_no_answer(models, folder):
    localrag.open_library("papers", create=True).ingest(folder({"lease.txt": LEASE}))
    models.generator.script = [("lease", "The lease ends on 31 May 2030. " * 30)]
    asking = localrag.ask("When does the lease end?", libraries=["papers"])
    for event in asking:
        if isinstance(event, Delta):
            asking.stop()
    assert asking.answer.stopped
    asking = localrag.ask("When?", libraries=["none"])
    with pytest.raises(NotFoundError):
        next(asking)
    with pytest.raises(UsageError):
        asking.answer  # noqa: B018


def test_what_was_done_is_on_record(models, folder, home):
    library = localrag.open_library("papers", create=True)
    library.ingest(folder({"a.txt": LEASE}))
    (document,) = library.documents()
    library.forget(["a.txt"])
    own = list(audit.entries(home / "indexes" / "papers" / "audit.jsonl"))
    assert [entry.event for entry in own] == ["ingest", "forget"]
    assert own[1].details["sha256"] == [document.sha256] and "a.txt" not in str(own[1].details)
    library.forget()
    (last,) = audit.entries(home / "general" / "audit.jsonl")
    # Where the library's own record ended, before it went with it.
    assert last.event == "forget" and last.details["record"]["mark"] == own[1].mark

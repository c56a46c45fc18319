from localrag import api
from localrag.store.reviews import FOLDER, Kept
from localrag.types import Decision, Looked


def looked(playbook, answer, at, found=True):
    return Looked(found, answer, None, 0.9, "", "", at, "term", "duration", playbook)


def test_a_damaged_review_stops_no_forgetting(folder, models, settings, home):
    library = api.open_library("papers", settings=settings, create=True)
    library.ingest(folder({"a.txt": "The lease ends in May.", "b.txt": "The kennel is open."}))
    damaged = settings.library_dir("papers") / FOLDER / "0123456789abcdef.json"
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_text("{bad")
    library.forget(["a.txt"])
    assert [one.path for one in library.documents()] == ["b.txt"] and not damaged.exists()


def test_the_last_result_of_an_item_counts_and_a_decision_in_its_playbook():
    found = {
        "new": looked("NDA", "5 years", "2026-02"),
        "old": looked("NDA", "3 years", "2026-01"),
        "other": looked("Lease", "9 years", "2026-01"),
        "gone": looked("Sale", "1 year", "2026-01"),
        "absent": looked("Sale", "", "2026-02", found=False),
    }
    kept = Kept("", "a.txt", found)
    assert {one.answer for one in kept.dated} == {"5 years", "9 years"}
    rejected = Kept("", "a.txt", found, {"NDA": {"term": Decision("rejected")}})
    assert [one.answer for one in rejected.dated] == ["9 years"]

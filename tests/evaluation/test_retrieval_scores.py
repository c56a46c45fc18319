from dataclasses import replace

from office import write

from localrag import api
from localrag.evaluation import retrieval
from localrag.evaluation.datasets import Question, Run, choose
from localrag.types import Passage

KNOWN = Question("1", "Why?", "Ada Quill", "a.txt", "The board chose Ada Quill as its treasurer", 3)


def passage(document, page, text):
    return Passage("lib", document, page, None, (), text, 0, len(text), 1.0)


FOUND = [
    passage("b.txt", 3, "The board chose Ada Quill as its treasurer"),
    passage("a.txt", 1, "The board chose"),
    passage("a.txt", 3, "chose Ada Quill as its treasurer"),
]


def test_each_level_has_its_rank_in_the_right_document():
    found = retrieval.score(KNOWN, ["a.txt"], FOUND, verbatim=True)
    assert found["ranks"] == {"document": 2, "page": 3, "evidence": 3, "answer": 3}
    assert found["coverage"] == 1.0
    none = retrieval.score(KNOWN, ["c.txt"], FOUND, verbatim=True)
    assert set(none["ranks"].values()) == {None} and none["coverage"] == 0.0
    assert retrieval.score(KNOWN, ["a.txt"], [])["ranks"]["document"] is None
    both = replace(KNOWN, docs=("a.txt", "b.txt"))
    found = [retrieval.score(both, ["a.txt", other], FOUND)["ranks"]["documents"] for other in ("b.txt", "c.txt")]
    assert found == [2, None], "several are found when the last of them is"


def test_a_library_is_searched_and_a_second_run_searches_nothing(settings, dataset, tmp_path, monkeypatch):
    sample = choose(dataset, api.open_library("office", settings=settings), answerable_only=True)
    rows = list(retrieval.run(sample, Run(tmp_path / "o", {}), k=10))
    report = retrieval.summarize(rows, 10)
    assert report["questions"] == 3
    assert report["levels"]["document"]["recall@1"]["mean"] == 1.0
    assert report["levels"]["page"]["mrr"]["n"] == 1
    assert report["levels"]["evidence"]["recall@10"]["mean"] == 1.0
    assert report["categories"]["name"]["questions"] == 2
    monkeypatch.setattr(api.Library, "search", None)
    assert list(retrieval.run(sample, Run(tmp_path / "o", {}), k=10)) == rows


def test_a_question_about_many_documents_searches_exactly_those(settings, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(130):
        (folder / f"note [{number}].txt").write_text(f"Minutes of meeting {number}: the treasurer reported on rents.")
    library = api.open_library("many", settings=settings, create=True)
    library.ingest(folder)
    docs = [f"note [{number}].txt" for number in range(120)]
    asked = {"id": "1", "question": "What did the treasurer report?", "answer": "on rents", "docs": docs}
    sample = choose(write(tmp_path / "qa.jsonl", [asked]), library, within_document=True)
    (row,) = retrieval.run(sample, Run(None, {}), k=200)
    assert {found["document"] for found in row["passages"]} <= set(docs)
    assert row["ranks"]["document"] == 1 and len(row["documents"]) == 120

"""BEIR sets become questions with graded documents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from office import CORPUS, make_beir

from localrag.errors import Cancelled, NotFoundError, UsageError
from localrag.evaluation import beir


def test_queries_with_judgements_become_questions_with_graded_documents(tmp_path: Path) -> None:
    first, second = beir.load(make_beir(tmp_path / "set"))
    assert (first.id, first.question, second.id) == ("q1", "harbour rent", "q2")
    assert dict(first.grades) == {"10.md": 2, beir.file_name("a/B"): 1, "11.md": 0}
    assert first.documents == ("10.md", beir.file_name("a/B"))


def test_judgements_may_lie_in_a_folder_and_in_the_form_of_trec(tmp_path: Path) -> None:
    folder = make_beir(tmp_path / "set")
    (folder / "qrels.tsv").unlink()
    (folder / "qrels").mkdir()
    (folder / "qrels/test.tsv").write_text("q2 0 11 1\n")
    assert [question.id for question in beir.load(folder)] == ["q2"]


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels.tsv"])
def test_a_missing_file_is_named_with_the_form_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = make_beir(tmp_path / "set")
    (folder / name).unlink()
    with pytest.raises(NotFoundError) as caught:
        beir.load(folder)
        beir.write_corpus(folder, tmp_path / "out")
    assert "qrels/test.tsv" in caught.value.hint


def test_a_bad_line_is_said_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 2"):
        beir.load(make_beir(tmp_path / "set", "query-id\tcorpus-id\tscore\nq1\t10\tmuch\n"))
    with pytest.raises(UsageError, match="no query"):
        beir.load(make_beir(tmp_path / "other", "q9\t10\t1\n"))


def test_each_document_is_a_file_with_its_title_as_heading(tmp_path: Path) -> None:
    assert beir.write_corpus(make_beir(tmp_path / "set"), tmp_path / "out") == 3
    assert (tmp_path / "out/10.md").read_text() == f"# Harbour rents\n\n{CORPUS[0]['text']}\n"
    assert (tmp_path / "out" / beir.file_name("a/B")).read_text() == f"{CORPUS[1]['text']}\n"


def test_a_corpus_is_written_again_only_where_it_changed(tmp_path: Path) -> None:
    folder, out = make_beir(tmp_path / "set"), tmp_path / "out"
    beir.write_corpus(folder, out)
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    rows = [{**CORPUS[0], "text": "Other words."}, CORPUS[1]]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    beir.write_corpus(folder, out)
    after = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert after.keys() == before.keys() - {"11.md"}
    assert {name for name in after if after[name] != before[name]} == {"10.md"}


def test_stopping_keeps_what_is_written(tmp_path: Path) -> None:
    folder, out = make_beir(tmp_path / "set"), tmp_path / "out"
    polls = iter([False, False])
    with pytest.raises(Cancelled):
        beir.write_corpus(folder, out, stop=lambda: next(polls, True))
    assert len(list(out.iterdir())) == 2


def test_ids_give_names_that_any_disk_takes_and_that_differ() -> None:
    ids = ["a", "A", "a/b", "..", "x" * 400, "x" * 401, "<dbpedia:Köln>"]
    names = [beir.file_name(one) for one in ids]
    assert len({name.lower() for name in names}) == len(ids) and names[0] == "a.md"
    assert all(len(name) < 200 and not name.startswith(".") and not set('/<>:"') & set(name) for name in names)

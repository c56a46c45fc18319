import json
from collections import Counter

import pytest
from office import QUESTIONS, write

from localrag.errors import NotFoundError, UsageError
from localrag.evaluation import datasets
from localrag.evaluation.datasets import Question, Run, load, match, sample
from localrag.types import Document

LINE = '{"id": "1", "question": "Why?", "answer": "So.", "doc": "a.txt", "evidence": "", "page": null}'


def question(id, doc="a.txt", category="", answerable=True, **more):
    return Question(id, "Why?", "So.", doc, category=category, answerable=answerable, **more)


def document(path, root="/data"):
    return Document(1, root, path, "", "", 0, 0, 1, 1, False)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2"),
        ("[1]", "line 2 .* not a JSON object"),
        ('{"id": "2"}', "line 2 .* `question`"),
        (LINE.replace('"1"', "7"), r"line 2 .*\$\.id"),
        (LINE.replace('"1"', '"2"').replace("null", "0"), r"line 2 .*\$\.page"),
        (LINE.replace('"1"', '"2"').replace('"a.txt"', "null"), "line 2 .* it has no doc"),
        (LINE.replace('"1"', '"2"')[:-1] + ', "docs": "a"}', r"line 2 .*\$\.docs"),
        (LINE.replace('"1"', '"2"')[:-1] + ', "answerable": null}', r"line 2 .*\$\.answerable"),
        (LINE, "line 2 .* has the id '1' of another line"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path, line, said):
    (tmp_path / "qa.jsonl").write_text(f"{LINE}\n{line}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=said) as caught:
        load(tmp_path / "qa.jsonl")
    assert "JSON object" in caught.value.hint


def test_a_missing_or_empty_file_is_said(tmp_path):
    with pytest.raises(NotFoundError, match="no dataset"):
        load(tmp_path / "nothing.jsonl")
    (tmp_path / "qa.jsonl").write_text("\n")
    with pytest.raises(UsageError, match="holds no questions"):
        load(tmp_path / "qa.jsonl")


def test_the_digest_changes_with_anything_that_is_scored():
    first = question("1")
    assert first.digest == question("1").digest == question("1", fields=(("kind", "a"),)).digest
    assert len({first.digest, question("1", page=3).digest, question("1", answerable=False).digest}) == 3


MANY = [question(str(i), category="abc"[i % 3], answerable=i % 4 > 0) for i in range(120)]


def test_a_sample_depends_on_the_seed_and_keeps_the_order_of_the_file():
    first = sample(MANY, 30, 5)
    assert first == sample(MANY, 30, 5) != sample(MANY, 30, 6) and sample(MANY, None, 0) == MANY
    assert [int(found.id) for found in first] == sorted(int(found.id) for found in first)


def test_each_category_and_kind_has_its_share_of_a_sample_and_of_a_smaller_one():
    shares, before = Counter((found.category, found.answerable) for found in MANY), set()
    for limit in (1, 7, 30, 119):
        taken = sample(MANY, limit, 1)
        assert len(taken) == len({found.id for found in taken}) == limit and before < set(taken)
        counts, before = Counter((found.category, found.answerable) for found in taken), set(taken)
        assert all(abs(counts[key] - limit * share / len(MANY)) < 1 for key, share in shares.items())


def test_questions_are_chosen_by_what_their_lines_say(tmp_path):
    same = {"question": "q", "answer": "a", "doc": "d"}
    rows = [{**same, "id": str(i), "kind": "ab"[i % 2], "page": i + 1, "answerable": i > 2} for i in range(4)]
    path = tmp_path / "qa.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = load(path)
    ids = lambda **wanted: [one.id for one in datasets.where(found, wanted)]  # noqa: E731
    assert ids(kind="B") == ["1", "3"] and ids(page="3") == ["2"] and ids(kind="a", answerable="false") == ["0", "2"]
    assert datasets.where(found, {}) == found
    for wanted, hint in (({"colour": "red"}, "kind"), ({"kind": "c"}, "'a', 'b'")):
        with pytest.raises(UsageError, match="no question has ") as error:
            ids(**wanted)
        assert hint in error.value.hint


def test_a_document_is_matched_by_the_end_of_its_path():
    for doc, path, root, found in (
        ("docs/en/a.txt", "a.txt", "/evaldata/set/docs/en", True),  # read from a subfolder
        ("/docs/a.txt", "a.txt", "/data/docs", True),
        ("docs/en/a.txt", "a.txt", "/elsewhere", True),  # the folder was moved
        ("a.txt", "data.txt", "/data", False),
    ):
        assert match([question("1", doc)], [document(path, root)]).paths == ({doc: path} if found else {}), doc


def test_equal_names_are_not_taken_for_each_other_and_all_documents_are_needed():
    questions = [question("1", "docs/en/a.txt"), question("2", "docs/de/a.txt"), question("3", "docs/de/a.txt")]
    assert match(questions, [document("a.txt", "/elsewhere")]).paths == {}, "both have a claim"
    found = match(questions, [document("a.txt", "/evaldata/docs/en")])
    assert [item.id for item in found.questions] == ["1"]
    assert found.missing_documents == ["docs/de/a.txt"]
    both = question("1", docs=("a.txt", "b.txt"))
    assert match([both], [document("a.txt")]).missing == (both,)
    found = match([both], [document("a.txt"), document("b.txt")])
    assert found.questions == (both,) and found.documents(both) == ["a.txt", "b.txt"]


def update(library, source):
    return library.ingest(source.folder, leave_out=source.leave_out)


def test_the_folder_is_the_smallest_that_holds_the_documents_named(tmp_path):
    (tmp_path / "docs/en").mkdir(parents=True)
    for name in ("docs/en/a.txt", "docs/b.txt", "private.txt"):
        (tmp_path / name).write_text("words")
    rows = [{**QUESTIONS[0], "id": name, "doc": name} for name in ("docs/en/a.txt", "docs/b.txt", "docs/gone.txt")]
    dataset = write(tmp_path / "qa.jsonl", rows)
    assert datasets.source_of(dataset, load(dataset), None).folder == tmp_path / "docs"
    only = write(tmp_path / "one.jsonl", rows[:1])
    assert datasets.source_of(only, load(only), None).folder == tmp_path / "docs/en"
    nowhere = write(tmp_path / "nowhere.jsonl", QUESTIONS)
    with pytest.raises(NotFoundError) as caught:
        datasets.source_of(nowhere, load(nowhere), None)
    assert "--documents" in caught.value.hint and "--library" in caught.value.hint


def test_files_of_questions_and_results_are_no_documents(settings, dataset, documents, tmp_path):
    write(documents / "contracts/drafts.jsonl", QUESTIONS)
    (documents / "results.jsonl").write_text(json.dumps({"run": "1", "settings": {}}) + "\n")
    (documents / "data.jsonl").write_text(json.dumps({"rent": 2450}) + "\n")
    other = documents / "misses.md"
    other.write_text("# The monthly rent is EUR 2,450")
    (documents / "link.jsonl").symlink_to(write(tmp_path / "elsewhere.jsonl", QUESTIONS))
    source = datasets.source_of(dataset, load(dataset), documents, [other])
    library = datasets.library_of(source, settings)
    update(library, source)
    read = {document.path for document in library.documents()}
    assert read == {"contracts/lease.txt", "policy.txt", "minutes.txt", "data.jsonl"}
    (documents / "policy.txt").write_text("Buses are free.")
    second = update(datasets.library_of(source, settings), source)
    assert second.read == ("policy.txt",) and second.unchanged == 3


def test_settings_that_decide_what_is_read_have_a_library_of_their_own(settings, dataset):
    source = datasets.source_of(dataset, load(dataset), None)
    names = {
        datasets.library_of(source, settings.with_options(**more)).name
        for more in ({}, {"embedder": "other"}, {"ocr": "off"}, {"passages": 3})
    }
    assert len(names) == 3


FIRST, SECOND = Question("1", "Why?", "So.", "a.txt"), Question("2", "Who?", "Ada.", "a.txt")


def test_a_result_is_found_again_by_a_run_of_the_same_settings(tmp_path):
    path = tmp_path / "out.jsonl"
    Run(path, {"k": 5}).add(FIRST, {"rank": 1})
    again = Run(path, {"k": 5})
    assert again.done(FIRST)["rank"] == 1 and again.done(SECOND) is None
    again.add(SECOND, {"rank": 2})
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row.get("id") for row in rows] == [None, "1", "2"] and rows[0]["settings"] == {"k": 5}
    other = Run(path, {"k": 10})
    assert other.done(FIRST) is None
    other.add(FIRST, {"rank": 3})
    assert [Run(path, {"k": k}).done(FIRST)["rank"] for k in (5, 10)] == [1, 3]


def test_a_line_cut_off_by_a_crash_costs_only_itself(tmp_path):
    path = tmp_path / "out.jsonl"
    run = Run(path, {})
    run.add(FIRST, {"rank": 1})
    run.add(SECOND, {"rank": 2})
    path.write_bytes(path.read_bytes()[:-9])
    again = Run(path, {})
    assert again.done(FIRST) is not None and again.done(SECOND) is None
    again.add(SECOND, {"rank": 2})
    assert Run(path, {}).done(SECOND) is not None


@pytest.mark.parametrize("content", ["Dear diary,\nno newline", '{"question": "Why?"}\n'])
def test_a_file_that_is_no_result_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(UsageError, match="no results"):
        Run(path, {})
    assert path.read_text() == content

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from localrag.errors import UsageError
from localrag.evaluation import reading
from localrag.evaluation.reading import Labels, readings
from localrag.evaluation.runs import Past


def row(run: str, id: str, answer: str, found: bool = True, right: float = 1.0) -> dict[str, Any]:
    return {"run": run, "id": id, "question": f"Q{id}", "known": "k", "answer": answer, "found": found,
            "figures": {"right": right}}  # fmt: skip


def runs() -> list[Past]:
    plain = [row("A", str(i), f"plain {i}") for i in range(10)]
    full = [row("B", str(i), f"full {i} [1]." if i else "Plain, 0 [1].") for i in range(10)]
    return [Past("A", {}, tuple(plain)), Past("B", {}, tuple(full))]


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    return Labels(tmp_path / "labels.jsonl")


def test_answers_are_mixed_by_the_seed_and_show_no_setting(labels: Labels) -> None:
    order = readings(runs(), labels, seed=1)
    assert order == readings(runs(), labels, seed=1) != readings(runs(), labels, seed=2)
    settings = ["".join(run for run, _ in one.given) for one in order]
    assert settings != sorted(settings)
    assert not any("[1]" in one.answer for one in order)


def test_the_same_words_of_two_settings_are_read_once_and_labelled_for_both(labels: Labels) -> None:
    order = readings(runs(), labels)
    assert len(order) == 19
    both = next(one for one in order if one.id == "0")
    labels.add(both, "partly")
    assert [labels.of(run.rows[0]) for run in runs()] == ["partly", "partly"]


def test_every_way_of_declining_is_shown_in_the_same_words(labels: Labels) -> None:
    said = [
        Past("A", {}, (row("A", "1", "Not found.", False),)),
        Past("B", {}, (row("B", "1", "They do not say.", False),)),
    ]
    (one,) = readings(said, labels)
    assert one.answer == reading.DECLINED and len(one.given) == 2


def test_what_was_read_is_not_shown_again(tmp_path: Path, labels: Labels) -> None:
    first = readings(runs(), labels)
    labels.add(first[0], "right")
    again = readings(runs(), Labels(tmp_path / "labels.jsonl"))
    assert first[0] not in again and len(again) == len(first) - 1


def test_another_answer_is_read_anew(labels: Labels) -> None:
    for one in readings(runs(), labels):
        labels.add(one, "right")
    changed = [Past("A", {}, (row("A", "1", "something else"),))]
    assert len(readings(changed, labels)) == 1


def test_a_label_without_a_digest_holds_for_whatever_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text('{"id": "1", "setting": "A", "label": "wrong"}\n', encoding="utf-8")
    assert Labels(path).of(row("A", "1", "anything")) == "wrong"
    assert Labels(path).of(row("B", "1", "anything")) is None


def test_a_limit_takes_questions_that_all_runs_have(labels: Labels) -> None:
    some = readings([runs()[0], Past("B", {}, runs()[1].rows[:4])], labels, limit=3, seed=4)
    assert len({one.id for one in some}) == 3 and {int(one.id) for one in some} <= {0, 1, 2, 3}


def test_a_line_cut_off_by_a_crash_is_passed_over_and_the_next_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    labels = Labels(path)
    first, second, *_ = readings(runs(), labels)
    labels.add(first, "right")
    path.write_text(path.read_text(encoding="utf-8") + '{"id": "1", "sett', encoding="utf-8")
    Labels(path).add(second, "wrong")
    kept = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    assert [line["label"] for line in kept if line["id"] in (first.id, second.id)][-1] == "wrong"


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("Dear diary\n", encoding="utf-8")
    with pytest.raises(UsageError, match="holds no labels"):
        Labels(tmp_path / "notes")


def test_the_tally_counts_what_was_not_read_too(labels: Labels) -> None:
    rows = runs()[0].rows
    given = {one.given[0][1]: one for one in readings(runs()[:1], labels)}
    labels.add(given[reading.digest(rows[0])], "right")
    labels.add(given[reading.digest(rows[1])], "wrong")
    assert reading.tally(rows, labels) == {"right": 1, "partly": 0, "wrong": 1, "unread": 8}


def test_agreement_of_code_and_reader_is_beyond_chance(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    said = ["right"] * 4 + ["wrong"] * 4
    path.write_text("\n".join(json.dumps({"id": str(i), "setting": "A", "label": label}) for i, label in enumerate(said)),
                    encoding="utf-8")  # fmt: skip
    code = [1, 1, 1, 0, 0, 0, 0, 1]
    rows = [row("A", str(i), "x", right=float(right)) for i, right in enumerate(code)]
    found = reading.code_agrees(rows, Labels(path))
    assert found is not None and (found.n, found.agreed, found.kappa) == (8, 0.75, 0.5)
    assert reading.code_agrees(rows, Labels(tmp_path / "none")) is None

from contextlib import closing
from dataclasses import replace
from unittest.mock import Mock

import pytest

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.errors import ModelError, ModelMissing
from localrag.evaluation import answers
from localrag.evaluation.datasets import Question, Run, choose
from localrag.types import Answer, Citation, Plan

KNOWN = Question("1", "Rent?", "EUR 2,450", "a.txt", "The monthly rent is EUR 2,450", 3)
QUOTE = Citation("lib", "a.txt", 3, None, "p. 3", "monthly rent is EUR 2,450", 0, 25, 1)
CHOICES = ("No", "Not mentioned", "Yes")
RIGHT = Answer("Rent?", "EUR 2,450 [1].", True, Plan("retrieve", ""), (QUOTE,))


def test_a_right_answer_with_its_place_has_every_figure():
    figures = answers.score(KNOWN, ["a.txt"], RIGHT, ())
    assert figures.pop("evidence") == figures.pop("evidence_given") == pytest.approx(6 / 7, abs=1e-3)
    names = "exact f1 numeric unit cited cited_document cited_page quotes_touching worth right"
    assert set(figures) == set(names.split())
    assert set(figures.values()) == {1.0}


def test_declining_is_right_where_there_is_no_answer_and_the_choice_not_mentioned():
    unanswerable = replace(KNOWN, answerable=False)
    assert answers.score(unanswerable, [], RIGHT, ()) == {"worth": 0.0, "right": 0.0}
    assert answers.score(unanswerable, [], replace(RIGHT, found=False), ()) == {"worth": 1.0, "right": 1.0}
    labelled = replace(KNOWN, answer="Not mentioned", label="NotMentioned")
    for known, given, choice in (
        (labelled, replace(RIGHT, found=False), 1.0),
        (labelled, replace(RIGHT, answer="Yes [1]."), 0.0),
        (replace(labelled, answer="Yes"), replace(RIGHT, answer="Yes."), 1.0),
    ):
        assert answers.score(known, [], given, CHOICES)["choice"] == choice


def run(settings, dataset, results, ask=None, **more):
    with closing(api.open_library("office", settings=settings)) as library, closing(Assistant(settings)) as assistant:
        stop = more.get("stop", lambda: False)
        ask = ask or answers.asker(assistant, "office", "retrieve", stop)
        return list(answers.run(choose(dataset, library), results, ask, stop))


def test_answers_are_scored_and_their_quotes_checked(settings, dataset):
    rows = run(settings, dataset, Run(None, {}))
    report = answers.summarize(rows)
    assert report["questions"] == 4 and report["failed"] == 0
    assert set(report["abstention"].items()) >= {("answered_present", 3), ("declined_absent", 1)}
    assert report["figures"]["numeric"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 1}
    assert report["figures"]["cited_page"]["mean"] == 1.0
    assert report["quotes"]["verbatim"] == report["quotes"]["shown"] >= 2
    assert rows[2]["figures"]["f1"] < 0.5


def test_a_quote_that_does_not_stand_there_is_not_verbatim(settings):
    library = api.open_library("office", settings=settings)
    text = library.page_text("minutes.txt", 3)
    right = Citation("office", "minutes.txt", 3, None, "p. 3", text[16:25], 16, 25, 1)
    assert answers.verbatim(library, right)
    for wrong in (replace(right, start=17), replace(right, page=2), replace(right, page=9), replace(right, quote="")):
        assert not answers.verbatim(library, wrong)
    assert not answers.verbatim(library, replace(right, document="gone.txt"))


def test_a_question_too_long_for_the_model_is_counted_and_the_rest_go_on(settings, dataset):
    report = answers.summarize(run(settings, dataset, Run(None, {}), Mock(side_effect=ModelError("too long"))))
    assert (report["questions"], report["failed"]) == (0, 4)
    with pytest.raises(ModelMissing):
        run(settings, dataset, Run(None, {}), Mock(side_effect=ModelMissing("none")))


def test_a_plain_prompt_holds_the_passages_best_first_and_is_scored_beside_them(settings, dataset, model):
    with closing(Assistant(settings)) as assistant:
        ask = answers.plain_asker(assistant, model, settings, "office", CHOICES, lambda: False)
        answer = ask(Question("1", "What is the monthly rent?", "", ""), None)
        assert answer is not None and answer.answer == "The monthly rent is EUR 2,450 [1]." and not answer.citations
        (prompt,) = model.prompts
        scores = [passage.score for passage in answer.passages]
        assert scores == sorted(scores, reverse=True) and len(scores) <= answers.PLAIN_PASSAGES
        assert sorted(prompt[-1].text.index(passage.text) for passage in answer.passages)
        assert "Reply with" not in prompt[-1].text
        ask(Question("2", "Is it let?", "Yes", "", label="Entailment"), None)
        assert model.prompts[-1][-1].text.endswith("Reply with one of: No; Not mentioned; Yes.")
        rows = run(settings, dataset, Run(None, {"baseline": "plain"}), ask)
    assert [row["found"] for row in rows] == [True, True, True, False]
    assert rows[0]["figures"]["evidence_shown"] == 1.0 and rows[0]["figures"]["cited"] == 0.0
    assert "flags" not in rows[0]
    assert [answers.declines(reply) for reply in ("", "Not found.", "No.")] == [True, True, False]


def scored(question, text, *, found=True, quote="", document="a.txt"):
    cited = (Citation("lib", document, None, None, "", quote, 0, len(quote), 1),) if quote else ()
    answer = Answer(question.question, text, found, Plan("retrieve", ""), cited)
    return float(answers.score(question, ["a.txt"], answer, CHOICES)["worth"])


def asked(known, evidence="", **more):
    return replace(Question("1", "What?", known, "a.txt", evidence), **more)


def test_figures_must_be_equal_and_words_must_stand_in_the_answer():
    for known, said in (
        ("12.5 %", "It grew by 12.5 % [1]."),
        ("46,000", "About 46 thousand people"),
        ("central nervous system", "The virus reaches the central nervous system [2]."),
    ):
        assert scored(asked(known, f"It is said that {known} was seen."), said) == 1.0


def test_saying_yes_shows_nothing_and_the_clause_does():
    clause = asked("Yes", "Neither party may assign this agreement without consent")
    assert scored(clause, "Yes.") == 0.0
    assert scored(clause, "Yes.", quote="may assign this agreement without consent") == 0.75
    assert scored(clause, "Yes.", quote="may assign this agreement without consent", document="b.txt") == 0.0
    assert scored(clause, "Neither party may assign this agreement without consent.") == 1.0


def test_of_a_long_answer_words_and_numbers_count_alike():
    known = asked("Net sales were 82,959 million in the third quarter and 81,797 million a year later")
    right_words = scored(known, "Net sales were 11,111 million in the third quarter and 22,222 million a year later")
    half = scored(known, "Net sales were 82,959 million in the third quarter and 22,222 million a year later")
    assert right_words < half < scored(known, known.answer) == 1.0


def row(id, found, answerable, figures, **more):
    counts = dict.fromkeys(("quotes", "verbatim", "dropped", "unsupported"), 0)
    asked = {"id": id, "question": "?", "known": "x", "category": "", "documents": [f"{id}.txt"]}
    took = {"sentences": 1, "seconds": 1.0, "first_token": None}
    given = {"answerable": answerable, "found": found, "figures": {"right": 0.0, **figures}}
    return {**asked, **counts, **took, **given, **more}


def with_evidence(quoted, given, touching=0, **more):
    return {"evidence": quoted, "evidence_given": given, "quotes_touching": touching, **more}


DECLINING = [
    row("1", False, False, {"right": 1.0}),
    row("2", False, False, {"right": 1.0}),
    row("3", True, False, {}),
    row("4", False, True, {}),
    row("5", True, True, {"right": 1.0}),
]
BESIDE = [
    row("1", True, True, with_evidence(0.0, 0.0, evidence_shown=0.4)),
    row("2", True, True, with_evidence(0.0, 0.3, evidence_shown=0.0)),
    row("3", False, True, with_evidence(0.0, 0.0, evidence_shown=1.0)),
]
CITING = [
    row("1", True, True, with_evidence(1.0, 1.0, 1), quotes=3, verbatim=3, sentences=3, unsupported=1),
    row("2", True, True, with_evidence(0.5, 0.5, 1), quotes=1, verbatim=1),
    row("3", True, False, {}, quotes=4, verbatim=4, sentences=4),
]
NOTHING_MENTIONED = [
    row("1", False, True, {"choice": 1.0}, label="L", chose="Not mentioned", known="Not mentioned"),
    row("2", True, True, {"choice": 1.0}, label="L", chose="Yes", known="Yes"),
]


@pytest.mark.parametrize(
    ("rows", "rate", "value"),
    [
        (DECLINING, "declined_absent", 2 / 3),
        (DECLINING, "declined_rightly", 2 / 3),
        (DECLINING, "wrong_when_answered", 0.5),
        (BESIDE, "answered_with_evidence", 1 / 3),
        (BESIDE, "answered_from_evidence", 1 / 3),
        (BESIDE, "quotes_verbatim", None),  # there are no quotes
        (CITING, "citation_precision", 0.5),
        (CITING, "citation_recall", 0.75),
        (CITING, "unsupported_sentences", 1 / 8),
        (NOTHING_MENTIONED, "declined_rightly", 1.0),
    ],
)
def test_rates_are_shares_of_their_questions(rows, rate, value):
    found = answers.summarize(rows)["rates"].get(rate)
    assert found == value if value is None else found["mean"] == pytest.approx(value, abs=1e-4)


def labelled(id, known, chose, **more):
    return row(id, True, True, {"choice": float(chose == known)}, label="L", **more, chose=chose) | {"known": known}


def test_choices_are_compared_with_the_most_common_one():
    made = [("Yes", "Yes"), ("Yes", "Not mentioned"), ("No", "Yes"), ("Yes", "Yes"), ("No", None)]
    rows = [labelled(str(number), *one) for number, one in enumerate(made)]
    found = answers.summarize(rows)["choices"]
    assert found["table"] == {"No": {"Yes": 1, "none": 1}, "Yes": {"Yes": 2, "Not mentioned": 1}}
    assert found["accuracy"]["mean"] == 0.4 and found["majority"] == {"choice": "Yes", "accuracy": 0.6}
    assert found["above_majority"]["mean"] == -0.2
    assert answers.summarize([row("1", True, True, {})])["choices"] is None

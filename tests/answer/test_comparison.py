"""Questions that compare: how the model takes them apart, and what is shown of each side; with fakes."""

from __future__ import annotations

import pytest
from asking import FILLER, ask, verified

from localrag.answer import comparison
from localrag.items.reading import Reading
from localrag.types import Filter

CALDER = f"{FILLER[:3000]} The notice period is 60 days. Dogs are welcome."
ORLO = f"{FILLER[3000:6000]} The notice period is 90 days. The yearly rent is EUR 41,500."
BOTH = "How does the notice period differ between the Calder lease and the Orlo agreement?"
NOTICE = "What is the notice period of the Calder lease?\nWhat is the notice period of the Orlo agreement?"


@pytest.fixture
def pair(shelf):
    texts = {"Calder lease.txt": CALDER, "Orlo agreement.txt": ORLO, "house rules.txt": FILLER[6000:9000]}
    return shelf("pair", texts)


def sides(assistant, models, question, written):
    models.generator.script = [("", written)]
    query = assistant.prepare(question, ["pair"], Filter(), "auto", (), lambda: False)
    return comparison._sides(query, assistant.passages(query, 5), Reading(models.generator, None, lambda: False))


@pytest.mark.parametrize(
    ("written", "names"),
    [
        (NOTICE, ["Calder lease", "Orlo agreement"]),
        (f"{NOTICE}\nWhich of the two is longer?", ["Calder lease", "Orlo agreement"]),
        (f"Is it the same for both?\n{NOTICE}", ["Calder lease", "Orlo agreement"]),
        ("What may Orlo do to end Ann Lee's job?\nWhat may Ann Lee do to end it?", ["Orlo", "Ann Lee"]),
        ("What was the rent in 2022?\nWhat was the rent in 2023?", ["2022", "2023"]),
        ("What is the notice?\nWhat is the notice?", []),
        ("What is the notice of the Calder lease?\nWhat is the notice of the Southwind lease?", []),
        ("What was the rent in 2022?\nWhat was the rent in 20221?", []),
        ("What is the notice of the Calder lease?", []),
        ("What is the notice of the Calder lease?\nWhat is the notice of the Orlo", []),
    ],
)
def test_a_model_takes_a_comparison_apart_and_makes_nothing_up(written, names, assistant, models, pair):
    question = "Whose notice is longer, that of the Calder lease, of Orlo, of Ann Lee, in 2022 or in 2023?"
    assert [side.name for side in sides(assistant, models, question, written)] == names


def test_a_side_is_looked_up_without_the_words_of_the_others(assistant, models, pair):
    written = "What is the notice in Calder?\nWhat is the notice in Orlo?"
    calder, _ = sides(assistant, models, "Compare the notice in Calder and Orlo, in winter", written)
    assert "winter" in calder.search_text and "Orlo" not in calder.search_text


def test_each_side_shows_what_its_own_document_says_and_claims_nothing(assistant, models, pair):
    models.generator.script = [("", NOTICE)]
    _, answer = ask(assistant, BOTH, "pair")
    _, _, calder, orlo = answer.answer.split("\n")
    assert calder.startswith("- Calder lease: “") and "60 days" in calder and "90 days" not in calder
    assert orlo.startswith("- Orlo agreement: “") and "90 days" in orlo and "60 days" not in orlo
    assert answer.certainty == "unclear" and answer.plan.signals["sides"] == ["Calder lease", "Orlo agreement"]
    assert len(models.generator.written) == 1 and len(models.generator.prompts) == 1
    verified(answer, pair)


@pytest.mark.parametrize("mode", ["auto", "retrieve"])
def test_a_question_that_is_not_taken_apart_shows_the_documents_that_fit_best(mode, assistant, models, pair):
    _, answer = ask(assistant, BOTH, "pair", mode=mode)
    assert answer.certainty == "unclear" and {one.document for one in answer.citations} == {
        "Calder lease.txt",
        "Orlo agreement.txt",
    }
    assert {*answer.plan.signals["sides"]} == {"Calder lease.txt", "Orlo agreement.txt"}


def test_one_part_of_a_question_that_compares_claims_nothing(assistant, models, pair):
    models.generator.script = [("", "The notice period is 60 days.")]
    _, answer = ask(
        assistant, f"What is the yearly rent of the Orlo agreement, and {BOTH[0].lower()}{BOTH[1:]}", "pair"
    )
    assert answer.plan.signals["parts"] == 2 and answer.certainty == "unclear"
    assert "2. It is not clear." in answer.answer


def test_a_library_without_anything_near_says_so(assistant, models, shelf):
    shelf("pair", {"a.txt": "", "b.txt": "x"})
    models.generator.script = [("", NOTICE)]
    _, answer = ask(assistant, BOTH, "pair")
    assert answer.certainty != "sure"


def test_in_strict_mode_a_comparison_is_withheld(assistant, models, pair, settings):
    assistant.configure(settings.with_options(strict=True))
    models.generator.script = [("", NOTICE)]
    _, answer = ask(assistant, BOTH, "pair")
    assert not answer.found and answer.withheld and answer.nearest


def test_a_comparison_that_is_stopped_says_so(assistant, models, pair):
    models.generator.script = [("", NOTICE)]
    begun = lambda: bool(models.generator.prompts)  # noqa: E731
    *_, last = assistant.ask(BOTH, libraries=["pair"], stop=begun)
    assert last.answer.stopped and last.answer.answer == "Stopped before anything was answered."


def test_code_computes_first_what_a_table_says_of_two_years(assistant, models, shelf):
    table = "| In thousands | 2022 | 2023 |\n|---|---|---|\n| Research costs | 1,200 | 1,500 |\n"
    shelf("costs", {"report.md": f"# Report\n\n{FILLER[:6000]}\n\n{table}\n\n{FILLER[6000:12000]}"})
    _, answer = ask(assistant, "What was the change in research costs between 2022 and 2023?", "costs")
    assert answer.plan.kind == "exact" and answer.workings[0].value == 300 and not models.generator.prompts

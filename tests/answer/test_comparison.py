"""Questions that compare documents or years: what is asked of whom, and how the answers are joined; with fakes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from asking import FILLER, ask, verified

from localrag.answer import comparison, judging, survey_table
from localrag.cli.ask import print_answer
from localrag.events import Answered, Delta, Event, Found, Planned, Surveyed
from localrag.question.comparison import Side
from localrag.question.question import Question
from localrag.types import Answer, Citation, Plan

CALDER = f"{FILLER[:3000]} The notice period is 60 days. The yearly rent is EUR 48,000. The rent is EUR 48,000 a year. Dogs are welcome."
ORLO = (
    f"{FILLER[3000:6000]} The notice period is 90 days. The yearly rent is EUR 41,500. The rent is EUR 3,500 a month."
)
BOTH = "How does the notice period differ between the Calder lease and the Orlo agreement?"


@pytest.fixture
def pair(shelf):
    texts = {
        "Calder lease.txt": CALDER,
        "Orlo agreement.txt": ORLO,
        "house rules.txt": FILLER[6000:9000],
        "Acme supply agreement.txt": FILLER[9000:12000],
    }
    return shelf("pair", texts)


def compared(question, library):
    documents = [(library, document) for document in library.documents()]
    return {side.name: side.question for side in Question(question, documents=documents).sides}


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        (BOTH, "What is the notice period of the {}?"),
        (
            "Compare the notice periods of the Calder lease and the Orlo agreement.",
            "What are the notice periods of the {}?",
        ),
        ("And how do the Calder lease and the Orlo agreement differ in rent?", "What does the {} say about rent?"),
        ("Is the rent of the Calder lease higher than that of the Orlo agreement?", "What is the rent of the {}?"),
        (
            "Which has the longer notice period, the Calder lease or the Orlo agreement?",
            "What is the notice period of the {}?",
        ),
        ("Do both the Calder lease and the Orlo agreement allow dogs?", "Does the {} allow dogs?"),
        ("What is the rent of the Calder lease compared to the Orlo agreement?", "What is the rent of the {}?"),
        ("compare the rent of the calder lease and the orlo agreement", "What is the rent of the {}?"),
    ],
)
def test_each_side_has_a_question_of_its_own(question, asked, pair):
    found = compared(question, pair)
    assert [name.lower() for name in found] == ["calder lease", "orlo agreement"]
    assert list(found.values()) == [asked.format(name) for name in found]


@pytest.mark.parametrize(
    "question",
    [
        "Compare the Calder lease and the Orlo agreement.",
        "How does the rent differ between the Calder lease and the Aetna agreement?",
        "Is the rent of the Calder lease higher than the deposit of the Orlo agreement?",
        "Which contracts have a longer notice period than the Calder lease?",
        "What was the percentage change in rent between 2022 and 2023?",
        "Does the supply agreement Acme apply to both Calder and Orlo?",
        "Do both the Calder lease and the Orlo agreement have the same landlord?",
        "Which lease is more expensive, Calder or Orlo?",
        "Wie unterscheidet sich die Miete zwischen dem Calder lease und dem Orlo agreement?",
        "",
    ],
)
def test_a_question_without_two_certain_sides_stays_whole(question, pair):
    assert not compared(question, pair)


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("How did R&D change between 2022 and 2023?", ["What was R&D in 2022?", "What was R&D in 2023?"]),
        (
            "Compare net sales in 2021, 2022 and 2023",
            ["What are the net sales in 2021?", "What are the net sales in 2022?", "What are the net sales in 2023?"],
        ),
    ],
)
def test_years_are_sides_too(question, asked, pair):
    assert list(compared(question, pair).values()) == asked


def test_each_side_is_asked_in_its_own_documents_and_code_computes_the_difference(assistant, models, pair):
    models.generator.script = [("of the Calder", "The notice period is 60 days."), ("", "It is 90 days.")]
    events, answer = ask(assistant, BOTH, "pair")
    prompts = ["".join(message.whole for message in prompt) for prompt in models.generator.written]
    assert len(prompts) == 2 and not any("60 days" in prompt and "90 days" in prompt for prompt in prompts)
    assert answer.plan.kind == "survey" and answer.plan.signals["sides"] == ["Calder lease", "Orlo agreement"]
    assert answer.answer == (
        "Orlo agreement has the greater figure, by 30 days.\n"
        "- Calder lease: The notice period is 60 days [1].\n- Orlo agreement: It is 90 days [2]."
    )
    assert [(row["side"], row["document"], row["answer"]) for row in answer.table] == [
        ("Calder lease", "Calder lease.txt", "The notice period is 60 days."),
        ("Orlo agreement", "Orlo agreement.txt", "It is 90 days."),
    ]
    assert all(row["quote"] and row["found"] for row in answer.table)
    (working,) = answer.workings
    assert working.expression == "90 days − 60 days" and [one.marker for one in working.figures] == [1, 2]
    assert [event.row for event in events if isinstance(event, Surveyed)] == list(answer.table)
    assert "each is asked by itself" in next(event.plan.reason for event in events if isinstance(event, Planned))
    verified(answer, pair)


def test_a_side_that_says_nothing_has_not_the_figure_of_the_other(assistant, models, pair):
    models.generator.script = [("", "Dogs are welcome.")]
    models.generator.weights = [("Does the Orlo", "no"), ("", "yes")]
    _, answer = ask(assistant, "Do both the Calder lease and the Orlo agreement allow dogs?", "pair")
    assert answer.found and [row["found"] for row in answer.table] == [True, False]
    assert answer.answer.endswith("- Orlo agreement: nothing found") and not answer.workings
    assert answer.table[1]["document"] == "Orlo agreement.txt" and answer.table[1]["quote"] == ""
    models.generator.weights = [("", "no")]
    _, answer = ask(assistant, "Do both the Calder lease and the Orlo agreement allow dogs?", "pair")
    assert not answer.found and answer.answer == "The documents do not say." and len(answer.table) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "The notice period is 60 days.",
            "The yearly rent is EUR 41,500. The rent is EUR 3,500 a month.",
        ),  # of another kind
        ("The notice period is 60 days.", "The notice period is 75 days."),  # not in the text
        ("The notice period is 60 days, the yearly rent EUR 48,000.", "The notice period is 90 days."),  # several
    ],
)
def test_figures_that_do_not_compare_have_no_difference(one, other, assistant, models, pair):
    models.generator.script = [("of the Calder", one), ("", other)]
    _, answer = ask(assistant, BOTH, "pair")
    assert not answer.workings and len(answer.table) == 2 and "greater" not in answer.answer


@pytest.mark.parametrize(
    ("one", "other", "result"),
    [
        ("The rent is EUR 48,000 p.a.", "The rent is EUR 3,500 per month.", ""),
        ("Revenue was $514 billion.", "Revenue was $198.3 billion.", "$315.7 billion"),
        ("The yearly rent is EUR 48,000.", "The rent is EUR 3,500.", ""),
        ("The net loss was $4,000.", "The net income was $500.", ""),
        ("The rent is EUR 48,000 p.a.", "The yearly rent is EUR 41,500.", "€6,500"),
        ("The fee is EUR 30 per square metre.", "The fee is 20 percent, or EUR 20 per square metre and yearly.", ""),
    ],
)
def test_only_figures_for_the_same_have_a_difference(one, other, result):
    def said(text):
        at = SimpleNamespace(quote=f"Dogs pay EUR 7 a day. {text} Cats pay nothing.", place="p. 1", marker=1)
        return SimpleNamespace(sure=True, answer=text, found=True, citations=(at,), passages=())

    found = comparison.difference([("A", "What is it?", said(one)), ("B", "What is it?", said(other))])
    assert (found[0].result if found else "") == result


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("Sales in 2022/23 were $3 million.", True),
        ("In FY23 (from April 2022) we sold more.", True),
        ("Under the lease of 1 March 2021 the rent is $3.", True),
        ("Cash as of 31 December 2022 was $3 million.", False),
        ("In the year from 1 April 2023 to 31 March 2024 we sold more.", True),
    ],
)
def test_a_quote_of_a_year_may_name_it_in_other_ways(quote, found):
    at = Citation("l", "d.txt", 1, None, "p. 1", quote, 0, len(quote), 1)
    answer = Answer("q", "It is.", True, Plan("retrieve", ""), (at,))
    assert comparison._of_its_year(Side("2023", "q"), answer).found is found


@pytest.mark.parametrize(
    ("one", "other", "figures", "words"),
    [
        # A table of words; tables whose scale is above the figures.
        (
            "| Rent | EUR 48,000 a year |\n|---|---|\n| Term | none |",
            "The rent is EUR 41,500 per year.",
            ("EUR 48,000 a year", "EUR 41,500"),
            "by €6,500",
        ),
        (
            "| In thousands | 2023 |\n|---|---|\n| Rent | $48,000 |\n| Heat | $9,000 |",
            "| In millions | 2023 |\n|---|---|\n| Rent | $41 |\n| Heat | $7 |",
            ("$48,000", "$41"),
            "by $7 million",
        ),
    ],
)
def test_a_figure_of_a_table_has_the_scale_of_its_table(one, other, figures, words, assistant, models, shelf):
    text = FILLER[:3000]
    shelf("firms", {"Calder.md": f"{text}\n\n{one}\n", "Orlo.md": f"{text}\n\n{other}\n", "x.txt": text})
    models.generator.script = [("of Calder", f"The rent is {figures[0]}."), ("", f"The rent is {figures[1]}.")]
    _, answer = ask(assistant, "How does the rent differ between Calder and Orlo?", "firms")
    assert answer.plan.kind == "survey" and words in answer.answer


def test_stopped_between_the_sides_what_was_answered_stays(assistant, models, pair):
    models.generator.script = [("", "The notice period is 60 days.")]
    seen: list[Event] = []
    events = assistant.ask(BOTH, libraries=["pair"], stop=lambda: len(seen) > 0)
    seen.extend(event for event in events if isinstance(event, (Surveyed, Answered)))
    answer = next(event.answer for event in seen if isinstance(event, Answered))
    assert answer.stopped and len(answer.table) == 1
    assert answer.answer == "1 of 2 sides were asked.\n- Calder lease: The notice period is 60 days [1]."
    stopped = list(assistant.ask(BOTH, libraries=["pair"], stop=lambda: True))[-1]
    assert isinstance(stopped, Answered) and stopped.answer.answer == "Stopped before anything was answered."


def test_in_strict_mode_a_side_without_a_source_is_withheld_alone(assistant, models, pair, settings):
    assistant.configure(settings.with_options(strict=True))
    models.generator.script = [
        ("of the Calder", "The notice period is 60 days."),
        ("", "The notice period is 77 days."),
    ]
    _, answer = ask(assistant, BOTH, "pair")
    assert answer.found and answer.withheld and "77" not in f"{answer.answer} {answer.table}"
    assert [row["found"] for row in answer.table] == [True, False] and "strict" in answer.table[1]["why_not"]


def test_the_sides_are_named_while_they_are_written(assistant, models, pair):
    models.generator.script = [("", "It is 60 days.")]
    events, _ = ask(assistant, BOTH, "pair")
    written = "".join(event.text for event in events if isinstance(event, Delta))
    assert written == "- Calder lease: It is 60 days.\n- Orlo agreement: It is 60 days."
    found = [event.passages for event in events if isinstance(event, Found)]
    assert [{passage.document for passage in passages} for passages in found] == [
        {"Calder lease.txt"},
        {"Orlo agreement.txt"},
    ]


def test_another_mode_is_kept(assistant, models, pair):
    models.generator.script = [("", "It is 60 days.")]
    _, answer = ask(assistant, BOTH, "pair", mode="retrieve")
    assert answer.plan.kind == "retrieve" and not answer.table


def test_code_computes_first_what_a_table_says_of_two_years(assistant, models, shelf):
    table = "| In thousands | 2022 | 2023 |\n|---|---|---|\n| Research costs | 1,200 | 1,500 |\n"
    shelf("costs", {"report.md": f"# Report\n\n{FILLER[:6000]}\n\n{table}\n\n{FILLER[6000:12000]}"})
    _, answer = ask(assistant, "What was the change in research costs between 2022 and 2023?", "costs")
    assert answer.plan.kind == "retrieve" and answer.workings[0].value == 300 and not models.generator.prompts


def test_years_that_no_table_compares_are_asked_one_by_one(assistant, models, shelf):
    shelf(
        "costs",
        {
            "report.txt": f"{FILLER[:6000]} In 2022 we spent $2 million on research. {FILLER[6000:12000]} "
            "In 2023 we spent $3 million on research."
        },
    )
    models.generator.script = [("in 2022", "We spent $2 million in 2022."), ("", "We spent $3 million in 2023.")]
    _, answer = ask(assistant, "How did research change between 2022 and 2023?", "costs")
    assert answer.answer.startswith("2023 has the greater figure, by $1 million.")
    assert [row["side"] for row in answer.table] == ["2022", "2023"]


def test_a_year_without_a_figure_has_not_that_of_another(assistant, models, shelf):
    shelf("costs", {"report.txt": f"{FILLER[:6000]} In 2023 we spent $3 million on research. {FILLER[6000:12000]}"})
    models.generator.script = [("", "We spent $3 million on research.")]
    _, answer = ask(assistant, "How did research change between 2022 and 2023?", "costs")
    assert [row["found"] for row in answer.table] == [False, True] and not answer.workings
    assert answer.answer.endswith("- 2022: nothing found\n- 2023: We spent $3 million on research [1].")
    assert {citation.document for citation in answer.nearest} == {"report.txt"}


def test_the_rows_are_shown_as_those_of_a_survey(assistant, models, pair, capsys):
    models.generator.script = [("of the Calder", "The notice period is 60 days."), ("", "It is 90 days.")]
    _, answer = ask(assistant, BOTH, "pair")
    assert survey_table.has_table(answer)
    results = survey_table.Results(BOTH)
    results.settle(answer)
    assert results.columns[:3] == ("side", "document", "answer") and len(results.lines) == 2
    print_answer(answer)
    shown = capsys.readouterr().out
    models.generator.script = [
        ("", f"The notice period is 60 days.\n\n{'The notice period is 60 days. It is 60 days. ' * 9}")
    ]
    _, answer = ask(assistant, BOTH, "pair")
    assert not survey_table.has_table(answer) and answer.answer.count("\n\n") == 2
    assert "Calder lease.txt" in shown and "It is 90 days." in shown and shown.count("[2]") == 2


def test_code_computes_nothing_with_a_side_that_is_not_clear(assistant, models, pair, monkeypatch):
    monkeypatch.setattr(judging, "_ABSENT", -99.0)
    models.generator.script = [("of the Calder", "The notice period is 60 days."), ("", "It is 90 days.")]
    models.generator.weights = [("Does this passage state", "no")]
    _, answer = ask(assistant, BOTH, "pair")
    assert answer.certainty == "unclear" and not answer.workings
    assert [(row["found"], row["answer"], row["why_not"]) for row in answer.table] == [(False, "", "not clear")] * 2

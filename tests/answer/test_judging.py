"""How sure an answer is: the model judges its quotes alone, and what is not sure shows them and claims nothing."""

from dataclasses import replace

import pytest
from asking import ask
from fakes import HashingEmbedder, ScriptedGenerator

from localrag.answer import judging
from localrag.embeddings.sentence_encoder import Text
from localrag.errors import PolicyRefused
from localrag.grounding import prompts
from localrag.grounding.stages import Findings
from localrag.items.item import Finding
from localrag.store.text_analysis import sentences
from localrag.store.writer import Editor
from localrag.types import Citation, Filter, Plan

RENT = "The Tenant shall pay a yearly rent of EUR 48,000 for Hall 3 to Orlo Ltd."
AT = Citation("law", "a.txt", 1, None, "p. 1", RENT, 0, len(RENT), 0)


@pytest.fixture
def lease(shelf):
    return shelf("lease", {"lease.txt": RENT})


@pytest.mark.parametrize(
    ("question", "answer", "certainty"),
    [
        ("What is the yearly rent of Hall 3?", "The yearly rent is EUR 48,000.", "sure"),
        ("What is the yearly rent of Hall 3?", "The Tenant shall pay a yearly rent for Hall 3.", "unclear"),
        ("Who signed the lease of Hall 3?", "Orlo Ltd", "unclear"),
        ("What is the yearly rent of Hall 3?", "The documents do not say.", "absent"),
    ],
)
def test_a_value_of_the_type_that_is_asked_for_is_sure(assistant, models, lease, question, answer, certainty):
    models.generator.script = [("", answer)]
    _, made = ask(assistant, question, "lease")
    assert made.certainty == made.to_dict()["certainty"] == certainty
    assert made.found is (certainty != "absent")


def test_what_the_quotes_alone_do_not_hold_is_shown_without_a_claim(assistant, models, lease, monkeypatch):
    monkeypatch.setattr(judging, "_ABSENT", -99.0)
    models.generator.script = [("", "The yearly rent is EUR 48,000.")]
    models.generator.weights = [("Does this passage state", "no")]
    _, made = ask(assistant, "What is the yearly rent of Hall 3?", "lease")
    assert made.certainty == "unclear" and made.answer.startswith(prompts.UNCLEAR)
    assert [one.quote for one in made.citations] == [RENT] and RENT in made.answer


def test_a_look_up_far_below_what_is_sure_is_absent_and_shows_what_is_near(assistant, models, lease):
    models.generator.script = [("", "The yearly rent is EUR 48,000.")]
    models.generator.weights = [("Does this passage state", "no")]
    _, made = ask(assistant, "What is the yearly rent of Hall 3?", "lease")
    assert made.certainty == "absent" and made.answer == prompts.NOT_FOUND and not made.citations
    assert [one.quote for one in made.nearest] == [RENT]


def test_a_judgement_that_is_stopped_leaves_the_answer_incomplete(assistant, models, lease):
    models.generator.script = [("", "The yearly rent is EUR 48,000.")]
    judging_now = lambda: "Does this passage state" in models.generator.prompts[-1][-1].whole  # noqa: E731
    *_, last = assistant.ask("What is the yearly rent of Hall 3?", libraries=["lease"], stop=judging_now)
    assert last.answer.stopped


def test_what_is_near_the_question_is_shown_before_the_quotes_and_marks_go_with_the_claims():
    cited = tuple(replace(AT, start=marker, marker=marker) for marker in range(1, 6))
    near = (replace(AT, start=9),)
    shown = judging.unclear(Findings("It rains.", True, Plan("retrieve", ""), cited, unsupported=("It rains.",)), near)
    assert (
        [(one.start, one.marker) for one in shown.citations] == [(9, 1), (1, 2), (2, 3)]
        and not shown.unsupported
        and not shown.sure
    )


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Finding("found", "yes", citation=AT), f"Yes: “{RENT}” [1]"),
        (Finding("found", "no", citation=AT), f"No: “{RENT}” [1]"),
        (Finding("unsure", citation=AT), f"{prompts.UNCLEAR}\n\n“{RENT}” [1]"),
        (Finding("absent"), prompts.NOT_FOUND),
        (Finding("unsure", withheld=True), prompts.WITHHELD),
    ],
)
def test_only_what_the_quote_bears_out_is_claimed(found, text):
    made = judging.worded(found, Plan("retrieve", ""), "fake")
    shown = found.citation is not None
    assert (made.answer, made.found, made.sure) == (text, shown, found.state != "unsure" or not shown)
    assert [one.marker for one in (*made.citations, *made.nearest)] == [1] * shown


class Wordy(ScriptedGenerator):
    """A model server that gives no likelihoods, only the word that it writes."""

    def weigh(self, messages, options, **kept):
        *events, weighed = super().weigh(messages, options, **kept)
        yield from events
        yield replace(weighed, shares=tuple(0.8 if share else 0.2 for share in weighed.shares), measured=False)


@pytest.mark.parametrize(("word", "certainty"), [("yes", "sure"), ("no", "unclear")])
def test_a_model_without_likelihoods_is_taken_at_its_word(assistant, models, lease, word, certainty):
    models.generator = Wordy([("", "The yearly rent is EUR 48,000.")], weights=[("Does this passage state", word)])
    _, made = ask(assistant, "What is the yearly rent of Hall 3?", "lease")
    assert made.certainty == certainty


def test_a_date_that_begins_with_no_is_not_a_no(assistant, models, shelf):
    shelf("papers", {"notice.txt": "The Tenant gives notice no later than 31 May 2030."})
    models.generator.script = [("", "No later than 31 May 2030.")]
    assert ask(assistant, "When must the Tenant give notice?", "papers")[1].certainty == "sure"


def test_the_quotes_are_judged_by_the_question_as_it_was_typed(assistant, models, shelf):
    shelf("papers", {"notice.txt": "The notice period is 60 days."})
    models.generator.script = [("", "The notice period is 60 days.")]
    _, made = ask(assistant, "How long is the notixe period?", "papers", mode="retrieve")
    assert "notice" in made.looked_for
    judged = models.generator.prompts[-1][-1].whole
    assert "Does this passage state" in judged and "How long is the notixe period?" in judged


@pytest.mark.parametrize(("again", "certainty"), [("EUR 48,000", "sure"), ("EUR 5,000", "unclear")])
def test_a_figure_beside_others_is_sure_where_the_quotes_alone_give_it_again(
    assistant, models, shelf, again, certainty
):
    shelf("papers", {"lease.txt": "The yearly rent of Hall 3 is EUR 48,000 and the deposit EUR 5,000."})
    models.generator.script = [("", "The yearly rent is EUR 48,000.")]
    models.generator.again = again
    assert ask(assistant, "What is the yearly rent of Hall 3?", "papers")[1].certainty == certainty


def test_a_figure_of_a_table_in_thousands_is_that_of_the_answer(assistant, models, shelf):
    shelf("papers", {"report.txt": "In thousands: the rent of the year was $4,120, that of the year before $3,900."})
    models.generator.script = [("", "The rent of the year was $4,120 thousand.")]
    assert ask(assistant, "What was the rent of the year?", "papers")[1].certainty == "sure"


def test_a_year_and_a_day_in_another_spelling_are_those_of_the_quote(assistant, models, shelf):
    shelf("papers", {"lease.txt": "The lease of Hall 3 was signed on 03/04/2019 by Orlo."})
    for question, answer in (
        ("In which year was the lease of Hall 3 signed?", "In 2019."),
        ("When was the lease of Hall 3 signed?", "On 3 April 2019."),
    ):
        models.generator.script = [("", answer)]
        assert ask(assistant, question, "papers")[1].certainty == "sure"


def test_a_firm_for_a_person_is_unclear_however_unlikely(assistant, models, lease, monkeypatch):
    monkeypatch.setattr(judging, "_ABSENT", judging._LACKING)
    models.generator.script = [("", "Orlo Ltd")]
    models.generator.weights = [("Does this passage state", "no")]
    assert ask(assistant, "Who signed the lease of Hall 3?", "lease")[1].certainty == "unclear"


GERMAN = "Der Mieter zahlt dem Vermieter für die Halle eine jährliche Miete. Hunde sind willkommen und bellen nicht."


def test_text_in_other_languages_is_compared_by_the_embedder_of_its_own_library_alone(
    assistant, lease, shelf, settings, monkeypatch
):
    shelf("miete", {"miete.txt": GERMAN})
    Editor.create(settings.library_dir("other"), "other", HashingEmbedder(sha256="1" * 64).identity).close()
    asked = lambda *names: assistant.prepare("Wie hoch ist die Miete?", names, Filter(), "auto", (), lambda: False)  # noqa: E731
    texts = [Text("", GERMAN, tuple(sentences(GERMAN)))]
    ((near, far),) = asked("miete").nearness(texts)
    assert near > far and not asked("miete", "other").nearness(texts)

    def refused(library):
        raise PolicyRefused("this embedder is not allowed")

    monkeypatch.setattr(assistant.searcher, "embedder", refused)
    assert not asked("miete").nearness(texts)
    assert asked("lease").nearness(texts)  # in English no embedder is needed

"""Instructions of a library shape the words of an answer, and nothing that is checked."""

import json

import pytest
from asking import LEASE, answered
from click.testing import CliRunner

from localrag import api
from localrag.cli.app import localrag
from localrag.errors import UsageError
from localrag.grounding import prompts as prompt
from localrag.llm import prompt_cache

WORDS = "Name the clause first."


@pytest.fixture
def papers(shelf, models):
    return shelf("papers", {"lease.txt": LEASE, "dogs.txt": "Dogs are kept on a lead."})


def run(*args):
    result = CliRunner().invoke(localrag, args)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_they_are_kept_shown_and_taken_back(papers):
    assert run("instruct", "papers").stdout == ""
    assert run("instruct", "papers", "Answer in\n German.").stdout == "Answer in German.\n"
    assert run("instruct", "papers").stdout == "Answer in German.\n"
    assert "Answer in German." in run("status", "papers").stdout
    assert json.loads(run("status", "papers", "--json").stdout)["instructions"] == "Answer in German."
    value = json.loads(run("instruct", "papers", "--clear", "--json").stdout)
    assert value == {"library": "papers", "instructions": "", "before": "Answer in German."}
    assert papers.instructions == ""


def test_they_come_from_a_file_and_survive_an_ingest(models, folder, tmp_path):
    library = api.open_library("contracts", create=True)
    library.ingest(folder({"a.txt": LEASE}))
    (tmp_path / "wording.txt").write_text("Cite clause numbers.\n", "utf-8")
    run("instruct", "contracts", "--file", str(tmp_path / "wording.txt"))
    library.ingest(folder({"b.txt": "Another text."}))
    assert library.instructions == "Cite clause numbers."
    library.close()


@pytest.mark.parametrize(("words", "why"), [(" \n ", "empty"), ("x" * 601, "601 characters")])
def test_what_is_empty_or_long_is_refused_and_the_old_ones_stay(papers, words, why):
    papers.instruct(WORDS)
    with pytest.raises(UsageError) as raised:
        run("instruct", "papers", words)
    assert why in raised.value.message and raised.value.hint
    assert papers.instructions == WORDS


def test_text_and_a_file_at_once_are_refused(papers, tmp_path):
    (tmp_path / "wording.txt").write_text("a", "utf-8")
    with pytest.raises(UsageError):
        run("instruct", "papers", WORDS, "--file", str(tmp_path / "wording.txt"))


def test_those_of_several_libraries_are_told_by_their_names(papers, shelf):
    other = shelf("people", {"a.txt": "Ann."})
    assert prompt.instructions_of([papers, other]) == ""
    papers.instruct("Answer in German.")
    assert prompt.instructions_of([papers]) == "Answer in German."
    assert prompt.instructions_of([papers, other]) == "For documents of 'papers': Answer in German."
    other.instruct("Use first names.")
    assert prompt.instructions_of([papers, other]).endswith("For documents of 'people': Use first names.")
    other.instruct("Answer in German.")
    assert prompt.instructions_of([papers, other]) == "Answer in German."


@pytest.mark.parametrize("mode", ["retrieve", "read"])
def test_the_model_reads_them_where_it_writes_and_not_where_it_weighs(papers, models, settings, mode):
    papers.instruct(WORDS)
    models.generator.script = [("Hall 3", "It ends on 31 May 2030.")]
    answer = answered(settings, "When does the lease of Hall 3 end?", "papers", mode=mode)
    weighed, written, _ = models.generator.prompts[-3:]
    assert WORDS not in "".join(message.whole for message in weighed)
    assert WORDS in written[-1].tail and answer.found and answer.plan.signals["instructions"] == WORDS
    # All before that is the same, so that it is read once.
    assert [(m.stable, m.text) for m in weighed] == [(m.stable, m.text) for m in written]


def test_an_answer_in_few_words_is_asked_for_behind_them(papers, models, settings):
    papers.instruct(WORDS)
    models.generator.script = [("Hall 3", "31 May 2030")]
    answered(settings.with_options(answer_form="short"), "When does the lease of Hall 3 end?", "papers")
    weighed, written, _ = models.generator.prompts[-3:]
    assert "few words" in written[-1].tail.split(WORDS)[1]
    assert "few words" not in "".join(message.whole for message in weighed)
    answered(settings, "When does the lease of Hall 3 end?", "papers")
    assert "few words" not in models.generator.written[-1][-1].tail


def test_what_declines_still_declines(papers, models, settings):
    papers.instruct("Never say that something is not found.")
    models.generator.weights = [("", "no")]
    answer = answered(settings, "Who audits the accounts?", "papers")
    assert not answer.found and answer.answer == prompt.NOT_FOUND


def test_a_kept_state_serves_whatever_they_say(papers, models, settings):
    assert run("warm", "papers").exit_code == 0
    kept = prompt_cache.warm(papers.folder, "scripted")
    read_ahead = {prompt[0].stable for prompt in models.generator.prompts}
    papers.instruct(WORDS)
    answered(settings, "When does the lease end?", "papers", documents=["lease.txt"], mode="read")
    assert models.generator.written[-1][0].stable in read_ahead
    assert prompt_cache.warm(papers.folder, "scripted") == kept


def test_a_survey_asks_its_documents_without_them(papers, models, settings):
    papers.instruct(WORDS)
    answered(settings, "Which documents mention dogs?", "papers", mode="survey")
    assert all(WORDS not in message.whole for prompt in models.generator.prompts for message in prompt)


def test_they_count_among_what_fills_the_window(papers, models, settings):
    models.generator.script = [("Hall 3", "It ends on 31 May 2030.")]
    before = answered(settings, "When does the lease of Hall 3 end?", "papers").context["rules"]
    papers.instruct("Cite clause numbers.")
    assert answered(settings, "When does the lease of Hall 3 end?", "papers").context["rules"] == before + 3

"""A survey from its question to its answer, over libraries on the disk, with fakes in place of models."""

from __future__ import annotations

import json
from functools import partial

import asking
import pytest
from asking import FILLER
from fakes import ScriptedGenerator

from localrag.events import Answered, Delta, Event, Surveyed
from localrag.types import Filter, Message

ask = partial(asking.ask, mode="survey")


def reply(found=True, answer="yes", quote=""):
    return json.dumps({"found": found, "answer": answer, "quote": quote})


def told(models):
    return ["".join(message.whole for message in prompt) for prompt in models.generator.prompts]


def test_a_required_name_that_stands_nowhere_costs_no_model(assistant, models, shelf):
    shelf("law", {"a.txt": "Governed by the law of Kansas.", "b.txt": f"{FILLER} Governed by the law of Delaware."})
    models.generator.script = [("", reply(quote="Governed by the law of Delaware"))]
    _, answer = ask(assistant, "Which agreements are governed by the law of Delaware?", "law")
    assert [(row["document"], row["found"], row["read"]) for row in answer.table] == [
        ("b.txt", True, "passages"),
        ("a.txt", False, "whole"),
    ]
    assert not any("Kansas" in text for text in told(models))
    assert [citation.document for citation in answer.citations] == ["b.txt"]


def test_the_law_of_a_nation_that_is_named_nowhere_costs_no_model(assistant, models, shelf):
    shelf("law", {"a.txt": "Governed by the law of Kansas.", "b.txt": "Governed by the laws of Ireland."})
    yes = json.dumps({"found": True, "answer": "Irish law", "quote": "Governed by the laws of Ireland"})
    models.generator.script = [("", yes)]
    _, answer = ask(assistant, "Which contracts are governed by Irish law?", "law")
    assert [row["found"] for row in answer.table] == [True, False]
    assert not any("Kansas" in message.whole for told in models.generator.prompts for message in told)


def test_a_contract_without_the_clause_costs_no_model(assistant, models, shelf):
    insured = (
        "Insurance. Supplier shall maintain comprehensive general liability insurance of $1,000,000 per occurrence."
    )
    shelf("supply", {"a.txt": FILLER, "b.txt": f"{FILLER} {insured}"})
    models.generator.script = [("", reply(quote=insured))]
    # In the words of the playbook, since the embedder of the tests knows words only.
    question = "Which contracts require a party to have insurance?"
    _, answer = ask(assistant, question, "supply")
    assert [(row["document"], row["found"]) for row in answer.table] == [("b.txt", True), ("a.txt", False)]
    assert all("Supplier" in text for text in told(models))


def test_a_survey_that_is_asked_again_costs_no_model_and_answers_the_same(assistant, models, shelf, put, settings):
    library = shelf("homes", {"a.txt": f"{FILLER} The kennel has a red roof.", "b.txt": FILLER})
    models.generator.script = [("", reply(quote="The kennel has a red roof"))]
    question = "Which documents mention a red roof?"
    _, first = ask(assistant, question, "homes")
    asked = len(models.generator.prompts)
    _, again = ask(assistant, question, "homes")
    assert asked and len(models.generator.prompts) == asked
    assert (again.answer, again.table, again.citations) == (first.answer, first.table, first.citations)
    put(library, "a.txt", f"{FILLER} The kennel has a green roof.")
    ask(assistant, question, "homes")
    assert any("green roof" in text for text in told(models)[asked:])
    assistant.configure(settings.with_options(strict=True))
    asked = len(models.generator.prompts)
    ask(assistant, question, "homes")
    assert len(models.generator.prompts) > asked


def test_short_documents_are_read_whole_and_long_ones_in_passages(assistant, models, shelf):
    shelf("two", {"long.txt": FILLER, "short.txt": "Rent is due. Dogs are welcome."})
    models.generator.weights = [("", "no")]
    _, answer = ask(assistant, "Which leases allow dogs?", "two")
    assert {row["document"]: row["read"] for row in answer.table} == {"long.txt": "passages", "short.txt": "whole"}
    assert [item.reason for item in answer.not_read] == [
        "1 document was not read whole, only the passages that fit best"
    ]
    assert any("Rent is due. Dogs are welcome." in text for text in told(models))
    assert answer.looked_at == "2 of 2 asked: 1 read whole, 1 in their best passages."


def test_what_code_alone_decides_is_not_called_read(assistant, models, shelf):
    shelf("two", {"long.txt": FILLER, "short.txt": "Rent is due. Dogs are welcome."})
    _, answer = ask(assistant, "Which leases name Quillfeather?", "two")
    assert told(models) == [] and answer.looked_at == "2 of 2 asked: 2 compared by code."


def test_the_likeliest_document_is_asked_first(assistant, models, shelf):
    texts = {f"{n}.txt": f"{FILLER[: 4000 + n]}" for n in range(4)} | {"zz.txt": FILLER + " Dogs and cats may be kept."}
    shelf("pets", texts)
    models.generator.weights = [("", "no")]
    events, answer = ask(assistant, "Which leases say that dogs and cats may be kept?", "pets")
    asked = [event.row["document"] for event in events if isinstance(event, Surveyed)]
    assert asked[0] == "zz.txt" and [row["document"] for row in answer.table] == sorted(texts)


def test_stopped_in_the_middle_it_says_what_was_asked_and_what_was_not(assistant, models, shelf):
    shelf("many", {f"{n}.txt": "Dogs are welcome." for n in range(4)})
    models.generator.script = [("", reply())]
    done: list[Event] = []
    last: Event | None = None
    for event in assistant.ask(
        "Which leases allow dogs?", libraries=["many"], mode="survey", stop=lambda: len(done) >= 2
    ):
        if isinstance(event, Surveyed):
            done.append(event)
        last = event
    assert isinstance(last, Answered)
    answer = last.answer
    assert answer.stopped and answer.answer.startswith("2 of 4 documents were asked. 2 of 2 leases answer")
    assert len(answer.table) == 2
    assert sorted(item.document for item in answer.not_read) == ["2.txt", "3.txt"]


def test_a_table_of_fields_looks_each_field_up(assistant, models, shelf):
    shelf("leases", {"a.txt": f"The tenant is Tess Orlo. {FILLER} The deposit is EUR 900."})
    for name, value in {"tenant": "Tess Orlo", "deposit": "EUR 900"}.items():
        reply = {"found": True, "answer": value, "quote": f"The {name} is {value}"}
        models.generator.script = [*models.generator.script, (f"What is the {name}", json.dumps(reply))]
    _, answer = ask(assistant, "List the tenant and deposit of every lease", "leases")
    (row,) = answer.table
    assert (row["tenant"], row["deposit"], row["answer"]) == (
        "Tess Orlo",
        "EUR 900",
        "tenant: Tess Orlo; deposit: EUR 900",
    )


def test_only_the_pages_asked_about_are_searched_for_a_name(assistant, models, shelf):
    shelf("paged", {"a.pdf": ["The law of Delaware.", "The law of Kansas."]})
    models.generator.script = [("", reply())]
    question = "Which agreements are governed by the law of Delaware?"
    assert ask(assistant, question, "paged", documents=Filter(pages=(1, 1)))[1].found
    assert not ask(assistant, question, "paged", documents=Filter(pages=(2, 2)))[1].found


# --- summaries ----------------------------------------------------------------------------------------------


class Reader(ScriptedGenerator):
    """Answers by the first pattern found in all that it was told: a document stands in the first message."""

    def generate(self, messages, **rest):
        yield from super().generate([Message("user", "".join(message.whole for message in messages))], **rest)


CHAPTERS = ["One. Dogs are kept on a lead.", "Two. Cats are not admitted."]


def test_a_document_that_fits_is_summarised_whole(assistant, models, shelf):
    shelf("book", {"a.pdf": CHAPTERS})
    models.generator.script = [("", "Dogs are kept on a lead and cats are not admitted.")]
    events, answer = ask(assistant, "Summarise this document", "book")
    assert len(models.generator.prompts) == 1 and answer.found
    assert answer.answer.startswith("Dogs are kept on a lead and cats are not admitted")
    assert {citation.page for citation in answer.citations} <= {1, 2} and answer.citations
    assert "".join(event.text for event in events if isinstance(event, Delta)).strip() == (
        "Dogs are kept on a lead and cats are not admitted."
    )
    assert [event.total for event in events if isinstance(event, Surveyed)] == [1]


def test_a_point_with_a_made_up_figure_has_a_mark(assistant, models, shelf):
    shelf("book", {"a.txt": "\n\n".join(f"Dogs of hall {n} pay EUR {n}. {FILLER[:1500]}" for n in range(6))})
    models.generator = Reader(script=[("hall 0", "Dogs of hall 0 pay EUR 0."), ("", "Dogs of hall 77 pay EUR 4,711.")])
    _, answer = ask(assistant, "Summarise this document", "book")
    assert answer.answer.startswith("- Dogs of hall 0 pay EUR 0 [1].\n- Dogs of hall 77")
    assert any("4,711" in flag.text for flag in answer.flags)


def test_a_document_without_text_has_no_summary(assistant, models, shelf):
    shelf("book", {"a.txt": "   "})
    _, answer = ask(assistant, "Summarise this document", "book")
    assert not answer.found and answer.answer == "The documents do not say." and not models.generator.prompts


@pytest.mark.parametrize(("pages", "joins"), [(6, False), (40, True)])
def test_a_document_is_summarised_in_points_from_all_its_parts(pages, joins, assistant, models, shelf):
    shelf("book", {"a.pdf": [f"Dogs of hall {n} are kept on a lead. " + FILLER[:2500] for n in range(pages)]})
    models.generator = Reader(
        window=1400,
        script=[
            ("Summaries of the parts", "Dogs of hall 0 are kept on a lead. Nobody pays."),
            ("hall 0", "Dogs of hall 0 are kept on a lead."),
            ("", "Nobody pays."),
        ],
    )
    events, answer = ask(assistant, "Summarise this document", "book")
    sections = [event for event in events if isinstance(event, Surveyed)]
    assert len(answer.table) == len(sections) and answer.table[0]["place"].startswith("p. 1")
    points = answer.answer.split("\n")
    assert 5 <= len(points) <= 8 and points[0].startswith("- Dogs of hall 0 are kept on a lead [1].")
    assert points[-1].startswith("- ") and f"p. {pages}" in points[-1]  # no sentence says so, so its pages do
    assert answer.citations[0].page == 1
    joined = [text for text in told(models) if "Summaries of the parts" in text]
    assert bool(joined) is joins and not any(FILLER[:200] in text for text in joined)


def test_a_folder_is_summarised_from_its_documents(assistant, models, shelf):
    library = shelf("book", {"dogs.txt": "Dogs are kept on a lead.", "cats.txt": "Cats are not admitted."})
    models.generator = Reader(
        script=[
            ("Summaries of the parts", "Dogs are kept on a lead. Cats are not admitted."),
            ("Document: dogs", "Dogs are kept on a lead."),
            ("", "Cats are not admitted."),
        ]
    )
    _, answer = ask(assistant, "Summarise this folder", "book")
    first, *rest = answer.answer.split("\n\n")
    assert first == "Dogs are kept on a lead [1]. Cats are not admitted [2]." and len(rest) == 2
    assert [citation.marker for citation in answer.citations] == [1, 2, 3, 4]
    for citation in answer.citations:
        page = library.pages(library.document(citation.document).id)[0]
        assert page.text[citation.start : citation.end] == citation.quote


def test_each_document_by_itself_gets_no_summary_of_all(assistant, models, shelf):
    shelf("book", {"dogs.txt": "Dogs are kept on a lead.", "cats.txt": "Cats are not admitted."})
    models.generator = Reader(script=[("Document: dogs", "Dogs are kept on a lead."), ("", "Cats are not admitted.")])
    _, answer = ask(assistant, "Summarise each of these documents", "book")
    assert answer.answer.split("\n\n") == [
        "cats.txt: Cats are not admitted [1].",
        "dogs.txt: Dogs are kept on a lead [2].",
    ]
    assert not any("Summaries of the parts" in text for text in told(models))


def test_a_stopped_summary_says_which_parts_are_missing(assistant, models, shelf):
    shelf("book", {"a.txt": "Dogs are kept.", "b.txt": "Cats are kept.", "c.txt": "Mice are kept."})
    models.generator.script = [("", "Animals are kept.")]
    done: list[Event] = []
    last: Event | None = None
    for event in assistant.ask("Summarise this folder", libraries=["book"], mode="survey", stop=lambda: len(done) >= 2):
        if isinstance(event, Surveyed):
            done.append(event)
        last = event
    assert isinstance(last, Answered) and last.answer.stopped
    assert last.answer.answer.startswith("2 of 3 parts were read")
    assert [item.document for item in last.answer.not_read] == ["c.txt"]

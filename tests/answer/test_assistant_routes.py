"""Which way a question takes through the assistant, and what it then says of it; with fakes in place of models."""

import pytest
from asking import DOGS, FILLER, LEASE, Keeping, ask, verified

from localrag.answer.assistant import Assistant
from localrag.search.retrieval import Searcher
from localrag.types import Filter, Turn


@pytest.fixture
def large(shelf):
    return shelf("large", {"leases/hall 3.txt": LEASE, "dogs.pdf": DOGS, "filler.txt": FILLER})


def test_of_many_documents_the_one_that_the_question_names_is_read(assistant, models, large):
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", "large", mode="read")
    told = "".join(models.generator.written[-1][0].stable)
    assert answer.plan.kind == "read" and LEASE in told and "kennel" not in told
    assert answer.plan.signals["pointed"] == ["leases/hall 3.txt"]
    assert answer.looked_at == "All of the text of “leases/hall 3.txt”; 2 other documents were not read."


def test_a_summary_takes_no_document_that_is_named_by_chance(assistant, models, shelf):
    lease = " ".join(f"The Zephyr lease tells tenants of hall {n} what clause {n} means for them." for n in range(150))
    shelf("two", {"Zephyr lease.txt": lease, "guests.txt": FILLER, "other.txt": FILLER[::-1]})
    models.generator.script = [("", "The Zephyr lease tells tenants what clauses mean.")]
    _, answer = ask(assistant, "Summarise the Zephyr lease for guests.", "two")
    assert answer.plan.signals["pointed"] == ["Zephyr lease.txt"]


def test_the_document_priced_for_reading_is_the_one_that_is_read(assistant, large):
    question = "What colour is the kennel?"
    _, answer = ask(assistant, question, "large", mode="retrieve")
    assert not answer.plan.signals.get("pointed")
    nearest, price = answer.plan.signals["nearest"], {cost.kind: cost for cost in answer.plan.costs}["read"]
    assert not price.why_not
    _, whole = ask(assistant, question, "large", mode="read")
    assert whole.plan.signals["pointed"] == [nearest]


def test_every_answer_says_what_was_looked_at_and_what_fills_the_window(assistant, models, large):
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", "large")
    assert "passage" in answer.looked_at and "of 3 documents" in answer.looked_at and "not read" in answer.looked_at
    assert set(answer.context) == {"rules", "documents", "history", "question", "free"}
    assert answer.context["documents"] > answer.context["question"] > 0 and answer.context["free"] > 0
    assert {cost.kind for cost in answer.plan.costs} == {"retrieve", "read", "survey", "exact"}


def test_what_a_long_conversation_leaves_out_of_the_prompt_is_said(assistant, models, large):
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    history = [Turn(f"What of clause {n} of the filler?", "It settles a matter. " * 30) for n in range(60)]
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", "large", history=history)
    assert answer.found and "Of the conversation:" in answer.looked_at and "left out" in answer.looked_at
    assert sum(answer.context.values()) <= models.generator.window


def test_a_follow_up_about_another_thing_takes_the_same_plan(assistant, models, large):
    models.generator.script = [("", "Dogs are kept on a lead.")]
    before = [Turn("Summarise the Hall 3 lease.", "It is about the lease of Hall 3.")]
    _, answer = ask(assistant, "And the dogs?", "large", history=before)
    assert answer.plan.kind == "survey" and answer.plan.signals["pointed"] == ["dogs.pdf"]
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", "large", history=before)
    assert answer.plan.kind == "retrieve"


def test_the_model_decides_whether_an_open_question_is_a_survey(assistant, models, large):
    question = "What rents are named in the leases?"
    models.generator.weights = [("^Question: What rents", "many")]
    assert ask(assistant, question, "large")[1].plan.kind == "survey"
    models.generator.weights = [("^Question: What rents", "one")]
    answer = ask(assistant, question, "large")[1]
    assert answer.plan.kind == "retrieve" and answer.tokens.prompt > models.generator.count(question)


def test_reproducible_leaves_speed_and_what_was_read_out_of_the_plan(assistant, models, large):
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", "large", reproducible=True)
    assert all(cost.seconds is None for cost in answer.plan.costs if cost.kind != "exact")
    assert "warm_tokens" not in answer.plan.signals or answer.plan.signals["warm_tokens"] == 0


def test_a_document_that_was_read_ahead_is_read_when_it_is_asked_about(assistant, models, shelf):
    shelf("long", {"lease.txt": f"{LEASE} {FILLER[:9000]}"})
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    question = "When does the lease of Hall 3 end?"
    assert ask(assistant, question, "long")[1].plan.kind == "retrieve"
    seen = list(assistant.read_ahead(libraries=["long"]))
    assert seen[-1].state == "kept" and seen[-1].piece.document.path == "lease.txt"
    _, answer = ask(assistant, question, "long")
    assert answer.plan.kind == "read" and "has been read before" in answer.plan.reason
    assert ask(assistant, question, "long", reproducible=True)[1].plan.kind == "retrieve"
    assert list(assistant.read_ahead(libraries=["long"])) == []


def test_a_draft_reads_the_prompt_of_the_question_and_records_nothing(assistant, models, large, settings):
    question = "When does the lease of Hall 3 end?"
    assert list(assistant.read_ahead(libraries=["large"], draft=question)) == []
    (ahead,) = models.generator.prompts
    assert not settings.audit_file.exists()
    ask(assistant, question, "large")
    assert models.generator.prompts[1] == ahead


def test_a_draft_that_points_to_a_whole_document_has_it_read_and_kept(assistant, models, shelf):
    shelf("two", {"lease.txt": f"{LEASE} {FILLER[:9000]}", "other.txt": FILLER[:9000]})
    list(assistant.read_ahead(libraries=["two"], draft="Find contradictions in lease.txt"))
    _, answer = ask(assistant, "Find contradictions in lease.txt", "two")
    assert answer.plan.kind == "read" and models.generator.written[-1][0] == models.generator.prompts[0][0]


def test_of_several_documents_the_one_that_was_cited_is_read_ahead(assistant, models, shelf):
    shelf("two", {"lease.txt": f"{LEASE} {FILLER[:9000]}", "other.txt": FILLER[:9000]})
    assert list(assistant.read_ahead(libraries=["two"])) == []
    seen = list(assistant.read_ahead(libraries=["two"], likely=[("two", "other.txt"), ("two", "lease.txt")]))
    assert {warmed.piece.document.path for warmed in seen} == {"other.txt"}
    assert list(assistant.read_ahead(libraries=["two"], likely=[("two", "lease.txt")], stop=lambda: True)) == []


def test_a_document_too_long_to_be_summarised_at_once_is_summarised_alone(assistant, models, shelf):
    shelf("two", {"hall 3 lease.txt": f"{LEASE} {FILLER} {FILLER}", "dogs.txt": "Dogs are kept on a lead."})
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    assistant.settings = assistant.settings.with_options(read_tokens=2000)
    _, answer = ask(assistant, "Summarise the Hall 3 lease.", "two")
    assert answer.plan.kind == "survey" and {row["document"] for row in answer.table} == {"hall 3 lease.txt"}


def test_the_best_part_of_a_document_too_long_is_read(assistant, models, shelf):
    library = shelf("long", {"rules.txt": f"{FILLER}\n\n{LEASE}\n\n{FILLER}"})
    models.generator.window = 2500
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", "long", mode="read")
    told = "".join(models.generator.written[-1][0].stable)
    assert answer.plan.kind == "read" and "part 8 of" in told and len(told) < len(FILLER)
    assert LEASE in told
    assert "the part of it" in answer.plan.reason and answer.looked_at.startswith("About ")
    verified(answer, library)


def test_what_was_kept_of_some_pages_is_not_taken_for_the_whole(assistant, models, shelf):
    shelf("paged", {"lease.pdf": [f"{LEASE} {FILLER[:9000]}", FILLER[:9000]]})
    models.generator = Keeping(script=[("", "The lease of Hall 3 ends on 31 May 2030.")])
    question = "When does the lease of Hall 3 end?"
    some = Filter(pages=(1, 1))
    assert ask(assistant, question, "paged", mode="read", documents=some)[1].plan.kind == "read"
    assert ask(assistant, question, "paged")[1].plan.kind == "retrieve"
    assert ask(assistant, question, "paged", mode="read")[1].plan.kind == "read"
    assert "has been read before" in ask(assistant, question, "paged")[1].plan.reason


def test_a_document_summarised_in_parts_does_not_count_as_read(assistant, models, shelf):
    shelf("long", {"lease.txt": f"{LEASE} {FILLER[:9000]}"})
    models.generator = Keeping(script=[("", "The lease of Hall 3 ends on 31 May 2030.")])
    assistant.settings = assistant.settings.with_options(read_tokens=1200)
    _, answer = ask(assistant, "Summarise the lease.", "long")
    assert answer.plan.kind == "survey" and len(answer.table) > 1
    assistant.settings = assistant.settings.with_options(read_tokens=8000)
    assert ask(assistant, "When does the lease of Hall 3 end?", "long")[1].plan.kind == "retrieve"


def test_a_document_that_only_mentions_another_is_not_meant(assistant, models, shelf):
    shelf(
        "contracts",
        {
            "master-services-agreement.txt": f"Master Services Agreement\n\n{LEASE}",
            "amendment.txt": f"Amendment to the Master Services Agreement\n\n{LEASE}",
            "dogs.txt": "Dogs are kept on a lead.",
        },
    )
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    for question, meant in (
        ("Summarise the master services agreement.", ["master-services-agreement.txt"]),
        ("Compare the amendment with the dogs.", ["amendment.txt", "dogs.txt"]),
    ):
        assert ask(assistant, question, "contracts")[1].plan.signals["pointed"] == meant


def test_the_setting_decides_how_sure_it_must_be(models, settings, large):
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    question = "When does the lease of Hall 3 end?"
    for least, found in ((0.0, True), (1.0, False)):
        asking = Assistant(settings.with_options(min_confidence=least))
        assert ask(asking, question, "large", mode="retrieve")[1].found == found


def test_a_document_that_is_added_during_a_question_is_left_to_the_next(assistant, models, shelf, put, monkeypatch):
    library = shelf("two", {"lease.txt": f"{LEASE} {FILLER[:9000]}", "other.txt": FILLER[:9000]})
    find = Searcher.find

    def find_late(self, *what, **how):
        if not any(document.path == "late.txt" for document in library.documents()):
            put(library, "late.txt", LEASE)
            library.save_index()
        return find(self, *what, **how)

    monkeypatch.setattr(Searcher, "find", find_late)
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", "two", mode="retrieve")
    assert answer.found and {passage.document for passage in answer.passages} <= {"lease.txt", "other.txt"}

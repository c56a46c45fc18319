"""A question, from its plan to its answer, with fakes in place of models."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from dataclasses import fields, replace

import pytest
from asking import DOGS, FILLER, LEASE, Keeping, ask, verified
from fakes import HashingEmbedder

from localrag import api, embeddings
from localrag.answer.assistant import Assistant
from localrag.errors import ModelError, NotFoundError, StorageError, UsageError
from localrag.events import Answered, Delta, Found, Notice, Planned, PromptRead, Surveyed
from localrag.grounding import prompts
from localrag.llm import loading, priority, prompt_cache
from localrag.security import audit, storage
from localrag.types import Answer, NotRead, SkippedPage, Turn


@pytest.fixture
def small(shelf):
    return shelf("small", {"leases/hall 3.txt": LEASE, "dogs.pdf": DOGS})


@pytest.fixture
def large(shelf):
    return shelf("large", {"leases/hall 3.txt": LEASE, "dogs.pdf": DOGS, "filler.txt": FILLER})


# --- the ways -----------------------------------------------------------------------------------------------


def test_a_look_up_in_much_text_is_answered_from_passages(assistant, models, large):
    models.generator.script = [("Hall 3", "It ends on 31 May 2030 [1].")]
    events, answer = ask(assistant, "When does the lease of Hall 3 end?", "large")
    assert answer.plan.kind == "retrieve"
    kinds = [type(event) for event in events if not isinstance(event, PromptRead)]
    assert kinds[:2] == [Planned, Found] and kinds[-1] is Answered and set(kinds[2:-1]) == {Delta}
    found = next(event for event in events if isinstance(event, Found))
    assert answer.passages == found.passages
    assert answer.found and [c.document for c in answer.citations] == ["leases/hall 3.txt"]
    assert answer.citations[0].quote == "The lease of Hall 3 ends on 31 May 2030."
    verified(answer, large)
    told = "".join(message.whole for message in models.generator.written[-1])
    assert LEASE in told and told.rstrip().endswith("When does the lease of Hall 3 end?")


def test_little_text_is_read_whole(assistant, models, small):
    models.generator.script = [("kennel", "The kennel is open from 9 to 5.")]
    events, answer = ask(assistant, "When is the kennel open?", "small")
    assert answer.plan.kind == "read" and not any(isinstance(event, Found) for event in events)
    told = models.generator.written[-1]
    stable = "".join(part for message in told for part in message.stable)
    assert all(text in stable for text in (LEASE, *DOGS)) and "kennel open?" not in stable
    assert [(c.document, c.page) for c in answer.citations] == [("dogs.pdf", 2)]
    verified(answer, small)


def test_what_does_not_fit_the_window_is_looked_up_instead_and_said(assistant, models, shelf):
    library = shelf("long", {"one.txt": f"{LEASE} {FILLER}", "other.txt": FILLER})
    models.generator.window = 1000
    models.generator.script = [("", "It ends on 31 May 2030.")]
    events, answer = ask(assistant, "Summarise both.", "long", mode="read")
    assert any(isinstance(event, Notice) for event in events)
    assert [event.plan.kind for event in events if isinstance(event, Planned)] == ["read", "retrieve"]
    assert answer.plan.kind == "retrieve" and "fit" in answer.plan.reason
    verified(answer, library)


def test_a_survey_asks_each_document_and_code_counts(assistant, models, shelf):
    texts = {f"lease {n}.txt": f"Lease {n} {'renews each year' if n % 2 else 'ends'}. {FILLER[:500]}" for n in range(5)}
    library = shelf("leases", texts)
    yes = json.dumps({"found": True, "answer": "yes", "quote": "renews each year"})
    models.generator.script = [("renews each year", yes)]
    models.generator.weights = [("renews each year", "yes"), ("", "no")]
    events, answer = ask(assistant, "Which leases renew?", "leases")
    assert answer.plan.kind == "survey"
    rows = [event for event in events if isinstance(event, Surveyed)]
    assert [(event.done, event.total) for event in rows] == [(n, 5) for n in range(1, 6)]
    assert [row["found"] for row in answer.table] == [True, True, False, False, False]
    assert answer.answer.startswith("2 of 5 ") and answer.found and len(answer.citations) == 2
    assert answer.tokens.prompt > 0
    verified(answer, library)


def test_a_survey_keeps_equal_paths_of_two_roots_apart(assistant, models, shelf, put):
    library = shelf("same", {"lease.txt": "Nothing of interest."})
    put(library, "lease.txt", "It renews each year.", root="/other")
    models.generator.script = [("It renews each year", json.dumps({"found": True, "answer": "yes", "quote": ""}))]
    models.generator.weights = [("renews each year", "yes"), ("", "no")]
    _, answer = ask(assistant, "Which lease renews?", "same", mode="survey")
    assert sorted(row["found"] for row in answer.table) == [False, True]


# --- what is found ------------------------------------------------------------------------------------------


def test_what_the_documents_do_not_say_is_not_found(assistant, models, small, large):
    for name in ("small", "large"):
        _, answer = ask(assistant, "Who won the race?", name)
        assert not answer.found and answer.citations == () and answer.answer


def test_several_libraries_are_asked_together(assistant, models, small, large):
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", ["small", "large"])
    assert {passage.library for passage in answer.passages} == {"small", "large"}
    verified(answer, small, large)


def test_what_could_not_be_read_is_said(assistant, models, small, put):
    put(small, "scan.pdf", ["Text.", ""], skipped=(SkippedPage(2, "has no text"),))
    small.note_failure("/root", "locked.pdf", "is encrypted")
    models.generator.script = [("", "The kennel is open from 9 to 5.")]
    _, answer = ask(assistant, "When is the kennel open?", "small")
    assert set(answer.not_read) == {
        NotRead("small", "scan.pdf", "has no text", 2),
        NotRead("small", "locked.pdf", "is encrypted"),
    }
    _, answer = ask(assistant, "When is the kennel open?", "small", documents=["dogs.pdf"])
    assert answer.not_read == ()


# --- stopping -----------------------------------------------------------------------------------------------


def test_stopped_while_writing_there_is_what_was_written(assistant, models, large):
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030. " * 20)]
    written: list[str] = []
    for event in assistant.ask("When does the lease end?", libraries=["large"], stop=lambda: len(written) > 9):
        if isinstance(event, Delta):
            written.append(event.text)
    assert isinstance(event, Answered) and event.answer.stopped
    assert "31 May 2030" in event.answer.answer and len(event.answer.answer) < 200
    verified(event.answer, large)


@pytest.mark.parametrize("mode", ["retrieve", "read", "survey"])
def test_stopped_at_once_it_ends_with_an_answer_that_says_so(assistant, models, large, mode):
    models.generator.window = 100_000
    _, answer = ask(assistant, "Which clause is it?", "large", mode=mode, stop=lambda: True)
    assert answer.stopped and not answer.found and answer.citations == ()


def test_cut_off_by_the_limit_it_says_so(settings, models, large):
    assistant = Assistant(replace(settings, answer_tokens=8))
    models.generator.script = [("", "word " * 100)]
    assert ask(assistant, "When does the lease end?", "large")[1].stopped
    assistant.close()


# --- what cannot be asked -----------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["", "  ", "\n\t"])
def test_an_empty_question_is_refused(assistant, models, small, question):
    with pytest.raises(UsageError) as raised:
        ask(assistant, question, "small")
    assert raised.value.hint and models.loaded == []


def test_what_is_not_there_is_named_with_what_to_do(assistant, models, small, shelf):
    with pytest.raises(NotFoundError) as raised:
        ask(assistant, "When?", "contracts")
    assert "contracts" in raised.value.message and raised.value.hint
    with pytest.raises(NotFoundError) as raised:
        ask(assistant, "When?", "small", documents=["leases/hall 4.txt"])
    assert "leases/hall 3.txt" in raised.value.hint
    shelf("empty", {})
    with pytest.raises(NotFoundError) as raised:
        ask(assistant, "When?", "empty")
    assert "localrag ingest" in raised.value.hint
    with pytest.raises(UsageError):
        list(assistant.ask("When?", libraries=[]))
    with pytest.raises(UsageError):
        ask(assistant, "When?", "small", mode="guess")
    with pytest.raises(UsageError):
        ask(assistant, "When?", "small", mode="exact")
    assert models.loaded == []


@pytest.mark.parametrize("mode", ["retrieve", "read", "survey"])
def test_a_question_longer_than_the_window_is_refused(assistant, models, large, mode):
    models.generator.window = 800
    with pytest.raises(ModelError) as raised:
        ask(assistant, "When does it end? " * 300, "large", mode=mode)
    assert "1,200" in raised.value.message and raised.value.hint


def test_history_longer_than_the_window_is_trimmed(assistant, models, large):
    models.generator.window = 1500
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    history = [Turn("What of the lease? " * 10, "It ends. " * 60)] * 30
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", "large", history=history)
    assert answer.found
    size = sum(models.generator.count(m.whole) for m in models.generator.written[-1])
    assert size <= 1500


# --- the answer as JSON -------------------------------------------------------------------------------------


def test_the_json_has_every_field_with_its_type(assistant, models, large):
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030 [1].")]
    _, answer = ask(assistant, "When does the lease of Hall 3 end?", "large")
    value = json.loads(json.dumps(answer.to_dict()))
    kinds = {
        "answer": str,
        "found": bool,
        "citations": list,
        "citations_dropped": int,
        "plan": dict,
        "not_read": list,
        "passages": list,
        "tokens": dict,
        "seconds": dict,
        "model": str,
        "embedder": str,
    }
    assert {name: type(value[name]) for name in kinds} == kinds
    citation = value["citations"][0]
    assert set(citation) >= {"library", "document", "page", "label", "place", "quote", "start", "end", "verified"}
    assert (citation["library"], citation["document"]) == ("large", "leases/hall 3.txt")
    assert citation["verified"] is True and citation["page"] is None
    assert type(citation["start"]) is type(citation["end"]) is int
    assert set(value["plan"]) == {"kind", "reason", "signals", "costs"}
    assert set(value["tokens"]) == {"prompt", "reused", "generated"} and value["tokens"]["generated"] > 0
    assert set(value["seconds"]) == {"route", "retrieve", "first_token", "total"}
    assert 0 <= value["seconds"]["route"] <= value["seconds"]["total"]
    assert value["seconds"]["first_token"] <= value["seconds"]["total"]
    assert (value["model"], value["embedder"]) == ("scripted", "hashing")
    assert set(value) >= {field.name for field in fields(Answer)}


def test_every_answer_is_noted_without_the_question_in_clear(assistant, models, small, settings):
    models.generator.script = [("", "The kennel is open from 9 to 5.")]
    ask(assistant, "When is the kennel open?", "small")
    raw = settings.library_audit_file("small").read_text()
    assert "kennel" not in raw
    (entry,) = audit.entries(settings.library_audit_file("small"))
    assert (entry.event, entry.library) == ("ask", "small") and entry.details["settings"]
    key = settings.library_audit_file("small").with_suffix(".key").read_bytes()
    assert entry.details["question_hmac"] == audit.words_hmac("When is the kennel open?", key)
    hashes = {document.sha256 for document in small.documents()}
    assert {shown.rpartition("#")[0] for shown in entry.details["shown"]} <= hashes and entry.details["shown"]
    assert audit.words_of(settings.library_audit_file("small"), entry) is None


def test_words_are_kept_beside_the_record_only_where_a_setting_says_so(models, small, settings):
    models.generator.script = [("", "The kennel is open from 9 to 5.")]
    own = Assistant(settings.with_options(audit_words="full"))
    ask(own, "When is the kennel open?", "small")
    (entry,) = audit.entries(settings.library_audit_file("small"))
    kept = audit.words_of(settings.library_audit_file("small"), entry)
    assert kept is not None and kept.question == "When is the kennel open?"
    own.close()


def test_an_answer_that_cannot_be_recorded_is_given_and_says_so(assistant, models, small, settings, monkeypatch):
    def full(path, line, **how):
        raise StorageError(f"the disk that holds {str(path)!r} is full", "Free some space.")

    monkeypatch.setattr(storage, "append_line", full)
    models.generator.script = [("", "The kennel is open from 9 to 5.")]
    events, answer = ask(assistant, "When is the kennel open?", "small")
    assert answer.found and answer.citations
    (notice,) = [event.text for event in events if isinstance(event, Notice)]
    assert "audit record lacks this question" in notice and "is full" in notice and "Free some space" in notice


def test_vectors_replaced_while_the_embedder_loads_stay_searchable(assistant, models, large, settings, monkeypatch):
    old, new = HashingEmbedder(), HashingEmbedder(64, sha256="3" * 64)
    calls = []

    def load(settings, identity=None):
        calls.append(identity)
        if len(calls) == 1:
            api.open_library("large", settings=settings).re_embed()
        return new if identity in (None, new.identity) else old

    monkeypatch.setattr(priority, "_MAX_WAIT", 0.0)  # as when questions go on for minutes
    monkeypatch.setattr(storage, "_PATIENCE", 0.3)
    monkeypatch.setattr(embeddings, "load_embedder", load)
    assert (
        assistant.search("When does the lease of Hall 3 end?", libraries=["large"])[0].document == "leases/hall 3.txt"
    )
    assert (
        assistant.search("When does the lease of Hall 3 end?", libraries=["large"])[0].document == "leases/hall 3.txt"
    )
    assert calls == [old.identity, None, new.identity]


# --- kept states --------------------------------------------------------------------------------------------


def kept(home):
    return b"".join(path.read_bytes() for path in home.rglob("*.state"))


def test_what_is_forgotten_leaves_no_kept_state_in_another_library(assistant, models, shelf, home):
    from localrag import api

    shelf("first", {"a.txt": "Something of no interest."})
    shelf("second", {"secret.txt": "The canaryword is here."})
    models.generator = Keeping(script=[("", "The canaryword is here.")])
    assert ask(assistant, "Where is the canaryword?", ["first", "second"])[1].plan.kind == "read"
    api.open_library("second").forget()
    assert b"canaryword" not in kept(home)


def test_what_the_prompt_cache_takes_is_said_once_for_each_library(assistant, models, shelf, small):
    models.generator = Keeping(script=[("", "The kennel is open from 9 to 5.")])

    def notices(library):
        return [
            event.text for event in ask(assistant, "When is the kennel open?", library)[0] if isinstance(event, Notice)
        ]

    shelf("other", {"dogs.pdf": DOGS})
    first, again, other = notices("small"), notices("small"), notices("other")
    assert len(first) == len(other) == 1 and not again
    assert "of small is kept" in first[0] and "cache_bytes" in first[0] and "of other is kept" in other[0]
    assert prompt_cache.usage(small.folder)[1] > 0


# --- models -------------------------------------------------------------------------------------------------


def test_models_and_libraries_are_loaded_once(assistant, models, large):
    for _ in range(3):
        ask(assistant, "When does the lease end?", "large")
    assert sorted(models.loaded) == ["embedder", "generator"]
    assert assistant.load() == "scripted"


def test_a_missing_model_ends_it_with_its_hint(assistant, models, large, monkeypatch):
    def missing(settings):
        raise ModelError("no model is installed", "localrag models install")

    monkeypatch.setattr(loading, "load_generator", missing)
    with pytest.raises(ModelError):
        ask(assistant, "When does the lease end?", "large")


def test_search_loads_no_model_that_answers(assistant, models, large):
    found = assistant.search("lease of Hall 3", libraries=["large"], k=3)
    assert found[0].document == "leases/hall 3.txt" and models.loaded == ["embedder"]


def test_an_explanation_is_asked_for_in_full_only_when_writing(assistant, models, large):
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    for question, full in (("How does the lease of Hall 3 end?", True), ("When does the lease of Hall 3 end?", False)):
        ask(assistant, question, "large", mode="retrieve")
        assert ("Explain it with all" in models.generator.written[-1][-1].tail) is full
        assert "Explain it" not in models.generator.prompts[0][-1].tail


@pytest.mark.parametrize(
    ("question", "form", "together"),
    [
        ("Explain the lease of Hall 3.", "sentences", True),
        ("Explain the lease of Hall 3.", "short", False),
        ("When does the lease of Hall 3 end?", "sentences", False),
    ],
)
def test_passages_are_read_together_for_an_explanation(settings, models, large, question, form, together):
    with closing(Assistant(replace(settings, answer_form=form))) as assistant:
        ask(assistant, question, "large", mode="retrieve")
    assert any(message.blocks for message in models.generator.written[-1]) is not together


@pytest.mark.parametrize(
    ("question", "apart", "pruned"),
    [
        ("When does the lease of Hall 3 end?", True, False),
        ("When does the lease of Hall 3 end?", False, True),
        ("Explain the lease of Hall 3.", True, True),
    ],
)
def test_only_passages_that_are_read_anew_lose_sentences(settings, models, shelf, question, apart, pruned):
    terms = " ".join(f"A tenant keeps window {n} of its building clean all year." for n in range(4))
    others = {f"{n}.txt": f"{terms} Hall {n} has a lease, too." for n in range(9)}
    library = shelf("halls", {"hall 3.txt": LEASE, **others})
    models.generator.apart = apart
    models.generator.script = [("", "The lease of Hall 3 ends on 31 May 2030.")]
    with closing(Assistant(replace(settings, prompt_tokens=300))) as assistant:
        _, answer = ask(assistant, question, "halls", mode="retrieve")
    told = "".join(message.whole for message in models.generator.written[-1])
    assert LEASE in told and answer.citations[0].document == "hall 3.txt"
    verified(answer, library)
    whole = [passage for passage in answer.passages if passage.text in told]
    assert (len(whole) < len(answer.passages)) is pruned


@pytest.mark.parametrize(("window", "again"), [(4096, True), (700, False)])
def test_the_best_sentences_come_once_more_for_a_short_answer_where_they_fit(settings, models, large, window, again):
    with closing(Assistant(replace(settings, answer_form="short", passages=100))) as assistant:
        models.generator.window, models.generator.apart = window, True
        ask(assistant, "What does clause 7 settle?", "large", mode="retrieve")
    (last,) = models.generator.written[-1][-1:]
    assert (prompts.WORDS["highlights"] in last.text) is again
    assert models.generator.count(last.whole) < models.generator.window


def test_asking_imports_at_most_84_modules_of_ours():
    code = (
        "import sys, localrag.api, localrag.answer.assistant\n"
        "print(sum(name.split('.')[0] == 'localrag' for name in sys.modules))"
    )
    counted = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(counted.stdout) <= 84

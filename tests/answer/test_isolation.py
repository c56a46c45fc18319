"""A question stays in the libraries that were named: nothing of another is searched, read, kept, corrected by, recorded
or opened for it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from fakes import ScriptedGenerator

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.errors import LocalragError, NotFoundError
from localrag.lifecycle import encrypt
from localrag.llm import Prefix, PromptCache, prompt_cache
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.search import retrieval
from localrag.security import audit
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.sessions import store_of
from localrag.store.names import DATABASE
from localrag.types import MODES, Answer, Plan, Turn

CANARY = "zanzibarquill"
SHARED = "The tariff of both parties is printed on the last page of the yearly report. " * 40
NORTH = {"lease.txt": "The rent of Orlo House is 4,100 a month.", "shared.txt": SHARED}
SOUTH = {
    "lease.txt": f"The rent of {CANARY} House is 9,900 a month. The deposit is 12,345.",
    f"{CANARY}.txt": f"The {CANARY} deposit, and when it is due.",
    "shared.txt": SHARED,
}
QUESTIONS = (
    f"What is the deposit of {CANARY} House?",
    "How many documents mention 'deposit'?",
    f'Find "{CANARY}"',
    "Summarise the leases",
    "List the rent of every document",
)


@dataclass
class Recorded(ScriptedGenerator):
    """Keeps where the states of what it was given to read would lie."""

    stores: list[PromptCache] = field(default_factory=list)

    def generate(self, messages, **how):
        if how.get("cache") is not None:
            self.stores.append(how["cache"])
        return super().generate(messages, **how)


@pytest.fixture(autouse=True)
def may_be_looked_at(monkeypatch):
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    unlocked.forget()
    yield
    unlocked.forget()
    unlocked.set_key_source(None)


@pytest.fixture
def both(shelf, models):
    """Two matters in one home, one document in both."""
    for name, documents in (("north", NORTH), ("south", SOUTH)):
        library = shelf(name, documents)
        library.instruct(f"Speak of {name}.")
        library.close()


@pytest.fixture
def asked(both, settings):
    model = Recorded([("rent", "It is 4,100 [1].")])
    assistant = Assistant(settings, model)
    yield assistant, model
    assistant.close()


def answered(assistant, question, *libraries, **how):
    return list(assistant.ask(question, libraries=libraries, **how))[-1].answer


def encrypted(folder):
    credential = keyrings.RecoveryKey(b"k" * 32)
    for _ in encrypt.encrypt(
        folder, lambda keyring, key: keyring.with_credential(key, "us", credential), lambda: False
    ):
        pass


@pytest.mark.parametrize("mode", MODES)
def test_nothing_of_another_library_is_found_read_or_said(asked, mode):
    assistant, model = asked
    for question in QUESTIONS:
        plain = question.replace(CANARY, "Tess")
        events: list[Any] = []
        with suppress(LocalragError):  # not a question for that way
            events += assistant.ask(plain, libraries=["north"], mode=mode)
        said = "".join(map(repr, events))
        assert CANARY not in said and "12,345" not in said and "south" not in said
    assert not any(
        CANARY in message.whole or "south" in message.whole for prompt in model.prompts for message in prompt
    )


def test_searching_naming_and_narrowing_stay_in_the_library(asked):
    assistant, _ = asked
    found = assistant.search(f"deposit of {CANARY} House", libraries=["north"], k=50)
    assert {hit.library for hit in found} <= {"north"} and not any(CANARY in hit.text for hit in found)
    assert any(CANARY in hit.text for hit in assistant.search(f"deposit of {CANARY} House", libraries=["south"]))
    with pytest.raises(NotFoundError) as raised:
        assistant.search("deposit", libraries=["north"], documents=[f"{CANARY}.txt"])
    assert f"{CANARY}.txt" not in raised.value.hint  # no near name of another library is offered


def test_words_are_put_right_by_the_words_of_the_library_alone(asked):
    assistant, _ = asked
    slip = CANARY.replace("bar", "bra")
    assert assistant.spelled(f"the {slip} rent", ["south"]) == f"the {CANARY} rent"
    assert assistant.spelled(f"the {slip} rent", ["north"]) == f"the {slip} rent"
    assert retrieval.spelled([assistant.library("north")], f"the {slip} rent") == f"the {slip} rent"


def test_a_prompt_cache_entry_is_not_shared_between_libraries(asked, settings):
    assistant, model = asked
    answered(assistant, "What does the report say of the tariff?", "north", mode="read", documents=["shared.txt"])
    folders = {store._folder for store in model.stores if isinstance(store, DiskPromptCache)}
    assert folders == {settings.library_dir("north") / prompt_cache.FOLDER}
    prefix, north, south = Prefix((1, 2), (2,), 1), *map(settings.library_dir, ("north", "south"))
    DiskPromptCache(north, "scripted", ["hash of shared.txt"], 1 << 20).put(prefix, memoryview(b"state"))
    assert prompt_cache.kept(north, "scripted") and not prompt_cache.kept(south, "scripted")
    assert not DiskPromptCache(south, "scripted", ["hash of shared.txt"], 1 << 20).has(prefix)
    pairs = [
        (assistant.library("south"), document) for document in assistant.library("south").documents(["shared.txt"])
    ]
    assert assistant.cached_tokens(pairs) == 0


def test_a_prompt_over_several_libraries_is_cached_in_none(asked):
    assistant, _ = asked
    pairs = [(assistant.library(name), assistant.library(name).document("shared.txt")) for name in ("north", "south")]
    assert assistant.cache(pairs) is None and assistant.cached_tokens(pairs) == 0


def test_a_library_that_is_not_named_is_not_even_opened(asked, settings):
    assistant, _ = asked
    (settings.library_dir("south") / DATABASE).write_bytes(b"what would be met if it were opened")
    shutil.rmtree(settings.library_dir("south") / "sessions", ignore_errors=True)
    assert "4,100" in answered(assistant, "What is the rent of Orlo House?", "north").answer
    assert api.open_library("north", settings=settings).search("rent")


def test_the_key_of_a_library_that_is_not_named_is_not_asked_for(asked, settings):
    encrypted(settings.library_dir("south"))
    unlocked.forget()

    def asks(folder, keyring, person):
        raise AssertionError(f"the key of {folder.name} was asked for")

    unlocked.set_key_source(asks)
    assistant, _ = asked
    assert "4,100" in answered(assistant, "What is the rent of Orlo House?", "north").answer
    store = store_of(settings)
    store.append(store.ask(store.new(("north",)), "How much?"), Answer("How much?", "4,100", True, Plan("read", "")))
    assert [one.libraries for one in store.list() if not one.problem] == [("north",)]


def test_the_audit_record_of_another_library_shows_nothing(asked, settings):
    assistant, _ = asked
    question = "What is the rent of Orlo House?"
    answered(assistant, question, "north")
    assert not settings.library_audit_file("south").exists() and not settings.audit_file.exists()
    answered(assistant, question, "south")
    marks = [
        next(audit.entries(settings.library_audit_file(name))).details["question_hmac"] for name in ("north", "south")
    ]
    assert marks[0] != marks[1]


def test_words_of_an_encrypted_library_are_kept_with_it_alone(asked, settings):
    encrypted(settings.library_dir("south"))
    assistant, _ = asked
    assistant.configure(replace(settings, audit_words="full"))
    answered(assistant, "What is the rent of Orlo House?", "north", "south")
    assert not (settings.library_dir("north") / audit.WORDS_FOLDER).exists()
    assert list((settings.library_dir("south") / audit.WORDS_FOLDER).iterdir())
    everything = b"".join(p.read_bytes() for p in settings.library_dir("north").rglob("*") if p.is_file())
    assert CANARY.encode() not in everything


def test_conversations_stay_with_their_library(both, settings):
    store = store_of(settings)
    for name in ("north", "south"):
        session = store.ask(store.new((name,)), f"A question of {name}")
        assert (settings.library_dir(name) / "sessions" / f"{session.id}.json").is_file()
    assert len(list(settings.library_dir("north").glob("sessions/*.json"))) == 1
    assert not list(settings.sessions_dir.glob("*.json"))


def test_what_is_forgotten_in_one_library_is_read_into_another(both, settings, folder):
    papers = folder({"plan.txt": "The plan of Tess House."})
    for name in ("north", "south"):
        api.open_library(name, settings=settings).ingest(papers)
    api.open_library("north", settings=settings).forget(["plan.txt"])
    for name in ("north", "south"):
        api.open_library(name, settings=settings).ingest(papers)
    held = {
        name: [doc.path for doc in api.open_library(name, settings=settings).documents()] for name in ("north", "south")
    }
    assert "plan.txt" not in held["north"] and "plan.txt" in held["south"]


def test_what_is_known_of_the_model_holds_no_word_of_any_library(asked, settings):
    assistant, _ = asked
    answered(assistant, "What is the rent of Orlo House?", "south")
    outside = [path for path in settings.indexes_dir.parent.rglob("*") if path.is_file()]
    outside = [path for path in outside if settings.library_dir("south") not in path.parents]
    assert not any(CANARY.encode() in path.read_bytes() for path in outside)


def test_a_follow_up_uses_its_own_conversation_alone(asked):
    assistant, model = asked
    answered(assistant, "What is the deposit?", "south")
    del model.prompts[:]
    answered(assistant, "And the rent?", "north", history=[Turn("What is Orlo House?", "A house.")])
    assert not any("12,345" in message.whole for prompt in model.prompts for message in prompt)

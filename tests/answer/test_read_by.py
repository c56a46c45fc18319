"""Answers whose model is on a server in the house: they say which machine read the text, and nothing is cached here."""

import math
import sys
from pathlib import Path

import fake_endpoint
import pytest
from asking import DOGS, LEASE, ask
from fake_endpoint import events, ok, said
from fakes import HashingEmbedder

from localrag import embeddings
from localrag.answer.assistant import Assistant
from localrag.errors import UsageError
from localrag.events import Notice
from localrag.grounding import annotations
from localrag.models import endpoint
from localrag.security import audit
from localrag.sessions import export
from localrag.sessions.session_store import SavedTurn, Session
from localrag.worker.engine import Engine

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Python on Windows has no Unix sockets")
CHAT = "/v1/chat/completions"


def answering(body):
    if body.get("stream"):
        return events(said("The lease of Hall 3 ends on 31 May 2030.", "stop"))
    listed = [{"token": word, "logprob": math.log(share)} for word, share in (("yes", 0.9), ("no", 0.1))]
    return ok({"choices": [{"message": {"content": "yes"}, "logprobs": {"content": [{"top_logprobs": listed}]}}]})


@pytest.fixture
def server(short, monkeypatch):
    monkeypatch.setattr(embeddings, "load_embedder", lambda settings, identity=None: HashingEmbedder())
    fake = fake_endpoint.at_unix(short / "socket")
    fake.replies[CHAT] = answering
    yield fake
    fake.listener.close()
    endpoint.model_at.cache_clear()


@pytest.fixture
def served(settings, server, shelf):
    shelf("papers", {"lease.txt": LEASE, "dogs.txt": DOGS[0]})
    return settings.with_options(generator_server=server.url)


def test_an_answer_says_which_machine_read_the_text(served, server):
    where = server.url.removeprefix("unix://")
    _, answer = ask(Assistant(served), "When does the lease of Hall 3 end?", "papers", mode="retrieve")
    assert (answer.found, answer.model, answer.read_by) == (True, "small", where)
    assert answer.confidence is not None and answer.to_dict()["read_by"] == where
    assert where in annotations.cost(answer)
    entry = list(audit.entries(served.library_audit_file("papers")))[-1]
    assert entry.details["read_by"] == where
    assert not list((served.library_dir("papers") / "cache").glob("**/*.*"))  # no state of the model is kept here


def test_what_code_answers_was_read_by_no_other_machine(served, server):
    _, answer = ask(Assistant(served), 'Which documents mention "lease"?', "papers")
    assert (answer.plan.kind, answer.read_by) == ("exact", "") and server.bodies(CHAT) == []
    assert "read_by" not in list(audit.entries(served.library_audit_file("papers")))[-1].details


def test_without_likelihoods_the_answer_has_no_confidence_and_says_why(served, server):
    def silent(body):
        return answering(body) if body.get("stream") else ok({"choices": [{"message": {"content": "no"}}]})

    server.replies[CHAT] = silent
    found, answer = ask(Assistant(served), "When does the lease of Hall 3 end?", "papers", mode="retrieve")
    assert answer.found and answer.confidence is None and "holds_answer" not in answer.plan.signals
    assert any(isinstance(event, Notice) and "likelihoods" in event.text for event in found)


def test_nothing_is_sent_before_a_question_is_asked(served, server):
    assistant = Assistant(served)
    assert list(assistant.read_ahead(libraries=["papers"], draft="When does the lease")) == []
    assert list(assistant.read_ahead(libraries=["papers"], likely=[("papers", "lease.txt")])) == []
    with pytest.raises(UsageError):
        list(assistant.warm("papers"))
    assert server.bodies(CHAT) == server.bodies("/tokenize") == []


def test_a_whole_document_is_read_by_the_server_too(served, server):
    _, answer = ask(Assistant(served), "When does the lease end?", "papers", mode="read", documents=["lease.txt"])
    assert answer.plan.kind == "read" and answer.read_by
    assert any(LEASE in message["content"] for message in server.bodies(CHAT)[0]["messages"])


def test_a_screen_offers_the_models_of_the_server(served, server):
    server.replies["/v1/models"] = ok({"data": [{"id": "small"}, {"id": "large"}]})
    engine = Engine(served.with_options(generator="large"))
    assert engine.models() == ("small", "large") and engine.load() == "large"
    assert engine.contents("papers").documents
    server.listener.close()
    Path(server.url.removeprefix("unix://")).unlink()
    assert engine.models() == ()  # a conversation can be read all the same
    engine.close()


def test_an_export_of_a_conversation_names_the_machine(served):
    _, answer = ask(Assistant(served), "When does the lease of Hall 3 end?", "papers", mode="retrieve")
    turn = SavedTurn(answer.question, "2026-11-28T08:00:00+00:00", answer)
    exported = export.written(Session("1", "Lease", ("papers",), turn.time, (turn,)), "md").decode()
    assert f"read by {answer.read_by}" in exported.replace("\\", "")

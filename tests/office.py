"""A small library, questions about it, and fakes in the place of models; for the tests of `eval`."""

import json
import re

import pytest
from fakes import HashingEmbedder, HashingSentences, ScriptedGenerator

from localrag import api, embeddings
from localrag.llm import loading
from localrag.search import retrieval
from localrag.settings import Settings

LEASE = (
    "Lease of the harbour office.\n\nThe monthly rent is EUR 2,450 and is due on the first day of the month.\n\n"
    "Either party may end the lease with ninety days' written notice.\n"
)
POLICY = "Travel policy.\n\nRail journeys are booked in second class. Taxis need the consent of the head of unit.\n"
MINUTES = "Minutes of the board.\n\fThe board met on 4 May.\n\fThe board chose Ada Quill as its treasurer.\n"


def known(id, category, question, answer, doc, evidence, page=None, **more):
    given = {"question": question, "answer": answer, "doc": doc, "evidence": evidence, "page": page}
    return {"id": id, "category": category, **given, **more}


RENT = ("EUR 2,450", "contracts/lease.txt", "The monthly rent is EUR 2,450")
CHOSEN = ("Ada Quill", "minutes.txt", "The board chose Ada Quill as its treasurer.")
TAXI = ("The head of unit", "policy.txt", "Taxis need the consent of the head of unit.")
QUESTIONS = [
    known("rent", "amount", "What is the monthly rent?", *RENT),
    known("treasurer", "name", "Who was chosen as treasurer of the board?", *CHOSEN, page=3),
    known("taxi", "name", "Whose consent do taxis need?", *TAXI),
    known("parking", "absent", "How many parking spaces are there?", "", None, "", answerable=False),
]


@pytest.fixture(name="documents")
def make_documents(tmp_path):
    folder = tmp_path / "documents"
    (folder / "contracts").mkdir(parents=True)
    for name, text in (("contracts/lease.txt", LEASE), ("policy.txt", POLICY), ("minutes.txt", MINUTES)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(name="dataset")
def make_dataset(documents):
    return write(documents / "qa.jsonl", QUESTIONS)


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(name="model")
def make_model():
    return ScriptedGenerator(
        [
            ("Question: What is the monthly rent", "The monthly rent is EUR 2,450 [1]."),
            ("Question: Who was chosen", "Ada Quill was chosen [1]."),
            ("Question: Whose consent", "It needs the consent of the Pope."),
        ]
    )


def asked(model):
    found = [re.findall(r"Question: ([^\n]+)", messages[-1].text)[-1] for messages in model.written]
    model.written.clear()
    return list(dict.fromkeys(found))


@pytest.fixture(name="settings")
def make_settings(tmp_path, documents, model, monkeypatch):
    monkeypatch.setenv("LOCALRAG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(embeddings, "load_embedder", lambda settings, identity=None: HashingEmbedder())
    monkeypatch.setattr(retrieval, "SentenceEncoder", HashingSentences)
    monkeypatch.setattr(loading, "load_generator", lambda settings: model)
    monkeypatch.setattr(loading, "generator_identity", lambda settings: "scripted")
    made = Settings(home=tmp_path / "home")
    api.open_library("office", settings=made, create=True).ingest(documents)
    return made

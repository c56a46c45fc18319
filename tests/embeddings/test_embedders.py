"""Vectors: unit length, in order, known by who made them, and the same from onnxruntime as from sentence-transformers.

Everything that imports torch is in this file, so that one process of the run imports it.
"""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from embedder_checks import sound
from tiny_encoders import encoder
from tiny_models import Bench, card, transformer

from localrag.embeddings import EmbedderIdentity, SentenceTransformerEmbedder, load_embedder, quiet_torch
from localrag.embeddings.embedders import OnnxEmbedder
from localrag.errors import Cancelled, EmbedderMismatch, ModelError
from localrag.models import catalog
from localrag.models.manage import ModelManager
from localrag.models.records import ModelStore
from localrag.security.offline import kernel

CLAUSE = (
    "The Supplier shall give the Customer not less than ninety (90) days' written notice of any change to the Charges. "
)
VARIED = [
    *("", " ", "42", "?!", "§ 14(2)(b)", "naïve café", "👩🏽‍⚖️", "[SEP] [MASK] [CLS]", "a" * 300, "\n\n\t"),
    *(
        "Die Frist beträgt drei Monate.",
        "Договор вступает в силу.",
        "本合同自双方签字之日起生效。",
        "החוזה מסתיים במאי.",
    ),
    "| Item | Qty |\n| --- | --- |\n| Paper A4 | 12 |\n| Toner | 2 |",
    CLAUSE * 4,
    "Vertrag " * 250,
]


@pytest.fixture
def embedder(settings):
    made = load_embedder(settings)
    assert isinstance(made, OnnxEmbedder)
    return made


@pytest.mark.model
def test_it_does_what_every_embedder_does_and_a_vector_depends_on_its_text_alone(embedder, settings):
    sound(embedder)
    model = ModelStore(settings).get("all-minilm-l6-v2")
    assert embedder.identity == EmbedderIdentity(model.id, model.sha256, "int8", "onnxruntime", 384)
    assert embedder.max_tokens == 254 and embedder.count("word " * 1000) == 1000
    together = embedder.embed_documents(VARIED)
    for text, row in zip(VARIED, together, strict=True):
        assert np.array_equal(row, embedder.embed_documents([text])[0])
        assert np.array_equal(row, embedder.embed_question(text))


@pytest.mark.model
@pytest.mark.slow
def test_it_agrees_with_sentence_transformers_and_their_libraries_stay_with_them(embedder, settings):
    model = ModelStore(settings).get("all-minilm-l6-v2")
    theirs = SentenceTransformerEmbedder(model.id, model.path, model.sha256, "float32")
    assert theirs.identity == EmbedderIdentity(model.id, model.sha256, "float32", "sentence-transformers", 384)
    assert embedder.max_tokens == theirs.max_tokens
    for text in VARIED:
        assert embedder.count(text) == theirs.count(text), text
    cosines = (embedder.embed_documents(VARIED) * theirs.embed_documents(VARIED)).sum(axis=1)
    worst = int(cosines.argmin())
    assert cosines[worst] >= 0.97, (cosines[worst], VARIED[worst])
    assert cosines.mean() >= 0.99
    loaded = load_embedder(settings, theirs.identity)
    assert isinstance(loaded, SentenceTransformerEmbedder) and loaded.identity == theirs.identity
    assert load_embedder(settings, embedder.identity).identity == embedder.identity


LOADS = """
import sys
from localrag.embeddings import load_embedder
from localrag.settings import load_settings
assert load_embedder(load_settings()).embed_question("When does the lease end?").shape == (384,)
print(sorted({"torch", "transformers", "sentence_transformers", "onnx", "huggingface_hub"} & set(sys.modules)))
"""


@pytest.mark.model
@pytest.mark.slow
def test_loading_it_loads_no_torch(home):
    done = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr
    assert done.stderr == ""


def test_a_model_that_needs_torch_says_so_where_there_is_none(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match="PyTorch"):
        quiet_torch()


def test_a_fast_form_that_is_broken_or_gone_says_how_to_get_it(tmp_path, settings):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ModelError) as raised:
        OnnxEmbedder("broken", tmp_path, tmp_path / "model.onnx", "0" * 64)
    assert "localrag models verify broken" in raised.value.hint
    model = ModelManager(settings).import_path(transformer(tmp_path / "emb"))
    with pytest.raises(EmbedderMismatch) as raised:
        load_embedder(settings, EmbedderIdentity("emb", model.sha256, "int8", "onnxruntime", 384))
    assert "localrag models install emb" in raised.value.hint
    for other in ("0" * 64, "sentence-transformers"), (model.sha256, "another-engine"):
        with pytest.raises(EmbedderMismatch) as raised:
            load_embedder(settings, EmbedderIdentity("emb", other[0], "float32", other[1], 384))
        assert "--re-embed" in raised.value.hint


@pytest.mark.model
def test_it_embeds_in_a_thread_of_its_own_and_a_stop_costs_the_texts_at_hand(embedder, monkeypatch):
    """With AMX, onnxruntime changes the tile registers of its thread, and llama.cpp then writes nonsense there."""
    threads = []
    vector = embedder._vector
    monkeypatch.setattr(embedder, "_vector", lambda text: threads.append(threading.get_ident()) or vector(text))
    embedder.embed_question("When does the lease end?")
    embedder.embed_documents(["The lease ends in May."])
    assert len(threads) == 2 and threading.get_ident() not in threads
    begun = []

    def counted(text):
        begun.append(text)
        return vector(text)

    monkeypatch.setattr(embedder, "_vector", counted)
    with pytest.raises(Cancelled):
        embedder.embed_documents([CLAUSE] * 400, stop=lambda: len(begun) > 2)
    assert len(begun) < 16


@pytest.mark.model
@pytest.mark.parametrize(
    ("family", "pooling", "normalise"),
    [
        ("bert", "cls", False),
        pytest.param("distilbert", "mean", True, marks=pytest.mark.slow),
        pytest.param("roberta", "cls", True, marks=pytest.mark.slow),
        pytest.param("xlm-roberta", "mean", False, marks=pytest.mark.slow),
    ],
)
def test_each_family_of_models_gets_a_true_onnx_form(tmp_path, family, pooling, normalise):
    import onnx

    bench = Bench(tmp_path / "bench")
    model = bench.store.import_path(encoder(tmp_path, family, pooling, normalise=normalise), id="tiny")
    assert model.onnx is not None
    operators = [node.op_type for node in onnx.load(model.onnx).graph.node]
    assert operators.count("QAttention") == 2  # else the optimizer did not know the graph
    texts = ["the lease ends in may", "notice. " * 60, "", "of the supplier"]
    fast = OnnxEmbedder(model.id, model.path, model.onnx, model.sha256)
    slow = SentenceTransformerEmbedder(model.id, model.path, model.sha256, "float32")
    assert (fast.embed_documents(texts) * slow.embed_documents(texts)).sum(axis=1).min() > 0.97
    assert fast.max_tokens == slow.max_tokens == 62
    assert [fast.count(text) for text in texts] == [slow.count(text) for text in texts]
    assert np.allclose(np.linalg.norm(fast.embed_documents(texts), axis=1), 1, atol=1e-5)


@pytest.mark.model
@pytest.mark.slow
def test_the_catalogs_prefixes_are_part_of_the_onnx_form(tmp_path, monkeypatch):
    folder = encoder(tmp_path)
    plain = Bench(tmp_path / "plain").store.import_path(folder, id="tiny")
    prefixes = {"query_prefix": "the ", "passage_prefix": "a "}
    monkeypatch.setattr(catalog, "CATALOG", (card("tiny", kind="embedder", **prefixes),))
    model = Bench(tmp_path / "bench").store.import_path(folder, id="tiny")
    assert model.onnx is not None and plain.onnx is not None
    fast, bare = (OnnxEmbedder(one.id, one.path, one.onnx, one.sha256) for one in (model, plain) if one.onnx)
    slow = SentenceTransformerEmbedder(model.id, model.path, model.sha256, "float32", model.prefixes)
    assert fast.identity.prefix == slow.identity.prefix == "a " and fast.max_tokens == bare.max_tokens - 1
    assert np.array_equal(fast.embed_question("lease"), bare.embed_question("the lease"))
    assert np.array_equal(fast.embed_documents(["lease"]), bare.embed_documents(["a lease"]))
    for made in (fast.embed_question("may"), slow.embed_question("may")):
        assert made @ fast.embed_question("may") > 0.97


@pytest.mark.model
@pytest.mark.slow
def test_a_tokenizer_that_disagrees_gets_no_onnx_form(tmp_path):
    bench = Bench(tmp_path / "bench")
    folder = encoder(tmp_path)
    said = json.loads((folder / "tokenizer.json").read_text())
    said["post_processor"] = None  # without the markers at the ends
    (folder / "tokenizer.json").write_text(json.dumps(said))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": "BertTokenizer"}))
    model = bench.store.import_path(folder, id="tiny", say=bench.said.append)
    assert model.onnx is None and "warning" in bench.said[-1], bench.said


# --- libraries that report on their users are kept from it, also where nobody confines -------------------------------

# A graph of one addition; `confine` without the switches keeps the control from sending anything.
SESSION = """
import sys
from localrag.security import offline
if "control" in sys.argv:
    offline.confine(without=["switches"])
else:
    offline.set_switches("ORT_DISABLE_TELEMETRY")
import onnx, onnxruntime
from onnx import TensorProto, helper
one = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
two = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [one], [two])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
print(session.run(None, {"x": __import__("numpy").ones(1, "float32")})[0])
"""


def left_by_onnxruntime(home, *arguments):
    """What a run of it leaves in an empty home folder: the name of this machine, and reports that wait to be sent."""
    home.mkdir()
    # Not those that say it is a test, under which it reports nothing.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    environment = {**kept, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", SESSION, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout == "[2.]\n", done.stderr
    return sorted(path.name for path in home.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm")))


@pytest.mark.skipif(kernel.machine() is None, reason="its control is only safe under the filter of Linux")
def test_onnxruntime_keeps_no_name_of_this_machine_and_reports_nothing(tmp_path):
    assert left_by_onnxruntime(tmp_path / "one") == []
    assert left_by_onnxruntime(tmp_path / "two", "control") == ["deviceid", "onnxruntime.db"]


def test_the_embedder_sets_the_switch_before_it_loads_onnxruntime():
    code = """
import os, sys
from pathlib import Path
class Stop:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))
            os._exit(0)
sys.meta_path.insert(0, Stop())
from localrag.embeddings.embedders import OnnxEmbedder
OnnxEmbedder("x", Path(), Path(), "")
"""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout == "1\n", done.stderr

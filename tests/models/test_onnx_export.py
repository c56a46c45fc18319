"""The ONNX form: when it is made, kept, checked and made again. tests/embeddings makes real ones."""

import json

import pytest
from tiny_models import Bench, card, sha256, transformer, wheel

from localrag.errors import ModelDamaged, ModelError
from localrag.models import WheelSource, onnx_export
from localrag.models.records import ONNX

pytestmark = pytest.mark.slow

FITTING = {
    "modules.json": json.dumps(
        [{"type": f"sentence_transformers.models.{name}"} for name in ("Transformer", "Pooling")]
    ),
    "config.json": json.dumps({"model_type": "bert"}),
    "tokenizer.json": "{}",
}


def fitting(folder, **changes):
    return transformer(folder, **{name: data.encode() for name, data in {**FITTING, **changes}.items()})


@pytest.fixture
def maker(monkeypatch):
    def answer(result):
        def made(model, work, prefixes):
            (work / "traced.onnx").write_bytes(b"half-made")
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr(onnx_export, "_made", made)

    return answer


def files(bench):
    return {path.relative_to(bench.root).as_posix() for path in bench.root.rglob("*") if "onnx" in path.name}


def test_an_import_makes_the_fast_form_that_never_travels_and_verify_covers_it(bench, tmp_path, maker):
    maker(b"graph")
    model = bench.store.import_path(fitting(tmp_path / "emb"), say=bench.said.append)
    assert bench.said == ["emb: making its ONNX form"]
    assert model.onnx is not None and model.onnx.read_bytes() == b"graph"
    assert files(bench) == {"emb/onnx", f"emb/{ONNX}"} and bench.store.get("emb") == model
    maker(b"graph of the other machine")
    arrived = Bench(tmp_path / "other").store.import_path(model.path, id="emb")
    assert arrived.onnx is not None and arrived.onnx.read_bytes() == b"graph of the other machine"
    model.onnx.write_bytes(b"forged")
    [found] = bench.store.verify("emb")
    assert ONNX in found.problem
    with pytest.raises(ModelDamaged) as raised:
        bench.store.get("emb")
    assert "emb" in raised.value.hint


def test_a_damaged_fast_form_is_made_anew_without_fetching(bench, offer, wheels, maker):
    maker(b"graph")
    pins = {**{name: data.encode() for name, data in FITTING.items()}, "model.safetensors": b"w"}
    wheel(wheels, "emb", "1.0", {f"emb/m/{name}": data for name, data in pins.items()})
    source = WheelSource(("emb==1.0",), "emb/m/", tuple(pins))
    offer(card("emb", source, kind="embedder", sha256=sha256(b"w")))
    model = bench.install("emb")
    assert model.onnx is not None
    (wheels / "emb-1.0-py3-none-any.whl").unlink()
    model.onnx.write_bytes(b"forged")
    bench.said.clear()
    again = bench.install("emb")
    assert again.onnx is not None and again.onnx.read_bytes() == b"graph"
    assert bench.said == ["emb: already installed", "emb: making its ONNX form"]
    (model.path / "model.safetensors").write_bytes(b"forged")
    with pytest.raises(ModelError):  # the weights cannot be made here
        bench.install("emb")


def test_a_model_from_before_gets_it_by_installing_again(bench, tmp_path, maker):
    maker(RuntimeError("no torch"))
    bench.store.import_path(fitting(tmp_path / "emb"))
    assert bench.store.get("emb").onnx is None
    maker(b"graph")
    assert bench.store.has_known_hash("emb")
    model = bench.install("emb")
    assert model.onnx is not None and model == bench.store.get("emb")
    bench.said.clear()
    bench.install("emb")
    assert bench.said == ["emb: already installed"]


def test_a_failing_or_stopped_export_leaves_nothing(bench, tmp_path, maker):
    maker(RuntimeError("opset 99\nand a long trace"))
    model = bench.store.import_path(fitting(tmp_path / "emb"), say=bench.said.append)
    assert model.onnx is None and files(bench) == set()
    assert "warning" in bench.said[-1] and bench.said[-1].endswith("sentence-transformers (opset 99)")
    assert [found.problem for found in bench.store.verify()] == [""]
    bench.store.remove("emb")
    maker(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        bench.store.import_path(tmp_path / "emb")
    assert bench.names() == set()
    maker(RuntimeError("later"))
    bench.store.import_path(tmp_path / "emb")
    maker(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        bench.install("emb")
    assert bench.names() == {"emb"} and files(bench) == set()
    assert bench.store.get("emb").onnx is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config.json": '{"model_type": "qwen3"}'}, "architecture is qwen3"),
        (
            {"modules.json": '[{"type": "x.Transformer"}, {"type": "x.Pooling"}, {"type": "x.Dense"}]'},
            "Transformer + Pooling + Dense",
        ),
        ({"modules.json": "[]"}, "pipeline is empty"),
        ({"modules.json": "[1]"}, "cannot be read"),
        ({"config.json": "[]"}, "cannot be read"),
    ],
)
def test_other_kinds_of_embedders_stay_with_sentence_transformers(bench, tmp_path, maker, changes, reason):
    maker(AssertionError("must not be tried"))
    model = bench.store.import_path(fitting(tmp_path / "emb", **changes), say=bench.said.append)
    assert model.onnx is None and reason in bench.said[-1]

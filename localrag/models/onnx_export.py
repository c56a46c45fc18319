"""The ONNX form of an embedder: its whole sentence-transformers pipeline as one graph with 8-bit weights.

It is made once, on this machine, from the verified weights, and kept only if it gives the same tokens as
sentence-transformers for every probe below, and vectors with a cosine of at least 0.97 to the float32 ones. Encoders
of the BERT family with pooling and normalisation. Making it needs torch; running it (embeddings/embedders.py) does not.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from localrag.models.records import ONNX, Manifest, copy_hashed, prompts_of
from localrag.security import storage

_FAMILY = {"bert", "distilbert", "roberta", "xlm-roberta"}
_PIPELINES = (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
_MIN_COSINE = 0.97
FUSED = "fused.onnx"
_OPSET = 17
_PROBES = (
    "",
    "Notice",
    "The Supplier shall give not less than ninety (90) days' written notice of termination under clause 14.2(b).",
    "Das Mietverhältnis endet am 31. Mai; die Kündigungsfrist beträgt drei Monate.",
    "La résiliation prend effet à l’échéance du délai prévu à l’article 12. ¿Cuándo termina el contrato?",
    "本合同自双方签字之日起生效。 Договор вступает в силу с даты подписания. 契約は終了する。",
    "👩🏽‍⚖️ €1,250.00 (incl. 19 % VAT) ½ ﬁnal [MASK] <tag> www.x.example/a_b?c=d#e",
    "| Item | Qty | Price |\n| --- | --- | --- |\n| Paper A4 | 12 | 3.50 |\n| Toner | 2 | 89.00 |",
    "The committee considered the annual report, the auditor's opinion and the budget of the coming year. " * 60,
)


def added(record: Manifest, folder: Path, work: Path, say: Callable[[str], None]) -> Manifest:
    """Make the ONNX form in `folder`, by way of `work`, and add it to the record, or say why it cannot be made."""
    if record.kind != "embedder" or record.main.endswith(".gguf"):
        return record
    obstacle = _obstacle(folder / record.main)
    if obstacle:
        say(f"{record.id}: runs on sentence-transformers, because {obstacle}")
        return record
    say(f"{record.id}: making its ONNX form")
    try:
        with quiet():
            graph = _made(folder / record.main, work, record.model(folder).prefixes)
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        say(f"{record.id}: warning: its ONNX form was not made, so it runs on sentence-transformers ({reason})")
        return record
    with storage.create(folder / ONNX) as out:
        entry = copy_hashed([graph], out)
    return replace(record, files={**record.files, ONNX: entry})


def _obstacle(model: Path) -> str:
    """Return why this folder can have no ONNX form, or ""; reads two small files and loads nothing."""
    try:
        pipeline = [str(part["type"]).rpartition(".")[2] for part in json.loads((model / "modules.json").read_bytes())]
        family = json.loads((model / "config.json").read_bytes()).get("model_type")
        if not (model / "tokenizer.json").is_file():
            return "it has no tokenizer.json"
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"its description cannot be read ({error})"
    if pipeline not in _PIPELINES:
        return f"its pipeline is {' + '.join(pipeline) or 'empty'}"
    return "" if family in _FAMILY else f"its architecture is {family}"


def _made(model: Path, work: Path, prefixes: tuple[str, str]) -> bytes:
    transformer = trace(model, work, prefixes)
    description = _description(transformer)
    graph = quantised(work, description)
    _compare(transformer, model, graph, description)
    return graph


def trace(model: Path, work: Path, prefixes: tuple[str, str] = ("", "")) -> Any:
    """Write the fused float32 graph of the pipeline to `work / FUSED`; return the pipeline."""
    import torch
    from onnxruntime.transformers.optimizer import optimize_model
    from sentence_transformers import SentenceTransformer

    # The fusion below knows "eager" attention; torch's own becomes many small steps.
    transformer = SentenceTransformer(
        str(model),
        device="cpu",
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"dtype": torch.float32, "attn_implementation": "eager", "use_safetensors": True},
        prompts=prompts_of(prefixes),
    ).eval()
    _export(transformer, work / "traced.onnx")
    config = transformer[0].auto_model.config
    # Without the heads it silently leaves the attention unfused.
    fused = optimize_model(
        str(work / "traced.onnx"),
        model_type="bert",
        opt_level=0,
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
    )
    fused.save_model_to_file(str(work / FUSED))
    return transformer


def _description(transformer: Any) -> dict[str, str]:
    """Return what the embedder needs besides the weights; the graph keeps it as metadata."""
    prompts = transformer.prompts or {}
    if transformer.default_prompt_name is not None or any(
        getattr(transformer[0], name, None) for name in ("do_lower_case", "query_length", "document_length")
    ):
        raise ValueError("it prepares texts in its own way")
    document = next((prompts[name] for name in ("document", "passage", "corpus") if prompts.get(name)), "")
    if (document or prompts.get("query")) and not transformer[1].include_prompt:
        raise ValueError("it leaves its prompts out of the mean")
    return {
        "max_tokens": str(int(transformer.max_seq_length or 512)),
        "dimension": str(int(transformer.get_embedding_dimension())),
        "question_prompt": prompts.get("query", ""),
        "document_prompt": document,
    }


def _export(transformer: Any, target: Path) -> None:
    import torch

    class Pipeline(torch.nn.Module):
        """From token ids to the vector, through every part of the pipeline."""

        def __init__(self) -> None:
            super().__init__()
            self.parts = transformer

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            for part in self.parts:
                features = part(features)
            return features["sentence_embedding"]

    ids = transformer.tokenizer(["one text", "and a longer one"], padding=True, return_tensors="pt")
    texts, tokens = "texts", "tokens"
    with torch.inference_mode():
        # The newer exporter (dynamo) needs the package onnxscript, and gives the same graph after fusion.
        torch.onnx.export(
            Pipeline().eval(),
            (ids["input_ids"], ids["attention_mask"]),
            str(target),
            dynamo=False,
            opset_version=_OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["vector"],
            dynamic_axes={
                "input_ids": {0: texts, 1: tokens},
                "attention_mask": {0: texts, 1: tokens},
                "vector": {0: texts},
            },
        )


def quantised(work: Path, description: dict[str, str], *, throughout: bool = False) -> bytes:
    """Return the graph `work / FUSED` with 8-bit weights, some in float32 unless `throughout`, and its metadata."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # `reduce_range` is 7-bit weights: without VNNI, two 8-bit products are added in 16 bits, which can overflow.
    quantize_dynamic(
        work / FUSED,
        work / "int8.onnx",
        nodes_to_exclude=[] if throughout else _left_in_float(onnx.load(work / FUSED).graph),
        op_types_to_quantize=["MatMul", "Attention", "Gather", "EmbedLayerNormalization"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    model = onnx.load(work / "int8.onnx")
    for name, value in description.items():
        model.metadata_props.add(key=name, value=value)
    graph: bytes = model.SerializeToString()
    return graph


def _left_in_float(graph: Any) -> list[str]:
    """Return the narrowing products of the feed-forward layers, in the first half of the layers.

    Their inputs vary most, and later layers multiply their errors: in float32, the worst cosine to
    sentence-transformers rises from 0.963 to 0.981 and the mean from 0.987 to 0.992, for 6 to 9 % of the speed.
    """
    shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    narrowing = [
        node.name
        for node in graph.node
        if node.op_type == "MatMul" and len(shape := shapes.get(node.input[1], ())) == 2 and shape[0] > shape[1]
    ]
    return narrowing[: (len(narrowing) + 1) // 2]


def _compare(transformer: Any, model: Path, graph: bytes, description: dict[str, str]) -> None:
    """Raise ValueError unless graph and tokenizer.json agree with sentence-transformers."""
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    limit = int(description["max_tokens"])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    for probe in _PROBES:
        text = description["document_prompt"] + probe
        ids = transformer.tokenizer(text, truncation=True, max_length=limit)["input_ids"]
        mine = tokenizer.encode(text).ids
        if ids != (mine if len(mine) <= limit else [*mine[: limit - 1], mine[-1]]):
            raise ValueError("its tokenizer.json gives other tokens than sentence-transformers")
        row = np.array([ids], np.int64)
        vector = session.run(None, {"input_ids": row, "attention_mask": np.ones_like(row)})[0][0]
        wanted = transformer.encode_document([probe], show_progress_bar=False)[0]
        cosine = float(vector @ wanted / max(np.linalg.norm(vector) * np.linalg.norm(wanted), 1e-12))
        if not cosine >= _MIN_COSINE:
            raise ValueError(f"in 8 bits its vectors have cosine {cosine:.3f} to the float32 ones")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings of five libraries, which are for their developers."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

"""Train the reranker on what the search finds: a small cross-encoder whose score is added to the search's.

    python training/reranker.py train WORK [--layers 6] [--frozen 2] [--minutes 60]
    python training/reranker.py validate WORK

WORK/groups/*.jsonl come from `data.py`. The first layers of MiniLM read question and passage together; a
linear head gives one number f, and the loss is that of choosing a right passage by softmax(beta * search + f), so that
f learns what the search's score lacks. Unanswerable questions count by a second loss: sigmoid(beta * search + f - c).
WORK/checkpoint.pt is written every three minutes and at SIGTERM; the same command goes on from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

# Threads that wait for each other by spinning made a step three times as dear on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

HEADS, WIDTH = 12, 384
MAX_QUESTION, MAX_TOKENS = 64, 288
# Passages of a question in one step, and questions in one step.
GROUP, QUESTIONS = 6, 6
RATE, WARM_UP, AVERAGE = 1e-4, 60, 0.997
BETA = 12.0  # where beta begins: what a difference of 1 in the search's score is worth
ABSOLUTE = 0.15  # the weight of the second loss
CHECKPOINT_SECONDS = 180


class Layer(nn.Module):
    """A layer of BERT over packed texts: nothing is padded."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)
        self.last = nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        parts = []
        for piece in self.qkv(x).split(list(lengths)):
            q, k, v = piece.view(1, -1, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
            parts.append(functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, WIDTH))
        x = self.norm(x + self.out(torch.cat(parts)))
        return self.last(x + self.down(functional.gelu(self.up(x))))


class Reranker(nn.Module):
    """The model: embeddings and the first `frozen` layers stay as they are."""

    def __init__(self, weights: dict[str, Tensor], layers: int, frozen: int) -> None:
        super().__init__()
        self.words = nn.Parameter(weights["embeddings.word_embeddings.weight"], requires_grad=False)
        self.positions = nn.Parameter(weights["embeddings.position_embeddings.weight"], requires_grad=False)
        self.kinds = nn.Parameter(weights["embeddings.token_type_embeddings.weight"].clone(), requires_grad=False)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        _fill(self.norm, weights, "embeddings.LayerNorm")
        self.layers = nn.ModuleList(_layer(weights, i) for i in range(layers))
        self.frozen = frozen
        for part in (self.norm, *self.layers[:frozen]):
            part.requires_grad_(False)
        self.head = nn.Linear(2 * WIDTH, WIDTH)
        self.score = nn.Linear(WIDTH, 1)
        nn.init.normal_(self.score.weight, std=0.02)
        nn.init.zeros_(self.score.bias)
        self.beta, self.cut = nn.Parameter(torch.tensor(BETA)), nn.Parameter(torch.tensor(7.0))

    def forward(self, ids: Tensor, kinds: Tensor, lengths: Sequence[int]) -> Tensor:
        """Return f of each text; `ids` and `kinds` are all texts' tokens in a row."""
        positions = torch.cat([torch.arange(n) for n in lengths])
        with torch.no_grad():
            x = self.norm(self.words[ids] + self.positions[positions] + self.kinds[kinds])
            x = x.bfloat16() if torch.is_autocast_enabled("cpu") else x
            for layer in self.layers[: self.frozen]:
                x = layer(x, lengths)
        for layer in self.layers[self.frozen :]:
            x = layer(x, lengths)
        pieces = x.split(list(lengths))
        pooled = torch.stack([torch.cat((one[0], one.mean(0))) for one in pieces])
        return self.score(functional.gelu(self.head(pooled)))[:, 0].float()


def _fill(part: nn.Module, weights: dict[str, Tensor], name: str) -> None:
    part.weight.data, part.bias.data = weights[f"{name}.weight"], weights[f"{name}.bias"]


def _layer(weights: dict[str, Tensor], i: int) -> Layer:
    layer, base = Layer(), f"encoder.layer.{i}"
    own = [f"{base}.attention.self.{name}" for name in ("query", "key", "value")]
    layer.qkv.weight.data = torch.cat([weights[f"{name}.weight"] for name in own])
    layer.qkv.bias.data = torch.cat([weights[f"{name}.bias"] for name in own])
    _fill(layer.out, weights, f"{base}.attention.output.dense")
    _fill(layer.norm, weights, f"{base}.attention.output.LayerNorm")
    _fill(layer.up, weights, f"{base}.intermediate.dense")
    _fill(layer.down, weights, f"{base}.output.dense")
    _fill(layer.last, weights, f"{base}.output.LayerNorm")
    return layer


class Pairs:
    """Turns questions and passages into tokens."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._ends = self._tokenizer.token_to_id("[CLS]"), self._tokenizer.token_to_id("[SEP]")

    def __call__(self, question: str, texts: Sequence[str]) -> list[tuple[list[int], int]]:
        """Return the tokens of each pair, and how many of them belong to the question."""
        cls, sep = self._ends
        asked = self._tokenizer.encode(question, add_special_tokens=False).ids[:MAX_QUESTION]
        start = [cls, *asked, sep]
        room = MAX_TOKENS - len(start) - 1
        rest = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [([*start, *one.ids[:room], sep], len(start)) for one in rest]


def packed(pairs: Sequence[tuple[list[int], int]]) -> tuple[Tensor, Tensor, list[int]]:
    """Return tokens, kinds and lengths of pairs in a row."""
    ids = torch.tensor([id for tokens, _ in pairs for id in tokens])
    kinds = torch.tensor([int(i >= first) for tokens, first in pairs for i in range(len(tokens))])
    return ids, kinds, [len(tokens) for tokens, _ in pairs]


def read_groups(work: Path, *, held_out: bool) -> list[dict[str, Any]]:
    """Return the questions of the held-out documents (one in fifteen), or those of the others."""
    groups = []
    for path in sorted((work / "groups").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            group = json.loads(line)
            if (int(hashlib.sha256(group["doc"].encode()).hexdigest(), 16) % 15 == 0) == held_out:
                groups.append(group)
    return groups


def hashes(work: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of groups."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((work / "groups").glob("*"))}


def sampled(group: dict[str, Any], rng: random.Random) -> tuple[list[int], list[bool]]:
    """Return passages of a question for one step, and which are right: the best by the search more often."""
    right = [i for i, mark in enumerate(group["labels"]) if mark == 1]
    wrong = [i for i, mark in enumerate(group["labels"]) if mark == 0]
    count = GROUP - 1 if right else GROUP // 2
    order = sorted(wrong, key=lambda i: i + rng.expovariate(1 / 8))[:count]
    kept = rng.sample(right, 1) if right else []
    return kept + order, [True] * len(kept) + [False] * len(order)


def worth(group: dict[str, Any]) -> float:
    """Return how often a question is asked: less if the search settles it already, or if nothing answers it."""
    right = [mark == 1 for mark in group["labels"]]
    if len(right) < 2 or all(right):
        return 0.0
    if not any(right):
        return 0.0 if group["answerable"] else 0.4
    shares = (BETA * torch.tensor(group["scores"])).softmax(0)
    return min(1.0, 1.15 - float(shares[torch.tensor(right)].sum()))


def stream(groups: Sequence[dict[str, Any]], seed: int, skipped: int = 0) -> Iterator[dict[str, Any]]:
    """Yield questions without end, the same ones for the same seed, from the given one on."""
    worths = [worth(group) for group in groups]
    if not any(worths):
        raise SystemExit("none of the questions can be learnt from")
    for epoch in count():
        rng = random.Random(f"{seed} {epoch}")
        order = list(range(len(groups)))
        rng.shuffle(order)
        for i in order:
            if rng.random() < worths[i]:
                skipped -= 1
                if skipped < 0:
                    yield groups[i]


def losses(model: Reranker, pairs: Pairs, groups: Sequence[dict[str, Any]], rng: random.Random) -> Tensor:
    """Return the loss of one step."""
    rows = [(group, *sampled(group, rng)) for group in groups]
    tokens = [pair for group, kept, _ in rows for pair in pairs(group["question"], [group["texts"][i] for i in kept])]
    f = model(*packed(tokens))
    chosen, absolute, at = [], [], 0
    for group, kept, right in rows:
        total = f[at : at + len(kept)] + model.beta * torch.tensor([group["scores"][i] for i in kept])
        if any(right):
            chosen.append(-total.log_softmax(0)[0])
        absolute.append(functional.binary_cross_entropy_with_logits(total - model.cut, torch.tensor(right).float()))
        at += len(kept)
    first = torch.stack(chosen).mean() if chosen else torch.zeros(())
    return first + ABSOLUTE * torch.stack(absolute).mean()


class Training:
    """The state of a run, which a checkpoint keeps."""

    def __init__(self, work: Path, base: Path, layers: int, frozen: int, seed: int) -> None:
        self.file, self.seed = work / "checkpoint.pt", seed
        torch.manual_seed(seed)
        self.model = Reranker(load_file(base / "model.safetensors"), layers, frozen)
        moving = [one for one in self.model.parameters() if one.requires_grad]
        scalars = [self.model.beta, self.model.cut]
        rest = [one for one in moving if one.ndim]
        self.optimizer = torch.optim.AdamW(
            [{"params": rest, "weight_decay": 0.01}, {"params": scalars, "lr": 0.01, "scale": 100.0}], lr=RATE,
            fused=True,
        )  # fmt: skip
        self.step, self.seconds = 0, 0.0
        self.average = {name: one.detach().clone() for name, one in self.model.named_parameters() if one.requires_grad}
        # Each state of the data, and the step from which it was used.
        self.data = [[0, hashes(work)]]
        self.about = {"layers": layers, "frozen": frozen, "seed": seed,
                      "base": hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest()}  # fmt: skip
        if self.file.exists():
            self._load()

    def _load(self) -> None:
        state = torch.load(self.file, weights_only=True)
        if state["about"] != self.about:
            raise SystemExit(f"{self.file} belongs to another run: {state['about']}")
        self.model.load_state_dict(state["model"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.average, self.step, self.seconds = state["average"], state["step"], state["seconds"]
        if state["data"][-1][1] != self.data[0][1]:
            self.data = [*state["data"], [self.step, self.data[0][1]]]
        else:
            self.data = state["data"]

    def save(self) -> None:
        new = self.file.with_suffix(".new")
        moving = {name: one for name, one in self.model.state_dict().items() if name in self.average}
        torch.save({"about": self.about, "data": self.data, "model": moving, "average": self.average, "step": self.step,
                    "optimizer": self.optimizer.state_dict(), "seconds": self.seconds}, new)  # fmt: skip
        new.replace(self.file)

    def rate(self) -> float:
        return min(1.0, (self.step + 1) / WARM_UP) * RATE

    def take(self, pairs: Pairs, groups: Sequence[dict[str, Any]]) -> float:
        """Make one step and return its loss."""
        began = time.perf_counter()
        for part in self.optimizer.param_groups:
            part["lr"] = self.rate() * part.get("scale", 1.0)
        with torch.autocast("cpu", torch.bfloat16):
            loss = losses(self.model, pairs, groups, random.Random(f"{self.seed} step {self.step}"))
        loss.backward()
        nn.utils.clip_grad_norm_([one for one in self.model.parameters() if one.requires_grad], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        keep = min(AVERAGE, (1 + self.step) / (10 + self.step))
        for name, one in self.model.named_parameters():
            if name in self.average:
                self.average[name].lerp_(one.detach(), 1 - keep)
        self.step += 1
        self.seconds += time.perf_counter() - began
        return float(loss.detach())


def train(training: Training, work: Path, pairs: Pairs, minutes: float) -> None:
    """Train until the time is over or SIGTERM comes."""
    groups = read_groups(work, held_out=False)
    source = stream(groups, training.seed, training.step * QUESTIONS)
    print(f"{len(groups)} questions, from step {training.step}", flush=True)
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    began = saved = time.monotonic()
    recent: list[float] = []
    while not stopped and time.monotonic() - began < minutes * 60:
        recent.append(training.take(pairs, [next(source) for _ in range(QUESTIONS)]))
        if training.step % 20 == 0:
            beta, cut = training.model.beta.item(), training.model.cut.item()
            mean = sum(recent) / len(recent)
            pace = training.seconds / training.step
            print(
                f"step {training.step}: loss {mean:.4f}, beta {beta:.2f}, cut {cut:.2f}, {pace:.2f} s a step",
                flush=True,
            )
            recent = []
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            training.save()
            saved = time.monotonic()
    training.save()


def validate(training: Training, work: Path, pairs: Pairs, limit: int, depth: int = 20) -> None:
    """Print the mean reciprocal rank and hit@1 / hit@5 by set, of the search and with f, on held-out documents."""
    model = training.model
    model.load_state_dict(training.average, strict=False)
    by_set: dict[str, list[tuple[int, int]]] = defaultdict(list)
    groups = [group for group in read_groups(work, held_out=True) if 1 in group["labels"][:depth]]
    random.Random(0).shuffle(groups)
    for group in groups[:limit]:
        texts = group["texts"][:depth]
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            f = model(*packed(pairs(group["question"], texts)))
        search = torch.tensor(group["scores"][:depth])
        ranks = []
        for total in (search, model.beta * search + f):
            order = total.argsort(descending=True, stable=True).tolist()
            ranks.append(next(rank for rank, i in enumerate(order, 1) if group["labels"][i] == 1))
        by_set[group["set"]].append((ranks[0], ranks[1]))
        by_set["all"].append((ranks[0], ranks[1]))
    print(f"step {training.step}")
    for name, ranks in sorted(by_set.items()):
        shown = []
        for which in (0, 1):
            own = [one[which] for one in ranks]
            shown.append(f"{sum(1 / r for r in own) / len(own):.3f} {sum(r == 1 for r in own) / len(own):.3f}"
                         f" {sum(r <= 5 for r in own) / len(own):.3f}")  # fmt: skip
        print(f"{name:20} {len(ranks):4}  {shown[0]}  ->  {shown[1]}", flush=True)


class Whole(nn.Module):
    """The model as transformers' BERT, padded texts in a batch, for the exporter."""

    def __init__(self, model: Reranker, base: Path) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        config = BertConfig.from_pretrained(base, num_hidden_layers=len(model.layers), attn_implementation="eager")
        self.bert = BertModel(config, add_pooling_layer=False)
        named = {
            "embeddings.word_embeddings.weight": model.words, "embeddings.position_embeddings.weight": model.positions,
            "embeddings.token_type_embeddings.weight": model.kinds,
            "embeddings.LayerNorm.weight": model.norm.weight, "embeddings.LayerNorm.bias": model.norm.bias,
        }  # fmt: skip
        for i, layer in enumerate(model.layers):
            base_name = f"encoder.layer.{i}"
            for name, part in zip(("query", "key", "value"), range(3), strict=True):
                rows = slice(part * WIDTH, (part + 1) * WIDTH)
                named[f"{base_name}.attention.self.{name}.weight"] = layer.qkv.weight[rows]
                named[f"{base_name}.attention.self.{name}.bias"] = layer.qkv.bias[rows]
            parts = {
                "attention.output.dense": layer.out, "attention.output.LayerNorm": layer.norm,
                "intermediate.dense": layer.up, "output.dense": layer.down, "output.LayerNorm": layer.last,
            }  # fmt: skip
            for name, own in parts.items():
                named[f"{base_name}.{name}.weight"], named[f"{base_name}.{name}.bias"] = own.weight, own.bias
        missing, unexpected = self.bert.load_state_dict({k: v.detach() for k, v in named.items()}, strict=False)
        assert not unexpected and set(missing) <= {"embeddings.position_ids", "embeddings.token_type_ids"}, missing
        self.head, self.score = model.head, model.score

    def forward(self, input_ids: Tensor, token_type_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.bert(input_ids=input_ids, token_type_ids=token_type_ids, attention_mask=attention_mask)[0]
        weights = attention_mask[..., None].to(x.dtype)
        mean = (x * weights).sum(1) / weights.sum(1)
        return self.score(functional.gelu(self.head(torch.cat((x[:, 0], mean), 1))))[:, 0]


def export(training: Training, work: Path, base: Path) -> None:
    """Write WORK/reranker.onnx with 8-bit weights, and its data and training as metadata."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers.optimizer import optimize_model

    model = training.model
    model.load_state_dict(training.average, strict=False)
    whole = Whole(model, base).eval()
    ids, kinds, lengths = packed([([101, 2054, 102, 2023, 2003, 102], 3), ([101, 2054, 2003, 102, 2023, 102], 4)])
    batch = [one.view(2, 6) for one in (ids, kinds, torch.ones_like(ids))]
    with torch.inference_mode():
        assert torch.allclose(whole(*batch), model(ids, kinds, lengths), atol=1e-4)
        names = ["input_ids", "token_type_ids", "attention_mask"]
        torch.onnx.export(
            whole, tuple(batch), str(work / "traced.onnx"), dynamo=False, opset_version=17, input_names=names,
            output_names=["score"],
            dynamic_axes={**{name: {0: "texts", 1: "tokens"} for name in names}, "score": {0: "texts"}},
        )  # fmt: skip
    fused = optimize_model(
        str(work / "traced.onnx"), model_type="bert", opt_level=0, num_heads=HEADS, hidden_size=WIDTH
    )
    fused.save_model_to_file(str(work / "fused.onnx"))
    quantize_dynamic(
        work / "fused.onnx", work / "int8.onnx", per_channel=True, reduce_range=True, weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Attention", "Gather", "EmbedLayerNormalization"],
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )  # fmt: skip
    graph = onnx.load(work / "int8.onnx")
    about = {"beta": model.beta.item(), "cut": model.cut.item(), "steps": training.step, "data": training.data,
             **training.about}  # fmt: skip
    for name, value in about.items():
        graph.metadata_props.add(key=name, value=value if isinstance(value, str) else json.dumps(value))
    onnx.save(graph, work / "reranker.onnx")
    print(f"{(work / 'reranker.onnx').stat().st_size / 2**20:.1f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("train", "validate", "export"))
    parser.add_argument("work", type=Path)
    parser.add_argument(
        "--base", type=Path, default=Path.home() / ".local/share/localrag/models/all-minilm-l6-v2/model"
    )
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--frozen", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    training = Training(given.work, given.base, given.layers, given.frozen, given.seed)
    pairs = Pairs(given.base)
    if given.what == "train":
        train(training, given.work, pairs, given.minutes)
    elif given.what == "validate":
        validate(training, given.work, pairs, given.limit)
    else:
        export(training, given.work, given.base)


if __name__ == "__main__":
    main()

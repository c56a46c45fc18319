"""Train a cross-encoder that marks the sentences of a passage which a question needs (0077).

    python benchmarks/pruning/cross_encoder.py DATA ENCODER --work FOLDER [--steps 1500] [--minutes 60]

DATA and ENCODER are those of benchmarks/sentence_encoder/train.py, which makes the examples. Question, name of the
document and a window of whole sentences are read at once (Provence: Chirkova et al. 2025), but only in the last layer:
those below are localrag's encoder of sentences, which read both apart (PreTTR: MacAvaney et al. 2020) and are not
trained, so a step costs a third. A search has read them already. The layer begins as the encoder's last, and the log
odds of a sentence with the cosine of its mean token to the question's, so that nothing the encoder knows is learnt
anew. FOLDER keeps the state every 200 steps; a run that was stopped goes on. The rate falls to its end with the steps
or the minutes, whichever are spent first.
"""

from __future__ import annotations

import argparse
import pickle
import random
import sys
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoConfig
from transformers.models.bert.modeling_bert import BertLayer

sys.path.append(str(Path(__file__).parents[1] / "sentence_encoder"))
import train as sentence_training

from localrag.embeddings import sentence_encoder
from localrag.embeddings.sentence_encoder import SentenceEncoder, Tokenizer, Window

QUESTIONS, QUESTION, TEMPERATURE, WARM, SAVED = 4, 48, 0.5, 60, 200
DIMENSION, LAYER, MOST = 384, 5, 400  # MOST: questions of a set
FACTORS = (1, 5, 50)  # of the rate: for the layer, the head, and the scale and bias
# The numbers of the matrices of the encoder's last layer in its exported graph.
_MATRICES = {"attention.output.dense": 823, "intermediate.dense": 824, "output.dense": 825}


class Row:
    """A question and a window: their tokens' vectors, and of each its sentence, -2 in the question, -1 in neither."""

    def __init__(self, encoder: SentenceEncoder, question: Sequence[int], window: Window) -> None:
        asked = [*question[:QUESTION]]
        self.vectors = torch.from_numpy(np.concatenate([encoder._hidden(asked), encoder._hidden(window.ids)]))
        self.places = [*[-2] * len(asked), *window.sentences]


class Pruner(nn.Module):
    """The layer that reads both, and the head that makes log odds of each sentence."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        plain = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        self.layer = BertLayer(AutoConfig.from_pretrained(folder, attn_implementation="sdpa", **plain))
        self.layer.load_state_dict(_last_layer())
        self.sides = nn.Parameter(torch.zeros(2, DIMENSION))
        self.scale, self.bias = nn.Parameter(torch.tensor(8.0)), nn.Parameter(torch.tensor(-5.0))
        self.inner, self.outer = nn.Linear(3 * DIMENSION, 128), nn.Linear(128, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the log odds of each sentence of each row, and which there are."""
        longest = max(len(row.places) for row in rows)
        places = torch.tensor([[*row.places, *[-1] * (longest - len(row.places))] for row in rows]) + 2
        mask = torch.tensor([[0.0] * len(row.places) + [-1e4] * (longest - len(row.places)) for row in rows])
        apart = nn.utils.rnn.pad_sequence([row.vectors for row in rows], batch_first=True)
        with torch.autocast("cpu", torch.bfloat16):
            read = self.layer(apart + self.sides[(places == 0).long()], mask[:, None, None, :])
        read = (read[0] if isinstance(read, tuple) else read).float()
        before, after = _means(apart, places), _means(read, places)
        there = torch.zeros(before.shape[:2]).scatter_add_(1, places, torch.ones(places.shape))[:, 2:] > 0
        question, own = after[:, :1], after[:, 2:]
        both = torch.cat([own, own * question * 10, question.expand_as(own)], -1)
        more = self.outer(functional.gelu(self.inner(both * 4))).squeeze(-1)
        return self.scale * (before[:, :1] * before[:, 2:]).sum(-1) + self.bias + more, there


def _means(hidden: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Return the unit vector of the question, of neither, and of each sentence."""
    sums = torch.zeros(len(hidden), int(places.max()) + 1, DIMENSION)
    return functional.normalize(sums.scatter_add(1, places.unsqueeze(-1).expand_as(hidden), hidden), dim=-1)


def _last_layer() -> dict[str, torch.Tensor]:
    """Return the weights of the last layer of localrag's encoder of sentences, which come in 8 bits."""
    import onnx
    from onnx import numpy_helper

    path = resources.files("localrag.embeddings") / sentence_encoder.GRAPH
    own = {one.name: numpy_helper.to_array(one) for one in onnx.load_from_string(path.read_bytes()).graph.initializer}

    def matrix(name: str) -> torch.Tensor:
        values = own[f"{name}_quantized"].astype(np.float32) - own[f"{name}_zero_point"].astype(np.float32)
        return torch.from_numpy((values * own[f"{name}_scale"]).T.copy())

    start = f"own.encoder.layer.{LAYER}."
    weights = {
        name.removeprefix(start): torch.from_numpy(values.copy())
        for name, values in own.items()
        if name.startswith(start)
    }
    qkv, bias = matrix(f"Attention_{LAYER}_qkv_weight"), torch.from_numpy(own[f"Attention_{LAYER}_qkv_bias"].copy())
    for n, name in enumerate(("query", "key", "value")):
        weights[f"attention.self.{name}.weight"] = qkv[n * DIMENSION : (n + 1) * DIMENSION]
        weights[f"attention.self.{name}.bias"] = bias[n * DIMENSION : (n + 1) * DIMENSION]
    return weights | {f"{name}.weight": matrix(f"onnx::MatMul_{number}") for name, number in _MATRICES.items()}


def rows_of(example: Any, tokens: Tokenizer, encoder: SentenceEncoder) -> tuple[list[Row], list[list[bool]]]:
    """Return the rows of an example, and which of their sentences are evidence."""
    question = tokens.question(example.question)
    rows, marks = [], []
    for text, gold in example.windows:
        window = next(tokens.windows(text))
        rows.append(Row(encoder, question, window))
        marks.append(list(gold[: max(window.sentences) + 1]))
    return rows, marks


def loss_of(
    model: Pruner, batch: Sequence[Any], tokens: Tokenizer, encoder: SentenceEncoder
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross entropy of evidence among the sentences of its question, and the binary one of each."""
    made = [rows_of(one, tokens, encoder) for one in batch]
    logits, there = model([row for rows, _ in made for row in rows])
    gold = torch.zeros(there.shape, dtype=torch.bool)
    for row, own in enumerate(own for _, marks in made for own in marks):
        gold[row, : len(own)] = torch.tensor(own)
    gold &= there
    each = functional.binary_cross_entropy_with_logits(logits[there], gold[there].float())
    among, at = [], 0
    for rows, _ in made:
        part = slice(at, at + len(rows))
        at += len(rows)
        if gold[part].any():
            own = logits[part] * TEMPERATURE
            among.append(torch.logsumexp(own[there[part]], 0) - torch.logsumexp(own[gold[part]], 0))
    return torch.stack(among).mean() if among else torch.zeros(()), each


@torch.inference_mode()
def evaluate(model: Pruner, held_out: Sequence[Any], tokens: Tokenizer, encoder: SentenceEncoder) -> str:
    """Return how often evidence comes first and among three, and the AUC of sentences."""
    model.eval()
    first, three, scores, golds = [], [], [], []
    for one in held_out:
        rows, marks = rows_of(one, tokens, encoder)
        logits, there = model(rows)
        own = [float(logits[r, s]) for r, mark in enumerate(marks) for s in range(len(mark)) if there[r, s]]
        gold = [mark[s] for r, mark in enumerate(marks) for s in range(len(mark)) if there[r, s]]
        scores += own
        golds += gold
        if any(gold):
            order = np.argsort(own)[::-1]
            first.append(gold[order[0]])
            three.append(any(gold[n] for n in order[:3]))
    model.train()
    ranks, is_gold = np.argsort(np.argsort(scores)) + 1, np.array(golds)
    count = int(is_gold.sum())
    auc = (ranks[is_gold].sum() - count * (count + 1) / 2) / (count * (len(golds) - count))
    return f"first {np.mean(first):.3f}, among three {np.mean(three):.3f} of {len(first)}, AUC {auc:.3f}"


def train(model: Pruner, found: Sequence[Any], tokens: Tokenizer, chosen: argparse.Namespace) -> None:
    learnt = [one for one in found if not one.held_out]
    held_out = [one for one in found if one.held_out][:300]
    encoder = SentenceEncoder()
    ends = [weight for name, weight in model.named_parameters() if name in ("scale", "bias")]
    head = [*model.inner.parameters(), *model.outer.parameters()]
    groups = [
        {"params": [*model.layer.parameters(), model.sides], "own": chosen.rate * FACTORS[0]},
        {"params": head, "own": chosen.rate * FACTORS[1]},
        {"params": ends, "own": chosen.rate * FACTORS[2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=chosen.rate)
    state, step, before = chosen.work / "state.pt", 0, 0.0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        for group, factor in zip(optimizer.param_groups, FACTORS, strict=True):
            group["own"] = chosen.rate * factor
        step, before = kept["step"], kept["seconds"]
    else:
        print(f"0 {evaluate(model, held_out, tokens, encoder)}", flush=True)
    losses: list[tuple[float, float]] = []
    began, spent = time.monotonic(), before / 60 / chosen.minutes
    while step < chosen.steps and spent < 1:
        spent = (before + time.monotonic() - began) / 60 / chosen.minutes
        for group in optimizer.param_groups:
            group["lr"] = group["own"] * min(1, (step + 1) / WARM) * max(0.02, 1 - max(step / chosen.steps, spent))
        per_epoch = len(learnt) // QUESTIONS
        order = random.Random(step // per_epoch).sample(range(len(learnt)), len(learnt))
        at = step % per_epoch * QUESTIONS
        among, each = loss_of(model, [learnt[n] for n in order[at : at + QUESTIONS]], tokens, encoder)
        optimizer.zero_grad()
        (among + each).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        losses.append((float(among.detach()), float(each.detach())))
        seconds = before + time.monotonic() - began
        if step % 25 == 0:
            mean = np.mean(losses[-50:], 0)
            print(f"{step} {mean[0]:.4f} {mean[1]:.4f} {seconds:.0f} s", flush=True)
        if step % SAVED == 0 or step == chosen.steps or spent >= 1:
            kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "seconds": seconds}
            torch.save(kept, chosen.work / "state.new")
            (chosen.work / "state.new").replace(state)
            print(f"{step} {evaluate(model, held_out, tokens, encoder)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1e-4)
    chosen = parser.parse_args()
    torch.manual_seed(1)
    chosen.work.mkdir(parents=True, exist_ok=True)
    tokens = Tokenizer(chosen.encoder / "tokenizer.json")
    made = chosen.work / "examples.pickle"
    if not made.exists():
        names = {path.parent.name for path in chosen.data.rglob("qa.jsonl.gz")}
        sentence_training.MOST = {name: min(MOST, sentence_training.MOST.get(name, MOST)) for name in names}
        made.write_bytes(pickle.dumps(sentence_training.examples(chosen.data, tokens)))
    train(Pruner(chosen.encoder), pickle.loads(made.read_bytes()), tokens, chosen)


if __name__ == "__main__":
    main()

"""Train a cross-encoder that marks the sentences of a passage which a question needs (0077).

    python benchmarks/pruning/cross_encoder.py DATA ENCODER --work FOLDER [--steps 1500] [--minutes 60]

DATA and ENCODER are those of benchmarks/sentence_encoder/train.py, which makes the examples. Question, name of the
document and a window of whole sentences are read at once (Provence: Chirkova et al. 2025). It begins with the weights
of localrag's encoder of sentences, and the log odds of a sentence with the cosine of its mean token to the question's,
so that it need not learn anew what the encoder knows. Word embeddings and the first layers stay as they are. FOLDER
keeps the state every 200 steps; a run that was stopped goes on. The rate falls to its end with the steps or the
minutes, whichever are spent first.
"""

from __future__ import annotations

import argparse
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
from transformers import AutoModel

sys.path.append(str(Path(__file__).parents[1] / "sentence_encoder"))
import train as sentence_training

from localrag.embeddings import sentence_encoder
from localrag.embeddings.sentence_encoder import Text, Tokenizer, Window

QUESTIONS, QUESTION, TEMPERATURE, WARM, SAVED, FROZEN = 3, 48, 0.5, 60, 200, 3
DIMENSION = 384
_FIRST = 758  # the number of the first matrix in the exported graph; those of a layer are 13 apart
_PER_LAYER = 13


class Pruner(nn.Module):
    """The encoder, and the head that makes log odds of each sentence."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(
            folder, add_pooling_layer=False, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
        self.scale, self.bias = nn.Parameter(torch.tensor(8.0)), nn.Parameter(torch.tensor(-5.0))
        self.inner, self.outer = nn.Linear(3 * DIMENSION, 128), nn.Linear(128, 1)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, rows: Sequence[Window]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the log odds of each sentence of each row, and which there are. Places: -2 question, -1 neither."""
        longest = max(len(row.ids) for row in rows)
        ids = torch.tensor([[*row.ids, *[0] * (longest - len(row.ids))] for row in rows])
        mask = torch.tensor([[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in rows])
        places = torch.tensor([[*row.sentences, *[-1] * (longest - len(row.ids))] for row in rows]) + 2
        with torch.autocast("cpu", torch.bfloat16):
            hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        hidden = hidden.float()
        most = int(places.max()) + 1
        spread = places.unsqueeze(-1).expand_as(hidden)
        sums = torch.zeros(len(rows), most, DIMENSION).scatter_add(1, spread, hidden)
        counts = torch.zeros(len(rows), most).scatter_add_(1, places, torch.ones(places.shape))
        vectors = functional.normalize(sums, dim=-1)
        question, own = vectors[:, :1], vectors[:, 2:]
        both = torch.cat([own, own * question * 10, question.expand_as(own)], -1)
        more = self.outer(functional.gelu(self.inner(both * 4))).squeeze(-1)
        return self.scale * (own * question).sum(-1) + self.bias + more, counts[:, 2:] > 0


def joint(tokens: Tokenizer, question: Sequence[int], window: Window) -> Window:
    """Return a question (its tokens with both markers) and a window as one row."""
    begin, *asked, end = question
    ids = [begin, *asked[:QUESTION], end]
    return Window([*ids, *window.ids[1:]], [-1, *[-2] * (len(ids) - 2), -1, *window.sentences[1:]])


def begun(folder: Path) -> Pruner:
    """Return the model with the layers of localrag's encoder of sentences, which come in 8 bits."""
    import onnx
    from onnx import numpy_helper

    model = Pruner(folder)
    path = resources.files("localrag.embeddings") / sentence_encoder.GRAPH
    graph = onnx.load_from_string(path.read_bytes()).graph
    own = {one.name: numpy_helper.to_array(one) for one in graph.initializer}

    def matrix(name: str) -> torch.Tensor:
        values = own[f"{name}_quantized"].astype(np.float32) - own[f"{name}_zero_point"].astype(np.float32)
        return torch.from_numpy((values * own[f"{name}_scale"]).T.copy())

    weights = model.encoder.state_dict()
    for number in range(6):
        at = f"encoder.layer.{number}."
        qkv, bias = matrix(f"Attention_{number}_qkv_weight"), torch.from_numpy(own[f"Attention_{number}_qkv_bias"].copy())
        for n, name in enumerate(("query", "key", "value")):
            weights[f"{at}attention.self.{name}.weight"] = qkv[n * DIMENSION : (n + 1) * DIMENSION]
            weights[f"{at}attention.self.{name}.bias"] = bias[n * DIMENSION : (n + 1) * DIMENSION]
        for n, name in enumerate(("attention.output.dense", "intermediate.dense", "output.dense")):
            weights[f"{at}{name}.weight"] = matrix(f"onnx::MatMul_{_FIRST + _PER_LAYER * number + n}")
    for name, values in own.items():
        if name.startswith("own.encoder."):
            weights[name.removeprefix("own.")] = torch.from_numpy(values.copy())
    model.encoder.load_state_dict(weights)
    return model


def rows_of(example: sentence_training.Example, tokens: Tokenizer) -> tuple[list[Window], list[list[bool]]]:
    """Return the rows of an example, and which of their sentences are evidence."""
    question = tokens.question(example.question)
    rows, marks = [], []
    for text, gold in example.windows:
        window = next(tokens.windows(text))
        rows.append(joint(tokens, question, window))
        marks.append(list(gold[: max(window.sentences) + 1]))
    return rows, marks


def loss_of(model: Pruner, batch: Sequence[Any], tokens: Tokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross entropy of evidence among the sentences of its question, and the binary one of each."""
    made = [rows_of(one, tokens) for one in batch]
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
def evaluate(model: Pruner, held_out: Sequence[Any], tokens: Tokenizer) -> str:
    """Return how often evidence comes first and among three, and the AUC of sentences."""
    model.eval()
    first, three, scores, golds = [], [], [], []
    for one in held_out:
        rows, marks = rows_of(one, tokens)
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
    held_out = random.Random(1).sample([one for one in found if one.held_out], 300)
    still = ("embeddings", *(f"encoder.layer.{n}." for n in range(FROZEN)))
    for name, weight in model.encoder.named_parameters():
        weight.requires_grad = not name.startswith(still)
    head = [weight for name, weight in model.named_parameters() if not name.startswith("encoder.")]
    groups = [
        {"params": [one for one in model.encoder.parameters() if one.requires_grad], "own": chosen.rate},
        {"params": head[2:], "own": chosen.rate * 10},
        {"params": head[:2], "own": chosen.rate * 50, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=chosen.rate)
    state, step, before = chosen.work / "state.pt", 0, 0.0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        step, before = kept["step"], kept["seconds"]
    else:
        print(f"0 {evaluate(model, held_out, tokens)}", flush=True)
    losses: list[tuple[float, float]] = []
    began, spent = time.monotonic(), before / 60 / chosen.minutes
    while step < chosen.steps and spent < 1:
        spent = (before + time.monotonic() - began) / 60 / chosen.minutes
        for group in optimizer.param_groups:
            group["lr"] = group["own"] * min(1, (step + 1) / WARM) * max(0.02, 1 - max(step / chosen.steps, spent))
        per_epoch = len(learnt) // QUESTIONS
        order = random.Random(step // per_epoch).sample(range(len(learnt)), len(learnt))
        at = step % per_epoch * QUESTIONS
        among, each = loss_of(model, [learnt[n] for n in order[at : at + QUESTIONS]], tokens)
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
            print(f"{step} {evaluate(model, held_out, tokens)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=8e-5)
    chosen = parser.parse_args()
    torch.manual_seed(1)
    chosen.work.mkdir(parents=True, exist_ok=True)
    tokens = Tokenizer(chosen.encoder / "tokenizer.json")
    train(begun(chosen.encoder), sentence_training.examples(chosen.data, tokens), tokens, chosen)


if __name__ == "__main__":
    main()

"""Train the encoder of sentences that comes with localrag (docs/sentence-encoder.md).

    python benchmarks/sentence_encoder/train.py DATA ENCODER --work FOLDER --out localrag/embeddings

DATA has a folder for each set, with docs.jsonl.gz (id, title, text) and qa.jsonl.gz (question, doc, answerable,
evidence as [start, end) offsets in the text). ENCODER is the folder of all-MiniLM-L6-v2, with model.safetensors and
tokenizer.json. FOLDER keeps the state every 250 steps, so that a run that was stopped goes on.

A question is compared with each sentence of windows of up to 200 tokens: one window with its evidence, one or two of
the same document without it, and those of the other questions of a batch. The vector of a question is the mean of its
tokens, that of a sentence the mean of its tokens within the window. The loss is the cross entropy of its evidence
among all sentences of the batch, and the binary cross entropy of each sentence of its own windows. The word
embeddings stay as they are.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import AutoModel

from localrag.embeddings import sentence_encoder
from localrag.embeddings.sentence_encoder import WINDOW, Text, Tokenizer, Window
from localrag.models import onnx_export
from localrag.store.text_analysis import COMMON, sentences

# Questions taken of sets that are made by a pattern, or whose evidence is broad; the others are taken whole.
MOST = {
    "medquad": 1200,
    "gov_faq": 1500,
    "evidence_inference": 350,
    "pubmedqa": 350,
    "qasper_evidence": 900,
    "liveqa_med": 200,
    "qmsum": 0,
    "mtrag": 0,
}
LONGEST = 500  # characters of a sentence, before it is cut
SHORT, NAMED, TITLED = 0.25, 0.3, 0.6  # shares of questions in few words, that name the document, of windows with it
QUESTIONS, TEMPERATURE, WARM, SAVED = 12, 0.05, 100, 250
_WORD = re.compile(r"[a-z0-9]{3,}")


@dataclass(frozen=True, slots=True)
class Example:
    """A question, and windows of text with the spans of their sentences and whether each is evidence."""

    document: str
    question: str
    windows: tuple[tuple[Text, tuple[bool, ...]], ...]

    @property
    def held_out(self) -> bool:
        return int(hashlib.md5(self.document.encode()).hexdigest(), 16) % 25 == 0


# --- examples -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Document:
    """A document with its sentences, their tokens and their words."""

    title: str
    text: str
    spans: list[tuple[int, int]]
    tokens: list[int]
    words: list[set[str]]

    def window(self, first: int) -> tuple[int, int]:
        """Return the sentences from the first that fit a window, as a half-open range."""
        last, size = first, 0
        while last < len(self.spans) and (size + self.tokens[last] <= WINDOW or last == first):
            size += self.tokens[last]
            last += 1
        return first, last

    def around(self, at: int, rng: random.Random) -> tuple[int, int]:
        """Return a window that holds a sentence, with some of those before it."""
        first, size, room = at, self.tokens[at], rng.uniform(0, WINDOW)
        while first and size + self.tokens[first - 1] <= room:
            first -= 1
            size += self.tokens[first]
        return self.window(first)


def examples(data: Path, tokens: Tokenizer) -> list[Example]:
    """Return the examples of all sets, in an order that the seed decides."""
    rng = random.Random(7)
    found: list[Example] = []
    for path in sorted(data.rglob("qa.jsonl.gz")):
        rows = {row["id"]: row for row in _rows(path.with_name("docs.jsonl.gz"))}
        questions = list(_rows(path))
        rng.shuffle(questions)
        known: dict[str, _Document] = {}
        for row in questions[: MOST.get(path.parent.name, len(questions))]:
            for name in (row["doc"], rng.choice(list(rows))):
                if name not in known:
                    known[name] = _document(rows[name], tokens)
            if example := _example(row, known, name, rng):
                found.append(example)
    return found


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _document(row: dict[str, Any], tokens: Tokenizer) -> _Document:
    text, spans = row["text"], list[tuple[int, int]]()
    for start, end in sentences(text):
        while end - start > LONGEST:
            spans.append((start, start + LONGEST))
            start += LONGEST
        spans.append((start, end))
    parts = [text[start:end] for start, end in spans]
    title = re.sub(r"\.(txt|pdf|docx?)$|EX-?[\d.]+|_|\d{5,}|10-K|20-F|8-K|S-1|10-Q", " ", row["title"])
    title = " ".join(re.sub(r"([a-z])([A-Z])", r"\1 \2", title).split())[:60]
    return _Document(title, text, spans, [tokens.count(part) for part in parts], [_words(part) for part in parts])


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower())) - COMMON["english"]


def _example(row: dict[str, Any], known: dict[str, _Document], other: str, rng: random.Random) -> Example | None:
    document = known[row["doc"]]
    if not document.spans:
        return None
    gold = [
        any(min(end, last) - max(start, first) > min(end - start, last - first) / 2 for first, last in row["evidence"])
        for start, end in document.spans
    ]
    ranges: list[tuple[_Document, int, int]] = []
    if row["answerable"]:
        if not any(gold):
            return None
        at = rng.choice([number for number, one in enumerate(gold) if one])
        ranges.append((document, *document.around(at, rng)))
    wanted = 1 + (rng.random() < 0.4) if row["answerable"] else 2
    ranges += [(document, *one) for one in _hard(document, gold, _words(row["question"]), wanted, rng)]
    beside = known[other]
    if len(ranges) < 2 and beside.spans and other != row["doc"]:
        ranges.append((beside, *beside.window(rng.randrange(len(beside.spans)))))
    titled = rng.random() < TITLED
    windows = tuple(
        _window(one, first, last, gold if one is document else [], titled)
        for one, first, last in ranges
        if one.tokens[first]
    )
    if not windows:
        return None
    return Example(row["doc"], _asked(row["question"].strip(), document.title, rng), windows)


def _hard(
    document: _Document, gold: Sequence[bool], asked: set[str], wanted: int, rng: random.Random
) -> Iterator[tuple[int, int]]:
    """Yield windows without evidence, the first the one with most of the question's rare words."""
    held = Counter(word for own in document.words for word in own & asked)
    scored = []
    for at in range(0, len(document.spans), 3):
        first, last = document.window(at)
        if not any(gold[first:last]):
            shared = set[str]().union(*document.words[first:last]) & asked
            weight = sum(math.log(1 + len(document.spans) / held[word]) for word in sorted(shared))
            scored.append((weight + rng.random() * 0.3, first, last))
    scored.sort(reverse=True)
    for number in range(min(wanted, len(scored))):
        _, first, last = scored[0 if number == 0 else rng.randrange(min(6, len(scored)))]
        yield first, last


def _window(
    document: _Document, first: int, last: int, gold: Sequence[bool], titled: bool
) -> tuple[Text, tuple[bool, ...]]:
    base, end = document.spans[first][0], document.spans[last - 1][1]
    spans = tuple((start - base, stop - base) for start, stop in document.spans[first:last])
    marks = tuple(gold[first:last]) or (False,) * len(spans)
    return Text(document.title if titled else "", document.text[base:end], spans), marks


def _asked(question: str, title: str, rng: random.Random) -> str:
    """Return a question as it stands, in few words, or with the name of its document."""
    short = rng.random() < SHORT
    words = [word for word in re.findall(r"[\w'%$.,-]+", question) if word.lower().strip(".,") not in COMMON["english"]]
    asked = " ".join(words).lower() if short and len(words) > 1 else question
    if not title or rng.random() >= NAMED:
        return asked
    if rng.random() < 0.5:
        return f"{title}: {asked}"
    return f"{asked} {title}" if short else f"Under the {title}, {asked[:1].lower()}{asked[1:]}"


# --- training -----------------------------------------------------------------------------------------------


class Model(nn.Module):
    """The encoder, and the scale and bias that make log odds of a cosine."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(
            folder, add_pooling_layer=False, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
        )
        self.scale, self.bias = nn.Parameter(torch.tensor(8.0)), nn.Parameter(torch.tensor(-5.0))

    def hidden(self, rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state, mask

    def questions(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        hidden, mask = self.hidden(rows)
        return functional.normalize((hidden * mask.unsqueeze(-1)).sum(1), dim=-1)

    def sentences(self, windows: Sequence[Window]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the vector of each sentence of each window, and which of them there are."""
        hidden, _ = self.hidden([one.ids for one in windows])
        most = max(max(one.sentences) for one in windows) + 1
        places = torch.zeros(hidden.shape[:2], dtype=torch.int64)
        for row, one in enumerate(windows):
            places[row, : len(one.sentences)] = torch.tensor(one.sentences) + 1
        spread = places.unsqueeze(-1).expand_as(hidden)
        sums = torch.zeros(len(windows), most + 1, hidden.shape[-1]).scatter_add_(1, spread, hidden)
        counts = torch.zeros(len(windows), most + 1).scatter_add_(1, places, torch.ones(places.shape))
        return functional.normalize(sums[:, 1:], dim=-1), counts[:, 1:] > 0


def loss_of(model: Model, batch: Sequence[Example], tokens: Tokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross entropy of the evidence among all sentences, and the binary one of each sentence."""
    questions = model.questions([tokens.question(one.question) for one in batch])
    windows, owners, marks = [], [], []
    for number, one in enumerate(batch):
        for text, gold in one.windows:
            window = next(tokens.windows(text))
            windows.append(window)
            owners.append(number)
            marks.append(gold[: max(window.sentences) + 1])
    vectors, there = model.sentences(windows)
    gold = torch.zeros(there.shape, dtype=torch.bool)
    for row, own in enumerate(marks):
        gold[row, : len(own)] = torch.tensor(own)
    cosines = torch.einsum("qd,wsd->qws", questions, vectors).flatten(1)
    mine = (torch.tensor(owners).unsqueeze(0) == torch.arange(len(batch)).unsqueeze(1)).unsqueeze(-1)
    right = (mine & (gold & there).unsqueeze(0)).flatten(1)
    known = right.any(1)
    logits = (cosines / TEMPERATURE).masked_fill(~there.flatten().unsqueeze(0), -1e4)
    among = torch.logsumexp(logits, 1) - torch.logsumexp(logits.masked_fill(~right, -1e4), 1)
    own = (mine & there.unsqueeze(0)).flatten(1)
    each = functional.binary_cross_entropy_with_logits(
        (model.scale * cosines + model.bias)[own], right[own].to(torch.float32)
    )
    return among[known].mean() if known.any() else torch.zeros(()), each


def evaluate(model: Model, held_out: Sequence[Example], tokens: Tokenizer) -> str:
    """Return the share of questions whose nearest sentence is evidence, and the AUC of windows that hold any."""
    model.eval()
    hits, scores, holds = [], [], []
    with torch.inference_mode():
        for one in held_out:
            (question,) = model.questions([tokens.question(one.question)])
            vectors, there = model.sentences([next(tokens.windows(text)) for text, _ in one.windows])
            cosines = (vectors @ question).masked_fill(~there, -1.0)
            scores += cosines.max(1).values.tolist()
            holds += [any(gold) for _, gold in one.windows]
            if any(holds[-len(one.windows) :]):
                window, sentence = divmod(int(cosines.argmax()), cosines.shape[1])
                hits.append(sentence < len(one.windows[window][1]) and one.windows[window][1][sentence])
    model.train()
    ranks, there_is = np.argsort(np.argsort(scores)) + 1, np.array(holds)
    count = int(there_is.sum())
    auc = (ranks[there_is].sum() - count * (count + 1) / 2) / (count * (len(holds) - count))
    return f"nearest sentence is evidence {np.mean(hits):.3f} of {len(hits)}, AUC of windows {auc:.3f}"


def train(model: Model, found: Sequence[Example], tokens: Tokenizer, steps: int, rate: float, work: Path) -> None:
    """Train for some steps, or what is left of them, and keep the state in `work`."""
    learnt = [one for one in found if not one.held_out]
    held_out = random.Random(1).sample([one for one in found if one.held_out], 350)
    for name, weight in model.named_parameters():
        weight.requires_grad = "embeddings" not in name
    groups = [
        {"params": [one for one in model.encoder.parameters() if one.requires_grad]},
        {"params": [model.scale, model.bias], "lr": rate * 100, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / WARM) * max(0.02, 1 - step / steps)
    )
    state, step = work / "state.pt", 0
    if state.exists():
        kept = torch.load(state, weights_only=True)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        step = kept["step"]
    losses: list[tuple[float, float]] = []
    began = time.monotonic()
    while step < steps:
        per_epoch = len(learnt) // QUESTIONS
        order = random.Random(step // per_epoch).sample(range(len(learnt)), len(learnt))
        at = step % per_epoch * QUESTIONS
        among, each = loss_of(model, [learnt[n] for n in order[at : at + QUESTIONS]], tokens)
        optimizer.zero_grad()
        (among + each).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        step += 1
        losses.append((float(among.detach()), float(each.detach())))
        if step % 50 == 0:
            mean = np.mean(losses[-50:], 0)
            print(f"{step} {mean[0]:.4f} {mean[1]:.4f} {time.monotonic() - began:.0f} s", flush=True)
        if step % SAVED == 0 or step == steps:
            kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**kept, "schedule": schedule.state_dict(), "step": step}, work / "state.new")
            (work / "state.new").replace(state)
            print(f"{step} {evaluate(model, held_out, tokens)}", flush=True)


def export(model: Model, encoder: Path, work: Path, out: Path) -> None:
    """Write the encoder in 8 bits, with its scale and bias, and its tokenizer."""
    from onnxruntime.transformers.optimizer import optimize_model

    class Hidden(nn.Module):
        def __init__(self, own: nn.Module) -> None:
            super().__init__()
            self.own = own

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.own(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    plain = AutoModel.from_pretrained(encoder, add_pooling_layer=False, attn_implementation="eager")
    plain.load_state_dict(model.encoder.state_dict())
    ids = torch.tensor([[101, 2028, 3793, 102]])
    axes = {name: {0: "texts", 1: "tokens"} for name in ("input_ids", "attention_mask", "hidden")}
    with torch.inference_mode():
        torch.onnx.export(
            Hidden(plain.eval()),
            (ids, torch.ones_like(ids)),
            str(work / "traced.onnx"),
            dynamo=False,
            opset_version=17,
            input_names=["input_ids", "attention_mask"],
            output_names=["hidden"],
            dynamic_axes=axes,
        )
    fused = optimize_model(str(work / "traced.onnx"), model_type="bert", opt_level=0, num_heads=12, hidden_size=384)
    fused.save_model_to_file(str(work / onnx_export.FUSED))
    graph = onnx_export.quantised(work, {}, throughout=True)
    (out / sentence_encoder.GRAPH).write_bytes(graph)
    shutil.copyfile(encoder / "tokenizer.json", out / sentence_encoder.TOKENIZER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=650)
    parser.add_argument("--rate", type=float, default=6e-5)
    chosen = parser.parse_args()
    torch.manual_seed(1)
    chosen.work.mkdir(parents=True, exist_ok=True)
    tokens = Tokenizer(chosen.encoder / "tokenizer.json")
    model = Model(chosen.encoder)
    train(model, examples(chosen.data, tokens), tokens, chosen.steps, chosen.rate, chosen.work)
    export(model, chosen.encoder, chosen.work, chosen.out)


if __name__ == "__main__":
    main()

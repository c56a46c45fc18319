"""How much of the evidence is kept against tokens, for each way to leave text out of a prompt (0077).

    python benchmarks/pruning/measure.py FOUND.pickle [--cross-encoder FOLDER/state.pt --encoder MINILM] [--out SCORED]

FOUND is what collect.py kept. The head is a small network over what is known of a sentence and its neighbours, trained
in five folds by document on the questions of the set `held`, and on all of them for the other sets.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from localrag.embeddings.sentence_encoder import SentenceEncoder

BUDGETS = (150, 250, 350, 450, 600, 800, 1000)
PASSAGES, TODAY, FOLDS, WHOLE = 8, 1000, 5, 0.9
LOOK_UPS = ("figure", "near", "who")
# A sentence that begins so needs the one before it.
_REFERS = re.compile(r"(?:it|its|this|that|these|those|they|their|he|she|his|her|such|however|otherwise|if so)\b", re.I)
_ROW = re.compile(r"\t| \| |^\||\s{3,}\S+\s{3,}")
Found = dict[str, Any]
Score = Callable[[Found, int, int], float]
Kept = list[tuple[int, list[int]]]


# --- ways to leave text out: each returns the sentences that are kept of each passage ---------------------------


def whole_passages(found: Found, budget: int) -> Kept:
    """Keep passages, best first, while they fit: as the product does."""
    kept, used = Kept(), 0
    for number, passage in enumerate(found["passages"][:PASSAGES]):
        if used + passage["whole"] <= budget or not kept:
            kept.append((number, list(range(len(passage["tokens"])))))
            used += passage["whole"]
    return kept


def best_sentences(found: Found, budget: int, score: Score, *, first: int = 0, pool: int = 0) -> Kept:
    """Keep sentences, best first, with what they need, while they fit; the first passages whole.

    Those of the passages of today's prompt, or of the first `pool`.
    """
    among = [number for number, _ in whole_passages(found, TODAY)] if not pool else list(range(pool))
    passages = found["passages"]
    chosen: dict[int, set[int]] = {}
    used = 0
    for number, rows in whole_passages(found, budget)[:first]:
        chosen[number] = set(rows)
        used += passages[number]["whole"]
    order = [(score(found, n, s), n, s) for n in among if n < len(passages) for s in range(len(passages[n]["tokens"]))]
    for _, n, s in sorted(order, key=lambda one: -one[0]):
        passage, own = passages[n], chosen.get(n, set())
        wanted = needed(passage, s) - own
        size = sum(passage["tokens"][one] for one in wanted) + (0 if own else passage["heading"])
        if wanted and (used + size <= budget or not chosen):
            chosen[n] = own | wanted
            used += size
    return [(n, sorted(own)) for n, own in chosen.items()]


def needed(passage: Found, sentence: int) -> set[int]:
    """Return a sentence with what it needs: the one that its pronoun points to, the heading or lead before it."""
    text = passage["text"]
    parts = [text.text[start:end] for start, end in text.spans]
    found = {sentence}
    if sentence and (_REFERS.match(parts[sentence]) or parts[sentence - 1].endswith(":")):
        found.add(sentence - 1)
    if sentence and len(parts[sentence - 1]) < 60 and not parts[sentence - 1].endswith((".", ";", ",")):
        found.add(sentence - 1)  # a heading
    if _ROW.search(parts[sentence]):
        first = sentence
        while first and _ROW.search(parts[first - 1]):
            first -= 1
        found.add(first)
    return found


def tokens(found: Found, kept: Kept) -> int:
    passages = found["passages"]
    return sum(passages[n]["heading"] + sum(passages[n]["tokens"][s] for s in own) for n, own in kept)


def share_kept(found: Found, kept: Kept) -> float:
    """Return the share of the evidence that is kept, in characters; where it has alternatives, whether one is."""
    spans = []
    for n, own in kept:
        document, position, at = found["passages"][n]["place"]
        sizes = found["passages"][n]["text"].spans
        spans += [(document, position, at + sizes[s][0], at + sizes[s][1]) for s in own]
    shares = []
    for document, position, start, end in found["gold"]:
        held = np.zeros(end - start, bool)
        for other, page, first, last in spans:
            if (other, page) == (document, position):
                held[max(0, first - start) : max(0, last - start)] = True
        shares.append((held.mean(), end - start))
    if found["any"]:
        return float(max(share for share, _ in shares) >= WHOLE)
    return sum(share * size for share, size in shares) / sum(size for _, size in shares)


# --- scores of sentences ----------------------------------------------------------------------------------------


def of(name: str) -> Score:
    return lambda found, n, s: found["passages"][n][name][s]


def joined(found: Found, n: int, s: int) -> float:
    """Words and the embedder's cosine, with the passage's score beside them."""
    passage = found["passages"][n]
    return passage["words"][s] + passage["cosine"][s] + 0.5 * passage["score"]


def beside(found: Found, n: int, s: int) -> float:
    """The encoder's cosine with the passage's score and the words beside it."""
    passage = found["passages"][n]
    return passage["encoder"][s] + 0.5 * passage["score"] + 0.3 * passage["words"][s]


def features(found: Found, *, cross: bool) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return what is known of each sentence, and where it is."""
    rows, places = [], []
    every = {name: [v for one in found["passages"] for v in one[name]] for name in ("encoder", "cosine", "words")}
    best = {name: max(values, default=0.0) for name, values in every.items()}
    for n, passage in enumerate(found["passages"]):
        text, count = passage["text"], len(passage["tokens"])
        for s in range(count):
            part = text.text[slice(*text.spans[s])]
            row = [passage["score"], float(n) / 8, s / max(1, count - 1), float(s == 0), np.log(passage["tokens"][s])]
            row += [float(any(sign.isdigit() for sign in part)), float(bool(_ROW.search(part)))]
            row += [float(bool(_REFERS.match(part))), float(part[-1:] in ".;")]
            for name in ("encoder", "cosine", "words", *(["cross"] if cross else [])):
                own = passage[name]
                row += [own[s], own[s - 1] if s else 0.0, own[s + 1] if s + 1 < count else 0.0, max(own)]
                row += [own[s] - best[name]] if name in best else []
            rows.append(row)
            places.append((n, s))
    return np.array(rows, np.float32), places


def labels(found: Found, places: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return which sentences are evidence by more than half, or hold half of one."""
    marks = []
    for n, s in places:
        document, position, at = found["passages"][n]["place"]
        start, end = (at + one for one in found["passages"][n]["text"].spans[s])
        common = [
            min(end, last) - max(start, first)
            for other, page, first, last in found["gold"]
            if (other, page) == (document, position)
            and min(end, last) - max(start, first) > min(end - start, last - first) / 2
        ]
        marks.append(bool(common))
    return np.array(marks, np.float32)


class Head(nn.Module):
    """A small network over the features of a sentence."""

    def __init__(self, rows: np.ndarray) -> None:
        super().__init__()
        self.mean, self.spread = torch.from_numpy(rows.mean(0)), torch.from_numpy(rows.std(0) + 1e-6)
        size = rows.shape[1]
        self.line, self.inner, self.outer = nn.Linear(size, 1), nn.Linear(size, 32), nn.Linear(32, 1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        own = ((rows - self.mean) / self.spread).clamp(-4, 4)
        return (self.line(own) + self.outer(torch.tanh(self.inner(own)))).squeeze(-1)


def fitted(learnt: Sequence[Found], *, cross: bool) -> Head:
    """Train a head: the binary cross entropy of each sentence, and the cross entropy of evidence in its question."""
    torch.manual_seed(1)
    made = [features(one, cross=cross) for one in learnt]
    marks = [torch.from_numpy(labels(one, places)) for one, (_, places) in zip(learnt, made, strict=True)]
    rows = [torch.from_numpy(one) for one, _ in made]
    head = Head(torch.cat(rows).numpy())
    optimizer = torch.optim.AdamW(head.parameters(), lr=3e-3, weight_decay=0.05)
    sizes = [len(one) for one in rows]
    for _ in range(200):
        logits = head(torch.cat(rows))
        loss = functional.binary_cross_entropy_with_logits(logits, torch.cat(marks))
        among = [
            torch.logsumexp(own, 0) - torch.logsumexp(own[gold > 0], 0)
            for own, gold in zip(logits.split(sizes), marks, strict=True)
            if gold.any()
        ]
        optimizer.zero_grad()
        (loss + 0.3 * torch.stack(among).mean()).backward()
        optimizer.step()
    return head


def add_head(every: Sequence[Found], name: str, *, cross: bool) -> None:
    """Write the log odds of a head beside each sentence, those of `held` by heads that saw none of their documents."""
    held = [one for one in every if one["set"] == "held"]
    fold = {id(one): int(hashlib.md5(one["passages"][0]["path"].encode()).hexdigest(), 16) % FOLDS for one in held}
    groups = [
        ([one for one in held if fold[id(one)] != n], [one for one in held if fold[id(one)] == n]) for n in range(FOLDS)
    ]
    groups.append((held, [one for one in every if one["set"] != "held"]))
    for learnt, others in groups:
        head = fitted(learnt, cross=cross)
        for one in others:
            rows, places = features(one, cross=cross)
            with torch.inference_mode():
                logits = head(torch.from_numpy(rows)).tolist()
            for passage in one["passages"]:
                passage[name] = [0.0] * len(passage["tokens"])
            for (n, s), value in zip(places, logits, strict=True):
                one["passages"][n][name][s] = value


def add_cross_encoder(every: Sequence[Found], state: Path, encoder: Path) -> int:
    """Write the log odds of the cross-encoder beside each sentence; return the steps it was trained."""
    import cross_encoder

    tokenizer = cross_encoder.Tokenizer(encoder / "tokenizer.json")
    model = cross_encoder.Pruner(encoder)
    kept = torch.load(state, weights_only=True)
    model.load_state_dict(kept["model"])
    model.eval()
    apart = SentenceEncoder()
    for one in every:
        question = tokenizer.question(one["question"])
        for passage in one["passages"]:
            passage["cross"] = [-9.0] * len(passage["tokens"])
            rows = [cross_encoder.Row(apart, question, one) for one in tokenizer.windows(passage["text"])]
            if not rows:
                continue
            with torch.inference_mode():
                logits, there = model(rows)
            for own, known in zip(logits.tolist(), there.tolist(), strict=True):
                for s in range(len(own)):
                    if known[s]:
                        passage["cross"][s] = own[s]
    return int(kept["step"])


# --- the table ----------------------------------------------------------------------------------------------------


def ways(*, cross: bool) -> Iterator[tuple[str, Callable[[Found, int], Kept]]]:
    yield "fewer passages", whole_passages
    scores: list[tuple[str, Score]] = [
        ("words", of("words")),
        ("cosine (MiniLM)", of("cosine")),
        ("words + cosine + passage", joined),
        ("encoder of sentences", of("encoder")),
        ("encoder + words + passage", beside),
        ("head", of("head")),
    ]
    scores += [("cross-encoder", of("cross")), ("head with cross-encoder", of("both"))] if cross else []
    for name, score in scores:
        yield name, partial(best_sentences, score=score)
    for name, score in scores[4:]:
        yield f"{name}, 1 whole", partial(best_sentences, score=score, first=1, pool=PASSAGES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("found", type=Path)
    parser.add_argument("--cross-encoder", type=Path)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--out", type=Path, help="where the questions are kept with all scores")
    chosen = parser.parse_args()
    every: list[Found] = [one for one in pickle.loads(chosen.found.read_bytes()) if one["passages"]]
    cross = chosen.cross_encoder is not None
    if cross:
        print("steps", add_cross_encoder(every, chosen.cross_encoder, chosen.encoder))
    add_head(every, "head", cross=False)
    if cross:
        add_head(every, "both", cross=True)
    if chosen.out:
        chosen.out.write_bytes(pickle.dumps(every))
    groups = [
        (name, [one for one in every if one["set"] == name]) for name in dict.fromkeys(one["set"] for one in every)
    ]
    asked = [one for one in every if one["kind"]]
    groups.append(("look-ups of asked", [one for one in asked if one["kind"] in LOOK_UPS]))
    groups.append(("other kinds of asked", [one for one in asked if one["kind"] not in LOOK_UPS]))
    for name, own in groups:
        report(name, own, cross=cross)


def report(name: str, own: Sequence[Found], *, cross: bool) -> None:
    """Print the share of the evidence that each way keeps, by tokens."""
    today = [whole_passages(one, TODAY) for one in own]
    size = np.mean([tokens(*one) for one in zip(own, today, strict=True)])
    share = np.mean([share_kept(*one) for one in zip(own, today, strict=True)])
    print(f"\n{name}: {len(own)} questions; today {size:.0f} tokens, evidence kept {share:.3f}")
    print(f"{'':40}" + "".join(f"{budget:>8}" for budget in BUDGETS))
    for title, way in ways(cross=cross):
        shares = [np.mean([share_kept(one, way(one, budget)) for one in own]) for budget in BUDGETS]
        print(f"{title:40}" + "".join(f"{share:>8.3f}" for share in shares), flush=True)


if __name__ == "__main__":
    main()

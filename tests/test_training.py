"""Training the reranker: it learns, and a run that stopped goes on as if it had not."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "dog", "fee", "rent", "term"]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base of one random layer, and questions whose answer has their word."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("training")
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    width, up = 384, 1536
    sizes = {"attention.self.query": (width, width), "attention.self.key": (width, width),
             "attention.self.value": (width, width), "attention.output.dense": (width, width),
             "intermediate.dense": (up, width), "output.dense": (width, up)}  # fmt: skip
    weights = {"embeddings.word_embeddings.weight": torch.randn(len(WORDS), width),
               "embeddings.position_embeddings.weight": torch.randn(512, width) * 0.02,
               "embeddings.token_type_embeddings.weight": torch.randn(2, width)}  # fmt: skip
    for name, size in sizes.items():
        weights[f"encoder.layer.0.{name}.weight"] = torch.randn(size) * 0.05
        weights[f"encoder.layer.0.{name}.bias"] = torch.zeros(size[0])
    for name in ("embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"):
        weights[f"{name}.LayerNorm.weight"], weights[f"{name}.LayerNorm.bias"] = torch.ones(width), torch.zeros(width)
    save_file(weights, folder / "model.safetensors")
    rng = random.Random(0)
    groups = []
    for i in range(200):
        asked = rng.choice(WORDS[5:])
        others = [word for word in WORDS[5:] if word != asked]
        texts = [f"the {word}" for word in rng.sample(others, 3)]
        at = rng.randrange(4)
        texts.insert(at, f"the {asked}")
        groups.append({"set": "a", "doc": f"{i}", "question": f"the {asked}", "answerable": True, "texts": texts,
                       "scores": [0.5] * 4, "labels": [int(j == at) for j in range(4)]})  # fmt: skip
    (folder / "groups").mkdir()
    (folder / "groups" / "a.jsonl").write_text("".join(json.dumps(group) + "\n" for group in groups))
    return folder


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "training"))
    import reranker

    yield reranker
    sys.modules.pop("reranker")


def steps(trainer, work: Path, count: int) -> list[float]:
    training = trainer.Training(work, work, layers=1, frozen=0, seed=1)
    groups = trainer.read_groups(work, held_out=False)
    source = trainer.stream(groups, 1, training.step * trainer.QUESTIONS)
    pairs = trainer.Pairs(work)
    found = [training.take(pairs, [next(source) for _ in range(trainer.QUESTIONS)]) for _ in range(count)]
    training.save()
    return found


def test_a_run_that_stopped_goes_on_as_if_it_had_not(trainer, work: Path) -> None:
    file = work / "checkpoint.pt"
    file.unlink(missing_ok=True)
    whole = steps(trainer, work, 6)
    file.unlink()
    assert steps(trainer, work, 3) + steps(trainer, work, 3) == pytest.approx(whole, rel=1e-3)


def test_it_learns_what_the_search_does_not_know(trainer, work: Path) -> None:
    (work / "checkpoint.pt").unlink(missing_ok=True)
    losses = steps(trainer, work, 100)
    assert sum(losses[-20:]) < 0.2 * sum(losses[:20])


def test_held_out_documents_are_never_trained_on(trainer, work: Path) -> None:
    trained, held = (trainer.read_groups(work, held_out=which) for which in (False, True))
    assert held and not {one["doc"] for one in trained} & {one["doc"] for one in held}

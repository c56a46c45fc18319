"""Order the best passages with a cross-encoder, which reads question and passage together.

Optional: the setting `reranker` names an installed one, or a folder as sentence-transformers saves it. Only files of
that folder are read, no code of it runs, and only safetensors weights load. Limits: the model cuts passages longer than
its own limit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from localrag import embeddings, policy
from localrag.errors import ModelError
from localrag.models import catalog
from localrag.models.records import sha256_of
from localrag.models.store import ModelStore
from localrag.settings import Settings
from localrag.types import Passage

# Passages that are scored; each costs about as much as embedding it.
CANDIDATES = 30
_BATCH = 8


class Reranker:
    """A cross-encoder with one output, run by sentence-transformers on the CPU."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            hint = "The setting reranker names a folder with config.json, *.safetensors and the tokenizer's files."
            raise ModelError(f"there is no cross-encoder in {str(folder)!r}", hint)
        torch = embeddings.quiet_torch()
        from sentence_transformers import CrossEncoder

        try:
            # Raw outputs: a sigmoid rounds the best of them to the same number.
            self._model = CrossEncoder(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                activation_fn=torch.nn.Identity(),
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            hint = "Choose another folder, or remove the setting reranker."
            raise ModelError(f"cannot load the cross-encoder from {str(folder)!r}: {error}", hint) from error
        if self._model.num_labels != 1:
            hint = "It is a classifier. Choose a cross-encoder trained to rank passages."
            raise ModelError(f"the model in {str(folder)!r} has {self._model.num_labels} outputs instead of one", hint)

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the question; higher is better, without a scale."""
        # In its own thread, since torch may change CPU flags that the model that answers relies on (llama.py).
        with ThreadPoolExecutor(1, "rerank") as pool:
            pairs = [(question, text) for text in texts]
            scored = pool.submit(self._model.predict, pairs, batch_size=_BATCH, show_progress_bar=False).result()
        return [float(score) for score in scored]


def rerank(question: str, passages: Sequence[Passage], reranker: Reranker) -> list[Passage]:
    """Return the passages in the order of the cross-encoder; those behind the first `CANDIDATES` stay behind.

    The new score is the model's, mapped to 0 to 1; the signals keep both raw scores.
    """
    # Under its headings, since a row or a sentence alone often does not say what it is about.
    parts = [(" › ".join(one.heading), one.header, one.text) for one in passages[:CANDIDATES]]
    scored = reranker.scores(question, ["\n".join(filter(None, texts)) for texts in parts])
    # Ties keep the order of the search.
    order = sorted(range(len(scored)), key=lambda i: (-scored[i], i))
    best = [
        replace(
            passages[i],
            score=1 / (1 + math.exp(-max(-60.0, min(60.0, scored[i])))),
            signals={**passages[i].signals, "search": round(passages[i].score, 6), "rerank": round(scored[i], 6)},
        )
        for i in order
    ]
    lowest = best[-1].score if best else 1.0
    return [*best, *(replace(passage, score=min(passage.score, lowest)) for passage in passages[CANDIDATES:])]


def load_reranker(settings: Settings) -> Reranker | None:
    """Load the cross-encoder named by the setting `reranker`, or return None where it is not set."""
    if settings.reranker is None:
        return None
    if catalog.find(settings.reranker.name) is not None and not settings.reranker.exists():
        return Reranker(ModelStore(settings).get(settings.reranker.name).path)
    if not policy.allows_model(None):
        policy.check_model(str(settings.reranker), *map(sha256_of, sorted(settings.reranker.rglob("*.safetensors"))))
    return Reranker(settings.reranker)

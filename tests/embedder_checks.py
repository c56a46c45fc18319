"""What every embedder must do."""

import numpy as np
import pytest

from localrag.errors import Cancelled

TEXTS = [
    "The lease ends in May.",
    "x",
    "A long text about the notice period of a contract. " * 12,
    "",
    "Flamingos are pink.",
    "Das Mietverhältnis endet. 👩🏽‍⚖️ 中文",
]


def sound(embedder):
    vectors = embedder.embed_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.identity.dimension) and vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    assert all(length == pytest.approx(1, abs=1e-3) or not text for text, length in zip(TEXTS, lengths, strict=True))
    assert np.isfinite(vectors).all()
    for text, row in zip(TEXTS, vectors, strict=True):
        alone = embedder.embed_documents([text])[0]
        assert float(alone @ row) > 0.999 or not text
    assert np.array_equal(vectors, embedder.embed_documents(TEXTS))
    assert embedder.embed_documents([]).shape == (0, embedder.identity.dimension)
    question = embedder.embed_question("When does the lease end?")
    assert question.shape == (embedder.identity.dimension,)
    assert vectors[0] @ question > vectors[4] @ question
    assert embedder.count("") == 0 and embedder.count("two words") >= 2
    with pytest.raises(Cancelled):
        embedder.embed_documents(TEXTS, stop=lambda: True)
    done = []
    embedder.embed_documents(TEXTS, progress=done.append)
    assert done[-1] == len(TEXTS)

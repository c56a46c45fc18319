import base64
import sys
import zlib

import fake_endpoint
import numpy as np
import pytest
from embedder_checks import sound
from fake_endpoint import failed, ok
from fakes import HashingEmbedder

from localrag.embeddings import EmbedderIdentity, load_embedder
from localrag.embeddings.embedders import ServerEmbedder
from localrag.errors import Cancelled, EmbedderMismatch, ModelError, ModelMissing
from localrag.models import endpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Python on Windows has no Unix sockets")
EMBEDDINGS = "/v1/embeddings"


@pytest.fixture
def server(short):
    fake = fake_endpoint.at_unix(short / "socket")
    fake.replies[EMBEDDINGS] = hashed
    yield fake
    fake.listener.close()
    endpoint.model_at.cache_clear()


@pytest.fixture
def served(settings, server):
    return settings.with_options(embedder_server=server.url)


def embedder(server):
    return ServerEmbedder(endpoint.parsed(server.url, "embedder_server"), None)


def reply(rows):
    listed = [{"index": n, "embedding": row} for n, row in enumerate(rows)]
    return ok({"data": listed[::-1]})  # in no order


def hashed(body):
    return reply((3 * HashingEmbedder().embed_documents(body["input"])).tolist())


def random(body, weights=0, noise=0.0):
    """The vectors of a model with these random weights, computed a little otherwise each time."""
    rows = [np.random.default_rng([weights, zlib.crc32(text.encode())]).normal(size=64) for text in body["input"]]
    return reply([(row + noise * np.random.default_rng().normal(size=64)).tolist() for row in rows])


def test_it_does_what_every_embedder_does_also_with_vectors_in_base64(server):
    made = embedder(server)
    sound(made)
    assert (made.identity.model, made.identity.engine, made.identity.dimension) == ("small", "server", 256)
    assert made.max_tokens == 254
    plain = embedder(server).embed_documents(["The lease ends.", "Cats."])
    server.replies[EMBEDDINGS] = lambda body: reply(
        [base64.b64encode(row.tobytes()).decode() for row in HashingEmbedder().embed_documents(body["input"])]
    )
    assert np.allclose(embedder(server).embed_documents(["The lease ends.", "Cats."]), plain)


def test_texts_are_sent_in_batches_and_too_long_ones_cut(server):
    made, done = embedder(server), list[int]()
    rows = made.embed_documents([f"word{n}" for n in range(70)], progress=done.append)
    assert done == [32, 64, 70] and [len(body["input"]) for body in server.bodies(EMBEDDINGS)[1:]] == [32, 32, 6]
    assert np.array_equal(rows[69], made.embed_question("word69"))

    def limited(body):
        long = any(len(text) > 1000 for text in body["input"])
        return failed("400 Bad Request", "too long") if long else hashed(body)

    server.replies[EMBEDDINGS] = limited
    made, words = embedder(server), "abc " * 400
    rows = made.embed_documents(["short", words, "last"])
    assert np.array_equal(rows[1], made.embed_question(words[:800]))
    assert np.array_equal(rows[2], made.embed_question("last"))


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [[1.0]] * 7 + [[1.0, 2.0]],
        [["a"]] * 8,
        [[float("nan")] * 4] * 8,
        "none",
        ["%%%"] * 8,
        [None] * 8,
        [[]] * 8,
        [[10**400] * 4] * 8,
    ],
)
def test_what_is_no_vector_of_each_text_is_an_error(server, rows):
    server.replies[EMBEDDINGS] = ok({"data": rows}) if rows == "none" else reply(rows)
    with pytest.raises(ModelError, match="no vector of each text"):
        embedder(server)


def test_a_server_that_fails_is_an_error_and_a_stop_ends_the_waiting(server):
    made = embedder(server)
    server.replies[EMBEDDINGS] = failed("500 Internal Server Error", "out of memory")
    with pytest.raises(ModelError, match="out of memory"):
        made.embed_documents(["word " * 500, "b"])
    asked = len(server.bodies(EMBEDDINGS))
    server.replies[EMBEDDINGS] = None
    with pytest.raises(Cancelled):
        made.embed_documents(["a"], stop=lambda: len(server.bodies(EMBEDDINGS)) > asked)
    assert server.left.wait(60)


def test_a_new_library_takes_the_embedder_of_the_server(served, server):
    server.replies[EMBEDDINGS] = lambda body: random(body, noise=0.02)
    identity = load_embedder(served).identity
    assert load_embedder(served, identity).identity == identity  # although each figure is a little different
    server.replies[EMBEDDINGS] = lambda body: random(body, weights=1)
    with pytest.raises(EmbedderMismatch):
        load_embedder(served, identity)
    server.replies["/v1/models"] = ok({"data": [{"id": "other"}]})
    endpoint.model_at.cache_clear()
    with pytest.raises(ModelError):
        load_embedder(served, identity)


def test_a_library_keeps_the_place_of_its_embedder(settings, served, server):
    identity = load_embedder(served).identity
    with pytest.raises(ModelMissing, match="model server"):
        load_embedder(settings, identity)
    asked = len(server.asked)
    with pytest.raises(ModelMissing):  # it is looked for among the installed ones
        load_embedder(served, EmbedderIdentity("small", "0" * 64, "int8", "onnxruntime", 256))
    assert len(server.asked) == asked

import os
import shutil
import time
from types import SimpleNamespace

import pytest

from localrag.errors import StorageError
from localrag.llm import Prefix
from localrag.llm.prompt_cache import FOLDER, DiskPromptCache, bound, drop_missing, kept, passages, usage, warm
from localrag.security import storage

STATE = memoryview(bytes(range(256)) * 40)


def prefix(*tokens, cuts=(), parts=1):
    return Prefix(tokens, cuts or (len(tokens),), parts)


TOKENS = prefix(1, 22, 333)


def cache(folder, identity="model", documents=("h1",), limit=1 << 20):
    return DiskPromptCache(folder, identity, documents, limit)


def files(folder):
    return sorted(file for file in (folder / FOLDER).glob("*") if file.name != "names.key")


def test_a_state_comes_back_byte_for_byte_for_its_own_tokens_and_model_alone(tmp_path):
    assert cache(tmp_path).get(TOKENS) is None and not cache(tmp_path).has(TOKENS)
    cache(tmp_path).put(TOKENS, STATE)
    assert cache(tmp_path).has(TOKENS)
    assert cache(tmp_path).get(prefix(1, 22)) is None
    assert cache(tmp_path).get(prefix(12, 2333)) is None
    assert cache(tmp_path).get(prefix(1, 22, 333, cuts=(1, 3))) is None
    assert cache(tmp_path, "model\nadapter").get(TOKENS) is None
    assert cache(tmp_path).get(TOKENS) == STATE


def test_a_state_whose_writing_or_loading_was_stopped_is_not_used(tmp_path):
    large, asked = memoryview(bytes(5 << 20)), 0

    def stop():
        nonlocal asked
        asked += 1
        return asked == 3

    states = cache(tmp_path, limit=1 << 30)
    states.put(TOKENS, large, lambda: True)
    assert states.get(TOKENS) is None and files(tmp_path) == []
    states.put(TOKENS, large, lambda: False)
    assert states.get(TOKENS, stop) is None
    assert asked == 3, "it was read on after it was to stop"
    assert states.get(TOKENS, lambda: False) == large


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"foreign",
        lambda data: data[:-1] + b"\x00",
        lambda data: data + b"more",
        lambda data: data[:25],
        lambda data: data.replace(b'"digest"', b'"d1gest"'),
        lambda data: b"localrag-state-2\n[1]\nstate",
        lambda data: b"localrag-state-2\n\xff\xfe\nstate",
    ],
    ids=range(9),
)
def test_a_damaged_or_foreign_state_is_deleted_and_not_used(tmp_path, harm):
    cache(tmp_path).put(TOKENS, STATE)
    (file,) = files(tmp_path)
    file.write_bytes(harm(file.read_bytes()))
    assert cache(tmp_path).get(TOKENS) is None
    assert files(tmp_path) == []
    cache(tmp_path).put(TOKENS, STATE)
    assert cache(tmp_path).get(TOKENS) == STATE


def test_the_longest_unused_go_first_and_the_bound_holds(tmp_path):
    states = cache(tmp_path, limit=4 * len(STATE))
    for number in range(3):
        states.put(prefix(number), STATE)
        os.utime(states._path(prefix(number)), (1000 + number, 1000 + number))
    assert states.get(prefix(0))  # used just now
    states.put(prefix(3), STATE)
    states.put(prefix(4), STATE)
    assert [n for n in range(5) if states.get(prefix(n))] == [0, 3, 4]
    assert sum(file.stat().st_size for file in files(tmp_path)) <= 4 * len(STATE)
    cache(tmp_path / "other", limit=100).put(TOKENS, STATE)
    assert files(tmp_path / "other") == []


def test_a_state_goes_when_one_of_its_documents_does(tmp_path):
    cache(tmp_path, documents=("h1", "h2")).put(prefix(1, parts=2), STATE)
    cache(tmp_path, documents=("h2",)).put(prefix(2), STATE)
    assert drop_missing(tmp_path, {"h1", "h2", "h3"}) == 0
    assert drop_missing(tmp_path, {"h2"}) == 1
    assert cache(tmp_path).get(prefix(1)) is None and cache(tmp_path).get(prefix(2)) == STATE
    (tmp_path / FOLDER / "foreign.state").write_bytes(b"what is this")
    assert drop_missing(tmp_path, {"h2"}) == 1
    assert drop_missing(tmp_path, set()) == 1 and files(tmp_path) == []
    assert drop_missing(tmp_path / "nowhere", set()) == 0


def killed_while_writing(folder, age):
    left = folder / FOLDER / "0123.state.89abcdef.partial"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(STATE)
    os.utime(left, (time.time() - age,) * 2)
    return left


def test_what_a_killed_write_left_goes_with_the_next_state_or_with_documents(tmp_path):
    old = killed_while_writing(tmp_path, 3600)
    cache(tmp_path).put(TOKENS, STATE)
    assert not old.exists()
    under_way = killed_while_writing(tmp_path, 1)
    cache(tmp_path).put(prefix(4), STATE)
    assert under_way.exists()
    drop_missing(tmp_path, {"h1"})
    assert not under_way.exists()


@pytest.mark.parametrize("error", [StorageError("the disk is full"), FileNotFoundError("swept by another process")])
def test_a_state_that_cannot_be_kept_does_not_cost_the_answer(tmp_path, monkeypatch, error):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(storage, "create", fails)
    cache(tmp_path).put(TOKENS, STATE)
    assert cache(tmp_path).get(TOKENS) is None


def test_what_is_warm_is_told_by_documents_in_their_order_and_not_by_sections(tmp_path):
    DiskPromptCache(tmp_path, "model", ["h1"], 1 << 20, part="Chapter 2").put(TOKENS, STATE)
    assert warm(tmp_path, "model") == {}
    assert cache(tmp_path).get(TOKENS) == STATE  # the same tokens are the same state
    both = cache(tmp_path, documents=("h1", "h2"))
    both.put(prefix(1, 2, parts=1), STATE)
    both.put(prefix(1, 2, 3, parts=2), STATE)
    cache(tmp_path, documents=("h2", "h1")).put(prefix(4, 5, 6, 7, parts=2), STATE)
    cache(tmp_path, "another model").put(prefix(8), STATE)
    assert warm(tmp_path, "model") == {("h1",): 2, ("h1", "h2"): 3, ("h2", "h1"): 4}
    assert warm(tmp_path, "a third") == {} and warm(tmp_path / "nowhere", "model") == {}


def test_reading_ahead_pushes_out_nothing(tmp_path):
    limit = 2 * len(STATE) + 1000
    cache(tmp_path, limit=limit).put(TOKENS, STATE)
    ahead = DiskPromptCache(tmp_path, "model", ["h2"], limit, keep_others=True)
    assert ahead.make_room(len(STATE))
    ahead.put(prefix(4), STATE)
    assert not ahead.make_room(len(STATE))
    ahead.put(prefix(5), STATE)
    assert ahead.has(prefix(4)) and not ahead.has(prefix(5)) and cache(tmp_path).has(TOKENS)
    cache(tmp_path, limit=limit).put(prefix(6), STATE)  # somebody asked
    assert cache(tmp_path).has(prefix(6))


def test_without_a_bound_of_its_own_a_share_of_the_free_disk_holds(tmp_path, monkeypatch):
    def disk(free):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))

    disk(20 * len(STATE))
    assert bound(tmp_path / FOLDER, 0) == 2 * len(STATE) and bound(tmp_path, 77) == 77
    disk(1 << 60)
    assert bound(tmp_path, 0) == 5_000_000_000
    disk(5 * len(STATE))
    cache(tmp_path, limit=0).put(TOKENS, STATE)
    assert files(tmp_path) == []


@pytest.mark.parametrize("head", [b'{"documents": [["h1"]]}', b'{"documents": 5}', b"[" * 50_000, b"{}"])
def test_a_state_whose_head_makes_no_sense_goes_with_the_next_look(tmp_path, head):
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "x.state").write_bytes(b"localrag-state-2\n" + head + b"\nstate")
    assert warm(tmp_path, "model") == {}
    assert drop_missing(tmp_path, {"h1"}) == 1 and files(tmp_path) == []


def block(*tokens, start=1, parts=1):
    return Prefix(tokens, (start, len(tokens)), parts, start, 1)


def test_passages_are_counted_by_document_and_model_without_opening_them(tmp_path, monkeypatch):
    cache(tmp_path).put(prefix(1, 22), STATE)
    for n, document in enumerate(("h1", "h1", "h2")):
        cache(tmp_path, documents=(document,)).put(block(1, 5, 6, n), STATE)
    cache(tmp_path, "other model").put(block(1, 5, 6, 7), STATE)
    (tmp_path / FOLDER / "a-b-c.state").write_bytes(b"what is this")
    opened = storage.open_stream
    monkeypatch.setattr(
        storage, "open_stream", lambda path: pytest.fail(str(path)) if "-" in path.name else opened(path)
    )
    assert passages(tmp_path, "model", {"h1", "h2", "h3"}) == {"h1": 2, "h2": 1}
    assert passages(tmp_path, "other model", {"h1"}) == {"h1": 1}
    number, size = usage(tmp_path)
    assert number == 5 and size > 5 * len(STATE)
    monkeypatch.undo()
    assert kept(tmp_path, "model") == {"h1": 2} and warm(tmp_path, "model") == {("h1",): 2}


def test_passages_go_with_their_document_and_by_their_age(tmp_path):
    one, two = (cache(tmp_path, documents=(document,), limit=4 * len(STATE)) for document in ("h1", "h2"))
    one.put(block(1, 2), STATE)
    two.put(block(1, 3), STATE)
    two.put(block(1, 2), STATE)  # the same words in another document
    assert drop_missing(tmp_path, {"h2"}) == 1 and not one.has(block(1, 2)) and two.get(block(1, 2)) == STATE
    os.utime(two._path(block(1, 3)), (1, 1))
    two.put(block(1, 4), STATE)
    two.put(block(1, 5), STATE)
    assert not two.has(block(1, 3)) and all(two.has(block(1, n)) for n in (2, 4, 5))
    assert drop_missing(tmp_path, set()) == 3 and files(tmp_path) == []


@pytest.mark.parametrize("planted", [b"", b"x" * 31, b"x" * 99, None])
def test_anything_under_the_name_of_the_key_is_no_key(tmp_path, planted):
    key = tmp_path / FOLDER / "names.key"
    key.parent.mkdir()
    key.mkdir() if planted is None else key.write_bytes(planted)
    assert cache(tmp_path).get(TOKENS) is None and passages(tmp_path, "model", {"h1"}) == {}
    cache(tmp_path).put(TOKENS, STATE)
    assert cache(tmp_path).get(TOKENS) == STATE

import sys
from dataclasses import replace

import numpy as np
import pytest
import tiny_llamas

from localrag.events import PromptRead
from localrag.llm import llama
from localrag.llm.llama import LlamaGenerator, sampler
from localrag.llm.llama_model import LlamaContext
from localrag.llm.prompt_cache import FOLDER, DiskPromptCache, PassageCache, drop_missing, kept, usage, warm
from localrag.types import Message

PASSAGES = tuple(
    f"\n\npaper{n}.txt\nClause {n}: the fee of Hall {n} is {n * 37} euros a month, payable in advance."
    for n in range(4)
)


class Kept:
    def __init__(self):
        self.states = {}
        self.loaded = 0

    def has(self, prefix):
        return prefix in self.states

    def get(self, prefix, stop=None):
        found = self.states.get(prefix)
        self.loaded += found is not None
        return None if found is None else bytearray(found)

    def put(self, prefix, state, stop=None):
        self.states[prefix] = bytes(state)


def with_tail(asked, tail):
    return [*asked[:-1], replace(asked[-1], tail=tail)]


def messages(passages=PASSAGES, question="What is the fee of Hall 3?"):
    return [
        Message("system", "Be short."),
        Message("user", question, stable=("Passages:",), blocks=tuple((one,) for one in passages)),
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_llamas.full(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture
def start(file):
    started = []

    def begin(path=file, **options):
        started.append(LlamaGenerator("tiny", path, threads=1, **options))
        return started[-1]

    yield begin
    for model in started:
        model.close()


def run(model, asked, **options):
    *_, done = model.generate(asked, max_tokens=12, **options)
    return done


def shares(model, asked, **options):
    *_, done = model.weigh(asked, ("yes", "no"), **options)
    return done.shares


def test_cold_warm_and_in_another_process_the_result_is_the_same_to_the_last_bit(start):
    cache = Kept()
    cold = shares(start(), messages())
    model = start()
    assert shares(model, messages(), cache=cache) == cold
    assert shares(model, messages(), cache=cache) == cold, "with everything in the memory"
    run(model, messages(PASSAGES[2:], "Another?"), cache=cache)
    assert shares(model, messages(), cache=cache) == cold, "after other passages"
    assert shares(start(), messages(), cache=cache) == cold, "in another process"
    run(model, messages((), "None?"))
    assert shares(model, messages()) == cold, "without a cache, after something else"


def test_passages_in_another_order_or_number_are_not_read_again(start):
    cache, model = Kept(), start()
    cold = run(model, messages(), cache=cache)
    assert cold.usage.reused == 0
    for passages in (PASSAGES[::-1], PASSAGES[1:3], (PASSAGES[3],)):
        asked = messages(passages, "Which hall?")
        warm = run(start(), asked, cache=cache)
        new = model.count("Which hall?")
        assert 0 < warm.usage.prompt - warm.usage.reused <= new + 100
        assert warm.text == run(start(), asked).text


def continued(*blocks):
    return [Message("system", "Be short."), Message("user", "\n\nWhich?", stable=("Passages:",), blocks=blocks)]


def test_a_passage_that_goes_on_is_read_behind_the_one_before(start):
    one, two, three, four = PASSAGES
    cold, cache = shares(start(), continued((one, two, three), (four,))), Kept()
    assert shares(start(), continued((one, two, three), (four,)), cache=cache) == cold
    assert shares(start(), continued((one, two, three), (four,)), cache=cache) == cold, "from the cache"
    assert cold != shares(start(), continued((one,), (two,), (three,), (four,))), "as if each were by itself"
    part = Kept()
    shares(start(), continued((one, two)), cache=part)
    loaded = part.loaded
    assert shares(start(), continued((one, two, three), (four,)), cache=part) == cold, "the first two from the cache"
    assert part.loaded == loaded + 3, "the beginning and two parts"
    two = PASSAGES[1] * 20  # equal passages of two libraries, each with its own beginning
    asked, cache = continued((one, two), (one, two)), Kept()
    cold = shares(start(), asked)
    assert shares(start(), continued((one,), (one, two)), cache=cache) != cold
    assert shares(start(), asked, cache=cache) == cold


def test_joined_is_near_to_together(start):
    apart, together = (shares(start(apart=apart), messages((PASSAGES[0],))) for apart in (True, False))
    assert apart == pytest.approx(together, abs=0.01), "one passage sees the same either way, but for 8 bits"


@pytest.mark.parametrize("kind", [tiny_llamas.sliding, tiny_llamas.convolved, tiny_llamas.delta, tiny_llamas.recurrent])
def test_a_model_that_cannot_move_them_reads_them_together_behind_the_rules_that_it_keeps(start, tmp_path, kind):
    cache, model = Kept(), start(kind(tmp_path / "other.gguf"))
    first = run(model, messages(), cache=cache)
    (rules,) = cache.states
    assert rules.parts == rules.start == 0 and first.usage.reused == 0
    other = messages(PASSAGES[2:], "Which hall is dear?")
    warm = run(start(tmp_path / "other.gguf"), other, cache=cache)
    assert warm.usage.reused == len(rules.tokens) and list(cache.states) == [rules]
    assert warm.text == run(start(tmp_path / "other.gguf"), other).text
    read, plain = start(tmp_path / "other.gguf"), start(tmp_path / "other.gguf")
    assert shares(read, other, cache=cache) == shares(plain, other), "the same to the last bit"


def test_each_passage_lies_with_its_document_but_not_what_was_read_together(start, tmp_path):
    cache = PassageCache([DiskPromptCache(tmp_path, "model", ["hash"], 1 << 30)] * len(PASSAGES))
    run(start(apart=False), messages(), cache=cache)
    assert kept(tmp_path, "model") == {} == warm(tmp_path, "model")
    assert drop_missing(tmp_path, []) == 0 < usage(tmp_path)[1], "the rules are of no document"
    folders = [tmp_path / name for name in ("a", "b")]
    caches = [DiskPromptCache(folders[n % 2], "model", [f"hash{n}"], 1 << 30) for n in range(4)]
    shares(start(), messages(), cache=PassageCache(caches))
    files = [len(list((folder / FOLDER).glob("*.state"))) for folder in folders]
    assert files == [3, 2], "two passages each, and the beginning once"
    assert kept(folders[0], "model") == {} == warm(folders[0], "model"), "no document is read whole"
    assert drop_missing(folders[0], ["hash0"]) == 1 and drop_missing(folders[1], ["hash1", "hash3"]) == 0
    done = run(start(), messages(), cache=PassageCache(caches))
    assert done.usage.reused > 0


def test_reading_ahead_leaves_only_the_question(start):
    cache, model = Kept(), start()
    list(model.read(messages()))  # what is in the memory is cached too
    *_, last = model.read(messages(), cache=cache)
    assert isinstance(last, PromptRead) and last.done == last.total
    assert sum(prefix.start > 0 for prefix in cache.states) == len(PASSAGES) == len(cache.states) - 1
    assert set(model.prefixes(messages())) <= set(cache.states)
    done = run(start(), messages(), cache=cache)
    assert done.usage.prompt - done.usage.reused < 60
    assert done.text == run(start(), messages()).text


def test_stopped_among_the_passages_what_was_read_is_kept(start):
    cache, model = Kept(), start()

    def stop():
        return len(cache.states) >= 3  # the beginning and two passages

    done = run(model, messages(), cache=cache, stop=stop)
    assert done.ended == "stopped" and not done.text
    again = run(model, messages(), cache=cache)
    assert again.text == run(start(), messages()).text
    assert again.usage.reused > 0


def test_a_state_of_something_else_is_read_anew(start):
    cache, expected = Kept(), shares(start(), messages())
    shares(start(), messages(), cache=cache)
    for blocks in (True, False):
        for prefix in cache.states:
            if bool(prefix.start) == blocks:
                cache.states[prefix] = b"nothing of a model"
        assert shares(start(), messages(), cache=cache) == expected


@pytest.mark.parametrize("method", ["fork", "link"])
def test_an_exception_in_a_batch_leaves_nothing_behind(start, monkeypatch, method):
    expected, cache, model = forked(start()), Kept(), start()
    forked(model, cache=cache)
    real, failed = LlamaContext._run, []

    def run_once(context, *rest):
        if sys._getframe(1).f_code.co_name == method and not failed:
            failed.append(1)
            raise KeyboardInterrupt
        return real(context, *rest)

    monkeypatch.setattr(LlamaContext, "_run", run_once)
    run(model, messages(PASSAGES[:1], "Another?"))
    with pytest.raises(KeyboardInterrupt):
        forked(model, cache=cache)
    new = ("\n\nnew.txt\nClause 9: no fee.",)
    run(model, messages(new), cache=cache)
    assert shares(model, messages(new), cache=cache) == shares(start(), messages(new))
    again = forked(model, cache=cache)
    assert (again[0], again[1].text) == (expected[0], expected[1].text)


def test_stopped_while_first_tokens_are_read_again_the_passages_are_no_prompt(start, monkeypatch):
    cache, model, stopped = Kept(), start(), []
    expected = run(start(), messages())
    run(model, messages(PASSAGES[::-1]), cache=cache)
    link = LlamaContext.link
    monkeypatch.setattr(
        LlamaContext, "link", lambda context, heads, stop: link(context, heads, lambda: not stopped.append(1))
    )
    done = run(model, messages(), cache=cache)
    assert stopped and done.ended == "stopped" and done.usage.reused <= done.usage.prompt
    monkeypatch.undo()
    assert run(model, messages(), cache=cache).text == expected.text


def forked(model, **options):
    """Return the shares of the check, the answer, and the tokens that the answer still had to read."""
    check, then = (with_tail(messages(), tail) for tail in (" Is it there? Yes or no.", " In few words."))
    found = shares(model, check, then=then, room=12, **options)
    done = run(model, then, **options)
    return found, done, done.usage.prompt - done.usage.reused


@pytest.mark.parametrize("apart", [True, False])
def test_the_check_and_the_answer_are_read_in_one_batch(start, apart):
    shares_, done, read = forked(start(apart=apart))
    assert read == 0
    alone = with_tail(messages(), " Is it there? Yes or no.")
    assert shares_ == pytest.approx(shares(start(apart=apart), alone), abs=0.01)
    assert done.text[:3] == run(start(apart=apart), with_tail(messages(), " In few words.")).text[:3]


def test_neither_end_sees_the_other_and_long_tails_are_read_one_by_one(start):
    def both(check, then):
        model = start()
        found = shares(model, with_tail(messages(), check), then=with_tail(messages(), then))
        return found, run(model, with_tail(messages(), then)).text

    one, other_check, other_then = both(" abc", " xyz"), both(" abd", " xyz"), both(" abc", " xzy")
    assert one[0] == other_then[0] != other_check[0]
    assert one[1] == other_check[1]
    model, long, tail = start(), with_tail(messages(), " word" * 300), with_tail(messages(), " In few words.")
    assert shares(model, long, then=tail) == shares(start(), long) and run(model, tail).text


def test_read_in_one_batch_both_are_the_same_cold_and_warm(start):
    cache, model = Kept(), start()
    cold = forked(model, cache=cache)
    run(model, messages(PASSAGES[:2], "Another?"), cache=cache)
    for again in (forked(model, cache=cache), forked(model, cache=cache), forked(start(), cache=cache)):
        assert (again[0], again[1].text) == (cold[0], cold[1].text)


def test_packed_a_state_takes_little_more_than_half(start):
    model = start()
    shares(model, messages())
    state = model._context.state()
    packed = llama.pack(state, model._model.heads)
    back = llama.unpack(packed)
    assert len(packed) < 0.6 * len(state) and len(back) == len(state)
    assert llama.pack(memoryview(back), model._model.heads) == packed, "a second time nothing is lost"


@pytest.mark.parametrize("state", [b"", b"x" * 15, b"\0" * 64, np.arange(999, dtype=np.uint8).tobytes()])
def test_a_state_of_another_form_is_kept_as_it_is(state):
    assert bytes(llama.unpack(llama.pack(memoryview(state), 2))) == state


def test_a_grammar_draws_the_likeliest_token_that_it_allows(start):
    """Whether the likeliest of all is among those or not."""
    generator = start(context=1024)
    model, context = generator._model, generator._context
    words = {token: model.piece(token, special=False) for token in range(tiny_llamas.WORDS)}
    allowed = [token for token, word in words.items() if len(word) == 1 and b"!" <= word <= b"M"]
    likeliest = set()
    with sampler(model, 0.0, 0, "root ::= [!-M]+") as draw:
        for read in model.tokenize("Clause 3: the fee of Hall 3 is 111 euros a month.", special=False):
            context.decode([read], None)
            scores = context.logits()[: tiny_llamas.WORDS]
            token = draw(context)
            assert token == max(allowed, key=lambda token: scores[token])
            likeliest.add(scores[token] == max(scores))
    assert likeliest == {True, False}

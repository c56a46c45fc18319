import json
import math
import ssl
import sys
from pathlib import Path

import fake_endpoint
import pytest
from fake_endpoint import events, failed, ok, plain, said

from localrag import policy
from localrag.errors import ModelError, OfflineRefused, PolicyRefused, SettingsError
from localrag.events import Delta, PromptRead, Reasoning
from localrag.llm import Completed
from localrag.llm.server import ServerGenerator
from localrag.models import endpoint
from localrag.types import Message, Usage

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Python on Windows has no Unix sockets")
CHAT = "/v1/chat/completions"
ASKED = [Message("system", "Be brief."), Message("user", "When?")]


@pytest.fixture
def server(short):
    fake = fake_endpoint.at_unix(short / "socket")
    yield fake
    fake.listener.close()
    endpoint.model_at.cache_clear()


def generator(server, name=None, context=0):
    return ServerGenerator(endpoint.parsed(server.url, "generator_server"), name, context)


def written(made, **options):
    return list(made.generate(ASKED, max_tokens=50, **options))


def likeliest(**odds):
    listed = [{"token": token, "logprob": math.log(share)} for token, share in odds.items()]
    choice = {"message": {"content": "yes"}, "logprobs": {"content": [{"token": "yes", "top_logprobs": listed}]}}
    return ok({"choices": [choice], "usage": {"prompt_tokens": 30, "completion_tokens": 1}})


def test_an_answer_comes_word_by_word_apart_from_its_reasoning(server):
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
    server.replies[CHAT] = events(said("In "), said("May."), said("", "stop"), {"choices": [], "usage": usage})
    found = written(generator(server), temperature=0.5, seed=3)
    assert [event.text for event in found if isinstance(event, Delta)] == ["In ", "May."]
    assert isinstance(found[0], PromptRead) and found[0].done == 0 < found[0].total
    assert (found[-1].text, found[-1].usage, found[-1].ended) == ("In May.", Usage(9, 4, 3), "end")
    body = server.bodies(CHAT)[0]
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "When?"}]
    assert (body["model"], body["max_tokens"], body["temperature"], body["seed"]) == ("small", 50, 0.5, 3)
    thought = {"choices": [{"delta": {"reasoning_content": "Hm."}}]}
    server.replies[CHAT] = events(thought, said("In "), said("", "length"))
    *events_, done = written(generator(server))
    assert Reasoning("Hm.") in events_ and done.reasoning == "Hm."
    assert (done.text, done.ended, done.usage.generated) == ("In ", "length", 2)


def test_a_stop_closes_the_connection_and_keeps_what_was_written(server):
    server.replies[CHAT] = None
    looks = iter([False] * 4)
    done = written(generator(server), stop=lambda: next(looks, True))[-1]
    assert (done.text, done.ended) == ("", "stopped")
    assert server.left.wait(60)
    server.replies[CHAT] = events(*[said("word ")] * 1000, said("", "stop"))
    found = []
    words = lambda: [event for event in found if isinstance(event, Delta)]  # noqa: E731
    for event in generator(server).generate(ASKED, max_tokens=2000, stop=lambda: bool(words())):
        found.append(event)
    assert isinstance(found[-1], Completed) and found[-1].ended == "stopped"
    assert found[-1].text == "word " * len(words()) and 0 < len(words()) < 1000


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        plain(b"<html>hello</html>"),
        plain(b"data: [1]\n\n"),
        plain(b"data: {oops\n\n"),
        plain(b"data: " + b"[" * 100_000 + b"\n\n"),
        plain(b"data: " + b"x" * 2_000_000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\ndata",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nda",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000 + b"\r\n\r\n",
        events(said("In "), done=False),
        events(said("In ")),
        events({"error": {"message": "out of memory"}}),
        events({"error": "out of memory"}),
        events({"choices": "none"}),
        events({"choices": [3]}, {"usage": []}),
        failed("401 Unauthorized", "no key"),
        plain(b"\xff\xfe", "503 Busy"),
        plain(b"", "301 Moved", "Location: http://elsewhere/\r\n"),
        plain(b"", "204 None"),
    ],
)
def test_whatever_is_wrong_with_a_reply_is_an_error_that_names_the_server(server, reply):
    server.replies[CHAT] = reply
    with pytest.raises(ModelError) as caught:
        written(generator(server))
    assert server.url.removeprefix("unix://") in caught.value.message and caught.value.hint
    assert len(caught.value.message) < 700
    assert {path for path, _ in server.asked} <= {"/v1/models", CHAT}  # nothing is followed


def test_a_server_that_ignores_the_limit_says_why_stays_silent_or_is_gone(server, monkeypatch):
    made = generator(server)
    server.replies[CHAT] = events(*[said("word " * 100)] * 100, done=False)
    done = written(made)[-1]
    assert done.ended == "length" and len(done.text) < 6000
    server.replies[CHAT] = failed("400 Bad Request", "the prompt\nis too\x1b long " + "x" * 10_000)
    with pytest.raises(ModelError, match="the prompt is too") as caught:
        written(made)
    assert len(caught.value.message) < 500
    server.replies[CHAT] = None
    monkeypatch.setattr(endpoint, "_PATIENCE", 0.3)
    with pytest.raises(ModelError, match="silent"):
        written(made)
    server.listener.close()
    Path(server.url.removeprefix("unix://")).unlink()
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        written(made)
    assert "generator_server" in caught.value.hint


def weigh(made, **options):
    *_, weighed = made.weigh(ASKED, ["yes", "no"], **options)
    return weighed


def test_options_are_weighed_by_the_likelihoods_of_their_beginning(server):
    server.replies[CHAT] = likeliest(yes=0.5, **{" y": 0.1}, no=0.2, Maybe=0.1)
    weighed = weigh(generator(server))
    assert weighed.measured and weighed.usage == Usage(30, 0, 0)
    assert weighed.shares == pytest.approx((0.75, 0.25))
    assert server.bodies(CHAT)[0]["logprobs"] is True and server.bodies(CHAT)[0]["max_tokens"] == 1
    server.replies[CHAT] = likeliest(Maybe=0.5, Well=0.2)  # none is preferred
    assert weigh(generator(server)).shares == pytest.approx((0.5, 0.5))
    server.replies[CHAT] = None
    assert weigh(generator(server), stop=lambda: len(server.bodies(CHAT)) > 2).shares == ()


@pytest.mark.parametrize("odds", [10**400, -(10**400), -9000.0, math.nan, math.inf])
def test_likelihoods_that_are_none_end_nothing(server, odds):
    listed = [{"token": "Maybe", "logprob": odds}]
    choice = {"message": {"content": "yes"}, "logprobs": {"content": [{"top_logprobs": listed}]}}
    server.replies[CHAT] = ok({"choices": [choice]})
    assert sum(weigh(generator(server)).shares) == pytest.approx(1)


@pytest.mark.parametrize("refuses", [True, False])
def test_without_likelihoods_the_written_word_counts_and_that_is_told(server, refuses):
    def reply(body):
        if refuses and "logprobs" in body:
            return failed("400 Bad Request", "no logprobs")
        return ok({"choices": [{"message": {"content": "no"}}]})

    server.replies[CHAT] = reply
    made = generator(server)
    for _ in range(2):
        weighed = weigh(made)
        assert not weighed.measured and weighed.shares == pytest.approx((0.2, 0.8))
    assert sum("logprobs" in body for body in server.bodies(CHAT)) == 1


def test_a_server_without_grammars_is_asked_without(server):
    def reply(body):
        return failed("400 Bad Request", "no grammar") if "grammar" in body else events(said("In May.", "stop"))

    server.replies[CHAT] = reply
    made = generator(server)
    for _ in range(2):
        assert written(made, grammar='root ::= "In May."')[-1].text == "In May."
    bodies = server.bodies(CHAT)
    assert [body.get("grammar") is not None for body in bodies] == [True, False, False]
    assert bodies[0]["structured_outputs"]["grammar"] == bodies[0]["grammar"]


@pytest.mark.parametrize("pieces", [['{"found": ', 'true, "quote": "In', ' May."}'], ["In", ' May."}']])
def test_a_begun_answer_is_continued_whether_or_not_the_server_repeats_it(server, pieces):
    server.replies[CHAT] = events(*map(said, pieces), said("", "stop"))
    asked = [*ASKED, Message("assistant", '{"found": true, "quote": "')]
    *found, done = generator(server).generate(asked, max_tokens=50, grammar='root   ::= [a-z]+ "\\"}"')
    assert isinstance(done, Completed) and done.text == 'In May."}'
    assert "".join(event.text for event in found if isinstance(event, Delta)) == done.text
    body = server.bodies(CHAT)[0]
    assert len(body["messages"]) == 2
    assert body["grammar"].startswith(f"root ::= {json.dumps(asked[-1].text)} behind\nbehind   ::=")


@pytest.mark.parametrize(
    ("path", "reply", "field"),
    [
        ("/tokenize", {"tokens": [4, 5, 6]}, "content"),
        ("/tokenize", {"count": 3, "tokens": [4]}, "prompt"),
        ("/extras/tokenize/count", {"count": 3}, "input"),
    ],
)
def test_tokens_are_counted_by_the_server_once(server, path, reply, field):
    server.replies[path] = ok(reply)
    made = generator(server)
    assert made.count("In May.") == made.count("In May.") == 3 and made.count("") == 0
    assert [body[field] for body in server.bodies(path)] == ["In May."]


def test_a_server_that_cannot_count_is_asked_no_more_and_keeps_nothing(server):
    made = generator(server)
    assert made.count("In May 1999.") == 2 + 4 + 1
    asked = len(server.asked)
    assert made.count("Another.") > 0
    assert (list(made.read(ASKED)), made.prefixes(ASKED), made.state_bytes(9), made.thinks) == ([], [], 0, False)
    assert len(server.asked) == asked


def test_a_prompt_beyond_the_window_is_not_sent(server):
    server.replies["/tokenize"] = lambda body: ok({"count": len(body["content"].split())})
    made, fits = generator(server), Message("user", "x " * 4000)
    server.replies[CHAT] = events(said("Yes.", "stop"))
    assert list(made.generate([fits], max_tokens=5))
    with pytest.raises(ModelError, match="window"):
        list(made.generate([fits, fits], max_tokens=5))
    assert len(server.bodies(CHAT)) == 1


@pytest.mark.parametrize(
    ("model", "props", "context", "window"),
    [
        ({"max_model_len": 8192}, None, 1000, 1000),
        ({}, None, 0, 2048),
        ({}, None, 5000, 5000),
        ({"meta": {"n_ctx_train": 32768}}, {"n_ctx": 4096}, 0, 4096),
        ({"meta": {"n_ctx_train": 32768}}, None, 0, 32768),
        ({"max_model_len": -1}, {"n_ctx": "x"}, 0, 2048),
    ],
)
def test_the_window_is_the_servers_or_the_settings(server, model, props, context, window):
    server.replies["/v1/models"] = ok({"data": [{"id": "small", **model}]})
    if props is not None:
        server.replies["/props"] = ok({"default_generation_settings": props})
    assert generator(server, context=context).window == window


def test_a_model_is_chosen_by_name_and_a_server_without_models_refused(server):
    server.replies["/v1/models"] = ok({"data": [{"id": "small"}, {"id": "large"}, 3]})
    assert generator(server, "large").model == "large"
    for name in (None, "other"):
        with pytest.raises(ModelError) as caught:
            generator(server, name)
        assert "'small', 'large'" in caught.value.hint
    for reply in ({}, {"data": []}, {"data": "x"}, {"data": [3]}):
        server.replies["/v1/models"] = ok(reply)
        endpoint.model_at.cache_clear()
        with pytest.raises(ModelError):
            generator(server)


def test_another_machine_or_one_beside_models_allowed_by_hash_needs_the_policy(server, tmp_path, monkeypatch):
    far = fake_endpoint.at_tcp()
    far.replies[CHAT] = events(said("In May.", "stop"))
    with pytest.raises(OfflineRefused):
        generator(far)
    fake_endpoint.allow(far)
    assert written(generator(far))[-1].text == "In May."
    far.listener.close()
    (tmp_path / "policy.toml").write_text(f"allowed_models = ['{'0' * 64}']")
    monkeypatch.setenv(policy.VARIABLE, str(tmp_path / "policy.toml"))
    with pytest.raises(PolicyRefused):
        generator(server)


def test_over_tls_only_the_certificate_of_the_policy_is_trusted(tmp_path):
    own, key = fake_endpoint.certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = fake_endpoint.certificate(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    server = fake_endpoint.at_tcp(context)
    server.replies[CHAT] = events(*[said("word ")] * 900, said("", "stop"))
    fake_endpoint.allow(server)
    with pytest.raises(ModelError, match="certificate"):
        generator(server)
    fake_endpoint.allow(server, own)
    made = generator(server)
    assert written(made)[-1].text == "word " * 900
    server.replies[CHAT] = None
    assert written(made, stop=lambda: len(server.bodies(CHAT)) > 1)[-1].ended == "stopped"
    fake_endpoint.allow(server, other)
    with pytest.raises(ModelError, match="cannot be reached"):
        written(made)
    server.listener.close()


def test_a_server_is_named_by_its_url_and_what_is_no_address_is_a_wrong_setting():
    for url, shown, path in (
        ("http://10.0.0.7/v1/", "10.0.0.7:80", "/v1"),
        ("http://gpu.firm:8000", "gpu.firm:8000", "/v1"),
        ("http://gpu.firm/llm/v1", "gpu.firm:80", "/llm/v1"),
        ("unix:///run/llama.sock", "/run/llama.sock", "/v1"),
    ):
        server = endpoint.parsed(url, "generator_server")
        assert (str(server), server.path) == (shown, path)
    wrong = "gpu.firm:8000 ftp://gpu.firm http://user:word@gpu.firm/v1 http://gpu.firm/v1?a=b http://gpu.firm:99999/"
    for url in (*wrong.split(), "http://gpu.firm/\r\nA: b", "unix://run/llama.sock", ""):
        with pytest.raises(SettingsError):
            endpoint.parsed(url, "generator_server")


@pytest.mark.parametrize(
    "texts", [("In May", " 1999"), ("Verl", "ängerung"), ("日本", "語"), ("a  ", "\n\n b"), ("12", "34")]
)
def test_joined_texts_have_no_more_tokens_than_their_parts(texts):
    count = endpoint.estimated_tokens
    assert count("") == 0 and count("".join(texts)) <= sum(map(count, texts))

import pytest
from waiting import PATIENCE

from localrag.server.openai import _conversation, _Message
from localrag.types import Turn

pytestmark = pytest.mark.slow  # processes
QUESTION = "When does the lease of Harbour House end?"
ANSWER = "The lease of Harbour House ends on 14 March 2031 [1]."


@pytest.fixture(scope="module")
def client(server):
    import openai

    address = f"http://{server.host}/v1"
    with openai.OpenAI(base_url=address, api_key=server.token, max_retries=0, timeout=PATIENCE) as made:
        yield made


def said(*words):
    return [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(words)]


def test_models_name_libraries_and_modes(client):
    import openai

    names = {model.id for model in client.models.list()}
    assert {"localrag", "localrag/papers", "localrag/papers:survey", "localrag:exact", "localrag-embedder"} <= names
    assert not any("secret" in name for name in names)
    assert client.models.retrieve("localrag/papers:read").id == "localrag/papers:read"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("localrag/secret")
    for model in ("localrag/secret", "localrag/papers:auto", "localrag-embedder"):
        with pytest.raises(openai.NotFoundError) as refused:
            client.chat.completions.create(model=model, messages=said("x"))
        assert refused.value.code == "model_not_found"


def test_an_answer_cites_pages_of_this_server(client, server):
    done = client.chat.completions.create(model="localrag/papers", messages=said(QUESTION))
    message = done.choices[0].message
    assert message.content == ANSWER and done.choices[0].finish_reason == "stop"
    cited = message.annotations[0].url_citation
    assert message.content[cited.start_index : cited.end_index] == "[1]" and "p. 1" in cited.title
    assert cited.url.startswith(f"http://{server.host}/?read=papers/")
    full = (done.model_extra or {})["localrag"]
    assert full["found"] and full["citations"][0]["quote"] in "The lease of Harbour House ends on 14 March 2031."
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens


def test_a_stream_of_content_is_the_checked_answer(client):
    whole = client.chat.completions.create(model="localrag/papers", messages=said(QUESTION)).choices[0].message
    content = draft = ""
    how = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(client.chat.completions.create(model="localrag/papers", messages=said(QUESTION), **how))
    for chunk in chunks[:-1]:
        content += chunk.choices[0].delta.content or ""
        draft += (chunk.choices[0].delta.model_extra or {}).get("reasoning_content") or ""
    assert content == whole.content == ANSWER and draft == ANSWER.replace(" [1]", "")
    last = chunks[-2]
    assert last.choices[0].finish_reason == "stop" and len({chunk.id for chunk in chunks}) == 1
    assert (last.choices[0].delta.model_extra or {})["annotations"] == [one.to_dict() for one in whole.annotations]
    assert (last.model_extra or {})["localrag"]["answer"] == content
    assert chunks[-1].choices == [] and chunks[-1].usage and chunks[0].choices[0].delta.role == "assistant"


def test_what_no_source_supports_is_marked_in_the_content(client):
    wrongly = said(QUESTION.replace("When", "When (wrongly)"))
    chunks = list(client.chat.completions.create(model="localrag/papers", messages=wrongly, stream=True))
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    full = (chunks[-1].model_extra or {})["localrag"]
    assert full["unsupported"] == ["Elephants graze on the roof."] and "⚠" not in full["answer"]
    assert content == f"Elephants graze on the roof. ⚠ {ANSWER}"
    (cited,) = (one["url_citation"] for one in (chunks[-1].choices[0].delta.model_extra or {})["annotations"])
    assert content[cited["start_index"] : cited["end_index"]] == "[1]"


def test_earlier_answers_lose_their_marks():
    messages = (_Message("user", "a ⚠?"), _Message("assistant", "Yes⚠. No. ⚠"), _Message("user", "b?"))
    assert _conversation(messages)[1] == [Turn("a ⚠?", "Yes. No.")]


def test_the_mode_in_the_name_and_the_extension_decide_how(client):
    import openai

    def plan(model, **more):
        done = client.chat.completions.create(model=model, messages=said(QUESTION), extra_body=more)
        return (done.model_extra or {})["localrag"]

    assert plan("localrag/papers:retrieve")["plan"]["kind"] == "retrieve"
    assert plan("localrag:survey")["plan"]["kind"] == "survey"
    assert plan("localrag", localrag={"mode": "survey"})["plan"]["kind"] == "survey"
    assert plan("localrag", localrag={"documents": ["lease*"]})["plan"]["signals"]["documents"] == 1
    with pytest.raises(openai.BadRequestError):
        plan("localrag", localrag={"unknown": 1})


def test_fields_that_change_nothing_are_named(client):
    messages = [{"role": "system", "content": "Answer as a pirate."}, *said(QUESTION)]
    more = {"max_tokens": 1, "temperature": 0.1, "top_p": 0.5, "seed": 3, "n": 1, "stop": None, "tools": []}
    done = client.chat.completions.create(model="localrag", messages=messages, **more)
    assert (done.model_extra or {})["localrag"]["ignored"] == ["seed", "temperature", "top_p", "messages: system"]
    assert done.choices[0].finish_reason == "length"


def test_what_cannot_be_done_is_refused(client):
    import openai

    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    for more in (
        {"n": 2},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"stream_options": {"include_usage": True}},
        {"max_tokens": 0},
        {"messages": said("a", "b")},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
        {"messages": [{"role": "user", "content": [image]}]},
        {"messages": said("")},
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(**{"model": "localrag", "messages": said(QUESTION), **more})
        assert refused.value.type == "invalid_request_error" and refused.value.body, more


def test_embeddings(client):
    import openai

    packed = client.embeddings.create(model="localrag-embedder", input=["the lease", "a deposit"])
    plain = client.embeddings.create(model="localrag-embedder", input="the lease", encoding_format="float")
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6) and len(packed.data) == 2
    asked = client.embeddings.create(model="localrag-embedder:question", input=["the lease"] * 70)
    assert len(asked.data) == 70 and [one.index for one in asked.data] == list(range(70))
    size = len(plain.data[0].embedding)
    same = client.embeddings.create(model="localrag-embedder", input="x", dimensions=size)
    assert len(same.data[0].embedding) == size
    for wrong in ({"input": []}, {"input": [""]}, {"input": [[1, 2]]}, {"input": "x", "dimensions": 7}):
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(**{"model": "localrag-embedder", **wrong})

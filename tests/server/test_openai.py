import json
from typing import Literal

import pydantic
import pytest
from waiting import PATIENCE

from localrag.server.exchange import WrongField
from localrag.server.openai_content import Form
from localrag.server.openai_request import Message, conversation
from localrag.types import Turn

pytestmark = pytest.mark.slow  # processes
QUESTION = "When does the lease of Harbour House end?"
TOOL = {"type": "function", "function": {"name": "f"}}
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
    messages = (Message("user", "a ⚠?"), Message("assistant", "Yes⚠. No. ⚠"), Message("user", "b?"))
    assert conversation(messages)[1] == [Turn("a ⚠?", "Yes. No.")]


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
    messages += [{"role": "tool", "content": "x", "tool_call_id": "1"}, *said(QUESTION)]
    done = client.chat.completions.create(model="localrag", messages=messages, **more)
    assert (done.model_extra or {})["localrag"]["ignored"] == [
        "seed",
        "temperature",
        "top_p",
        "messages: system",
        "messages: tool",
    ]
    assert done.choices[0].finish_reason == "length"


def test_what_cannot_be_done_is_refused(client):
    import openai

    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    for more in (
        {"n": 2},
        {"tools": [TOOL], "tool_choice": "required"},
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


def test_tools_are_ignored_where_none_need_be_called_and_said_to_be(client):
    done = client.chat.completions.create(model="localrag", messages=said(QUESTION), tools=[TOOL], tool_choice="auto")
    assert done.choices[0].message.content == ANSWER and done.choices[0].message.tool_calls is None
    assert (done.model_extra or {})["localrag"]["ignored"] == ["tools"]


def test_the_content_ends_before_a_stop_sequence(client):
    for stop in (" on 14", ["nowhere", " on 14"]):
        done = client.chat.completions.create(model="localrag", messages=said(QUESTION), stop=stop).choices[0]
        assert done.message.content == "The lease of Harbour House ends" and done.finish_reason == "stop"
        assert done.message.annotations is None


class Cited(pydantic.BaseModel):
    document: str
    page: int | None
    quote: str


class Found(pydantic.BaseModel):
    answer: str
    found: bool
    certainty: Literal["sure", "unclear", "absent"]
    citations: list[Cited]


class Other(pydantic.BaseModel):
    answer: str
    end_of_lease: str


def test_the_answer_comes_as_an_object_or_as_the_parts_of_it_that_a_schema_names(client):
    how = {"model": "localrag", "messages": said(QUESTION)}
    done = client.chat.completions.create(**how, response_format={"type": "json_object"})
    made = json.loads(done.choices[0].message.content)
    assert made["answer"] == ANSWER and made["citations"][0]["url"].startswith("http://127.0.0.1:")
    parsed = client.chat.completions.parse(**how, response_format=Found).choices[0].message.parsed
    assert parsed.answer == ANSWER and parsed.found and parsed.citations[0].quote in ANSWER.replace(" [1]", "")
    assert client.responses.parse(model="localrag", input=QUESTION, text_format=Found).output_parsed == parsed


def test_a_schema_with_fields_that_no_answer_has_is_refused(client):
    import openai

    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.parse(model="localrag", messages=said(QUESTION), response_format=Other)
    assert refused.value.param == "response_format" and "citations" in refused.value.message
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.parse(model="localrag", input=QUESTION, text_format=Other)
    assert refused.value.param == "text"


def test_what_a_tool_says_is_no_question(client):
    import openai

    asked = [{"role": "user", "content": QUESTION}, {"type": "function_call_output", "call_id": "1", "output": "x"}]
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="localrag", input=asked)


@pytest.mark.parametrize("schema", [None, {}, 3, {"properties": 3}, {"properties": {"answer": {}, "x": {}}}])
def test_an_odd_schema_is_refused(schema):
    with pytest.raises(WrongField) as refused:
        Form.checked("json_schema", schema, "response_format")
    assert refused.value.param == "response_format"


def test_a_response_cites_pages_of_this_server(client, server):
    done = client.responses.create(model="localrag/papers", input=QUESTION, metadata={"a": "b"}, max_output_tokens=99)
    assert done.output_text == ANSWER and done.status == "completed" and done.metadata == {"a": "b"} and not done.store
    (message,) = done.output
    (cited,) = message.content[0].annotations
    assert done.output_text[cited.start_index : cited.end_index] == "[1]"
    assert cited.url.startswith(f"http://{server.host}/?read=papers/")
    assert (done.model_extra or {})["localrag"]["citations"][0]["quote"] in ANSWER.replace(" [1]", "")
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens
    short = client.responses.create(model="localrag", input=QUESTION, max_output_tokens=1)
    assert short.status == "incomplete" and short.incomplete_details.reason == "max_output_tokens"


def test_a_stream_of_events_is_the_draft_and_then_the_checked_response(client):
    with client.responses.stream(model="localrag/papers", input=QUESTION) as stream:
        events = list(stream)
        final = stream.get_final_response()
    texts = {
        kind: "".join(one.delta for one in events if one.type == f"response.{kind}.delta")
        for kind in ("reasoning_text", "output_text")
    }
    assert texts == {"reasoning_text": ANSWER.replace(" [1]", ""), "output_text": ANSWER}
    assert final.output_text == ANSWER and [one.type for one in final.output] == ["reasoning", "message"]
    assert [one.sequence_number for one in events if hasattr(one, "sequence_number")] == list(range(len(events)))
    again = [*said("Whose lease?"), *(one.to_dict() for one in final.output), *said(QUESTION)]
    again = client.responses.create(model="localrag", input=again, instructions="Be brief.", tools=[TOOL])
    assert (again.model_extra or {})["localrag"]["ignored"] == ["instructions", "tools", "input: reasoning"]


def test_what_a_response_cannot_do_is_refused_by_name(client):
    import openai

    for more in (
        {"previous_response_id": "resp_1"},
        {"background": True},
        {"tool_choice": "required", "tools": [TOOL]},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}]},
        {"input": []},
        {"max_output_tokens": 0},
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(**{"model": "localrag", "input": QUESTION, **more})
        assert refused.value.param == next(iter(more)), more


def test_a_path_that_is_not_there_is_named_with_those_that_are(client, server):
    import openai

    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.retrieve("resp_1")
    assert "GET /v1/responses/resp_1" in missing.value.message and "POST /v1/responses" in missing.value.message
    for method, path, status in (("POST", "/chat/completions", 404), ("GET", "/v1/chat/completions", 405)):
        got, _, body = server.request(method, path)
        message = json.loads(body)["error"]["message"]
        assert got == status and f"{method} {path}" in message and "POST /v1/chat/completions" in message

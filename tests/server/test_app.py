import asyncio
from urllib.parse import quote

import msgspec
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.testclient import TestClient
from waiting import PATIENCE, wait_for

from localrag.security import audit
from localrag.server import app, exchange, openai
from localrag.server.app import create_app
from localrag.server.guard import Access, Guard
from localrag.server.served import Served
from localrag.worker.engine import Engine
from server import fake_server
from server.fake_server import EVIL_NAME, TOKEN

HOST = "127.0.0.1:9999"
PAGE, FEE = "contracts/msa.pdf", fake_server.FACTS[3].id
SAID = [{"role": "user", "content": "How much notice?"}]
# What a client sends; the call of the engine that it leads to; what is recorded.
REQUESTS = [
    ("GET", "/api/documents/contracts", None, "contents", "documents"),
    ("GET", f"/api/pages/contracts/{PAGE}/12", None, "page", "page"),
    ("GET", f"/api/pages/contracts/{quote(EVIL_NAME)}", None, "page", "page"),
    ("GET", "/api/overview/contracts", None, "overview", "overview"),
    ("POST", "/api/facts/contracts", {"document": PAGE, "fact": FEE, "state": "rejected"}, "decide_fact", "fact"),
    ("POST", "/api/search", {"query": "notice"}, "search", "search"),
    ("POST", "/api/ask", {"question": "How much notice?"}, "ask", "ask"),
    ("POST", "/api/ask", {"question": "How much notice?", "stream": True}, "ask", "ask"),
    ("POST", "/v1/chat/completions", {"model": "localrag", "messages": SAID}, "ask", "chat"),
    ("POST", "/v1/chat/completions", {"model": "localrag", "messages": SAID, "stream": True}, "ask", "chat"),
    ("POST", "/v1/responses", {"model": "localrag", "input": "How much notice?"}, "ask", "responses"),
    ("POST", "/v1/embeddings", {"model": "localrag-embedder", "input": "notice"}, "embed", "embeddings"),
    ("GET", f"/?read=contracts/{PAGE}&page=12&part=source", None, "page", "page"),
    ("GET", "/overview/contracts", None, "overview", "overview"),
    ("POST", "/overview/contracts", f"document={PAGE}&fact={FEE}&state=sure".encode(), "decide_fact", "fact"),
    ("POST", "/ask", b"question=How+much%3F&library=contracts", "ask", "ask"),
    ("POST", "/review", b"playbook=nda&library=contracts", "review", "review"),
]


def client(served):
    app = create_app(served, Access(frozenset({HOST}), TOKEN))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return TestClient(fake_server.in_one_loop(app), base_url=f"http://{HOST}", headers=headers)


class Recorded:
    def __init__(self, folder):
        self.served, _ = fake_server.served(folder)
        self.before = []
        self._engine, self._log = self.served.engine, self.served.settings.library_audit_file("contracts")

    def __getattr__(self, name):
        self.before.append((name, [one.details["call"] for one in audit.entries(self._log) if one.event == "call"]))
        return getattr(self._engine, name)

    @property
    def embed(self):
        self.__getattr__("load")
        self.before[-1] = ("embed", self.before[-1][1])
        return lambda texts, **how: ((1.0, 2.0),)


@pytest.mark.parametrize(("method", "path", "body", "call", "recorded"), REQUESTS)
def test_a_call_is_recorded_before_it_is_made(tmp_path, method, path, body, call, recorded):
    engine = Recorded(tmp_path)
    served = Served(engine.served.settings, engine, ("contracts",))
    form = {"content": body, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}
    with client(served) as one:
        how = form if isinstance(body, bytes) else {"json": body}
        assert one.request(method, path, follow_redirects=False, **how).status_code in (200, 303)
        wait_for(lambda: call in dict(engine.before))  # pages answer before
    assert dict(engine.before)[call] == [recorded]


def test_every_route_to_documents_is_among_them(tmp_path):
    served, _ = fake_server.served(tmp_path)
    from starlette.routing import Match

    asked = [{"type": "http", "method": method, "path": path} for method, path, *_ in REQUESTS]
    routes = (*openai.routes(served, None), *app.routes(served, None))
    missed = {one.path for one in routes if all(one.matches(scope)[0] is not Match.FULL for scope in asked)}
    assert missed == {"/api/libraries", "/v1/models", "/v1/models/{model:path}"}


def test_libraries_are_searched_and_pages_named_exactly(settings, models, shelf):
    shelf("leases", {"in/lease.pdf": ["The first page.", "The second."], "plain.txt": "No pages."})
    shelf("letters", {"a.txt": "The second letter."})
    engine = Engine(settings)
    with client(Served(settings, engine, ("leases", "letters"))) as one:
        for libraries in ([], ["letters"]):
            passages = one.post("/api/search", json={"query": "second", "libraries": libraries}).json()["passages"]
            assert {each["library"] for each in passages} == set(libraries or ("leases", "letters"))
        assert one.get("/api/pages/leases/in/lease.pdf").json()["text"] == "The first page."
        assert one.get("/api/pages/leases/in/lease.pdf/2").json()["text"] == "The second."
        assert one.get("/api/pages/leases/plain.txt").json()["page"] is None
        for wrong in ("*", "lease.pdf", "in/*", "zzz"):
            refused = one.get(f"/api/pages/leases/{wrong}")
            assert refused.status_code == 404
            assert "localrag " not in refused.text and "/root" not in refused.text, refused.text
        assert "GET /api/documents" in refused.json()["error"]["message"]
    engine.close()


def test_embeddings_are_written_beside_the_loop_so_that_they_hold_up_nobody(tmp_path, monkeypatch):
    encode = msgspec.json.encode

    def encoded(body):
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return encode(body)

    monkeypatch.setattr(msgspec.json, "encode", encoded)
    served = Served(fake_server.served(tmp_path)[0].settings, Recorded(tmp_path), ("contracts",))
    with client(served) as one:
        got = one.post("/v1/embeddings", json={"model": "localrag-embedder", "input": "x"})
    assert len(got.json()["data"]) == 1


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
def test_an_error_in_a_stream_is_raised_by_the_official_client(tmp_path, path):
    import openai

    with client(fake_server.served(tmp_path)[0]) as one:
        asking = openai.OpenAI(base_url=f"http://{HOST}/v1", api_key=TOKEN, http_client=one)
        how = {"input": "fail now"} if "responses" in path else {"messages": [{"role": "user", "content": "fail now"}]}
        create = asking.responses.create if "responses" in path else asking.chat.completions.create
        with pytest.raises(openai.APIError, match="is gone"):
            list(create(model="localrag", stream=True, **how))


def scope(method, path):
    asked = {"type": "http", "method": method, "scheme": "http", "http_version": "1.1", "client": None}
    where = {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""}
    return {**asked, **where, "headers": [(b"host", HOST.encode())], "server": ("127.0.0.1", 9999)}


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch):
    monkeypatch.setattr("localrag.server.guard._SEND_SECONDS", 0.05)
    cut = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    asked = scope("GET", "/api/libraries") | {"state": {"abort": lambda: cut.append(True)}}
    await asyncio.wait_for(Guard(app, Access(frozenset({HOST}), None))(asked, asyncio.Event().wait, send), PATIENCE)
    assert cut == [True]


async def test_an_error_of_the_body_is_not_taken_for_a_client_that_left():
    async def receive():
        raise HTTPException(413, "too large")

    with pytest.raises(HTTPException):
        await exchange.while_there(Request(scope("GET", "/api/libraries"), receive), asyncio.sleep(600))

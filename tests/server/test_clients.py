import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from waiting import PATIENCE, wait_for

from localrag.server.served import MAX_QUESTION
from server.running import ingest, read_until

pytestmark = pytest.mark.slow  # processes
MB = 1 << 20
SLOWLY = {"question": "Say slowly when the lease ends.", "stream": True}


@pytest.fixture(autouse=True)
def stays_small_and_alive(server):
    before = server.memory()
    yield
    assert server.json("GET", "/api/libraries") == {"libraries": ["papers"]}
    wait_for(lambda: server.descriptors() < 40)
    assert server.memory() - before < 64 * MB


def chat(server, body):
    client = server.connect()
    data = json.dumps(body).encode()
    client.sendall(server.head("POST", "/api/ask", f"Content-Length: {len(data)}") + data)
    return client


@pytest.mark.smoke
@pytest.mark.proves("says-how")
def test_a_stream_of_events_ends_with_the_answer(server):
    order = {"question": "When does the lease of Harbour House end?", "stream": True}
    _, headers, data = server.request("POST", "/api/ask", order)
    events = [part.partition("\ndata: ") for part in data.decode().strip().split("\n\n")]
    assert headers["content-type"].startswith("text/event-stream")
    assert [events[0][0], events[-1][0]] == ["event: planned", "event: answered"]
    assert json.loads(events[-1][2])["answer"].endswith("2031 [1].")


@pytest.mark.parametrize("abruptly", [True, False])
def test_a_client_that_leaves_stops_the_model(server, abruptly):
    server.json("POST", "/api/ask", {"question": "When does the lease of Harbour House end?"})  # the model is loaded
    client = chat(server, SLOWLY)
    read_until(client, b"event: delta")
    if abruptly:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    answer = server.json("POST", "/api/ask", {"question": "When does the lease of Harbour House end?"})
    assert "2031" in answer["answer"]  # the model serves one at a time, and the first answer takes minutes


def test_a_client_that_waits_for_a_whole_answer_and_leaves_stops_the_model(server):
    client = chat(server, {"question": "Say slowly when the lease of Harbour House ends."})
    while True:
        with chat(server, SLOWLY) as second:
            if b"event: waiting" in read_until(second, b"\ndata: "):  # so the first has its turn
                client.close()
                read_until(second, b"event: delta")
                return


def test_what_is_read_meanwhile_is_found(server, served_home):
    folder = served_home.parent / "papers"
    (folder / "later.txt").write_text("The ferry to Calder sails at noon.\n")
    try:
        ingest(served_home, folder, "papers")
        found = server.json("POST", "/api/search", {"query": "When does the ferry to Calder sail?"})["passages"]
        assert found[0]["document"] == "later.txt"
    finally:
        (folder / "later.txt").unlink()
        ingest(served_home, folder, "papers")
    assert "later.txt" not in {one["document"] for one in server.json("GET", "/api/documents/papers")["documents"]}


def test_a_client_that_leaves_while_waiting_gives_up_its_place(server):
    with chat(server, SLOWLY) as first:
        read_until(first, b"event: delta")
        second = chat(server, SLOWLY)
        read_until(second, b"event: waiting")
        second.close()
        with chat(server, {"question": "When does the lease of Harbour House end?", "stream": True}) as third:
            read_until(third, b'"ahead": 1')
            first.close()
            assert b"2031" in read_until(third, b"event: answered")


def test_a_client_that_takes_no_responses_keeps_nobody_out(server):
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = server.head("GET", "/v1/models")
        client.setblocking(False)
        try:
            for _ in range(20000):  # pipelined: the answers fill every buffer
                client.send(request)
        except BlockingIOError:
            pass
        assert server.json("GET", "/api/libraries")


def test_more_questions_than_the_queue_holds_are_told_to_come_again(server):
    with ExitStack() as stack:
        first = stack.enter_context(chat(server, SLOWLY))
        read_until(first, b"event: delta")
        answers = []
        for _ in range(80):
            client = stack.enter_context(chat(server, SLOWLY))
            answers.append(client.recv(4096))
        full = [one for one in answers if one.startswith(b"HTTP/1.1 503")]
        assert len(full) == 80 - 48 and all(b"retry-after" in one.lower() for one in full)
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        _, headers, _ = server.request("POST", "/", f"token={server.token}", kind, token=False)
        browser = stack.enter_context(server.connect())
        data, cookie = json.dumps(SLOWLY), headers["set-cookie"].partition(";")[0]
        lines = ("POST /api/ask HTTP/1.1", f"Host: {server.host}", f"Origin: http://{server.host}", f"Cookie: {cookie}")
        browser.sendall("\r\n".join([*lines, f"Content-Length: {len(data)}", "", data]).encode())
        read_until(browser, b'"ahead": 2')  # a program's question, then its own


def test_200_at_once_are_all_answered(server):
    def ask(number):
        if number % 4 == 0:
            return server.request("GET", f"/api/documents/papers?after={number}")[0]
        return server.request("POST", "/api/search", {"query": f"When does lease {number} end?", "k": 3})[0]

    with ThreadPoolExecutor(200) as pool:
        assert set(pool.map(ask, range(200))) == {200}


def test_200_slow_clients_keep_nobody_out(server):
    before = server.memory()
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(200)]
        for client in clients:
            client.sendall(b"GET /api/libraries HTTP/1.1\r\nHost: ")
        for _ in range(3):
            for client in clients:
                client.sendall(b"x")
            assert server.json("POST", "/api/search", {"query": "lease"})["passages"]
        assert server.memory() - before < 32 * MB
        more = [stack.enter_context(server.connect()) for _ in range(200)]
        assert server.json("GET", "/api/libraries")  # the oldest of the idle ones had to go
        assert wait_for(lambda: server.descriptors() < 300) and more
        assert wait_for(lambda: server.descriptors() < 40)  # 10 seconds are enough for a request's head


@pytest.mark.proves("one-socket")
def test_800_clients_without_the_token_that_send_no_body_keep_nobody_out(server):
    with ExitStack() as stack:
        for path in ("/", "/static/localrag.js"):
            for _ in range(400):
                client = stack.enter_context(server.connect())
                client.sendall(f"POST {path} HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: 900\r\n\r\na".encode())
        for _ in range(18):
            assert server.json("GET", "/api/libraries")


# Opens 2,500 connections a second, and holds 1,000 of them.
FLOOD = """
import collections, socket, sys, time
held, began = collections.deque(maxlen=1000), time.monotonic()
for count in range(10**9):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", int(sys.argv[1])))
    try:
        one.send(sys.argv[2].replace("|", "\\r\\n").encode())
    except OSError:
        pass
    held.append(one)
    if count % 50 == 0:
        print(end=".", flush=True)
        time.sleep(max(0, began + count / 2500 - time.monotonic()))
"""


@pytest.mark.proves("one-socket")
def test_thousands_of_connections_a_second_without_the_token_do_not_keep_others_out(server):
    sent = f"GET / HTTP/1.1|Host: {server.host}|Accept: text/html||"
    words = [sys.executable, "-c", FLOOD, str(server.port), sent]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as flood:
        assert flood.stdout is not None
        try:
            flood.stdout.read(50)  # a second
            got = [server.raw(server.head("GET", "/api/libraries"), seconds=5) for _ in range(20)]
            assert sum(b"papers" in one for one in got) > 10  # all of them where the machine has nothing else to do
        finally:
            flood.kill()
    time.sleep(1)  # other tests come without the token, too


def test_who_is_not_let_in_does_not_keep_the_connection_and_is_refused_unread_where_there_are_too_many(server):
    request = f"GET /v1/models HTTP/1.1\r\nHost: {server.host}\r\n\r\n".encode()
    heads = {server.raw(request).partition(b"\r\n\r\n")[0].lower() for _ in range(400)}
    assert all(b"\r\nconnection: close" in head for head in heads)
    assert {head[9:12] for head in heads} == {b"401", b"429"}
    for line in (f"Authorization: Bearer {server.token}", f"authorization:bearer  {server.token}"):
        assert server.raw(request.replace(b"\r\n\r\n", f"\r\n{line}\r\n\r\n".encode())).startswith(b"HTTP/1.1 200")
    time.sleep(1)


def test_a_client_that_was_let_in_outlasts_those_that_were_not(server):
    request = server.head("GET", "/api/libraries")
    with server.connect() as known, ExitStack() as stack:
        known.sendall(request)
        read_until(known, b"papers")
        for _ in range(400):
            stack.enter_context(server.connect())
        known.sendall(request)
        read_until(known, b"papers")


CHUNKED = b"Transfer-Encoding: chunked\r\n"
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}


@pytest.mark.parametrize(
    ("header", "status"),
    [(b"Content-Length: 2400\r\n", b"413"), (CHUNKED, b"411"), (b"Content-Length: 9\r\n\r\ntok", b"408")],
)
def test_the_form_of_the_token_is_small_whole_and_fast(server, header, status):
    with server.connect() as client:
        client.settimeout(PATIENCE)
        client.sendall(f"POST / HTTP/1.1\r\nHost: {server.host}\r\n".encode() + header + b"\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_the_form_of_the_token_lets_in(server):
    assert server.request("POST", "/", f"token={server.token}", FORM, token=False)[0] == 200


def test_a_slow_body_ends(server):
    with server.connect() as client:
        client.sendall(server.head("POST", "/api/search", "Content-Length: 1000") + b"{")
        client.settimeout(PATIENCE)
        assert client.recv(4096).startswith(b"HTTP/1.1 408")


BODY = json.dumps({"query": "lease"}).encode()
LARGE = (b"10000\r\n" + b"a" * 65536 + b"\r\n") * 41 + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (b"\x00\x01\x02\x03\r\n\r\n", {400}),
        (b"GET /%zz HTTP/1.1\r\nHost: {host}\r\n\r\n", {401}),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n", {400}),
        (b"GET @evil.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n", {400}),
        (b"GET / HTTP/1.0\r\n\r\n", {421}),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", {400, 401}),
        (b"POST /api/search HTTP/1.1\r\nHost: {host}\r\n{token}Content-Length: 99999999999\r\n\r\n", {413}),
        (b"POST /api/search HTTP/1.1\r\nHost: {host}\r\n{token}" + CHUNKED + b"\r\nzz\r\n", {400}),
        (b"POST /api/search HTTP/1.1\r\nHost: {host}\r\n{token}" + CHUNKED + b"\r\n" + LARGE, {413}),
        (b"GET /api/documents/papers HTTP/1.1\r\nHost: {host}\r\n{token}" + CHUNKED + b"\r\n" + LARGE, {200, 413}),
        (b"GET / HTTP/1.1\r\nHost: {host}\r\n{token}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", {404, 200}),
        (b"CONNECT evil.example:80 HTTP/1.1\r\nHost: {host}\r\n{token}\r\n", {400, 404, 405}),
        (b"GET /api/pages/papers/..%2f..%2fsecret/1 HTTP/1.1\r\nHost: {host}\r\n{token}\r\n", {404}),
        (b"GET /api/pages/papers/a%00b/1 HTTP/1.1\r\nHost: {host}\r\n{token}\r\n", {404}),
        (b"GET /api/pages/papers/x/" + b"9" * 20 + b" HTTP/1.1\r\nHost: {host}\r\n{token}\r\n", {400, 404}),
    ],
)
def test_malformed_requests_are_refused(server, request_, statuses):
    token = f"Authorization: Bearer {server.token}\r\n".encode()
    got = server.raw(request_.replace(b"{host}", server.host.encode()).replace(b"{token}", token))
    assert got.startswith(b"HTTP/1.1 ") and int(got[9:12]) in statuses, got[:300]
    assert b"4711" not in got and b"Traceback" not in got


LONG = "x" * (MAX_QUESTION + 1)
SAID = [{"role": "user", "content": "When does the lease end?"}]
GOOD = {
    "/api/search": {"query": "lease"},
    "/api/ask": {"question": "When does the lease end?"},
    "/v1/chat/completions": {"model": "localrag", "messages": SAID},
    "/v1/responses": {"model": "localrag", "input": "When does the lease end?"},
    "/v1/embeddings": {"model": "localrag-embedder", "input": "lease"},
}
NARROWED = [
    *({"pages": pages} for pages in ([0, 1], [5, 1], [1, 10**20])),
    {"types": ["no"]},
    {"since": "2023-99"},
    {"documents": "lease"},
    {"extra": 1},
]
WRONG = [
    *(("/api/search", one) for one in ({"query": LONG}, {"query": None}, {"k": 1e9}, {"libraries": [1]}, *NARROWED)),
    *(("/api/ask", one) for one in ({"question": LONG}, {"question": ""}, {"history": [1]}, {"mode": "no"})),
    *(("/v1/chat/completions", one) for one in ({"localrag": NARROWED[0]}, {"messages": [1]}, {"stream": "x"})),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": LONG}]}),
    *(("/v1/responses", one) for one in ({"input": LONG}, {"input": [1]}, {"text": {"format": {"type": "x"}}})),
    *(("/v1/embeddings", one) for one in ({"input": [1]}, {"encoding_format": "x"})),
]


NO_REQUESTS = (b"", b"null", b"\xff\xfe", b"[" * 100_000, b"{}")


@pytest.mark.parametrize("path", GOOD)
def test_a_request_is_answered_and_a_body_that_is_none_or_has_a_wrong_field_refused(server, path):
    server.json("POST", path, GOOD[path])
    for body in (*NO_REQUESTS, *(GOOD[path] | wrong for at, wrong in WRONG if at == path)):
        status, _, data = server.request("POST", path, body)
        error = json.loads(data)["error"]
        assert status == 400 and error["type"] == "invalid_request_error" and error["message"], body


def test_odd_questions_are_answered_or_refused(server):
    for query in ("\u0000", "\ud800", "a" * 200_000, "' OR 1=1 --", '"' * 999, "*" * 3000, "😀" * 999):
        assert server.request("POST", "/api/search", {"query": query})[0] in (200, 400)


def test_a_library_that_is_not_served_is_like_one_that_is_not_there(server):
    def answers(name):
        asked = [server.request("GET", path) for path in (f"/api/documents/{name}", f"/api/pages/{name}/x/1")]
        asked.append(server.request("GET", f"/v1/models/localrag/{name}"))
        for path, body in GOOD.items():
            if "embeddings" not in path:
                named = {"model": f"localrag/{name}"} if "/v1" in path else {"libraries": [name]}
                asked.append(server.request("POST", path, body | named))
        return [(status, body.replace(name.encode(), b"NAME")) for status, _, body in asked]

    assert answers("secret") == answers("nothing") and {status for status, _ in answers("secret")} == {404}


def test_documents_with_odd_names_are_found(server):
    listed = server.json("GET", "/api/documents/papers")["documents"]
    assert [one["document"] for one in listed] == ["a%2fb.txt", "lease & more.txt"]
    for name in ("a%252fb.txt", "lease%20%26%20more.txt"):
        assert "14 March 2031" in server.json("GET", f"/api/pages/papers/{name}")["text"]


def test_a_worker_that_is_killed_costs_one_answer(server):
    server.json("POST", "/api/search", {"query": "lease"})
    workers = {
        int(child)
        for task in Path(f"/proc/{server.process.pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    }
    with chat(server, SLOWLY) as client:
        read_until(client, b"event: delta")
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        assert b"event: error" in read_until(client, b"event: error")
    assert server.json("POST", "/api/search", {"query": "lease"})["passages"]


def test_the_audit_log_has_each_call_with_its_client(server, served_home):
    name = "curl/8.0 \x1b[31m" + "x" * 300
    server.json("POST", "/api/search", {"query": "lease"}, headers={"User-Agent": name.replace("\x1b", "\t")})
    lines = (served_home / "indexes" / "papers" / "audit.jsonl").read_text().splitlines()
    call = [json.loads(line)["details"] for line in lines if json.loads(line)["event"] == "call"][-1]
    assert call["call"] == "search" and call["client"].startswith("curl/8.0") and len(call["client"]) <= 100

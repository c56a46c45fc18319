import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from waiting import wait_for

from localrag.cli.serve import _token, serve_command
from localrag.errors import LocalragError, PolicyRefused, UsageError
from localrag.security.offline import kernel
from localrag.server import listening
from localrag.server.guard import Access
from server.running import ingest, read_until, serving

pytestmark = pytest.mark.slow  # processes
EXAMPLE = Path(__file__).parents[2] / "examples/contracts/amendment-no-1.pdf"


@pytest.mark.proves("one-socket")
def test_nobody_gets_in_without_the_token(server):
    cookie = f"localrag-{server.port}"
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {server.token[:-1]}"},
        {"Authorization": f"Basic {server.token}"},
        {"Cookie": f"{cookie}={server.token}"},
        {"Cookie": f"{cookie}=a.b"},
    ):
        for path in ("/", "/api/libraries", "/v1/models", "/v1/chat/completions", "/nothing"):
            status, got, body = server.request("GET", path, headers=headers, token=False)
            assert status == 401 and got["www-authenticate"] == "Bearer" and b"papers" not in body


def test_only_its_own_names_are_answered(server):
    port = server.port
    others = ("evil.example", f"evil.example:{port}", "127.0.0.1", f"127.0.0.2:{port}", f"[::1]:{port}", "")
    for host in others:
        assert server.request("GET", "/api/libraries", headers={"Host": host})[0] == 421
    for host in (f"localhost:{server.port}", f"LOCALHOST:{server.port}", server.host):
        assert server.request("GET", "/api/libraries", headers={"Host": host})[0] == 200


def test_pages_of_other_sites_are_refused_even_with_the_token(server):
    for origin in ("http://evil.example", "null", f"http://localhost:{server.port}", f"https://{server.host}"):
        status, headers, _ = server.request("POST", "/api/search", {"query": "lease"}, {"Origin": origin})
        assert status == 403 and not any(name.startswith("access-control") for name in headers)
    for site in ("cross-site", "same-site"):  # another port is the same site
        got = server.request("GET", "/api/libraries", headers={"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})
        assert got[0] == 403
    assert server.request("POST", "/api/search", {"query": "x"}, {"Origin": f"http://{server.host}"})[0] == 200
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    status, headers, _ = server.request("OPTIONS", "/v1/chat/completions", headers=asked, token=False)
    assert status == 403 and not any(name.startswith("access-control") for name in headers)


def cookie_of(server, path):
    status, headers, _ = server.request("GET", path, headers={"Accept": "text/html"}, token=False)
    return status, headers.get("set-cookie", "").partition(";")[0], headers


def cookie_for(server, token, query=""):
    kind = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
    return server.request("POST", f"/{query}", f"token={token}", kind, token=False)[:2]


def test_the_printed_address_opens_one_browser_once_and_for_a_time(server):
    code = re.search(r"/(\?code=\S+)", server.said)
    assert server.token not in code[1]
    status, cookie, headers = cookie_of(server, f"/{code[1]}")
    assert status == 200 and headers["refresh"] == "0; url=/"
    assert server.request("GET", "/api/libraries", headers={"Cookie": cookie}, token=False)[0] == 200
    assert cookie_of(server, f"/{code[1]}")[:2] == (401, "")
    access = Access((), "t")
    code = access.code(60)
    assert [access.takes(each) for each in (code, code, access.code(0), "", "t")] == [True, *[False] * 4]


def test_a_browser_exchanges_the_token_and_no_other_for_a_cookie(server):
    status, headers = cookie_for(server, server.token, "?read=papers/a&x=%22")
    assert status == 200 and headers["refresh"] == "0; url=/?read=papers/a&x=%22" and server.token not in str(headers)
    cookie, *rules = headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict"} <= set(rules) and not re.search("(?i)max-age|expires", str(rules))
    assert server.request("GET", "/api/libraries", headers={"Cookie": cookie}, token=False)[0] == 200
    # A cookie alone does nothing that a form of another site could ask for.
    assert server.request("POST", "/api/search", {"query": "x"}, {"Cookie": cookie}, token=False)[0] == 401
    own = {"Cookie": cookie, "Origin": f"http://{server.host}"}
    assert server.request("POST", "/api/search", {"query": "x"}, own, token=False)[0] == 200
    assert server.request("GET", "/api/libraries", headers={"Cookie": f"{cookie}0"}, token=False)[0] == 401
    for status, headers in (cookie_for(server, "wrong"), cookie_for(server, ""), cookie_of(server, "/?code=w")[::2]):
        assert status == 401 and "set-cookie" not in headers
    assert cookie_of(server, f"/?token={server.token}")[:2] == (401, "")  # the token is never in an address


@pytest.mark.skipif(sys.platform != "linux", reason="xdg-open")
def test_the_browser_is_started_without_the_code_among_its_arguments(served_home, tmp_path):
    (tmp_path / "xdg-open").write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/given\ncp -p "$1" {tmp_path}/copy\nmv {tmp_path}/copy {tmp_path}/page\n'
    )
    (tmp_path / "xdg-open").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    with serving(served_home, "papers", "--open", PATH=path, DISPLAY=":0") as running:
        wait_for((tmp_path / "page").exists)
        code = re.search(r"/(\?code=[\w-]{40,})", (page := tmp_path / "page").read_text())
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
        given = (tmp_path / "given").read_text().strip()
        assert given.endswith(".html") and code[1] not in given
        assert [cookie_of(running, f"/{code[1]}")[0] for _ in range(2)] == [200, 401]


def test_a_link_from_another_site_leads_to_a_click(server):
    """Its strict cookie does not come along; nothing of the address becomes markup."""
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for path, kept in (('/?read=a"><script>', "/?read=a"), ("//evil.example/?read=b", "//evil.example/?read=b")):
        status, _, body = server.request("GET", path, headers=headers, token=False)
        assert status == 200 and b"<script" not in body and b"papers" not in body
        assert f'<a href="http://{server.host}{kept}'.encode() in body


def test_headers_protect_a_browser(server):
    for path, token in (("/api/libraries", True), ("/nothing", True), ("/", False)):
        _, headers, _ = server.request("GET", path, token=token)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store" and headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


@pytest.mark.skipif(kernel.machine() is None, reason="only Linux has the filter")
def test_the_process_is_confined_and_listens_at_one_address(server):
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status
    sockets = [line.split() for line in Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]]
    here = [one[1] for one in sockets if one[3] == "0A" and one[1].endswith(f":{server.port:04X}")]
    assert here == [f"0100007F:{server.port:04X}"]


def test_a_token_file_is_made_for_its_owner_and_used_again(served_home, tmp_path):
    file = tmp_path / "token"
    token = _token(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with serving(served_home, "papers", "--token-file", str(file)) as running:
        assert token == file.read_text().strip() and token not in running.said
        headers = {"Authorization": f"Bearer {token}"}
        assert running.request("GET", "/v1/models", headers=headers, token=False)[0] == 200


@pytest.mark.skipif(os.name == "nt", reason="owners are not checked there")
@pytest.mark.proves("one-socket")
def test_a_token_file_of_another_user_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "token"
    token = _token(file)
    if os.getuid() == 0:
        os.chown(file, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(UsageError, match="belongs to another user"):
        _token(file)
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(UsageError, match="belongs to another user"):
        _token(tmp_path / "link")
    if os.getuid() == 0:
        os.chown(file, 0, 0)
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        assert _token(file) == token, "the administrator's"
    with pytest.raises(UsageError, match="cannot read"):
        _token(tmp_path)


REFUSED = {
    "--no-token": "every user",
    "--socket {tmp}/s --port 1": "exclude",
    "--port {taken}": "not free",
    "--socket {tmp}/file": "another file",
    "--socket /tmp/s": "others can write",
    "--token-file {tmp}/open": "others can read",
    "nobody --socket {tmp}/s": "nobody",
    "--socket {tmp}/s --bogus": "--bogus",
    "--socket {tmp}/s --open": "browser",
    # At the next port, programs that keep a token would send it to the program that has this one.
    "--token-file {tmp}/t": "not free",
}


def test_it_does_not_start(served_home, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "open").write_text("a token of some length")
    (tmp_path / "open").chmod(0o644)
    monkeypatch.setenv("LOCALRAG_HOME", str(served_home))
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def refused(words, said):
        named = [] if "nobody" in words else ["papers"]
        named += [] if {"--port", "--socket", "--token-file"} & set(words) else ["--port", "0"]
        result = CliRunner().invoke(serve_command, [*named, *words])
        assert said in f"{getattr(result.exception, 'message', '')} {result.output}", words
        assert isinstance(result.exception, LocalragError) or result.exit_code == 2
        assert not (tmp_path / "s").exists()
        return result.exception

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(listening, "PORT", taken.getsockname()[1])
        for words, said in REFUSED.items():
            refused(words.format(tmp=tmp_path, taken=listening.PORT).split(), said)
    (tmp_path / "policy.toml").write_text("allow_server = false\n")
    monkeypatch.setenv("LOCALRAG_POLICY", str(tmp_path / "policy.toml"))
    assert isinstance(refused(["--socket", str(tmp_path / "s")], "allow_server"), PolicyRefused)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can listen at port 80")
def test_at_port_80_names_come_without_the_port():
    with closing(listening.bind(80)) as listener:
        assert listener.hosts == {"127.0.0.1", "127.0.0.1:80", "localhost", "localhost:80"}


def curled(socket, address, *more):
    curl = ["curl", "-sS", "--unix-socket", str(socket), *more, f"http://{address}"]
    return subprocess.run(curl, capture_output=True, check=True).stdout


@pytest.mark.skipif(os.name != "posix", reason="Unix sockets")
def test_a_unix_socket_is_its_owners(served_home, tmp_path):
    path = tmp_path / "s"
    with serving(served_home, "papers", "--socket", str(path)) as running:
        get = partial(curled, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        own = ("-H", f"Authorization: Bearer {running.token}")
        assert json.loads(get("localhost/api/libraries", *own)) == {"libraries": ["papers"]}
        assert b"papers" not in get("evil.example/api/libraries", *own) and b"token" in get("localhost/api/libraries")
        assert running.end() == 0 and path.exists()  # it may not write in the folder, which could be a home


@pytest.mark.skipif(not kernel.abi(), reason="the kernel has no Landlock")
def test_a_server_that_is_taken_over_reaches_its_libraries_and_their_folders_only(tmp_path):
    home, mine = tmp_path / "home", tmp_path / "mine"
    for name in ("papers", "more", "secret"):
        (tmp_path / name).mkdir()
        shutil.copy(EXAMPLE, tmp_path / name / "a.pdf")
    (tmp_path / "papers" / "linked.pdf").symlink_to(tmp_path / "secret" / "a.pdf")
    for name in ("papers", "more", "secret"):
        ingest(home, tmp_path / name, name)
    mine.mkdir()
    (mine / "note").touch()
    (home / "sessions").mkdir(exist_ok=True)
    (home / "sessions" / "kept.json").touch()
    served = ["papers", "more", "--socket", str(mine / "s"), "--no-token"]
    with serving(home, *served, PRYING="yes"):
        get = partial(curled, mine / "s")

        def pry(mode, path):
            return get(f"localhost/pry?{mode}={quote(str(path))}")

        for path in (tmp_path / "papers/a.pdf", tmp_path / "more/a.pdf", home / "indexes/more/library.db"):
            assert pry("rb", path) == b"done"
        for path in (
            tmp_path / "secret/a.pdf",
            home / "indexes/secret/library.db",
            home / "sessions/kept.json",
            mine / "note",
            Path.home() / ".profile",
            Path("/var/log/dpkg.log"),
        ):
            assert pry("rb", path) == b"Permission denied" or not path.exists(), path
        for path in (mine / "note", mine / ".bashrc", tmp_path / "papers/a.pdf", home / "sessions/new.json"):
            assert pry("ab", path) == b"Permission denied"
        assert get("localhost/image?read=papers/a.pdf&page=1").startswith(b"\x89PNG")
        assert not get("localhost/image?read=papers/linked.pdf&page=1").startswith(b"\x89PNG")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_signal_ends_it_in_the_middle_of_an_answer(served_home, number, code):
    with serving(served_home, "papers") as running:
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
        with running.connect() as client:
            body = json.dumps({"question": "Say slowly when the lease ends.", "stream": True}).encode()
            client.sendall(running.head("POST", "/api/ask", f"Content-Length: {len(body)}") + body)
            read_until(client, b"event: delta")
            workers = children.read_text().split() if children.exists() else []
            assert running.end(number) == code
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)

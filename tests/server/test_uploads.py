"""Files that a browser adds: what is refused, what is written where, and a real server behind its walls."""

import re
import unicodedata

import pytest
from starlette.testclient import TestClient
from waiting import wait_for

from localrag import policy
from localrag.cli import serve
from localrag.errors import PolicyRefused, UsageError
from localrag.server import guard
from localrag.server.app import create_app
from localrag.server.guard import Access
from localrag.server.uploads import checked
from localrag.settings import Settings
from server import fake_server
from server.fake_server import TOKEN
from server.running import ingest, serving

HOST = "127.0.0.1:9999"
PERMIT = b"The parking permit of Gate Nine costs EUR 77 a year.\n"


@pytest.mark.parametrize("name", ["lease.pdf", "Lease & more (2).DOCX", "日本.txt", "a" * 196 + ".txt"])
def test_a_plain_name_is_taken(name):
    assert checked(name) == name


def test_a_name_has_one_form():
    assert checked(unicodedata.normalize("NFD", "Müller.pdf")) == "Müller.pdf"


BAD = [
    *("", ".", "..", "/etc/x.txt", "../x.txt", "a/../x.txt", "a\\x.txt", "c:x.txt", "a\0.txt", "a\nb.txt"),
    *(".hidden.txt", ".localragignore", "~$lease.docx", "x.txt.", " x.txt", "x.txt ", "fdp.\u202etxt.pdf"),
    *("con.txt", "COM1.pdf", "a" * 200 + ".txt", "\udcff.txt", 'a"b.txt', "a|b.txt", "a\x1b[2J.txt"),
    *(
        "localrag.toml",
        "conftest.py",
        "run.bat",
        "run.ps1",
        "run.sh",
        "x.exe",
        "x",
        "playbook.yaml",
        "x.js",
        "Makefile",
    ),
]


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_is_no_plain_one_of_a_document_is_refused(name):
    with pytest.raises(UsageError):
        checked(name)


class Client(TestClient):
    def __init__(self, folder, allowed=True):
        self.world = fake_server.world()
        served, store = fake_server.served(folder, self.world, {"contracts": folder / "docs"} if allowed else {})
        (folder / "docs").mkdir()
        self.docs = folder / "docs"
        made = create_app(served, Access(frozenset({HOST}), TOKEN, allowed), store)
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
        super().__init__(fake_server.in_one_loop(made), base_url=f"http://{HOST}", headers=headers)

    def add(self, name, data=PERMIT, library="contracts", **how):
        return self.post(f"/upload/{library}", params={"name": name}, content=data, **how)

    def files(self):
        return sorted(one.name for one in self.docs.iterdir())


@pytest.fixture
def client(tmp_path):
    with Client(tmp_path) as made:
        yield made


def test_a_file_is_saved_and_read(client):
    answer = client.add("permit.txt")
    assert answer.status_code == 200 and (client.docs / "permit.txt").read_bytes() == PERMIT
    assert "permit.txt" in client.get(f"/jobs/{answer.json()['job']}/events").text
    assert client.files() == ["permit.txt"]


def test_no_file_is_replaced_and_no_link_followed(client, tmp_path):
    (client.docs / "permit.txt").write_text("mine")
    (client.docs / "link.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert client.add("permit.txt").status_code == client.add("link.txt").status_code == 400
    assert (client.docs / "permit.txt").read_text() == "mine" and not (tmp_path / "elsewhere.txt").exists()
    assert client.files() == ["link.txt", "permit.txt"]


def test_of_a_file_that_is_too_large_nothing_is_left(client, monkeypatch):
    monkeypatch.setattr(guard, "MAX_UPLOAD", 2 << 20)
    assert client.add("large.txt", b"x" * (3 << 20)).status_code == 413
    assert client.add("large.txt", iter([b"x" * (1 << 20)] * 3)).status_code == 413  # in chunks, without a length
    assert client.files() == []
    assert client.add("fits.txt", b"x" * (1 << 20) * 2).status_code == 200


def test_other_requests_stay_small(client):
    assert client.post("/ask", content=b"x" * (guard.MAX_BODY + 1)).status_code == 413


def test_nothing_is_added_unless_the_owner_allows_it(tmp_path):
    with Client(tmp_path, allowed=False) as client:
        assert client.add("permit.txt").status_code == 400 and client.files() == []
        assert client.add("permit.txt", b"x" * (guard.MAX_BODY + 1)).status_code == 413
        assert "data-add=" not in client.get("/").text


def test_only_a_library_that_is_served_takes_files(client):
    assert client.add("permit.txt", library="other").status_code == 404
    assert client.add("permit.txt", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.add("permit.txt", headers={"Origin": "http://evil.example"}).status_code == 403
    assert (
        client.add("permit.txt", headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}).status_code == 403
    )
    cookie = {"Cookie": f"localrag-9999={Access(frozenset(), TOKEN).cookie()}", "Authorization": ""}
    assert client.add("permit.txt", headers=cookie).status_code == 401  # a cookie without the page's own origin
    assert client.files() == []
    assert client.add("permit.txt", headers={**cookie, "Origin": f"http://{HOST}"}).status_code == 200


def test_a_policy_forbids_it(tmp_path, monkeypatch):
    rules = tmp_path / "policy.toml"
    rules.write_text("allow_upload = false\n")
    monkeypatch.setenv(policy.VARIABLE, str(rules))
    policy.check_server("allow_server")
    with pytest.raises(PolicyRefused, match="serve --upload"):
        policy.check_server("allow_upload")


def test_a_folder_above_localrags_own_files_takes_none(tmp_path, monkeypatch):
    monkeypatch.setattr(serve, "folders_read", lambda settings, name: [tmp_path])
    settings = Settings(home=tmp_path / "home")
    settings.indexes_dir.mkdir(parents=True)
    with pytest.raises(UsageError, match="own files lie below"):
        serve._uploads(settings, ["papers"])
    monkeypatch.setattr(serve, "folders_read", lambda settings, name: [tmp_path / "gone"])
    with pytest.raises(UsageError, match="no folder on this machine"):
        serve._uploads(settings, ["papers"])


@pytest.mark.slow  # processes
def test_a_real_server_writes_into_the_folder_and_nowhere_else(tmp_path):
    docs, beside = tmp_path / "papers", tmp_path / "beside"
    for folder in (docs, beside):
        folder.mkdir()
    (docs / "lease.txt").write_text("The lease ends on 14 March 2031.\n")
    ingest(tmp_path / "home", docs, "papers")
    with serving(tmp_path / "home", "--library", "papers", "--upload", PRYING="yes") as server:
        assert f"Uploads: to {docs}" in server.said.replace("Ctrl-C ends it.", "")
        status, _, data = server.request("POST", "/upload/papers?name=permit.txt", PERMIT)
        assert status == 200, data
        job = re.search(rb'"job":"([^"]+)"', data.replace(b" ", b""))
        assert b"permit.txt can be asked." in server.request("GET", f"/jobs/{job[1].decode()}/events")[2]
        found = server.json("POST", "/api/search", {"query": "parking permit", "k": 1})
        assert found["passages"][0]["document"] == "permit.txt"
        assert server.request("GET", f"/pry?wb={docs / 'x.txt'}")[2] == b"done"
        assert server.request("GET", f"/pry?wb={beside / 'x.txt'}")[2] == b"Permission denied"
    with serving(tmp_path / "home", "--library", "papers", PRYING="yes") as server:
        assert server.request("GET", f"/pry?wb={docs / 'y.txt'}")[2] == b"Permission denied"
        assert server.request("POST", "/upload/papers?name=more.txt", PERMIT)[0] == 400


@pytest.mark.slow  # processes
def test_a_client_that_leaves_in_the_middle_leaves_nothing(tmp_path):
    docs = tmp_path / "papers"
    docs.mkdir()
    (docs / "lease.txt").write_text("The lease ends on 14 March 2031.\n")
    ingest(tmp_path / "home", docs, "papers")
    with serving(tmp_path / "home", "--library", "papers", "--upload") as server:
        client = server.connect()
        client.sendall(server.head("POST", "/upload/papers?name=half.txt", "Content-Length: 5000") + b"only this")
        client.close()
        assert server.json("GET", "/api/libraries") == {"libraries": ["papers"]}
        wait_for(lambda: len(list(docs.iterdir())) == 1)
    assert [one.name for one in docs.iterdir()] == ["lease.txt"]

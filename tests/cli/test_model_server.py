"""Commands as processes of their own, confined, that ask llama-cpp-python's server: answers and vectors."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_llamas
from asking import LEASE
from waiting import PATIENCE

pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only on Linux does a confined process reach a server"),
]
QUESTION = "When does the lease of Hall 3 end?"
SERVE = """
import json, socket, sys, uvicorn
from llama_cpp.server.app import create_app
from llama_cpp.server.settings import ModelSettings, ServerSettings
app = create_app(server_settings=ServerSettings(), model_settings=[ModelSettings(**json.loads(sys.argv[1]))])
uvicorn.Server(uvicorn.Config(app)).run(sockets=[socket.socket(fileno=int(sys.argv[2]))])
"""


@contextmanager
def serving(**settings):
    with tempfile.TemporaryDirectory(prefix="lr") as folder:  # short enough for the path of a socket
        path, log = Path(folder, "socket"), Path(folder, "log")
        with socket.socket(socket.AF_UNIX) as listener, log.open("wb") as out:
            listener.bind(str(path))
            listener.listen()
            command = [sys.executable, "-P", "-c", SERVE, json.dumps(settings, default=str), str(listener.fileno())]
            served = subprocess.Popen(command, pass_fds=[listener.fileno()], stdout=out, stderr=out)
        try:
            with socket.socket(socket.AF_UNIX) as asked:  # until the model is loaded
                asked.settimeout(PATIENCE)
                asked.connect(str(path))
                asked.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert asked.recv(100).startswith(b"HTTP/1.1 200"), log.read_text()
            yield path
        finally:
            served.kill()
            served.wait()


@pytest.fixture
def papers(folder):
    return folder({"lease.txt": LEASE, "dogs.txt": "Dogs are kept on a lead in the yard."})


def run(*words, code=0, **settings):
    given = {f"LOCALRAG_{name.upper()}": value for name, value in settings.items()}
    command = [sys.executable, "-m", "localrag", *words]
    done = subprocess.run(command, env={**os.environ, **given}, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done


def test_a_confined_process_asks_the_server_and_says_who_read(papers, installed):
    run("ingest", papers)
    model = next((installed / "smollm2-135m-instruct").glob("*.gguf"))
    with serving(model=model, model_alias="smol", n_ctx=2048, n_threads=1) as path:
        server = {"generator_server": f"unix://{path}"}
        words = ("ask", QUESTION, "--mode", "retrieve", "--json")
        answer = json.loads(run(*words, **server, min_confidence="0", keep_model_minutes="10").stdout)
        assert (answer["model"], answer["read_by"]) == ("smol", str(path))
        assert answer["tokens"]["generated"] > 0 and 0 < answer["confidence"] < 1
        survey = json.loads(run("ask", QUESTION, "--mode", "survey", "--json", **server).stdout)
        assert survey["read_by"] == str(path) and len(survey["table"]) == 2
        assert f"smol at {path}" in run("doctor", "--json", **server).stdout


def test_a_library_is_embedded_and_searched_by_the_server(papers, tmp_path):
    encoder = tiny_llamas.encoder(tmp_path / "encoder.gguf", length=512)
    search = ("search", "lease of Hall 3", "--json")
    with serving(model=encoder, model_alias="letters", n_ctx=512, n_threads=1, embedding=True) as path:
        run("ingest", papers, embedder_server=f"unix://{path}")
        found = json.loads(run(*search, embedder_server=f"unix://{path}").stdout)
        assert found["passages"][0]["document"] == "lease.txt"
    failed = run(*search, code=4, embedder_server=f"unix://{path}")
    assert str(path) in failed.stderr and "Traceback" not in failed.stderr

"""Commands as processes of their own, confined, that ask llama-cpp-python's server: answers, Ctrl-C, vectors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import model_server
import pytest
import tiny_llamas
from asking import LEASE
from model_server import House

pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only on Linux does a confined process reach a server"),
]
QUESTION = "When does the lease of Hall 3 end?"


@pytest.fixture(scope="module")
def smol(installed: Path) -> Path:
    return next((installed / "smollm2-135m-instruct").glob("*.gguf"))


@pytest.fixture(scope="module")
def house(smol: Path) -> Iterator[House]:
    with model_server.running(model=smol, model_alias="smol", n_ctx=2048, n_threads=1) as house:
        yield house


@pytest.fixture
def papers(folder: Callable[..., Path]) -> Path:
    return folder({"lease.txt": LEASE, "dogs.txt": "Dogs are kept on a lead in the yard."})


def run(*words: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    done = start(*words, **settings)
    out, err = done.communicate()
    assert done.returncode == 0, err
    return subprocess.CompletedProcess(words, 0, out, err)


def start(*words: str | Path, **settings: str) -> subprocess.Popen[str]:
    given = {f"LOCALRAG_{name.upper()}": value for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "localrag", *words],
        env={**os.environ, **given},
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A suite that runs in the background is started deaf to Ctrl-C, and so would the command be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def test_a_confined_process_asks_the_server_and_says_who_read(papers: Path, house: House) -> None:
    run("ingest", papers)
    words = ("ask", QUESTION, "--mode", "retrieve", "--json")
    done = run(*words, generator_server=house.url, min_confidence="0", keep_model_minutes="10")
    answer = json.loads(done.stdout)
    assert (answer["model"], answer["read_by"]) == ("smol", house.shown)
    assert answer["tokens"]["generated"] > 0 and 0 < answer["confidence"] < 1
    survey = json.loads(run("ask", QUESTION, "--mode", "survey", "--json", generator_server=house.url).stdout)
    assert survey["read_by"] == house.shown and len(survey["table"]) == 2
    shown = run("doctor", "--json", generator_server=house.url).stdout
    assert f"smol at {house.shown}" in shown


def test_ctrl_c_makes_the_server_stop_writing(papers: Path, house: House) -> None:
    run("ingest", papers)
    began, left = (house.log.read_text().count(line) for line in (model_server.BEGAN, model_server.LEFT))
    house.hold.touch()
    try:
        words = ("ask", QUESTION, "--mode", "retrieve", "--json")
        asking = start(*words, generator_server=house.url, min_confidence="0")
        house.wait(model_server.BEGAN, began + 1)
        asking.send_signal(signal.SIGINT)
        out, err = asking.communicate()
        assert asking.returncode == 130 and json.loads(out)["stopped"], err
        house.wait(model_server.LEFT, left + 1)
    finally:
        house.hold.unlink()


def test_a_server_without_likelihoods_answers_without_confidence(papers: Path, smol: Path) -> None:
    run("ingest", papers)
    with model_server.running(model=smol, model_alias="smol", n_ctx=2048, n_threads=1, logits_all=False) as house:
        done = run("ask", QUESTION, "--mode", "retrieve", generator_server=house.url)
        assert "gives no likelihoods" in " ".join(done.stderr.split())
        done = run("ask", QUESTION, "--mode", "retrieve", "--json", generator_server=house.url)
        assert json.loads(done.stdout)["confidence"] is None


def test_a_library_is_embedded_and_searched_by_the_server(papers: Path, tmp_path: Path) -> None:
    encoder = tiny_llamas.encoder(tmp_path / "encoder.gguf", length=512)
    with model_server.running(model=encoder, model_alias="letters", n_ctx=512, n_threads=1, embedding=True) as house:
        run("ingest", papers, embedder_server=house.url)
        found = json.loads(run("search", "lease of Hall 3", "--json", embedder_server=house.url).stdout)
        assert found["passages"][0]["document"] == "lease.txt"
    failed = start("search", "lease of Hall 3", embedder_server=house.url)
    _, err = failed.communicate()
    assert failed.returncode == 4 and house.shown in err and "Traceback" not in err

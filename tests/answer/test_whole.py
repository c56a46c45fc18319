"""The whole of it with real models, as a user types it, in a namespace without network interfaces."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from waiting import PATIENCE

from localrag.cli.app import localrag
from localrag.store.library import Library

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not sys.platform.startswith("linux") or not shutil.which("unshare"), reason="needs unshare"),
]

HANDBOOK = """# Handbook of the lion house

## Feeding

The lions are fed at 16:30 every day except Friday. The keeper in charge signs the feeding record.

## Keys

Lost keys are reported to the night desk within 20 minutes.
"""
LEASE = "Lease of Hall 3\n\nThe lease ends on 31 May 2030.\fThe yearly rent is EUR 48,000, payable in advance.\n"


@pytest.fixture
def papers(tmp_path):
    root = tmp_path / "papers"
    root.mkdir()
    (root / "handbook.md").write_text(HANDBOOK)
    (root / "lease of hall 3.txt").write_text(LEASE)
    return root


def start(home, *args, offline=True):
    environment = {**os.environ, "LOCALRAG_GENERATOR": "smollm2-135m-instruct", "LOCALRAG_ANSWER_TOKENS": "20"}
    environment["LOCALRAG_THREADS"] = "1"  # threads that wait for each other are slow beside other tests
    command = [sys.executable, "-m", "localrag", *map(str, args)]
    # A user namespace lets anyone have a network namespace, where the system allows it.
    alone = ["unshare", "-rn"] if offline else []
    return subprocess.Popen(
        [*alone, *command], cwd=home.parent, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def run(home, *args):
    process = start(home, *args)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return json.loads(out)


def here(*args):
    """Run a command that needs no model, in the process of the tests."""
    done = CliRunner().invoke(localrag, args)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_without_a_network_it_reads_finds_and_answers_with_true_quotes(home, papers):
    interfaces = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", "import socket; print(socket.if_nameindex())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert interfaces.stdout.strip() in ("[(1, 'lo')]", "[]")
    report = run(home, "ingest", papers, "--json")
    assert report["read"] == ["handbook.md", "lease of hall 3.txt"] and report["failed"] == []
    found = run(home, "search", "When are the lions fed?", "--json")["passages"]
    assert found[0]["document"] == "handbook.md" and "16:30" in found[0]["text"]
    answer = run(home, "ask", "What is the yearly rent of Hall 3?", "--mode", "retrieve", "--json")
    assert answer["model"] == "smollm2-135m-instruct" and answer["embedder"] == "all-minilm-l6-v2"
    assert answer["plan"]["kind"] == "retrieve" and answer["tokens"]["prompt"] > 0
    # What a model of this size writes may hold no citation; what code finds always does.
    count = here("ask", 'How often does "lease" occur?', "--json")
    assert count["plan"]["kind"] == "exact" and len(count["citations"]) == 2
    stored: dict[tuple[str, int | None], str] = {}
    for quoted in [*answer["citations"], *answer["passages"], *count["citations"]]:
        place = quoted["document"], quoted["page"]
        if place not in stored:
            page = ["--page", str(quoted["page"])] if quoted["page"] else []
            stored[place] = here("show", quoted["document"], "--library", "papers", *page, "--json")["text"]
        words = quoted.get("quote") or quoted["text"]
        assert stored[place][quoted["start"] : quoted["end"]] == words
    assert len(stored) >= 2


def interrupted(process, seconds):
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in err, err
    return out, err


@pytest.mark.slow
def test_ctrl_c_during_ingest_loses_nothing(home, papers):
    for number in range(40):
        (papers / f"more{number:02}.txt").write_text(f"Paper {number}. " + LEASE.replace("\f", " ") * 40)
    process = start(home, "ingest", papers, "--json", offline=False)
    database = home / "indexes" / "papers" / "library.db"
    while not database.exists() and process.poll() is None:
        time.sleep(0.05)
    out, _ = interrupted(process, 0.5)
    assert process.returncode == 130
    assert json.loads(out)["complete"] is False
    shutil.rmtree(papers)
    papers.mkdir()
    (papers / "handbook.md").write_text(HANDBOOK)
    report = run(home, "ingest", papers, "--json")
    assert report["complete"] and report["failed"] == []
    library = Library.open(home / "indexes" / "papers", "papers")
    assert [doc.path for doc in library.documents()] == ["handbook.md"]
    assert len(library.index()) == library.counts()["chunks"]
    library.close()


@pytest.mark.slow
def test_ctrl_c_during_ask_ends_with_130_and_the_library_whole(home, shelf):
    library = shelf("papers", {"long.txt": " ".join(f"Clause {n} is about hall {n}." for n in range(400))})
    before = library.generation, library.counts()
    process = start(home, "ask", "What is clause 17 about?", "--mode", "read", "--json", offline=False)
    while not list((home / "asking").glob("0-*")) and process.poll() is None:
        time.sleep(0.05)
    out, _ = interrupted(process, 0.5)
    assert process.returncode == 130
    if out:
        assert json.loads(out)["stopped"] is True
    assert (library.generation, library.counts()) == before
    assert here("ask", 'How often does "Clause" occur?', "--json")["table"][0]["count"] == 400

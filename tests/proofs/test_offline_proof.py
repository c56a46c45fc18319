import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from command_line import refused, run, run_json
from waiting import PATIENCE

from localrag import proofs
from localrag.errors import ModelError, UsageError
from localrag.proofs import attempts, offline
from localrag.proofs.attempts import Outcome
from localrag.proofs.offline import Report, Trial, prove_offline
from localrag.security.offline import kernel
from localrag.settings import load_settings

pytestmark = pytest.mark.slow

linux = pytest.mark.skipif(
    kernel.machine() is None, reason="only switches and hook hold on this system, and it says so"
)
THROUGH, BY_FILTER = Outcome("through", "", "it worked"), Outcome("refused", "seccomp", "EACCES")
TRIED = Trial("TCP", "native", "seccomp", THROUGH, BY_FILTER, BY_FILTER)
REPORT = Report(
    "1", "2026-01-01T00:00:00+00:00", "Linux", (), (TRIED,), (), THROUGH, 0, 2, 2, "It ends in 2031.", 1, "m"
)


@pytest.fixture
def settings(home):
    (home / "models").mkdir(parents=True)
    return load_settings()


def need_landlock(abi):
    if kernel.abi() < abi:
        pytest.skip(f"this kernel's Landlock is ABI {kernel.abi()}, this test needs {abi}")


def tried(settings, *without):
    return prove_offline(settings, without=without, work=False)


# --- the layers ---------------------------------------------------------------------------------------------


@linux
def test_every_attempt_is_refused_by_the_layer_in_charge(settings):
    need_landlock(6)
    run = tried(settings)
    assert [(one.way, one.name, one.before) for one in run.trials if not one.held] == []
    assert run.heard == 0
    assert all(layer.holds for layer in run.layers)
    # The attempts are ways out: unconfined, these work on every Linux.
    work = {one.name for one in run.trials if one.unconfined.result == "through"}
    assert {
        "TCP",
        "a connection within this machine",
        "another program's Unix socket",
        "reading a file elsewhere",
    } <= work
    assert {"moving an own file elsewhere", "reading another library"} <= work
    ways = {"python", "native", "program", "names", "files", "processes", "broker", "reader"}
    assert {one.way for one in run.trials} == ways
    # What may be reached is, and by that way nothing else.
    assert run.reached == THROUGH
    assert {one.unconfined.result for one in run.trials if one.way == "broker"} == {"through"}


@linux
@pytest.mark.parametrize("layer", ["switches", "hook", "seccomp", "landlock", "files"])
@pytest.mark.proves("switches")
def test_without_a_layer_its_attempts_prove_nothing(settings, layer):
    need_landlock(6)
    run = tried(settings, layer)
    missed = {one.layer for one in run.trials if not one.held}
    assert layer in missed and missed <= {layer, "any"}
    # Each of its attempts shows it, not only one of them.
    assert [one.name for one in run.trials if one.layer == layer and one.held and one.before.result != "absent"] == []
    assert not run.proven and (run.heard > 0 or layer != "seccomp")
    assert [each.name for each in run.layers if not each.holds] == [layer]


def test_a_refusal_by_another_layer_proves_nothing():
    assert TRIED.held and REPORT.proven
    by_hook = Outcome("refused", "hook", "refused")
    for after in (by_hook, THROUGH, Outcome("open", "", ""), Outcome("refused", "any", "ECONNREFUSED")):
        changed = replace(TRIED, after=after)
        assert not changed.held and not replace(REPORT, trials=(changed,)).proven
    assert replace(TRIED, after=Outcome("absent", "", "curl is not installed")).held
    assert not replace(REPORT, heard=1).proven
    assert not replace(REPORT, documents=0).proven
    assert not replace(REPORT, reached=BY_FILTER).proven


@pytest.mark.parametrize(
    ("error", "by", "without_filter"),
    [
        (PermissionError(13, "no"), "seccomp", "landlock"),  # which refuses TCP with the same words
        (ConnectionRefusedError(111, "no"), "any", "any"),
        (attempts.OfflineRefused("no", ""), "hook", "hook"),
        (ValueError("no"), "any", "any"),
    ],
)
def test_an_attempt_names_the_layer_that_refused_it(error, by, without_filter, monkeypatch):
    one = attempts.Attempt("x", "native", "seccomp", Mock(side_effect=error))
    for holds, layer in ((True, by), (False, without_filter)):
        monkeypatch.setattr(kernel, "holds", lambda holds=holds: holds)
        assert attempts.attempt(one, attempts.Target(1, "", "", 1, Path(), Path(), -1)).by == layer


# --- the whole ----------------------------------------------------------------------------------------------


@linux
@pytest.mark.model
@pytest.mark.proves("nothing-leaves")
def test_a_real_ingest_and_answer_are_proven_and_reported(tmp_path):
    need_landlock(6)
    file = tmp_path / "proof.json"
    environment = {**os.environ, "LOCALRAG_GENERATOR": "smollm2-135m-instruct"}
    command = [sys.executable, "-m", "localrag", "prove", "offline", "--out", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(file.read_text())
    assert report["proven"] and report["documents"] == 2
    assert report["answer"] and report["model"] == "smollm2-135m-instruct"
    assert run_json("prove", "offline", "--verify", file)["ours"]


def test_without_a_model_the_error_has_a_hint(settings):
    refused(ModelError, "prove", "offline")


# --- the report ---------------------------------------------------------------------------------------------


def test_a_changed_report_has_an_invalid_signature_and_another_machines_is_not_ours(tmp_path):
    report = proofs.signed(REPORT.to_dict(), tmp_path / "proofs")
    file = tmp_path / "r.json"
    file.write_text(json.dumps(report, indent=1))
    found = proofs.verify(file, tmp_path / "proofs")
    assert found.good and found.ours and found.proven
    assert (tmp_path / "proofs/key").stat().st_mode & 0o777 == 0o600 or os.name == "nt"
    proofs.signed(REPORT.to_dict(), tmp_path / "other")
    for folder in (tmp_path / "none", tmp_path / "other"):
        found = proofs.verify(file, folder)
        assert found.good and not found.ours
    report["heard"] = 1
    file.write_text(json.dumps(report))
    found = proofs.verify(file, tmp_path / "proofs")
    assert not found.good and not found.ours


@pytest.mark.parametrize("text", ["", "[]", '{"signature": {"key": "zz", "value": ""}}', "[" * 100_000])
def test_another_file_is_refused(tmp_path, text):
    file = tmp_path / "r.json"
    file.write_text(text)
    with pytest.raises(UsageError):
        proofs.verify(file, tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "link", "a/b", "..", "", "a\0b", "\ud800", "x" * 300, "none"])
def test_a_strangers_report_that_names_what_is_no_file_beside_it_is_not_good(tmp_path, name):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    report = REPORT.to_dict() | {"files": {name: "0" * 64}}
    file = tmp_path / "r.json"
    file.write_text(json.dumps(proofs.signed(report, tmp_path / "proofs")))
    found: list[bool] = []
    checking = threading.Thread(target=lambda: found.append(proofs.verify(file, tmp_path).good), daemon=True)
    checking.start()
    checking.join(PATIENCE)
    assert found == [False]


def test_a_report_that_is_a_pipe_or_too_large_is_refused(tmp_path):
    with pytest.raises(UsageError):
        proofs.verify(Path("/dev/zero"), tmp_path)
    with (tmp_path / "large.json").open("wb") as large:
        large.truncate(1 << 34)
    with pytest.raises(UsageError):
        proofs.verify(tmp_path / "large.json", tmp_path)


def test_the_command_exits_with_1_if_something_got_through(settings, monkeypatch, tmp_path):
    changed = replace(REPORT, trials=(TRIED, replace(TRIED, name="UDP", after=THROUGH)))
    monkeypatch.setattr(offline, "prove_offline", lambda *_, **__: changed)
    shown = run("prove", "offline", "--out", tmp_path / "r.json")
    assert shown.exit_code == 1
    assert "! native    UDP  GOT THROUGH" in shown.stdout and "NOT PROVEN" in shown.stdout
    assert run("prove", "offline", "--verify", tmp_path / "r.json").exit_code == 0
    monkeypatch.setattr(offline, "prove_offline", lambda *_, **__: REPORT)
    assert run_json("prove", "offline")["proven"]

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray_nodes
from conftest import MODELS
from papers import contents, sound
from ray_nodes import commands, parent, wait_for
from stores import new_store

from localrag import api, policy
from localrag.embeddings import EmbedderIdentity
from localrag.errors import ClusterError, OfflineRefused, PolicyRefused, UsageError
from localrag.ingest import cluster, sync
from localrag.ingest.readers.source import Options
from localrag.settings import load_settings
from localrag.store.library import Library

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(EXAMPLES / "contracts", folder / "contracts")
    for number in range(20):
        text = f"Document {number} speaks of topic{number} and of much that all of them share. " * 30
        (folder / f"{number:02}.txt").write_text(text)
    return folder


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with ray_nodes.running(_home(tmp_path_factory.mktemp("machines"))) as running:
        yield running


@pytest.fixture(scope="module")
def expected(tmp_path_factory, documents):
    home = _home(tmp_path_factory.mktemp("expected"))
    assert _localrag(home, documents).wait(ray_nodes.PATIENCE) == 0
    return _contents(home)


def _home(folder):
    (folder / "models").symlink_to(MODELS, target_is_directory=True)
    return folder


def _contents(home):
    library = Library.open(home / "indexes" / "matters", "matters")
    try:
        sound(library)
        return contents(library)
    finally:
        library.close()


def _localrag(home, documents, *options):
    command = [sys.executable, "-m", "localrag", "ingest", str(documents), "--name", "matters", "--json", *options]
    environment = {**os.environ, "LOCALRAG_HOME": str(home)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def _below(pid):
    parents = {each: parent(each) for each in commands()}
    found = {pid}
    while more := {each for each, above in parents.items() if above in found} - found:
        found |= more
    return found - {pid}


def _ray_of(pid):
    return {each for each in _below(pid) if Path(commands().get(each, [""])[0]).name == "raylet"}


@pytest.mark.slow
@pytest.mark.model
def test_a_stopped_ingest_goes_on_though_a_worker_is_killed(nodes, home, documents, expected):
    stopped = ray_nodes.ingest(nodes, home, documents, stop_after=5)
    assert not stopped["complete"] and 5 <= len(stopped["read"]) < len(expected)
    report = ray_nodes.ingest(nodes, home, documents, kill="worker")
    assert (len(report["killed"]) == 1 and report["unchanged"] == len(stopped["read"])) or report["again"]
    assert report["noise"] == ""  # what Ray says of it is no part of the answer
    assert report["complete"] and report["failed"] == [] and _contents(home) == expected


@pytest.mark.slow
@pytest.mark.model
def test_another_version_is_refused_and_a_file_that_kills_its_workers_fails_alone(nodes, home, documents, expected):
    report = ray_nodes.ingest(nodes, home, documents, version="0", poison="07.txt")
    assert report["refused"]["error"] == "ClusterError" and socket.gethostname() in report["refused"]["message"]
    assert report["complete"] and [each["document"] for each in report["failed"]] == ["07.txt"]
    rest = {(root, path): value for (root, path), value in expected.items() if path != "07.txt"}
    assert _contents(home) == rest


@pytest.mark.slow
@pytest.mark.model
def test_a_lost_machine_costs_nothing(nodes, home, documents, expected):
    machine = nodes.add()
    report = ray_nodes.ingest(nodes, home, documents, kill="machine", machines=[machine])
    assert report["killed"] == [machine]
    assert report["complete"] and report["failed"] == [] and _contents(home) == expected


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.proves("cluster")
def test_a_cluster_of_its_own_is_out_of_reach_and_leaves_nothing(home, documents, expected, pg):
    with _localrag(home, documents, "--cluster", "auto", "--store", str(new_store(pg))) as process:
        wait_for(lambda: _ray_of(process.pid))
        ray = min(_ray_of(process.pid))  # one that it forks looks like it for a moment
        network, own = (Path(f"/proc/{pid}/ns/net").readlink() for pid in (ray, os.getpid()))
        started = _below(process.pid)
        report, said = process.communicate(timeout=ray_nodes.PATIENCE)
    assert (network != own) is (b"127.0.0.1" not in said)
    assert json.loads(report)["complete"], said
    wait_for(lambda: not started & commands().keys())
    texts = {document: value[:-1] for document, value in expected.items()}
    assert {document: value[:-1] for document, value in _contents(home).items()} == texts


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_is_left_behind(short, documents, how, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(short))  # what a killed command leaves there goes with it
    with _localrag(short, documents, "--cluster", "auto") as process:
        wait_for(lambda: _ray_of(process.pid))
        started = _below(process.pid)
        os.killpg(process.pid, how)
        process.communicate(timeout=ray_nodes.PATIENCE)
    assert process.returncode == (130 if how == signal.SIGINT else -9)
    wait_for(lambda: not started & commands().keys())


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.proves("cluster")
def test_no_other_user_reaches_the_token_or_the_folder_that_workers_import_from(short, documents, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(short))
    with _localrag(short, documents, "--cluster", "auto") as process:
        wait_for(lambda: any(commands().get(pid, [""])[0].startswith("ray::_Worker") for pid in _below(process.pid)))
        (folder,) = short.glob("localrag-*")
        modes = {path.relative_to(short): path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
        names = {path.name for path in folder.iterdir()}
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=ray_nodes.PATIENCE)
    # Others may write in Ray's own folder, but do not come to it.
    assert modes.pop(folder.relative_to(short)) == 0o700 and names == {"empty", "ray", "token"}
    assert [path.name for path, mode in modes.items() if mode & 0o022] == ["ray"]


def _ingest(folder, address):
    api.open_library("matters", create=True).ingest(folder, cluster=address)


def test_a_cluster_that_no_policy_names_is_refused(documents, models, tmp_path, monkeypatch):
    with pytest.raises(OfflineRefused):
        _ingest(documents, "10.0.0.5:6379")
    own = tmp_path / "own.toml"
    own.write_text('allow_clusters = ["10.0.0.5:6379"]')
    monkeypatch.setenv(policy.VARIABLE, str(own))
    with pytest.raises(OfflineRefused):  # it forbids, and never allows
        _ingest(documents, "10.0.0.5:6379")
    policy.SYSTEM.parent.mkdir(parents=True)
    policy.SYSTEM.write_text('allow_clusters = ["10.0.0.6:6379"]')
    for address in ("10.0.0.5:6379", "10.0.0.6:6379"):
        with pytest.raises(PolicyRefused):
            _ingest(documents, address)
    assert not (load_settings().indexes_dir / "matters").exists()


def test_an_address_where_nothing_answers_and_a_missing_ray_are_told(documents, models, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    policy.SYSTEM.parent.mkdir(parents=True)
    policy.SYSTEM.write_text(f'allow_clusters = ["127.0.0.1:{port}"]')
    with pytest.raises(ClusterError) as raised:
        _ingest(documents, f"127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in raised.value.message and raised.value.hint
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as raised:
        _ingest(documents, "auto")
    assert "localrag[cluster]" in raised.value.hint


def test_a_machine_that_does_not_see_the_files_is_named_and_a_file_that_went_ends_no_job(tmp_path):
    class Readers:
        def read_all(self, paths, links):
            return [(path, None) for path in paths]

    worker = cluster._Worker()
    worker._name, worker._readers, worker._embedder, worker._jobs, worker._links = "far", Readers(), None, {}, True
    gone = tmp_path / "gone.txt"
    assert worker.read(1, [gone]) == [(gone, None)]
    with pytest.raises(ClusterError) as raised:
        worker.read(2, [Path("/nowhere/a.txt")])
    assert "'far'" in raised.value.message


@pytest.mark.proves("links")
def test_a_machine_that_has_the_folder_behind_a_link_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster.embeddings, "load_embedder", lambda settings, identity: None)
    (tmp_path / "share").mkdir()
    (tmp_path / "srv").symlink_to(tmp_path / "share")
    given = (cluster.__version__, None, Options(), sync.Limits())
    with pytest.raises(ClusterError, match="behind a link") as raised:
        cluster._Worker().prepare(*given, False, tmp_path / "srv" / "matters")
    assert socket.gethostname() in raised.value.message and "--follow-links" in raised.value.hint
    for links, root in ((True, "srv"), (False, "share")):
        assert cluster._Worker().prepare(*given, links, tmp_path / root / "matters") == socket.gethostname()


def test_a_failure_ends_an_ingest_that_lags_behind_its_workers():
    left = 100  # looks, after which it would have gone on for ever

    def stop():
        nonlocal left
        left -= 1
        return left < 0

    identity = EmbedderIdentity("none", "", "", "", 8, "")
    work = cluster.Cluster("auto", sync.Job(Path("/"), False, identity, Options(), sync.Limits(), stop))
    while not work._arrived.full():
        work._arrived.put([])
    work._fail(ClusterError("lost", "Again."))
    with pytest.raises(ClusterError):
        list(work.batches([Path("/a")]))

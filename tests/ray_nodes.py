"""A Ray cluster of two machines, both this one, for tests of ingest: started by `running`, used by `ingest`.

Ray runs in processes of their own, never in that of the tests.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_REPORT = "report: "
PATIENCE = 400  # seconds, for a machine that is busy with other tests


@dataclass(frozen=True)
class Nodes:
    address: str
    machines: list[int]  # the process of each that starts its workers; the first leads
    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[str]

    def add(self):
        assert self.process.stdin is not None and self.process.stdout is not None
        print("add", file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


def commands():
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words := path.read_bytes().decode("utf-8", "replace").rstrip("\0"):  # nothing is left of dead ones
                found[int(path.parent.name)] = words.split("\0")
    return found


def parent(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def wait_for(condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@contextmanager
def running(home):
    """Start two nodes with the models of `home`; they end with the context, and with the process of the tests."""
    with tempfile.TemporaryDirectory(prefix="lr") as name:
        folder = Path(name)
        (folder / "ray").mkdir()  # where Ray notes the address
        (folder / "token").write_text(secrets.token_hex(32))
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
            "LOCALRAG_HOME": str(home),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": name,
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # 127.0.0.1 stays what it is
        }
        command = [sys.executable, "-P", __file__, "nodes", name]
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            started = process.stdout.readline()
            assert started, "the cluster did not start"
            try:
                yield Nodes(**json.loads(started), folder=folder, environment=environment, process=process)
            finally:
                process.stdin.close()
                process.wait(PATIENCE)


def ingest(nodes, home, folder, **options):
    """Ingest a folder on the cluster, in a process of its own; returns the report, or an `error`.

    Args:
        kill: "worker" or "machine": the last one of `machines` is killed once some files are stored.
        poison: a name; a worker that reads this file dies.
        stop_after: files.
        version: that the command claims to have at first; `refused` is the error.
    """
    shown = {"address": nodes.address, "machines": nodes.machines, "nodes": str(nodes.folder)}
    given = json.dumps({**shown, "folder": str(folder), **options})
    environment = {**nodes.environment, "LOCALRAG_HOME": str(home)}
    # Ray's native code can end the command when a worker is lost, without a word. The next run goes on.
    for again in (False, True):
        ran = subprocess.run(
            [sys.executable, "-P", __file__, "ingest", given], env=environment, capture_output=True, timeout=600
        )
        noise, begun, told = ran.stdout.decode().partition(_REPORT)
        if begun:
            return {**json.JSONDecoder().raw_decode(told)[0], "again": again, "noise": noise}
    raise AssertionError((ran.returncode, ran.stdout.decode()[-3000:], ran.stderr.decode()))


def _nodes(folder):
    from ray.cluster_utils import Cluster

    shared = {
        "num_cpus": 1,
        "object_store_memory": 100_000_000,
        "node_ip_address": "127.0.0.1",
        "include_dashboard": False,
    }
    cluster = Cluster(initialize_head=True, head_node_args={**shared, "temp_dir": folder})

    def pid(machine):
        return int(machine.all_processes["raylet"][0].process.pid)

    machines = [pid(cluster.head_node), pid(cluster.add_node(**shared, temp_dir=folder))]
    print(json.dumps({"address": cluster.address, "machines": machines}), flush=True)
    for _ in sys.stdin:
        print(pid(cluster.add_node(**shared, temp_dir=folder)), flush=True)
    cluster.shutdown()


def _ingest(address, machines, folder, nodes, **options):
    from localrag import api, policy
    from localrag.errors import LocalragError
    from localrag.ingest import cluster

    policy.SYSTEM = Path(nodes, "policy.toml")
    policy.SYSTEM.write_text(f"allow_clusters = [{address!r}]")
    stored = 0
    killed = []
    once = threading.Lock()  # the next progress can come while this one looks for what to kill

    def progress(now):
        nonlocal stored
        stored += now.stage == "store"
        if "kill" in options and stored > 2 and once.acquire(blocking=False):
            workers = [pid for pid, words in commands().items() if words[0].startswith("ray::_Worker")]
            own = machines if options["kill"] == "machine" else [pid for pid in workers if parent(pid) in machines]
            killed.append(own[-1])
            os.kill(killed[0], signal.SIGKILL)

    class Fragile(cluster._Worker):
        def read(self, job, paths=()):
            if any(path.name == options["poison"] for path in paths):
                os._exit(1)
            return super().read(job, paths)

    if "poison" in options:
        cluster._Worker = Fragile

    def run():
        try:
            report = api.open_library("matters", create=True).ingest(
                folder, cluster=address, progress=progress, stop=lambda: stored >= options.get("stop_after", 1e9)
            )
        except LocalragError as error:
            return {"error": type(error).__name__, "message": error.message, "hint": error.hint}
        return {**report.to_dict(), "killed": killed}

    refused = None
    if "version" in options:
        own, cluster.__version__ = cluster.__version__, options["version"]
        refused, cluster.__version__ = run(), own
    told = {**run(), "refused": refused}
    os.write(1, f"{_REPORT}{json.dumps(told)}\n".encode())


if __name__ == "__main__":
    if sys.argv[1] == "nodes":
        _nodes(sys.argv[2])
    else:
        _ingest(**json.loads(sys.argv[2]))

"""The PostgreSQL of the tests: databases and roles of one test do not meet those of another, and it survives a crash."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pg_cluster
import pytest

pytestmark = pytest.mark.slow


def test_the_server_ends_with_the_process_that_started_it() -> None:
    code = "import pg_cluster\nwith pg_cluster.running() as c: print(c._server.pid, c.folder, flush=True); input()"
    started = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])},
    )
    with started:
        assert started.stdout is not None
        server, folder = started.stdout.readline().split()
        watched = os.pidfd_open(int(server))
        started.send_signal(signal.SIGKILL)
    try:
        assert select.select([watched], [], [], pg_cluster.PATIENCE)[0], "the server is still there"
    finally:
        os.close(watched)
    with pg_cluster.running():
        assert not Path(folder).exists(), "a later run clears what a killed one has left"

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
from pg8000 import native
from pg_cluster import Cluster

pytestmark = pytest.mark.slow


def test_each_database_is_empty_and_knows_vectors(pg: Cluster) -> None:
    one, other = pg.database(), pg.database()
    pg.sql(one, "CREATE TABLE passages (vector vector(2)); INSERT INTO passages VALUES ('[3,4]')")
    assert pg.sql(one, "SELECT vector <-> '[0,0]' FROM passages") == [[5.0]]
    assert pg.sql(other, "SELECT to_regclass('passages')") == [[None]]
    assert f"/{one}?host={pg.folder}" in pg.url(one, "clerk")


def test_roles_have_no_rights_and_connect_without_a_password(pg: Cluster) -> None:
    database, reader, group = pg.database(), pg.role("reader"), pg.role("group", login=False)
    assert pg.role("reader") == reader
    pg.sql(database, "CREATE TABLE kept (n int)")
    assert pg.sql(database, "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user", reader) == [
        ["reader", False]
    ]
    with pytest.raises(native.DatabaseError, match="42501"):
        pg.sql(database, "SELECT * FROM kept", reader)
    # The driver says goodbye to a server that has refused it, and where that comes too late it raises the other error.
    with pytest.raises((native.DatabaseError, native.InterfaceError)):
        pg.sql(database, "SELECT 1", group)
    assert "not permitted to log in" in pg.log()


def test_what_was_committed_is_there_after_a_crash_and_nothing_else() -> None:
    with pg_cluster.running() as cluster:
        cluster.stop()
        cluster.start(fsync=True)
        database = cluster.database()
        assert cluster.sql(database, "SHOW fsync") == [["on"]] and cluster.sql(database, "SHOW listen_addresses") == [
            [""]
        ]
        cluster.sql(database, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
        with (
            pytest.raises(native.InterfaceError),
            native.Connection(pg_cluster.SUPERUSER, database=database, unix_sock=cluster.socket) as connection,
        ):
            connection.run("BEGIN")
            connection.run("INSERT INTO kept VALUES (2)")
            cluster.kill()
            connection.run("COMMIT")
        cluster.start()
        assert cluster.sql(database, "SELECT n FROM kept") == [[1]]


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

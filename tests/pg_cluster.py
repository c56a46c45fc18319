"""A PostgreSQL of the tests' own, with pgvector: it listens on a socket in its folder, and goes with the tests."""

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import pytest

PATIENCE = 120.0  # seconds, for a machine that is busy with other tests
SUPERUSER = "postgres"
_DEBIAN = Path("/usr/lib/postgresql/17/bin")
_PREPARED = "prepared"
_PREFIX = "lr-pg-"
_WITHIN_ROOT = os.name == "posix" and os.geteuid() == 0


class Cluster:
    """One PostgreSQL server. Any role may connect through its socket; no role has a password.

    Texts sort as English does (ICU), as on most servers: what needs the order of bytes has to ask for it.
    """

    def __init__(self, binaries, folder):
        self.folder = folder  # of the socket
        self._binaries = binaries
        self._data = folder / "data"
        self._server = None
        self._made = 0
        self.template = ""  # a database with an empty store, once there is one

    @property
    def socket(self):
        return str(self.folder / ".s.PGSQL.5432")

    def url(self, database, role=SUPERUSER):
        return f"postgresql://{quote(role)}@/{quote(database)}?host={quote(str(self.folder))}"

    def sql(self, database, statement, role=SUPERUSER):
        from pg8000 import native

        with native.Connection(role, database=database, unix_sock=self.socket, timeout=PATIENCE) as connection:
            return connection.run(statement) or []

    def database(self, template=_PREPARED):
        self.start()
        self._made += 1
        self.sql("postgres", f'CREATE DATABASE "test{self._made}" TEMPLATE "{template}"')
        return f"test{self._made}"

    def role(self, name, login=True):
        if not self.sql("postgres", f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'"):
            self.sql("postgres", f'CREATE ROLE "{name}" {"LOGIN" if login else "NOLOGIN"}')
        return name

    def create(self):
        locale = ("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en")
        command = (
            self._binaries / "initdb",
            "--no-sync",
            "--auth=trust",
            f"--username={SUPERUSER}",
            *locale,
            self._data,
        )
        done = subprocess.run(
            [*_as_server(), *map(str, command)], capture_output=True, text=True, check=False, cwd=self.folder
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.start()
        self.sql("postgres", f"CREATE DATABASE {_PREPARED}")
        self.sql(_PREPARED, "CREATE EXTENSION vector")

    def start(self, fsync=False, **more):
        """Start the server, unless it runs; wait until it answers, after a crash until it has recovered.

        `more` are settings of the server.
        """
        if self._server is not None and self._server.poll() is None:
            return
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "port": "5432",
            "fsync": "on" if fsync else "off",
            "full_page_writes": "on" if fsync else "off",
            "autovacuum": "off",  # each test has a few rows
            "shared_buffers": "32MB",
            "dynamic_shared_memory_type": "mmap",  # /dev/shm may be small in a container
            "max_connections": "100",
            **more,
        }
        settings = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*_as_server(), str(self._binaries / "postgres"), "-D", str(self._data), *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._server.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def kill(self):
        """End all processes of the server at once, as a power cut does; `start` recovers."""
        assert self._server is not None and self._server.poll() is None, self.log()
        self._server.send_signal(signal.SIGSTOP)  # it starts no other process meanwhile
        with contextlib.ExitStack() as opened:
            backends = []
            for pid in Path(f"/proc/{self._server.pid}/task/{self._server.pid}/children").read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    backends.append(os.pidfd_open(int(pid)))
                    opened.callback(os.close, backends[-1])
            self._server.kill()
            for backend in backends:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(backend, signal.SIGKILL)
            self._server.wait(PATIENCE)
            for backend in backends:  # the next server starts when the shared memory of this one is let go
                assert select.select([backend], [], [], PATIENCE)[0]

    def stop(self):
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)
            try:
                self._server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()

    def log(self):
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def _answers(self):
        from pg8000 import native

        try:
            self.sql("postgres", "SELECT 1")
        except (native.InterfaceError, native.DatabaseError):  # no socket yet; starting up, or recovering
            return False
        return True


@contextlib.contextmanager
def running():
    """A cluster of its own, for tests that kill it; most tests use the fixture `pg`."""
    binaries = _binaries()
    _clear()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir="/tmp"))  # short enough for a socket
    if _WITHIN_ROOT:
        shutil.chown(folder, "postgres", "postgres")
    cluster = Cluster(binaries, folder)
    try:
        cluster.create()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


def _as_server():
    """What comes before a command: the server ends with the tests that started it, and never runs as root."""
    if (setpriv := shutil.which("setpriv")) is None:
        assert not _WITHIN_ROOT, "setpriv is missing; install util-linux"
        return ()
    user = ("--reuid=postgres", "--regid=postgres", "--clear-groups") if _WITHIN_ROOT else ()
    return (setpriv, *user, "--pdeathsig=QUIT", "--")


def _binaries():
    """Where PostgreSQL is. In CI its absence is a failure, since tests must not vanish unseen."""
    for folder in (_DEBIAN, Path(shutil.which("postgres") or "").parent):
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    if os.environ.get("CI"):
        pytest.fail("PostgreSQL is missing; .ci/run installs postgresql-17 and postgresql-17-pgvector")
    pytest.skip("PostgreSQL is not installed (Debian: postgresql-17 and postgresql-17-pgvector)")


def _clear():
    for folder in Path("/tmp").glob(f"{_PREFIX}*"):
        found = re.match(rf"{_PREFIX}(\d+)-", folder.name)
        if found and not Path("/proc", found[1]).exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)

"""Proves that nothing leaves: starts a process that confines itself, has it try every way out, and listens.

Each attempt is made three times: by a process that is not confined (so that it is known to be a way out), by one that
is, and by that one again after it has read documents and answered. What the attempts aim at is here: a listener for
TCP and UDP within this machine, a Unix socket, a file; whatever it hears from a confined process got through. Where the
system lets a user make one, the same runs once more in a network namespace without interfaces, which shows that
nothing of the work needs a network.

Limits: see `attempts`, and `report` for what its signature means. The proof's documents are made up; its models are
the person's.
"""

from __future__ import annotations

import json
import os
import platform
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localrag import __version__
from localrag.errors import LocalragError, ModelError
from localrag.proofs.attempts import ATTEMPTS, OTHER_LIBRARY, Outcome
from localrag.proofs.report import Report, Run, Tried
from localrag.security import offline, storage
from localrag.security.offline import Layer, LayerName
from localrag.settings import Settings

_SECONDS = 900
_HERE = str(Path(__file__).resolve().parents[2])
_DOCUMENTS = {
    "lease.txt": "Lease of Harbour House\n\nThe lease of Harbour House ends on 14 March 2031. Rent is due on the first "
    "working day of each month. The tenant keeps the roof in repair.\n",
    "minutes.txt": "Minutes of the board\n\nThe board agreed to ask three firms for an offer for the new boiler.\n",
}  # fmt: skip
_NO_WORK = {"read": 0, "passages": 0, "answer": "", "citations": 0, "model": ""}
_AS_EVERY_COMMAND = "confined as `localrag ask` is"
_NO_INTERFACES = "the same, in a network namespace without interfaces"


def prove_offline(
    settings: Settings, *, without: Collection[LayerName] = (), work: bool = True,
    said: Callable[[str], None] = lambda line: None,
) -> Report:  # fmt: skip
    """Run the whole proof; some ten seconds beside loading the models twice.

    Args:
        without: layers left out of the confined processes; only tests of the proof do that.
        work: read documents and answer meanwhile; without, nothing is proven, and there is one run.
        said: called with a line for each step.

    Raises:
        LocalragError: the work could not be done: no model is installed, or a process ended early.
    """
    runs: list[Run] = []
    with _place(settings) as place, _Listener(place / "outside" / "s") as listener:
        said("trying everything in a process that is not confined, to see what would get out")
        with _home(settings, place):
            control = _session(_order(settings, place, listener, without) | {"control": True}, [])
        prefix, why = _namespace() if work else ([], "nothing was read and answered")
        for name, command in ((_AS_EVERY_COMMAND, []), (_NO_INTERFACES, prefix)):
            if command or name == _AS_EVERY_COMMAND:
                said(f"trying it {name}; reading and answering meanwhile")
                listener.forget()
                with _home(settings, place):
                    told = _session(_order(settings, place, listener, without) | {"work": work}, command)
                runs.append(_run(name, control, told, listener.heard()))
    return Report(
        version=__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        system=f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}",
        runs=tuple(runs),
        left_out=why,
    )


@contextmanager
def _place(settings: Settings) -> Iterator[Path]:
    """A folder for the proof: documents and a home of its own inside, a secret outside what may be read."""
    place = storage.make_dir(Path(tempfile.gettempdir()).resolve() / f"localrag-{uuid.uuid4().hex[:12]}")
    try:
        for name, text in _DOCUMENTS.items():
            storage.write_bytes(place / "documents" / name, text.encode())
        storage.write_bytes(place / "outside" / "secret", b"nobody's business\n")
        storage.make_dir(place / "tmp")
        yield place
    finally:
        storage.remove(place)


@contextmanager
def _home(settings: Settings, place: Path) -> Iterator[None]:
    """A new home folder in it, with the person's models and nothing else."""
    storage.make_dir(place / "home")
    storage.link(place / "home" / "models", settings.models_dir.resolve())
    storage.write_bytes(place / "home" / OTHER_LIBRARY, b"another matter\n")
    try:
        yield
    finally:
        storage.remove(place / "home")


def _order(settings: Settings, place: Path, listener: _Listener, without: Collection[LayerName]) -> dict[str, Any]:
    return {
        "control": False,
        "work": False,
        "without": sorted(without), "port": listener.port, "unix": listener.unix,
        "process": os.getpid(), "home": str(place / "home"), "documents": str(place / "documents"),
        "outside": str(place / "outside"), "generator": settings.generator,
    }  # fmt: skip


def _session(order: dict[str, Any], prefix: list[str]) -> dict[str, Any]:
    """What a process of `session` tells that was given this order."""
    kept = {name: value for name, value in os.environ.items() if name not in offline.SWITCHES}
    environment = {
        **kept, "PYTHONPATH": os.pathsep.join(filter(None, (_HERE, kept.get("PYTHONPATH")))),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(Path(order["home"]).parent / "tmp")),
    }  # fmt: skip
    command = [*prefix, sys.executable, "-P", "-m", "localrag.proofs.session"]
    try:
        done = subprocess.run(
            command, input=json.dumps(order).encode(), capture_output=True, env=environment, timeout=_SECONDS,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise LocalragError(
            f"the process that is proven took longer than {_SECONDS} s", "Try it with a smaller model."
        ) from None
    try:
        told: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
        raise LocalragError(
            f"the process that is proven ended early, with {done.returncode}: {last}",
            "Please report this, with what `localrag doctor` says.",
        ) from None
    if "error" in told.get("work", {}):
        raise ModelError(f"the proof could not do its work: {told['work']['error']}", told["work"]["hint"])
    return told


def _run(name: str, control: dict[str, Any], told: dict[str, Any], heard: int) -> Run:
    outcomes = zip(ATTEMPTS, control["before"], told["before"], told["after"], strict=True)
    work = told.get("work", _NO_WORK)
    return Run(
        name=name,
        layers=tuple(Layer(**layer) for layer in told["layers"]),
        tried=tuple(
            Tried(one.name, one.way, one.layer, Outcome(**free), Outcome(**before), Outcome(**after))
            for one, free, before, after in outcomes
        ),
        heard=heard,
        documents=work["read"], passages=work["passages"], answer=work["answer"], citations=work["citations"],
        model=work["model"],
    )  # fmt: skip


def _namespace() -> tuple[list[str], str]:
    """What to put before a command so that it has no network interface; else why that cannot be."""
    unshare = shutil.which("unshare") if sys.platform == "linux" else None
    if unshare is None:
        return [], "network namespaces need Linux and its program `unshare`"
    prefix = [unshare, "--map-current-user", "--net", "--"]
    tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        return [], f"this system does not let a user make a network namespace: {tried.stderr.strip()}"
    return prefix, ""


class _Listener:
    """Hears whatever reaches it: TCP and UDP on a port of the loopback interface, and a Unix socket."""

    def __init__(self, unix: Path) -> None:
        self.unix = str(unix)
        self._heard = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> _Listener:
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._sockets = [self._tcp, self._udp]
        if hasattr(socket, "AF_UNIX"):
            self._unix = socket.socket(socket.AF_UNIX)
            self._unix.bind(self.unix)
            self._unix.listen()
            self._sockets.append(self._unix)
        for one in self._sockets:
            one.setblocking(False)
        self._thread = threading.Thread(target=self._listen, name="localrag-listener", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ended.set()
        self._thread.join()
        for one in self._sockets:
            one.close()

    def _listen(self) -> None:
        with selectors.DefaultSelector() as ready:
            for one in self._sockets:
                ready.register(one, selectors.EVENT_READ)
            while not self._ended.is_set():
                if not ready.select(0.05):
                    continue
                with self._lock:
                    self._hear()

    def _hear(self) -> None:
        """Take what waits: count it, and answer a request so that its sender knows that it got through."""
        for one in self._sockets:
            try:
                if one is self._udp:
                    one.recv(2048)
                else:
                    with one.accept()[0] as caller:
                        caller.settimeout(0.2)
                        caller.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
            except BlockingIOError:
                continue
            except OSError:
                pass
            self._heard += 1

    def forget(self) -> None:
        with self._lock:
            self._hear()
            self._heard = 0

    def heard(self) -> int:
        """How many connections and datagrams came since `forget`; what still waits in the kernel is counted."""
        with self._lock:
            before = -1
            while before != self._heard:
                before = self._heard
                self._hear()
            return self._heard

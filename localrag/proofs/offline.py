"""Prove that nothing leaves: start processes that confine themselves, let them try every way out, and listen.

Every attempt is made by an unconfined process (which shows that it is a way out), by a confined one, and by that one
again after it has read documents and answered. Limits: the ways are those in `attempts`. The documents are made up; the
models are the person's.
"""

from __future__ import annotations

import json
import os
import platform
import select
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from localrag import __version__
from localrag.errors import LocalragError, ModelError
from localrag.proofs import FORMATS
from localrag.proofs.attempts import ATTEMPTS, OTHER_LIBRARY, READER_ATTEMPTS, Outcome, Refuser, Way
from localrag.security import offline, storage
from localrag.security.offline import Layer, LayerName, remote
from localrag.settings import Settings

_MAX_SECONDS = 900
_PACKAGE = str(Path(__file__).resolve().parents[2])
_DOCUMENTS = {
    "lease.txt": "Lease of Harbour House\n\nThe lease of Harbour House ends on 14 March 2031. Rent is due on the first "
    "working day of each month. The tenant keeps the roof in repair.\n",
    "minutes.txt": "Minutes of the board\n\nThe board agreed to ask three firms for an offer for the new boiler.\n",
}
_NO_WORK = {"documents": 0, "passages": 0, "answer": "", "citations": 0, "model": ""}


@dataclass(frozen=True, slots=True)
class Trial:
    """The outcomes of one attempt: unconfined, confined, and confined after the work."""

    name: str
    way: Way
    layer: Refuser
    unconfined: Outcome
    before: Outcome
    after: Outcome

    @property
    def held(self) -> bool:
        """True if the layer in charge refused it both times, or this system has no such way."""
        return all(
            one.result == "absent" or (one.result == "refused" and self.layer in ("any", one.by))
            for one in (self.before, self.after)
        )


@dataclass(frozen=True, slots=True)
class Report:
    """A proof: the layers of the confined process, its attempts, what the listener heard, and its work.

    `may_reach`: the addresses that the person's libraries and models need. `reached`: the outcome of connecting to a
    socket that the process under test may reach as it may those.
    """

    version: str
    made: str
    system: str
    layers: tuple[Layer, ...]
    trials: tuple[Trial, ...]
    may_reach: tuple[str, ...]
    reached: Outcome
    heard: int
    documents: int
    passages: int
    answer: str
    citations: int
    model: str

    @property
    def proven(self) -> bool:
        refused = not self.heard and all(one.held for one in self.trials)
        return refused and self.reached.result in ("through", "absent") and self.documents > 0 and bool(self.answer)

    def to_dict(self) -> dict[str, Any]:
        trials = [asdict(one) | {"held": one.held} for one in self.trials]
        return {"format": FORMATS[0], "proven": self.proven, **asdict(self), "trials": trials}


def prove_offline(
    settings: Settings,
    *,
    without: Collection[LayerName] = (),
    work: bool = True,
    progress: Callable[[str], None] = lambda line: None,
) -> Report:
    """Run the proof, in ten seconds and the time to load the models; `progress` gets a line for each step.

    For tests, `without` leaves out layers and, without `work`, nothing is read or proven. Raises LocalragError if the
    work could not be done: no model is installed, or a process ended early.
    """
    with (
        _workspace() as place,
        _Listener(place / "outside" / "s") as listener,
        _Listener(place / "outside" / ".s.PGSQL.5432") as store,
    ):
        order = {
            "control": False,
            "reader": False,
            "work": work,
            "without": sorted(without),
            "port": listener.port,
            "unix": listener.unix,
            "allowed": f"postgresql:///proof?host={quote(str(place / 'outside'))}",
            "process": os.getpid(),
            "home": str(place / "home"),
            "documents": str(place / "documents"),
            "outside": str(place / "outside"),
            "generator": settings.generator,
        }
        progress("making every attempt in an unconfined process, to see what would get out")
        with _home(settings, place):
            control = _session({**order, "control": True, "work": False})
        progress("making every attempt confined as `localrag ask` is, while reading and answering")
        listener.reset()
        with _home(settings, place):
            result = _session(order)
            reader = [] if without else _session({**order, "reader": True})["before"]
        heard = listener.heard()
        reached = Outcome(**result["reached"])
        if reached.result == "through" and store.heard() != 2:  # by the unconfined process, and by the confined one
            reached = Outcome("refused", "any", f"it was heard {store.heard()} times")
    outcomes = [
        *zip(ATTEMPTS, control["before"], result["before"], result["after"], strict=True),
        *zip(READER_ATTEMPTS, control["reader"], reader, reader, strict=False),
    ]
    trials = [Trial(one.name, one.way, one.layer, *(Outcome(**each) for each in three)) for one, *three in outcomes]
    made = datetime.now(UTC).isoformat(timespec="seconds")
    system = f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    layers = tuple(Layer(**layer) for layer in result["layers"])
    may_reach = tuple(map(str, remote.wanted(settings)))
    return Report(
        __version__, made, system, layers, tuple(trials), may_reach, reached, heard, **result.get("work", _NO_WORK)
    )


@contextmanager
def _workspace() -> Iterator[Path]:
    """A temporary folder with documents, and a secret outside of what may be read."""
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
    """A new home in the workspace, with the person's models and one other library."""
    storage.make_dir(place / "home")
    storage.link(place / "home" / "models", settings.models_dir.resolve())
    storage.write_bytes(place / "home" / OTHER_LIBRARY, b"another matter\n")
    try:
        yield
    finally:
        storage.remove(place / "home")


def _session(order: dict[str, Any]) -> dict[str, Any]:
    """Run the process under test (`attempts.main`) with an order; return what it reports."""
    inherited = {name: value for name, value in os.environ.items() if name not in offline.SWITCHES}
    environment = {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(None, (_PACKAGE, inherited.get("PYTHONPATH")))),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(Path(order["home"]).parent / "tmp")),
    }
    command = [sys.executable, "-P", "-m", "localrag.proofs.attempts"]
    mine, theirs = socket.socketpair()
    order = {**order, "inherited": theirs.fileno()}
    try:
        with mine, theirs:
            done = subprocess.run(
                command,
                input=json.dumps(order).encode(),
                capture_output=True,
                env=environment,
                timeout=_MAX_SECONDS,
                check=False,
                pass_fds=[theirs.fileno()] * (os.name == "posix"),
            )
    except subprocess.TimeoutExpired:
        message = f"the process under test took longer than {_MAX_SECONDS} s"
        raise LocalragError(message, "Try it with a smaller model.") from None
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
        raise LocalragError(
            f"the process under test ended early, with exit code {done.returncode}: {last}",
            "Please report this, with the output of `localrag doctor`.",
        ) from None
    if "error" in result.get("work", {}):
        raise ModelError(f"the proof could not do its work: {result['work']['error']}", result["work"]["hint"])
    return result


class _Listener:
    """Counts what reaches it: TCP and UDP on a port of the loopback interface, and a Unix socket."""

    def __init__(self, unix: Path) -> None:
        self.unix = str(unix)
        self._heard = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> _Listener:
        tcp = socket.create_server(("127.0.0.1", 0))
        self.port: int = tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._sockets = [tcp, self._udp]
        if hasattr(socket, "AF_UNIX"):
            unix = socket.socket(socket.AF_UNIX)
            unix.bind(self.unix)
            unix.listen()
            self._sockets.append(unix)
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
        while not self._ended.is_set():
            if select.select(self._sockets, [], [], 0.05)[0]:
                with self._lock:
                    self._receive()

    def _receive(self) -> None:
        """Count what waits; answer connections, so that their sender knows it got through."""
        for one in self._sockets:
            try:
                if one is self._udp:
                    one.recv(2048)
                else:
                    with one.accept()[0] as caller, suppress(OSError):
                        caller.settimeout(0.2)
                        caller.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
            except BlockingIOError:
                continue
            except OSError:
                pass
            self._heard += 1

    def reset(self) -> None:
        with self._lock:
            self._receive()
            self._heard = 0

    def heard(self) -> int:
        """Connections and datagrams since `reset`, those that still wait in the kernel included."""
        with self._lock:
            before = -1
            while before != self._heard:
                before = self._heard
                self._receive()
            return self._heard

"""Read, chunk and embed the files of an ingest on the machines of a Ray cluster.

One worker runs on each machine: it holds the model, and starts the same confined reader processes as an ingest without
a cluster. The command that was typed stays the only one that decides what changed and that writes to the library, so
workers need no key and no way to the store, and a worker that dies leaves nothing half written. Its files are read
again by others. A file whose worker is lost `_ATTEMPTS` times, the last times without other files beside it, is
reported as failed. Limits: Ray gives Python objects to the command, so its machines must be trusted as this one.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import queue
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, chdir, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag import __version__, embeddings
from localrag.embeddings import EmbedderIdentity
from localrag.errors import Cancelled, ClusterError, LocalragError, UsageError
from localrag.ingest import sync
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options
from localrag.security import offline, storage
from localrag.settings import load_settings
from localrag.types import Refused

if TYPE_CHECKING:
    from localrag.embeddings import Vectors

AUTO = "auto"
_FILES = 32  # in one job
_JOBS = 2  # of one worker at once: while the files of one are embedded, those of the other are read
_ATTEMPTS = 3
_TICK = 0.1
_CONNECT = 10.0  # seconds
_LOOK = 5.0  # seconds between two looks for machines that joined
_STORE = 1_000_000_000  # bytes of shared memory for what goes between the processes of `auto`
# In a cluster that is started here: no address but 127.0.0.1, and a token.
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}


def check_installed() -> None:
    """Raise UsageError if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise UsageError("an ingest on a cluster needs Ray, which is not installed", "pip install 'localrag[cluster]'")


# --- on every machine of the cluster ------------------------------------------------------------------------


class _Worker:
    """Reads and embeds on one machine. Its methods are called by `Cluster`, several at once."""

    def prepare(
        self, version: str, identity: EmbedderIdentity, options: Options, limits: sync.Limits, links: bool, root: Path
    ) -> str:
        """Load the embedder; returns this machine's name. Raises LocalragError if it differs from the command's."""
        offline.set_switches()
        self._name = socket.gethostname()
        if version != __version__:
            hint = "Install the same version on every machine."
            raise ClusterError(f"the machine {self._name!r} has localrag {__version__}, not {version}", hint)
        if not links and (real := os.path.realpath(root)) != str(root):  # it would refuse each file
            hint = "Mount the folder there at the same path, or add --follow-links."
            raise ClusterError(
                f"the machine {self._name!r} has {str(root)!r} behind a link, which leads to {real!r}", hint
            )
        try:
            self._embedder = embeddings.load_embedder(load_settings(), identity)
        except LocalragError as error:
            raise ClusterError(f"the machine {self._name!r}: {error.message}", error.hint) from error
        self._readers = ReaderPool(limits.workers, limits.seconds, options, limits.memory)
        self._links = links
        self._jobs: dict[int, Iterator[sync.Batch]] = {}
        return self._name

    def read(self, job: int, paths: Sequence[Path] = ()) -> sync.Batch | None:
        """The next batch of a job, which begins with its paths; None once it is done."""
        if paths:
            if not any(os.path.lexists(path) for path in (*paths, paths[0].parent)):  # a file may go meanwhile
                hint = "The folder must have the same path on every machine, as on a shared drive."
                raise ClusterError(f"the machine {self._name!r} does not see {str(paths[0])!r}", hint)
            entries = sync.prepared(self._readers.read_all(paths, self._links), self._embedder)
            self._jobs[job] = sync.batched(entries)
        if (batch := next(self._jobs[job], None)) is None:
            del self._jobs[job]
        return batch

    def embed(self, texts: Sequence[str]) -> Vectors:
        return self._embedder.embed_documents(texts)

    def close(self) -> None:
        self._readers.close()


# --- in the command -----------------------------------------------------------------------------------------


class _Machine:
    """A worker as the command sees it."""

    def __init__(self, node: str, handle: Any) -> None:
        self.node, self.handle = node, handle
        self.ready = self.lost = self.alone = False
        self.jobs = self.embedding = 0

    def call(self, method: str, *arguments: Any, group: str = "") -> Any:
        """Call a method of the worker and wait for its result."""
        import ray

        remote = getattr(self.handle, method)
        return ray.get((remote.options(concurrency_group=group) if group else remote).remote(*arguments))


class Cluster(AbstractContextManager["Cluster"]):
    """Work on the machines of a cluster: the one at `address`, or one that is started here (`auto`) and ended after."""

    def __init__(self, address: str, job: sync.Job) -> None:
        self._address, self._job = address, job
        self._open = ExitStack()
        self._changed = threading.Condition()
        self._machines: list[_Machine] = []
        self._unready: Counter[str] = Counter()  # workers that were lost before they were ready, by node
        self._todo: deque[Path] = deque()
        self._suspects: deque[Path] = deque()  # files whose worker was lost; read last, each alone
        self._times: Counter[Path] = Counter()  # that a file's worker was lost
        self._passed: Counter[Path] = Counter()  # entries of a file that `batches` has
        self._unread: set[Path] = set()  # files whose end no worker has reached yet
        self._numbers = itertools.count()
        # A worker waits while the command stores what came before.
        self._arrived: queue.Queue[sync.Batch] = queue.Queue(maxsize=4)
        self._closed, self._why = False, ""
        self._failed: LocalragError | None = None

    def __enter__(self) -> Cluster:
        with ExitStack() as opened:
            _connect(self._address, opened)
            opened.callback(self._end)
            self._embedders = ThreadPoolExecutor(256, "cluster-embed")
            self._place()
            self._open = opened.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    @property
    def ahead(self) -> int:
        return max(1, 3 * len(self._machines))

    def batches(self, paths: Iterable[Path]) -> Iterator[sync.Batch]:
        with self._changed:
            self._todo.extend(paths)
            left, self._unread = set(self._todo), set(self._todo)
            self._changed.notify_all()
        looked = time.monotonic()
        while left:
            if self._job.stop():
                raise Cancelled("reading was stopped", "Run the same command again to continue.")
            if self._failed is not None:
                raise self._failed
            if time.monotonic() > looked + _LOOK:
                self._place()
                looked = time.monotonic()
            with suppress(queue.Empty):
                batch = self._arrived.get(timeout=_TICK)
                left.difference_update(path for path, item in batch if item is None)
                yield batch

    def embed(self, texts: Sequence[str], report: Callable[[int], None]) -> Future[Iterable[Vectors]]:
        def make() -> Iterable[Vectors]:
            if not texts:
                return ()
            for _ in range(_ATTEMPTS):
                machine = self._free_machine()
                try:
                    vectors: Vectors = machine.call("embed", texts, group="embed")
                except Exception as error:
                    self._lose(machine, error)
                    continue
                finally:
                    with self._changed:
                        machine.embedding -= 1
                        self._changed.notify_all()
                report(len(texts))
                return vectors
            hint = "Is there enough memory? Run the same command again to continue."
            raise ClusterError(f"workers were lost {_ATTEMPTS} times while they embedded the same texts", hint)

        return self._embedders.submit(make)

    def _end(self) -> None:
        """End the workers, and the threads that wait for them."""
        import ray

        with self._changed:
            self._closed = True
            machines, self._machines = self._machines, []
            self._changed.notify_all()
        with suppress(ray.exceptions.RayError):
            ray.wait([machine.handle.close.remote() for machine in machines if machine.ready], timeout=2)
        for machine in machines:
            with suppress(ray.exceptions.RayError):
                ray.kill(machine.handle)
        self._embedders.shutdown(cancel_futures=True)

    # --- machines -------------------------------------------------------------------------------------------

    def _place(self) -> None:
        """Start a worker on every machine that has none."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        make: Any = ray.remote  # its types know no groups
        kind = make(num_cpus=0, concurrency_groups={"read": _JOBS, "embed": 2})(_Worker)
        with self._changed:
            if self._closed:
                return
            busy = {machine.node for machine in self._machines}
            for node in _nodes():
                name = node["NodeID"]
                # A head without processors is there to lead only.
                if not node["Alive"] or name in busy or not node["Resources"].get("CPU") or self._unready[name] > 2:
                    continue
                handle = kind.options(scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False))
                machine = _Machine(name, handle.remote())
                self._machines.append(machine)
                threading.Thread(target=self._begin, args=(machine,), name="cluster-machine", daemon=True).start()
            if not self._machines:
                hint = "Look at the logs of Ray on its machines. Run the same command again to continue."
                message = f"the cluster {self._address!r} has no machine left that works{self._why}"
                self._fail(ClusterError(message, hint))

    def _begin(self, machine: _Machine) -> None:
        """Wait until a worker is ready, then give it files."""
        job = self._job
        try:
            machine.call("prepare", __version__, job.identity, job.options, job.limits, job.links, job.root)
        except Exception as error:
            self._lose(machine, error)
            return
        with self._changed:
            machine.ready = True
            self._changed.notify_all()
        for _ in range(_JOBS):
            threading.Thread(target=self._feed, args=(machine,), name="cluster-feed", daemon=True).start()

    def _lose(self, machine: _Machine, error: Exception) -> None:
        """Note that a worker is gone, and start another; an error that it raised ends the ingest."""
        import ray

        cause = getattr(error, "cause", None) or error
        if isinstance(cause, LocalragError):
            self._fail(cause)
        elif isinstance(error, ray.exceptions.RayTaskError) or not isinstance(error, ray.exceptions.RayError):
            self._fail(ClusterError(f"a worker failed: {type(cause).__name__}: {cause}", "Please report this."))
        with self._changed:
            if not machine.lost:
                machine.lost, self._why = True, f": {str(error).strip().splitlines()[-1]}"
                self._machines.remove(machine)
                self._unready[machine.node] += not machine.ready
                with suppress(ray.exceptions.RayError):
                    ray.kill(machine.handle)
                self._changed.notify_all()
                with suppress(ray.exceptions.RayError):
                    self._place()

    def _fail(self, error: LocalragError) -> None:
        """End the ingest with an error."""
        with self._changed:
            self._failed = self._failed or error
            self._closed = True
            self._changed.notify_all()

    def _free_machine(self) -> _Machine:
        """The worker that embeds least; waits until there is one."""
        with self._changed:
            while not (ready := [machine for machine in self._machines if machine.ready]):
                self._check_open()
                self._changed.wait(_TICK)
            self._check_open()
            found = min(ready, key=lambda machine: machine.embedding)
            found.embedding += 1
            return found

    def _check_open(self) -> None:
        if self._failed is not None:
            raise self._failed
        if self._closed or self._job.stop():
            raise Cancelled("embedding was stopped", "Run the same command again to continue.")

    # --- files ----------------------------------------------------------------------------------------------

    def _feed(self, machine: _Machine) -> None:
        """Give files to a worker, and pass on what comes back, until there are none or it is lost."""
        while paths := self._take(machine):
            number, seen = next(self._numbers), Counter[Path]()
            try:
                batch = machine.call("read", number, paths, group="read")
                while batch is not None:
                    self._pass_on(batch, seen)
                    batch = machine.call("read", number, group="read")
            except Exception as error:
                self._retry(paths)
                self._lose(machine, error)
                return
            with self._changed:
                machine.jobs -= 1
                machine.alone = False
                self._changed.notify_all()

    def _take(self, machine: _Machine) -> list[Path]:
        """The next files for a worker; none once the ingest ends or the worker is lost."""
        with self._changed:
            while not (self._closed or machine.lost):
                found: list[Path] = []
                if self._todo and not machine.alone:
                    # Small jobs at the end, so that no worker waits long for another.
                    count = min(_FILES, max(1, len(self._todo) // (2 * _JOBS * max(1, len(self._machines)))))
                    found = [self._todo.popleft() for _ in range(count)]
                elif self._suspects and not machine.jobs:
                    found, machine.alone = [self._suspects.popleft()], True
                if found:
                    machine.jobs += 1
                    return found
                self._changed.wait()
        return []

    def _pass_on(self, batch: sync.Batch, seen: Counter[Path]) -> None:
        """Hand a batch to `batches`, without what a lost worker gave of the same files: readers repeat themselves."""
        fresh: sync.Batch = []
        for path, item in batch:
            seen[path] += 1
            if seen[path] > self._passed[path]:
                self._passed[path] += 1
                fresh.append((path, item))
                if item is None:
                    self._unread.discard(path)
        while fresh and not self._closed:
            with suppress(queue.Full):
                self._arrived.put(fresh, timeout=_TICK)
                return

    def _retry(self, paths: Sequence[Path]) -> None:
        """Have files read again whose worker was lost; those for which that happened too often have failed."""
        for path in self._unread.intersection(paths):
            self._times[path] += 1
            if self._times[path] < _ATTEMPTS:
                with self._changed:
                    self._suspects.append(path)
                    self._changed.notify_all()
            else:
                reason = f"was not read to its end: {_ATTEMPTS} workers were lost with it. Is there enough memory?"
                seen = Counter({path: self._passed[path]})
                self._pass_on([(path, Refused("", reason)), (path, None)], seen)


def _nodes() -> list[dict[str, Any]]:
    import ray

    return list(ray.nodes())  # type: ignore[no-untyped-call]


def _reach(address: str) -> None:
    """Raise OSError or ValueError if nothing answers at an address; Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    with offline.reaching(host, int(port)):
        socket.create_connection((host, int(port)), _CONNECT).close()


def _connect(address: str, opened: ExitStack) -> None:
    """Connect to a cluster, or start one; `opened` gets what ends it. Raises ClusterError."""
    check_installed()
    offline.set_switches()
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # what is given no token gets in nowhere
    options: dict[str, Any] = {"address": address}
    folder = Path(tempfile.mkdtemp(prefix="localrag-"))  # in the home, its sockets could have too long a path
    opened.callback(shutil.rmtree, folder, ignore_errors=True)
    # Ray lets everybody write in its own folder, and workers import from the one that is current at the start.
    current = storage.make_dir(folder / "empty")
    if address == AUTO:
        storage.write_bytes(folder / "token", secrets.token_hex(32).encode(), plain=True)
        os.environ.update(_LOCAL, RAY_AUTH_TOKEN_PATH=str(folder / "token"))
        here = str(Path(__file__).parents[2])  # workers find localrag where this process did
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
        options = {
            "address": "local",
            "include_dashboard": False,
            "_temp_dir": str(folder / "ray"),
            "object_store_memory": _STORE,
            "_node_ip_address": "127.0.0.1",
            "_system_config": {"automatic_object_spilling_enabled": False},
        }
    try:
        if address != AUTO:
            _reach(address)
        import ray

        opened.enter_context(redirect_stdout(sys.stderr))  # Ray says there what its processes say, which is no answer
        opened.callback(ray.shutdown)
        with chdir(current):
            ray.init(**options, configure_logging=False, log_to_driver=False)
        if address == AUTO and any(node["NodeManagerAddress"] != "127.0.0.1" for node in _nodes()):
            raise ConnectionError("it listens on other addresses than 127.0.0.1")
    except Exception as error:  # Ray raises many kinds
        hint = "Its address is HOST:PORT, as `ray start --head` prints it; its token is the same on every machine."
        what = "start Ray" if address == AUTO else f"reach the cluster {address!r}"
        raise ClusterError(f"cannot {what}: {error}", "" if address == AUTO else hint) from error

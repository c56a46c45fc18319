"""Record what an auditor keeps: a user's journey under strace, in a network namespace with one interface to watch.

Whatever is sent anywhere but to this machine itself goes to that interface, where its packets are captured. The last
step is a control: the same question by a process that connects once, which both records must show. Linux only. Limits:
documents are made up; IPv6 is off in the namespace, so that of it only the system calls are seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from localrag import __version__
from localrag.errors import LocalragError, UsageError
from localrag.models.records import ModelFolder
from localrag.proofs import FORMATS, offline, signed
from localrag.security import storage
from localrag.settings import Settings

_SECONDS = 900.0  # for a step
_QUESTION = "When does the lease of Harbour House end?"
_LIBRARY = "evidence"
_OUT = "import socket\ns = socket.socket()\ns.setblocking(False)\ns.connect_ex(('192.0.2.1', 9))\ns.close()\n"
_CONTROL = f"{_OUT}from localrag.__main__ import main\nmain()\n"
_UNSHARE = ("unshare", "--map-root-user", "--net")
_CANARY = "canary0"
_ALL_KINDS = 3  # ETH_P_ALL
_PCAP = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)  # Ethernet
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+|\?)(?: (E\w+))?")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
# What `serve` alone does: it listens with a backlog of its own.
_SERVES = re.compile(r'^socket\(AF_INET, |^listen\(\d+, 256\)|^(?:bind|accept4?)\(.*inet_addr\("127\.0\.0\.1"\)')
_RECORD = "record"  # where the records are made, in a folder that only this user enters


@dataclass(frozen=True, slots=True)
class Step:
    """One command: how many calls strace saw, those that lead outside, and the packets that were sent."""

    name: str
    code: int
    calls: int
    outward: tuple[str, ...]
    packets: int

    @property
    def held(self) -> bool:
        if self.name == "control":
            return bool(self.outward and self.packets)
        return self.code == 0 and self.calls > 0 and not self.outward and not self.packets


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was recorded, by which code; `reason` says why nothing could be."""

    version: str
    made: str
    system: str
    code: str
    packages: dict[str, str]
    models: dict[str, str]
    steps: tuple[Step, ...]
    reason: str = ""

    @property
    def proven(self) -> bool:
        return len(self.steps) == len(_STEPS) and all(one.held for one in self.steps)


def calls(trace: str) -> Iterator[tuple[str, str, str]]:
    """Yield each call of a trace: name, arguments and error (empty where it succeeded or never ended)."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        pid = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[pid] = line.removesuffix("<unfinished ...>")
            continue
        if resumed := _RESUMED.match(line):
            line = begun.pop(pid, f"{pid} {resumed[2]}(") + resumed[3]
        if call := _CALL.match(line):
            yield call[1], call[2], call[4] or ""
    for line in begun.values():
        if call := _CALL.match(f"{line}) = ?"):
            yield call[1], call[2], ""


def outward(trace: str) -> list[str]:
    """Return what of a trace is not local: sockets that are no Unix ones, addresses reached or asked for, and rings."""
    found = []
    for name, arguments, error in calls(trace):
        other = name in ("socket", "socketpair") and not arguments.startswith("AF_UNIX")
        # The last: our own look whether the filter holds.
        reached = name == "connect" and ("sa_family=AF_UNIX" not in arguments or error in ("", "EINPROGRESS"))
        reached = reached and not arguments.startswith("-1,")
        opened = name in ("io_uring_setup", "listen") and not error
        sent = name in ("sendto", "sendmsg", "sendmmsg")
        addressed = (sent or name in ("bind", "accept", "accept4")) and re.search(r"sa_family=AF_(?!UNIX)", arguments)
        named = sent and not error and "sa_family=AF_UNIX" in arguments  # a socket of another program, such as a log
        if other or reached or opened or addressed or named:
            found.append(f"{name}({arguments}) {error}")
    return found


def record(settings: Settings, folder: Path, progress: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Write the records, a page and a signed list of all files to a folder; return the list. Raises LocalragError."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"the folder {str(folder)!r} is not empty", "Name a new one.")
    storage.check_own(storage.make_dir(folder))
    reason, steps, kept = _missing(), list[Step](), dict[str, bytes]()
    if not reason:
        with offline._workspace() as place, offline._home(settings, place):
            progress("recording ingest, ask, mcp and serve, and a control that connects")
            reason, steps = _recorded(settings, storage.make_dir(place / _RECORD), place)
            kept = {path.name: path.read_bytes() for path in sorted((place / _RECORD).iterdir())}
    system = f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}"
    packages = {one.name: one.version for one in metadata.distributions()}
    made = datetime.now(UTC).isoformat(timespec="seconds")
    sorted_packages = dict(sorted(packages.items()))
    found = Evidence(__version__, made, system, _code(), sorted_packages, _models(settings), tuple(steps), reason)
    kept["evidence.md"] = page(found).encode()
    for name, data in kept.items():
        storage.write_bytes(folder / name, data, plain=True)
    files = {name: hashlib.sha256(data).hexdigest() for name, data in kept.items()}
    plain = {"format": FORMATS[2], "proven": found.proven, **asdict(found), "files": files}
    document = signed(plain, settings.proofs_dir)
    storage.write_json(folder / "evidence.json", document)
    return document


def page(found: Evidence) -> str:
    """Return what was recorded as Markdown, with what it shows and what not."""
    rows = [
        f"| {' | '.join(map(str, (one.name, one.code, one.calls, len(one.outward), one.packets)))} | "
        f"{'yes' if one.held else 'NO'} |"
        for one in found.steps
    ]
    lines = [
        "# Evidence that nothing leaves",
        f"localrag {found.version}, {found.made}, {found.system}.",
        f"SHA-256 of localrag's code: `{found.code}`. `evidence.json` has the packages, models and files, signed.",
        f"Result: {'**proven**' if found.proven else '**not proven**'}{f': {found.reason}' if found.reason else ''}.",
        "| Step | exit code | network calls seen | leading outside | packets sent | as expected |\n"
        f"|---|---|---|---|---|---|\n{chr(10).join(rows)}",
        *([_SHOWS] if found.proven else []),
        _SHOWS_NOT,
    ]
    return "\n\n".join(lines) + "\n"


_SHOWS = """\
**It shows** that in this journey (documents read, a question asked, by `ask`, `mcp` and `serve`) no process opened a
socket to anything but this machine, and that no packet was sent to any other. `serve` may listen at 127.0.0.1. The
control does the same and connects to 192.0.2.1 once: strace shows the call, the capture the packet. So both work."""
_SHOWS_NOT = f"""\
**It does not show** what other documents, questions, models or machines do; IPv6 packets (only its system calls);
anything that the kernel hides from strace; or that this machine is honest: the key that signs is its own.
`localrag prove offline --out FILE` tries the known ways out.

Read `STEP.strace` as text, and `STEP.pcap` with any program for captures (interface {_CANARY}).
"""


def _missing() -> str:
    """Why nothing can be recorded here; empty where it can be tried."""
    if sys.platform != "linux":
        return "only Linux has network namespaces"
    absent = [name for name in ("strace", "ip", "unshare") if shutil.which(name) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    return f"this system makes no network namespace: {tried.stderr.strip()}" if tried.returncode else ""


def _code() -> str:
    """The SHA-256 of all files of localrag's code, with their names."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _models(settings: Settings) -> dict[str, str]:
    """The SHA-256 of the weights of each installed model."""
    installed, found = ModelFolder(settings.models_dir), dict[str, str]()
    for name in installed.ids():
        with suppress(LocalragError):
            found[name] = installed.record(name)[1].model(installed.folder(name)).sha256
    return found


def _recorded(settings: Settings, folder: Path, place: Path) -> tuple[str, list[Step]]:
    order = {"folder": str(folder), "documents": str(place / "documents"), "place": str(place)}
    own = {"LOCALRAG_HOME": str(place / "home"), "LOCALRAG_KEEP_MODEL_MINUTES": "0", "TMPDIR": str(place / "tmp")}
    if settings.generator:
        own["LOCALRAG_GENERATOR"] = settings.generator
    path = os.pathsep.join(filter(None, (offline._PACKAGE, os.environ.get("PYTHONPATH"))))
    command = [*_UNSHARE, sys.executable, "-P", "-m", "localrag.proofs.evidence"]
    environment = {**os.environ, **own, "PYTHONPATH": path}
    done = subprocess.run(command, input=json.dumps(order).encode(), capture_output=True, env=environment, check=False)
    try:
        told = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
        raise LocalragError(f"the recording ended early: {last}", "Please report this.") from None
    return told["reason"], [Step(**{**one, "outward": tuple(one["outward"])}) for one in told["steps"]]


# --- in the namespace ---------------------------------------------------------------------------------------


def main() -> None:
    """Record the steps of an order (JSON) from standard input, as root of a network namespace of its own."""
    order = json.load(sys.stdin)
    reason = _make_canary()
    steps = [] if reason else [_step(name, order) for name in _STEPS]
    print(json.dumps({"reason": reason, "steps": [asdict(one) for one in steps]}))  # noqa: T201


def _make_canary() -> str:
    """Make a pair of interfaces, the first of which leads everywhere; return why it cannot be made."""
    pair = (_CANARY, "canary1")
    added = ["ip", "link", "add", pair[0], "type", "veth", "peer", "name", pair[1]]
    made = subprocess.run(added, capture_output=True, text=True, check=False)
    if made.returncode:
        return f"this kernel makes no pair of interfaces: {made.stderr.strip()}"
    for name in pair:
        # Else the kernel itself sends packets when the interface comes up.
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1", encoding="ascii")
        subprocess.run(["ip", "link", "set", name, "arp", "off", "up"], check=True)
    for words in ("link set lo up", f"address add 198.18.0.1/24 dev {_CANARY}", f"route add default dev {_CANARY}"):
        subprocess.run(["ip", *words.split()], check=True)
    return ""


@contextmanager
def _captured(file: Path) -> Iterator[list[int]]:
    """Write the packets of the canary to a file; the list gets their sizes."""
    sizes: list[int] = []
    ended = threading.Event()
    with (
        socket.socket(getattr(socket, "AF_PACKET", 0), socket.SOCK_RAW, socket.htons(_ALL_KINDS)) as heard,
        storage.create(file, plain=True) as stream,
    ):
        heard.bind((_CANARY, _ALL_KINDS))
        heard.settimeout(0.1)
        stream.write(_PCAP)

        def listen() -> None:
            while True:
                try:
                    packet = heard.recv(65_535)
                except TimeoutError:
                    if ended.is_set():
                        return
                    continue
                now = time.time()
                stream.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(packet), len(packet)) + packet)
                sizes.append(len(packet))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield sizes
        finally:
            ended.set()
            thread.join()


def _step(name: str, order: dict[str, Any]) -> Step:
    words, run = _STEPS[name]
    folder = Path(order["folder"])
    trace = folder / f"{name}.strace"
    traced = ["strace", "-f", "-qq", "-e", "trace=%network,io_uring_setup", "-e", "signal=none", "-o", str(trace)]
    with _captured(folder / f"{name}.pcap") as packets, storage.create(folder / f"{name}.out", plain=True) as said:
        code = run([*traced, sys.executable, "-P", *(word.format(**order) for word in words)], order, said)
    text = trace.read_text("utf-8", "replace") if trace.exists() else ""
    found = [one for one in outward(text) if name != "serve" or not _SERVES.match(one)]
    return Step(name, code, sum(1 for _ in calls(text)), tuple(found), len(packets))


def _command(traced: list[str], order: dict[str, Any], said: Any) -> int:
    done = subprocess.run(traced, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=_SECONDS, check=False)
    return done.returncode


def _mcp(traced: list[str], order: dict[str, Any], said: Any) -> int:
    """Call a tool as a client does, by lines of JSON."""
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "evidence", "version": "1"}}
    call = {"name": "ask", "arguments": {"question": _QUESTION}}
    requests = (
        {"id": 1, "method": "initialize", "params": client},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": call},
    )
    with subprocess.Popen(traced, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) as server:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.writelines(json.dumps({"jsonrpc": "2.0", **one}).encode() + b"\n" for one in requests)
        server.stdin.flush()
        for line in server.stdout:
            said.write(line)
            if json.loads(line).get("id") == 2:
                server.stdin.close()
    return server.returncode


def _serve(traced: list[str], order: dict[str, Any], said: Any) -> int:
    """Ask over HTTP, as a program of this machine does."""
    token = Path(order["place"]) / "token"
    with subprocess.Popen(
        traced, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as server:
        assert server.stderr is not None
        lines = ""
        while "Ctrl-C" not in lines and (line := server.stderr.readline()):
            lines += line
        said.write(lines.encode())
        if address := re.search(r"http://\S+?:\d+", lines):
            key = token.read_text("ascii").strip()
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            body = json.dumps({"question": _QUESTION}).encode()
            asked = urllib.request.Request(f"{address[0]}/api/ask", body, headers)
            with urllib.request.urlopen(asked, timeout=_SECONDS) as answered:
                said.write(answered.read())
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text("ascii").split()
            os.kill(int(children[0]), signal.SIGTERM)
    return server.returncode


_LOCALRAG = ("-m", "localrag")
_ASK = ("ask", _QUESTION, "--library", _LIBRARY)
_SERVE = ("serve", _LIBRARY, "--port", "0", "--token-file", "{place}/token")
# What Python runs in each step, and what it is asked meanwhile.
_STEPS: dict[str, tuple[tuple[str, ...], Callable[[list[str], dict[str, Any], Any], int]]] = {
    "ingest": ((*_LOCALRAG, "ingest", "{documents}", "--name", _LIBRARY), _command),
    "ask": ((*_LOCALRAG, *_ASK), _command),
    "mcp": ((*_LOCALRAG, "mcp", _LIBRARY), _mcp),
    "serve": ((*_LOCALRAG, *_SERVE), _serve),
    "control": (("-c", _CONTROL, *_ASK), _command),
}


if __name__ == "__main__":
    main()

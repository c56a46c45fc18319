"""Addresses in the house: which may be reached, and that a confined process reaches them and nothing else.

Servers run in the test; what confines itself is a child, because confinement cannot be undone.
"""

import json
import os
import signal
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from command_line import printed
from fake_endpoint import certificate
from waiting import ended, wait_for

from localrag import policy
from localrag.errors import OfflineRefused, PolicyRefused, PolicyUnreadable, UsageError
from localrag.security import audit, sandbox
from localrag.security.offline import kernel, remote
from localrag.security.offline.remote import Address, address_of
from localrag.settings import load_settings

pytestmark = pytest.mark.slow

linux = pytest.mark.skipif(kernel.machine() is None, reason="elsewhere a process connects itself, without a broker")


class Echo:
    def __init__(self, listener, name, context=None):
        self.listener, self._name, self._context = listener, name.encode(), context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):  # it was closed
            while True:
                threading.Thread(target=self._answer, args=(self.listener.accept()[0],), daemon=True).start()

    def _answer(self, caller):
        caller.settimeout(60)
        with suppress(OSError), caller:
            connection = self._context.wrap_socket(caller, server_side=True) if self._context else caller
            connection.sendall(self._name + b" " + connection.recv(100))


@pytest.fixture
def echo():
    begun = []

    def begin(where=None, name="echo", context=None):
        if where is None:
            listener = socket.create_server(("127.0.0.1", 0))
        else:
            where.parent.mkdir(parents=True, exist_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(where))
            listener.listen()
        begun.append(Echo(listener, name, context))
        return begun[-1]

    yield begin
    for one in begun:
        one.listener.close()


def port_of(server):
    return int(server.listener.getsockname()[1])


def rule(text, file=None):
    file = file or policy.SYSTEM
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def allows(*addresses):
    tables = []
    for host, port, *pem in addresses:
        lines = [f"host = {json.dumps(host)}", f"port = {port}"]
        lines += [f"certificate = {json.dumps(str(path))}" for path in pem]
        tables.append("[[allow_addresses]]\n" + "\n".join(lines) + "\n")
    return "\n".join(tables)


def reply(connection):
    with connection:
        connection.sendall(b"hello")
        return connection.recv(100).decode()


# --- addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("postgresql://me@/firm?port=5433", Address(path="/var/run/postgresql/.s.PGSQL.5433")),
        ("postgresql:///firm?host=/srv/pg%20x", Address(path="/srv/pg x/.s.PGSQL.5432")),
        ("postgresql://%2Fsrv%2Fpg/firm", Address(path="/srv/pg/.s.PGSQL.5432")),
        ("postgresql:///firm?host=/srv/../etc", Address(path="/etc/.s.PGSQL.5432")),
        ("postgres://me:secret@DB.firm/x", Address(host="db.firm", port=5432)),
        ("postgresql:///x?host=db.firm&port=6432", Address(host="db.firm", port=6432)),
        ("postgresql://[fd00::1]:6432/x", Address(host="fd00::1", port=6432)),
        ("https://models.firm/v1", Address(host="models.firm", port=443)),
        ("unix:///run/models.socket", Address(path="/run/models.socket")),
    ],
)
def test_an_address_is_read_from_a_url(url, address):
    assert address_of(url) == address


@pytest.mark.parametrize(
    "url",
    "/srv/pg|postgresql://a,b/firm|postgresql:///firm?host=@abstract|postgresql://h:70000/firm|postgresql:///firm?port=0|"
    "postgresql:///firm?host=a b|ftp://host/x|unix:relative|unix://host/x|http:///v1|postgresql:///x?host=/a%00b|"
    "http://[::1".split("|"),
)
def test_a_url_without_an_address_is_refused(url):
    with pytest.raises(UsageError) as caught:
        address_of(url)
    assert caught.value.hint


def library(settings, name, url, marked=None):
    folder = settings.library_dir(name)
    folder.mkdir(parents=True)
    (folder / remote.STORE_FILE).write_text(json.dumps({"store": url, "library": name}))
    sandbox.mark_as_own(settings, name, store=url if marked is None else marked)


def test_wanted_are_the_stores_of_libraries_that_may_be_reached(home):
    settings = load_settings()
    assert remote.wanted(settings) == ()
    library(settings, "a", "postgresql:///a?host=/srv/a")
    library(settings, "b", "postgresql:///b?host=/srv/b")
    library(settings, "again", "postgresql:///other?host=/srv/b")
    library(settings, "tcp", "postgresql://db.firm/tcp")
    library(settings, "bad", "postgresql://db.firm:port/bad")
    a, b = Address(path="/srv/a/.s.PGSQL.5432"), Address(path="/srv/b/.s.PGSQL.5432")
    assert set(remote.wanted(settings)) == {a, b} and len(remote.wanted(settings)) == 2
    assert remote.wanted(settings, ["b", "none", "tcp"]) == (b,)
    rule(allows(("db.firm", 5432, Path("/etc/ca.pem"))))
    assert remote.wanted(settings, ["tcp"]) == (Address(host="db.firm", port=5432),)
    served = settings.with_options(generator_server="unix:///run/models", store="postgresql:///firm?host=/srv/new")
    more = {Address(path="/run/models"), Address(path="/srv/new/.s.PGSQL.5432")}
    assert set(remote.wanted(served, [])) == more  # whichever library is asked, or made


def test_the_folder_of_a_library_names_no_address(home):
    settings = load_settings()
    library(settings, "sent", "postgresql:///a?host=/srv/a", marked="")
    library(settings, "changed", "unix:///run/docker.sock", marked="postgresql:///a?host=/srv/a")
    assert remote.wanted(settings, ["sent"]) == ()
    assert remote.wanted(settings) == (Address(path="/srv/a/.s.PGSQL.5432"),)


# --- the policy ---------------------------------------------------------------------------------------------


@pytest.mark.proves("in-the-house")
def test_without_an_administrators_policy_no_tcp_address_is_reached(tmp_path, monkeypatch, echo):
    address = Address(host="127.0.0.1", port=port_of(echo()))
    with pytest.raises(OfflineRefused, match="no administrator's policy"):
        remote.connect(address)
    rule(allows(("127.0.0.1", address.port)), tmp_path / "mine.toml")
    monkeypatch.setenv(policy.VARIABLE, str(tmp_path / "mine.toml"))
    with pytest.raises(OfflineRefused, match="no administrator's policy"):  # the variable is the user's
        remote.connect(address)
    with pytest.raises(OfflineRefused):
        remote.tls(address)


def test_a_policy_allows_host_and_port(echo, home):
    server, other = echo(name="allowed"), echo()
    rule(allows(("LocalHost", port_of(server))))
    assert reply(remote.connect(Address(host="localhost", port=port_of(server)))) == "allowed hello"
    settings = load_settings()
    policy.on_refusal(lambda refusal: audit.record_refusal(settings.audit_file, refusal))
    try:
        for address in (
            Address(host="localhost", port=port_of(other)),
            Address(host="127.0.0.1", port=port_of(server)),
        ):
            with pytest.raises(PolicyRefused):
                remote.connect(address)
    finally:
        policy.on_refusal(None)
    assert [entry.details["rule"] for entry in audit.entries(settings.audit_file)] == ["allow_addresses"] * 2


def test_a_second_policy_only_takes_addresses_away(tmp_path, monkeypatch):
    mine = tmp_path / "mine.toml"
    monkeypatch.setenv(policy.VARIABLE, str(mine))
    pem, other = tmp_path / "a.pem", tmp_path / "b.pem"
    rule(allows(("a.firm", 1, pem), ("b.firm", 2, pem)))
    rule("", mine)
    assert policy.check_address("a.firm", 1) == pem and policy.check_address("B.firm", 2) == pem
    rule(allows(("b.firm", 2, other), ("c.firm", 3, other)), mine)
    assert policy.check_address("b.firm", 2) == pem  # the administrator's certificate counts
    for host, port in (("a.firm", 1), ("c.firm", 3), ("b.firm", 1)):
        with pytest.raises(PolicyRefused):
            policy.check_address(host, port)
    rule("allow_addresses = []", mine)
    with pytest.raises(PolicyRefused):
        policy.check_address("b.firm", 2)
    rule("strict = true")
    rule("", mine)
    with pytest.raises(PolicyRefused):  # there is one, and it names none
        policy.check_address("a.firm", 1)
    assert set(policy.files()) == {policy.SYSTEM, mine}
    rule(allows(("a.firm", 1, pem)))
    assert set(policy.files()) == {policy.SYSTEM, mine, pem}  # a confined process reads them


@pytest.mark.parametrize(
    "text",
    [
        "allow_addresses = true",
        'allow_addresses = ["a:1"]',
        allows(("10.0.0.1", 1)),  # without a certificate
        allows(("localhost", 65536)),
        allows(("local host", 1)),
        allows(("a.firm", 1, Path("ca.pem"))),
        '[[allow_addresses]]\nhost = "localhost"',
        allows(("localhost", 1)) + "user = 1",
        '[[allow_addresses]]\nhost = "localhost"\nport = true',
    ],
)
def test_an_address_that_is_not_understood_makes_the_policy_unreadable(text):
    rule(text)
    with pytest.raises(PolicyUnreadable, match="allow_addresses"):
        policy.active()


def test_a_certificate_that_others_can_write_is_shown(tmp_path):
    pem = tmp_path / "ca.pem"
    rule(allows(("a.firm", 1, pem)))
    before = policy.writable_by(policy.active()[0])
    pem.touch()
    pem.chmod(0o666)
    if os.name == "posix":
        assert str(pem) in policy.writable_by(policy.active()[0]) and str(pem) not in before


# --- certificates -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "by", "pinned", "passes"),
    [
        (["localhost"], "authority", "authority", True),
        (["db.firm"], "authority", "authority", False),
        (["localhost"], "elsewhere", "authority", False),
        (["localhost"], None, "authority", False),
        (["db.firm"], None, "server", True),  # the server's own certificate, whatever its name
        ([], None, "server", True),
        (["db.firm"], None, "other", False),
        (["localhost"], "authority", "server", True),
        (["localhost"], "authority", "other", False),  # another one of the same authority
    ],
)
def test_a_server_is_reached_only_with_the_pinned_certificate(tmp_path, echo, names, by, pinned, passes):
    for authority in ("authority", "elsewhere"):
        certificate(tmp_path, authority, [])
    certificate(tmp_path, "other", names, by)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "server", names, by))
    address = Address(host="localhost", port=port_of(echo(name="right", context=context)))
    rule(allows((address.host, address.port, tmp_path / f"{pinned}.pem")))
    trusted = remote.tls(address)
    assert trusted is not None
    with remote.connect(address) as raw:
        if passes:
            assert reply(trusted.wrap_socket(raw, server_hostname=address.host)) == "right hello"
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                trusted.wrap_socket(raw, server_hostname=address.host)


def test_without_tls_are_sockets_and_this_machine_without_a_certificate(tmp_path):
    rule(allows(("127.0.0.1", 1), ("localhost", 2, tmp_path / "none.pem"), ("localhost", 3, tmp_path / "bad.pem")))
    assert remote.tls(Address(path="/run/x")) is None and remote.tls(Address(host="127.0.0.1", port=1)) is None
    (tmp_path / "bad.pem").write_text("no certificate")
    for port in (2, 3):
        with pytest.raises(OfflineRefused, match=r"\.pem"):
            remote.tls(Address(host="localhost", port=port))


# --- a process that is not confined -------------------------------------------------------------------------


@linux
def test_it_waits_for_a_place_in_the_queue_of_a_busy_server(tmp_path):
    address = Address(path=str(tmp_path / "s"))
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as first:
        busy.bind(address.path)
        busy.listen(0)
        first.connect(address.path)
        with pytest.raises(TimeoutError):
            remote.connect(address, timeout=0.05)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(remote.connect, address, timeout=60)
            busy.accept()[0].close()
            with waiting.result() as second, busy.accept()[0] as its:
                its.sendall(b"hello")
                assert second.recv(100) == b"hello" and second.gettimeout() == 60


HOOK = """
import socket, sys, threading
from localrag.errors import OfflineRefused
from localrag.security import offline
offline.confine_python()
socket.getaddrinfo = lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("192.0.2.1", 443))]
sock = socket.socket()

def passes(event, *arguments):
    try:
        sys.audit(event, *arguments)
    except OfflineRefused:
        return False
    return True

def tries():
    return [
        passes("socket.getaddrinfo", "db.firm", 443, 0, 1, 0), passes("socket.connect", sock, ("192.0.2.1", 443)),
        passes("socket.getaddrinfo", "db.firm", 80, 0, 1, 0), passes("socket.getaddrinfo", "other.firm", 443, 0, 1, 0),
        passes("socket.connect", sock, ("192.0.2.1", 80)), passes("socket.connect", sock, ("192.0.2.2", 443)),
        passes("socket.bind", sock, ("192.0.2.1", 443)), passes("socket.sendto", sock, ("192.0.2.1", 443)),
        passes("socket.gethostbyname", "db.firm"),
    ]

print(tries())
with offline.reaching("db.firm", 443) as found:
    print(found)
    print(tries())
    threads = []
    thread = threading.Thread(target=lambda: threads.extend(tries()))
    thread.start()
    thread.join()
    print(threads)
print(tries())
"""


def test_the_hook_lets_one_thread_reach_one_address():
    nothing, only = str([False] * 9), str([True] * 2 + [False] * 7)
    found = f"[({socket.AF_INET!r}, ('192.0.2.1', 443))]"
    assert printed(HOOK).splitlines() == [nothing, found, only, nothing, nothing]


# --- the broker ---------------------------------------------------------------------------------------------

BEGIN = """
import ctypes, errno, json, os, signal, socket, subprocess, sys, threading
from pathlib import Path
from localrag import policy
from localrag.errors import LocalragError
from localrag.security import offline, sandbox
from localrag.security.offline import broker, kernel, remote
from localrag.security.offline.remote import Address
tmp, port, other = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
policy.SYSTEM = tmp / "policy.toml"
store, closed = Address(path=str(tmp / "pg" / ".s.PGSQL.5432")), Address(path=str(tmp / "other"))
tcp, closed_tcp = Address(host="localhost", port=port), Address(host="localhost", port=other)

def children():
    return [int(each) for each in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]

def reply(address, word="hello", ask=remote.connect):
    try:
        with ask(address) as connection:
            connection.sendall(word.encode())
            return connection.recv(100).decode()
    except (OSError, LocalragError) as error:
        return errno.errorcode.get(getattr(error, "errno", None), type(error).__name__)

def raw(address):
    with socket.socket(fileno=os.dup(remote.channel()[0])) as copy:
        return broker.connect(copy, (address.path, address.host, address.port), 30)

def library(settings, name, folder):
    settings.library_dir(name).mkdir(parents=True)
    (settings.library_dir(name) / remote.STORE_FILE).write_text("{}")
    sandbox.mark_as_own(settings, name, store=f"postgresql:///x?host={tmp / folder}")

offline.confine_python()
"""
CONFINED = """
remote.start_broker([store, tcp])
offline.confine()
"""


@pytest.fixture
def child(tmp_path, echo):
    echo(tmp_path / "pg" / ".s.PGSQL.5432", "store")
    echo(tmp_path / "other")
    allowed, other = echo(name="tcp"), echo()
    rule(allows(("localhost", port_of(allowed))), tmp_path / "policy.toml")

    def run(code, begin=BEGIN + CONFINED):
        return printed(begin + code, tmp_path, port_of(allowed), port_of(other)).splitlines()

    return run


REACHED = {
    "a confined process reaches the allowed addresses only": (
        "print(kernel.holds(), *map(reply, (store, tcp, closed, closed_tcp)), len(remote.reachable()))",
        ["True store hello tcp hello OfflineRefused PolicyRefused 2"],
    ),
    "the broker itself refuses other addresses": (
        """
tries = [closed, closed_tcp, Address(host="127.0.0.1", port=port), Address(path="/run/docker.sock"), Address(),
         Address(path=store.path, host="localhost", port=other), Address(path=store.path + "/../../other"),
         Address(path=f"{tmp}/pg/./.s.PGSQL.5432"), Address(host="localhost", port=-1), Address(path="\\0x")]
print(*(reply(each, ask=raw) for each in tries))
print(reply(store, ask=raw), reply(tcp, ask=raw))
""",
        [" ".join(["OfflineRefused"] * 10), "store hello tcp hello"],
    ),
    "it follows no link that took the place of a socket": (
        """
Path(store.path).unlink()
Path(store.path).symlink_to(closed.path)
print(reply(store))
Path(store.path).unlink()
print(reply(store))
""",
        ["ENOTSOCK", "ENOENT"],
    ),
    "an empty request ends it": (
        """
socket.socket(fileno=os.dup(remote.channel()[0])).send(b"")
print(reply(store))
print(os.waitpid(children()[0], 0)[1])
""",
        ["EPIPE", "0"],
    ),
    "many threads ask at once": (
        """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(50) as pool:
    answers = list(pool.map(lambda n: reply((store, tcp)[n % 2], str(n)), range(300)))
print(answers == [f"{('store', 'tcp')[n % 2]} {n}" for n in range(300)])
""",
        ["True"],
    ),
    "a worker that stays keeps the channel, and no other file": (
        """
opened = os.open(os.devnull, os.O_RDONLY)
answer, write = os.pipe()
if not (pid := os.fork()):
    broker.detach({write, *remote.channel()})
    os.write(write, f"{reply(store)} {sorted(map(int, os.listdir('/proc/self/fd')))[:3]} {os.path.exists(f'/proc/self/fd/{opened}')}".encode())
    os._exit(0)
os.close(write)
print(os.read(answer, 1000).decode())
os.waitpid(pid, 0)
""",
        ["store hello [0, 1, 2] False"],
    ),
}
STARTED = {
    "without a broker a confined process reaches nothing": (
        "offline.confine()\nprint(reply(store), reply(tcp))",
        ["OfflineRefused OfflineRefused"],
    ),
    "Ctrl-C does not end it": (
        """
remote.start_broker([store])
reply(store)
[pid] = children()
os.kill(pid, signal.SIGINT)
offline.confine()
print(os.getsid(pid) != os.getsid(0), reply(store))
""",
        ["True store hello"],
    ),
    "a server that does not answer keeps nobody waiting": (
        """
answered = threading.Event()
def reach(key, seconds):
    if key[0] == "slow":
        raise OSError(errno.EIO, str(answered.wait(60)))  # until another one is answered
    answered.set()
    return remote.connect_directly(Address(*key), seconds)
channel = broker.start([("slow", "", 0), (store.path, "", 0)], reach)
def ask(path):
    try:
        return broker.connect(channel, (path, "", 0), 100).close() or "connected"
    except OSError as error:
        return error.strerror
slow = []
thread = threading.Thread(target=lambda: slow.append(ask("slow")))
thread.start()
fast = ask(store.path)
thread.join()
print(fast, *slow)
""",
        ["connected True"],
    ),
    "it has no files of the process that started it": (
        """
kept = [open(tmp / "policy.toml"), socket.socketpair(), socket.create_server(("127.0.0.1", 0))]
def look(key, seconds):
    raise OSError(errno.EIO, str([fd for fd in range(200) if kernel.call(kernel.machine().number("fcntl"), fd, 1, 0) >= 0]))
channel = broker.start([("a", "", 0)], look)
try:
    broker.connect(channel, ("a", "", 0), 30)
except OSError as error:
    facts = json.loads(error.strerror)
    print(facts[:3], len(facts))  # these lead nowhere; beside them, the channel and the socket for the reply
""",
        ["[0, 1, 2] 5"],
    ),
}


@linux
@pytest.mark.parametrize(("code", "shown"), REACHED.values(), ids=REACHED)
@pytest.mark.proves("in-the-house")
def test_what_the_broker_reaches_and_refuses(child, code, shown):
    assert child(code) == shown


@linux
@pytest.mark.parametrize(("code", "shown"), STARTED.values(), ids=STARTED)
def test_how_the_broker_starts_and_works(child, code, shown):
    assert child(code, BEGIN) == shown


@linux
def test_malformed_requests_change_nothing(child):
    code = """
channel = socket.socket(fileno=os.dup(remote.channel()[0]))
good = {"address": [store.path, "", 0], "seconds": 5}
messages = [
    b"x", b"\\xff" * 50, b"[]", b"7", b"null", b"{}", b"[" * 90_000, b'{"address": 7, "seconds": 1}',
    b'{"address": ["a"], "seconds": 1}', b'{"address": ["a", "b", "c"], "seconds": 1}', b'{"only": 3}', b'{"only": [3]}',
    b'{"only": [[1, 2, 3, 4]]}', json.dumps(good | {"seconds": "x"}).encode(), json.dumps(good | {"seconds": 1e999}).encode(),
    json.dumps(good | {"seconds": None}).encode(), json.dumps({"address": good["address"]}).encode(),
    b" " * 100_000 + json.dumps(good).encode(),
]
got = []
for message in messages:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    socket.send_fds(channel, [message], [theirs.fileno()])
    theirs.close()
    mine.settimeout(60)
    got.append(socket.recv_fds(mine, 1000, 1)[1])
print([len(each) for each in got])
# Replies to something that is no socket, to none, to several, and to one that nobody reads.
listener, null = socket.socket(socket.AF_UNIX), os.open(os.devnull, os.O_RDWR)
for descriptors in ([null], [], [listener.fileno()], [null, null, listener.fileno()], [channel.fileno()]):
    if descriptors:
        socket.send_fds(channel, [json.dumps(good).encode()], descriptors)
    else:
        channel.send(json.dumps(good).encode())
print(reply(store), reply(tcp), reply(closed, ask=raw))
"""
    got, answers = child(code)
    # Without limit (1e999) is no more than the longest time; all others get nothing.
    assert json.loads(got) == [0] * 14 + [1] + [0] * 3
    assert answers == "store hello tcp hello OfflineRefused"


WORKER = """
import os, sys
from pathlib import Path
from localrag import protocol
from localrag.errors import OfflineRefused
from localrag.security.offline import broker, remote, kernel
from localrag.worker import __main__ as worker
from localrag.worker import calls
requests, _ = protocol.own_pipes()
setup = protocol.receive(requests, calls.Setup)
worker._settle(setup)
[address] = remote.wanted(setup.settings, setup.libraries)
with remote.connect(address) as connection:
    connection.sendall(b"worker")
    answer = connection.recv(100).decode()
try:
    broker.connect(remote._channel, ("", "localhost", int(os.environ["OTHER"])), 30)
    answer = "it reached what only other libraries need"
except OfflineRefused:
    pass
Path(setup.settings.library_dir("mine"), "answer").write_text(f"{kernel.holds()} {answer}")
"""


@linux
def test_a_worker_inherits_what_its_library_needs_alone(child, tmp_path, home, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "probing.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "modules"), os.environ.get("PYTHONPATH", "")]))
    code = """
from localrag.settings import load_settings
from localrag.worker import client
settings = load_settings()
library(settings, "mine", "pg")
os.environ["OTHER"] = str(port)
remote.start_broker([*remote.wanted(settings), tcp])
offline.confine()
client.WORKER = "probing"
process = client.Process(settings, ["mine"])
process._gone.wait()
print((settings.library_dir("mine") / "answer").read_text())
print(reply(store), reply(tcp))
with remote.lent(settings, ["none"]) as nothing:
    print(nothing)
"""
    assert child(code, BEGIN) == ["True store worker", "store hello tcp hello", "None"]


@linux
def test_a_restricted_process_keeps_what_its_libraries_need(child, home):
    code = """
from localrag.settings import load_settings
settings = load_settings()
library(settings, "mine", "pg")
typed = [f"--store=postgresql:///x?host={tmp}/typed", f"postgresql:///y?host={tmp}/too", "http://localhost", "a question: postgresql://"]
remote.start_broker([*remote.wanted(settings), tcp], typed)
offline.confine()
sandbox.restrict(settings, ["mine"], reads=[])
print(reply(store), reply(tcp, ask=raw))
print(*(Path(each.path).parent.name for each in remote.reachable()))
remote._named = ()
remote.narrow(settings, ["none"])
print(reply(store), remote.channel(), remote.reachable())
os.waitpid(children()[0], 0)
print(children())
"""
    assert child(code, BEGIN) == ["store hello OfflineRefused", "pg typed too", "OfflineRefused () ()", "[]"]


@linux
def test_it_cannot_be_taken_over(child):
    code = """
[pid] = children()
print(reply(store))
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what):
    try:
        return what() and "done"
    except OSError as error:
        return errno.errorcode[error.errno]
def native(function, *arguments):
    result = getattr(libc, function)(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return True
print(
    attempt(lambda: native("ptrace", 0x4206, pid, None, None)),
    attempt(lambda: native("syscall", kernel.machine().number("pidfd_getfd"), os.pidfd_open(pid), 0, 0)),
    attempt(lambda: open(f"/proc/{pid}/mem", "r+b")),
    attempt(lambda: os.readlink(f"/proc/{pid}/fd/0")),
    attempt(lambda: open(f"/proc/{pid}/fd/0", "r+b")),
    attempt(lambda: open(f"/proc/{os.getpid()}/fd/{remote.channel()[0]}", "r+b")),
)
print(attempt(lambda: os.kill(pid, 0) is None))
print(reply(store))
"""
    before, attempts, signals, after = child(code)
    assert before == after == "store hello"
    assert attempts == "EACCES EACCES EACCES EACCES EACCES ENXIO"
    assert signals == ("EPERM" if kernel.abi() >= 6 else "done")


ABLE = """
# What the broker itself can do: it runs this in place of connecting, and reports by an error.
def tries(key, seconds):
    found = []
    for name, what in {
        "read": lambda: os.open(tmp / "policy.toml", os.O_RDONLY), "write": lambda: os.open(tmp / "new", os.O_CREAT | os.O_WRONLY),
        "list": lambda: os.listdir("/"), "remove": lambda: os.unlink(tmp / "policy.toml"), "fork": os.fork,
        "exec": lambda: os.execv("/bin/true", ["true"]), "signal": lambda: os.kill(os.getppid(), 0),
        "tcp": lambda: socket.create_connection(("127.0.0.1", other), 5), "listen": lambda: socket.create_server(("127.0.0.1", 0)),
        "raw": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
        "ptrace": lambda: ctypes.CDLL(None, use_errno=True).ptrace(0x4206, os.getppid(), None, None) and os.open("/none", 0),
        "terminal": lambda: os.open("/dev/tty", os.O_RDWR), "chmod": lambda: os.chmod(tmp, 0o777),
    }.items():
        try:
            what()
            found.append(name)
        except OSError:
            pass
    files = len(os.listdir("/proc/self/fd")) if "list" in found else 0
    raise OSError(errno.EIO, f"{found} {files}")
key = store.path, "", 0
channel = broker.start([key], tries)
try:
    broker.connect(channel, key, 30)
except OSError as error:
    print(error.strerror)
status = Path(f"/proc/{children()[0]}/status").read_text()
print("Seccomp:\\t2" in status, "NoNewPrivs:\\t1" in status)
"""


@linux
def test_the_broker_can_do_nothing_else(child):
    able, confined = child(ABLE, BEGIN)
    if kernel.abi() < 6:
        pytest.skip(f"this kernel's Landlock is ABI {kernel.abi()}, this test needs 6")
    assert able == "[] 0" and confined == "True True"


@linux
def test_it_ends_once_nobody_can_ask(child):
    code = """
apart = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
inheriting = subprocess.Popen(["sleep", "600"], pass_fds=remote.channel(), **apart)
without = subprocess.Popen(["sleep", "600"], **apart)
print(*children(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    shown = printed(BEGIN + CONFINED + code, "/nonexistent", 1, 2, ends=-signal.SIGKILL)  # uses no argument
    broker, inheriting, without = map(int, shown.split())
    try:
        assert not ended(broker)  # one who inherited the channel can still ask
        os.kill(inheriting, signal.SIGKILL)
        wait_for(lambda: ended(broker))
        assert not ended(without)
    finally:
        for pid in (inheriting, without):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@linux
@pytest.mark.parametrize("store", ["", "postgresql:///x?host=/srv"])
def test_a_command_starts_it_only_if_there_is_something_to_reach(child, home, store):
    code = f"""
from localrag.cli import app
from localrag.settings import load_settings
folder = load_settings().library_dir("mine")
folder.mkdir(parents=True)
if {store!r}:
    (folder / remote.STORE_FILE).touch()
    sandbox.mark_as_own(load_settings(), "mine", store={store!r})
app._confine(["libraries"])
print(kernel.holds(), len(children()), *remote.reachable())
"""
    begin = BEGIN.replace("offline.confine_python()", "")
    reached = " /srv/.s.PGSQL.5432" if "host=" in store else ""
    assert child(code, begin) == [f"True {1 if reached else 0}{reached}"]

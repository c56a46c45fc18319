"""Switches and audit hook. Each test runs a child, because the hook cannot be removed; no test sends a packet."""

import os
import subprocess
import sys

import pytest
from command_line import printed

pytestmark = pytest.mark.slow

BEGIN = """
import _socket, os, socket, sys, tempfile
from localrag.security import offline
from localrag.errors import OfflineRefused

def refused(attempt):
    try:
        attempt()
    except OfflineRefused:
        return True
    except OSError as error:
        print("OSError:", error)
    return False

def tcp(family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_STREAM)

def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
"""
# An address of TEST-NET-1, which is routed nowhere, should a test ever pass the hook.
ATTEMPTS = {
    "connect": "lambda: tcp().connect(('192.0.2.1', 443))",
    "connect_ex": "lambda: tcp().connect_ex(('192.0.2.1', 443))",
    "connect to IPv6": "lambda: tcp(socket.AF_INET6).connect(('2001:db8::1', 443))",
    "bind to all": "lambda: tcp().bind(('', 0))",
    "sendto": "lambda: udp().sendto(b'x', ('192.0.2.1', 53))",
    "sendmsg": "lambda: udp().sendmsg([b'x'], [], 0, ('192.0.2.1', 53))",
    "getaddrinfo": "lambda: socket.getaddrinfo('example.invalid', 443)",
    "getaddrinfo of an address": "lambda: socket.getaddrinfo('192.0.2.1', 443)",
    "gethostbyname": "lambda: socket.gethostbyname('example.invalid')",
    "gethostbyname_ex": "lambda: socket.gethostbyname_ex('example.invalid')",
    "gethostbyaddr": "lambda: socket.gethostbyaddr('192.0.2.1')",
    "getnameinfo": "lambda: socket.getnameinfo(('192.0.2.1', 443), 0)",
    "a name that begins like loopback": "lambda: tcp().connect(('127.0.0.1.example.invalid', 80))",
    "a name given to connect": "lambda: tcp().connect(('example.invalid', 80))",
    "a name given to sendto": "lambda: udp().sendto(b'x', 0, ('example.invalid', 53))",
    "a name given to sendmsg": "lambda: udp().sendmsg([b'x'], [], 0, ('example.invalid', 53))",
    "connect below the socket module": "lambda: _socket.socket().connect(('192.0.2.1', 443))",
    "bind below the socket module": "lambda: _socket.socket().bind(('0.0.0.0', 0))",
}


def child(code):
    return printed(BEGIN + code)


@pytest.mark.proves("nothing-leaves")
def test_every_way_to_the_network_is_refused():
    lines = [f"print({name!r}, refused({attempt}))" for name, attempt in ATTEMPTS.items()]
    shown = child("offline.confine_python()\n" + "\n".join(lines))
    assert shown.splitlines() == [f"{name} True" for name in ATTEMPTS]


def test_loopback_and_unix_sockets_work():
    shown = child("""
offline.confine_python()
for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET, "localhost")):
    server = tcp(family)
    try:
        server.bind((host, 0))
    except OfflineRefused:
        raise
    except OSError:  # a machine without IPv6
        continue
    server.listen()
    tcp(family).connect(server.getsockname()[:2])
socket.getaddrinfo("localhost", 80)
socket.getaddrinfo(None, 80)
if hasattr(socket, "AF_UNIX"):
    path = os.path.join(tempfile.mkdtemp(), "s")
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    socket.socket(socket.AF_UNIX).connect(path)
one, two = socket.socketpair()
one.sendmsg([b"x"])
sender, receiver = udp(), udp()
receiver.bind(("127.0.0.1", 0))
sender.sendto(b"x", receiver.getsockname())
sender.sendmsg([b"x"], [], 0, receiver.getsockname())
print("fine")
""")
    assert shown == "fine\n"


def test_an_install_may_reach_the_network_and_nothing_after_it():
    shown = child("""
offline.confine_python()
assert offline.SWITCHES.items() <= os.environ.items()
attempt = lambda: tcp().bind(('', 0))
with offline.network_for_install():
    print(refused(attempt), "HF_HUB_OFFLINE" in os.environ, os.environ["HF_HUB_DISABLE_TELEMETRY"])
print(refused(attempt), os.environ["HF_HUB_OFFLINE"])
try:
    with offline.network_for_install():
        raise ValueError
except ValueError:
    print(refused(attempt), os.environ["HF_HUB_OFFLINE"])
""")
    assert shown == "False False 1\nTrue 1\nTrue 1\n"


@pytest.mark.smoke
def test_the_command_line_confines_itself_before_anything_else():
    shown = child("""
from localrag.cli.app import main
sys.argv = ["localrag", "--version"]
try:
    main()
except SystemExit as stop:
    print(stop.code, offline.hook_installed(), refused(lambda: socket.getaddrinfo("example.invalid", 80)))
""")
    assert shown.splitlines()[1:] == ["0 True True"]


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_localrag_starts_where_there_is_no_network_at_all():
    command = ["unshare", "-rn", sys.executable, "-m", "localrag", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert "Commands" in done.stdout

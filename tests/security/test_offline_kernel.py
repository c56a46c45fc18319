"""What the kernel refuses: the filter of system calls, and Landlock. Each test runs a child, for neither is taken back.

On Linux for x86-64 and 64-bit ARM the filter's tests run always. Where the kernel has no Landlock its tests are skipped
by that name.
"""

import errno
import os
import socket
import struct
import subprocess
import sys

import pytest
from command_line import printed

from localrag.security.offline import kernel
from localrag.security.offline.kernel import MACHINES

pytestmark = pytest.mark.slow

linux = pytest.mark.skipif(kernel.machine() is None, reason="no filter is known for this system: localrag states so")
ALLOW, REFUSE, UNKNOWN = 0x7FFF0000, 0x00050000 | errno.EACCES, 0x00050000 | errno.ENOSYS

BEGIN = """
import ctypes, errno, os, socket, subprocess, sys, threading
from pathlib import Path
from localrag.security import offline
from localrag.errors import OfflineRefused
from localrag.security.offline import Files, kernel
libc = ctypes.CDLL(None, use_errno=True)

def native(function, *arguments):
    result = getattr(libc, function)(*arguments)
    return "done" if result >= 0 else errno.errorcode[ctypes.get_errno()]

def attempt(what):
    try:
        return what() or "done"
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
"""


def child(code, **options):
    return printed(BEGIN + code, **options)


def need(abi):
    if kernel.abi() < abi:
        pytest.skip(f"this kernel's Landlock is ABI {kernel.abi()}, this test needs {abi}")


# --- the filter, as a program -------------------------------------------------------------------------------


def run(name, number, *arguments, arch=None, kind="confined"):
    """What the filter of a machine returns for a call, computed by the rules of classic BPF."""
    machine = MACHINES[name]
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number & 0xFFFFFFFF, machine.arch if arch is None else arch, 0, *padded)
    rules, at, held = kernel.program(machine, kind), 0, 0
    while True:
        code, true, false, value = rules[at]
        at += 1
        if code == 0x20:
            held = struct.unpack_from("<I", data, value)[0]
        elif code == 0x54:
            held &= value
        elif code == 0x15:
            at += true if held == value else false
        elif code == 0x35:
            at += true if held >= value else false
        else:
            assert code == 0x06
            return value


# Calls that no list of localrag names: x86-64, 64-bit ARM.
OTHERS = {"execve": (59, 221), "kill": (62, 129), "unlinkat": (263, 35), "renameat2": (316, 276), "bind": (49, 200)}


@pytest.mark.parametrize("name", MACHINES)
def test_the_filter_lets_only_unix_streams_be_opened(name):
    machine = MACHINES[name]
    for number in map(machine.number, ("socket", "socketpair")):
        for kind in (1, 5, 1 | 0o2000000 | 0o4000):  # close on exec, do not wait
            assert run(name, number, 1, kind) == ALLOW
        assert run(name, number, 1, 2) == run(name, number, 1, 3) == REFUSE
        for family in range(64):
            assert (run(name, number, family, 1) == ALLOW) == (family == 1)
        # The kernel reads an int: what stands above it must not matter.
        assert run(name, number, 1 | 1 << 40, 1) == ALLOW
        assert run(name, number, 2 | 1 << 40, 1) == REFUSE
    assert run(name, 0, arch=0x40000003) == REFUSE  # 32-bit x86, in which 0 is something else
    assert run(name, 0x40000000 | 41, 2, 1) == run(name, -1) == REFUSE  # x32


@pytest.mark.parametrize("name", MACHINES)
def test_the_filter_refuses_connecting_addresses_and_typing(name):
    call = MACHINES[name].number
    assert run(name, call("connect"), 3, 0x7FFF0000, 16) == REFUSE
    assert run(name, call("sendto"), 3, 0x7FFF0000, 1, 0, 0) == ALLOW
    assert run(name, call("sendto"), 3, 0x7FFF0000, 1, 0, 0x7FFF0000) == REFUSE
    assert run(name, call("sendto"), 3, 0x7FFF0000, 1, 0, 0x7FFF << 32) == REFUSE
    assert run(name, call("sendmsg"), 3, 0x7FFF0000, 0x4000) == run(name, call("sendmmsg"), 3, 0, 1, 0x4000) == ALLOW
    assert run(name, call("sendmsg"), 3, 0x7FFF0000, 0x20004000) == REFUSE  # TCP Fast Open
    assert run(name, call("sendmmsg"), 3, 0x7FFF0000, 1, 0x20000000) == REFUSE
    assert run(name, call("ioctl"), 0, 0x5412) == run(name, call("ioctl"), 0, 0x541C) == REFUSE
    assert run(name, call("ioctl"), 0, 0x5412 | 1 << 32) == REFUSE
    assert run(name, call("ioctl"), 0, 0x5413) == ALLOW  # the size of the terminal
    assert run(name, call("read")) == run(name, 500) == ALLOW


WAYS_OUT = (
    "add_key request_key keyctl unshare setns userfaultfd memfd_create execveat bpf perf_event_open mount umount2 "
    "move_mount open_tree fsopen process_vm_readv process_vm_writev ptrace pidfd_getfd shmget shmat msgget semget mq_open "
    "io_uring_setup open_by_handle_at sched_setscheduler sched_setattr ioprio_set"
).split()


@pytest.mark.parametrize("name", MACHINES)
def test_the_filter_refuses_ways_out_of_the_sandbox(name):
    call = MACHINES[name].number
    for each in WAYS_OUT:
        assert run(name, call(each)) == REFUSE, each
    assert run(name, call("clone"), 0x11) == run(name, call("clone"), 0x003D0F00) == ALLOW  # a process, a thread
    for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert run(name, call("clone"), flag | 0x11) == REFUSE
    assert run(name, call("clone3")) == UNKNOWN  # libc then calls clone
    assert run(name, call("prlimit64"), 0) == ALLOW
    assert run(name, call("prlimit64"), 1234) == REFUSE


@pytest.mark.parametrize("name", MACHINES)
def test_where_files_are_limited_rights_and_owners_stay(name):
    call = MACHINES[name].number
    for each in "fchmod fchmodat fchmodat2 fchown fchownat setxattr fsetxattr removexattr setxattrat".split():
        assert run(name, call(each), kind="metadata") == REFUSE, each
    assert run(name, call("utimensat"), 5, 0, 0x7FFF0000, kind="metadata") == ALLOW  # an open file
    assert run(name, call("utimensat"), 5, 0x7FFF0000, 0, kind="metadata") == REFUSE
    assert run(name, call("ioctl"), 3, 0x40086602, kind="metadata") == REFUSE  # immutable
    assert run(name, call("openat"), kind="metadata") == ALLOW


@pytest.mark.parametrize("name", MACHINES)
def test_a_reader_may_make_no_call_that_is_not_listed(name):
    call = MACHINES[name].number
    for each in ("read", "openat", "mmap", "futex", "recvmsg", "exit_group"):
        assert run(name, call(each), kind="reader") == ALLOW, each
    numbers = {each: call(each) for each in (*WAYS_OUT, "socket", "socketpair", "sendto", "connect")}
    numbers |= {each: pair[MACHINES[name].column] for each, pair in OTHERS.items()}
    for each, number in numbers.items():
        assert run(name, number, kind="reader") == UNKNOWN, each
    assert run(name, call("clone"), 0x003D0F00, kind="reader") == ALLOW  # a thread
    assert run(name, call("clone"), 0x11, kind="reader") == REFUSE  # a process
    assert run(name, call("ioctl"), 0, 0x5401, kind="reader") == ALLOW
    assert run(name, call("ioctl"), 0, 0x5412, kind="reader") == REFUSE
    assert run(name, call("fcntl"), 3, 1030, kind="reader") == ALLOW  # a copy of a descriptor
    for command in (8, 10, 15, 1024):  # signals to an owner, leases
        assert run(name, call("fcntl"), 3, command, kind="reader") == REFUSE
    assert run(name, call("prlimit64"), 1, kind="reader") == REFUSE
    assert run(name, call("tgkill"), os.getpid(), kind="reader") == ALLOW
    assert run(name, call("tgkill"), 1, kind="reader") == REFUSE


# --- the filter, in the kernel ------------------------------------------------------------------------------


@linux
@pytest.mark.smoke
def test_native_code_opens_no_socket_in_a_thread_of_before_either():
    shown = child("""
before = native("socket", 2, 1, 0); offline.close_sockets()
go, threads = threading.Event(), []
other = threading.Thread(target=lambda: go.wait() and threads.append(native("socket", 2, 1, 0))); other.start()
offline.confine()
go.set(); other.join()
print(before, *(native("socket", family, kind, 0) for family, kind in ((2, 1), (2, 2), (10, 1), (16, 3), (17, 3), (40, 1), (1, 2))))
print(native("syscall", kernel.machine().number("socket"), 2, 1, 0), native("syscall", 425, 1, ctypes.create_string_buffer(200)))
print(native("ptrace", 16, os.getppid(), 0, 0), native("socket", 1, 1, 0), *threads)
""")
    assert shown.splitlines() == ["done" + " EACCES" * 7, "EACCES EACCES", "EACCES done EACCES"]


@linux
def test_an_open_socket_prevents_confinement_but_a_listener_that_is_named():
    shown = child("""
import threading
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
try:
    offline.confine(listener=listener)
except OfflineRefused as error:
    print(error.message.endswith(str(client.fileno())), error.hint != "")
client.close()
offline.confine(listener=listener)
listener.settimeout(5)
print(listener.accept()[1][0], kernel.holds())
print(attempt(lambda: socket.socket()))
""")
    assert shown.splitlines() == ["True True", "127.0.0.1 True", "EACCES"]


@linux
def test_a_command_that_is_given_a_socket_as_input_says_so():
    command = [sys.executable, "-m", "localrag", "--version"]
    with socket.socket() as given:
        done = subprocess.run(command, stdin=given, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert "hint: Start it" in done.stderr


@linux
def test_a_command_closes_an_inherited_unix_socket_and_keeps_its_input():
    code = """
from localrag.cli.app import main
sys.argv = ["localrag", "models", "list", "--json"]
try:
    main()
except SystemExit as stop:
    print([fd for fd in kernel.sockets(unix=True) if fd > 0], 0 in kernel.sockets(unix=True))
"""
    mine, left = socket.socketpair()
    with mine, left:
        shown = child(code, pass_fds=(left.fileno(),), stdin=left)
    assert shown.splitlines()[-1] == "[] True"


@linux
def test_an_install_is_left_to_the_hook():
    shown = child("""
from localrag.cli import app
for words in (["models", "install"], ["--debug", "models", "install", "x"], ["models", "list"], ["ask", "models"], []):
    pid = os.fork()
    if not pid:
        app._confine(words)
        print(offline.hook_installed(), kernel.holds(), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
""")
    assert shown.splitlines() == ["True False"] * 2 + ["True True"] * 3


@linux
def test_layers_say_what_holds():
    shown = child("""
def held(): return [layer.name for layer in offline.layers() if layer.holds]
for name in ("HF_HUB_OFFLINE", "RAY_USAGE_STATS_ENABLED"):
    os.environ.pop(name, None)  # who runs the tests may have set all
print(held())
offline.confine_python(); print(held())
offline.confine(without=["landlock"]); print(held())
""")
    assert shown.splitlines() == ["[]", "['switches', 'hook']", "['switches', 'hook', 'seccomp']"]


# --- files --------------------------------------------------------------------------------------------------


@linux
def test_limits_on_files_can_only_grow_tighter(tmp_path):
    need(1)
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    shown = child(f"""
root = Path({str(tmp_path)!r})
system = (Path("/usr"), Path("/lib"), Path("/lib64"), Path(sys.prefix), Path(sys.base_prefix))
for reads in ((root,), (root / "one",), (root,)):
    offline.confine(Files(programs=system, reads=reads))
    print(*(attempt(lambda: (root / name).read_text() and None) for name in ("one", "two")))
""")
    assert shown.splitlines() == ["done done", "done EACCES", "done EACCES"]


@linux
def test_documents_that_are_read_or_written_cannot_be_run(tmp_path):
    need(1)
    program = tmp_path / "a.sh"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    for where in ("reads", "writes"):
        shown = child(f"""
offline.confine(Files(programs=(Path("/usr"), Path("/bin"), Path("/lib"), Path("/lib64")), {where}=(Path({str(tmp_path)!r}),)))
print(attempt(lambda: subprocess.run([{str(program)!r}]) and None))
""")
        assert shown == "EACCES\n"


@linux
def test_files_are_not_limited_while_other_threads_run():
    need(1)
    shown = child("""
go = threading.Event()
other = threading.Thread(target=go.wait); other.start()
try:
    offline.confine(Files(reads=(Path("/"),)))
except OfflineRefused as error:
    print(error.message)
go.set(); other.join()
""")
    assert shown == "files cannot be limited while 2 threads run\n"


@linux
def test_tcp_is_refused_by_landlock_too_and_signals_stay_inside():
    need(6)
    shown = child("""
mine = socket.socket()
kernel.restrict(None)
print(attempt(lambda: mine.bind(("127.0.0.1", 0))), attempt(lambda: os.kill(os.getppid(), 0)))
""")
    assert shown == "EACCES EPERM\n"

"""What runs in a reader process: it confines itself, then reads file after file until its pipe closes.

`isolate` starts it and says what it may use. It gives up the network, much of its share of the processor, core dumps
(they would hold text of documents) and memory beyond its limit. It leaves, with all that it started, as soon as its
parent is gone, and asks to be replaced after many files, or when much memory stays in use after one.

Limits: the memory limit is the kernel's on Linux and a look several times a second on macOS; there is none on Windows.
It has the rights of its user, less what `offline.confine` and `limits` take: on Linux the network and all writing but
of temporary files, also of native code; elsewhere the network of Python code.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from localrag.errors import ReadError
from localrag.ingest.readers import wire
from localrag.ingest.readers.source import Options, Pictured
from localrag.types import Part, Refused

GREEDY = 77  # exit code: it took more memory than it may
_NO_MEMORY = re.compile(r"bad_alloc|insufficient memory|out of memory|failed to allocate|cannot allocate", re.I)
FILES = 500  # leaks of native code end with the process


def needs_more(memory: int) -> str:
    return (
        f"needs more memory than {memory // 1_000_000:,} MB. Split the file, or raise read_memory_mb in localrag.toml."
    )


def main() -> None:
    requests, replies = _own_pipes()
    if (setup := wire.receive(requests)) is None:
        return
    _give_up(setup["memory"])
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, jobs), daemon=True).start()
    work = _Work(replies, wire.options_of(setup), setup["seconds"], setup["memory"])
    for count in itertools.count(1):
        sound = work.do(jobs.get())
        leaving = not sound or count >= FILES or resident() > setup["memory"] // 2
        for message in wire.messages(wire.Done(leaving)):
            wire.send(replies, message)
        if leaving:
            return


class _Work:
    """Reads files and sends what is in them, or how a page of them looks."""

    def __init__(self, replies: BinaryIO, options: Options, seconds: float, memory: int) -> None:
        self._replies = replies
        self._options = options
        self._seconds = seconds
        self._memory = memory

    def do(self, job: dict[str, Any]) -> bool:
        """Send everything in one file, or why not; False where this process had better read no other."""
        from localrag.ingest.readers import pulse

        pulse.listen(self._beat)
        left = self._options.characters
        last: str | None = None
        sound, failed = True, ""
        try:
            self._beat()
            for item in self._items(job):
                if isinstance(item, Part):
                    left -= sum(len(page.text) for page in item.reading.pages)
                    if reason := self._too_much(item, left):
                        failed = reason
                        break
                _alarm(0)  # the parent may be in no hurry to take it
                self._send(item)
                last = getattr(item, "name", None)
                _alarm(self._seconds + 10)
        except ReadError as error:
            failed = f"{error.message}. {error.hint}"
        except BaseException as error:  # a panic in Rust is no Exception
            if _short_of_memory(error):
                sound, failed = False, needs_more(self._memory)  # what else broke in this process is not known
            else:
                sound = isinstance(error, Exception)
                failed = f"is damaged, or of a kind that is not understood ({_in_short(error)}). "
                failed += "Open it in its own program and save it anew."
        finally:
            _alarm(0)
        if failed:
            self._send(Refused("", wire.cut_short(failed, last)))
        return sound

    def _items(self, job: dict[str, Any]) -> Iterator[Part | Refused | Pictured]:
        from localrag.ingest.readers import base, picturing

        path = Path(job["path"])
        if "picture" not in job:
            yield from base.read_parts(path, self._options)
            return
        wanted = wire.wanted_of(job["picture"])
        yield picturing.picture(base.source_of(path, wanted.name, self._options), wanted, self._options)

    def _beat(self) -> None:
        wire.send(self._replies, [])
        _alarm(self._seconds + 10)

    def _too_much(self, part: Part, left: int) -> str:
        if left < 0:
            most = self._options.characters
            return f"gives more than {most:,} characters of text, all that is inside it together. Split the file."
        if wire.count(part) > wire.RECORDS:
            return f"has more than {wire.RECORDS:,} rows, headings and words. Split the file."
        return ""

    def _send(self, item: Part | Refused | Pictured) -> None:
        for message in wire.messages(item):
            wire.send(self._replies, message)


def _in_short(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def _short_of_memory(error: BaseException | None) -> bool:
    """Whether that is what went wrong; native libraries say so in their own words."""
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _alarm(seconds: float) -> None:
    """A last resort where the system has it: native code that holds the interpreter would not hear the parent.

    In processor time, as the parent counts it; code that waits without using any is given ten times as long.
    """
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, 10 * seconds)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes for ourselves, so that what a library prints goes nowhere."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    return requests, replies


def _give_up(memory: int) -> None:
    from localrag.security import offline, sandbox

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    offline.confine()
    sandbox.restrict_reader()
    os.umask(0o077)
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError):
        os.nice(5)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 1024)
    if data := _data():
        _limit(resource.RLIMIT_DATA, data + memory)
    else:  # other systems take the number and do not hold to it
        threading.Thread(target=_watch, args=(memory,), daemon=True).start()


def _limit(kind: int, most: int) -> None:
    """Lower a limit for good; one that is lower already stays."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def _data() -> int:
    """What counts against RLIMIT_DATA by now, in bytes; 0 where that cannot be told."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def resident(pid: int | None = None) -> int:
    """The memory that a process, this one if none is named, has in use, in bytes; 0 where that cannot be told."""
    with contextlib.suppress(OSError, IndexError):
        statm = Path(f"/proc/{pid or 'self'}/statm").read_text("ascii")
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if sys.platform == "win32" or pid is not None:
        return 0
    import resource

    # The most that it ever was: elsewhere the system tells only that.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def starved(pid: int) -> float:
    """For how many seconds a process (its main thread) wanted a processor and got none; 0 where that cannot be told."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]) / 1e9
    return 0.0


def _watch(memory: int) -> None:
    while resident() < memory:
        time.sleep(0.2)
    os._exit(GREEDY)


def _listen(requests: BinaryIO, jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Hand on requests; leave at once when the parent is gone, even in the middle of a file."""
    try:
        while (request := wire.receive(requests)) is not None:
            jobs.put(request)
    finally:
        _leave()


def _leave() -> None:
    """End this process and every one that a reader started."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except OSError:  # the parent is gone; else it sees this end, and ends what is left
        _leave()

"""What runs in a reader process: it confines itself, then reads file after file until its pipe closes.

It gives up the network and all writing except temporary files (on Linux for native code too), part of its priority,
core dumps (they would hold text of documents) and memory beyond its limit: the kernel's on Linux, a check several times
a second on macOS, none on Windows. It exits with everything it started as soon as its parent is gone, and asks to be
replaced after many files, or when much memory stays in use after one.
"""

from __future__ import annotations

import contextlib
import itertools
import mimetypes
import mmap
import os
import queue
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from localrag import protocol
from localrag.errors import ReadError
from localrag.ingest.readers import base, programs, wire
from localrag.ingest.readers.source import Source, page_listeners
from localrag.ingest.source_files import PageCopy, PagePicture, PageRequest
from localrag.types import Part

EXIT_MEMORY = 77  # exit code: it used more memory than allowed
_NO_MEMORY = re.compile(r"bad_alloc|insufficient memory|out of memory|failed to allocate|cannot allocate", re.I)
MAX_FILES = 500  # memory leaks of native code end with the process


def needs_more(memory: int) -> str:
    megabytes = memory // 1_000_000
    return f"needs more memory than {megabytes:,} MB. Split the file, or raise read_memory_mb in localrag.toml."


def main() -> None:
    requests, replies = protocol.own_pipes()
    setup: wire.Setup | None = protocol.receive(requests, wire.Setup)
    if setup is None:
        return
    files = socket.socket(fileno=int(sys.argv[1])) if len(sys.argv) > 1 else None
    _give_up(setup.memory, *filter(None, (setup.options.speech,)))
    jobs: queue.SimpleQueue[wire.Job] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, jobs), daemon=True).start()
    work = _Work(replies, setup)
    for count in itertools.count(1):
        job = jobs.get()
        opened = None
        if sys.platform != "win32" and files is not None:
            opened = socket.recv_fds(files, 1, 1)[1][0]
        sound = work.do(job, opened)
        if opened is not None:
            os.close(opened)
        leaving = not sound or programs.ended() or count >= MAX_FILES or resident() > setup.memory // 2
        protocol.send(replies, wire.Done(leaving))
        if leaving:
            return


class _Work:
    """Reads files, or draws their pages, and sends the results."""

    def __init__(self, replies: BinaryIO, setup: wire.Setup) -> None:
        self._replies, self._setup, self._options = replies, setup, setup.options

    def do(self, job: wire.Job, opened: int | None) -> bool:
        """Send the parts of one file, or why it failed; return False where this process should read no other file."""
        page_listeners[:] = [self._beat]
        last: str | None = None
        sound, failed = True, ""
        try:
            self._beat()
            source = Source(job.path.name, descriptor=opened) if opened is not None else Source.of(job.path)
            left = most = self._options.within(source.size)[1]
            items = base.read_parts(source, self._options) if job.draw is None else self._drawn(source, job.draw)
            for item in items:
                if isinstance(item, Part):
                    left -= sum(len(page.text) for page in item.reading.pages)
                    if failed := _too_much(item, left, most):
                        break
                _alarm(0)  # the parent may take its time
                for message in wire.messages(item):
                    protocol.send(self._replies, message)
                last = getattr(item, "name", None)
                _alarm(self._setup.seconds + 10)
        except ReadError as error:
            failed = f"{error.message}. {error.hint}"
        except BaseException as error:  # a panic in Rust is no Exception
            if _short_of_memory(error):
                sound, failed = False, needs_more(self._setup.memory)  # other state of this process may be broken too
            else:
                sound = isinstance(error, Exception)
                what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                failed = f"is damaged, or of a kind that is not understood ({what}). "
                failed += "Open it in its own program and save it again."
        finally:
            _alarm(0)
        if failed:
            protocol.send(self._replies, wire.Refusal("", wire.cut_short(failed, last)))
        return sound

    def _drawn(self, source: Source, wanted: PageRequest) -> Iterator[PagePicture | PageCopy]:
        from localrag.ingest.readers import page_copy, page_picture

        source = base.source_of(source, wanted.name, self._options)
        if base.sha256_of(source) != wanted.sha256:
            raise ReadError("has changed since it was read", "Ingest again, then ask again.")
        draw = page_copy.copy_page if wanted.copied else page_picture.draw_page
        yield draw(source, wanted, self._options)

    def _beat(self) -> None:
        protocol.send(self._replies, wire.Beat())
        _alarm(self._setup.seconds + 10)


def _too_much(part: Part, left: int, most: int) -> str:
    if left < 0:
        return f"gives more than {most:,} characters of text, with everything inside it. Split the file."
    if wire.count(part) > wire.MAX_RECORDS:
        return f"has more than {wire.MAX_RECORDS:,} rows, headings and words. Split the file."
    return ""


def _short_of_memory(error: BaseException | None) -> bool:
    """Whether memory ran out; native libraries say so in their own words."""
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _alarm(seconds: float) -> None:
    """Set a last resort for native code, which would not notice that the parent is gone; in processor time."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.setitimer(signal.ITIMER_REAL, 10 * seconds)


def _give_up(memory: int, *reads: str) -> None:
    from localrag.security import offline, sandbox

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    programs.start()
    offline.confine()
    os.umask(0o077)
    if sys.platform == "win32":
        return
    import resource

    with contextlib.suppress(OSError):
        os.nice(5)
    limits = [(resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 1024)]
    if data := _memory_of("self", 5):
        limits.append((resource.RLIMIT_DATA, data + memory))
    else:  # other systems accept the limit and do not enforce it
        threading.Thread(target=_watch, args=(memory,), daemon=True).start()
    for kind, most in limits:
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)  # keep one that is lower already
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))
    mimetypes.init(())  # not from tables of the system, which it may not read
    sandbox.restrict_reader(*reads)


def _memory_of(pid: int | str, field: int) -> int:
    """Return bytes from /proc/PID/statm: field 1 is resident memory, 5 is data and stack; 0 where unknown."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[field]) * mmap.PAGESIZE
    return 0


def resident(pid: int | None = None) -> int:
    """Return the memory that a process (default: this one) uses, in bytes; 0 where unknown."""
    if (found := _memory_of(pid or "self", 1)) or sys.platform == "win32" or pid is not None:
        return found
    import resource

    # Other systems only report the peak.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def starved(pid: int) -> float:
    """Return for how many seconds a process (its main thread) waited for a processor; 0 where unknown."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]) / 1e9
    return 0.0


def _watch(memory: int) -> None:
    while resident() < memory:
        time.sleep(0.2)
    os._exit(EXIT_MEMORY)


def _listen(requests: BinaryIO, jobs: queue.SimpleQueue[wire.Job]) -> None:
    """Pass on jobs; exit at once when the parent is gone, even in the middle of a file."""
    try:
        while (job := protocol.receive(requests, wire.Job)) is not None:
            jobs.put(job)
    finally:
        os._exit(0)


if __name__ == "__main__":
    try:
        main()
    except OSError:  # the parent is gone
        os._exit(0)

"""A reader that misbehaves on command, put into the workers only: the file's first word says how."""

import sys
from pathlib import Path

import pytest

TRAP = """
import mmap, os, signal, sys, threading, time
from localrag.errors import ReadError
from localrag.ingest.readers import programs
from localrag.ingest.readers.source import Member, Source
from localrag.types import Page, Reading

kept = []

def read(source, options):
    word, _, rest = source.read().decode("utf-8").partition(" ")
    if word == "hang":
        time.sleep(600)
    if word == "spin":
        while True:
            pass
    if word == "segfault":
        import ctypes
        ctypes.string_at(0)
    if word == "exit":
        os._exit(3)
    if word == "kill":
        signal.raise_signal(9)
    if word == "raise":
        raise ZeroDivisionError("what\\x00 now")
    if word == "panic":  # as from Rust
        raise type("PanicException", (BaseException,), {})("index out of bounds")
    if word == "native":
        raise RuntimeError("[ONNXRuntimeError] : 6 : Status Message: std::bad_alloc")
    if word == "refuse":
        raise ReadError("is not to my taste", "Cook it anew.")
    if word == "noise":
        print("noise on stdout"); print("noise on stderr", file=sys.stderr); os.write(1, b"more"); os.write(2, b"more")
    if word == "sleep":
        time.sleep(float(rest))
    if word == "pages":  # a scan: each page takes a while
        from localrag.ingest.readers.source import page_listeners
        for _ in range(int(rest)):
            time.sleep(0.4)
            page_listeners[0]()
    if word == "network":
        import socket
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    if word == "dirty":
        return Reading((Page("a\\x00b"),))
    if word == "take":  # what Python asks for and does not get
        kept.append(bytearray(int(rest)))
    if word == "keep":  # a leak
        kept.append(b"x" * int(rest))
    if word == "abort":  # what native code does when it gets no memory
        kept.append(b"x" * int(rest))
        time.sleep(0.5)
        os.abort()
    if word == "share":  # memory that the kernel does not count as data
        shared = mmap.mmap(-1, int(rest))
        for start in range(0, int(rest), 4096):
            shared[start] = 1
        time.sleep(600)
    if word == "text":
        return Reading((Page("x" * int(rest)),))
    if word == "start":  # another program, as for old office files
        threading.Thread(target=programs.convert, args=(b"x", ".doc", "docx", 1), daemon=True).start()
        time.sleep(600 if rest == "hang" else 0)
    if word == "wait":  # for a program
        programs.convert(b"x", ".doc", "docx", 1)
    if word == "forge":  # a process that was taken over
        frame = eval(rest)
        for descriptor in range(3, 20):
            try:
                os.write(descriptor, frame)
            except OSError:
                pass
        time.sleep(600)
    return Reading((Page(f"{word} {rest} pid={os.getpid()} passwords={list(options.passwords)} argv={sys.argv}"),))

def members(source, options, budget):
    word, _, rest = source.read().decode("utf-8").partition(" ")
    if word == "holds":
        for number, command in enumerate(rest.split("; ")):
            yield Member(f"m{number}.trap", Source(f"m{number}.trap", data=command.encode()))
    if word == "many":
        count, size = map(int, rest.split())
        for number in range(count):
            yield Member(f"m{number}.trap", Source(f"m{number}.trap", data=b"text %d" % size))
"""
SITE = """
import os
from localrag.ingest.readers import programs
import trap  # at once: a confined reader cannot import it
from localrag.ingest.readers import base, source
programs.installed = lambda: {"LibreOffice": os.environ["STAND_IN"], "Tesseract": None}
base.SUFFIXES = source.SUFFIXES = {**source.SUFFIXES, ".trap": "trap"}
"""


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """Makes files for the misbehaving reader; workers started after this know it."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "trap.py").write_text(TRAP)
    (code / "sitecustomize.py").write_text(SITE)
    root = Path(__file__).parents[3]
    # In LibreOffice's place. It keeps its name in its command line, and forks nothing.
    (tmp_path / "stand-in").write_text('#!/bin/sh\nexec tail -f "$0"\n')
    (tmp_path / "stand-in").chmod(0o755)
    monkeypatch.setenv("STAND_IN", str(tmp_path / "stand-in"))
    monkeypatch.setenv("PYTHONPATH", f"{code}{';' if sys.platform == 'win32' else ':'}{root}")

    def make(name, command):
        path = tmp_path / f"{name}.trap"
        path.write_text(command, encoding="utf-8")
        return path

    return make

"""A reader that misbehaves on command, put into the workers only: the file's first word says how."""

import sys
from pathlib import Path

import pytest

TRAP = """
import os, sys, time
from localrag.types import Page, Reading

def read(path, passwords=()):
    word, _, rest = path.read_text(encoding="utf-8").partition(" ")
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
    if word == "memory":
        raise MemoryError
    if word == "raise":
        raise ZeroDivisionError("what\\x00 now")
    if word == "noise":
        print("noise on stdout"); print("noise on stderr", file=sys.stderr); os.write(1, b"more"); os.write(2, b"more")
    if word == "sleep":
        time.sleep(float(rest))
    if word == "network":
        import socket
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    if word == "dirty":
        return Reading((Page("a\\x00b"),))
    return Reading((Page(f"{word} {rest} pid={os.getpid()} passwords={list(passwords)} argv={sys.argv}"),))
"""
SITE = """
from localrag.readers import base
base.SUFFIXES = {**base.SUFFIXES, ".trap": "trap"}
"""


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """Makes files for the misbehaving reader; workers started after this know it."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "trap.py").write_text(TRAP)
    (code / "sitecustomize.py").write_text(SITE)
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{code}{';' if sys.platform == 'win32' else ':'}{root}")

    def make(name: str, command: str) -> Path:
        path = tmp_path / f"{name}.trap"
        path.write_text(command, encoding="utf-8")
        return path

    return make

"""Looks for canary words wherever a run may have left them: every byte of every file, packed ones too, and processes.

A word is looked for in the forms that programs write it in: as bytes in any case, in UTF-16, in base64 and in hex. What
is packed (zip, gzip, bzip2, xz, and zlib streams wherever they begin) is unpacked, within limits.
"""

import base64
import bz2
import contextlib
import gzip
import io
import lzma
import os
import re
import threading
import zipfile
import zlib
from itertools import chain
from pathlib import Path

MOST = 64 << 20  # bytes of one packed stream
_DEPTH = 3
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_EVERY = 0.1  # seconds; a process of Python takes longer to start


class Canaries:
    """Words that stand nowhere else; what is found of them is told by the words themselves."""

    def __init__(self, words):
        self.words = tuple(words)
        self._forms = sorted({form for word in words for form in _forms(word.lower())})

    def in_bytes(self, data, depth=_DEPTH):
        """Whether any of the words stands in these bytes, or in what is packed in them."""
        lowered = data.lower()
        if any(form in lowered for form in self._forms):
            return True
        return depth > 0 and any(self.in_bytes(inner, depth - 1) for inner in _unpacked(data))

    def below(self, *folders):
        """Files below the folders that hold one of the words or are named by one; links are not followed."""
        found = []
        for folder in folders:
            # Folders that others delete meanwhile are passed over.
            for path in sorted(Path(top, name) for top, *names in os.walk(folder) for name in chain(*names)):
                if self.in_bytes(os.fsencode(path.name), 0):
                    found.append(f"{path} (its name)")
                with contextlib.suppress(FileNotFoundError):  # a program that goes on deletes its files
                    if path.is_file() and not path.is_symlink() and self.in_bytes(path.read_bytes()):
                        found.append(str(path))
        return found


class Watched:
    """While it is entered: what the arguments and the environment of all processes hold of the words."""

    def __init__(self, canaries):
        self._canaries = canaries
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.found = set()
        self.looked_at = set()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, _):
        self._ended.set()
        self._thread.join()

    def _watch(self):
        while not self._ended.wait(_EVERY):
            for process in Path("/proc").glob("[0-9]*"):
                for what in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        data = (process / what).read_bytes()
                        if data.startswith(b"tmux\0"):  # the hand that types
                            continue
                        self.looked_at.add(data.replace(b"\0", b" ").decode("utf-8", "replace"))
                        if self._canaries.in_bytes(data, 0):
                            self.found.add(f"{what}: {data.replace(bytes(1), b' ')[:300]!r}")


def _forms(word):
    """As they are in lower case; so base64 is met in more forms than it has."""
    raw = word.encode()
    yield from (raw, word.encode("utf-16-le"), word.encode("utf-16-be"), raw.hex().encode())
    for shift in range(3):
        # Of base64 the letters at both ends depend on what stands beside the word.
        text = base64.b64encode(bytes(shift) + raw)
        yield text[(0, 2, 3)[shift] : len(text) - 4].lower()


def _unpacked(data):
    if data[:4] == b"PK\x03\x04":
        with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield archive.read(name)[:MOST]
    for mark, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open)):
        if data.startswith(mark):
            with contextlib.suppress(Exception), opener(io.BytesIO(data)) as stream:
                yield stream.read(MOST)
    view = memoryview(data)
    for place in _ZLIB.finditer(data):
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj().decompress(view[place.start() :], MOST)

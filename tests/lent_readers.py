"""Reader processes that serve one ingest after another, because each takes half a second to start."""

from __future__ import annotations

from typing import Any, ClassVar

from localrag.ingest.readers.isolate import ReaderPool


class LentReaders:
    """In place of a ReaderPool: its processes are kept for the next one with the same limits, if all was read."""

    kept: ClassVar[tuple[dict[str, Any], ReaderPool] | None] = None

    def __init__(self, *, stop=None, **limits):
        self._stop, self._limits, self._read = stop or (lambda: False), limits, False

    def __enter__(self):
        kept, LentReaders.kept = LentReaders.kept, None
        if kept is not None and kept[0] != self._limits:
            kept[1].close()
            kept = None
        self._pool = kept[1] if kept is not None else ReaderPool(**self._limits)
        self._pool._stop = self._stop
        return self

    def __exit__(self, *exc):
        if self._read and LentReaders.kept is None:
            LentReaders.kept = self._limits, self._pool
        else:
            self._pool.close()

    def read_all(self, paths, links=True):
        yield from self._pool.read_all(paths, links)
        self._read = True


def close():
    kept, LentReaders.kept = LentReaders.kept, None
    if kept is not None:
        kept[1].close()

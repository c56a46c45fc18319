"""Measure how fast this machine reads and writes with a model, for `models/speed.py`.

It runs in a process of its own, offline, since a build of llama.cpp for another processor ends its process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from localrag import protocol
from localrag.errors import StorageError
from localrag.models import speed
from localrag.models.records import InstalledModel
from localrag.models.speed import Measured
from localrag.settings import Settings

_READ, _WRITTEN, _TRIES = 256, 16, 2  # tokens, and tries, of which the quicker counts
_PATIENCE = 300  # seconds; loading a large model from a slow disk takes one minute
_BUSY = 1.5  # a clock this many times ahead of the processor's own time shows other work


def measure(model: InstalledModel, settings: Settings) -> Measured | None:
    """Measure a generator and keep the result; None if it does not run."""
    how = {**speed.how(settings), "path": str(model.path), "model": model.id, "weights": model.sha256}
    command = [sys.executable, "-P", "-m", "localrag.llm.measuring", json.dumps({**how, "bytes": model.bytes})]
    try:
        printed = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False).stdout
        found: Measured = protocol.convert(json.loads(printed), Measured)
    except (OSError, ValueError, msgspec.MsgspecError, subprocess.TimeoutExpired):
        return None
    with suppress(StorageError):  # it is measured again the next time
        speed.save(found, settings)
    return found


def _run(path: str, **facts: Any) -> dict[str, Any]:
    from localrag.llm.llama_model import LlamaContext, LlamaModel

    model = LlamaModel(facts["model"], Path(path), gpu_layers=facts["gpu_layers"])
    threads = 0 if model.gpu_layers else facts["threads"]
    context = LlamaContext(model, _READ + _WRITTEN, facts["threads"], ThreadPoolExecutor(1, "llama"))
    text = [(7919 * n) % int(model.c.llama_vocab_n_tokens(model.vocab)) for n in range(_READ)]
    context.decode(text[:32], None)  # brings the weights into the memory
    reads, writes = [], []
    for _ in range(_TRIES):
        context.cut(0)
        reads.append(_timed(lambda: context.decode(text, None), threads))
        writes.append(_timed(lambda: [context.decode([one], None) for one in text[:_WRITTEN]], threads))
    busy = min(each[1] for each in reads)
    read, write = min(reads)[0] / _READ, min(writes)[0] / _WRITTEN
    return {**facts, "read": read, "write": write, "anew": model.why_not_movable, "busy": busy}


def _timed(work: Callable[[], Any], threads: int) -> tuple[float, bool]:
    """Return the seconds of some work by the clock; by the processor's time if other work took turns with it."""
    clock, own = time.perf_counter(), time.process_time()
    work()
    clock, own = time.perf_counter() - clock, (time.process_time() - own) / max(1, threads)
    busy = threads > 0 and clock > _BUSY * own
    return (own if busy else clock), busy


if __name__ == "__main__":
    from localrag.security import offline

    offline.confine()
    with protocol.own_pipes()[1] as out:
        out.write(json.dumps(_run(**json.loads(sys.argv[1]))).encode())

"""The worker process: it confines itself, and exits at once when the process that started it is gone.

That holds on Linux even if it hangs in native code; elsewhere native code must return first.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from localrag import protocol
from localrag.errors import LibraryError
from localrag.security import offline, sandbox
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key
from localrag.security.offline import remote
from localrag.worker.calls import Setup, Worker, calls_of
from localrag.worker.engine import Engine

_NICE = 2  # no slower than 0 or 5 in measurements; each level costs a fifth of the model's share of the processor
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def main(kind: type[Engine] = Engine) -> None:
    requests, replies = protocol.own_pipes()
    setup: Setup | None = protocol.receive(requests, Setup)
    if setup is None:
        return
    _settle(setup)
    for folder, secret in setup.keys:
        with suppress(LibraryError):  # it was deleted, or got another key, since the parent opened it
            unlocked.add_key(Path(folder), Key(secret))
    Worker(kind(setup.settings), calls_of(Engine), requests, replies, SimpleQueue()).serve()


def _settle(setup: Setup) -> None:
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if setup.channel is not None:
        remote.take(setup.channel)
    if setup.confined:
        offline.confine()
        sandbox.restrict(setup.settings, setup.libraries, reads=setup.reads)
    if sys.platform == "win32":
        return
    import resource

    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold text of documents
    with suppress(OSError):
        os.nice(_NICE)
    if sys.platform == "linux":
        import ctypes

        # Sent when the thread that started this process ends; `client` starts it from a thread that stays.
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != setup.parent:
        os._exit(0)


if __name__ == "__main__":
    main()

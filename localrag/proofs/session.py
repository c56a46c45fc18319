"""What is proven: a process that confines itself as `localrag ask` does, tries to get out, and does its work meanwhile.

`offline` starts it, gives it its order through a pipe, and reads back what came of it, JSON both ways. It tries
everything twice: right after it has confined itself, and again once it has read documents and answered, when the
native libraries are loaded and their threads run.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from localrag import policy
from localrag.proofs.attempts import ATTEMPTS, Target, attempt
from localrag.security import offline, sandbox
from localrag.settings import Settings, load_settings

QUESTION = "When does the lease of Harbour House end?"
LIBRARY = "proof"


def main() -> None:
    order = json.load(sys.stdin)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print goes nowhere
    target = Target(
        order["port"], order["unix"], order["process"], outside=Path(order["outside"]), inside=Path(order["home"])
    )
    offline.close_sockets()
    settings = load_settings().with_options(home=target.inside, generator=order["generator"])
    if not order["control"]:
        offline.confine(without=order["without"])
        if "files" not in order["without"]:
            sandbox.make_library_folder(settings, LIBRARY)
            sandbox.restrict(settings, [LIBRARY], reads=[Path(order["documents"])], without=order["without"])
    told: dict[str, Any] = {"before": _try_all(target), "layers": [asdict(layer) for layer in offline.layers()]}
    if order["work"]:
        told["work"] = _work(settings, Path(order["documents"]))
    told["after"] = _try_all(target) if order["work"] else told["before"]
    replies.write(json.dumps(told))
    replies.close()
    os._exit(0)  # models are slow to leave, and there is nothing more to say


def _try_all(target: Target) -> list[dict[str, str]]:
    return [asdict(attempt(one, target)) for one in ATTEMPTS]


def _work(settings: Settings, documents: Path) -> dict[str, Any]:
    """Read the documents into a library and answer a question from it, with the person's models."""
    from localrag import api
    from localrag.errors import LocalragError

    try:
        library = api.open_library(LIBRARY, settings=settings, create=True)
        if any(one.require_encryption for one in policy.active()):
            _encrypt(library.folder)
        try:
            report = library.ingest(documents)
        finally:
            library.close()
        asking = api.ask(QUESTION, libraries=[LIBRARY], settings=settings)
        for _ in asking:
            pass
        answer = asking.answer
    except LocalragError as error:
        return {"error": error.message, "hint": error.hint}
    return {
        "read": len(report.read),
        "passages": report.chunks, "answer": answer.answer, "citations": len(answer.citations),
        "model": answer.model,
    }  # fmt: skip


def _encrypt(folder: Path) -> None:
    """Encrypt the library to be, by a key that nobody keeps, where the policy wants it so."""
    from localrag.lifecycle import encrypt
    from localrag.security import storage
    from localrag.security.encryption.keyring import RecoveryKey

    storage.make_dir(folder)
    for _ in encrypt.encrypt(
        folder, lambda keyring, key: keyring.with_credential(key, "proof", RecoveryKey.new()), lambda: False
    ):
        pass


if __name__ == "__main__":
    main()

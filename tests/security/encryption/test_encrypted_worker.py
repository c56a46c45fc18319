"""A worker gets the keys that its parent holds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from localrag.lifecycle import encrypt
from localrag.security.encryption import keyring as keyrings
from localrag.settings import Settings
from localrag.store.writer import Editor
from localrag.worker.client import remote_engine


def test_a_worker_opens_what_its_parent_has_the_key_of(shelf: Callable[..., Editor], settings: Settings) -> None:
    library = shelf("contracts", {"a.txt": "The lease ends in May."})
    library.close()
    secret = keyrings.RecoveryKey.new()
    for _ in encrypt.encrypt(
        library.folder, lambda keyring, key: keyring.with_credential(key, "me", secret), lambda: False
    ):
        pass
    with closing(remote_engine(settings)) as engine:
        assert engine.page("contracts", "a.txt").page.text == "The lease ends in May."

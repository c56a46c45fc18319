"""Fast passphrases, and no key left over from one test to the next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localrag.security.encryption import keyring, unlocked


@pytest.fixture(autouse=True)
def quick_and_apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(keyring, "_ARGON2", {"memory_kib": 64, "passes": 1, "lanes": 1})
    # The process of the tests may be looked at.
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    unlocked.forget()
    yield
    unlocked.forget()
    unlocked.set_key_source(None)

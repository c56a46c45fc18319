"""Exports sealed for people: each of them opens it, nobody else does, and a changed one is refused."""

from __future__ import annotations

import pytest

from localrag.errors import KeyRequired, LocalragError, UsageError
from localrag.security.encryption import age
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption.age import Recipients
from localrag.security.encryption.keyring import Credential, Identity, Passphrase

WORDS = b"The Zanzibar lease ends in May.\n" * 10
ANNA = keyrings.credential(keyrings.new_identity())
SERVER = keyrings.credential(keyrings.new_key_file())
assert isinstance(ANNA, Identity)
EVERYBODY = Recipients((("anna", ANNA.public), ("server.key", SERVER), ("passphrase", Passphrase("correct horse"))))


def opened(data: bytes, credential: Credential) -> bytes:
    return age.opened(data, lambda keyring: keyring.unlock(credential))


@pytest.mark.parametrize("content", [WORDS, b"", bytes(3 << 20)])
def test_each_who_was_named_opens_it(content: bytes) -> None:
    data = EVERYBODY.seal(content)
    assert b"Zanzibar" not in data
    for credential in (ANNA, SERVER, Passphrase("correct horse")):
        assert opened(data, credential) == content
    for stranger in (keyrings.credential(keyrings.new_identity()), Passphrase("wrong horses")):
        with pytest.raises(KeyRequired):
            opened(data, stranger)


def test_two_files_for_the_same_people_have_nothing_in_common() -> None:
    one, other = Recipients((("anna", ANNA.public),)).seal(WORDS), Recipients((("anna", ANNA.public),)).seal(WORDS)
    assert one[-100:] != other[-100:] and opened(one, ANNA) == opened(other, ANNA)


def test_what_was_changed_or_cut_anywhere_is_refused() -> None:
    data = Recipients((("anna", ANNA.public),)).seal(WORDS)
    for at in range(0, len(data), 7):
        with pytest.raises(LocalragError):
            opened(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], ANNA)
        with pytest.raises(LocalragError):
            opened(data[:at], ANNA)


def test_another_file_and_a_wrong_public_key_are_told() -> None:
    with pytest.raises(UsageError, match="no file that localrag sealed"):
        opened(b"PK\x03\x04", ANNA)
    with pytest.raises(UsageError, match="public key"):
        Recipients((("anna", "lr1-nonsense"),)).seal(WORDS)

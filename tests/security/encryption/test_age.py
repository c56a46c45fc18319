"""Age files: every recipient opens them, so does any other age implementation, and a changed file is refused."""

from __future__ import annotations

import pyrage
import pytest

from localrag.errors import IntegrityError, KeyRequired, LocalragError, UsageError
from localrag.security.encryption import keyring
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption.keyring import Key, Passphrase, Recipients, SecretKey

pytestmark = pytest.mark.slow

WORDS = b"The Zanzibar lease ends in May.\n" * 10


def secret_key() -> SecretKey:
    made = keyrings.parse_key_file(keyrings.new_key_file())
    assert isinstance(made, SecretKey)
    return made


ANNA, SERVER = secret_key(), secret_key()
BOTH = Recipients((("anna", ANNA.public), ("server.key", SERVER.public)))


@pytest.mark.parametrize("content", [WORDS, b"", bytes(3 << 20)])
def test_each_recipient_opens_the_file_and_nobody_else(content: bytes) -> None:
    data = BOTH.encrypt(content)
    assert b"Zanzibar" not in data and not keyring.passphrase_work(data)
    assert keyring.decrypt(data, ANNA) == keyring.decrypt(data, SERVER) == content
    with pytest.raises(KeyRequired):
        keyring.decrypt(data, secret_key())


def test_a_wrong_passphrase_or_a_key_does_not_open_the_file() -> None:
    data = Recipients(passphrase="correct horse").encrypt(WORDS)  # tests/cli/test_keys.py opens one
    assert keyring.passphrase_work(data)
    for wrong in (Passphrase("wrong horses"), ANNA):
        with pytest.raises(KeyRequired):
            keyring.decrypt(data, wrong)


def test_other_age_tools_open_our_files_and_we_open_theirs() -> None:
    identity = pyrage.x25519.Identity.from_str(ANNA.text)
    assert pyrage.decrypt(BOTH.encrypt(WORDS), [identity]) == WORDS
    armored = pyrage.encrypt(WORDS, [identity.to_public()], armored=True)
    assert not keyring.passphrase_work(armored) and keyring.decrypt(armored, ANNA) == WORDS


def test_a_changed_or_cut_file_is_refused() -> None:
    data = BOTH.encrypt(WORDS)
    for at in range(0, len(data), 7):
        for harmed in (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], data[:at]):
            with pytest.raises(LocalragError):
                keyring.decrypt(harmed, ANNA)
    with pytest.raises(IntegrityError):
        keyring.decrypt(data[:-1], ANNA)


def test_a_file_that_is_not_age_and_bad_recipients_are_refused() -> None:
    for attempt in (
        lambda: keyring.decrypt(b"PK\x03\x04", ANNA),
        lambda: Recipients((("anna", "age1nonsense"),)).encrypt(WORDS),
        lambda: Recipients(passphrase="short").encrypt(WORDS),
    ):
        with pytest.raises(UsageError):
            attempt()


def test_the_keyring_of_recipients_opens_for_each_of_them() -> None:
    key = Key.new()
    keyring = Recipients((("anna", ANNA.public),), "correct horse").keyring(key)
    assert keyring.unlock(ANNA) == keyring.unlock(Passphrase("correct horse")) == key

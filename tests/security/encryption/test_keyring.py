"""The keyring: each holder opens the key by their own means, nobody else does, and nobody can add themselves."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from localrag.errors import KeyRequired, KeyringDamaged, UsageError
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption.keyring import Key, Keyring, Passphrase, RecoveryKey, SecretKey

KEY = Key(bytes(range(32)))
WORDS = Passphrase("correct horse")
RECOVERY = RecoveryKey(bytes(range(32, 64)))


def secret_key() -> SecretKey:
    made = keyrings.parse_key_file(keyrings.new_key_file())
    assert isinstance(made, SecretKey)
    return made


FILE, ANNA = secret_key(), secret_key()


def full() -> Keyring:
    keyring = keyrings.new_keyring(KEY).with_credential(KEY, "office", WORDS)
    keyring = keyring.with_credential(KEY, "safe", FILE).with_credential(KEY, "paper", RECOVERY)
    return keyring.with_public_key(KEY, "anna", ANNA.public)


@pytest.mark.parametrize("credential", [WORDS, FILE, ANNA, RECOVERY])
def test_each_holder_opens_the_key(credential: keyrings.Credential) -> None:
    stored = keyrings.from_json(keyrings.to_json(full(), KEY))
    assert len(stored.holders) == 4 and stored.unlock(credential) == KEY


@pytest.mark.parametrize("credential", [Passphrase("correct hors"), Passphrase(""), secret_key(), RecoveryKey.new()])
def test_nobody_else_opens_it(credential: keyrings.Credential) -> None:
    with pytest.raises(KeyRequired) as raised:
        full().unlock(credential)
    assert raised.value.hint


def test_an_entry_copied_from_another_keyring_opens_nothing() -> None:
    other = Key.new()
    foreign = keyrings.new_keyring(other).with_public_key(other, "anna", ANNA.public).holders
    with pytest.raises(KeyRequired):
        Keyring(KEY.id, foreign).unlock(ANNA)


def test_the_keyring_holds_neither_the_key_nor_a_credential() -> None:
    data = keyrings.to_json(full(), KEY)
    for secret in (KEY.secret.hex(), WORDS.text, str(RECOVERY), FILE.text):
        assert secret.encode() not in data


def test_a_holder_added_without_the_key_is_found() -> None:
    forged, other = json.loads(keyrings.to_json(full(), KEY)), Key.new()
    eve = keyrings.new_keyring(other).with_public_key(other, "eve", secret_key().public)
    forged["holders"] += json.loads(keyrings.to_json(eve, other))["holders"]
    with pytest.raises(KeyringDamaged):
        keyrings.check(json.dumps(forged).encode(), KEY)
    keyrings.check(keyrings.to_json(full(), KEY), KEY)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff", b'{"localrag-vault": 2}', b"[" * 100_000, b'{"localrag-vault": 1}']
)
def test_a_damaged_keyring_is_an_error_with_a_hint(data: bytes) -> None:
    with pytest.raises(KeyringDamaged) as raised:
        keyrings.from_json(data)
    assert raised.value.hint


@pytest.mark.parametrize(
    "made", [{"memory_kib": 1 << 21}, {"passes": 0}, {"passes": 100}, {"lanes": "4"}, {"salt": "%"}, {"salt": None}]
)
def test_a_keyring_cannot_demand_endless_memory_or_time(made: dict[str, object]) -> None:
    body = json.loads(keyrings.to_json(full(), KEY))
    body["holders"][0]["made"] |= made
    with pytest.raises(KeyringDamaged):
        keyrings.from_json(json.dumps(body).encode()).unlock(WORDS)


def test_holders_are_removed_but_not_the_last_and_names_are_unique() -> None:
    one = keyrings.new_keyring(KEY).with_credential(KEY, "office", WORDS)
    for attempt in (
        lambda: one.without("office"),
        lambda: one.without("anna"),
        lambda: one.with_credential(KEY, "office", Passphrase("other words")),
    ):
        with pytest.raises(UsageError):
            attempt()
    with pytest.raises(KeyRequired):
        full().without("anna").unlock(ANNA)


def test_a_recovery_key_may_be_typed_loosely_but_not_wrongly() -> None:
    text = str(RECOVERY)
    assert RecoveryKey.parse(text.upper().replace("-", " ")) == RECOVERY
    for wrong in (("a" if text[0] != "a" else "b") + text[1:], text[:-1], "", "hello"):
        with pytest.raises(UsageError):
            RecoveryKey.parse(wrong)


def test_a_key_file_holds_an_age_key_or_a_passphrase() -> None:
    data = keyrings.new_key_file()
    assert keyrings.parse_key_file(data.splitlines()[1]) == keyrings.parse_key_file(data)
    assert keyrings.parse_key_file(b"correct horse\n") == WORDS
    for wrong in (data[:-9], b"", b"  \n"):
        with pytest.raises(UsageError):
            keyrings.parse_key_file(wrong)


@pytest.mark.parametrize("mark", keyrings._OLD_MARKS)
def test_a_key_file_of_an_older_version_is_refused_with_what_to_do(mark: str) -> None:
    with pytest.raises(UsageError) as raised:
        keyrings.parse_key_file(f"{mark}abcdefgh\n".encode())
    assert "localrag vault add" in raised.value.hint


def test_short_passphrases_and_wrong_public_keys_are_refused() -> None:
    for attempt in (
        lambda: keyrings.new_keyring(KEY).with_credential(KEY, "office", Passphrase("1234567")),
        lambda: keyrings.new_keyring(KEY).with_public_key(KEY, "anna", "age1qqq"),
    ):
        with pytest.raises(UsageError):
            attempt()


def test_the_former_key_is_known_to_the_holder_of_the_new_one() -> None:
    old = Key.new()
    keyring = keyrings.from_json(keyrings.to_json(keyrings.new_keyring(KEY, old), KEY))
    assert keyring.former_key(KEY) == old
    with pytest.raises(KeyringDamaged):
        keyring.former_key(Key.new())
    assert replace(keyring, former=None).former_key(KEY) is None

"""Who may use a key: each by their own means, nobody else, and nobody by writing themselves into the keyring."""

from __future__ import annotations

import json

import pytest

from localrag.errors import KeyRequired, KeyringDamaged, UsageError
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption.keyring import Identity, Key, Keyring, Passphrase, Random

KEY = Key(bytes(range(32)))
FILE = keyrings.credential(keyrings.new_key_file())
ANNA = keyrings.credential(keyrings.new_identity())
WORDS, RECOVERY = keyrings.new_recovery()


def full() -> Keyring:
    assert isinstance(FILE, Random) and isinstance(ANNA, Identity)
    keyring = keyrings.new_keyring(KEY).with_passphrase(KEY, "office", "correct horse")
    keyring = keyring.with_random(KEY, "safe", FILE).with_random(KEY, "paper", RECOVERY)
    return keyring.with_person(KEY, "anna", ANNA.public)


@pytest.mark.parametrize("credential", [Passphrase("correct horse"), FILE, ANNA, RECOVERY, keyrings.recovery(WORDS)])
def test_each_holder_opens_the_key_by_their_own_means(credential: keyrings.Credential) -> None:
    kept = keyrings.from_json(keyrings.to_json(full(), KEY))
    assert kept == full() or len(kept.holders) == 4
    assert kept.unlock(credential) == KEY


@pytest.mark.parametrize(
    "credential",
    [
        Passphrase("correct hors"), Passphrase(""), keyrings.credential(keyrings.new_key_file()), keyrings.new_recovery()[1],
        keyrings.credential(keyrings.new_identity()),
    ],
)  # fmt: skip
def test_nobody_else_opens_it(credential: keyrings.Credential) -> None:
    with pytest.raises(KeyRequired) as raised:
        full().unlock(credential)
    assert raised.value.hint


def test_the_ring_holds_neither_the_key_nor_what_opens_it() -> None:
    data = keyrings.to_json(full(), KEY)
    assert KEY.secret.hex().encode() not in data and b"correct horse" not in data
    assert WORDS.encode() not in data


def test_a_holder_who_was_written_in_without_the_key_is_found() -> None:
    stranger = Identity(bytes(range(1, 33)))
    forged = json.loads(keyrings.to_json(full(), KEY))
    other = Key.new()
    forged["holders"].append(
        json.loads(keyrings.to_json(keyrings.new_keyring(other).with_person(other, "eve", stranger.public), other))[
            "holders"
        ][0]
    )
    with pytest.raises(KeyringDamaged, match="changed it"):
        keyrings.check(json.dumps(forged).encode(), KEY)
    keyrings.check(keyrings.to_json(full(), KEY), KEY)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"null", b"\xff", b'{"localrag-vault": 2}', b"[" * 100_000, b'{"localrag-vault": 1}']
)
def test_a_damaged_ring_is_an_error_with_a_hint(data: bytes) -> None:
    with pytest.raises(KeyringDamaged) as raised:
        keyrings.from_json(data)
    assert raised.value.hint


@pytest.mark.parametrize(
    "made", [{"memory_kib": 1 << 21}, {"passes": 0}, {"passes": 100}, {"lanes": "4"}, {"salt": "%"}, {"salt": None}]
)
def test_a_ring_cannot_ask_for_endless_memory_or_time(made: dict[str, object]) -> None:
    body = json.loads(keyrings.to_json(full(), KEY))
    body["holders"][0]["made"] |= made
    with pytest.raises(KeyringDamaged):
        keyrings.from_json(json.dumps(body).encode()).unlock(Passphrase("correct horse"))


def test_the_last_holder_cannot_be_taken_away_and_two_cannot_share_a_name() -> None:
    one = keyrings.new_keyring(KEY).with_passphrase(KEY, "office", "correct horse")
    with pytest.raises(UsageError, match="the last"):
        one.without("office")
    with pytest.raises(UsageError, match="already"):
        one.with_passphrase(KEY, "office", "other words")
    with pytest.raises(UsageError, match="nobody named"):
        one.without("anna")
    with pytest.raises(KeyRequired):
        full().without("anna").unlock(ANNA)


def test_a_recovery_key_may_be_typed_as_people_type() -> None:
    assert keyrings.recovery(WORDS.upper().replace("-", " ")) == RECOVERY
    wrong = ("a" if WORDS[0] != "a" else "b") + WORDS[1:]
    for text in (wrong, WORDS[:-1], "", "hello"):
        with pytest.raises(UsageError, match="recovery key"):
            keyrings.recovery(text)


def test_a_key_file_that_is_a_key_was_cut_short_or_holds_a_passphrase() -> None:
    data = keyrings.new_key_file()
    assert isinstance(keyrings.credential(data), Random)
    assert keyrings.credential(b"correct horse\n") == Passphrase("correct horse")
    for wrong in (data[:-9], b"", b"  \n"):
        with pytest.raises(UsageError):
            keyrings.credential(wrong)


def test_short_passphrases_are_refused() -> None:
    with pytest.raises(UsageError, match="too short"):
        keyrings.new_keyring(KEY).with_passphrase(KEY, "office", "1234567")


def test_the_key_before_is_known_to_the_holder_of_the_new_one() -> None:
    old = Key.new()
    keyring = keyrings.from_json(keyrings.to_json(keyrings.new_keyring(KEY, old), KEY))
    assert keyring.former_key(KEY) == old
    with pytest.raises(KeyringDamaged):
        keyring.former_key(Key.new())
    assert keyring.settled().former_key(KEY) is None

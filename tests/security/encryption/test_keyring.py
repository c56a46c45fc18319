import base64
import json
from dataclasses import replace

import pyrage
import pytest

from localrag.errors import IntegrityError, KeyRequired, KeyringDamaged, LocalragError, UsageError
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption.keyring import Key, Keyring, Passphrase, Recipients, RecoveryKey, SecretKey

KEY = Key(bytes(range(32)))
WORDS = Passphrase("correct horse")
RECOVERY = RecoveryKey(bytes(range(32, 64)))
CONTENT = b"The Zanzibar lease ends in May.\n" * 10


def secret_key():
    made = keyrings.parse_key_file(keyrings.new_key_file())
    assert isinstance(made, SecretKey)
    return made


FILE, ANNA = secret_key(), secret_key()
BOTH = Recipients((("anna", ANNA.public), ("server.key", FILE.public)))


def full():
    keyring = keyrings.new_keyring(KEY).with_credential(KEY, "office", WORDS)
    keyring = keyring.with_credential(KEY, "safe", FILE).with_credential(KEY, "paper", RECOVERY)
    return keyring.with_public_key(KEY, "anna", ANNA.public)


@pytest.mark.parametrize("credential", [WORDS, FILE, ANNA, RECOVERY])
def test_each_holder_opens_the_key(credential):
    stored = keyrings.from_json(keyrings.to_json(full(), KEY))
    assert len(stored.holders) == 4 and stored.unlock(credential) == KEY


@pytest.mark.parametrize("credential", [Passphrase("correct hors"), Passphrase(""), secret_key(), RecoveryKey.new()])
def test_nobody_else_opens_it(credential):
    with pytest.raises(KeyRequired) as raised:
        full().unlock(credential)
    assert raised.value.hint


def test_an_entry_of_another_keyring_or_with_too_much_in_it_opens_nothing():
    other = Key.new()
    foreign = keyrings.new_keyring(other).with_public_key(other, "anna", ANNA.public).holders
    longer = pyrage.encrypt(KEY.id + bytes(40), [pyrage.x25519.Recipient.from_str(ANNA.public)])
    for holders in (foreign, (replace(foreign[0], wrapped=longer),)):
        with pytest.raises(KeyRequired):
            Keyring(KEY.id, holders).unlock(ANNA)


def test_the_keyring_holds_neither_the_key_nor_a_credential():
    data = keyrings.to_json(full(), KEY)
    for secret in (KEY.secret.hex(), WORDS.text, str(RECOVERY), FILE.text):
        assert secret.encode() not in data


def test_a_holder_added_without_the_key_is_found():
    forged, other = json.loads(keyrings.to_json(full(), KEY)), Key.new()
    eve = keyrings.new_keyring(other).with_public_key(other, "eve", secret_key().public)
    forged["holders"] += json.loads(keyrings.to_json(eve, other))["holders"]
    with pytest.raises(KeyringDamaged):
        keyrings.check(json.dumps(forged).encode(), KEY)
    keyrings.check(keyrings.to_json(full(), KEY), KEY)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"localrag-vault": 2}', b"[" * 100_000])
def test_a_damaged_keyring_is_an_error_with_a_hint(data):
    with pytest.raises(KeyringDamaged) as raised:
        keyrings.from_json(data)
    assert raised.value.hint


@pytest.mark.parametrize(
    "made", [{"memory_kib": 1 << 21}, {"passes": 0}, {"passes": 100}, {"lanes": "4"}, {"salt": "%"}]
)
def test_a_keyring_cannot_demand_endless_memory_or_time(made):
    body = json.loads(keyrings.to_json(full(), KEY))
    body["holders"][0]["made"] |= made
    with pytest.raises(KeyringDamaged):
        keyrings.from_json(json.dumps(body).encode()).unlock(WORDS)


def test_holders_are_removed_but_not_the_last_and_names_are_unique():
    one = keyrings.new_keyring(KEY).with_credential(KEY, "office", WORDS)
    for attempt in (
        lambda: one.without("office"),
        lambda: one.without("anna"),
        lambda: one.with_credential(KEY, "office", Passphrase("other words")),
        lambda: one.with_credential(KEY, "anna", Passphrase("1234567")),  # too short
        lambda: one.with_public_key(KEY, "anna", "age1qqq"),
    ):
        with pytest.raises(UsageError):
            attempt()
    with pytest.raises(KeyRequired):
        full().without("anna").unlock(ANNA)


def test_a_recovery_key_may_be_typed_loosely_but_not_wrongly():
    text = str(RECOVERY)
    assert RecoveryKey.parse(text.upper().replace("-", " ")) == RECOVERY
    for wrong in (("a" if text[0] != "a" else "b") + text[1:], text[:-1], "", "hello"):
        with pytest.raises(UsageError):
            RecoveryKey.parse(wrong)


def test_a_key_file_holds_an_age_key_or_a_passphrase():
    data = keyrings.new_key_file()
    assert keyrings.parse_key_file(data.splitlines()[1]) == keyrings.parse_key_file(data)
    assert keyrings.parse_key_file(b"correct horse\n") == WORDS
    others = (b"%PDF-1.7\n%\xe2\xe3\n", b"a\0b", b"w" * 5000, data.split()[3], b"AGE-SECRET-KEY-1\xff")
    for wrong in (data[:-9], b"", b"  \n", *others):
        with pytest.raises(UsageError):
            keyrings.parse_key_file(wrong)
    with pytest.raises(UsageError):
        keyrings.check_public_key("age1\udcff")


@pytest.mark.parametrize("mark", keyrings._OLD_MARKS)
def test_a_key_file_of_an_older_version_is_refused_with_what_to_do(mark):
    with pytest.raises(UsageError) as raised:
        keyrings.parse_key_file(f"{mark}abcdefgh\n".encode())
    assert "localrag vault add" in raised.value.hint


def test_the_former_key_is_known_to_the_holder_of_the_new_one():
    old = Key.new()
    keyring = keyrings.from_json(keyrings.to_json(keyrings.new_keyring(KEY, old), KEY))
    assert keyring.former_key(KEY) == old
    with pytest.raises(KeyringDamaged):
        keyring.former_key(Key.new())
    assert replace(keyring, former=None).former_key(KEY) is None


# --- age files ----------------------------------------------------------------------------------------------

SCRYPT = b"age-encryption.org/v1\n-> scrypt bkLVcX1YYTeVSxGXCNgQWw %d\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n"


def test_each_recipient_opens_the_file_as_other_tools_do_and_nobody_else():
    data, identity = BOTH.encrypt(CONTENT), pyrage.x25519.Identity.from_str(ANNA.text)
    assert b"Zanzibar" not in data and not keyrings.passphrase_work(data)
    assert keyrings.decrypt(data, ANNA) == keyrings.decrypt(data, FILE) == pyrage.decrypt(data, [identity]) == CONTENT
    armored = pyrage.encrypt(CONTENT, [identity.to_public()], armored=True).replace(b"\n", b"\r\n")
    assert not keyrings.passphrase_work(armored) and keyrings.decrypt(armored, ANNA) == CONTENT
    with pytest.raises(KeyRequired):
        keyrings.decrypt(data, secret_key())


@pytest.mark.slow
def test_a_wrong_passphrase_or_a_key_does_not_open_the_file():
    data = Recipients(passphrase="correct horse").encrypt(CONTENT)  # tests/cli/test_keys.py opens one
    assert keyrings.passphrase_work(data)
    for wrong in (Passphrase("wrong horses"), Passphrase("correct \udcff"), ANNA):
        with pytest.raises(KeyRequired):
            keyrings.decrypt(data, wrong)


@pytest.mark.parametrize("factor", [23, 10**6])
def test_an_age_file_cannot_demand_all_memory(factor, monkeypatch):
    monkeypatch.setattr(pyrage.passphrase, "decrypt", lambda *_: pytest.fail("it was tried"))
    lines = base64.encodebytes(SCRYPT % factor + bytes(100)).replace(b"\n", b"\r\n")
    armored = b"-----BEGIN AGE ENCRYPTED FILE-----\r\n" + lines + b"-----END AGE ENCRYPTED FILE-----\r\n"
    for data in (SCRYPT % factor, armored):
        assert keyrings.passphrase_work(data) == factor
        with pytest.raises(KeyRequired):
            keyrings.decrypt(data, WORDS)


@pytest.mark.slow
def test_a_changed_or_cut_file_is_refused():
    data = BOTH.encrypt(CONTENT)
    for at in range(0, len(data), 7):
        for harmed in (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], data[:at]):
            with pytest.raises(LocalragError):
                keyrings.decrypt(harmed, ANNA)
    with pytest.raises(IntegrityError):
        keyrings.decrypt(data[:-1], ANNA)


def test_a_file_that_is_not_age_and_bad_recipients_are_refused():
    for attempt in (
        lambda: keyrings.decrypt(b"PK\x03\x04", ANNA),
        lambda: Recipients((("anna", "age1nonsense"),)).encrypt(CONTENT),
        lambda: Recipients(passphrase="short").encrypt(CONTENT),
    ):
        with pytest.raises(UsageError):
            attempt()


def test_the_keyring_of_recipients_opens_for_each_of_them():
    keyring = Recipients((("anna", ANNA.public),), "correct horse").keyring(KEY)
    assert keyring.unlock(ANNA) == keyring.unlock(WORDS) == KEY

"""`--encrypt` and `--encrypt-for`: each command that writes an export can encrypt it, and `vault open` reads it back."""

import getpass
import json

import command_line
import pytest
from command_line import refused
from conversations import WHOLE

from localrag.cli import keys
from localrag.errors import KeyRequired, NotFoundError, UsageError
from localrag.security import audit
from localrag.security.encryption import keyring
from localrag.sessions import store_of

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(keyring, "_ARGON2", {"memory_kib": 64, "passes": 1, "lanes": 1})
    monkeypatch.setattr(keys, "_can_ask", lambda: False)
    monkeypatch.setattr(keys, "from_keyring", lambda keyring: None)
    monkeypatch.setattr(keys, "_given", None)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def run(*words):
    keys._given = None
    return command_line.run(*words)


@pytest.fixture
def public(here):
    return run("vault", "identity", "anna.key").stdout.strip()


@pytest.fixture
def conversation(settings):
    store = store_of(settings)
    store.append(store.new((), "About the secret merger"), WHOLE)


def test_an_export_is_encrypted_for_a_public_key(conversation, public, here, settings):
    run("sessions", "export", "last", "--encrypt-for", public)
    (sealed,) = here.glob("*.age")
    assert "merger" not in sealed.name and b"31 May 2030" not in sealed.read_bytes()
    run("vault", "open", sealed.name, "--key-file", "anna.key")
    assert "31 May 2030" in sealed.with_name(sealed.stem).read_text() and sealed.stem.endswith(".md")
    assert "exists" in str(refused(UsageError, "vault", "open", sealed.name))
    (entry,) = audit.entries(settings.audit_file)
    assert entry.details["encrypted_for"] == [public[:12]]
    run("vault", "key-file", "--out", "other.key")
    refused(KeyRequired, "vault", "open", sealed.name, "-o", "-", "--key-file", "other.key")
    keys._given = None
    refused(KeyRequired, "vault", "open", sealed.name, "-o", "-")


def test_a_passphrase_is_asked_for_twice_and_opens_it(conversation, here, monkeypatch):
    assert "no terminal" in str(refused(UsageError, "sessions", "export", "last", "--encrypt"))
    monkeypatch.setattr(keys, "_can_ask", lambda: True)
    typed = iter(["correct horse"] * 3)
    monkeypatch.setattr(getpass, "getpass", lambda prompt: next(typed))
    run("sessions", "export", "last", "-o", "notice.json", "--encrypt")
    assert [path.name for path in here.iterdir()] == ["notice.json.age"]
    assert json.loads(run("vault", "open", "notice.json.age", "-o", "-").stdout)["title"]


def test_tables_and_records_are_sealed_too(shelf, models, public, here):
    shelf("contracts", {"a.txt": "The lease ends in May 2030. The lease is long.", "b.txt": "No lease."})
    run("ask", 'How many times does "lease" occur?', "--out", "count.csv", "--encrypt-for", public)
    run("audit", "export", "--out", "record.jsonl", "--encrypt-for", public)
    assert {path.name for path in here.iterdir()} == {"anna.key", "count.csv.age", "record.jsonl.age"}
    for name, words in (("count.csv", "a.txt"), ("record.jsonl", '"event": "ask"')):
        run("vault", "open", f"{name}.age", "--key-file", "anna.key")
        assert words in (here / name).read_text("utf-8-sig")


def test_what_cannot_be_encrypted_or_opened_is_refused(conversation, here):
    for who, words in (("anna", "neither a public key"), ("age1abc", "public key")):
        assert words in refused(UsageError, "sessions", "export", "last", "--encrypt-for", who).message
    assert list(here.iterdir()) == []
    (here / "a.age").write_bytes(b"something else")
    refused(UsageError, "vault", "open", "a.age", "--key-file", "a.age")
    assert "-o OUT" in refused(UsageError, "vault", "open", "a.txt").hint
    refused(NotFoundError, "vault", "open", "a.age", "--key-file", "missing.key")
    keys._given = None
    refused(NotFoundError, "vault", "open", "missing.age")

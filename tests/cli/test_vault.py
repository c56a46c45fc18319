import getpass
from pathlib import Path

import pytest
from command_line import refused, run, run_json
from conversations import WHOLE

from localrag.cli import keys
from localrag.errors import KeyRequired, LocalragError, NotFoundError, UsageError
from localrag.security import audit, storage
from localrag.security.encryption import keyring, unlocked
from localrag.sessions import store_of, table_export
from localrag.store import names

CANARY = "zanzibarquill"


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Each test is a process that has asked for no key yet, away from any terminal."""
    monkeypatch.setattr(keyring, "_ARGON2", {"memory_kib": 64, "passes": 1, "lanes": 1})
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    monkeypatch.setattr(keys, "_can_ask", lambda: False)
    monkeypatch.setattr(keys, "from_keyring", lambda keyring: None)
    lock()
    yield
    lock()
    unlocked.set_key_source(None)


def lock():
    unlocked.forget()
    unlocked.set_key_source(keys.library_key)
    keys._given = None


@pytest.fixture
def typing(monkeypatch):
    """Somebody at the terminal who types these; returns what they were asked."""

    def at_the_terminal(*words):
        asked = []
        answers = iter(words)

        def answer(prompt):
            asked.append(prompt)
            return next(answers)

        monkeypatch.setattr(keys, "_can_ask", lambda: True)
        monkeypatch.setattr(getpass, "getpass", answer)
        return asked

    return at_the_terminal


def fine(*words):
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def papers(folder, models):
    return folder({"lease.txt": f"The {CANARY} lease ends on 31 March 2031.\n" * 5, "b.txt": "Other words.\n"})


@pytest.fixture
def key(tmp_path):
    file = tmp_path / "contracts.key"
    fine("vault", "key-file", "--out", str(file))
    return file


def in_clear(home):
    return [str(path) for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def test_a_library_that_is_encrypted_from_the_first_never_lay_in_clear(papers, key, home, monkeypatch):
    seen = []
    move = Path.replace

    def watched(self, target):
        seen.extend(in_clear(home))
        return move(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    output = fine("ingest", str(papers), "--name", "contracts", "--encrypt", "--key-file", str(key))
    assert "Recovery key" in output and seen == [] and in_clear(home) == []
    assert "lease.txt" in fine("search", CANARY, "-l", "contracts", "--key-file", str(key))
    lock()
    error = refused(KeyRequired, "search", CANARY, "-l", "contracts")
    assert "--key-file" in error.hint and error.exit_code == 5


def test_a_passphrase_typed_twice_encrypts_a_library(papers, home, typing):
    fine("ingest", str(papers), "--name", "contracts")
    assert "key-file" in refused(UsageError, "vault", "encrypt", "contracts").hint
    typing("correct horse", "correct hors")
    assert "differ" in refused(UsageError, "vault", "encrypt", "contracts").message
    assert run_json("vault", "status")["libraries"][0]["encrypted"] is False and in_clear(home)
    asked = typing("correct horse", "correct horse")
    done = run_json("vault", "encrypt", "contracts")
    assert len(asked) == 2 and in_clear(home) == [] and done["encrypted"]
    lock()
    asked = typing("wrong horses", "correct horse")
    assert "lease.txt" in fine("search", CANARY, "-l", "contracts")
    assert len(asked) == 2 and "contracts" in asked[0]
    lock()
    asked = typing("one", "two", "three", "correct horse")
    refused(KeyRequired, "search", CANARY, "-l", "contracts")
    assert len(asked) == 3
    typing(done["recovery_key"])
    assert "lease.txt" in fine("search", CANARY, "-l", "contracts")


def test_others_are_let_in_by_their_own_means_and_taken_out_again(papers, key, tmp_path):
    opens = ("--key-file", str(key))
    fine("ingest", str(papers), "--name", "contracts", "--encrypt", *opens)
    anna = tmp_path / "anna"
    public = fine("vault", "identity", str(anna)).strip()
    assert fine("vault", "identity", str(anna)).strip() == public
    fine("vault", "add", "contracts", "anna", "--public", public, *opens)
    recovery = run_json("vault", "add", "contracts", "paper", "--recovery", *opens)["recovery_key"]
    assert recovery.count("-") > 10
    lock()
    assert "lease.txt" in fine("search", CANARY, "-l", "contracts", "--key-file", str(anna))
    assert "anna (public key)" in fine("vault", "status")
    left = run_json("vault", "rotate", "contracts", *opens)["left_behind"]
    assert left == ["recovery", "paper"]
    lock()
    assert "lease.txt" in fine("search", CANARY, "-l", "contracts", "--key-file", str(anna))
    fine("vault", "remove", "contracts", "anna")
    fine("vault", "rotate", "contracts", *opens)
    lock()
    refused(KeyRequired, "search", CANARY, "-l", "contracts", "--key-file", str(anna))
    assert "lease.txt" in fine("search", CANARY, "-l", "contracts", *opens)


def test_finding_a_folders_library_asks_for_no_key_of_another(papers, folder, key, settings, typing):
    fine("ingest", str(papers), "--name", "secret", "--encrypt", "--key-file", str(key))
    other = folder({"c.txt": "Words."}, "other")
    fine("ingest", str(other))
    lock()
    asked = typing()
    assert names.library_of(other, settings) == "other"
    assert names.library_of(papers, settings) is None
    assert asked == []


def test_listing_an_encrypted_library_needs_no_key_deleting_does(papers, key, home):
    fine("ingest", str(papers), "--name", "contracts", "--encrypt", "--key-file", str(key))
    assert "encrypted" in fine("status", "contracts") and "encrypted" in fine("libraries")
    lock()
    assert "its key is not here" in fine("libraries")
    refused(KeyRequired, "forget", "contracts", "--yes")
    fine("forget", "contracts", "--yes", "--key-file", str(key))
    assert not (home / "indexes" / "contracts").exists()


def test_a_key_file_is_private_and_never_overwritten_and_one_without_a_key_refused(papers, key, tmp_path):
    before = key.read_bytes()
    assert "exists" in refused(UsageError, "vault", "key-file", "--out", str(key)).message
    assert key.read_bytes() == before and key.stat().st_mode & 0o777 == 0o600
    fine("ingest", str(papers), "--name", "contracts")
    for content in ("", "localrag-key-1:aaaa"):
        storage.write_bytes(tmp_path / "k", content.encode())
        refused(UsageError, "vault", "encrypt", "contracts", "--key-file", str(tmp_path / "k"))
    refused(NotFoundError, "vault", "encrypt", "contracts", "--key-file", str(tmp_path / "none"))


def test_a_conversation_is_named_by_who_has_a_key_file_and_nobody_is_asked(papers, key, settings, typing):
    fine("ingest", str(papers), "--name", "contracts", "--encrypt", "--key-file", str(key))
    store = store_of(settings)
    store.append(store.new(("contracts",), "Lease"), WHOLE)
    lock()
    asked = typing()
    error = refused(LocalragError, "sessions", "show", "last")
    assert "contracts" in error.hint and "--key-file" in error.hint and asked == []
    assert "# Lease" in fine("sessions", "show", "last", "--key-file", str(key))
    fine("vault", "key-file", "--out", str(key.with_name("other.key")))
    lock()
    refused(LocalragError, "sessions", "show", "last", "--key-file", str(key.with_name("other.key")))


def test_only_the_log_of_an_encrypted_library_names_its_exports(papers, key, settings, home, tmp_path):
    fine("ingest", str(papers), "--name", "contracts", "--encrypt", "--key-file", str(key))
    store = store_of(settings)
    store.append(store.new(("contracts",), f"Of the {CANARY}"), WHOLE)
    fine("sessions", "export", "last", "-o", str(tmp_path / f"{CANARY}.md"))
    rows = [{"library": "contracts", "answer": "x"}]
    table_export.save(rows, tmp_path / f"{CANARY}.csv", "?", settings.library_audit_file)
    assert in_clear(home) == []
    exports = [entry for entry in audit.entries(settings.library_audit_file("contracts")) if entry.event == "export"]
    assert len(exports) == 2 and all(CANARY in str(entry.details) for entry in exports)

"""What was kept before the first release still opens: nothing that a person made is lost by an upgrade.

`libraries-2026-11-25.zip` was written by localrag 0.1.0 as it was that day: 'plain', a library of two texts with a
conversation and its log, and the same encrypted as 'sealed', without its database for size.
"""

import shutil
from pathlib import Path

import pytest

from localrag.errors import KeyRequired
from localrag.lifecycle import encrypt
from localrag.security import audit
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Passphrase
from localrag.sessions import SessionStore
from localrag.store.library import Library

KEPT = Path(__file__).with_name("libraries-2026-11-25.zip")


@pytest.fixture
def indexes(home):
    folder = home / "indexes"
    shutil.unpack_archive(KEPT, folder)
    return folder


def conversation(indexes, name):
    store = SessionStore(indexes.parent / "sessions", libraries=indexes)
    (found,) = [one for one in store.list() if name in one.libraries]
    (turn,) = store.load(found.id).turns
    return turn.question, turn.answer.answer.splitlines()[0], turn.answer.citations[0].document


def test_documents_conversations_and_the_log_are_whole(indexes):
    library = Library.open(indexes / "plain", "plain")
    assert [document.path for document in library.documents()] == ["lease.txt", "notice.md"]
    assert "EUR 46,500" in library.page_text(library.document("lease.txt").id, 0)
    assert len(library.index()) == 2 and library.counts()["chunks"] == 2
    library.close()
    question, answer, document = conversation(indexes, "plain")
    assert question == 'How many times does "deposit" occur?' and "2 times" in answer and document == "lease.txt"
    assert audit.verify(indexes / "plain/audit.jsonl") == []


def test_an_encrypted_library_opens_by_its_passphrase(indexes):
    folder = indexes / "sealed"
    with pytest.raises(KeyRequired):
        audit.verify(folder / "audit.jsonl")
    unlocked.add_key(folder, encrypt.keyring_of(folder).unlock(Passphrase("correct horse battery staple")))
    assert conversation(indexes, "sealed") == conversation(indexes, "plain")
    assert audit.verify(folder / "audit.jsonl") == []

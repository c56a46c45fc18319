"""Files and messages of others are taken or refused: no other error, nothing outside, no endless work.

Found by `tests/fuzzing/guided.py`, or by reading what it was to run. Its corpus is replayed here too.
"""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyrage
import pytest
from papers import ingest

from localrag import policy, protocol, settings
from localrag.errors import (
    KeyRequired,
    KeyringDamaged,
    LibraryError,
    NotFoundError,
    PolicyUnreadable,
    SettingsError,
    UsageError,
)
from localrag.evaluation import datasets
from localrag.ingest.readers import programs, wire
from localrag.ingest.readers.source import Options
from localrag.search import filters
from localrag.security import audit, storage
from localrag.security.encryption import keyring
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption.keyring import Key, Passphrase
from localrag.sessions import SessionStore
from localrag.sessions.session_store import Session, to_json
from localrag.store.full_text import PASSAGES, FullText, Indexer
from localrag.store.names import Tombstones
from localrag.store.text_analysis import Token
from localrag.store.vector_index import FaissIndex
from localrag.store.writer import Editor
from localrag.types import Filter, Page, Part, Reading

pytestmark = pytest.mark.slow

DEEP = "[" * 100_000
LONG_NUMBER = "0x" + "f" * 5000  # more digits than Python prints
_ID = "20260301T101112123456-abcdef"


def test_the_corpus_of_the_fuzzer_has_no_finding() -> None:
    guided = Path(__file__).parents[1] / "fuzzing" / "guided.py"
    done = subprocess.run([sys.executable, guided, "--replay"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(inputs for inputs, _ in json.loads(done.stdout.splitlines()[-1]).values())


# --- age files and keys -------------------------------------------------------------------------------------


def armored(header: bytes) -> bytes:
    import base64

    text = base64.b64encode(header + bytes(100)).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join(("-----BEGIN AGE ENCRYPTED FILE-----", *lines, "-----END AGE ENCRYPTED FILE-----", "")).encode()


SCRYPT = b"age-encryption.org/v1\n-> scrypt bkLVcX1YYTeVSxGXCNgQWw %d\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n"


def test_an_armored_file_with_a_passphrase_is_recognised() -> None:
    public = pyrage.x25519.Identity.generate().to_public()
    for end in (b"\n", b"\r\n"):
        assert keyring.passphrase_work(armored(SCRYPT % 10).replace(b"\n", end))
        assert not keyring.passphrase_work(pyrage.encrypt(b"words", [public], armored=True).replace(b"\n", end))


@pytest.mark.parametrize("factor", [23, 40, 10**6])
def test_an_age_file_cannot_demand_all_memory(factor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyrage.passphrase, "decrypt", lambda *_: pytest.fail("it was tried"))
    for data in (SCRYPT % factor, armored(SCRYPT % factor)):
        with pytest.raises(KeyRequired):
            keyring.decrypt(data, Passphrase("correct horse"))


@pytest.mark.parametrize(
    "wrong", [b"%PDF-1.7\n%\xe2\xe3\n", b"a\0b", b"-----BEGIN KEY-----\nabc\n-----END", b"w" * 5000]
)
def test_a_file_that_is_no_key_is_not_taken_for_a_passphrase(wrong: bytes) -> None:
    with pytest.raises(UsageError):
        keyrings.parse_key_file(wrong)


def test_a_passphrase_that_is_no_unicode_opens_nothing() -> None:
    with pytest.raises(KeyRequired):
        keyring.decrypt(pyrage.passphrase.encrypt(b"words", "correct horse"), Passphrase("correct \udcff"))


@pytest.mark.parametrize("wrong", ["AGE-SECRET-KEY-1\udcff", "AGE-SECRET-KEY-1\0"])
def test_a_key_with_strange_letters_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError):
        keyrings.parse_key_file(wrong.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError):
        keyrings.check_public_key(wrong)


def test_a_public_key_is_not_taken_for_a_passphrase() -> None:
    public = keyrings.new_key_file().split()[3]
    with pytest.raises(UsageError):
        keyrings.parse_key_file(public + b"\n")


@pytest.mark.parametrize("proof", ["\ud800", 5, None, [[]]])
def test_a_keyring_with_a_strange_proof_is_refused(proof: object) -> None:
    key = Key(bytes(32))
    body = json.loads(keyrings.to_json(keyrings.new_keyring(key), key)) | {"proof": proof}
    with pytest.raises(KeyringDamaged):
        keyrings.check(json.dumps(body).encode(), key)


# --- lines and records --------------------------------------------------------------------------------------


def test_a_line_with_half_a_character_is_appended_and_read_back(tmp_path: Path) -> None:
    row = {"doc": "caf\udce9.txt", "city": "Zürich"}
    storage.append_line(tmp_path / "lines", json.dumps(row, ensure_ascii=False))
    line = (tmp_path / "lines").read_bytes()
    assert json.loads(line) == row and "Zürich".encode() in line


def test_a_record_with_strange_values_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    audit.record(file, "ask", "made", question="When?")
    good = json.loads(file.read_bytes())
    for strange in (5, {}, "ab#1", [[]]):
        file.write_text(json.dumps(good | {"details": {"shown": strange}}) + "\n")
        audit.forget(file, ["ab"])
    for change in ({"mark": "\ud800"}, {"previous": "\ud800"}, {"torn": []}, {"number": -1}, {"library": {}}):
        file.write_text(json.dumps(good | change) + "\n")
        assert audit.verify(file)
    (entry,) = list(audit.entries(file))
    for folder in (audit.WORDS_FOLDER, audit.LISTS_FOLDER):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{entry.number}.json").write_text(DEEP)
    assert audit.words_of(file, entry) is None and audit.lists_of(file, entry) is None


# --- conversations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outside", ["../outside", "{absolute}", "a\0b", "x" * 5000])
def test_a_conversation_is_never_written_outside(tmp_path: Path, outside: str) -> None:
    (tmp_path / "outside").mkdir()
    name = outside.replace("{absolute}", str(tmp_path / "outside"))
    folder = tmp_path / "indexes" / "made" / "sessions"
    folder.mkdir(parents=True)
    (folder / f"{_ID}.json").write_text(json.dumps(to_json(Session(_ID, "t", (name,), "2026-03-01T10:11:12+00:00"))))
    store = SessionStore(tmp_path / "sessions", None, tmp_path / "indexes")
    store.ask(store.load(_ID), "When does the lease end?")
    assert store.record_of(name) is None and not list((tmp_path / "outside").iterdir())
    assert store.load(_ID).turns[0].question == "When does the lease end?"


@pytest.mark.parametrize("folder", ["\ud800", "a\0b", "~nobody-is-called-so/x", "/net/elsewhere"])
def test_a_filter_of_a_conversation_looks_nothing_up_to_be_shown(
    folder: str, library: Editor, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(library, "lease.txt", "The lease ends in May.")
    with pytest.raises(NotFoundError):
        filters.chosen([library], Filter(folder=folder))
    monkeypatch.setattr(os.path, "realpath", lambda *_: pytest.fail("it was looked up"))
    assert filters.described(Filter(folder=folder)) == f"in the folder {folder!r}"


# --- settings and policies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "passages = " + "9" * 5000,
        f"passages = {LONG_NUMBER}",
        "min_confidence = 1" + "0" * 400,
        f"ocr_languages = [{LONG_NUMBER}]",
        f"theme = {DEEP}",
        f"unknown = {LONG_NUMBER}",
        "theme = '\ud800'",
    ],
)
def test_strange_settings_and_policies_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "localrag.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SettingsError):
        settings.load_settings({"LOCALRAG_CONFIG": str(file)})
    file.write_bytes(text.replace("passages", "retention_days").encode("utf-8", "surrogatepass"))
    with pytest.raises(PolicyUnreadable):
        policy._read(file, named=True)


# --- data sets ----------------------------------------------------------------------------------------------

ROW = {"id": "1", "question": "When?", "answer": "May", "doc": "lease.txt"}


def test_deeply_nested_questions_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(DEEP)
    with pytest.raises(UsageError):
        datasets.load(file)
    assert not datasets._holds_questions(file)


@pytest.mark.parametrize("doc", ["a\0b", "x" * 5000])
def test_a_document_with_an_impossible_name_is_missing(tmp_path: Path, doc: str) -> None:
    (tmp_path / "lease.txt").write_text("words")
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(ROW | {"id": name, "doc": name}) + "\n" for name in (doc, "lease.txt")))
    assert datasets.source_of(file, datasets.load(file), None).folder == tmp_path


# --- programs and archives ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [{"size": -1}, {"size": 1 << 62}, {"program": "/bin/sh"}, {"seconds": 1e9}]
    + [{"arguments": [name, "docx"]} for name in ("../a", "/etc/a", "a/../../b", "a\0b", "C:a", "a\\b", "")],
)
def test_an_order_names_a_known_program_and_no_path(change: dict[str, object]) -> None:
    good = {"program": "LibreOffice", "arguments": [".doc", "docx"], "size": 0, "seconds": 1.0, "most": 1}
    assert protocol.decode(json.dumps(good).encode(), programs.Order)
    with pytest.raises(protocol.Malformed):
        protocol.decode(json.dumps(good | change).encode(), programs.Order)


def test_two_documents_of_one_name_do_not_end_an_ingest(library: Editor, folder: Callable[..., Path]) -> None:
    def packed(**members: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return out.getvalue()

    twice = packed(**{"x.zip": packed(**{"b.txt": b"The inner rent."}), "x.zip/b.txt": b"The outer rent."})
    report = ingest(library, folder({"a.zip": twice, "c.txt": "The lease ends in May."}))
    assert sorted(doc.path for doc in library.documents()) == ["a.zip/x.zip/b.txt", "c.txt"]
    assert [one.document for one in report.failed] == ["a.zip/x.zip/b.txt"]


def test_a_reader_cannot_send_two_documents_of_one_name() -> None:
    part = Part("a", "ab" * 32, 3, Reading((Page("words"),), "title"))
    decoder = wire.Decoder(Options())
    with pytest.raises(protocol.Malformed):
        for message in (*wire.messages(part), *wire.messages(part)):
            decoder.take(message)


# --- libraries of others ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ids", [[3, 2, 1], [1, 1, 2], [-1, 2, 3]])
def test_a_vector_index_with_impossible_ids_is_refused(ids: list[int]) -> None:
    index = FaissIndex(8)
    index.add(np.array([1, 2, 3]), np.eye(3, 8, dtype=np.float32))
    index.ids = np.array(ids, np.int64)
    out = io.BytesIO()
    index.write(out, "made", 1)
    with pytest.raises(LibraryError):
        FaissIndex.read(io.BytesIO(out.getvalue()), "made", 8)


@pytest.mark.parametrize(
    "row",
    [
        ("x", 2, b"\1\0\2\0\1\1"),
        (1 << 60, 2, b"\1\0\2\0\1\1"),
        (0, 2, "text56"),
        (0, 2, 5),
        (-1, 0, b""),
        (0, "2", b""),
    ],
)
def test_a_full_text_with_strange_values_is_damaged(row: tuple[object, ...]) -> None:
    lengths = np.ones(4096, "<u2").tobytes()
    answers = {"terms": [{0: "rent", 1: 1}], "lengths": [(0, lengths)], "postings": [(1, *row)]}

    def select(sql: str, values: object = ()) -> list[object]:
        return next((rows for table, rows in answers.items() if f"FROM {table}" in sql), [])

    with pytest.raises(LibraryError):
        FullText(select).scores([["rent"]], 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kept", ["", "[]", "{}", DEEP, '{"key": "x", "marks": []}', '{"key": "", "marks": 5}', "9" * 5000]
)
def test_strange_marks_of_forgotten_documents_are_damage(kept: str) -> None:
    with pytest.raises(LibraryError):
        Tombstones.from_json(kept)


@pytest.mark.parametrize("row", [(1 << 40, "rent", 1), (1, "rent", "x"), (2, "due", "x")])
def test_words_with_impossible_ids_are_damage(library: Editor, row: tuple[object, ...]) -> None:
    database = library._db
    database.execute("PRAGMA foreign_keys = OFF")
    database.execute("INSERT INTO terms VALUES (1, 'rent')")
    database.execute("INSERT INTO words VALUES (?, ?, ?, 1)", row)
    indexer = Indexer(database)
    with pytest.raises(LibraryError):
        indexer.remove(PASSAGES, 1, np.array([2], "<u4").tobytes())
        indexer.words([[Token("rent", "rent"), Token("rent", "x")]])


# --- the class: JSON of others ------------------------------------------------------------------------------

# What comes with localrag, was just written, or is from a process of its own; library.py reports damage in one place.
OWN_JSON = {
    "broker.py",
    "attempts.py",
    "offline.py",
    "programs.py",
    "doctor.py",
    "viewer_process.py",
    "library.py",
    "vector_index.py:json.loads(self._select",
    "postgres.py:json.loads(listed)",
}


def test_nested_json_is_no_traceback() -> None:
    """For 1,000 brackets `json.loads` raises RecursionError, which `except ValueError` misses."""
    root = Path(keyrings.__file__).parents[2]
    found = set()
    for path in root.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        covered = {
            id(call)
            for block in ast.walk(tree)
            if isinstance(block, ast.Try | ast.With) and "RecursionError" in _handled(block)
            for call in ast.walk(block)
        }
        calls = [
            node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "json.loads"
        ]
        left = {f"{path.name}:{ast.unparse(call)}" for call in calls if id(call) not in covered}
        found |= {one for one in left if not one.startswith(tuple(OWN_JSON))}
    assert found == set()


def _handled(block: ast.Try | ast.With) -> str:
    if isinstance(block, ast.With):
        return " ".join(ast.unparse(item.context_expr) for item in block.items)
    return " ".join(ast.unparse(one.type) for one in block.handlers if one.type is not None)

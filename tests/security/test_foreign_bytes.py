"""Files and messages of others are taken or refused: no other error, nothing outside, no endless work.

Found by `tests/fuzzing/guided.py`, or by reading what it was to run. Its corpus is replayed here too.
"""

import ast
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from papers import ingest

from localrag import policy, protocol, settings
from localrag.errors import LibraryError, NotFoundError, PolicyUnreadable, SettingsError
from localrag.ingest.readers import programs, wire
from localrag.ingest.readers.source import Options
from localrag.search import filters
from localrag.security import audit
from localrag.sessions import SessionStore
from localrag.sessions.session_store import Session, to_json
from localrag.store.names import Tombstones
from localrag.types import Filter, Page, Part, Reading

pytestmark = pytest.mark.slow

DEEP = "[" * 100_000
LONG_NUMBER = "0x" + "f" * 5000  # more digits than Python prints
_ID = "20260301T101112123456-abcdef"


@pytest.mark.proves("foreign-bytes")
def test_the_corpus_of_the_fuzzer_has_no_finding():
    guided = Path(__file__).parents[1] / "fuzzing" / "guided.py"
    done = subprocess.run([sys.executable, guided, "--replay"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(inputs for inputs, _ in json.loads(done.stdout.splitlines()[-1]).values())


# --- lines and records --------------------------------------------------------------------------------------


def test_a_record_with_strange_values_is_checked(tmp_path):
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


@pytest.mark.parametrize("outside", ["../outside", "{absolute}", "a\0b"])
@pytest.mark.proves("foreign-bytes")
def test_a_conversation_is_never_written_outside(tmp_path, outside):
    (tmp_path / "outside").mkdir()
    name = outside.replace("{absolute}", str(tmp_path / "outside"))
    folder = tmp_path / "indexes" / "made" / "sessions"
    folder.mkdir(parents=True)
    (folder / f"{_ID}.json").write_text(json.dumps(to_json(Session(_ID, "t", (name,), "2026-03-01T10:11:12+00:00"))))
    store = SessionStore(tmp_path / "sessions", None, tmp_path / "indexes")
    store.ask(store.load(_ID), "When does the lease end?")
    assert store.record_of(name) is None and not list((tmp_path / "outside").iterdir())
    assert store.load(_ID).turns[0].question == "When does the lease end?"


@pytest.mark.parametrize("folder", ["\ud800", "a\0b", "/net/elsewhere"])
def test_a_filter_of_a_conversation_looks_nothing_up_to_be_shown(folder, library, put, monkeypatch):
    put(library, "lease.txt", "The lease ends in May.")
    with pytest.raises(NotFoundError):
        filters.chosen([library], Filter(folder=folder))
    monkeypatch.setattr(os.path, "realpath", lambda *_: pytest.fail("it was looked up"))
    assert filters.described(Filter(folder=folder)) == f"in the folder {folder!r}"


# --- settings, programs and archives ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [LONG_NUMBER, "1" + "0" * 400, DEEP, "'\ud800'"], ids=["hex", "large", "deep", "half"]
)
def test_strange_settings_and_policies_are_refused(tmp_path, value):
    for name, read, error in (
        ("min_confidence", lambda file: settings.load_settings({"LOCALRAG_CONFIG": str(file)}), SettingsError),
        ("retention_days", lambda file: policy._read(file, named=True), PolicyUnreadable),
    ):
        (tmp_path / "given.toml").write_bytes(f"{name} = {value}".encode("utf-8", "surrogatepass"))
        with pytest.raises(error):
            read(tmp_path / "given.toml")


@pytest.mark.parametrize(
    "change",
    [{"size": -1}, {"size": 1 << 62}, {"program": "/bin/sh"}, {"seconds": 1e9}]
    + [{"arguments": [name, "docx"]} for name in ("../a", "/etc/a", "a\0b", "C:a", "a\\b", "")],
)
def test_an_order_names_a_known_program_and_no_path(change):
    good = {"program": "LibreOffice", "arguments": [".doc", "docx"], "size": 0, "seconds": 1.0, "most": 1}
    assert protocol.decode(json.dumps(good).encode(), programs.Order)
    with pytest.raises(protocol.Malformed):
        protocol.decode(json.dumps(good | change).encode(), programs.Order)


def test_two_documents_of_one_name_do_not_end_an_ingest(library, folder):
    def packed(**members):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return out.getvalue()

    twice = packed(**{"x.zip": packed(**{"b.txt": b"The inner rent."}), "x.zip/b.txt": b"The outer rent."})
    report = ingest(library, folder({"a.zip": twice, "c.txt": "The lease ends in May."}))
    assert sorted(doc.path for doc in library.documents()) == ["a.zip/x.zip/b.txt", "c.txt"]
    assert [one.document for one in report.failed] == ["a.zip/x.zip/b.txt"]


def test_a_reader_cannot_send_two_documents_of_one_name():
    part = Part("a", "ab" * 32, 3, Reading((Page("words"),), "title"))
    decoder = wire.Decoder(Options())
    with pytest.raises(protocol.Malformed):
        for message in (*wire.messages(part), *wire.messages(part)):
            decoder.take(message)


# --- libraries of others ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kept", ["[]", "{}", DEEP, '{"key": "x", "marks": []}', '{"key": "", "marks": 5}'], ids=range(5)
)
def test_strange_marks_of_forgotten_documents_are_damage(kept):
    with pytest.raises(LibraryError):
        Tombstones.from_json(kept)


# --- the class: JSON of others ------------------------------------------------------------------------------

# What comes with localrag, was just written, or is from a process of its own; library.py reports damage in one place.
OWN_JSON = {
    "measuring.py",
    "broker.py",
    "attempts.py",
    "evidence.py",
    "offline.py",
    "programs.py",
    "doctor.py",
    "fact_questions.py",
    "viewer_process.py",
    "library.py",
    "vector_index.py:json.loads(self._select",
    "postgres.py:json.loads(listed)",
}


def test_nested_json_is_no_traceback():
    """For 1,000 brackets `json.loads` raises RecursionError, which `except ValueError` misses."""
    root = Path(settings.__file__).parent
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


def _handled(block):
    if isinstance(block, ast.With):
        return " ".join(ast.unparse(item.context_expr) for item in block.items)
    return " ".join(ast.unparse(one.type) for one in block.handlers if one.type is not None)

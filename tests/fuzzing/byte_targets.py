"""Functions that take any bytes: each parses them as localrag parses bytes of others, and raises only for a finding.

What must hold: no error but the documented ones, nothing written outside of the home folder, and round trips.
`guided` runs them under a coverage-guided fuzzer; tests/security replays the inputs that it kept.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from conversations import WHOLE
from fakes import HashingEmbedder, ScriptedGenerator

from fuzzing import mutating
from localrag import embeddings, events, policy, protocol, settings
from localrag.answer.assistant import Assistant
from localrag.errors import (
    IntegrityError,
    KeyRequired,
    LibraryError,
    LocalragError,
    ModelError,
    PolicyUnreadable,
    SettingsError,
    StorageError,
    UsageError,
)
from localrag.evaluation import datasets
from localrag.ingest import chunking
from localrag.ingest.readers import base, numbered_lines, programs, source, wire
from localrag.ingest.readers.source import TABLES, Options, Source
from localrag.ingest.source_files import PagePicture
from localrag.lifecycle import backup, restore
from localrag.llm import loading
from localrag.models import gguf
from localrag.question import table_query
from localrag.security import audit, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key, Passphrase, SecretKey
from localrag.sessions import SessionStore, export
from localrag.sessions.session_store import Origin, SavedTurn, Session, to_json
from localrag.settings import Settings
from localrag.store import data_sheets, exported
from localrag.store.full_text import PASSAGES, FullText, Indexer
from localrag.store.library import open_library
from localrag.store.locations import spot
from localrag.store.names import DATABASE, SCHEMA
from localrag.store.text_analysis import Token
from localrag.store.vector_index import FaissIndex
from localrag.store.writer import TABLES as SQL
from localrag.store.writer import Editor, minhash, passage_digest
from localrag.text import clean
from localrag.types import Heading, Page, Part, Reading, Remark, SkippedPage, Word
from localrag.worker import calls
from localrag.worker.engine import Engine

EMBEDDER = HashingEmbedder(16)
KEY = Key(bytes(range(32)))
_DIMENSION = 8
_NOT_CLEAN = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")


class Finding(AssertionError):
    """A property that must hold did not."""


def check(holds, what):
    if not holds:
        raise Finding(what)


def guard(home):
    """Let storage refuse, as a finding, to write outside of the home folder."""

    def guarded(function, paths):
        @wraps(function)
        def inner(*args, **kwargs):
            for path in args[:paths]:
                inside = path.resolve().is_relative_to(home.resolve())
                inside = inside or (function.__name__ == "make_dir" and path.is_dir())
                check(inside, f"{function.__name__} outside of the home folder")
            return function(*args, **kwargs)

        return inner

    for name, paths in (("_open", 1), ("make_dir", 1), ("remove", 1), ("move", 2), ("link", 1)):
        setattr(storage, name, guarded(getattr(storage, name), paths))


def _fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _lines(*values):
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


# --- lines between processes --------------------------------------------------------------------------------


@cache
def _kinds():
    results = [call.result for call in calls.calls_of(Engine).values()]
    given = [kind for call in calls.calls_of(Engine).values() for kind in call.parameters.values()]
    own = (calls.Reply, calls.Request, wire.Reply, wire.Job, wire.Setup, programs.Order, programs._Result, calls.Setup)
    unique = {repr(kind): kind for kind in (*own, events.Event, Session, dict[str, Any], *results, *given)}
    return tuple(kind for kind in unique.values() if kind is not type(None))


def protocol_line(home, data):
    kind = _kinds()[(data or b"\0")[0] % len(_kinds())]
    try:
        value = protocol.decode(data[1:], kind)
    except protocol.Malformed:
        return
    line = json.dumps(protocol.to_plain(value, kind)).encode()
    check(protocol.decode(line, kind) == value, "a round trip changes the value")
    if isinstance(value, calls.Begin):
        with suppress(protocol.Malformed, KeyError):
            calls.calls_of(Engine)[value.name].read(value.arguments)
    if isinstance(value, calls.Failed):
        with suppress(protocol.Malformed):
            value.error.error()


def _protocol_seeds():
    replies = [calls.Item(1, protocol.to_plain(events.Delta("a"), events.Event)), calls.Done(2, None)]
    replies.append(calls.Failed(3, protocol.ErrorMessage("ReadError", "m", "h")))
    for number, kind in enumerate(_kinds()):
        for one in replies if kind == calls.Reply else ():
            yield bytes([number]) + protocol.encode(one)
        for one in _messages() if kind == wire.Reply else ():
            yield bytes([number]) + protocol.encode(one)
        if kind == programs.Order:
            yield bytes([number]) + protocol.encode(_order())
        if kind is Session:
            yield bytes([number]) + _lines(to_json(_session()))
        if kind == events.Event:
            yield bytes([number]) + _lines(protocol.to_plain(events.Delta("a"), events.Event))
        yield bytes([number]) + b"null"
        yield bytes([number]) + b'["a",1]'


# --- what a reader process sends ----------------------------------------------------------------------------


def reader_stream(home, data):
    stream, decoder, parts = io.BytesIO(data), wire.Decoder(Options(characters=100_000, members=20)), list[Part]()
    try:
        while (message := protocol.receive(stream, wire.Reply)) is not None:
            item = decoder.take(message)
            if isinstance(item, Part):
                parts.append(item)
            if isinstance(item, Part | wire.Refused):
                check(not re.search("[\0-\x08\ud800-\udfff]", item.name), "a name that is not clean")
            if isinstance(item, PagePicture):
                check(len(item.rgb) == 3 * item.width * item.height, "a picture of another size")
    except protocol.Malformed:
        pass
    for part in parts:
        for page in part.reading.pages:
            check(clean(page.text) == page.text, "text that is not clean")
            check(all(0 <= one.start <= len(page.text) for one in (*page.headings, *page.anchors)), "a place outside")
    if parts:
        _put(home, parts)


def _put(home, parts):
    with closing(_library(home)) as library, suppress(_Undo), library.transaction():
        library.begin("/papers", "a.pdf")
        for part in parts[:3]:
            pages = part.reading.pages
            chunks = chunking.split(pages, count=EMBEDDER.count, title=part.reading.title, limit=120)
            texts = [chunking.embedded_text(part.reading.title, chunk) for chunk in chunks]
            keys = [passage_digest(part.reading.title, chunk) for chunk in chunks]
            library.put("/papers", "a.pdf", part, chunks, dict(zip(keys, EMBEDDER.embed_documents(texts), strict=True)))
        stored = [page.text for document in library.documents() for page in library.pages(document.id)]
        check(len(stored) == sum(len(part.reading.pages) for part in parts[:3]), "pages are missing")
        raise _Undo


class _Undo(Exception):
    """Roll the transaction back."""


@cache
def _made(home):
    Editor.create(home / "made", "made", EMBEDDER.identity).close()
    return home / "made"


def _library(home):
    return Editor.open(_made(home), "made")


def _part(name=""):
    page = Page(
        "# Rent\n\nThe rent is 4,100 EUR.", 1, "i", (Heading(0, 1, "Rent"),), words=(Word(0, 4, 0.1, 0.1, 0.2, 0.2),)
    )
    pages, skipped, remarks = (page, Page("end", 2)), (SkippedPage(3, "blank"),), (Remark(1, "hidden text"),)
    return Part(name, "ab" * 32, 9, Reading(pages, "Lease", skipped, remarks, "Orlo", "2024-03-02"))


def _messages():
    picture = wire.Picture(PagePicture(2, 1, b"abcdef", ((0.0, 0.0, 0.5, 0.5),)))
    return [wire.Beat(), *wire.messages(_part()), wire.Refusal("b", "is empty"), picture, wire.Done(False)]


def _reader_seeds():
    yield b"".join(map(protocol.encode, _messages()))
    yield b"".join(map(protocol.encode, [*wire.messages(_part("a")), *wire.messages(_part("b"))]))
    begin, piece, *_ = wire.messages(_part())
    yield b"".join(map(protocol.encode, [begin, piece, wire.Piece(Page("more", 1), True), wire.End((), ())]))


# --- orders to the process that starts programs -------------------------------------------------------------


class _NoProcess:
    returncode = 0

    def poll(self):
        return 0


def order(home, data):
    programs._started = lambda *_: _NoProcess()  # type: ignore[assignment, return-value]
    programs._kill = lambda process: None
    temporary = _fresh(home / "temporary")
    tempfile.tempdir = str(temporary)
    paths: dict[programs.Name, str] = {"LibreOffice": "/bin/true", "Tesseract": "/bin/true"}
    requests = io.BytesIO(data)
    with suppress(protocol.Malformed):  # the process ends
        while (one := protocol.receive(requests, programs.Order)) is not None:
            with suppress(OSError, KeyError, ValueError, LocalragError):  # as `programs.main` does
                _, found = programs._carry_out(one, requests.read(one.size), paths, requests)
                check(len(found) <= one.most, "a result that is too large")
            check(not list(temporary.iterdir()), "something is left in the temporary folder")


def _order():
    return programs.Order("LibreOffice", (".doc", "docx"), 3, 5.0, 1000)


def _order_seeds():
    yield protocol.encode(_order()) + b"abc"
    ocr = protocol.encode(programs.Order("Tesseract", ("-", "-", "--psm"), 3, 5.0, 9))
    yield ocr + b"abc" + protocol.encode(_order())


# --- encrypted files ----------------------------------------------------------------------------------------


def stream(home, data):
    unlocked.PIECE = 64
    raw = data[1:]
    if data[:1] < b"\x80":
        content = b"The rent is 4,100 EUR. " * (data[0] % 16 if data else 0)
        whole = io.BytesIO()
        writer = unlocked.EncryptedWriter(whole, KEY, "file")
        for start in range(0, len(content), 40):
            writer.write(content[start : start + 40])
        writer.finish()
        check(_read_stream(whole.getvalue()) == content, "a round trip changes the content")
        check(unlocked.content_size(len(whole.getvalue())) == len(content), "the size is another")
        raw = mutating.of_bytes(whole.getvalue(), Random(raw))
        if raw == whole.getvalue():
            return
    with suppress(IntegrityError):
        check(_read_stream(raw) is None, "a changed file is read")
    with suppress(IntegrityError):
        unlocked.decrypt_line(KEY, "file", raw)
        raise Finding("a foreign line is read")
    line = unlocked.encrypt_line(KEY, "file", raw)
    check(unlocked.decrypt_line(KEY, "file", line) == raw, "a line is another after a round trip")


def _read_stream(raw):
    held = io.BytesIO(raw)
    if unlocked.key_id(held) != KEY.id:
        return None
    return io.BufferedReader(unlocked.EncryptedReader(held, KEY, "file"), 16).read()


def _stream_seeds():
    whole = io.BytesIO()
    writer = unlocked.EncryptedWriter(whole, KEY, "other")
    writer.write(bytes(200))
    writer.finish()
    yield b"\xff" + whole.getvalue()
    yield b"\xff" + unlocked.encrypt_line(KEY, "other", b"a line")
    yield from (
        bytes([number, *change]) for number in (0, 3, 6, 9) for change in ((0, 200, 1), (1, 130, 80), (3, 90, 0))
    )


_AGE_KEY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"


def age_file(home, data):
    for credential in (SecretKey(_AGE_KEY), Passphrase("correct horse"), Passphrase("correct \udcff")):
        with suppress(UsageError, KeyRequired, IntegrityError):
            keyrings.decrypt(data, credential)
    keyrings.passphrase_work(data)
    with suppress(UsageError):
        found = keyrings.parse_key_file(data)
        if isinstance(found, SecretKey):
            check(found.public.startswith("age1"), "a key without a public key")


def keyring(home, data):
    keyrings._ARGON2 = {"memory_kib": 64, "passes": 1, "lanes": 1}
    keyrings._MAX_ARGON2 = {"memory_kib": 256, "passes": 2, "lanes": 4}
    try:
        found = keyrings.from_json(data)
    except keyrings.KeyringDamaged:
        return
    for one in (Passphrase("correct horse"), keyrings.RecoveryKey(bytes(32)), SecretKey(_AGE_KEY)):
        with suppress(KeyRequired, keyrings.KeyringDamaged):
            key = found.unlock(one)
            check(key == KEY, "another key comes out")
            found.former_key(key)
    with suppress(keyrings.KeyringDamaged):
        keyrings.check(data, KEY)
        check(keyrings.from_json(keyrings.to_json(found, KEY)) == found, "a round trip changes the keyring")


def _keyring_seeds():
    keyrings._ARGON2 = {"memory_kib": 64, "passes": 1, "lanes": 1}
    made = keyrings.new_keyring(KEY, Key(b"\1" * 32))
    for number, one in enumerate((Passphrase("correct horse"), keyrings.RecoveryKey(bytes(32)), SecretKey(_AGE_KEY))):
        made = made.with_credential(KEY, f"holder {number}", one)
        yield keyrings.to_json(made, KEY)


# --- backups ------------------------------------------------------------------------------------------------


def container(home, data):
    """A backup. The first byte says whether the bytes are all of it, a body in clear, or an encrypted body."""
    kind, body = (data or b"\0")[0] % 4, data[1:]
    if kind:
        digest = hashlib.sha256(body).hexdigest()
        count = body.count(b'"path"')
        body += _lines({"end": count, "sha256": digest}) if kind != 3 else b""
    raw = body if not kind else backup.MAGIC + bytes(4) + body
    if kind == 2:
        ring = _ring()
        out = io.BytesIO()
        writer = unlocked.EncryptedWriter(out, KEY, backup.NAME)
        writer.write(body)
        writer.finish()
        raw = backup.MAGIC + len(ring).to_bytes(4, "big") + ring + out.getvalue()
    own = Settings(home=_fresh(home / "restored"))
    file = home / "restored" / "file.backup"
    file.write_bytes(raw)
    with suppress(LocalragError):
        restore.restore(own, file, "again", trust=True, unlock=lambda folder, ring: KEY)
    with suppress(LocalragError):
        backup.check(file, lambda folder, ring: KEY)
    left = list(own.indexes_dir.glob(".*")) if own.indexes_dir.is_dir() else []
    check(not left, "a failed restore left something")


@cache
def _ring():
    keyrings._ARGON2 = {"memory_kib": 64, "passes": 1, "lanes": 1}
    return keyrings.to_json(keyrings.new_keyring(KEY).with_credential(KEY, "office", Passphrase("correct horse")), KEY)


def _container_seeds():
    with tempfile.TemporaryDirectory() as folder:
        database = (_made(Path(folder)) / DATABASE).read_bytes()
        _made.cache_clear()
    kept = json.dumps(to_json(_session())).encode()
    about = {"localrag-backup": 1, "library": "made", "made": "2026", "schema": SCHEMA, "encrypted": False}
    small = _lines(about, {"path": DATABASE, "size": 4}) + b"abcd"
    more = _lines({"path": f"sessions/{_ID}.json", "size": len(kept)}) + kept
    more += _lines({"path": "audit.key", "size": 2}) + b"kk"
    yield from (bytes([kind]) + small + more for kind in (1, 2, 3))
    yield b"\0" + backup.MAGIC + bytes(4) + small
    yield b"\0" + backup.MAGIC + len(_ring()).to_bytes(4, "big") + _ring()
    yield b"\1" + _lines(about, {"path": DATABASE, "size": len(database)}) + database + more


# --- conversations ------------------------------------------------------------------------------------------

_ID = "20260301T101112123456-abcdef"


def _session():
    turns = (SavedTurn("When?", "2026-03-01T10:11:12+00:00", WHOLE), SavedTurn("And?", "2026-03-01T10:12:12+00:00"))
    return Session(_ID, "The lease", ("made",), "2026-03-01T10:11:12+00:00", turns, origin=Origin(_ID, "t", 1))


def conversation(home, data):
    libraries = _fresh(home / "indexes")
    (libraries / "made" / "sessions").mkdir(parents=True)
    store = SessionStore(home / "sessions", None, libraries)
    path = libraries / "made" / "sessions" / f"{_ID}.json"
    kept, _, text = data.partition(b"\n")
    path.write_bytes(text or kept)
    path.with_suffix(".said").write_bytes(kept)
    path.with_suffix(".draft").write_bytes(kept[::-1])
    store.list()
    store.older(datetime(2026, 4, 1, tzinfo=UTC))
    try:
        with suppress(LocalragError):
            loaded = store.load(_ID)
            for form in export.FORMS if len(data) % 8 == 0 else ("md",):
                export.written(loaded, form, lambda binder: binder.title.encode())
            store.record_of(*loaded.libraries)
            store.forget([("made", "lease.pdf")])
            store.ask(store.load(_ID), "And then?")
            store.branch(_ID, 1)
            store.retitle(_ID, "Another")
            check(len(store.load(_ID).turns) >= 1, "the question is gone")
        store.list()
    finally:
        shutil.rmtree(home / "sessions", ignore_errors=True)


def _conversation_seeds():
    yield b'{"question": "And?", "said": "On"}\n' + _lines(to_json(_session()))
    yield b"\n" + json.dumps(to_json(_session()), indent=1).encode()
    yield b'{"draft": "x"}\n' + _lines(to_json(_session()) | {"libraries": [], "settings": {"passages": 3}})


# --- settings and policies ----------------------------------------------------------------------------------


def settings_file(home, data):
    own = _fresh(home / "config") / "localrag.toml"
    own.write_bytes(data)
    environ = {"LOCALRAG_CONFIG": str(own)}
    with suppress(SettingsError):
        read = settings.load_settings(environ)
        repr(read), read.digest
        settings.origins(environ)
    with suppress(SettingsError):
        found = settings._read(own)
        repr(found.warning)
    with suppress(SettingsError):
        settings.save("passages", 9, lambda path, content: path.write_bytes(content) and None, environ)
        check(settings._read(own).values.get("passages") == 9, "a saved setting is not read back")
    text = data.decode("utf-8", "replace").replace("\0", "")
    name, _, value = text.partition("=")
    with suppress(SettingsError):
        settings.load_settings({f"LOCALRAG_{name.strip().upper()}": value})


def _settings_seeds():
    for item in settings.setting_infos():
        default = item.default
        text = json.dumps(list(default)) if isinstance(default, tuple) else json.dumps(default)
        if default is not None:
            yield f"{item.name} = {text}\n".encode()
    yield b'# mine\npassages = 5 # few\nocr_languages = ["en", "de"]\nviewer = "evince {file}"\nhome = "~/x"\n'


def policy_file(home, data):
    file = home / "policy.toml"
    file.write_bytes(data)
    try:
        read = policy._read(file, named=True)
    except PolicyUnreadable:
        return
    check(read is not None, "a file is ignored")
    policy.VARIABLE, policy.SYSTEM = "LOCALRAG_NONE", file
    try:
        repr(read.rules() if read else None)
        for name in policy.RULED:
            policy.effective(name, getattr(Settings(home=home), name))
        policy.allows_model("ab" * 32, None)
        policy.writable_by(read) if read else ""
        for act in (
            lambda: policy.check_library("a", encrypted=False, missing=lambda: {"seccomp": "x"}),
            lambda: policy.check_export("a table"),
            lambda: policy.check_model("a", "ab" * 32),
        ):
            with suppress(policy.PolicyRefused):
                act()
    finally:
        policy.SYSTEM = home / "no policy"


# --- archives -----------------------------------------------------------------------------------------------

_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".tar.bz2", ".txz")


@cache
def _plain_readers():
    kept = {"archives", "text"}
    base.SUFFIXES = source.SUFFIXES = {  # type: ignore[misc]
        suffix: f"localrag.ingest.readers.{module}"
        for module, suffixes in TABLES["modules"].items()
        for suffix in suffixes.split()
        if module in kept
    }


def archive(home, data):
    _plain_readers()
    suffix = _ARCHIVES[(data or b"\0")[0] % len(_ARCHIVES)]
    options = Options(passwords=("secret",), ocr="off", depth=2, members=30, unpacked=4_000_000, characters=1_000_000)
    given = Source(f"a{suffix}", data=data[1:])
    seen: set[str] = set()
    total = 0
    for item in base.read_parts(given, options):
        steps = item.name.split("/")
        check(not {".."} & set(steps) and not item.name.startswith("/"), "a name that leads out")
        check(not _NOT_CLEAN.search(item.name), "a name with control characters")
        if isinstance(item, Part):
            check(item.name not in seen, "two documents with one name")
            seen.add(item.name)
            total += item.size
    check(total <= 3 * options.unpacked, "more bytes than allowed")


# --- a library of somebody else -----------------------------------------------------------------------------

_QUESTIONS = ("When does the lease end?", "How many documents mention 'rent'?", 'Find "Orlo House"')
_PAPERS = {
    "lease.pdf": ["The lease of Orlo House ends on 31 May 2031.", "# Rent\n\nThe rent is 4,100 EUR.\n\n| A |\n| - |"],
    "notes.txt": ["Elephants are grey, and never forget a rent. " * 8],
    "second/lease draft.txt": ["The lease of Orlo House ends on 31 May 2032. " * 8],
}


def library(home, data):
    own = Settings(home=home)
    mine = _fresh(own.indexes_dir / "mine")
    mine.chmod(0o700)
    (mine / DATABASE).write_bytes(data)
    (mine / DATABASE).chmod(0o600)
    embeddings.load_embedder = lambda settings, identity=None: EMBEDDER  # type: ignore[assignment]
    loading.generator_identity = lambda settings: "scripted"  # type: ignore[assignment]
    with suppress(LocalragError), closing(open_library(own, "mine")) as opened:
        opened.near_duplicates(), opened.failures(), opened.roots()
        for document in opened.documents():
            opened.pages(document.id), opened.chunks_of(document.id), opened.files(document.root)
    assistant = Assistant(own, ScriptedGenerator([("lease", "It ends on 31 May 2031 [1].")]))
    with closing(assistant):
        for question in ("", _QUESTIONS[len(data) % 3]):
            with suppress(LocalragError):
                if question:
                    list(assistant.ask(question, libraries=["mine"]))
                else:
                    assistant.search("rent of Orlo House", libraries=["mine"])


def _library_seeds():
    with tempfile.TemporaryDirectory() as folder:
        with closing(Editor.create(Path(folder, "made"), "made", EMBEDDER.identity)) as made:
            for path, texts in _PAPERS.items():
                pages = tuple(Page(text, number) for number, text in enumerate(texts, 1))
                chunks = chunking.split(pages, count=EMBEDDER.count, title=path, limit=120)
                vectors = EMBEDDER.embed_documents([chunking.embedded_text(path, chunk) for chunk in chunks])
                keyed = dict(zip((passage_digest(path, chunk) for chunk in chunks), vectors, strict=True))
                part = Part("", "ab" * 32, 9, Reading(pages, path, (SkippedPage(9, "blank"),), date="2024-03-02"))
                made.begin("/papers", path)
                made.put("/papers", path, part, chunks, keyed, minhash(" ".join(texts)))
                made.finish("/papers", path, 9, 1, "ab" * 32, "stamp")
            made.save_tombstones(made.tombstones.add(made.documents()[:1]))
            made.save_index()
        yield Path(folder, "made", DATABASE).read_bytes()


def vectors(home, data):
    """The file of a vector index; where the first byte is odd, with a check sum that is right."""
    raw = data[1:]
    head, line, body = raw[:19], *_split_line(raw[19:])
    if data[:1] and data[0] % 2:
        with suppress(ValueError, TypeError, RecursionError):
            value = json.loads(line)
            raw = head + _lines(dict(value) | {"crc32": zlib.crc32(body)}) + body
    try:
        generation, index = FaissIndex.read(io.BytesIO(raw), "made", _DIMENSION)
    except LibraryError:
        return
    out = io.BytesIO()
    index.write(out, "made", generation)
    again = FaissIndex.read(io.BytesIO(out.getvalue()), "made", _DIMENSION)
    check(again[0] == generation and (again[1].ids == index.ids).all(), "a round trip changes the index")
    question = np.ones(_DIMENSION, np.float32) / np.float32(_DIMENSION**0.5)
    for allowed in (None, index.ids[::2]):
        found, scores = index.search(question, 5, allowed)
        check(set(found.tolist()) <= set(index.ids.tolist()) and len(found) == len(scores), "an unknown id is found")
    check((np.diff(index.ids) > 0).all(), "ids that do not ascend")
    index.remove(index.ids[:1])


def _split_line(data):
    line, end, rest = data.partition(b"\n")
    return line + end, rest


def _vector_seeds():
    for kind in ("flat", "sq8"):
        for rows in (0, 3):
            index = FaissIndex(_DIMENSION, kind)  # type: ignore[arg-type]
            index.add(np.arange(1, rows + 1), np.eye(max(rows, 1), _DIMENSION, dtype=np.float32)[:rows])
            out = io.BytesIO()
            index.write(out, "made", 7)
            yield b"\0" + out.getvalue()
            yield b"\1" + out.getvalue()


def full_text(home, data):
    """Tables of a full text with foreign values, searched and changed: a line of JSON for each row."""
    database = storage.sqlite3.connect(":memory:", isolation_level=None)
    database.row_factory = storage.sqlite3.Row
    with closing(database):
        database.executescript(_TEXT_TABLES)
        for line in data.splitlines()[:40]:
            with suppress(ValueError, TypeError, KeyError, RecursionError, OverflowError, storage.sqlite3.Error):
                table, *row = json.loads(line)
                columns = {"postings": 5, "lengths": 2, "words": 4, "terms": 2, "passages": 4}[str(table)]
                values = [_cell(value) for value in row[:columns]]
                database.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * columns)})", values)
        text = FullText(lambda sql, values=(): database.execute(sql, values).fetchall())
        for act in (
            lambda: text.scores([["rent", "rents"], ["lease"]], 1),
            lambda: text.documents_named([["rent"]])[0],
            lambda: text.with_phrase(["rent", "due"]),
            lambda: text.with_part("en"),
            lambda: text.has_word("rent", ["rent"]),
            lambda: text.words_starting("re"),
            lambda: _change(database),
        ):
            with suppress(LibraryError, storage.sqlite3.DatabaseError):
                act()  # type: ignore[no-untyped-call]


def _cell(value):
    return bytes.fromhex(value[1:]) if isinstance(value, str) and value.startswith("x") else value


_TEXT_TABLES = "\n".join(
    re.sub(r" REFERENCES \w+( ON DELETE CASCADE)?", "", re.search(rf"CREATE TABLE {name} .*?;\n", SQL, re.S)[0])  # type: ignore[index]
    for name in ("terms", "words", "postings", "lengths", "passages")
)


def _change(database):
    indexer = Indexer(database)
    (stored,) = indexer.words([[Token("rent", "rent"), Token("new", "new")]])
    indexer.add(PASSAGES, 5, stored)
    indexer.flush()
    indexer.remove(PASSAGES, 5, stored)
    for (words,) in database.execute("SELECT words FROM passages").fetchall():
        indexer.remove(PASSAGES, 1, words)
    indexer.flush()


def record(home, data):
    file = _fresh(home / "record") / "audit.jsonl"
    file.write_bytes(data)
    file.with_suffix(".key").write_bytes(b"k" * 32)
    for folder in (audit.WORDS_FOLDER, audit.LISTS_FOLDER):
        (file.parent / folder).mkdir()
        (file.parent / folder / "1.json").write_bytes(data)
    audit.verify(file)
    for entry in audit.entries(file):
        repr(entry)
        audit.words_of(file, entry)
        audit.lists_of(file, entry)
    audit.forget(file, ["ab"])
    audit.end_of(file)
    audit.record(file, "show", "made", document="x")
    last = file.read_bytes().count(b"\n")
    check(all(problem.line < last for problem in audit.verify(file)), "a new line does not follow")


def _record_seeds():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "audit.jsonl"
        file.with_suffix(".key").write_bytes(b"k" * 32)
        for number in range(3):
            audit.record(file, "ask", "made", question=f"question {number}", answer="x")
        whole = file.read_bytes()
    yield whole
    yield whole[:-20]
    yield _lines({"question": "question 0", "answer": "x", "came": ["ab"], "went": []})


# --- data sets and models -----------------------------------------------------------------------------------


def dataset(home, data):
    folder = _fresh(home / "set")
    file = folder / "questions.jsonl"
    file.write_bytes(data)
    (folder / "lease.txt").write_bytes(b"words")
    datasets._holds_questions(file)
    with suppress(LocalragError):
        found = datasets.load(file)
        repr([one.digest for one in found])
        check(len(datasets.sample(found, 2, 7)) <= 2, "too many questions")
        datasets.match(found, ())
        for name in dict(found[0].fields):
            datasets.where(found, {name: "x"})
    with suppress(LocalragError):
        datasets.source_of(file, datasets.load(file), None)


def model(home, data):
    file = home / "model.gguf"
    file.write_bytes(data)
    with suppress(ModelError):
        found = gguf.read_metadata(file)
        texts = [one for one in found.values() if isinstance(one, str)]
        check(all(map(str.isprintable, texts)), "a text with control characters")


# --- what others exported, their sheets and transcripts -----------------------------------------------------------


def manifest(home, data):
    folder = _fresh(home / "export.lrlib")
    (folder / exported.MANIFEST).write_bytes(data)
    (folder / "library.db").write_bytes(b"x")
    with suppress(IntegrityError, StorageError):
        found = exported.read(folder)
        check(not any({"", ".."} & set(path.split("/")) for path in found.files), "a name that leads out")
        check(not _NOT_CLEAN.search(found.name + found.made + found.version), "a text with control characters")
        exported.check(found, found.core, lambda: False, lambda *_: None)


def _manifest_seeds():
    sha256 = hashlib.sha256(b"x").hexdigest()
    files = {"library.db": [1, sha256], "documents/0/a/lease.txt": [1, sha256]}
    yield _lines({"library": "leases", "made": "2026-12-04", "version": "0.2.0", "schema": SCHEMA, "files": files})


def table(home, data):
    page = Page(clean(data.decode("utf-8", "replace")), 1, "Sheet1", unit="sheet")
    described = data_sheets.described(page, 2)
    found = data_sheets.table_of(page)
    check((found is None) == (described is None), "a table that is not described")
    for text, anchors in numbered_lines.numbered(page.text.split("\f")) or ():
        check(all(0 <= one.start <= len(text) for one in anchors), "a place outside")
        spot(text, anchors, 0, len(text))
    if found is None:
        return
    check(all(page.text[start] == "|" for start in found.starts), "a row that is none")
    check(len(found.starts) == len(found.texts), "rows without a place")
    with closing(data_sheets.database(found)) as made:
        (count,) = data_sheets.select(made, "SELECT count(*) FROM rows", ())
        check(count == (len(found.starts),), "rows were lost")
        for column, values in zip(found.columns, found.values, strict=True):
            [data_sheets.shown(column, value) for value in values if value is not None]
            table_query.parse(
                f"What is the sum of {column.name} by {found.columns[0].name}?", found.columns, "t", _none
            )


def _none(_texts):
    return []


def _table_seeds():
    rows = [f"| {day}/03/2024 | C{day % 7} | {day * 1.5:,.2f} EUR | {day}% |" for day in [*range(1, 29)] * 8]
    yield ("| Day | Client | Amount | Share |\n| --- | --- | --- | --- |\n" + "\n".join(rows)).encode()
    lines = "\n".join(f"{line:2d}  Q. And then?" for line in range(1, 26))
    yield "\f".join(f"Page {number}\n{lines}" for number in range(20, 24)).encode()


Target = Callable[[Path, bytes], None]
# With what makes its seeds; None: the corpus, as the formats of others do not change.
TARGETS: dict[str, tuple[Target, Callable[[], Iterator[bytes]] | None]] = {
    "protocol": (protocol_line, _protocol_seeds),
    "reader": (reader_stream, _reader_seeds),
    "order": (order, _order_seeds),
    "stream": (stream, _stream_seeds),
    "age": (age_file, None),
    "keyring": (keyring, _keyring_seeds),
    "backup": (container, _container_seeds),
    "conversation": (conversation, _conversation_seeds),
    "settings": (settings_file, _settings_seeds),
    "policy": (policy_file, None),
    "archive": (archive, None),
    "library": (library, _library_seeds),
    "vectors": (vectors, _vector_seeds),
    "text": (full_text, None),
    "record": (record, _record_seeds),
    "dataset": (dataset, None),
    "model": (model, None),
    "manifest": (manifest, _manifest_seeds),
    "table": (table, _table_seeds),
}

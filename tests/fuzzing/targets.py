"""What is fed with changed files: each target takes a case's number, does what a person would do with such a file, and
says whether it was taken or refused. Anything but an error of localrag's own is a finding."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from fakes import HashingEmbedder, ScriptedGenerator

from fuzzing import mutating
from localrag import embeddings, protocol
from localrag.answer.assistant import Assistant
from localrag.errors import LocalragError
from localrag.events import Delta, Event
from localrag.ingest import chunking
from localrag.ingest.readers import wire as reading
from localrag.ingest.readers.source import Options
from localrag.lifecycle import backup, restore
from localrag.llm import loading
from localrag.security import audit, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption.keyring import Key
from localrag.sessions import SessionStore, export
from localrag.sessions.session import to_json
from localrag.settings import Settings, load_settings, user_file
from localrag.store import minhash
from localrag.store.library import open_library
from localrag.store.names import DATABASE, INDEX, SCHEMA
from localrag.store.writer import Editor, passage_digest
from localrag.types import MODES, Answer, Citation, Page, Part, Plan, Reading, SkippedPage
from localrag.worker import calls
from localrag.worker.engine import Engine

EMBEDDER = HashingEmbedder(16)
_TEXTS = {
    "lease.pdf": [
        "The lease of Orlo House ends on 31 May 2031.",
        "# Rent\n\nThe rent is 4,100 EUR a month.\n\n| A | B |\n| - | - |\n| 1 | 2 |",
    ],
    "notes.txt": ["Elephants are grey, and never forget a rent. " * 8],
    "second/lease draft.txt": ["The lease of Orlo House ends on 31 May 2032. " * 8],
}
QUESTIONS = ("When does the lease end?", "How many documents mention 'rent'?", 'Find "Orlo House"')


class Home:
    """A data folder on the memory's disk, with the files that are changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        os.environ["LOCALRAG_HOME"] = str(folder)
        os.environ["LOCALRAG_CONFIG"] = str(folder / "localrag.toml")
        (folder / "localrag.toml").write_bytes(b"")
        self.settings = Settings(home=folder)
        embeddings.load_embedder = lambda settings, identity=None: EMBEDDER  # type: ignore[assignment]
        loading.generator_identity = lambda settings: "scripted"  # type: ignore[assignment]

    @cache  # noqa: B019
    def database(self) -> bytes:
        """A library's database, as one file."""
        folder = self.folder / "made"
        with closing(Editor.create(folder, "made", EMBEDDER.identity)) as library:
            for path, texts in _TEXTS.items():
                pages = tuple(Page(text, number) for number, text in enumerate(texts, 1))
                chunks = chunking.split(pages, count=EMBEDDER.count, title=path, limit=120)
                vectors = EMBEDDER.embed_documents([chunking.embedded_text(path, chunk) for chunk in chunks])
                keys = [passage_digest(path, chunk) for chunk in chunks]
                reading_ = Reading(pages, path, (SkippedPage(9, "blank"),), date="2024-03-02")
                library.begin("/papers", path)
                library.put(
                    "/papers",
                    path,
                    Part("", "ab" * 32, 9, reading_),
                    chunks,
                    dict(zip(keys, vectors, strict=True)),
                    minhash.signature(" ".join(texts)),
                )
                library.finish("/papers", path, 9, 1, "ab" * 32, "stamp")
            library.instruct("Be brief.")
            library.save_tombstones(library.tombstones.add(library.documents()[:1]))
            library.save_index()
        return (folder / DATABASE).read_bytes()

    @cache  # noqa: B019
    def session(self) -> dict[str, Any]:
        store = SessionStore(self.folder / "sessions")
        cited = Citation("made", "lease.pdf", 1, None, "p. 1", "lease of Orlo House", 4, 23, 1)
        session = store.new(("made",), "About the lease")
        answer = Answer(
            "When?",
            "On 31 May 2031 [1].",
            True,
            Plan("retrieve", "short"),
            citations=(cited,),
            table=({"document": "lease.pdf", "answer": "yes"},),
        )
        session = store.append(store.ask(session, "When?"), answer)
        storage.remove(self.folder / "sessions")
        return to_json(session)

    @cache  # noqa: B019
    def ring(self) -> tuple[bytes, list[keyrings.Credential]]:
        keyrings._ARGON2 = {"memory_kib": 64, "passes": 1, "lanes": 1}
        key = Key(bytes(32))
        held: list[keyrings.Credential] = [
            keyrings.Passphrase("correct horse"),
            keyrings.RecoveryKey(bytes(32)),
            keyrings.parse_key_file(keyrings.new_key_file()),
        ]
        ring = keyrings.new_keyring(key, Key(b"\x01" * 32))
        for number, one in enumerate(held):
            ring = ring.with_credential(key, f"holder {number}", one)
        return keyrings.to_json(ring, key), held

    @cache  # noqa: B019
    def record(self) -> tuple[bytes, bytes]:
        file = self.folder / "audit" / "audit.jsonl"
        for number in range(6):
            audit.record(file, "ask", "made", question=f"question {number}", answer="x", shown=["ab#1"])
        audit.keep_words(file, 2, "question 2", "x")
        return file.read_bytes(), file.with_suffix(".key").read_bytes()


# --- targets ------------------------------------------------------------------------------------------------


def damaged(home: Home, random: Random) -> None:
    """A library of ours, of which bytes were lost: opened where it lies, and used."""
    mine = home.settings.indexes_dir / "mine"
    shutil.rmtree(mine, ignore_errors=True)
    mine.mkdir(parents=True, mode=0o700)
    file = mine / DATABASE
    data, kind = home.database(), random.random()
    if kind < 0.2:  # the index, which is made of it
        made = (home.folder / "made" / INDEX).read_bytes()
        (mine / INDEX).write_bytes(mutating.of_bytes(made, random))
        (mine / INDEX).chmod(0o600)
    elif kind < 0.8:
        data = mutating.of_pages(data, random)
    else:
        data = mutating.of_bytes(data, random)
    file.write_bytes(data)
    file.chmod(0o600)
    looked_at(home, "mine", random)


def backups(home: Home, random: Random) -> None:
    """A backup: changed as it lies, or in what it says of itself and what it holds, with a digest that is right."""
    shutil.rmtree(home.settings.indexes_dir, ignore_errors=True)
    file = home.folder / "changed.backup"
    given = json.dumps(home.session()).encode()
    members = [(DATABASE, home.database()), (f"sessions/{home.session()['id']}.json", given), ("audit.key", b"k" * 32)]
    about = {"localrag-backup": 1, "library": "made", "made": "", "schema": SCHEMA, "encrypted": False}
    whole = random.random() < 0.5
    at = random.randrange(len(members) + 1)
    parts = [json.dumps(about if whole or at else mutating.of_json(about, random)).encode()]
    for number, (path, data) in enumerate(members, 1):
        line: Any = {"path": path, "size": len(data)}
        if not whole and number == at:
            data = mutating.of_bytes(data, random) if random.random() < 0.5 else data
            line = mutating.of_json(line, random) if random.random() < 0.5 else {**line, "size": len(data)}
        parts += [json.dumps(line).encode("utf-8", "replace") + b"\n" + data]
    body = parts[0] + b"\n" + b"".join(parts[1:])
    end = json.dumps({"end": len(members), "sha256": hashlib.sha256(body).hexdigest()}).encode() + b"\n"
    raw = backup.MAGIC + bytes(4) + body + end
    file.write_bytes(mutating.of_bytes(raw, random) if whole else raw)
    ring = home.ring()[1]
    restore.restore(
        home.settings, file, "again", trust=True, unlock=lambda place, said: keyrings.from_json(said).unlock(ring[1])
    )
    looked_at(home, "again", random)


def looked_at(home: Home, name: str, random: Random) -> None:
    """What a person does with a library: looked through, searched, and asked in two ways."""
    with closing(open_library(home.settings, name)) as library:
        library.near_duplicates()
        library.failures()
        library.roots()
        for document in library.documents():
            library.pages(document.id)
            library.chunks_of(document.id)
            library.files(document.root)
    assistant = Assistant(home.settings, ScriptedGenerator([("lease", "It ends on 31 May 2031 [1].")]))
    try:
        assistant.search("rent of Orlo House", libraries=[name])
        for mode, question in (("auto", random.choice(QUESTIONS)), (random.choice(MODES), QUESTIONS[0])):
            with suppress(LocalragError):
                list(assistant.ask(question, libraries=[name], mode=mode))
    finally:
        assistant.close()


def settings(home: Home, random: Random) -> None:
    """A settings file that somebody changed: read, and one setting saved to it."""
    known = {item.name: getattr(home.settings, item.name) for item in fields(Settings)}
    lines = [f"{name} = {_toml(value)}" for name, value in known.items() if value is not None]
    if random.random() < 0.5:
        at = random.randrange(len(lines))
        name = lines[at].partition(" = ")[0]
        lines[at] = f"{name} = {_toml(random.choice([one for one in mutating.VALUES if not isinstance(one, bytes)]))}"
        text = "\n".join(lines).encode("utf-8", "surrogatepass")
    else:
        text = mutating.of_bytes("\n".join(lines).encode(), random)
    user_file().write_bytes(text)
    from localrag.lifecycle import audit_events

    with suppress(LocalragError):
        audit_events.save_setting("passages", 9)
    user_file().write_bytes(text)
    read = load_settings({"LOCALRAG_CONFIG": str(user_file())})
    repr(read), read.digest, read.indexes_dir, read.models_dir, read.with_options(passages=3)


def _toml(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if value is None:
        return '""'
    return json.dumps(str(value)) if isinstance(value, str | Path) else str(value).lower()


def session(home: Home, random: Random) -> None:
    """A file of a conversation: listed, loaded, looked through, exported, taken answers from, gone on with."""
    store = SessionStore(home.folder / "sessions")
    given = home.session()
    path = home.folder / "sessions" / f"{given['id']}.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(given).encode()
    if random.random() < 0.6:
        changed = given
        for _ in range(random.choice((1, 1, 2, 5))):
            changed = mutating.of_json(changed, random)
        text = json.dumps(changed).encode("utf-8", "replace")
    else:
        text = mutating.of_bytes(text, random)
    path.write_bytes(text)
    path.with_suffix(".said").write_bytes(mutating.of_bytes(b'{"question": "When?", "said": "On"}', random))
    store.list()
    loaded = store.load(given["id"])
    for form in export.FORMS:
        export.written(loaded, form)
    store.forget([("made", "lease.pdf")])
    store.ask(store.load(given["id"]), "And then?")
    store.branch(given["id"], 1)


def ring(home: Home, random: Random) -> None:
    """A keyring: read, opened by each who holds it, checked."""
    data, held = home.ring()
    if random.random() < 0.6:
        data = json.dumps(mutating.of_json(json.loads(data), random)).encode("utf-8", "replace")
    else:
        data = mutating.of_bytes(data, random)
    found = keyrings.from_json(data)
    for one in held:
        with suppress(LocalragError):
            key = found.unlock(one)
            keyrings.check(data, key)
            found.former_key(key)


def lines(home: Home, random: Random) -> None:
    """What a worker or a reader's process sends: read as its parent reads it."""
    if random.random() < 0.5:
        reply = calls.Done(1, protocol.to_plain(Delta("a"), Event))
        with suppress(protocol.Malformed):
            protocol.decode(mutating.of_bytes(protocol.encode(reply), random), calls.Reply)
        with suppress(protocol.Malformed):
            made = protocol.from_plain(mutating.of_json(protocol.to_plain(reply), random), calls.Reply)
            protocol.from_plain(getattr(made, "value", None), random.choice([*calls.calls_of(Engine).values()]).result)
        return
    part = Part("a", "ab" * 32, 3, Reading((Page("text", 1, "i"),), "title", (SkippedPage(2, "blank"),)))
    stream = io.BytesIO()
    for message in reading.messages(part):
        plain = protocol.to_plain(message)
        with suppress(ValueError):  # a number that is not finite
            protocol.send(stream, mutating.of_json(plain, random) if random.random() < 0.5 else plain)
    data = stream.getvalue()
    source = io.BytesIO(mutating.of_bytes(data, random) if random.random() < 0.5 else data)
    decoder = reading.Decoder(Options())
    with suppress(protocol.Malformed):
        while (received := protocol.receive(source, reading.Reply)) is not None:
            decoder.take(received)


def record(home: Home, random: Random) -> None:
    """The record of who asked what: shown, checked, anchored, and gone on with."""
    data, key = home.record()
    file = home.folder / "audit" / "audit.jsonl"
    if random.random() < 0.5:
        rows = data.splitlines()
        at = random.randrange(len(rows))
        rows[at] = json.dumps(mutating.of_json(json.loads(rows[at]), random)).encode("utf-8", "replace")
        data = b"\n".join(rows) + b"\n"
    else:
        data = mutating.of_bytes(data, random)
    file.write_bytes(data)
    file.with_suffix(".key").write_bytes(mutating.of_bytes(key, random) if random.random() < 0.1 else key)
    kept = file.parent / audit.WORDS_FOLDER / "2.json"
    kept.write_bytes(mutating.of_bytes(kept.read_bytes(), random))
    audit.verify(file)
    for entry in audit.entries(file):
        audit.words_of(file, entry)
    audit.end_of(file)
    audit.record(file, "show", "made", document="x")
    audit.verify(file)


Target = Callable[[Home, Random], None]
TARGETS: dict[str, Target] = {
    "damaged": damaged,
    "backup": backups,
    "settings": settings,
    "session": session,
    "keyring": ring,
    "lines": lines,
    "record": record,
}


def run(target: str, number: int, home: Home) -> str:
    """One case: "taken" or "refused"; anything else is raised."""
    try:
        TARGETS[target](home, Random(f"{target} {number}"))
    except LocalragError:
        return "refused"
    return "taken"

"""What only libraries in PostgreSQL have: rights, several machines at once, a server that is killed."""

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pg_cluster
import pytest
from fake_endpoint import certificate
from papers import IDENTITY, contents, ingest, sound
from pg_cluster import Cluster
from stores import new_store
from waiting import wait_for

from localrag import policy
from localrag.api import open_library
from localrag.errors import LibraryError, LibraryLocked, LocalragError, NotFoundError, StorageError, UsageError
from localrag.items import facts
from localrag.security import audit
from localrag.store import names, postgres
from localrag.store.library import Library
from localrag.store.postgres import PostgresIndex
from localrag.store.writer import Editor

pytestmark = pytest.mark.slow

TESTS = str(Path(__file__).parents[1])
MANY = {f"{number:02}.txt": f"Document {number} speaks of topic{number}. " * 40 for number in range(12)}


@pytest.fixture
def store(pg):
    return new_store(pg)


@pytest.fixture
def papers(store, tmp_path, put):
    made = Editor.create_in(store, tmp_path / "papers", "papers", IDENTITY)
    put(made, "lease.txt", "The rent is 900 pounds.")
    put(made, "secret.txt", "The merger closes in May.")
    facts.refresh(made)
    title = made.facts()[made.document("secret.txt").id][1]
    made.decide(made.document("secret.txt"), [facts.decided(title, "confirmed", "merger", "anna", "2026-12-01")])
    yield made
    made.close()


def db(library):
    return library._db


def role(pg, store, name):
    return postgres.Store(pg.role(name), store.database, store.address)


def folder_of(place, store, library="papers"):
    place.mkdir()
    names.keep_store(place, str(store), library)
    return place


def test_urls_are_read_as_libpq_reads_them_and_others_refused(monkeypatch):
    monkeypatch.setenv("PGUSER", "anna")
    local = postgres.Store.parse("postgresql:///firm")
    assert (local.user, local.database) == ("anna", "firm")
    assert local.address.path == "/var/run/postgresql/.s.PGSQL.5432"
    far = postgres.Store.parse("postgresql://bert@db.firm.example:6432/matters")
    assert (far.user, far.database, far.address.host, far.address.port) == ("bert", "matters", "db.firm.example", 6432)
    for url in ("postgresql:///firm", "postgres://b%20c@/x?host=/some/where&port=99", "postgresql://u@h.example/d"):
        assert postgres.Store.parse(str(postgres.Store.parse(url))) == postgres.Store.parse(url)
    secret = "postgresql://u:word@h.example/firm"  # no password is kept
    for url in ("mysql:///firm", "postgresql:///firm?sslmode=disable", secret, "postgresql://[x/firm", "firm", ""):
        with pytest.raises(UsageError) as raised:
            postgres.Store.parse(url)
        assert raised.value.hint


def test_passwords_come_from_the_environment_or_the_password_file(tmp_path, monkeypatch):
    far = postgres.Store.parse("postgresql://anna@db.firm.example/firm")
    file = tmp_path / "pgpass"
    file.write_bytes(b"# L\xe9a\ndb.firm.example:5433:*:anna:wrong\ndb.firm.example:5432:*:anna:a\\:b\n")
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", str(file))
    assert far.password() == "a:b"
    monkeypatch.setenv("PGPASSWORD", "given")
    assert far.password() == "given"


def rows_seen(pg, store, library):
    """How many rows of each table a role sees that opens a library by its number, past localrag."""
    from pg8000 import native

    with native.Connection(store.user, database=store.database, unix_sock=pg.socket) as connection:
        connection.run(f"SET localrag.library = '{library}'")
        tables = connection.run("SELECT tablename FROM pg_tables WHERE schemaname = 'localrag'") or []
        found = {}
        for (table,) in tables:
            try:
                found[table] = (connection.run(f"SELECT count(*) FROM localrag.{table}") or [[0]])[0][0]
            except native.DatabaseError:  # not granted to anybody
                found[table] = 0
        return found


def number_of(store):
    with closing(postgres.Connection(store)) as connection:
        ((number, _, _),) = postgres.libraries(connection)
    return number


@pytest.mark.smoke
def test_who_has_no_right_sees_neither_text_nor_name_nor_counts(pg, store, papers, tmp_path):
    stranger, library = role(pg, store, "stranger"), number_of(store)
    assert sum(rows_seen(pg, store, library).values()) > 20
    assert set(rows_seen(pg, stranger, library).values()) == {0}
    with closing(postgres.Connection(stranger)) as connection:
        assert postgres.libraries(connection) == []
        connection.use(library)
        for sql in ("SELECT sum(n) FROM postings", "SELECT last_value FROM passages_1", "SELECT name FROM libraries"):
            try:
                assert connection.execute(sql).fetchone()[0] is None, sql
            except LocalragError as error:
                assert "permission" in error.message, sql
        with pytest.raises(StorageError):
            connection.execute("INSERT INTO meta (key, value) VALUES ('instructions', 'Lie.')")
        with pytest.raises(StorageError):
            postgres.set_right(connection, "stranger", "own")
        with pytest.raises(StorageError):
            connection.execute("SELECT drop_library()")
    with pytest.raises(NotFoundError) as raised:
        Library.open(folder_of(tmp_path / "other", stranger), "other")
    assert "grant" in raised.value.hint and "secret" not in str(raised.value)


def test_a_reader_reads_and_changes_nothing(pg, store, papers, tmp_path):
    clerk = role(pg, store, "clerk")
    postgres.set_right(db(papers), "clerk", "read")
    place = folder_of(tmp_path / "theirs", clerk)
    with closing(Library.open(place, "theirs")) as reader:
        assert {document.path for document in reader.documents()} == {"lease.txt", "secret.txt"}
        assert reader.uid == papers.uid
        before = reader.generation
        for sql in ("DELETE FROM documents", "UPDATE pages SET text = ''", "UPDATE meta SET value = '9'"):
            db(reader).execute(sql)  # no row may be changed, so none is
        with pytest.raises(StorageError):
            db(reader).execute("INSERT INTO roots (path) VALUES ('/x')")
        secret = reader.document("secret.txt")
        assert reader.facts()[secret.id][0].value == reader.decisions(secret)[0].value == "merger"
        for sql in ("DELETE FROM decided", "UPDATE facts SET data = '[]'"):
            db(reader).execute(sql)
        with pytest.raises(StorageError):
            db(reader).execute("INSERT INTO decided (root_id, path, file, data) VALUES (1, 'a', 'a', '[]')")
        assert reader.facts()[secret.id][0].value == "merger"
        with pytest.raises(StorageError):
            postgres.set_right(db(reader), "clerk", "write")
        assert (len(reader.documents()), reader.generation) == (2, before)
        assert postgres.rights(db(reader)) == []
    with pytest.raises(StorageError) as raised:
        Editor.open(place, "theirs")
    assert "write" in raised.value.hint


def test_rights_come_by_membership_and_go_at_once(pg, store, papers, tmp_path):
    member = role(pg, store, "member")
    pg.role("matter", login=False)
    place = folder_of(tmp_path / "theirs", member)
    with pytest.raises(NotFoundError):
        Library.open(place, "theirs")
    postgres.set_right(db(papers), "matter", "read")
    pg.sql(store.database, "GRANT matter TO member")
    with closing(Library.open(place, "theirs")) as reader:
        assert len(reader.documents()) == 2
        pg.sql(store.database, "REVOKE matter FROM member")
        assert reader.documents() == [] and reader.counts()["characters"] == 0
        pg.sql(store.database, "GRANT matter TO member")
        assert postgres.rights_by_others(db(papers), "member") == [("matter", "read")]
    assert postgres.rights(db(papers)) == [("matter", "read"), ("writer", "own")]


def test_only_owners_delete_a_library_which_is_then_not_called_damaged(pg, store, papers, settings, tmp_path):
    clerk, place = role(pg, store, "clerk"), settings.library_dir("papers")
    postgres.set_right(db(papers), "clerk", "write")
    place.parent.mkdir(parents=True)
    with pytest.raises(StorageError) as raised:
        open_library(folder_of(place, clerk).name, settings=settings).forget()
    assert "disconnect" in raised.value.hint
    assert not papers.tombstones and len(papers.documents()) == 2 and place.exists()
    with closing(Library.open(papers.folder, "papers")) as reader:
        papers.drop()
        for look in (reader.index, lambda: reader.identity, lambda: reader.uid, lambda: reader.generation):
            with pytest.raises(NotFoundError) as raised:
                look()
            assert "was deleted" in raised.value.message


def test_who_may_not_make_libraries_makes_none_and_a_wrong_store_is_refused(pg, store, tmp_path):
    with pytest.raises(StorageError) as raised:
        Editor.create_in(role(pg, store, "stranger"), tmp_path / "new", "new", IDENTITY)
    assert "GRANT EXECUTE" in raised.value.hint and not (tmp_path / "new").exists()
    with closing(postgres.Connection(store)) as connection, pytest.raises(StorageError):
        connection.execute("CREATE FUNCTION localrag.format(text, bigint) RETURNS text RETURN 'mine'")
    database, owner = pg.database(), pg.role("registry")
    pg.sql("postgres", f'ALTER DATABASE "{database}" OWNER TO {owner}')
    pg.sql(database, "GRANT CREATE ON SCHEMA public TO PUBLIC")
    with pytest.raises(StorageError) as raised:
        postgres.initialise(postgres.Store.parse(pg.url(database, owner)))
    assert "REVOKE CREATE ON SCHEMA public" in raised.value.message
    assert pg.sql(database, "SELECT to_regnamespace('localrag')") == [[None]]
    pg.sql(store.database, "COMMENT ON SCHEMA localrag IS 'localrag store 99'")
    with pytest.raises(LibraryError) as raised:
        postgres.Connection(store)
    assert "99" in raised.value.message and raised.value.hint
    with pytest.raises(UsageError):
        postgres.initialise(postgres.Store.parse(pg.url(pg.database())))


def test_libraries_of_one_database_do_not_mix_and_ids_cannot_be_chosen(store, papers, put, tmp_path):
    # PostgreSQL checks keys without regard to row-level security, so a chosen id would tell what others have.
    theirs = {table: db(papers).execute(f"SELECT min(id) FROM {table}").fetchone()[0] for table in ("terms", "roots")}
    with closing(Editor.create_in(store, tmp_path / "deals", "deals", IDENTITY)) as deals:
        put(deals, "lease.txt", "The rent is 900 pounds.")
        assert deals.counts()["documents"] == 1 and papers.counts()["documents"] == 2
        assert deals.passage_ids(None).tolist() == [1]
        for table, sql, why in (
            ("terms", "INSERT INTO words (word, term_id, held) VALUES ('x', ?, 0)", ""),
            ("terms", "INSERT INTO postings (term_id, space, block, n, data) VALUES (?, 0, 99, 0, '')", ""),
            ("roots", "INSERT INTO roots (id, path) OVERRIDING SYSTEM VALUE VALUES (?, '/guess')", "permission"),
            ("roots", "UPDATE roots SET id = ?", "permission"),
            ("roots", "INSERT INTO passages (id, digest, vector) VALUES (?, '', '[1]')", "permission"),
        ):
            with pytest.raises(StorageError) as raised:
                db(deals).execute(sql, (theirs[table],))
            assert why in raised.value.message, sql
        sound(deals)
        deals.remove(deals.documents())
        deals.drop()
    assert papers.counts()["documents"] == 2
    sound(papers)


@pytest.mark.parametrize("attribute", ["SUPERUSER", "BYPASSRLS"])
def test_a_role_that_row_level_security_does_not_hold_for_is_refused(pg, store, papers, attribute):
    mighty = role(pg, store, f"mighty_{attribute.lower()}")
    pg.sql(store.database, f"ALTER ROLE {mighty.user} {attribute}")
    with pytest.raises(UsageError) as raised:
        postgres.Connection(mighty)
    assert attribute in raised.value.hint


def test_the_owner_of_the_tables_sees_no_library_that_is_not_theirs(pg, store):
    owner = role(pg, store, "table_owner")
    pg.sql(store.database, "DROP SCHEMA localrag CASCADE")
    pg.sql("postgres", f'ALTER DATABASE "{store.database}" OWNER TO {owner.user}')
    assert postgres.initialise(owner) and not postgres.initialise(owner)
    pg.sql(store.database, "GRANT EXECUTE ON FUNCTION localrag.create_library TO writer")
    postgres.make_library(store, "papers", {"schema": "3"})
    assert rows_seen(pg, store, 1)["meta"] == 1
    seen = rows_seen(pg, owner, 1)
    assert {table: n for table, n in seen.items() if n and table not in ("libraries", "rights")} == {}


def test_the_log_of_the_store_has_what_every_machine_did_and_owners_read_it(pg, store, papers, tmp_path):
    clerk = role(pg, store, "clerk")
    postgres.set_right(db(papers), "clerk", "read")
    place = folder_of(tmp_path / "theirs", clerk)
    audit.record(place / "audit.jsonl", "show", "theirs", document="secret.txt", page=1)
    audit.record(papers.folder / "audit.jsonl", "ask", "papers", question="When?", answer="In May.")
    given, (time_, one, event, details), second = postgres.audit_entries(db(papers), 10)
    assert given[1:] == ("writer", "right", {"role": "clerk", "may": "read"})
    assert (one, event, details["document"]) == ("clerk", "show", "secret.txt") and time_.startswith("20")
    assert second[1:3] == ("writer", "ask") and "In May." not in json.dumps(second[3])
    with closing(postgres.open_library(str(clerk), "papers")) as connection:
        assert postgres.audit_entries(connection, 10) == []
        with pytest.raises(StorageError):
            connection.execute("INSERT INTO audit (role, event, details) VALUES ('writer', 'ask', '{}')")
        with pytest.raises(StorageError):
            connection.execute("INSERT INTO audit (event, details) VALUES ('right', '{}')")  # that a right was given
        for details in ("nonsense", "[1]"):
            connection.execute("INSERT INTO audit (event, details) VALUES ('ask', ?)", (details,))
    unreadable = [entry[3]["unreadable"] for entry in postgres.audit_entries(db(papers), 2)]
    assert unreadable == ["nonsense", "[1]"]
    with pytest.raises(StorageError):
        db(papers).execute("DELETE FROM audit")


MACHINE = """
import sys
from contextlib import closing
from pathlib import Path
sys.path.append(sys.argv.pop())
from papers import ingest
from localrag.ingest import sync
from localrag.store.writer import Editor

sync._CHUNKS = 2
with closing(Editor.open(Path(sys.argv[1]), "papers")) as library:
    for root in map(Path, sys.argv[2:]):
        library.hold(str(root))
        print("began", flush=True)
        print("read", len(ingest(library, root, limits=sync.Limits(workers=1)).read), flush=True)
"""


def machine(tmp_path, store, name, *roots):
    (tmp_path / "machine.py").write_text(MACHINE)
    place = folder_of(tmp_path / name, store)
    command = [sys.executable, str(tmp_path / "machine.py"), str(place), *map(str, roots), TESTS]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_machines_ingest_while_others_read(store, papers, folder, tmp_path):
    words = [f"word{n * n % 997}" for n in range(400)]
    one = folder(MANY | {"draft.txt": " ".join(words)}, "one")
    two = folder({f"b{name}": f"{text}And more." for name, text in MANY.items()}, "two")
    (two / "final.txt").write_text(" ".join([*words[:200], "but", "not", "here", *words[200:]]))
    processes = [machine(tmp_path, store, "first", one), machine(tmp_path, store, "second", two)]
    failures = []

    def look():
        try:
            with closing(Library.open(papers.folder, "papers")) as reader:
                while any(process.poll() is None for process in processes):
                    with reader.snapshot():
                        for document in reader.documents():
                            assert len(reader.page_text(document.id, 0)) == document.characters
                            assert reader.chunks_of(document.id)
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    outputs = [process.communicate(timeout=300) for process in processes]
    for reader in readers:
        reader.join()
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert failures == []
    assert papers.counts()["documents"] == 2 + 2 * (len(MANY) + 1)
    sound(papers)
    # Whichever machine was later found the draft that the other one had read.
    assert [{*pair[:2]} for pair in papers.near_duplicates()] == [{"draft.txt", "final.txt"}]


def test_one_root_is_ingested_by_one_machine_and_renewing_waits_for_all(store, papers, tmp_path):
    with closing(Editor.open(folder_of(tmp_path / "theirs", store), "theirs")) as other:
        papers.hold("/a", wait=False)
        other.hold("/b", wait=False)  # another folder
        waits = []
        with pytest.raises(LibraryLocked):
            other.hold("/a", wait=False, on_wait=waits.append)
    with closing(Editor.open(tmp_path / "theirs", "theirs")) as other:
        with pytest.raises(LibraryLocked):
            other.hold(wait=False)
        waiting = threading.Thread(target=lambda: other.hold(on_wait=waits.append))
        waiting.start()
        assert wait_for(lambda: waits) and waiting.is_alive()
        papers.close()
        waiting.join(60)
        assert not waiting.is_alive()


def test_a_library_of_others_never_takes_the_place_of_one_with_its_name(pg, store, papers, tmp_path):
    other = role(pg, store, "other_maker")
    pg.sql(store.database, "GRANT EXECUTE ON FUNCTION localrag.create_library TO other_maker")
    for name in ("papers", "deals"):
        with closing(Editor.create_in(other, tmp_path / f"their {name}", name, IDENTITY)) as theirs:
            assert theirs.uid != papers.uid
            postgres.set_right(db(theirs), store.user, "write")
    with closing(Library.open(papers.folder, "papers")) as mine:
        assert mine.uid == papers.uid
    with pytest.raises(UsageError) as raised:
        Editor.create_in(store, tmp_path / "deals", "deals", IDENTITY)
    assert "store connect" in raised.value.hint and not (tmp_path / "deals").exists()
    papers.drop()
    with pytest.raises(NotFoundError):
        Library.open(papers.folder, "papers")


@pytest.fixture
def own():
    with pg_cluster.running() as cluster:
        yield cluster


def test_a_server_killed_in_an_ingest_loses_nothing_and_the_next_run_goes_on(own, folder, home, tmp_path):
    own.stop()
    own.start(fsync=True)
    root, seed = folder(MANY, "documents"), random.randrange(10**6)
    dice, store = random.Random(seed), new_store(own)
    Editor.create_in(store, tmp_path / "papers", "papers", IDENTITY).close()
    with closing(Editor.create(home / "indexes" / "undisturbed", "undisturbed", IDENTITY)) as undisturbed:
        ingest(undisturbed, root)
        expected = contents(undisturbed)
    for attempt in range(3):
        process = machine(tmp_path, store, f"machine{attempt}", root)
        process.stdout.readline()
        time.sleep(dice.uniform(0, 0.5))
        own.kill()
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0 or ("does not answer" in err and "Error" in err), (seed, out, err)
        own.start(fsync=True)
        with closing(Editor.open(tmp_path / "papers", "papers")) as left:
            for key, document in contents(left).items():
                assert document == expected[key], seed
            sound(left)
    with closing(Editor.open(tmp_path / "papers", "papers")) as again:
        ingest(again, root)
        assert contents(again) == expected, seed
        sound(again)


class Interrupted:
    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        if name == "read":
            raise KeyboardInterrupt
        return getattr(self._stream, name)


def test_an_interrupted_statement_does_not_answer_the_next(papers, put):
    with closing(Library.open(papers.folder, "papers")) as reader:
        db(reader)._native._sock = Interrupted(db(reader)._native._sock)
        with pytest.raises(KeyboardInterrupt):
            reader.documents()
        assert db(reader).execute("SELECT 2").fetchone()[0] == 2
        db(papers)._native._sock = Interrupted(db(papers)._native._sock)
        with pytest.raises(KeyboardInterrupt):
            put(papers, "more.txt", "More.")
        with pytest.raises(StorageError):
            papers.documents()
        assert len(reader.documents()) == 2


def test_a_reader_goes_on_after_the_server_was_restarted(own, tmp_path, put):
    store = new_store(own)
    with closing(Editor.create_in(store, tmp_path / "papers", "papers", IDENTITY)) as library:
        put(library, "lease.txt", "The rent is 900 pounds.")
        reader = Library.open(library.folder, "papers")
        assert len(reader.documents()) == 1
        own.kill()
        with pytest.raises(StorageError) as raised:
            reader.documents()
        assert str(store) in raised.value.message and raised.value.hint
        own.start()
        assert len(reader.documents()) == 1
        with reader.snapshot():
            assert len(reader.documents()) == 1
        reader.close()
        with pytest.raises(StorageError):  # a writer does not go on as if it still had its locks
            put(library, "more.txt", "More.")
    with pytest.raises(StorageError) as raised:
        own.kill()
        Library.open(tmp_path / "papers", "papers")
    assert "does not answer" in raised.value.message


def test_tcp_reaches_what_the_policy_names_with_its_certificate_and_a_password(own, tmp_path, monkeypatch):
    local = new_store(own)
    own.sql("postgres", "ALTER ROLE writer PASSWORD 'secret'")
    (file, key), (other, _) = (certificate(tmp_path, name, ["localhost"]) for name in ("server", "other"))
    own.stop()
    for source, name in ((key, "server.key"), (file, "server.crt")):
        shutil.copy(source, own.folder / "data" / name)
        owner = (own.folder / "data").stat()
        os.chown(own.folder / "data" / name, owner.st_uid, owner.st_gid)
        (own.folder / "data" / name).chmod(0o600)
    (own.folder / "data/pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
    port = 20_000 + os.getpid() % 10_000  # below those that the system gives to others
    monkeypatch.setattr(Cluster, "socket", property(lambda self: str(self.folder / f".s.PGSQL.{port}")))
    own.start(listen_addresses="127.0.0.1", port=str(port), ssl="on")
    far = postgres.Store.parse(f"postgresql://writer@localhost:{port}/{local.database}")
    monkeypatch.setattr(policy, "SYSTEM", tmp_path / "policy.toml")
    with pytest.raises(LocalragError) as raised:
        postgres.Connection(far)
    assert "policy" in raised.value.message

    def allow(trusted):
        rule = f'[[allow_addresses]]\nhost = "localhost"\nport = {port}\ncertificate = "{trusted}"\n'
        (tmp_path / "policy.toml").write_text(rule)

    allow(file)
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(StorageError) as raised:
        postgres.Connection(far)
    assert "PGPASSWORD" in raised.value.hint
    monkeypatch.setenv("PGPASSWORD", "secret")
    with closing(Editor.create_in(far, tmp_path / "papers", "papers", IDENTITY)) as library:
        assert library.counts()["documents"] == 0
        assert db(library).execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()[0]
    allow(other)
    with pytest.raises(StorageError) as raised:
        Library.open(tmp_path / "papers", "papers")
    assert "certificate" in raised.value.message


@pytest.mark.smoke
def test_a_library_in_a_store_is_used_and_forgotten_as_any_other(pg, store, settings, folder, models, tmp_path):
    library = open_library("papers", settings=settings.with_options(store=str(store)), create=True)
    root = folder({"lease.txt": "The rent is 900 pounds.", "secret.txt": "The merger closes in May."})
    assert len(library.ingest(root).read) == 2
    assert library.status()["store"] == str(store)
    assert [passage.document for passage in library.search("rent in pounds", k=1)] == ["lease.txt"]
    library.instruct("Answer in verse.")
    assert library.forget(["secret.txt"]) == ["secret.txt"]
    assert library.ingest(root).forgotten == 1
    events = [entry[2] for entry in postgres.audit_entries(postgres.open_library(str(store), "papers"), 50)]
    assert {"ingest", "forget"} <= set(events)
    library.forget()
    assert not settings.library_dir("papers").exists()
    with closing(postgres.Connection(store)) as connection:
        assert postgres.libraries(connection) == []
    assert {table: n for table, n in rows_seen(pg, store, 1).items() if n} == {}


# --- nearest passages: the index of a large library finds what comparing every vector finds --------------------

ROWS, DIMENSION = 600, 16


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


VECTORS = unit(np.random.default_rng(1).standard_normal((ROWS, DIMENSION)).astype(np.float32))
QUESTIONS = unit(np.random.default_rng(2).standard_normal((5, DIMENSION)).astype(np.float32))


@pytest.fixture
def made(pg, monkeypatch):
    """Makes libraries of the first of VECTORS in one store, where those of more than 100 rows are large."""
    monkeypatch.setattr(postgres, "EXACT_ROWS", 100)
    store, opened = new_store(pg), []

    def make(name, rows):
        postgres.make_library(store, name, {"schema": "3", "embedder": json.dumps({"dimension": DIMENSION})})
        opened.append(connection := postgres.open_library(str(store), name, write=True))
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO passages (digest, vector) VALUES (?, ?)",
            [(bytes([at // 256, at % 256]), VECTORS[at]) for at in range(rows)],
        )
        connection.execute("COMMIT")
        connection.execute("SET enable_seqscan = off")  # these libraries are so small that it would be quicker
        return connection

    yield make
    for connection in opened:
        connection.close()


def index_of(connection, rows):
    return PostgresIndex(connection, lambda generation: rows).at("", 1, DIMENSION)


def plans(connection, index, allowed=None):
    run, found = connection.execute, []

    def explained(sql, values=()):
        found.extend(row[0] for row in run(f"EXPLAIN {sql}", values))
        return run(sql, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "execute", explained)
        index.search(QUESTIONS[0], 10, allowed)
    return "\n".join(found)


def nearest(question, k, among):
    """The ids of the k rows nearest to a question; the id of a row is its number from 1."""
    rows = VECTORS[np.asarray(among) - 1].astype(np.float16).astype(np.float32)
    return {int(among[at]) for at in np.argsort(-(rows @ question))[:k]}


def test_the_index_finds_what_comparing_every_row_finds(made):
    connection, every = made("large", ROWS), np.arange(1, ROWS + 1)
    index = index_of(connection, ROWS)
    assert "vectors_" not in plans(connection, index)
    before = [index.search(question, 10) for question in QUESTIONS]
    postgres.index_vectors(index._db)
    postgres.index_vectors(index._db)
    connection._connect()  # the plan of a statement that was prepared before is kept
    connection.execute("SET enable_seqscan = off")
    assert "Index Scan using vectors_" in plans(connection, index)
    for question, (ids, scores) in zip(QUESTIONS, before, strict=True):
        found, cosines = index.search(question, 10)
        assert set(ids.tolist()) == nearest(question, 10, every)
        assert len(found) == 10 and len(nearest(question, 10, every) & set(found.tolist())) >= 9
        assert (np.diff(cosines) <= 0).all() and cosines[0] == pytest.approx(scores[0], abs=1e-3)
        known, rows = index.vectors(found)
        assert known.tolist() == sorted(found.tolist()) and rows == pytest.approx(VECTORS[known - 1], abs=1e-3)
        assert dict(zip(*map(np.ndarray.tolist, index.cosines(found, question)), strict=True)) == pytest.approx(
            dict(zip(found.tolist(), cosines.tolist(), strict=True)), abs=1e-3
        )
    # A search that the index leaves short compares every row.
    allowed = np.array(sorted(set(every) - nearest(QUESTIONS[0], 450, every)))
    assert set(index.search(QUESTIONS[0], 10, allowed)[0].tolist()) == nearest(QUESTIONS[0], 10, allowed)
    assert len(index.search(QUESTIONS[0], ROWS + 50)[0]) == ROWS


def test_a_small_library_beside_a_large_one_finds_its_own_and_has_no_index(made, pg):
    large, small = made("large", ROWS), made("small", 40)
    postgres.index_vectors(index_of(large, ROWS)._db)
    ids, _ = index_of(small, 40).search(QUESTIONS[0], 30)
    assert set(ids.tolist()) == nearest(QUESTIONS[0], 30, np.arange(1, 41))
    names = "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'vectors\\_%'"
    assert pg.sql(small.store.database, names) == [[f"vectors_{large.library}_16"]]
    large.execute("SELECT drop_library()")
    large.execute("SELECT drop_left_indexes()")
    assert pg.sql(small.store.database, names) == []


def test_an_ingest_makes_no_index_and_keeps_the_one_that_is_there(pg, tmp_path, put, monkeypatch):
    monkeypatch.setattr(postgres, "EXACT_ROWS", 3)
    store, made = new_store(pg), "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'vectors\\_%'"
    with closing(Editor.create_in(store, tmp_path / "papers", "papers", IDENTITY)) as library:
        for number in range(5):
            put(library, f"{number}.txt", f"Document {number} speaks of topic{number}.")
        library.save_index()
        assert pg.sql(store.database, made) == [[0]]  # everybody would see its size
        postgres.index_vectors(db(library))
        put(library, "5.txt", "Document 5 speaks of topic5.")
    assert pg.sql(store.database, made) == [[1]]
    with closing(Library.open(tmp_path / "papers", "papers")) as reading:
        ids = reading.passage_ids(None)
        assert set(reading.index().search(reading.vectors(ids)[1][5], 6)[0].tolist()) == set(ids.tolist())

"""What a store tells a role that has no right: nothing by estimates, keys, locks; and what it is told in turn."""

import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from papers import IDENTITY
from pg8000 import native
from stores import new_store

from localrag import policy
from localrag.errors import OfflineRefused, StorageError
from localrag.items import facts
from localrag.store import postgres
from localrag.store.writer import Editor

pytestmark = pytest.mark.slow

# Tables with rights, which nobody but the store's functions reads.
CLOSED = {"libraries", "rights"}
COLUMNS = """SELECT c.relname, a.attname, format_type(a.atttypid, NULL), coalesce(a.attstattarget, -1),
    EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND attnum = ANY (indkey)) FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
    WHERE c.relnamespace = 'localrag'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped ORDER BY 1, 2"""
NUMBERS = {"bigint", "integer", "localrag.library"}
# An earlier store: keys without the library, statistics of all columns, policies after the conditions of whoever asks.
EARLIER = """ALTER TABLE files DROP CONSTRAINT files_library_id_root_id_path_key, ADD UNIQUE (root_id, path);
    ALTER TABLE documents DROP CONSTRAINT documents_library_id_file_id_member_key, ADD UNIQUE (file_id, member);
    ALTER TABLE postings DROP CONSTRAINT postings_pkey, ADD PRIMARY KEY (term_id, space, block);
    ALTER TABLE failures DROP CONSTRAINT failures_pkey, ADD PRIMARY KEY (root_id, path);
    ALTER TABLE audit DROP CONSTRAINT audit_pkey, ADD PRIMARY KEY (number);
    CREATE INDEX failures_of_library ON failures (library_id); CREATE INDEX audit_of_library ON audit (library_id);
    COMMENT ON SCHEMA localrag IS 'localrag store 3'"""


def columns(pg, store):
    return [row for row in pg.sql(store.database, COLUMNS) if row[0] not in CLOSED]


def earlier(pg, store):
    """Make the store as localrag before store 4 left it, with statistics."""
    for statement in EARLIER.split(";"):
        pg.sql(store.database, f"SET search_path = localrag, public; {statement}")
    for table, column, *_ in columns(pg, store):
        pg.sql(store.database, f'ALTER TABLE localrag.{table} ALTER "{column}" SET STATISTICS -1')
        if column == "library_id" and table != "audit":
            policy_ = f"ALTER POLICY reading ON localrag.{table} USING (library_id = (SELECT localrag.readable()))"
            pg.sql(store.database, policy_)
    pg.sql(store.database, "ANALYZE")


@pytest.fixture
def store(pg):
    return new_store(pg)


@pytest.fixture
def papers(store, tmp_path, put):
    made = Editor.create_in(store, tmp_path / "papers", "papers", IDENTITY)
    put(made, "secret.txt", "The merger closes in May.")
    yield made
    made.close()


def db(library):
    return library._db


def role(pg, store, name):
    return postgres.Store(pg.role(name), store.database, store.address)


def number_of(store):
    with closing(postgres.Connection(store)) as connection:
        return postgres.libraries(connection)[0][0]


@pytest.fixture
def full(pg, papers, put):
    """Rows in every table, so that statistics would have something to tell."""
    for number in range(40):
        put(papers, f"Nightjar memo {number}.txt", f"Project Nightjar, part {number}: the price is {number} million.")
    facts.refresh(papers)
    document = papers.document("secret.txt")
    figure = (0, 1, 5, 1, 1, "12", "12", "GBP", "1", "Nightjar costs", "2025", "", "", "income", "Costs", 2025, 1, 12)
    papers.save_figures(document, [figure])
    one = facts.decided(papers.facts()[document.id][1], "confirmed", "merger", "anna", "2026-12-01")
    papers.decide(document, [one])
    papers.stage("renewal", {b"digest": np.zeros(8)})
    for sql in (
        "INSERT INTO failures (root_id, path, file, reason) SELECT id, 'Nightjar.doc', 'Nightjar.doc', 'broken' FROM roots",
        "INSERT INTO near (document_id, other_id, similarity) SELECT min(id), max(id), 0.9 FROM documents",
        "INSERT INTO audit (event, details) VALUES ('ask', '{\"document\": \"Nightjar memo 1.txt\"}')",
    ):
        db(papers).execute(sql)
    return papers


def constants(pg, store, library, table, column, kind, near):
    """A value that a column holds in one library alone, and one that it does not, as literals.

    `near`: the next one, so that the rows of one's own compare to both alike.
    """
    shown = f"""encode("{column}", 'hex')""" if kind == "bytea" else f'CAST("{column}" AS text)'
    others = f'SELECT 1 FROM localrag.{table} b WHERE b.library_id <> {library} AND b."{column}" = a."{column}"'
    own = f"AND library_id = {library} AND NOT EXISTS ({others})"
    held = pg.sql(store.database, f"SELECT {shown} FROM localrag.{table} a WHERE {shown} <> '' {own} LIMIT 1")
    if not held:
        return None
    text = held[0][0].replace("'", "''")
    other = {"bytea": "00ff00", "text": f"{text} " if near else "zzzz"}.get(
        kind, "987654321" if kind in NUMBERS else text
    )
    prefix = "'\\x" if kind == "bytea" else "'"
    return f"{prefix}{text}'", f"{prefix}{other}'"


def estimates(connection, table, column, kind, value):
    """What EXPLAIN says of each comparison of a column, and of those of a text's beginning."""
    operators = ["=", "<", ">=", "<>", *(["^@", 'COLLATE "C" <'] if kind == "text" else [])]
    cast = kind if kind != "localrag.library" else "bigint"
    found = []
    for settings in ("on", "off"):
        connection.run(f"SET enable_seqscan = {settings}; SET enable_bitmapscan = {settings}")
        for operator in operators:
            where = f'"{column}" {operator} CAST({value} AS {cast})'
            for how in ("EXPLAIN", "EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF, BUFFERS OFF)"):
                rows = connection.run(f"{how} SELECT 1 FROM localrag.{table} WHERE {where}")
                found.append([row[0] for row in rows if "Cond: (" not in row[0] and "Filter: (" not in row[0]])
    return found


def told(pg, store, who, library, opened=None):
    """The columns of which EXPLAIN tells a role, which has `opened` a library, whether another one holds a value."""
    found = []
    with native.Connection(who.user, database=who.database, unix_sock=pg.socket) as connection:
        connection.run(f"SET localrag.library = '{opened or library}'")
        for table, column, kind, _, key in columns(pg, store):
            values = constants(pg, store, library, table, column, kind, opened)
            if values is None or kind in ("halfvec", "localrag.library") or (kind in NUMBERS and key):
                continue
            held, absent = (estimates(connection, table, column, kind, value) for value in values)
            if held != absent:
                found.append(f"{table}.{column}")
    return found


def test_explain_tells_a_stranger_and_another_reader_nothing_of_any_column(pg, store, full, tmp_path):
    pg.sql(store.database, "ANALYZE")
    library, stranger, reader = number_of(store), role(pg, store, "stranger"), role(pg, store, "one_reader")
    with closing(Editor.create_in(store, tmp_path / "other", "other", IDENTITY)) as other:
        postgres.set_right(db(other), reader.user, "read")
        assert told(pg, store, stranger, library) == []
        assert told(pg, store, reader, library, db(other).library) == []
    assert len(columns(pg, store)) > 80


def test_no_column_but_the_numbers_of_keys_has_statistics(pg, store, full):
    pg.sql(store.database, "ANALYZE")
    for table, column, kind, target, key in columns(pg, store):
        assert target == (1 if kind in NUMBERS and key else 0), f"{table}.{column}"
    kept = pg.sql(store.database, "SELECT tablename, attname FROM pg_stats WHERE schemaname = 'localrag'")
    numbers = {(table, column) for table, column, kind, _, key in columns(pg, store) if kind in NUMBERS and key}
    assert {tuple(row) for row in kept if row[0] not in CLOSED} <= numbers
    assert pg.sql(store.database, "SELECT DISTINCT stxkind FROM pg_statistic_ext") == [["{d}"]]  # numbers of pairs


def test_init_does_not_have_the_planner_take_new_tables_for_empty_ones(pg, store):
    # With a count of 0 rows, a plan that is made early reads the whole table for each new row that refers to it.
    counted = "SELECT relname, reltuples FROM pg_class WHERE relnamespace = 'localrag'::regnamespace AND relkind = 'r'"
    assert [name for name, rows in pg.sql(store.database, counted) if rows == 0] == []


def test_every_key_begins_with_the_library(pg, store):
    keys = """SELECT indrelid::regclass::text, attname FROM pg_index JOIN pg_class c ON c.oid = indrelid
        JOIN pg_attribute a ON a.attrelid = indrelid AND attnum = indkey[0]
        WHERE c.relnamespace = 'localrag'::regnamespace"""
    first = {tuple(row) for row in pg.sql(store.database, keys)}
    assert {column for table, column in first if table.split(".")[-1] not in CLOSED} == {"library_id"}


@pytest.mark.parametrize("conflict", ["", " ON CONFLICT DO NOTHING"])
def test_an_error_does_not_tell_whether_a_name_is_there(pg, store, full, conflict):
    with native.Connection(role(pg, store, "stranger").user, database=store.database, unix_sock=pg.socket) as stranger:
        stranger.run(f"SET search_path = localrag, public; SET localrag.library = '{number_of(store)}'")
        (root,) = pg.sql(store.database, "SELECT id FROM localrag.roots LIMIT 1")[0]
        errors = []
        for name in ("secret.txt", "nobody.txt"):
            values = f"({root}, '{name}', 0, 0, '', '')"
            with pytest.raises(native.DatabaseError) as raised:
                stranger.run(
                    f"INSERT INTO files (root_id, path, size, mtime_ns, sha256, stamp) VALUES {values}{conflict}"
                )
            errors.append(raised.value.args[0])
        assert errors[0] == errors[1] and errors[0]["C"] == "42501"


def test_locks_tell_no_folder(pg, store, papers):
    papers.hold("/srv/Nightjar")
    guess = f"hashtext('root {number_of(store)} /srv/Nightjar'), hashtext('/srv/Nightjar')"
    seen = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND CAST(objid AS bigint) IN ({guess})"
    assert pg.sql(store.database, seen) == [[0]]


def shape(pg, store):
    """The columns, keys, indexes and policies of a store."""
    constraints = """SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'localrag'::regnamespace AND contype IN ('p', 'u', 'f', 'c') ORDER BY 1, 2"""
    storage = """SELECT attrelid::regclass::text, attname, attstorage, attcollation, attnotnull FROM pg_attribute
        JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'localrag'::regnamespace AND relkind = 'r'
        AND attnum > 0 ORDER BY 1, 2"""
    policies = "SELECT tablename, policyname, cmd, qual, with_check FROM pg_policies ORDER BY 1, 2"
    indexes = """SELECT indrelid::regclass::text, indkey FROM pg_index JOIN pg_class c ON c.oid = indrelid
        WHERE relnamespace = 'localrag'::regnamespace ORDER BY 1, 2"""
    return [pg.sql(store.database, f"SET search_path = ''; {sql}") for sql in (constraints, storage, policies)] + [
        sorted(map(str, pg.sql(store.database, indexes))),
        columns(pg, store),
    ]


def test_init_takes_the_statistics_and_keys_of_an_earlier_store(pg, store, full, put, tmp_path):
    owner, library, stranger = role(pg, store, "registry"), number_of(store), role(pg, store, "stranger")
    fresh, before = shape(pg, store), full.counts()
    full.close()
    earlier(pg, store)
    assert {"pages.text", "files.path", "words.word"} <= set(told(pg, store, stranger, library))
    assert postgres.initialise(owner) and not postgres.initialise(owner)
    assert told(pg, store, stranger, library) == []
    assert shape(pg, store) == fresh
    with closing(Editor.open(tmp_path / "papers", "papers")) as again:
        assert again.counts() == before
        put(again, "more.txt", "The lease ends in June.")
        put(again, "more.txt", "The lease ends in July.")
        assert again.counts()["documents"] == before["documents"] + 1


def test_an_index_of_vectors_has_no_statistics_either(pg, store, full):
    postgres.index_vectors(db(full))
    pg.sql(store.database, "ANALYZE")
    assert pg.sql(store.database, "SELECT count(*) FROM pg_stats WHERE tablename LIKE 'vectors_%'") == [[0]]


def test_readers_add_to_the_log_under_their_own_name_and_the_servers_time(pg, store, papers):
    clerk = role(pg, store, "clerk")
    postgres.set_right(db(papers), "clerk", "read")
    with closing(postgres.open_library(str(clerk), "papers")) as connection:
        for columns_, values in (("time", "'2001-01-01'"), ("role", "'writer'"), ("number", "1")):
            with pytest.raises(StorageError):
                connection.execute(f"INSERT INTO audit ({columns_}, event, details) VALUES ({values}, 'ask', '{{}}')")
        connection.execute("INSERT INTO audit (event, details) VALUES ('ask', '{}')")
    assert postgres.audit_entries(db(papers), 1)[0][1:3] == ("clerk", "ask")


# --- a server that is none ---------------------------------------------------------------------------------


class Impostor(threading.Thread):
    """Listens in a server's place, answers a login with `demand`, and keeps what it is sent then."""

    def __init__(self, listener, demand):
        super().__init__(daemon=True)
        self.listener, self.demand, self.heard = listener, demand, b""
        self.start()

    def run(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(5)
            connection.recv(1000)
            asked = b"R" + struct.pack("!i", 4 + len(self.demand)) + self.demand if self.demand else b""
            connection.sendall(asked + b"Z\0\0\0\5I")
            with suppress(OSError):
                self.heard = connection.recv(1000)


DEMANDS = {
    "clear": struct.pack("!i", 3),
    "md5": struct.pack("!i4s", 5, b"salt"),
    "none": struct.pack("!i", 0),
    "silent": b"",  # lets the user in without a word of who it is
    "unasked": struct.pack("!i", 12) + b"v=AAAA",  # the end of SCRAM without its beginning
}


@pytest.mark.parametrize("demand", DEMANDS)
def test_no_password_and_no_question_goes_to_an_impostor_without_tls(tmp_path, monkeypatch, demand):
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    monkeypatch.setattr(policy, "SYSTEM", tmp_path / "policy.toml")
    (tmp_path / "policy.toml").write_text(f'[[allow_addresses]]\nhost = "127.0.0.1"\nport = {port}\n')
    with listener:
        impostor = Impostor(listener, DEMANDS[demand])
        with pytest.raises(StorageError) as raised:
            postgres.Connection(postgres.Store.parse(f"postgresql://anna@127.0.0.1:{port}/firm"))
        impostor.join(10)
    assert impostor.heard in (b"", b"X\0\0\0\4")  # nothing, or goodbye
    assert "scram-sha-256" in raised.value.hint


OTHER = """import os, socket, sys
os.setuid(65533)
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o777); listener.listen()
print("ready", flush=True); listener.accept()[0].recv(100)"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="another user listens")
def test_a_unix_socket_of_another_user_is_refused():
    folder = Path(tempfile.mkdtemp(prefix="squat-", dir="/tmp"))  # tmp_path is closed to other users
    folder.chmod(0o1777)  # as /tmp
    path = folder / ".s.PGSQL.5432"
    process = subprocess.Popen([sys.executable, "-c", OTHER, str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        with pytest.raises(OfflineRefused) as raised:
            postgres.Connection(postgres.Store.parse(f"postgresql://anna@/firm?host={folder}"))
        assert "65533" in raised.value.message and raised.value.hint
    finally:
        process.kill()
        process.wait()
        path.unlink()
        folder.rmdir()

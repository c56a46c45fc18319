"""A library in PostgreSQL: a connection that takes the statements of `library` and `writer`.

Many libraries share the tables of `postgres.sql`. Row-level security shows a session the rows of the library that it
has opened, so the statements name no library.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import socket
import ssl
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import ceil, log2
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np

from localrag.errors import LibraryError, LibraryLocked, LocalragError, NotFoundError, StorageError, UsageError
from localrag.security.offline import remote

if TYPE_CHECKING:
    from pg8000.native import Connection as Native
    from pg8000.native import PreparedStatement

    from localrag.store.vector_index import Ids, Nearest, Vectors

T = TypeVar("T")
MAY = ("", "read", "write", "own")
_ROWS = (64, 8, 1)  # in one statement of `executemany`; each number is a statement that the connection keeps
_LOGIN = 60.0  # seconds of silence until a server is given up; later ones may be long statements
_POLL = 0.2  # seconds between two tries to get a lock
_HELD, _WRITING = 0x6C72, 0x6C73  # classes of advisory locks: of an ingest, and of a transaction
_FORBIDDEN, _NO_ROLE, _DAMAGED, _MISSING = "42501", "P0002", ("XX001", "XX002"), ("3F000", "42P01", "42883")
VERSION = "localrag store 4"  # of `postgres.sql`
# Where `postgres.sql` goes on from an older version.
_SINCE = {f"localrag store {number}": f"-- Since store {number + 1}" for number in (1, 2, 3)}
_HINTS = {
    "25006": "It is a copy that cannot be written to: connect to the server that it copies.",
    "53100": "Make room on the disk of its server, and run the same command again: it resumes.",
    "53300": "Too many programs use it: close some, or have its administrator raise max_connections.",
    "57014": "Its statement_timeout is too short for libraries.",
    "0A000": "Its server needs the extension pgvector 0.8 (Debian: postgresql-17-pgvector).",
    "42704": "Its server needs the extension pgvector 0.8 (Debian: postgresql-17-pgvector).",
}
# What a role is denied, by words of PostgreSQL's message.
_DENIED = {
    "create extension": "A superuser makes it in that database: CREATE EXTENSION vector",
    "create_library": "The database's owner allows it: GRANT EXECUTE ON FUNCTION localrag.create_library TO role",
    "for database": "The database's owner allows it: GRANT CONNECT ON DATABASE … TO role",
    "needs an owner": "Let another role own it first: localrag store grant LIBRARY ROLE --may own",
}
_NUMERIC = 1700  # the OID of a type
# What a server demands: the password in clear, or its MD5; and the end of SCRAM, which it signs.
_PASSWORDS, _SIGNED = (3, 5), 12
_SCRAM = "Have it use scram-sha-256 in pg_hba.conf, or TLS with a certificate that the policy names."
# Of the exact 100 best of 100,000, 800 rows at hand hold 99, and 200 hold 91 (docs/decisions/0054-postgresql.md).
_SETTINGS = """SET search_path = localrag, public; SET client_encoding = 'UTF8';
    SET hnsw.ef_search = 800; SET hnsw.iterative_scan = relaxed_order; SET hnsw.max_scan_tuples = 1000000"""
_PARAMETER = re.compile(r"IN\s+\(SELECT (CAST\(value AS TEXT\)|value) FROM json_each\(\?\)\)|\?")
_VALUES = re.compile(r"VALUES (\([?, ]+\))")


@dataclass(frozen=True, slots=True)
class Store:
    """A PostgreSQL database that holds libraries."""

    user: str
    database: str
    address: remote.Address

    @classmethod
    def parse(cls, url: str) -> Store:
        """Read a URL as libpq does: postgresql://[user@][host][:port]/database[?host=/folder]. Raises UsageError."""
        address, parts = remote.address_of(url), urlsplit(url)
        if (
            parts.scheme not in ("postgresql", "postgres")
            or parts.fragment
            or set(parse_qs(parts.query)) - {"host", "port"}
        ):
            hint = "For example: postgresql:///firm, or postgresql://anna@db.firm.example/firm"
            raise UsageError(f"{url!r} is not the address of a store", hint)
        if parts.password is not None:
            hint = "Put the password into ~/.pgpass or PGPASSWORD."
            raise UsageError("the password in the store's URL would be kept in clear", hint)
        user = unquote(parts.username or "") or os.environ.get("PGUSER") or getpass.getuser()
        return cls(user, unquote(parts.path.lstrip("/")) or user, address)

    def __str__(self) -> str:
        where, query = str(self.address) if self.address.host else "", ""
        if not self.address.host:
            folder, _, port = self.address.path.rpartition("/.s.PGSQL.")
            query = f"?host={quote(folder)}" + (f"&port={port}" if port != "5432" else "")
        return f"postgresql://{quote(self.user)}@{where}/{quote(self.database)}{query}"

    def password(self) -> str:
        """The password in PGPASSWORD, or in the file that PGPASSFILE names or ~/.pgpass; "" without."""
        if (given := os.environ.get("PGPASSWORD")) is not None:
            return given
        port = self.address.port or self.address.path.rpartition(".")[2]
        wanted = (self.address.host or "localhost", str(port), self.database, self.user)
        with suppress(OSError):
            for line in remote.password_file().read_text("utf-8", "replace").splitlines():
                fields = [re.sub(r"\\(.)", r"\1", field) for field in re.split(r"(?<!\\):", line)]
                if len(fields) == 5 and all(a in ("*", b) for a, b in zip(fields, wanted, strict=False)):
                    return fields[4]
        return ""


class Row(tuple[Any, ...]):
    """A row whose columns also have names, as sqlite3.Row."""

    names: Mapping[str, int] = {}

    def __getitem__(self, key: Any) -> Any:
        return tuple.__getitem__(self, self.names[key] if isinstance(key, str) else key)

    def keys(self) -> list[str]:
        return list(self.names)


class Rows:
    """The result of a statement, as a cursor of sqlite3."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows = iter(rows)

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


@dataclass(frozen=True, slots=True)
class _Prepared:
    statement: PreparedStatement
    convert: tuple[Callable[[Any], Any], ...]  # each parameter
    row: type[Row]


class Connection:
    """A connection to a store that has opened a library, with the methods of sqlite3.Connection that are used here.

    It takes SQLite's placeholders, and lists as JSON through `json_each`. Where only reading, it connects again if the
    connection was lost. All errors are StorageErrors or LibraryErrors that name the store.
    """

    def __init__(self, store: Store, *, write: bool = False) -> None:
        self.store = store
        self.library: int | None = None  # the number of the open one, which no other of the store ever has
        self._write = write
        self._locked = False
        self._connect()

    def _connect(self) -> None:
        self._statements: dict[str, _Prepared] = {}
        self.in_transaction = False
        with _errors(self.store):
            self._native = _connected(self.store)
            self._native.run(_SETTINGS)
            self._check_session()
            self._native.register_in_adapter(_NUMERIC, int)  # sums of integers
            if (found := self._native.run("SELECT CAST('halfvec' AS regtype)::oid"))[0][0] is not None:
                self._native.register_in_adapter(found[0][0], _vector_bytes)
            if self.library is not None:
                self.use(self.library)

    def use(self, library: int) -> None:
        """Work with this library from now on."""
        self.library = library
        with _errors(self.store):
            self._native.run(f"SET localrag.library = '{int(library)}'")

    def _check_session(self) -> None:
        """Refuse a role that row-level security does not hold for, and a store that is not one."""
        ((bypasses, version),) = self._native.run(
            "SELECT bool_or(rolsuper OR rolbypassrls), obj_description(to_regnamespace('localrag'), 'pg_namespace') "
            "FROM pg_catalog.pg_roles WHERE rolname IN (session_user, current_user)"
        )
        if version is None:
            hint = "The database's owner prepares it once: localrag store init URL"
            raise NotFoundError(f"{str(self.store)!r} holds no libraries", hint)
        if version != VERSION:
            raise LibraryError(
                f"{str(self.store)!r} was prepared by another version of localrag ({version}, here {VERSION})",
                "Its owner brings it up to date: localrag store init URL"
                if version in _SINCE
                else "Use that version, or prepare another database and ingest the documents again.",
            )
        if bypasses:
            raise UsageError(
                f"the role {self.store.user!r} sees all rows of {str(self.store)!r}, whoever may read them",
                "Connect with a role without SUPERUSER and BYPASSRLS: postgresql://ROLE@…",
            )

    # --- statements -----------------------------------------------------------------------------------------

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        if sql.startswith("BEGIN"):
            self._begin(sql)
            return Rows([])
        if sql in ("COMMIT", "ROLLBACK"):
            self._end(sql)
            return Rows([])
        return self._again(lambda: self._run(sql, values))

    def _again(self, act: Callable[[], T]) -> T:
        """Do something that only reads; where the connection was lost, connect and do it once more."""
        try:
            return act()
        except _Lost as error:
            if self._write or self.in_transaction or self._locked:
                raise _unreachable(self.store, error) from error
        self.close()
        self._connect()
        try:
            return act()
        except _Lost as error:
            raise _unreachable(self.store, error) from error

    def _plain(self, sql: str) -> None:
        """Run a statement without values."""
        with self._whole(), _errors(self.store, statement=True):
            self._native.run(sql)

    def _run(self, sql: str, values: Sequence[Any]) -> Rows:
        with self._whole(), _errors(self.store, statement=True):
            if (prepared := self._statements.get(sql)) is None:
                text, convert = _translated(sql)
                statement = self._native.prepare(text)
                columns = [column["name"] for column in statement.cols or ()]
                row = type("Row", (Row,), {"names": {name: at for at, name in enumerate(columns)}})
                prepared = self._statements[sql] = _Prepared(statement, convert, row)
            pairs = enumerate(zip(prepared.convert, values, strict=True))
            found = prepared.statement.run(**{f"p{at}": convert(value) for at, (convert, value) in pairs})
            return Rows([prepared.row(row) for row in found or ()])

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement for each row; an INSERT takes many at once."""
        many, match = list(rows), _VALUES.search(sql)
        for size in _ROWS if match is not None else (1,):
            several = sql if match is None else sql.replace(match[1], ", ".join([match[1]] * size), 1)
            while len(many) >= size:
                self.execute(several, [value for row in many[:size] for value in row])
                many = many[size:]

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Close the connection where its answer is not read to the end: after Ctrl-C, it would answer the next."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self.close()
            raise

    def _begin(self, sql: str) -> None:
        """Begin to read one state, or to write alone: writers of a library wait for each other."""
        if sql == "BEGIN":
            self._again(lambda: self._plain("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            self.in_transaction = True
            return
        self._again(lambda: self._plain("BEGIN"))
        self.in_transaction = True
        if self.library is not None:
            self._again(lambda: self._plain(f"SELECT pg_advisory_xact_lock({_WRITING}, hashint8({self.library}))"))

    def _end(self, how: str) -> None:
        self.in_transaction = False
        try:
            self._plain(how)
        except _Lost as error:
            if how != "ROLLBACK":  # else what it had begun is lost with it
                raise _unreachable(self.store, error) from error

    def commit(self) -> None:
        """End a transaction that only read, also after an error in it."""
        self._end("ROLLBACK")

    def close(self) -> None:
        with suppress(Exception):
            self._native.close()

    # --- locks ----------------------------------------------------------------------------------------------

    def hold(self, root: str | None, what: str, *, wait: bool, on_wait: Callable[[str], None] | None) -> None:
        """Hold a lock until the connection closes: of the whole library, or of one root of it beside other roots'."""
        wanted = [(f"pg_try_advisory_lock{'' if root is None else '_shared'}", "")]
        if root is not None:
            wanted.append(("pg_try_advisory_lock", root))
        for function, name in wanted:
            waits = False
            # Everybody sees the numbers of locks: with the library's secret, they tell no name of a folder.
            number = "hashtext(concat((SELECT value FROM meta WHERE key = 'uid'), CAST(? AS text)))"
            while not self.execute(f"SELECT {function}({_HELD}, {number})", (name,)).fetchall()[0][0]:
                if not wait:
                    raise LibraryLocked(f"another process is writing to {what}", "Try again when it has ended.")
                if not waits and on_wait is not None:
                    on_wait(what)
                waits = True
                time.sleep(_POLL)
        self._locked = True


class _Lost(Exception):
    """The connection broke while a statement ran."""


@contextmanager
def _errors(store: Store, *, statement: bool = False) -> Iterator[None]:
    """Turn what the driver raises into errors that name the store; a lost connection in a `statement` into `_Lost`."""
    try:
        yield
    except (LocalragError, _Lost):
        raise
    except Exception as error:
        if _is_lost(error):
            raise (_Lost(*error.args) if statement else _unreachable(store, error)) from error
        if (facts := _facts(error)) is None:
            raise
        raise _refused(store, facts) from error


def _facts(error: BaseException) -> Mapping[str, str] | None:
    """What the server said of an error."""
    return error.args[0] if error.args and isinstance(error.args[0], dict) else None


def _unreachable(store: Store, error: BaseException) -> StorageError:
    if isinstance(error, ssl.SSLError):
        hint = "The administrator's policy names the file of its certificate. Do not go on before they have looked."
        return StorageError(f"the store {str(store)!r} has another certificate than it should: {error.reason}", hint)
    message = (_facts(error) or {}).get("M")
    why = message or getattr(error, "strerror", None) or (error.args[0] if error.args else error)
    return StorageError(
        f"the store {str(store)!r} does not answer: {why}",
        "Is its server running, and is its address right? Then run the same command again.",
    )


def _refused(store: Store, facts: Mapping[str, str]) -> LocalragError:
    code, message = facts.get("C", ""), facts.get("M", "")
    if code == _FORBIDDEN:
        given = "An owner of the library gives rights: localrag store grant LIBRARY ROLE"
        hint = next((hint for words, hint in _DENIED.items() if words in message), given)
        return StorageError(f"the store {str(store)!r} refuses: {message}", hint)
    if code == _NO_ROLE:
        hint = "`\\du` in psql lists the roles; `localrag store rights LIBRARY` lists who has a right."
        return NotFoundError(f"{message} in {str(store)!r}", hint)
    if code in _MISSING:
        hint = "Restore it from its pg_dump, or prepare another database and ingest the documents again."
        return LibraryError(f"the store {str(store)!r} has another form: {message}", hint)
    if code in _DAMAGED:
        return LibraryError(f"the store {str(store)!r} is damaged: {message}", "Restore it from its pg_dump.")
    if code.startswith("28") or code == "3D000":
        hint = "Check user, database and password; passwords come from ~/.pgpass or PGPASSWORD."
        return StorageError(f"the store {str(store)!r} cannot be opened: {message}", hint)
    return StorageError(
        f"the store {str(store)!r} failed: {message} ({code})", _HINTS.get(code, "Its server's log says more.")
    )


def _is_lost(error: BaseException) -> bool:
    from pg8000.exceptions import InterfaceError

    if isinstance(error, (OSError, InterfaceError)):
        return True
    code = str((_facts(error) or {}).get("C", ""))
    return code.startswith(("57P", "08"))  # the server shuts down, or the connection failed


@cache
def _translated(sql: str) -> tuple[str, tuple[Callable[[Any], Any], ...]]:
    """A statement of SQLite for PostgreSQL, and what to make of each of its values."""
    convert: list[Callable[[Any], Any]] = []

    def numbered(match: re.Match[str]) -> str:
        name = f":p{len(convert)}"
        if match[1] is None:
            convert.append(_plain)
            return name
        # As arrays, which indexes are used for; the rows of a function would be joined to a whole table.
        text = "TEXT" in match[1]
        convert.append(_texts if text else _numbers)
        return f"= ANY (CAST({name} AS {'text' if text else 'bigint'}[]))"

    sql = sql.replace("instr(", "strpos(").replace("ON CONFLICT (", "ON CONFLICT (library_id, ")
    return _PARAMETER.sub(numbered, sql), tuple(convert)


def _plain(value: Any) -> Any:
    """A value, vectors as pgvector reads them."""
    return f"[{','.join(map(repr, value.tolist()))}]" if hasattr(value, "tolist") else value


def _texts(listed: str) -> str:
    """A JSON list of texts as PostgreSQL writes an array; the driver writes the text "null" as no value."""
    quoted = (re.sub(r'(["\\\\])', r"\\\1", text) for text in json.loads(listed))
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


def _numbers(listed: str) -> str:
    """A JSON list of numbers as PostgreSQL writes an array."""
    return f"{{{listed[1:-1]}}}"


def _vector_bytes(text: str) -> bytes:
    """The float32 numbers of a vector, as SQLite keeps them."""
    numbers = array("f", map(float, text[1:-1].split(",")))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


# --- libraries of a store ------------------------------------------------------------------------------------


def initialise(store: Store) -> bool:
    """Make the tables, or those that are new, as the database's owner; returns False if they are all there.

    Raises UsageError for a superuser.
    """
    with _errors(store), closing(_connected(store)) as native:
        ((version, bypasses),) = native.run(
            "SELECT obj_description(to_regnamespace('localrag'), 'pg_namespace'), rolsuper "
            "FROM pg_catalog.pg_roles WHERE rolname = session_user"
        )
        if version is not None and version not in _SINCE:
            return False
        if bypasses:
            hint = "Let an ordinary role own the database: its functions run with the rights of who makes them."
            raise UsageError(f"{store.user!r} is a superuser", hint)
        tables = resources.files("localrag.store").joinpath("postgres.sql").read_text("utf-8")
        if version in _SINCE:
            tables = f"SET LOCAL search_path = localrag, public; {tables[tables.index(_SINCE[version]) :]}"
        native.run(f"BEGIN; {tables}; COMMIT")
    return True


@cache
def _driver(trusted: bool, clear: bool) -> type[Native]:
    """The driver, for a server that is `trusted` without SCRAM, and one that may be sent a password in `clear`, by TLS.

    Others have to prove by SCRAM that they know the password, as with libpq's require_auth=scram-sha-256.
    """
    try:
        from pg8000.native import Connection as Native
    except ImportError as error:
        hint = 'Install it: pip install "localrag[postgres]"'
        raise UsageError("libraries in PostgreSQL need the package pg8000, which is not installed", hint) from error

    class Driver(Native):  # type: ignore[misc]  # pg8000 has no types
        _proved = trusted

        def handle_AUTHENTICATION_REQUEST(self, data: bytes, context: Any) -> None:
            code = int.from_bytes(data[:4], "big")
            if code in _PASSWORDS and not clear:
                raise StorageError("the store's server wants the password in clear or as MD5", _SCRAM)
            try:
                super().handle_AUTHENTICATION_REQUEST(data, context)
            except OSError:
                raise
            except Exception as error:
                raise StorageError(f"the store's server proves nothing: {error}", _SCRAM) from error
            self._proved = self._proved or code == _SIGNED

        def handle_READY_FOR_QUERY(self, data: bytes, context: Any) -> None:
            if not self._proved:
                raise StorageError("the store's server proves nothing: it asked for no password", _SCRAM)
            super().handle_READY_FOR_QUERY(data, context)

    return Driver


def _connected(store: Store) -> Native:
    context = remote.tls(store.address)
    driver = _driver(not store.address.host or context is not None, context is not None)
    from pg8000.native import InterfaceError

    connected = remote.connect(store.address)
    remote.check_peer(connected, store.address)
    connected.settimeout(_LOGIN)
    if store.address.host:  # a server that vanishes from the network is noticed
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if sys.platform == "linux":
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    try:
        made = driver(
            store.user,
            host=store.address.host or None,
            database=store.database,
            password=store.password(),
            sock=connected,
            ssl_context=context or False,
            application_name="localrag",
        )
        made._usock.settimeout(None)
        return made
    except InterfaceError as error:
        # The driver says goodbye to a server that it has refused, or that has refused it, and where that comes too late
        # raises this instead.
        why: BaseException | None = error
        while why is not None and _facts(why) is None and not isinstance(why, LocalragError):
            why = why.__context__
        raise why or error from None


def libraries(connection: Connection) -> list[tuple[int, str, str]]:
    """The libraries that the session's role may read: id, name, and what it may do ("read", "write", "own")."""
    rows = connection.execute("SELECT id, name, may FROM visible()")
    return [(row[0], row[1], MAY[row[2]]) for row in rows]


def open_library(url: str, name: str, number: int | None = None, *, write: bool = False) -> Connection:
    """Open a library of a store, by its number if that is known: others that the role may read may have its name."""
    connection = Connection(Store.parse(url), write=write)
    try:
        found = [one for one in libraries(connection) if (one[1] == name if number is None else one[0] == number)]
        if len(found) != 1:
            there = ", ".join(repr(each) for _, each, _ in libraries(connection)) or "none"
            raise NotFoundError(
                f"{len(found) or 'no'} libraries named {name!r} in {url!r} that {connection.store.user!r} may read",
                f"It may read: {there}. An owner gives rights: localrag store grant {name} {connection.store.user}",
            )
        if write and found[0][2] == MAY[1]:
            hint = f"An owner gives rights: localrag store grant {name} {connection.store.user} --may write"
            raise StorageError(f"{connection.store.user!r} may read {name!r} in {url!r}, but not change it", hint)
        connection.use(found[0][0])
    except BaseException:
        connection.close()
        raise
    return connection


def make_library(store: Store, name: str, facts: Mapping[str, str]) -> int:
    """Make a library in a store, unless the role owns one of this name; returns its number.

    Raises UsageError if the role may read one of this name that others own, who would get the documents.
    """
    with closing(Connection(store, write=True)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        # Of machines that begin at once, one makes it.
        connection.execute(f"SELECT pg_advisory_xact_lock({_WRITING}, hashtext('new ' || session_user))")
        there = {may: number for number, each, may in libraries(connection) if each == name}
        if MAY[3] in there:
            return there[MAY[3]]
        if there:
            message = f"others own a library {name!r} in {str(store)!r}, which {store.user!r} may {max(there)}"
            raise UsageError(message, f"Connect to it: localrag store connect {store} {name}; or give another --name.")
        made = connection.execute("SELECT create_library(?)", (name,)).fetchall()[0][0]
        connection.use(made)
        connection.executemany("INSERT INTO meta (key, value) VALUES (?, ?)", list(facts.items()))
        connection.execute("COMMIT")
        return int(made)


def set_right(connection: Connection, role: str, may: str | None) -> None:
    """Give a role the right to "read", "write" or "own" the open library, or take it; one owner must be left."""
    connection.execute("SELECT set_right(?, ?)", (role, may))


def index_vectors(connection: Connection) -> None:
    """Make the index of the open library's vectors, which the database then keeps; for its owners."""
    connection.execute("SELECT index_vectors()")


def rights_by_others(connection: Connection, role: str) -> list[tuple[str, str]]:
    """The roles by whose rights to the open library a role, their member, still has one; for its owners."""
    return [(row[0], row[1]) for row in connection.execute("SELECT role, may FROM rights_by_others(?)", (role,))]


def check_own(connection: Connection, name: str, deed: str, hint: str) -> None:
    """Raise StorageError if the session's role does not own the open library."""
    if connection.execute("SELECT allowed(readable())").fetchone()[0] != MAY.index("own"):
        raise StorageError(f"only an owner of {name!r} in {str(connection.store)!r} may {deed}", hint)


def rights(connection: Connection) -> list[tuple[str, str]]:
    """The roles that have a right to the open library, and what they may do; for its owners."""
    return [(row[0], row[1]) for row in connection.execute("SELECT role, may FROM given_rights()")]


def audit_entries(connection: Connection, last: int) -> list[tuple[str, str, str, dict[str, Any]]]:
    """The last entries of the open library's audit log, as time, role, event and details; for its owners."""
    sql = """SELECT to_char(time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), role, event, details FROM audit
        ORDER BY number DESC LIMIT ?"""
    return [(*row[:3], _details(row[3])) for row in connection.execute(sql, (last,))][::-1]


def _details(text: str) -> dict[str, Any]:
    """What an entry says, which a reader may have written by other means than localrag."""
    with suppress(ValueError, RecursionError):
        if isinstance(found := json.loads(text), dict):
            return found
    return {"unreadable": text}


# --- nearest passages in PostgreSQL, by pgvector -----------------------------------------------------------------
# Vectors are kept as 16-bit floats (halfvec) and compared one by one. An owner may give a large library an HNSW index
# (Malkov and Yashunin 2016), whose size everybody sees (docs/decisions/0054-postgresql.md).

# Passages from which on a library, or what a filter leaves of it, is searched by the HNSW index.
EXACT_ROWS = 50_000
_SENT_HEADER = 4  # bytes before the numbers in pgvector's binary form


class PostgresIndex:
    """Search by pgvector, with the methods of `LibraryIndex` and of the index that it returns."""

    def __init__(self, connection: Connection, passages: Callable[[int], int]) -> None:
        self._db = connection
        self._passages = passages
        self._generation = self._dimension = 0

    def at(self, library: str, generation: int, dimension: int) -> PostgresIndex:
        self._generation, self._dimension = generation, dimension
        return self

    @contextmanager
    def searching(self, question: Vectors, k: int, allowed: Ids | None = None) -> Iterator[Callable[[], Nearest]]:
        """Yield a function that returns what `search` does; a connection does one thing at a time."""
        yield lambda: self.search(question, k, allowed)

    def search(self, question: Vectors, k: int, allowed: Ids | None = None) -> Nearest:
        """The ids and cosines of the k nearest to `question`, of shape (dimension,), best first."""
        passages = self._passages(self._generation)
        available = passages if allowed is None else len(allowed)
        if k <= 0 or not available:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if available > EXACT_ROWS:
            # A filter that passes so much is applied to twice the rows that it should leave: sending it takes longer.
            # In powers of two, since each number is a statement that the connection keeps.
            more = 0 if allowed is None else ceil(log2(2 * passages / available))
            ids, scores = self._near(question, k << max(0, more))
            kept = slice(None) if allowed is None else np.isin(ids, allowed)
            ids, scores = ids[kept][:k], scores[kept][:k]
            if len(ids) == min(k, available):
                return ids, scores
        only = "" if allowed is None else "WHERE id IN (SELECT value FROM json_each(?))"
        values = [] if allowed is None else [json.dumps(allowed.tolist())]
        # The function, for which no index is used, unlike the operator.
        near = "halfvec_negative_inner_product(vector, CAST(? AS halfvec))"
        sql = f"SELECT id, {near} AS near FROM passages {only} ORDER BY near, id LIMIT {int(k)}"
        return _best(self._db.execute(sql, [question, *values]).fetchall())

    def _near(self, question: Vectors, k: int) -> tuple[Ids, Vectors]:
        """The nearest by the HNSW index, whose conditions and order these are; by every row where there is none."""
        order = f"CAST(vector AS halfvec({self._dimension})) <#> CAST(? AS halfvec({self._dimension}))"
        sql = f"""SELECT id, {order} FROM passages WHERE library_id = {self._db.library}
            AND vector_dims(vector) = {self._dimension} ORDER BY {order} LIMIT {int(k)}"""
        return _best(self._db.execute(sql, [question, question]).fetchall())

    def cosines(self, ids: Ids, question: Vectors) -> tuple[Ids, Vectors]:
        """The known ones of these passages, ascending, and their cosines to a question."""
        sql = """SELECT id, halfvec_negative_inner_product(vector, CAST(? AS halfvec)) FROM passages
            WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"""
        rows = self._db.execute(sql, (question, json.dumps(ids.tolist()))).fetchall()
        return np.array([row[0] for row in rows], np.int64), np.array([-row[1] for row in rows], np.float32)

    def vectors(self, ids: Ids) -> tuple[Ids, Vectors]:
        """The known ones of these passages, ascending, and their vectors as stored."""
        # As bytes: as text, the numbers of a few hundred vectors take longer to read than a search.
        sql = "SELECT id, halfvec_send(vector) FROM passages WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        rows = self._db.execute(sql, (json.dumps(ids.tolist()),)).fetchall()
        flat = np.frombuffer(b"".join(row[1][_SENT_HEADER:] for row in rows), ">f2").astype(np.float32)
        return np.array([row[0] for row in rows], np.int64), flat.reshape(len(rows), -1)

    def save(self, library: str, generation: int, dimension: int) -> bool:
        return False

    def clear(self) -> None: ...


def _best(rows: Sequence[Any]) -> tuple[Ids, Vectors]:
    ids, scores = np.array([row[0] for row in rows], np.int64), np.array([-row[1] for row in rows], np.float32)
    order = np.lexsort((ids, -scores))
    return ids[order], scores[order]

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import refused, run, run_json
from stores import new_store

from localrag.cli import keys
from localrag.errors import NotFoundError, StorageError, UsageError

pytestmark = pytest.mark.slow


@pytest.fixture
def store(pg):
    return new_store(pg)


@pytest.fixture
def contracts(store, folder, models):
    root = folder({"lease.txt": "The rent is 900 pounds.", "msa.txt": "Either party may end it."})
    read = run_json("ingest", str(root), "--name", "contracts", "--store", str(store))["read"]
    assert read == ["lease.txt", "msa.txt"]
    return str(store)


def test_a_database_is_prepared_once(pg):
    database, url = pg.database(), pg.url(pg.database())
    owner = pg.role("registry")
    pg.sql("postgres", f'ALTER DATABASE "{database}" OWNER TO {owner}')
    url = pg.url(database, owner)
    error = refused(NotFoundError, "store", "connect", url)
    assert "store init" in error.hint
    assert run_json("store", "init", url)["made"] and not run_json("store", "init", url)["made"]
    refused(NotFoundError, "store", "connect", url)  # there is no library yet


def test_a_library_in_its_folder_is_encrypted_beside_a_store(contracts, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(keys, "_given", None)  # it is kept for the process
    key = str(tmp_path / "key")
    run("vault", "key-file", "--out", key)
    papers = str(folder({"a.txt": "Alpha."}, "papers2"))
    run("ingest", papers, "--name", "papers")
    monkeypatch.setenv("LOCALRAG_STORE", contracts)
    run("ingest", papers, "--name", "papers", "--encrypt", "--key-file", key)
    assert run_json("vault", "status", "papers")["libraries"][0]["encrypted"]
    monkeypatch.delenv("LOCALRAG_STORE")
    refused(UsageError, "ingest", papers, "--name", "contracts", "--encrypt", "--key-file", key)  # it is in the store


def test_a_library_is_connected_asked_and_disconnected(contracts, settings, folder):
    assert run_json("store", "connect", contracts) == [{"library": "contracts", "may": "own"}]
    run("ingest", str(folder({"a.txt": "Alpha."}, "papers2")), "--name", "papers")
    error = refused(UsageError, "store", "connect", contracts, "contracts", "--name", "papers")  # there is another one
    assert "another --name" in error.hint and "ingest" not in error.hint
    run("store", "connect", contracts, "contracts")  # it is connected again
    run("store", "connect", contracts, "contracts", "--name", "again")
    assert run_json("search", "rent in pounds", "--library", "again")["passages"][0]["document"] == "lease.txt"
    assert run_json("status", "again")["store"] == contracts
    listed = {row["name"]: row["store"] for row in run_json("libraries")["libraries"]}
    assert listed == {"again": contracts, "contracts": contracts, "papers": None}
    run("store", "disconnect", "again")
    assert not settings.library_dir("again").exists()
    assert run_json("status", "contracts")["documents"] == 2
    refused(NotFoundError, "store", "disconnect", "again")


def test_owners_give_and_take_rights_and_read_the_log(pg, contracts):
    theirs = contracts.replace("writer@", f"{pg.role('clerk')}@")
    refused(NotFoundError, "store", "connect", theirs)
    run("store", "grant", "contracts", "clerk")
    assert run_json("store", "connect", theirs) == [{"library": "contracts", "may": "read"}]
    run("store", "connect", theirs, "contracts", "--name", "theirs")
    assert run_json("search", "rent", "--library", "theirs")["passages"]
    for words in (("grant", "theirs", "clerk", "--may", "own"), ("log", "theirs"), ("rights", "theirs")):
        assert "owner" in refused(StorageError, "store", *words).message
    run("store", "grant", "contracts", "clerk", "--may", "write")
    rights = {row["role"]: row["may"] for row in run_json("store", "rights", "contracts")}
    assert rights == {"writer": "own", "clerk": "write"}
    pg.role("matter", login=False)
    pg.sql("postgres", "GRANT matter TO clerk")
    run("store", "grant", "contracts", "matter")
    assert run_json("store", "revoke", "contracts", "clerk")["by_others"] == [{"role": "matter", "may": "read"}]
    assert run_json("search", "rent", "--library", "theirs")["passages"]
    run("store", "revoke", "contracts", "matter")
    refused(NotFoundError, "search", "rent", "--library", "theirs")
    entries = run_json("store", "log", "contracts")
    rights = [(row["role"], row["grantee"], row["may"]) for row in entries if row["event"] == "right"][-5:]
    given = [("clerk", "read"), ("clerk", "write"), ("matter", "read"), ("clerk", None), ("matter", None)]
    assert rights == [("writer", *one) for one in given]
    shown = [line for line in run("store", "log", "contracts").stdout.splitlines() if "  right  " in line]
    assert " read " in shown[-5] and " write " in shown[-4] and "clerk" in shown[-2]
    seen = {(row["role"], row["event"]) for row in entries}
    assert {("writer", "ingest"), ("clerk", "search"), ("writer", "right")} <= seen


def test_owners_leave_if_another_role_owns_the_library(pg, contracts):
    for words in (("revoke", "contracts", "writer"), ("grant", "contracts", "writer")):
        error = refused(StorageError, "store", *words)
        assert "needs an owner" in error.message and "--may own" in error.hint
    run("store", "grant", "contracts", pg.role("bob"), "--may", "own")
    run("store", "grant", "contracts", pg.role("former_owners", login=False))
    pg.sql("postgres", "GRANT former_owners TO writer")
    assert run_json("store", "revoke", "contracts", "writer")["by_others"] == [{"role": "former_owners", "may": "read"}]
    pg.sql("postgres", "REVOKE former_owners FROM writer")
    run("store", "connect", contracts.replace("writer@", "bob@"), "contracts", "--name", "theirs")
    assert {row["role"] for row in run_json("store", "rights", "theirs")} == {"bob", "former_owners"}
    last = run_json("store", "log", "theirs", "--last", "1")[0]
    assert (last["role"], last["grantee"], last["may"]) == ("writer", "writer", None)


def test_a_role_that_is_not_there_or_has_no_right_is_named(pg, contracts):
    pg.role("idle")
    for deed, role in (("grant", "nobodyrole"), ("revoke", "zork"), ("revoke", "idle")):
        error = refused(NotFoundError, "store", deed, "contracts", role)
        assert repr(role) in error.message and "P0002" not in error.message and error.hint
    run("store", "grant", "contracts", "idle")
    pg.sql("postgres", "DROP ROLE idle")
    run("store", "revoke", "contracts", "idle")  # the right of a role that was dropped can be taken
    assert [row["role"] for row in run_json("store", "rights", "contracts")] == ["writer"]


def test_what_works_on_files_is_refused(contracts, tmp_path, folder, settings):
    for words in (
        ("backup", "contracts", "--out", str(tmp_path / "x.backup"), "--clear"),
        ("vault", "encrypt", "contracts"),
        ("ingest", str(tmp_path / "papers"), "--name", "new", "--encrypt", "--store", contracts),
        ("ingest", str(tmp_path / "papers"), "--name", "contracts", "--store", contracts + "x"),
    ):
        refused(UsageError, *words)
    run("ingest", str(folder({"a.txt": "Alpha."}, "plain")), "--name", "plain")
    error = refused(UsageError, "store", "rights", "plain")
    assert "ingest FOLDER --name" in error.hint


@pytest.mark.model
def test_a_confined_process_reaches_its_store(store, folder):
    root = folder({"lease.txt": "The rent is 900 pounds a month.", "msa.txt": "Either party may end it in May."})

    def localrag_(*words):
        command = [sys.executable, "-m", "localrag", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])

    localrag_("ingest", str(root), "--name", "papers", "--store", str(store))
    found = json.loads(localrag_("search", "What is the rent?", "--library", "papers", "--json").stdout)
    assert found["passages"][0]["document"] == "lease.txt"

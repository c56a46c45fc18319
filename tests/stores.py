"""Libraries in both stores: what is promised of one holds for the other."""

import pytest
from fakes import HashingEmbedder

from localrag.store import postgres
from localrag.store.writer import Editor

# `make test` leaves PostgreSQL to the tests of its own.
STORES = ("sqlite", pytest.param("postgres", marks=pytest.mark.slow))
both_stores = pytest.mark.parametrize("library", STORES, indirect=True)
sqlite_only = pytest.mark.parametrize("library", ["sqlite"], indirect=True)


def empty(request, home):
    folder, identity = home / "indexes" / "papers", HashingEmbedder().identity
    if getattr(request, "param", "sqlite") == "sqlite":
        made = Editor.create(folder, "papers", identity)
    else:
        made = Editor.create_in(new_store(request.getfixturevalue("pg")), folder, "papers", identity)
    yield made
    made.close()


def new_store(pg):
    """A store in a database of its own, in which the role `writer` may make libraries."""
    if not pg.template:
        template, owner = pg.database(), pg.role("registry")
        pg.sql("postgres", f'ALTER DATABASE "{template}" OWNER TO "{owner}"')
        postgres.initialise(postgres.Store.parse(pg.url(template, owner)))
        pg.sql(template, f'GRANT EXECUTE ON FUNCTION localrag.create_library TO "{pg.role("writer")}"')
        pg.template = template
    return postgres.Store.parse(pg.url(pg.database(pg.template), "writer"))

"""Libraries in both stores: what is promised of one holds for the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from pg_cluster import Cluster

from localrag.embeddings import EmbedderIdentity
from localrag.store import postgres
from localrag.store.writer import Editor

STORES = ("sqlite", "postgres")
WRITER = "writer"
sqlite_only = pytest.mark.parametrize("library", ["sqlite"], indirect=True)


def new_store(pg: Cluster, writer: str = WRITER) -> postgres.Store:
    """A store in a database of its own, in which `writer` may make libraries."""
    database, owner = pg.database(), pg.role("registry")
    pg.sql("postgres", f'ALTER DATABASE "{database}" OWNER TO "{owner}"')
    postgres.initialise(postgres.Store.parse(pg.url(database, owner)))
    pg.sql(database, f'GRANT EXECUTE ON FUNCTION localrag.create_library TO "{pg.role(writer)}"')
    return postgres.Store.parse(pg.url(database, writer))


def new_library(pg: Cluster, folder: Path, name: str, identity: EmbedderIdentity) -> Editor:
    """An empty library in a store of its own."""
    return Editor.create_in(new_store(pg), folder, name, identity)

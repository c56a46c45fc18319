"""Libraries in both stores: what is promised of one holds for the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from pg_cluster import Cluster

from localrag.embeddings import EmbedderIdentity
from localrag.store import postgres
from localrag.store.writer import Editor

STORES = ("sqlite", "postgres")
sqlite_only = pytest.mark.parametrize("library", ["sqlite"], indirect=True)


def new_store(pg: Cluster) -> postgres.Store:
    """A store in a database of its own, in which the role `writer` may make libraries."""
    if not pg.template:
        template, owner = pg.database(), pg.role("registry")
        pg.sql("postgres", f'ALTER DATABASE "{template}" OWNER TO "{owner}"')
        postgres.initialise(postgres.Store.parse(pg.url(template, owner)))
        pg.sql(template, f'GRANT EXECUTE ON FUNCTION localrag.create_library TO "{pg.role("writer")}"')
        pg.template = template
    return postgres.Store.parse(pg.url(pg.database(pg.template), "writer"))


def new_library(pg: Cluster, folder: Path, name: str, identity: EmbedderIdentity) -> Editor:
    """An empty library in a store of its own."""
    return Editor.create_in(new_store(pg), folder, name, identity)

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_models import Bench, gguf, transformer


@pytest.mark.parametrize("kind", ["generator", "embedder"])
def test_a_copied_model_is_imported_elsewhere(bench: Bench, tmp_path: Path, kind: str) -> None:
    if kind == "embedder":
        model = bench.store.import_path(transformer(tmp_path / "tiny"))
        copied = Path(shutil.copytree(model.path, tmp_path / "stick"))
    else:
        (tmp_path / "tiny.gguf").write_bytes(gguf())
        model = bench.store.import_path(tmp_path / "tiny.gguf")
        copied = Path(shutil.copy(model.path, tmp_path / "stick.gguf"))
    other = Bench(tmp_path / "other").store
    arrived = other.import_path(copied, id="tiny", sha256=model.sha256)
    assert (arrived.id, arrived.kind, arrived.sha256, arrived.metadata) == (
        model.id,
        model.kind,
        model.sha256,
        model.metadata,
    )
    assert [found.problem for found in other.verify()] == [""]

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tiny_models import Bench, card, gguf, sha256, transformer

from localrag.errors import ModelDamaged, ModelError, UsageError

GOOD = gguf()


@pytest.fixture
def exported(bench: Bench, tmp_path: Path) -> Path:
    (tmp_path / "tiny.gguf").write_bytes(GOOD)
    bench.store.import_path(tmp_path / "tiny.gguf")
    return bench.store.export("tiny", tmp_path / "tiny.localrag-model")


def other(tmp_path: Path) -> Bench:
    """The machine without a network."""
    return Bench(tmp_path / "other")


def record_of(**changes: Any) -> bytes:
    record = {
        "format": 1,
        "id": "tiny",
        "kind": "generator",
        "title": "Tiny",
        "licence": "MIT",
        "source": "x",
        "main": "tiny.gguf",
        "weights": "tiny.gguf",
        "files": {"tiny.gguf": {"sha256": sha256(GOOD), "size": len(GOOD)}},
        **changes,
    }
    return json.dumps(record).encode()


def packed(path: Path, *members: tuple[str | tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("kind", ["generator", "embedder"])
def test_a_model_travels_in_one_file(bench: Bench, tmp_path: Path, kind: str) -> None:
    if kind == "embedder":
        model = bench.store.import_path(transformer(tmp_path / "tiny"))
    else:
        (tmp_path / "tiny.gguf").write_bytes(GOOD)
        model = bench.store.import_path(tmp_path / "tiny.gguf")
    (tmp_path / "stick").mkdir()
    target = bench.store.export("tiny", tmp_path / "stick")
    assert target == tmp_path / "stick" / "tiny.localrag-model"
    arrived = other(tmp_path).store.import_path(target)
    assert (arrived.id, arrived.kind, arrived.sha256, arrived.metadata, arrived.licence, arrived.source) == (
        model.id, model.kind, model.sha256, model.metadata, model.licence, model.source,
    )  # fmt: skip
    assert other(tmp_path).store.get("tiny").path.name == model.path.name
    assert [found.problem for found in other(tmp_path).store.verify()] == [""]


def test_the_same_model_gives_the_same_bytes(bench: Bench, exported: Path, tmp_path: Path) -> None:
    again = bench.store.export("tiny", tmp_path / "again")
    assert again.read_bytes() == exported.read_bytes()


def test_an_export_replaces_no_file_unasked(bench: Bench, exported: Path) -> None:
    exported.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        bench.store.export("tiny", exported)
    assert exported.read_bytes() == b"mine"
    bench.store.export("tiny", exported, overwrite=True)
    assert exported.read_bytes() != b"mine"


def test_a_damaged_model_is_not_exported(bench: Bench, exported: Path, tmp_path: Path) -> None:
    bench.store.get("tiny").path.write_bytes(b"x" * len(GOOD))
    with pytest.raises(ModelDamaged):
        bench.store.export("tiny", tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


def test_a_file_cut_anywhere_is_refused(exported: Path, tmp_path: Path) -> None:
    whole = exported.read_bytes()
    for length in range(600, whole.index(GOOD) + len(GOOD), 97):  # the zeros that end a tar carry nothing
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(ModelDamaged):
            other(tmp_path).store.import_path(tmp_path / "cut")
    assert other(tmp_path).names() == set()


def test_a_changed_byte_is_found(exported: Path, tmp_path: Path) -> None:
    data = bytearray(exported.read_bytes())
    data[data.index(GOOD)] ^= 1
    exported.write_bytes(data)
    with pytest.raises(ModelDamaged):
        other(tmp_path).store.import_path(exported)


def test_the_catalog_is_believed_not_the_file(tmp_path: Path, offer: Any) -> None:
    path = packed(tmp_path / "x", ("model.json", record_of()), ("tiny.gguf", GOOD))
    offer(card("tiny", sha256="0" * 64))
    with pytest.raises(ModelDamaged, match="expected 000"):
        other(tmp_path).store.import_path(path)
    offer(card("tiny", sha256=sha256(GOOD)))
    assert other(tmp_path).store.import_path(path).id == "tiny"


def test_the_metadata_is_read_from_the_model_not_from_the_record(bench: Bench, tmp_path: Path) -> None:
    record = record_of(metadata={"context_length": 1, "architecture": "evil"})
    path = packed(tmp_path / "x", ("model.json", record), ("tiny.gguf", GOOD))
    assert bench.store.import_path(path).metadata["context_length"] == 4096


@pytest.mark.parametrize(
    "name",
    ["../evil.gguf", "/tmp/evil.gguf", "a/../../evil.gguf", "model.json", "a\\b.gguf", "C:evil.gguf", "a//b", ""],
)
def test_a_path_that_leads_out_is_refused(bench: Bench, tmp_path: Path, name: str) -> None:
    files = {name: {"sha256": sha256(GOOD), "size": len(GOOD)}}
    record = record_of(files=files, main=name, weights=name)
    path = packed(tmp_path / "x", ("model.json", record), (name or "a", GOOD))
    with pytest.raises(ModelDamaged, match="malformed"):
        bench.store.import_path(path)
    assert not list(tmp_path.rglob("evil*")) and bench.names() == set()


def link(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("tiny.gguf")
    info.type, info.linkname = kind, "/etc/passwd"
    return info


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_what_is_no_plain_file_is_refused(bench: Bench, tmp_path: Path, kind: bytes) -> None:
    path = packed(tmp_path / "x", ("model.json", record_of()), (link(kind), b""))
    with pytest.raises(ModelDamaged, match="unexpected member"):
        bench.store.import_path(path)


def test_members_must_be_those_of_the_record(bench: Bench, tmp_path: Path) -> None:
    head = ("model.json", record_of())
    for members, reason in (
        ([head, ("tiny.gguf", GOOD), ("more.gguf", GOOD)], "unexpected member 'more.gguf'"),
        ([head, ("tiny.gguf", GOOD), ("tiny.gguf", GOOD)], "unexpected member 'tiny.gguf'"),
        ([head, ("tiny.gguf", GOOD + b"x")], "unexpected member"),
        ([head], "tiny.gguf is missing"),
    ):
        with pytest.raises(ModelDamaged, match=reason):
            bench.store.import_path(packed(tmp_path / "x", *members))
    assert bench.names() == set()


def test_a_file_that_runs_code_is_refused(bench: Bench, tmp_path: Path) -> None:
    data = b"pickle"
    files = {
        "tiny.gguf": {"sha256": sha256(GOOD), "size": len(GOOD)},
        "evil.py": {"sha256": sha256(data), "size": len(data)},
    }
    path = packed(tmp_path / "x", ("model.json", record_of(files=files)), ("tiny.gguf", GOOD), ("evil.py", data))
    with pytest.raises(ModelError, match=r"evil\.py"):
        bench.store.import_path(path)


def test_another_tar_is_no_model(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a GGUF file"):
        bench.store.import_path(packed(tmp_path / "x.tar", ("readme", b"hello")))
    big = packed(tmp_path / "y", ("model.json", b" " * 2_000_000))
    with pytest.raises(ModelError, match="not made by"):
        bench.store.import_path(big)


def test_an_adapter_stays_behind(bench: Bench, exported: Path, tmp_path: Path) -> None:
    from tiny_models import adapter

    (tmp_path / "lora.gguf").write_bytes(adapter())
    bench.store.use("tiny", tmp_path / "lora.gguf")
    again = bench.store.export("tiny", tmp_path / "again")
    assert again.read_bytes() == exported.read_bytes()
    assert other(tmp_path).store.import_path(again).adapter is None

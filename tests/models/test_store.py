from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tiny_models import Bench, adapter, card, gguf, sha256, transformer

from localrag.errors import ModelDamaged, ModelError, ModelMissing, NotFoundError, SettingsError, UsageError
from localrag.models import catalog, records

GOOD = gguf()
EVIL = gguf(filling=b"poisoned")


def installed(bench: Bench, tmp_path: Path, id: str = "tiny", data: bytes = GOOD, **options: Any) -> Path:
    """A model taken in from a file; returns its weights."""
    path = tmp_path / f"{id}.gguf"
    path.write_bytes(data)
    return bench.store.import_path(path, **options).path


def no_hashing(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    hashed: list[Path] = []
    real = records.sha256_of

    def counted(path: Path) -> str:
        hashed.append(path)
        return real(path)

    monkeypatch.setattr(records, "sha256_of", counted)
    return hashed


# --- verified before use ------------------------------------------------------------------------------------


def test_a_touched_file_is_hashed_once_and_then_known(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = installed(bench, tmp_path)
    os.utime(path, (1, 1))
    hashed = no_hashing(monkeypatch)
    assert bench.store.get("tiny").sha256 == sha256(GOOD)
    bench.store.get("tiny")
    assert hashed == [path]


def test_a_changed_file_is_refused_even_with_its_old_size_and_time(bench: Bench, tmp_path: Path) -> None:
    path = installed(bench, tmp_path)
    before = path.stat()
    assert len(EVIL) == len(GOOD)
    with path.open("r+b") as stream:
        stream.write(EVIL)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(ModelDamaged, match=sha256(EVIL)) as caught:
            bench.store.get("tiny")
        assert "Import it again" in caught.value.hint
    path.unlink()
    with pytest.raises(ModelDamaged, match="cannot be read"):
        bench.store.get("tiny")


def test_a_forged_record_cannot_overrule_the_catalog(bench: Bench, offer: Any, tmp_path: Path) -> None:
    path = installed(bench, tmp_path)
    path.write_bytes(EVIL)
    record = records.ModelFolder(path.parent.parent).record(path.parent.name)[1]
    forged = {"tiny.gguf": records.Entry(sha256(EVIL), len(EVIL))}
    from msgspec.structs import replace

    records.write_record(path.parent, replace(record, files=forged).stamped(path.parent))
    assert bench.store.get("tiny").sha256 == sha256(EVIL), "nothing to compare an unknown model with"
    offer(card(sha256=sha256(GOOD)))
    with pytest.raises(ModelDamaged):
        bench.store.get("tiny")


@pytest.mark.parametrize(
    "record", ["", "[]", "{}", '{"format": 9}', "\x00", '{"format": 1, "files": {"../x": {"sha256": "", "size": 1}}}']
)
def test_a_damaged_record_is_told_and_listed_nowhere(bench: Bench, tmp_path: Path, record: str) -> None:
    path = installed(bench, tmp_path)
    (path.parent / "model.json").write_text(record)
    assert bench.store.installed() == []
    with pytest.raises(ModelDamaged, match="record"):
        bench.store.get("tiny")
    assert bench.store.verify()[0].problem


def test_a_model_that_lost_its_record_is_damaged_not_missing(bench: Bench, tmp_path: Path) -> None:
    path = installed(bench, tmp_path)
    (path.parent / "model.json").unlink()
    with pytest.raises(ModelDamaged, match="lost its record"):
        bench.store.get("tiny")


def test_verify_hashes_everything_whatever_the_stamps_say(bench: Bench, tmp_path: Path) -> None:
    path = installed(bench, tmp_path)
    installed(bench, tmp_path, "other")
    path.write_bytes(EVIL)
    records.write_record(
        path.parent, records.ModelFolder(path.parent.parent).record(path.parent.name)[1].stamped(path.parent)
    )
    assert bench.store.get("tiny").path == path, "the limit that records.py states"
    verdicts = {found.id: found for found in bench.store.verify()}
    assert verdicts["other"].problem == "" and verdicts["other"].files == 1
    assert sha256(EVIL) in verdicts["tiny"].problem
    with pytest.raises(ModelMissing):
        bench.store.verify("absent")


@pytest.mark.parametrize("id", ["../outside", "/etc", "..", "", "quarantine", "A", ".staging-x", "a/b"])
def test_an_id_never_leads_out_of_the_models_folder(bench: Bench, tmp_path: Path, id: str) -> None:
    installed(bench, tmp_path)
    outside = tmp_path / "home" / "outside"
    outside.mkdir()
    for action in (bench.store.get, bench.store.remove, bench.store.use, bench.store.verify):
        with pytest.raises(ModelMissing):
            action(id)
    with pytest.raises(UsageError):
        bench.store.import_path(tmp_path / "tiny.gguf", id=id)
    assert outside.is_dir() and bench.names() == {"tiny"}


# --- choosing -----------------------------------------------------------------------------------------------


def test_with_no_model_the_command_to_type_is_told(bench: Bench) -> None:
    for kind, command in (("generator", "localrag models install"), ("embedder", "install all-minilm-l6-v2")):
        with pytest.raises(ModelMissing, match=f"no {kind} is installed") as caught:
            bench.store.default(kind)  # type: ignore[arg-type]
        assert command in caught.value.hint


def test_setting_goes_before_choice_before_rank(
    bench: Bench, offer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in ("base", "small", "medium", "large"):
        installed(bench, tmp_path, id)
    offer(
        card("base", rank=0),
        card("small", rank=1, memory=1_000),
        card("medium", rank=2, memory=2_000),
        card("large", rank=3, memory=9_000),
    )
    monkeypatch.setattr(catalog, "total_memory", lambda: 5_000)
    assert bench.store.default("generator").id == "medium"
    monkeypatch.setattr(catalog, "total_memory", lambda: 100)
    assert bench.store.default("generator").id == "small", "where none fits, the smallest"
    bench.store.use("base")
    assert bench.store.default("generator").id == "base"
    named = Bench(tmp_path / "home", generator="large")
    assert named.store.default("generator").id == "large"
    bench.store.remove("base")
    assert bench.store.choice("generator") == "" and bench.store.default("generator").id == "small"


def test_a_base_model_alone_is_not_used_unasked(bench: Bench, offer: Any, tmp_path: Path) -> None:
    installed(bench, tmp_path, "base")
    offer(card("base", rank=0))
    with pytest.raises(ModelMissing):
        bench.store.default("generator")


def test_a_setting_that_names_an_absent_model_or_another_kind_is_told(bench: Bench, tmp_path: Path) -> None:
    installed(bench, tmp_path)
    with pytest.raises(ModelMissing, match="'absent' is not installed"):
        Bench(tmp_path / "home", generator="absent").store.default("generator")
    with pytest.raises(SettingsError, match="names a generator"):
        Bench(tmp_path / "home", embedder="tiny").store.default("embedder")


def test_a_damaged_default_is_told_not_replaced(bench: Bench, tmp_path: Path) -> None:
    installed(bench, tmp_path, "other")
    path = installed(bench, tmp_path)
    bench.store.use("tiny")
    path.write_bytes(EVIL)
    with pytest.raises(ModelDamaged):
        bench.store.default("generator")


# --- adapters -----------------------------------------------------------------------------------------------


def test_an_adapter_is_checked_copied_verified_and_taken_off(bench: Bench, tmp_path: Path) -> None:
    installed(bench, tmp_path)
    lora = tmp_path / "lora.gguf"
    lora.write_bytes(adapter())
    model = bench.store.use("tiny", lora)
    assert model.adapter is not None and model.adapter.read_bytes() == adapter()
    assert model.adapter_sha256 == sha256(adapter()) and model.sha256 == sha256(GOOD)
    lora.unlink()
    assert bench.store.default("generator").adapter == model.adapter

    model.adapter.write_bytes(adapter(filling=b"poisoned"))
    with pytest.raises(ModelDamaged, match="adapter"):
        bench.store.get("tiny")


def test_use_without_an_adapter_takes_it_off_and_a_new_one_replaces_it(bench: Bench, tmp_path: Path) -> None:
    installed(bench, tmp_path)
    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    first.write_bytes(adapter())
    second.write_bytes(adapter(filling=b"another "))
    bench.store.use("tiny", first)
    model = bench.store.use("tiny", second)
    assert model.adapter is not None and [model.adapter] == list(model.adapter.parent.iterdir())
    assert bench.store.use("tiny").adapter is None
    assert list(model.adapter.parent.iterdir()) == []


def test_an_adapter_of_another_kind_is_refused(bench: Bench, tmp_path: Path) -> None:
    installed(bench, tmp_path)
    lora = tmp_path / "lora.gguf"
    for data, reason in (
        (GOOD, "not a LoRA adapter"),
        (adapter(general__architecture="gemma3"), "made for gemma3"),
        (b"PK", "not a GGUF"),
    ):
        lora.write_bytes(data)
        with pytest.raises(ModelError, match=reason):
            bench.store.use("tiny", lora)
    with pytest.raises(NotFoundError):
        bench.store.use("tiny", tmp_path / "absent.gguf")
    assert bench.store.choice("generator") == ""
    bench.store.import_path(transformer(tmp_path / "emb"))
    with pytest.raises(UsageError, match="adapters are for generators"):
        bench.store.use("emb", lora)


# --- import -------------------------------------------------------------------------------------------------


def test_an_own_gguf_is_taken_in_under_a_name_made_from_its_file(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "My Model (v2).Q4_K_M.gguf"
    path.write_bytes(GOOD)
    model = bench.store.import_path(path)
    assert model.id == "my-model-v2-.q4_k_m" and model.licence == "apache-2.0"
    assert path.exists() and bench.store.get(model.id).path.read_bytes() == GOOD
    assert bench.store.import_path(path, id="mine").id == "mine"


def test_a_file_that_the_catalog_knows_gets_its_name_and_licence(bench: Bench, offer: Any, tmp_path: Path) -> None:
    offer(card("known", sha256=sha256(GOOD), licence="Apache-2.0"))
    path = tmp_path / "whatever.gguf"
    path.write_bytes(GOOD)
    model = bench.store.import_path(path)
    assert (model.id, model.licence) == ("known", "Apache-2.0")


def test_another_file_cannot_take_a_pinned_name(bench: Bench, offer: Any, tmp_path: Path) -> None:
    offer(card("known", sha256=sha256(GOOD)))
    path = tmp_path / "known.gguf"
    path.write_bytes(EVIL)
    with pytest.raises(ModelDamaged) as caught:
        bench.store.import_path(path)
    assert "--id" in caught.value.hint
    assert bench.names() == set() and path.exists(), "the person's own file is not moved"
    with pytest.raises(ModelDamaged):
        bench.store.import_path(path, id="mine", sha256=sha256(GOOD))
    assert bench.store.import_path(path, id="mine", sha256=sha256(EVIL)).id == "mine"


def test_what_is_no_model_is_refused(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    for data, reason in ((b"hello", "not a GGUF"), (adapter(), "LoRA"), (gguf(split__count=2), "one of 2 parts")):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=reason):
            bench.store.import_path(path)
    with pytest.raises(NotFoundError):
        bench.store.import_path(tmp_path / "absent")
    assert bench.names() == set()


def test_a_transformer_folder_is_taken_in_without_what_runs_code(bench: Bench, tmp_path: Path) -> None:
    folder = transformer(tmp_path / "My Embedder", pytorch_model__bin=b"pickle", custom__py=b"import os")
    real = tmp_path / "blob"
    real.write_bytes(b'{"a": 1}')
    (folder / "tokenizer.json").symlink_to(real)
    said: list[str] = []
    model = bench.store.import_path(folder, say=said.append)
    assert (model.id, model.kind, model.sha256) == ("my-embedder", "embedder", sha256(b"weights"))
    taken = {path.relative_to(model.path).as_posix() for path in model.path.rglob("*") if path.is_file()}
    assert taken == {"modules.json", "config.json", "1_Pooling/config.json", "model.safetensors", "tokenizer.json"}
    assert not (model.path / "tokenizer.json").is_symlink()
    assert "custom.py" in said[0] and "pytorch_model.bin" in said[0]


def test_a_folder_without_safe_weights_is_refused(bench: Bench, tmp_path: Path) -> None:
    folder = transformer(tmp_path / "emb", pytorch_model__bin=b"pickle")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors") as caught:
        bench.store.import_path(folder)
    assert "run code" in caught.value.hint
    assert bench.names() == set()


def test_files_and_folders_are_open_to_their_owner_only(bench: Bench, tmp_path: Path) -> None:
    bench.store.import_path(transformer(tmp_path / "emb"))
    modes = {path.stat().st_mode & 0o077 for path in (bench.root, *bench.root.rglob("*"))}
    assert modes == {0}

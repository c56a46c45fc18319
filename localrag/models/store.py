"""The models on this machine: which are there, and which one is used.

Nothing is used before its hash is verified: `get` compares each file's stamp, and hashes again if it differs. A hash
says nothing about who made a file: the catalog may know it. `manage` changes what is there.
"""

from __future__ import annotations

from localrag import policy
from localrag.errors import ModelDamaged, ModelMissing, SettingsError
from localrag.models import catalog
from localrag.models.catalog import DEFAULT_EMBEDDER, Kind
from localrag.models.records import InstalledModel, ModelFolder
from localrag.settings import Settings

__all__ = ["InstalledModel", "ModelStore"]

CHOICE = "choice.json"


class ModelStore:
    """The models below `settings.models_dir`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models = ModelFolder(settings.models_dir)

    def installed(self, kind: Kind | None = None) -> list[InstalledModel]:
        """Return every model with a readable record, by id, unverified: use `get` before loading one."""
        found = []
        for id in self._models.ids():
            try:
                folder, record = self._models.record(id)
            except (ModelMissing, ModelDamaged):
                continue
            if kind is None or record.kind == kind:
                found.append(record.model(folder))
        return found

    def get(self, id: str) -> InstalledModel:
        """Return a verified model, or raise ModelMissing, ModelDamaged or PolicyRefused."""
        found = self._models.verified(catalog.named(id))
        policy.check_model(found.id, *found.hashes)
        return found

    def default(self, kind: Kind) -> InstalledModel:
        """Return the model to use: the setting, else the choice of `models use`, else the best that fits the memory."""
        named = self._settings.generator if kind == "generator" else self._settings.embedder
        if named is not None:
            found = self.get(named)
            if found.kind != kind:
                raise SettingsError(f"{kind} = {named!r} names {a(found.kind)}", f"Name {a(kind)}.")
            return found
        preferred = self.preferred(kind)
        if preferred is None:
            for model in self.installed(kind):
                policy.check_model(model.id, *model.hashes)
            wanted = f" {DEFAULT_EMBEDDER}" if kind == "embedder" else ""
            raise ModelMissing(f"no {kind} is installed", f"Type: localrag models install{wanted}")
        return self.get(preferred.id)

    def preferred(self, kind: Kind) -> InstalledModel | None:
        """Return the model that `default` would take, unverified; None if a server is set, or none is allowed."""
        if self._settings.generator_server if kind == "generator" else self._settings.embedder_server:
            return None  # a server's is used
        named = self._settings.generator if kind == "generator" else self._settings.embedder
        here = {model.id: model for model in self.installed(kind) if policy.allows_model(*model.hashes)}
        if named is not None:
            return here.get(catalog.named(named))
        chosen = self.choice(kind)
        if chosen in here:
            return here[chosen]
        usable = [model for model in here.values() if _rank(model.id) > 0]
        fitting = [model for model in usable if catalog.fits(memory_needed(model))]
        if fitting:
            return max(fitting, key=lambda model: (_rank(model.id), model.bytes))
        return min(usable, key=memory_needed, default=None)

    def choice(self, kind: Kind) -> str:
        """Return the id that `models use` chose, or ""."""
        return str(self._models.read_json(CHOICE).get(kind, ""))


def memory_needed(model: InstalledModel) -> int:
    """Return the bytes that a model needs with a working context; estimated from its size if not in the catalog."""
    known = catalog.find(model.id)
    return model.bytes * 5 // 4 + 500_000_000 if known is None else known.memory


def a(kind: str) -> str:
    """Return a kind with its article."""
    return f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}"


def _rank(id: str) -> int:
    known = catalog.find(id)
    return 1 if known is None else known.rank

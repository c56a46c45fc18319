"""Models: the catalog, the sources they come from, and the store of installed ones."""

from localrag.models.catalog import CATALOG, HubSource, Kind, ModelCard, WheelSource, card
from localrag.models.sources import Progress
from localrag.models.store import InstalledModel, ModelStore, Verdict

__all__ = [
    "CATALOG",
    "HubSource",
    "InstalledModel",
    "Kind",
    "ModelCard",
    "ModelStore",
    "Progress",
    "Verdict",
    "WheelSource",
    "card",
]

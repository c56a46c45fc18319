"""Models: what can be had (`catalog`), where it comes from (`sources`), and what is here (`store`)."""

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

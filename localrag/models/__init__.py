"""Models: the catalog, the sources they come from, and the store of installed ones."""

from localrag.models.catalog import CATALOG, HubSource, ModelCard, WheelSource
from localrag.models.records import InstalledModel, ModelStore, Progress

__all__ = ["CATALOG", "HubSource", "InstalledModel", "ModelCard", "ModelStore", "Progress", "WheelSource"]

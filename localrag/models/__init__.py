"""Models: the catalog, the sources they come from, and the store of installed ones."""

from localrag.models.catalog import CATALOG, HubSource, ModelCard, WheelSource
from localrag.models.records import Progress
from localrag.models.store import InstalledModel, ModelStore

__all__ = ["CATALOG", "HubSource", "InstalledModel", "ModelCard", "ModelStore", "Progress", "WheelSource"]

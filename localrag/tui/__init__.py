"""The terminal app: app -> screens -> widgets, each importing only from those after it, and none of them a model."""

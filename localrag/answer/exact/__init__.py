"""Count, find and list without a model."""

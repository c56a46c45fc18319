"""Count, find, list and calculate without a model."""

"""Find the passages that fit a question."""

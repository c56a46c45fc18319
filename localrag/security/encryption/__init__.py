"""Encryption at rest. Nothing here writes to the disk (`security.storage` does) or asks a person (`cli` does)."""

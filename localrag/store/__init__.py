"""A library on the disk."""

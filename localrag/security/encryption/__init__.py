"""Encryption at rest: keys and who may use them, sealed files, and which folders of this process are unlocked.

Nothing here writes to the disk or asks a person; `vault.py` does the one, the faces do the other.
"""

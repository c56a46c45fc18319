"""A library carried whole in one file, and taken back from it: database, conversations, the record of what was asked.

    "localrag-backup-1\\n" | length of the ring (4) | ring (JSON, as vault.json; empty for one in clear) | body

The body is sealed (`streams`) under the key of the ring: that of the library, where it is encrypted, so that whoever
opens the library opens the backup; else a new one, made for those who are named. Inside stand a line of JSON about the
library, each file as a line with its path and size and then its bytes, and a last line with their number and SHA-256.
Vectors' index and kept model states are left out: they are made again.

The database is copied by SQLite's backup in one read transaction, so that it is of one moment while another process
writes. A backup is read back whole before it counts, and takes its name only then. What is restored is taken for a
library of others: every value of its rows is checked (`intake`), and nothing takes the library's place before all is
there.

Limits: one in clear shows chance damage, not changes. Who may open a backup, and how long it is, can be read by all.
A backup keeps what is forgotten later; whoever held the key when it was made can open it.
"""

from localrag.lifecycle.backup.container import Backup, check
from localrag.lifecycle.backup.restoring import Restored, Taken, named, restore
from localrag.lifecycle.backup.writing import write

__all__ = ["Backup", "Restored", "Taken", "check", "named", "restore", "write"]

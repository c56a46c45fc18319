"""Which files the processes that hold documents and models may write: localrag's own, and what the person named.

On Linux with Landlock the kernel holds it, for native code and started programs, too; elsewhere nothing does. So a
document or model file that takes over its reader can leave nothing behind: no program, no start-up file, no copy among
other people's files.

Limits: reading is not limited here, since what may have to be read (key files, adapters, folders to come) is not known
beforehand; what is read cannot leave by the network (`offline`). A process may write all libraries of a home folder.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from localrag import offline, vault
from localrag.offline.system import system_files
from localrag.settings import Settings


def hold(settings: Settings, *writes: Path) -> None:
    """From here on this process, and all that it starts, writes below localrag's folders and `writes` only.

    Call it before threads start. It does nothing in a process that is not confined (`offline.confine`), and nothing is
    taken back. Temporary files go to a folder of localrag's own.

    Raises:
        OfflineRefused: threads run already.
        StorageError: localrag's folders cannot be made.
    """
    if not offline.shut():
        return
    temporary = vault.make_dir(settings.temporary_dir)
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)))
    tempfile.tempdir = str(temporary)
    own = (temporary.parent, vault.make_dir(settings.indexes_dir))
    offline.confine(system_files(reads=(Path("/"),), writes=tuple(path.resolve() for path in (*own, *writes))))


def hold_reader() -> None:
    """The same for a process that reads documents: it writes temporary files and nothing else."""
    if offline.shut():
        offline.confine(system_files(reads=(Path("/"),), writes=(Path(tempfile.gettempdir()),)))

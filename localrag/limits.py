"""Which files the processes that hold documents and models may touch: localrag's own, and what the person named.

On Linux with Landlock the kernel holds it, for native code and started programs, too; elsewhere nothing does. So a
document or model file that takes over its reader can leave nothing behind: no program, no start-up file, no copy among
other people's files. Questions and searches read nothing else either.

Limits: where documents are read (`ingest`, the app's worker) reading is not limited, since links lead out of folders,
and folders are yet to be chosen; what is read cannot leave by the network (`offline`). A process may write all
libraries of a home folder.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from localrag import offline, policy, vault
from localrag.offline import LayerName
from localrag.offline.system import system_files
from localrag.settings import Settings, config_files


def hold(
    settings: Settings, *writes: Path, reads: Sequence[Path] | None = None, without: Collection[LayerName] = ()
) -> None:
    """From here on this process, and all that it starts, writes below localrag's folders and `writes` only.

    Call it before threads start. It does nothing in a process that is not confined (`offline.confine`), and nothing is
    taken back. Temporary files go to a folder of localrag's own.

    Args:
        reads: what is read beside the system's files, localrag's own, those that settings name, and `writes`; None does
            not limit reading.
        without: as `offline.confine`.

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
    if reads is None:
        may_read: tuple[Path, ...] = (Path("/"),)
    else:
        named = [path for path in (settings.reranker, settings.key_file) if path is not None]
        may_read = (*reads, settings.models_dir.resolve(), *config_files(), *policy.files(), *named)
    offline.confine(system_files(may_read, tuple(path.resolve() for path in (*own, *writes))), without=without)


def hold_reader() -> None:
    """The same for a process that reads documents: it writes temporary files and nothing else."""
    if offline.shut():
        offline.confine(system_files(reads=(Path("/"),), writes=(Path(tempfile.gettempdir()),)))

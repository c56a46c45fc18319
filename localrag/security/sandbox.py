"""Which files the processes that hold documents and models may touch: their library's, and what the person named.

On Linux with Landlock the kernel holds it, for native code and started programs, too; elsewhere nothing does. So a
document or model file that takes over its reader can leave nothing behind: no program, no start-up file, no copy among
other people's files. And it reaches one matter: what other libraries and conversations hold is neither read nor
written. Questions and searches read nothing else either.

Limits: where documents are read (`ingest`, the app's worker) reading is not limited beyond that, since links lead out
of folders; what is read cannot leave by the network (`offline`). Names of files can be listed. A table that is written
into a folder which holds the libraries opens them to that process.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from localrag import policy
from localrag.security import offline, storage
from localrag.security.offline import LayerName
from localrag.settings import Settings, config_files

_PROGRAMS = "/usr /bin /sbin /lib /lib32 /lib64 /opt /nix/store /gnu/store /snap".split()
_READS = "/etc /proc /sys /dev /run/current-system".split()
_DEVICES = "/dev/null /dev/zero /dev/full /dev/tty /dev/pts /dev/ptmx /dev/shm /dev/dri /dev/kfd".split()

_restricted = False


def restrict(
    settings: Settings, libraries: Sequence[str] | None, *writes: Path, reads: Sequence[Path] | None = None,
    without: Collection[LayerName] = (),
) -> None:  # fmt: skip
    """From here on this process, and all that it starts, writes to these libraries and `writes` only, and reads nothing
    of others.

    Call it before threads start. It does nothing in a process that is not confined (`offline.confine`), and nothing is
    taken back. Temporary files go to a folder of localrag's own.

    Args:
        libraries: by name; one that is to be made has its folder already (`make_library_folder`). None: all.
        reads: what is read beside the system's files, localrag's own, those that settings name, and `writes`; None does
            not limit reading, but for other libraries and conversations.
        without: as `offline.confine`.

    Raises:
        OfflineRefused: threads run already.
        StorageError: localrag's folders cannot be made.
    """
    global _restricted
    if not offline.confined():
        return
    temporary = storage.make_dir(settings.temporary_dir_of(libraries or ()))
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)))
    tempfile.tempdir = str(temporary)
    storage.make_dir(settings.indexes_dir)
    if libraries is None:
        folders = [settings.general_dir.parent, settings.indexes_dir]
    else:
        folders = [temporary, *map(storage.make_dir, (settings.questions_dir, settings.general_dir))]
        folders += map(settings.library_dir, libraries)
    writable = tuple(path.resolve() for path in (*folders, *writes))
    named = [path for path in (settings.reranker, settings.key_file) if path is not None]
    named += [settings.models_dir.resolve(), *config_files(), *policy.files()]
    around = tuple(readable(settings)) if reads is None else tuple(reads)
    lists = Path("/") if reads is None else settings.indexes_dir
    files = system_files((*around, *named), writable)
    offline.confine(_around_walls(replace(files, lists=(lists,)), settings), without=without)
    _restricted = "files" not in without and libraries is not None


def restrict_reader() -> None:
    """The same for a process that reads documents: it writes temporary files and nothing else."""
    if offline.confined():
        offline.confine(system_files(reads=(Path("/"),), writes=(Path(tempfile.gettempdir()),)))


def is_restricted() -> bool:
    """Whether this process was limited to some libraries, so that what concerns all is not for it to do."""
    return _restricted


def make_library_folder(settings: Settings, library: str) -> None:
    """Make the folder of a library that is to be made, and note that it was made here."""
    if not (settings.indexes_dir / library).exists():
        mark_as_own(settings, library)
        storage.make_dir(settings.indexes_dir / library)


def mark_as_own(settings: Settings, library: str) -> None:
    """Note that a library was made here, so that it is ours in ./indexes, too."""
    storage.write_bytes(settings.own_mark(library), b"", plain=True)


Inode = tuple[int, int]  # device and number


def readable(settings: Settings) -> dict[Path, Inode]:
    """All that can be read but what is behind walls, in as few paths as can be, each with its inode.

    The kernel knows files by these: what is made or mounted later beside a folder that leads to the libraries is not
    among them.
    """
    return dict(_all_but(Path("/"), _hidden(settings)))


def leads_to_walls(path: Path, settings: Settings) -> bool:
    """Whether something behind walls lies below a folder, so that what is made later right in it cannot be read."""
    return any(each.is_relative_to(path.resolve()) for each in _hidden(settings))


def still_covers(before: dict[Path, Inode], path: Path, settings: Settings) -> bool:
    """Whether a process that was started when these were `readable` reads all of a path."""
    real = path.resolve()
    return all(
        before.get(each) == inode
        for each, inode in readable(settings).items()
        if each.is_relative_to(real) or real.is_relative_to(each)
    )


def _hidden(settings: Settings) -> set[Path]:
    linked = [path for path in settings.indexes_dir.glob("*") if path.is_symlink()]
    return {path.resolve() for path in (*settings.private_dirs, *linked) if path.exists()}


def _all_but(folder: Path, hidden: Collection[Path]) -> Iterator[tuple[Path, Inode]]:
    """Links are left out: where they lead is either among the rest, or hidden."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        path = folder / entry.name
        if path in hidden or entry.is_symlink():
            continue
        if any(each.is_relative_to(path) for each in hidden):
            yield from _all_but(path, hidden)
        else:
            with suppress(OSError):  # it is gone already; of a mounted folder the entry has the number below the mount
                facts = entry.stat(follow_symlinks=False)
                yield path, (facts.st_dev, facts.st_ino)


def _around_walls(files: offline.Files, settings: Settings) -> offline.Files:
    """The same, with folders that hold what is behind walls (a source tree with ./indexes) given as their parts."""
    hidden = _hidden(settings)
    lists = list(files.lists)

    def parts(paths: Sequence[Path]) -> Iterator[Path]:
        for path in paths:
            real = path.resolve()
            if any(each.is_relative_to(real) for each in hidden):
                lists.append(path)
                yield from (each for each, _ in _all_but(real, hidden))
            else:
                yield path

    programs, reads = tuple(parts(files.programs)), tuple(parts(files.reads))
    return replace(files, programs=programs, reads=reads, lists=tuple(lists))


def system_files(reads: tuple[Path, ...] = (), writes: tuple[Path, ...] = ()) -> offline.Files:
    """What the system, Python and its packages need, and besides it what is given."""
    python = {Path(path) for path in (sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values())}
    python |= {Path(sys.executable).resolve().parent, Path(__file__).parents[2]}
    linked = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)  # where a cluster keeps its libraries
    packages = tuple(Path(path) for path in sys.path if path)
    graphics = tuple(Path("/dev").glob("nvidia*"))
    return offline.Files(
        programs=(*map(Path, _PROGRAMS), *sorted(python), *(Path(path) for path in linked if path)),
        reads=(*map(Path, _READS), *packages, *reads),
        writes=(*map(Path, _DEVICES), *graphics, *writes),
        sockets=(Path("/tmp"), Path("/var/tmp")),  # LibreOffice makes one there; nobody confined can connect to it
    )

"""Limits on the files that processes with documents and models may touch: their library's, and those the user named.

On Linux with Landlock the kernel enforces them, for native code and started programs too; elsewhere nothing does.
Other libraries and conversations are neither read nor written. Questions and searches read nothing else either; where
documents are read, other reading is not limited, since links lead out of folders. Names of files can be listed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from localrag import policy
from localrag.security import offline, storage
from localrag.security.offline import LayerName, kernel, remote
from localrag.settings import Settings, config_files, trusted_list

_LIBRARIES = "/usr /bin /sbin /lib /lib32 /lib64 /nix/store /gnu/store".split()
_PROGRAMS = (*_LIBRARIES, "/opt", "/snap")  # the last two may also hold other things
_READS = "/etc /proc /sys /dev /run/current-system".split()
# Devices that keep nothing; and the terminal and graphics processors, which readers do not get.
_DEVICES = "/dev/null /dev/zero /dev/full".split()
_TERMINAL_AND_GRAPHICS = "/dev/tty /dev/pts /dev/ptmx /dev/dri /dev/kfd".split()
# What libraries of readers look up: loader, time zone, kind of memory and processors.
_READER_READS = "/etc/ld.so.cache /etc/localtime /dev/null /dev/urandom /proc/cpuinfo /proc/meminfo".split()
_PROGRAM_READS = "/etc /var/lib/libreoffice /var/spool/libreoffice /proc/sys /dev/random".split()

LINK = "export.json"  # in the folder of a library that is read from an export: where that is

Inode = tuple[int, int]  # device and number
_restricted = False


def restrict(
    settings: Settings,
    libraries: Sequence[str] | None,
    *writes: Path,
    reads: Sequence[Path] | None = None,
    without: Collection[LayerName] = (),
) -> None:
    """Limit this process, and all it starts, to writing these libraries and `writes` and reading nothing of others.

    Of the addresses in the house, it reaches those that these libraries need (`offline.remote`).

    Call it before threads start. It cannot be undone, and does nothing in a process that is not confined
    (`offline.confine`). Temporary files go to a folder of localrag's own. Raises OfflineRefused if threads already run.

    Args:
        libraries: names; a new one has its folder already (`make_library_folder`). None: all of them.
        reads: what may be read beside the system's files, localrag's own, those that settings name, and `writes`. None
            limits reading only of other libraries and conversations.
    """
    global _restricted
    if not offline.confined():
        return
    remote.narrow(settings, libraries)
    temporary = storage.make_dir(settings.temporary_dir_of(libraries or ()))
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)))
    tempfile.tempdir = str(temporary)
    storage.make_dir(settings.indexes_dir)
    if libraries is None:
        folders = [settings.general_dir.parent, settings.indexes_dir]
    else:
        folders = [temporary, *map(storage.make_dir, (settings.questions_dir, settings.general_dir))]
        folders += map(settings.library_dir, libraries)
    writable = tuple(Path(os.path.realpath(path)) for path in (*folders, *writes))
    named = [path for path in (settings.reranker, settings.key_file) if path is not None]
    named += [settings.models_dir.resolve(), *config_files(), trusted_list(), *policy.files()]
    named += _exports(settings, libraries)
    if remote.channel():
        named += [remote.password_file(), *map(settings.own_mark, libraries or ())]
    around = tuple(readable(settings)) if reads is None else tuple(reads)
    lists = Path("/") if reads is None else settings.indexes_dir
    files = replace(system_files((*around, *named), writable), lists=(lists,))
    offline.confine(_without_hidden(files, settings), without=without)
    _restricted = "files" not in without and libraries is not None


def _exports(settings: Settings, libraries: Sequence[str] | None) -> Iterator[Path]:
    """Folders of read-only libraries, which are kept elsewhere; in ./indexes only of those opened on this machine."""
    names = [link.parent.name for link in settings.indexes_dir.glob(f"*/{LINK}")] if libraries is None else libraries
    for name in names:
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):  # reported where it is opened
            if not settings.claims_needed or settings.own_mark(name).exists():
                yield Path(json.loads((settings.library_dir(name) / LINK).read_bytes())["folder"])


def restrict_reader(*reads: str) -> None:
    """Limit a process that reads documents to the files of Python, its libraries and `reads`, and to few system calls.

    It writes nothing, and opens no document: its parent hands it an open file.
    """
    if offline.confined():
        offline.confine(_code([*_READER_READS, *reads]), kind="reader")


def restrict_helper(programs: Iterable[str]) -> None:
    """Limit a process that runs these programs for readers to the system's files, theirs, and temporary ones."""
    if offline.confined():
        offline.confine(_program_files(programs, Path(tempfile.gettempdir())))


def program_restrictions(programs: Iterable[str], folder: Path) -> Callable[[], None]:
    """Return what limits a program that the helper starts to its folder, for the moment before it runs."""
    files = _program_files(programs, folder)

    def restrict() -> None:
        kernel.prctl(kernel.PARENT_DEATH_SIGNAL, getattr(signal, "SIGKILL", 9))
        if offline.confined():
            kernel.restrict(files)
            kernel.install("program")

    return restrict


def _program_files(programs: Iterable[str], folder: Path) -> offline.Files:
    real = [Path(path).resolve() for path in programs]
    own = (each.parents[1] if each.parent.name == "program" else each for each in real)  # all of LibreOffice
    files = _code([*_READER_READS, *_PROGRAM_READS])
    return replace(files, programs=(*files.programs, *own), writes=(*map(Path, _DEVICES), folder))


def _code(reads: Iterable[str]) -> offline.Files:
    """The files of the system's and Python's libraries, and of this package; no folder with the person's own files."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    python = [Path(sysconfig.get_path(name)) for name in names] + [Path(sys.base_prefix, "lib")]
    linked = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    package = Path(__file__).parents[1]
    source = package.parent if (package.parent / "pyproject.toml").exists() else None
    private = (Path.home(), Path.cwd())
    named = (
        path
        for path in map(Path, filter(None, (*sys.path, *linked)))
        if path.is_absolute() and path != source and not any(each.is_relative_to(path) for each in private)
    )
    system = map(Path, _LIBRARIES)  # also where a home or the current folder is in one of them
    return offline.Files((*system, *python, *named, package), (*map(Path, reads), Path("/proc/self")))


def is_restricted() -> bool:
    """True if this process was limited to some libraries, so that it must leave what concerns all to its parent."""
    return _restricted


def make_library_folder(settings: Settings, library: str) -> None:
    """Make the folder of a new library, marked as made here."""
    folder = settings.indexes_dir / library
    if not folder.exists() or not any(folder.iterdir()):
        mark_as_own(settings, library)
        storage.make_dir(folder)


def mark_as_own(settings: Settings, library: str, root: str = "", store: str | None = None) -> None:
    """Mark a library as made here, so that it is trusted in ./indexes, or a `root` of it, whose files are opened.

    The mark names the store that a new library may be kept in (else that of the settings), which it may then reach.
    """
    mark = settings.read_marks(library, root) if root else settings.own_mark(library)
    storage.write_bytes(mark, b"" if root else (store or settings.store or "").encode(), plain=True)


def readable(settings: Settings) -> dict[Path, Inode]:
    """Everything but other libraries and conversations, in as few paths as possible, each with its inode.

    The kernel knows files by inode: what is made or mounted later beside a folder that leads to libraries is not
    included.
    """
    return dict(_all_but(Path("/"), _hidden(settings)))


def leads_to_walls(path: Path, settings: Settings) -> bool:
    """True if something hidden lies below a folder, so that files made later right in it cannot be read."""
    return any(each.is_relative_to(Path(os.path.realpath(path))) for each in _hidden(settings))


def still_covers(before: dict[Path, Inode], path: Path, settings: Settings) -> bool:
    """True if a process that was limited to these paths can read all of a path."""
    real = Path(os.path.realpath(path))
    return all(
        before.get(each) == inode
        for each, inode in readable(settings).items()
        if each.is_relative_to(real) or real.is_relative_to(each)
    )


def _hidden(settings: Settings) -> set[Path]:
    linked = [path for path in settings.indexes_dir.glob("*") if path.is_symlink()]
    return {Path(os.path.realpath(path)) for path in (*settings.private_dirs, *linked) if path.exists()}


def _all_but(folder: Path, hidden: Collection[Path]) -> Iterator[tuple[Path, Inode]]:
    """Links are left out: their targets are either among the rest, or hidden."""
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
            with suppress(OSError):  # deleted meanwhile; the entry of a mount has the inode below the mount
                facts = entry.stat(follow_symlinks=False)
                yield path, (facts.st_dev, facts.st_ino)


def _without_hidden(files: offline.Files, settings: Settings) -> offline.Files:
    """The same files, with folders that hold something hidden (a source tree with ./indexes) given by their parts."""
    hidden = _hidden(settings)
    lists = list(files.lists)

    def parts(paths: Sequence[Path]) -> Iterator[Path]:
        for path in paths:
            real = Path(os.path.realpath(path))
            if any(each.is_relative_to(real) for each in hidden):
                lists.append(path)
                yield from (each for each, _ in _all_but(real, hidden))
            else:
                yield path

    programs, reads = tuple(parts(files.programs)), tuple(parts(files.reads))
    return replace(files, programs=programs, reads=reads, lists=tuple(lists))


def system_files(reads: tuple[Path, ...] = (), writes: tuple[Path, ...] = ()) -> offline.Files:
    """The files that the system, Python and its packages need, and those given."""
    python = {Path(path) for path in (sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values())}
    python |= {Path(sys.executable).resolve().parent, Path(__file__).parents[2]}
    linked = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)  # the libraries of a cluster
    packages = tuple(Path(path) for path in sys.path if path)
    graphics = tuple(Path("/dev").glob("nvidia*"))
    return offline.Files(
        programs=(*map(Path, _PROGRAMS), *sorted(python), *(Path(path) for path in linked if path)),
        reads=(*map(Path, _READS), *packages, *reads),
        writes=(*map(Path, (*_DEVICES, *_TERMINAL_AND_GRAPHICS)), *graphics, *writes),
    )

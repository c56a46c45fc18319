"""List the files below a folder: those to read, those of other types, and what cannot be examined.

Hidden files, leftovers of programs (caches, lock files, partial downloads), localrag's own folders and linked folders
are ignored. `.localragignore` files in any folder list more, one pattern a line as in `.gitignore` (`*.bak`,
`/drafts/`, `old/**`, `!keep.pdf`).

`changes` notices what changes later, by the system's notifications (watchfiles). Systems do not report what other
machines change on network shares, and follow a limited number of folders, so a change is assumed every minute as well.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localrag.errors import NotFoundError, ReadError, UsageError
from localrag.ingest.readers.source import behind_link, reads
from localrag.settings import read_file
from localrag.store.names import is_own

if TYPE_CHECKING:
    from watchfiles import Change

IGNORE_FILE = ".localragignore"
_FOLDERS = frozenset(
    "node_modules bower_components __pycache__ __MACOSX $RECYCLE.BIN site-packages lost+found @eaDir".split()
) | {"System Volume Information"}
_BLOCK = 1 << 22
# File systems of other machines, by the beginning of their names.
_SHARES = ("nfs", "cifs", "smb", "9p", "davfs", "afs", "ceph", "fuse.sshfs", "fuse.rclone", "fuse.gvfsd", "fuse.davfs")
_LEFTOVERS = re.compile(
    r"^(?:\.|~\$|~WRL|Thumbs\.db$|desktop\.ini$)|(?:~|\.tmp|\.temp|\.part|\.crdownload|\.swp)$", re.I
)


@dataclass(frozen=True, slots=True)
class Found:
    """A file; `path` is relative to the root, with forward slashes."""

    location: Path
    path: str
    size: int
    mtime_ns: int
    regular: bool = True


@dataclass(frozen=True, slots=True)
class _Rule:
    folder: str  # that holds the pattern, "" for the root
    names: tuple[re.Pattern[str] | None, ...]  # None for any number of folders
    keeps: bool
    folders_only: bool

    def matches(self, path: str, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        below = (path.removeprefix(f"{self.folder}/") if self.folder else path).split("/")
        reached = {0}
        for pattern in self.names:
            if pattern is None:
                reached = set(range(min(reached, default=len(below) + 1), len(below) + 1))
            else:
                reached = {at + 1 for at in reached if at < len(below) and pattern.fullmatch(below[at])}
        # `**` at the end means everything in a folder, but not the folder itself.
        return len(below) in reached if self.names[-1] is not None else min(reached, default=len(below)) < len(below)


def is_leftover(name: str) -> bool:
    """Return whether a file is hidden, or the leftover of a program, by its name."""
    return _LEFTOVERS.search(name) is not None


def root_of(path: Path) -> tuple[Path, str | None]:
    """The root of a path, and the name of the file if the path is one."""
    try:
        found = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise NotFoundError(f"there is no file or folder {str(path)!r}", "Check the spelling and the mount.") from None
    if found.is_dir():
        return found, None
    if not found.is_file():
        hint = "Give a folder of documents, or one document."
        raise UsageError(f"{str(path)!r} is neither a file nor a folder", hint)
    return found.parent, found.name


def readable(path: Path) -> tuple[int, int]:
    """The number of files below a folder that localrag would read, and their bytes, or a ReadError."""
    root, only = root_of(path)

    def unlisted(error: OSError) -> None:
        if Path(str(error.filename)) == root:
            raise unlistable(root, error)

    sizes = [file.size for file in walk(root, unlisted) if (only is None or file.path == only) and reads(file.location)]
    return len(sizes), sum(sizes)


def broad(path: Path) -> str:
    """Return why a folder holds far more than documents, in words, or ""."""
    found, home = Path(os.path.realpath(path)), Path(os.path.realpath(Path("~").expanduser()))
    if found == Path(found.anchor):
        return "the whole disk"
    if found == home:
        return "your home folder"
    return "the folder of all home folders" if home.is_relative_to(found) else ""


def slow_share(root: Path) -> str:
    """Return the file system of a folder if it is another machine's and reading takes long, or ""."""
    mounts = [line.split() for line in _mounts()]
    holding = [fields for fields in mounts if len(fields) > 2 and root.is_relative_to(fields[1].replace("\\040", " "))]
    _, point, kind, *_ = max(reversed(holding), key=lambda fields: len(fields[1]), default=("", "/", ""))
    return kind if kind.startswith(_SHARES) and point != "/" else ""  # that of a virtual machine's root is quick


def _mounts() -> list[str]:
    try:
        return Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []  # no Linux


def folders_beginning(value: str) -> list[str]:
    """Return the paths of folders that begin like this one; hidden ones only if their dot is typed."""
    above, _, begun = value.rpartition("/")
    try:
        with os.scandir(Path(f"{above}/" if above or value.startswith("/") else ".").expanduser()) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir() and entry.name.startswith(begun))
    except (OSError, RuntimeError, ValueError):
        return []
    shown = [name for name in names if name.isprintable() and (begun or not name.startswith("."))]
    return [f"{value[: len(value) - len(begun)]}{name}/" for name in shown]


def unlistable(root: Path, error: OSError) -> ReadError:
    return ReadError(f"{str(root)!r} cannot be listed: {error.strerror}", "Check its rights and the mount.")


def walk(root: Path, unlisted: Callable[[OSError], None] = lambda error: None) -> Iterator[Found]:
    """Files below a root, in a stable order; `unlisted` is called for folders and files that cannot be examined."""
    rules: dict[str, tuple[_Rule, ...]] = {}
    for folder, folders, names in os.walk(root, onerror=unlisted, followlinks=False):
        here = stored_name(Path(folder), root)
        inherited = rules.pop(here, ())
        try:
            own = (*inherited, *(_rules(Path(folder), here) if IGNORE_FILE in names else ()))
        except OSError as error:
            # Its patterns are unknown, and reading a file against the user's will cannot be undone.
            unlisted(OSError(error.errno, f"its {IGNORE_FILE} cannot be read ({error.strerror})", folder))
            folders.clear()
            continue
        folders[:] = [name for name in folders if not is_own(Path(folder, name))]
        prefix = f"{here}/" if here else ""
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in _FOLDERS and not _ignored(own, prefix + name, is_folder=True)
        )
        if own:
            rules.update({prefix + name: own for name in folders})
        for name in sorted(names):
            if is_leftover(name) or _ignored(own, prefix + name, is_folder=False):
                continue
            location = Path(folder, name)
            try:
                facts = location.stat()
            except OSError as error:
                # A file that vanished or a broken link is not an error.
                if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR) and reads(location):
                    unlisted(error)
                continue
            yield Found(
                location, stored_name(location, root), facts.st_size, facts.st_mtime_ns, stat.S_ISREG(facts.st_mode)
            )


def content_hash(path: Path, check: Callable[[], None], links: bool = True) -> str:
    """The SHA-256 of a file, behind no link unless `links`; `check` is called repeatedly and may raise."""
    # Non-blocking: a pipe in place of the file would never open.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file any more")
        if not links and behind_link(path, descriptor):
            raise OSError(errno.ELOOP, "it leads out of the folder now")
        digest = hashlib.sha256()
        while piece := stream.read(_BLOCK):
            digest.update(piece)
            check()
    return digest.hexdigest()


def is_still(file: Found) -> bool:
    """Whether a file is unchanged since it was found."""
    try:
        facts = file.location.stat()
    except OSError:
        return False
    return (facts.st_size, facts.st_mtime_ns) == (file.size, file.mtime_ns)


def stored_name(location: Path, root: Path) -> str:
    """The path relative to the root; bytes that are not UTF-8 are escaped."""
    below = os.fsencode(location.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")
    return "" if below == "." else below


def _rules(folder: Path, below: str) -> Iterator[_Rule]:
    for line in read_file(folder / IGNORE_FILE).decode("utf-8-sig", "replace").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        keeps, line = line.startswith("!"), line.removeprefix("!")
        folders_only, line = line.endswith("/"), line.rstrip("/")
        # A pattern with a slash is relative to its folder; one without matches a name at any depth.
        glob = line.lstrip("/") if "/" in line else f"**/{line}"
        if glob:
            names = tuple(None if name == "**" else _pattern(name) for name in glob.split("/"))
            yield _Rule(below, names, keeps, folders_only)


def _pattern(glob: str) -> re.Pattern[str]:
    """The regular expression for one name of a pattern; a backslash escapes."""
    glob = re.sub(r"\\(.)", lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], glob)
    return re.compile(fnmatch.translate(glob.replace("[^", "[!")))


def _ignored(rules: tuple[_Rule, ...], path: str, *, is_folder: bool) -> bool:
    """Whether a path is ignored; the last matching pattern decides."""
    rule = next((rule for rule in reversed(rules) if rule.matches(path, is_folder)), None)
    return rule is not None and not rule.keeps


# --- changes -------------------------------------------------------------------------------------------------

# Programs write a file in several steps; changes within this many milliseconds count as one.
_SETTLED_MS = 1_600
_LOOK_AGAIN = 60.0


def changes(
    folder: Path, stop: Callable[[], bool], on_blind: Callable[[str], None] = lambda reason: None
) -> Iterator[None]:
    """Yield when something below the folder may have changed; `on_blind` gets the reason if notifications fail."""
    from watchfiles import DefaultFilter

    matters, root = DefaultFilter(), folder.resolve()

    def ours(path: Path) -> bool:  # in a library or data folder of localrag
        return any(is_own(each) for each in path.parents if each != root and each.is_relative_to(root))

    looked = time.monotonic()
    for seen in _notifications(folder, on_blind):
        if stop():
            return
        changed = any(matters(*change) and not ours(Path(os.path.realpath(change[1]))) for change in seen)
        if changed or time.monotonic() - looked > _LOOK_AGAIN:
            yield
            looked = time.monotonic()


def _notifications(folder: Path, on_blind: Callable[[str], None]) -> Iterator[set[tuple[Change, str]]]:
    """The system's notifications, and an empty set twice a second, so that the caller can stop."""
    from watchfiles import watch

    ended = threading.Event()
    try:
        # The caller filters, since a filter here would suppress the timeouts too.
        yield from watch(
            folder,
            watch_filter=None,
            debounce=_SETTLED_MS,
            step=200,
            rust_timeout=500,
            yield_on_timeout=True,
            raise_interrupt=False,
            stop_event=ended,
            ignore_permission_denied=True,
        )
    except (OSError, RuntimeError) as error:
        on_blind(" ".join(str(error).split()))
        while True:
            time.sleep(0.5)
            yield set()
    finally:
        ended.set()

"""Which files of the system a process of localrag needs, whatever it is asked for: to run and read, not to write.

Documents, models and libraries are not among them; who confines itself adds its own. Of the devices only those are
writable that keep nothing (null, the terminal, memory files, graphics processors).
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

from localrag.security.offline.landlock import Files

_PROGRAMS = "/usr /bin /sbin /lib /lib32 /lib64 /opt /nix/store /gnu/store /snap".split()
_READS = "/etc /proc /sys /dev /run/current-system".split()
_DEVICES = "/dev/null /dev/zero /dev/full /dev/tty /dev/pts /dev/ptmx /dev/shm /dev/dri /dev/kfd".split()


def system_files(reads: tuple[Path, ...] = (), writes: tuple[Path, ...] = ()) -> Files:
    """What the system, Python and its packages need, and besides it what is given."""
    python = {Path(path) for path in (sys.prefix, sys.base_prefix, sys.exec_prefix, *sysconfig.get_paths().values())}
    python |= {Path(sys.executable).resolve().parent, Path(__file__).parents[3]}
    linked = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)  # where a cluster keeps its libraries
    packages = tuple(Path(path) for path in sys.path if path)
    graphics = tuple(Path("/dev").glob("nvidia*"))
    return Files(
        programs=(*map(Path, _PROGRAMS), *sorted(python), *(Path(path) for path in linked if path)),
        reads=(*map(Path, _READS), *packages, *reads),
        writes=(*map(Path, _DEVICES), *graphics, *writes),
        sockets=(Path("/tmp"), Path("/var/tmp")),  # LibreOffice makes one there; nobody confined can connect to it
    )

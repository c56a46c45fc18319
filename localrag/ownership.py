"""Whether a library's folder is ours alone: who owns it, who else may write to it, and where its links lead.

What others can write they can change into anything, at any time; so it is not read where it lies, but copied and
checked first (`intake`). Limits: owners and rights are those that the file system tells. A stick may give all its files
to whoever plugs it in, so it tells nothing of who wrote them; on Windows nothing is looked at.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def foreign(folder: Path) -> str:
    """Why a folder is not ours alone, in words that go on "since ..."; empty where it is, or where nothing is there."""
    if os.name != "posix":
        return ""
    try:
        # A link to a folder of ours is ours where nobody else may have made it.
        if folder.is_symlink() and not _ours(folder.lstat()):
            return f"the link {folder.name!r} belongs to somebody else"
        if why := _why(folder.stat(), "its folder"):
            return why
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    return f"{entry.name!r} in it is a link that leads elsewhere"
                if why := _why(entry.stat(follow_symlinks=False), f"{entry.name!r} in it"):
                    return why
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"it cannot be looked at ({error.strerror})"
    return ""


def _why(facts: os.stat_result, what: str) -> str:
    if not _ours(facts):
        return f"{what} belongs to somebody else"
    return f"{what} can be changed by others" if facts.st_mode & _OTHERS_WRITE else ""


def _ours(facts: os.stat_result) -> bool:
    return facts.st_uid in (os.geteuid(), 0)

"""Links of a written file: relative addresses of originals, which work where it is sent with them, and no others."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path, PurePath
from urllib.parse import quote

from localrag.settings import Settings
from localrag.store import names

# The file of each document of a library; and an address by library, document and page, empty where there is none.
Originals = Callable[[str], Mapping[str, Path]]
Link = Callable[[str, str, int | None], str]
_MAX_ADDRESS = 2_000  # of Excel


def no_link(library: str, document: str, page: int | None) -> str:
    return ""


def originals(settings: Settings) -> Originals:
    """Return what finds the files of libraries that were read on this machine."""
    return partial(names.originals, settings)


def links(path: Path, found: Originals | None) -> Link:
    """Return what links from a file to originals in its folder, or in the folder above."""
    if found is None:
        return no_link
    folder, files = Path(os.path.realpath(path.absolute().parent)), cache(found)
    # A file in a folder of the root would have all the disk above it.
    above = folder if folder.parent == Path(folder.anchor) else folder.parent

    def link(library: str, document: str, page: int | None) -> str:
        file = files(library).get(document)
        if file is None or not file.is_relative_to(above):
            return ""
        address = quote(os.fsencode(PurePath(os.path.relpath(file, folder)).as_posix()))
        address += f"#page={page}" if page and file.suffix.lower() == ".pdf" else ""
        return address if len(address) <= _MAX_ADDRESS else ""

    return link


def unlinked(text: str) -> str:
    """Write bare addresses in Markdown so that viewers make no links of them."""
    return re.sub(r":(?=//)|(?<=www)\.|@", lambda sign: f"&#{ord(sign[0])};", text, flags=re.I)

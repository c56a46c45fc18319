"""What the screens may call: the app's one door to the rest of localrag.

`cli/chat.py` fills it with the real things and the tests with scripted ones, so that no screen knows where
they come from. Every call that reads documents or runs a model may be slow and belongs into a `Lane`
(jobs.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localrag.api import Library
    from localrag.assistant import Assistant
    from localrag.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class Core:
    """The assistant, the store of conversations, and the few questions that the screens ask about libraries.

    Args:
        open_library: opens a library by name; with `create=True` makes it where there is none.
        find_library: the library that a folder was read into, or None.
        new_name: a free library name for a folder.
        readable_files: how many files below a folder can be read.
        model_choices: models that could be installed, as id and bytes, best first.
    """

    assistant: Assistant
    store: SessionStore
    library_names: Callable[[], list[str]]
    open_library: Callable[..., Library]
    find_library: Callable[[Path], str | None]
    new_name: Callable[[Path], str]
    readable_files: Callable[[Path], int]
    model_choices: Callable[[], list[tuple[str, int]]]

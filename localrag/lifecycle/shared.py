"""Connect this machine to a library of a shared store, and disconnect it."""

from __future__ import annotations

from contextlib import closing

from localrag.errors import UsageError
from localrag.security import sandbox, storage
from localrag.settings import Settings
from localrag.store import names, postgres


def connect(settings: Settings, store: postgres.Store, library: str, name: str | None = None) -> str:
    """Use a library of a store on this machine, under its name there or another; returns the name.

    One that is connected is connected again, for a folder that was copied here. Raises UsageError if there is another
    library of this name, NotFoundError and StorageError as `postgres.open_library`.
    """
    local = names.check_name(name or library)
    folder = settings.library_dir(local)
    with closing(postgres.open_library(str(store), library)) as connection:
        number = connection.library
    known = names.stored(settings, local) if (folder / names.STORE).exists() else None
    if names.exists(folder) and known != (str(store), library, number):
        raise UsageError(f"there is a library {local!r} already", "Give another --name.")
    sandbox.mark_as_own(settings, local, store=str(store))
    storage.make_dir(folder)
    names.keep_store(folder, str(store), library, number)
    return local


def disconnect(settings: Settings, library: str) -> None:
    """Remove what this machine keeps of a library in a store; raises NotFoundError or UsageError if it is none."""
    names.stored(settings, library)
    storage.remove(settings.library_dir(library))
    storage.remove(settings.read_marks(library))

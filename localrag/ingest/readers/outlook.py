"""Outlook stores (PST, OST): the mails, calendar entries, tasks and contacts in their folders, with attachments.

libpff (the extra "pst") reads a store page by page. The password of a store is only a question that Outlook asks.
Search folders hold nothing of their own. A damaged item costs only itself; in a damaged store, items that no folder
names any more are read as well.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from localrag.errors import ReadError
from localrag.ingest.readers.mail import OutlookItem, attachments_of, eml_of, named_tags, subject_name
from localrag.ingest.readers.source import Budget, Member, Options, OverBudget, Source, another_kind, safe

_BINARY = 0x0102  # type of a property
_DATA, _METHOD, _EMBEDDED = 0x3701, 0x3705, 5  # of an attachment
_MAX_DATA = 500_000_000  # bytes of a property, which is read at once
_DAMAGED = (OSError, ValueError, TypeError, RuntimeError, AttributeError, IndexError)  # what libpff raises
_REPAIR = "Repair it with Outlook's scanpst.exe, or export it again."
_LISTED = 3


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    try:
        import pypff
    except ImportError:
        what = "is an Outlook store, and what reads it is not installed"
        raise ReadError(what, "Run: pip install 'localrag[pst]'") from None
    budget.take(-source.size)  # it is not compressed: what is in it may be as large as it is
    with source.open() as stream:
        try:
            file = pypff.open_file_object(stream)
            root = file.get_root_folder()
            if root is None:
                raise ValueError("no folders")
        except _DAMAGED as error:
            damaged = ReadError("is damaged, cut off, or not an Outlook store", _REPAIR)
            raise another_kind(source, "an Outlook store", "an Outlook store") or damaged from error
        yield from _Store(file, budget).members(root)


class _Store:
    def __init__(self, file: Any, budget: Budget) -> None:
        self._file, self._budget = file, budget
        self.codepage = str(file.ascii_codepage)
        self.named: dict[int, int] = {}
        self._lost: list[str] = []
        try:
            self.named = named_tags(_values(file.get_name_to_id_map())[0x0003, _BINARY].data)
        except (*_DAMAGED, KeyError):
            self._lost.append("the names of properties")

    def members(self, root: Any) -> Iterator[Member]:
        waiting = [("", root)]
        while waiting:
            path, folder = waiting.pop()
            for number, message in self._each(folder, "sub_message", path):
                yield from self._item(message, f"{path}{number:04} ")
            inner = [folder for _, folder in self._each(folder, "sub_folder", path)]
            waiting += [(f"{path}{self._name(one)}/", one) for one in reversed(inner)]
        if not self._lost:
            return
        for number, item in self._each(self._file, "orphan_item", "Recovered/"):
            if hasattr(item, "attachments"):
                yield from self._item(item, f"Recovered/{number:04} ")
        listed = "; ".join(self._lost[:_LISTED])
        more = f" and {len(self._lost) - _LISTED} more" if len(self._lost) > _LISTED else ""
        raise ReadError(f"is damaged: {listed}{more} could not be read; the rest was", _REPAIR)

    def _each(self, holder: Any, kind: str, path: str) -> Iterator[tuple[int, Any]]:
        """Yield what a folder holds, numbered from 1."""
        try:
            count = getattr(holder, f"get_number_of_{kind}s")()
        except _DAMAGED:
            self._lost.append(f"{kind.split('_')[1]}s in {path.rstrip('/') or 'the store'!r}")
            return
        for at in range(count):
            try:
                yield at + 1, getattr(holder, f"get_{kind}")(at)
            except _DAMAGED:
                self._lost.append(f"{kind.split('_')[1]} {at + 1} in {path.rstrip('/') or 'the store'!r}")

    def _name(self, folder: Any) -> str:
        try:
            return safe(folder.name or "") or "folder"
        except _DAMAGED:
            return "folder"

    def _item(self, message: Any, prefix: str) -> Iterator[Member]:
        name = f"{prefix}mail.eml"
        try:
            item = _Item(self, message)
            name = prefix + subject_name(item.subject())
            data = eml_of(item)
        except OverBudget:
            raise
        except ReadError as error:
            yield Member(name, refused=error)
        except _DAMAGED:
            yield Member(name, refused=ReadError("is damaged in the store", _REPAIR))
        else:
            yield Member(name, Source(name, data=data))
            yield from attachments_of(item, self._budget, f"{name}/")


def _values(item: Any, at: int = 0) -> dict[tuple[int, int], Any]:
    return {(entry.entry_type, entry.value_type): entry for entry in item.get_record_set(at).entries}


class _Item(OutlookItem):
    """An item of libpff, or one row of its recipients."""

    def __init__(self, store: _Store, item: Any, row: int = 0) -> None:
        self._store, self._item = store, item
        self._values = _values(item, row)
        self.named = store.named
        self.codepage = self.codec() or store.codepage

    def binary(self, tag: int, kind: int = _BINARY) -> bytes | None:
        entry = self._values.get((self.named.get(tag, tag), kind))
        if tag == _DATA and self._item.size > _MAX_DATA:
            raise ReadError(f"is larger than {_MAX_DATA:,} bytes", "Save it from Outlook, and ingest the file.")
        try:
            return entry.data if entry is not None else None
        except _DAMAGED:
            return None

    def recipients(self) -> Iterator[_Item]:
        rows = getattr(self._item, "recipients", None)
        for row in range(rows.number_of_record_sets if rows is not None else 0):
            yield _Item(self._store, rows, row)

    def attachments(self) -> Iterator[_Item]:
        for at in range(self._item.number_of_attachments):
            yield _Item(self._store, self._item.get_attachment(at))

    def mail(self) -> _Item | None:
        if self.integer(_METHOD) != _EMBEDDED:
            return None
        return _Item(self._store, _embedded(self._item))


def _embedded(attachment: Any) -> Any:
    """Return the mail that an attachment holds. The library finds it, but its Python side has no method for that."""
    import pypff

    library, found = ctypes.PyDLL(pypff.__file__), ctypes.c_void_p()
    if not hasattr(library, "libpff_attachment_get_item"):  # it is not visible on every system
        raise ReadError("is an attached mail, which cannot be read here", "Save it from Outlook, and ingest the file.")
    held = ctypes.c_void_p.from_address(id(attachment) + object.__basicsize__)  # the first field of the object
    if library.libpff_attachment_get_item(held, ctypes.byref(found), None) != 1:
        raise ReadError("is damaged in the mail", _REPAIR)
    library.libpff_item_free(ctypes.byref(found), None)  # from now on it is a child of the attachment
    return attachment.get_sub_item(0)

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
from localrag.ingest.readers.source import Budget, Member, Options, Source, another_kind, safe

_BINARY = 0x0102  # type of a property
_DATA, _METHOD, _EMBEDDED = 0x3701, 0x3705, 5  # of an attachment
_MAX_DATA = 500_000_000  # bytes of a property, which is read at once
# What libpff raises; MemoryError is its word for an item that it cannot make.
_DAMAGED = (OSError, ValueError, TypeError, RuntimeError, AttributeError, IndexError, MemoryError)
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
        self._lost_count = 0
        try:
            names = _values(file.get_name_to_id_map().get_record_set(0))
            self.named = named_tags(names[0x0003, _BINARY].data)
        except (*_DAMAGED, KeyError):
            self.lose("the names of properties")

    def members(self, root: Any) -> Iterator[Member]:
        waiting = [("", root)]
        while waiting:
            path, folder = waiting.pop()
            for number, message in self.each(folder, "sub_message", path):
                yield from self._item(message, f"{path}{number:04} ")
            inner = [folder for _, folder in self.each(folder, "sub_folder", path)]
            waiting += [(f"{path}{self._name(one)}/", one) for one in reversed(inner)]
        if not self._lost_count:
            return
        for number, item in self.each(self._file, "orphan_item", "Recovered/"):
            if hasattr(item, "attachments"):
                yield from self._item(item, f"Recovered/{number:04} ")
        more = f" and {self._lost_count - _LISTED} more" if self._lost_count > _LISTED else ""
        raise ReadError(f"is damaged: {'; '.join(self._lost)}{more} could not be read; the rest was", _REPAIR)

    def each(self, holder: Any, kind: str, path: str) -> Iterator[tuple[int, Any]]:
        """Yield what a folder or an item holds, numbered from 1."""
        place = f"in {path.rstrip('/') or 'the store'!r}"
        what = kind.removeprefix("sub_").replace("_", " ")
        try:
            count = getattr(holder, f"get_number_of_{kind}s")()
        except _DAMAGED:
            self.lose(f"{what}s {place}")
            return
        for at in range(count):
            try:
                one = getattr(holder, f"get_{kind}")(at)
            except _DAMAGED:
                self.lose(f"{what} {at + 1} {place}")
            else:
                yield at + 1, one

    def lose(self, what: str) -> None:
        self._lost_count += 1
        self._lost += [what] * (self._lost_count <= _LISTED)

    def _name(self, folder: Any) -> str:
        try:
            return safe(folder.name or "") or "folder"
        except _DAMAGED:
            return "folder"

    def _item(self, message: Any, prefix: str) -> Iterator[Member]:
        name = f"{prefix}mail.eml"
        try:
            item = _Item(self, prefix.rstrip(), message)
            name = prefix + subject_name(item.subject())
            data = eml_of(item)
        except ReadError as error:
            yield Member(name, refused=error)
        except _DAMAGED:
            yield Member(name, refused=_damaged())
        else:
            yield Member(name, Source(name, data=data))
            yield from attachments_of(item, self._budget, f"{name}/")


def _damaged() -> ReadError:
    return ReadError("is damaged in the store", _REPAIR)


def _values(properties: Any) -> dict[tuple[int, int], Any]:
    return {(entry.entry_type, entry.value_type): entry for entry in properties.entries}


class _Item(OutlookItem):
    """A mail or an attachment, which is an item of libpff, or a recipient, which is a row of a table."""

    def __init__(self, store: _Store, place: str, item: Any, row: Any = None) -> None:
        self._store, self._place, self._item = store, place, item
        self._values = _values(item.get_record_set(0) if row is None else row)
        self.named = store.named
        self.codepage = self.codec() or store.codepage

    def binary(self, tag: int, kind: int = _BINARY) -> bytes | None:
        entry = self._values.get((self.named.get(tag, tag), kind))
        try:
            if tag == _DATA and entry is not None and self._item.size > _MAX_DATA:
                raise ReadError(f"is larger than {_MAX_DATA:,} bytes", "Save it from Outlook, and ingest the file.")
            return entry.data if entry is not None else None
        except _DAMAGED:
            if tag == _DATA:
                raise _damaged() from None
            return None

    def recipients(self) -> Iterator[_Item]:
        try:
            rows = self._item.recipients
            for at in range(rows.number_of_record_sets if rows is not None else 0):
                yield _Item(self._store, self._place, rows, rows.get_record_set(at))
        except _DAMAGED:
            self._store.lose(f"recipients in {self._place!r}")

    def attachments(self) -> Iterator[_Item]:
        for number, one in self._store.each(self._item, "attachment", self._place):
            try:
                made = _Item(self._store, self._place, one)
            except _DAMAGED:
                self._store.lose(f"attachment {number} in {self._place!r}")
            else:
                yield made

    def mail(self) -> _Item | None:
        if self.integer(_METHOD) != _EMBEDDED:
            return None
        try:
            return _Item(self._store, self._place, _embedded(self._item))
        except _DAMAGED:
            raise _damaged() from None


def _embedded(attachment: Any) -> Any:
    """Return the mail that an attachment holds. The library finds it, but its Python side has no method for that."""
    import pypff

    library, found = ctypes.PyDLL(pypff.__file__), ctypes.c_void_p()
    if not hasattr(library, "libpff_attachment_get_item"):  # it is not visible on every system
        raise ReadError("is an attached mail, which cannot be read here", "Save it from Outlook, and ingest the file.")
    held = ctypes.c_void_p.from_address(id(attachment) + object.__basicsize__)  # the first field of the object
    if library.libpff_attachment_get_item(held, ctypes.byref(found), None) != 1:
        raise _damaged()
    library.libpff_item_free(ctypes.byref(found), None)  # from now on it is a child of the attachment
    return attachment.get_sub_item(0)

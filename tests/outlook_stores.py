"""Write small Outlook stores (PST), to read them in tests; after [MS-PST], without encryption and allocation maps.

From the bottom: blocks and the two trees that find them (NDB), heaps with properties and tables (LTP), and folders,
mails, recipients and attachments (messaging).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

SUBJECT, BODY, HTML, HEADERS, CLASS = 0x0037, 0x1000, 0x1013, 0x007D, 0x001A
SENDER, SENDER_ADDRESS, SUBMITTED, DELIVERED = 0x0C1A, 0x5D01, 0x0039, 0x0E06
STARTS, ENDS, WHERE, ORGANIZER = 0x820D, 0x820E, 0x8208, 0x0042  # those from 0x8000 on are named by number
_NAME, _SMTP, _KIND = 0x3001, 0x39FE, 0x0C15
_FILENAME, _DATA, _METHOD, _MIME, _CONTENT_ID = 0x3707, 0x3701, 0x3705, 0x370E, 0x3712
_APPOINTMENT = bytes.fromhex("0220060000000000c000000000000046")
_MAX_BLOCK, _MAX_VALUE, _PAGE = 8176, 3580, 512

Value = str | bytes | int | bool | datetime
Properties = Mapping[int, Value]


@dataclass
class Mail:
    properties: Properties
    recipients: Sequence[tuple[str, str, int]] = ()  # name, address, kind: 1 for To, 2 for Cc
    attachments: Sequence[tuple[str, bytes | Mail]] = ()


@dataclass
class Folder:
    name: str
    mails: Sequence[Mail] = ()
    folders: Sequence[Folder] = ()


def store(*folders: Folder, version: int = 23) -> bytes:
    """Return a store with these folders below its top."""
    return _Store().made(folders, version)


def mail(subject: str, body: str, **rest: Value) -> Mail:
    tags = {"html": HTML, "kind": CLASS, "sent": SUBMITTED, "sender": SENDER, "address": SENDER_ADDRESS}
    first: dict[int, Value] = {SUBJECT: subject, BODY: body}
    return Mail(first | {CLASS: "IPM.Note"} | {tags[name]: value for name, value in rest.items()})


def _crc(data: bytes) -> int:
    return zlib.crc32(data, 0xFFFFFFFF) ^ 0xFFFFFFFF


def _signature(offset: int, number: int) -> int:
    mixed = offset ^ number
    return (mixed >> 16 ^ mixed) & 0xFFFF


def _coded(value: Value) -> tuple[int, bytes]:
    """Return the type of a property and its bytes."""
    if isinstance(value, bool):
        return 0x0B, struct.pack("<I", value)
    if isinstance(value, int):
        return 0x03, struct.pack("<I", value)
    if isinstance(value, datetime):
        seconds = (value - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()
        return 0x40, struct.pack("<Q", int(seconds * 10_000_000))
    return (0x1F, value.encode("utf-16-le")) if isinstance(value, str) else (0x102, value)


@dataclass
class _Heap:
    """Allocations in one block, and values that are too large for it in subnodes."""

    store: _Store
    client: int
    subnodes: dict[int, tuple[int, int]] = field(default_factory=dict)  # blocks of data and of subnodes
    pieces: list[bytes] = field(default_factory=list)

    def put(self, data: bytes) -> int:
        if not data:
            return 0
        if len(data) > _MAX_VALUE or sum(map(len, self.pieces)) + len(data) > 6_000:
            node = (len(self.subnodes) + 1) << 5 | 0x1F
            self.subnodes[node] = self.store.data(data), 0
            return node
        self.pieces.append(data)
        return len(self.pieces) << 5

    def tree(self, key: int, size: int, records: Iterable[bytes]) -> int:
        root = self.put(b"".join(records))
        return self.put(struct.pack("<BBBBI", 0xB5, key, size, 0, root))

    def block(self, root: int) -> int:
        at, offsets = 12, [12]
        for piece in self.pieces:
            at += len(piece)
            offsets.append(at)
        odd = b"\0" * (at % 2)
        page_map = struct.pack("<HH", len(self.pieces), 0) + b"".join(struct.pack("<H", each) for each in offsets)
        head = struct.pack("<HBBII", at + len(odd), 0xEC, self.client, root, 0)
        return self.store.data(head + b"".join(self.pieces) + odd + page_map)


class _Store:
    def __init__(self) -> None:
        self._file = bytearray(0x4600)
        self._blocks: list[tuple[int, int, int]] = []  # number, offset, size
        self._nodes: dict[int, tuple[int, int, int]] = {}  # data, subnodes, parent
        self._named = [STARTS]  # libpff reads no store without any
        self._number = self._index = 1

    def made(self, folders: Sequence[Folder], version: int) -> bytes:
        self._node(0x21, *self._properties({0x0FF9: b"\1" * 16, _NAME: "Store"}))
        self._folder(0x122, 0x122, Folder("", folders=[Folder("Top of Outlook data file", folders=folders)]))
        entries = b"".join(struct.pack("<IHH", name, 3 << 1, at) for at, name in enumerate(self._named))
        self._node(0x61, *self._properties({1: 251, 2: _APPOINTMENT, 3: entries, 4: b"\0\0"}))
        blocks = [struct.pack("<QQHHI", number, at, size, 2, 0) for number, at, size in self._blocks]
        nodes = [struct.pack("<QQQII", node, *self._nodes[node], 0) for node in sorted(self._nodes)]
        return self._finished(self._tree(0x81, nodes, 32), self._tree(0x80, blocks, 24), version)

    # --- NDB ----------------------------------------------------------------------------------------------------

    def _block(self, data: bytes, inner: bool = False) -> int:
        self._number += 1
        number, at = self._number << 2 | inner << 1, len(self._file)
        self._blocks.append((number, at, len(data)))
        padded = data + b"\0" * (-(len(data) + 16) % 64)
        self._file += padded + struct.pack("<HHIQ", len(data), _signature(at, number), _crc(data), number)
        return number

    def data(self, data: bytes) -> int:
        """Write data as one block or a tree of blocks, and return its number."""
        if len(data) <= _MAX_BLOCK:
            return self._block(data)
        numbers = [self._block(data[at : at + _MAX_BLOCK]) for at in range(0, len(data), _MAX_BLOCK)]
        level, sizes = 1, len(data)
        while True:
            groups = [numbers[at : at + 1000] for at in range(0, len(numbers), 1000)]
            numbers = [
                self._block(struct.pack(f"<BBHI{len(group)}Q", 1, level, len(group), sizes, *group), inner=True)
                for group in groups
            ]
            if len(numbers) == 1:
                return numbers[0]
            level += 1

    def _subnodes(self, subnodes: Mapping[int, tuple[int, int]]) -> int:
        if not subnodes:
            return 0
        entries = b"".join(struct.pack("<QQQ", node, *subnodes[node]) for node in sorted(subnodes))
        return self._block(struct.pack("<BBHI", 2, 0, len(subnodes), 0) + entries, inner=True)

    def _node(self, node: int, data: int, subnodes: int, parent: int = 0) -> None:
        self._nodes[node] = data, subnodes, parent

    def _tree(self, kind: int, entries: list[bytes], size: int) -> tuple[int, int]:
        """Write the pages of a tree, and return the number and the offset of its root."""
        level = 0
        while True:
            most = 488 // size
            pages = []
            for at in range(0, max(1, len(entries)), most):
                some = entries[at : at + most]
                page = b"".join(some).ljust(488, b"\0") + struct.pack("<BBBBI", len(some), most, size, level, 0)
                self._number += 1
                number, offset = self._number << 2, len(self._file)
                self._file += page + struct.pack("<BBHIQ", kind, kind, _signature(offset, number), _crc(page), number)
                pages.append(struct.pack("<QQQ", struct.unpack_from("<Q", page)[0], number, offset))
            if len(pages) == 1:
                return struct.unpack("<8xQQ", pages[0])  # type: ignore[return-value]
            entries, size, level = pages, 24, level + 1

    def _finished(self, nodes: tuple[int, int], blocks: tuple[int, int], version: int) -> bytes:
        rest = struct.pack("<HHHBB", 0x4D53, version, 19, 1, 1) + struct.pack("<IIQQI", 0, 0, 0, self._number << 2, 1)
        rest += struct.pack("<32I", *[0x400] * 32) + bytes(8)
        rest += struct.pack("<IQQQQ4QBBH", 0, len(self._file), 0x4400, 0, 0, *nodes, *blocks, 0, 0, 0) + bytes(4)
        rest += b"\xff" * 256 + struct.pack("<BBHQ", 0x80, 0, 0, (self._number + 1) << 2)
        head = b"!BDN" + struct.pack("<I", _crc(rest[:471])) + rest + struct.pack("<I", _crc(rest[:516])) + bytes(36)
        self._file[: len(head)] = head
        return bytes(self._file)

    # --- LTP ----------------------------------------------------------------------------------------------------

    def _tag(self, tag: int) -> int:
        if tag < 0x8000:
            return tag
        if tag not in self._named:
            self._named.append(tag)
        return 0x8000 + self._named.index(tag)

    def _properties(self, values: Properties, subnodes: Mapping[int, tuple[int, int]] | None = None) -> tuple[int, int]:
        heap = _Heap(self, 0xBC, dict(subnodes or {}))
        records = {}
        for tag, value in values.items():
            kind, data = (0x0D, value[1:]) if isinstance(value, bytes) and tag == -_DATA else _coded(value)
            held = struct.unpack("<I", data)[0] if kind in (3, 0x0B) else heap.put(data)
            records[self._tag(abs(tag))] = struct.pack("<HHI", self._tag(abs(tag)), kind, held)
        root = heap.tree(2, 6, (records[tag] for tag in sorted(records)))
        return heap.block(root), self._subnodes(heap.subnodes)

    def _table(self, rows: Mapping[int, Properties]) -> tuple[int, int]:
        """Write a table; rows have texts and numbers, by their number."""
        heap = _Heap(self, 0x7C)
        tags = sorted({tag for row in rows.values() for tag in row} | {_NAME})
        kinds = {tag: _coded(row[tag])[0] for row in rows.values() for tag in row}
        end = 8 + 4 * len(tags)
        columns = [(0x67F2, 3, 0, 0), (0x67F3, 3, 4, 1)]
        columns += [(tag, kinds.get(tag, 0x1F), 8 + 4 * at, 2 + at) for at, tag in enumerate(tags)]
        bits = (len(columns) + 7) // 8
        lines, index = [], []
        for at, (number, row) in enumerate(rows.items()):
            line, held = struct.pack("<II", number, 1), 0b11 << 6
            for place, tag in enumerate(tags, 2):
                kind, data = _coded(row[tag]) if tag in row else (3, bytes(4))
                line += data if kind == 3 else struct.pack("<I", heap.put(data))
                held |= (tag in row) << (7 - place % 8)
            lines.append(line + bytes([held] * bits))
            index.append((number, at))
        most = _MAX_BLOCK // (end + bits)
        groups = [b"".join(lines[at : at + most]) for at in range(0, len(lines), most)]
        matrix = heap.put(b"".join(group.ljust(_MAX_BLOCK, b"\0") for group in groups[:-1]) + b"".join(groups[-1:]))
        rows_at = heap.tree(4, 4, (struct.pack("<II", *each) for each in sorted(index)))
        info = struct.pack("<BBHHHHIII", 0x7C, len(columns), end, end, end, end + bits, rows_at, matrix, 0)
        described = (struct.pack("<HHHBB", kind, tag, at, 4, bit) for tag, kind, at, bit in sorted(columns))
        return heap.block(heap.put(info + b"".join(described))), self._subnodes(heap.subnodes)

    # --- messaging ----------------------------------------------------------------------------------------------

    def _next(self, kind: int) -> int:
        self._index += 1
        return (0x400 + self._index) << 5 | kind

    def _folder(self, node: int, parent: int, folder: Folder) -> None:
        inner = {self._next(2): each for each in folder.folders}
        mails = {self._next(4): each for each in folder.mails}
        own = {_NAME: folder.name, 0x3602: len(mails), 0x3603: 0, 0x360A: bool(inner)}
        self._node(node, *self._properties(own), parent)
        base = node & ~0x1F
        self._node(base | 0x0D, *self._table({number: {_NAME: each.name} for number, each in inner.items()}))
        self._node(base | 0x0E, *self._table({number: {0x0E17: 0} for number in mails}))
        self._node(base | 0x0F, *self._table({}))
        for number, each in mails.items():
            self._node(number, *self._mail(each), node)
        for number, each in inner.items():
            self._folder(number, node, each)

    def _mail(self, mail: Mail) -> tuple[int, int]:
        subnodes = {}
        if mail.recipients:
            rows = {
                at: {_NAME: name, _SMTP: address, 0x3003: address, 0x3002: "SMTP", _KIND: kind}
                for at, (name, address, kind) in enumerate(mail.recipients)
            }
            subnodes[0x692] = self._table(rows)
        attached = {self._next(5): each for each in mail.attachments}
        if attached:
            subnodes[0x671] = self._table({number: {_FILENAME: name} for number, (name, _) in attached.items()})
        for number, (name, content) in attached.items():
            subnodes[number] = self._attachment(name, content)
        return self._properties(mail.properties, subnodes)

    def _attachment(self, name: str, content: bytes | Mail) -> tuple[int, int]:
        if isinstance(content, bytes):
            return self._properties({_FILENAME: name, _METHOD: 1, _DATA: content})
        inner = self._next(4)
        embedded = b"\0" + struct.pack("<II", inner, 0)
        return self._properties({_NAME: name, _METHOD: 5, -_DATA: embedded}, {inner: self._mail(content)})

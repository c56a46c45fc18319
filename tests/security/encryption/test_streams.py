"""Sealed files come back as they were, or not at all."""

from __future__ import annotations

import io

import pytest

from localrag.errors import IntegrityError
from localrag.security.encryption import streams
from localrag.security.encryption.keyring import Key
from localrag.security.encryption.streams import PIECE, EncryptedReader, EncryptedWriter

KEY = Key(bytes(range(32)))
SIZES = [0, 1, 1000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 7]


def seal(content: bytes, key: Key = KEY, name: str = "a.state", by: int = 700_001) -> bytes:
    out = io.BytesIO()
    writer = EncryptedWriter(out, key, name)
    for start in range(0, len(content), by):
        writer.write(content[start : start + by])
    writer.finish()
    return out.getvalue()


def unseal(data: bytes, key: Key = KEY, name: str = "a.state") -> bytes:
    stream = io.BytesIO(data)
    assert streams.key_id(stream) == KEY.id
    return io.BufferedReader(EncryptedReader(stream, key, name), PIECE).read()


@pytest.mark.parametrize("size", SIZES)
def test_what_was_sealed_comes_back_byte_for_byte_and_its_size_is_known(size: int) -> None:
    content = bytes(i % 251 for i in range(size))
    data = seal(content)
    assert unseal(data) == content
    assert streams.content_size(len(data)) == size


def test_lines_and_large_pieces_can_be_read_as_of_any_file() -> None:
    content = b'{"head": 1}\n' + b"x" * (3 * PIECE)
    stream = io.BytesIO(seal(content))
    streams.key_id(stream)
    reader = io.BufferedReader(EncryptedReader(stream, KEY, "a.state"), PIECE)
    assert reader.readline() == b'{"head": 1}\n'
    assert reader.tell() == 12
    target = bytearray(3 * PIECE)
    done = 0
    while size := reader.readinto(memoryview(target)[done:]):
        done += size
    assert done == 3 * PIECE and bytes(target) == content[12:]


def test_a_sealed_file_shows_nothing_of_its_content_and_no_two_are_alike() -> None:
    content = b"the Quillfen merger " * 4000
    one, other = seal(content), seal(content)
    assert b"Quillfen" not in one
    assert one[len(streams.MAGIC) + 16 :] != other[len(streams.MAGIC) + 16 :]


@pytest.mark.parametrize("size", [5, PIECE + 5])
def test_any_changed_byte_is_found(size: int) -> None:
    data = seal(bytes(size))
    for at in {len(streams.MAGIC) + 16, len(streams.MAGIC) + 40, len(data) // 2, len(data) - 1}:
        with pytest.raises(IntegrityError):
            unseal(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_files_that_were_cut_short_lengthened_or_stand_in_anothers_place_are_refused() -> None:
    data = seal(bytes(2 * PIECE + 9))
    head = len(streams.MAGIC) + 32
    piece = PIECE + 16
    for harmed in (
        data[:-1], data[: head + 2 * piece], data[: head + piece], data[:head], data + b"\0", data + data[-25:],
        data[:head] + data[head + piece : head + 2 * piece] + data[head : head + piece] + data[head + 2 * piece :],
    ):  # fmt: skip
        with pytest.raises(IntegrityError):
            unseal(harmed)
    with pytest.raises(IntegrityError):
        unseal(data, name="b.state")
    with pytest.raises(IntegrityError):
        unseal(data, key=Key.new())


def test_a_file_that_was_never_finished_is_refused() -> None:
    out = io.BytesIO()
    EncryptedWriter(out, KEY, "a.state").write(bytes(PIECE))
    with pytest.raises(IntegrityError):
        unseal(out.getvalue())


def test_plain_and_short_files_are_told_from_sealed_ones() -> None:
    for data in (b"", b"localrag-state-2\n{}", b"SQLite format 3\0" + bytes(100), streams.MAGIC):
        assert streams.key_id(io.BytesIO(data)) is None


def test_sealed_lines_stand_on_one_line_each_and_belong_to_their_file() -> None:
    line = streams.encrypt_line(KEY, "audit.jsonl", b'{"event": "ask"}')
    assert b"\n" not in line and b"ask" not in line
    assert streams.decrypt_line(KEY, "audit.jsonl", line) == b'{"event": "ask"}'
    for wrong in (line[:-4], b"", b"not base64!", line[:20] + b"AAAA" + line[24:]):
        with pytest.raises(IntegrityError):
            streams.decrypt_line(KEY, "audit.jsonl", wrong)
    with pytest.raises(IntegrityError):
        streams.decrypt_line(KEY, "other.jsonl", line)

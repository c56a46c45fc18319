"""Encrypted files come back as they were, or not at all."""

from __future__ import annotations

import io

import pytest

from localrag.errors import IntegrityError
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key
from localrag.security.encryption.unlocked import PIECE, EncryptedReader, EncryptedWriter

KEY = Key(bytes(range(32)))
SIZES = [0, 1, 1000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 2 * PIECE + 7]


def encrypt(content: bytes, key: Key = KEY, name: str = "a.state", by: int = 700_001) -> bytes:
    out = io.BytesIO()
    writer = EncryptedWriter(out, key, name)
    for start in range(0, len(content), by):
        writer.write(content[start : start + by])
    writer.finish()
    return out.getvalue()


def decrypt(data: bytes, key: Key = KEY, name: str = "a.state") -> bytes:
    stream = io.BytesIO(data)
    assert unlocked.key_id(stream) == KEY.id
    return io.BufferedReader(EncryptedReader(stream, key, name), PIECE).read()


@pytest.mark.parametrize("size", SIZES)
def test_content_comes_back_and_its_size_is_known(size: int) -> None:
    content = bytes(i % 251 for i in range(size))
    data = encrypt(content)
    assert decrypt(data) == content
    assert unlocked.content_size(len(data)) == size


def test_encrypted_files_read_like_any_file() -> None:
    content = b'{"head": 1}\n' + b"x" * (3 * PIECE)
    stream = io.BytesIO(encrypt(content))
    unlocked.key_id(stream)
    reader = io.BufferedReader(EncryptedReader(stream, KEY, "a.state"), PIECE)
    assert reader.readline() == b'{"head": 1}\n'
    assert reader.tell() == 12
    target = bytearray(3 * PIECE)
    done = 0
    while size := reader.readinto(memoryview(target)[done:]):
        done += size
    assert done == 3 * PIECE and bytes(target) == content[12:]


def test_no_two_encrypted_files_are_alike_or_show_their_content() -> None:
    content = b"the Quillfen merger " * 4000
    one, other = encrypt(content), encrypt(content)
    assert b"Quillfen" not in one
    assert one[len(unlocked.MAGIC) + 16 :] != other[len(unlocked.MAGIC) + 16 :]


@pytest.mark.parametrize("size", [5, PIECE + 5])
def test_any_changed_byte_is_found(size: int) -> None:
    data = encrypt(bytes(size))
    for at in {len(unlocked.MAGIC) + 16, len(unlocked.MAGIC) + 40, len(data) // 2, len(data) - 1}:
        with pytest.raises(IntegrityError):
            decrypt(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def test_cut_lengthened_reordered_or_renamed_files_are_refused() -> None:
    data = encrypt(bytes(2 * PIECE + 9))
    head = len(unlocked.MAGIC) + 32
    piece = PIECE + 16
    for harmed in (
        data[:-1],
        data[: head + 2 * piece],
        data[: head + piece],
        data[:head],
        data + b"\0",
        data + data[-25:],
        data[:head] + data[head + piece : head + 2 * piece] + data[head : head + piece] + data[head + 2 * piece :],
    ):
        with pytest.raises(IntegrityError):
            decrypt(harmed)
    with pytest.raises(IntegrityError):
        decrypt(data, name="b.state")
    with pytest.raises(IntegrityError):
        decrypt(data, key=Key.new())


def test_a_file_that_was_never_finished_is_refused() -> None:
    out = io.BytesIO()
    EncryptedWriter(out, KEY, "a.state").write(bytes(PIECE))
    with pytest.raises(IntegrityError):
        decrypt(out.getvalue())


def test_plain_and_short_files_are_not_taken_for_encrypted() -> None:
    for data in (b"", b"localrag-state-2\n{}", b"SQLite format 3\0" + bytes(100), unlocked.MAGIC):
        assert unlocked.key_id(io.BytesIO(data)) is None


def test_encrypted_lines_belong_to_their_file() -> None:
    line = unlocked.encrypt_line(KEY, "audit.jsonl", b'{"event": "ask"}')
    assert b"\n" not in line and b"ask" not in line
    assert unlocked.decrypt_line(KEY, "audit.jsonl", line) == b'{"event": "ask"}'
    for wrong in (line[:-4], b"", b"not base64!", line[:20] + b"AAAA" + line[24:]):
        with pytest.raises(IntegrityError):
            unlocked.decrypt_line(KEY, "audit.jsonl", wrong)
    with pytest.raises(IntegrityError):
        unlocked.decrypt_line(KEY, "other.jsonl", line)

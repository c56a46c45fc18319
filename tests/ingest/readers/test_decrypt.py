import io
import struct
import tempfile
import zipfile
from hashlib import md5

import msoffcrypto
import pytest
from msoffcrypto.method.ecma376_agile import ECMA376Agile
from ole_files import compound

from localrag.errors import ReadError
from localrag.ingest.readers import sheets
from localrag.ingest.readers.package import decrypted
from localrag.ingest.readers.source import Options, Source

TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)


def office(text="<a/>"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("[Content_Types].xml"), TYPES)
        archive.writestr(zipfile.ZipInfo("word/document.xml"), text)
        archive.writestr(zipfile.ZipInfo("padding"), "x" * 5000)
    return stream.getvalue()


def locked(password, data=None):
    return Source("a.docx", data=ECMA376Agile.encrypt(password, io.BytesIO(data or office()), spin_count=10))


def test_the_right_one_of_several_passwords_opens_it():
    source = decrypted(locked("s3cret"), ("wrong", "s3cret"))
    assert source is not None and source.name == "a.docx" and source.data == office()


def test_without_the_password_it_is_refused():
    with pytest.raises(ReadError, match="is encrypted, and no password was given"):
        decrypted(locked("s3cret"))
    with pytest.raises(ReadError, match="is encrypted, and none of the passwords given opens it"):
        decrypted(locked("s3cret"), ("wrong",))


def test_workbooks_that_are_only_protected_open_without_a_password():
    assert decrypted(locked("VelvetSweatshop")).data == office()


@pytest.mark.parametrize(
    "data", [b"plain words", office(), compound("WordDocument", b"x" * 5000), compound("Workbook", b"")]
)
def test_other_files_are_not_encrypted(data):
    assert decrypted(Source("a.doc", data=data), ("s3cret",)) is None


def test_a_path_is_read_like_bytes(tmp_path):
    path = tmp_path / "a.docx"
    path.write_bytes(locked("s3cret").data)
    assert decrypted(Source.of(path), ("s3cret",)).data == office()


def test_a_damaged_one_is_refused():
    data = bytearray(locked("s3cret").data)
    at = data.index("EncryptedPackage".encode("utf-16-le")) + 120  # its size
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    with pytest.raises(ReadError, match="is encrypted, and damaged"):
        decrypted(Source("a.docx", data=bytes(data)), ("s3cret",))


# --- XLS --------------------------------------------------------------------------------------------------------


def record(kind, data=b""):
    return struct.pack("<HH", kind, len(data)) + data


def rc4(key, data):
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        yield byte ^ box[(box[i] + box[j]) % 256]


def xls_locked(password):
    """An XLS of one number, locked with RC4 as Excel 97 does ([MS-OFFCRYPTO] 2.3.6)."""
    salt = bytes(range(16))
    first = md5(password.encode("utf-16-le")).digest()[:5]
    base = md5((first + salt) * 16).digest()[:5]

    def key(block):
        return md5(base + struct.pack("<I", block)).digest()

    verifier = bytes(range(16, 32))
    check = bytes(rc4(key(0), verifier + md5(verifier).digest()))
    begin = struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0)
    file_pass = struct.pack("<HHH", 1, 1, 1) + salt + check
    bound = struct.pack("<IBBBB", 0, 0, 0, 8, 0) + b"Sheet No"
    at = len(record(0x0809, begin) + record(0x2F, file_pass) + record(0x85, bound) + record(0x0A))
    records = [(0x0809, begin), (0x2F, file_pass), (0x85, struct.pack("<I", at) + bound[4:]), (0x0A, b"")]
    records += [(0x0809, begin[:2] + b"\x10\0" + begin[4:]), (0x0203, struct.pack("<HHHd", 0, 0, 0, 42.0)), (0x0A, b"")]
    plain = b"".join(record(kind, data) for kind, data in records)
    hidden = bytes(rc4(key(0), plain))  # shorter than a block of 1024
    assert len(plain) < 1024
    locked, position = bytearray(plain), 0
    for kind, data in records:
        start = position + 4 + (4 if kind == 0x85 else 0)
        position += 4 + len(data)
        if kind not in (0x0809, 0x2F):
            locked[start:position] = hidden[start:position]
    assert len(locked) % 4 == 0  # the container adds zeros, which must make whole records
    return Source("a.xls", data=compound("Workbook", bytes(locked)))


def test_an_old_workbook_is_decrypted_in_memory_only(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    source = xls_locked("s3cret")
    assert msoffcrypto.OfficeFile(source.open()).is_encrypted()
    assert sheets.read(source, Options(passwords=("wrong", "s3cret"))).pages[0].text == "42"
    with pytest.raises(ReadError, match="is encrypted, and no password was given"):
        sheets.read(source, Options())

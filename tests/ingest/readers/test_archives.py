import base64
import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib

import pytest

from localrag.errors import ReadError
from localrag.ingest.readers import archives, base
from localrag.ingest.readers.source import Budget, Options, OverBudget, Source


def unpack(name, data, **options):
    """Each member's name with its bytes, its reason, or None where its type is not read."""
    options = Options(**options)
    found = {}
    for member in archives.members(Source(name, data=data), options, Budget(options)):
        assert member.name not in found
        found[member.name] = (
            member.source.read() if member.source else member.refused.message if member.refused else None
        )
    return found


def zipped(*members, method=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return data.getvalue()


def tarred(*members, form=tarfile.PAX_FORMAT):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as archive:
        for entry, content in members:
            info = entry if isinstance(entry, tarfile.TarInfo) else tarfile.TarInfo(entry)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


FILES = (("a.txt", b"one"), ("folder/b.md", b"two"))


def test_archives_are_read_however_they_are_compressed():
    packs = {"a.tar": bytes, "a.tar.bz2": bz2.compress, "A.TXZ": lzma.compress, "named.gz": gzip.compress}
    for name, pack in packs.items():
        assert unpack(name, pack(tarred(*FILES))) == dict(FILES), name
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert unpack("a.zip", zipped(*FILES, method=method)) == dict(FILES), method
    for suffix, module in (("gz", gzip), ("xz", lzma), ("bz2", bz2)):
        assert unpack(f"notes.txt.{suffix}", module.compress(b"text")) == {"notes.txt": b"text"}
    assert unpack("data.bin.gz", gzip.compress(b"text")) == {"data.bin": None}


def test_what_systems_leave_in_archives_is_passed_over():
    left = ("__MACOSX/._a.txt", ".DS_Store", "b/Thumbs.db", ".git/notes.txt", "~$draft.docx", "folder/")
    assert unpack("a.zip", zipped(*((name, b"") for name in left), ("./a.txt", b"one"))) == {"a.txt": b"one"}


@pytest.mark.parametrize(
    "path, name, reason",
    [("/etc/a.txt", "etc/a.txt", "absolute"), ("C:\\a.txt", "C_/a.txt", "absolute"), ("b/..\\a.txt", "b/a.txt", "out")],
)
def test_paths_that_lead_out_are_refused_and_the_others_read(path, name, reason):
    for suffix, pack in (("zip", zipped), ("tar", tarred)):
        found = unpack(f"a.{suffix}", pack((path, b"x"), ("b.txt", b"kept")))
        assert reason in found.pop(name) and found == {"b.txt": b"kept"}


def test_links_and_devices_are_refused_and_not_followed():
    kinds = {"soft": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "null": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE}
    entries = []
    for name, kind in kinds.items():
        info = tarfile.TarInfo(f"{name}.txt")
        info.type, info.linkname = kind, "b.txt"
        entries.append((info, b""))
    found = unpack("a.tar", tarred(*entries, ("b.txt", b"kept")))
    assert found.pop("b.txt") == b"kept" and found.keys() == {f"{name}.txt" for name in kinds}
    assert all("is a link, a device" in reason for reason in found.values())
    entry = zipfile.ZipInfo("soft.txt")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "link" in unpack("a.zip", zipped((entry, b"/etc/passwd")))["soft.txt"]


def test_a_name_that_occurs_twice_is_read_once():
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped(("a.txt", b"one"), ("a.txt", b"two"))
    first, second = base.read_parts(Source("a.zip", data=data))
    assert first.reading.pages[0].text == "one" and (second.name, "twice" in second.reason) == ("a.txt", True)


# One member in the old encryption, which Python reads but does not write.
LOCKED = zlib.decompress(
    base64.b85decode(
        "c-jl_W@Zs#U}OLRMTSD(8+RpuEFK_c1>!`#l8O@9N8250o~?I3Zz(P{({b+d|5A58u%~H$4e(}U5@Eot85Mwy3h-uS192FE&=^QtgQWm;r5FM"
    )
)


def test_passwords_are_tried_on_encrypted_members_and_other_methods_named():
    assert "is encrypted, and no password was given" in unpack("a.zip", LOCKED)["a.txt"]
    assert "none of the passwords" in unpack("a.zip", LOCKED, passwords=("x", "y"))["a.txt"]
    assert unpack("a.zip", LOCKED, passwords=("x", "Müller1"))["a.txt"] == b"secret words"
    data = zipped(("a.txt", b"one"), ("b.txt", b"two"))
    for method, reason in ((99, "AES"), (9, "not supported (9)"), (93, "not supported (93)")):
        other = bytearray(data)
        for mark, at in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
            struct.pack_into("<H", other, other.index(mark) + at, method)
        found = unpack("a.zip", bytes(other))
        assert reason in found["a.txt"] and found["b.txt"] == b"two"


def test_a_bomb_that_declares_its_size_is_not_unpacked_and_others_end_early(monkeypatch):
    data = bytearray(zipped(("bomb.txt", b"\0" * 100_000), ("a.txt", b"kept")))
    struct.pack_into("<L", data, data.index(b"PK\1\2") + 24, 4_000_000_000)
    found = unpack("a.zip", bytes(data), unpacked=10)
    assert "over 200 times" in found["bomb.txt"] and found["a.txt"] == b"kept"
    monkeypatch.setattr(archives, "_HARMLESS", 500_000)
    zeros, bomb = b"\0" * 4_000_000, "over 200 times"
    assert bomb in unpack("a.txt.gz", gzip.compress(zeros))["a.txt"]
    assert bomb in unpack("a.txt.bz2", bz2.compress(zeros))["a.txt"]
    for name in ("a.txt", "a.bin"):  # read, or passed over
        with pytest.raises(ReadError, match=bomb):
            unpack("a.tgz", gzip.compress(tarred((name, zeros), ("b.txt", b"x"))))
    info, large = tarfile.TarInfo("holes.txt"), "8" + "0" * 12
    facts = {"major": "0", "minor": "1", "size": large, "numblocks": "1", "map": "0,4", "realsize": large}
    info.pax_headers = {f"GNU.sparse.{name}": value for name, value in facts.items()}
    assert bomb in unpack("a.tar", tarred((info, b"text")))["holes.txt"]


def test_members_that_share_their_bytes_and_split_archives_are_refused():
    data = zipped(("a.txt", b"kept" * 10), method=zipfile.ZIP_STORED)
    at = data.index(b"PK\1\2")
    central = data[at : data.index(b"PK\5\6")]
    twin = central.replace(b"a.txt", b"b.txt")
    end = b"PK\5\6" + struct.pack("<HHHHLLH", 0, 0, 2, 2, len(central) * 2, at, 0)
    with pytest.raises(ReadError, match="share their bytes"):
        unpack("a.zip", data[:at] + central + twin + end)
    data = bytearray(zipped(*((f"{n}.txt", b"x" * 50) for n in range(20))))
    struct.pack_into("<H", data, data.index(b"PK\1\2") + 34, 1)
    with pytest.raises(ReadError, match="split"):
        unpack("a.zip", bytes(data))


def test_all_members_together_are_bounded():
    for suffix, pack in (("zip", zipped), ("tar", tarred)):
        with pytest.raises(OverBudget, match="more than 1,000 bytes"):
            unpack(f"a.{suffix}", pack(("a.txt", b"x" * 600), ("b.txt", b"y" * 600)), unpacked=1000)


def test_a_damaged_member_costs_itself_only_and_those_before_the_damage_are_read():
    data = bytearray(zipped(("a.txt", b"spoilt"), ("b.txt", b"kept"), method=zipfile.ZIP_STORED))
    data[data.index(b"spoilt")] ^= 1
    found = unpack("a.zip", bytes(data))
    assert "damaged in the archive" in found["a.txt"] and found["b.txt"] == b"kept"
    broken = bytearray(tarred(("a.txt", b"kept"), ("b.txt", b"lost"), form=tarfile.USTAR_FORMAT))
    broken[1024 + 150] ^= 7  # in the checksum of the second header: not the end of the archive
    for name, data, why in (
        ("a.tar", tarred(("a.txt", b"kept"), ("b.txt", b"x" * 3000))[:2000], "cut off"),
        ("a.tgz", gzip.compress(tarred(("a.txt", b"kept"), ("b.txt", bytes(range(256)) * 100)), 0)[:9000], "cut off"),
        ("a.tar", bytes(broken), "damaged"),
    ):
        found = []
        with pytest.raises(ReadError, match=why):
            for member in archives.members(Source(name, data=data), Options(), Budget(Options())):
                found.append((member.name, member.source.read()))
        assert found == [("a.txt", b"kept")]
    tidy = tarred(("a.txt", b"kept"))
    assert unpack("a.tar", tidy) == unpack("a.tar", tidy[:1024]) == {"a.txt": b"kept"}


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("a.zip", b"%PDF-1.7", "is not a ZIP archive but a PDF"),
        ("a.zip", zipped(*FILES)[:60], "is damaged, cut off"),
        ("a.gz", b"%PDF-1.7", "is not a compressed file but a PDF"),
        ("a.xz", b"words", "is damaged, or not a compressed"),
        ("a.gz", gzip.compress(b"x")[:12], "is damaged"),
        ("a.tar", b"words" * 300, "not a TAR archive"),
    ],
)
def test_what_is_no_archive_is_named(name, data, reason):
    with pytest.raises(ReadError) as caught:
        unpack(name, data)
    assert reason in caught.value.message and caught.value.hint


NAMES = {
    "cp866": "Договор аренды.txt",
    "cp932": "文章1.txt",
    "cp437": "é.txt",
    "gb18030": "合同文本.txt",
    "utf-8": "Übersicht.txt",
}


@pytest.mark.parametrize("encoding", NAMES)
def test_names_in_old_code_pages_are_read_and_odd_ones_made_fit(encoding):
    name = NAMES[encoding]
    placeholder = "n" * len(name.encode(encoding))
    data = zipped((placeholder, b"x")).replace(placeholder.encode(), name.encode(encoding))
    assert list(unpack("a.zip", data)) == [name]
    (name,) = unpack("a.zip", zipped(("a" * 300 + "\x07\u202etxt.pdf", b"x")))
    assert len(name) == 150 and name.endswith(".pdf")

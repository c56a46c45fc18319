import base64
import io
import tempfile
import zipfile
import zlib

import msoffcrypto
import pytest
from containers import zipped
from msoffcrypto.method.ecma376_agile import ECMA376Agile

from localrag.errors import ReadError
from localrag.ingest.readers import sheets
from localrag.ingest.readers.package import decrypted
from localrag.ingest.readers.source import Options, Source

TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
OFFICE = zipped({"[Content_Types].xml": TYPES, "word/document.xml": "<a/>", "padding": "x" * 5000}, zipfile.ZIP_STORED)


def locked(password, data=None):
    return Source("a.docx", data=ECMA376Agile.encrypt(password, io.BytesIO(data or OFFICE), spin_count=10))


def test_the_right_one_of_several_passwords_or_none_for_a_protected_one_opens():
    source = decrypted(locked("s3cret"), ("wrong", "s3cret"))
    assert source is not None and source.name == "a.docx" and source.data == OFFICE
    assert decrypted(locked("VelvetSweatshop")).data == OFFICE


def test_without_the_password_or_damaged_it_is_refused():
    with pytest.raises(ReadError, match="is encrypted, and no password was given"):
        decrypted(locked("s3cret"))
    with pytest.raises(ReadError, match="is encrypted, and none of the passwords given opens it"):
        decrypted(locked("s3cret"), ("wrong",))
    data = bytearray(locked("s3cret").data)
    at = data.index("EncryptedPackage".encode("utf-16-le")) + 120  # its size
    data[at : at + 4] = b"\xff\xff\xff\x7f"
    with pytest.raises(ReadError, match="is encrypted, and damaged"):
        decrypted(Source("a.docx", data=bytes(data)), ("s3cret",))


# A workbook of one number, locked with RC4 and "s3cret" as Excel 97 does ([MS-OFFCRYPTO] 2.3.6).
XLS = zlib.decompress(
    base64.b85decode(
        "c-rmSEl9+07=ZD2+wI)uJU<REm@HbwA}WU_t3gDA&0z544u-{GFc^gEhC|_^CIu11A{G&Zv)Hv63<ePlZvJ=dWM}aPXHcKt7`xqWdv@_1"
        "yRG%!SC0oC<cldui66L<j`p?KTGu1$co2ji8{1HTUqt`_00030!n>LQ{b&UM00000f76_l)UqyvG9yK`^<*Q_^Mjn2TH{(;i|53Dx2Wo#"
        "6lA%6ABDuvFZx8+;{T_WbM)x_g*HjtZ!`Mz>C>lApFVy1^y$;5PybuCr3T@&+4S9rjHwwtTtw52l$q|ZY^T%h%5-OU{Yo`wl_$<tpSJQt"
        "&$a!Nexvj@eRMc%Z%)3<ZmY3+MO~rtcrbc-U3AM!=daFZrFrBw^o-oyT#S2rSEoA*^ZB)`!|NCT00000{D=?q?ocQ"
    )
)


def test_an_old_workbook_is_decrypted_in_memory_only(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    source = Source("a.xls", data=XLS)
    assert msoffcrypto.OfficeFile(source.open()).is_encrypted()
    assert sheets.read(source, Options(passwords=("wrong", "s3cret"))).pages[0].text == "42"
    with pytest.raises(ReadError, match="is encrypted, and no password was given"):
        sheets.read(source, Options())

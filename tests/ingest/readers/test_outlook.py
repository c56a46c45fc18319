import struct
from datetime import datetime

import pytest
from containers import ole

from localrag.errors import ReadError
from localrag.ingest.readers import mail, outlook
from localrag.ingest.readers.source import Budget, Options, OverBudget, Source


def folder(header, values, **inside):
    """A mail, a recipient or an attachment; a tag maps to text, bytes, an integer, a date or an attached mail."""
    fixed, streams = b"\0" * header, dict(inside)
    for tag, value in values.items():
        if isinstance(value, int):
            fixed += struct.pack("<HHLq", 3, tag, 6, value)
        elif isinstance(value, datetime):
            ticks = int((value - datetime(1601, 1, 1)).total_seconds()) * 10_000_000
            fixed += struct.pack("<HHLq", 0x40, tag, 6, ticks)
        else:
            kind = {str: "001F", bytes: "0102", dict: "000D"}[type(value)]
            streams[f"__substg1.0_{tag:04X}{kind}"] = value.encode("utf-16-le") if isinstance(value, str) else value
    return {"__properties_version1.0": fixed, **streams}


def message(values, recipients=(), attachments=(), header=32):
    inside = {f"__recip_version1.0_#{n:08X}": folder(8, one) for n, one in enumerate(recipients)}
    inside |= {f"__attach_version1.0_#{n:08X}": folder(8, one) for n, one in enumerate(attachments)}
    return folder(header, values, **inside)


LEASE = {
    0x0037: "The lease",
    0x1000: "The rent is due.",
    0x0C1A: "Jane Doe",
    0x0C1F: "/O=X/CN=JANE",
    0x5D01: "jane@example.org",
    0x0039: datetime(2024, 3, 2, 9, 15),
    0x0E04: "Tim",
}


def read(values, *args):
    return outlook.read(Source("a.msg", data=ole(message(values, *args))), Options())


def members(data, **options):
    options = Options(**options)
    return {
        member.name: member.source.read() if member.source else member.refused.message
        for member in outlook.members(Source("a.msg", data=data), options, Budget(options))
    }


def test_a_mail_is_one_page_of_headers_and_body():
    reading = read(
        LEASE, [{0x3001: "Tim", 0x39FE: "tim@example.org", 0x0C15: 1}, {0x3001: "Bob", 0x3003: "EX:bob", 0x0C15: 2}]
    )
    (page,) = reading.pages
    assert page.text == (
        "From: Jane Doe <jane@example.org>\nTo: Tim <tim@example.org>\nCc: Bob\nDate: Sat, 02 Mar 2024 09:15:00 +0000\n"
        "Subject: The lease\n\nThe rent is due."
    )
    assert (page.unit, page.label) == ("mail", "2024-03-02 from Jane Doe")
    assert (reading.title, reading.author, reading.date) == ("The lease", "Jane Doe", "2024-03-02T09:15:00+00:00")


def test_transport_headers_win_over_properties():
    headers = "From: =?utf-8?q?J=C3=BCrgen?= <j@x.org>\r\nDate: Sat, 2 Mar 2024 10:15:00 +0100\r\n"
    reading = read({**LEASE, 0x007D: headers})
    assert (reading.author, reading.date) == ("Jürgen", "2024-03-02T10:15:00+01:00")


def test_narrow_text_is_read_in_its_code_page():
    tree = message({0x3FFD: 1251})
    tree["__substg1.0_0037001E"] = "Договор".encode("cp1251")
    tree["__substg1.0_1000001E"] = "Текст".encode("cp1251")
    assert outlook.read(Source("a.msg", data=ole(tree)), Options()).pages[0].text == "Subject: Договор\n\nТекст"


def test_html_is_read_without_plain_text():
    text = read({0x0037: "x", 0x1013: "<h1>Rent</h1><p>Größe</p>".encode("cp1252"), 0x3FDE: 1252}).pages[0].text
    assert text == "Subject: x\n\nRent\n\nGröße"


# The example of the specification (MS-OXRTFCP, 4.1.1).
HELLO = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c090020627705b06c647d0a800fa0"
)


def test_rtf_is_read_without_plain_text_and_html():
    assert read({0x0037: "x", 0x1009: HELLO}).pages[0].text == "Subject: x\n\nhello world"
    rich = rb"{\rtf1\ansi\fromhtml1 {\*\htmltag64 <li>}one{\*\htmltag72 </li>}{\*\htmltag64 <li>}two}"
    packed = struct.pack("<4I", len(rich) + 12, len(rich), 0x414C454D, 0) + rich
    assert read({0x1009: packed}).pages[0].text.split() == ["one", "two"]
    assert read({0x0037: "x", 0x1009: b"damaged"}).pages[0].text == "Subject: x"


def test_protected_mails_are_refused():
    for attachment in ({0x3707: "message.rpmsg", 0x3701: b"x"}, {0x370E: "application/pgp-encrypted", 0x3701: b"x"}):
        with pytest.raises(ReadError, match=r"^is encrypted$"):
            read(LEASE, [], [attachment])
    with pytest.raises(ReadError, match=r"^is encrypted$"):
        read({0x001A: "IPM.Note.SMIME", 0x0037: "x"})


# --- attachments -----------------------------------------------------------------------------------------------


def test_attachments_are_members():
    attachments = [
        {0x3704: "A.TXT", 0x3701: b"text"},
        {0x3707: "A.TXT", 0x3701: b"more"},
        {0x3707: "logo.png", 0x3701: b"x" * 99},
        {0x3707: "Report", 0x370E: "application/pdf", 0x3701: b"pdf"},
        {0x3707: "plan.docx"},
    ]
    link = {"plan.docx": "is only a link to a file elsewhere"}
    expected = {"A.TXT": b"text", "A (2).TXT": b"more", "Report.pdf": b"pdf", **link}
    assert members(ole(message(LEASE, [], attachments))) == expected


def test_an_attached_mail_becomes_a_mail_with_its_own_attachments():
    inner = message({**LEASE, 0x0037: "Old: lease"}, [], [{0x3707: "Größe.pdf", 0x3701: b"pdf"}], header=24)
    ((name, data),) = members(ole(message(LEASE, [], [{0x3701: inner}]))).items()
    source = Source(name, data=data)
    assert name == "Old lease.eml"
    reading = mail.read(source, Options())
    assert reading.pages[0].text.endswith("Subject: Old: lease\n\nThe rent is due.") and reading.author == "Jane Doe"
    assert reading.date == "2024-03-02T09:15:00+00:00"
    assert [one.name for one in mail.members(source, Options(), Budget(Options()))] == ["Größe.pdf"]


def test_attachments_count_against_the_budget():
    with pytest.raises(OverBudget):
        members(ole(message(LEASE, [], [{0x3707: "a.pdf", 0x3701: b"x" * 99}])), unpacked=50)


# --- damage ----------------------------------------------------------------------------------------------------


def test_a_mail_without_its_properties_is_read():
    tree = message(LEASE)
    del tree["__properties_version1.0"]
    text = outlook.read(Source("a.msg", data=ole(tree)), Options()).pages[0].text
    assert text == "From: Jane Doe <jane@example.org>\nTo: Tim\nSubject: The lease\n\nThe rent is due."


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"%PDF-1.7", "is not an Outlook mail but a PDF"),
        (b"words", "is damaged, or not"),
        (ole(message(LEASE))[:600], "is damaged, or not"),
        (ole({"WordDocument": b"x"}), "but not an Outlook mail"),
    ],
)
def test_other_files_are_refused_by_name(data, reason):
    with pytest.raises(ReadError) as caught:
        outlook.read(Source("a.msg", data=data), Options())
    assert reason in caught.value.message and caught.value.hint

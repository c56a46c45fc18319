import base64
import struct
from datetime import datetime

import pytest
from containers import ole
from waiting import cheap

from localrag.errors import ReadError
from localrag.ingest.readers import archives, mail
from localrag.ingest.readers.source import Budget, Options, OverBudget, Source
from localrag.ingest.readers.text import header_text

HEAD = b"From: Jane Doe <jane@example.org>\nTo: tim@example.org\nDate: Sat, 2 Mar 2024 10:15:00 +0100\nSubject: The lease\n"


def read(data):
    return mail.read(Source("a.eml", data=data), Options())


def text(data):
    (page,) = read(data).pages
    return page.text


def body(data):
    return text(data).partition("\n\n")[2]


def members(data, reader=mail, name="a.eml", **options):
    found, options = {}, Options(**options)
    for member in reader.members(Source(name, data=data), options, Budget(options)):
        assert member.name not in found
        found[member.name] = member.source.read() if member.source else member.refused.message
    return found


def multipart(kind, *parts):
    lines = [HEAD + b"MIME-Version: 1.0\nContent-Type: multipart/" + kind + b'; boundary="=="\n']
    return b"\n--==\n".join([*lines, *parts]) + b"\n--==--\n"


PLAIN = b"Content-Type: text/plain; charset=utf-8\n\nThe rent is due on Monday."
PACKED = b"\nContent-Transfer-Encoding: base64\n\n"
PDF = b"Content-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment" + PACKED + b"JVBERi0="


def test_a_mail_is_one_page_of_headers_and_body():
    reading = read(HEAD + b"Cc: Bob <bob@example.org>\n\nThe rent is due.\n> quoted\n")
    (page,) = reading.pages
    assert page.text == (
        "From: Jane Doe <jane@example.org>\nTo: tim@example.org\nCc: Bob <bob@example.org>\n"
        "Date: Sat, 2 Mar 2024 10:15:00 +0100\nSubject: The lease\n\nThe rent is due.\n> quoted"
    )
    assert (page.unit, page.number, page.label) == ("mail", None, "2024-03-02 from Jane Doe")
    assert (reading.title, reading.author, reading.date) == ("The lease", "Jane Doe", "2024-03-02T10:15:00+01:00")


@pytest.mark.parametrize(
    "head, label",
    [
        (b"Date: Sat, 2 Mar 2024 10:15:00 +0100", "2024-03-02"),
        (b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.org>\nDate: soon", "Jürgen"),
        (b'From: "Doe, Jane" <j@x.org>', "Doe, Jane"),
        (b"From: jane@x.org tim@x.org", "jane@x.org"),
    ],
)
def test_missing_headers_are_left_out_of_the_label(head, label):
    assert read(head + b"\n\nText.").pages[0].label == label


@pytest.mark.parametrize(
    "raw, expected",
    [
        ("=?iso-8859-1?q?Gr=FC=DFe?= an =?utf-8?b?w5Zzc2k=?=", "Grüße an Össi"),
        ("=?utf-8?b?4oK=?=\n =?utf-8?b?rA==?=", "€"),  # a character cut in two
        ("=?x-no-such?q?abc?=", "abc"),
        ("=?utf-8?b?!!!?=", ""),
        ("5 =? 3 ?=", "5 =? 3 ?="),
    ],
)
def test_encoded_words_are_decoded(raw, expected):
    assert header_text(raw) == expected


@pytest.mark.parametrize("stub", [b"", b"Your mail program cannot show this."])
def test_plain_text_is_preferred_to_html_unless_it_says_nothing(stub):
    html = b"Content-Type: text/html\n\n<h1>Rent</h1><p>" + b"It is due on Tuesday. " * 9 + b"</p><script>x()</script>"
    short = b"Content-Type: text/html\n\n<p>The rent is due on <b>Tuesday</b>.</p>"
    assert body(multipart(b"alternative", PLAIN, short)) == "The rent is due on Monday."
    (page,) = read(multipart(b"alternative", b"Content-Type: text/plain\n\n" + stub, html)).pages
    assert "due on Tuesday" in page.text and "x()" not in page.text and "cannot show" not in page.text
    (heading,) = page.headings
    assert page.text.startswith("Rent", heading.start)


def test_flowed_lines_are_joined():
    data = HEAD + b"Content-Type: text/plain; format=flowed\n\nThe rent \nis \ndue.\n> So\n-- \nJane\n"
    assert body(data) == "The rent is due.\n> So\n-- \nJane"
    assert body(HEAD + b"Content-Type: text/plain; format=flowed; delsp=yes\n\nRech \nnung\n") == "Rechnung"


@pytest.mark.parametrize(
    "charset, raw, expected",
    [
        ("iso-8859-1", b"5 \x80", "5 €"),
        ("x-unknown", "Größe".encode(), "Größe"),
        ("us-ascii", "Größe".encode("cp1252"), "Größe"),
        ("rot13", b"abc", "abc"),
        ("", "テスト".encode("iso2022_jp"), "テスト"),
    ],
)
def test_wrong_encodings_in_a_mail_do_no_harm(charset, raw, expected):
    head = f"Content-Type: text/plain; charset={charset}\n\n" if charset else "\n"
    assert body(HEAD + head.encode() + raw) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"no header at all, just words",
        HEAD + b"Content-Type: multipart/mixed\n\nx",
        HEAD + b"Content-Type: ;;;=\n\nx",
        HEAD + b"Content-Type: text/plain; charset*=x'y'%ff\n\nx",
        b'From: <<<>>>, "\nTo: @@;;\nDate: 99\n\nx',
        HEAD + b"Content-Transfer-Encoding: 8bit;\n\nx",
        HEAD + b"Content-Disposition: attachment; filename*0*=\n\nx",
    ],
)
def test_broken_mails_never_raise(data):
    assert read(data).pages and isinstance(members(data), dict)


@pytest.mark.parametrize("odd", ["cid:", "<", "a@", "=?a?q?", " ", "(", '"', "\\", ";"])
def test_hostile_headers_take_no_time(odd):
    for name in ("From", "Subject", "Date", "Content-Type", "x: y\n\n"):
        with cheap(2):
            read(f"{name}: {odd * 20_000}\n\nx".encode())


@pytest.mark.parametrize(
    "head, name",
    [
        ("Content-Type: application/pdf; name=a.pdf", "a.pdf"),
        ("Content-Type: application/pdf", "attachment.pdf"),
        ("Content-Type: application/pdf; name=v1.2", "v1.2.pdf"),
        ("Content-Type: x/y\nContent-Disposition: attachment; filename*=utf-8''Gr%C3%B6%C3%9Fe.pdf", "Größe.pdf"),
        ("Content-Type: application/pdf; name*0=long; name*1=er.pdf", "longer.pdf"),
        ("Content-Type: application/pdf; name==?utf-8?q?Gr=C3=B6=C3=9Fe=2Epdf?=", "Größe.pdf"),
        ('Content-Type: application/pdf; name="Größe.pdf"', "Größe.pdf"),
        ("Content-Type: application/pdf; name=../../etc/a.pdf", ".._.._etc_a.pdf"),
        ("Content-Type: text/calendar", "attachment.ics"),
        ("Content-Type: text/plain; name=notes.txt", "notes.txt"),
        ("Content-Type: text/plain; charset=utf-8\nContent-Disposition: attachment", "attachment.txt"),
    ],
)
def test_attachments_have_the_names_in_the_mail(head, name):
    part = head.encode() + PACKED + base64.b64encode(b"data")
    assert members(multipart(b"mixed", PLAIN, part)) == {name: b"data"}


def test_pictures_of_the_body_logos_and_signatures_are_no_attachments():
    def picture(identity, size):
        data = base64.encodebytes(b"x" * size)
        return b"Content-Type: image/png\nContent-ID: <" + identity + b">\nContent-Transfer-Encoding: base64\n\n" + data

    html = b'Content-Type: text/html\n\n<p>See <img src="cid:shown@x"></p>'
    seal = b"Content-Type: application/pkcs7-signature; name=smime.p7s\n\nx"
    data = multipart(
        b"related", html, picture(b"shown@x", 20_000), picture(b"scan@x", 20_000), picture(b"logo", 900), seal
    )
    assert list(members(data)) == ["attachment.png"]


def test_forwarded_mails_are_members_with_their_own_attachments():
    inner = multipart(b"mixed", PLAIN, PDF).replace(b"==", b"inner")
    inner = inner.replace(b"The lease", b"Old: lease / rent").replace(b"Monday.", b"Monday.\nFrom here on.")
    outer = multipart(b"mixed", b"Content-Type: text/plain\n\nSee below.", b"Content-Type: message/rfc822\n\n" + inner)
    ((name, data),) = members(outer).items()
    assert name == "Old lease _ rent.eml" and body(data) == "The rent is due on Monday.\nFrom here on."
    assert members(data) == {"a.pdf": b"%PDF-"}
    packed = b"Content-Type: message/rfc822; name=x.eml" + PACKED + base64.encodebytes(inner)
    assert members(members(multipart(b"mixed", PLAIN, packed))["x.eml"]) == {"a.pdf": b"%PDF-"}


def der(tag, *content, indefinite=False):
    content = b"".join(content)
    if indefinite:
        return bytes([tag, 0x80]) + content + b"\0\0"
    size = len(content)
    head = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + head + content


def cms(content, kind="2a864886f70d010702", indefinite=False):
    def nested(tag, *parts):
        return der(tag, *parts, indefinite=indefinite)

    octets = nested(0x24, der(4, content[:7]), der(4, content[7:])) if indefinite else der(4, content)
    inner = nested(0x30, der(6, bytes.fromhex("2a864886f70d010701")), nested(0xA0, octets))
    data = nested(0x30, der(2, b"\1"), der(0x31), inner, der(0x31))
    return nested(0x30, der(6, bytes.fromhex(kind)), nested(0xA0, data))


@pytest.mark.parametrize("indefinite", [False, True])
def test_signed_mails_and_files_are_read_through_their_signature(indefinite):
    inner = b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + PLAIN + b"\n--b\n" + PDF + b"\n--b--\n"
    head = HEAD + b"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m" + PACKED
    data = head + base64.encodebytes(cms(inner, indefinite=indefinite))
    assert body(data) == "The rent is due on Monday." and members(data) == {"a.pdf": b"%PDF-"}
    part = b"Content-Type: application/pkcs7-mime; name=invoice.xml.p7m" + PACKED + base64.encodebytes(cms(b"<a/>"))
    assert members(multipart(b"mixed", PLAIN, part)) == {"invoice.xml": b"<a/>"}


def test_encrypted_mails_and_damaged_signatures_are_refused():
    sealed = base64.encodebytes(cms(b"secret", "2a864886f70d010703"))
    for data in (
        HEAD + b"Content-Type: application/pkcs7-mime; name=smime.p7m" + PACKED + sealed,
        multipart(b"encrypted", b"Content-Type: application/pgp-encrypted\n\nVersion: 1"),
        HEAD + b"\n-----BEGIN PGP MESSAGE-----\n\nabc\n-----END PGP MESSAGE-----\n",
    ):
        with pytest.raises(ReadError, match=r"^is encrypted$"):
            read(data)
    whole = cms(b"words of a mail" * 20)
    for data in (b"", b"x", whole[:80], b"\x30\x80" * 500, whole[:15] + b"\x30\x80" * 3000):
        with pytest.raises(ReadError):
            mail.signed_content(data)


def test_attachments_are_taken_out_of_a_winmail_package():
    def attribute(name, data, level=2):
        return bytes([level]) + name.to_bytes(4, "little") + len(data).to_bytes(4, "little") + data + b"\0\0"

    package = bytes.fromhex("789f3e220100") + attribute(0x00069007, (1252).to_bytes(8, "little"), 1)
    for title in ("Größe.pdf", "b.txt"):
        package += attribute(0x00069002, b"x") + attribute(0x0006800F, b"data")
        package += attribute(0x00018010, title.encode("cp1252") + b"\0")
    assert dict(mail.tnef_files(package)) == {"Größe.pdf": b"data", "b.txt": b"data"}
    part = b"Content-Type: application/ms-tnef; name=winmail.dat" + PACKED
    assert list(members(multipart(b"mixed", PLAIN, part + base64.encodebytes(package)))) == ["Größe.pdf", "b.txt"]
    assert "not a winmail.dat package" in members(multipart(b"mixed", PLAIN, part + b"eHh4"))["winmail.dat"]


def boxed(*mails):
    return b"".join(b"From jane@x.org Sat Mar  2 10:15:00 2024\n" + one + b"\n\n" for one in mails)


def test_the_mails_of_a_mailbox_are_members_in_order_whatever_their_from_line():
    data = boxed(HEAD + b"\nOne.", b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\n\nTwo.", b"From: x@y.org\n\nThree.")
    found = members(data, archives, "a.mbox")
    assert list(found) == ["0001 The lease.eml", "0002 Größe.eml", "0003 mail.eml"]
    assert [body(one) or one for one in found.values()][:2] == ["One.", "Two."]
    data = boxed(HEAD + b"\nOne.\n\nFrom here on we pay.\n\n>From there.\n>>From far.", HEAD + b"\nTwo.")
    one, two = members(data, archives, "a.mbox").values()
    assert body(one) == "One.\n\nFrom here on we pay.\n\nFrom there.\n>From far." and body(two) == "Two."
    for line in (b"From MAILER-DAEMON\n", b"From x@y.org Sat, 02 Mar 2024 10:15 +0100\n"):
        assert len(members((line + HEAD + b"\nText.\n\n") * 2, archives, "a.mbox")) == 2


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


def opened(tree):
    return mail.read(Source("a.msg", data=ole(tree)), Options())


def read_outlook(values, *args):
    return opened(message(values, *args))


def outlook_members(*given, **options):
    return members(ole(message(LEASE, [], given)), name="a.msg", **options)


LEASE = {
    0x0037: "The lease",
    0x1000: "The rent is due.",
    0x0C1A: "Jane Doe",
    0x0C1F: "/O=X/CN=JANE",
    0x5D01: "jane@example.org",
    0x0039: datetime(2024, 3, 2, 9, 15),
    0x0E04: "Tim",
}


def test_a_mail_of_outlook_is_one_page_and_its_transport_headers_win():
    reading = read_outlook(
        LEASE, [{0x3001: "Tim", 0x39FE: "tim@example.org", 0x0C15: 1}, {0x3001: "Bob", 0x3003: "EX:bob", 0x0C15: 2}]
    )
    (page,) = reading.pages
    assert page.text == (
        "From: Jane Doe <jane@example.org>\nTo: Tim <tim@example.org>\nCc: Bob\nDate: Sat, 02 Mar 2024 09:15:00 +0000\n"
        "Subject: The lease\n\nThe rent is due."
    )
    assert (page.unit, page.label) == ("mail", "2024-03-02 from Jane Doe")
    assert (reading.title, reading.author, reading.date) == ("The lease", "Jane Doe", "2024-03-02T09:15:00+00:00")
    headers = "From: =?utf-8?q?J=C3=BCrgen?= <j@x.org>\r\nDate: Sat, 2 Mar 2024 10:15:00 +0100\r\n"
    reading = read_outlook({**LEASE, 0x007D: headers})
    assert (reading.author, reading.date) == ("Jürgen", "2024-03-02T10:15:00+01:00")


def test_mails_without_unicode_dates_or_plain_text_are_read():
    tree = message({0x3FFD: 1251})
    tree["__substg1.0_0037001E"], tree["__substg1.0_1000001E"] = "Договор".encode("cp1251"), "Текст".encode("cp1251")
    assert opened(tree).pages[0].text == "Subject: Договор\n\nТекст"
    tree = message(LEASE)
    del tree["__properties_version1.0"]
    text = opened(tree).pages[0].text
    assert text == "From: Jane Doe <jane@example.org>\nTo: Tim\nSubject: The lease\n\nThe rent is due."
    html = {0x0037: "x", 0x1013: "<h1>Rent</h1><p>Größe</p>".encode("cp1252"), 0x3FDE: 1252}
    assert read_outlook(html).pages[0].text == "Subject: x\n\nRent\n\nGröße"


# The example of the specification (MS-OXRTFCP, 4.1.1).
HELLO = bytes.fromhex(
    "2d0000002b0000004c5a4675f1c5c7a703000a00726370673132354232 0af32068656c090020627705b06c647d0a800fa0"
)


def test_rtf_is_read_without_plain_text_and_html():
    assert read_outlook({0x0037: "x", 0x1009: HELLO}).pages[0].text == "Subject: x\n\nhello world"
    rich = rb"{\rtf1\ansi\fromhtml1 {\*\htmltag64 <li>}one{\*\htmltag72 </li>}{\*\htmltag64 <li>}two}"
    packed = struct.pack("<4I", len(rich) + 12, len(rich), 0x414C454D, 0) + rich
    assert read_outlook({0x1009: packed}).pages[0].text.split() == ["one", "two"]
    assert read_outlook({0x0037: "x", 0x1009: b"damaged"}).pages[0].text == "Subject: x"


def test_protected_mails_are_refused():
    for attachment in ({0x3707: "message.rpmsg", 0x3701: b"x"}, {0x370E: "application/pgp-encrypted", 0x3701: b"x"}):
        with pytest.raises(ReadError, match=r"^is encrypted$"):
            read_outlook(LEASE, [], [attachment])
    with pytest.raises(ReadError, match=r"^is encrypted$"):
        read_outlook({0x001A: "IPM.Note.SMIME", 0x0037: "x"})


def test_attachments_are_members_and_count_against_the_budget():
    attachments = [
        {0x3704: "A.TXT", 0x3701: b"text"},
        {0x3707: "A.TXT", 0x3701: b"more"},
        {0x3707: "logo.png", 0x3701: b"x" * 99},
        {0x3707: "Report", 0x370E: "application/pdf", 0x3701: b"pdf"},
        {0x3707: "plan.docx"},
    ]
    link = {"plan.docx": "is only a link to a file elsewhere"}
    assert outlook_members(*attachments) == {"A.TXT": b"text", "A (2).TXT": b"more", "Report.pdf": b"pdf", **link}
    with pytest.raises(OverBudget):
        outlook_members({0x3707: "a.pdf", 0x3701: b"x" * 99}, unpacked=50)


def test_an_attached_mail_becomes_a_mail_with_its_own_attachments():
    inner = message({**LEASE, 0x0037: "Old: lease"}, [], [{0x3707: "Größe.pdf", 0x3701: b"pdf"}], header=24)
    (name, data), attachment = outlook_members({0x3701: inner}).items()
    reading = mail.read(Source(name, data=data), Options())
    assert name == "Old lease.eml" and reading.pages[0].text.endswith("Subject: Old: lease\n\nThe rent is due.")
    assert (reading.author, reading.date) == ("Jane Doe", "2024-03-02T09:15:00+00:00")
    assert attachment == ("Old lease.eml/Größe.pdf", b"pdf")


DEEP = HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000))


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("a.eml", b"%PDF-1.7", "is not a mail but a PDF"),
        ("a.eml", DEEP, "nested too deeply"),
        ("a.msg", b"%PDF-1.7", "is not an Outlook mail but a PDF"),
        ("a.msg", b"words", "is damaged, or not"),
        ("a.msg", ole(message(LEASE))[:600], "is damaged, or not"),
        ("a.msg", ole({"WordDocument": b"x"}), "but not an Outlook mail"),
    ],
)
def test_other_files_are_refused_by_name(name, data, reason):
    with pytest.raises(ReadError, match=reason) as caught:
        mail.read(Source(name, data=data), Options())
    assert caught.value.hint

import builtins
import ctypes
import gc
from datetime import UTC, datetime

import outlook_stores as stores
import pytest
from containers import zipped
from outlook_stores import Folder, Mail, mail, store

from localrag.errors import ReadError
from localrag.ingest.readers import base, outlook
from localrag.ingest.readers.source import Budget, Options, Source
from localrag.types import Part

pytest.importorskip("pypff")
TOP = "Top of Outlook data file"
SENT = datetime(2024, 3, 2, 9, 15, tzinfo=UTC)
OFFER = mail("The offer", "The rent is 2,450 a month.", sender="Jane Doe", address="jane@example.org", sent=SENT)
MANY = store(Folder("Inbox", [mail(f"Mail {n}", f"Text number {n}. " * 40) for n in range(60)]))


def read(data, **options):
    """Return the documents in a store, and the reasons for what was not read, by name."""
    items = list(base.read_parts(Source("a.pst", data=data), Options(**options)))
    found = {item.name.removeprefix(f"{TOP}/"): item for item in items}
    texts = {name: item.reading.pages[0].text for name, item in found.items() if isinstance(item, Part)}
    return texts, {name: item.reason for name, item in found.items() if not isinstance(item, Part)}


def test_each_mail_of_a_store_is_a_document_named_by_its_folder():
    offer = Mail(OFFER.properties, [("Tim", "tim@example.org", 1), ("Bob", "bob@example.org", 2)])
    texts, refused = read(store(Folder("Inbox", [offer], [Folder("Re: 2/3", [mail("Größe", "Zwölf")])])))
    assert refused == {}
    assert texts == {
        "Inbox/0001 The offer.eml": (
            "From: Jane Doe <jane@example.org>\nTo: Tim <tim@example.org>\nCc: Bob <bob@example.org>\n"
            "Date: Sat, 02 Mar 2024 09:15:00 +0000\nSubject: The offer\n\nThe rent is 2,450 a month."
        ),
        "Inbox/Re 2_3/0001 Größe.eml": "Subject: Größe\n\nZwölf",
    }


def test_attachments_and_attached_mails_are_documents_below_their_mail():
    inner = Mail(mail("Old", "Long. " * 2000).properties, attachments=[("deep.txt", b"deep")])
    files = [("a.txt", b"x" * 20_000), ("a.txt", b"other"), ("setup.exe", b"MZ"), ("old", inner)]
    texts, refused = read(store(Folder("Inbox", [Mail(OFFER.properties, attachments=files)])))
    name = "Inbox/0001 The offer.eml"
    assert texts.pop(name) and texts.pop(f"{name}/Old.eml").count("Long.") == 2000
    assert texts == {
        f"{name}/a.txt": "x" * 20_000,
        f"{name}/a (2).txt": "other",
        f"{name}/Old.eml/deep.txt": "deep",
    }
    assert list(refused) == [f"{name}/setup.exe"]


def test_a_calendar_entry_has_its_times_and_place_and_the_date_of_its_start():
    start = datetime(2024, 6, 1, 9, tzinfo=UTC)
    facts = {stores.STARTS: start, stores.ENDS: start.replace(hour=10), stores.WHERE: "Room 5"}
    entry = Mail({**mail("Board", "Agenda", kind="IPM.Appointment", sent=SENT).properties, **facts})
    (part,) = base.read_parts(Source("a.ost", data=store(Folder("Calendar", [entry]))))
    assert part.reading.date == "2024-06-01T09:00:00+00:00"
    text = "Start: 2024-06-01 09:00 UTC\nEnd: 2024-06-01 10:00 UTC\nWhere: Room 5\n\nAgenda"
    assert part.reading.pages[0].text.endswith(text)


def test_the_same_store_gives_the_same_bytes_and_its_parts_are_found_by_name():
    data = store(Folder("Inbox", [Mail(OFFER.properties, attachments=[("a.txt", b"text")])]))
    first, second = ([part.sha256 for part in base.read_parts(Source("a.pst", data=data))] for _ in range(2))
    assert first == second
    name = f"{TOP}/Inbox/0001 The offer.eml/a.txt"
    assert base.source_of(Source("a.pst", data=data), name, Options()).read() == b"text"


def test_an_encrypted_mail_costs_one_line():
    hidden = Mail({stores.SUBJECT: "Secret", stores.CLASS: "IPM.Note.SMIME"}, attachments=[("smime.p7m", b"x")])
    texts, refused = read(store(Folder("Inbox", [hidden, OFFER])))
    assert list(texts) == ["Inbox/0002 The offer.eml"]
    assert refused["Inbox/0001 Secret.eml"].startswith("is encrypted")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (zipped({"a.txt": "x"}), "is not an Outlook store but a ZIP"),
        (b"words", "is damaged, cut off, or not an Outlook store"),
        (MANY[:100], "is damaged, cut off, or not an Outlook store"),
        (MANY[: len(MANY) // 2], "is damaged, cut off, or not an Outlook store"),
        (MANY[:10] + b"\x0e" + MANY[11:600], "is damaged, cut off, or not an Outlook store"),  # ANSI, and cut off
    ],
)
def test_what_is_no_store_is_refused_with_a_hint(data, reason):
    texts, refused = read(data)
    assert texts == {} and refused[""].startswith(reason) and refused[""].count(".") >= 2


def test_a_store_without_mails_is_one_line():
    assert read(store(Folder("Inbox"))) == ({}, {"": "holds no files. If it should, copy it again from its source."})


@pytest.mark.parametrize("at", [0.2, 0.35, 0.5, 0.65, 0.8])
def test_a_damaged_store_gives_the_rest_and_says_so(at):
    middle = int(len(MANY) * at)
    texts, refused = read(MANY[:middle] + bytes(2_000) + MANY[middle + 2_000 :])
    assert texts and len(texts) >= 40
    assert len(texts) == 60 or refused


def test_a_large_store_may_hold_more_than_the_limit_of_files(monkeypatch):
    assert len(read(MANY, members=1)[0]) == len(MANY) // 4_000
    assert Options().within(20_000_000_000) == (5_000_000, 20_000_000_000)
    limits = Options(unpacked=10)
    source = Source("a.pst", data=store(Folder("Inbox", [Mail(OFFER.properties, attachments=[("a.txt", b"x" * 99)])])))
    assert len(list(outlook.members(source, limits, Budget(limits)))) == 2


def test_without_libpff_a_store_is_refused_with_what_to_install(monkeypatch):
    real = builtins.__import__

    def fails(name, *rest):
        if name == "pypff":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fails)
    with pytest.raises(ReadError) as caught:
        list(outlook.members(Source("a.pst", data=MANY), Options(), Budget(Options())))
    assert "localrag[pst]" in caught.value.hint


def test_where_libpff_hides_its_functions_an_attached_mail_costs_one_line(monkeypatch):
    data = store(Folder("Inbox", [Mail(OFFER.properties, attachments=[("old", OFFER)])]))
    monkeypatch.setattr(ctypes, "PyDLL", lambda path: object())
    texts, refused = read(data)
    assert len(texts) == 1 and [reason.split(",")[0] for reason in refused.values()] == ["is an attached mail"]


def test_a_store_is_read_item_by_item(tmp_path):
    """Each mail is let go before the next is read."""
    big = store(
        Folder("Inbox", [Mail(OFFER.properties, attachments=[(f"{n}.txt", b"x" * 300_000)]) for n in range(20)])
    )
    kept = 0
    for member in outlook.members(Source("a.pst", data=big), Options(), Budget(Options())):
        gc.collect()
        kept = max(kept, sum(1 for each in gc.get_objects() if isinstance(each, outlook._Item)))
        assert member.source
    assert kept < 10


def test_a_contact_and_a_task_show_their_facts():
    contact = Mail({stores.SUBJECT: "Ada Quill", stores.CLASS: "IPM.Contact", 0x3A16: "Quill Ltd", 0x8083: "ada@q.org"})
    task = Mail({stores.SUBJECT: "Sign", stores.CLASS: "IPM.Task", 0x8105: datetime(2024, 6, 1, tzinfo=UTC)})
    texts, refused = read(store(Folder("All", [contact, task])))
    assert refused == {}
    assert list(texts.values()) == [
        "Subject: Ada Quill\n\nCompany: Quill Ltd\nE-mail: ada@q.org",
        "Subject: Sign\n\nDue: 2024-06-01 00:00 UTC",
    ]

"""Facts from ingest to the first page, through the API: what is read when, what a person decides, what texts do harm."""

import json
import os
import re
import signal
import zipfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import printed
from encrypted import encrypt_folder
from papers import IDENTITY, sound
from stores import both_stores, new_store

from localrag import api
from localrag.errors import KeyRequired, LibraryError, LibraryLocked, NotFoundError, StorageError, UsageError
from localrag.items import facts
from localrag.lifecycle import backup, restore
from localrag.security import audit, storage
from localrag.security.encryption import unlocked
from localrag.store import names, postgres
from localrag.store.library import merged
from localrag.store.names import DATABASE, INDEX
from localrag.store.writer import Editor
from localrag.types import Document, Fact, Page, Part, Reading

CANARY = "Zanzibarquill"


def lease(
    one=f"{CANARY} Ltd", other="Harbour Trust", signed="1 March 2024", start="1 June 2024", law="England", days=30
):
    return (
        f"LEASE AGREEMENT\n\nThis Lease Agreement is made on {signed} between {one} (the “Landlord”) and {other} (the "
        f"“Tenant”).\n\n1. Term. This Agreement shall commence on {start} and shall continue for an initial term of three "
        f"(3) years.\n\n2. Payment. The Tenant shall pay each invoice of the Landlord within {days} days after receipt of "
        f"the invoice.\n\n3. Law. This Agreement is governed by the laws of {law}.\n"
    )


@pytest.fixture
def root(folder):
    return folder({"lease.txt": lease(), "notes.txt": "Elephants are grey."})


@pytest.fixture
def papers(models, settings, root):
    with closing(api.open_library("papers", settings=settings, create=True)) as made:
        made.ingest(root)
        yield made


@pytest.fixture
def reads(monkeypatch):
    """The paths of the documents whose facts were read."""
    found, find = [], facts.find
    monkeypatch.setattr(facts, "find", lambda document, pages: found.append(document.path) or find(document, pages))
    return found


def values(library, document="lease.txt"):
    return {one.role: one.value for one in library.facts(document) if one.state != "rejected"}


def fact(library, role, document="lease.txt"):
    return next((one for one in library.facts(document) if one.role == role and one.state != "rejected"), None)


def on_disk(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def holding(folder, *words):
    return sorted(name for name, data in on_disk(folder).items() if any(word.encode() in data for word in words))


# --- when facts are read ------------------------------------------------------------------------------------


def test_an_ingest_reads_facts_once_and_again_of_what_changed(models, settings, root, folder, reads, monkeypatch):
    library, seen = api.open_library("papers", settings=settings, create=True), []
    library.ingest(root, progress=lambda event: seen.append((event.stage, event.document)))
    assert sorted(reads) == ["lease.txt", "notes.txt"] and ("facts", "lease.txt") in seen
    assert values(library)["law"] == "England" and values(library, "notes.txt")["kind"] == "document"
    library.ingest(root)
    assert len(reads) == 2 and library.read_facts() == 0
    folder({"lease.txt": lease(law="Ohio")})
    library.ingest(root)
    assert reads[2:] == ["lease.txt"] and values(library)["law"] == "Ohio"
    monkeypatch.setattr(facts, "VERSION", "another")
    assert library.overview().unread == 2 and library.ingest(root).read == ()
    assert sorted(reads[3:]) == ["lease.txt", "notes.txt"] and library.overview().unread == 0
    library.close()


@pytest.fixture
def leases(folder):
    return folder({"a.txt": lease(), "b.txt": lease(law="Ohio")})


def unread(library):
    return [one.path for one in library.documents() if not library.facts(one.path)]


@pytest.mark.parametrize("how", ["stop", "Ctrl-C"])
def test_an_ingest_ended_among_facts_says_so_and_the_next_goes_on(models, settings, leases, reads, monkeypatch, how):
    monkeypatch.setattr(facts, "_BATCH", 1)
    library, read = api.open_library("papers", settings=settings, create=True), facts.find

    def find(document, pages):
        if how == "Ctrl-C" and reads:
            raise KeyboardInterrupt
        return read(document, pages)

    monkeypatch.setattr(facts, "find", find)
    report = library.ingest(leases, stop=lambda: how == "stop" and bool(reads))
    assert not report.complete and set(report.read) == {"a.txt", "b.txt"}
    (left,) = unread(library)
    assert library.overview().unread == 1 and values(library, reads[0])["law"] in ("England", "Ohio")
    monkeypatch.setattr(facts, "find", read)
    assert library.ingest(leases).complete and reads[1:] == [left] and unread(library) == []
    library.close()


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.append(sys.argv[2])
import fakes
from localrag import api, embeddings
from localrag.items import facts
from localrag.settings import load_settings
embeddings.load_embedder = lambda settings, identity=None: fakes.HashingEmbedder()
facts._BATCH, find, done = 1, facts.find, []
def killing(document, pages):
    done.append(document)
    return find(document, pages) if len(done) == 1 else os.kill(os.getpid(), signal.SIGKILL)
facts.find = killing
if __name__ == "__main__":
    api.open_library("papers", settings=load_settings(), create=True).ingest(Path(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_an_ingest_killed_among_facts_leaves_a_library_and_goes_on(models, settings, leases, reads):
    printed(KILLED, leases, Path(__file__).parent, ends=-signal.SIGKILL)
    with closing(api.open_library("papers", settings=settings)) as library:
        (left,) = unread(library)
        assert library.overview().unread == 1
        assert library.search("lease of Ohio", k=1)[0].document == "b.txt"
        report = library.ingest(leases)
        assert report.complete and report.unchanged == 2 and reads == [left] and unread(library) == []
    with closing(Editor.open(settings.library_dir("papers"), "papers")) as editor:
        sound(editor)


def test_a_library_made_before_facts_opens_without_them_and_is_filled(papers, settings, root):
    papers.close()

    def made_before():
        with closing(storage.connect(settings.library_dir("papers") / DATABASE, write=True)) as database:
            database.execute("DROP TABLE facts")
            database.execute("DROP TABLE decided")

    for fill in (lambda: papers.read_facts() == 2, lambda: papers.ingest(root).complete):
        made_before()
        assert papers.facts("lease.txt") == () and papers.overview().unread == 2
        assert papers.search("elephants", k=1)[0].document == "notes.txt"
        with pytest.raises(NotFoundError):
            papers.decide("lease.txt", "law", "confirmed")
        papers.close()
        made_before() if papers.overview().unread == 0 else None
        assert fill()
        assert values(papers)["law"] == "England" and papers.overview().unread == 0
        papers.close()


def test_facts_and_decisions_change_no_generation_and_no_vector_index(papers, settings, monkeypatch):
    index = settings.library_dir("papers") / INDEX
    before = papers.status()["generation"], papers.digest(), index.read_bytes(), index.stat().st_mtime_ns
    monkeypatch.setattr(facts, "VERSION", "another")
    assert papers.read_facts() == 2
    papers.decide("lease.txt", "law", "rejected")
    papers.decide("lease.txt", "payment", "confirmed")
    papers.close()
    papers.search("elephants")
    assert (papers.status()["generation"], papers.digest(), index.read_bytes(), index.stat().st_mtime_ns) == before


# --- what a person decides ----------------------------------------------------------------------------------


def test_a_person_confirms_corrects_rejects_and_takes_it_back(papers, settings):
    read = fact(papers, "law")
    assert papers.decide("lease.txt", "law", "confirmed").state == "confirmed"
    confirmed = fact(papers, "law")
    assert (confirmed.value, confirmed.was, confirmed.by, confirmed.id) == ("England", "", audit.user(), read.id)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.+", confirmed.at)
    papers.decide("lease.txt", "start", "confirmed", "2 July 2024")
    start = fact(papers, "start")
    assert (start.value, start.was, start.words) == ("2024-07-02", "2024-06-01", "2 July 2024")
    papers.decide("lease.txt", start.id, "rejected")
    assert fact(papers, "start") is None
    papers.decide("lease.txt", start.id, "sure")
    assert (fact(papers, "start").value, fact(papers, "start").by) == ("2024-06-01", "")
    with pytest.raises(UsageError):
        papers.decide("lease.txt", "start", "confirmed", "soon")
    for blank in (" ", "\0", "\n"):
        with pytest.raises(UsageError):
            papers.decide("lease.txt", "law", "confirmed", blank)
    for missing in (("none.txt", "law"), ("lease.txt", "none"), ("lease.txt", "party")):
        with pytest.raises(NotFoundError):
            papers.decide(*missing, "confirmed")
    assert fact(papers, "law") == confirmed


def test_who_decides_does_not_wait_for_a_writer(papers, settings):
    with names.writing(settings.library_dir("papers"), "papers"), pytest.raises(LibraryLocked):
        papers.decide("lease.txt", "law", "rejected")
    assert fact(papers, "law")


def test_what_a_person_types_is_kept_clean(papers):
    papers.decide("lease.txt", "law", "confirmed", "=cmd()\x1b[2J\udc80 <b>\nWales\0")
    kept = fact(papers, "law")
    assert (kept.value, kept.words) == ("=cmd()[2J\ufffd <b> Wales",) * 2
    assert papers.overview().to_dict()


def test_a_decision_is_on_record_without_words_of_the_document(papers, settings):
    for role, state, value in (
        ("party=" + CANARY, "confirmed", ""),
        ("law", "confirmed", "Wales"),
        ("law", "sure", ""),
    ):
        papers.decide("lease.txt", role, state, value)
    record = settings.library_audit_file("papers")
    rows = [one.details for one in audit.entries(record) if one.event == "fact"]
    assert [(row["role"], row["state"], row["corrected"]) for row in rows] == [
        ("party", "confirmed", False),
        ("law", "confirmed", True),
        ("law", "sure", False),
    ]
    assert rows[1]["fact"] == rows[2]["fact"] == fact(papers, "law").id
    assert {row["document"] for row in rows} == {"lease.txt"} and audit.verify(record) == []
    assert not any(word.encode() in record.read_bytes() for word in (CANARY, "Wales", "England", "governed"))


def test_a_decision_follows_its_quote_in_new_lines_to_a_new_place(papers, root, folder):
    papers.decide("lease.txt", "law", "confirmed", "Wales")
    law = fact(papers, "law")
    folder({"lease.txt": "A new first line.\n\n" + lease().replace("is governed by", "is\ngoverned by")})
    papers.ingest(root)
    now = fact(papers, "law")
    assert (now.id, now.value, now.by, now.at) == (law.id, "Wales", law.by, law.at) and now.start > law.start
    assert papers.page_text("lease.txt")[now.start : now.end] == now.quote != law.quote
    folder({"lease.txt": lease(law="Ohio")})
    papers.ingest(root)
    assert (fact(papers, "law").value, fact(papers, "law").by) == ("Ohio", "")
    folder({"lease.txt": lease()})
    papers.ingest(root)
    assert fact(papers, "law").by == "", "what has gone does not come back"


def test_a_decision_stays_at_its_place_among_equal_words(papers, root, folder, monkeypatch):
    text = f"{CANARY} Ltd (the “Landlord”) of old.\n\n{lease()}"
    folder({"lease.txt": text})
    papers.ingest(root)
    party = next(one for one in papers.facts("lease.txt") if CANARY in one.value and one.role == "party")
    papers.decide("lease.txt", party.id, "confirmed")
    monkeypatch.setattr(facts, "VERSION", "another")
    papers.read_facts()
    kept = next(one for one in papers.facts("lease.txt") if one.id == party.id)
    assert (kept.state, kept.start, kept.end) == ("confirmed", party.start, party.end)


def test_a_decision_goes_with_a_renamed_folder_and_file_and_goes_with_it(papers, root, settings, tmp_path):
    papers.decide("lease.txt", "law", "confirmed", "Wales")
    (root / "sub").mkdir()
    (root / "lease.txt").rename(root / "sub" / "hall 3.txt")
    assert papers.ingest(root).moved == (("lease.txt", "sub/hall 3.txt"),)
    assert values(papers, "sub/hall 3.txt")["law"] == "Wales"
    moved = root.rename(tmp_path / "elsewhere")
    papers.ingest(moved, moved_from=str(root))
    assert values(papers, "sub/hall 3.txt")["law"] == "Wales"
    text = (moved / "sub" / "hall 3.txt").read_text()
    (moved / "sub" / "hall 3.txt").unlink()
    papers.ingest(moved)
    (moved / "sub" / "hall 3.txt").write_text(text)
    papers.ingest(moved)
    assert values(papers, "sub/hall 3.txt")["law"] == "England"


@pytest.mark.parametrize("encrypted", [False, True])
def test_forgetting_a_document_leaves_no_trace_of_its_facts(papers, root, settings, home, encrypted):
    papers.decide("lease.txt", "law", "confirmed", "Quorndeep")
    papers.decide("lease.txt", f"party={CANARY}", "rejected")
    folder = settings.library_dir("papers")
    assert DATABASE in holding(folder, CANARY) and DATABASE in holding(folder, "Quorndeep")
    papers.close()
    if encrypted:
        encrypt_folder(folder)
    papers.forget(["lease.txt"])
    assert holding(home, CANARY, "Quorndeep", "governed by the laws") == []
    with closing(storage.connect(folder / DATABASE)) as database:
        assert database.execute("SELECT count(*) FROM decided").fetchone()[0] == 0
        rows = "".join(row[0] for row in database.execute("SELECT data FROM facts"))
        assert CANARY not in rows and database.execute("PRAGMA freelist_count").fetchone()[0] == 0
    papers.ingest(root, include_forgotten=True)
    assert values(papers)["law"] == "England"


def test_a_decision_is_in_a_backup_and_comes_back(papers, settings, tmp_path):
    papers.decide("lease.txt", "law", "confirmed", "Wales")
    papers.decide("lease.txt", "payment", "rejected")
    before = papers.facts("lease.txt")
    papers.close()
    backup.write(settings, "papers", tmp_path / "papers.backup", clear=True)
    restore.restore(settings, tmp_path / "papers.backup", "again", unlock=lambda place, ring: None)
    with closing(api.open_library("again", settings=settings)) as again:
        assert again.facts("lease.txt") == before and fact(again, "law").by == audit.user()
        assert fact(again, "payment") is None and again.read_facts() == 0


def test_a_decision_of_a_part_goes_when_the_part_goes(models, settings, tmp_path):
    root = tmp_path / "zipped"
    root.mkdir()

    def pack(**parts):
        with zipfile.ZipFile(root / "all.zip", "w") as archive:
            for name, text in parts.items():
                archive.writestr(f"{name}.txt", text)

    pack(one=lease(), other=lease("Bolt Inc."))
    with closing(api.open_library("zipped", settings=settings, create=True)) as library:
        library.ingest(root)
        for part in ("one", "other"):
            library.decide(f"all.zip/{part}.txt", "law", "confirmed", "Wales")
        pack(other=lease("Bolt Inc.") + "More.")
        library.ingest(root)
        assert values(library, "all.zip/other.txt")["law"] == "Wales"
        library.close()
        with closing(storage.connect(settings.library_dir("zipped") / DATABASE)) as database:
            kept = [tuple(row) for row in database.execute("SELECT path, data FROM decided")]
        assert [path for path, _ in kept] == ["all.zip/other.txt"] and CANARY not in str(kept)
        pack(one=lease(), other=lease("Bolt Inc."))
        library.ingest(root)
        assert values(library, "all.zip/one.txt")["law"] == "England"


@both_stores
def test_a_decision_waits_for_a_part_that_cannot_be_read_now(library, put):
    def read(*names_, failed=()):
        library.begin("/root", "all.zip")
        for name in names_:
            library.put("/root", "all.zip", Part(name, name, 1, Reading((Page("Words."),))), [], {})
        for name in failed:
            library.note_failure("/root", f"all.zip/{name}", "took too long.", "all.zip")
        library.finish("/root", "all.zip", 1, 1, "hash", "stamp")

    read("a.txt", "b.txt")
    for document in library.documents():
        library.decide(document, [Fact("law", "Wales", "Wales", state="confirmed")])
    read(failed=["a.txt"])
    read("a.txt", "b.txt")
    assert [len(library.decisions(one)) for one in library.documents()] == [1, 0]


def test_a_confirmed_value_stands_where_code_reads_another_from_its_words():
    quote = "This Agreement is governed by the laws of England."
    read = [Fact("law", "England", "England", quote), Fact("title", "Lease, 2024", "Lease, 2024")]
    corrected = Fact("title", "Hall 3", "Hall 3", state="confirmed", was="Lease, 2023")
    rejected = Fact("law", "Wales", "Wales", quote, state="rejected")
    assert [one.value for one in merged(read, [corrected, rejected])] == ["Hall 3", "England"]
    assert merged(read, ()) == tuple(read)
    # A person's value of a role counts before another that code reads elsewhere.
    ends = Fact("end", "2026-01-01", "x", "Another sentence."), Fact("end", "2027-05-01", "y", "q", state="confirmed")
    assert [one.value for one in merged(ends[:1], ends[1:])] == ["2027-05-01", "2026-01-01"]
    same = replace(read[0], state="rejected")
    assert [one.role for one in merged(read, [same])] == ["title"]


def test_facts_of_a_document_that_was_replaced_meanwhile_are_not_stored(home, settings, put):
    with closing(Editor.create(settings.library_dir("papers"), "papers", IDENTITY)) as library:
        put(library, "a.txt", lease())
        before = library.document("a.txt")
        facts.refresh(library)
        law = facts.named(library.facts()[before.id], "law")
        library.decide(before, [facts.decided(law, "confirmed", "Wales", "anna", "2026-12-01")])
        put(library, "a.txt", lease() + "More.")
        library.save_facts(before, facts.VERSION, [Fact("law", "Ohio", "Ohio")], ())
        assert library.facts() == {} and len(library.decisions(library.document("a.txt"))) == 1
        assert facts.refresh(library) == 1 and fact_of(library, "law") == "Wales"


def fact_of(library, role, path="a.txt"):
    own = library.facts()[library.document(path).id]
    return next((one.value for one in own if one.role == role), None)


# --- encrypted ----------------------------------------------------------------------------------------------


def test_an_encrypted_library_keeps_its_facts_to_who_has_the_key(papers, settings):
    folder = settings.library_dir("papers")
    papers.decide("lease.txt", "law", "confirmed", "Quorndeep")
    papers.close()
    assert DATABASE in holding(folder, CANARY)
    encrypt_folder(folder)
    papers.decide("lease.txt", "payment", "rejected")
    assert values(papers)["law"] == "Quorndeep" and "payment" not in values(papers)
    papers.close()
    assert holding(folder, CANARY, "Quorndeep", "Landlord", "governed by") == []
    unlocked.forget()
    for look in (
        papers.overview,
        papers.read_facts,
        lambda: papers.facts("lease.txt"),
        lambda: papers.decide("lease.txt", "law", "sure"),
        lambda: api.open_library("papers", settings=settings),
    ):
        with pytest.raises(KeyRequired) as raised:
            look()
        assert CANARY not in str(raised.value) and "Quorndeep" not in str(raised.value)


# --- texts that harm or puzzle ------------------------------------------------------------------------------


def found_in(text, path="agreement.txt"):
    """The facts of a text, each of which is in its words at its place."""
    document = Document(1, "/root", path, "", "", 0, 1, 0, False, language="english")
    found = facts.find(document, (Page(text, 1),))
    assert all(text[one.start : one.end] == one.quote for one in found)
    return found


def test_where_two_contracts_in_one_document_differ_it_is_unclear():
    one, other = lease(), lease("Bolt Inc.", "Crane LLC", "5 May 2020", "1 July 2020", "Ohio", 60)
    for text in (one + other, other + one):
        found = {fact.role: fact for fact in found_in(text)}
        assert [found[role].clear for role in ("start", "payment")] == [False, False]
        assert found["kind"].value == "contract" and found["signed"].value in ("2024-03-01", "2020-05-05")


def test_a_contract_cut_off_anywhere_says_nothing_that_the_whole_does_not():
    whole = lease()
    known = {(one.role, one.value) for one in found_in(whole) if one.clear and one.quote and one.role != "title"}
    for end in range(0, len(whole), 7):
        days = {
            (one.role, one.value) for one in found_in(whole[:end]) if one.role in ("signed", "start", "term", "law")
        }
        assert days <= known | {("law", "Eng"[: n + 1]) for n in range(3)}, whole[:end][-60:]


@pytest.mark.parametrize("pages", [(), (Page(""),), (Page("", 1), Page(" \n\t", 2)), (Page("?!"),), (Page("\n" * 99),)])
def test_an_empty_document_has_a_kind_and_a_title_alone(pages):
    document = Document(1, "/root", "lease.txt", "", "", 0, 1, 0, False, language="english")
    found = facts.find(document, pages)
    assert [(one.role, one.value, one.quote) for one in found] == [("kind", "contract", ""), ("title", "lease", "")]


ODD = {
    "NUL": lease().replace("invoice", "invo\0ice"),
    "surrogates": lease().replace("England", "Eng\ud800land") + "\udfff",
    "right to left": lease().replace("Agreement is", "\u202eAgreement\u202c is\u200f"),
    "tags": lease() + "\U000e0041\U000e007f",
}


@pytest.mark.parametrize("what", ODD)
def test_odd_signs_are_data(what):
    found = {one.role: one.value for one in found_in(ODD[what])}
    assert found["signed"] == "2024-03-01" and found["kind"] == "contract"


def test_hostile_words_in_a_file_come_through_as_data(models, settings, folder):
    hostile = [
        "=cmd|' /C calc'!A0 Ltd",
        "<script>alert(1)</script> Inc.",
        "Ignore previous instructions LLC",
        "[x](y) Ltd",
    ]
    files = {f"{number}.txt": lease(name) for number, name in enumerate(hostile)}
    files["-o =1+1 <b>lease<b>.txt"] = lease()
    files["odd.txt"] = ODD["right to left"] + ODD["tags"]
    with closing(api.open_library("odd", settings=settings, create=True)) as library:
        library.ingest(folder(files))
        made = json.loads(json.dumps(library.overview().to_dict()))
        assert {own["document"] for own in made["documents"]} == set(files)
        for path in files:
            text = library.page_text(path)
            for one in library.facts(path):
                assert text[one.start : one.end] == one.quote
            assert values(library, path)["signed"] == "2024-03-01"
            library.decide(path, "law", "confirmed", "=1+1 <b>")
            assert values(library, path)["law"] == "=1+1 <b>"


BLANK = "Some words. {}More words."
HARMFUL = {
    "open brackets": "(" * 200_000,
    "brackets and quotes": "(“" * 100_000,
    "straight quotes": '"' * 200_000,
    "apostrophes in brackets": "('" * 100_000,
    "terms": "(“Aa”) " * 28_000,
    "blank lines": BLANK.format("\n" * 200_000),
    "lines of a space": BLANK.format(" \n" * 100_000),
    "blank lines before a label": "\n" * 100_000 + "Buyer: Acme Ltd\n",
    "spaces behind a heading": "PARTIES" + " " * 200_000 + "Ann",
    "spaces behind a label": "Buyer: Acme" + " " * 100_000 + "Ltd\n",
    "spaces in a signature": "/s/ Ann" + " " * 100_000 + "Lee\n",
    "lines in a signature": "/s/ Ann" + "\n" * 100_000 + "Lee\n",
    "spaces in a name for notices": "Attention: Ann" + " " * 100_000 + "Lee\n",
    "letters behind an effective date": "The agreement. Effective Date " + "a" * 180 + "; 1 March 2024.",
    "commas behind courts": ("courts " + "a, " * 16) * 3000,
    "brackets behind courts": ("courts " + "(,, " * 16 + "settled. ") * 3000,
    "a filing with blank lines": "FORM 10-K\nSECURITIES AND EXCHANGE COMMISSION\nFoo Corp\n" + "\n" * 100_000 + "x",
    "a filing with ruled lines": "FORM 10-K\nSECURITIES AND EXCHANGE COMMISSION\nFoo Corp\n" + "__ \t\n" * 20_000 + "x",
    "a paper with blank lines": "Abstract\nWords.\n" + "\n" * 200_000 + "x",
    "right-to-left marks": "\u202e\u200f" * 100_000,
    "NUL": "\0" * 200_000,
    "a long table": "| a | b |\n" * 20_000,
}


@pytest.mark.slow
@pytest.mark.parametrize("what", HARMFUL)
def test_no_text_keeps_the_patterns_busy(what):
    assert found_in(HARMFUL[what])[0].role == "kind"  # where one runs back over the text, this does not end


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "Word " * 200_000,
        lease()[:-2] + " and the Tenant shall pay the Landlord" * 27_000,
        "The Supplier shall deliver the Goods and the Customer shall pay within 30 days, " * 12_500,
    ],
    ids=["letters", "names", "a lease", "a clause"],
)
def test_a_megabyte_without_a_full_stop_is_read_in_seconds(text):
    assert found_in(text)[0].role == "kind"


def test_the_company_of_a_filing_stands_above_its_rule():
    head = "FORM 10-K\nUNITED STATES SECURITIES AND EXCHANGE COMMISSION\n"
    for name in ("   Larkspur Holdings, Inc.  \n", "Larkspur Holdings, Inc.\n\n  ______\n  -----\n\n"):
        found = found_in(f"{head}{name}   (Exact name of registrant as specified in its charter)\n")
        assert [one.value for one in found if one.role == "company"] == ["Larkspur Holdings, Inc"]


# --- in PostgreSQL ------------------------------------------------------------------------------------------


@pytest.fixture
def store(pg):
    return new_store(pg)


@pytest.fixture
def shared(store, models, settings, root):
    with closing(api.open_library("papers", settings=settings.with_options(store=str(store)), create=True)) as made:
        made.ingest(root)
        yield made


def opened_as(pg, store, settings, name):
    """The library as a role sees it from a machine of its own."""
    theirs = settings.with_options(store=None)
    url = str(postgres.Store(pg.role(name), store.database, store.address))
    place = theirs.library_dir(f"of {name}")
    place.mkdir(parents=True)
    names.keep_store(place, url, "papers")
    return api.Library(f"of {name}", theirs)


@pytest.mark.slow
def test_readers_see_facts_and_decisions_and_may_decide_nothing(pg, store, shared, settings):
    shared.decide("lease.txt", "law", "confirmed", "Wales")
    with closing(postgres.open_library(str(store), "papers")) as connection:
        postgres.set_right(connection, pg.role("clerk"), "read")
        number = connection.library
    with closing(opened_as(pg, store, settings, "clerk")) as clerk:
        assert clerk.facts("lease.txt") == shared.facts("lease.txt") and values(clerk)["law"] == "Wales"
        assert clerk.overview().unread == 0 and clerk.read_facts() == 0
        with pytest.raises(StorageError) as raised:
            clerk.decide("lease.txt", "law", "rejected")
        assert "write" in raised.value.hint
    for name, seen in (("clerk", [2, 1]), ("stranger", [0, 0])):
        with closing(postgres.Connection(postgres.Store(pg.role(name), store.database, store.address))) as connection:
            connection.use(number)
            for table, rows in zip(("facts", "decided"), seen, strict=True):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == rows
                connection.execute(f"UPDATE {table} SET data = '[]'")
                connection.execute(f"DELETE FROM {table}")
            with pytest.raises(StorageError):
                connection.execute("INSERT INTO decided (root_id, path, file, data) VALUES (1, 'x', 'x', '[]')")
    assert values(shared)["law"] == "Wales"
    with pytest.raises(NotFoundError):
        opened_as(pg, store, settings, "stranger").facts("lease.txt")


@pytest.mark.slow
def test_a_store_of_version_1_is_refused_until_init_brings_it_up(pg, store, shared, settings, root):
    owner = postgres.Store("registry", store.database, store.address)
    shared.close()
    for table in ("facts", "decided", "figures"):
        pg.sql(store.database, f"DROP TABLE localrag.{table}")
    pg.sql(store.database, "COMMENT ON SCHEMA localrag IS 'localrag store 1'")
    with pytest.raises(LibraryError) as raised:
        shared.documents()
    assert "store init" in raised.value.hint
    with pytest.raises(UsageError):
        postgres.initialise(postgres.Store.parse(pg.url(store.database)))
    with pytest.raises(StorageError):
        postgres.initialise(store)
    assert postgres.initialise(owner) and not postgres.initialise(owner)
    assert shared.facts("lease.txt") == () and shared.overview().unread == 2
    assert shared.read_facts() == 2 and values(shared)["law"] == "England"
    shared.decide("lease.txt", "law", "confirmed", "Wales")
    assert shared.ingest(root).unchanged == 2 and values(shared)["law"] == "Wales"
    with closing(postgres.Connection(postgres.Store(pg.role("stranger"), store.database, store.address))) as stranger:
        stranger.use(1)
        for table in ("facts", "decided", "figures"):
            assert stranger.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0
    held = "SELECT count(*) FROM pg_class WHERE relnamespace = 'localrag'::regnamespace AND relkind = 'r' "
    assert pg.sql(store.database, held + "AND NOT (relrowsecurity AND relforcerowsecurity)") == [[2]]  # who may what


@pytest.mark.slow
def test_a_store_of_version_2_gets_the_figures(pg, store, shared, put):
    owner = postgres.Store("registry", store.database, store.address)
    pg.sql(store.database, "DROP TABLE localrag.figures")
    pg.sql(store.database, "COMMENT ON SCHEMA localrag IS 'localrag store 2'")
    shared.close()
    with pytest.raises(LibraryError) as raised:
        shared.documents()
    assert "store init" in raised.value.hint
    assert postgres.initialise(owner) and not postgres.initialise(owner)
    assert shared.facts("lease.txt")
    assert pg.sql(store.database, "SELECT count(*) FROM localrag.figures") == [[0]]


@pytest.mark.slow
def test_two_machines_read_facts_while_the_other_replaces_documents(store, tmp_path, put, monkeypatch):
    with (
        closing(Editor.create_in(store, tmp_path / "one", "papers", IDENTITY)) as one,
        closing(Editor.create_in(store, tmp_path / "two", "papers", IDENTITY)) as two,
    ):
        put(one, "a.txt", lease(), root="/one")
        put(two, "b.txt", lease(), root="/two")
        listed = one.documents
        monkeypatch.setattr(
            one, "documents", lambda: (listed(), put(two, "b.txt", lease(law="Ohio"), root="/two", sha256="new"))[0]
        )
        facts.refresh(one)
        assert fact_of(two, "law") == "England" and len(two.facts()) == 1
        assert facts.refresh(two) == 1 and fact_of(two, "law", "b.txt") == "Ohio"


# --- many ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_first_page_of_a_thousand_documents_is_made(shelf, settings):
    roles = ("party", "party", "effective", "end", "term", "law", "payment", "signatory", "fee")
    made = shelf("many", {f"{number:04}.txt": f"Agreement number {number}." for number in range(1000)})
    with made.transaction():
        for number, document in enumerate(made.documents()):
            told = [
                Fact("kind", "contract", "contract"),
                Fact("title", f"Agreement {number}", ""),
                Fact("signed", "2024-03-01", "1 March 2024", f"Agreement number {number}.", "p. 1", 1, 0, 10),
                *(Fact(role, f"{role} {number % 50}", "words", f"Agreement number {number}.") for role in roles),
            ]
            made.save_facts(document, facts.VERSION, told, ())
    with closing(api.open_library("many", settings=settings)) as library:
        page = library.overview()
        assert (len(page.documents), page.unread, len(page.timeline)) == (1000, 0, 1000)
        assert all(len(own.facts) == 12 for own in page.documents) and len(page.questions) == 5


def test_a_person_adds_a_fact_that_was_not_read(papers):
    added = papers.decide("lease.txt", "courts", "confirmed", "Harbour Trust")
    assert (added.state, added.role) == ("confirmed", "courts") and "Harbour Trust" in added.quote
    assert papers.decide("notes.txt", "deposit", "confirmed", "EUR 4,000").value == "4000 EUR"
    assert values(papers)["courts"] == "Harbour Trust" and values(papers, "notes.txt")["deposit"] == "4000 EUR"
    papers.decide("notes.txt", "deposit", "rejected")
    assert "deposit" not in values(papers, "notes.txt")
    with pytest.raises(NotFoundError):
        papers.decide("lease.txt", "colour", "confirmed", "red")
    with pytest.raises(UsageError):
        papers.decide("lease.txt", "kind", "confirmed", "banana")
    with pytest.raises(NotFoundError):  # nothing to confirm
        papers.decide("notes.txt", "law", "confirmed")

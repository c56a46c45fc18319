from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from fakes import HashingEmbedder

from localrag.errors import NotFoundError, UsageError
from localrag.ingest import chunking
from localrag.ingest.readers.source import SUFFIXES
from localrag.search import filters, retrieval
from localrag.search.filters import checked
from localrag.store import names
from localrag.store.library import Library
from localrag.store.writer import Editor, minhash, passage_digest
from localrag.types import EVERYTHING, Filter, Page, Part, Plan, Reading

EMBEDDER = HashingEmbedder()
Made = Callable[..., Library]

# path: author, date, pages
LETTERS: Mapping[str, tuple[str, str, int]] = {
    "leases/hall.pdf": ("Jane Doe", "2023-06-30", 9),
    "leases/yard.docx": ("", "2023", 0),
    "leases/old/barn.pdf": ("Ann Ox", "2019-01-02T10:00:00+02:00", 2),
    "mails/one.eml": ("JANE DOE", "2024-02-01T23:30:00-05:00", 0),
    "mails/one.eml/offer.xlsx": ("", "", 3),
    "notes.txt": ("", "", 0),
}


@pytest.fixture
def made(settings):
    libraries: list[Editor] = []

    def make(name, documents=LETTERS, root="/stand"):
        library = Editor.create(settings.library_dir(name), name, EMBEDDER.identity)
        for path, (author, date, pages) in documents.items():
            texts = [f"The notice stands on page {n} of {path}, said {name}." for n in range(1, max(pages, 1) + 1)]
            read = tuple(Page(text, n if pages else None) for n, text in enumerate(texts, 1))
            chunks = chunking.split(read, count=EMBEDDER.count, title="", limit=254)
            keys = [passage_digest("", chunk) for chunk in chunks]
            vectors = EMBEDDER.embed_documents([chunking.embedded_text("", chunk) for chunk in chunks])
            part = Part("", f"hash of {path}", 1, Reading(read, author=author, date=date))
            with library.transaction():
                library.begin(root, path)
                library.put(root, path, part, chunks, dict(zip(keys, vectors, strict=True)), minhash(path))
                library.finish(root, path, 1, 1, part.sha256, "read by a test")
        library.save_index()
        libraries.append(library)
        return library

    yield make
    for library in libraries:
        library.close()


def passing(library, only):
    libraries = library if isinstance(library, list) else [library]
    return {document.path for _, document in filters.chosen(libraries, only).documents}


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({}, set(LETTERS)),
        ({"documents": ["leases/*"]}, {"leases/hall.pdf", "leases/yard.docx", "leases/old/barn.pdf"}),
        ({"documents": ["notes.txt", "*.eml"]}, {"notes.txt", "mails/one.eml"}),
        ({"folder": "leases"}, {"leases/hall.pdf", "leases/yard.docx", "leases/old/barn.pdf"}),
        ({"folder": "/stand/leases/old"}, {"leases/old/barn.pdf"}),
        ({"folder": "mails/one.eml"}, {"mails/one.eml/offer.xlsx"}),
        ({"types": ["pdf"]}, {"leases/hall.pdf", "leases/old/barn.pdf"}),
        ({"types": [".PDF", "mail"]}, {"leases/hall.pdf", "leases/old/barn.pdf", "mails/one.eml"}),
        ({"sender": "jane"}, {"leases/hall.pdf", "mails/one.eml"}),
        ({"since": "2024"}, {"mails/one.eml"}),
        ({"since": "2023-06-30"}, {"leases/hall.pdf", "leases/yard.docx", "mails/one.eml"}),
        ({"until": "2023"}, {"leases/hall.pdf", "leases/yard.docx", "leases/old/barn.pdf"}),
        ({"until": "2023-06-29"}, {"leases/yard.docx", "leases/old/barn.pdf"}),
        ({"since": "2019-01-02", "until": "2019-01-02"}, {"leases/old/barn.pdf"}),
        ({"pages": (3, 7)}, {"leases/hall.pdf", "mails/one.eml/offer.xlsx"}),
        (
            {"folder": "leases", "types": ["pdf"], "since": "2020", "sender": "DOE", "pages": (1, 1)},
            {"leases/hall.pdf"},
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_only_what_fits_every_part_passes(made, only, expected):
    assert passing(made("letters"), checked(**only)) == expected


def test_a_folder_may_be_named_as_it_lies_on_the_disk(made, tmp_path, monkeypatch):
    library = made("letters", root=str(tmp_path / "papers"))
    (tmp_path / "papers" / "leases").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    for folder in ("papers/leases/old", "./papers/leases/old/", str(tmp_path / "papers/leases/old")):
        assert passing(library, checked(folder=folder)) == {"leases/old/barn.pdf"}
    monkeypatch.chdir(tmp_path / "papers" / "leases")
    assert passing(library, checked(folder=".")) == {p for p in LETTERS if p.startswith("leases/")}


def test_a_glob_that_matches_nothing_beside_others_is_told_and_case_counts_only_where_it_must(made):
    library = made("letters")
    chosen = filters.chosen([library], Filter(documents=("zzz*", "NOTES.txt")))
    assert {document.path for _, document in chosen.documents} == {"notes.txt"}
    (left_out,) = chosen.left_out
    assert "zzz*" in left_out.reason and left_out.library == "letters"
    assert names.named(["A.txt", "a.txt"], ["a.*"], any_case=True) == {"a.txt"}
    with pytest.raises(NotFoundError):
        library.documents(["NOTES.txt"])  # what is forgotten is named as it is written


def test_a_part_of_a_folders_name_is_no_folder(made):
    library = made("letters", {"leases/a.txt": ("", "", 0), "leases old/b.txt": ("", "", 0)})
    assert passing(library, checked(folder="leases")) == {"leases/a.txt"}


def test_a_filter_need_fit_in_one_library_only(made):
    first = made("first", {"a.txt": ("Jane", "2020", 0)})
    second = made("second", {"a.txt": ("", "2024", 0), "b.txt": ("Ann", "2024", 0)})
    only = checked(since="2024", documents=["a.txt"])
    assert [(library.name, document.path) for library, document in filters.chosen([first, second], only).documents] == [
        ("second", "a.txt")
    ]
    assert filters.scopes([first, second], only) == [(second, [1])]
    assert filters.scopes([first, second], EVERYTHING) == [(first, None), (second, None)]


@pytest.mark.parametrize(
    ("only", "said"),
    [
        (
            {"documents": ["leases/*"], "since": "2024"},
            "3 documents matching 'leases/*', but none dated 2024 or later. Their dates run from 2019-01-02 to 2023-06-30.",
        ),
        ({"folder": "lease"}, "Did you mean 'leases'?"),
        ({"documents": ["nots.txt"]}, "Did you mean 'notes.txt'?"),
        (
            {"types": ["pdf"], "sender": "bob"},
            "but none from 'bob'. Authors and senders that are there: Jane Doe, Ann Ox.",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_where_nothing_passes_it_says_which_part_excluded_everything(made, only, said):
    with pytest.raises(NotFoundError) as raised:
        filters.chosen([made("letters")], checked(**only))
    assert said in raised.value.hint and "'letters'" in raised.value.message


def test_documents_left_out_as_nothing_is_known_of_them_are_counted(made):
    library = made("letters")
    assert filters.chosen([library], EVERYTHING).left_out == ()
    (undated,) = filters.chosen([library], checked(since="2019")).left_out
    assert (undated.library, undated.document) == ("letters", "") and undated.reason.startswith("2 documents")
    assert filters.chosen([library], checked(since="2019", documents=["leases/*"])).left_out == ()
    (unpaged,) = filters.chosen([library], checked(pages=(2, 3))).left_out
    assert unpaged.reason.startswith("3 documents without pages")


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": "June"},
        {"since": "2023-13"},
        {"until": "2023-02-30"},
        {"since": "2024", "until": "2023-12-31"},
        {"types": ["pdff"]},
        {"pages": (7, 3)},
        {"pages": (-1, 3)},
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_is_no_filter_is_refused_with_a_hint(wrong):
    with pytest.raises(UsageError) as raised:
        checked(**wrong)
    assert raised.value.hint


def test_a_period_may_begin_and_end_on_the_same_day_or_in_the_same_year():
    for since, until in (("2023", "2023"), ("2023-06-30", "2023"), ("2023", "2023-01"), ("2023-06", "2023-06-01")):
        assert checked(since=since, until=until)


def test_every_suffix_that_is_read_is_of_one_type():
    known = [suffix for suffixes in filters.FAMILIES.values() for suffix in suffixes]
    archives = {suffix for suffix, module in SUFFIXES.items() if module.endswith(".archives")} - {".mbox"}
    assert sorted(known) == sorted(suffix.removeprefix(".") for suffix in set(SUFFIXES) - archives)


def test_a_page_range_holds_before_both_searches(made):
    """More passages outside the range than either search gives, all with better words."""
    library = made("long", {"long.pdf": ("", "", 300), "mail.eml": ("", "", 0)})
    embedders = {"long": EMBEDDER}
    question = "The notice stands on page 299"
    found = retrieval.search([library], embedders, question, documents=checked(pages=(3, 5)), k=10)
    assert {passage.page for passage in found} == {3, 4, 5}
    assert all({"dense", "lexical"} == set(passage.signals) for passage in found)
    only_document = retrieval.search(
        [library], embedders, question, documents=checked(pages=(300, None)), document_ids=[1], k=10
    )
    assert {(passage.document, passage.page) for passage in only_document} == {("long.pdf", 300)}


def test_a_passage_on_several_pages_is_shown_where_it_was_asked_for(settings, put):
    library = Editor.create(settings.library_dir("twice"), "twice", EMBEDDER.identity)
    put(library, "a.pdf", ["Flamingos are pink.", "Another page.", "Flamingos are pink."])
    library.save_index()
    (found,) = retrieval.search([library], {"twice": EMBEDDER}, "flamingos", documents=checked(pages=(3, 3)))
    assert found.page == 3 and found.also == ()
    library.close()


def test_a_filter_is_told_in_words():
    only = checked(["a*"], "leases", ["pdf", "mail"], "2023", "2024-06", "Doe", (3, 7))
    assert filters.described(only) == (
        "matching 'a*', in the folder 'leases', of the type pdf or mail, from 'Doe', dated 2023 to 2024-06, "
        "with pages 3-7"
    )
    plan = Plan("read", "It fits.", {"documents": 1})
    assert filters.named_in(plan, only).reason == "It fits. Only pages 3-7 are looked at."


# --- single documents ---------------------------------------------------------------------------------------


def test_single_documents_are_matched_by_exact_path(made):
    none = ("", "", 0)
    one = made("one", {"a[1]*.pdf": none, "a1b.pdf": none, "x/a.pdf": none})
    other = made("other", {"a1c.pdf": none, "x/a.pdf": none, "a.pdf": none})
    only = Filter(these=(("one", "a[1]*.pdf"), ("other", "a.pdf")))
    passed = filters.chosen([one, other], only).documents
    assert [(library.name, document.path) for library, document in passed] == [("one", "a[1]*.pdf"), ("other", "a.pdf")]


def test_single_documents_that_are_gone_are_said_to_be(made):
    with pytest.raises(NotFoundError, match=r"among 'gone\.pdf'") as raised:
        filters.chosen([made("one")], Filter(these=(("one", "gone.pdf"),)))
    assert "choose again" in raised.value.hint


def test_what_lies_in_a_single_document_and_failed_might_have_passed():
    only = Filter(these=(("one", "mail.eml"),))
    assert filters.may_hold(only, "one", "/r", "mail.eml/broken.pdf") and filters.may_hold(
        only, "one", "/r", "mail.eml"
    )
    assert not filters.may_hold(only, "one", "/r", "mail.eml2")
    assert not filters.may_hold(only, "two", "/r", "mail.eml")

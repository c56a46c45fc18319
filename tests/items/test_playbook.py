"""Playbooks: what is accepted, what is refused and where, and the schema for editors."""

import subprocess
import sys

import msgspec
import pytest
import yaml

from localrag.errors import NotFoundError, UsageError
from localrag.items import playbook
from localrag.items.playbook import Expect, Playbook, PlaybookItem
from localrag.types import Document

HEAD = "title: Test\nitems:\n  - id: term\n    question: How long?\n"


def refused(text):
    with pytest.raises(UsageError) as caught:
        playbook.parse(text.encode(), "own.yaml")
    return caught.value.message


def position(text):
    return playbook.parse((HEAD + text).encode(), "own.yaml").items[0].position


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", None),
        ("    expect: yes", Expect(present=True)),
        ("    expect: no", Expect(present=False)),
        ("    expect: New York", Expect(one_of=("New York",))),
        ("    expect: [New York, Delaware]", Expect(one_of=("New York", "Delaware"))),
        ("    type: date\n    expect: 2026-01-31", Expect(one_of=("2026-01-31",))),
        ("    type: duration\n    expect: {at_least: 30 days}", Expect(at_least="30 days")),
        ("    expect: {must_not_say: [indemnify]}", Expect(must_not_say=("indemnify",))),
    ],
)
def test_a_position_is_written_short_or_in_full(text, wanted):
    assert position(text) == wanted


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (HEAD + "    tipe: date\n", 3, ("'term': ", "'tipe'", "importance")),
        (HEAD + "    type: dates\n", 3, ("'term', type:", "'dates'", "duration")),
        (HEAD + "    expect: {atleast: 3}\n", 3, ("'term', expect:", "'atleast'", "at_least")),
        (HEAD + "    expect:\n", 3, ("'term', expect:", "empty")),
        (HEAD + "    expect: {present: maybe}\n", 3, ("'term', expect.present:", "yes or no")),
        (HEAD + "    like: one wording\n", 3, ("'term', like:", "[one wording]")),
        (HEAD + "    choices: [yes, no]\n", 3, ("'term', choices[0]:", 'quotes: "yes"')),
        (HEAD + "    note: [one]\n", 3, ("'term', note:", "a text")),
        (HEAD + "  - id: a b\n    question: q\n", 5, ("'a b', id:", "letters")),
        (HEAD + "  - id: other\n", 5, ("'other'", "'question' is missing")),
        (HEAD + "  - other\n", 5, ("item 2", "question")),
        (HEAD + "    type: duration\n    expect: {at_least: soon}\n", 3, ("'soon'", "30 days")),
        (HEAD + "    type: duration\n    expect: 5\n", 3, ("'5'", "30 days")),
        (HEAD + "    type: money\n    expect: {at_most: 5000}\n", 3, ("'5000'", "EUR 1,000")),
        (HEAD + "    type: percent\n    expect: {at_least: 7 %, at_most: 5 %}\n", 3, ("7 %", "5 %", "at_most")),
        (HEAD + "    type: money\n    expect: {at_least: EUR 5, at_most: USD 7}\n", 3, ("USD 7", "same unit")),
        (HEAD + "    expect: {at_least: 3 days}\n", 3, ("at_least", "duration")),
        (HEAD + "    type: choice\n", 3, ("choices", "[monthly, yearly]")),
        (HEAD + "    type: choice\n    choices: [a, b]\n    expect: c\n", 3, ("'c'",)),
        (HEAD + "    clause: weather\n", 3, ("'weather'", "governing-law")),
        (HEAD + "    id: again\n", 5, ("'id'", "twice")),
        (HEAD + "  - id: term\n    question: Again?\n", 5, ("same id",)),
        ("title: &a Test\nitems: [{id: a, question: *a}]\n", 2, ("aliases",)),
        ("title: !!python/object/apply:os.system [ls]\nitems: []\n", 1, ("tag",)),
        ("title: !!bool foo\nitems: []\n", 1, ("tag", "!!bool")),
        ("title: !!timestamp foo\nitems: []\n", 1, ("tag",)),
        ('title: Test\nitems:\n  - id: !!int ""\n', 3, ("tag",)),
        ("title: Test\nitems: !!set {a}\n", 2, ("tag",)),
        ("title: [open", 1, ()),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_item_and_what_to_write(text, line, words):
    message = refused(text)
    assert message.startswith(f"own.yaml:{line}: ")
    assert all(word in message for word in words), message
    assert "`" not in message and "object" not in message.replace("python/object", "")


def test_numbers_and_words_are_taken_as_they_are_written():
    assert position("    type: percent\n    expect: {at_most: 5}") == Expect(at_most="5")
    assert position("    type: number\n    expect: 1.50") == Expect(one_of=("1.50",))
    assert position("    type: date\n    expect: 2026-01-31") == Expect(one_of=("2026-01-31",))


@pytest.mark.parametrize(
    ("path", "title", "text", "other"),
    [
        ("a.txt", "", "This Mutual Nondisclosure Agreement is made", False),
        ("a.txt", "", "NON - DISCLOSURE AGREEMENTS of both", False),
        ("nda/acme_nda_final.docx", "", "", False),
        ("a.txt", "Our NDA", "", False),
        ("nda/lease.pdf", "Lease", "The tenant pays the rent.", True),
        ("a.txt", "", "Panda", True),
        ("a.txt", "", "Lease. " + "The tenant pays the rent. " * 50 + "A non-disclosure agreement binds them.", True),
    ],
)
def test_a_document_of_another_kind_is_remarked(path, title, text, other):
    kinds = "non-disclosure agreement, NDA"
    made = playbook.parse(f"applies_to: {kinds}\n{HEAD}".encode(), "own.yaml")
    document = Document(1, "", path, title, "", 0, 1, 0, True)
    assert bool(made.remark(document, text)) is other
    assert not playbook.parse(HEAD.encode(), "own.yaml").remark(document, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: Test\nitems: []", "items: it is empty"),
        ("title: Test", "'items' is missing"),
        ("- a list", "title"),
        ("", "empty"),
    ],
)
def test_what_is_no_playbook_is_refused(text, words):
    assert words in refused(text) and refused(text).startswith("own.yaml: ")


def test_bombs_and_large_files_are_refused():
    bomb = "a: &a [x,x]\n" + "".join(
        f"{new}: &{new} [*{old},*{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "aliases" in refused(bomb)
    assert "larger" in refused("# " + "x" * playbook.MAX_BYTES)
    assert refused("[" * 5000)
    assert refused("")


def test_keys_and_ids_are_looked_up_not_compared_one_by_one():
    compared = 0

    class Key(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    keys = [yaml.ScalarNode("tag:yaml.org,2002:str", Key(number)) for number in range(100)]
    playbook._check_keys(yaml.MappingNode("tag:yaml.org,2002:map", [(key, key) for key in keys]))
    items = tuple(PlaybookItem(Key(number), "What?") for number in range(100))
    assert list(playbook._problems(Playbook("Test", items))) == []
    assert compared < 100


def test_a_playbook_survives_being_written():
    made = Playbook(
        "Test", (PlaybookItem("a", "What?", expect=Expect(at_least="3 days"), type="duration", like=("x: [y]",)),)
    )
    assert playbook.parse(playbook.to_yaml(made).encode(), "own.yaml") == made


def test_a_playbook_is_a_file_or_comes_with_localrag(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(HEAD)
    assert playbook.load(str(file)).title == "Test"
    assert len(playbook.load("cuad").items) == 41
    for missing in ("nowhere", str(tmp_path / "nowhere.yaml")):
        with pytest.raises(NotFoundError):
            playbook.load(missing)


def test_the_schema_names_every_field_and_forbids_others():
    made = playbook.schema()["$defs"]
    assert "governing-law" in made["PlaybookItem"]["properties"]["clause"]["enum"]
    for kind in (Playbook, PlaybookItem, Expect):
        assert set(made[kind.__name__]["properties"]) == set(kind.__struct_fields__)
        assert made[kind.__name__]["additionalProperties"] is False
    assert all("description" in one for one in made["PlaybookItem"]["properties"].values())
    assert msgspec.json.encode(made)


def test_a_playbook_is_read_before_the_process_is_confined():
    """Threads of numpy would keep it from being confined."""
    code = "import sys; from localrag.items import playbook; playbook.load('cuad'); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

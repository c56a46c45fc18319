import io
import json
import os
import random
import re
import stat
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conversations import WHOLE, answer
from docx import Document
from markdown_it import MarkdownIt

from localrag.errors import LocalragError, StorageError, UsageError
from localrag.security import audit
from localrag.sessions import Origin, SavedTurn, Session
from localrag.sessions.export import file_name, form_of, write, written
from localrag.types import Answer, Citation, Filter, NotRead, Plan

TIME = "2026-01-01T10:00:00+00:00"


def conversation(*answers, title="Lease"):
    turns = tuple(SavedTurn(one.question, TIME, one) for one in answers)
    return Session("20260101T100000000000-abcdef", title, ("contracts",), TIME, turns)


def text(session, form="md"):
    return written(session, form).decode()


def word(session):
    return [paragraph.text for paragraph in Document(io.BytesIO(written(session, "docx"))).paragraphs]


def html_text(page):
    words = []
    parser = HTMLParser()
    parser.handle_data = words.append
    parser.feed(page)
    return "".join(words)


EVERYWHERE = (
    "Libraries: contracts.",
    "Asked only of documents matching 'leases/*'.",
    "Branched from “Old” after turn 2.",
    "Answered by fake-1b",
    "When does the lease end?",
    "⚠ EUR 58,000: not in what is cited.",
    "⚠ No source for: “It rains.”",
    "5 / 10 = 50 %, from p. 60",
    "The documents differ. Pay within: “30 days” (2025-09-08, a.pdf, p. 1)",
    "lease.pdf, p. 12 (printed xii) (library contracts)",
    "This answer is not complete",
    "1 quote left out: the words are not in the documents.",
    "Not read: scan.pdf, p. 3: no text on page 3",
    "retrieve: a short question · 2 passages · answered by fake-1b · 2026-01-01T10:00:00+00:00",
    "And then?",
    "This question has no answer.",
    "lease.pdf: p. 12 (printed xii) (library contracts)",
)


def test_every_format_tells_all_there_is_to_know_of_an_answer():
    session = conversation(replace(WHOLE, answer="It ends on 31 May 2030 [1]. It rains."))
    session = replace(
        session,
        only=Filter(("leases/*",)),
        origin=Origin("x", "Old", 2),
        turns=(*session.turns, SavedTurn("And then?", TIME, None, "Half a")),
    )
    for shown in (text(session).replace("\\", ""), html_text(text(session, "html")), "\n".join(word(session))):
        assert "It ends on 31 May 2030 [1]. It rains. ⚠" in shown and "Half a" in shown
        assert [words for words in EVERYWHERE if words not in shown] == []


def test_the_json_is_what_is_kept_with_the_documents_cited_once_each():
    found = json.loads(text(conversation(WHOLE), "json"))
    assert found["turns"][0]["answer"] == json.loads(json.dumps(WHOLE.to_dict()))
    page = text(conversation(WHOLE), "html")  # it forbids itself everything but its own style
    assert re.search(r'Content-Security-Policy" content="default-src \'none\'; style-src \'sha256-[^\']{44}\'', page)
    assert "http://" not in page and "https://" not in page and "url(" not in page
    assert found["sources"] == [{"document": "lease.pdf", "library": "contracts", "places": ["p. 12 (printed xii)"]}]
    one, two = (replace(WHOLE.citations[0], place=place) for place in ("p. 2", "p. 12"))
    other = replace(one, document="annex.pdf", place="")
    session = conversation(replace(WHOLE, citations=(one, two, one)), replace(WHOLE, citations=(other,)))
    sources = "1. annex.pdf (library contracts)\n2. lease.pdf: p. 2; p. 12 (library contracts)\n"
    assert text(session).endswith(f"## Sources\n\n{sources}"), "each document once with every place"


def test_an_answer_that_is_not_sure_tells_its_state():
    session = conversation(replace(WHOLE, certainty="unclear"))
    assert "· certainty: unclear ·" in text(session) and 'class="answer unclear"' in text(session, "html")


def test_an_answer_keeps_its_form_in_word():
    written_so = "**Two** terms:\n\n- one\n  - inner\n- two\n\n3. three\n4. four\n\n> said\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```"
    document = Document(io.BytesIO(written(conversation(replace(WHOLE, answer=written_so)), "docx")))
    forms = {paragraph.text: paragraph.style.name for paragraph in document.paragraphs}
    assert forms["one"] == "List Bullet" and forms["inner"] == "List Bullet 2"
    assert forms["3. three"] == "List" and "4. four" in forms and forms["said"] == "Quote" and "code" in forms
    assert [[cell.text for cell in row.cells] for row in document.tables[0].rows] == [["a", "b"], ["1", "2"]]
    (terms,) = (paragraph for paragraph in document.paragraphs if paragraph.text == "Two terms:")
    assert [run.text for run in terms.runs if run.bold] == ["Two"]


EVIL = [
    "![x](https://example.invalid/?leak)",
    r"\\[y\\](https://example.invalid)",
    r"\<img src=x onerror=alert(1)>",
    "<https://example.invalid>",
    "[z]: https://example.invalid\n\n[z]",
    "&lt;img src=x&gt;",
    "```\n</code></pre><script>alert(1)</script>",
    '``` "><script>alert(1)</script>\nx\n```',
    "| [a](https://example.invalid) |\n|---|\n| <b>x</b> |",
    "--> ]]> </style><script>alert(1)</script>",
    "https://example.invalid/?leak and WWW.example.invalid, mailto:x@example.invalid",
    "- ftp://example.invalid\n\n| a |\n|---|\n| x@example.invalid |",
]
LIVE = {"link_open", "image", "html_inline", "html_block"}


def evil(words):
    cited = Citation(words, words, 1, words, words, words, 0, 1, 1)
    unread = NotRead(words, words, words)
    more = {"model": words, "unsupported": (words,), "looked_at": words, "not_read": (unread,)}
    made = Answer(words, words, True, Plan("retrieve", words), (cited,), **more)
    session = conversation(made, title=words)
    return replace(session, libraries=(words,), created=words, origin=Origin(words, words, 1))


def test_no_mixture_of_signs_sets_anything_free():
    dice = random.Random(7)
    parts = ["[", "]", "(", ")", "\\", "!", "<", ">", "`", "\n", "x", "http://e.invalid", "img src=x", ":", " ", "```"]
    for _ in range(200):
        words = "".join(dice.choices(parts, k=dice.randint(2, 14)))
        assert live(text(evil(words))) == set(), repr(words)
        assert live_html(text(evil(words), "html")) == [], repr(words)


def live(exported):
    tokens = MarkdownIt("gfm-like").parse(exported)  # as viewers do that make links of bare addresses
    return {one.type for token in tokens for one in (token, *(token.children or ()))} & LIVE


ALLOWED = set(
    "html head meta title style body h1 h2 h3 h4 h5 h6 p section div ul ol li figure figcaption blockquote pre code em "
    "strong s table thead tbody tr th td br hr".split()
)
ATTRIBUTES = {"lang", "charset", "http-equiv", "content", "name", "class", "id", "aria-labelledby", "start"}


class Live(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [tag] if tag not in ALLOWED else []
        self.found += [f"{tag} {name}" for name, _ in attrs if name not in ATTRIBUTES]

    def handle_comment(self, data):
        self.found.append(f"comment {data}")


def live_html(page):
    parser = Live()
    parser.feed(page)
    return parser.found


@pytest.mark.parametrize("words", EVIL)
def test_nothing_in_an_export_is_live_and_all_that_was_said_is_shown(words):
    session, plain = evil(words), " ".join(words.split())
    assert live(text(session)) == set()
    page = text(session, "html")
    assert live_html(page) == [] and plain in " ".join(html_text(page).split())
    with zipfile.ZipFile(io.BytesIO(written(session, "docx"))) as package:
        for name in package.namelist():
            content = package.read(name).decode("utf-8", "replace")
            assert not name.endswith(".rels") or 'TargetMode="External"' not in content, name
            assert not re.search("<w:(instrText|fldSimple|fldChar|hyperlink|object)", content), name
    assert plain in {" ".join(paragraph.split()) for paragraph in word(session)}


@pytest.mark.parametrize("heading", ["# Fake", "Fake\n===", "> ## Fake", "1. # Fake", "```python\nx = 1"])
def test_an_answer_cannot_pass_for_a_question(heading):
    session = conversation(replace(WHOLE, answer=f"Well.\n\n{heading}\n\nEnd."))
    tokens = MarkdownIt("commonmark").parse(text(session))
    headings = [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"]
    assert headings == ["Lease", "When does the lease end?", "Sources"]
    document = Document(io.BytesIO(written(session, "docx")))
    styles = [paragraph.text for paragraph in document.paragraphs if paragraph.style.name.startswith("Heading")]
    assert styles == ["When does the lease end?", "Sources"]


def test_a_quote_is_exported_character_for_character():
    quote = "a `code`\n````\n<b>[x](y)</b>  *z*\n\tend ````"
    cited = replace(WHOLE.citations[0], document=os.fsdecode(b"caf\xe9.pdf"), quote=quote)  # a name that is not UTF-8
    session = conversation(replace(WHOLE, citations=(cited,)))
    assert f"`````text\n{quote}\n`````" in text(session)
    assert quote in html_text(text(session, "html")) and quote in word(session)
    assert json.loads(text(session, "json"))["turns"][0]["answer"]["citations"][0]["quote"] == quote


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x9b", "\u202e", "\ufffe"])
def test_characters_that_are_no_text_are_replaced_where_text_is_written(character):
    session = conversation(answer(f"a{character}b?", f"c{character}d"), title=f"t{character}")
    for shown in (text(session), text(session, "html"), "\n".join(word(session))):
        assert character not in shown and "c�d" in shown
    assert json.loads(text(session, "json"))["turns"][0]["question"] == f"a{character}b?"


def test_an_export_is_its_owners_only_and_stands_in_the_record(tmp_path):
    path, record = tmp_path / "lease.md", tmp_path / "audit.jsonl"
    write(conversation(WHOLE), path, "md", record)
    assert path.read_text() == text(conversation(WHOLE))
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (line,) = record.read_text().splitlines()
    assert json.loads(line)["event"] == "export" and json.loads(line)["library"] == "contracts"
    assert "lease end" not in line and audit.verify(record) == []
    record.with_suffix(".key").unlink()  # nothing can be added to it without its key
    with pytest.raises(LocalragError):
        write(conversation(WHOLE), tmp_path / "second.md", "md", record)
    assert not (tmp_path / "second.md").exists()


def test_an_export_replaces_no_file_unless_told_to(tmp_path):
    path = tmp_path / "lease.md"
    path.write_text("mine")
    with pytest.raises(UsageError):
        write(conversation(WHOLE), path, "md", None)
    assert path.read_text() == "mine"
    write(conversation(WHOLE), path, "md", None, replace=True)
    assert path.read_text() != "mine"
    for place in (tmp_path, tmp_path / "none" / "x.md"):
        with pytest.raises(StorageError):
            write(conversation(WHOLE), place, "md", None, replace=True)


def test_a_file_is_named_after_the_title_safely_and_its_ending_says_its_format():
    for title, name in (
        ("When does the lease end?", "when-does-the-lease-end-2026-01-01.html"),
        ("../../etc/passwd", "etc-passwd-2026-01-01.html"),
        ("\x1b[31m\n", "31m-2026-01-01.html"),
        ("x" * 300, "x" * 60 + "-2026-01-01.html"),
        ("Prüfung", "prüfung-2026-01-01.html"),
    ):
        assert file_name(conversation(title=title), "html") == name
    forms = [form_of(Path(f"a.{end}")) for end in ("md", "Markdown", "HTM", "docx", "json")]
    assert forms == ["md", "md", "html", "docx", "json"]
    with pytest.raises(UsageError):
        form_of(Path("a.odt"))

"""Comments of real Word and PDF files are listed with author, clause and quotes."""

import io

import docx
import pypdf
import pytest
from pypdf.annotations import Highlight, Text
from pypdf.generic import ArrayObject, FloatObject, NameObject, TextStringObject
from reportlab.pdfgen.canvas import Canvas

from localrag.answer import exact_search as search
from localrag.grounding import locate
from localrag.ingest.readers import pdf, word
from localrag.ingest.readers.source import Options, Source
from localrag.question.exact import parse
from localrag.types import EVERYTHING


def word_file(path):
    """Write a contract with comments on clauses 8, 9.2 (two) and one under clause 9 without a number."""
    document = docx.Document()
    document.add_heading("Services", 0)
    for text, said in (
        ("8. Term. It lasts for 2 years.", [("Smith", "Too long.")]),
        ("9. Liability", []),
        ("9.2 The Supplier is liable up to EUR 5,000.", [("Anna Roe", "Too low: EUR 50,000."), ("Smith", "No.")]),
        ("Nothing limits liability for fraud.", [("Anna Roe", "Agreed.")]),
        ("12. Law. In 2024 the law of Ireland applies.", []),
    ):
        paragraph = document.add_paragraph(text)
        for author, words in said:
            document.add_comment(paragraph.runs, text=words, author=author, initials="X")
    document.save(str(path))
    return path


def pdf_file(path):
    """Write a page with a highlight on its clause 9 and a note that marks nothing."""
    stream = io.BytesIO()
    sheet = Canvas(stream, pagesize=(595, 842))
    sheet.drawString(72, 700, "9. The rent is due monthly.")
    sheet.drawString(72, 660, "10. The deposit is returned.")
    sheet.save()
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(stream.getvalue()))
    corners = (72, 712, 300, 712, 72, 696, 300, 696)
    mark = Highlight(rect=(72, 696, 300, 712), quad_points=ArrayObject(map(FloatObject, corners)))
    mark[NameObject("/Contents")], mark[NameObject("/T")] = TextStringObject("Weekly?"), TextStringObject("Doe, J.")
    note = Text(text="Who signs?", rect=(10, 10, 30, 30))
    for one in (mark, note):
        writer.add_annotation(0, one)
    writer.write(str(path))
    return path


@pytest.fixture
def pairs(shelf, tmp_path):
    contract = word.read(Source.of(word_file(tmp_path / "msa.docx")), Options())
    lease = pdf.read(Source.of(pdf_file(tmp_path / "lease.pdf")), Options(ocr="off"))
    library = shelf("law", {"msa.docx": contract.pages[0].text, "lease.pdf": [one.text for one in lease.pages]})
    return [(library, document) for library, document in ((library, one) for one in library.documents())]


def ask(pairs, question):
    task = parse(question)
    assert task is not None and search.applicable(task, pairs)
    answer = search.run(task, pairs, EVERYTHING)
    for cited in answer.citations:
        (library, document) = next(pair for pair in pairs if pair[1].path == cited.document)
        assert library.page_text(document.id, 0)[cited.start : cited.end] == cited.quote
        assert f"[{cited.marker}]" in answer.text
    return answer


def said(answer):
    return [(row["author"], row["clause"], row["comment"]) for row in answer.rows]


def test_what_the_other_side_comments_on_a_clause(pairs):
    answer = ask(pairs, "What did the other side comment on clause 9?")
    assert said(answer) == [
        ("Doe, J.", "9", "Weekly?"),
        ("Anna Roe", "9.2", "Too low: EUR 50,000."),
        ("Smith", "9.2", "No."),
        ("Anna Roe", "9.2", "Agreed."),
    ]
    assert any(row["about"] == "9.2 The Supplier is liable up to EUR 5,000." for row in answer.rows)
    assert "9. The rent is due monthly" in next(row["about"] for row in answer.rows if row["author"] == "Doe, J.")


def test_comments_are_narrowed_by_document_and_author(pairs):
    assert said(ask(pairs, "List the comments by Anna Roe in msa.docx")) == [
        ("Anna Roe", "9.2", "Too low: EUR 50,000."),
        ("Anna Roe", "9.2", "Agreed."),
    ]
    assert said(ask(pairs, "Who commented on clause 8?")) == [("Smith", "8", "Too long.")]
    assert ("an unknown author", "", "Who signs?") in said(ask(pairs, "Are there any comments in lease.pdf?"))
    none = ask(pairs, "What did Ms Poe comment on clause 8?")
    assert not none.found and "Smith (clause 8)" in none.text and none.rows == ()


def test_words_in_a_document_without_pages_are_the_nearest_above_their_comment(shelf):
    lease = (
        "1. Rent\nThe Tenant pays the rent.\n\n7. Increase\nThe Landlord may raise the rent each year.\n"
        "[Comment by Roe, on “the rent”: Too high?]\n[Comment by Doe, on “The  rent”: No.]\n"
        "[Comment by Poe, on “the deposit”: Where is it?]\n\n8. Law\nThat of Ireland.\n"
    )
    library = shelf("law", {"lease.md": lease})
    (document,) = library.documents()
    answer = ask([(library, document)], "List the comments")
    assert said(answer) == [("Roe", "7", "Too high?"), ("Doe", "7", "No."), ("Poe", "", "Where is it?")]
    raised = "The Landlord may raise the rent each year."
    assert [row["about"] for row in answer.rows] == [raised, raised, ""]


def test_a_comment_is_not_looked_for_in_the_whole_text_above_it(shelf, monkeypatch):
    folded = 0
    fold = locate.fold

    def counted(text):
        nonlocal folded
        folded += len(text)
        return fold(text)

    monkeypatch.setattr(locate, "fold", counted)
    clauses = "".join(
        f"{n}. Clause on matter {n}\n{'They agree. ' * 50}\n[Comment by Roe, on “matter {n}”: Why?]\n"
        for n in range(1, 41)
    )
    library = shelf("long", {"long.md": clauses})
    answer = ask([(library, document) for document in library.documents()], "List the comments")
    assert [row["clause"] for row in answer.rows] == [str(n) for n in range(1, 41)]
    assert folded < 10 * len(clauses)

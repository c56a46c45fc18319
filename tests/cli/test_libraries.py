import json
import re

import pytest
from command_line import refused, run, run_json

from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.security import sandbox, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.types import SkippedPage


@pytest.fixture
def papers(shelf, models):
    return shelf("papers", {"leases/hall.txt": "The lease 👩🏽‍⚖️ ends.\tIn May.", "dogs.pdf": ["Dogs.", "Open."]})


def test_libraries_are_listed_and_a_damaged_one_is_named(papers, home):
    storage.write_bytes(home / "indexes" / "broken" / "library.db", b"rubbish" * 999)
    result = run("libraries")
    assert re.search(r"^papers +2 ", result.stdout, re.M) and "broken: " in result.stdout
    value = run_json("libraries")
    assert [row["name"] for row in value["libraries"]] == ["broken", "papers"]
    assert "problem" in value["libraries"][0] and value["libraries"][1]["documents"] == 2


def test_status_shows_what_is_held_and_what_failed(papers, put):
    put(papers, "scan.pdf", ["Words.", ""], skipped=(SkippedPage(2, "has no text"),))
    papers.note_failure("/root", "locked.pdf", "is encrypted\x1b[2J")
    result = run("status", "papers")
    for words in ("3 documents", "hashing", "2 pages", "no text on 1 page", "failed: locked.pdf: is encrypted"):
        assert words in result.stdout
    assert "\x1b" not in result.output
    value = run_json("status", "papers")
    assert (value["documents"], value["skipped_pages"]) == (3, 1)
    assert value["failed"][0]["document"] == "locked.pdf" and value["embedder"]["model"] == "hashing"


def test_show_gives_the_stored_text(papers):
    value = run_json("show", "dogs.pdf", "-l", "papers", "--page", "2")
    assert value == {"library": "papers", "document": "dogs.pdf", "page": 2, "label": None, "pages": 2, "text": "Open."}
    value = run_json("show", "hall.txt", "-l", "papers")
    assert (value["document"], value["page"], value["pages"]) == ("leases/hall.txt", None, None)
    assert value["text"] == "The lease 👩🏽‍⚖️ ends.\tIn May."
    assert run("show", "dogs.pdf", "-l", "papers", "-p", "1").stdout == "Dogs.\n"
    assert "2" in refused(NotFoundError, "show", "dogs.pdf", "-l", "papers", "-p", "9").hint
    refused(NotFoundError, "show", "cats.pdf", "-l", "papers")


def test_show_finds_a_name_that_is_not_utf8_and_keeps_control_characters_from_the_terminal(shelf):
    shelf("odd", {"\\xff.txt": "Words of \x1b]0;title\x07\x9b31m it."})
    shown = run("show", "\udcff.txt", "-l", "odd").output
    assert "Words of" in shown and not set("\x1b\x07\x9b") & set(shown)


def test_forget_deletes_documents_or_all_after_a_yes(papers):
    for more in ([], ["--document", "dogs.pdf"]):
        assert "--yes" in refused(UsageError, "forget", "papers", *more).hint
    assert papers.counts()["documents"] == 2
    result = run("forget", "papers", "-d", "dogs.pdf", "--yes", "--json")
    assert json.loads(result.stdout) == {"library": "papers", "forgotten": ["dogs.pdf"], "whole": False}
    assert [doc.path for doc in papers.documents()] == ["leases/hall.txt"]
    refused(NotFoundError, "forget", "papers", "-d", "dogs.pdf", "--yes")
    result = run("forget", "papers", "--yes")
    assert result.stdout == "" and "1 document" in result.stderr
    assert not papers.folder.exists()
    refused(NotFoundError, "forget", "papers", "--yes")


@pytest.fixture
def contracts(shelf, monkeypatch):
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    shelf("contracts", {"a.txt": "The rent is 4,100 a month."}).close()


def test_a_backup_is_restored_with_a_key_file(contracts, tmp_path, settings):
    key, file = tmp_path / "backup.key", tmp_path / "contracts.backup"
    key.write_bytes(keyrings.new_key_file())
    assert run_json("backup", "contracts", "--out", file, "--encrypt-for", key)["files"] == 3
    assert "is intact: 'contracts'" in run("backup", "--check", file, "--key-file", key).stdout
    assert run_json("restore", file, "--key-file", key, "--name", "again")["documents"] == 1
    assert (settings.indexes_dir / "again" / "library.db").is_file()


def test_nothing_is_replaced_without_replace_and_malformed_commands_are_refused(contracts, tmp_path):
    file, text = tmp_path / "contracts.backup", tmp_path / "text"
    backup, restore = ("backup", "contracts", "--out", file, "--clear"), ("restore", file)
    assert "in clear" in run(*backup).stderr
    for words in (backup, restore):
        assert "--replace" in refused(LocalragError, *words).hint
        assert run(*words, "--replace").exit_code == 0
    assert "--encrypt" in refused(LocalragError, "backup", "contracts", "--out", tmp_path / "a.backup").hint
    text.write_text("text")
    for message, *words in (
        ("no file", "backup", "contracts"),
        ("no folder", "backup", "contracts", "--out", tmp_path / "no" / "a.backup", "--clear"),
        ("no library", "backup", "contract", "--out", tmp_path / "a.backup", "--clear"),
        ("is not a backup", "restore", text),
    ):
        assert message in refused(LocalragError, *words).message


def test_a_source_that_leads_nowhere_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "restrict", lambda settings, libraries, reads: [path.resolve() for path in reads])
    (tmp_path / "loop").symlink_to("loop")
    for missing in ("nothing", "loop"):
        assert "there is no" in refused(LocalragError, "restore", tmp_path / missing).message


def test_a_folder_is_restored_only_if_it_is_trusted(contracts, tmp_path, settings):
    source = (settings.indexes_dir / "contracts").rename(tmp_path / "stick")
    assert "--yes" in refused(LocalragError, "restore", source, "--name", "again").hint
    assert run_json("restore", source, "--name", "again", "--yes")["documents"] == 1

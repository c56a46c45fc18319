import hashlib
from unittest.mock import Mock

import pytest
from command_line import run
from encrypted import encrypt_folder
from tiny_models import adapter, gguf, sha256

from localrag import api
from localrag.errors import StorageError
from localrag.lifecycle import audit_events, encrypt
from localrag.models.manage import ModelManager
from localrag.security import audit
from localrag.security.encryption import keyring as keyrings
from localrag.worker.engine import Engine


@pytest.fixture
def papers(models, folder, settings):
    library = api.open_library("papers", settings=settings, create=True)
    library.ingest(folder({"a.txt": "one", "b.txt": "two"}))
    return library


def lines(settings, event, name=None):
    file = settings.audit_file if name is None else settings.library_audit_file(name)
    return [entry for entry in audit.entries(file) if entry.event == event] if file.exists() else []


def content(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_search_is_recorded_before_its_passages_are_shown(papers, settings, monkeypatch):
    found = papers.search("one")
    run("search", "one")
    file = settings.library_audit_file("papers")
    first, second = lines(settings, "search", "papers")
    assert first.details == second.details and first.details["question_hmac"] == audit.words_hmac(
        "one", file.with_suffix(".key").read_bytes()
    )
    assert set(first.details["shown"]) == {f"{content(passage.text)}#1" for passage in found}
    assert b"one" not in file.read_bytes() and audit.verify(file) == []
    monkeypatch.setenv("LOCALRAG_AUDIT_WORDS", "full")  # they are kept as those of a question
    api.open_library("papers").search("one")
    full = lines(settings, "search", "papers")[-1]
    assert audit.words_of(file, second) is None and audit.words_of(file, full) == audit.Words("one", "")
    papers.forget(["a.txt"])
    assert audit.words_of(file, full) is None


def test_an_ingest_says_what_came_and_went_and_what_is_held_then(papers, folder, settings):
    root = folder({"a.txt": "one, changed"})
    papers.ingest(root)
    first, second = lines(settings, "ingest", "papers")
    assert (first.details["came"], first.details["went"], first.details["holds"]) == (2, 0, 2)
    assert (second.details["came"], second.details["went"], second.details["holds"]) == (1, 1, 2)
    held = sorted((content("one, changed"), content("two")))
    assert second.details["holds_digest"] == content("".join(f"{one}\n" for one in held))
    kept = audit.lists_of(settings.library_audit_file("papers"), second)
    assert kept == audit.Lists((content("one, changed"),), (content("one"),))
    papers.ingest(root)
    third = lines(settings, "ingest", "papers")[-1]
    assert (third.details["came"], third.details["holds"]) == (0, 2)
    assert audit.lists_of(settings.library_audit_file("papers"), third) is None


def test_a_list_loses_a_forgotten_document_and_shows_other_changes(papers, settings):
    (line,) = lines(settings, "ingest", "papers")
    papers.forget(["a.txt"])
    file = settings.library_audit_file("papers")
    assert audit.lists_of(file, line) == audit.Lists((content("two"),), (), forgotten=1)
    assert content("one").encode() not in (file.parent / audit.LISTS_FOLDER / f"{line.number}.json").read_bytes()
    audit.keep_lists(file, line.number, ["0" * 64], [])
    assert not audit.lists_of(file, line).intact
    assert audit.erase(file, line.number) and not audit.erase(file, line.number)
    assert audit.lists_of(file, line) is None and audit.verify(file) == []


def test_a_page_that_the_app_shows_and_a_file_that_it_opens_are_on_record(papers, folder, settings):
    papers.ingest(folder({"c.md": "three"}))
    engine = Engine(settings)
    engine.page("papers", "a.txt")
    engine.note_opened("papers", "a.txt")
    engine.page("papers", "c.md")
    engine.close()
    page, opened, whole = lines(settings, "show", "papers")
    assert page.details == {"document": "a.txt", "sha256": content("one"), "page": 1}
    assert opened.details == {**page.details, "opened": True}
    assert whole.details == {"document": "c.md", "sha256": content("three"), "page": 0}  # it has no pages


def test_what_cannot_be_recorded_is_not_shown(papers, settings, monkeypatch):
    engine = Engine(settings)
    monkeypatch.setattr(audit, "record", Mock(side_effect=StorageError("the disk is full")))
    for show in (lambda: papers.search("one"), lambda: papers.page("a.txt"), lambda: engine.page("papers", "a.txt")):
        with pytest.raises(StorageError):
            show()


def test_models_that_come_are_chosen_named_and_go_are_on_record(settings, tmp_path, monkeypatch):
    weights, lora = tmp_path / "tiny.gguf", tmp_path / "lora.gguf"
    weights.write_bytes(gguf())
    lora.write_bytes(adapter())
    store = ModelManager(settings)
    store.import_path(weights)
    store.import_path(weights, id="twin")
    store.use("tiny", lora)
    store.remove("tiny")
    rows = [entry.details for entry in lines(settings, "model")]
    deeds = [(row["deed"], row["model"]) for row in rows]
    assert deeds == [("import", "tiny"), ("import", "twin"), ("use", "tiny"), ("remove", "tiny")]
    assert {row["sha256"] for row in rows} == {sha256(weights.read_bytes())}
    assert rows[2]["adapter_sha256"] == sha256(lora.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    audit_events.save_setting("generator", "qwen3-4b")
    audit_events.save_setting("passages", "5")
    audit_events.unset_setting("generator")
    rows = [(entry.details.get("setting"), entry.details["model"]) for entry in lines(settings, "model")]
    assert rows[4:] == [("generator", "qwen3-4b"), ("generator", "")]


def test_encryption_holders_and_rotation_are_recorded(papers, settings):
    papers.close()
    folder = settings.library_dir("papers")
    key_file = keyrings.parse_key_file(keyrings.new_key_file())

    encrypt_folder(folder, key_file)
    encrypt.change_holders(
        folder, lambda keyring, key: keyring.with_credential(key, "paper", keyrings.RecoveryKey.new())
    )
    encrypt.change_holders(folder, lambda keyring, key: keyring.without("paper"))
    list(encrypt.rotate(folder, key_file, lambda: False))
    rows = [entry.details for entry in lines(settings, "vault", "papers")]
    assert [row["deed"] for row in rows] == ["encrypt", "add", "remove", "rotate"]
    assert rows[1]["holder"] == rows[2]["holder"] == "paper"
    assert len(rows[0]["holders"]) == len(rows[3]["holders"]) == 1
    assert audit.verify(settings.library_audit_file("papers")) == []
    assert b"holder" not in settings.library_audit_file("papers").read_bytes()

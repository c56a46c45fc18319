import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from encrypted import encrypt_folder

import localrag
from localrag import api, policy
from localrag.lifecycle import retention
from localrag.security import audit
from localrag.security.encryption import unlocked
from localrag.sessions import store_of
from localrag.settings import load_settings, origins

NOW = datetime.now(UTC).replace(hour=12, minute=0)


@pytest.fixture
def aged(settings):
    """Makes a conversation that was last asked in so many days before NOW; returns its id."""

    def make(days, question="When does the lease of Harbour House end?", libraries=("papers",)):
        store = store_of(settings)
        saved = store.ask(store.new(libraries, question), question)
        file = store._path(saved.id)
        data = json.loads(file.read_bytes())
        data["turns"][-1]["time"] = (NOW - timedelta(days=days)).isoformat(timespec="seconds")
        file.write_text(json.dumps(data))
        return saved.id

    return make


def left(settings):
    return {one.id for one in store_of(settings).list()}


def test_conversations_go_after_their_days_and_the_record_says_how_many(settings, aged):
    old, young = aged(31), aged(29)
    store = store_of(settings)
    store.keep_draft(old, "a draft of it")
    store.retitle(old, "Another name")  # which makes it no younger, nor does a branch of it
    store.branch(old)
    assert retention.apply(settings.with_options(retention_days=30), NOW) == 2
    assert left(settings) == {young}
    assert list(settings.sessions_dir.glob(f"{old}*")) == []
    (went,) = [dict(one.details) for one in audit.entries(settings.audit_file) if one.event == "forget"]
    assert went == {"reason": "retention", "retention_days": 30, "conversations": 2, "words": 0}
    assert b"Harbour" not in settings.audit_file.read_bytes()


def test_it_is_done_when_asked_for_once_a_day_and_at_once_where_the_days_change(settings, aged):
    kept = settings.with_options(retention_days=30)
    aged(31)
    assert settings.retention_days == 0 and retention.apply(settings, NOW) == 0
    assert retention.apply(kept, NOW) == 1
    aged(31)
    assert retention.apply(kept, NOW + timedelta(hours=2)) == 0
    assert retention.apply(kept, NOW + timedelta(days=1)) == 1
    aged(20)
    assert retention.apply(settings.with_options(retention_days=7), NOW + timedelta(days=1)) == 1


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_cannot_be_read_goes_by_the_age_of_its_file(settings, aged, models, folder, encrypted):
    api.open_library("papers", settings=settings, create=True).ingest(folder({"a.txt": "one"}))
    one, other = aged(1), aged(1)
    for session_id, days in ((one, 40), (other, 1)):
        file = store_of(settings)._path(session_id)
        if not encrypted:
            file.write_text("{")
        then = (NOW - timedelta(days=days)).timestamp()
        os.utime(file, (then, then))
    if encrypted:
        encrypt_folder(settings.library_dir("papers"))
        unlocked.forget()
    assert retention.apply(settings.with_options(retention_days=30), NOW) == 1
    assert left(settings) == {other}


def test_kept_words_go_and_their_marks_stay(settings, models, folder):
    api.open_library("papers", settings=settings, create=True).ingest(folder({"a.txt": "one"}))
    record = settings.library_audit_file("papers")
    old, young = (
        audit.record(record, "ask", "papers", question=question, answer="Yes.") for question in ("old?", "young?")
    )
    audit.keep_words(record, old, "old?", "Yes.")
    audit.keep_words(record, young, "young?", "Yes.")
    then = (NOW - timedelta(days=40)).timestamp()
    os.utime(audit._beside(record, audit.WORDS_FOLDER, old), (then, then))
    assert retention.apply(settings.with_options(retention_days=30), NOW) == 1
    kept = [audit.words_of(record, entry) for entry in audit.entries(record) if entry.event == "ask"]
    assert kept[0] is None and kept[1] is not None and audit.verify(record) == []


def test_opening_a_library_and_asking_keep_to_it(settings, aged, models, folder):
    api.open_library("papers", settings=settings, create=True).ingest(folder({"a.txt": "one two"}))
    kept = settings.with_options(retention_days=30)
    aged(40)
    api.open_library("papers", settings=kept).close()
    assert left(settings) == set()
    (settings.general_dir / "retention.json").unlink()
    aged(40)
    localrag.ask("What?", libraries=["papers"], settings=kept)
    assert left(settings) == set()


def test_of_policy_and_setting_the_shorter_holds(monkeypatch):
    policy.SYSTEM.parent.mkdir()
    policy.SYSTEM.write_text("retention_days = 30")
    for own, holds in ((0, 30), (7, 7), (365, 30)):
        monkeypatch.setenv("LOCALRAG_RETENTION_DAYS", str(own))
        assert load_settings().retention_days == holds
        assert origins()["retention_days"] == (str(policy.SYSTEM) if holds != own else "LOCALRAG_RETENTION_DAYS")

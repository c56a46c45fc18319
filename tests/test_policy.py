import json
import os
import stat
from pathlib import Path
from unittest.mock import Mock

import pytest
from tiny_models import adapter, gguf, sha256

from localrag import api, policy
from localrag.errors import ModelDamaged, PolicyRefused, PolicyUnreadable
from localrag.lifecycle.audit_events import save_setting
from localrag.models.manage import ModelManager
from localrag.models.records import stamp
from localrag.security import audit, offline
from localrag.settings import Settings, load_settings, origins

SHA = "a" * 64
OTHER = "b" * 64


@pytest.fixture
def rule():
    def write(text, file=None):
        file = file or policy.SYSTEM
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write


def refused(settings):
    file = settings.audit_file
    return [dict(entry.details) for entry in audit.entries(file) if entry.event == "refused"] if file.exists() else []


def test_a_policy_that_is_not_understood_refuses_everything(rule):
    keys = ["require_encription = true", 'require_encryption = "yes"', "allow_exports = 0", 'allowed_models = ["abc"]']
    keys += [f'allowed_models = "{SHA}"', 'require_offline_layers = ["files"]', "ocr_languages = []"]
    keys += ['ocr_languages = ["English"]', 'audit_words = "none"', "retention_days = 0", "retention_days = true"]
    for text in (*keys, "require_encryption =", "\x00"):
        rule(text)
        for attempt in (load_settings, Settings, api.library_names):
            with pytest.raises(PolicyUnreadable) as caught:
                attempt()
                pytest.fail(f"{text!r} was taken")
            assert text.split(" ")[0] in caught.value.message or text not in keys
            assert str(policy.SYSTEM) in caught.value.message and caught.value.hint


def test_a_policy_that_cannot_be_read_refuses_everything(rule, tmp_path, monkeypatch):
    def refuses():
        with pytest.raises(PolicyUnreadable):
            load_settings()

    monkeypatch.setenv(policy.VARIABLE, str(tmp_path / "none.toml"))
    refuses()
    monkeypatch.delenv(policy.VARIABLE)
    policy.SYSTEM.parent.mkdir()
    policy.SYSTEM.symlink_to(tmp_path / "gone")
    refuses()
    policy.SYSTEM.unlink()
    policy.SYSTEM.mkdir()
    refuses()
    policy.SYSTEM.rmdir()
    rule("")
    monkeypatch.setattr(Path, "read_text", Mock(side_effect=PermissionError(13, "Permission denied")))
    refuses()


def test_a_second_policy_can_only_forbid_more_and_not_contradict(rule, tmp_path, monkeypatch):
    rule(f'require_encryption = true\nallow_exports = false\nallowed_models = ["{SHA}"]\naudit_words = "full"')
    own = rule(
        f'require_encryption = false\nallow_exports = true\nallowed_models = ["{SHA.upper()}", "{OTHER}"]',
        tmp_path / "own.toml",
    )
    monkeypatch.setenv(policy.VARIABLE, str(own))
    for check in (
        lambda: policy.check_library("papers", encrypted=False, missing=dict),
        lambda: policy.check_export(""),
    ):
        with pytest.raises(PolicyRefused):
            check()
    assert policy.allows_model(SHA) and not policy.allows_model(OTHER)
    assert load_settings().audit_words == "full"
    rule("allowed_models = []", own)
    assert not policy.allows_model(SHA)
    rule('audit_words = "marks"', own)
    with pytest.raises(PolicyUnreadable, match="audit_words"):
        load_settings()


@pytest.mark.proves("policy")
def test_no_variable_moves_the_policy(monkeypatch, tmp_path):
    monkeypatch.undo()  # the place as it is, without the tests' own
    before = policy._system_file()
    for name in ("XDG_CONFIG_DIRS", "XDG_CONFIG_HOME", "PROGRAMDATA", "HOME", "WIN_PD_OVERRIDE_COMMON_APPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    assert policy._system_file() == before


@pytest.mark.skipif(os.name != "posix", reason="rights are looked at on POSIX systems")
def test_a_policy_that_others_can_write_is_reported(rule):
    file = rule("allow_exports = false")
    file.chmod(0o664)
    (held,) = policy.active()
    assert repr(str(file)) in policy.writable_by(held)
    file.chmod(0o644)
    file.parent.chmod(file.parent.stat().st_mode | stat.S_IWOTH)
    assert repr(str(file.parent)) in policy.writable_by(held)


@pytest.mark.proves("policy")
def test_what_the_policy_fixes_overrides_every_source(rule, monkeypatch):
    file = rule('audit_words = "full"\nocr_languages = ["de", "fr"]\nstrict = true')
    monkeypatch.setenv("LOCALRAG_AUDIT_WORDS", "marks")
    monkeypatch.setenv("LOCALRAG_STRICT", "false")
    for settings in (load_settings(), Settings(audit_words="marks", ocr_languages=("en",))):
        assert (settings.audit_words, settings.ocr_languages, settings.strict) == ("full", ("de", "fr"), True)
    assert origins()["audit_words"] == origins()["ocr_languages"] == str(file)


def test_another_value_than_the_fixed_one_or_beyond_the_limit_is_refused_and_recorded(rule, settings):
    rule('audit_words = "full"')
    audit.record_refusals(settings.audit_file)
    for attempt in (lambda: settings.with_options(audit_words="marks"), lambda: save_setting("audit_words", "marks")):
        with pytest.raises(PolicyRefused, match="audit_words") as caught:
            attempt()
        assert str(policy.SYSTEM) in caught.value.message
    settings.with_options(audit_words="full", passages=3)
    rule("retention_days = 30")
    for days in (0, 31):
        with pytest.raises(PolicyRefused, match="retention_days"):
            settings.with_options(retention_days=days)
    assert settings.with_options(retention_days=7).retention_days == 7
    assert [row["rule"] for row in refused(settings)] == ["audit_words"] * 2 + ["retention_days"] * 2


def test_other_languages_are_refused_also_those_of_an_earlier_ingest(rule, models, folder, settings):
    library = api.open_library("papers", settings=settings, create=True)
    library.ingest(folder({"a.txt": "one"}), ocr_languages=["en"])
    rule('ocr_languages = ["de"]')
    with pytest.raises(PolicyRefused, match="ocr_languages"):
        library.ingest(folder({}), ocr_languages=["en"])
    storage, _ = library._for_writing()
    assert library._options(storage, ()).languages == ("de",)
    storage.close()


def test_a_half_encrypted_library_counts_as_plain(rule, models, folder, settings):
    from localrag.lifecycle import encrypt
    from localrag.security.encryption import keyring as keyrings

    api.open_library("papers", settings=settings, create=True).ingest(folder({"a.txt": "one"}))
    rule("require_encryption = true")
    secret = keyrings.RecoveryKey.new()
    steps = encrypt.encrypt(
        settings.library_dir("papers"), lambda keyring, key: keyring.with_credential(key, "me", secret), lambda: False
    )
    next(steps)
    with pytest.raises(PolicyRefused):
        api.open_library("papers", settings=settings)
    for _ in steps:
        pass
    api.open_library("papers", settings=settings).close()


def test_no_library_is_opened_while_a_required_layer_is_missing(rule, models, folder, settings, monkeypatch):
    api.open_library("papers", settings=settings, create=True).ingest(folder({"a.txt": "one"}))
    rule('require_offline_layers = ["hook", "seccomp"]')
    layers = [offline.Layer("hook", True, "", ""), offline.Layer("seccomp", False, "", "", "an old kernel")]
    monkeypatch.setattr(offline, "layers", lambda: tuple(layers))
    with pytest.raises(PolicyRefused, match=r"seccomp .*an old kernel"):
        api.open_library("papers", settings=settings)
    layers[1] = offline.Layer("seccomp", True, "", "")
    api.open_library("papers", settings=settings).close()


def test_a_refusal_holds_if_it_is_not_or_cannot_be_recorded(rule, settings):
    rule("allow_exports = false")
    audit.record_refusals(settings.audit_file)
    with policy.unreported(), pytest.raises(PolicyRefused):
        policy.check_export("a table")
    assert refused(settings) == []
    settings.audit_file.mkdir(parents=True)
    with pytest.raises(PolicyRefused):
        policy.check_export("a table")


def test_other_programs_are_refused_each_by_its_rule(rule):
    for forbidden, allowed in (("allow_mcp", "allow_server"), ("allow_server", "allow_mcp")):
        rule(f"{forbidden} = false")
        with pytest.raises(PolicyRefused):
            policy.check_server(forbidden)
        assert forbidden == "allow_server" or policy.check_server(allowed) is None


def test_no_table_or_conversation_is_exported_where_that_is_forbidden(rule, tmp_path, settings):
    from localrag.sessions import export, store_of, table_export

    rule("allow_exports = false")
    audit.record_refusals(settings.audit_file)
    session = store_of(settings).new(("papers",), "A title")
    for attempt in (
        lambda: table_export.save([{"a": 1}], tmp_path / "t.csv", "q", settings.audit_file),
        lambda: export.write(session, tmp_path / "c.md", "md", settings.audit_file),
        lambda: export.exported(session, "md", settings.audit_file, "-"),
    ):
        with pytest.raises(PolicyRefused, match="allow_exports"):
            attempt()
    assert not list(tmp_path.glob("*.csv")) and not list(tmp_path.glob("*.md"))
    assert [row["rule"] for row in refused(settings)] == ["allow_exports"] * 3


def test_only_allowed_models_are_imported_and_used(rule, settings, tmp_path):
    good, bad = tmp_path / "good.gguf", tmp_path / "bad.gguf"
    good.write_bytes(gguf())
    bad.write_bytes(gguf(filling=b"poisoned"))
    store = ModelManager(settings)
    store.import_path(bad)
    rule(f'allowed_models = ["{sha256(good.read_bytes())}"]')
    for name, attempt in (
        ("bad", lambda: store.get("bad")),
        ("bad", lambda: store.use("bad")),
        ("bad", lambda: store.default("generator")),
        ("worse", lambda: store.import_path(bad, id="worse")),
    ):
        with pytest.raises(PolicyRefused, match=f"'{name}'"):
            attempt()
    assert [model.id for model in store.installed()] == ["bad"]
    store.import_path(good)
    assert store.default("generator").id == "good"


def test_weights_under_the_record_of_another_model_are_refused(rule, settings, tmp_path):
    """The stamp and the hash in a model's record are the user's own to write."""
    good, bad = tmp_path / "good.gguf", gguf(filling=b"poisoned")
    good.write_bytes(gguf())
    store = ModelManager(settings)
    model = store.import_path(good)
    rule(f'allowed_models = ["{model.sha256}"]')
    assert store.get("good") == store.get("good") == model
    model.path.chmod(0o600)
    model.path.write_bytes(bad)
    file = model.path.parent / "model.json"
    record = json.loads(file.read_text())
    record["files"][record["weights"]] |= {"size": len(bad), "stamp": list(stamp(model.path))}
    file.write_text(json.dumps(record))
    with pytest.raises(ModelDamaged):
        store.get("good")


def test_an_adapter_must_be_allowed_and_can_be_taken_off(rule, settings, tmp_path):
    base, lora = tmp_path / "base.gguf", tmp_path / "lora.gguf"
    base.write_bytes(gguf())
    lora.write_bytes(adapter())
    store = ModelManager(settings)
    store.import_path(base)
    allowed = f'allowed_models = ["{sha256(base.read_bytes())}"]'
    rule(allowed)
    with pytest.raises(PolicyRefused, match="lora"):
        store.use("base", lora)
    assert store.get("base").adapter is None
    rule("")
    store.use("base", lora)
    rule(allowed)
    with pytest.raises(PolicyRefused, match="'base'"):
        store.get("base")
    assert store.use("base").adapter is None


def test_a_model_that_is_not_allowed_is_not_downloaded(rule, settings, monkeypatch):
    from localrag.models import sources

    monkeypatch.setattr(sources, "fetch", lambda *_: pytest.fail("it was fetched"))
    rule("allowed_models = []")
    for id in ("all-minilm-l6-v2", None):
        with pytest.raises(PolicyRefused, match="all-minilm-l6-v2"):
            ModelManager(settings).install(id, confirm=bool, progress=print, say=print)


def test_a_reranker_must_be_allowed(rule, settings, tmp_path):
    from localrag.search import retrieval

    for name, data, allowed in (
        ("model", b"weights", "[]"),
        ("part/more", b"other weights", f'["{sha256(b"weights")}"]'),
    ):
        file = tmp_path / "cross" / f"{name}.safetensors"
        file.parent.mkdir()
        file.write_bytes(data)
        rule(f"allowed_models = {allowed}")
        with pytest.raises(PolicyRefused, match="cross"):
            retrieval.load_reranker(settings.with_options(reranker=str(tmp_path / "cross")))


def test_the_example_in_the_docs_is_valid_and_every_key_is_explained(rule):
    page = (Path(__file__).parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")
    rule(page.partition("```toml\n")[2].partition("```")[0])
    (held,) = policy.active()
    assert len(held.rules()) == 7 and policy.allows_model(held.allowed_models[0])
    assert [name for name, _, _ in policy.explain()] == list(policy._VALID)
    assert all(about.endswith(".") for _, about, _ in policy.explain())

import json
from hashlib import sha256
from importlib.metadata import version
from unittest.mock import Mock

import pytest
import tiny_llamas
from click.testing import CliRunner

from localrag import policy
from localrag.cli import doctor
from localrag.cli.doctor import Finding, diagnose, doctor_command
from localrag.errors import KeyRequired
from localrag.llm import loading
from localrag.models import catalog
from localrag.models.records import stamp
from localrag.security import audit
from localrag.security.offline import remote
from localrag.security.offline.remote import Address
from localrag.sessions import SessionStore
from localrag.settings import Settings
from localrag.store.library import Library
from localrag.types import Answer, Plan

REAL_PROBE = doctor._PROBE
CANNED = {"version": "1", "gpu": False, "processor": "CPU : AVX = 1 | FMA = 0 | "}


@pytest.fixture(autouse=True)
def canned_probe(monkeypatch):
    """Loading llama.cpp takes half a second, and one test of it is enough."""
    monkeypatch.setattr(doctor, "_PROBE", f"print({json.dumps(CANNED)!r})")


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCALRAG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Settings(home=tmp_path / "home")


def of(area, settings):
    return list(diagnose(settings, area))


def states(area, settings):
    return {finding.state for finding in diagnose(settings, area)}


def test_every_problem_and_warning_has_a_remedy(settings):
    found = list(diagnose(settings))
    assert not settings._data.exists(), "it changes nothing"
    assert all(finding.remedy for finding in found if finding.state not in ("ok", "info"))
    assert {finding.state for finding in found if "files is off" in finding.message} <= {"info"}
    assert len({finding.area for finding in found}) >= 9
    assert all("localrag models install" in one.remedy for one in found if one.area == "models")


def test_it_names_what_may_be_reached(settings, monkeypatch):
    def said():
        return [each.message for each in of("offline", settings) if "may be reached" in each.message]

    [nothing] = said()
    assert "nothing may be reached" in nothing
    store, models = Address(path="/run/pg/.s.PGSQL.5432"), Address(host="127.0.0.1", port=8080)
    policy.SYSTEM.parent.mkdir()
    policy.SYSTEM.write_text('[[allow_addresses]]\nhost = "127.0.0.1"\nport = 8080')
    monkeypatch.setattr(remote, "reachable", lambda: (store, models))
    first, second = said()
    assert "/run/pg/.s.PGSQL.5432 (a Unix socket)" in first and "127.0.0.1:8080 (TCP)" in second


def test_a_damaged_library_is_a_problem_and_one_without_its_key_is_normal(settings, monkeypatch):
    for name in ("one", "two"):
        settings.library_dir(name).mkdir(parents=True)
        (settings.library_dir(name) / "library.db").write_bytes(b"not a database" * 100)
    found = of("libraries", settings)
    assert [finding.state for finding in found] == ["problem", "problem"] and "'one'" in found[0].message
    monkeypatch.setattr(Library, "open", Mock(side_effect=KeyRequired("locked", "--key-file")))
    found = of("libraries", settings)
    assert {(one.state, one.remedy) for one in found} == {("info", "")} and "one" in found[0].message


def test_a_changed_audit_record_is_a_problem_and_a_damaged_conversation_a_warning(settings):
    assert states("audit", settings) == {"ok"}
    for _ in range(3):
        audit.record(settings.audit_file, "ask", "x")
    assert states("audit", settings) == {"ok"}
    settings.audit_file.write_text(settings.audit_file.read_text().replace('"x"', '"y"', 1))
    assert states("audit", settings) == {"problem"}
    store = SessionStore(settings.sessions_dir)
    store.append(store.new(()), Answer("q", "a", True, Plan("retrieve", "r")))
    assert states("conversations", settings) == {"ok"}
    (settings.sessions_dir / "20200101T000000000000-abcdef.json").write_text("{")
    assert states("conversations", settings) == {"ok", "warning"}


def test_a_folder_that_cannot_be_made_is_a_problem(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(catalog, "total_memory", lambda: None)
    found = of("machine", Settings(home=tmp_path / "file" / "home"))
    assert "memory unknown" in found[0].message
    assert any(one.state == "problem" and "LOCALRAG_HOME" in one.remedy for one in found)


@pytest.mark.parametrize(("free", "state"), [(10**10, "ok"), (10**9, "warning"), (10**7, "problem")])
def test_little_free_disk_is_reported(settings, monkeypatch, free, state):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert [one.state for one in of("machine", settings) if "free for" in one.message] == [state] * 2


def test_a_missing_package_is_a_problem(settings, monkeypatch):
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ["click>=8", "no-such-package-here>=1,<2"])
    found = [one for one in of("python", settings) if one.state == "problem"]
    assert [finding.remedy for finding in found] == ["Run: pip install 'no-such-package-here>=1,<2'"]


@pytest.mark.parametrize(
    ("code", "words"), [("import os; os.abort()", "signal 6"), ("raise SystemExit('gone')", "gone")]
)
def test_a_llama_build_that_does_not_load_is_a_problem(settings, monkeypatch, code, words):
    monkeypatch.setattr(doctor, "_PROBE", code)
    [found] = of("llama.cpp", settings)
    assert found.state == "problem" and words in found.message and "pip install" in found.remedy


def test_gpu_layers_without_a_gpu_build_are_a_warning(settings):
    assert states("llama.cpp", settings.with_options(gpu_layers=10)) == {"ok", "warning"}
    found = of("llama.cpp", settings)
    assert {one.state for one in found} == {"ok"}
    assert f"{catalog.cores()} threads; AVX" in found[0].message and "FMA" not in found[0].message


def test_a_problem_ends_with_1_and_prints_every_remedy_and_a_warning_with_0(settings, monkeypatch):
    monkeypatch.setattr("localrag.models.catalog.available_memory", lambda: 8 * 10**9)  # else another at each look
    done = CliRunner().invoke(doctor_command)
    assert done.exit_code == 1
    for finding in diagnose(settings):
        assert finding.message in done.stdout and finding.remedy in done.stdout
    monkeypatch.setattr("localrag.cli.doctor.diagnose", lambda _: iter([Finding("x", "warning", "m", "r")]))
    done = CliRunner().invoke(doctor_command, ["--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == {"findings": [{"area": "x", "state": "warning", "message": "m", "remedy": "r"}]}


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("variable", ["LOCALRAG_PASSAGES", "LOCALRAG_CONFIG"])
def test_wrong_settings_do_not_stop_the_checks(monkeypatch, variable):
    monkeypatch.setenv(variable, "nowhere")
    found = json.loads(CliRunner().invoke(doctor_command, ["--json"]).stdout)["findings"]
    assert found[0]["state"] == "problem" and variable in found[0]["message"]
    assert {"machine", "models", "llama.cpp"} <= {one["area"] for one in found}


def test_the_model_in_use_reports_how_it_runs_or_why_it_does_not(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_PROBE", REAL_PROBE)
    path = tiny_llamas.sliding(tmp_path / "tiny.gguf")
    given = {"model": "tiny", "path": path, "adapter": None, "context": 0, "threads": 1, "gpu_layers": -1}
    monkeypatch.setattr(loading, "generator_arguments", lambda settings: given)
    found = of("llama.cpp", settings)
    assert {one.state for one in found} == {"ok"} and version("llama-cpp-python") in found[0].message
    result = found[-1]
    for part in ("1 thread,", "batches of 256", "KB of memory per token", "a GPU", "sliding window"):
        assert part in result.message
    path.write_bytes(b"GGUF")
    result = of("llama.cpp", settings)[-1]
    assert result.state == "problem" and "tiny.gguf" in result.message and result.remedy


def test_a_weak_model_in_use_is_said_with_a_better_one(settings, monkeypatch):
    monkeypatch.setattr(catalog, "total_memory", lambda: 8_000_000_000)
    record = {"id": (weak := "smollm2-135m-instruct"), "title": "", "licence": "", "source": "", "main": "m"}
    (folder := settings.models_dir / weak).mkdir(parents=True)
    (folder / "m").write_bytes(b"GGUF")
    entry = {"sha256": sha256(b"GGUF").hexdigest(), "size": 4, "stamp": list(stamp(folder / "m"))}
    record |= {"kind": "generator", "weights": "m", "files": {"m": entry}}
    (folder / "model.json").write_text(json.dumps(record))
    monkeypatch.setattr("localrag.models.records.expected_of", lambda id, sha256=None: {})
    (said,) = [one for one in of("models", settings) if "is a weak model" in one.message]
    assert said.state == "info" and "answers better: about" in said.message
    assert said.remedy.startswith("Run: localrag models install ")

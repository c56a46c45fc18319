import shlex
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from terminal import Terminal, require_tmux
from waiting import wait_for

from localrag.cli import app, chat
from localrag.errors import NotFoundError, UsageError
from localrag.sessions import SessionStore
from localrag.settings import Settings
from localrag.store import names


@pytest.fixture
def libraries(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("contracts", "new folder"):
        (tmp_path / name).mkdir()
    (tmp_path / "file.pdf").touch()
    monkeypatch.setattr(names, "library_names", lambda folder: ["contracts", "policies"])
    monkeypatch.setattr(names, "library_of", lambda path, folder: "contracts" if path.name == "contracts" else None)
    return tmp_path


@pytest.mark.parametrize(
    ("target", "named", "libraries_meant", "folder_meant"),
    [
        (None, [], [], None),
        (None, ["policies"], ["policies"], None),
        ("policies", [], ["policies"], None),
        ("policies", ["contracts"], ["policies", "contracts"], None),
        ("./contracts", [], ["contracts"], None),
        ("new folder", [], [], "new folder"),
    ],
)
def test_target_is_a_library_by_name_or_a_folder(libraries, target, named, libraries_meant, folder_meant):
    found, folder = chat.resolve(Settings(), target, named)
    assert found == libraries_meant
    assert (folder and folder.name) == folder_meant


@pytest.mark.parametrize(
    ("target", "named", "kind", "hint"),
    [
        ("nowhere", [], NotFoundError, "Libraries: contracts, policies."),
        (None, ["nowhere"], NotFoundError, "Libraries: contracts, policies."),
        ("file.pdf", [], UsageError, "Give its folder"),
    ],
)
def test_target_that_is_nothing_is_refused_with_a_hint(libraries, target, named, kind, hint):
    with pytest.raises(kind) as caught:
        chat.resolve(Settings(), target, named)
    assert hint in caught.value.hint


def test_piped_chat_is_refused_and_names_the_command_for_scripts():
    result = CliRunner().invoke(chat.chat_command, [])
    assert isinstance(result.exception, UsageError)
    assert "localrag ask" in result.exception.hint


@pytest.mark.parametrize(("record", "without"), [(None, True), ("embedder", True), ("generator", False)])
def test_a_missing_model_is_noticed_at_the_start(tmp_path, record, without):
    settings = Settings(home=tmp_path)
    if record:
        folder = settings.models_dir / "some"
        folder.mkdir(parents=True)
        (folder / "model.json").write_text(f'{{"kind": "{record}"}}')
    assert chat._without_model(settings) is without


@pytest.fixture
def left(tmp_path):
    settings = Settings(home=tmp_path)
    store = SessionStore(settings.sessions_dir)
    how = {"passages": 3, "seed": 11, "answer_tokens": 10**9, "threads": 5, "generator": "gone-1b"}
    store.ask(store.new(("contracts",), "Notice", mode="read", settings=how), "How long?")
    return settings


def test_a_conversation_brings_its_settings_scope_and_what_is_missing(left):
    settings, resumed = chat._resumed(left, "last", ["seed"])
    names = ("passages", "seed", "answer_tokens", "threads", "generator")
    assert [getattr(settings, name) for name in names] == [3, 7, 400, 0, None]
    assert (resumed.session.title, resumed.scope.libraries, resumed.scope.mode) == ("Notice", ("contracts",), "read")
    assert resumed.keep == {"seed", "generator"}
    assert len(resumed.notes) == 2
    with pytest.raises(NotFoundError):
        chat._resumed(left, "nothing like it", [])


@pytest.mark.parametrize("words", [["contracts"], ["./x", "contracts"], ["--mode", "read"], ["--since", "2024"]])
def test_what_a_conversation_brings_along_cannot_be_given_too(words):
    result = CliRunner().invoke(chat.chat_command, [*words, "--resume", "last"])
    assert isinstance(result.exception, UsageError)


def is_running(process):
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it looks at processes of Linux")
def test_the_app_ends_with_its_terminal_also_where_no_signal_says_so(tmp_path, installed, home, folder):
    require_tmux()
    chatting = shlex.join([sys.executable, "-m", "localrag", "chat", str(folder({"a.txt": "The lease ends in 2031."}))])
    environ = {"LOCALRAG_HOME": str(home), "PYTHONPATH": str(Path(app.__file__).parents[2])}
    with Terminal(tmp_path) as terminal:
        terminal.run(["sh", "-c", f"trap '' HUP; exec {chatting}"], environ)
        terminal.see("Read 1 file")
        process = terminal.process
        assert is_running(process)
    wait_for(lambda: not is_running(process), "the end of the app")

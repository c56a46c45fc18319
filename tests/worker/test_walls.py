"""The app's workers and the walls between libraries: each reaches the libraries it was started for, and ends in time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE, ended, wait_for

from localrag.errors import NotFoundError
from localrag.lifecycle.encrypt import encrypt
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key, RecoveryKey
from localrag.security.offline import kernel
from localrag.settings import Settings
from localrag.store import names
from localrag.worker import client as process

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[1]


def pid(engine: Any, *libraries: str) -> int:
    return int(next(engine.ask("pid", libraries=libraries)).text)


def ends(pid: int) -> bool:
    return bool(wait_for(lambda: ended(pid), f"the end of {pid}"))


def test_another_library_is_asked_in_another_process(engine: Any) -> None:
    engine.use(("ours",))
    engine.load()
    first = pid(engine, "ours")
    assert pid(engine, "ours") == first
    second = pid(engine, "theirs")
    assert second != first and ends(first)
    # Who asks both together is not served by one of them, and the other way round.
    both = pid(engine, "ours", "theirs")
    assert both != second and pid(engine, "theirs", "ours") == both
    assert pid(engine, "ours") != both and ends(both)


def test_an_engine_for_some_libraries_has_one_worker_and_refuses_others(settings: Settings, engine: Any) -> None:
    fixed: Any = process.remote_engine(settings, ("ours", "theirs"))
    with closing(fixed):
        first = pid(fixed, "ours")
        assert pid(fixed, "theirs") == first == pid(fixed, "ours", "theirs")
        with pytest.raises(NotFoundError):
            pid(fixed, "others")
        with pytest.raises(NotFoundError):
            fixed.page("others", "a.txt")


def test_a_call_for_another_library_leaves_the_model_where_it_is(engine: Any) -> None:
    engine.use(("ours",))
    first = pid(engine, "ours")
    assert engine.page("theirs", "a.txt").page.text == "page None"
    assert pid(engine, "ours") == first
    assert len(engine._all()) == 1


def test_a_file_made_after_the_worker_confined_itself_is_compared_by_another(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.use(("ours",))
    first = pid(engine, "ours")
    file = tmp_path / "later.txt"
    file.touch()
    assert engine.compare(("a.txt", str(file)), libraries=("ours",)) == {"pid": first}
    monkeypatch.setattr(process.Process, "can_read", lambda self, path: path != file)
    assert engine.compare(("a.txt", "b.txt"), libraries=("ours",)) == {"pid": first}
    second = engine.compare(("a.txt", str(file)), libraries=("ours",))["pid"]
    assert second != first and ends(second)
    assert pid(engine, "ours") == first


def test_calls_in_progress_survive_a_change_of_library(engine: Any) -> None:
    engine.use(("ours",))
    going = engine.ask("count", libraries=("ours",))
    first = int(next(going).text)
    assert pid(engine, "theirs") != first
    assert [next(going).text for _ in range(3)] == ["1", "2", "3"]
    going.close()
    assert ends(first)


def test_a_worker_is_given_the_keys_of_its_own_libraries_alone(
    shelf: Callable[..., Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {settings.library_dir(name): Key.new() for name in ("ours", "theirs")}
    monkeypatch.setattr(unlocked, "keys", lambda: held)
    monkeypatch.setattr(process.Process, "_run", lambda self: None)
    made = process.Process(settings, ("ours",))
    assert made._setup.keys == ((str(settings.library_dir("ours")), held[settings.library_dir("ours")].secret),)


def test_a_worker_opens_what_its_parent_has_the_key_of(
    shelf: Callable[..., Any], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    folder = shelf("contracts", {"a.txt": "The lease ends in May."}).folder
    list(encrypt(folder, lambda ring, key: ring.with_credential(key, "me", RecoveryKey.new()), lambda: False))
    with closing(process.remote_engine(settings)) as engine:
        assert engine.page("contracts", "a.txt").page.text == "The lease ends in May."
    unlocked.forget()


CHILD = """
import sys
from pathlib import Path
from localrag.security import offline
from localrag.worker import client as process
from localrag.worker.client import RemoteEngine
from localrag.settings import Settings
process.WORKER = "worker.scripted_worker"
folder = Path(sys.argv[1])
settings = Settings(home=folder / "home")
for name in ("ours", "theirs"):
    settings.library_dir(name).mkdir(parents=True)
    (settings.library_dir(name) / "library.db").write_text("words of " + name)
(folder / "papers").mkdir()
(folder / "papers/a.txt").write_text("text")
offline.confine()
engine = RemoteEngine(settings)

def read(*libraries):
    for name in ("ours", "theirs"):
        yield next(engine.ask("read " + str(settings.library_dir(name) / "library.db"), libraries=libraries)).text

print(*read("ours"), *read("theirs"), *read("ours", "theirs"), sep=" | ")
(first,) = engine.ingest("new", folder / "papers")
print((settings.library_dir("new") / "read.txt").read_text())
engine.use(("new",))
engine.load()
(folder / "later").mkdir()
(folder / "later/a.txt").write_text("later")
(second,) = engine.ingest("new", folder / "later")
(third,) = engine.ingest("new", folder / "later")
print((settings.library_dir("new") / "read.txt").read_text(), first.library != second.library == third.library)
engine.close()
"""


@pytest.mark.skipif(not kernel.abi(), reason="this kernel has no Landlock, or was started without it")
def test_the_kernel_holds_a_worker_to_its_libraries(tmp_path: Path, home: Path) -> None:
    environ = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"}
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    refused = "PermissionError"
    assert done.stdout.splitlines() == [
        f"words of ours | {refused} | {refused} | words of theirs | words of ours | words of theirs",
        "text",
        "later True",
    ]


def test_the_screen_finds_the_library_of_a_folder(engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def library_of(path: Path, settings: Settings) -> str | None:
        assert not unlocked._may_prompt.get()
        return "theirs" if path == tmp_path else None

    monkeypatch.setattr(names, "library_of", library_of)
    assert engine.look_at(tmp_path).library == "theirs"
    assert engine.look_at(Path("elsewhere")).files == 3

"""What the processes that hold documents and models may write. Each test runs a child, for limits are not taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localrag import limits, offline
from localrag.offline import landlock, seccomp
from localrag.settings import Settings

pytestmark = pytest.mark.skipif(seccomp.machine() is None, reason="only Linux can limit files, and localrag says so")
BEGIN = """
import errno, os, sys, tempfile
from pathlib import Path
from localrag import limits, offline, vault
from localrag.settings import load_settings
elsewhere, named = Path(sys.argv[1]), Path(sys.argv[2])

def attempt(path):
    try:
        descriptor = os.open(path / "x", os.O_CREAT | os.O_WRONLY)
        os.close(descriptor)
        return "written"
    except OSError as error:
        return errno.errorcode[error.errno]
"""


@pytest.fixture(autouse=True)
def needed() -> None:
    if not landlock.abi():
        pytest.skip("this kernel has no Landlock, or was started without it")


def child(tmp_path: Path, code: str) -> list[str]:
    for name in ("elsewhere", "named"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere/document").write_text("text")
    command = [sys.executable, "-c", BEGIN + code, str(tmp_path / "elsewhere"), str(tmp_path / "named")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_command_writes_below_its_own_folders_and_what_was_named(tmp_path: Path, home: Path) -> None:
    shown = child(tmp_path, """
settings = load_settings()
offline.confine()
print(attempt(elsewhere))
limits.hold(settings, named)
(elsewhere / "document").read_text()
print(attempt(elsewhere), attempt(named), attempt(settings.indexes_dir), attempt(settings.indexes_dir.parent))
with vault.connect(settings.library_dir("a") / "library.db", write=True) as made:
    made.execute("CREATE TABLE t (a)")
vault.write_bytes(settings.sessions_dir / "s", b"x")
print(attempt(Path(tempfile.gettempdir())), tempfile.gettempdir() == str(settings.temporary_dir), attempt(Path("/tmp")))
""")  # fmt: skip
    assert shown[0].split() == ["written"]
    assert shown[1:] == ["EACCES written written written", "written True EACCES"]


def test_what_is_a_commands_own_can_be_moved_from_folder_to_folder_and_to_nowhere_else(
    tmp_path: Path, home: Path
) -> None:
    shown = child(
        tmp_path,
        """
settings = load_settings()
offline.confine()
one, other = settings.indexes_dir / "a", settings.indexes_dir / "b"
(named / "one").mkdir()
(named / "one" / "x").write_bytes(b"x")
(named / "one" / "x").rename(named / "x")
limits.hold(settings)
vault.write_bytes(one / "x", b"x")
vault.move(one / "x", other / "x")
try:
    (other / "x").rename(elsewhere / "x")
except OSError as error:
    print(errno.errorcode[error.errno], (other / "x").exists())
""",
    )
    assert shown in (["EACCES True"], ["EXDEV True"])


def test_a_question_reads_nothing_elsewhere_but_what_is_named(tmp_path: Path, home: Path) -> None:
    shown = child(tmp_path, """
settings = load_settings()
(named / "key").write_text("key")
offline.confine()
limits.hold(settings, reads=[named / "key"])
print((named / "key").read_text())
for path in (elsewhere / "document", Path.home()):
    try:
        path.read_text() if path.is_file() else list(path.iterdir())
        print("read")
    except OSError as error:
        print(errno.errorcode[error.errno])
""")  # fmt: skip
    assert shown == ["key", "EACCES", "EACCES"]


def test_a_reader_writes_temporary_files_alone(tmp_path: Path, home: Path) -> None:
    shown = child(tmp_path, """
os.environ["TMPDIR"] = str(named)
offline.confine()
limits.hold_reader()
(elsewhere / "document").read_text()
print(attempt(elsewhere), attempt(named), attempt(Path(os.environ["LOCALRAG_HOME"])))
""")  # fmt: skip
    assert shown == ["EACCES written EACCES"] or shown == ["EACCES written ENOENT"]


def test_a_process_that_is_not_confined_is_left_as_it_is(settings: Settings, tmp_path: Path) -> None:
    assert not offline.shut()
    limits.hold(settings)
    limits.hold_reader()
    assert not settings.temporary_dir.exists()
    (tmp_path / "x").touch()

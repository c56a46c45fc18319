"""Which files a confined process can touch. Each test runs a child, because limits cannot be undone."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import printed
from waiting import PATIENCE

from localrag.errors import NotFoundError
from localrag.security import offline, sandbox
from localrag.security.offline import kernel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(kernel.machine() is None, reason="only Linux can limit files, and localrag says so"),
]
Child = Callable[[str], list[str]]
BEGIN = """
import errno, os, sys, tempfile
from pathlib import Path
from localrag.security import offline, sandbox, storage
from localrag.settings import load_settings
elsewhere, named = Path(sys.argv[1]), Path(sys.argv[2])

def tried(what):
    try:
        what()
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]

def attempt(path):
    return tried(lambda: os.close(os.open(path / "x", os.O_CREAT | os.O_WRONLY)))

def opened(*paths):
    # the paths that can be opened
    return [str(path) for path in map(Path, paths) if tried(lambda: os.close(os.open(path, os.O_RDONLY))) == "done"]
"""


@pytest.fixture(autouse=True)
def needed():
    if not kernel.abi():
        pytest.skip("this kernel has no Landlock, or was started without it")


@pytest.fixture
def child(tmp_path):
    """Runs code after the definitions above, and returns the lines that it prints."""
    for name in ("elsewhere", "named"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere/document").write_text("text")

    def run(code):
        return printed(BEGIN + code, tmp_path / "elsewhere", tmp_path / "named").splitlines()

    return run


@pytest.mark.smoke
def test_a_command_writes_below_its_own_folders_and_what_was_named(child):
    shown = child("""
settings = load_settings()
offline.confine()
print(attempt(elsewhere))
for name in ("a", "b"):
    sandbox.make_library_folder(settings, name)
sandbox.restrict(settings, ["a", "b"], named)
(elsewhere / "document").read_text()
print(attempt(elsewhere), attempt(named), attempt(settings.indexes_dir), attempt(settings.library_dir("a")))
with storage.connect(settings.library_dir("a") / "library.db", write=True) as made:
    made.execute("CREATE TABLE t (a)")
storage.write_bytes(settings.calibration_file, b"{}")
storage.move(settings.library_dir("a") / "x", settings.library_dir("b") / "y")
storage.touch(settings.library_dir("b") / "y")
print(attempt(Path(tempfile.gettempdir())), tempfile.gettempdir() == str(settings.temporary_dir_of(["a", "b"])), attempt(Path("/tmp")))
""")
    assert shown[0].split() == ["done"]
    assert shown[1:] == ["EACCES done EACCES done", "done True EACCES"]


@pytest.mark.proves("readers")
def test_a_reader_opens_nothing_but_the_code_of_libraries(child):
    shown = child("""
document = os.open(elsewhere / "document", os.O_RDONLY)
sys.path.append(str(named))
os.chdir("/usr/share")
offline.confine()
sandbox.restrict_reader()
import decimal  # a module that was not loaded, also where the current folder is one of the system
print(os.pread(document, 9, 0).decode(), attempt(elsewhere), attempt(named), attempt(Path("/tmp")))
print(opened("/usr/share", elsewhere / "document", "/etc/passwd", Path.home(), "/dev/tty", "/dev/ptmx", "/dev/pts", "/dev/shm",
             "/proc/1/cmdline", f"/proc/self/fd/{document}", "/dev/dri"))
print({tried(what) for what in (os.fork, lambda: os.execv("/bin/true", ["true"]), lambda: os.kill(os.getppid(), 0), os.openpty)})
""")
    assert shown[:2] == ["text EACCES EACCES EACCES", "['/usr/share']"] and "done" not in shown[2]


def test_what_runs_programs_for_readers_writes_temporary_files_alone(child):
    shown = child("""
os.environ["TMPDIR"] = str(named)
offline.confine()
sandbox.restrict_helper([])
paths = (elsewhere / "document", "/dev/tty", "/dev/ptmx", "/dev/shm", Path.home())
print(attempt(elsewhere), attempt(named), opened(*paths))
""")
    assert shown == ["EACCES done []"]


def test_a_process_that_is_not_confined_is_left_as_it_is(settings, tmp_path):
    assert not offline.confined()
    sandbox.restrict(settings, ["a"])
    sandbox.restrict_reader()
    assert not settings.temporary_dir.exists() and not sandbox.is_restricted()
    (tmp_path / "x").touch()


# --- walls between libraries --------------------------------------------------------------------------------

WALLED = """
settings = load_settings()
for name in ("ours", "theirs"):
    sandbox.make_library_folder(settings, name)
    (settings.library_dir(name) / "library.db").write_text("words of " + name)
for path in (settings.sessions_dir / "talk.json", settings.temporary_dir_of(["theirs"]) / "x", elsewhere / "document"):
    storage.write_bytes(path, b"words")
offline.confine()
sandbox.restrict(settings, ["ours"], reads=%s)
ours, theirs = settings.library_dir("ours"), settings.library_dir("theirs")

print((ours / "library.db").read_text(), attempt(ours), sandbox.is_restricted())
(ours / "link").symlink_to(theirs / "library.db")
print(*map(tried, (
    lambda: (theirs / "library.db").read_bytes(), lambda: (ours / "link").read_bytes(),
    lambda: os.link(theirs / "library.db", ours / "hard"), lambda: (theirs / "library.db").rename(ours / "moved"),
    lambda: (theirs / "library.db").unlink(), lambda: os.truncate(theirs / "library.db", 0),
    lambda: (settings.temporary_dir_of(["theirs"]) / "x").read_bytes(),
    lambda: (settings.sessions_dir / "talk.json").read_bytes(), lambda: os.chmod(theirs / "library.db", 0o644),
    lambda: os.chown(theirs / "library.db", os.getuid(), os.getgid()), lambda: os.utime(theirs / "library.db"),
    lambda: os.setxattr(theirs / "library.db", "user.a", b"x"), lambda: (theirs / "new").mkdir(),
    lambda: (theirs / "link").symlink_to(ours / "library.db"), lambda: list(theirs.iterdir()) and os.mkdir(elsewhere / "new"),
)), attempt(theirs), attempt(settings.indexes_dir), attempt(settings.sessions_dir))
print(os.system("cat " + str(theirs / "library.db") + " > /dev/null 2>&1") != 0)
print(opened(elsewhere / "document", Path.home(), named) == [str(named)] if %s is not None else opened(elsewhere / "document"))
"""
REFUSED = {"EACCES", "EXDEV"}  # the second where a file would be taken from one folder into another


@pytest.mark.parametrize("reads", ["None", "[named]"])
@pytest.mark.proves("walls")
def test_a_process_on_one_library_cannot_touch_another(child, tmp_path, reads):
    own, others, by_a_program, elsewhere = child(WALLED % (reads, reads))
    assert own == "words of ours done True" and by_a_program == "True"
    assert set(others.split()) <= REFUSED, others
    assert elsewhere == (str([str(tmp_path / "elsewhere/document")]) if reads == "None" else "True")


def test_walls_hold_in_a_source_tree_with_the_libraries(tmp_path, child, monkeypatch):
    # ./indexes in the folder that Python takes its modules from, as in a checkout.
    (tmp_path / "tree/indexes").mkdir(parents=True)
    (tmp_path / "tree/module.py").write_text("answer = 42")
    monkeypatch.chdir(tmp_path / "tree")
    monkeypatch.delenv("LOCALRAG_HOME")
    begun, ended = "sys.path.insert(0, os.getcwd())\n", "import module; print(module.answer)"
    _, others, _, _, imported = child(begun + WALLED % ("[named]", "[named]") + ended)
    assert set(others.split()) <= REFUSED and imported == "42", others


def test_everything_but_hidden_folders_is_readable(settings, tmp_path):
    settings.library_dir("ours").mkdir(parents=True)
    settings.sessions_dir.mkdir()
    (tmp_path / "papers").mkdir()
    linked = tmp_path / "linked"
    linked.mkdir()
    (settings.indexes_dir / "link").symlink_to(linked, target_is_directory=True)
    (tmp_path / "way round").symlink_to(settings.indexes_dir.parent, target_is_directory=True)
    paths = sandbox.readable(settings)
    assert tmp_path / "papers" in paths and linked not in paths
    assert not any(settings.library_dir("ours").is_relative_to(path) for path in paths)
    assert not any(path.is_symlink() for path in paths)
    assert sandbox.leads_to_walls(tmp_path, settings) and not sandbox.leads_to_walls(tmp_path / "papers", settings)


def test_a_folder_made_later_is_not_covered(settings, tmp_path):
    settings.indexes_dir.mkdir(parents=True)
    (tmp_path / "papers/leases").mkdir(parents=True)
    before = sandbox.readable(settings)
    (tmp_path / "papers/new").mkdir()
    for path in (tmp_path / "papers", tmp_path / "papers/leases", tmp_path, Path("/usr")):
        assert sandbox.still_covers(before, path, settings), path
    (tmp_path / "later").mkdir()
    assert not sandbox.still_covers(before, tmp_path / "later", settings)
    assert not sandbox.still_covers(before, tmp_path, settings)
    assert sandbox.still_covers(before, tmp_path / "papers", settings)


@pytest.mark.parametrize("path", ["loop", "loop/below"])
def test_links_in_a_loop_are_reported_as_missing(tmp_path, settings, path):
    (tmp_path / "loop").symlink_to(tmp_path / "other")
    (tmp_path / "other").symlink_to(tmp_path / "loop")
    command = [sys.executable, "-m", "localrag", "ingest", path]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert run.returncode == NotFoundError.exit_code and "Traceback" not in run.stderr
    assert not sandbox.leads_to_walls(tmp_path / path, settings)

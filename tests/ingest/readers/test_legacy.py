import io
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import docx
import foreign_files
import pytest
from containers import compound, zipped
from waiting import wait_for

from localrag.errors import ReadError
from localrag.ingest.readers import legacy, programs
from localrag.ingest.readers.source import Options, Source
from localrag.security.offline import kernel

pytestmark = pytest.mark.slow

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
needs_office = pytest.mark.skipif(programs.installed()["LibreOffice"] is None, reason="LibreOffice is not installed")


def read(data, name="a.doc", **options):
    return legacy.read(Source(name, data=data), Options(**options))


def new_word(text="Text."):
    stream = io.BytesIO()
    document = docx.Document()
    document.add_paragraph(text)
    document.save(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "stream", "message", "hint"),
    [
        ("a.dot", "worddocument", "is an old Word document (.dot)", "save it as .docx"),
        ("a.pps", "PowerPoint Document", "is an old PowerPoint presentation (.pps)", "save it as .pptx"),
    ],
)
def test_without_libreoffice_an_old_file_is_refused_with_what_to_do(monkeypatch, name, stream, message, hint):
    monkeypatch.setattr(programs, "installed", lambda: {"LibreOffice": None})
    with pytest.raises(ReadError) as caught:
        read(compound(stream, b""), name)
    assert caught.value.message == message
    assert caught.value.hint.startswith("Install LibreOffice") and hint in caught.value.hint


def test_files_that_were_only_named_doc_are_read_as_what_they_are():
    for data, text in (
        (rb"{\rtf1\ansi Rent {\b due}}", "Rent due"),
        (b"<html><body><p>Rent due</p></body></html>", "Rent due"),
        (b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n<html><body><p>Rent due</p></body></html>", "Rent due"),
        ("Miete fällig\nEnde".encode(), "Miete fällig\nEnde"),
        (new_word("Rent due"), "Rent due"),
    ):
        assert read(data).pages[0].text.strip() == text


def test_other_files_are_refused_by_name():
    for data, message in (
        (b"%PDF-1.7", "is not a Word document but a PDF"),
        (zipped({"a.txt": "x"}), "is damaged, or not a Word document"),
        (bytes(range(256)) * 8, "is damaged, or not a Word document"),
        (OLE + b"cut", "is damaged, or not a Word document"),
        (compound("Workbook", b""), "is not a Word document but an Excel workbook"),
        (compound("EncryptedPackage", b""), "is encrypted"),
        (compound("Something", b""), "is not a Word document"),
    ):
        with pytest.raises(ReadError) as caught:
            read(data)
        assert message in caught.value.message and caught.value.hint


@pytest.fixture
def old_word(tmp_path):
    path = tmp_path / "a.docx"
    path.write_bytes(new_word("Rent is due."))
    profile = f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}"
    command = [programs.installed()["LibreOffice"], profile, "--headless", "--convert-to", "doc", "--outdir", tmp_path]
    subprocess.run([*command, path], check=True, capture_output=True)
    return (tmp_path / "a.doc").read_bytes()


def folders(pid=None):
    return list(Path(tempfile.gettempdir()).glob(f"localrag-{pid or os.getpid()}-*"))


@needs_office
def test_an_old_word_document_is_read_through_libreoffice(old_word):
    assert old_word.startswith(OLE)
    assert read(old_word).pages[0].text == "Rent is due." and folders() == []


def has(part):
    return programs.installed()["LibreOffice"] is not None and part not in programs.missing_parts()


@needs_office
@pytest.mark.parametrize(
    ("suffix", "write", "part"),
    [
        ("wpd", foreign_files.wordperfect, "Writer"),
        ("pages", foreign_files.pages, "Writer"),
        ("numbers", foreign_files.numbers, "Calc"),
        ("key", foreign_files.keynote, "Impress"),
        ("vsdx", foreign_files.visio, "Draw"),
    ],
)
def test_files_of_other_programs_are_read_through_libreoffice(suffix, write, part):
    if not has(part):
        pytest.skip(f"LibreOffice has no {part}")
    reading = read(write("The rent is due."), f"a.{suffix}")
    assert [page.text.strip() for page in reading.pages] == ["The rent is due."] and reading.date == ""


@pytest.mark.parametrize("suffix", sorted(legacy._OTHERS))
def test_files_that_only_have_the_suffix_of_another_program_are_refused(suffix):
    for data in (b"-----BEGIN PRIVATE KEY-----", b"%PDF-1.7", b"\0" * 99):
        with pytest.raises(ReadError) as caught:
            read(data, f"a{suffix}")
        assert caught.value.message.startswith(("is damaged, or not a", "is not a")) and caught.value.hint


@needs_office
@pytest.mark.parametrize("suffix", sorted(legacy._OTHERS))
def test_damaged_files_of_other_programs_are_refused_not_read_as_text(suffix):
    begins = legacy._OTHERS[suffix][2][0]
    for data in (zipped({"a.txt": "words"}), begins + b"words " * 99):
        if data.startswith(begins):
            with pytest.raises(ReadError, match=r"LibreOffice|has no text"):
                read(data, f"a{suffix}")


def test_a_missing_part_of_libreoffice_is_named(tmp_path, monkeypatch):
    program, registry = tmp_path / "program/soffice", tmp_path / "share/registry"
    for path in (program, registry / "writer.xcd"):
        path.parent.mkdir(parents=True)
        path.touch()
    monkeypatch.setattr(programs, "installed", lambda: {"LibreOffice": str(program)})
    monkeypatch.setattr(programs, "run", lambda *given: ("failed", b""))
    assert programs.missing_parts() == ["Impress", "Calc", "Draw"]
    with pytest.raises(ReadError, match="Impress, which is not installed") as caught:
        read(compound("PowerPoint Document", b""), "a.ppt")
    assert "libreoffice-impress-nogui" in caught.value.hint
    with pytest.raises(ReadError, match="could not be opened"):
        read(compound("WordDocument", b""), "a.doc")


def stand_in(tmp_path, monkeypatch, script):
    path = tmp_path / "soffice"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(programs, "installed", lambda: {"LibreOffice": str(path)})
    monkeypatch.setattr(programs, "_helper", None)


def alive(marker):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return any(marker in line for line in listed.splitlines())


linux = pytest.mark.skipif(sys.platform != "linux" or not kernel.abi(), reason="needs Landlock")
posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")


@posix
def test_what_takes_too_long_is_ended_with_all_it_started_and_failures_told(tmp_path, monkeypatch):
    nap = f"sleep 9{os.getpid()}"  # no other run of these tests has it
    stand_in(tmp_path, monkeypatch, f"{nap} & {nap}")
    with pytest.raises(ReadError, match=r"took LibreOffice longer than 0\.5 s"):
        programs.convert(b"x", ".doc", "docx", 1000, seconds=0.5)
    assert wait_for(lambda: not alive(nap)) and folders() == []
    stand_in(tmp_path, monkeypatch, 'head -c 2000 /dev/zero > "$HOME/out/document.docx"')
    with pytest.raises(ReadError, match="larger than 1,000 bytes"):
        programs.convert(b"x", ".doc", "docx", 1000)
    stand_in(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(ReadError, match="could not be opened by LibreOffice"):
        programs.convert(b"x", ".doc", "docx", 1000)


@posix
def test_libreoffice_ends_and_its_folder_goes_when_the_reader_is_killed(tmp_path, monkeypatch):
    nap = f"sleep 8{os.getpid()}"
    stand_in(tmp_path, monkeypatch, nap)
    code = (
        "from localrag.ingest.readers import programs\n"
        f"programs.installed = lambda: {{'LibreOffice': {str(tmp_path / 'soffice')!r}}}\n"
        "programs.convert(b'x', '.doc', 'docx', 1000)"
    )
    root = Path(__file__).parents[3]
    reader = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(root)})
    assert wait_for(lambda: alive(nap)) and folders(reader.pid)
    os.kill(reader.pid, signal.SIGKILL)
    reader.wait()
    assert wait_for(lambda: not alive(nap)) and wait_for(lambda: not folders(reader.pid))


@posix
def test_libreoffice_gets_no_macros_no_proxy_and_a_private_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy.example")
    # The "converted document" is what the stand-in saw.
    stand_in(tmp_path, monkeypatch, 'cd "$HOME"; { env; ls -ld .; cat profile/user/*.xcu; } > out/document.docx')
    seen = programs.convert(b"x", ".doc", "docx", 100_000).decode()
    assert "proxy" not in seen and "drwx------" in seen
    assert '<prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value>' in seen


@linux
def test_a_program_sees_its_own_folder_only_and_leaves_nothing_behind(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("nobody's business")
    script = f"""
exec > out/document.docx 2>&1
cat document.doc {tmp_path}/secret
ls {tempfile.gettempdir()} && echo listed
echo x > {tmp_path}/written && echo wrote
kill -0 $PPID && echo signalled
setsid sleep 98763 &
"""
    stand_in(tmp_path, monkeypatch, script)
    seen = programs.convert(b"the document ", ".doc", "docx", 100_000).decode()
    assert seen.startswith("the document ")
    assert not any(word in seen for word in ("nobody", "listed", "wrote"))
    assert "signalled" not in seen or kernel.abi() < 6
    assert wait_for(lambda: not alive("sleep 98763"))


@linux
@needs_office
def test_libreoffice_works_inside_the_walls_of_a_library(old_word, tmp_path, home):
    (tmp_path / "old.doc").write_bytes(old_word)
    code = f"""
from pathlib import Path
from localrag.ingest.readers.isolate import ReaderPool
from localrag.security import offline, sandbox
from localrag.settings import load_settings
settings = load_settings()
offline.confine()
sandbox.make_library_folder(settings, "a")
sandbox.restrict(settings, ["a"])
with ReaderPool(workers=1) as pool:
    print([getattr(item, "reason", "read") for _, item in pool.read_all([Path({str(tmp_path / "old.doc")!r})]) if item])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['read']\n"


@linux
def test_a_helper_deletes_what_a_killed_one_left(tmp_path, monkeypatch):
    left = Path(tempfile.gettempdir(), f"localrag-{2**22 + 1}-{'a' * 32}")  # no process has this number
    other = Path(tempfile.gettempdir(), f"localrag-test-{os.getpid()}")
    left.mkdir()
    other.mkdir()
    stand_in(tmp_path, monkeypatch, "exit 1")
    with pytest.raises(ReadError):
        programs.convert(b"x", ".doc", "docx", 1000)
    assert not left.exists() and other.exists()
    other.rmdir()

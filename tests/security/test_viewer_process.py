"""The process that shows files for a confined one. Each test runs a child, because confinement cannot be undone."""

import pytest
from command_line import printed
from waiting import ended, wait_for

from localrag.security.offline import kernel

pytestmark = pytest.mark.slow

linux = pytest.mark.skipif(
    kernel.machine() is None, reason="elsewhere nothing is inherited, and there is no such process"
)
BEGIN = """
import os, socket, sys, time
from pathlib import Path
from localrag.security import offline
from localrag.errors import LocalragError
from localrag.security.offline import viewer_process, kernel
file = Path(sys.argv[1])

def opener(file, page):
    socket.socket().close()  # refused to a confined process
    if page == 13:
        raise LocalragError("no such page", "Take another.")
    if page == 14:
        os._exit(1)
    return page is not None

viewer_process.start(opener)
offline.confine()

def show(*arguments):
    try:
        return viewer_process.show(*arguments, opener)
    except LocalragError as error:
        return f"{error.message}|{error.hint}"
"""


def child(tmp_path, code, begin=BEGIN, ends=0):
    file = tmp_path / "lease — 1.pdf"
    file.write_bytes(b"%PDF-")
    return printed(begin + code, file, ends=ends)


@linux
def test_a_confined_process_shows_existing_files_through_it(tmp_path):
    shown = child(tmp_path, "print(kernel.holds(), show(file, 2), show(file, None), show(file, 13), show(file, 3))")
    assert shown == "True True False no such page|Take another. True\n"
    gone, folder, there = child(
        tmp_path, "for path in (file.parent / 'gone', file.parent, file): print(show(path, 1))"
    ).splitlines()
    assert gone.endswith("was moved or deleted.") and folder.startswith("there is no file") and there == "True"


@linux
@pytest.mark.parametrize("wrong", ["Path('a.pdf'), 1", "file, 0", "file, '1; true'", "file, 14"])
def test_a_wrong_request_ends_it_which_is_reported(tmp_path, wrong):
    lines = child(tmp_path, f"print(show({wrong})); print(show(file, 1))").splitlines()
    assert [line.split("|")[0] for line in lines] == ["the process that opens files has ended"] * 2


@linux
def test_it_ends_with_the_asking_process(tmp_path):
    code = "print(Path(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read_text(), flush=True); os.kill(os.getpid(), 9)"
    helper = int(child(tmp_path, code, ends=-9))
    wait_for(lambda: ended(helper))


ADDRESS = """
listener = socket.create_server(("127.0.0.1", 0))

def opener(address):
    socket.socket().close()  # refused to a confined process
    file.with_name("opened").write_text(address)

viewer_process.start_for_address("http://127.0.0.1:8765", opener)
offline.confine(listener=listener)
for code in ("a_code-" * 5, "short", "x" * 30 + "&y", "x" * 30 + "\\n", "http://evil.example/" + "x" * 30):
    try:
        viewer_process.show_address("http://127.0.0.1:1", code, opener)
        print(file.with_name("opened").read_text())
    except LocalragError as error:
        print("refused")
"""


@linux
def test_it_opens_the_own_address_only(tmp_path):
    shown = child(tmp_path, ADDRESS, BEGIN.partition("def opener")[0])
    assert shown.splitlines() == [f"http://127.0.0.1:8765/?code={'a_code-' * 5}", *["refused"] * 4]

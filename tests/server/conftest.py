"""One server with two libraries, of which it serves one, for all tests of a process."""

import pytest

from server.running import ingest, serving


@pytest.fixture(scope="session")
def served_home(tmp_path_factory):
    base = tmp_path_factory.mktemp("served")
    for name, text in (
        ("papers", "The lease of Harbour House ends on 14 March 2031.\n"),
        ("secret", "The code is 4711.\n"),
    ):
        folder = base / name
        folder.mkdir()
        (folder / "lease & more.txt").write_text(text)
        (folder / "a%2fb.txt").write_text(f"Of the odd name. {text}")
        ingest(base / "home", folder, name)
    return base / "home"


@pytest.fixture(scope="session")
def server(served_home):
    with serving(served_home, "papers") as running:
        yield running

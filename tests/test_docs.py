import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from scripts import script

from localrag.models import CATALOG, catalog

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def build():
    return script("docs/build.py")


def test_the_generated_pages_are_fresh():
    # In a process of its own: click keeps the help option of a command that another test has called by itself.
    checked = subprocess.run(
        [sys.executable, str(ROOT / "docs/build.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, f"run `make docs`: {checked.stdout}{checked.stderr}"


def test_the_check_names_a_stale_page_and_fails(build, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    for name in build.PAGES.keys() - {"commands.md"}:
        (tmp_path / name).write_text(build.PAGES[name](), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"stale: docs/commands\.md"):
        build.main()
    monkeypatch.setattr(sys, "argv", ["build.py"])
    build.main()
    assert build.stale() == []


def test_a_claim_a_promise_and_a_test_of_it_stand_together_or_fail(build, monkeypatch):
    page = build.honest_page()
    assert "every way to the network is refused" in page and "Microsoft Word" in page
    promised, held = build._promised(), build._held()
    for name, given in (("_promised", promised), ("_held", held)):
        for changed in (given | {"invented": []}, {one: where for one, where in given.items() if one != "quotes"}):
            monkeypatch.setattr(build, name, lambda changed=changed: changed)
            with pytest.raises(AssertionError, match=r"invented|quotes"):
                build.honest_page()
        monkeypatch.setattr(build, name, lambda given=given: given)
    monkeypatch.undo()
    monkeypatch.setattr(build, "_ANCHOR", re.compile("nothing"))
    with pytest.raises(AssertionError, match="no claim behind"):
        build.honest_page()


def test_pictures_refer_to_nothing_outside_themselves():
    drawn = [file.read_text(encoding="utf-8") for file in (ROOT / "docs/pictures").glob("*.svg")]
    assert drawn
    for svg in drawn:
        assert set(re.findall(r"(?:https?:)?//[^\s\"')]+", svg)) <= {"http://www.w3.org/2000/svg"}
        assert "<script" not in svg and "url(" not in svg.replace("url(#", "")


def test_every_screen_has_its_keys_documented(build, monkeypatch):
    page = build.keys_page()
    assert "| Ctrl+T | Table of the last survey" in page and "| Alt+Y, Ctrl+Y | Copy" in page
    monkeypatch.delitem(build.SCREENS, "ResultsScreen")
    with pytest.raises(AssertionError, match="ResultsScreen"):
        build.keys_page()


def test_the_architecture_names_every_room_and_their_order():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = {path.name for path in (ROOT / "localrag").glob("*.py")} - {"__init__.py", "__main__.py"}
    rooms |= {f"{path.parent.name}/" for path in (ROOT / "localrag").glob("*/*.py")}
    column = re.findall(r"^\| (`[^|]*) \|", page.split("## Rooms")[1].split("## Order")[0], re.MULTILINE)
    assert rooms == {name for cell in column for name in re.findall(r"`([^`]+)`", cell)}

    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    assert re.findall(r"^    ([a-z_ |]+)$", page.split("## Order")[1], re.MULTILINE) == layers[::-1]


def test_relative_links_lead_to_files():
    missing = []
    for page in PAGES:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        targets = [target for target in LINK.findall(text) if not re.match(r"[a-z]+:|#", target)]
        missing += [f"{page}: {one}" for one in targets if not (page.parent / one.split("#")[0]).exists()]
    assert missing == []


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert phony == set(re.findall(r"^ +make ([a-z-]+)", shown, re.MULTILINE))


PAGE = """<!doctype html><html><head>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' file:">
<script src="assets/iframe-worker.js"></script><link rel="stylesheet" href="assets/main.css"></head>
<body><nav><a href="index.html">Home</a><a href="chat.html">Chat</a></nav>
<h1 id="top">{title}</h1><p>{text}</p></body></html>"""
FILES = {
    "index.html": PAGE.format(
        title="Home", text='<a href="chat.html#top">chat</a> <a href="https://example.org">x</a>'
    ),
    "chat.html": PAGE.format(title="Chat", text='<img src="assets/one.svg"><img src="data:image/png;base64,AA==">'),
    "404.html": PAGE.format(title="Not found", text='<a href="/.">home</a>'),
    "search.js": 'var __index = {"items":[{"location":"index.html"},{"location":"chat.html#top"}]}',
    "assets/main.css": "body { background: url(one.svg) }",
    "assets/iframe-worker.js": "",
    "assets/one.svg": "<svg/>",
}


@pytest.fixture(scope="module")
def check():
    return script("docs/check_site.py")


def site(folder, **changed):
    for name, text in (FILES | changed).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


FAULTS = {
    '<a href="gone.html">x</a>': "broken link gone.html",
    '<a href="index.html#gone">x</a>': "broken anchor index.html#gone",
    '<a href="/index.html">x</a>': "absolute link /index.html",
    '<script src="https://cdn.example/x"></script>': "loads https://cdn.example/x",
    '<link rel="preconnect" href="//fonts.gstatic.com">': "loads //fonts.gstatic.com",
    '<img srcset="a.png 1x, https://example.org/b.png 2x">': "loads https://example.org/b.png",
    '<p style="background: url(https://example.org/c)">': "loads https://example.org/c",
    "<style>@import 'https://example.org/d.css'</style>": "loads https://example.org/d.css",
}


def test_faults_of_a_site_are_named(check, tmp_path):
    assert check.faults(site(tmp_path)) == []
    for allowed in ("", "img-src 'self'", "default-src *", "default-src 'self' https:"):
        page = FILES["chat.html"].replace("default-src 'none'; script-src 'self' file:", allowed)
        (found,) = check.faults(site(tmp_path, **{"chat.html": page}))
        assert "Content-Security-Policy" in found, allowed
    found = check.faults(site(tmp_path, **{"chat.html": PAGE.format(title="Chat", text="".join(FAULTS))}))
    assert {f"chat.html: {fault}" for fault in FAULTS.values()} <= set(found)
    menu, index = check.faults(site(tmp_path, **{"lost.html": PAGE.format(title="Lost", text="")}))
    assert menu.startswith("lost.html") and "no menu" in menu and "search index" in index


def test_the_sizes_of_downloads_are_those_of_the_catalog():
    """The models of `make demo`, which are also the best that the package index alone gives."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = [re.search(rf"^{name} := (\S+)$", makefile, re.M)[1] for name in ("EMBEDDER", "DEMO_MODEL")]
    total = sum(catalog.card(id).bytes for id in named) / 1e9
    on_the_index = [one for one in CATALOG if one.kind == "generator" and one.rank and one.sources[0].kind == "wheel"]
    assert max(on_the_index, key=lambda one: one.rank).id == named[1]
    pages = {page: page.read_text(encoding="utf-8") for page in PAGES}
    for page in ("README.md", "docs/install.md", "docs/getting-started.md"):
        text = pages[ROOT / page]
        told = re.findall(r"(?:models \(|downloads |answers: )([\d.]+) GB", text)
        assert all(size == f"{total:.1f}" for size in told), page


def test_every_page_is_in_a_menu():
    """`make site` sees the built menus; this says so before, without the packages of the site."""
    import yaml

    docs = ROOT / "docs"

    def named(items):
        found = []
        for item in items:
            for value in item.values() if isinstance(item, dict) else [item]:
                found += named(value) if isinstance(value, list) else [str(value)]
        return found

    patterns = named(yaml.safe_load((docs / ".nav.yml").read_text(encoding="utf-8"))["nav"])
    assert {path for pattern in patterns for path in docs.glob(pattern)} == {
        *docs.glob("*.md"),
        *docs.glob("decisions/*.md"),
    }

"""The check of the built documentation site finds what is wrong with one. `make site` applies it to the real one."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from scripts import script

ROOT = Path(__file__).parents[1]
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
def check() -> ModuleType:
    return script("docs/check_site.py")


def site(folder: Path, **changed: str) -> Path:
    for name, text in (FILES | changed).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_a_sound_site_has_no_faults(check: ModuleType, tmp_path: Path) -> None:
    assert check.faults(site(tmp_path)) == []


FAULTS = {
    '<a href="gone.html">x</a>': "broken link gone.html",
    '<a href="index.html#gone">x</a>': "broken anchor index.html#gone",
    '<a href="#gone">x</a>': "broken anchor #gone",
    '<a href="/index.html">x</a>': "absolute link /index.html",
    '<a href="../outside.html">x</a>': "broken link ../outside.html",
    '<script src="https://cdn.example/x"></script>': "loads https://cdn.example/x",
    '<link rel="preconnect" href="//fonts.gstatic.com">': "loads //fonts.gstatic.com",
    '<img src="http://example.org/pixel.png">': "loads http://example.org/pixel.png",
    '<img srcset="a.png 1x, https://example.org/b.png 2x">': "loads https://example.org/b.png",
    '<form action="https://example.org/">': "loads https://example.org/",
    '<p style="background: url(https://example.org/c)">': "loads https://example.org/c",
    "<style>@import 'https://example.org/d.css'</style>": "loads https://example.org/d.css",
}


def test_faults_in_a_page_are_named(check: ModuleType, tmp_path: Path) -> None:
    found = check.faults(site(tmp_path, **{"chat.html": PAGE.format(title="Chat", text="".join(FAULTS))}))
    assert {f"chat.html: {fault}" for fault in FAULTS.values()} <= set(found)


def test_a_page_in_no_menu_and_in_no_index_is_named(check: ModuleType, tmp_path: Path) -> None:
    found = check.faults(site(tmp_path, **{"lost.html": PAGE.format(title="Lost", text="")}))
    assert [fault.split(":")[0] for fault in found] == ["lost.html"] * 2
    assert "no menu" in found[0] and "search index" in found[1]


def test_searching_from_the_disk_needs_a_script_and_the_worker_shim(check: ModuleType, tmp_path: Path) -> None:
    bare = PAGE.replace('<script src="assets/iframe-worker.js"></script>', "").format(title="Chat", text="")
    found = check.faults(site(tmp_path, **{"search.js": "[]", "chat.html": bare}))
    assert any(fault.startswith("search.js:") for fault in found)
    assert "chat.html: does not load assets/iframe-worker.js" in found


def test_a_page_that_lets_the_browser_ask_other_hosts_is_named(check: ModuleType, tmp_path: Path) -> None:
    for allowed in ("", "img-src 'self'", "default-src *", "default-src 'self' https:"):
        page = FILES["chat.html"].replace("default-src 'none'; script-src 'self' file:", allowed)
        found = check.faults(site(tmp_path, **{"chat.html": page}))
        assert len(found) == 1 and "Content-Security-Policy" in found[0], allowed


def test_every_page_is_in_a_menu() -> None:
    """`make site` sees the built menus; this says so before, without the packages of the site."""
    import yaml

    docs = ROOT / "docs"

    def named(items: list[object]) -> list[str]:
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

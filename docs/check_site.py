"""Build the documentation site in `build/site/` and check it: links, anchors, menus, and that it asks no other host.

    make site

Zensical's strict mode checks links between the pages as Markdown. What follows reads the pages as a browser does, so
that a fault of the theme or of a template is found too. Where Chromium is installed, it opens them from the disk.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

ROOT = Path(__file__).parents[1]
SITE = ROOT / "build" / "site"
# A browser refuses what this does not name, scripts of the theme included (it can load diagrams from a CDN).
POLICY = "Content-Security-Policy"
LOADS = ("src", "href", "data", "poster", "srcset", "action")  # attributes that hold an address
STYLES = re.compile(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""")
WORDS, FOUND = "passphrase recovery", "encrypt.html?h="  # a search, and a page that it finds
WORKER_SHIM = "assets/iframe-worker.js"  # browsers start no worker from the disk; the search runs in a frame there


def faults(site: Path) -> list[str]:
    """Everything that is wrong with a built site, as lines `page: fault`."""
    pages = {path: LexborHTMLParser(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    anchors = {
        path: {node.attributes[name] for name in ("id", "name") for node in page.css(f"[{name}]")}
        for path, page in pages.items()
    }
    found = [
        f"{path.relative_to(site)}: {fault}" for path in pages for fault in _page(site, path, pages[path], anchors)
    ]
    for style in sorted(site.rglob("*.css")):
        names = ("".join(pair) for pair in STYLES.findall(style.read_text(encoding="utf-8")))
        found += [f"{style.relative_to(site)}: loads {name}" for name in names if _elsewhere(name)]
    return found + list(_menus(site, pages)) + list(_search(site, pages))


def _page(site: Path, path: Path, page: LexborHTMLParser, anchors: dict[Path, set[str | None]]) -> Iterator[str]:
    policy = page.css_first(f'meta[http-equiv="{POLICY}"]')
    allowed = (policy.attributes["content"] or "") if policy else ""
    if "default-src" not in allowed or re.search(r"\*|https?:|//", allowed):
        yield f"its {POLICY} is missing or allows other hosts: {allowed!r}"
    names = [(node, each) for name in LOADS for node in page.css(f"[{name}]") for each in _names(node, name)]
    for node, name in names:
        if _elsewhere(name):
            if node.tag != "a":
                yield f"loads {name}"
        elif fault := _broken(site, path, name, anchors):
            yield fault
    for style in (*page.css("style"), *page.css("[style]")):
        words = style.text() if style.tag == "style" else style.attributes["style"] or ""
        yield from (f"loads {name}" for name in map("".join, STYLES.findall(words)) if _elsewhere(name))


def _names(node: LexborNode, attribute: str) -> list[str]:
    value = node.attributes[attribute] or ""
    return [part.split()[0] for part in value.split(", ") if part.strip()] if attribute == "srcset" else [value]


def _elsewhere(name: str) -> bool:
    """Whether an address leaves the site: another host, or a scheme other than data."""
    parts = urlsplit(name.strip())
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def _broken(site: Path, path: Path, name: str, anchors: dict[Path, set[str | None]]) -> str:
    if name.startswith("data:"):
        return ""
    if name.startswith("/"):
        # The page that a server shows for a missing one may be asked for from any folder.
        return "" if path.name == "404.html" else f"absolute link {name}"
    target, anchor = urldefrag(urljoin(path.relative_to(site).as_posix(), name))
    file = site / unquote(urlsplit(target).path)
    if not file.is_file():
        return f"broken link {name}"
    if anchor and file.suffix == ".html" and unquote(anchor) not in anchors[file]:
        return f"broken anchor {name}"
    return ""


def _menus(site: Path, pages: dict[Path, LexborHTMLParser]) -> Iterator[str]:
    """Pages that the menus of the first page do not lead to."""
    links = pages[site / "index.html"].css("nav a[href]")
    led_to = {(site / urldefrag(link.attributes["href"] or "").url).resolve() for link in links}
    for path in pages:
        if path.resolve() not in led_to and path.name != "404.html":
            yield f"{path.relative_to(site)}: is in no menu; add it to docs/.nav.yml"


def _search(site: Path, pages: dict[Path, LexborHTMLParser]) -> Iterator[str]:
    """The index is a script, since a page on the disk may not fetch a file, and knows every page."""
    index = site / "search.js"
    words = index.read_text(encoding="utf-8") if index.is_file() else ""
    if not words.startswith("var __index"):
        yield "search.js: is missing or no script; searching from the disk needs it"
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        if name != "404.html" and f'"location":"{name}' not in words:
            yield f"{name}: is not in the search index"
        if not any(_scripts(node, WORKER_SHIM) for node in page.css("script[src]")):
            yield f"{name}: does not load {WORKER_SHIM}"


def _scripts(node: LexborNode, name: str) -> bool:
    return (node.attributes["src"] or "").endswith(name)


def browsed(site: Path, chromium: str) -> Iterator[str]:
    """What goes wrong when a browser opens the site from the disk and searches it."""
    from playwright.sync_api import TimeoutError as TooLate
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )  # our own pages, in CI as root
        page = browser.new_page()
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((site / "index.html").as_uri())
        page.get_by_role("button", name="Search").first.click()
        page.keyboard.type(WORDS)
        try:
            page.locator(f"a[href*='{FOUND}']").first.wait_for(timeout=20_000)
        except TooLate:
            yield f"a search for {WORDS!r} from the disk does not find {FOUND}"
        browser.close()
    yield from (f"a browser asked for {url}" for url in asked if not url.startswith(("file:", "data:", "blob:")))
    yield from (f"a browser said: {text}" for text in said)


def main() -> None:
    shutil.rmtree(SITE, ignore_errors=True)
    built = subprocess.run([sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=ROOT, check=False)
    if built.returncode:
        sys.exit(built.returncode)
    found = faults(SITE)
    if chromium := shutil.which("chromium"):
        found += browsed(SITE, chromium)
    elif os.environ.get("CI"):
        found.append("Chromium is missing; .ci/run installs it")
    if found:
        sys.exit("\n".join([*found, f"build/site: {len(found)} faults"]))
    size = sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file())
    untried = "" if chromium else "; not opened in a browser: Chromium is not installed"
    print(
        f"build/site/index.html: {len(list(SITE.rglob('*.html')))} pages, {size / 1e6:.1f} MB, no fault found{untried}"
    )


if __name__ == "__main__":
    main()

"""Open the file behind a citation in the system's viewer, at its page if possible.

The viewer is started without a shell; on Linux by a process apart (`offline.viewer_process`), because the app's own is
confined and so is all that it starts. Files that a system would run are not opened. Limit: a viewer has the rights of
its user, and a browser may load what a page names.
"""

from __future__ import annotations

import html
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from localrag.errors import LocalragError, SettingsError

START_SECONDS = 1.5  # a viewer that fails does so within this time
LOAD_SECONDS = 30.0  # for a browser to start and load a page
_LEADING = (
    '<!doctype html><meta charset="utf-8"><title>localrag</title><meta http-equiv="refresh" content="0; url={0}">'
)
_EXAMPLE = 'For example: viewer = "evince -i {page} {file}"'
_OTHER = f"Name another viewer in localrag.toml. {_EXAMPLE}"


@dataclass(frozen=True, slots=True)
class Command:
    """How a viewer is started (an empty program: by Windows itself), and whether it will show the page."""

    arguments: tuple[str, ...]
    at_page: bool


class NoViewer(LocalragError):
    """The file cannot be opened; the hint says where it is."""


def _known() -> dict[str, Any]:
    from localrag.quantities import load_words  # the first frame of the app does without it

    return load_words("localrag.tui", "viewers.toml")


def command(
    file: Path,
    page: int | None,
    *,
    setting: str | None = None,
    environment: Mapping[str, str] = os.environ,
    platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which,
    default: Callable[[], str] = lambda: "",
) -> Command:
    """Find out how to open a file, at a page if possible: by the user's `setting`, or the `default` PDF viewer."""
    if setting:
        return _own(setting, file, page)
    if file.suffix.lower() in _known()["executable"]:
        raise NoViewer(f"{file.name} is not opened, because some systems would run it", f"It is {file}")
    if reason := _no_screen(environment, platform):
        raise NoViewer(reason, f"The file is {file}" + (f", page {page}" if page else ""))
    if page is not None and file.suffix.lower() == ".pdf" and platform != "darwin":
        known = default() if platform != "win32" else ""
        for name in [known] if known else [*_known()["at_page"]]:
            if found := _at_page(name, file, page, which):
                return found
    if platform == "win32":
        return Command(("", str(file)), False)
    opener = "open" if platform == "darwin" else "xdg-open"
    if (program := which(opener)) is None:
        raise NoViewer(f"there is no program to open files ({opener})", f"The file is {file}. {_OTHER}")
    return Command((program, str(file)), False)


def _own(setting: str, file: Path, page: int | None) -> Command:
    try:
        words = shlex.split(setting, posix=os.name == "posix")
    except ValueError as error:
        raise SettingsError(f"the setting viewer = {setting!r} cannot be parsed: {error}", _EXAMPLE) from error
    if not any("{file}" in word for word in words[1:]):
        raise SettingsError(f"the setting viewer = {setting!r} has no {{file}}", _EXAMPLE)
    return Command((words[0], *_fill(words[1:], file, page or 1)), any("{page}" in word for word in words))


def _fill(words: list[str] | tuple[str, ...], file: Path, page: int) -> tuple[str, ...]:
    # The page first, so that a file named "{page}.pdf" stays itself.
    return tuple(word.replace("{page}", str(page)).replace("{file}", str(file)) for word in words)


def _at_page(name: str, file: Path, page: int, which: Callable[[str], str | None]) -> Command | None:
    if (program := which(name)) is None:
        return None
    if name.startswith(tuple(_known()["browsers"])):
        return Command((program, f"{file.as_uri()}#page={page}"), True)
    given = _known()["at_page"].get(name)
    return Command((program, *_fill(given, file, page)), True) if given else None


def _no_screen(environment: Mapping[str, str], platform: str) -> str:
    """Why a viewer could not be seen; empty if it could."""
    if platform not in ("darwin", "win32") and (environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")):
        return ""
    if environment.get("SSH_CONNECTION") or environment.get("SSH_TTY"):
        return "you are connected from another machine, which cannot show this file"
    return "" if platform in ("darwin", "win32") else "there is no graphical screen to show the file on"


def default_pdf_viewer() -> str:
    """The name of the system's PDF viewer; empty if unknown."""
    try:
        query = ["xdg-mime", "query", "default", "application/pdf"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=START_SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    # "org.gnome.Evince.desktop", "okularApplication_pdf.desktop", "firefox_firefox.desktop"
    entry = PurePath(done.stdout.strip()).stem
    known = (name for name in (*_known()["at_page"], *_known()["browsers"]) if name.lower() in entry.lower())
    return next(known, entry.rpartition(".")[2])


def show(file: Path, page: int | None) -> bool:
    """Open a file; return whether the viewer shows the page."""
    from localrag.ingest.source_files import SOUNDS
    from localrag.settings import load_settings

    setting = None if file.suffix.lower() in SOUNDS else load_settings().viewer  # which is for pages
    opening = command(file, page, setting=setting, default=default_pdf_viewer)
    start(opening)
    return opening.at_page


def show_address(address: str) -> None:
    """Open a page of this machine in the browser, and return after `LOAD_SECONDS`.

    A file leads to it, which only its owner can read: all users see the arguments of a program.
    """
    from localrag.security import storage  # it imports a database engine

    if reason := _no_screen(os.environ, sys.platform):
        raise NoViewer(reason, "Open the address yourself.")
    program = {"win32": "", "darwin": "open"}.get(sys.platform, "xdg-open")
    file = Path(tempfile.gettempdir(), f"localrag-{secrets.token_hex(16)}.html")
    storage.write_bytes(file, _LEADING.format(html.escape(address)).encode(), plain=True)
    try:
        start(Command((program, str(file)), False))
        time.sleep(LOAD_SECONDS)
    finally:
        storage.remove(file)


def start(opening: Command) -> None:
    """Start a viewer in a session of its own."""
    if sys.platform == "win32" and not opening.arguments[0]:
        try:
            os.startfile(opening.arguments[1])
        except OSError as error:
            raise NoViewer(f"Windows could not open the file: {error}", _OTHER) from error
        return
    # LOCALRAG_* may hold a passphrase.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCALRAG_")}
    try:
        started = subprocess.Popen(
            opening.arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            close_fds=True,
        )
    except (OSError, ValueError) as error:
        raise NoViewer(f"{opening.arguments[0]} cannot be started: {error}", _OTHER) from error
    try:
        code = started.wait(START_SECONDS)
    except subprocess.TimeoutExpired:
        return
    if code:
        raise NoViewer(f"{PurePath(opening.arguments[0]).name} could not open the file (exit code {code})", _OTHER)


def loads_remote_content(file: Path) -> bool:
    """Whether the viewer of this file is likely to load what it names from the network."""
    return file.suffix.lower() in _known()["loads_remote"]

"""Opening the file behind a citation in the viewer of the system, at its page where the viewer takes one.

The viewer is started with the file as one argument and never through a shell; on Linux by a process apart, for the
screen's own is shut out from the network, and what it starts would be, too (`offline.viewer_process`).
Files that a system would run instead of showing are not opened, nor is anything where there is no screen to show it:
then the path is told. Limits: a viewer has the rights of its user, and what it does with the file (a browser may load
what a page names) is its own affair.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from localrag.errors import LocalragError, SettingsError

_SECONDS = 1.5
# Viewers of PDFs by the name of their program: how a page is asked for.
_AT_PAGE: Mapping[str, tuple[str, ...]] = {
    "evince": ("--page-index={page}", "{file}"),
    "papers": ("--page-index={page}", "{file}"),
    "xreader": ("--page-index={page}", "{file}"),
    "atril": ("--page-index={page}", "{file}"),
    "okular": ("--page", "{page}", "{file}"),
    "zathura": ("--page={page}", "{file}"),
    "qpdfview": ("--unique", "{file}#{page}"),
    "mupdf": ("{file}", "{page}"),
    "xpdf": ("{file}", ":{page}"),
    "sioyek": ("--page", "{page}", "{file}"),
    "SumatraPDF": ("-page", "{page}", "{file}"),
}
_BROWSERS = ("firefox", "chromium", "google-chrome", "brave", "microsoft-edge", "librewolf")
# A double click runs these on one system or another, and so may its opener.
_RUN = frozenset(
    ".app .bat .bash .cmd .com .command .cpl .csh .desktop .exe .fish .hta .jar .js .jse .lnk .msc .msi .pif .pl "
    ".ps1 .psm1 .py .pyw .rb .reg .scr .scpt .sh .tcl .url .vbe .vbs .workflow .ws .wsf .zsh".split()
)


@dataclass(frozen=True, slots=True)
class Command:
    """How a viewer is started (without a program: as Windows sees fit); `at_page`: whether it will show the page."""

    arguments: tuple[str, ...]
    at_page: bool


class NoViewer(LocalragError):
    """The file is not opened, and why; the hint says where it lies."""


def command(
    file: Path, page: int | None, *, setting: str | None = None,
    environment: Mapping[str, str] = os.environ, platform: str = sys.platform,
    which: Callable[[str], str | None] = shutil.which, default: Callable[[], str] = lambda: "",
) -> Command:  # fmt: skip
    """How to open a file, at a page of it (1-based) where that can be.

    Args:
        setting: the user's own viewer, with {file} and {page} for these two; it is taken as it is.
        default: the program that shows PDFs on this system, by its name.

    Raises:
        NoViewer: there is no screen, or the file is one that would be run.
        SettingsError: the setting makes no sense.
    """
    if setting:
        return _own(setting, file, page)
    if file.suffix.lower() in _RUN:
        raise NoViewer(f"{file.name} is not opened: some systems would run it instead of showing it", f"It is {file}")
    if elsewhere := _elsewhere(environment, platform):
        raise NoViewer(elsewhere, f"The file is {file}" + (f", page {page}" if page else ""))
    if page is not None and file.suffix.lower() == ".pdf" and platform != "darwin":
        known = default() if platform != "win32" else ""
        for name in [known] if known else [*_AT_PAGE]:
            if found := _at_page(name, file, page, which):
                return found
    if platform == "win32":
        return Command(("", str(file)), False)
    opener = "open" if platform == "darwin" else "xdg-open"
    if (program := which(opener)) is None:
        raise NoViewer(
            f"there is no program here that opens files ({opener})",
            f'The file is {file}. Name a viewer in localrag.toml: viewer = "evince -i {{page}} {{file}}"',
        )
    return Command((program, str(file)), False)


def _own(setting: str, file: Path, page: int | None) -> Command:
    try:
        words = shlex.split(setting, posix=os.name == "posix")
    except ValueError as error:
        raise SettingsError(f"the setting viewer cannot be understood: {setting!r} ({error})", _EXAMPLE) from error
    if not words or not any("{file}" in word for word in words[1:]):
        raise SettingsError(f"the setting viewer does not say where the file goes: {setting!r}", _EXAMPLE)
    filled = _filled(words[1:], file, page or 1)
    return Command((words[0], *filled), any("{page}" in word for word in words))


_EXAMPLE = 'For example: viewer = "evince -i {page} {file}"'


def _filled(words: list[str] | tuple[str, ...], file: Path, page: int) -> tuple[str, ...]:
    # The page first, so that a file named "{page}.pdf" stays itself.
    return tuple(word.replace("{page}", str(page)).replace("{file}", str(file)) for word in words)


def _at_page(name: str, file: Path, page: int, which: Callable[[str], str | None]) -> Command | None:
    if (program := which(name)) is None:
        return None
    if name.startswith(_BROWSERS):
        return Command((program, f"{file.as_uri()}#page={page}"), True)
    return Command((program, *_filled(_AT_PAGE[name], file, page)), True) if name in _AT_PAGE else None


def _elsewhere(environment: Mapping[str, str], platform: str) -> str:
    """Why nothing that is opened here could be seen; empty where it could."""
    shown = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    remote = environment.get("SSH_CONNECTION") or environment.get("SSH_TTY")
    if platform in ("darwin", "win32"):
        return "you are connected from another machine, which cannot show this file" if remote else ""
    if shown:
        return ""
    if remote:
        return "you are connected from another machine, which cannot show this file"
    return "there is no graphical screen here to show the file on"


def default_pdf_viewer() -> str:
    """The name of the program that shows PDFs on this system; empty where that cannot be told."""
    try:
        asked = ["xdg-mime", "query", "default", "application/pdf"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return ""
    # "org.gnome.Evince.desktop", "okularApplication_pdf.desktop", "firefox_firefox.desktop"
    entry = PurePath(said.stdout.strip()).stem
    for name in (*_AT_PAGE, *_BROWSERS):
        if name.lower() in entry.lower():
            return name
    return entry.rpartition(".")[2]


def show(file: Path, page: int | None) -> bool:
    """Open a file in the viewer of the settings or of the system; returns whether it will show the page.

    Raises:
        NoViewer, SettingsError: as `command` and `start`.
    """
    from localrag.settings import load_settings

    opening = command(file, page, setting=load_settings().viewer, default=default_pdf_viewer)
    start(opening)
    return opening.at_page


def start(opening: Command) -> None:
    """Start a viewer, apart from this process.

    Raises:
        NoViewer: it could not be started, or ended at once with an error.
    """
    if sys.platform == "win32" and not opening.arguments[0]:
        try:
            os.startfile(opening.arguments[1])
        except OSError as error:
            raise NoViewer(f"Windows could not open the file: {error}", _OTHER) from error
        return
    # What is named LOCALRAG_* may hold a passphrase, which is nobody else's business.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCALRAG_")}
    try:
        started = subprocess.Popen(
            opening.arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment, start_new_session=True, close_fds=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise NoViewer(f"{opening.arguments[0]} cannot be started: {error}", _OTHER) from error
    try:
        code = started.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        return
    if code:
        raise NoViewer(f"{PurePath(opening.arguments[0]).name} could not open the file (exit code {code})", _OTHER)


def reaches_out(file: Path) -> bool:
    """Whether what shows this file is likely to load what it names from the network."""
    return file.suffix.lower() in _REACHING


_REACHING = frozenset(".htm .html .xhtml .mht .mhtml .eml .msg .svg .epub".split())
_OTHER = f"Name another viewer in localrag.toml. {_EXAMPLE}"

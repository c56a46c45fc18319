"""`localrag serve` and `localrag mcp`: let programs ask, over HTTP or the Model Context Protocol."""

from __future__ import annotations

import os
import secrets
import signal
import stat
import sys
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from localrag import policy
from localrag.cli import keys, options
from localrag.cli.output import echo, one_line
from localrag.errors import KeyRequired, LocalragError, UsageError
from localrag.security import offline, sandbox, storage
from localrag.security.encryption import unlocked
from localrag.security.offline import remote, viewer_process
from localrag.server import listening
from localrag.sessions import store_of
from localrag.settings import load_settings
from localrag.store.names import check_name, database_of, exists, folders_read, no_library
from localrag.tui import viewing

if TYPE_CHECKING:
    from localrag.server.guard import Access
    from localrag.settings import Settings
    from localrag.worker.engine import Engine

_MIN_TOKEN = 16  # characters
_CODE_SECONDS = 600


@click.command("serve")
@options.libraries_argument()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help=f"Listen at this port of 127.0.0.1.  "
    f"[default: {listening.PORT}, or the next that is free; with --token-file no other]",
)
@click.option(
    "--socket",
    "path",
    type=options.FILE,
    metavar="PATH",
    help="Listen at a Unix socket instead, which only you can open.",
)
@click.option(
    "--token-file",
    type=options.FILE,
    metavar="FILE",
    help="Keep the token in FILE, which is made if it is missing.  [default: a new token at each start]",
)
@click.option("--no-token", is_flag=True, help="Let in everybody who can open the Unix socket.")
@click.option(
    "--upload", is_flag=True, help="Let browsers add files to the folder of a library; they are read at once."
)
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
def serve_command(
    libraries: Sequence[str],
    port: int | None,
    path: Path | None,
    token_file: Path | None,
    no_token: bool,
    upload: bool,
    opens: bool,
) -> None:
    """Let programs and browsers of this machine ask, over HTTP, until Ctrl-C.

    NAME, of one or more libraries, is needed only if there are several. It speaks OpenAI's protocol (`/v1`), JSON of
    its own (`/api`), and has pages for a browser. Nobody gets in without the token. Programs that ask see the answers
    and pages.
    """
    if path is not None and port is not None:
        raise UsageError("--port and --socket exclude each other", "Leave one out.")
    if path is None and no_token:
        raise UsageError("every user of this machine can reach a port", "Use a Unix socket: --socket PATH --no-token")
    if path is not None and opens:
        raise UsageError("a browser cannot open a Unix socket", "Leave out --open or --socket.")
    policy.check_server("allow_server")
    if upload:
        policy.check_server("allow_upload")
    settings = load_settings()
    names = options.chosen_libraries(libraries, settings, "Name one (or more): localrag serve NAME")
    for name in names:
        if not exists(settings.library_dir(check_name(name))):
            raise no_library(settings.indexes_dir, name)
    token = None if no_token else _token(token_file)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # Programs that keep a token would send it to another program at their port.
    port = listening.PORT if port is None and token_file is not None else port
    with closing(listening.bind(port, path)) as listener:
        if opens:
            viewer_process.start_for_address(listener.address, viewing.show_address)
        remote.start_broker(remote.wanted(settings))
        offline.confine(listener=listener.socket)
        _serve(listener, settings, names, token, token_file, opens, upload)


def _serve(
    listener: listening.Listener,
    settings: Settings,
    names: Sequence[str],
    token: str | None,
    token_file: Path | None,
    opens: bool,
    upload: bool,
) -> None:
    options.keep_to_retention(settings)
    for name in names:
        unlocked.keys_for(database_of(settings.library_dir(name)))  # now, while the terminal can be used to ask
    uploads = _uploads(settings, names) if upload else {}
    # The worker that this starts is as limited, and reads the documents' files to draw pages.
    reads = [*keys.key_files(), *(folder for name in names for folder in folders_read(settings, name))]
    sandbox.restrict(settings, names, store_of(settings).lock_file(), *uploads.values(), reads=reads)
    from localrag.server.app import create_app
    from localrag.server.guard import Access
    from localrag.server.served import Served
    from localrag.worker.client import remote_engine

    access = Access(listener.hosts, token, bool(uploads))
    with closing(remote_engine(settings, names, reads)) as engine:
        app = create_app(Served(settings, engine, tuple(names), uploads=uploads), access)
        _announce(names, listener, access, token_file)
        for folder in uploads.values():
            echo(f"Uploads: to {folder}", err=True)
        echo("Ctrl-C ends it.", err=True)
        if opens:
            # The page shows the library, and the worker takes a moment to start.
            for do in (partial(_start, engine, names[0]), partial(_open, listener, access.code(viewing.LOAD_SECONDS))):
                threading.Thread(target=do, daemon=True).start()
        listening.run(app, listener, access.in_head if token else lambda head: True)


def _uploads(settings: Settings, names: Sequence[str]) -> dict[str, Path]:
    """Return the folder of each library to which files may be added: the first that was read into it here."""
    found: dict[str, Path] = {}
    for name in names:
        folders = [folder for folder in folders_read(settings, name) if folder.is_dir()]
        if not folders:
            hint = "Read a folder into it here: localrag ingest FOLDER"
            raise UsageError(f"the library {name!r} has no folder on this machine to add files to", hint)
        if sandbox.leads_to_walls(folders[0], settings):
            hint = "Serve a library of a folder that holds documents only."
            raise UsageError(f"localrag's own files lie below {str(folders[0])!r}, where files would be added", hint)
        found[name] = folders[0]
    return found


def _start(engine: Engine, library: str) -> None:
    with suppress(LocalragError):  # the page meets it again
        engine.contents(library)


def _token(file: Path | None) -> str:
    """Return a new token, or that of a file."""
    if file is None or not file.exists():
        token = secrets.token_urlsafe(32)
        if file is not None:
            storage.write_bytes(file, f"{token}\n".encode(), plain=True)
        return token
    try:
        with file.open("rb") as stream:
            facts, token = os.fstat(stream.fileno()), stream.read().decode("utf-8", "replace").strip()
    except OSError as error:
        raise UsageError(f"cannot read the token file {str(file)!r}: {error.strerror}", "Check the path.") from None
    if sys.platform != "win32" and facts.st_uid not in (0, os.geteuid()):
        hint = "Who made it knows the token. Name a new file of your own."
        raise UsageError(f"the token file {str(file)!r} belongs to another user", hint)
    if os.name == "posix" and facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(f"others can read the token in {str(file)!r}", f"Run: chmod 600 {str(file)!r}")
    if len(token) < _MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        hint = f"A token has at least {_MIN_TOKEN} letters and digits. Delete the file, and it is made."
        raise UsageError(f"there is no token in {str(file)!r}", hint)
    return token


def _announce(names: Sequence[str], listener: listening.Listener, access: Access, file: Path | None) -> None:
    echo(f"Serving {', '.join(names)}. Programs that ask see the answers and pages.", err=True)
    if listener.path is not None:
        echo(f"Socket:  {listener.path}", err=True)
    else:
        once = f"?code={access.code(_CODE_SECONDS)}  (once, within 10 minutes)" if file is None else ""
        echo(f"Browser: {listener.address}/{once}", err=True)
        echo(f"OpenAI:  {listener.address}/v1", err=True)
    if access.token is not None:
        echo(f"Token:   {access.token if file is None else f'in {file}'}", err=True)
    if reached := remote.reachable():
        echo(f"Reaches: {', '.join(map(str, reached))}, and nothing else", err=True)


def _open(listener: listening.Listener, code: str) -> None:
    try:
        viewer_process.show_address(listener.address, code, viewing.show_address)
    except LocalragError as error:
        echo(f"The browser was not opened: {error.message}. {error.hint}", err=True)


@click.command("mcp")
@options.libraries_argument(metavar="NAME...", required=True)
def mcp_command(libraries: Sequence[str]) -> None:
    """Serve the libraries NAME to one program that speaks the Model Context Protocol, over standard input and output.

    Programs start this command themselves; docs/mcp.md says how to enter it. The program can search, ask and read, and
    change nothing. It sees what it is given, and so does the model behind it, wherever that runs. Each call is in the
    audit log. Keys of encrypted libraries come from --key-file or the system's keyring.
    """
    policy.check_server("allow_mcp")
    settings, served = load_settings(), tuple(dict.fromkeys(libraries))
    # Standard input belongs to the program, and a terminal perhaps too, so that nobody can be asked.
    unlocked.set_key_source(lambda folder, keyring, ask: keys.library_key(folder, keyring, False))
    for name in served:
        path = database_of(settings.library_dir(check_name(name)))
        if not path.is_file():
            raise no_library(settings.indexes_dir, name)
        try:
            unlocked.keys_for(path)
        except KeyRequired as error:
            hint = "Give it with --key-file FILE: standard input belongs to the program, so nobody is asked."
            raise KeyRequired(error.message, hint) from None
    options.keep_to_retention(settings)
    keys.confine(settings, served)
    what = f"{'library' if len(served) == 1 else 'libraries'} {one_line(', '.join(served))}"
    echo(f"The program that started this, and the model behind it, sees what it asks for of the {what}.", err=True)
    if sys.stdin.isatty():
        echo(
            "Waiting for it at standard input. To enter this command in a program: docs/mcp.md. Ctrl-C ends it.",
            err=True,
        )
    import asyncio

    from localrag.server import mcp
    from localrag.server.served import Served
    from localrag.worker.client import remote_engine

    engine = remote_engine(settings, served)

    def end(number: int, frame: FrameType | None) -> None:
        engine.close()
        os._exit(130 if number == signal.SIGINT else 0)  # a thread still reads standard input, and nothing ends it

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    asyncio.run(mcp.serve(Served(settings, engine, served)))

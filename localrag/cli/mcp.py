"""`localrag mcp`: serve libraries to a program that speaks the Model Context Protocol."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from localrag import policy
from localrag.cli import keys, options
from localrag.cli.output import echo, one_line
from localrag.errors import KeyRequired
from localrag.security.encryption import unlocked
from localrag.settings import load_settings
from localrag.store import names


@click.command("mcp")
@click.option(
    "-l",
    "--library",
    "libraries",
    multiple=True,
    required=True,
    metavar="NAME",
    shell_complete=options.complete_library,
    help="Serve this library; may be repeated.",
)
def mcp_command(libraries: Sequence[str]) -> None:
    """Serve libraries to one program that speaks the Model Context Protocol (MCP), over standard input and output.

    Programs start this command themselves; docs/mcp.md says how to enter it. The program can search, ask and read, and
    change nothing. It sees what it is given, and so does the model behind it, wherever that runs. Each call is in the
    audit log. Keys of encrypted libraries come from --key-file or the system's keyring.
    """
    policy.check_server("allow_mcp")
    settings, served = load_settings(), tuple(dict.fromkeys(libraries))
    # Standard input belongs to the program, and a terminal perhaps too, so that nobody can be asked.
    unlocked.set_key_source(lambda folder, keyring, ask: keys.library_key(folder, keyring, False))
    for name in served:
        path = names.database_of(settings.library_dir(names.check_name(name)))
        if not path.is_file():
            raise names.no_library(settings.indexes_dir, name)
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

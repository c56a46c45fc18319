"""The command line: one file per command group; each prints and exits, and holds no logic of its own."""

import sys


def main() -> None:
    """Entry point. It stands above every import, so that Ctrl-C ends quietly while they are still under way."""
    try:
        from localrag.cli import app

        app.main()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)

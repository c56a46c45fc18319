"""The `localrag` command, also as `python -m localrag`."""

import os
import sys


def main() -> None:
    """Entry point. It comes before every import, so that Ctrl-C ends quietly while they are still under way."""
    try:
        _isolate()
        from localrag.cli import app

        app.main()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)


def _isolate() -> None:
    """Under a policy, start again without the modules that PYTHON* variables and the user's own packages could load."""
    import site
    from pathlib import Path

    from localrag import policy

    here = str(Path(__file__).resolve().parents[1])
    clean = {"PYTHONPATH": here, "PYTHONNOUSERSITE": "1", "PYTHONSAFEPATH": "1"}  # for processes started later, too
    given = {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
    ruled = policy.VARIABLE in os.environ or os.path.lexists(policy.SYSTEM)
    if os.name == "posix" and ruled and given != clean and (given or site.ENABLE_USER_SITE):
        others = {name: value for name, value in os.environ.items() if name not in given}
        command = [sys.executable, "-P", "-m", "localrag", *sys.argv[1:]]
        os.execve(sys.executable, command, {**others, **clean})


if __name__ == "__main__":
    main()

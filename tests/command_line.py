"""Run the command line in this process, or Python in another."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner
from waiting import PATIENCE

from localrag.cli.app import localrag


def run(*words, typed=None):
    result = CliRunner().invoke(localrag, [str(word) for word in words], input=typed)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def run_json(*words):
    """Run a command with --json; returns what it prints."""
    return json.loads(run(*words, "--json").stdout)


def refused(kind, *words):
    """Run a command that fails with an error of this kind, and with a hint; returns the error."""
    with pytest.raises(kind) as raised:
        run(*words)
    assert raised.value.hint
    return raised.value


def printed(code, *words, ends=0, **how):
    """Run code in another process, which ends with this exit code; returns what it prints."""
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False, **how)
    assert done.returncode == ends, done.stderr
    return done.stdout

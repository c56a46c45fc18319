"""A terminal to run the app in as a person does: tmux, driven by keys, read by what stands on its screen."""

import os
import shlex
import shutil
import subprocess
import time
import uuid

import pytest
from waiting import PATIENCE

_EVERY = 0.2  # seconds between two looks, each of which starts a process


def require_tmux():
    """Skip where there is no tmux; in CI its absence is a failure, since a proof must not vanish unseen."""
    if shutil.which("tmux") is None:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail("tmux is missing; .ci/run installs it")
        pytest.skip("tmux is not installed")


_ENDED = "#{?pane_dead_signal,-#{pane_dead_signal},#{pane_dead_status}}"  # empty while it runs


class Terminal:
    """One window of a tmux server of its own; nothing of the user's configuration is read."""

    def __init__(self, folder, width=100, height=60):
        # A name of its own below the temporary folder: a path as long as a test's would be too long for a socket.
        self._server = f"localrag-{uuid.uuid4().hex[:12]}"
        self._folder = folder
        self._options = f"set -g default-size {width}x{height}\nset -g remain-on-exit on\nset -g status off\n"
        self._running = False

    def __enter__(self):
        return self

    def __exit__(self, *failed):
        if self._running:
            self._tmux("kill-server")

    def run(self, command, environ):
        # COLUMNS and LINES of whoever runs the tests are not the size of this window.
        given = ["-u", "COLUMNS", "-u", "LINES", "-u", "NO_COLOR"]
        given += [f"{name}={value}" for name, value in environ.items()]
        words = shlex.join(["env", *given, *command])
        options = self._folder / "tmux.conf"
        options.write_text(self._options)
        self._tmux("-f", str(options), "new-session", "-d", "-c", str(self._folder), words)
        self._running = True

    @property
    def process(self):
        return int(self._tmux("display-message", "-p", "#{pane_pid}"))

    def type(self, text):
        self._tmux("send-keys", "-l", text)

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def screen(self):
        return self._tmux("capture-pane", "-p")

    def words(self):
        """What stands on the screen, with frames and line breaks taken out."""
        return " ".join("".join(" " if "─" <= letter <= "╿" else letter for letter in self.screen()).split())

    def see(self, words, seconds=PATIENCE):
        """Wait until these words stand on the screen; fails with what it shows."""
        end = time.monotonic() + seconds
        while words not in self.words():
            if time.monotonic() > end:
                pytest.fail(f"no {words!r} within {seconds:.0f} s; the screen shows:\n{self.screen()}")
            time.sleep(_EVERY)

    def ended(self, seconds=PATIENCE):
        """Wait until the command has ended; its exit code, or the number of the signal that killed it, below 0."""
        end = time.monotonic() + seconds
        # The terminal is closed a moment before tmux is told how the command ended.
        while not (told := self._tmux("display-message", "-p", _ENDED).strip()):
            if time.monotonic() > end:
                pytest.fail(f"it did not end within {seconds:.0f} s; the screen shows:\n{self.screen()}")
            time.sleep(_EVERY)
        return int(told)

    def _tmux(self, *arguments):
        command = ["tmux", "-L", self._server, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

"""The main screens as pictures. After a wanted change: `pytest tests/tui/test_snapshots.py --snapshot-update`."""

import pytest

from tui.scenes import SNAPSHOTS, FixedPreferences


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_screen(snap_compare, monkeypatch, name):
    monkeypatch.setattr("localrag.security.offline.hook_installed", lambda: True)
    make, drive, size = SNAPSHOTS[name]

    async def before(pilot):
        await drive(pilot)
        await pilot.pause()

    assert snap_compare(make().app(preferences=FixedPreferences()), terminal_size=size, run_before=before)

"""Every screen in every state as a picture. After a wanted change: `pytest tests/tui/test_snapshots.py
--snapshot-update`, and look."""

from __future__ import annotations

import pytest

from tui.scenes import SCENES
from tui.screen_text import SIZES


@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x48"])
@pytest.mark.parametrize("name", SCENES)
def test_screen(snap_compare, monkeypatch, name, size):
    monkeypatch.setattr("localrag.security.offline.hook_installed", lambda: True)
    world = SCENES[name].world()

    async def before(pilot):
        await SCENES[name].before(pilot, world)
        await pilot.pause()

    assert snap_compare(world.app(**SCENES[name].options), terminal_size=size, run_before=before)

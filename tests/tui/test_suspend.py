"""What runs in another process is halted with the screen."""

from __future__ import annotations

from tui.fakes import FakeWorld
from tui.screen_text import see


async def test_suspending_the_app_halts_the_engine_until_it_is_back():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await see(pilot, "Ask about")
        app.app_suspend_signal.publish(app)
        assert app.core.engine.paused == [True]  # the next step is halting this process
        app.app_resume_signal.publish(app)
        await pilot.pause()
        assert app.core.engine.paused == [True, False]

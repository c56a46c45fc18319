"""What the tests of the app share."""

from __future__ import annotations

from typing import Any

import pytest
from textual._compositor import Compositor


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app without a terminal draws nothing but what a test looks at: Textual would throw away what it had drawn."""
    draw = Compositor.render_update

    def render_update(compositor: Compositor, full: bool = False, **how: Any) -> Any:
        if full:  # a picture
            return draw(compositor, full, **how)
        compositor._dirty_regions.clear()
        return None

    monkeypatch.setattr(Compositor, "render_update", render_update)

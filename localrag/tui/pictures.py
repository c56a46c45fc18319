"""Pictures in the terminal: whether it can show them, and a widget that does.

An optional extra (`textual-image`). Only terminals that draw real pixels count (Kitty's protocol, Sixel); letters made
of coloured half blocks could not be read. Which a terminal can is asked of it once, the first time that a picture is
wanted, and with the app stepped aside for that moment, since the answer comes where keys are read.
"""

from __future__ import annotations

import zlib
from base64 import b64decode
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.app import App
    from textual.widget import Widget

    from localrag.ingest.source_files import PageImage

NO_EXTRA = "Pages as pictures need an extra: pip install 'localrag[images]'. The text is shown."
NO_PIXELS = "This terminal shows no pictures (Kitty's protocol or Sixel). The text is shown."
_MOST_BYTES = 60_000_000


class Pictures:
    """What the terminal of an app can show; it is asked once."""

    def __init__(self) -> None:
        self._why_not: str | None = None

    def why_not(self, app: App[None]) -> str:
        """Why there can be no picture; empty where there can."""
        if self._why_not is None:
            self._why_not = _ask(app)
        return self._why_not

    def cell(self) -> int:
        """The width of a cell in pixels, where pictures can be shown."""
        from textual_image.widget import get_cell_size

        return int(get_cell_size().width)

    def widget(self, image: PageImage) -> Widget:
        """A widget that shows the picture over the whole width it is given."""
        from PIL import Image
        from textual_image.widget import Image as Shown

        size = 3 * image.width * image.height
        if not 0 < size <= _MOST_BYTES:
            raise ValueError(f"a picture of {image.width} x {image.height}")
        pixels = zlib.decompressobj().decompress(b64decode(image.pixels), size)
        shown: Widget = Shown(Image.frombytes("RGB", (image.width, image.height), pixels))
        shown.styles.width, shown.styles.height = "100%", "auto"
        return shown


def _ask(app: App[None]) -> str:
    from textual.app import SuspendNotSupported

    if find_spec("textual_image") is None:
        return NO_EXTRA
    try:
        with app.suspend():
            # Importing it asks the terminal.
            from textual_image.renderable import Image, SixelImage, TGPImage
            from textual_image.widget import get_cell_size

            get_cell_size()
    except SuspendNotSupported:
        return NO_PIXELS
    return "" if Image in (SixelImage, TGPImage) else NO_PIXELS

"""The list over the question field that says what a half-typed command or name may become."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList

from localrag.tui.completing import Offer
from localrag.tui.inert import clean_line


class Completions(OptionList, can_focus=False):
    """A list that never takes the keyboard; the field moves its mark and takes what is marked."""

    class Chosen(Message):
        """One was clicked."""

        def __init__(self, offer: Offer) -> None:
            super().__init__()
            self.offer = offer

    def __init__(self) -> None:
        super().__init__(id="completions")
        self._offers: tuple[Offer, ...] = ()
        self.display = False

    @property
    def chosen(self) -> Offer | None:
        """What is marked; None while nothing is offered."""
        return self._offers[self.highlighted or 0] if self._offers else None

    def offer(self, offers: Sequence[Offer], above: int) -> None:
        """Show these, `above` so many lines of the screen's lower edge; none hides the list."""
        if tuple(offers) == self._offers:
            return
        self._offers = tuple(offers)
        self.display = bool(offers)
        self.clear_options()
        width = max((len(one.shown) for one in offers), default=0)
        self.add_options(
            Content.assemble(clean_line(one.shown).ljust(width if one.about else 0), (f"  {one.about}", "$text-muted"))
            for one in offers
        )
        self.highlighted = 0 if offers else None
        self.styles.margin = (0, 0, above, 0)

    def move(self, step: int) -> None:
        if self._offers:
            self.highlighted = ((self.highlighted or 0) + step) % len(self._offers)

    def on_option_list_option_selected(self, message: OptionList.OptionSelected) -> None:
        message.stop()
        self.post_message(self.Chosen(self._offers[message.option_index]))

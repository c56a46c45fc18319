"""What stands where no question was asked yet: what is asked, and how one begins."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from localrag.tui.inert import clean_line


class Greeting(Static):
    """Goes away with the first question."""

    def __init__(self) -> None:
        super().__init__(id="greeting")

    def show(self, libraries: Sequence[str], narrowed: str, instructions: Sequence[str]) -> None:
        """Greet.

        Args:
            narrowed: what holds of the documents that are asked, in words, or nothing.
            instructions: how answers shall be worded, where it is said.
        """
        of = ", ".join(clean_line(name) for name in libraries)
        only = f", only documents that {clean_line(narrowed)}" if narrowed else ""
        worded = "".join(f"Answers are worded as you said: {clean_line(text)}\n\n" for text in instructions)
        self.update(
            Content.assemble(
                (f"Ask about {of}{only}.\n\n", "bold"),
                "Every answer shows the words in the documents that it rests on, with their page.\n"
                "What the documents do not say, it tells you.\n\n"
                f"{worded}"
                "Type a question below and press Enter.\n"
                "F1 lists the keys, / the commands, @ names a document, F6 shows all of them.",
            )
        )

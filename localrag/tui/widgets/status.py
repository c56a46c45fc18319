"""The bottom line: model, library, documents, what they are narrowed to, and whether the network is shut out."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.widgets import Static

from localrag import offline
from localrag.tui.inert import clean_line


class StatusLine(Static):
    """One line, cut with … where the terminal is narrow."""

    def __init__(self) -> None:
        super().__init__(id="status")

    def show(self, model: str, libraries: Sequence[str], documents: int | None, only: str = "") -> None:
        count = "counting …" if documents is None else f"{documents:,} document{'' if documents == 1 else 's'}"
        network = "offline" if offline.confined() else "network not shut out"
        parts = [network, model, ", ".join(libraries), count]
        if only:
            parts.append(f"only those that {only}")
        self.update(Content(" │ ".join(clean_line(part) for part in parts)))

"""What is known of the document or folder under the cursor, in words."""

from __future__ import annotations

from collections.abc import Iterator

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from localrag.tui.inert import clean_line
from localrag.tui.shelves import Branch
from localrag.types import Document
from localrag.worker.engine import Shelved

MOST_LISTED = 50


class LibraryDetails(VerticalScroll, can_focus=False):
    """A few lines, more of them by scrolling."""

    def __init__(self) -> None:
        super().__init__(id="library-details")
        self._words = Static()

    def compose(self) -> Iterator[Static]:
        yield self._words

    def show(self, branch: Branch | None) -> None:
        self.display = branch is not None
        if branch is not None:
            self._words.update(described(branch))
            self.scroll_home(animate=False)


def described(branch: Branch) -> Content:
    """A document, a file that could not be read, or a folder; what went wrong comes first."""
    head = clean_line(branch.path or branch.root or branch.label)
    lines: list[str] = []
    if branch.failure is not None:
        lines.append(f"× Not read: {clean_line(branch.failure.reason)}")
    if branch.shelved is not None:
        lines += [*_warnings(branch.shelved.document), *_document(branch, branch.shelved)]
    if branch.branches:
        lines += _folder(branch)
    return Content("\n").join([Content.styled(head, "bold"), *(Content(line) for line in lines)])


def _warnings(document: Document) -> Iterator[str]:
    skipped = [f"p. {page.number}: {clean_line(page.reason)}" for page in document.skipped[:MOST_LISTED]]
    if skipped:
        head = f"! {len(document.skipped):,} page{'' if len(document.skipped) == 1 else 's'} without text:"
        yield f"{head} {skipped[0]}" if len(skipped) == 1 else "\n  ".join([head, *skipped])
    for remark in document.remarks[:MOST_LISTED]:
        place = f"p. {remark.number}: " if remark.number is not None else ""
        yield f"! {place}{clean_line(remark.text)}"


def _document(branch: Branch, shelved: Shelved) -> Iterator[str]:
    pages = f", {shelved.document.pages:,} page{'' if shelved.document.pages == 1 else 's'}"
    yield f"○ Read: about {shelved.tokens:,} tokens{pages if shelved.document.paged else ''}"
    if branch.long:
        yield f"* Longer than the model can use at once ({branch.most:,} tokens): looked up, or read by its sections"
    else:
        yield f"Fits what the model can use at once ({branch.most:,} tokens)"
    if shelved.warm:
        yield f"● Warm: kept ready by the model ({shelved.warm:,} tokens), so that answers begin at once"


def _folder(branch: Branch) -> Iterator[str]:
    more = [f"{branch.warm:,} warm"] if branch.warm else []
    more += [f"{branch.failed:,} not read"] if branch.failed else []
    plural = "" if branch.documents == 1 else "s"
    yield ", ".join([f"{branch.documents:,} document{plural}, about {branch.tokens:,} tokens", *more])

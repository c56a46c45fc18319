"""The library pane: the documents of the libraries that are asked, what state they are in, and what can be done.

Which documents are ticked narrows the next questions (`Narrowed`); what is done with libraries goes on in the
background (library_work.py) while the conversation does. Everything slow runs in the app's lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from localrag.errors import LocalragError
from localrag.tui.core import Core
from localrag.tui.inert import clean_line, error_content
from localrag.tui.jobs import deliver
from localrag.tui.shelves import Branch, Name, grown, matching, pruned
from localrag.tui.widgets.confirm import Confirm
from localrag.tui.widgets.library_details import LibraryDetails
from localrag.tui.widgets.library_tree import LibraryTree
from localrag.tui.widgets.library_work import LibraryWork
from localrag.worker.engine import Folder, Shelf

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

PAUSE = 0.15
MOST_FOUND = 500
MOST_NAMED = 3
HINT = "Space tick · / find · Enter text · w keep ready · i read folders · F1 all keys"


class Field(Input):
    """A line to type in, shown while it is needed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave the field"), Binding("down", "submit")]

    class Left(Message):
        def __init__(self, field: Field) -> None:
            super().__init__()
            self.field = field

    def __init__(self, placeholder: str, id: str) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False
        self.display = False

    def action_leave(self) -> None:
        self.value = ""
        self.display = False
        self.post_message(self.Left(self))


class LibraryPane(Vertical):
    """Filter, tree, details, and what goes on; hidden until it is asked for."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Find documents by name or state (failed, warm, skipped, remark, long, ticked)"),
        Binding("c", "clear_ticks", "Untick all: questions are asked of every document again"),
        Binding("i", "read", "Bring the library level with its folders"),
        Binding("a", "add", "Add another folder to the library"),
        Binding("w", "keep", "Keep the ticked documents, or those here, ready: read ahead by the model"),
        Binding("x", "stop", "Stop reading and keeping ready; else take away what was said"),
        Binding("r", "refresh", "Look at the libraries again"),
        Binding("d", "forget", "Delete what was read of the ticked documents, or of those here"),
    ]

    class Narrowed(Message):
        """Questions shall be asked of these documents only; of all where there are none."""

        def __init__(self, these: tuple[Name, ...]) -> None:
            super().__init__()
            self.these = these

    class Wanted(Message):
        """The text of a document is to be shown."""

        def __init__(self, library: str, document: str, page: int | None) -> None:
            super().__init__()
            self.library = library
            self.document = document
            self.page = page

    class Changed(Message):
        """Libraries hold something else than before."""

        def __init__(self, shelves: tuple[Shelf, ...]) -> None:
            super().__init__()
            self.shelves = shelves

    class Looked(Message):
        """What the libraries hold, or why it cannot be told."""

        def __init__(
            self, shelves: tuple[Shelf, ...] = (), tops: Sequence[Branch] = (), error: LocalragError | None = None
        ) -> None:
            super().__init__()
            self.shelves = shelves
            self.tops = tops
            self.error = error

    class Failed(Message):
        """A folder cannot be looked at."""

        def __init__(self, error: LocalragError) -> None:
            super().__init__()
            self.error = error

    class Met(Message):
        """A folder that is to be added, as the core sees it."""

        def __init__(self, library: str, path: Path, folder: Folder) -> None:
            super().__init__()
            self.library = library
            self.path = path
            self.folder = folder

    def __init__(
        self, core: Core, libraries: Sequence[str], clock: Callable[[], float], ticked: Iterable[Name] = ()
    ) -> None:
        super().__init__(id="library")
        self._core = core
        self._libraries = tuple(libraries)
        self._shelves: tuple[Shelf, ...] = ()
        self._tops: Sequence[Branch] = ()
        self._looked = False
        self._title = Static(id="library-title")
        self._find = Field("name, failed, warm, skipped, long …", "library-find")
        self._tree = LibraryTree(ticked)
        self._details = LibraryDetails()
        self._work = LibraryWork(clock)
        self._folder = Field("folder to add", "library-folder")
        self._confirm = Confirm(id="library-confirm")
        self._hint = Static(HINT, classes="quiet", id="library-hint")
        self._pause: Timer | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._find
        yield self._tree
        yield self._details
        yield self._work
        yield self._folder
        yield self._confirm
        yield self._hint

    # --- showing and filling --------------------------------------------------------------------------------

    def show(self) -> None:
        """Show the pane and put the keyboard into it."""
        self.display = True
        self._tree.focus()
        if not self._looked:
            self._looked = True
            self._title.update(Content("Looking at the documents …"))
            self.action_refresh()

    def ask_of(self, libraries: Sequence[str]) -> None:
        """Show other libraries from now on; nothing of them is ticked."""
        self._libraries, self._shelves, self._tops = tuple(libraries), (), ()
        self.tick(())
        if self._looked:
            self.action_refresh()

    def tick(self, these: Iterable[Name]) -> None:
        """Tick these documents and no others."""
        self._tree.ticked = set(these)
        self._tree.redraw()
        self._tell_ticked()

    def action_refresh(self) -> None:
        libraries = self._libraries

        def look() -> None:
            shelves = tuple(self._core.engine.shelf(name) for name in libraries)
            deliver(self, self.Looked(shelves, grown(shelves)))

        self.app.lanes["pages"].submit(look, lambda error: deliver(self, self.Looked(error=error)))

    def on_library_pane_looked(self, message: Looked) -> None:
        message.stop()
        if message.error is not None:
            self._title.update(error_content(message.error))
            return
        if tuple(shelf.library for shelf in message.shelves) != self._libraries:
            return  # others are asked meanwhile
        self._shelves, self._tops = message.shelves, message.tops
        there = {name for top in self._tops for name in top.names()}
        if gone := self._tree.ticked - there:
            self._tree.ticked &= there
            self.notify(f"No longer in the library, and unticked: {_some(gone)}", markup=False)
        self._draw()
        self._tell_ticked()
        self.post_message(self.Changed(self._shelves))

    def _draw(self) -> None:
        """Fill the tree with what passes the filter."""
        failed = sum(top.failed for top in self._tops)
        words = f"{self._count():,} documents" + (f", {failed:,} not read" if failed else "")
        text = self._find.value if self._find.display else ""
        if not text.strip():
            self._tree.show(self._tops)
            self._title.update(Content.assemble((_listed(self._libraries), "bold"), f"\n{words}"))
            return
        found = matching(self._tops, text, self._tree.ticked)
        more = len(found) - MOST_FOUND
        remark = f"… {more:,} more: type more to find them" if more > 0 else "" if found else "Nothing fits."
        self._tree.show(pruned(self._tops, found[:MOST_FOUND]), unfold=True, remark=remark)
        self._title.update(Content.assemble((_listed(self._libraries), "bold"), f"\n{len(found):,} found of {words}"))

    def _count(self) -> int:
        return sum(len(shelf.documents) for shelf in self._shelves)

    # --- finding --------------------------------------------------------------------------------------------

    def action_find(self) -> None:
        self._find.display = True
        self._find.focus()

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        if message.input is self._find:
            if self._pause is not None:
                self._pause.stop()
            self._pause = self.set_timer(PAUSE, self._draw)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        message.stop()
        if message.input is self._folder:
            self._add(message.value.strip())
        else:
            if not message.value.strip():
                self._find.display = False
            self._tree.focus()

    def on_field_left(self, message: Field.Left) -> None:
        message.stop()
        self._tree.focus()

    # --- ticking --------------------------------------------------------------------------------------------

    def on_library_tree_ticked(self, message: LibraryTree.Ticked) -> None:
        message.stop()
        self._tell_ticked()

    def action_clear_ticks(self) -> None:
        self.tick(())

    def _tell_ticked(self) -> None:
        self.post_message(self.Narrowed(tuple(sorted(self._tree.ticked))))

    # --- one document ---------------------------------------------------------------------------------------

    def on_library_tree_reached(self, message: LibraryTree.Reached) -> None:
        message.stop()
        self._details.show(message.branch)

    def on_library_tree_wanted(self, message: LibraryTree.Wanted) -> None:
        message.stop()
        shelved = message.branch.shelved
        self.post_message(
            self.Wanted(*message.branch.name, 1 if shelved is not None and shelved.document.paged else None)
        )

    # --- what goes on ---------------------------------------------------------------------------------------

    def action_read(self) -> None:
        here = self._tree.at
        library = here.library if here is not None else None
        folders = [
            (shelf.library, Path(root))
            for shelf in self._shelves
            for root in shelf.roots
            if library in (None, shelf.library)
        ]
        self._read(folders)

    def _read(self, folders: Sequence[tuple[str, Path]]) -> None:
        if folders and not self.app.works.read(folders):
            self.notify("Folders are being read already; x stops that.", markup=False)
        self._work.watch_works()

    def action_add(self) -> None:
        self._folder.display = True
        self._folder.focus()

    def _add(self, typed: str) -> None:
        path = Path(typed).expanduser()
        if not typed or not path.is_dir():
            self.notify(f"{clean_line(typed) or 'Nothing'} is no folder that is there.", markup=False)
            return
        self._folder.action_leave()
        here = self._tree.at
        library = here.library if here is not None else self._libraries[0]
        self.app.lanes["reading"].submit(
            lambda: deliver(self, self.Met(library, path, self._core.engine.look_at(path))),
            lambda error: deliver(self, self.Failed(error)),
        )

    def on_library_pane_failed(self, message: Failed) -> None:
        message.stop()
        self._work.tell(error_content(message.error))

    def on_library_pane_met(self, message: Met) -> None:
        message.stop()
        known, files = message.folder.known, message.folder.files
        path, library = clean_line(str(message.path)), clean_line(message.library)
        if not known and not files:
            self.notify(f"There is no file in {path} that localrag can read.", markup=False)
            return
        what = f"{path}, which the library {clean_line(message.folder.library)} holds already" if known else (
            f"{files:,} file{'' if files == 1 else 's'} of {path}"
        )  # fmt: skip
        self._ask(f"Read {what}, into the library {library}?", lambda: self._read([(message.library, message.path)]))

    def action_keep(self) -> None:
        chosen = [leaf for leaf in self._chosen() if leaf.shelved is not None]
        for library in dict.fromkeys(leaf.library for leaf in chosen):
            here = [leaf for leaf in chosen if leaf.library == library]
            self.app.works.keep(
                library, [(leaf.path, leaf.shelved.tokens) for leaf in here if leaf.shelved is not None]
            )
        self._work.watch_works()

    def action_forget(self) -> None:
        names = [leaf.name for leaf in self._chosen() if leaf.shelved is not None]
        if not names:
            return
        what = clean_line(names[0][1]) if len(names) == 1 else f"{len(names):,} documents"
        self._ask(
            f"Delete for good what was read of {what}? The files stay where they are: one that still lies in a folder "
            "of the library is read again when the folder is.",
            lambda: self._forget(names),
        )

    def _forget(self, names: Sequence[Name]) -> None:
        self.app.works.forget(names)
        self._work.watch_works()

    def _chosen(self) -> list[Branch]:
        """The ticked documents, else those at and below the cursor."""
        if self._tree.ticked:
            return [leaf for top in self._tops for leaf in top.leaves() if leaf.name in self._tree.ticked]
        return list(self._tree.at.leaves()) if self._tree.at is not None else []

    def _ask(self, words: str, then: Callable[[], None]) -> None:
        def answered(yes: bool) -> None:
            self._tree.focus()
            if yes:
                then()

        self._confirm.ask(Content(words), answered)

    def action_stop(self) -> None:
        if not self.app.works.stop():
            self._work.clear()

    def on_library_work_advanced(self, message: LibraryWork.Advanced) -> None:
        message.stop()
        self._tree.working = message.working
        self._tree.redraw()

    def on_library_work_changed(self, message: LibraryWork.Changed) -> None:
        message.stop()
        self.action_refresh()


def _some(names: Iterable[Name]) -> str:
    paths = sorted(clean_line(path) for _, path in names)
    return ", ".join(paths[:MOST_NAMED]) + (f" and {len(paths) - MOST_NAMED:,} more" if len(paths) > MOST_NAMED else "")


def _listed(libraries: Sequence[str]) -> str:
    return ", ".join(clean_line(name) for name in libraries)

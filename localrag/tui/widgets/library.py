"""The library pane: the documents that can be asked, their state, and what can be done with them.

Ticked documents narrow the next questions. Reading folders, warming documents (the model reads them into its prompt
cache) and forgetting go on in the background while the conversation does, also in another conversation (`Works`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static, Tree
from textual.widgets.tree import TreeNode

from localrag.errors import Cancelled, LocalragError
from localrag.events import IngestProgress, IngestReport, Warmed
from localrag.ingest import report as in_words
from localrag.security.terminal import counted
from localrag.tui.text import clean, clean_line, error_content, list_some, shorten_all
from localrag.tui.threads import Core, JobThread
from localrag.tui.widgets.status import ProgressLine
from localrag.worker.branches import Branch, Key, Name, described, matching, short_size, state
from localrag.worker.engine import Contents, Engine

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

SEARCH_PAUSE = 0.15  # seconds
DRAW_EVERY = 0.1  # seconds; the engine reports far more often
MAX_FOUND = 500
INDENT = 2
MIN_WIDTH_FOR_SIZES = 42
HINT = "Space tick · / find · Enter text · w warm · i read folders · F1 all keys"
STAGES = {
    "scan": "looking",
    "read": "reading",
    "embed": "indexing",
    "store": "saving",
    "facts": "reading facts",
    "index": "finishing",
}


@dataclass(eq=False, slots=True)
class Work:
    """Work in the background, its progress and its result."""

    kind: Literal["reading", "warming", "forgetting"]
    what: str = ""  # the library that is being read or warmed
    total: int = 0
    left: dict[str, int] = field(default_factory=dict)  # documents still to be warmed, with their tokens
    latest: IngestProgress | Warmed | None = None
    running: bool = False
    warmed: list[Warmed] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    error: LocalragError | None = None
    done: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def fail(self, error: LocalragError) -> None:
        self.error, self.done = error, True

    def result(self) -> Content:
        lines = [Content(line) for line in self.lines]
        if self.error is not None and not (self.stop.is_set() and isinstance(self.error, Cancelled)):
            lines.append(error_content(self.error))
        return Content("\n").join(lines or [Content("Stopped.")])


class Works:
    """All work in the background, in the order in which it began.

    Warming shares the model, so it runs behind all else in that thread and gives way at once (`JobThread.behind`).
    """

    def __init__(self, core: Core, threads: Mapping[str, JobThread]) -> None:
        self._engine = core.engine
        self._threads = threads
        self.under_way: list[Work] = []

    def read(self, folders: Sequence[tuple[str, Path]]) -> bool:
        """Bring libraries up to date with folders; False if a reading is under way."""
        if any(work.kind == "reading" for work in self.under_way):
            return False
        work = Work("reading")

        def run() -> None:
            for work.what, folder in folders:
                if work.stop.is_set():
                    break
                for event in self._engine.ingest(work.what, folder, stop=work.stop.is_set):
                    if isinstance(event, IngestReport):
                        work.lines.append(clean_line(f"{event.root}: {in_words.summary(event)}"))
                        work.lines += marked(in_words.remarks(event))
                    else:
                        work.latest = event
            work.done = True

        self.under_way.append(work)
        self._threads["reading"].submit(run, work.fail)
        return True

    def warm(self, library: str, documents: Mapping[str, int]) -> None:
        """Warm documents (path and tokens), after those begun before."""
        work = Work("warming", library, sum(documents.values()), dict(documents))

        def run(wanted: Callable[[], bool]) -> bool:
            work.done = _warm(self._engine, work, wanted)
            return work.done

        self.under_way.append(work)
        self._threads["model"].behind(run, work.fail)

    def forget(self, documents: Sequence[Name]) -> None:
        """Delete the text of documents."""
        work = Work("forgetting")

        def run() -> None:
            gone = 0
            for library in dict.fromkeys(name for name, _ in documents):
                gone += len(self._engine.forget(library, tuple(path for name, path in documents if name == library)))
            work.lines.append(f"Deleted the text of {counted(gone, 'document')}.")
            work.done = True

        self.under_way.append(work)
        self._threads["reading"].submit(run, work.fail)

    def take_done(self) -> list[Work]:
        """Remove and return the work that is done."""
        done = [work for work in self.under_way if work.done]
        self.under_way = [work for work in self.under_way if work not in done]
        return done

    def stop(self) -> bool:
        """Stop reading and warming; False if neither is under way."""
        works = [work for work in self.under_way if work.kind != "forgetting"]
        for work in works:
            work.stop.set()
        return bool(works)


def _warm(engine: Engine, work: Work, wanted: Callable[[], bool]) -> bool:
    """Warm documents until all are done or the model is wanted; True if nothing is left."""
    stop: Callable[[], bool] = lambda: wanted() or work.stop.is_set()  # noqa: E731
    work.running = True
    try:
        if work.left and not stop():
            for event in engine.warm(work.what, tuple(work.left), stop=stop):
                work.latest = event
                if event.share >= 1:
                    work.warmed.append(event)
                    work.left = {path: n for path, n in work.left.items() if path != event.piece.document.path}
    finally:
        work.running = False
    work.lines = warm_lines(work.what, work.warmed)
    # Documents that are left although nobody stopped are no longer in the library.
    return work.stop.is_set() or not work.left or not wanted()


def warm_lines(library: str, results: Sequence[Warmed]) -> list[str]:
    """What came of warming."""
    warm = sum(event.state == "kept" for event in results)
    lines = [f"{clean_line(library)}: {counted(warm, 'document')} warm."]
    if full := [event.piece.name for event in results if event.state == "no room"]:
        lines.append(f"! No room for {len(full):,} more ({list_some(full)}): raise cache_bytes, or choose fewer.")
    unread = (event.piece for event in results if event.state == "not read")
    return lines + [f"! Not read: {clean_line(piece.name)}: {clean_line(piece.why_not)}" for piece in unread]


def current_file(progress: IngestProgress) -> str:
    """The file being read, and the stage."""
    stage = f"{STAGES[progress.stage]}: " if progress.stage != "wait" else ""
    return stage + clean_line(progress.document)


def marked(lines: Iterable[str]) -> list[str]:
    """Lines of what a person should look at."""
    return [f"! {clean_line(line)}" for line in lines]


class WorkPanel(Vertical):
    """Progress and results of the work in the background; hidden if there is none, and its timer paused."""

    app: LocalragApp

    class Finished(Message):
        """Some work is done, so libraries have changed."""

    def __init__(self) -> None:
        super().__init__(id="library-work")
        self._bar = ProgressLine()
        self._file = Static(classes="quiet")
        self._results = Static(id="library-results")
        self._scroll = VerticalScroll(self._results, id="library-results-scroll")
        self._timer: Timer | None = None
        self.display = self._file.display = self._scroll.display = False

    def compose(self) -> ComposeResult:
        yield from (self._bar, self._file, self._scroll)

    def on_mount(self) -> None:
        self._timer = self.set_interval(DRAW_EVERY, self._draw, pause=True)
        self.watch_works()

    def watch_works(self) -> None:
        """Draw until nothing is under way; call it after work was begun."""
        if self.app.works.under_way and self._timer is not None:
            self._draw()
            self._timer.resume()

    def show_result(self, content: Content) -> None:
        self._results.update(content)
        self._scroll.display = bool(content.plain)
        self._scroll.scroll_home(animate=False)
        self.display = bool(self.app.works.under_way) or self._scroll.display

    def _draw(self) -> None:
        works = self.app.works
        if done := works.take_done():
            self.show_result(Content("\n").join([work.result() for work in done]))
            self.post_message(self.Finished())
        if works.under_way:
            self._draw_work(works.under_way[0])
        else:
            self._bar.finish()
            self._file.display = False
            if self._timer is not None:
                self._timer.pause()
        self.display = bool(works.under_way) or self._scroll.display

    def _draw_work(self, work: Work) -> None:
        now = work.latest
        self._file.display = isinstance(now, IngestProgress)
        if work.stop.is_set():
            self._bar.say("Stopping …")
        elif isinstance(now, IngestProgress):
            self._file.update(Content(current_file(now)))
            self._bar.advance(f"Reading into {clean_line(work.what)}", now.done, now.total, "files")
        elif isinstance(now, Warmed) and work.running and now.state != "waiting":
            left, path = dict(work.left), now.piece.document.path
            done = work.total - sum(left.values()) + int(now.share * left.get(path, 0))
            self._bar.advance("Warming", done, work.total, "tokens")
        else:
            self._bar.say(f"{len(work.left):,} to warm; questions come first …" if work.left else "Preparing …")


def describe(branch: Branch) -> Content:
    """A document, a failed file or a folder in words, problems first."""
    head, lines = clean_line(branch.path or branch.root or branch.label), described(branch)
    return Content.assemble((head, "bold"), *(f"\n{clean(line)}" for line in lines))


class LibraryTree(Tree[Branch | None]):
    """Branches with a tick box, name, state and size. A node without a branch is a remark.

    A folder is filled when it is opened, and a line is drawn when it comes into view.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", "Tick or untick: questions are then asked of ticked documents only"),
        Binding("enter", "select_cursor", "Show the text of the document; open or close a folder"),
        Binding("right", "unfold", "Open the folder"),
        Binding("left", "fold", "Close the folder, or go to its parent"),
    ]

    class Ticked(Message):
        """Other documents are ticked now."""

    @dataclass
    class Highlighted(Message):
        """The cursor is on another branch."""

        branch: Branch | None

    @dataclass
    class Selected(Message):
        """A document's text is wanted."""

        branch: Branch

    def __init__(self, ticked: Iterable[Name] = ()) -> None:
        super().__init__("", id="library-tree")
        self.show_root = False
        self.show_guides = False
        self.guide_depth = INDENT
        self.auto_expand = False
        self.ticked = set(ticked)
        self._unfolded: set[Key] = set()
        self._found = False
        self._short: dict[tuple[int, int], dict[str, str]] = {}  # by parent node and room

    def show(self, branches: Sequence[Branch], *, found: bool = False, remark: str = "") -> None:
        """Show these branches, with folders open as they were; documents that were `found` are shown by their path."""
        here = self.at
        self.clear()
        self._short.clear()
        self._found = found
        self._fill(self.root, branches)
        if remark:
            self.root.add_leaf(Text(remark, style="italic"), None)
        self.root.expand()
        if branches:
            self.call_after_refresh(self._go_to, here.key if here is not None else branches[0].key)

    def _fill(self, node: TreeNode[Branch | None], branches: Iterable[Branch]) -> None:
        for branch in branches:
            below = node.add("", branch, allow_expand=bool(branch.branches) and not self._found)
            if branch.branches and branch.key in self._unfolded and not self._found:
                self._fill(below, branch.branches.values())
                below.expand()

    def _go_to(self, key: Key) -> None:
        """Move the cursor to a branch if it is in view, else to the first."""
        node = self._node(self.root, key) or self.root.children[0]
        self.move_cursor(node)
        self.post_message(self.Highlighted(node.data))

    def _node(self, above: TreeNode[Branch | None], key: Key) -> TreeNode[Branch | None] | None:
        for node in above.children:
            if node.data is not None and node.data.key == key:
                return node
            if (below := self._node(node, key)) is not None:
                return below
        return None

    @property
    def at(self) -> Branch | None:
        """The branch under the cursor."""
        return self.cursor_node.data if self.cursor_node is not None else None

    def redraw(self) -> None:
        """Draw again after ticks have changed."""
        self._updates += 1
        self.refresh()

    def action_tick(self) -> None:
        """Tick the documents at and below the cursor, or untick them if all are ticked."""
        if (branch := self.at) is None or not (names := branch.names()):
            return
        if self.ticked.issuperset(names):
            self.ticked.difference_update(names)
        else:
            self.ticked.update(names)
        self.redraw()
        self.post_message(self.Ticked())

    def action_unfold(self) -> None:
        if (node := self.cursor_node) is not None and node.allow_expand:
            self._unfold(node)

    def action_fold(self) -> None:
        if (node := self.cursor_node) is None:
            return
        if node.is_expanded:
            self._fold(node)
        elif node.parent is not None and node.parent is not self.root:
            self.move_cursor(node.parent)

    def _toggle_node(self, node: TreeNode[Branch | None]) -> None:
        if node.allow_expand:
            self._fold(node) if node.is_expanded else self._unfold(node)

    def _unfold(self, node: TreeNode[Branch | None]) -> None:
        if node.data is not None:
            self._unfolded.add(node.data.key)
            if not node.children:
                self._fill(node, node.data.branches.values())
        node.expand()

    def _fold(self, node: TreeNode[Branch | None]) -> None:
        if node.data is not None:
            self._unfolded.discard(node.data.key)
        node.collapse()

    def on_tree_node_selected(self, message: Tree.NodeSelected[Branch | None]) -> None:
        message.stop()
        branch = message.node.data
        if branch is not None and branch.entry is not None:
            self.post_message(self.Selected(branch))
        else:
            self._toggle_node(message.node)

    def on_tree_node_highlighted(self, message: Tree.NodeHighlighted[Branch | None]) -> None:
        message.stop()
        self.post_message(self.Highlighted(message.node.data))

    def get_label_width(self, node: TreeNode[Branch | None]) -> int:
        return 0  # lines are cut to the width, so that none need be drawn to know the widest

    def render_label(self, node: TreeNode[Branch | None], base_style: Style, style: Style) -> Text:
        branch = node.data
        if branch is None:
            return Text.assemble(node.label, style=style)
        width = self.size.width - INDENT * (_depth(node) - 1)
        toggle = ("▾ " if node.is_expanded else "▸ ") if node.allow_expand else "  "
        right = self._right(branch)
        room = max(4, width - cell_len(toggle) - 4 - cell_len(right) - 1)
        line = Text()
        line.append(toggle, Style(meta={"toggle": True}))
        line.append(f"{self._box(branch)} ", Style(meta={"tick": True}))
        line.append(set_cell_size(self._short_name(node, branch, room), room))
        line.append(f" {right}", Style(bold=branch.failure is not None))
        line.stylize(style)
        return line

    def _short_name(self, node: TreeNode[Branch | None], branch: Branch, room: int) -> str:
        """The name, cut so that it differs from those beside it."""
        label = self._label(branch)
        if cell_len(label) <= room:
            return label
        beside = (id(node.parent), room)
        if label not in self._short.get(beside, {}):
            siblings = node.parent.children if node.parent is not None else ()
            names = tuple(self._label(one.data) for one in siblings if one.data is not None)
            self._short[beside] = shorten_all((*names, label), room)
        return self._short[beside][label]

    def _label(self, branch: Branch) -> str:
        return clean_line(branch.path if self._found else branch.label)

    def _box(self, branch: Branch) -> str:
        if not branch.documents:
            return "   "
        if not self.ticked:
            return "[ ]"
        names = branch.names()
        ticked = sum(name in self.ticked for name in names)
        return "[ ]" if not ticked else "[x]" if ticked == len(names) else "[-]"

    def _right(self, branch: Branch) -> str:
        mark, word = state(branch)
        if branch.entry is None and branch.failure is None:
            return f"{mark} {word} of {branch.documents:,}" if word else f"{branch.documents:,}"
        if self.size.width < MIN_WIDTH_FOR_SIZES:
            return f"{mark} {word}"
        tokens = short_size(branch.entry.tokens) + ("*" if branch.long else " ") if branch.entry else ""
        return f"{mark} {word:<6} {tokens:>5}"


def _depth(node: TreeNode[Branch | None]) -> int:
    depth, above = 0, node.parent
    while above is not None:
        depth, above = depth + 1, above.parent
    return depth


class SearchInput(Input):
    """A line to search the tree, shown while it is used."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Clear the search"),
        Binding("down", "submit", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(placeholder="name, failed, warm, skipped, long …", id="library-find", compact=True)
        self.cursor_blink = False
        self.display = False

    async def action_leave(self) -> None:
        self.value = ""
        await self.action_submit()


class LibraryPane(Vertical):
    """Search, tree, details and work; hidden until it is opened."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "find", "Find documents by name or state (failed, warm, skipped, remark, long, ticked)"),
        Binding("c", "clear_ticks", "Untick all: questions are asked of every document again"),
        Binding("i", "read", "Bring the library up to date with its folders"),
        Binding("a", "screen.add_folder", "Add another folder to the library"),
        Binding("w", "warm", "Warm the ticked documents, or those here: the model reads them ahead"),
        Binding("x", "stop", "Stop reading and warming; else hide the results"),
        Binding("P", "screen.proofread", "Proofread the ticked document, or the one here"),
        Binding("r", "screen.look", "Look at the libraries again"),
        Binding("d", "screen.forget", "Delete the text of the ticked documents, or of those here"),
    ]

    @dataclass
    class Narrowed(Message):
        """Ask only these documents; all if there are none."""

        these: tuple[Name, ...]

    @dataclass
    class Wanted(Message):
        """The text of a document is wanted."""

        library: str
        document: str
        page: int | None

    def __init__(self, libraries: Sequence[str], ticked: Iterable[Name] = ()) -> None:
        super().__init__(id="library")
        self._libraries = tuple(libraries)
        self._held: tuple[Contents, ...] = ()
        self._tops: Sequence[Branch] = ()
        self._title = Static("Looking at the documents …", id="library-title")
        self._find = SearchInput()
        self._tree = LibraryTree(ticked)
        self._details_text = Static()
        self._details = VerticalScroll(self._details_text, id="library-details", can_focus=False)
        self._work = WorkPanel()
        self._timer: Timer | None = None
        self.display = False

    def compose(self) -> ComposeResult:
        yield from (self._title, self._find, self._tree, self._details, self._work)
        yield Static(HINT, classes="quiet", id="library-hint")

    def open(self) -> None:
        """Show the pane and focus the tree."""
        if not self.display:
            self.display = True
            self._draw()
        self._tree.focus()

    def tick(self, these: Iterable[Name]) -> None:
        """Tick these documents and no others."""
        self._tree.ticked = set(these)
        self._tree.redraw()
        self.on_library_tree_ticked()

    def show(self, held: tuple[Contents, ...], tops: Sequence[Branch]) -> None:
        """Show what the libraries hold."""
        self._held, self._tops = held, tops
        names = {name for top in tops for name in top.names()}
        if gone := self._tree.ticked - names:
            self._tree.ticked &= names
            paths = sorted(path for _, path in gone)
            self.notify(f"No longer in the library, and unticked: {list_some(paths)}")
        if self.display:
            self._draw()
        self.on_library_tree_ticked()

    def show_error(self, error: LocalragError) -> None:
        self._title.update(error_content(error))

    def _draw(self) -> None:
        """Fill the tree with what matches the search."""
        if not self._held:  # not looked up yet
            return
        total, failed = sum(len(each.documents) for each in self._held), sum(top.failed for top in self._tops)
        words = counted(total, "document") + (f", {failed:,} not read" if failed else "")
        text = self._find.value if self._find.display else ""
        if not text.strip():
            self._tree.show(self._tops)
        else:
            found = matching(self._tops, text, self._tree.ticked)
            more = len(found) - MAX_FOUND
            remark = f"… {more:,} more: refine the search" if more > 0 else "" if found else "Nothing found."
            self._tree.show(found[:MAX_FOUND], found=True, remark=remark)
            words = f"{len(found):,} found of {words}"
        self._title.update(Content.assemble((clean_line(", ".join(self._libraries)), "bold"), f"\n{words}"))

    def action_find(self) -> None:
        self._find.display = True
        self._find.focus()

    def on_input_changed(self, message: Input.Changed) -> None:
        message.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(SEARCH_PAUSE, self._draw)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        message.stop()
        self._find.display = bool(message.value.strip())
        self._tree.focus()

    def action_clear_ticks(self) -> None:
        self.tick(())

    def on_library_tree_ticked(self) -> None:
        self.post_message(self.Narrowed(tuple(sorted(self._tree.ticked))))

    def on_library_tree_highlighted(self, message: LibraryTree.Highlighted) -> None:
        self._details.display = message.branch is not None
        if message.branch is not None:
            self._details_text.update(describe(message.branch))
            self._details.scroll_home(animate=False)

    def on_library_tree_selected(self, message: LibraryTree.Selected) -> None:
        entry = message.branch.entry
        page = 1 if entry is not None and entry.document.paged else None
        self.post_message(self.Wanted(*message.branch.name, page))

    def action_read(self) -> None:
        here = self._tree.at
        self.read(
            [
                (each.library, Path(root))
                for each in self._held
                for root in each.roots
                if root not in each.elsewhere and (here is None or here.library == each.library)
            ]
        )

    def read(self, folders: Sequence[tuple[str, Path]]) -> None:
        """Read folders into libraries in the background."""
        if folders and not self.app.works.read(folders):
            self.notify("Folders are being read already; x stops that.")
        self._work.watch_works()

    @property
    def library(self) -> str:
        return self._tree.at.library if self._tree.at is not None else self._libraries[0]

    def action_warm(self) -> None:
        chosen = self.chosen()
        for library in dict.fromkeys(one.library for one in chosen):
            documents = {one.path: one.entry.tokens for one in chosen if one.library == library and one.entry}
            self.app.works.warm(library, documents)
        self._work.watch_works()

    def forget(self, names: Sequence[Name]) -> None:
        """Delete the text of documents in the background."""
        self.app.works.forget(names)
        self._work.watch_works()

    def chosen(self) -> list[Branch]:
        """The ticked documents, else those at and below the cursor."""
        tops, ticked = self._tops, self._tree.ticked
        if not ticked:
            tops = [self._tree.at] if self._tree.at is not None else []
        documents = (one for top in tops for one in top.leaves() if one.entry is not None)
        return [one for one in documents if not ticked or one.name in ticked]

    def action_stop(self) -> None:
        if not self.app.works.stop():
            self._work.show_result(Content())

"""The tree of documents: drawn line by line as it comes into view, filled folder by folder as it is opened.

It ticks and moves about; what ticking means, and what is done with a document, is for the pane.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from localrag.tui import shortening
from localrag.tui.inert import clean_line
from localrag.tui.shelves import Branch, Name, size, state

INDENT = 2
ROOM_FOR_SIZES = 42
Key = tuple[str, str, str]


class LibraryTree(Tree[Branch | None]):
    """Branches with a box to tick, their name, state and size. A node without a branch is a remark."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "tick", "Tick or untick: a question is then asked of ticked documents only"),
        Binding("enter", "select_cursor", "Show the text of the document; open or close a folder"),
        Binding("right", "unfold", "Open the folder"),
        Binding("left", "fold", "Close the folder, or go to the one it is in"),
    ]

    class Ticked(Message):
        """Other documents are ticked now."""

    class Reached(Message):
        """The cursor is on another branch."""

        def __init__(self, branch: Branch | None) -> None:
            super().__init__()
            self.branch = branch

    class Wanted(Message):
        """A document's text is to be shown."""

        def __init__(self, branch: Branch) -> None:
            super().__init__()
            self.branch = branch

    def __init__(self, ticked: Iterable[Name] = ()) -> None:
        super().__init__("", id="library-tree")
        self.show_root = False
        self.show_guides = False
        self.guide_depth = INDENT
        self.auto_expand = False
        self.ticked = set(ticked)
        self.working: Mapping[Name, int] = {}
        self._unfolded: set[Key] = set()

    # --- what is in it --------------------------------------------------------------------------------------

    def show(self, branches: Sequence[Branch], *, unfold: bool = False, remark: str = "") -> None:
        """Show these instead; folders that were open are open again, or with `unfold` all of them are, for once."""
        here = self.at
        self.clear()
        self._fill(self.root, branches, unfold)
        if remark:
            self.root.add_leaf(Text(remark, style="italic"), None)
        self.root.expand()
        if branches:
            self.call_after_refresh(self._go_to, here.key if here is not None else branches[0].key)

    def _fill(self, node: TreeNode[Branch | None], branches: Sequence[Branch], unfold: bool) -> None:
        for branch in branches:
            below = node.add("", branch, allow_expand=bool(branch.branches))
            if branch.branches and (unfold or branch.key in self._unfolded):
                self._fill(below, list(branch.branches.values()), unfold)
                below.expand()

    def _go_to(self, key: Key) -> None:
        """Put the cursor on a branch, or on the nearest that is there of those above it."""
        node, found = self.root, True
        while found:
            found = False
            for below in node.children:
                branch = below.data
                if branch is not None and (branch.key == key or _holds(branch, key)):
                    node, found = below, branch.key != key
                    break
        if node is not self.root:
            self.move_cursor(node)
            self.post_message(self.Reached(node.data))

    @property
    def at(self) -> Branch | None:
        """The branch under the cursor."""
        return self.cursor_node.data if self.cursor_node is not None else None

    def redraw(self) -> None:
        """Draw anew what does not lie in the branches: ticks, and what is being worked on."""
        self._updates += 1
        self.refresh()

    # --- keys -----------------------------------------------------------------------------------------------

    def action_tick(self) -> None:
        """Tick the documents at and below the cursor, or untick them where all are ticked."""
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
        """A click on the mark before a folder."""
        if node.allow_expand:
            self._fold(node) if node.is_expanded else self._unfold(node)

    def _unfold(self, node: TreeNode[Branch | None]) -> None:
        if node.data is not None:
            self._unfolded.add(node.data.key)
            if not node.children:
                self._fill(node, list(node.data.branches.values()), False)
        node.expand()

    def _fold(self, node: TreeNode[Branch | None]) -> None:
        if node.data is not None:
            self._unfolded.discard(node.data.key)
        node.collapse()

    def on_tree_node_selected(self, message: Tree.NodeSelected[Branch | None]) -> None:
        message.stop()
        branch = message.node.data
        if branch is not None and branch.shelved is not None:
            self.post_message(self.Wanted(branch))
        elif message.node.allow_expand:
            self._toggle_node(message.node)

    def on_tree_node_highlighted(self, message: Tree.NodeHighlighted[Branch | None]) -> None:
        message.stop()
        self.post_message(self.Reached(message.node.data))

    # --- drawing --------------------------------------------------------------------------------------------

    def get_label_width(self, node: TreeNode[Branch | None]) -> int:
        # Lines are cut to the width there is, so that none need be drawn to know the widest.
        return 0

    def render_label(self, node: TreeNode[Branch | None], base_style: Style, style: Style) -> Text:
        branch = node.data
        if branch is None:
            return Text.assemble(node.label, style=style)
        width = self.size.width - INDENT * (_depth(node) - 1)
        toggle = ("▾ " if node.is_expanded else "▸ ") if node.allow_expand else "  "
        right = self._right(branch)
        room = max(4, width - cell_len(toggle) - 4 - cell_len(right) - 1)
        name = shortening.middle(clean_line(branch.label), room)
        line = Text()
        line.append(toggle, Style(meta={"toggle": True}))
        line.append(f"{self._box(branch)} ", Style(meta={"tick": True}))
        line.append(set_cell_size(name, room))
        line.append(f" {right}", Style(bold=branch.failure is not None))
        line.stylize(style)
        return line

    def _box(self, branch: Branch) -> str:
        if not branch.documents:
            return "   "
        if not self.ticked:
            return "[ ]"
        names = branch.names()
        ticked = sum(name in self.ticked for name in names)
        return "[ ]" if not ticked else "[x]" if ticked == len(names) else "[-]"

    def _right(self, branch: Branch) -> str:
        mark, word = state(branch, self.working)
        if branch.shelved is None and branch.failure is None:
            count = f"{branch.documents:,}"
            return f"{mark} {word} of {count}" if word else count
        right = f"{mark} {word:<6}" if self.size.width >= ROOM_FOR_SIZES else f"{mark} {word}"
        if self.size.width >= ROOM_FOR_SIZES:
            tokens = size(branch.shelved.tokens) + ("*" if branch.long else " ") if branch.shelved is not None else " "
            right += f" {tokens:>5}"
        return right


def _depth(node: TreeNode[Branch | None]) -> int:
    depth, above = 0, node.parent
    while above is not None:
        depth, above = depth + 1, above.parent
    return depth


def _holds(branch: Branch, key: Key) -> bool:
    """Whether a branch lies above the one with this key."""
    library, root, path = key
    if branch.library != library or (branch.root and branch.root != root):
        return False
    return not branch.path or path.startswith(f"{branch.path}/")

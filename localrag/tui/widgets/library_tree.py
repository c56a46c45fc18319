"""The documents of libraries as a tree with tick boxes.

The tree ticks documents; what that means is up to the library pane.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from localrag.tui.text import clean_line, shorten_all
from localrag.worker.branches import Branch, Key, Name, short_size, state

INDENT = 2
MIN_WIDTH_FOR_SIZES = 42


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
        if branch is not None and branch.shelved is not None:
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
        if branch.shelved is None and branch.failure is None:
            return f"{mark} {word} of {branch.documents:,}" if word else f"{branch.documents:,}"
        if self.size.width < MIN_WIDTH_FOR_SIZES:
            return f"{mark} {word}"
        tokens = short_size(branch.shelved.tokens) + ("*" if branch.long else " ") if branch.shelved else ""
        return f"{mark} {word:<6} {tokens:>5}"


def _depth(node: TreeNode[Branch | None]) -> int:
    depth, above = 0, node.parent
    while above is not None:
        depth, above = depth + 1, above.parent
    return depth

"""The documents of libraries as a tree: folders as the library has them, what is ticked, what passes a filter.

Pure: it is made in a lane of what the engine says, and the widgets draw it. A document that holds others (a mail with
attachments) is a branch, too. Where a library has several folders on the disk, each is a branch of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from localrag.events import Failure
from localrag.worker.engine import Shelf, Shelved

Name = tuple[str, str]  # library and path of a document


@dataclass(eq=False, slots=True)
class Branch:
    """A library, a folder, a document, or a file that could not be read.

    The counts are of everything below, itself among it. `most` is how many tokens the model can use at once.
    """

    label: str
    library: str
    root: str = ""
    path: str = ""
    most: int = 0
    shelved: Shelved | None = None
    failure: Failure | None = None
    branches: dict[str, Branch] = field(default_factory=dict)
    documents: int = 0
    tokens: int = 0
    warm: int = 0
    failed: int = 0

    @property
    def name(self) -> Name:
        return self.library, self.path

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is known by when the tree is made again."""
        return self.library, self.root, self.path

    def leaves(self) -> Iterator[Branch]:
        """The documents and failed files at and below it, in order."""
        if self.shelved is not None or self.failure is not None:
            yield self
        for branch in self.branches.values():
            yield from branch.leaves()

    def names(self) -> list[Name]:
        """The documents at and below it."""
        return [leaf.name for leaf in self.leaves() if leaf.shelved is not None]

    @property
    def states(self) -> frozenset[str]:
        """The words for its state by which it can be found."""
        words = set[str]()
        if self.failure is not None:
            words.add("failed")
        if self.shelved is not None:
            document = self.shelved.document
            words.add("read")
            words |= {"skipped"} if document.skipped else set()
            words |= {"remark"} if document.remarks else set()
            words |= {"warm"} if self.shelved.warm else set()
            words |= {"long"} if self.long else set()
        return frozenset(words)

    @property
    def long(self) -> bool:
        """Whether it is longer than what the model can use at once."""
        return self.shelved is not None and self.shelved.tokens > self.most > 0


def grown(shelves: Sequence[Shelf]) -> list[Branch]:
    """The branches on top: of one library what it holds, of several the libraries."""
    libraries = [_library(shelf) for shelf in shelves]
    return list(libraries[0].branches.values()) if len(libraries) == 1 else libraries


def _library(shelf: Shelf) -> Branch:
    top = Branch(shelf.library, shelf.library, most=shelf.most)
    several = len(shelf.roots) > 1
    roots = {root: Branch(root, shelf.library, root, most=shelf.most) if several else top for root in shelf.roots}
    for shelved in shelf.documents:
        document = shelved.document
        _at(roots.get(document.root, top), document.root, document.path).shelved = shelved
    for failure in shelf.failed:
        _at(roots.get(failure.root, top), failure.root, failure.document).failure = failure
    if several:
        top.branches = {root: branch for root, branch in roots.items() if branch.branches}
    _settle(top)
    return top


def _at(branch: Branch, root: str, path: str) -> Branch:
    """The branch of a path below this one, made where it is missing."""
    so_far = ""
    for part in path.split("/"):
        so_far = f"{so_far}/{part}" if so_far else part
        below = branch.branches.get(part)
        if below is None:
            below = branch.branches[part] = Branch(part, branch.library, root, so_far, branch.most)
        branch = below
    return branch


def _settle(branch: Branch) -> None:
    """Count from the bottom up, and put folders before files."""
    branch.documents, branch.failed = int(branch.shelved is not None), int(branch.failure is not None)
    branch.tokens, branch.warm = 0, 0
    if branch.shelved is not None:
        branch.tokens, branch.warm = branch.shelved.tokens, int(branch.shelved.warm > 0)
    for below in branch.branches.values():
        _settle(below)
        branch.documents += below.documents
        branch.tokens += below.tokens
        branch.warm += below.warm
        branch.failed += below.failed
    branch.branches = dict(
        sorted(branch.branches.items(), key=lambda item: (not item[1].branches, item[0].casefold(), item[0]))
    )


def matching(tops: Sequence[Branch], text: str, ticked: Collection[Name] = ()) -> list[Branch]:
    """The documents and failed files that each word of `text` fits: a part of the path, or a word for the state."""
    words = text.casefold().split()

    def fits(leaf: Branch) -> bool:
        states = {*leaf.states, "ticked"} if leaf.name in ticked else leaf.states
        path = f"{leaf.library}/{leaf.path}".casefold()
        return all(word in path or word in states for word in words)

    return [leaf for top in tops for leaf in top.leaves() if fits(leaf)]


def pruned(tops: Sequence[Branch], leaves: Collection[Branch]) -> list[Branch]:
    """Copies of the branches that lead to these leaves; their counts stay those of the whole."""
    wanted = frozenset(map(id, leaves))
    found = (_pruned(top, wanted) for top in tops)
    return [branch for branch in found if branch is not None]


def _pruned(branch: Branch, wanted: Collection[int]) -> Branch | None:
    below = {name: kept for name, one in branch.branches.items() if (kept := _pruned(one, wanted)) is not None}
    if not below and id(branch) not in wanted:
        return None
    return Branch(
        branch.label, branch.library, branch.root, branch.path, branch.most, branch.shelved, branch.failure, below,
        branch.documents, branch.tokens, branch.warm, branch.failed,
    )  # fmt: skip


def size(tokens: int) -> str:
    """A length in a few characters: "950", "12k", "1.2M"."""
    if tokens < 1000:
        return str(tokens)
    return f"{tokens / 1000:.0f}k" if tokens < 999_500 else f"{tokens / 1e6:.1f}M"


def state(branch: Branch, working: Mapping[Name, int]) -> tuple[str, str]:
    """The mark and the word for what a branch is; `working` has the percentages of what is being done."""
    if branch.name in working and branch.shelved is not None:
        return "…", f"{working[branch.name]}%"
    if branch.shelved is None:
        if branch.failure is not None:
            return "×", "failed"
        return (" ", "") if not branch.failed else ("!", f"{branch.failed} failed")
    document = branch.shelved.document
    mark = "!" if branch.failure is not None or document.skipped or document.remarks else ""
    return (mark or "●", "warm") if branch.shelved.warm else (mark or "○", "read")

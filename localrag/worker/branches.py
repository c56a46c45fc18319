"""The documents of libraries as a tree, and their states in words.

Folders are as on the disk. A document that contains others (a mail with attachments) is a branch, too. If a library has
several folders on the disk, each is a branch of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from localrag.events import Failure
from localrag.security.terminal import counted
from localrag.types import Document
from localrag.worker.engine import Contents, Entry

WARM = 0.95  # the share from which a document counts as warm; passages that it repeats are kept once
MAX_LISTED = 50  # pages and remarks of one document
Name = tuple[str, str]  # library and path of a document
Key = tuple[str, str, str]  # library, root and path of a branch


@dataclass(eq=False, slots=True)
class Branch:
    """A library, a folder, a document, or a file that could not be read.

    The counts include everything below, `warm` those that are nearly all warm. `max_tokens` is how many the model can
    read at once.
    """

    label: str
    library: str
    root: str = ""
    path: str = ""
    max_tokens: int = 0
    entry: Entry | None = None
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
    def key(self) -> Key:
        """What identifies it when the tree is built again."""
        return self.library, self.root, self.path

    def leaves(self) -> Iterator[Branch]:
        """The documents and failed files at and below it, in order."""
        if self.entry is not None or self.failure is not None:
            yield self
        for branch in self.branches.values():
            yield from branch.leaves()

    def names(self) -> list[Name]:
        """The documents at and below it."""
        return [leaf.name for leaf in self.leaves() if leaf.entry is not None]

    @property
    def states(self) -> frozenset[str]:
        """The words for its state that a search finds."""
        entry = self.entry
        has = {
            "failed": self.failure is not None,
            "read": entry is not None,
            "skipped": entry is not None and bool(entry.document.skipped),
            "remark": entry is not None and bool(entry.document.remarks),
            "warm": entry is not None and entry.share >= WARM,
            "long": self.long,
        }
        return frozenset(word for word, holds in has.items() if holds)

    @property
    def long(self) -> bool:
        """Whether the model cannot read it at once."""
        return self.entry is not None and self.entry.tokens > self.max_tokens > 0


def build(libraries: Sequence[Contents]) -> list[Branch]:
    """The top branches: the contents of one library, or several libraries."""
    tops = [_library(contents) for contents in libraries]
    return list(tops[0].branches.values()) if len(tops) == 1 else tops


def _library(contents: Contents) -> Branch:
    top = Branch(contents.library, contents.library, max_tokens=contents.most)
    several = len(contents.roots) > 1
    roots = {
        root: Branch(root, contents.library, root, max_tokens=contents.most) if several else top
        for root in contents.roots
    }
    for entry in contents.documents:
        document = entry.document
        branch = _branch_at(roots.get(document.root, top), document.root, document.path)
        branch.entry, branch.label = entry, entry.title or branch.label
    for failure in contents.failed:
        _branch_at(roots.get(failure.root, top), failure.root, failure.document).failure = failure
    if several:
        top.branches = {root: branch for root, branch in roots.items() if branch.branches}
    _settle(top)
    return top


def _branch_at(branch: Branch, root: str, path: str) -> Branch:
    """The branch of a path, created if needed."""
    so_far = ""
    for part in path.split("/"):
        so_far = f"{so_far}/{part}" if so_far else part
        below = branch.branches.get(part)
        if below is None:
            below = branch.branches[part] = Branch(part, branch.library, root, so_far, branch.max_tokens)
        branch = below
    return branch


def _settle(branch: Branch) -> None:
    """Count from the bottom up, and sort folders before files."""
    branch.documents, branch.failed = int(branch.entry is not None), int(branch.failure is not None)
    if branch.entry is not None:
        branch.tokens, branch.warm = branch.entry.tokens, int(branch.entry.share >= WARM)
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
    """The documents and failed files that match every word of `text`: part of path or title, or the word of a state."""
    words = text.casefold().split()

    def fits(leaf: Branch) -> bool:
        states = {*leaf.states, "ticked"} if leaf.name in ticked else leaf.states
        name = f"{leaf.library}/{leaf.path} {leaf.label}".casefold()
        return all(word in name or word in states for word in words)

    return [leaf for top in tops for leaf in top.leaves() if fits(leaf)]


def short_size(tokens: int) -> str:
    """A length in a few characters: "950", "12k", "1.2M"."""
    if tokens < 1000:
        return str(tokens)
    return f"{tokens / 1000:.0f}k" if tokens < 999_500 else f"{tokens / 1e6:.1f}M"


def state(branch: Branch) -> tuple[str, str]:
    """The mark and the word for a branch."""
    if branch.entry is None:
        if branch.failure is not None:
            return "×", "failed"
        return (" ", "") if not branch.failed else ("!", f"{branch.failed} failed")
    document = branch.entry.document
    mark = "!" if branch.failure is not None or document.skipped or document.remarks else ""
    share = branch.entry.share
    return (mark or "●", "warm") if share >= WARM else (mark or "○", f"{share:.0%}" if share else "read")


def described(branch: Branch) -> list[str]:
    """Return a document, a failed file or a folder in lines, problems first."""
    lines = [] if branch.failure is None else [f"× Not read: {branch.failure.reason}"]
    if branch.entry is not None:
        lines += [*warnings(branch.entry.document), *_document_lines(branch, branch.entry)]
    if branch.branches:
        more = [f"{branch.warm:,} warm"] if branch.warm else []
        more += [f"{branch.failed:,} not read"] if branch.failed else []
        lines.append(", ".join([counted(branch.documents, "document"), f"about {branch.tokens:,} tokens", *more]))
    return lines


def warnings(document: Document) -> Iterator[str]:
    """Yield what was not read of a document, and what is to be known of it."""
    if document.skipped:
        yield f"! {counted(len(document.skipped), 'page')} without text:"
        yield from (f"  p. {page.number}: {page.reason}" for page in document.skipped[:MAX_LISTED])
    for remark in document.remarks[:MAX_LISTED]:
        place = f"p. {remark.number}: " if remark.number is not None else ""
        yield f"! {place}{remark.text}"


def _document_lines(branch: Branch, entry: Entry) -> Iterator[str]:
    pages = f", {counted(entry.document.pages, 'page')}" if entry.document.paged else ""
    yield f"○ Read: about {entry.tokens:,} tokens{pages}"
    if branch.long:
        yield f"* Longer than the model can read at once ({branch.max_tokens:,} tokens)"
    if entry.warm:
        yield f"● Warm: {entry.warm:,} tokens in the prompt cache, so answers begin at once"
    elif entry.share:
        yield f"● {min(1.0, entry.share):.0%} of its passages are in the prompt cache, so look-ups there begin sooner"

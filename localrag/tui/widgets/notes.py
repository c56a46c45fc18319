"""What stands below an answer: what it took, what limits it, and by which other plan it could be answered.

What a conversation has said once is not said again after every answer: it becomes one line with a number, and so do
lines beyond the first few. Ctrl+N, or a click on that line, shows all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from localrag.errors import LocalragError
from localrag.tui.inert import clean_line, error_content
from localrag.tui.widgets.progress import duration
from localrag.types import Answer, Cost

# Lines that are shown at once; of one line more, nothing would be won by hiding it.
SHOWN = 4
DOING = {
    "retrieve": "looking up passages", "read": "reading whole", "survey": "asking each document",
    "exact": "having code count or find",
}  # fmt: skip


class Fold(Static):
    """The line that stands for those that are folded away."""

    def on_click(self) -> None:
        if isinstance(notes := self.parent, Notes):
            notes.unfold(True)


class Notes(Vertical):
    """The lines below one answer.

    Args:
        said: what the answers before it have said; this one adds its own.
    """

    def __init__(self, said: set[str]) -> None:
        super().__init__(classes="notes")
        self._said = said
        self._folded: list[Static] = []
        self._fold = Fold(classes="remark")
        self._fold.display = False

    async def finish(self, answer: Answer, more: Iterable[str] = ()) -> None:
        """Say all that there is to know about an answer."""
        quiet = [_cost(answer)] + ([_looked_at(answer)] if answer.looked_at or answer.context else [])
        await self.mount(*(Static(Content(line), classes="quiet") for line in quiet))
        await self._remark([_note(text) for text in (*_limits(answer), *more)], unread(answer))

    async def _remark(self, limits: list[str], unread: list[str]) -> None:
        before = [line for line in unread if line in self._said]
        fresh = [line for line in unread if line not in self._said]
        self._said.update(fresh)
        many = fresh[SHOWN:] if len(fresh) > SHOWN + 1 else []
        lines = [*limits, *fresh[: len(fresh) - len(many)]]
        await self.mount(*(Static(Content(line), classes="remark") for line in lines))
        self._folded = [Static(Content(line), classes="remark") for line in (*many, *before)]
        if self._folded:
            words = [f"{len(many):,} more lines like these"] if many else []
            words += [f"as before, {count(len(before), 'part')} of the documents not read"] if before else []
            self._fold.update(Content(f"! {_capital('; '.join(words))} (Ctrl+N shows all)"))
            self._fold.display = True
            await self.mount(self._fold, *self._folded)
            self.unfold(False)

    async def add(self, text: str) -> None:
        """A line that is said at once."""
        await self.mount(Static(Content(_note(text)), classes="remark"))

    async def fail(self, error: LocalragError) -> None:
        await self.mount(Static(error_content(error), classes="error"))

    async def offer(self, cost: Cost) -> None:
        """Say by which other plan the question could be answered, and at what price."""
        await self.mount(Static(Content(f"F9 answers again by {priced(cost)}."), classes="quiet"))

    def unfold(self, wanted: bool) -> bool:
        """Show or fold what is folded; False where there is nothing."""
        for line in self._folded:
            line.display = wanted
        self._fold.display = bool(self._folded) and not wanted
        return bool(self._folded)


def priced(cost: Cost) -> str:
    """A plan in words, with what it would take: "reading whole (about 2,000 tokens, 12 s)"."""
    time = "" if cost.seconds is None else f", about {duration(cost.seconds)}"
    price = "no model" if cost.kind == "exact" else f"about {count(cost.tokens, 'token')}{time}"
    return f"{DOING[cost.kind]} ({price})"


def _cost(answer: Answer) -> str:
    tokens, seconds = answer.tokens, answer.seconds
    parts = [f"{seconds.total:.1f} s"]
    if seconds.first_token is not None:
        parts.append(f"first word after {seconds.first_token:.1f} s")
    if tokens.prompt or tokens.generated:
        reused = f" ({tokens.reused:,} reused)" if tokens.reused else ""
        parts.append(f"{count(tokens.prompt, 'token')} read{reused}, {tokens.generated:,} written")
    elif answer.model is None:
        parts.append("no model was asked")
    if answer.model:
        parts.append(clean_line(answer.model))
    return " · ".join(parts)


def _looked_at(answer: Answer) -> str:
    """What was put before the model, and how full its window was."""
    parts = [clean_line(answer.looked_at)] if answer.looked_at else []
    if answer.context:
        used = {name: tokens for name, tokens in answer.context.items() if name != "free" and tokens}
        filled = ", ".join(f"{name} {tokens:,}" for name, tokens in used.items())
        parts.append(f"Context: {sum(used.values()):,} of {sum(answer.context.values()):,} tokens ({filled}).")
    return " ".join(parts)


def _limits(answer: Answer) -> list[str]:
    """What a reader of the answer must know to trust it no further than it goes, a line each."""
    from localrag.answer.verify import annotations

    lines = []
    if answer.stopped:
        lines.append("This answer is not complete: it was stopped or reached its longest length.")
    if not answer.found and not answer.stopped and "do not say" not in answer.answer:
        lines.append("The documents do not say.")
    if not answer.found and not answer.stopped and answer.plan.kind == "retrieve":
        # "The documents do not say" is more than whoever read a few passages can know.
        lines.append("Only passages of the documents were read: what these do not say may stand elsewhere.")
    if answer.split is not None and len(answer.split.votes) > 1:
        lines.append(answer.split.shown)
    if answer.citations_dropped:
        dropped = count(answer.citations_dropped, "quote")
        lines.append(f"{dropped} left out: the words were not found in the documents.")
    return lines + annotations.warnings(answer.unsupported, answer.flags, answer.confidence if answer.found else None)


def unread(answer: Answer) -> list[str]:
    """What of the documents an answer could not come from, a line each; said once in a conversation."""
    lines = []
    for left in answer.not_read:
        page = f", p. {left.page}" if left.page is not None else ""
        where = f"{left.document}{page}: " if left.document else ""
        lines.append(_note(f"Not read: {where}{left.reason}"))
    return lines


def _note(text: str) -> str:
    from localrag.answer.verify.annotations import MARK

    line = clean_line(text)
    return line if line.startswith(MARK) else f"! {line}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

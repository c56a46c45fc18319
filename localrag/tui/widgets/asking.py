"""Asking: the question field, the questions that wait, and the answer that is on its way.

Questions go through the "model" lane one after the other; one that is typed while an answer comes waits its turn, in
sight, and Esc takes it back. Esc is answered at once, however long the core takes to notice; the next question waits
for it. Whoever wants to know of answers listens to `Begun` and `Done`.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from localrag.errors import Cancelled
from localrag.events import Answered
from localrag.tui import commands, completing
from localrag.tui.commands import Command
from localrag.tui.completing import Known, Offer
from localrag.tui.core import Core
from localrag.tui.inert import clean_line
from localrag.tui.jobs import deliver
from localrag.tui.resuming import shaping
from localrag.tui.talk import Asked, Ended, Scope, Shelves, Talk, Told, answer, read_ahead, shelves
from localrag.tui.widgets.ahead import Ahead
from localrag.tui.widgets.completions import Completions
from localrag.tui.widgets.conversation import Conversation
from localrag.tui.widgets.notes import DOING, priced
from localrag.tui.widgets.question import QuestionInput
from localrag.types import Answer, Cost, Plan, PlanKind

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

TYPING = 3.0  # seconds without a key after which nobody is typing
# Of a token of English text.
CHARACTERS_PER_TOKEN = 4
IDLE_HINT = "Enter asks · Tab citations · F1 help"
BUSY_HINT = "Esc stops · Enter lets a question wait · F1 help"
# How long what is typed may be unkept, in seconds.
KEEP_DRAFT = 1.0
WAITING_HINT = "Esc takes the question back · F1 help"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question as it was typed, what it asks, and what it is asked of and how."""

    typed: str
    question: str
    scope: Scope


@dataclass(frozen=True, slots=True)
class Last:
    """The question asked last, and the ways by which it was looked up before."""

    asked: Asked
    scope: Scope
    tried: frozenset[PlanKind] = frozenset()

    @property
    def ways(self) -> frozenset[PlanKind]:
        """All ways by which it was looked up."""
        plan = self.asked.view.plan
        return self.tried if plan is None else self.tried | {plan.kind}

    @property
    def next(self) -> Cost | None:
        """The way to try next."""
        plan = self.asked.view.plan
        return None if plan is None else plan.another(self.ways)


class Asking(Vertical):
    """The lower part of the screen; `scope` and `talk` hold for the next question."""

    app: LocalragApp

    class Done(Message):
        """An answer is there whole."""

        def __init__(self, asked: Asked, answer: Answer) -> None:
            super().__init__()
            self.asked = asked
            self.answer = answer

    class Rescoped(Message):
        """The next question is asked in another way."""

    class Commanded(Message):
        """A command was given that is the screen's to carry out."""

        def __init__(self, command: Command, argument: str) -> None:
            super().__init__()
            self.command = command
            self.argument = argument

    def __init__(self, core: Core, scope: Scope, conversation: Conversation) -> None:
        super().__init__(id="asking")
        self.scope = scope
        self.talk = Talk()
        self.popup = Completions()
        self.field = QuestionInput(self.popup)
        self._core = core
        self._conversation = conversation
        self._asked: Asked | None = None
        self._last: Last | None = None
        self._waiting: deque[Wanted] = deque()
        self._queue = Static(id="waiting")
        self._keeping: Timer | None = None  # until what is typed is kept
        self._ahead = Ahead(self, self._read_ahead)
        self._known = Known()
        self._put_aside: int | None = None  # where the word begins whose completion was refused

    def compose(self) -> ComposeResult:
        yield self._queue
        yield self.field

    def on_mount(self) -> None:
        self._draw()
        # What cannot be had here is told where the libraries are counted; then nothing can be completed.
        self.app.lanes["pages"].submit(
            lambda: deliver(self, Shelves(*shelves(self._core, self.scope.libraries))), lambda error: None
        )

    def on_shelves(self, message: Shelves) -> None:
        message.stop()
        self._known = replace(message.known, ways=self._known.ways)
        self.field.remember(message.earlier)

    def on_unmount(self) -> None:
        self._ahead.stop()
        self._keep_draft()

    @property
    def answering(self) -> bool:
        """True while an answer is on its way and was not stopped."""
        return self._asked is not None and not self._asked.stop.is_set()

    @property
    def known(self) -> Known:
        """What there is to choose from, as far as it has been looked up."""
        return self._known

    @property
    def idle(self) -> bool:
        """True where the core is done with every question, also with those that were stopped."""
        return self._asked is None

    # --- asking ---------------------------------------------------------------------------------------------

    async def on_question_input_submitted(self) -> None:
        text = self.field.value
        if not text.strip():
            return
        typed = commands.typed(text)
        if typed is None:
            await self._ask(self.field.take(), text, self.scope)
        elif typed.command is None:
            self.notify(
                f"There is no command /{typed.name}. /help lists them; behind a blank it is asked.", markup=False
            )
        elif not typed.argument and not typed.command.bare:
            self.notify(f"/{typed.name} {typed.command.takes}: say which.", markup=False)
        else:
            await self._obey(self.field.take(), typed.command, typed.argument)

    async def _obey(self, text: str, command: Command, argument: str) -> None:
        if command.mode is None:
            self.post_message(self.Commanded(command, argument))
        elif argument:
            await self._ask(text, argument, replace(self.scope, mode=command.mode))
        else:
            self.scope = replace(self.scope, mode=command.mode)
            self._draw()
            self.post_message(self.Rescoped())

    async def _ask(self, text: str, question: str, scope: Scope) -> None:
        """Ask, or wait behind the answer that is coming; a question that mentions documents is asked of those only."""
        question, scope = self._narrowed(question, scope)
        self._ahead.stop()
        wanted = Wanted(text, question, scope)
        if self.answering or self._waiting:
            self._waiting.append(wanted)
            self._draw()
            return
        await self._begin(wanted)

    def _narrowed(self, question: str, scope: Scope) -> tuple[str, Scope]:
        """The question with the names that it mentions, and what it is asked of then."""
        question, documents = completing.mentioned(question.strip(), self._known.documents)
        if documents:
            scope = replace(scope, only=replace(scope.only, documents=documents, these=()))
        return question, scope

    async def again(self, way: str = "") -> None:
        """Answer the last question again, by the way that is named or the next that is sensible."""
        last = self._last
        if last is None:
            self.notify("There is no question yet.", markup=False)
        elif self.answering:
            self.notify("The answer is still coming. Esc stops it.", markup=False)
        elif way not in ("", *completing.WAYS):
            self.notify(f"There is no plan {clean_line(way)!r}. Plans: {', '.join(completing.WAYS)}.", markup=False)
        elif not way and last.next is None:
            self.notify("There is no other way to look this up. Put it in other words, or name what it is about.")
        else:
            mode = cast(PlanKind, way) if way or last.next is None else last.next.kind
            question = last.asked.question
            await self._begin(Wanted(question, question, replace(last.scope, mode=mode)), last)

    async def _begin(self, wanted: Wanted, before: Last | None = None) -> None:
        """Ask now; `before` is how the same question was asked before."""
        running, scope = self._asked, wanted.scope
        heading = "" if before is None else f"↻ Again, by {DOING[cast(PlanKind, scope.mode)]}"
        view = await self._conversation.begin(wanted.question, heading)
        settings = shaping(self.app.preferences.settings, self.app.model.id)
        asked = Asked(wanted.question, view, self.talk, settings, self.scope, before is not None)
        self._asked = asked
        self._last = Last(asked, scope, before.ways if before else frozenset())
        if self.app.model.state == "loading":
            view.wait("The model is still loading; the question is asked as soon as it is there. Esc takes it back.")
        elif running is not None:
            view.wait("Waiting for the answer before this one to stop …")
        self._draw()
        self.app.lanes["model"].submit(
            lambda: answer(self._core, scope, asked, self),
            lambda error: deliver(self, Ended(asked, error)),
        )

    def stop(self) -> bool:
        """Take the last waiting question back, else stop the answer on its way; False if there is neither."""
        if self._waiting:
            self.field.give_back(self._waiting.pop().typed)
            self._draw()
            return True
        return self._stop_answer()

    def stop_all(self) -> bool:
        """Stop the answer and take every waiting question back; False if there was nothing to do."""
        waiting = bool(self._waiting)
        while self._waiting:
            self.field.give_back(self._waiting.pop().typed)
        return self._stop_answer() or waiting

    def _stop_answer(self) -> bool:
        if self._asked is None or self._asked.stop.is_set():
            return False
        self._asked.stop.set()
        self._asked.view.stopping()
        self._draw()
        return True

    def begin(self, talk: Talk) -> None:
        """Go on in another conversation; what runs for the one before is stopped."""
        self.stop_all()
        self.talk = talk
        self._last = None
        self._draw()

    # --- what the core tells --------------------------------------------------------------------------------

    async def on_told(self, message: Told) -> None:
        message.stop()
        if not message.asked.view.is_attached:
            return
        # After Esc only the last word counts: pieces still on their way would look as if it went unheard.
        if message.asked.stop.is_set() and not isinstance(message.event, Answered):
            return
        await message.asked.view.show(message.event)
        if isinstance(message.event, Answered):
            self.post_message(self.Done(message.asked, message.event.answer))
            self._known = replace(self._known, ways=_ways(message.event.answer.plan))
            if not message.event.answer.found and not message.asked.stop.is_set():
                await self._offer_again(message.asked)

    async def _offer_again(self, asked: Asked) -> None:
        """Below an answer that is none, say how else it could be looked up."""
        if self._last is not None and self._last.asked is asked and (cost := self._last.next) is not None:
            await asked.view.offer_again(cost)

    async def on_ended(self, message: Ended) -> None:
        message.stop()
        view, error = message.asked.view, message.error
        if view.is_attached:
            if error is None or (isinstance(error, Cancelled) and message.asked.stop.is_set()):
                await view.close()
            else:
                await view.fail(error)
                await self._offer_again(message.asked)
        if self._asked is message.asked:
            self._asked = None
            if self._waiting:
                await self._begin(self._waiting.popleft())
            self._draw()

    # --- typing ---------------------------------------------------------------------------------------------

    def on_text_area_changed(self) -> None:
        self._draw()
        self._offer()
        self.app.lanes["model"].hold(TYPING)
        self._ahead.typed()
        if self._keeping is None:
            self._keeping = self.set_timer(KEEP_DRAFT, self._keep_draft)

    def _offer(self) -> None:
        """Offer what the half-typed word at the cursor may become, unless that was refused."""
        found = completing.offers(self.field.before_cursor, self._known, commands.there(self.screen))
        at = found[0].start if found else None
        if at != self._put_aside:
            self._put_aside = None
        self.popup.offer([] if at is None or at == self._put_aside else found, self.size.height + 1)

    def on_question_input_refused(self, message: QuestionInput.Refused) -> None:
        self._put_aside = message.offer.start

    def take_offer(self, offer: Offer) -> None:
        """Take a completion that was clicked."""
        self.field.complete(offer)
        self.field.focus()

    # --- ahead of the question ------------------------------------------------------------------------------

    def _read_ahead(self, stop: threading.Event) -> None:
        """The typing pauses: what the question so far is likely about is read meanwhile."""
        draft = self.field.value.strip()
        if self._asked is not None or self.app.model.state != "ready" or not draft:
            return
        typed, scope = commands.typed(draft), self.scope
        if typed is not None:
            if typed.command is None or typed.command.mode is None:
                return
            draft, scope = typed.argument, replace(scope, mode=typed.command.mode)
        draft, scope = self._narrowed(draft, scope)
        talk = self.talk
        # Nobody asked for it, so what goes wrong with it is not shown; a question would meet it again.
        self.app.lanes["model"].submit(lambda: read_ahead(self._core, scope, talk, draft, stop), lambda error: None)

    def _keep_draft(self) -> None:
        """Keep what is typed in a conversation that has begun, so that it outlives the app."""
        keeping, self._keeping = self._keeping, None
        session, draft = self.talk.session, self.field.value
        if keeping is not None and session is not None:
            keeping.stop()
            # It was never promised, so where it fails nothing is said.
            self.app.lanes["pages"].submit(lambda: self._core.store.keep_draft(session.id, draft), lambda error: None)

    # --- drawing --------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        self._queue.display = bool(self._waiting)
        lines = [Content(f"⏳ Waiting: {clean_line(one.typed)}") for one in self._waiting]
        self._queue.update(Content("\n").join(lines))
        self.field.border_title = "" if self.scope.mode == "auto" else f"/{self.scope.mode}"
        hint = WAITING_HINT if self._waiting else BUSY_HINT if self.answering else IDLE_HINT
        self.field.hint(self._too_long() or hint)

    def _too_long(self) -> str:
        """What to say of a question that the model could not take in; empty where it could."""
        tokens, most = len(self.field.value) // CHARACTERS_PER_TOKEN, self._known.most
        if not most or tokens <= most:
            return ""
        return f"! about {tokens:,} tokens: the model can use {most:,} at once"


def _ways(plan: Plan) -> tuple[tuple[str, str], ...]:
    """The ways by which a question can be looked up, each with what it takes or why it cannot be taken."""
    return tuple((cost.kind, f"not here: {cost.why_not}" if cost.why_not else priced(cost)) for cost in plan.costs)

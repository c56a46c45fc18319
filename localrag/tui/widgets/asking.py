"""The question field, and the answer that is being written.

Questions go through the "model" thread one after the other. Esc takes effect on the screen at once, however long the
engine takes to notice; the next question waits for it. While someone types, the model reads ahead in every pause, and
after an answer from passages the next ones, as long as nobody types.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.keys import Keys
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.widgets import OptionList, TextArea

from localrag.errors import Cancelled, LocalragError
from localrag.events import Answered, Planned
from localrag.search.filters import mentioned
from localrag.sessions.session_store import answer_settings
from localrag.tui import commands
from localrag.tui.chat_state import (
    ChatState,
    PendingQuestion,
    QuestionEnded,
    QuestionEvent,
    Scope,
    answer,
    read_ahead,
    read_on,
)
from localrag.tui.commands import Known, Offer
from localrag.tui.text import clean, clean_line, shorten
from localrag.tui.threads import Core, deliver
from localrag.tui.widgets.panels import Conversation
from localrag.types import Answer

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp
    from localrag.tui.widgets.turn import TurnView

# Terminals without the newer key protocol send Alt+Enter like this, which Textual takes for Enter.
cast(dict[str, Any], ANSI_SEQUENCES_KEYS).update({"\x1b\r": (Keys.ControlJ,), "\x1b\n": (Keys.ControlJ,)})
for _digit in "123456789":  # Textual takes Alt+2 for "™"
    ANSI_SEQUENCES_KEYS.pop(f"\x1b{_digit}", None)  # type: ignore[attr-defined]

NEW_LINE_KEYS = ("ctrl+j", "shift+enter", "alt+enter", "ctrl+enter", "shift+\r", "alt+\r")
# Keys of a text area that mean something else on this screen.
_OTHER_KEYS = {"f6", "f7", "ctrl+c,super+c", "pageup", "pagedown", "up", "down", "home,ctrl+a", "end,ctrl+e"}
READ_AHEAD_PAUSE = 0.4  # seconds without a key until the model reads ahead
HOLD = 3.0  # seconds after a key in which nothing else may use the model
SAVE_DRAFT_AFTER = 1.0  # seconds
CHARACTERS_PER_TOKEN = 4  # of English text
MAX_WAITING = 40  # cells for the question that is asked next
BUSY_HINT = "Esc stops · F1 help"


class Completions(OptionList, can_focus=False):
    """Completions above the question field, which keeps the keyboard."""

    def __init__(self) -> None:
        super().__init__(id="completions")
        self._offers: tuple[Offer, ...] = ()
        self.display = False

    @property
    def chosen(self) -> Offer | None:
        """The highlighted completion; None if there is none."""
        return self._offers[self.highlighted or 0] if self._offers else None

    def offer(self, offers: Sequence[Offer], above: int = 0) -> None:
        """Show completions `above` so many lines from the bottom of the screen; none hides the list."""
        if tuple(offers) == self._offers:
            return
        self._offers = tuple(offers)
        self.display = bool(offers)
        width = max((len(one.shown) for one in offers), default=0)
        self.set_options(
            Content.assemble(clean_line(one.shown).ljust(width if one.about else 0), (f"  {one.about}", "$text-muted"))
            for one in offers
        )
        self.highlighted = 0 if offers else None
        self.styles.margin = (0, 0, above, 0)

    def move(self, step: int) -> None:
        self.highlighted = ((self.highlighted or 0) + step) % len(self._offers)


class QuestionInput(TextArea, inherit_bindings=False):
    """A field that grows with the question and remembers earlier ones.

    Enter submits and takes nothing out of the field. Ctrl+J begins a new line, as do Shift+Enter and Alt+Enter where
    the terminal tells them from Enter.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Ask"),
        Binding("ctrl+j,shift+enter,alt+enter", "new_line", "New line"),
        Binding("up", "up", "Earlier question, from the first line"),
        Binding("down", "down", "Later question, from the last line"),
        Binding("home,ctrl+a", "cursor_line_start", "Start of the line", show=False),
        Binding("end", "cursor_line_end", "End of the line", show=False),
        *(one for one in TextArea.BINDINGS if isinstance(one, Binding) and one.key not in _OTHER_KEYS),
    ]

    class Submitted(Message):
        """Enter was pressed."""

    def __init__(self, popup: Completions) -> None:
        super().__init__(
            id="question",
            placeholder="Ask a question about the documents",
            soft_wrap=True,
            tab_behavior="focus",
            highlight_cursor_line=False,
        )
        self.cursor_blink = False  # blinking redraws twice a second, which is felt over SSH
        self._popup = popup
        self._earlier: list[str] = []
        self._at = 0
        self._draft = ""

    @property
    def value(self) -> str:
        return self.text

    @value.setter
    def value(self, text: str) -> None:
        self.load_text(text)
        self.move_cursor(self.document.end)

    @property
    def before_cursor(self) -> str:
        return self.get_text_range((0, 0), self.cursor_location)

    def complete(self, offer: Offer) -> None:
        before = self.before_cursor[: offer.start].split("\n")
        self.replace(offer.text, (len(before) - 1, len(before[-1])), self.cursor_location)

    def remember(self, earlier: Sequence[str]) -> None:
        """Put questions of earlier conversations, oldest first, before those asked here."""
        self._earlier[:0] = earlier
        self._at += len(earlier)

    def take(self) -> str:
        """Empty the field and return the question, which is remembered."""
        question = self.value.strip()
        if not self._earlier or self._earlier[-1] != question:
            self._earlier.append(question)
        self._at, self._draft, self.value = len(self._earlier), "", ""
        return question

    def action_submit(self) -> None:
        self.post_message(self.Submitted())

    def action_new_line(self) -> None:
        self.insert("\n")

    def action_up(self) -> None:
        if self.navigator.is_first_wrapped_line(self.cursor_location):
            self._recall(-1)
        else:
            self.action_cursor_up()

    def action_down(self) -> None:
        if self.navigator.is_last_wrapped_line(self.cursor_location):
            self._recall(1)
        else:
            self.action_cursor_down()

    def _recall(self, step: int) -> None:
        at = max(0, min(len(self._earlier), self._at + step))
        if at == self._at:
            return
        if self._at == len(self._earlier):
            self._draft = self.value
        self._at = at
        self.value = self._draft if at == len(self._earlier) else self._earlier[at]
        if step < 0:
            self.move_cursor((0, len(self.document[0])))  # so that the next Up recalls again

    async def _on_key(self, event: events.Key) -> None:
        offer = self._popup.chosen
        if offer is not None and event.key in ("up", "down", "tab", "enter", "escape"):
            event.stop()
            event.prevent_default()
            self._complete_by(event.key, offer)
        elif event.key == "enter" or event.key in NEW_LINE_KEYS:
            # A text area inserts a line break on Enter before it looks at bindings.
            event.stop()
            event.prevent_default()
            self.action_submit() if event.key == "enter" else self.action_new_line()
        elif event.key.startswith("alt+"):
            event.prevent_default()  # a text area would take Alt+2 for "2"; the screen has keys like it
        else:
            await super()._on_key(event)

    def _complete_by(self, key: str, offer: Offer) -> None:
        if key in ("up", "down"):
            self._popup.move(-1 if key == "up" else 1)
            return
        if key != "escape":
            self.complete(offer)
        self._popup.offer([])
        if key == "enter" and offer.complete:
            self.action_submit()

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        self.insert(clean(event.text))


class Asking(Vertical):
    """The lower part of the screen; `scope` and `state` hold for the next question."""

    app: LocalragApp

    @dataclass
    class Done(Message):
        """An answer is complete."""

        view: TurnView
        answer: Answer

    scope: reactive[Scope] = reactive(Scope(()), init=False)

    def __init__(
        self, core: Core, scope: Scope, conversation: Conversation, next_panel: Callable[[], str] = lambda: ""
    ) -> None:
        super().__init__(id="asking")
        self._next_panel = next_panel  # where Tab goes
        self.set_reactive(Asking.scope, scope)
        self.state = ChatState()
        self.known = Known()
        self.max_tokens = 0  # that the model can read at once; 0 while unknown
        self.popup = Completions()
        self.field = QuestionInput(self.popup)
        self._core = core
        self._conversation = conversation
        self._current: PendingQuestion | None = None
        self._waiting: list[tuple[str, Scope]] = []  # questions that are asked after this one
        self._views: dict[PendingQuestion, TurnView] = {}
        self._last: PendingQuestion | None = None
        self._draft_timer: Timer | None = None
        self._pause_timer: Timer | None = None
        self._stop_reading_ahead = threading.Event()

    def compose(self) -> ComposeResult:
        yield self.field

    def on_mount(self) -> None:
        self.draw()

    def on_unmount(self) -> None:
        self._stop_reading_ahead.set()
        self._save_draft()

    @property
    def answering(self) -> bool:
        """Whether an answer is on its way and was not stopped."""
        return self._current is not None and not self._current.stop.is_set()

    async def on_question_input_submitted(self) -> None:
        text = self.field.value
        if not text.strip():
            return
        parsed = commands.parse(text)
        if parsed is None:
            await self._ask(text, self.scope)
            return
        name, command, argument = parsed
        if command is None:
            hint = "/help lists the commands. To ask this as a question, begin with a space."
            self.notify(f"There is no command /{name}. {hint}")
        elif not argument and not command.optional:
            self.notify(f"/{name} needs {command.takes}.")
        elif command.mode is None:
            self.field.take()
            self.call_next(self.screen.run_action, command.call(argument))
        elif argument:
            await self._ask(argument, replace(self.scope, mode=command.mode))
        else:
            self.field.take()
            self.scope = replace(self.scope, mode=command.mode)
            self.draw()

    async def _ask(self, text: str, scope: Scope) -> None:
        """Ask what is in the field, after the answer that is coming if there is one."""
        with self.app.errors_shown():
            text, scope = self._narrowed(text, scope)
            if scope.mode == "extract":
                from localrag.items import schema

                text = schema.load(text.strip())
                schema.parse(text)
            self._stop_reading_ahead.set()
            self.field.take()
            if self.answering:
                self._waiting.append((text, scope))
                self.notify("It is asked after this answer. Esc stops the answer and gives the question back.")
                self.draw()
            else:
                await self._begin(text, scope)

    def say_still_coming(self) -> None:
        self.notify("The answer is still coming. Esc stops it.")

    def _narrowed(self, text: str, scope: Scope) -> tuple[str, Scope]:
        """Ask only the documents that a question mentions, if any. Raises UsageError for one that is not there."""
        text, these = mentioned(text.strip(), self.known.names, drop=scope.mode == "extract")
        if these:
            scope = replace(scope, only=replace(scope.only, documents=(), these=these))
        return text, scope

    async def again(self) -> None:
        """Answer the last question again, with the next sensible plan."""
        last = self._last
        if last is None:
            self.notify("There is no question yet.")
        elif self.answering:
            self.say_still_coming()
        elif (cost := last.next_plan) is None:
            self.notify("There is no other plan for this question. Rephrase it, or say what it is about.")
        else:
            await self._begin(last.text, replace(last.scope, mode=cost.kind), last)

    async def _begin(self, text: str, scope: Scope, before: PendingQuestion | None = None) -> None:
        """Ask now; `before` is how the same question was asked before."""
        from localrag.grounding.annotations import PLAN_NAMES

        running, heading = self._current, f"↻ Again, by {PLAN_NAMES[scope.mode]}" if before else ""
        view = await self._conversation.begin(text, heading)
        settings = answer_settings(self.app.preferences.settings, self.app.model.id)
        question = PendingQuestion(text, self.state, scope, self.scope, settings, before)
        self._current = self._last = question
        self._views[question] = view
        if self.app.model.state == "loading":
            view.wait("The model is loading; then this is asked. Esc takes it back.")
        elif running is not None:
            view.wait("Waiting for the previous answer to stop …")
        self.draw()
        self.app.threads["model"].submit(
            lambda: answer(self._core, question, self), lambda error: deliver(self, QuestionEnded(question, error))
        )

    def stop(self) -> bool:
        """Stop the answer; False if there is none."""
        if self._current is None or self._current.stop.is_set():
            return False
        self._current.stop.set()
        self._views[self._current].wait("Stopped.")
        waiting, self._waiting = self._waiting, []
        if waiting and not self.field.value:  # the others are found with Up
            self.field.value = waiting[0][0]
        self.draw()
        return True

    def switch(self, state: ChatState) -> None:
        """Continue in another conversation."""
        self.stop()
        self.state = state
        self._last = None
        self.draw()

    async def on_question_event(self, message: QuestionEvent) -> None:
        message.stop()
        view, event = self._views.get(message.question), message.event
        # After Esc, only the final answer counts.
        if view is None or not view.is_attached:
            return
        if message.question.stop.is_set() and not isinstance(event, Answered):
            return
        await view.show(event)
        if isinstance(event, Planned):
            message.question.plan = event.plan
        elif isinstance(event, Answered):
            message.question.plan = event.answer.plan
            self.post_message(self.Done(view, event.answer))
            if not event.answer.claims and not message.question.stop.is_set():
                await self._offer_again(message.question, view)

    async def on_question_ended(self, message: QuestionEnded) -> None:
        message.stop()
        question, error = message.question, message.error
        view = self._views.pop(question, None)
        if view is not None and view.is_attached:
            if error is None or (isinstance(error, Cancelled) and question.stop.is_set()):
                await view.close()
            else:
                await view.fail(error)
                await self._offer_again(message.question, view)
        if self._current is question:
            self._current = None
            self.draw()
            if self._waiting:
                await self._begin(*self._waiting.pop(0))
        if error is None and question.plan is not None and question.plan.kind == "retrieve":
            self.app.threads["model"].behind(
                lambda wanted: question is not self._last or read_on(self._core, question, wanted), lambda error: None
            )

    async def _offer_again(self, question: PendingQuestion, view: TurnView) -> None:
        if question is self._last and (cost := question.next_plan) is not None:
            await view.offer_again(cost)

    def on_text_area_changed(self) -> None:
        self.draw()
        if (before := self.field.before_cursor) == "/library ":
            self.known = replace(self.known, libraries=self._core.engine.libraries())
        self.popup.offer(commands.offers(before, self.known), self.size.height + 1)
        self.app.threads["model"].hold(HOLD)
        self._stop_reading_ahead.set()
        if self._pause_timer is not None:
            self._pause_timer.stop()
        self._pause_timer = self.set_timer(READ_AHEAD_PAUSE, self._read_ahead)
        if self._draft_timer is None:
            self._draft_timer = self.set_timer(SAVE_DRAFT_AFTER, self._save_draft)

    def _read_ahead(self) -> None:
        """Let the model read what the draft is likely about."""
        draft, scope = self.field.value.strip(), self.scope
        if self._current is not None or self.app.model.state != "ready" or not draft:
            return
        if (parsed := commands.parse(draft)) is not None:
            _, command, draft = parsed
            if command is None or command.mode in (None, "extract"):
                return
            scope = replace(scope, mode=command.mode)
        try:
            draft, scope = self._narrowed(draft, scope)
        except LocalragError:  # half a name, or none: the question will say so
            return
        stop = self._stop_reading_ahead = threading.Event()
        state = self.state
        # An error is not shown: nobody asked for this, and a question would meet it again.
        self.app.threads["model"].submit(lambda: read_ahead(self._core, scope, state, draft, stop))

    def _save_draft(self) -> None:
        """Save the draft with a conversation that has begun; a failure is not shown."""
        timer, self._draft_timer = self._draft_timer, None
        session, draft = self.state.session, self.field.value
        if timer is not None and session is not None:
            timer.stop()
            self.app.threads["pages"].submit(lambda: self._core.store.keep_draft(session.id, draft))

    def draw(self) -> None:
        """Write on the frame what keys do now, and what waits to be asked."""
        self.field.border_title = "" if self.scope.mode == "auto" else f"/{self.scope.mode}"
        panel = self._next_panel()
        hint = BUSY_HINT if self.answering else f"Enter asks{f' · Tab {panel}' if panel else ''} · F1 help"
        if self._waiting:
            more = f" and {len(self._waiting) - 1:,} more" if len(self._waiting) > 1 else ""
            hint = f"Next: {shorten(clean_line(self._waiting[0][0]), MAX_WAITING)}{more} · {hint}"
        tokens = len(self.field.value) // CHARACTERS_PER_TOKEN
        if 0 < self.max_tokens < tokens:
            hint = f"! about {tokens:,} tokens; the model can read {self.max_tokens:,} at once"
        self.field.border_subtitle = hint

"""A review as a grid: a row for each document, a column for each item; marks of the reviewer are kept at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from localrag.answer.survey_table import Line, Results
from localrag.errors import Cancelled, LocalragError, UsageError
from localrag.events import Reviewed, ReviewEnded
from localrag.items.playbook import Playbook, to_yaml
from localrag.security.terminal import counted
from localrag.sessions.export import binder, reports
from localrag.sessions.export.reports import MARKS, SIGNS, details, summary
from localrag.tui.chat_state import Scope
from localrag.tui.screens.dialogs import InputScreen, export
from localrag.tui.screens.table import TableScreen, file_name
from localrag.tui.text import clean_line, error_line, list_some, shorten
from localrag.tui.threads import Core, deliver
from localrag.types import Checked, Decision, Verdict

COLORS = {"deviates": "red", "absent": "yellow", "unsure": "yellow", "found": "green"}
MAX_HEAD, MAX_VALUE, MAX_DOCUMENT = 16, 12, 24


class ReviewScreen(TableScreen):
    """Runs a review when it opens. Of a line, `row` has the findings by item, and `cells` the words to search."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open_source", "Quote, position, note and fallback text of the cell"),
        Binding("1", "only('deviates')", "Only what deviates (≠), 2 is absent (✗), 3 is unsure (?), 4 is found (✓)"),
        *(Binding(str(at), f"only('{[*SIGNS][at - 1]}')", "Only this state", show=False) for at in (2, 3, 4)),
        Binding("5", "only('unexpected')", "Only what is not as expected; the same key again: all"),
        Binding("a", "mark('accepted')", "Accept the finding; again: take it back"),
        Binding("r", "mark('rejected')", "Reject the finding; again: take it back"),
        Binding("c", "comment", "Comment on the finding"),
        Binding("slash", "filter", "Show only documents with these words in a state, value or comment"),
        Binding("ctrl+e,e", "export", "Export as Word, PDF (binder), HTML, Markdown, Excel, CSV or JSON"),
        Binding("t", "redline", "Write the playbook's wording into a copy of the Word file, as tracked changes"),
        Binding("tab", "next_panel", "Next panel: grid, details, source"),
        Binding("escape", "back", "Close the source; clear the filter; stop the review; back to the conversation"),
    ]
    HINT = "Enter quote · 1-5 states · a accept · r reject · c comment · t track · F1"
    FILLS = True

    @dataclass
    class Came(Message):
        """The next finding, the end of the review, or what ended it."""

        event: Reviewed | ReviewEnded | LocalragError

    def __init__(self, core: Core, playbook: Playbook, scope: Scope) -> None:
        super().__init__(core, Results(playbook.title))
        self.ended = ReviewEnded((), (), stopped=True)
        self._scope, self._yaml, self._playbook = scope, to_yaml(playbook), playbook
        self._items = {item.id: item for item in playbook.items}
        self._rows: dict[tuple[str, str], Line] = {}
        self._detailed = False
        self._about = Static()
        self._details = VerticalScroll(self._about, id="finding", can_focus=False)
        self._table.cursor_type, self._table.fixed_columns = "cell", 1

    def _panel(self) -> tuple[Widget, ...]:
        return (self._table, self._details)

    def on_mount(self) -> None:
        self._progress.say("Waiting for the model …" if self.app.model.state == "loading" else "Looking …")
        self.app.threads["model"].submit(self._run, lambda error: deliver(self, self.Came(error)))

    def _run(self) -> None:
        scope, stop = self._scope, self._stop.is_set
        for event in self._core.engine.review(self._yaml, libraries=scope.libraries, documents=scope.only, stop=stop):
            deliver(self, self.Came(event))

    def on_review_screen_came(self, message: Came) -> None:
        event, notes = message.event, []
        if isinstance(event, Reviewed):
            self._put(event.finding)
            if not self._stop.is_set():
                self._progress.advance("Checking", event.done, event.total, "items")
            return
        found = [one for line in self._rows.values() for one in line.row.values()]
        if other := dict.fromkeys(f"{one.document_name}: {one.remark}" for one in found if one.remark):
            notes.append(f"! {list_some([*other])}")
        if isinstance(event, ReviewEnded):
            self.ended = event
            left = [f"{one.document or one.library}: {one.reason}" for one in event.not_read]
            notes += [f"! Not read: {list_some(left)}"] if left else []
        elif not isinstance(event, Cancelled):
            notes.append(f"! {error_line(event)}")
        if self._stop.is_set():
            notes.append("Stopped. What was found is kept; the same command goes on from there.")
        self._finish(notes)

    def _put(self, one: Checked) -> None:
        """Add a finding, or replace it by one with another mark."""
        several = len(self._scope.libraries) > 1
        named = f"{one.library}: {one.document_name}" if several else one.document_name
        cells = {"document": f"! {named}" if one.remark else named}
        line = self._rows.setdefault((one.library, one.document), Line({}, cells, None))
        mark = (one.decision.verdict, one.decision.comment) if one.decision else ()
        assert isinstance(line.row, dict) and isinstance(line.cells, dict)
        line.row[one.item], line.cells[one.item] = one, " ".join((one.state, one.value, *mark))
        self._results.lines = [*self._rows.values()]
        self._drawn = (-1, False)  # so that it is drawn again

    @property
    def _finding(self) -> Checked | None:
        """The finding under the cursor."""
        return self._line.row.get(self._column) if self._line is not None else None

    def _wanted(self, one: Checked) -> bool:
        """Whether the filter by state shows it."""
        return self._only in ("", one.state) or (self._only == "unexpected" and one.as_expected is False)

    def _chosen(self) -> tuple[tuple[str, ...], list[Line]]:
        lines = [line for line in super()._chosen()[1] if any(map(self._wanted, line.row.values()))]
        there = {one.item for line in lines for one in line.row.values() if self._wanted(one)}
        return ("document", *(name for name in self._items if name in there or not self._only)), lines

    def _head(self, number: int, name: str) -> Text:
        return Text(shorten(name, MAX_HEAD))

    def _cell(self, line: Line, name: str) -> Text:
        if name == "document":
            return Text(shorten(clean_line(line.cells[name]), MAX_DOCUMENT))
        one = line.row.get(name)
        if one is None or not self._wanted(one):
            return Text("·" if one else "")
        mark = MARKS.get(one.decision.verdict, " C" if one.decision.comment else "") if one.decision else ""
        value = f" {clean_line(one.value)}" if 0 < len(one.value) <= MAX_VALUE else ""
        color = "green" if one.as_expected else COLORS[one.state]
        return Text(f"{SIGNS[one.state]}{mark}{value}", f"bold {color}" if one.as_expected is False else color)

    def _draw_title(self) -> None:
        found = [one for line in self._results.lines for one in line.row.values()]
        count: Counter[str] = Counter(one.state for one in found)
        words: dict[str, str] = {state: f"{sign} {count[state]:,} {state}" for state, sign in SIGNS.items()}
        words["unexpected"] = f"! {sum(one.as_expected is False for one in found):,} not as expected"
        *states, unexpected = self._keys(words)
        title = (clean_line(self._results.question), "bold")
        part = f"{len(self._lines):,} of " if len(self._lines) < len(self._results.lines) else ""
        rows = f" · {part}{counted(len(self._results.lines), 'document')} · "
        spaced = [part for state in states for part in (state, "  ")]
        self._title.update(Content.assemble(title, rows, unexpected, "\n", *spaced))
        self._draw_finding()

    def on_data_table_cell_highlighted(self) -> None:
        one = self._finding
        self._draw_finding()
        # A grid that is drawn again moves its cursor, too.
        if self._detailed and (one is None or one.citation is None or one.citation is not self._source.citation):
            self._show_source()

    def action_open_source(self) -> None:
        self._detailed = self._finding is not None
        self._draw_finding()
        self._show_source()

    def _show_source(self) -> None:
        """Show the quote of the finding, if it has one."""
        found = self._line.row if self._line is not None else {}
        cited = [found[name] for name in self._items if name in found and found[name].citation is not None]
        self._source.display = self._finding in cited
        if self._source.display:
            at = cited.index(self._finding)
            self._source.open(cited[at].citation, at + 1, len(cited))

    def _draw_finding(self) -> None:
        one = self._finding
        self._details.set_class(self._detailed, "-detailed")
        self._details.can_focus = self._detailed
        rest = details(one, self._items[one.item]) if one is not None and self._detailed else {}
        lines = [f"\n{name}: {clean_line(text)}" for name, text in rest.items() if text]
        self._about.update(Content.assemble((clean_line(summary(one)) if one is not None else "", "bold"), *lines))

    def action_next_panel(self) -> None:
        if self.focused is self._table and self._detailed:
            self._details.focus()
        elif self._source.display and self.focused is self._details:
            self._source.focus_text()
        else:
            self._table.focus()

    def action_back(self) -> None:
        if self._detailed:
            self._detailed = self._source.display = False
            self._draw_finding()
            self._table.focus()
        elif self._only:
            self.action_only("")
        elif self._filter.display or not self.stop_work():
            super().action_back()

    def action_mark(self, verdict: Verdict) -> None:
        if (one := self._finding) is not None:
            now = one.decision or Decision("open")
            self._decide(one, "open" if now.verdict == verdict else verdict, now.comment)

    @work
    async def action_comment(self) -> None:
        if (one := self._finding) is not None:
            now = one.decision or Decision("open")
            asked = InputScreen(f"Comment on {one.title}", clean_line(summary(one)), now.comment, optional=True)
            if (comment := await self.app.push_screen_wait(asked)) is not None:
                self._decide(one, now.verdict, comment)

    @work
    async def _decide(self, one: Checked, verdict: Verdict, comment: str) -> None:
        """Keep a mark, and show it."""
        named = {"item": one.item, "library": one.library, "document": one.document}
        decide = partial(self._core.engine.decide, self._yaml, **named, verdict=verdict, comment=comment)
        with self.app.errors_shown("Not kept"):
            self._put(replace(one, decision=await self.app.threads["pages"].result(decide)))
            self._update()

    @work
    async def action_redline(self) -> None:
        """Ask for a file, and write what the findings on a document propose into a copy of its Word file."""
        found = [*self._line.row.values()] if self._line is not None else []
        if not found:
            return
        from localrag.redline import proposals

        one = found[0]
        page = partial(self._core.engine.page, one.library, one.document, exact=True)
        with self.app.errors_shown("Not written"):
            opened = await self.app.threads["pages"].result(page)
            file = proposals.unchanged(opened.document, opened.file, opened.state)
            proposals.check(file.with_stem(f"{file.stem}-marked"), str(file))

            live: list[str] = []

            def save(path: Path) -> None:
                sha256, record_of = opened.document.sha256, self._core.store.record_of
                about = (file, found, self._playbook, opened.page, path, sha256, one.library, record_of)
                embed = partial(self._core.engine.embed, library=one.library)
                written, _, kept = proposals.save(*about, embed=embed)
                live.extend(kept)
                if written is None:
                    raise UsageError("nothing is to be marked", "The findings propose nothing for this document.")

            await export(
                self.app,
                "Write tracked changes",
                f"A copy of {clean_line(file.name)}",
                f"{file.stem}-marked.docx",
                (".docx",),
                lambda path: proposals.check(path, str(file)),
                save,
                "the tracked changes",
                self._scope.libraries,
            )
            if live:
                self.app.notify(clean_line(f"Live in the copy: {'; '.join(live)}"), severity="warning", timeout=20)

    @work
    async def action_export(self) -> None:
        found = [one for line in self._lines for one in line.row.values() if self._wanted(one)]
        title, what, record_of = self._results.question, counted(len(found), "finding"), self._core.store.record_of
        save = partial(reports.save, originals=self._core.originals, bind=partial(binder.pdf, engine=self._core.engine))
        await export(
            self.app,
            "Export the review",
            f"{what}, as shown",
            file_name(title).replace(".xlsx", ".docx"),
            reports.SUFFIXES,
            reports.check,
            lambda path: save(found, title, self.ended, path, record_of),
            what,
            self._scope.libraries,
        )

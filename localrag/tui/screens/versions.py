"""Versions of a document: what changed as a list, substance first, and around the chosen change the whole text.

Of three documents, the list has each clause of the base with who changed it, and the text is theirs or ours.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from localrag import protocol
from localrag.answer.survey_table import Line, Results
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.security.terminal import counted
from localrag.tui.screens import dialogs
from localrag.tui.screens.dialogs import InputScreen
from localrag.tui.screens.table import TableScreen
from localrag.tui.text import clean_in_place, clean_line, error_line, list_some, shorten
from localrag.tui.threads import Core
from localrag.tui.widgets.source import SourceText

if TYPE_CHECKING:
    from localrag.diff.changes import Change, Comparison, Entry, Paragraph, Run
    from localrag.redline.export import Compared
    from localrag.tui.app import LocalragApp

LEVELS = ("substance", "wording", "form")
MARKS = {"=": ("{}", ""), "-": ("[-{}-]", "strike $error"), "+": ("{{+{}+}}", "bold underline $success")}
BEFORE, AFTER = 15, 40  # clauses drawn around the chosen change
MAX_TITLE, MAX_WORDS = 46, 60


class VersionsScreen(TableScreen):
    """Compares when it opens. The row of a line has the `number` of its entry."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "step(1)", "Next change; in the list also Down"),
        Binding("p", "step(-1)", "Previous change; in the list also Up"),
        Binding("c", "conflict", "Of three documents: the next conflict"),
        Binding("t", "side", "Of three documents: their text, or ours, where both changed a clause"),
        Binding("s", "beside", "The old text beside the new one; again: one text"),
        Binding("enter", "open_source", "Where a moved clause was; again: where it is"),
        Binding("1", "only('substance')", "Only what changes the substance, 2 the wording, 3 the form; again: all"),
        *(Binding(str(at), f"only('{LEVELS[at - 1]}')", "Only this class", show=False) for at in (2, 3)),
        Binding("slash", "filter", "Show only changes with these words"),
        Binding("ctrl+e,e", "export", "Export as Word (tracked changes), HTML, Markdown or JSON"),
        Binding("tab", "next_panel", "Next panel: changes, text"),
        Binding("escape", "back", "Stop comparing; clear the filter; back to the conversation"),
    ]
    HELP_GROUPS: ClassVar[list[tuple[str, Any]]] = [("Text", SourceText)]
    FILLS = True

    def __init__(self, core: Core, named: Sequence[str], libraries: Sequence[str]) -> None:
        super().__init__(core, Results(" → ".join(named)))
        self._named, self._libraries = named, libraries
        self._found: Compared | None = None
        self._entries: Sequence[Entry] = ()
        self._states: dict[tuple[str, Change], str] = {}  # of the changes of three documents
        self._side = "theirs" if len(named) == 3 else ""  # whose text is shown
        self._beside = self._was = False
        self._window, self._row = (0, 0), 0
        self._text = Static(id="source-text")
        self._scroll = SourceText(self._text, id="source-scroll")

    def compose(self) -> ComposeResult:
        yield from (self._title, self._progress, self._filter, Vertical(self._table, id="changes"))
        yield Vertical(self._scroll, id="redline")
        two = "n p changes · s side by side · 1-3 class · / filter · e export · Esc back · F1"
        three = "n p · c conflict · t theirs/ours · s beside · / filter · e export · Esc · F1"
        yield Static(three if self._side else two, id="status")

    def on_mount(self) -> None:
        # How far it can be scrolled is known only after the new text is laid out.
        self.watch(self._scroll, "virtual_size", self._reveal, init=False)
        self._progress.say("Comparing … Esc cancels")
        self._run()

    @work
    async def _run(self) -> None:
        libraries, stop = self._libraries, self._stop.is_set

        def compare() -> Compared:
            from localrag.diff.changes import Comparison
            from localrag.redline.three_way import ThreeWay

            plain = self._core.engine.compare(self._named, libraries=libraries, stop=stop)
            found: Compared = protocol.from_plain(plain, ThreeWay if self._side else Comparison)
            return found

        try:
            found = await self.app.threads["pages"].result(compare)
        except LocalragError as error:
            self._finish([f"! {error_line(error)}"])
            if self.is_current:
                self.app.notify(error_line(error), severity="error", timeout=10)
                self.dismiss()
            return
        self._found, self._entries = found, found.entries
        states = ((pair, one.title.rpartition(": ")[2]) for one in self._entries if one.state for pair in one.changes)
        self._states = {pair: f" · {state}" for pair, state in states}
        self._results.lines = [Line({"number": n}, _cells(one), None) for n, one in enumerate(self._entries)]
        notes = [f"{one.name}, {note}" for one in found.sides.values() for note in one.notes]
        notes = [f"! Not compared: {list_some(notes)}"] if notes else []
        pages = [f"{one.place}, {one}" for one in found.comments if one.number < 0]
        notes += [f"! Comments without a clause: {list_some(pages)}"] if pages else []
        unseen = found.unseen if self._entries else ""  # else the summary has it
        notes += [f"! {unseen}"] if unseen else []
        self._finish(notes)
        self._draw()

    @property
    def _compared(self) -> Comparison | None:
        """The comparison whose text is shown."""
        return self._found.pairs[self._side] if self._found is not None else None

    @property
    def _change(self) -> int:
        """The number of the entry under the cursor; -1 if there is none."""
        return self._line.row["number"] if self._line is not None else -1

    @property
    def _changes(self) -> Sequence[tuple[str, Change]]:
        """The changes of the entry under the cursor, each behind its side."""
        return self._entries[self._change].changes if self._change >= 0 else ()

    def _chosen(self) -> tuple[tuple[str, ...], list[Line]]:
        columns, lines = super()._chosen()
        return columns, [line for line in lines if self._only in ("", line.cells["class"])]

    def _cell(self, line: Line, name: str) -> Text:
        if name == "who" and line.cells[name] == "conflict":
            return Text("conflict", "bold red")
        most = (self.size.width - 28) // 3 if self._side else MAX_WORDS if name == "words" else MAX_TITLE
        return Text(shorten(line.cells[name], max(12, most)))

    def _draw_title(self) -> None:
        room = max(20, self.size.width - 5) // len(self._named)
        about: list[str | tuple[str, str]] = []
        if self._found is not None:
            shown, total = len(self._lines), len(self._entries)
            about = [f"{shown:,} of " if shown < total else "", counted(total, "change"), " · "]
            counts = Counter(value for one in self._entries for value in (one.level, one.state))
            classes = {level: f"{level}: {counts[level]:,}" for level in LEVELS}
            about = [*about, *(part for key in self._keys(classes) for part in (key, "  "))]
            about += [f"c conflicts: {counts['conflict']:,}"] if self._side else []
        if self._found is not None and not self._entries:
            about = [self._found.summary]
        first, *others = (shorten(clean_line(name), room) for name in self._named)
        self._title.update(Content.assemble((f"{first} → {' | '.join(others)}", "bold"), "\n", *about))
        self._draw_text()

    def on_data_table_row_highlighted(self) -> None:
        self._was = False
        self._draw_text()

    def action_step(self, step: int) -> None:
        self._table.move_cursor(row=self._table.cursor_row + step, animate=False)

    def action_conflict(self) -> None:
        """Go to the next conflict, and from the last one to the first."""
        rows = [at for at, line in enumerate(self._lines) if line.cells.get("who") == "conflict"]
        if rows:
            later = (at for at in rows if at > self._table.cursor_row)
            self._table.move_cursor(row=next(later, rows[0]), animate=False)
        else:
            self.notify("There is no conflict.")

    def action_side(self) -> None:
        others = [side for side, _ in self._changes if side != self._side]
        if others:
            self._side = others[0]
            self._draw_text()
        else:
            self.notify("No other document changed this clause.")

    def action_beside(self) -> None:
        self._beside = not self._beside
        self._draw_text()

    def action_open_source(self) -> None:
        self._was = not self._was
        self._draw_text()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def on_source_text_ended(self, message: SourceText.Ended) -> None:
        first, last = self._window
        at = last if message.step > 0 else first - 1
        if self._compared is not None and 0 <= at < len(self._compared.paragraphs):
            self._draw_text(at)

    def _draw_text(self, at: int | None = None) -> None:
        """Draw the clauses around one; if none is given, around the chosen change, which is then put in view."""
        change = None
        if at is None and (changes := dict(reversed(self._changes))):
            self._side = self._side if self._side in changes else next(iter(changes))
            change = changes[self._side]
        if (compared := self._compared) is None:
            return
        self.query_one("#redline").border_title = self._side
        clauses = compared.paragraphs
        if change is not None:
            at = compared.places[compared.changes.index(change)][not (self._was or not change.new.text)]
        first, last = self._window = max(0, (at := at or 0) - BEFORE), min(len(clauses), at + AFTER)
        width = self._text.content_size.width or max(20, self.size.width - 3)
        lines = [Content(f"… {counted(first, 'clause')} before: PgUp at the top"), Content()] if first else []
        for number, runs in enumerate(clauses[first:last], first):
            head, mark = list(self._headings(number, width)), -1
            if number == at:
                # The changed words of a long clause are put in view, not its beginning.
                mark = mark_of(change, runs) if change is not None else 0
                above = len(head) + len(clause_lines(runs[: mark + 1], width, self._beside)) - 1
                self._row = len(lines) + (above if above > self._scroll.size.height // 2 else 0)
            other = self._others(width) if number == at and change is not None else ()
            lines += [*head, *clause_lines(runs, width, self._beside, mark), *other, Content()]
        if last < len(clauses):
            lines.append(Content(f"… {counted(len(clauses) - last, 'clause')} after: PgDn at the end"))
        self._text.update(Content("\n").join(lines))
        self.call_after_refresh(self._reveal)

    def _headings(self, clause: int, width: int) -> Iterator[Content]:
        """What was changed in a clause, and the comments on it; a clause that moved is named at both places."""
        assert self._compared is not None
        for one, (was, here) in zip(self._compared.changes, self._compared.places, strict=True):
            if clause in ((was, here) if one.deed == "moved" else (here if one.new.text else was,)):
                title = one.title if clause == here or not one.new.text else f"moved from here: {one.title}"
                chosen = (self._side, one) in self._changes
                mark, style = ("▶", "bold reverse") if chosen else ("·", "$text-muted")
                state = self._states.get((self._side, one), "")
                yield from Content.styled(f"{mark} {clean_line(title + state)}", style).wrap(width)
        for comments in self._compared.beside[clause : clause + 1]:
            yield from (line for one in comments for line in Content(f"» {clean_line(str(one))}").wrap(width))

    def _others(self, width: int) -> Iterator[Content]:
        """What the other side made of the chosen clause."""
        for side, one in self._changes:
            if side != self._side:
                words = (_marked(run) for run in one.runs)
                yield from Content.assemble(
                    (f"▷ {side}, {one.deed}:{' ' * (not one.runs[0].space)}", "bold"), *words
                ).wrap(width)

    def _reveal(self) -> None:
        self._scroll.scroll_to(y=max(0, self._row - self._scroll.size.height // 4), animate=False, immediate=True)

    def action_next_panel(self) -> None:
        (self._scroll if self.focused is self._table else self._table).focus()

    def action_back(self) -> None:
        if self._only and not self._filter.display:
            self.action_only("")
        else:
            self.stop_work()
            super().action_back()

    @work
    async def action_export(self) -> None:
        from localrag.redline import export

        if (found := self._found) is not None:
            what, name = counted(len(self._entries), "change"), f"{PurePath(self._named[-1]).stem}-redline.docx"
            about = what if self._side else f"{what}, and the text"
            reports: list[list[str]] = []
            await dialogs.export(
                self.app,
                "Export the redline",
                about,
                name,
                export.SUFFIXES,
                export.check,
                lambda path: reports.extend(export.save(found, path, self.app.preferences.settings)[1:]),
                what,
                self._libraries,
            )
            for what, names in zip(("Not marked", "Live in the copy"), reports, strict=False):
                if names:
                    self.app.notify(clean_line(f"{what}: {'; '.join(names)}"), severity="warning", timeout=20)


def _cells(one: Entry) -> dict[str, str]:
    sides: dict[str, list[str]] = {"theirs": [], "ours": []} if one.state else {}
    for side, change in one.changes:
        words = [_marked(run)[0] for run in change.runs if run.sign != "="]
        sides.setdefault(side or "words", []).append(" ".join(words) or change.new.text)
    cells = {side: clean_line(" … ".join(words)) for side, words in sides.items()}
    if one.state:
        return {"class": one.level, "who": one.state, "clause": clean_line(one.title.rpartition(": ")[0]), **cells}
    return {"class": one.level, "change": clean_line(one.title), **cells}


def _marked(run: Run, style: str = "") -> tuple[str, str]:
    """The words of a run in their brackets, behind the space before them, and their style."""
    brackets, usual = MARKS[run.sign]
    words = re.sub(r"\s+", " ", clean_in_place(run.text))
    space = " " * (run.space or words[:1] == " ")
    return space + brackets.format(words.lstrip()), f"{usual} {style}".strip()


def mark_of(change: Change, runs: Paragraph) -> int:
    """The first run of a clause with words of a change, by number."""
    first = next((_letters(run.text)[:20] for run in change.runs if run.sign != "="), "")
    same = (n for n, run in enumerate(runs) if run.sign != "=" and _letters(run.text).startswith(first))
    return next(same, 0)


def clause_lines(runs: Paragraph, width: int, beside: bool, mark: int = -1) -> list[Content]:
    """The lines of a clause; `beside`: the old words at the left, the new ones at the right. `mark` is in reverse."""
    words = [_marked(run, "reverse" * (number == mark and len(runs) > 1)) for number, run in enumerate(runs)]

    def lines(without: str, width: int) -> list[Content]:
        shown = (each for each, run in zip(words, runs, strict=True) if run.sign != without)
        return Content.assemble(*shown).wrap(width)

    if not beside:
        return lines("", width)
    half = (width - 3) // 2
    pairs = zip_longest(lines("+", half), lines("-", half), fillvalue=Content())
    return [Content.assemble(old, " " * (half - old.cell_length), " │ ", new) for old, new in pairs]


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


async def ask_for_other(app: LocalragApp, named: Sequence[str], libraries: Sequence[str]) -> Sequence[str]:
    """Ask which other version of a document to compare with it; return both, the older first, or none."""
    if len(named) != 1:
        hint = 'Quote names with spaces: /compare "OLD" "NEW", or /compare "BASE" "THEIRS" "OURS".'
        raise UsageError("two documents are compared, or three", hint)
    listed = await app.threads["pages"].result(lambda: app.core.engine.drafts(named[0], libraries=libraries))
    paths = [path for path, _ in listed] or [*named]
    one = next((path for path in paths if named[0] in (path, path.rpartition("/")[2])), paths[-1])
    if not (others := [path for path in paths if path != one]):
        raise NotFoundError(f"no other version of {one!r} is known", "Name both: /compare OLD NEW")
    days = ", ".join(f"{path} ({day})" if day else path for path, day in listed)
    about = f"{counted(len(listed), 'version')}, the latest last: {days}"
    typed = await app.push_screen_wait(InputScreen(f"Compare {one} with", about, others[-1], choices=others))
    return sorted((one, typed), key=[*paths, typed].index) if typed else ()

"""RTF as flowing text: one page without a number.

Bytes are decoded by the code page of their font, Unicode escapes with what stands in for them. Headings (by outline
level or style), the numbers of lists, tables as Markdown rows, text boxes and footnotes behind the paragraph that
holds them. Pictures, embedded files, comments, headers, footers and deleted revisions are left out; hidden text is kept
out and reported. There is no recursion: a group more is an entry more on a stack, and the stack is bounded. White or
tiny text is not told apart, a table in a cell becomes part of the cell's text.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import Blocks, HiddenText, markdown_rows, symbol
from localrag.ingest.readers.cleaning import clean, clean_title
from localrag.ingest.readers.headings import find_headings
from localrag.ingest.readers.rtf_words import (
    BULLET,
    CHARSETS,
    ENTERED,
    HEADING,
    PARAGRAPHS,
    SAID,
    SIGNS,
    SKIPPED,
    SYMBOLS,
    TOKEN,
    codec_of,
)
from localrag.ingest.readers.source import Options, Source, looks_like
from localrag.types import Page, Reading, Remark

_DEEPEST = 2_000


def read(source: Source, options: Options) -> Reading:
    data = source.read().lstrip(b"\xef\xbb\xbf \t\r\n\0")
    if not data.startswith(b"{\\rtf"):
        kind = looks_like(source)
        raise ReadError(
            f"is not an RTF text{f' but {kind}' if kind else ''}", "Give the file the suffix of its real type."
        )
    document = _Document(data)
    text, headings = document.flow.text()
    headings = headings or find_headings(text)
    remarks = document.hidden.remarks()
    if document.cut_off:
        remarks += (Remark(None, "ends in the middle of a group: it may have been cut off"),)
    title = clean_title(document.info.get("title", "")) or document.title or (headings[0].title if headings else "")
    author = " ".join(clean(document.info.get("author", "")).split())[:200]
    return Reading((Page(text, headings=headings),), title, (), remarks, author, document.date())


@dataclass(slots=True)
class _Sink:
    """Where text goes: the document, a note, a box, or a property; with the paragraph and row at hand."""

    kind: str
    flow: Blocks = field(default_factory=Blocks)
    pieces: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    behind: list[str] = field(default_factory=list)  # notes and boxes that follow the paragraph
    below: list[str] = field(default_factory=list)  # those that follow the table
    number: str = ""
    in_row: bool = False

    def take(self) -> str:
        text = "".join(self.pieces)
        self.pieces.clear()
        # Halves of a character were written one by one.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def end_row(self) -> None:
        if any(cell.strip() for cell in self.cells):
            self.rows.append(self.cells)
        self.cells = []
        self.below += self.behind
        self.behind.clear()
        self.in_row = False

    def end_table(self) -> None:
        if max(map(len, self.rows), default=0) > 1:
            self.flow.add("\n".join(markdown_rows(self.rows)))
        else:  # a frame around text, no table
            for row in self.rows:
                self.flow.add(row[0])
        for text in self.below:
            self.flow.add(text)
        self.rows, self.below = [], []

    def end_paragraph(self, text: str, level: int | None = None, item: bool = False) -> None:
        self.end_table()
        self.flow.add(text, level, item)
        for other in self.behind:
            self.flow.add(other)
        self.behind.clear()

    def end(self) -> None:
        """Whatever was not closed."""
        if self.cells:
            self.cells.append(self.take())
            self.end_row()
        self.end_paragraph(self.take())


@dataclass(slots=True)
class _State:
    """What a group inherits and gives back at its end."""

    sink: _Sink
    reads: str = "text"  # "text", "fonts", "styles", "times", "" for what is skipped
    font: int = -1
    substitutes: int = 1
    hidden: bool = False
    deleted: bool = False
    in_table: bool = False
    style: int = 0
    outline: int = 9
    what: str = ""


class _Document:
    """One pass over the tokens."""

    def __init__(self, data: bytes) -> None:
        self.info: dict[str, str] = {}
        self.hidden = HiddenText()
        self.title = ""
        self._default = "cp1252"
        self._default_font = -1
        self._fonts: dict[int, tuple[int, str, str]] = {}  # character set, code page, name
        self._styles: dict[int, tuple[str, int]] = {}
        self._times: dict[str, dict[str, int]] = {}
        self._bytes, self._codec = bytearray(), ""
        self._substitutes = 0  # characters still to be dropped behind a \u
        self._starred = self._opening = False
        self._noted = 0
        main = _Sink("main")
        self._state = _State(main)
        self._stack: list[_State] = []
        self._run(data)
        self._flush()
        self.cut_off = bool(self._stack)
        for state in [self._state, *reversed(self._stack)]:  # in a file that was cut off, groups are open
            if state.sink is not main and state.sink.kind in ("note", "box"):
                self._finish(state.sink, main)
        main.end()
        self.flow = main.flow

    def date(self) -> str:
        """When the text was last changed, or made."""
        for name in ("revtim", "creatim"):
            found = self._times.get(name, {})
            year, month, day = (found.get(part, 0) for part in ("yr", "mo", "dy"))
            if 1980 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= 31:
                hour, minute = found.get("hr", 0), found.get("min", 0)
                time = f"T{hour:02d}:{minute:02d}:{found.get('sec', 0):02d}" if "hr" in found else ""
                return f"{year:04d}-{month:02d}-{day:02d}{time}"
        return ""

    def _run(self, data: bytes) -> None:
        place, size = 0, len(data)
        while place < size:
            match = TOKEN.match(data, place)
            if match is None:  # not possible, but a loop must end
                break
            place = match.end()
            kind = match.lastgroup
            if kind == "text":
                self._text(match["text"])
            elif kind == "hex":
                self._text(bytes([int(match["hex"], 16)]))
            elif kind == "group":
                self._open() if match["group"] == b"{" else self._close()
                if not self._stack:  # what is behind the last brace is not the document's
                    break
            elif kind == "sign":
                self._sign(match["sign"].decode("latin-1"))
            elif match["word"]:
                number = match["number"]
                word = match["word"].decode()
                if word == "bin" and number:
                    place += max(0, int(number))
                self._word(word, int(number) if number else None)
            if kind not in (None, "group") and not (kind == "sign" and self._starred):
                self._opening = self._starred = False

    # --- groups

    def _open(self) -> None:
        self._flush()
        self._substitutes = 0
        if len(self._stack) >= _DEEPEST:
            raise ReadError(
                "has groups nested too deep", "It is damaged or hostile. Open it in a word processor and save it anew."
            )
        self._stack.append(self._state)
        self._state = replace(self._state)
        self._opening = True

    def _close(self) -> None:
        self._flush()
        self._substitutes = 0
        self._opening = False
        if not self._stack:
            return
        sink = self._state.sink
        self._state = self._stack.pop()
        if sink is not self._state.sink:
            self._finish(sink, self._state.sink)

    def _finish(self, sink: _Sink, parent: _Sink) -> None:
        """A group that was put aside has ended."""
        if sink.kind in ("note", "box"):
            sink.end()
            lines = sink.flow.lines()
            if sink.kind == "box":
                parent.behind += lines
            elif lines:
                self._noted += 1
                parent.pieces.append(f" [{self._noted}]")
                parent.behind.append(f"[{self._noted}] {' '.join(lines)}")
        elif sink.kind == "number":
            number = sink.take().strip()
            parent.number = "-" if BULLET.fullmatch(number) else " ".join(number.split())
        else:
            self.info.setdefault(sink.kind, sink.take())

    def _destination(self, word: str) -> bool:
        """Whether `word`, first in its group, says what the group is for; then it was seen to."""
        state = self._state
        if word in ("fonttbl", "stylesheet", "info"):
            state.reads = {"fonttbl": "fonts", "stylesheet": "styles", "info": "info"}[word]
        elif state.reads == "info":
            state.reads = ""
            if word in ("title", "author"):
                state.reads, state.sink = "text", _Sink(word)
            elif word in ("revtim", "creatim"):
                state.reads, state.what = "times", word
        elif word in ("footnote", "shptxt", "dptxbxtext", "listtext", "pntext"):
            kind = "note" if word == "footnote" else "number" if word in ("listtext", "pntext") else "box"
            if state.reads:
                state.sink = _Sink(kind)
                state.in_table = False
        elif (
            word in SKIPPED or (word.startswith("m") and word.endswith("Pr")) or (self._starred and word not in ENTERED)
        ):
            # The tables of fonts and styles have marked groups that are part of them.
            if state.reads not in ("fonts", "styles") or word in ("panose", "falt", "keycode"):
                state.reads = ""
        else:
            return False
        return True

    # --- words

    def _word(self, word: str, number: int | None) -> None:
        if self._opening and self._destination(word):
            return
        state = self._state
        if not state.reads:
            return
        if word == "u" and number is not None:
            self._unicode(number & 0xFFFF)
        elif word in SAID:
            self._say(SAID[word])
        elif word in PARAGRAPHS:
            self._paragraph()
        elif word == "cell":
            self._flush()
            state.sink.cells.append(self._numbered(state.sink))
        elif word == "row":
            self._flush()
            state.sink.end_row()
        elif state.reads in ("fonts", "styles"):
            self._table_word(word, number or 0)
        elif state.reads == "times":
            self._times.setdefault(state.what, {})[word] = number or 0
        else:
            self._property(word, number)

    def _property(self, word: str, number: int | None) -> None:
        state = self._state
        on = number != 0
        self._flush()
        if word == "f":
            state.font = number or 0
        elif word == "uc":
            state.substitutes = max(0, min(number or 0, 100))
        elif word == "v":
            state.hidden = on
        elif word in ("deleted", "mvf"):
            state.deleted = on
        elif word == "plain":
            state.hidden = state.deleted = False
            state.font = self._default_font
        elif word == "pard":
            state.in_table, state.style, state.outline = False, 0, 9
        elif word == "intbl":
            state.in_table = on
        elif word == "itap":
            state.in_table = bool(number)
        elif word == "trowd":
            state.sink.in_row = True
        elif word == "s":
            state.style = number or 0
        elif word == "outlinelevel":
            state.outline = number or 0
        elif word == "deff":
            state.font = self._default_font = number or 0
        elif word in ("ansicpg", "mac", "pc", "pca"):
            self._default = codec_of({"mac": 10000, "pc": 437, "pca": 850}.get(word, number or 0)) or self._default

    def _table_word(self, word: str, number: int) -> None:
        """A word inside the table of fonts or that of styles."""
        state = self._state
        if state.reads == "fonts":
            charset, codec, name = self._fonts.get(state.font, (1, "", ""))
            if word == "f":
                state.font = number
                self._fonts[number] = (1, "", "")
            elif word == "fcharset":
                self._fonts[state.font] = (number, codec, name)
            elif word == "cpg":
                self._fonts[state.font] = (charset, codec_of(number), name)
        elif word == "s":
            state.style = number
        elif word in ("cs", "ds", "ts"):
            state.style = -1  # of characters, sections, tables
        elif word == "outlinelevel":
            name, _ = self._styles.get(state.style, ("", 9))
            self._styles[state.style] = (name, number)

    def _sign(self, sign: str) -> None:
        if sign == "*":
            self._starred = self._opening
        elif sign in "\r\n":
            self._paragraph()
        elif sign in SIGNS:
            self._say(SIGNS[sign])

    # --- text

    def _say(self, text: str) -> None:
        if self._substitutes:
            self._substitutes -= 1
            return
        self._flush()
        self._put(text)

    def _unicode(self, code: int) -> None:
        self._flush()
        charset, _, name = self._fonts.get(self._state.font, (1, "", ""))
        private = 0xF000 <= code <= 0xF0FF
        self._put(symbol(code, name if charset == SYMBOLS else "symbol") if private else chr(code))
        self._substitutes = self._state.substitutes

    def _text(self, data: bytes) -> None:
        dropped = min(self._substitutes, len(data))
        self._substitutes -= dropped
        data = data[dropped:]
        state = self._state
        if not data or not state.reads:
            return
        charset, codec, _ = self._fonts.get(state.font, (1, "", ""))
        name = "symbols" if charset == SYMBOLS else codec or CHARSETS.get(charset, self._default)
        if state.reads in ("fonts", "styles"):
            name = self._default
        if name != self._codec:
            self._flush()
            self._codec = name
        self._bytes += data

    def _flush(self) -> None:
        """Decode what has come; a character of several bytes may have come in pieces."""
        if not self._bytes:
            return
        data, self._bytes = bytes(self._bytes), bytearray()
        if self._codec == "symbols":
            font = self._fonts[self._state.font][2]
            self._put("".join(symbol(byte, font) for byte in data))
        else:
            self._put(data.decode(self._codec, "replace"))

    def _put(self, text: str) -> None:
        state = self._state
        if state.reads == "text":
            if state.hidden:
                self.hidden.add("hidden text", text)
            elif not state.deleted:
                state.sink.pieces.append(text)
        elif state.reads == "fonts":
            charset, codec, name = self._fonts.get(state.font, (1, "", ""))
            self._fonts[state.font] = (charset, codec, name + text.rstrip(";"))
        elif state.reads == "styles" and state.style >= 0:
            name, outline = self._styles.get(state.style, ("", 9))
            self._styles[state.style] = ((name + text).strip("; ").lower(), outline)

    def _paragraph(self) -> None:
        self._flush()
        state = self._state
        if state.reads != "text":
            return
        sink = state.sink
        if state.in_table or sink.in_row:
            sink.pieces.append("\n")
            return
        name, outline = self._styles.get(state.style, ("", 9))
        outline = state.outline if state.outline < 9 else outline
        heading = HEADING.match(name)
        level = outline + 1 if outline < 9 else int(heading[1]) if heading else 1 if name == "title" else None
        number = sink.number
        text = self._numbered(sink).strip()
        if name == "title" and not self.title:
            self.title = clean_title(text)
        sink.end_paragraph(text, level, bool(number) and level is None)

    def _numbered(self, sink: _Sink) -> str:
        """The paragraph or cell at hand, behind the number that was printed before it."""
        text, number = sink.take(), sink.number
        sink.number = ""
        return f"{number} {text.strip()}" if number and text.strip() else text

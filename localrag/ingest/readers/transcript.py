"""The text of a transcript (WebVTT, SubRip): what was said, a line for each turn, each caption with its time."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from localrag.errors import ReadError
from localrag.ingest.readers.cleaning import clean
from localrag.types import Anchor, Page, Reading

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_ARROW = re.compile(rf"^\s*{_TIME}\s*-+>\s*{_TIME}")
# Bounded, so that a caption of nothing but openings takes no time.
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,100})?[ \t]{1,9}([^<>]{1,200})>")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<\d[\d:.]{0,20}>|\{\\[^{}]{0,200}\}")
_NAMED = re.compile(r"^([^\W\d_][\w.'’ -]{0,40}(?: \([^)]{1,30}\))?): +(?=\S)")
_PAUSE = 5.0  # seconds of silence that end a line where no speaker is named
_FLASH = 0.05  # seconds; captions that roll up show a line once more, this long, or above the next one
_LINE = 500  # characters after which a line ends with its sentence


@dataclass(frozen=True, slots=True)
class _Cue:
    start: float
    end: float
    speaker: str
    text: str
    turns: bool = False  # a dash says that somebody else speaks


def reading(raw: str) -> Reading:
    text = raw.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    cues = list(_cues(text))
    if not cues:
        raise ReadError("is damaged, or not a transcript with times", "Export it again from its program.")
    pieces: list[str] = []
    anchors: list[Anchor] = []
    size = length = 0
    last: _Cue | None = None
    for cue in cues:
        begins = last is None or _new_line(last, cue, length)
        lead = ("\n" if last is not None else "") if begins else " "
        said = f"{cue.speaker}: {cue.text}" if begins and cue.speaker else cue.text
        size += len(lead)
        if not anchors or anchors[-1].name != _clock(cue.start):
            anchors.append(Anchor(size, _clock(cue.start)))
        pieces += (lead, said)
        size += len(said)
        length = len(said) if begins else length + len(said) + 1
        last = cue
    return Reading((Page("".join(pieces), anchors=tuple(anchors)),), _title(text))


def _new_line(last: _Cue, cue: _Cue, length: int) -> bool:
    if cue.turns or cue.speaker != last.speaker:
        return True
    ended = last.text.endswith((".", "?", "!", "…", "。", '"', "”"))
    return (not cue.speaker and cue.start - last.end > _PAUSE) or (length > _LINE and ended) or length > 4 * _LINE


def _title(text: str) -> str:
    match = re.match(r"WEBVTT[ \t]+-?[ \t]*(\S.*)", text)
    return match[1] if match else ""


def _cues(text: str) -> Iterator[_Cue]:
    """The captions, apart from notes, styles, numbers and names of captions."""
    lines = text.split("\n")
    web = text.startswith("WEBVTT")
    starts = [index for index, line in enumerate(lines) if _ARROW.match(line)]
    shown = ""
    for index, following in pairwise([*starts, len(lines)]):
        match = _ARROW.match(lines[index])
        assert match is not None
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        body = [line for line in _body(lines[index + 1 : following], web, following < len(lines)) if _plain(line)]
        rolled = body and _plain(body[0]) == shown and (len(body) > 1 or end - start < _FLASH)
        if body:
            shown = _plain(body[-1])
        yield from _spoken(start, end, body[1:] if rolled else body)


def _body(lines: list[str], web: bool, more: bool) -> list[str]:
    """The lines of one caption: up to an empty one in WebVTT, up to the number of the next caption in SubRip."""
    if web and "" in lines:
        return lines[: lines.index("")]
    while lines and not lines[-1].strip():
        lines.pop()
    return lines[:-1] if more and lines and lines[-1].strip().isdigit() else lines


def _spoken(start: float, end: float, lines: list[str]) -> Iterator[_Cue]:
    """One caption, or several where several people speak in it."""
    speaker, words, turns = "", "", False
    for line in lines:
        said = _plain(line)
        voice = _VOICE.search(line)
        named = _NAMED.match(said)
        dash = bool(re.match(r"[-–—]\s*\w", said))
        if (voice or named or dash) and words:
            yield _Cue(start, end, speaker, words, turns)
            speaker, words, turns = "", "", False
        turns = turns or dash
        if voice:
            speaker = " ".join(clean(html.unescape(voice[1])).split())
        elif named:
            speaker, said = named[1], said[named.end() :]
        words = f"{words} {said}".strip()
    if words:
        yield _Cue(start, end, speaker, words, turns)


def _plain(line: str) -> str:
    return " ".join(clean(html.unescape(_TAG.sub("", line))).split())


def _seconds(groups: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = groups
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction or 0}")


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"

"""Calendars (ICS) and transcripts (VTT, SRT): text whose places are times.

Each entry of a calendar is a block under its summary: when (in the time zone it was written in), where, who, how it
repeats in words. Repetitions are not counted out. Captions of a transcript are put together to lines, one for each
turn of a speaker; each caption keeps its time.
"""

from __future__ import annotations

from localrag.ingest.readers import calendar, transcript
from localrag.ingest.readers.source import Options, Source, another_kind
from localrag.ingest.readers.text import decode
from localrag.types import Reading


def read(source: Source, options: Options) -> Reading:
    if other := another_kind(source, "text"):
        raise other
    text = decode(source.read())
    return calendar.reading(text) if source.suffix == ".ics" else transcript.reading(text)

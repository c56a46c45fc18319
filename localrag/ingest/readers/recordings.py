"""Recordings: speech as text with times, recognised on this machine (the extra "audio", and a Whisper model).

libsndfile decodes WAV, MP3, OGG, Opus, FLAC and AIFF. The AAC of M4A and MP4, and what else phones and meetings record
in, is decoded by the system's FFmpeg, which is no part of localrag.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from localrag.errors import ReadError
from localrag.ingest.readers import programs, times
from localrag.ingest.readers.source import Options, Source, another_kind, page_listeners
from localrag.types import Reading, Remark

if TYPE_CHECKING:
    from localrag.ingest.readers.speech import Samples, Transcriber

_BLOCK = 60  # seconds that are resampled at once
_MIN_RATE, _MAX_RATE, _MAX_CHANNELS = 4_000, 384_000, 64
_MAX_FLAC = 1 << 30  # bytes; about 12 hours of speech


def read(source: Source, options: Options) -> Reading:
    try:
        import ctranslate2  # noqa: F401
        import soundfile
    except ImportError:
        what = "is a recording, and what recognises speech is not installed"
        raise ReadError(what, "Run: pip install 'localrag[audio]'") from None
    folder = Path(options.speech)
    if not options.speech or not (folder / "model.bin").is_file():
        hint = f"Run: localrag models install whisper-base. Or put a transcript beside it: {source.stem}.vtt or .srt."
        raise ReadError("is a recording, and no speech model is installed", hint)
    with _decodable(source) as stream:
        try:
            file = soundfile.SoundFile(stream)
        except (soundfile.LibsndfileError, TypeError) as error:
            raise _damaged(source) from error
        with file:
            return _transcribed(_Sound(file), _transcriber(folder))


def _decodable(source: Source) -> BinaryIO:
    """Return a stream that libsndfile can decode."""
    if source.suffix not in programs.DEMUXERS:
        return source.open()
    if programs.installed()["FFmpeg"] is None:
        raise ReadError("needs FFmpeg to be decoded, which is not installed", "Install it, or save it as MP3 or WAV.")
    status, sound = programs.run("FFmpeg", (source.suffix,), source.read(), seconds=600, most=_MAX_FLAC)
    if status == "done" and sound:
        return io.BytesIO(sound)
    if status in ("late", "large"):
        raise ReadError("is too long a recording", "Split it into parts of a few hours.")
    raise another_kind(source, "a recording") or ReadError(
        "has no sound that FFmpeg can decode", "Play it to see whether it has sound, and save it again."
    )


@cache
def _transcriber(folder: Path) -> Transcriber:
    from localrag.ingest.readers.speech import Transcriber

    return Transcriber(folder)


def _transcribed(sound: _Sound, transcriber: Transcriber) -> Reading:
    def beat() -> None:
        for listener in page_listeners:
            listener()

    heard = list(transcriber.sentences(sound.window, beat))
    sentences = [one for each in heard for one in each.sentences]
    if not sentences:
        hint = "Play it to hear whether somebody speaks. A better model may hear more: localrag models list."
        raise ReadError("has no speech that could be recognised", hint)
    said = f"Recognised from sound ({transcriber.name}, language {transcriber.language}): check quotes by listening."
    remarks = [said, *sound.faults()]
    if unclear := sum(each.unclear for each in heard):
        remarks.append(f"About {unclear * 30} s were too unclear and are left out.")
    reading = times.transcript(((start, end, "", text) for start, end, text in sentences), sound.title)
    return Reading(reading.pages, reading.title, remarks=tuple(Remark(None, text) for text in remarks))


class _Sound:
    """The sound of an open file as one channel of 16,000 samples a second, decoded as it is asked for."""

    def __init__(self, file: Any) -> None:
        import numpy as np

        if not (_MIN_RATE <= file.samplerate <= _MAX_RATE and file.channels <= _MAX_CHANNELS):
            raise ReadError("has an impossible number of samples or channels", "Save it again as WAV or MP3.")
        self._file, self._np = file, np
        self._blocks = self._decoded()
        self._held: Samples = np.zeros(0, np.float32)
        self._first = 0  # number of the first sample that is held
        self._frames = 0  # decoded so far
        self.title: str = file.copy_metadata().get("title", "")

    def window(self, at: float) -> Samples:
        """Return the 30 seconds from a time on; times must not go back."""
        from localrag.ingest.readers.speech import RATE, WINDOW

        start = int(at * RATE)
        while self._first + len(self._held) < start + WINDOW * RATE and (block := next(self._blocks, None)) is not None:
            self._held = self._np.concatenate((self._held, block))
        self._held, self._first = self._held[start - self._first :], start
        return self._held[: WINDOW * RATE]

    def faults(self) -> Iterator[str]:
        stated = self._file.frames
        if 0 < self._frames < 0.99 * stated < 1 << 50:
            decoded, whole = (times.clock(frames / self._file.samplerate) for frames in (self._frames, stated))
            yield f"The file is damaged or cut short: {decoded} of {whole} could be decoded."
        elif "(should be " in self._file.extra_info:  # libsndfile's words of a header that states more than there is
            yield "The file may be cut short: it is shorter than it says."

    def _decoded(self) -> Iterator[Samples]:
        from scipy.signal import resample_poly

        from localrag.ingest.readers.speech import RATE

        common = math.gcd(RATE, self._file.samplerate)
        up, down = RATE // common, self._file.samplerate // common
        while block := self._block():
            sound = self._np.nan_to_num(self._np.concatenate(block), posinf=0, neginf=0)
            yield resample_poly(sound, up, down).astype(self._np.float32)

    def _block(self) -> list[Samples]:
        """Decode the next minute, second by second: of a damaged file, what is before the damage."""
        import soundfile

        block: list[Samples] = []
        with suppress(soundfile.LibsndfileError):
            while len(block) < _BLOCK:
                second = self._file.read(self._file.samplerate, dtype="float32", always_2d=True)
                if not len(second):
                    break
                self._frames += len(second)
                block.append(second.mean(axis=1))
        return block


def _damaged(source: Source) -> ReadError:
    hint = "Play it to see whether it is whole, and save it again as WAV or MP3."
    return another_kind(source, "a recording") or ReadError("is damaged, or not a recording of its type", hint)

"""Speech to text with Whisper on CTranslate2: windows of 30 s in, timed sentences out.

The steps are those of OpenAI's decoder (log-mel spectrum, language, beam search under the rules for time stamps), and
each window is read on its own, so an error does not spread. Whisper makes words up where nobody speaks: quiet windows
are not read, and what it doubts itself or repeats is left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000
WINDOW = 30  # seconds
_STEP = 0.02  # seconds between two time stamps
_HOP, _FFT = 160, 400  # samples
_MIN_LOUDNESS = 0.001  # of a tenth of a second, RMS; speech is above 0.01
_MAX_NO_SPEECH, _MIN_LOGPROB, _SURE_LOGPROB = 0.6, -1.0, -0.6
_MAX_REPEATED = 2.4  # times that zlib shortens a text


class Sentence(NamedTuple):
    start: float  # seconds
    end: float
    text: str


class Heard(NamedTuple):
    """A window: its sentences, the seconds until the next one begins, and whether words in it were too uncertain."""

    sentences: list[Sentence]
    seconds: float
    unclear: bool = False


class Transcriber:
    """A Whisper model in memory; a recording has the language of its first window with speech."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import ctranslate2
        import tokenizers

        self._tokens = tokenizers.Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
        self._model = ctranslate2.models.Whisper(str(folder), compute_type="int8", intra_threads=threads)
        self._array = ctranslate2.StorageView.from_array
        self._first_time = int(self._tokens.token_to_id("<|notimestamps|>") or 0) + 1
        self.name, self.language = folder.parent.name, ""

    def sentences(self, window: Callable[[float], Samples], beat: Callable[[], None]) -> Iterator[Heard]:
        """Yield what is said; `window` returns the sound from a second on, empty behind the end."""
        at, self.language = 0.0, ""
        while (sound := window(at)).size:
            if quiet := _quiet(sound):
                at += quiet  # time stamps after a long silence would begin in it
                continue
            heard = self._heard(sound)
            yield heard._replace(sentences=[Sentence(at + a, at + b, text) for a, b, text in heard.sentences])
            at += max(1.0, heard.seconds)
            beat()

    def _heard(self, sound: Samples) -> Heard:
        spectrum = self._array(_spectrum(sound, self._model.n_mels))
        encoded = self._model.encode(spectrum)
        language = self.language or self._model.detect_language(encoded)[0][0][0].strip("<|>")
        result = self._decoded(encoded, language)
        if result is None or (result.no_speech_prob > _MAX_NO_SPEECH and result.scores[0] < _SURE_LOGPROB):
            return Heard([], WINDOW, unclear=True)
        self.language = language
        return self._split(result.sequences_ids[0], len(sound) / RATE)

    def _decoded(self, encoded: Any, language: str) -> Any:
        """Return a result that is neither too uncertain nor repeats itself, else None."""
        prompt = [self._tokens.token_to_id(f"<|{name}|>") for name in ("startoftranscript", language, "transcribe")]
        for how in ({}, {"no_repeat_ngram_size": 3, "repetition_penalty": 1.1}):
            result = self._model.generate(
                encoded, [prompt], beam_size=5, return_scores=True, return_no_speech_prob=True, **how
            )[0]
            text = self._text(result.sequences_ids[0]).encode()
            repeated = len(text) / len(zlib.compress(text))
            if result.scores[0] >= _MIN_LOGPROB and repeated <= _MAX_REPEATED:
                return result
        return None

    def _split(self, ids: list[int], seconds: float) -> Heard:
        """Split tokens at their time stamps; a sentence that is not ended in the window is read again with the next."""
        times = [each >= self._first_time for each in ids]
        cuts = [at for at in range(1, len(ids)) if times[at - 1] and times[at]]
        ended = times[-2:] == [False, True]
        if not cuts:
            return Heard(self._sentence(ids, seconds), WINDOW)
        parts = [ids[a:b] for a, b in zip([0, *cuts], [*cuts, *([len(ids)] if ended else [])], strict=False)]
        found = [one for part in parts for one in self._sentence(part, seconds)]
        return Heard(found, WINDOW if ended else self._time(ids[cuts[-1] - 1]))

    def _sentence(self, ids: list[int], end: float) -> list[Sentence]:
        times = [self._time(each) for each in ids if each >= self._first_time]
        text = self._text(ids)
        return [Sentence(times[0] if times else 0.0, times[-1] if len(times) > 1 else end, text)] if text else []

    def _text(self, ids: list[int]) -> str:
        return str(self._tokens.decode([each for each in ids if each < self._first_time])).strip()

    def _time(self, token: int) -> float:
        return (token - self._first_time) * _STEP


def _quiet(sound: Samples) -> float:
    """Return the seconds until something is heard; 0 where it is heard within one."""
    tenths = sound[: len(sound) // (RATE // 10) * (RATE // 10)].reshape(-1, RATE // 10)
    loud = np.flatnonzero((tenths**2).mean(axis=1) >= _MIN_LOUDNESS**2)
    if not len(loud):
        return WINDOW
    return 0.0 if loud[0] <= 10 else float(loud[0]) / 10 - 0.2


def _spectrum(sound: Samples, mels: int) -> NDArray[np.float32]:
    """Return the log-mel spectrum of a window, padded with silence, as Whisper was trained on it."""
    padded = np.pad(np.pad(sound, (0, WINDOW * RATE - len(sound))), _FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[: WINDOW * RATE : _HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_FFT + 1)[:-1], axis=1)) ** 2
    log = np.log10(np.maximum(_filters(mels) @ power.T, 1e-10))
    log = (np.maximum(log, log.max() - 8) + 4) / 4
    return np.ascontiguousarray(log[None], dtype=np.float32)


@cache
def _filters(mels: int) -> NDArray[np.float64]:
    """Return triangles over Slaney's mel scale, each of the same area."""
    at = np.linspace(0, 45.245640471924965, mels + 2)
    edges = np.where(at < 15, at * 200 / 3, 1000 * np.exp((at - 15) * np.log(6.4) / 27))
    ramps = edges[:, None] - np.fft.rfftfreq(_FFT, 1 / RATE)
    width = np.diff(edges)[:, None]
    triangles = np.maximum(0, np.minimum(-ramps[:-2] / width[:-1], ramps[2:] / width[1:]))
    return np.asarray(triangles * (2 / (edges[2:] - edges[:-2]))[:, None])

import io
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from tiny_whisper import tiny_whisper

from localrag.errors import ReadError
from localrag.ingest.readers import programs, recordings, speech
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options, Source
from localrag.types import Part

RATE = 16_000
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs FFmpeg")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_whisper(tmp_path_factory.mktemp("models") / "whisper-tiny" / "model")


def noise(seconds, rate=RATE, loudness=0.1):
    return np.random.default_rng(0).normal(0, loudness, (int(seconds * rate), 1)).astype(np.float32)


def encoded(sound, kind="WAV", rate=RATE, subtype=None):
    out = io.BytesIO()
    soundfile.write(out, sound, rate, format=kind, subtype=subtype)
    return out.getvalue()


def read(data, model, name="a.wav"):
    return recordings.read(Source(name, data=data), Options(speech=str(model)))


def times_of(reading):
    return [anchor.name for anchor in reading.pages[0].anchors]


def test_each_window_gives_sentences_with_their_times(model):
    reading = read(encoded(noise(40)), model)
    said = "The lease ends in May. Rent is due."
    assert reading.pages[0].text == f"{said}\n{said}"
    assert times_of(reading) == ["00:00:00", "00:00:04", "00:00:30", "00:00:34"]
    assert [remark.text for remark in reading.remarks] == [
        "Recognised from sound (whisper-tiny, language en): check quotes by listening."
    ]


@pytest.mark.slow
def test_a_confined_process_recognises_speech(model, tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(noise(5)))
    with ReaderPool(workers=1, options=Options(speech=str(model))) as pool:
        (part,) = [item for _, item in pool.read_all([tmp_path / "a.wav"]) if item is not None]
    assert isinstance(part, Part) and part.reading.pages[0].text.startswith("The lease ends in May.")


@pytest.mark.parametrize(
    "kind, name, subtype",
    [("FLAC", "a.flac", None), ("MP3", "a.mp3", None), ("OGG", "a.ogg", None), ("OGG", "a.opus", "OPUS")],
)
def test_compressed_sound_of_two_channels_is_decoded(model, kind, name, subtype):
    rate = 48_000
    sound = np.repeat(noise(3, rate), 2, axis=1)
    assert read(encoded(sound, kind, rate, subtype), model, name).pages[0].text.startswith("The lease")


def test_sound_is_resampled_to_the_same_times_whole(model):
    whole = np.sin(2 * np.pi * 440 * np.arange(90 * 44_100) / 44_100).astype(np.float32)[:, None]
    with soundfile.SoundFile(io.BytesIO(encoded(whole, rate=44_100))) as file:
        sound = recordings._Sound(file)
        for at in (0.0, 17.32, 59.0, 75.0):
            window = sound.window(at)
            assert len(window) == min(30, 90 - at) * RATE
            wanted = np.sin(2 * np.pi * 440 * (int(at * RATE) + np.arange(len(window))) / RATE)
            assert np.abs(window - wanted)[100:-100].mean() < 0.01
        assert not sound.window(90.0).size


def test_silence_is_not_read_and_what_follows_has_its_time(model):
    reading = read(encoded(np.concatenate([noise(45, loudness=0.0001), noise(5)])), model)
    assert times_of(reading)[0] in ("00:00:44", "00:00:45")
    with pytest.raises(ReadError, match="no speech"):
        read(encoded(noise(45, loudness=0.0001)), model)


@pytest.mark.parametrize("how", [{"certainty": 0.3}, {"script": ("<|0.00|>", *["word"] * 60, "<|9.00|>")}])
def test_what_the_model_doubts_or_repeats_is_left_out(tmp_path, how):
    doubtful = tiny_whisper(tmp_path / "whisper-odd" / "model", **how)
    with pytest.raises(ReadError, match="no speech"):
        read(encoded(noise(5)), doubtful)
    heard = speech.Transcriber(doubtful)._heard(noise(5)[:, 0])
    assert heard.unclear and not heard.sentences


def test_a_sentence_that_its_window_cuts_is_read_with_the_next(tmp_path):
    script = ("<|0.00|>", "The", "lease", "<|25.00|>", "<|25.00|>", "ends")
    cut = speech.Transcriber(tiny_whisper(tmp_path / "whisper-cut" / "model", script))
    heard = cut._heard(noise(30)[:, 0])
    assert [(one.start, one.end, one.text) for one in heard.sentences] == [(0.0, 25.0, "The lease")]
    assert heard.seconds == 25.0


def test_without_a_model_or_the_extra_it_is_said_what_to_install(monkeypatch, tmp_path):
    for folder in ("", tmp_path / "gone"):
        with pytest.raises(ReadError, match="no speech model") as caught:
            read(b"", folder, "talk.wav")
        assert "localrag models install whisper-base" in caught.value.hint and "talk.vtt" in caught.value.hint
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ReadError) as caught:
        read(b"", tmp_path)
    assert "localrag[audio]" in caught.value.hint


def test_of_a_recording_that_is_cut_short_it_is_said_how_much_was_read(model):
    data = encoded(noise(60), "FLAC")
    reading = read(data[: len(data) // 2], model, "a.flac")
    assert "The file is damaged or cut short: 00:00:2" in reading.remarks[1].text
    assert reading.pages[0].text.startswith("The lease")
    data = encoded(noise(60))
    assert "shorter than it says" in read(data[: len(data) // 2], model).remarks[1].text


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("a.mp3", b"%PDF-1.7\n", "PDF"),
        ("a.wav", b"", "damaged"),
        ("a.wav", b"RIFF\x24\0\0\0WAVEfmt ", "damaged"),
        ("a.flac", bytes(range(256)) * 40, "damaged"),
        ("a.wav", encoded(np.zeros((10, 1), np.float32), rate=1), "impossible"),
    ],
)
def test_what_is_no_recording_is_refused(model, name, data, reason):
    with pytest.raises(ReadError, match=reason) as caught:
        read(data, model, name)
    assert caught.value.hint


def test_without_ffmpeg_it_is_said_what_needs_it(model, monkeypatch):
    monkeypatch.setattr(programs, "installed", lambda: {"FFmpeg": None})
    with pytest.raises(ReadError, match="needs FFmpeg"):
        read(b"x", model, "a.m4a")


@needs_ffmpeg
@pytest.mark.slow
def test_the_sound_of_m4a_and_mp4_is_read_and_playlists_are_not(model, tmp_path):
    (tmp_path / "a.wav").write_bytes(encoded(noise(3)))
    subprocess.run(["ffmpeg", "-loglevel", "quiet", "-i", "a.wav", "a.m4a"], cwd=tmp_path, check=True)
    shutil.copy(tmp_path / "a.m4a", tmp_path / "b.mp4")
    (tmp_path / "list.m4a").write_text(f"#EXTM3U\n#EXTINF:3,\n{tmp_path / 'a.wav'}\n")
    (tmp_path / "cut.m4a").write_bytes((tmp_path / "a.m4a").read_bytes()[:2000])
    with ReaderPool(workers=1, options=Options(speech=str(model))) as pool:
        paths = [tmp_path / name for name in ("a.m4a", "b.mp4", "list.m4a", "cut.m4a")]
        found = {path.name: item for path, item in pool.read_all(paths) if item is not None}
    assert all(found[name].reading.pages[0].text.startswith("The lease") for name in ("a.m4a", "b.mp4"))
    assert all("no sound that FFmpeg can decode" in found[name].reason for name in ("list.m4a", "cut.m4a"))

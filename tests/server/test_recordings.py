"""A recording is played from the place of a quote, in the parts that a player asks for."""

import io
import re

import numpy as np
import pytest
import soundfile

from server.running import ingest, serving

SAID = "WEBVTT\n\n00:00:02.000 --> 00:00:04.000\nThe rent of Harbour House is 900 euros.\n"


@pytest.fixture(scope="module")
def sound():
    out = io.BytesIO()
    soundfile.write(out, np.random.default_rng(0).normal(0, 0.1, 100 * 16_000), 16_000, format="WAV")
    return out.getvalue()


@pytest.fixture(scope="module")
def server(tmp_path_factory, sound):
    base = tmp_path_factory.mktemp("recordings")
    for name in ("papers", "secret"):
        (base / name).mkdir()
        (base / name / "talk.vtt").write_text(SAID)
        (base / name / "talk.wav").write_bytes(sound)
        (base / name / "alone.txt").write_text("No recording lies beside it.")
    (base / "papers" / "linked.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nWords.\n")
    (base / "papers" / "linked.wav").symlink_to(base / "secret" / "talk.wav")
    for name in ("papers", "secret"):
        ingest(base / "home", base / name, name)
    with serving(base / "home", "papers") as running:
        yield running


def get(server, document, wanted="", **how):
    return server.request("GET", f"/sound?read={document}", headers={"Range": wanted} if wanted else {}, **how)


def test_a_player_gets_the_whole_or_the_range_that_it_asks_for(server, sound):
    status, headers, data = get(server, "papers/talk.vtt")
    assert (status, data) == (200, sound) and len(sound) > 3 << 20
    assert headers["content-type"] == "audio/wav" and headers["accept-ranges"] == "bytes"
    for wanted, start, end in (("bytes=0-", 0, None), ("bytes=10-19", 10, 20), ("bytes=5-2000000", 5, 2_000_001)):
        status, headers, data = get(server, "papers/talk.vtt", wanted)
        assert (status, data) == (206, sound[start:end]), wanted
        assert headers["content-range"] == f"bytes {start}-{start + len(data) - 1}/{len(sound)}"
    assert get(server, "papers/talk.vtt", f"bytes={len(sound)}-")[0] == 416
    for odd in ("bytes=9-3", "bytes=-5", "bytes=1-2,4-5", "words"):
        assert get(server, "papers/talk.vtt", odd)[::2] == (200, sound), odd


def test_only_recordings_of_served_libraries_are_played(server):
    assert get(server, "papers/talk.vtt", token=False)[0] == 401
    for document in ("secret/talk.vtt", "papers/alone.txt", "papers/talk.wav", "papers/../secret/talk.vtt", "papers/x"):
        assert get(server, document)[0] in (400, 404), document
    assert get(server, "papers/linked.srt")[0] in (400, 404)


def test_the_page_of_a_source_has_a_player(server):
    own = {"Accept": "text/html"}
    _, headers, page = server.request("GET", "/?read=papers/talk.vtt", headers=own)
    player = re.search(r'<audio[^>]*src="([^"]+)"', page.decode())
    assert player[1] == "/sound?read=papers/talk.vtt#t=0" and "media-src 'self'" in headers["content-security-policy"]
    _, _, page = server.request("GET", "/?read=papers/alone.txt", headers=own)
    assert b"No recording lies beside it." in page and b"<audio" not in page

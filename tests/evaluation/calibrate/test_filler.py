"""Text to hide facts in: real, in order, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localrag.errors import NotFoundError
from localrag.evaluation.calibrate import filler
from localrag.settings import Settings

_FACTS = "The mill was built in 1820. It burned down in 1903. Nobody was hurt in the fire. "


def _count(text: str) -> int:
    return len(text.split())


def test_sentences_come_in_order_and_running_heads_once() -> None:
    head = "ANNUAL REPORT OF THE MILL TRUST\n\n"
    got = filler.gather([head + _FACTS, head + "The trust met twice. "], 1000, _count, "a test")
    text = "".join(got.sentences)
    assert text.count("ANNUAL REPORT") == 1
    assert text.index("1820") < text.index("1903") < text.index("met twice")
    assert got.tokens == _count(text)


def test_no_more_is_taken_than_is_needed() -> None:
    def endless():  # type: ignore[no-untyped-def]
        number = 0
        while True:
            number += 1
            yield f"Page {number} tells about the year {number + 1000} and its floods. "

    assert 100 <= filler.gather(endless(), 100, _count, "a test").tokens < 120


def test_another_text_gives_another_digest_and_the_same_one_the_same() -> None:
    one, same, other = (filler.gather([text], 100, _count, "a test").digest for text in (_FACTS, _FACTS, _FACTS[28:]))
    assert one == same != other


def test_a_text_begun_elsewhere_holds_the_same() -> None:
    got = filler.gather([_FACTS], 100, _count, "a test")
    assert sorted(got.from_there(0.5)) == sorted(got.sentences) and got.from_there(0.5) != got.sentences
    assert got.from_there(0) == got.sentences


def test_no_text_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(NotFoundError, match="no text in the cellar") as caught:
        filler.gather(["", "  \n"], 100, _count, "the cellar")
    assert "--filler" in str(caught.value.hint)


def test_a_folder_is_read_by_its_readers_and_what_is_none_passed_over(
    folder: Callable[..., Path], settings: Settings
) -> None:
    root = folder({"b.txt": "Later text.", "a.html": "<p>Earlier <b>text</b>.</p>", "c.zip": b"broken", "d.bin": b"\0"})
    texts = list(filler.of_folder(root, settings, lambda: False))
    assert len(texts) == 2 and "Earlier text." in texts[0] and "<b>" not in texts[0]


def test_a_library_gives_its_documents_in_order(shelf: Callable[..., object]) -> None:
    library = shelf("contracts", {"b.txt": "Second.", "a.txt": ["First page.", "Second page."]})
    assert list(filler.of_library(library)) == ["First page.\n\nSecond page.", "Second."]  # type: ignore[arg-type]

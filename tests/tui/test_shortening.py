"""Long names: what tells them apart stays."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from localrag.tui.shortening import middle, source

LONG = "contracts/2024/final/master-services-agreement-with-annexes-and-schedules-signed-v12-final.pdf"


def test_what_fits_stays_as_it_is():
    assert source("a.pdf", "p. 3", 80) == "a.pdf, p. 3"
    assert source("a.pdf", "", 80) == "a.pdf"


@pytest.mark.parametrize("room", [40, 60, 80])
def test_end_of_the_name_and_the_place_are_kept(room):
    text = source(LONG, "p. 21 (printed 18)", room)
    assert cell_len(text) <= room
    assert text.startswith("contr") or room == 40
    assert text.endswith("al.pdf, p. 21 (printed 18)") and "…" in text


@pytest.mark.parametrize("room", range(2, 30))
def test_wide_letters_count_for_two_cells(room):
    assert cell_len(middle("契約書/業務委託基本契約書と附属覚書.pdf", room)) <= room


def test_long_place_leaves_room_for_the_name():
    text = source("prices.xlsx", f"sheet {'Q' * 100}, B4:D9", 60)
    assert cell_len(text) <= 60
    assert text.startswith("prices.xlsx, sheet Q") and text.endswith("B4:D9")

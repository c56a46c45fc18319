import pytest

from localrag.text import clean, clean_title


@pytest.mark.parametrize(
    "raw, stored",
    [
        ("a\r\nb\rc\n", "a\nb\nc\n"),
        ("nul\0 bell\a del\x7f c1\x9b", "nul bell del c1"),
        ("con\u00adtract \ufeffx", "contract x"),
        ("two\u00a0words\u2009thin", "two words thin"),
        ("half \ud83d gone, whole 😀 kept", "half \ufffd gone, whole 😀 kept"),
        ("o\ufb03ce", "office"),
        ("line\u2028next\vlast\x85end", "line\nnext\nlast\nend"),
        ("see\U000e0073\U000e0061\U000e0079n", "seen"),
        ("tab\tstays, ünï 中文", "tab\tstays, ünï 中文"),
    ],
)
def test_cleaned_text_has_nothing_that_a_database_or_screen_chokes_on(raw, stored):
    assert clean(raw) == stored
    assert clean(stored) == stored


@pytest.mark.parametrize(
    "junk",
    ["Microsoft Word - lease final.doc", "Untitled-1", "0000320193-22-000070", "x.indd", "Document1", "  ", "\0"],
)
def test_titles_that_programs_wrote_say_nothing(junk):
    assert clean_title(junk) == ""


@pytest.mark.parametrize("good", ["Lease of the Mill", "10-Q - 07/28/2023 - Intel", "租约", "Titles and Deeds"])
def test_titles_that_people_wrote_stay(good):
    assert clean_title(good) == good


def test_a_title_is_one_line_and_not_endless():
    assert clean_title(" A\n  title\tof 'three' lines\x1b ") == "A title of 'three' lines"
    assert len(clean_title("word " * 100)) <= 200

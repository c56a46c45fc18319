import random

import pytest

from localrag.store.text_analysis import sentences


def split(text):
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    "parts",
    [
        ["It ends here.", "The next begins."],
        ["Acme Inc. pays the fee of Delta Corp. in U.S. dollars.", "The U.S. government agrees."],
        ["See No. 5 and Art. 12, e.g. § 3.2 of the Act.", "Mr. J. P. Smith signed."],
        ["It was sold to Acme Inc.", "The price was 3.5 million."],
        ["Is it due?", "Yes!", "“It is.”", "(So he said.)", "Then he left."],
        ["It grew by 3.14 percent in 2023.", "15 people came."],
        ["本合同自签字之日起生效。", "租金为每月一千元！", "是吗？"],
        ["They meet at 5 p.m. on Monday.", "He is at p. 4 ff. of it."],
        ["12. Termination is allowed.", "Notice is needed."],
        ["Er endet am 31. Mai 2030.", "Die Frist beginnt am 1. Juni."],
        ["The answer is no.", "The question stands."],
        ["Wait... and see.", "Well…", "Done."],
    ],
)
def test_prose_is_parted_at_its_stops_only(parts):
    joined = ("" if "。" in parts[0] else " ").join(parts)
    assert split(joined) == parts


@pytest.mark.parametrize(
    "lines",
    [
        ["- first item", "- second item that", "- third"],
        ["The parties agree:", "(a) to meet;", "(b) to pay; and", "(c) to part."],
        ["| Item | Fee |", "| --- | --- |", "| Mill. House | 1,200 |", "| Barn | 300 |"],
        ["Products $ 63,355 $ 63,948", "Services 19,604 17,486", "Total net sales 82,959 81,434"],
        ["1. Apples", "2. Pears"],
        ["• One thing", "• Another thing"],
        ["# Heading", "Text below it."],
    ],
)
def test_rows_and_items_stand_for_themselves(lines):
    assert split("\n".join(lines)) == lines


def test_wrapped_lines_are_one_sentence():
    text = (
        "This agreement is made between the parties that are named in the first schedule and\n"
        "Acme Widgets of Springfield, who agree that the rent which is due on the first day of\n"
        "each month will be paid in advance."
    )
    assert split(text) == [text]


def test_nothing_is_lost_whatever_the_text():
    chance = random.Random(7)
    alphabet = ["a", "B", "word", "Inc.", *".!?。|”)", "\n", "\n\n", " ", "   ", "(a) ", "- ", "1.2 ", "$ 5"]
    for _ in range(400):
        text = "".join(chance.choice(alphabet) for _ in range(chance.randrange(80)))
        end = 0
        for start, stop in sentences(text):
            assert end <= start < stop and not text[end:start].strip()
            assert text[start:stop] == text[start:stop].strip()
            end = stop
        assert not text[end:].strip()

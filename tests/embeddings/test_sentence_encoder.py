import pytest

from localrag.embeddings.sentence_encoder import SentenceEncoder, Text
from localrag.errors import Cancelled
from localrag.store.text_analysis import sentences

LEASE = (
    "The parties met in May. Either party may end this lease by a letter that reaches the other three months ahead. "
    "The rent is due on the first day of each month. Dogs are welcome."
)


@pytest.fixture(scope="module")
def encoder():
    return SentenceEncoder()


def text(words, title=""):
    return Text(title, words, tuple(sentences(words)))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long is the notice period?", "three months ahead"),
        ("When do we pay?", "first day"),
        ("May I bring a pet?", "Dogs"),
    ],
)
def test_the_sentence_that_answers_is_nearest(encoder, question, answer):
    ((*cosines,),) = encoder.nearness([question], [text(LEASE)])
    best = max(range(len(cosines)), key=cosines.__getitem__)
    start, end = sentences(LEASE)[best]
    assert answer in LEASE[start:end] and all(-1 <= one <= 1 for one in cosines)


def test_a_text_has_the_same_cosines_whatever_stands_beside_it(encoder):
    alone = encoder.nearness(["When do we pay?"], [text(LEASE, "Hall 3")])
    beside = encoder.nearness(["When do we pay?"], [text("Other words. " * 200), text(LEASE, "Hall 3"), text("")])
    assert beside[1] == alone[0] and beside[2] == []


def test_every_sentence_of_a_long_text_is_compared(encoder):
    words = f"{'The committee considered the report of the year. ' * 80}{'word ' * 900}. The rent is due in May."
    (cosines,) = encoder.nearness(["When is the rent due?", "rent due"], [text(words)])
    assert len(cosines) == len(sentences(words)) and min(cosines) > -1
    assert max(cosines) == cosines[-1]


def test_what_has_no_token_is_far(encoder):
    assert encoder.nearness(["rent"], [Text("", "\u200b\u200b rent", ((0, 2), (3, 7)))])[0][0] == -1.0


def test_a_comparison_can_be_stopped(encoder):
    with pytest.raises(Cancelled):
        encoder.nearness(["rent"], [text("Nothing was read of this before.")], stop=lambda: True)

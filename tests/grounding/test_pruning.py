"""What is left out of passages, so that a model reads less: the sentences farthest from the question."""

from __future__ import annotations

from dataclasses import replace

from localrag.embeddings.sentence_encoder import Text
from localrag.grounding import prompts
from localrag.grounding.pruning import prune
from localrag.store.text_analysis import sentences
from localrag.types import Passage

RENT = "Rent is due monthly. The tenant paints the hall. Dogs are allowed in the yard."


def passage(text, document="lease.txt", start=0, score=0.5):
    number = sum(map(ord, document))
    return Passage("papers", document, None, None, (), text, start, start + len(text), score, document_id=number)


def count(text):
    return len(text.split())


def pruned(passages, near, budget):
    """Prune passages whose sentences are as near to the question as the words that they hold say."""
    texts = [Text.of(one, sentences(one.text)) for one in passages]
    rows = [
        [max([0.0, *(near[word] for word in near if word in text.text[start:end])]) for start, end in text.spans]
        for text in texts
    ]
    return prune(passages, texts, rows, budget, count)


def test_the_best_passage_stays_whole_and_others_keep_their_best_sentences():
    other = passage(RENT, "other.txt")
    first, second = pruned([passage(RENT, score=0.9), other], {"Dogs": 0.9, "paints": 0.5}, 42)
    assert first == RENT and second == "The tenant paints the hall. Dogs are allowed in the yard."


def test_a_passage_with_nothing_that_fits_is_left_out():
    assert pruned([passage(RENT), passage(RENT, "other.txt")], {"Dogs": 0.9}, 20) == [RENT, ""]


def test_what_is_kept_fits_the_budget_and_follows_the_text():
    passages = [passage(RENT, f"{n}.txt") for n in range(6)]
    for budget in range(30, 120, 7):
        kept = pruned(passages, {"Dogs": 0.9, "Rent": 0.8}, budget)
        used = sum(
            prompts.size(replace(one, text=text), count) for one, text in zip(passages, kept, strict=True) if text
        )
        assert used <= budget
        assert all(line in RENT for text in kept for line in text.split("\n"))


def test_a_heading_stays_with_the_sentence_below_it():
    text = "The landlord keeps the roof dry.\n\nAnimals\n\nDogs are allowed in the yard."
    assert pruned([passage("Short."), passage(text, "other.txt")], {"Dogs": 0.9}, 20)[1].split() == [
        *["Animals", "Dogs", "are", "allowed", "in", "the", "yard."]
    ]


def test_what_two_passages_share_is_kept_once():
    whole = "Rent is due monthly. " + RENT
    first, second = passage(whole), passage(whole[21:] + " Cats are not.", start=21)
    assert pruned([first, second], {"Dogs": 0.9, "Cats": 0.8}, 100) == [whole, "Cats are not."]

import random
from itertools import groupby

import numpy as np
import pytest
from asking import EMBEDDER, search

from localrag.search import retrieval
from localrag.types import Passage

ANIMALS = {
    "birds.txt": "Flamingos are pink because of what they eat.",
    "cats.txt": "The lease of the lion house ends in May.",
    "dogs.txt": "Notice must be given to the kennel in writing.",
    "fish.txt": "Salmon swim against the stream in autumn.",
}


def test_the_passage_with_the_words_comes_first(shelf):
    library = shelf("zoo", ANIMALS)
    for word, document in (("flamingos", "birds.txt"), ("lease", "cats.txt"), ("salmon autumn", "fish.txt")):
        first = search(library, f"What about {word}?")[0]
        assert first.document == document
        assert (first.library, first.page, first.text) == ("zoo", None, ANIMALS[document])
        assert first.score > 0 and set(first.signals) == {"dense", "lexical"}


def test_scores_fall_and_k_is_the_most(shelf):
    library = shelf("zoo", ANIMALS)
    found = search(library, "notice of the lease")
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert len(found) == 4 and len(search(library, "notice of the lease", k=2)) == 2
    assert search(library, "notice of the lease", k=2) == found[:2]


def test_every_passage_has_the_score_of_both_rankers(shelf):
    library = shelf("zoo", ANIMALS)
    for passage in search(library, "salmon and no other word of it"):
        assert passage.signals["dense"] == pytest.approx(
            float(
                EMBEDDER.embed_documents([passage.text])[0] @ EMBEDDER.embed_question("salmon and no other word of it")
            ),
            abs=1e-5,
        )
        assert (passage.signals["lexical"] > 0) == (passage.document == "fish.txt")


def test_an_empty_library_gives_nothing(shelf):
    assert search(shelf("empty", {}), "anything") == []


HOSTILE = [
    'AND OR NEAR( " * ^',
    "NEAR(a b, 2)",
    'lease" OR "x',
    "heading:lease",
    "lease'--;DROP TABLE chunks",
    "-lease) % \\",
    '"force\x00 majeure" a\ud800b 🦩',
    "lease " * 500,
    "fulltext MATCH 'x'",
]


@pytest.mark.parametrize("question", HOSTILE, ids=range(len(HOSTILE)))
def test_no_question_is_read_as_an_operator(shelf, question):
    library = shelf("zoo", ANIMALS)
    assert len(search(library, f"{question} lease")) == 4
    search(library, question)
    assert library.counts()["documents"] == 4


def test_random_questions_never_fail(shelf):
    library = shelf("zoo", ANIMALS)
    dice = random.Random(3)
    for _ in range(200):
        question = "".join(dice.choice("ab \"'*^()-+:;,.<>=!&|~\\/%#NEARANDOR\n\té中\x00") for _ in range(30))
        search(library, question)


def test_a_filter_applies_before_the_search(shelf):
    many = {f"a{n:03}.txt": f"The lease ends in May, says the lease of house {n}." for n in range(150)}
    library = shelf("many", {**many, "z/only.txt": "Nothing of the kind, but words of its own."})
    found = search(library, "When does the lease end?", documents=["z/*"])
    assert [passage.document for passage in found] == ["z/only.txt"]
    assert {p.document for p in search(library, "lease", documents=["a00*.txt", "z/*"], k=50)} == {
        *(f"a00{n}.txt" for n in range(10)),
        "z/only.txt",
    }


def test_several_libraries_are_searched_as_one(shelf):
    first, second = shelf("first", {"a.txt": "Flamingos are pink."}), shelf("second", {"a.txt": "Salmon are red."})
    assert next((p.library, p.document) for p in search([first, second], "salmon")) == ("second", "a.txt")
    assert {p.library for p in search([first, second], "pink red")} == {"first", "second"}


LONG = " ".join(f"Sentence number {n} speaks of item{n} and of nothing else at all." for n in range(200))


def test_passages_are_what_stands_at_their_place(shelf):
    library = shelf("long", {"long.txt": [LONG, LONG[:3000]], "short.txt": "item7 here."})
    for passage in search(library, "item7 item150 item3", k=30):
        page = library.page_text(passage.document_id, passage.position)
        assert passage.text == page[passage.start : passage.end]
        assert passage.page == (passage.position + 1 if passage.document == "long.txt" else None)


def test_a_passage_that_stands_in_several_places_comes_once_and_names_them(shelf):
    clause = "Either party may end this agreement with ninety days of notice."
    library = shelf("copies", {"a.pdf": [clause, "Something else."], "b.txt": clause, "c.pdf": ["Others.", clause]})
    found = search(library, "notice to end the agreement")
    assert [p.document for p in found].count("a.pdf") + [p.document for p in found].count("b.txt") >= 1
    best = found[0]
    assert (best.document, best.page, best.also) == ("a.pdf", 1, ("b.txt", "c.pdf, p. 2"))
    (only,) = search(library, "notice to end the agreement", documents=["b.txt"])
    assert (only.document, only.also) == ("b.txt", ())


def test_drafts_stand_behind_each_other_unless_a_number_differs(shelf):
    rest = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(300))
    clause = "The tenant shall pay the rent of {} pounds on the first day of every month without being asked to. "
    library = shelf(
        "drafts",
        {
            "draft.txt": clause.format(100) + rest,
            "final.txt": clause.format(100) + rest + " signed",
            "other.txt": clause.format(900) + rest,
        },
    )
    first = [p for p in search(library, "What rent shall the tenant pay?", k=20) if "tenant" in p.text]
    assert sorted(p.document for p in first) in (["draft.txt", "other.txt"], ["final.txt", "other.txt"])
    (behind,) = (p.also for p in first if p.document != "other.txt")
    assert set(behind) <= {"draft.txt", "final.txt"} and len(behind) == 1


def test_only_what_touches_is_joined_and_what_lies_inside_adds_nothing(shelf):
    library = shelf("long", {"long.txt": LONG})
    (document,) = library.documents()

    def span(start, end):
        return Passage("long", "long.txt", None, None, (), LONG[start:end], start, end, 1.0, document.id, 0)

    def joined(*spans):
        merged = retrieval.merged(retrieval.in_reading_order(spans), [library])
        assert all(passage.text == LONG[passage.start : passage.end] for passage in merged)
        return [(passage.start, passage.end) for passage in merged]

    assert joined(span(110, 200), span(0, 100)) == [(0, 100), (110, 200)]
    assert joined(span(101, 200), span(0, 100)) == [(0, 200)]
    assert joined(span(20, 50), span(0, 100), span(99, 120)) == [(0, 120)]


def test_the_best_document_comes_first(shelf):
    library = shelf("two", {"a.txt": "Something about leases.", "b.txt": "flamingo flamingo flamingo"})
    ordered = retrieval.in_reading_order(search(library, "flamingo"))
    assert [passage.document for passage in ordered] == ["b.txt", "a.txt"]


def test_passages_of_a_document_are_laid_out_together(shelf):
    text = "\n\n".join(f"Flamingo {n} stands. {'It does nothing else. ' * 60}" for n in range(4))
    library = shelf("two", {"a.txt": text, "b.txt": text.replace("stands", "sleeps")})
    found = sorted(search(library, "flamingo", join=False), key=lambda passage: (passage.start, passage.document))
    assert len([name for name, _ in groupby(found, lambda passage: passage.document)]) > 2
    ordered = retrieval.in_reading_order(found)
    assert len([name for name, _ in groupby(ordered, lambda passage: passage.document)]) == 2


def test_places_of_two_libraries_are_not_joined(shelf):
    first, second = shelf("first", {"a.txt": "Flamingos."}), shelf("second", {"a.txt": "Flamingos."})
    found = search([first, second], "flamingos")
    assert len(retrieval.merged(retrieval.in_reading_order(found), [first, second])) == 2


class Preferring:
    """An encoder to which sentences with a word are nearest; it keeps what it is asked."""

    def __init__(self, word):
        self.word, self.asked = word, []

    def nearness(self, questions, texts, stop=lambda: False):
        self.asked.append(list(questions))
        return [[float(self.word in one.text[start:end]) for start, end in one.spans] for one in texts]


def test_the_nearest_sentence_of_a_passage_counts(shelf):
    library, encoder = shelf("zoo", ANIMALS), Preferring("kennel")
    plain = search(library, "notice of the lease of salmon")
    found = search(library, "notice of the lease of salmon", encoder=encoder)
    assert plain[0].document != "dogs.txt" and found[0].document == "dogs.txt"
    assert found[0].signals["sentence"] == 1.0 and found[-1].signals["sentence"] == 0.0
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert {one.document for one in found} == {one.document for one in plain}


def test_only_the_first_passages_change_places(shelf):
    library = shelf("zoo", {f"{n:02}.txt": f"The lease of house {n} ends in May. Gate {n}." for n in range(30)})
    plain = search(library, "lease of house 3", k=30)
    last = plain[-1].document
    found = search(library, "lease of house 3", k=30, encoder=Preferring(f"Gate {int(last[:2])}."))
    assert found[-1].document == last and found[-1].score <= found[-2].score
    assert [one.document for one in found[retrieval._WEIGHED :]] == [
        one.document for one in plain[retrieval._WEIGHED :]
    ]


def test_sentences_in_other_languages_do_not_count(shelf):
    text = (
        "Der Mieter zahlt dem Vermieter für die Halle jedes Jahr eine Miete, und die Hunde bellen nicht in der Nacht."
    )
    library, encoder = shelf("miete", {"a.txt": text}), Preferring("Hunde")
    assert "sentence" not in search(library, "Wer zahlt die Miete?", encoder=encoder)[0].signals and not encoder.asked


@pytest.mark.parametrize("count", [0, 5, 99, 3000, 20_000])
def test_the_best_scores_are_among_the_leading_ones(count):
    scores = np.random.default_rng(count).random(20_000, np.float32)
    scores[scores.argsort()[: len(scores) - count]] = 0
    for limit in (1, 50, 100):
        best = set(scores.argsort()[-min(limit, count) :].tolist()) if count else set()
        ids = retrieval._leading(scores, limit).tolist()
        assert best <= set(ids) <= set(np.flatnonzero(scores).tolist())
        assert count < 20_000 or len(ids) < 2000

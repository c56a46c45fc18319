"""An answer in another language than its documents is tied to them by the same answer in theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localrag.answer import prompts as prompt
from localrag.answer import translation
from localrag.answer.assistant import Assistant
from localrag.events import Answered
from localrag.settings import Settings
from localrag.store.writer import Editor
from localrag.types import Answer, Passage

LEASE = (
    "The lease of Hall 3 ends on 31 May 2030. The yearly rent is EUR 48,000, payable in advance to the landlord. "
    "Repairs of the roof are the duty of the landlord, and the tenant keeps the floor clean."
)
VERTRAG = (
    "Der Mietvertrag über die Halle 3 endet am 31. Mai 2030. Die Miete beträgt 48.000 Euro im Jahr und ist im Voraus zu "
    "zahlen. Das Dach wird vom Vermieter instand gehalten."
)


def passage(text: str) -> Passage:
    return Passage("papers", "lease.txt", None, None, (), text, 0, len(text), 1.0)


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        ("Der Vertrag endet am 31. Mai 2030.", LEASE, ("german", "english")),
        ("The lease ends on 31 May 2030.", VERTRAG, ("english", "german")),
        ("合同于2030年5月31日到期。", LEASE, ("", "english")),
        ("The lease ends on 31 May 2030.", LEASE, None),
        ("Der Vertrag endet am 31. Mai 2030.", VERTRAG, None),
        ("31 May 2030", VERTRAG, None),  # too little to tell
        ("EUR 48,000 in 2030", VERTRAG, None),
        ("158,349 [1]", LEASE, None),  # a figure is in no script
        ("30 %", LEASE, None),
        ("Der Vertrag endet am 31. Mai 2030.", "| 2030 | 31 | 48,000 |", None),
    ],
)
def test_it_is_told_where_the_languages_plainly_differ(
    answer: str, text: str, expected: tuple[str, str] | None
) -> None:
    found = translation.differing(answer, [passage(text)])
    assert (found and (found.answer, found.documents)) == expected


def test_each_sentence_gets_the_citation_of_the_sentence_in_its_place() -> None:
    answer = "Der Vertrag endet am 31. Mai 2030 [7]. Die Miete beträgt 48.000 Euro im Jahr. Hunde sind erlaubt."
    twin = "The lease ends on 31 May 2030. The yearly rent is EUR 48,000. Dogs may live with friendly neighbours."
    cited = translation.carried(answer, twin, "", [passage(LEASE)])
    assert cited.text == (
        "Der Vertrag endet am 31. Mai 2030 [1]. Die Miete beträgt 48.000 Euro im Jahr [2]. Hunde sind erlaubt."
    )
    assert [citation.quote[:22] for citation in cited.citations] == ["The lease of Hall 3 en", "The yearly rent is EUR"]
    assert all(LEASE[citation.start : citation.end] == citation.quote for citation in cited.citations)
    assert cited.unsupported == ("Hunde sind erlaubt.",)


def test_with_another_number_of_sentences_the_citations_stand_behind_the_last() -> None:
    answer = "Der Vertrag endet am 31. Mai 2030. Die Miete beträgt 48.000 Euro im Jahr."
    twin = "The lease ends on 31 May 2030 and the yearly rent is EUR 48,000, payable in advance."
    cited = translation.carried(answer, twin, "", [passage(LEASE)])
    assert (
        cited.text.endswith("am 31. Mai 2030. Die Miete beträgt 48.000 Euro im Jahr [1].") and cited.unsupported == ()
    )


@pytest.mark.parametrize("twin", ["", "Something else entirely stands here."])
def test_without_a_twin_that_is_supported_no_sentence_counts_as_supported(twin: str) -> None:
    answer = "Der Vertrag endet am 31. Mai 2030. Die Miete ist hoch."
    cited = translation.carried(answer, twin, "", [passage(LEASE)])
    assert cited.citations == () and len(cited.unsupported) == 2


# --- from the question to the answer --------------------------------------------------------------------------


def ask(settings: Settings, question: str) -> Answer:
    assistant = Assistant(settings)
    last = list(assistant.ask(question, libraries=["papers"]))[-1]
    assistant.close()
    assert isinstance(last, Answered)
    return last.answer


@pytest.fixture
def papers(shelf: Callable[..., Editor], models: Any) -> Editor:
    library = shelf("papers", {"lease.txt": LEASE, "dogs.txt": "Dogs are kept on a lead. " * 40})
    library.instruct("Answer in German.")
    models.generator.script = [
        ("Answer in English", "The lease of Hall 3 ends on 31 May 2030."),
        ("Answer in German", "Der Vertrag über die Halle 3 endet am 31. Mai 2030."),
    ]
    return library


def test_an_answer_in_german_cites_the_english_words(papers: Editor, settings: Settings, models: Any) -> None:
    answer = ask(settings, "When does the lease of Hall 3 end?")
    assert answer.answer == "Der Vertrag über die Halle 3 endet am 31. Mai 2030 [1]."
    assert answer.citations[0].quote == "The lease of Hall 3 ends on 31 May 2030." and answer.unsupported == ()
    (flag,) = [flag for flag in answer.flags if flag.kind == "language"]
    assert flag.text == "German" and "English" in flag.reason
    assert [prompt[:-1] for prompt in models.generator.prompts[-2:]] == [models.generator.prompts[-1][:-1]] * 2


def test_one_that_the_documents_do_not_bear_is_marked(papers: Editor, settings: Settings, models: Any) -> None:
    models.generator.script = [
        ("Answer in English", "Nothing of that sort."),
        ("", "Das Dach ist von den Nachbarn zu reparieren."),
    ]
    answer = ask(settings, "Who repairs the roof?")
    assert answer.citations == () and answer.unsupported == ("Das Dach ist von den Nachbarn zu reparieren.",)


def test_one_that_only_says_that_it_is_not_there_is_none(papers: Editor, settings: Settings, models: Any) -> None:
    models.generator.script = [
        ("Answer in English", "The documents do not say."),
        ("", "Das ist in den Unterlagen nicht zu finden."),
    ]
    answer = ask(settings, "Who repairs the lift?")
    assert not answer.found and answer.answer == prompt.NOT_FOUND and answer.flags == ()


def test_the_second_try_is_not_told_that_it_is_in_another_language(
    papers: Editor, settings: Settings, models: Any
) -> None:
    answer = ask(settings.with_options(retry="on"), "When does the lease of Hall 3 end?")
    # Weighed, written, its twin.
    assert answer.answer.startswith("Der Vertrag") and len(models.generator.prompts) == 3

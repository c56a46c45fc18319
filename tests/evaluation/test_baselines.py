from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedGenerator

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.evaluation import answers, metrics
from localrag.evaluation.baselines import Plain, declines
from localrag.evaluation.datasets import load, match
from localrag.evaluation.runs import Run
from localrag.events import Answered
from localrag.llm import loading
from localrag.settings import Settings
from localrag.types import Answer

CHOICES = ("No (contradicted)", "Not mentioned", "Yes")
RENT = "What is the monthly rent?"


def ask(asker: Plain, question: str = RENT, **more: Any) -> Answer:
    given: dict[str, Any] = {"documents": None, "mode": "auto", "stop": lambda: False, **more}
    last = list(asker.ask(question, libraries=["office"], **given))[-1]
    assert isinstance(last, Answered)
    return last.answer


@pytest.fixture
def plain(settings: Settings) -> Iterator[Plain]:
    assistant = Assistant(settings)
    yield Plain(assistant, lambda: loading.load_generator(settings), settings, CHOICES, {"Is it let?"})
    assistant.close()


def test_the_plain_prompt_is_one_and_holds_the_passages_best_first(plain: Plain, model: ScriptedGenerator) -> None:
    answer = ask(plain)
    assert answer.found and answer.answer == "The monthly rent is EUR 2,450 [1]." and not answer.citations
    (prompt,) = model.prompts
    scores = [passage.score for passage in answer.passages]
    assert scores == sorted(scores, reverse=True) and len(scores) <= 5
    places = [prompt[-1].text.index(passage.text) for passage in answer.passages]
    assert places == sorted(places)


def test_passages_side_by_side_are_not_joined(tmp_path: Path, settings: Settings, model: ScriptedGenerator) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    words = " ".join(f"The tenant pays the rent of month {i} to the landlord without any delay." for i in range(200))
    (folder / "long.txt").write_text(words, encoding="utf-8")
    api.open_library("office", settings=settings).ingest(folder)
    assistant = Assistant(settings)
    joined = assistant.search("rent of the tenant", libraries=["office"], k=5)
    apart = assistant.search("rent of the tenant", libraries=["office"], k=5, join=False)
    assert max(len(found.text) for found in apart) < max(len(found.text) for found in joined)
    assert len(ask(Plain(assistant, lambda: model, settings), "rent of the tenant").passages) == 5


def test_choices_are_named_once_where_the_question_has_some(plain: Plain, model: ScriptedGenerator) -> None:
    ask(plain, "Is it let?")
    ask(plain, RENT)
    with_choices, without = (prompt[-1].text for prompt in model.prompts)
    assert with_choices.endswith("Reply with one of: No (contradicted); Not mentioned; Yes.")
    assert "Reply with" not in without


def test_the_model_is_loaded_when_there_is_something_to_ask(settings: Settings, model: ScriptedGenerator) -> None:
    loaded = []
    asker = Plain(Assistant(settings), lambda: loaded.append(1) or model, settings)  # type: ignore[func-returns-value]
    asker.close()
    assert not loaded
    ask(asker)
    ask(asker)
    assert loaded == [1]


def test_a_plain_answer_is_scored_beside_what_it_was_shown(settings: Settings, dataset: Path, plain: Plain) -> None:
    library = api.open_library("office", settings=settings)
    questions = load(dataset)
    rows = [
        row
        for _, row in answers.run(
            questions,
            match(questions, library.documents()),
            library,
            plain,
            Run(None, {}),
            mode="auto",
            within_document=False,
        )
    ]
    assert [row["found"] for row in rows] == [True, True, True, False]
    assert rows[0]["figures"]["evidence_shown"] == 1.0 and rows[0]["figures"]["cited"] == 0.0
    assert rows[0]["figures"]["evidence"] == 0.0 and rows[0]["figures"]["evidence_given"] > 0.9


@pytest.mark.parametrize(
    "reply",
    [
        "",
        " . ",
        "Not found.",
        "It is not found.",
        "The answer is not found in the passages.",
        "Not mentioned",
        "The passages do not contain the answer.",
        "The provided text does not mention an expiration date.",
        "The passage doesn't specify the governing law.",
        "The contract does not explicitly state a renewal term.",
        "There is no information about this in the passages.",
        "No information is provided about insurance.",
        "I'm sorry, but I cannot find it.",
        "I do not know.",
        "I don't know the answer.",
        "Unknown",
        "N/A",
        "None.",
        "The governing law is not specified in the passages.",
        "The expiration date is not explicitly stated.",
        "The answer cannot be determined from the given passages.",
        "**Not present in the contract.**",
        "The agreement contains no specific provision on this.",
        "Die Passagen enthalten keine Angaben dazu.",
        "Die Antwort wurde nicht gefunden.",
        "No se menciona en los pasajes.",
        "La respuesta no se encuentra.",
        "文中没有提到。",
        "未找到答案。",
        "The documents do not say.",
        "There is no fax number in these documents.",
        "The text provided gives no steps for that.",
        "No advantage is mentioned.",
        "Les documents ne le disent pas.",
    ],
)
def test_a_refusal_in_other_words_declines(reply: str) -> None:
    assert declines(reply)


@pytest.mark.parametrize(
    "reply",
    [
        "Rollo",
        "No.",
        "No, the tenant may not assign the lease.",
        "Not more than thirty days.",
        "Yes, it does.",
        "The notice period is thirty days. The fee is not specified in the passages.",
        "None of the parties may assign.",
        "The licence is not transferable.",
        "Confidential information does not include what was known before.",
        "Customer shall not be given access to the source code.",
        "It may not be disclosed to third parties.",
        "Nicht mehr als dreißig Tage.",
        "没有人可以转让。",
        "The court found no breach.",
        "Notre-Dame",
        "No more than 5 percent of shares may be sold.",
        "Employees do not have to pay for preventive care.",
    ],
)
def test_an_answer_with_a_no_in_it_is_no_refusal(reply: str) -> None:
    assert not declines(reply)


def test_the_choice_made_decides_whether_it_declines() -> None:
    assert declines("Not mentioned.", CHOICES)
    assert not declines("No (contradicted): the agreement does not state it.", CHOICES)
    assert not declines("Yes; it is not mentioned elsewhere.", CHOICES)


def test_what_a_choice_adds_in_brackets_need_not_be_said() -> None:
    assert metrics.chosen("No, it forbids that.", CHOICES) == "No (contradicted)"
    assert metrics.chosen("Not mentioned", CHOICES) == "Not mentioned"
    assert metrics.chosen("Nothing of it", CHOICES) is None

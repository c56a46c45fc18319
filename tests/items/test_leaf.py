"""One document of a survey: its verdict is weighed before anything is written, and quotes are looked up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import ScriptedGenerator

from localrag.events import Delta
from localrag.items import leaf as leaves
from localrag.items.leaf import Leaf, Material
from localrag.items.leaf_question import leaf_question
from localrag.llm import Completed, Weighed
from localrag.llm.llama import LlamaGenerator
from localrag.models.store import ModelStore
from localrag.settings import load_settings
from localrag.types import Document, Message, Passage, Usage

RENEWS = leaf_question("Which contracts renew each year?")
LAW = leaf_question("What is the governing law of each contract?")
DOCUMENT = Document(1, "/root", "a.txt", "", "hash", 1, 1, 1, 1, False)


@dataclass(slots=True)
class Sure(ScriptedGenerator):
    """Weighs by the words of the passage: how sure it is of yes, from 0 to 1."""

    shares: dict[str, float] = field(default_factory=dict)

    def weigh(self, messages: Sequence[Message], options: Sequence[str], **rest: Any) -> Iterator[Any]:
        self.prompts.append(tuple(messages))
        told = "".join(message.whole for message in messages)
        share = next((share for words, share in self.shares.items() if words in told), 0.05)
        yield Weighed((share, 1 - share), Usage(prompt=10))


def passages(*texts: str) -> tuple[Passage, ...]:
    return tuple(
        Passage("papers", "a.txt", n, None, (), text, 100, 100 + len(text), 1.0, 1) for n, text in enumerate(texts, 1)
    )


def reply(found: bool = True, answer: str = "yes", quote: str = "") -> str:
    return json.dumps({"found": found, "answer": answer, "quote": quote})


def told(model: ScriptedGenerator) -> list[str]:
    return ["".join(message.whole for message in prompt) for prompt in model.prompts]


def run(leaf: Any, material: Material, model: ScriptedGenerator, **rest: Any) -> Leaf:
    made = leaves.ask(leaf, "papers", DOCUMENT, material, model, **rest)
    assert made is not None
    return made


def test_nothing_is_written_where_no_passage_says_so() -> None:
    model = Sure(script=[("", reply())])
    leaf = run(RENEWS, Material(passages("It ends in May.", "Rent is due.")), model)
    assert (leaf.found, leaf.answer, leaf.citation) == (False, "", None)
    assert len(model.prompts) == 2 and not any("JSON" in text for text in told(model))
    assert leaf.likelihood == pytest.approx(0.05)


def test_each_passage_is_judged_by_itself_and_the_best_one_is_quoted() -> None:
    model = Sure(shares={"renews each year": 0.8}, script=[("", reply(quote="renews each year"))])
    leaf = run(RENEWS, Material(passages("It ends in May.", "It renews each year.")), model)
    assert leaf.found and leaf.citation is not None
    assert (leaf.citation.page, leaf.citation.quote) == (2, "renews each year")
    judged, second, writing = told(model)
    assert "It ends" in judged and "renews each year." not in judged and "It ends" not in second
    assert "It ends" not in writing and "JSON" in writing


def test_a_sure_passage_ends_the_reading() -> None:
    model = Sure(shares={"renews each year": 0.99}, script=[("", reply())])
    run(RENEWS, Material(passages("It renews each year.", "It ends in May.")), model)
    assert len(model.prompts) == 2


def test_where_a_document_stands_among_the_others_moves_its_verdict() -> None:
    for standing, found in ((-2.0, False), (0.0, False), (2.0, True)):
        model = Sure(shares={"May": 0.3}, script=[("", reply())])
        assert run(RENEWS, Material(passages("It ends in May."), standing=standing), model).found is found


def test_what_is_read_and_asked_shares_all_but_its_end() -> None:
    model = Sure(shares={"year": 0.99}, script=[("", reply())])
    run(RENEWS, Material(passages("It renews each year.")), model)
    weighed, written = model.prompts
    assert weighed[:-1] == written[:-2] and weighed[-1].text == written[-2].text
    assert weighed[-1].tail != written[-2].tail


def test_where_the_verdict_is_sure_only_the_quote_is_written() -> None:
    for share, begun in ((0.99, True), (0.7, False)):
        model = Sure(shares={"year": share}, script=[("", reply(answer="each year", quote="It renews each year"))])
        leaf = run(RENEWS, Material(passages("It renews each year.")), model)
        assert leaf.found and leaf.answer == ("yes" if begun else "each year")
        assert leaf.citation is not None and leaf.citation.quote == "It renews each year"
        assert (model.prompts[-1][-1].role == "assistant") is begun


def test_a_value_is_read_from_all_passages_together() -> None:
    model = Sure(shares={"Kansas": 0.8}, script=[("", reply(answer="Kansas", quote="the laws of Kansas"))])
    leaf = run(LAW, Material(passages("It ends in May.", "Governed by the laws of Kansas.")), model)
    assert (leaf.found, leaf.answer) == (True, "Kansas") and len(model.prompts) == 2
    assert not run(LAW, Material(passages("Governed by the laws of Kansas.")), model, answer_from=0.9).found


def test_a_quote_is_the_documents_own_at_its_place() -> None:
    model = Sure(shares={"year": 0.8}, script=[("", reply(quote="RENEWS  each\nyear."))])
    leaf = run(RENEWS, Material(passages("It renews each year for one year.")), model)
    assert leaf.citation is not None and leaf.citation.quote == "renews each year" and not leaf.dropped
    assert (leaf.citation.start, leaf.citation.end) == (103, 119)


def test_an_invented_quote_is_dropped_and_code_shows_the_sentence_instead() -> None:
    model = Sure(shares={"year": 0.8}, script=[("", reply(answer="renews each year", quote="renews every day"))])
    leaf = run(RENEWS, Material(passages("Rent is due. It renews each year for one year.")), model)
    assert leaf.found and leaf.dropped
    assert leaf.citation is not None and leaf.citation.quote == "It renews each year for one year."


def test_a_required_name_stands_in_or_beside_the_quote() -> None:
    question = leaf_question("Which contracts are governed by the law of Delaware?")
    text = "Governed by these laws. They are those of Delaware. Rent is due. Buyer shall pay. Seller shall ship."
    for quote, shown in (
        ("Governed by these laws", "Governed by these laws"),
        ("Seller shall ship", "They are those of Delaware."),
    ):
        model = Sure(shares={"Delaware": 0.8}, script=[("", reply(quote=quote))])
        leaf = run(question, Material(passages(text)), model)
        assert leaf.citation is not None and leaf.citation.quote == shown


def test_a_name_that_stands_apart_from_what_is_sought_costs_likelihood() -> None:
    sought = "governed by the law of Delaware"
    assert leaves.together(["Delaware"], sought, "Construed under the laws of Delaware. Rent is due.")
    assert not leaves.together(["Delaware"], sought, "Acme, a Delaware corporation. The law is kind.")
    assert leaves.together(["Delaware"], "Delaware", "Acme, a Delaware corporation.")
    question = leaf_question("Which contracts are governed by the law of Delaware?")
    for loose, found in ((False, True), (True, False)):
        model = Sure(shares={"Delaware": 0.7}, script=[("", reply())])
        assert run(question, Material(passages("A Delaware corporation."), loose=loose), model).found is found


def test_what_is_no_answer_in_the_shape_counts_as_nothing_found() -> None:
    for text in ("not json", '{"found": true', "[]", '{"found": true, "answer": "x"}', '"text"', ""):
        model = Sure(shares={"year": 0.8}, script=[("", text)])
        leaf = run(RENEWS, Material(passages("It renews each year.")), model)
        assert (leaf.found, leaf.citation) == (False, None), text


def test_a_written_no_takes_the_yes_back() -> None:
    for answer, shown in (
        ("No.", ""),
        ("false", ""),
        ("No, it does not renew.", ""),
        ("No renewal without notice", "No renewal without notice"),
        ("True", "yes"),
        ("", "yes"),
        ("Yes, each year", "Yes, each year"),
    ):
        model = Sure(shares={"year": 0.8}, script=[("", reply(answer=answer))])
        made = run(RENEWS, Material(passages("It renews each year.")), model)
        assert (made.found, made.answer) == (bool(shown), shown)


def test_a_value_that_no_words_support_and_a_yes_to_who_are_unsure() -> None:
    parties = leaf_question("Who are the parties?")
    for answer, quote, sure in (
        ("Anna Orlo", "between Anna Orlo and Ben Hale", True),
        ("true", "between Anna Orlo and Ben Hale", False),
        ("true", "", False),
        ("Cedric Vane", "Cedric Vane is a party", False),
    ):
        model = Sure(shares={"Orlo": 0.9}, script=[("", reply(answer=answer, quote=quote))])
        made = run(parties, Material(passages("This lease is between Anna Orlo and Ben Hale.")), model)
        assert (made.found, made.unsure) == (sure, not sure), answer
        assert sure or made.why_not == "unsure: the words that support it were not found"


def test_a_document_without_text_is_not_put_before_the_model() -> None:
    model = Sure()
    leaf = run(RENEWS, Material((), "whole"), model)
    assert (leaf.found, leaf.read, leaf.likelihood) == (False, "whole", None) and model.prompts == []


def test_a_warm_document_is_laid_out_as_read_lays_it_out() -> None:
    from localrag.grounding import prompts as prompt

    text = "It renews each year."
    model = Sure(shares={"year": 0.8}, script=[("", reply())])
    run(RENEWS, Material(passages(text), "whole", text), model)
    (expected, *_) = prompt.documents_prompt("Anything?", [("a.txt", text)])
    assert all(prompt[0].stable == expected.stable for prompt in model.prompts)


def test_a_table_keeps_only_values_that_stand_in_the_text() -> None:
    question = leaf_question("List the tenant, rent and deposit of each lease")
    text = "The tenant is Tess Orlo. The rent is EUR 48,000 a year."
    values = json.dumps({"tenant": "Tess Orlo", "rent": "EUR 48,000", "deposit": "nine pelicans"})
    model = Sure(script=[("", values)])
    leaf = run(question, Material(passages(text)), model)
    assert dict(leaf.fields) == {"tenant": "Tess Orlo", "rent": "EUR 48,000", "deposit": ""}
    assert leaf.found and leaf.dropped and leaf.citation is not None
    assert leaf.citation.quote == "The tenant is Tess Orlo."
    columns = [
        "library",
        "document",
        "found",
        "answer",
        "tenant",
        "rent",
        "deposit",
        "place",
        "quote",
        "read",
        "likelihood",
        "why_not",
        "page",
        "start",
        "end",
    ]
    assert list(leaf.to_row()) == columns


def test_stopped_there_is_no_leaf() -> None:
    class Stopped(Sure):
        def weigh(self, messages: Sequence[Message], options: Sequence[str], **rest: Any) -> Iterator[Any]:
            yield Weighed((), Usage())

    assert leaves.ask(RENEWS, "papers", DOCUMENT, Material(passages("x")), Stopped()) is None


def test_scores_count_against_the_background_of_the_other_documents() -> None:
    best, *rest = leaves.standings([0.9, *[0.3, 0.31, 0.29] * 10])
    assert best > 1.5 and all(value < 0 for value in rest)
    assert leaves.standings([0.9, 0.1, 0.1]) == [0.0] * 3  # of so few there is none
    assert leaves.standings([0.4] * 6) == [0.0] * 6
    few, many = (leaves.standings([9.0, *[0.1] * n])[0] for n in (4, 50))
    assert 0 < few < many <= 2.0


# --- with a real model --------------------------------------------------------------------------------------


@pytest.mark.model
def test_a_real_model_keeps_to_the_shape_and_reads_a_passage_once() -> None:
    installed = ModelStore(load_settings()).get("smollm2-135m-instruct")
    model = LlamaGenerator(installed.id, installed.path, threads=1)
    text = "The tenant is Tess Orlo. The rent is EUR 48,000 a year. The lease renews each year for one year."
    table = run(leaf_question("List the tenant and rent of each lease"), Material(passages(text)), model)
    assert set(table.fields) == {"tenant", "rent"}
    # This model knows nothing of contracts, so it is let say yes to anything.
    leaf = leaves.ask(RENEWS, "papers", DOCUMENT, Material(passages(text), standing=20.0), model)
    assert leaf is not None and leaf.likelihood is not None and leaf.usage.generated > 0
    fresh = leaf.usage.prompt - leaf.usage.reused
    assert leaf.usage.reused >= model.count(text) and fresh < leaf.usage.prompt / 2 + 60
    model.close()


@dataclass(slots=True)
class Piecewise(Sure):
    """Writes a reply word by word and stops when it is told to, as a model does; counts the words."""

    written: int = 0

    def generate(self, messages: Sequence[Message], **rest: Any) -> Iterator[Any]:
        _, text = self.script[0]
        ended = "end"
        for word in text.split(" "):
            if rest["stop"]():
                ended = "stopped"
                break
            self.written += 1
            yield Delta(word if self.written == 1 else f" {word}")
        yield Completed(text, Usage(generated=self.written), ended)  # type: ignore[arg-type]


SENTENCE = "This agreement renews each year for one year unless a party says no by letter."


def test_code_takes_the_rest_of_a_quoted_sentence() -> None:
    quote = f"agreement{SENTENCE[14:]} Rent is"
    model = Piecewise(shares={"year": 0.8}, script=[("", reply(quote=quote))])
    leaf = run(RENEWS, Material(passages(f"Rent is due. {SENTENCE} Rent is due.")), model)
    assert leaf.found and leaf.citation is not None
    assert leaf.citation.quote == SENTENCE[5:].rstrip(".")
    assert model.written < len(reply(quote=quote).split(" ")) - 5 and leaf.usage.generated == model.written


def test_a_quote_that_occurs_twice_is_written_to_its_end() -> None:
    quote = SENTENCE
    model = Piecewise(shares={"year": 0.8}, script=[("", reply(quote=quote))])
    leaf = run(RENEWS, Material(passages(f"{SENTENCE} Rent is due. {SENTENCE}")), model)
    assert leaf.found and leaf.citation is not None and leaf.citation.quote == SENTENCE.rstrip(".")
    assert model.written == len(reply(quote=quote).split(" "))


def test_a_long_sentence_is_quoted_in_whole_words() -> None:
    long = f"This agreement renews each year {'and each further year ' * 30}without notice."
    model = Piecewise(shares={"year": 0.8}, script=[("", reply(quote=long))])
    leaf = run(RENEWS, Material(passages(long)), model)
    assert leaf.citation is not None and 200 < len(leaf.citation.quote) <= 300
    assert long[len(leaf.citation.quote)] == " "


def test_nothing_more_is_written_once_nothing_is_found() -> None:
    model = Piecewise(shares={"year": 0.8}, script=[("", reply(found=False, answer="no, it ends and never renews"))])
    leaf = run(RENEWS, Material(passages(SENTENCE)), model)
    assert not leaf.found and model.written == 2


def test_a_stop_while_the_answer_is_written_leaves_no_row() -> None:
    model = Piecewise(shares={"year": 0.8}, script=[("", reply(quote=SENTENCE))])
    stopped = leaves.ask(
        RENEWS, "papers", DOCUMENT, Material(passages(SENTENCE)), model, stop=lambda: model.written > 3
    )
    assert stopped is None

"""Items put to one document: what code decides, what the model is asked, and that each claim has its words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import HashingSentences, ScriptedGenerator

from localrag.events import Delta
from localrag.items import filling
from localrag.items.engine import Engine
from localrag.items.evidence import Evidence
from localrag.items.item import Item
from localrag.items.reading import Reading, together
from localrag.llm import Completed, Weighed
from localrag.llm.llama import LlamaGenerator
from localrag.models.records import ModelStore
from localrag.settings import Settings, load_settings
from localrag.types import Citation, Document, Page, Passage, Usage

RENEWS = Item("renews", "Does this contract renew each year?")
LAW = Item("law", "What is the governing law?", type="text")
DOCUMENT = Document(1, "/root", "a.txt", "", "hash", 1, 1, 1, 1, False, language="english")


@dataclass(slots=True)
class Sure(ScriptedGenerator):
    """Weighs by the words of the prompt: how sure it is of yes, from 0 to 1; of two letters neither is likelier."""

    shares: dict[str, float] = field(default_factory=dict)
    letter: float = 0.5  # how sure it is of the letter that says yes

    def weigh(self, messages, options, **rest):
        self.prompts.append(tuple(messages))
        text = "".join(message.whole for message in messages)
        share = next((share for words, share in self.shares.items() if words in text), 0.05)
        if "B" in options:
            share = self.letter if "says yes.\nB" in text else 1 - self.letter
        yield Weighed((share, 1 - share), Usage(prompt=10))


class Shelf:
    """A library with one document."""

    name = "papers"

    def __init__(self, texts):
        self.texts = texts

    def pages(self, document):
        return [Page(text, n) for n, text in enumerate(self.texts, 1)]

    def page(self, document, position):
        return self.pages(document)[position]

    def snapshot(self):
        return nullcontext()


@dataclass(slots=True)
class Known:
    """What code finds: the passages as they are given, log odds, and a quote."""

    texts: Sequence[str]
    odds: float = 0.0
    quote: str = ""
    more: dict[str, Any] = field(default_factory=dict)

    def item(self, question, library):
        return None

    def clauses(self, library):
        return self

    def evidence(self, item, pair, *more):
        found = tuple(
            Passage("papers", "a.txt", n, None, (), text, 0, len(text), 1.0, n - 1)
            for n, text in enumerate(self.texts, 1)
        )
        quotes = [Citation("papers", "a.txt", 1, None, "p. 1", self.quote or one.text, 0, 9, 0) for one in found[:1]]
        return Evidence(found, self.odds, 9, quote=quotes[0] if quotes else None, **self.more)


@dataclass(slots=True)
class Workspace:
    """A workspace around a model."""

    generator: ScriptedGenerator
    settings: Settings
    searcher: Any = field(default_factory=lambda: SimpleNamespace(sentences=HashingSentences()))

    def model(self):
        return self.generator

    def cache(self, documents):
        return None


def find(item, texts, model, **more):
    settings, stop = more.pop("settings", Settings()), more.pop("stop", lambda: False)
    workspace: Any = Workspace(model, settings)
    kinds: Any = Known(texts, **more)
    pair: Any = (Shelf(texts), DOCUMENT)
    return Engine(workspace, kinds, 1).find(item, pair, stop=stop)  # so small a budget that passages are read


def found(item, texts, model, **more):
    made = find(item, texts, model, **more)
    assert made is not None
    return made


def reply(found=True, answer="yes", quote=""):
    return json.dumps({"found": found, "answer": answer, "quote": quote})


def prompts_of(model):
    return ["".join(message.whole for message in prompt) for prompt in model.prompts]


def test_nothing_is_written_where_no_passage_says_so():
    model = Sure()
    made = found(RENEWS, ["It ends in May.", "Rent is due."], model, odds=-1.0)
    assert (made.state, made.answer, made.citation) == ("absent", "", None) and made.confidence < 0.05  # type: ignore[operator]
    assert len(model.prompts) == 3 and not any("JSON" in text for text in prompts_of(model))


def test_each_passage_is_judged_by_itself_and_the_best_one_is_quoted():
    model = Sure(shares={"renews each year": 0.8}, script=[("", reply(quote="renews each year"))])
    made = found(RENEWS, ["It ends in May.", "It renews each year."], model)
    assert (made.state, made.way, made.citation and made.citation.quote) == ("found", "yes", "renews each year")
    assert made.citation and made.citation.page == 2
    first, second, *_, writing = prompts_of(model)
    assert "It ends" in first and "It ends" not in second
    assert "It ends" not in writing and "JSON" in writing


def test_a_sure_passage_ends_the_reading():
    model = Sure(shares={"renews each year": 0.99}, script=[("", reply())])
    found(RENEWS, ["It renews each year.", "It ends in May."], model)
    assert not any("It ends" in text for text in prompts_of(model))


def test_what_code_knows_moves_the_verdict_but_words_alone_only_a_little():
    for share, odds, state in (
        (0.3, -2.0, "absent"),
        (0.45, 0.0, "unsure"),
        (0.45, 9.0, "found"),
        (0.3, 9.0, "unsure"),
    ):
        model = Sure(shares={"May": share}, script=[("", reply())], letter=0.6)
        assert found(RENEWS, ["It ends in May."], model, odds=odds).state == state


@pytest.mark.parametrize(
    ("share", "letter", "state", "way"),
    [(0.9, 0.9, "found", "yes"), (0.9, 0.1, "unsure", ""), (0.1, 0.1, "found", "no"), (0.1, 0.6, "absent", "")],
)
def test_a_claim_holds_whichever_way_it_is_asked(share, letter, state, way):
    model = Sure(shares={"state the answer": 0.9, "year": share}, script=[("", reply())], letter=letter)
    made = found(RENEWS, ["It renews each year."], model, odds=0.4)
    assert (made.state, made.way) == (state, way)
    assert (made.citation is not None) is (state != "absent")


def test_a_kind_of_clause_that_is_surely_there_is_found_by_code_and_its_denial_is_not():
    clause = replace(RENEWS, like=("It renews each year.",), clause="renewal-term")
    known = {"more": {"known": True, "reliable": True}, "odds": 3.0}
    made = found(clause, ["It renews each year."], Sure(), **known)
    assert (made.state, made.way, made.model) == ("found", "yes", "")
    model = Sure(letter=0.1)
    made = found(clause, ["It does not renew each year."], model, **known)
    assert (made.state, made.way, made.model) == ("found", "no", "scripted")
    assert found(clause, ["It ends."], Sure(), more=known["more"], odds=-3.0).state == "absent"
    # A question of another's words is never answered with yes by code alone.
    assert found(RENEWS, ["It renews each year."], Sure(letter=0.1), **known).model == "scripted"


def test_what_is_read_and_asked_shares_all_but_its_end():
    model = Sure(shares={"year": 0.99}, script=[("", reply())])
    found(RENEWS, ["It renews each year."], model)
    *weighed, _ = model.prompts
    assert len(weighed) > 2 and len({prompt[:-1] for prompt in weighed}) == 1
    assert len({prompt[-1].blocks for prompt in weighed}) == 1 and len({prompt[-1].tail for prompt in weighed}) > 2
    assert all("Does this contract renew" in prompt[-1].tail for prompt in weighed)


def test_a_value_is_read_from_all_passages_together():
    model = Sure(shares={"Kansas": 0.8}, script=[("", reply(answer="Kansas", quote="the laws of Kansas"))])
    made = found(LAW, ["It ends in May.", "Governed by the laws of Kansas."], model)
    assert (made.state, made.answer) == ("found", "Kansas") and len(model.prompts) == 2
    assert found(LAW, ["Governed by the laws of Kansas."], model, odds=-2.0).state == "unsure"


def test_what_a_text_answers_is_in_its_quote():
    for answer, quote, state, shown in (
        ("90 days", "ends in 30 days", "unsure", ""),
        ("thirty days", "ends in 30 days", "found", "thirty days"),
        ("rather soon", "ends in 30 days", "found", "ends in 30 days"),
    ):
        model = Sure(shares={"days": 0.9}, script=[("", reply(answer=answer, quote=quote))])
        made = found(LAW, ["It ends in 30 days."], model)
        assert (made.state, made.answer) == (state, shown)


def test_a_quote_is_the_documents_own_at_its_place():
    model = Sure(shares={"year": 0.8}, script=[("", reply(quote="RENEWS  each\nyear."))])
    made = found(RENEWS, ["It renews each year for one year."], model)
    assert made.citation is not None and made.citation.quote == "renews each year" and not made.dropped
    assert (made.citation.start, made.citation.end) == (3, 19)


def test_an_invented_quote_is_dropped_and_withheld_in_strict_mode():
    text = "Rent is due. It renews each year for one year."
    for strict in (False, True):
        model = Sure(shares={"year": 0.8}, script=[("", reply(quote="renews every day"))])
        made = found(RENEWS, [text], model, settings=Settings(strict=strict))
        assert made.dropped and made.withheld is strict
        assert (made.citation is None) if strict else (made.citation and made.citation.quote in text)


def test_a_required_name_stands_in_or_beside_the_quote():
    item = Item("law", "Is this contract governed by the law of Delaware?")
    text = "Governed by these laws. They are those of Delaware. Rent is due. Buyer shall pay. Seller shall ship."
    for quote, shown in (
        ("Governed by these laws", "Governed by these laws"),
        ("Seller shall ship", "They are those of Delaware."),
    ):
        made = found(item, [text], Sure(shares={"Delaware": 0.99}, script=[("", reply(quote=quote))]))
        assert made.citation is not None and made.citation.quote == shown
    model = Sure()
    assert found(item, ["Governed by the law of Kansas."], model).why_not == "not in it" and not model.prompts
    assert together(["Delaware"], "law of Delaware", "Construed under the laws of Delaware. Rent is due.")
    assert not together(["Delaware"], "law of Delaware", "Acme, a Delaware corporation. The law is kind.")


@pytest.mark.parametrize("text", ["not json", '{"found": true', "[]", '{"found": true, "answer": "x"}', '"text"', ""])
def test_what_is_no_answer_in_the_shape_counts_as_nothing_found(text):
    made = found(LAW, ["It renews each year."], Sure(shares={"year": 0.8}, script=[("", text)]), odds=-0.5)
    assert (made.state, made.citation) == ("absent", None)


@pytest.mark.parametrize(
    ("answer", "quote", "state"),
    [
        ("Anna Orlo", "between Anna Orlo and Ben Hale", "found"),
        ("true", "between Anna Orlo and Ben Hale", "unsure"),
        ("true", "", "unsure"),
        ("Cedric Vane", "Cedric Vane is a party", "unsure"),
    ],
)
def test_a_value_that_no_words_support_and_a_yes_to_who_are_unsure(answer, quote, state):
    item = Item("parties", "Who are the parties?", type="text")
    model = Sure(shares={"Orlo": 0.9}, script=[("", reply(answer=answer, quote=quote))])
    made = found(item, ["This lease is between Anna Orlo and Ben Hale."], model)
    assert made.state == state
    assert state == "found" or made.why_not == "unsure: the words that support it were not found"


def test_a_document_without_text_is_not_put_before_the_model():
    model = Sure()
    made = found(RENEWS, [], model)
    assert (made.state, made.confidence, model.prompts) == ("unsure", None, [])


def test_stopped_there_is_no_finding():
    class Stopped(Sure):
        def weigh(self, messages, options, **rest):
            yield Weighed((), Usage())

    assert find(RENEWS, ["x"], Stopped()) is None
    model = Piecewise(shares={"year": 0.8}, script=[("", reply(quote=SENTENCE))])
    assert find(RENEWS, [SENTENCE], model, stop=lambda: model.written > 3) is None


# --- several fields at once ---------------------------------------------------------------------------------


def test_fields_keep_only_values_that_stand_in_the_text():
    text = "The tenant is Tess Orlo. The rent is EUR 48,000 a year."
    passages = Known([text]).evidence(LAW, None).passages
    values = json.dumps({"tenant": "Tess Orlo", "rent": "EUR 48,000", "deposit": "nine pelicans"})
    fields = [Item(name, "", name, "text") for name in ("tenant", "rent", "deposit")]
    read = Reading(Sure(script=[("", values)]), None, lambda: False)
    filled = filling.fill("fields", "", fields, read, passages)
    (row,) = filled.rows
    assert {name: one.value.form for name, one in row.items()} == {"tenant": "Tess Orlo", "rent": "EUR 48,000"}
    assert filled.unstated == ("deposit",) and row["tenant"].citation.quote == "The tenant is Tess Orlo."


def test_a_columns_key_can_stand_in_a_grammar():
    assert filling.key('Name (of "party")') == "name of party"
    grammar = filling.fields_grammar("fields", (Item("x", "", 'Name "x"', "number"), Item("paid", "", "paid")))
    assert grammar.startswith('root   ::= "{" "\\"name x\\": ') and '"\\"paid words\\": " string "}"' in grammar


# --- quotes while they are written --------------------------------------------------------------------------


@dataclass(slots=True)
class Piecewise(Sure):
    """Writes a reply word by word and stops when it is told to, as a model does; counts the words."""

    written: int = 0

    def generate(self, messages, **rest):
        text = self.script[0][1]
        if messages[-1].role == "assistant":
            text = text[text.index('"quote": "') + len('"quote": "') :]
        ended = "end"
        for word in text.split(" "):
            if rest["stop"]():
                ended = "stopped"
                break
            self.written += 1
            yield Delta(word if self.written == 1 else f" {word}")
        yield Completed(text, Usage(generated=self.written), ended)  # type: ignore[arg-type]


SENTENCE = "This agreement renews each year for one year unless a party says no by letter."
LONG = f"This agreement renews each year {'and each further year ' * 30}without notice."


@pytest.mark.parametrize(
    ("text", "quote", "shown", "words"),
    [
        (f"Rent is due. {SENTENCE} Rent is due.", f"agreement{SENTENCE[14:]} Rent is", SENTENCE[5:].rstrip("."), 8),
        (f"{SENTENCE} Rent is due. {SENTENCE}", SENTENCE, SENTENCE.rstrip("."), 15),  # it occurs twice
        (LONG, LONG, LONG[:300].rpartition(" ")[0], 8),
    ],
)
def test_code_takes_the_rest_of_a_quoted_sentence(text, quote, shown, words):
    model = Piecewise(shares={"year": 0.8}, script=[("", reply(quote=quote))])
    made = found(RENEWS, [text], model)
    assert made.citation is not None and made.citation.quote == shown
    assert model.written <= words and made.usage.generated == model.written


def test_nothing_more_is_written_once_nothing_is_found():
    model = Piecewise(shares={"year": 0.8}, script=[("", reply(found=False, answer="no, it ends and never renews"))])
    assert found(LAW, [SENTENCE], model, odds=-0.5).state == "absent" and model.written == 2


@pytest.mark.model
@pytest.mark.slow
def test_a_real_model_keeps_to_the_shape_and_reads_a_passage_once():
    installed = ModelStore(load_settings()).get("smollm2-135m-instruct")
    model = LlamaGenerator(installed.id, installed.path, threads=1)
    text = "The tenant is Tess Orlo. The rent is EUR 48,000 a year. The lease renews each year for one year."
    passages = Known([text]).evidence(LAW, None).passages
    read = Reading(model, None, lambda: False)
    fields = [Item("tenant", "", "tenant", "text"), Item("rent", "", "rent", "text")]
    assert set(*filling.fill("fields", "", fields, read, passages).rows) <= {"tenant", "rent"}
    before = read.usage
    read.says_so(passages, RENEWS.question)
    read.way(passages, RENEWS.question)
    read.quote(passages, RENEWS.question)
    used = read.usage
    fresh = used.prompt - used.reused - (before.prompt - before.reused)
    assert used.generated > before.generated and fresh < (used.prompt - before.prompt) / 2
    model.close()

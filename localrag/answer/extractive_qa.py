"""Answer from one place of the text, which the model weighs or quotes before it answers.

A list is copied whole, and yes or no is said of a sentence that is quoted first: a small model reads a few sentences
better than a prompt full of passages, and what it has quoted holds it to the text
(docs/decisions/0063-one-place.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from functools import partial

from localrag.answer import checking, judging, lists
from localrag.embeddings.sentence_encoder import Text
from localrag.errors import Cancelled, ModelError
from localrag.events import Delta, Event, Notice, PromptRead
from localrag.grounding import context, prompts
from localrag.grounding.citations import MAX_QUOTE, cite_span, clip
from localrag.grounding.locate import locate
from localrag.grounding.stages import Findings, Prompt, Query
from localrag.items.reading import Reading
from localrag.llm import Generator as Model
from localrag.types import Citation, Passage, Plan

# Sentences that a quote is taken from, and tokens of the quote and of the answer.
_SENTENCES, _QUOTE_TOKENS, _ANSWER_TOKENS = 6, 90, 70
# Words of a quote that tell which sentence it is from, so that code writes the rest; characters quoted of a long one.
_QUOTE_WORDS, _SCRAP = 6, 200
_BEGIN, _SO = prompts.WORDS["extractive"]["begin"], prompts.WORDS["extractive"]["so"]
_QUOTE = r'root ::= [^”“"\n]{1,300} "”"'
_ANSWER = rf"""
root   ::= " " [^”“"\n:]{{1,110}} "." "{_SO}" answer "."
answer ::= [^\n“”]{{1,60}}"""
_WAY = re.compile(r"(yes|no)(?=$|[,.;])")
_HITS = 15  # in which lists are looked for
# Lists that are weighed, and characters read of each and of its beginning.
_LISTS, _READ, _BEGINNING = 5, 900, 200
# The least log odds of the list that is given, and how far they are above those of any other.
_LIST_HOLDS, _LIST_AHEAD = 1.35, 0.3
_TOKEN = 4  # characters, about, for the progress
# The least log odds: for a yes that the sentence holds the answer, and that it says so; for a no that it says so.
_HOLDS, _SAYS, _DENIES = 1.2, 0.3, -0.7


def answer(
    query: Query, plan: Plan, prompt: Prompt, model: Model, hits: Sequence[Passage], least: float
) -> Generator[Event, None, Findings | None]:
    """Answer yes or no, or with a list of the text; None where it asks for neither, and empty where there is none.

    `hits` are what a search found, best first: more than the prompt has room for. What is less likely than `least` is
    not claimed.
    """
    question = query.question
    listed = question.kind == "list"
    if not listed:
        whether = question.value == "yes or no" and question.kind in ("look-up", "existence")
        if not whether or question.leans or query.instructions:
            return None
        hits = ()
    write, read = Reading(model, prompt.examples, query.stop), Reading(model, None, query.stop)
    begun = _begun(query, plan, prompt, model, hits)
    try:
        found = yield from (_list(query, begun, read) if listed else _yes_or_no(query, begun, write, read))
    except Cancelled:
        found = replace(begun, answer=prompts.STOPPED, found=False, stopped=True, looked_at="")
    except ModelError:  # a window too small for the examples
        found = begun
    if not read.measured:
        yield Notice(prompts.UNMEASURED)
    if found.found and found.sure and found.confidence is not None and found.confidence < least:
        found = judging.unclear(found)
    found = replace(found, tokens=write.usage + read.usage)
    return checking.closed(found, query, found.passages) if found.answer else found


def _begun(query: Query, plan: Plan, prompt: Prompt, model: Model, hits: Sequence[Passage]) -> Findings:
    """Return findings without an answer yet, of the hits, or of the passages of a prompt."""
    looked_at = context.share_read(hits[:_HITS], query.documents, query.only) if hits else prompt.looked_at
    passages = tuple(hits[:_HITS] or prompt.passages)
    return Findings("", plan=plan, model=model.model, passages=passages, looked_at=looked_at)


def _list(query: Query, found: Findings, read: Reading) -> Generator[Event, None, Findings]:
    """Answer with a list of the text: code finds those near the question, the model weighs which holds the answer."""
    passages = found.passages
    items = lists.find(query, passages)
    places = list(items)
    # By all of it or by how it begins: a long list is about many things.
    texts = [Text("", at.quote[:_READ], ((0, end),)) for end in (_READ, _BEGINNING) for at in places]
    if near := [cosine for (cosine,) in query.nearness(texts)]:
        nearest = map(max, zip(near[: len(places)], near[len(places) :], strict=True))
        places = [at for _, at in sorted(zip(nearest, places, strict=True), key=lambda one: -one[0])]
    weighed: list[tuple[float, Citation]] = []
    for number, at in enumerate(places[:_LISTS]):
        yield PromptRead(number * _READ // _TOKEN, min(_LISTS, len(places)) * _READ // _TOKEN)
        (whole,) = judging.in_full([at], passages)
        odds = read.holds([replace(whole, text=whole.text[:_READ])], query.question.complete)
        weighed.append((odds, at))
    ranked = sorted(weighed, key=lambda one: -one[0])
    if not ranked or ranked[0][0] < _LIST_HOLDS:
        return found
    if read.measured and len(ranked) > 1 and ranked[0][0] - ranked[1][0] < _LIST_AHEAD:
        return found  # two lists of one kind: which is meant, its odds do not tell
    holds, best = ranked[0]
    # Whether it is of the document that is asked about, its beginning shows.
    begins = f"{' '.join(best.quote[:_BEGINNING].split())} [1]"
    plan = found.plan.with_signals(listed=len(items[best]), quotes_hold=round(holds, 2))
    cited = (replace(best, marker=1),)
    found = replace(found, answer=begins, citations=cited, confidence=_share(holds, read), plan=plan)
    found = checking.check(found, query, passages, checking.COPIED)
    return replace(found, answer=lists.shown(items[best])) if found.found else found


def _share(odds: float, read: Reading) -> float | None:
    return 1 / (1 + math.exp(-odds)) if read.measured else None


def _yes_or_no(query: Query, found: Findings, write: Reading, read: Reading) -> Generator[Event, None, Findings]:
    """Answer yes or no: the model quotes a sentence, says what it means, and then answers."""
    passages = found.passages
    near = judging.near(query, passages, _SENTENCES)
    if not near:
        return found
    question = query.question.complete
    order = sorted(near, key=lambda one: (one.library, one.document, one.page or 0, one.start))
    read_from = judging.in_full(order, passages)
    messages = prompts.extractive_prompt(question, read_from)
    text = write.write(messages, _QUOTE, _QUOTE_TOKENS, _BEGIN, partial(_ended, among=read_from))
    sentence, start = _place(text.removeprefix(_BEGIN).rstrip("”"), read_from)
    end = len(sentence.text)
    at = cite_span(sentence, *clip(sentence.text, (start, end), (start, min(end, start + _SCRAP))))
    if (passage := next((one for one in passages if one.holds(at)), None)) is not None:
        at = cite_span(passage, at.start - passage.start, at.end - passage.start)
    at = replace(at, marker=1)
    quote = f"“{' '.join(at.quote.split())}”"
    yield Delta(f"{quote}\n\n")
    text = write.write(messages, _ANSWER, _ANSWER_TOKENS, f"{_BEGIN}{quote[1:]}")
    said = text.rpartition(_SO)[2].strip(". ").lower() if _SO in text else ""
    if (way := _WAY.match(said)) is None:
        beside = near[: judging.MAX_QUOTES]
        return judging.unclear(found, beside) if said == prompts.WORDS["extractive"]["nothing"] else found
    yes = way[1] == "yes"
    holds, says = read.holds([sentence], question), read.says_so([sentence], question)
    odds = says if yes else -says
    sure = odds > 0
    if read.measured:
        sure = holds >= _HOLDS and says >= _SAYS if yes else says <= _DENIES
    found = replace(
        found,
        answer=f"{way[1].capitalize()}: {quote} [1]",
        citations=(at,),
        confidence=_share(odds, read),
        plan=found.plan.with_signals(quotes_hold=round(holds, 2), quotes_say=round(says, 2)),
    )
    found = checking.check(found, query, passages, checking.QUOTED)
    return found if sure or not found.found else judging.unclear(found, (at, *near[: judging.MAX_QUOTES - 1]))


def _ended(text: str, among: Sequence[Passage]) -> str:
    """Return the text with the whole sentence, once the words that are quoted tell which it is."""
    words = text.removeprefix(_BEGIN).rpartition(" ")[0]
    if len(words.split()) < _QUOTE_WORDS:
        return ""
    places = [(one, place) for one in among if (place := locate(words, one.text)) is not None]
    return _BEGIN + places[0][0].text[places[0][1][0] :] if len(places) == 1 else ""


def _place(quote: str, among: Sequence[Passage]) -> tuple[Passage, int]:
    """Return the sentence that a quote is from, and where to quote it from: a short one as a whole, never a scrap.

    Of words that are in none, it is the sentence that has most of them.
    """
    words = set(quote.casefold().split())
    best = max(among, key=lambda one: (locate(quote.strip(" ."), one.text) is not None, _shared(words, one.text)))
    place, end = locate(quote.strip(" ."), best.text), len(best.text)
    if place is None or end <= MAX_QUOTE:
        return best, 0
    return best, min(place[0], best.text.rfind(" ", 0, end - _SCRAP) + 1)


def _shared(words: set[str], text: str) -> int:
    return len(words & set(text.casefold().split()))

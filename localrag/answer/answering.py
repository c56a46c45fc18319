"""Turn a prompt into an answer: calculate it, quote a list, or weigh whether it is there, have it written and checked.

Answerability is weighed by the model ("Do the passages contain the answer?") and by how well the best passage fits; a
logistic regression makes one likelihood of both. Beyond a fair fit a better one says nothing more, since scores also
tell how surely the question names a document (docs/decisions/0034-sufficiency.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from localrag.answer import context, intent, prompts
from localrag.answer.stages import Draft, Prompt, Query, Route
from localrag.errors import ModelError
from localrag.events import Answered, Event, Notice
from localrag.llm import Completed, Weighed, calibration
from localrag.llm import Generator as Model
from localrag.quantities import load_words
from localrag.settings import Settings
from localrag.store import text_analysis
from localrag.types import Answer, Turn

Result = TypeVar("Result", Completed, Weighed)

# The fewest tokens that are room for a passage.
_MIN_ROOM = 64
# Log odds beyond the first say nothing more, nor does a score beyond the second.
_MAX_LOG_ODDS, _FAIR_SCORE = 4.6, 0.4
# Coefficients: of the log odds above the model's threshold, of the score, and of having searched at all.
_HOLDS, _FITS, _SEARCHED = 1.44, 18.2, -6.84


def budget(model: Model, settings: Settings, query: Query, wanted: int) -> int:
    """Return the tokens for text and history: those wanted, or what the window leaves beside the question."""
    fixed = (
        model.overhead(1 + 2 * len(query.history))
        + model.count(prompts.PASSAGE_RULES)
        + model.count(query.text + query.instructions)
        + min(settings.answer_tokens, model.window // 4)
    )
    left = model.window - fixed
    if left < _MIN_ROOM:
        raise ModelError(
            f"the question has {model.count(query.text):,} tokens, the window of {model.model!r} {model.window:,}",
            "Ask a shorter question, set context_tokens higher, or choose a model with a larger window.",
        )
    return min(wanted, left)


def window_use(model: Model, documents: int, history: Sequence[Turn], query: Query) -> dict[str, int]:
    """Return the tokens of a prompt by part, with what is free in the window."""
    parts = {
        "rules": model.count(f"{prompts.PASSAGE_RULES} {query.instructions}") + model.overhead(1 + 2 * len(history)),
        "documents": documents,
        "history": sum(model.count(turn.question) + model.count(turn.answer) for turn in history),
        "question": model.count(query.text),
    }
    return {**parts, "free": max(0, model.window - sum(parts.values()))}


def answer(query: Query, route: Route, prompt: Prompt, model: Model, settings: Settings) -> Iterator[Event]:
    """Answer from a prompt; the last event is `Answered`."""
    from localrag.answer.verify.conflicts import add_conflicts

    found = yield from _answer(query, route, prompt, model, settings)
    found = add_conflicts(found, query.documents)
    yield Answered(replace(found, not_read=context.injections_in(prompt.passages)))


def _answer(
    query: Query, route: Route, prompt: Prompt, model: Model, settings: Settings
) -> Generator[Event, None, Answer]:
    from localrag.answer import checking, lists
    from localrag.answer.table_qa import calculation

    short = settings.answer_form == "short"
    if (calculated := calculation.answer(query, route, prompt, short=short)) is not None:
        return calculated
    if (listed := lists.answer(query, route, prompt, short=short)) is not None:
        return listed
    plan = route.plan
    weighed = confidence = None
    # Spelled right; a follow-up is looked up with the words of the question before it, which may want more.
    full = intent.explains(query.text if query.history else query.search_text)
    messages = prompts.worded(prompt.messages, query.instructions, short, full)
    if plan.kind != "read" or intent.of(query.text).kind not in ("summary", "compare", "whole"):
        # Behind the prompt, which is read once for this and for the answer.
        check = prompts.check_prompt(prompt.messages)
        weighed = yield from _passed_on(
            model.weigh(
                check, prompts.CHECK_OPTIONS, stop=query.stop, cache=prompt.cache, room=settings.answer_tokens,
                then=None if _think_tokens(query, model, settings) else messages,
            ),
            Weighed,
        )  # fmt: skip
        if not weighed.shares:
            return checking.checked(query, plan, Draft(Completed("", weighed.usage, "stopped")), prompt, model.model)
        answer_from = calibration.load(settings.calibration_file, model.model).answer_from
        confidence = answerability(weighed.shares[0], answer_from, plan.signals.get("score"))
        plan = plan.with_signals(holds_answer=round(weighed.shares[0], 3))
        if confidence < settings.min_confidence:
            draft = Draft(Completed(prompts.NOT_FOUND, weighed.usage, "end"), confidence=confidence)
            return checking.checked(query, plan, draft, prompt, model.model)
    if query.instructions:
        # They belong to the record of this answer, because they may be others tomorrow.
        plan = plan.with_signals(instructions=query.instructions)
    done = yield from _write(query, replace(prompt, messages=messages), model, settings)
    done = replace(done, text=shortened(done.text, query.text)) if short else done
    if weighed is not None:
        # What the check read was new, so it does not count as cached.
        done = replace(done, usage=replace(done.usage, reused=weighed.usage.reused))
    reading = done if weighed is None else weighed
    calibration.record(
        settings.calibration_file, model.model, tokens=reading.usage.prompt - reading.usage.reused,
        seconds=reading.prompt_seconds, after=done.usage.reused,
    )  # fmt: skip
    return checking.checked(query, plan, Draft(done, confidence), prompt, model.model)


def answerability(holds: float, answer_from: float, score: float | None) -> float:
    """Return the likelihood that the text holds the answer, from the model's share of "yes" and the best passage.

    `answer_from` is the share from which this model is more often right than not.
    """
    fits = 0.0 if score is None else _SEARCHED + _FITS * min(max(score, 0.0), _FAIR_SCORE)
    return 1 / (1 + math.exp(-(_HOLDS * (_log_odds(holds) - _log_odds(answer_from)) + fits)))


def _log_odds(share: float) -> float:
    share = min(max(share, 1e-9), 1 - 1e-9)
    return min(max(math.log(share / (1 - share)), -_MAX_LOG_ODDS), _MAX_LOG_ODDS)


def _write(query: Query, prompt: Prompt, model: Model, settings: Settings) -> Generator[Event, None, Completed]:
    """Have the answer written, after reasoning where the settings ask for it."""
    if settings.think == "on" and not model.thinks:
        yield Notice(f"The model {model.model} has no thinking mode that localrag knows, so it answers at once.")
    written = model.generate(
        prompt.messages, max_tokens=settings.answer_tokens, temperature=settings.temperature, seed=settings.seed,
        stop=query.stop, cache=prompt.cache, think=_think_tokens(query, model, settings),
    )  # fmt: skip
    return (yield from _passed_on(written, Completed))


def _passed_on(events: Iterator[Event | Result], kind: type[Result]) -> Generator[Event, None, Result]:
    """Pass events on; return the result, which is the last."""
    for event in events:
        if isinstance(event, kind):
            return event
        yield cast(Event, event)
    raise AssertionError("a model always ends with its result")


def _think_tokens(query: Query, model: Model, settings: Settings) -> int:
    thinks = settings.think == "on" or (settings.think == "auto" and intent.needs_reasoning(query.text))
    return settings.think_tokens if thinks and model.thinks else 0


# --- short answers (pure) -----------------------------------------------------------------------------------

_WORD = re.compile(r"[^\W_]+(?:['’.,:/-][^\W_]+)*")
_END = re.compile(r"\.?((?:\s{0,3}\[\d{1,3}\]){0,20})[.\s]{0,9}$")  # what is left is no sentence, so its full stop goes
_SEVERAL = re.compile(r"[.!?;:]\s+\S|[\n\[]")  # sentences, lines, or citations in the middle
_KINDS = load_words("localrag.answer", "words.toml")["answering"]
_TURNING = frozenset(_KINDS["turning"].split())
_OF = frozenset("of for von de para pour fur".split())
_WHO = frozenset("who wer qui quien".split())
_MAX_SHORTENED = 40  # words; a longer answer was never meant to be short


def shortened(answer: str, question: str) -> str:
    """Return the answer without what it repeats of the question before and behind what is new.

    Small models that are asked for few words still write "The treaty was signed in 1648." Citation markers are kept. A
    part is cut off only if it restates the question, and only between phrases. An answer stays as it is where nothing
    in it is new, it is more than one sentence, or it says yes, no or not.
    """
    end = _END.search(answer)
    assert end is not None  # it also matches nothing
    body = answer[: end.start()]
    language = text_analysis.language(f"{question} {body}")
    words, asked = _words(body, language), _words(question, language)
    turning = any(one.word in _TURNING or one.word.endswith(("n't", "n’t")) for one in words)
    known = frozenset(term for one in asked for term in one.terms)
    new = [at for at, one in enumerate(words) if one.terms and not one.terms <= known]
    if not (new and 3 <= len(words) <= _MAX_SHORTENED) or _SEVERAL.search(body) or turning:
        return answer
    first, stop = _first(question, words, asked, new[0]), _stop(body, words, asked, new[-1] + 1)
    if (first, stop) == (0, len(words)):
        return answer
    start = words[first - 1].end if first else 0
    kept = body[start : words[stop].start if stop < len(words) else len(body)].strip(" ,;:")
    uneven = any(kept.count(one) != kept.count(other) for one, other in ("()", "[]", "“”")) or kept.count('"') % 2
    return answer if uneven or words[first].kind == "joining" else kept + end[1]


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text: its place, its folded form, its kind ("verb", "" ...), and its terms, if it has content."""

    start: int
    end: int
    word: str
    kind: str
    terms: frozenset[str]
    named: bool  # begins with a capital or a figure
    acts: str  # the ending that many verbs have in English


def _words(text: str, language: str) -> list[_Word]:
    kinds = {word: kind for kind, words in _KINDS.get(language, {}).items() for word in words.split()}
    found = []
    for match in _WORD.finditer(text):
        word = text_analysis.folded(match[0])
        kind = kinds.get(word, "")
        tokens = () if kind or word in text_analysis.COMMON[language] else text_analysis.tokens(match[0], language)
        terms = frozenset(token.term for token in tokens)
        acts = next((one for one in ("ed", "s") if language == "english" and word.endswith(one)), "")
        found.append(_Word(match.start(), match.end(), word, kind, terms, not match[0][0].islower(), acts))
    return found


def _first(question: str, words: Sequence[_Word], asked: Sequence[_Word], first: int) -> int:
    """Return where an answer begins, behind words that restate the question: "The treaty was signed in | 1648"."""
    while (
        first > 1 and words[first].named and words[first - 1].named and words[first].start == words[first - 1].end + 1
    ):
        first -= 1  # "Tess Orlo" is kept whole
    while first > 0 and not words[first - 1].terms and words[first - 1].kind in ("", "asking", "measure"):
        first -= 1  # "over 5,100", "their disciples"
    for at in range(max(1, first - 3), first - 1):
        if words[at].kind == "linking" and all(one.terms for one in words[at + 1 : first]):
            first = at + 1  # "a combustion chamber", though the question has "combustion"
            break
    before = words[:first]
    ask = next((at for at, one in enumerate(asked) if one.kind == "asking"), len(asked))
    verb = next((at for at in range(ask, len(asked)) if asked[at].kind in ("verb", "doing")), ask)
    # "When was it signed?", or "It was signed in what year?"
    late = ask > 1 and verb == ask and (ask == len(asked) or "," not in question[asked[ask - 1].end : asked[ask].start])
    rest = list(asked[:ask] if late else asked[verb:])
    if ask + 1 == verb < len(asked):
        # "What is the name of it?" asks for a name, which the answer need not say.
        named = next((at for at, one in enumerate(rest) if one.word in _OF), 0)
        rest = rest[:1] + rest[named:] if all(one.kind != "linking" for one in rest[2:named]) else rest
    if before and before[-1].word in _OF and not late:  # "governed by the | law of Delaware"
        first = max((at for at in range(first - 1) if not words[at].terms), default=-1) + 1
    elif before and before[-1].kind == "linking" and _goes_on(words[first:]):  # "in whole by charging", "at least"
        first = max((at for at in range(first) if words[at].kind != "linking"), default=-1) + 1
    before = words[:first]
    wanted = {term for one in rest for term in one.terms}
    says = not any(one.kind == "verb" for one in rest) or any(one.kind == "verb" for one in before)
    others = {one.word for at, one in enumerate(asked) if at != ask}
    joined = any(one.kind in ("joining", "asking") and one.word not in others for one in before)
    torn = not before or before[-1].kind == "joining" or before[-1].word.endswith(("'s", "’s"))
    restates = wanted and says and not joined and wanted <= {term for one in before for term in one.terms}
    return first if restates and not torn else 0


def _goes_on(words: Sequence[_Word]) -> bool:
    """Return whether words are no phrase without the small words before them."""
    follows = words[1] if len(words) > 1 else words[0]
    return words[0].kind == "measure" or (follows.kind == "linking" and follows.word not in _OF and not words[0].named)


def _stop(body: str, words: Sequence[_Word], asked: Sequence[_Word], stop: int) -> int:
    """Return where an answer ends, before words that restate the question: "Route 99 | connects Fresno with it"."""
    ask = next((at for at, one in enumerate(asked[:2]) if one.kind == "asking"), len(asked))
    verb = next((at for at in range(ask, len(asked)) if asked[at].kind in ("verb", "doing")), len(asked))
    if verb == len(asked):  # "which road connects", "how many people attended"
        near = [at for at in range(ask + 2, min(ask + 4, verb)) if asked[at - 1].terms]
        sure = [at for at in near if asked[at].acts == "ed"]
        more = [at for at in near if asked[at].acts == "s" and asked[ask].word != "how"]
        verb = next(iter((*sure, *more)), verb)
    if ask + 1 < len(asked) and asked[ask].word in _WHO:
        verb = ask + 1
    if verb == len(asked):
        return len(words)
    rest = [one.terms for one in asked[verb:] if one.terms]
    for at in range(max(stop, 1), len(words)):
        comma = "," in body[words[at - 1].end : words[at].start]
        same = words[at].terms == asked[verb].terms != frozenset()
        says = words[at].kind == "verb" if asked[verb].kind == "verb" else same
        own = [one.terms for one in words[at:] if one.terms]
        if (says or comma) and words[at - 1].kind not in ("linking", "joining") and rest[not says :] and own == rest:
            return at
    return len(words)

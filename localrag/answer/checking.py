"""From what the model wrote to an answer that was checked against the text: its quotes, and its other words (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from localrag.answer import context, intent, prompts, translation
from localrag.answer.question import Prompted, Question
from localrag.answer.verify import fact_checks, links, relevance
from localrag.answer.verify.citations import Cited, cite, claims, true_quotes
from localrag.llm.generation import Completed
from localrag.types import Answer, Flag


def checked(asked: Question, done: Completed, prompted: Prompted, model: str, twin: str | None = None) -> Answer:
    """The answer with its citations, and with what was found in it that the text does not bear.

    Args:
        asked, done, prompted, model: the question, what was written, the prompt it was written to, and by whom.
        twin: the same answer in the language of the documents, where it is in another.
    """
    passages = prompted.passages
    text = links.written_out(done.text)
    languages = translation.differing(text, passages)
    flags: tuple[Flag, ...] = ()
    if languages is not None and twin is not None:
        text, dropped = true_quotes(text, asked.text, passages)
        cited = translation.carried(text, twin, asked.text, passages)
        cited = replace(cited, dropped=cited.dropped + dropped)
    else:
        cited = cite(text, asked.text, passages)
    found = bool(re.search(r"\w", cited.text)) and not prompts.says_nothing(cited.text)
    if not found:
        # Stopped before a word was written is not the same as not being in the documents.
        stopped = done.ended == "stopped"
        cited = Cited(prompts.STOPPED if stopped else prompts.NOT_FOUND, (), 0, ())
        if stopped:
            asked.looked_at = ""
    else:
        cited, flags = fact_checks.check(cited, asked.text, passages, foreign=languages is not None)
        if languages is not None:
            flags = (languages.flag, *flags)
        elif intent.of(asked.text).kind in ("look-up", "existence"):
            flags += relevance.check(cited.text, asked.text, passages)
        if languages is None and _baseless(cited, flags):
            # No answer, then. What was withheld stays among what has no source, and the reader sees it there.
            found, cited = False, replace(cited, text=prompts.NOT_FOUND)
    whole = asked.plan.kind == "read"
    return asked.answer(
        cited.text, found, model=model,
        citations=context.placed(cited.citations, passages, asked.libraries),
        citations_dropped=cited.dropped, unsupported=cited.unsupported, flags=flags,
        passages=tuple(context.cited_only(passages, cited.citations) if whole else passages),
        tokens=done.usage, stopped=done.ended != "end", context=prompted.context,
    )  # fmt: skip


def _baseless(cited: Cited, flags: Sequence[Flag]) -> bool:
    """Whether no sentence of an answer has a source, and a figure of it stands nowhere in the text that was read."""
    figures = [
        flag for flag in flags if flag.kind in ("number", "amount", "date") and flag.reason == fact_checks.NOWHERE
    ]
    return bool(figures) and not cited.citations and len(cited.unsupported) == len(claims(cited.text))

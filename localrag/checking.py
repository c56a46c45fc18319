"""From what the model wrote to an answer that was checked against the text: its quotes, and its other words (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from localrag import checks, foreign, intent, links, material, prompt, relevance
from localrag.citations import Cited, cite, claims, true_quotes
from localrag.findings import Flag
from localrag.generation import Completed
from localrag.question import Prompted, Question
from localrag.types import Answer


def checked(asked: Question, done: Completed, prompted: Prompted, model: str, twin: str | None = None) -> Answer:
    """The answer with its citations, and with what was found in it that the text does not bear.

    Args:
        asked, done, prompted, model: the question, what was written, the prompt it was written to, and by whom.
        twin: the same answer in the language of the documents, where it is in another.
    """
    passages = prompted.passages
    text = links.written_out(done.text)
    languages = foreign.differing(text, passages)
    flags: tuple[Flag, ...] = ()
    if languages is not None and twin is not None:
        text, dropped = true_quotes(text, asked.text, passages)
        cited = foreign.carried(text, twin, asked.text, passages)
        cited = replace(cited, dropped=cited.dropped + dropped)
    else:
        cited = cite(text, asked.text, passages)
    found = bool(re.search(r"\w", cited.text)) and not prompt.says_nothing(cited.text)
    if not found:
        # Stopped before a word was written is not the same as not being in the documents.
        stopped = done.ended == "stopped"
        cited = Cited(prompt.STOPPED if stopped else prompt.NOT_FOUND, (), 0, ())
        if stopped:
            asked.looked_at = ""
    else:
        cited, flags = checks.check(cited, asked.text, passages, foreign=languages is not None)
        if languages is not None:
            flags = (languages.flag, *flags)
        elif intent.of(asked.text).kind in ("look-up", "existence"):
            flags += relevance.check(cited.text, asked.text, passages)
        if languages is None and _baseless(cited, flags):
            # No answer, then. What was withheld stays among what has no source, and the reader sees it there.
            found, cited = False, replace(cited, text=prompt.NOT_FOUND)
    whole = asked.plan.kind == "read"
    return asked.answer(
        cited.text, found, model=model,
        citations=material.placed(cited.citations, passages, asked.libraries),
        citations_dropped=cited.dropped, unsupported=cited.unsupported, flags=flags,
        passages=tuple(material.cited_only(passages, cited.citations) if whole else passages),
        tokens=done.usage, stopped=done.ended != "end", context=prompted.context,
    )  # fmt: skip


def _baseless(cited: Cited, flags: Sequence[Flag]) -> bool:
    """Whether no sentence of an answer has a source, and a figure of it stands nowhere in the text that was read."""
    figures = [flag for flag in flags if flag.kind in ("number", "amount", "date") and flag.reason == checks.NOWHERE]
    return bool(figures) and not cited.citations and len(cited.unsupported) == len(claims(cited.text))

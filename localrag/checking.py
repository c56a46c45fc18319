"""From what the model wrote to an answer that was checked against the text: its quotes, and its other words (pure)."""

from __future__ import annotations

import re

from localrag import foreign, material, prompt
from localrag.citations import Cited, cite
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
    languages = foreign.differing(done.text, passages)
    if languages is not None and twin is not None:
        cited = foreign.carried(done.text, twin, asked.text, passages)
    else:
        cited = cite(done.text, asked.text, passages)
    found = bool(re.search(r"\w", cited.text)) and not prompt.says_nothing(cited.text)
    if not found:
        # Stopped before a word was written is not the same as not being in the documents.
        stopped = done.ended == "stopped"
        cited = Cited(prompt.STOPPED if stopped else prompt.NOT_FOUND, (), 0, ())
        if stopped:
            asked.looked_at = ""
    whole = asked.plan.kind == "read"
    return asked.answer(
        cited.text, found, model=model,
        citations=material.placed(cited.citations, passages, asked.libraries),
        citations_dropped=cited.dropped, unsupported=cited.unsupported,
        flags=(languages.flag,) if languages is not None and found else (),
        passages=tuple(material.cited_only(passages, cited.citations) if whole else passages),
        tokens=done.usage, stopped=done.ended != "end", context=prompted.context,
    )  # fmt: skip

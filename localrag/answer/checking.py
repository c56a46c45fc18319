"""From what the model wrote to an answer that is checked against the text: its quotes, and its other words (pure)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from localrag.answer import intent
from localrag.answer.checks import entities, relevance
from localrag.grounding import context, fact_checks, links, prompt_injection, prompts
from localrag.grounding.annotations import doubts
from localrag.grounding.citations import Cited, cite, claims, nearest
from localrag.grounding.stages import Draft, Findings, Prompt, Query
from localrag.store.text_analysis import COMMON
from localrag.types import Flag, Passage, Plan

# The least share, and number, of a text's words that are a language's commonest, for the language to be known.
_MIN_SHARE, _MIN_COMMON_WORDS = 0.15, 2
_SAMPLE = 2000
# Where the text holds the answer less likely, nothing in it comes near (docs/decisions/0051-right-or-silent.md).
_MIN_CONFIDENCE = 0.05
_LATIN_ENDS = "\u0250"


def checked(query: Query, plan: Plan, draft: Draft, prompt: Prompt, model: str) -> Findings:
    """Return what was written with its citations, and with flags on what the text does not support."""
    passages, done = prompt.passages, draft.done
    text = links.without_markup(done.text)
    language = language_flag(text, passages)
    cited, flags = cite(text, query.text, passages), tuple[Flag, ...]()
    found = bool(re.search(r"\w", cited.text)) and not prompts.says_nothing(cited.text)
    # Stopped before a word was written is not the same as not being in the documents.
    stopped = not found and done.ended == "stopped"
    if not found:
        cited = Cited(prompts.STOPPED if stopped else prompts.NOT_FOUND, (), 0, ())
    else:
        cited, flags = fact_checks.check(cited, query.text, passages, other_language=language is not None)
        if language is not None:
            flags = (language, *flags)
        elif intent.of(query.text).kind in ("look-up", "existence"):
            flags += relevance.check(cited.text, query.text, passages)
        if language is None:
            cited, wrong = entities.check(cited, query.text, passages, query.documents)
            flags += wrong
        # A figure that is nowhere in the text that was read.
        made_up = any(
            flag.kind in ("number", "amount", "date") and flag.reason == fact_checks.NOWHERE for flag in flags
        )
        baseless = made_up and not cited.citations and len(cited.unsupported) == len(claims(cited.text))
        if language is None and (baseless or entities.withholds(cited, query.text, flags, passages, query.documents)):
            # No answer, then. What was withheld is listed among the unsupported sentences.
            others = tuple(flag.text for flag in flags if flag.kind == "entity")
            found, cited = False, Cited(prompts.NOT_FOUND, (), cited.dropped, cited.unsupported + others)
    whole = plan.kind == "read"
    findings = Findings(
        cited.text,
        found,
        plan,
        model=model,
        citations=context.placed(cited.citations, passages, query.libraries),
        citations_dropped=cited.dropped,
        unsupported=cited.unsupported,
        flags=flags,
        passages=tuple(context.cited_only(passages, cited.citations) if whole else passages),
        tokens=done.usage,
        stopped=done.ended != "end",
        context=prompt.context,
        looked_at="" if stopped else prompt.looked_at,
        confidence=draft.confidence,
        reasoning=done.reasoning,
    )
    return with_nearest(strictly(findings) if query.strict else findings, query, passages)


def strictly(findings: Findings) -> Findings:
    """Return findings as strict mode shows them: withheld, without its words, where anything of it has a mark."""
    reasons = doubts(findings)
    if not reasons:
        return replace(findings, reasoning="")
    return replace(
        findings,
        answer=prompts.WITHHELD,
        found=False,
        withheld="; ".join(reasons),
        citations=(),
        citations_dropped=0,
        unsupported=(),
        flags=(),
        reasoning="",
        table=(),
        workings=(),
        conflicts=(),
    )


def with_nearest(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Return findings with what comes nearest where nothing was found, unless nothing does."""
    likely = findings.confidence is None or findings.confidence >= _MIN_CONFIDENCE
    if findings.found or (findings.stopped and not findings.withheld) or not likely:
        return findings
    near = nearest(query.search_text or query.text, passages)
    near = tuple(one for one in near if not prompt_injection.find(one.quote))
    return replace(findings, nearest=context.placed(near, passages, query.libraries))


def language_flag(answer: str, passages: Sequence[Passage]) -> Flag | None:
    """Return a flag where an answer is plainly in another language than its documents: its words are not in them.

    Limits: languages are known by their commonest words, so a few words without any count as the documents' language.
    """
    text = " ".join(passage.text[:_SAMPLE] for passage in passages)
    own, theirs = _language(answer), _language(text)
    if not theirs or own == theirs:
        return None
    if own:
        differs = _share(answer, theirs) * 2 <= _share(answer, own)
    else:
        written = any(letter.isalpha() for letter in answer)  # a figure alone is in no script
        differs = written and _latin(answer) < 0.5 < _latin(text)
    return (
        Flag(
            "language",
            own.capitalize() or "another script",
            f"the documents are in {theirs.capitalize()}, so only figures, dates and names could be compared with them",
        )
        if differs
        else None
    )


def _language(text: str) -> str:
    """Return the language of a text; empty where none prevails."""
    best = max(COMMON, key=lambda name: _share(text, name))
    common = sum(word in COMMON[best] for word in _words(text))
    return best if common >= _MIN_COMMON_WORDS and _share(text, best) >= _MIN_SHARE else ""


def _share(text: str, language: str) -> float:
    words = _words(text)
    return sum(word in COMMON[language] for word in words) / max(1, len(words))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _latin(text: str) -> float:
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter < _LATIN_ENDS for letter in letters) / max(1, len(letters))

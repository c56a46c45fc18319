"""Check what was found against the text: one list of checks, each from findings to findings.

A model's words go through `WRITTEN`; what code found or calculated is right by the way it was made. `EVERY` is for
both, and `strictly` and `with_nearest` close any answer, of whatever parts it is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from localrag.answer import judging
from localrag.answer.checks import conflicts, entities, relevance, table_figures
from localrag.grounding import citations, context, fact_checks, prompts
from localrag.grounding.annotations import doubts
from localrag.grounding.citations import cite
from localrag.grounding.stages import Draft, Findings, Prompt, Query
from localrag.llm import Generator as Model
from localrag.store.text_analysis import COMMON, by_script
from localrag.types import Flag, Passage, Plan

# The least share, and number, of a text's words that are a language's commonest, for the language to be known.
_MIN_SHARE, _MIN_COMMON_WORDS = 0.15, 2
_SAMPLE = 2000
# Where the text holds the answer less likely, nothing in it comes near (docs/decisions/0051-right-or-silent.md).
_MIN_CONFIDENCE = 0.05
_LATIN_ENDS = "\u0250"

Check = Callable[[Findings, Query, Sequence[Passage]], Findings]


# --- the checks ---------------------------------------------------------------------------------------------


def language(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Flag an answer in another language than the passages: only its figures, dates and names can be compared."""
    flag = language_flag(findings.answer, passages)
    return replace(findings, flags=(*findings.flags, flag)) if flag else findings


def quotes(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Tie each sentence to the words of the passages that support it; an answer that says nothing is none."""
    cited = cite(findings.answer, query.text, passages, query.nearness)
    if not re.search(r"\w", cited.answer) or prompts.says_nothing(cited.answer):
        return replace(findings, answer=prompts.NOT_FOUND, flags=(), found=False)
    return replace(
        findings,
        answer=cited.answer,
        citations=cited.citations,
        unsupported=cited.unsupported,
        citations_dropped=cited.citations_dropped,
    )


def facts(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Flag figures, dates, names, links and commands that the cited text does not have."""
    return fact_checks.check(findings, query.text, passages)


def relevant(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Flag sentences that come from where nothing of the question is, or from a prompt injection."""
    if findings.flagged("language") or query.question.kind == "summary":
        return findings
    return relevance.check(findings, query.text, passages)


def subject(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Flag what the text says of another company, period, plan, party or document; cite where it says it of the right
    one."""
    if findings.flagged("language"):
        return findings
    return entities.check(findings, query.text, passages, query.documents)


def tables(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Give figures of tables their scale, and flag those of another period than the question names."""
    return table_figures.check(findings, query.question.complete, query.documents)


def support(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Withhold an answer without any source, and one that is all of something else."""
    if findings.flagged("language"):
        return findings
    if findings.citations and not entities.withholds(findings, query.text, passages, query.documents):
        return findings
    # What is withheld is listed among the unsupported sentences.
    others = tuple(flag.text for flag in findings.flags if flag.kind == "entity")
    none = replace(findings, answer=prompts.NOT_FOUND, found=False, citations=())
    return replace(none, unsupported=findings.unsupported + others)


def places(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Give each citation the place of just its words."""
    return replace(findings, citations=context.placed(findings.citations, passages, query.libraries))


def versions(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Add where versions and amendments of the cited documents say otherwise."""
    return conflicts.check(findings, query.documents)


# Checks of an answer that a model wrote, of one that came with its quote, of words that code took from the text, and of
# any answer, in order. Each sees only findings that are an answer yet.
WRITTEN: tuple[Check, ...] = (language, quotes, facts, relevant, subject, tables, support, places)
QUOTED: tuple[Check, ...] = (language, facts, relevant, subject, tables, support, places)
COPIED: tuple[Check, ...] = (subject, support, places)
EVERY: tuple[Check, ...] = (versions,)


def check(findings: Findings, query: Query, passages: Sequence[Passage], checks: Sequence[Check]) -> Findings:
    """Return findings after these checks, which end where nothing is found any more."""
    for one in checks:
        if findings.found:
            findings = one(findings, query, passages)
    return findings


def checked(query: Query, plan: Plan, draft: Draft, prompt: Prompt, model: Model) -> Findings:
    """Return what was written with its citations, flags on what the text does not support, and how sure it is."""
    done, passages = draft.done, prompt.passages
    stopped = done.ended == "stopped" and not re.search(r"\w", done.text)
    findings = Findings(
        # Stopped before a word was written is not the same as not being in the documents.
        prompts.STOPPED if stopped else citations.without_markup(done.text),
        not stopped,
        plan,
        model=model.model,
        passages=tuple(passages),
        tokens=done.usage,
        stopped=done.ended != "end",
        context=prompt.context,
        looked_at="" if stopped else prompt.looked_at,
        confidence=draft.confidence,
        reasoning=done.reasoning,
    )
    findings = judging.judge(check(findings, query, passages, WRITTEN), query, passages, model)
    if not findings.found and done.ended == "stopped":
        findings = replace(findings, answer=prompts.STOPPED, looked_at="")
    return closed(findings, query, passages)


# --- what any answer ends with ------------------------------------------------------------------------------


def closed(findings: Findings, query: Query, passages: Sequence[Passage]) -> Findings:
    """Return findings as strict mode lets them pass, with what comes nearest; of a text read whole what is cited."""
    if findings.plan.kind == "read":
        findings = replace(findings, passages=tuple(context.cited_only(passages, findings.citations)))
    return with_nearest(strictly(findings) if query.strict else findings, query, passages)


def strictly(findings: Findings) -> Findings:
    """Return findings as strict mode shows them: withheld, without their words, where anything of them has a mark."""
    reasons = doubts(findings)
    if not reasons:
        return replace(findings, reasoning="")
    return replace(
        findings,
        nearest=findings.nearest or tuple(replace(one, marker=0) for one in findings.citations if not findings.sure),
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
    """Return findings with what comes nearest where there is no answer, unless nothing does."""
    likely = findings.confidence is None or findings.confidence >= _MIN_CONFIDENCE
    if findings.found or (findings.stopped and not findings.withheld) or not likely:
        return findings
    return replace(findings, nearest=judging.near(query, passages) or findings.nearest)


# --- languages ----------------------------------------------------------------------------------------------


def language_flag(answer: str, passages: Sequence[Passage]) -> Flag | None:
    """Return a flag where an answer is plainly in another language than its documents: its words are not in them.

    Limits: languages are known by their commonest words, so a few words without any count as the documents' language.
    """
    text = " ".join(passage.text[:_SAMPLE] for passage in passages)
    own, theirs = _language(answer), _language(text)
    if not theirs or own == theirs or {own, theirs} == {"chinese", "japanese"}:  # a few signs are in both
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
    return best if common >= _MIN_COMMON_WORDS and _share(text, best) >= _MIN_SHARE else by_script(text)


def _share(text: str, language: str) -> float:
    words = _words(text)
    return sum(word in COMMON[language] for word in words) / max(1, len(words))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _latin(text: str) -> float:
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter < _LATIN_ENDS for letter in letters) / max(1, len(letters))

"""Mark the parts of an answer that its reader must check, and explain the marks in lines below it.

A mark is "⚠": after words that the cited text does not have, and at the end of a sentence that nothing supports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from localrag.grounding.citations import claims, without_markers
from localrag.grounding.stages import Findings
from localrag.quantities import load_words, plural
from localrag.security.terminal import counted, duration
from localrag.types import Answer, Cost, Flag, Passage, Plan, source

MARK = "⚠"
# Strict mode withholds below this confidence that the text holds the answer: between 0.5 and here 8 of 26 answers had
# nothing to support them, above it 15 of 142 (docs/decisions/0034-sufficiency.md).
MIN_CONFIDENCE = 0.65
NEAREST = "Nearest, though it may not answer the question:"  # above `Answer.nearest`
PLAN_NAMES: Mapping[str, str] = {
    "retrieve": "looking up passages",
    "read": "reading whole",
    "survey": "asking each document",
    "exact": "counting or finding with code",
}
MAX_LOOKED_FOR = 300
_WORDS = load_words("localrag.grounding", "prompts.toml")  # prompts.py loads more than is shown
_UNCLEAR: str = _WORDS["unclear"]
_NAMED = {"link": "the link ", "command": "the command "}


def mark(text: str, unsupported: Sequence[str], flags: Sequence[Flag]) -> str:
    """Return the text of an answer with its marks."""
    places: dict[int, str] = {}
    words_only = without_markers(text)
    for words in (flag.text.split() for flag in flags if flag.kind != "language" and flag.text.strip()):
        together = r"\s+".join(map(re.escape, words))
        pattern = rf"(?<![^\W_])(?<!\d[.,]){together}(?![^\W_]|[.,]\d)"
        found = (match for match in re.finditer(pattern, text) if words_only[match.start()] != " ")
        places |= {match.end(): MARK for match in found}
    wanted = {_even(sentence) for sentence in unsupported}
    for start, end in claims(text):
        if _even(text[start:end]) in wanted:
            places[start + len(text[start:end].rstrip())] = f" {MARK}"
    for at in sorted(places, reverse=True):
        text = text[:at] + places[at] + text[at:]
    return text


def shown(answer: Answer) -> str:
    """Return the text of an answer with its marks, without the quotes of one that is unclear, which stand below it."""
    bare = answer.certainty == "unclear" and answer.answer.startswith(_UNCLEAR)
    return _UNCLEAR if bare else mark(answer.answer, answer.unsupported, answer.flags)


def advice(answer: Answer) -> list[str]:
    """Return how to ask for a clearer answer, where one only shows text."""
    shows = answer.certainty == "unclear" and answer.answer.startswith(_UNCLEAR) and not answer.stopped
    return [_WORDS["advice"]] if shows else []


def unmarked(text: str) -> str:
    """Return the text of an answer without its marks."""
    return re.sub(f" ?{MARK}", "", text)


def _even(sentence: str) -> str:
    return re.sub(r" (?=[.!?。！？]$)", "", " ".join(without_markers(sentence).split()))


def laid_out(lines: Sequence[str]) -> str:
    """Join lines; what follows a list begins a paragraph, so that it is not read as part of the last item."""
    return re.sub(r"(?m)(^- .*\n)(?!- |\n)", r"\1\n", "\n".join(lines))


def warnings(unsupported: Sequence[str], flags: Sequence[Flag]) -> list[str]:
    """Return the lines below an answer that explain its marks, those of one reason together."""
    lines: dict[str, list[str]] = {}
    for flag in flags:
        if flag.kind != "language":
            lines.setdefault(flag.reason, []).append(_NAMED.get(flag.kind, "") + flag.text)
    found = [f"{MARK} {', '.join(dict.fromkeys(words))}: {reason}." for reason, words in lines.items()]
    found += [f"{MARK} The answer is in {flag.text}; {flag.reason}." for flag in flags if flag.kind == "language"]
    sentences = list(dict.fromkeys(unsupported))  # several are marked where they stand
    which = f": “{sentences[0]}”" if len(sentences) == 1 else f" {plural(len(sentences), 'sentence')}."
    return [*found, *([f"{MARK} No source for{which}"] if sentences else [])]


def doubts(answer: Findings) -> list[str]:
    """Return why strict mode withholds an answer, in words that repeat none of it; empty where it may be shown."""
    found = [f"no source for {plural(len(answer.unsupported), 'sentence')}"] if answer.unsupported else []
    found += [
        f"{'an' if kind[0] in 'aeiou' else 'a'} {kind} has a mark"
        for kind in dict.fromkeys(flag.kind for flag in answer.flags)
    ]
    if answer.found and not answer.sure:
        found.append("what is quoted may not hold the answer")
    if answer.citations_dropped:
        found.append("it quotes words that are not in the documents")
    if answer.found and answer.confidence is not None and answer.confidence < MIN_CONFIDENCE:
        found.append(f"likelihood that the text answers this: {answer.confidence:.2f}")
    return found


def limits(answer: Answer) -> list[str]:
    """Return what a reader must know before relying on an answer, a line each."""
    lines = [f"Withheld in strict mode: {answer.withheld}."] if answer.withheld else []
    if answer.stopped and (answer.found or not (answer.withheld or answer.answer.startswith("Stopped before"))):
        lines.append("This answer is not complete: it was stopped, repeated itself or reached its maximum length.")
    elif not (answer.stopped or answer.withheld or answer.found) and "do not say" not in answer.answer:
        lines.append("The documents do not say.")
    if dropped := answer.citations_dropped:
        lines.append(f"{dropped} quote{'s' * (dropped > 1)} left out: the words are not in the documents.")
    return lines


def unread(answer: Answer) -> list[str]:
    """Return the parts of the documents that were not read for an answer, and why."""
    lines = []
    for left in answer.not_read:
        where = source(left.document, "" if left.page is None else f"p. {left.page}")
        lines.append(f"Not read: {where}: {left.reason}" if where else f"Not read: {left.reason}")
    return lines


def cost(answer: Answer) -> str:
    """Return what an answer took: time, tokens, model, and which other machine read the text."""
    tokens, seconds = answer.tokens, answer.seconds
    parts = [f"{seconds.total:.1f} s"]
    if seconds.first_token is not None:
        parts.append(f"first word after {seconds.first_token:.1f} s")
    if tokens.prompt or tokens.generated:
        reused = f" ({tokens.reused:,} reused)" if tokens.reused else ""
        parts.append(f"{tokens.prompt:,} tokens read{reused}, {tokens.generated:,} written")
    parts += [answer.model or "no model used", *([f"read by {answer.read_by}"] if answer.read_by else [])]
    return " · ".join(parts)


def remarks(answer: Answer) -> list[str]:
    """Return what a reader must know of an answer, then what explains its marks, a line each."""
    lines = [*advice(answer), *limits(answer)]
    if not answer.found and not answer.stopped and answer.plan.kind == "retrieve":
        lines.append("Only passages were read. The answer may be elsewhere in the documents.")
    return lines + warnings(answer.unsupported, answer.flags)


def context(used_up: Mapping[str, int]) -> str:
    """Return how full the model's context was (`Answer.context`); empty if unknown."""
    used = {name: tokens for name, tokens in used_up.items() if name != "free" and tokens}
    filled = ", ".join(f"{name} {tokens:,}" for name, tokens in used.items())
    return f"Context: {sum(used.values()):,} of {sum(used_up.values()):,} tokens ({filled})." if used_up else ""


def planned(plan: Plan, question: str, looked_for: str = "", found: Sequence[Passage] = ()) -> str:
    """Return how a question is answered, and why, on one line."""
    parts = [f"Plan: {plan.kind}", plan.reason.rstrip(".")]
    if looked_for not in ("", question):
        cut = looked_for[:MAX_LOOKED_FOR].rstrip()
        more = "" if len(looked_for) <= MAX_LOOKED_FOR else f" … ({len(looked_for):,} characters)"
        parts.append(f"Looked for: {cut}{more}")
    if found:
        documents = len({(passage.library, passage.document) for passage in found})
        parts.append(f"{counted(len(found), 'passage')} from {counted(documents, 'document')}")
    return " · ".join(" ".join(part.split()) for part in parts if part)


def price(cost: Cost) -> str:
    """Return what another plan would take: "about 900 tokens, about 5 s"."""
    if cost.kind == "exact":
        return "no model"
    time = "" if cost.seconds is None else f", about {duration(cost.seconds)}"
    return f"about {counted(cost.tokens, 'token')}{time}"

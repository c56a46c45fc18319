"""Which way to look a question up, and why (pure).

Rules over signals, the simplest first: what code answers exactly goes to code; what fits the model's prompt whole is
read whole, since then nothing can be missed; a question put to many documents is put to each; a look-up in a lot of
text gets passages. Every plan names its reason in plain words and the signals it was drawn from.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

from localrag.errors import UsageError
from localrag.types import Mode, Plan


@dataclass(frozen=True, slots=True)
class Signals:
    """What routing knows. Tokens are estimates; `seconds_to_read` is None where this machine has not been seen yet.

    `retrieve_tokens` is what a look-up by passages would put before the model, `read_tokens` the most that `read` may
    put there: the lesser of the setting and the model's effective length.
    """

    documents: int
    tokens: int
    retrieve_tokens: int
    read_tokens: int
    exact: str | None = None
    seconds_to_read: float | None = None


_WHOLE = re.compile(
    r"\b(summar(?:y|ise|ize|ising|izing)|overview|compare|comparison|differen(?:ce|ces|t)|missing|what changed|"
    r"in (?:its|the) entirety|key (?:points|terms)|main (?:points|terms|topics)|what is (?:this|the) "
    r"(?:document|contract|agreement|report|paper) about|outline)\b",
    re.I,
)
_DOCUMENTS = (
    r"(?:documents?|contracts?|agreements?|files?|reports?|policies|letters?|invoices?|leases?|filings?|papers?)"
)
_SURVEY = re.compile(
    rf"\b(?:which (?:of (?:the|these|my|our) )?{_DOCUMENTS}|how many (?:of (?:the|these|my|our) )?{_DOCUMENTS}|"
    rf"(?:each|every) (?:of (?:the|these) )?{_DOCUMENTS}|(?:list|name|find) (?:all|every)(?: of)?(?: the)? "
    rf"{_DOCUMENTS}|"
    rf"all (?:the )?{_DOCUMENTS} (?:that|which|with))\b",
    re.I,
)


def needs_whole(question: str) -> bool:
    """True where a question is about a text as a whole, so that no passage of it is the answer."""
    return bool(_WHOLE.search(question))


def choose(question: str, mode: Mode, signals: Signals) -> Plan:
    """The plan for a question.

    Raises:
        UsageError: `mode` asks for an exact answer to a question that code cannot answer.
    """
    facts = {name: value for name, value in asdict(signals).items() if value is not None}
    if mode == "exact" and signals.exact is None:
        raise UsageError(
            "this question cannot be answered exactly by code",
            'Such questions count, find or calculate: How many times does "notice" occur? Find "force majeure". 5 / 32',
        )
    if mode != "auto":
        return Plan(mode, f"You asked for {mode!r}.", facts)
    if signals.exact is not None:
        return Plan("exact", f"Code can {signals.exact} this exactly; a model would guess.", facts)
    if signals.documents > 1 and _SURVEY.search(question):
        return Plan(
            "survey",
            f"The question is about each document, so each of the {signals.documents} is asked.",
            facts,
        )
    return _by_size(question, signals, facts)


def _by_size(question: str, signals: Signals, facts: dict[str, object]) -> Plan:
    size = f"about {signals.tokens:,} tokens"
    what = "The document" if signals.documents == 1 else f"All {signals.documents} documents together"
    if signals.tokens <= min(signals.retrieve_tokens, signals.read_tokens):
        return Plan("read", f"{what} ({size}) can be read whole as quickly as passages of it.", facts)
    whole = _WHOLE.search(question)
    if whole and signals.tokens <= signals.read_tokens:
        reason = f"“{whole[0]}” needs the whole text, and {what[0].lower()}{what[1:]} ({size}) can be read whole."
        return Plan("read", reason, facts)
    if whole:
        reason = (
            f"“{whole[0]}” would need the whole text, but {size} are more than the model can use, "
            "so passages are looked up."
        )
        return Plan("retrieve", reason, facts)
    reason = f"A look-up in {size} of text: the passages that fit the question best are enough."
    return Plan("retrieve", reason, facts)

"""What kind of question it is, by its words (pure): about one fact, about a text as a whole, or about each document.

Rules, not a model: they cost nothing and can be read. Where none fits and yet the question speaks of documents in the
plural, `sure` is False, and the caller may ask the model. Limits: English is known best; of German, French and Spanish
only the plainest forms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["look-up", "existence", "summary", "compare", "whole", "each"]

# Nouns for documents. "plan", "record" and the like are missing, since text is full of them. The loose ones count only
# where the question says whose they are ("which of our cases").
_FIRM = (
    "documents?|contracts?|agreements?|files?|reports?|polic(?:y|ies)|letters?|invoices?|leases?|filings?|papers?|ndas?|"
    "e-?mails?|mails?|handbooks?|memos?|memorand(?:um|a)|deeds?|licen[cs]es?|brochures?|presentations?|spreadsheets?|"
    "transcripts?|protocols?|manuals?|amendments?|addend(?:um|a)"
)
_LOOSE = "cases?|stud(?:y|ies)|statements?|orders?|articles?|minutes|offers?|quotes?|wills?|judgments?|judgements?"
_MANY = (
    "documents|contracts|agreements|files|reports|policies|letters|invoices|leases|filings|papers|ndas|e-?mails|mails|"
    "handbooks|memos|memoranda|deeds|licen[cs]es|brochures|presentations|spreadsheets|transcripts|protocols|manuals|"
    "amendments|addenda"
)
_PARTS = "chapters?|sections?|parts?|pages?|slides?|sheets?"
_OWN = "(?:the|these|those|this|my|our|your|all|both)"
# Up to two words that describe the documents: "license agreements", "signed supply contracts".
_SUCH = r"(?:[\w-]+[ ]){0,2}"  # "[ ]" is a space in verbose patterns, too
_DOCUMENT = rf"(?:{_SUCH}(?:{_FIRM})|{_OWN}[ ]{_SUCH}(?:{_LOOSE}))"
_DOCUMENTS = rf"(?:{_SUCH}(?:{_MANY})|{_OWN}[ ]{_SUCH}(?:{_LOOSE}))"
_IMPERATIVE = r"(?:^\W*|[.;:,!?]\s+|\b(?:please|you|to|and|then|also|me)\s+)"

_SUMMARY = re.compile(
    rf"""{_IMPERATIVE}(?P<verb>summari[sz]e | outline | recap | sum\ up)\b
      | \b(?:a|an|the|short|brief|quick|executive|one-page)\ (?:summary|overview|outline|abstract|recap)\ of\b
      | \b(?:give|write|make|get|need|want)\ (?:me\ )?(?:an?\ )?(?:[\w-]+\ )?(?:summary|overview|outline|abstract)\b
      | \b(?:key|main|most\ important|essential)\ (?:points|terms|topics|findings|provisions|conclusions)\b
      | \btl;?dr\b | \bin\ a\ nutshell\b | \bthe\ gist\b
      | \bwhat\ (?:is|are|does|do)\ (?:this|the|that|these|those)\ {_DOCUMENT}\ (?:about|say\W*$|cover\W*$|deal\ with)
      | \bwhat(?:'s|’s|\ is)\ (?:this|it)\ about\b
      | ^\W*fass\w*\b.*\bzusammen\b | \bzusammenfassung\b | ^\W*résume\w* | ^\W*resum[ea]\b""",
    re.I | re.X,
)
# The object of a summary is a document, or all of them, and not a subject in it ("summarise the risk factors").
_ALL_OF_IT = re.compile(
    rf"\b(?:(?:it|this|these|them|all)(?!\s+\w)|everything|folder|library|collection|book|{_FIRM}|{_PARTS}|vertrag\w*|dokument\w*|contrat\w*)\b|^\W*$",
    re.I,
)
_COMPARE = re.compile(
    rf"""{_IMPERATIVE}(?:compare|contrast)\b
      | \b(?:what\ are|are\ there|any|list|show|explain)\ (?:me\ )?(?:the\ )?(?:\w+\ )?differences\b
      | \bdifferences?\ between\ (?:{_DOCUMENT}|{_OWN}\ two\b)
      | \bhow\ (?:do|does)\ {_DOCUMENTS}\b.*\bdiffer\b | \bhow\ (?:do|does)\b[^?]*\bdiffer\W*$
      | \bwhat\ (?:has\ |have\ |was\ |is\ )?(?:been\ )?(?:changed|new)\b(?=\W*$|\ (?:between|in|from|since)\b)
      | \b(?:what\ (?:are|were)|list|show\ me)\ the\ changes\ (?:between|from|in)\b | \bside\ by\ side\b
      | ^\W*vergleiche?\b | \bwas\ hat\ sich\ geändert\b | ^\W*comparez?\b""",
    re.I | re.X,
)
_WHOLE = re.compile(
    rf"""\b(?:what|anything|something)\ (?:is\ |are\ |that\ is\ |else\ is\ )?(?:missing|unusual|lacking|left\ out)\b
      | \b(?:any|what|which|list|all|the)\ (?:are\ )?(?:the\ )?(?:\w+\ )?(?:risks|red\ flags|inconsistencies|
        contradictions|obligations|duties|deadlines)\ (?:in|under|of)\ {_OWN}\ {_SUCH}(?:{_FIRM})\b
      | {_IMPERATIVE}(?:list|name|find|show|extract|give)\ (?:me\ )?(?:all|every|each)\b
      | {_IMPERATIVE}(?:review|analy[sz]e|proofread)\ {_OWN}\ {_SUCH}(?:{_FIRM})\b""",
    re.I | re.X,
)
_DO = (
    r"(?:that|which|with|without|where|whose|who|have|has|contain|include|mention|allow|require|are|is|were|was|expire|"
    r"renew|use|provide|give|cover|refer|name|state|say|permit|prohibit|exclude|limit|end|run|last|start|do|does|don't|"
    r"can|may|must|will|need|define|specify|impose|grant)\b"
)
_EACH = re.compile(
    rf"""\b(?:in\ |of\ |under\ |from\ )?which\ (?:(?:one\ )?of\ )?(?:{_OWN}\ )?{_SUCH}(?:{_FIRM})\b
      | \b(?:in\ |of\ )?which\ (?:one\ )?of\ {_DOCUMENTS}
      | ^\W*(?:and\ )?which\ ones\b
      | \bhow\ many\ (?:of\ )?(?:{_OWN}\ )?{_SUCH}(?:{_MANY})\ {_DO}
      | \b(?:each|every)\ (?:one\ )?(?:of\ (?:the|these|those|my|our)\ )?{_SUCH}(?:{_FIRM}|{_PARTS})\b
      | \bper\ (?:{_FIRM})\b | \b(?:document|contract|file)\ by\ (?:document|contract|file)\b
      | {_IMPERATIVE}(?:list|name|find|show|identify|give)\ (?:me\ )?(?:all|every|the|any|those)\ (?:of\ )?(?:{_OWN}\ )?
        {_SUCH}(?:{_FIRM})\ (?:that|which|with|without|where|whose|in\ which|over|under|above|below|from|before|after|
        governed|signed|expiring)\b
      | \b(?:do|are|have|can|did|will|must)\ (?:all|any|both|most|some)\ (?:of\ )?(?:{_OWN}\ )?{_SUCH}(?:{_MANY})\b
      | \ball\ (?:of\ )?(?:{_OWN}\ )?{_SUCH}(?:{_MANY})\ {_DO}
      | \bacross\ (?:all\ )?(?:of\ )?{_OWN}\ {_SUCH}(?:{_MANY})\b
      | {_IMPERATIVE}(?:make|build|create|give|produce|draw\ up|fill)\ (?:me\ )?(?:a\ |the\ )?table\b
      | ^\W*(?:a\ )?table\ of\b
      | ^\W*(?:in\ )?welche[nr]?\ (?:der\ |dieser\ |unserer\ )?(?:verträge|dokumente|berichte|rechnungen|dateien)n?\b
        (?=.*\b(?:enthalten|haben|nennen|erwähnen|erlauben|verlängern|regeln|verbieten|enden|laufen|sehen)\b)
      | ^\W*quels?\ (?:contrats|documents)\b | ^\W*qué\ (?:contratos|documentos)\b""",
    re.I | re.X,
)
_EXISTENCE = re.compile(
    r"^\W*(?:(?:and|so|but)\s+)?"
    r"(?:is there|are there|does|do|did|has|have|is|are|was|were|can|may|must|will|shall|should)\b",
    re.I,
)
# The answer has to be worked out from several places.
_WORKED_OUT = re.compile(
    r"""\b(?:difference|differs?|ratio|average|mean|total|sum|altogether|combined|percentage|per\ ?cent|more|less|fewer|
        longer|shorter|higher|lower|larger|smaller|greater|earlier|later)\b
        (?=.*\b(?:than|between|of|from|or|in|to|and)\b)
      | \bhow\ (?:much|many)\ (?:more|less|fewer)\b | \b(?:calculate|compute|work\ out|add\ up)\b
      | \b(?:change[ds]?|increased?|decreased?|grow|grew|growth|rise|rose|fell|fall)\b
        .*\b(?:from|between|since|over|by)\b
      | \b(?:unterschied|verhältnis|durchschnitt\w*|insgesamt|summe|prozent|berechne\w*|différence|moyenne|diferencia|
        promedio)\b""",
    re.I | re.X,
)
# The answer is an explanation and not one fact: "how does", "what are the steps", "what is prior authorization".
_EXPLANATION = re.compile(
    r"""\bhow\ (?:do|does|did|can|could|should|must|will|would|may|is|are|was|were|has|have)\b
      | \bhow\ to\b | \bwhat\ to\ do\b | \binformation\ (?:about|on)\b
      | \bwhy\b | \b(?:explain|describe|discuss|outline|tell\ (?:me|us)\ (?:more\ )?about)\b
      | \bwhat\ (?:are|were)\b | \bwhat\ (?:[\w-]+\ ){0,3}\w+s\ (?:are|were|do|does|did|must|can|may|should|will)\b
      | \bwhat\ (?:should|must|can|may|do|shall|need)\b | \bwhat\ (?:types?|kinds?|sorts?)\ of\b
      | \bwhat\ (?:causes|happens|follows)\b | \bwho\ is\ at\ risk\b
      | \bwhat\ (?:does|do|is|are)\b.*\b(?:mean|stand\ for)\b
      | \bwhat\ (?:is|was)\ (?:the\ |an?\ )?(?:[\w-]+\ )?(?:process|procedure|role|purpose|impact|effect|meaning|
        definition|background|reason|difference|outlook|approach|policy|scope)\b
      | ^\W*what\ is\ (?:\(are\)\ )?(?!the\b|my\b|our\b|your\b|his\b|her\b|its\b|their\b)""",
    re.I | re.X,
)
# "What were the revenues of 2019?" asks for a figure.
_FIGURE = re.compile(r"(?<![\w-])\d+(?![\w-])|\b(?:amounts?|numbers?|totals?|rates?|dates?|names?)\b", re.I)
_PLURAL = re.compile(
    rf"\b(?:in|across|from|among|of|under|by|do) (?:the|these|those|my|our|all|both) {_SUCH}(?:{_MANY})\b", re.I
)


@dataclass(frozen=True, slots=True)
class Intent:
    """The kind of a question and the words that show it.

    "look-up" asks for one fact, "existence" whether something is there; "summary", "compare" and "whole" need the whole
    text; "each" asks every document on its own.
    """

    kind: Kind
    words: str = ""
    sure: bool = True


def of(question: str) -> Intent:
    """Return the kind of a question, by the first rule that fits."""
    text = " ".join(question.split())
    if each := _EACH.search(text):
        # "Summarise every chapter" is a summary of each, which a survey makes too.
        return Intent("each", _words(each))
    if (summary := _SUMMARY.search(text)) is not None:
        rest = text[summary.end() :] if summary["verb"] else text
        return Intent("summary" if _ALL_OF_IT.search(rest) else "whole", _words(summary))
    if compare := _COMPARE.search(text):
        return Intent("compare", _words(compare))
    if whole := _WHOLE.search(text):
        return Intent("whole", _words(whole))
    sure = not _PLURAL.search(text)
    return Intent("existence" if _EXISTENCE.match(text) else "look-up", sure=sure)


def explains(question: str) -> bool:
    """Return whether a question asks for everything that the text says about something."""
    text = " ".join(question.split())
    found = _EXPLANATION.search(text)
    return found is not None and not (found[0].lower().startswith("what") and _FIGURE.search(text))


def needs_reasoning(question: str) -> bool:
    """Return whether an answer has to be worked out, so that a model that can reason first should."""
    return of(question).kind == "compare" or bool(_WORKED_OUT.search(" ".join(question.split())))


def _words(match: re.Match[str]) -> str:
    return re.sub(r"^(?:please|you|to|and|then|also|me)\s+", "", match[0].strip(" ,.;:!?"), flags=re.I)

"""What a question is put to, in its own words (pure): "in the contracts" is everything, "in the Orlo lease" is a name.

Words for documents are few and closed, so that "in children" or "in the play" is not taken for a document.
"""

from __future__ import annotations

import re

_PLAIN = (
    "document file paper record contract agreement report policy letter invoice lease filing minute memo "
    "memorandum text "
    "statement article email mail note source"
)
_PLURALS = {"policy": "policies", "memorandum": "memoranda", "email": "emails", "mail": "mails"}
PLAIN = "|".join(
    sorted((form for one in _PLAIN.split() for form in (_PLURALS.get(one, f"{one}s"), one)), key=len, reverse=True)
)
_PLAIN_GERMAN = "dokumenten?|dateien?|unterlagen|verträgen?|vertrag|texten?|texte?|dokumente?|datei|akten?|berichten?"
_PLACE = "library|folder|directory|collection|archive|corpus|database|data ?room|documents folder|index"
_PLACE_GERMAN = "bibliothek|ordner|sammlung|archiv|bestand"
_EVERY = re.compile(
    rf"(?:(?:all|any|each|every|one|some)(?: of)? )?(?:(?:the|my|our|these|those|this|that) )?(?:whole |entire "
    rf")?(?:uploaded |ingested |indexed )?"
    rf"(?:(?:{PLAIN})|(?:{_PLACE})|it|them|everything|total)(?: (?:in|of) (?:the|my|this|our) (?:{_PLACE}))?"
    rf"|(?:(?:allen?|den|der|dem|die|das|meinen?|unseren?|diesem|dieser|diesen) )*(?:{_PLAIN_GERMAN}|{_PLACE_GERMAN})",
    re.I,
)
# A document in the singular, with "the", is one that is called so; with "this" it is what was chosen.
_ONE = re.compile(rf"(?:the|der|die|das|dem) (?:{'|'.join(_PLAIN.split())}|vertrag|mietvertrag|bericht)", re.I)
_NO_DOCUMENT = re.compile(
    r"\b(?:sections?|clauses?|articles? \d|paragraphs?|chapters?|pages?|tables?|lines?|rows?|columns?|years?|"
    r"months?|quarters?|§+|absatz|abschnitt|"
    r"seite|kapitel|which|that|who|whose|where|when|is|are|was|were|has|have|did|does|do|can|must|shall|may|"
    r"will|from|since|before|after|"
    r"between|during|about|regarding|concerning|with|without|than|per|average|english|german|world)\b|[?;:!]",
    re.I,
)
_NAMED = re.compile(
    r"(?:^|[\s_-])(?:[\w-]*(?:documents?|files?|contracts?|agreements?|reports?|policy|policies|letters?|"
    r"invoices?|leases?|filings?|minutes|memo|"
    r"handbook|manual|plan|notice|amendment|nda|msa|budget|schedule|paper|e-?mail|deed|will|order|brief|"
    r"statement|10-[kq]|annual report|vertrag|"
    r"handbuch|bericht))$|\.[a-z]{1,5}$",
    re.I,
)
_MOST_WORDS = 10


def scope(words: str | None, *, sure: bool = False) -> str | None:
    """The document that words name; "" for all that were chosen, None where they are no document's name.

    Args:
        words: what follows "in", without a question mark.
        sure: take only what says that it is a document ("the Orlo lease", "lease.pdf"), no other name.
    """
    name = (words or "").strip().strip("\"“”„'‘’").rstrip("?.! ")
    if not name:
        return ""
    if _ONE.fullmatch(name) and not re.search(r"\b(?:document|file|text|paper)$", name, re.I):
        return re.sub(r"^\w+ ", "", name)
    if _EVERY.fullmatch(name):
        return ""
    name = re.sub(
        r"^(?:(?:the|my|our|der|die|das|dem|den) )?(?:(?:document|file|contract) (?:called|named|titled) )?",
        "",
        name,
        flags=re.I,
    )
    name = name.strip("\"“”„'‘’")
    if not re.search(r"[^\W\d]", name) or len(name.split()) > _MOST_WORDS or _NO_DOCUMENT.search(name):
        return None
    if sure and not _NAMED.search(name):
        return None
    return name

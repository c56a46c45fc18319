"""Whether the embedder of a library knows the languages of its documents, and which one does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from localrag import policy
from localrag.models import catalog
from localrag.models.records import ModelStore
from localrag.settings import Settings

MULTILINGUAL = "multilingual-e5-small"
_ENGLISH = "english"
_LEAST = 0.1  # the share of the documents from which a language counts: lists and tables may pass for another


def unknown_to(model: str, languages: Mapping[str, int]) -> list[str]:
    """Return the languages, given with their documents, that an embedder of the catalog does not know."""
    known = catalog.find(model)
    if known is None or known.multilingual:
        return []
    least = _LEAST * sum(languages.values())
    return [name for name, count in languages.items() if name not in ("", _ENGLISH) and count >= least]


def installed(settings: Settings) -> str:
    """Return the best embedder for many languages that is installed and allowed; empty if there is none."""
    models = [one for one in ModelStore(settings).installed("embedder") if policy.allows_model(*one.hashes)]
    cards = [card for one in models if (card := catalog.find(one.id)) is not None and card.multilingual]
    return max(cards, key=lambda card: (card.id == MULTILINGUAL, card.rank)).id if cards else ""


def is_chosen(settings: Settings) -> bool:
    """Return whether a person chose the embedder of new libraries."""
    return bool(settings.embedder or settings.embedder_server or ModelStore(settings).choice("embedder"))


def advice(name: str, root: str, model: str, languages: Mapping[str, int], settings: Settings) -> str:
    """Return a sentence that proposes an embedder for the languages of a library; empty where its own knows them."""
    others = unknown_to(model, languages)
    if not others:
        return ""
    here = installed(settings)
    id = here or MULTILINGUAL
    again = shlex.join(["localrag", "ingest", root, "--name", name, "--embedder", id, "--re-embed"])
    typed = again if here else f"localrag models install {id}, then {again}"
    spoken = " and ".join(other.capitalize() for other in others)
    return f"The embedder {model} knows English only, and documents are in {spoken}. For one that knows both: {typed}"

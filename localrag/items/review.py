"""Review documents with a playbook: put each item to each document, and compare what is found with the position.

A result is kept as soon as it is there (`store/reviews.py`), under everything that decides it: the version of the
document, the item without its position, the model and the embedder. Positions are compared anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from localrag.events import Reviewed
from localrag.grounding.stages import Pair
from localrag.items import facts, positions, values
from localrag.items.engine import Engine
from localrag.items.item import Finding
from localrag.items.playbook import IMPORTANCES, Playbook, PlaybookItem
from localrag.items.values import MEASURED
from localrag.store.library import Library
from localrag.store.reviews import Kept, Reviews, key_of, now
from localrag.types import Checked, Citation, Fact, Looked, NotRead

_VERSION = "10"  # of how an item is looked for: another one asks everything again
_ORDER = {"deviates": 0, "absent": 1, "unsure": 2, "found": 3}


@dataclass(slots=True)
class Work:
    """What a review takes: the playbook, the engine, and the name of its model; then what the run leaves.

    `amended` returns the words of a document that later ones replace, each with what they put in its place.
    """

    playbook: Playbook
    engine: Engine
    model: str
    stop: Callable[[], bool] = lambda: False
    amended: Callable[[Pair], Sequence[tuple[Citation, Citation]]] = lambda pair: ()
    stopped: bool = False
    injections: list[NotRead] = field(default_factory=list)


def run(pairs: Sequence[Pair], work: Work) -> Iterator[Reviewed]:
    """Review documents; yields each finding. `work.stopped` says afterwards whether it was stopped before the end."""
    items = len(work.playbook.items)
    stores = {library.name: Reviews(library) for library, _ in pairs}
    runs = {name: store.begin(work.playbook.title) for name, store in stores.items()}
    for number, (library, document) in enumerate(pairs):
        store, since = stores[library.name], runs[library.name].started
        if (earlier := store.earlier(document)) is not None:
            store.carry(document, earlier)
        kept = store.of(document)
        done, remark = number * items, work.playbook.remark(document, library.page_text(document.id, 0))
        amended = work.amended((library, document))
        for item, key, looked in _of_document((library, document), store, kept, work):
            done += 1
            known = _in_force(item, looked, amended)
            later, new = known is not looked, looked.at >= since
            before = earlier.looked.get(key) if earlier is not None else None
            finding = _finding(item, known, (library, document), work, kept, before, new, remark, later)
            if later and looked.citation is not None:
                replaced = f"replaces “{looked.answer or looked.citation.quote}” ({looked.citation.place})"
                finding = replace(finding, problem="; ".join(filter(None, (finding.problem, replaced))))
            yield Reviewed(done, len(pairs) * items, number + 1, len(pairs), finding)
        if work.stop():
            work.stopped = work.stopped or done < len(pairs) * items
            return
        if earlier is not None:
            store.drop_earlier(document)
    for name, store in stores.items():
        store.finish(work.playbook.title, runs[name])


def ordered(findings: Sequence[Checked]) -> list[Checked]:
    """Return findings by document, what matters most first."""
    names = {name: at for at, name in enumerate(dict.fromkeys((one.library, one.document) for one in findings))}

    def rank(one: Checked) -> tuple[int, bool, int, int]:
        importance = IMPORTANCES.index(one.importance) if one.importance in IMPORTANCES else len(IMPORTANCES)
        return names[one.library, one.document], one.as_expected is not False, importance, _ORDER[one.state]

    return sorted(findings, key=rank)


def counts(findings: Sequence[Checked]) -> dict[str, int]:
    """Count the findings by state, and those that are not as expected."""
    by_state = {state: sum(one.state == state for one in findings) for state in _ORDER}
    return by_state | {"not_as_expected": sum(one.as_expected is False for one in findings)}


# --- one document -------------------------------------------------------------------------------------------


def _of_document(pair: Pair, store: Reviews, known: Kept, work: Work) -> Iterator[tuple[PlaybookItem, str, Looked]]:
    """Yield each item, and its key, with what is kept of it, then what the engine finds."""
    library, document = pair
    decided = library.decisions(document)
    keys = {item: _key(item, library, work, decided) for item in work.playbook.items}
    kept = {item: _named(item, known.looked[key], work) for item, key in keys.items() if key in known.looked}
    if renamed := {keys[item]: one for item, one in kept.items() if one != known.looked[keys[item]]}:
        store.keep(document, renamed)  # another playbook asked the same
    yield from ((item, keys[item], one) for item, one in kept.items())
    missing = {item.asked: item for item in keys if item not in kept}
    if not missing or work.stop():
        return
    for asked, found in work.engine.find_all(tuple(missing), pair, stop=work.stop):
        looked = _named(missing[asked], _looked(found), work)
        work.injections += found.injections
        store.keep(document, {keys[missing[asked]]: looked})  # before anybody sees it, and may decide of it
        yield missing[asked], keys[missing[asked]], looked


def _named(item: PlaybookItem, looked: Looked, work: Work) -> Looked:
    """Return a result with its item, where `localrag dates` lists it."""
    if item.type not in ("date", "duration"):
        return looked
    return replace(looked, item=item.id, type=item.type, playbook=work.playbook.title)


def _key(item: PlaybookItem, library: Library, work: Work, decided: Sequence[Fact]) -> str:
    """Return a name for everything that decides what is found, beside the document.

    What people decided of the facts of the document counts for items with such a value.
    """
    asked = (item.question, item.type, item.like, item.name, item.headings, item.clause, item.choices)
    fitting = [(one.id, one.state, one.value) for one in decided if item.type in (facts.type_of(one.role), "party")]
    return key_of(_VERSION, asked, work.model, library.identity.sha256, *fitting)


def _looked(found: Finding) -> Looked:
    there = {"found": found.positive, "absent": False, "unsure": None}[found.state]
    at, confidence = found.citation, found.confidence
    return Looked(there, found.answer, at, confidence, found.read, found.model, now(), doubt=found.doubt)


def _in_force(item: PlaybookItem, looked: Looked, amended: Sequence[tuple[Citation, Citation]]) -> Looked:
    """Return a result with the words that a later document puts in the place of its quote, if it does.

    Where these have another value than one, it is unsure.
    """
    at = looked.citation
    pairs = [(old, new) for old, new in amended if at is not None and old.page == at.page]
    new = next((new for old, new in pairs if at and old.start < at.end and at.start < old.end), None)
    if new is None:
        return looked
    value = item.asked.read(new.quote)
    several = item.type in MEASURED and (value is None or values.distinct(item.type, new.quote) != 1)
    words = value.words if value and item.type in MEASURED else ""
    doubt = "a later document changes it" if several else looked.doubt
    return replace(looked, found=None if several else looked.found, answer=words, citation=new, doubt=doubt)


# --- compared -----------------------------------------------------------------------------------------------


def _finding(
    item: PlaybookItem,
    looked: Looked,
    pair: Pair,
    work: Work,
    kept: Kept,
    before: Looked | None,
    new: bool,
    remark: str,
    later: bool,
) -> Checked:
    library, document = pair
    at = looked.citation
    clause = "" if item.position is None or at is None else at.quote if later else _clause(pair, at)
    compared = positions.compare(item, looked, clause)
    if remark:  # a position is not one on documents of another kind
        state = "found" if compared.state == "deviates" else compared.state
        compared = replace(compared, state=state, as_expected=None, problem="")
    # The document may have been renamed, or restored into another library, since it was read.
    cited = at if at is None or later else replace(at, library=library.name, document=document.path)
    return Checked(
        library.name,
        document.path,
        item.id,
        item.name,
        item.question,
        item.importance,
        compared.state,
        compared.value,
        compared.as_expected,
        compared.problem,
        cited,
        looked.confidence,
        looked.read,
        looked.model,
        note=item.note,
        fallback=item.fallback if compared.as_expected is False else "",
        decision=kept.decisions.get(work.playbook.title, {}).get(item.id),
        new=new,
        before=_before(item, before) if before is not None else "",
        remark=remark,
    )


def _before(item: PlaybookItem, looked: Looked) -> str:
    compared = positions.compare(item, looked, looked.citation.quote if looked.citation else "")
    return ": ".join(filter(None, (compared.state, compared.value)))


def _clause(pair: Pair, at: Citation) -> str:
    """Return the passages that hold a quote: its clause, as it was indexed."""
    library, document = pair
    held = [
        chunk.text
        for chunk in library.chunks_of(document.id)
        if chunk.page == at.page and chunk.start < at.end and at.start < chunk.end
    ]
    return "\n".join(held) or at.quote

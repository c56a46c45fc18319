"""Review documents with a playbook: look for each item in each document, and compare it with the position.

What is likely enough, or unlikely enough, by code (`evidence.py`) is not asked of the model. The rest is put to it by
the engine of surveys, passage by passage, in the order of the document, so that items that share a passage follow each
other behind the same cached text. A result is kept as soon as it is there (`store/reviews.py`), under everything that
decides it: the version of the document, the item without its position, the model and the embedder. Positions are
compared anew each time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from localrag.events import Reviewed
from localrag.grounding import context
from localrag.grounding.stages import Pair
from localrag.items import engine, leaf, positions, values
from localrag.items.evidence import Clauses, Evidence
from localrag.items.leaf import Leaf, Material
from localrag.items.leaf_question import Kind, LeafQuestion
from localrag.items.playbook import IMPORTANCES, MEASURED, Item, Playbook
from localrag.items.values import Field
from localrag.quantities import phrases, plural
from localrag.search.retrieval import Searcher
from localrag.store.library import Library
from localrag.store.reviews import Kept, Reviews, key_of, now
from localrag.types import Checked, Citation, Document, Looked, NotRead, Passage

_VERSION = "6"  # of how an item is looked for: another one asks everything again
# Likelihoods from which code alone decides, and below which a clause is absent; between, it is unsure.
_FOUND_BY_CODE, _ABSENT_BY_CODE = 0.85, 0.1
# A clause is there from the first by the classifier, if it knows the kind well, and absent below the second.
LIKELY, _UNLIKELY = 0.3, 0.2
_TURNED = 0.5  # log odds of a yes where the wording may say the opposite: six of ten were there
_ABSENT = 0.3  # beside the model, which says no
_ANY = ["contract"]  # of any kind
_READ = "all sentences of the document"
(_NEGATED,) = phrases("localrag.items", "review", "negated")
_PASSAGES = 2  # read by the model for an item
_ORDER = {"deviates": 0, "absent": 1, "unsure": 2, "found": 3}


@dataclass(slots=True)
class Work:
    """What a review needs of the assistant; `tools` loads the model, so it is called only where one is needed."""

    playbook: Playbook
    searcher: Searcher
    tools: Callable[[], engine.Tools]
    model: str
    stop: Callable[[], bool] = lambda: False
    stopped: bool = False
    injections: list[NotRead] = field(default_factory=list)
    _clauses: dict[str, Clauses] = field(default_factory=dict)

    def clauses(self, library: Library) -> Clauses:
        return self._clauses.setdefault(library.name, Clauses(library, self.searcher))


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
        for item, looked in _looked((library, document), store, kept, work):
            done += 1
            finding = _finding(item, looked, (library, document), work, kept, earlier, looked.at >= since, remark)
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


def _looked(pair: Pair, store: Reviews, known: Kept, work: Work) -> Iterator[tuple[Item, Looked]]:
    """Yield each item with what is kept of it, then those that code decides, then those that the model is asked."""
    library, document = pair
    keys = {item: _key(item, library, work) for item in work.playbook.items}
    kept = {key: _named(item, known.looked[key], work) for item, key in keys.items() if key in known.looked}
    if renamed := {key: one for key, one in kept.items() if one != known.looked[key]}:
        store.keep(document, renamed)  # another playbook asked the same
    yield from ((item, kept[key]) for item, key in keys.items() if key in kept)
    missing = [item for item, key in keys.items() if key not in kept]
    if not missing or work.stop():
        work.stopped = work.stopped or bool(missing)
        return
    with library.snapshot():
        clauses = work.clauses(library)
        found = {item: clauses.evidence(item, pair, _PASSAGES) for item in missing}
    decided = {item: _named(item, made, work) for item in missing if (made := _by_code(item, found[item], document))}
    store.keep(document, {keys[item]: looked for item, looked in decided.items()})
    yield from decided.items()
    rest = [item for item in missing if item not in decided]
    for item in sorted(rest, key=lambda item: _place(found[item].passages[0])):
        looked = _asked(item, found[item], pair, work)
        if looked is None:
            work.stopped = True
            return
        looked = _named(item, looked, work)
        store.keep(document, {keys[item]: looked})
        yield item, looked


def _named(item: Item, looked: Looked, work: Work) -> Looked:
    """Return a result with its item, where `localrag dates` lists it."""
    if item.type not in ("date", "duration"):
        return looked
    return replace(looked, item=item.id, type=item.type, playbook=work.playbook.title)


def _place(passage: Passage) -> tuple[int, int]:
    return passage.position, passage.start


def _key(item: Item, library: Library, work: Work) -> str:
    """Return a name for everything that decides what is found, beside the document."""
    asked = (item.question, item.type, item.like, item.headings or item.name, item.clause, item.choices)
    kind = (work.playbook.kinds or _ANY)[0]
    return key_of(_VERSION, asked, kind, work.model, library.identity.sha256)


def _by_code(item: Item, found: Evidence, document: Document) -> Looked | None:
    """Return what code decides alone; None where the model is to be asked."""
    quote = found.quote
    if quote is None:
        return Looked(None, "", None, None, "nothing: it has no text", "", now())
    read = f"{_READ if found.known else _all(found.of)} compared by code, none read by the model"
    if found.likelihood < (_UNLIKELY if found.known else _ABSENT_BY_CODE):
        return _absent(found.likelihood, read, "", document)
    least = _FOUND_BY_CODE if not found.known else LIKELY if found.reliable else 1.0
    if found.likelihood < least or _turned(item, quote) or not _readable(item, quote):
        return None
    return Looked(True, _words(item, quote), quote, found.likelihood, read, "", now())


def _absent(likelihood: float, read: str, model: str, document: Document) -> Looked:
    """Return that a clause is absent, or that it is unsure where pages could not be read."""
    if document.skipped:
        read = f"{read}; {plural(len(document.skipped), 'page')} could not be read"
    return Looked(None if document.skipped else False, "", None, likelihood, read, model, now())


def _all(count: int) -> str:
    return "the only passage" if count == 1 else f"all {count} passages"


def _turned(item: Item, quote: Citation) -> bool:
    """Return whether words may say the opposite of the clause: they negate something, and its examples do not."""
    return item.type == "yes/no" and bool(_NEGATED.search(quote.quote)) and not any(map(_NEGATED.search, item.like))


def _readable(item: Item, quote: Citation) -> bool:
    """Return whether code can take the value from these words without the model."""
    if item.type in MEASURED or item.type == "choice":
        single = item.type == "choice" or positions.stated(item.type, quote.quote) == 1
        return single and values.read(item.type, quote.quote, item.choices) is not None
    return item.type in ("yes/no", "text")


def _words(item: Item, quote: Citation) -> str:
    return " ".join(quote.quote.split()) if item.type == "text" else ""


def _asked(item: Item, found: Evidence, pair: Pair, work: Work) -> Looked | None:
    """Put an item to the model; None where it was stopped."""
    document = pair[1]
    tools = work.tools()
    certain = found.reliable and found.likelihood >= LIKELY  # only its value, or which way it goes, is open
    passages = found.passages[:1] if certain else found.passages
    work.injections += context.injections_in(passages)
    kind: Kind = "existence" if item.type == "yes/no" else "value"
    topic = " ".join((item.question, *item.like))
    question = LeafQuestion(kind, item.question, topic, (work.playbook.kinds or _ANY)[0])
    quote = found.quote
    open_way = kind == "existence" and (certain or (quote is not None and _turned(item, quote)))
    standing = min(found.odds, _TURNED) if open_way else found.odds
    material = Material(passages, "passages", standing=standing, cache=tools.cache([pair], ""))
    write = quote is None or not _readable(item, quote)
    made = engine.put(question, pair, material, tools, work.stop, prior=found.odds, write=write)
    if made is None:
        return None
    read = "the whole document" if len(passages) >= found.of else f"the best {len(passages)} of {found.of} passages"
    read = f"{_READ} by code, {read} by the model" if found.known else read
    likelihood, model = _likelihood(made, kind, found, tools), tools.model.model
    elsewhere = kind == "existence" and quote and not _together(quote, made.citation, passages)  # another one convinced
    cited = made.citation if write or elsewhere else quote
    if made.found and cited is not None and not made.withheld:
        answer = _stated(item, made.answer, cited) if write else _words(item, cited)
        doubt = "the model gave a value that the quote does not state" if write and not answer else ""
        if denying := [
            one for one in (cited, quote) if one and _turned(item, one) and leaf.denied(item.question, one.quote)
        ]:
            cited, doubt = denying[0], "the model says yes, and the quote denies it"
        return Looked(None if doubt else True, answer, cited, likelihood, read, model, now(), doubt=doubt)
    if certain and kind == "value":
        return Looked(True, "", quote, found.likelihood, read, model, now())  # it is there, but its value was not read
    if likelihood < _ABSENT:
        return _absent(likelihood, read, model, document)
    return Looked(None, "", quote, likelihood, read, model, now())


def _stated(item: Item, said: str, at: Citation) -> str:
    """Return the words of a quote that state the value that the model gave; empty where none do."""
    if item.type == "choice":
        chosen = values.read("choice", said, item.choices)
        own = (chosen.form,) if chosen else ()
        named = values.read("choice", at.quote, item.choices) or values.read("choice", at.quote, own)
        return chosen.form if chosen and named and named.form == chosen.form else ""
    quote = Passage(at.library, at.document, at.page, None, (), at.quote, at.start, at.end, 0.0)
    found = leaf.stated_by(Field(item.id, item.type), said, said, [quote], loose=False)
    return found.value.words if found else ""


def _together(one: Citation, other: Citation | None, passages: Sequence[Passage]) -> bool:
    """Return whether a passage holds the beginnings of both quotes."""
    return (
        other is not None
        and one.page == other.page
        and any(all(passage.start <= at.start < passage.end for at in (one, other)) for passage in passages)
    )


def _likelihood(made: Leaf, kind: Kind, found: Evidence, tools: engine.Tools) -> float:
    """Return the likelihood that the document has the clause, by the model and by code."""
    share = min(max(made.likelihood or 0.0, 1e-6), 1 - 1e-6)
    if kind == "existence":
        return share  # the engine has added what code knows
    limit = math.log(tools.answer_from / (1 - tools.answer_from))
    return 1 / (1 + math.exp(-(math.log(share / (1 - share)) - limit + found.odds)))


# --- compared -----------------------------------------------------------------------------------------------


def _finding(
    item: Item, looked: Looked, pair: Pair, work: Work, kept: Kept, earlier: Kept | None, new: bool, remark: str
) -> Checked:
    library, document = pair
    at = looked.citation
    compared = positions.compare(item, looked, _clause(pair, at) if item.position is not None and at else "")
    if remark:  # a position is not one on documents of another kind
        state = "found" if compared.state == "deviates" else compared.state
        compared = replace(compared, state=state, as_expected=None, problem="")
    # The document may have been renamed, or restored into another library, since it was read.
    cited = None if at is None else replace(at, library=library.name, document=document.path)
    before = earlier.looked.get(_key(item, library, work)) if earlier is not None else None
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


def _before(item: Item, looked: Looked) -> str:
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

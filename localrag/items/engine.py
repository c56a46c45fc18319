"""Put items to one document: the one judgement of `ask`, `survey`, `review`, `extract` and `dates`.

In this order: code takes a value that is a fact of the document (`facts.py`), or that the text names (`labelled.py`);
it looks for the clause in all passages (`evidence.py`), and what is sure by that is decided; else the model is asked
about the best passages. Whether a document says yes or no is decided by the log odds of its answers, asked in several
ways about passages that it has read; a value is written in a fixed shape, looked up in the text, and counts where its
quote bears it out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from localrag import protocol
from localrag.errors import Cancelled
from localrag.grounding import context, fact_checks, prompts
from localrag.grounding.citations import nearest, terms
from localrag.grounding.locate import locate
from localrag.grounding.stages import Pair
from localrag.grounding.workspace import Workspace
from localrag.items import fact_questions, filling, labelled, values
from localrag.items.clause_questions import ClauseQuestions, named
from localrag.items.evidence import Evidence
from localrag.items.filling import FIGURES, Filled, Shape, sought, stated_by
from localrag.items.item import Finding, Item, Stated
from localrag.items.reading import WORDS, Reading, Stop, beside, located, supported, together
from localrag.items.values import MEASURED, Value
from localrag.llm import Generator, calibration, loading
from localrag.quantities import phrases, plural
from localrag.question import each
from localrag.store.library import Library
from localrag.store.reviews import Reviews, key_of
from localrag.store.text_analysis import FALLBACK
from localrag.types import EVERYTHING, Citation, Document, Filter, Passage

# Likelihoods from which code alone decides, and below which a clause is absent; between, the model is asked. Of a kind
# of clause of the classifier, from the first if it knows the kind well; below the second it is absent.
_FOUND_BY_CODE, _ABSENT_BY_CODE = 0.85, 0.1
LIKELY, _UNLIKELY = 0.3, 0.2
_ABSENT = 0.3  # beside the model, which says no
# Of a question that names no kind of clause and has no examples, code only knows words, which decide nothing: what they
# count at most, for it and against it.
_MAX_WORDS, _MIN_WORDS = 0.5, -2.0
_TURNED = 0.5  # log odds of a yes where the clause is there, and only its way is open: six of ten are a yes
_CERTAIN = 2.0  # log odds that need no second passage
_NO = -0.5  # log odds by letters from which a document says no: of 14 that say yes none is so low
_APART = 2.0  # what it costs where a required name shares no sentence with another search word
# Passages that the model reads for an item, among so many that may hold a required name; and tokens of a document that
# is read whole.
_PASSAGES, _PER_FIELD, _SEARCHED, _MAX_TOKENS, _CHARACTERS_PER_TOKEN = 2, 2, 20, 600, 4
_READ = "all sentences of the document"
_VERSION = "1"  # of how the model judges: another one asks everything again
_PARTS = ("section", "clause", "article", "schedule", "exhibit", "annex")  # no names
_ASKS = re.compile(r"(?:who|whom|whose|what|which|when|where|why|how)\b", re.I)  # for which "true" is no answer
(_NEGATED,) = phrases("localrag.items", "review", "negated")


@dataclass(frozen=True, slots=True)
class _Tools:
    """What reading by the model takes."""

    model: Generator
    budget: int  # maximum tokens of passages beside the question
    answer_from: float  # the likelihood from which the model answers
    strict: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """What code knows of an item in a document. `own`: the item is a kind of clause itself, or has examples of it."""

    item: Item
    own: bool
    evidence: Evidence
    required: tuple[str, ...] = ()  # names, years and quoted words without which a document has no answer

    @property
    def sure(self) -> bool:
        """Whether the clause is there beyond doubt, so that only its value or its way is open."""
        return self.evidence.reliable and self.evidence.likelihood >= LIKELY

    @property
    def odds(self) -> float:
        """The log odds that code adds to those of the model."""
        found = self.evidence
        known = self.own or found.known
        return found.odds if known else min(_MAX_WORDS, max(_MIN_WORDS, found.odds))


class Engine:
    """Looks for items in documents. Use it from one thread; the model is loaded once it is needed.

    `budget` is the maximum of tokens of passages beside the question, by default that of the settings.
    """

    def __init__(self, workspace: Workspace, kinds: ClauseQuestions | None = None, budget: int = 0) -> None:
        self.workspace = workspace
        self._kinds = kinds or ClauseQuestions(workspace.searcher)
        self._budget = budget or workspace.settings.prompt_tokens

    def find(self, item: Item, pair: Pair, *, only: Filter = EVERYTHING, stop: Stop = lambda: False) -> Finding | None:
        """Return what a document says to an item; None where it was stopped."""
        return next((found for _, found in self.find_all([item], pair, only=only, stop=stop)), None)

    def find_all(
        self,
        items: Sequence[Item],
        pair: Pair,
        *,
        only: Filter = EVERYTHING,
        stop: Stop = lambda: False,
        named: Mapping[Item, Stated] | None = None,
    ) -> Iterator[tuple[Item, Finding]]:
        """Yield what a document says to items, first what code decides; ends early where it is stopped.

        `named` is what the document states by their names, where that was looked up before.

        What the model is asked comes in the order of the document, so that items that share a passage follow each
        other behind the same cached text.
        """
        library, document = pair
        with library.snapshot():
            if named is None:
                pages = context.pages_of(library, document, only)
                by_label = labelled.stated(items, labelled.pieces(library.name, document, pages))
                by_fact = {} if only.pages else fact_questions.stated(items, pair, self.workspace.searcher.sentences)
                named = by_label | by_fact
            looks = {item: self._look(item, pair, only) for item in items if item not in named}
        yield from ((item, _by_name(item, one)) for item, one in named.items())
        left = []
        for item, look in looks.items():
            decided = _nowhere(look, pair, only) or _by_code(look, document)
            if decided is not None:
                yield item, decided
            else:
                left.append(item)
        for item in sorted(left, key=lambda one: _place(looks[one].evidence.passages[0])):
            try:
                found = self._asked(looks[item], pair, only, stop)
            except Cancelled:
                return
            yield item, found

    @cached_property
    def _tools(self) -> _Tools:
        model, settings = self.workspace.model(), self.workspace.settings
        known = calibration.load(settings.calibration_file, model.model)
        return _Tools(model, self._budget, known.answer_from, settings.strict)

    def odds(self, item: Item, pair: Pair, only: Filter = EVERYTHING) -> float:
        """Return the log odds, by code alone, that a document has what an item asks for."""
        look = self._look(item, pair, only)
        return look.odds if look.evidence.passages else -math.inf

    def fill(
        self,
        shape: Shape,
        what: str,
        items: Sequence[Item],
        pair: Pair,
        *,
        only: Filter = EVERYTHING,
        stop: Stop = lambda: False,
        given: Sequence[Passage] | None = None,
    ) -> Filled | None:
        """Have the model fill lines, or the fields of the passages given, at once; None where it was stopped."""
        tools, (library, document) = self._tools, pair
        if given is None:
            pages = context.page_passages(library.name, document, context.pages_of(library, document, only))
            whole = _fits(pages, tools.budget, tools)
            find = partial(self.workspace.searcher.find, documents=only, document_ids=[document.id])
            by_item = [] if whole else [find([library], one.title, _PER_FIELD) for one in items]
            hits = [hit for rank in range(_PER_FIELD) for own in by_item for hit in own[rank : rank + 1]]
            once = list({(hit.position, hit.start): hit for hit in hits}.values())
            passages = pages if whole else _fitted(once, tools.budget, tools)
        else:
            room = tools.budget * _CHARACTERS_PER_TOKEN
            cut = [replace(one, text=one.text[:room], end=one.start + len(one.text[:room])) for one in given]
            passages = _fitted(cut, tools.budget, tools)
            whole = passages == list(given)
        read = Reading(tools.model, self.workspace.cache([pair]), stop, whole)
        try:
            filled = filling.fill(shape, what, items, read, passages)
        except Cancelled:
            return None
        seen = context.injections_in(passages)
        return replace(filled, whole=whole, model=tools.model.model, usage=read.usage, injections=seen)

    def _look(self, item: Item, pair: Pair, only: Filter) -> _Look:
        """Look for an item by code; a question in plain words may be one for a kind of clause."""
        library, document = pair
        own = bool(item.like or item.clause)
        if not own and document.language == FALLBACK and (kind := self._kinds.item(item.question, library)) is not None:
            own = kind.question.casefold().endswith(item.question.casefold()) or named(item.question, kind)
            item = replace(item, like=kind.like, headings=kind.headings, clause=kind.clause, title=kind.title)
        required = () if own else _required(item, document)
        k = _SEARCHED if required else _PASSAGES
        return _Look(item, own, self._kinds.clauses(library).evidence(item, pair, k, only), required)

    def _asked(self, look: _Look, pair: Pair, only: Filter, stop: Stop) -> Finding:
        """Return what the model says to an item, now or when it was asked before; raise Cancelled where stopped."""
        library, document = pair
        if self.workspace.cache([pair]) is None:  # as of a model server, whose model may change under its name
            return self._by_model(look, pair, only, stop)
        key, reviews = self._key(look, library, only), Reviews(library)
        if (plain := reviews.of(document).asked.get(key)) is not None:
            kept: Finding = protocol.from_plain(plain, Finding)
            return replace(kept, usage=replace(kept.usage, reused=kept.usage.prompt))
        found = self._by_model(look, pair, only, stop)
        reviews.keep_asked(document, key, found)
        return found

    def _key(self, look: _Look, library: Library, only: Filter) -> str:
        """Return a name for everything that decides what the model says, beside the document."""
        settings, known = self.workspace.settings, self.workspace.known_speeds()
        model = loading.generator_identity(settings), known.answer_from, known.apart
        return key_of(_VERSION, WORDS, look, only, model, self._budget, settings.strict, library.identity.sha256)

    def _by_model(self, look: _Look, pair: Pair, only: Filter, stop: Stop) -> Finding:
        """Ask the model about the best passages, or a short document as a whole; raise Cancelled where stopped."""
        tools, (library, document) = self._tools, pair
        passages, whole = _material(look, pair, only, tools)
        read = Reading(tools.model, self.workspace.cache([pair]), stop, whole)
        judge = _yes_or_no if look.item.type == "yes/no" else _value
        found = judge(look, passages, read, tools, document)
        what = f"the best {len(passages)} of {look.evidence.of} passages"
        what = "the whole document" if whole or len(passages) >= look.evidence.of else what
        citation = found.citation
        if citation is not None:
            (citation,) = context.placed([citation], [*passages, *look.evidence.passages], [library])
        return replace(
            found,
            citation=citation,
            read=f"{_READ} by code, {what} by the model" if look.evidence.known else what,
            whole=whole,
            model=tools.model.model,
            usage=read.usage,
            injections=context.injections_in(passages),
        )


def _place(passage: Passage) -> tuple[int, int]:
    return passage.position, passage.start


# --- by code ------------------------------------------------------------------------------------------------


def _required(item: Item, document: Document) -> tuple[str, ...]:
    """Return the names, years, large figures and quoted words of a question, without which there is no answer.

    Those that name the document itself need not be in its text.
    """
    if item.type != "yes/no":
        return each.quoted(item.question)
    own = re.sub(r"[\W_]+", " ", f"{document.path} {document.title}").casefold()
    return tuple(
        name
        for name in each.required(item.question)
        if not set(re.sub(r"[\W_]+", " ", name).casefold().split()) <= {*own.split(), *_PARTS}
    )


def _by_name(item: Item, one: Stated) -> Finding:
    """Return the value that a document states by a name of the item."""
    read = "the whole document by code, for what it names"
    found = Finding("found", value=one.value, citation=one.citation, confidence=1.0, read=read, whole=True)
    if item.type == "yes/no":
        return replace(found, way="yes" if one.value.form == "true" else "no")
    return replace(found, answer=one.value.words)


def _nowhere(look: _Look, pair: Pair, only: Filter) -> Finding | None:
    """Return that an item is absent where a name that it requires is nowhere in the document."""
    nations = () if look.own else each.nations(look.item.question)
    needed = [*((name,) for name in look.required), *nations]
    if not needed:
        return None
    texts = [page.text for _, page in context.pages_of(*pair, only)]
    if all(any(locate(name, text) for text in texts for name in names) for names in needed):
        return None
    return Finding("absent", read="the whole document, for the names that the question has", whole=True)


def _by_code(look: _Look, document: Document) -> Finding | None:
    """Return what code decides alone; None where the model is to be asked."""
    item, found, quote = look.item, look.evidence, look.evidence.quote
    if quote is None:
        return Finding("unsure", read="nothing: it has no text", whole=True)
    every = "the only passage" if found.of == 1 else f"all {found.of} passages"
    read = f"{_READ if found.known else every} compared by code, none read by the model"
    known = look.own or found.known
    least = _UNLIKELY if found.known else _ABSENT_BY_CODE
    if known and found.likelihood < least:
        return replace(_absent(found.likelihood, read, document), whole=True)
    least = _FOUND_BY_CODE if not found.known else LIKELY if found.reliable else 1.0
    if not look.own or found.likelihood < least or _turned(item, quote) or not _readable(item, quote):
        return None
    return _by_quote(item, quote, Finding("found", confidence=found.likelihood, read=read, whole=True))


def _absent(likelihood: float, read: str, document: Document) -> Finding:
    """Return that a clause is absent, or that it is unsure where pages could not be read."""
    if document.skipped:
        read = f"{read}; {plural(len(document.skipped), 'page')} could not be read"
        return Finding("unsure", confidence=likelihood, read=read, doubt="pages of it could not be read")
    return Finding("absent", confidence=likelihood, read=read)


def _by_quote(item: Item, quote: Citation, found: Finding) -> Finding:
    """Return a finding with what a quote says: yes, its words, or the value in it."""
    if item.type == "yes/no":
        return replace(found, way="yes", citation=quote)
    words = " ".join(quote.quote.split()) if item.type == "text" else ""
    value = item.read(quote.quote)
    return replace(found, answer=words, value=value, citation=quote)


def _turned(item: Item, quote: Citation) -> bool:
    """Return whether words may say the opposite of the clause: they negate something, and its examples do not."""
    return item.type == "yes/no" and bool(_NEGATED.search(quote.quote)) and not any(map(_NEGATED.search, item.like))


def _readable(item: Item, quote: Citation) -> bool:
    """Return whether code can take the value from these words without the model."""
    if item.type in MEASURED or item.type == "choice":
        single = item.type == "choice" or values.distinct(item.type, quote.quote) == 1
        return single and values.read(item.type, quote.quote, item.choices) is not None
    return item.type in ("yes/no", "text")


# --- by the model -------------------------------------------------------------------------------------------


def _fits(pages: Sequence[Passage], limit: int, tools: _Tools) -> bool:
    """Return whether a document costs no more when read whole."""
    text = "\n\n".join(page.text for page in pages)
    return len(text) <= limit * _CHARACTERS_PER_TOKEN * 2 and tools.model.count(text) <= limit


def _fitted(hits: Sequence[Passage], limit: int, tools: _Tools) -> list[Passage]:
    """Return the best passages that fit a limit of tokens, in the order of the document."""
    return sorted(prompts.fit(hits, (), limit, tools.model.count).taken, key=_place)


def _material(look: _Look, pair: Pair, only: Filter, tools: _Tools) -> tuple[tuple[Passage, ...], bool]:
    """Return what the model reads, and whether it is all of the document."""
    pages = context.page_passages(pair[0].name, pair[1], context.pages_of(*pair, only))
    if _fits(pages, min(_MAX_TOKENS, tools.budget), tools):
        return tuple(pages), True
    passages, names = look.evidence.passages, look.required
    if names:
        sought = each.topic_of(look.item.question)
        holding = [one for one in passages if all(locate(name, one.text) for name in names)]
        passages = tuple([one for one in holding if together(names, sought, one.text)] or holding or passages)
    return passages[: 1 if look.sure and look.own else _PASSAGES], False


def _yes_or_no(look: _Look, passages: Sequence[Passage], read: Reading, tools: _Tools, document: Document) -> Finding:
    """Weigh whether a document says yes, no, or nothing to a question."""
    item, quote = look.item, look.evidence.quote
    code = min(look.odds, _TURNED) if look.sure or (quote and _turned(item, quote)) else look.odds
    names, sought = look.required, each.topic_of(item.question)
    if names and not any(together(names, sought, one.text) for one in passages):
        code -= _APART
    best, odds = passages, -math.inf
    for own in [passages] if read.whole else [(one,) for one in passages]:
        here = read.says_so(own, item.question) + code
        if here > odds:
            best, odds = own, here
        if odds >= _CERTAIN:
            break
    likely = 1 / (1 + math.exp(-odds))
    finding = Finding("found", confidence=likely)
    nothing = _absent(likely, "", document) if likely < _ABSENT else replace(finding, state="unsure", citation=quote)
    limit = math.log(tools.answer_from / (1 - tools.answer_from))
    if odds < 0 and not look.sure:
        unlikely = look.odds < 0 and (look.own or look.evidence.known)
        if unlikely or read.holds(best, item.question) < limit:
            return nothing
    # The model says so, or the text is about it: the words must bear it out, whichever way.
    way = read.way(best, item.question)
    if odds < 0:
        return replace(finding, way="no", citation=quote) if way <= _NO and quote is not None else nothing
    if way < 0:
        doubt = "the model says yes, and the quote denies it"
        return replace(finding, state="unsure", citation=quote, doubt=doubt)
    held = quote if quote and _holds(best, quote) else None
    shown, dropped = held, False
    if held is None or not (look.own or look.sure):
        shown, dropped = _placed(look, read.quote(best, item.question), best)
    if shown is None and held is None:
        return replace(finding, state="unsure", dropped=dropped)
    finding = replace(finding, way="yes", citation=shown or held, dropped=dropped)
    return _strictly(finding, tools, item.question, best)


def _value(look: _Look, passages: Sequence[Passage], read: Reading, tools: _Tools, document: Document) -> Finding:
    """Take the value that a document states, by code from the quote, or as the model writes it."""
    item, quote = look.item, look.evidence.quote
    limit = math.log(tools.answer_from / (1 - tools.answer_from))
    odds = read.holds(passages, item.question) - limit + look.odds
    finding = Finding("found", confidence=1 / (1 + math.exp(-odds)))
    if odds >= 0 and quote is not None and look.own and _readable(item, quote):
        return _by_quote(item, quote, finding)
    made = _written(look, passages, read) if odds >= 0 else None
    if made is not None and (made.state == "found" or made.doubt):
        return _strictly(replace(made, confidence=finding.confidence), tools, item.question, passages)
    if look.sure and quote is not None:  # it is there, but the model did not read its value
        there = replace(finding, confidence=look.evidence.likelihood)
        return _by_quote(item, quote, there) if _readable(item, quote) else replace(there, citation=quote)
    likely = finding.confidence or 0.0
    if likely < _ABSENT or (odds >= 0 > look.odds):  # which the model took back
        return _absent(likely, "", document)
    return replace(finding, state="unsure", citation=quote)


def _written(look: _Look, passages: Sequence[Passage], read: Reading) -> Finding | None:
    """Return the value that the model writes, at its words; None where it finds none."""
    item = look.item
    answer, words = read.answer(passages, item.question)
    first = re.split(r"[.,;:]", answer)[0].strip()
    if not answer:
        return None
    citation, dropped = _placed(look, words, passages, answer)
    bare = _ASKS.match(item.question) and " " not in first and values.read("yes/no", first) is not None
    if citation is None or bare:
        return Finding("unsure", doubt="the words that support it were not found", dropped=dropped)
    value = _stated(item, answer, citation)
    if value is None:
        return Finding("unsure", citation=citation, doubt="the model gave a value that the quote does not state")
    if not _bears_out(item, value, citation, read):
        return Finding("unsure", citation=citation, doubt="the words beside the value do not say that it is this one")
    return Finding("found", answer=value.words, value=value, citation=citation, dropped=dropped)


def _stated(item: Item, given: str, at: Citation) -> Value | None:
    """Return the value that the model gave, in the words of a quote; None where these do not state it."""
    if item.type == "choice":
        chosen = item.read(given)
        return replace(chosen, words=chosen.form) if chosen else None
    if item.type == "text":  # in other words than the quote's, the quote answers, unless a figure is another
        measured = values.measure(given)
        if terms(given) <= terms(at.quote) or (measured and values.states(measured.measure, given, at.quote)):
            return values.read("text", given)
        return None if measured else values.read("text", at.quote)
    found = stated_by(item, given, given, [_passage(at)])
    return found.value if found else None


def _bears_out(item: Item, value: Value, at: Citation, read: Reading) -> bool:
    """Return whether the words beside a value give it the role that the item asks for.

    A figure needs a word of the item beside it, a choice its own name, and a party a name instead of a role ("the
    Tenant"); where they lack it, the model is asked, both ways round, whether the quote says so.
    """
    if item.type == "choice" and (named := item.read(at.quote) or values.read("choice", at.quote, (value.form,))):
        return named.form == value.form
    role = rf"\b(?i:the|an?|each|any|either|such)\s+{re.escape(value.words)}(?!\s+[A-Z])"
    if item.type == "party" and not re.search(role, at.quote):
        return True
    if (item.type in FIGURES and sought(item) & terms(at.quote)) or item.type not in (*FIGURES, "choice", "party"):
        return True
    way = read.way([_passage(at)], f"Is {value.words} the {item.names[0]}?")
    return way > 0 if item.type == "choice" else way >= 0


def _passage(at: Citation) -> Passage:
    return Passage(at.library, at.document, at.page, at.label, (), at.quote, at.start, at.end, 0.0)


def _placed(look: _Look, words: str, passages: Sequence[Passage], answer: str = "") -> tuple[Citation | None, bool]:
    """Return where the words that the model quoted are, else a sentence near them; and whether they were dropped."""
    citation, names = located(words, passages), look.required
    dropped = bool(words) and citation is None
    if names and (citation is None or not beside(names, citation, passages)):
        citation = next((at for name in names if (at := located(name, passages, sentence=True))), None)
    if citation is None and answer:
        citation = supported(answer, look.item.question, passages)
    elif citation is None:
        citation = next(iter(nearest(each.topic_of(look.item.question), passages)), None)
    return citation, dropped


def _holds(passages: Sequence[Passage], quote: Citation) -> bool:
    """Return whether passages hold the beginning of a quote."""
    return any(one.page == quote.page and one.start <= quote.start < one.end for one in passages)


def _strictly(found: Finding, tools: _Tools, question: str = "", passages: Sequence[Passage] = ()) -> Finding:
    """Return a finding as strict mode lets it pass: with a quote of the document, and its words supported by it."""
    sound = found.state == "found" and not found.dropped and found.citation is not None
    if not tools.strict or (sound and fact_checks.sound(found.answer, question, passages)):
        return found
    return replace(found, state="unsure", way="", answer="", value=None, citation=None, withheld=True)

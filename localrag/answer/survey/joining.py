"""The answers of many documents joined: counted, compared, sorted and told by code (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from localrag.answer.survey import quantities
from localrag.answer.survey.asking import Leaf
from localrag.answer.survey.leaf import LeafQuestion
from localrag.answer.survey.quantities import Quantity
from localrag.types import Citation

# Names of documents that a line lists; the table has them all.
_MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer in words, its citations, and the leaves in the order of the table."""

    text: str
    found: bool
    citations: tuple[Citation, ...]
    leaves: tuple[Leaf, ...]


def join(question: LeafQuestion, leaves: Sequence[Leaf], considered: int) -> Joined:
    """Tell what the leaves say together.

    Args:
        question: what each was asked, and what is to be done with the answers.
        leaves: of the documents asked, in the order of the table.
        considered: how many documents were to be asked; more than there are leaves where it was stopped.
    """
    if question.test is not None or question.order:
        return _measured(question, leaves, considered)
    yes = [leaf for leaf in leaves if leaf.found]
    no = [leaf for leaf in leaves if not leaf.found]
    citations = _numbered(yes)
    if not leaves and considered:
        return Joined(_asked(leaves, considered).strip(), False, (), ())
    lines = [_asked(leaves, considered) + _head(question, len(no if question.negated else yes), len(leaves))]
    if question.negated:
        lines += [f"- {leaf.name}" for leaf in no]
        lines += [f"It was found in: {_names(yes)}."] if yes else []
    else:
        lines += [_line(leaf, leaf.answer, citations) for leaf in yes]
        lines += [f"Nothing found in: {_names(no)}."] if no else []
    found = bool(no if question.negated else yes)
    return Joined("\n".join(lines), found, tuple(citations.values()), tuple(leaves))


def _head(question: LeafQuestion, count: int, asked: int) -> str:
    of = f"{count} of {_documents(asked, question.noun)}"
    if question.negated:
        return f"{of}: nothing was found that answers “{question.text}” with yes."
    if question.kind == "existence":
        return f"{of} answer “{question.text}” with yes."
    if question.kind == "fields":
        return f"{of} say something of {', '.join(question.columns)}."
    return f"{of} answer “{question.text}”."


def _asked(leaves: Sequence[Leaf], considered: int) -> str:
    """What comes before all else where it was stopped."""
    return f"{len(leaves)} of {_documents(considered, 'document')} were asked. " if len(leaves) < considered else ""


def _documents(count: int, noun: str) -> str:
    many = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{count} {noun if count == 1 else many}"


def _line(leaf: Leaf, text: str, citations: dict[int, Citation]) -> str:
    mark = f" [{citations[id(leaf)].marker}]" if id(leaf) in citations else ""
    return f"- {leaf.name}: {text}{mark}"


def _numbered(leaves: Sequence[Leaf]) -> dict[int, Citation]:
    """The leaves' citations, numbered in this order."""
    cited = [leaf for leaf in leaves if leaf.citation is not None]
    return {id(leaf): replace(leaf.citation, marker=n) for n, leaf in enumerate(cited, 1) if leaf.citation is not None}


def _names(leaves: Sequence[Leaf]) -> str:
    shown = ", ".join(leaf.name for leaf in leaves[:_MOST_NAMED])
    more = len(leaves) - _MOST_NAMED
    return f"{shown} and {more} more, listed in the table" if more > 0 else shown


# --- values that are compared -------------------------------------------------------------------------------


def _measured(question: LeafQuestion, leaves: Sequence[Leaf], considered: int) -> Joined:
    values = {id(leaf): value for leaf in leaves if leaf.found and (value := value_of(leaf)) is not None}
    kind = question.test.limit.kind if question.test else _commonest(list(values.values()))
    comparable = [leaf for leaf in leaves if id(leaf) in values and values[id(leaf)].kind == kind]
    least_first = question.order == "least"
    by_value: Callable[[Leaf], float] = lambda leaf: values[id(leaf)].value  # noqa: E731
    ordered = sorted(comparable, key=by_value, reverse=not least_first)
    test = question.test
    passing = [leaf for leaf in ordered if test is None or test.passes(values[id(leaf)])]
    citations = _numbered(passing)
    other = [leaf for leaf in leaves if leaf.found and leaf not in comparable]
    nothing = [leaf for leaf in leaves if not leaf.found]
    of = _documents(len(leaves), question.noun)
    if test is not None:
        head = f"{len(passing)} of {of}: {test.words}, asked as “{question.text}”"
    else:
        first = f"{ordered[0].name} comes first" if ordered else "None could be compared"
        head = f"{first}: {len(ordered)} of {of} could be compared, asked as “{question.text}”"
    lines = [_asked(leaves, considered) + head]
    lines += [_line(leaf, leaf.answer, citations) for leaf in passing]
    if failing := [leaf for leaf in ordered if leaf not in passing]:
        lines.append("Not within the limit: " + "; ".join(f"{leaf.name} ({leaf.answer})" for leaf in failing))
    if other:
        lines.append("Answered, but not comparable: " + "; ".join(f"{leaf.name} ({leaf.answer})" for leaf in other))
    lines += [f"Nothing found in: {_names(nothing)}."] if nothing else []
    table = [*passing, *failing, *other, *nothing] if question.order else list(leaves)
    return Joined("\n".join(lines), bool(passing), tuple(citations.values()), tuple(table))


def value_of(leaf: Leaf) -> Quantity | None:
    """The quantity of an answer, else of the words that it quotes."""
    return quantities.read(leaf.answer) or (quantities.read(leaf.citation.quote) if leaf.citation else None)


def _commonest(values: Sequence[Quantity]) -> tuple[str, str] | None:
    counted = Counter(value.kind for value in values)
    return counted.most_common(1)[0][0] if counted else None

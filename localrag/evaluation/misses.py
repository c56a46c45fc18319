"""What was missed, to be read by a person: the question, what was wanted, and what was found in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from localrag.api import Library
from localrag.errors import NotFoundError
from localrag.evaluation.runs import Row

DEPTH = 5
_SHOWN = 3  # passages found instead
_LONGEST = 300
# The finest that is known of a question decides whether it was missed.
_FINEST = ("evidence", "page", "documents", "document")


def missed(rows: Sequence[Row], depth: int = DEPTH) -> list[tuple[Row, str]]:
    """The questions that were not found by this depth, and at which level."""
    levels = [(row, next((level for level in _FINEST if level in row["ranks"]), "")) for row in rows]
    return [(row, level) for row, level in levels if level and not 0 < (row["ranks"][level] or 0) <= depth]


def page(rows: Sequence[Row], library: Library, depth: int = DEPTH) -> str:
    """A page of Markdown of what was missed."""
    found = missed(rows, depth)
    head = f"# {len(found)} of {len(rows)} questions missed\n\nNot among the first {depth}. Library: {library.name}\n"
    return head + "".join("\n" + "\n".join(_lines(row, level, library)) + "\n" for row, level in found)


def _lines(row: Row, level: str, library: Library) -> Iterator[str]:
    rank = row["ranks"][level]
    yield f"## {row['id']}\n"
    yield f"{_line(row['question'])}\n"
    yield (
        f"- {level}: " + (f"rank {rank}" if rank else "not found") + (f", {row['category']}" if row["category"] else "")
    )
    page_wanted = f", p. {row['page']}" if row["page"] is not None else ""
    yield "- wanted: " + "; ".join(f"{document}{page_wanted}" for document in row["documents"])
    if row.get("evidence"):
        covered = "" if row["coverage"] is None else f" ({100 * row['coverage']:.0f} % covered)"
        yield f"- evidence{covered}: {_line(row['evidence'])}"
    for number, passage in enumerate(row["passages"][:_SHOWN], 1):
        place = passage["document"] + (f", p. {passage['page']}" if passage["page"] is not None else "")
        yield f"- found {number}: {place}: {_line(_text(library, passage))}"


def survey_page(scores: Sequence[Mapping[str, Any]]) -> str:
    """A page of Markdown of the documents that surveys were wrong about (`surveys.score`), and what was quoted."""
    return "\n".join("\n".join(_survey_lines(one)) for one in scores)


def _survey_lines(one: Mapping[str, Any]) -> Iterator[str]:
    wrong = one.get("wrong", ())
    yield f"# {_line(one['question'])}\n"
    yield one["error"] if "error" in one else f"{len(wrong)} of {one['documents']} documents wrong."
    for row in wrong:
        yield f"\n## {row['document']}\n"
        sure = "" if row["likelihood"] is None else f", likelihood {row['likelihood']:.2f}"
        yield ("- missed" if row["label"] else "- wrong yes") + sure
        if row["quote"]:
            yield f"- {row['place']}: {_line(row['quote'])}"
    yield ""


def _text(library: Library, passage: Row) -> str:
    try:
        text = library.page_text(passage["document"], passage["page"])
    except NotFoundError:  # the result is of an earlier run, and the document is gone
        return "(not there any more)"
    return text[passage["start"] : passage["end"]]


def _line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST].rstrip()} …"

"""What code answers better than a model: count, find, spell, calculate. Pure, and exact.

Only questions that plainly ask for it are taken (`parse` returns None otherwise), so that a question about a document
is never answered by arithmetic on its words.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal, DivisionByZero, InvalidOperation, Overflow, localcontext
from typing import Literal

_QUOTED = r"[\"“'‘]([^\"”'’]{1,200})[\"”'’]"
_TERM = rf"(?:the (?:word|phrase|term|expression|name) )?(?:{_QUOTED}|(\S+))"
_COUNT = re.compile(
    rf"^how (?:often|many times) (?:does|do|is|are) {_TERM} (?:occur|appear|mentioned|used|come up)\b.*\?*$",
    re.I,
)
_FIND = re.compile(rf"^(?:find|where (?:does|do|is|are)) (?:every |all |the )?(?:occurrences? of )?{_QUOTED}"
                   r"(?: (?:occur|appear|mentioned|used))?\??$", re.I)  # fmt: skip
_LETTERS = re.compile(
    rf"^how many (?:letters? )?(?:{_QUOTED})?\s*([a-z])?(?:'?s)? (?:are|is) (?:there )?in (?:the word )?{_QUOTED}\??$",
    re.I,
)
_SUM = re.compile(r"^(?:what is|what's|calculate|compute|how much is)?\s*([\d\s.,()+*/×÷−^%-]+?)\s*=?\??$", re.I)


@dataclass(frozen=True, slots=True)
class ExactTask:
    """A question for code: what to do with which words (a term, a word and a letter, or an expression)."""

    kind: Literal["count", "find", "letters", "calculate"]
    term: str
    letter: str = ""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One place of a term: half-open code-point offsets into the text searched."""

    start: int
    end: int


def parse(question: str) -> ExactTask | None:
    """The task that a question plainly asks for, or None."""
    text = " ".join(question.split())
    if found := _LETTERS.match(text):
        letter = (found[1] or found[2] or "").strip()
        if len(letter) == 1:
            return ExactTask("letters", found[3], letter)
    if found := _COUNT.match(text):
        return ExactTask("count", (found[1] or found[2]).strip())
    if found := _FIND.match(text):
        return ExactTask("find", found[1].strip())
    if (found := _SUM.match(text)) and re.search(r"\d\)*(?:\s*[+*/×÷^%]\s*|\s+[−-]\s+)\(*\d", found[1]):
        try:
            calculate(found[1])
        except ValueError:
            return None
        return ExactTask("calculate", found[1].strip())
    return None


def occurrences(text: str, term: str) -> Iterator[Occurrence]:
    """Places of a whole word or phrase, whatever its case, its kind of quotes, and where its lines break."""
    words = [re.escape(word).replace("'", "['’]") for word in term.split()]
    if not words:
        return
    before, after = (r"(?<!\w)" if term[0].isalnum() else ""), (r"(?!\w)" if term[-1].isalnum() else "")
    for match in re.finditer(before + r"\s+".join(words) + after, text, re.I):
        yield Occurrence(match.start(), match.end())


def count_letter(word: str, letter: str) -> int:
    """How often a letter stands in a word, whatever its case."""
    return word.casefold().count(letter.casefold())


_OPERATIONS: dict[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Mod: operator.mod, ast.Pow: operator.pow,
}  # fmt: skip


def calculate(expression: str) -> Decimal:
    """The value of an arithmetic expression in decimal, 28 digits.

    Commas between digits are read as thousands separators. Nothing is executed: the expression is parsed, and only
    numbers, + - * / % ^ and brackets are evaluated.

    Raises:
        ValueError: it is no arithmetic expression, divides by zero, or grows beyond all measure.
    """
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", expression)
    plain = plain.translate(str.maketrans("×÷−", "*/-")).replace("^", "**")
    try:
        tree = ast.parse(plain.strip(), mode="eval")
        with localcontext() as context:
            context.prec = 28
            value = _value(tree.body, plain.strip())
    except (SyntaxError, DivisionByZero, InvalidOperation, Overflow, RecursionError, MemoryError) as error:
        raise ValueError(f"cannot calculate {expression!r}") from error
    if not value.is_finite():  # 0 to the power of -1
        raise ValueError(f"cannot calculate {expression!r}")
    return value


def _value(node: ast.expr, source: str) -> Decimal:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
        # From the text, since a float would already have lost digits.
        return Decimal(ast.get_source_segment(source, node) or str(node.value))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _value(node.operand, source)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        left, right = _value(node.left, source), _value(node.right, source)
        if isinstance(node.op, ast.Pow) and abs(right) > 1000:
            raise ValueError("the exponent is too large")
        return _OPERATIONS[type(node.op)](left, right)
    raise ValueError("only numbers and + - * / % ^ ( ) can be calculated")


def written(value: Decimal) -> str:
    """A number as people write it: thousands separated, no trailing zeros."""
    if not value:
        return "0"
    if abs(value.adjusted()) >= 28:  # more digits than are calculated with
        return str(value)
    rounded = value.quantize(Decimal(1)) if value == value.to_integral() else value.normalize()
    return f"{rounded:,f}"

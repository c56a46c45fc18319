"""Compare the size of the package with its budget: `[tool.localrag.budget]` in pyproject.toml.

    python release/budget.py                          compare; exit with 1 where something is over its number
    python release/budget.py --today                  print the section with today's numbers, to lower the budget
    python release/budget.py --reached MODULE         list the modules that importing MODULE can reach
    python release/budget.py --answers                list the places that build or rewrite an `Answer`

A room is a folder of `localrag/`, or `top` for the files beside the folders. Lines are counted as `wc -l` counts them:
of Python files, and of the .txt and .toml files that rules read. A room that needs more lines gets a higher number in
the commit that adds them, whose body gives the reason.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "localrag"
TOP = "top"  # the files beside the rooms
CODE = (PACKAGE, "tests", "benchmarks", "docs", "release")
KINDS = ("Python", "words")
TOTALS = {
    "python": "Python in all rooms",
    "words": "words in all rooms",
    "files": "Python files",
    "tests": "Python in tests/",
    "answers": "places that make an Answer",
}
REPLACE = ("replace", "dataclasses.replace")
UNFORMATTED = re.compile(r"#\s*fmt:\s*(skip|off)\b")


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(_read(path))


def _files(folder: Path, *suffixes: str) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in suffixes and "__pycache__" not in path.parts)


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _lines(paths: list[Path]) -> int:
    return sum(_read(path).count("\n") for path in paths)


def rooms(root: Path) -> dict[str, list[int]]:
    """Return the lines of Python and the lines of word files of each room."""
    package = root / PACKAGE
    found = {TOP: [_lines([*package.glob("*.py")]), _lines([*package.glob("*.toml"), *package.glob("*.txt")])]}
    for folder in sorted(path for path in package.iterdir() if path.is_dir() and _files(path, ".py")):
        found[folder.name] = [_lines(_files(folder, ".py")), _lines(_files(folder, ".txt", ".toml"))]
    return found


def counts(root: Path, budget: dict[str, Any]) -> dict[str, Any]:
    """Return today's number for each key of the budget."""
    found = rooms(root)
    return {
        "python": sum(python for python, _ in found.values()),
        "words": sum(words for _, words in found.values()),
        "files": len(_files(root / PACKAGE, ".py")),
        "tests": _lines(_files(root / "tests", ".py")),
        "answers": len(answers(root)),
        "reached": {module: len(reached(root, module)) for module in budget.get("reached", {})},
        "rooms": found,
    }


# --- modules that an import reaches -----------------------------------------------------------------------------


def reached(root: Path, start: str) -> list[str]:
    """Return the modules of the package that `start` imports, directly or through others, itself included.

    Imports inside functions count, and packages above an imported module, since importing it runs them. Imports for
    type checkers alone do not.
    """
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        path = _source(root, name)
        if name not in found and path is not None:
            found.add(name)
            waiting += [name.rpartition(".")[0], *_imports(path)]
    return sorted(found)


def _source(root: Path, module: str) -> Path | None:
    base = root.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    """Names that the file imports from the package. What follows `from X import` may be a module of X or not."""
    for node in _at_run_time(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Walk the tree without `if TYPE_CHECKING`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield from _at_run_time(child)


# --- places that build or rewrite an Answer ---------------------------------------------------------------------


def answers(root: Path) -> list[str]:
    """Return `file:line` of each call that builds an `Answer`, and of each `replace` on one.

    A `replace` is on an Answer if its object is called `answer` or `x.answer`, if it is a parameter or variable
    annotated `Answer`, if a field is set that no other class of the package has, or if the event `Answered` gets it.
    """
    paths = _files(root / PACKAGE, ".py")
    fields: dict[str, set[str]] = {"Answer": set()}
    for node in (node for path in paths for node in ast.walk(_tree(path)) if isinstance(node, ast.ClassDef)):
        annotated = {ast.unparse(each.target) for each in node.body if isinstance(each, ast.AnnAssign)}
        fields.setdefault(node.name, set()).update(annotated)
    own = fields.pop("Answer") - set().union(*fields.values())
    return [f"{_name(root, path)}:{line}" for path in paths for line in _makers(_tree(path), own, set())]


def _makers(node: ast.AST, own: set[str], known: set[str]) -> Iterator[int]:
    """Lines of the calls below a node; `known` are the names annotated `Answer` in the function around it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        known = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg) and _is_answer(each.annotation)}
        variables = (each for each in ast.walk(node) if isinstance(each, ast.AnnAssign))
        known |= {ast.unparse(each.target) for each in variables if _is_answer(each.annotation)}
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        changed = ast.unparse(node.args[0]) if node.args else ""
        named = changed in known or changed.rpartition(".")[2] == "answer"
        rewrites = called in REPLACE and (named or own & {each.arg for each in node.keywords})
        if called in ("Answer", "types.Answer") or rewrites:
            yield node.lineno
        elif called == "Answered" and changed.startswith("replace("):
            known = known | {changed.removeprefix("replace(").split(",")[0]}
    for child in ast.iter_child_nodes(node):
        yield from _makers(child, own, known)


def _is_answer(annotation: ast.expr | None) -> bool:
    return annotation is not None and "Answer" in re.split(r"\W+", ast.unparse(annotation))


# --- the report -------------------------------------------------------------------------------------------------


def unformatted(root: Path) -> list[str]:
    """Return `file:line` of each comment that keeps the formatter away."""
    paths = [path for folder in CODE for path in _files(root / folder, ".py")]
    lines = ((path, number, line) for path in paths for number, line in enumerate(_read(path).splitlines(), 1))
    return [f"{_name(root, path)}:{number}" for path, number, line in lines if UNFORMATTED.search(line)]


def rows(budget: dict[str, Any], today: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Yield what is counted, today's number, and the budget; a room without a number may have no lines."""
    for name in sorted(budget["rooms"].keys() | today["rooms"].keys()):
        numbers = today["rooms"].get(name, [0, 0]), budget["rooms"].get(name, [0, 0])
        for kind, found, most in zip(KINDS, *numbers, strict=True):
            if found or most:
                yield f"{name}, {kind}", found, most
    for name, about in TOTALS.items():
        yield about, today[name], budget[name]
    for module, most in budget["reached"].items():
        yield f"modules reached from {module}", today["reached"][module], most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, help="another checkout")
    parser.add_argument("--today", action="store_true", help="print the section of pyproject.toml with today's numbers")
    parser.add_argument("--reached", metavar="MODULE", help="list the modules that importing MODULE can reach")
    parser.add_argument("--answers", action="store_true", help="list the places that build or rewrite an Answer")
    options = parser.parse_args()
    root = options.root.resolve()
    if options.reached or options.answers:
        found = reached(root, options.reached) if options.reached else answers(root)
        print(*found, f"{len(found)} in all", sep="\n")
        return
    budget = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["localrag"]["budget"]
    today = counts(root, budget)
    if options.today:
        print("[tool.localrag.budget]")
        print(*(f"{name} = {today[name]}" for name in TOTALS), sep="\n")
        print("reached =", "{", ", ".join(f'"{module}" = {count}' for module, count in today["reached"].items()), "}")
        print("\n[tool.localrag.budget.rooms]")
        print(*(f"{name} = {lines}" for name, lines in today["rooms"].items()), sep="\n")
        return
    over = []
    print(f"{'':<44}{'today':>8}{'budget':>8}")
    for name, found, most in rows(budget, today):
        print(f"{name:<44}{found:>8,}{most:>8,}{found - most:>+8,}{'  over' if found > most else ''}")
        over += [name] if found > most else []
    over += [f"{place} keeps the formatter away" for place in unformatted(root)]
    if over:
        over += ["Delete something, or raise the number in pyproject.toml and say why."]
        sys.exit("\n".join(["over budget:", *over]))


if __name__ == "__main__":
    main()

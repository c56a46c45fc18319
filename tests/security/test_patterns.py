from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import signal
import time
import tomllib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from re import _compiler, _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import localrag
from localrag import quantities

pytestmark = pytest.mark.slow

ROOT = Path(localrag.__file__).parent
CALLS = ("compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn")
REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)
# A larger bound lets a pattern that begins everywhere do so many steps for each character.
LARGE = 600
ATOMS = [*' \na1.-_"“”([|\\<{漢', "a ", "1,", "| ", "|\n", "? ", "\r\n", "a\n", "<w:t "]
ENDS = ("\0", " \n")  # at neither of which what repeats can go on
LONG = 1_200
# A text four times as long takes four times as long in linear time, sixteen times in quadratic time.
MAX_GROWTH = 9.0
# Seconds of processor time that a quadratic pattern needs at least for LONG characters, tenfold.
FAST = 0.001
HOPELESS = 8.0
MAX_ATOMS, MAX_ATOMS_OF_QUESTION = 14, 4
# Modules that match a question, which its user types, or an answer that is judged. Both are short (tables and counts read
# at most 600 characters of a question), so cubic time passes, and more does not.
QUESTIONS = tuple(
    """answer.comparison answer.decomposition answer.exact_search answer.followups
    answer.table_qa.calculation cli evaluation question search tui.commands words.toml""".split()
)
SHORT_QUESTION, LONG_QUESTION, MAX_GROWTH_OF_QUESTION = 150, 600, 90.0

CLASSES: dict[str, list[str]] = {}
Found = dict[tuple[str | bytes, int, str], str]


# --- every pattern ------------------------------------------------------------------------------------------


def modules():
    for found in pkgutil.walk_packages(localrag.__path__, "localrag."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def held(value):
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, quantities._LazyPattern):
        yield re.compile(value.pattern, value.flags)
    elif isinstance(value, Mapping):
        yield from (pattern for one in value.values() for pattern in held(one))
    elif isinstance(value, (tuple, list)):
        yield from (pattern for one in value for pattern in held(one))


def how(used):
    """The method by which a pattern is used, of all with its name: "match" where it always begins at one place."""
    return "match" if used and used <= {"match", "fullmatch", "pattern"} and used != {"pattern"} else "finditer"


def uses(source):
    found: dict[str, set[str]] = defaultdict(set)
    for name, method in re.findall(r"\b(\w+)\.(\w+)\b", source):
        found[name].add(method)
    return found


def evaluated(node, module):
    """The value of an argument, with "x" for names that only a function knows; None where it has none."""
    local: dict[str, object] = {}
    for _ in range(20):
        try:
            return eval(compile(ast.Expression(node), "", "eval"), vars(module), local)
        except NameError as error:
            local[error.name] = "x"
        except Exception:
            return None
    return None


def of_calls(module, tree):
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.args):
            continue
        if not (isinstance(call.func.value, ast.Name) and call.func.value.id == "re" and call.func.attr in CALLS):
            continue
        name, pattern = call.func.attr, evaluated(call.args[0], module)
        given = [one.value for one in call.keywords if one.arg == "flags"]
        given += call.args[{"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(name, 2) :][:1]
        flags = evaluated(given[0], module) if given else 0
        if isinstance(pattern, (str, bytes)) and name != "compile":
            yield pattern, int(flags or 0), "match" if name in ("match", "fullmatch") else "finditer", call.lineno


def patterns():
    found: Found = {}
    sources = "\n".join(path.read_text() for path in ROOT.rglob("*.py"))
    everywhere = uses(sources)
    for module in modules():
        where = module.__name__.removeprefix("localrag.")
        own = Path(module.__file__).read_text()
        here = uses(own)
        for name, value in vars(module).items():
            for pattern in held(value):
                found.setdefault(
                    (pattern.pattern, pattern.flags & ~re.U, how((here if name.startswith("_") else everywhere)[name])),
                    f"{where}.{name}",
                )
            if name in ("_PATTERNS", "_LINES"):  # the lines of a file, compiled where they are needed or by `re.match`
                flags, use = (re.M, "finditer") if name == "_PATTERNS" else (re.I, "match")
                for line in texts(value):
                    found.setdefault((line, flags, use), f"{where}.{name}")
        for pattern, flags, use, line in of_calls(module, ast.parse(own)):
            found.setdefault((pattern, flags, use), f"{where}:{line}")
    for path in ROOT.rglob("*.toml"):
        for text in texts(tomllib.loads(path.read_text())):
            found.setdefault((text, re.I, "finditer"), path.name)
    everything = "\n".join(str(source) for source, _, _ in found)
    for name in re.findall(r'load_patterns\(\s*"[\w.]+",\s*"(\w+\.txt)"', sources):
        lines = [line for path in ROOT.rglob(name) for line in path.read_text().splitlines()]
        missed = [line for line in lines if line and line[0] not in "#[" and "{" not in line and " = " not in line]
        assert all(line in everything for line in missed), name
    return found


def texts(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for one in value.values() for text in texts(one))
    elif isinstance(value, (tuple, list)):
        yield from (text for one in value for text in texts(one))


# --- what each could be slow on -----------------------------------------------------------------------------


def samples(tree):
    made = [""]
    for op, value in tree:
        made = [before + after for before in made for after in of_node(op, value)][:8]
    return made


def of_node(op, value):
    if op is _constants.LITERAL:
        return [chr(value)]
    if op in (_constants.NOT_LITERAL, _constants.ANY, _constants.IN):
        return of_class(op, value)
    if op is _constants.BRANCH:
        return [text for branch in value[1] for text in samples(branch)[:2]][:8]
    if op is _constants.SUBPATTERN:
        return samples(value[3])
    if op is _constants.ATOMIC_GROUP:
        return samples(value)
    if op in REPEATS:
        return [text * max(1, min(value[0], 50)) for text in samples(value[2])] + ([""] if value[0] == 0 else [])
    return [""]


def of_class(op, value):
    key = f"{op} {value}"
    if key not in CLASSES:
        state = _parser.State()
        state.str = ""
        one = _compiler.compile(_parser.SubPattern(state, [(op, value)]), re.I)
        listed = [chr(item) for kind, item in value if kind is _constants.LITERAL] if op is _constants.IN else []
        CLASSES[key] = [sign for sign in [*' a1.-,\n|"“(_[A漢', *listed] if one.match(sign)][:6] or [""]
    return CLASSES[key]


def pumps(tree, before):
    """A beginning and an atom to repeat, for each part of a pattern that repeats without end."""
    for op, value in tree:
        if op in REPEATS:
            if value[1] >= LARGE:
                for body in samples(value[2])[:4]:
                    yield from (pair for head in before[:4] if body for pair in ((head, body), ("", head + body)))
            yield from pumps(value[2], before)
        elif op is _constants.BRANCH:
            for branch in value[1]:
                yield from pumps(branch, before)
        elif op is _constants.SUBPATTERN:
            yield from pumps(value[3], before)
        elif op is _constants.ATOMIC_GROUP:
            yield from pumps(value, before)
        elif op in (_constants.ASSERT, _constants.ASSERT_NOT):
            yield from pumps(value[1], before)
        before = [head + text for head in before for text in of_node(op, value)][:8]


# --- how it grows -------------------------------------------------------------------------------------------


def spent(pattern, use, head, atom, end, length):
    text: Any = head + atom * (length // len(atom)) + end
    if isinstance(pattern.pattern, bytes):
        text = text.encode("utf-8", "replace")
    began = time.thread_time()
    if use == "match":
        pattern.match(text)
    else:
        for _ in pattern.finditer(text):
            pass
    return time.thread_time() - began


def is_slow(pattern, use, head, atom, question):
    # First looked at short, where nothing takes long; what is bounded by some hundreds is linear beyond them.
    first, lengths = (LONG_QUESTION, (SHORT_QUESTION, LONG_QUESTION)) if question else (LONG, (2 * LONG, 8 * LONG))
    signal.setitimer(signal.ITIMER_VIRTUAL, HOPELESS)
    try:
        for end in ENDS:
            if spent(pattern, use, head, atom, end, first) > (10 if question else 1) * FAST:
                short, long = (min(spent(pattern, use, head, atom, end, one) for _ in range(3)) for one in lengths)
                if long > (MAX_GROWTH_OF_QUESTION if question else MAX_GROWTH) * short:
                    return True
        return False
    except TimeoutError:
        return True
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def slow(pattern, use, question):
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = _parser.parse(text, pattern.flags & ~re.U if isinstance(pattern.pattern, bytes) else pattern.flags)
    pairs = list(pumps(tree, [""]))
    if not pairs:
        return None  # each place where it begins costs at most a constant
    # The patterns of questions have thousands; so many are tried, evenly.
    most = MAX_ATOMS_OF_QUESTION if question else MAX_ATOMS
    pairs = pairs[:: 1 + len(pairs) // most] + [("", atom) for atom in ATOMS[: most // 2]]
    return next((pair for pair in dict.fromkeys(pairs) if is_slow(pattern, use, *pair, question)), None)


def _stop(number, frame):
    raise TimeoutError


@pytest.mark.proves("slow-text")
def test_no_pattern_takes_quadratic_time():
    previous = signal.signal(signal.SIGVTALRM, _stop)
    bad, seen = [], 0
    try:
        for (source, flags, use), where in patterns().items():
            try:
                pattern = re.compile(source, flags)
            except re.error:
                continue  # a sentence of a table of words
            seen += 1
            if found := slow(pattern, use, where.startswith(QUESTIONS)):
                bad.append(f"{where} ({use}): {source[:150]!r} on {found}")
    finally:
        signal.signal(signal.SIGVTALRM, previous)
    assert seen > 500
    assert not bad, f"{len(bad)} of {seen}:\n" + "\n".join(bad)

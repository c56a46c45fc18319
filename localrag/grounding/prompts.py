"""Build the prompts from the words in prompts.toml, within a token budget (pure).

Stable text comes first and the question last, so that the prompt cache of a document serves the next question too.
Tokens are counted with the function that the caller gives. Text of documents goes in as data: prompt injections are
left out (`prompt_injection.py`); that nothing in it acts as a special token is the chat template's part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, pairwise

from localrag.errors import UsageError
from localrag.grounding import prompt_injection
from localrag.quantities import load_words, phrases
from localrag.search.ranking import neighbours
from localrag.store.library import Library
from localrag.store.text_analysis import foreign
from localrag.text import clean
from localrag.types import Message, Passage, Turn

Count = Callable[[str], int]
_MARKER = re.compile(r"(?<!\s)\s*\[\d{1,3}\]")

MAX_INSTRUCTIONS = 600  # characters
WORDS = load_words("localrag.grounding", "prompts.toml")
NOT_FOUND: str = WORDS["not_found"]
STOPPED: str = WORDS["stopped"]
WITHHELD: str = WORDS["withheld"]
UNMEASURED: str = WORDS["unmeasured"]
UNCLEAR: str = WORDS["unclear"]  # above what an answer quotes that is not sure
PASSAGE_RULES: str = WORDS["rules"].format(what="passages")
DOCUMENT_RULES: str = WORDS["rules"].format(what="documents")
CHECK_OPTIONS = ("yes", "no")
KIND_OPTIONS = ("many", "one")
_FOLLOWUP_TURNS = 2
# Maximum tokens of an earlier question, and of its answer.
_FOLLOWUP_QUESTION, _FOLLOWUP_ANSWER = 48, 40
# The share of the prompt that earlier turns may take, and the part of it for turns in full.
_HISTORY_SHARE, _VERBATIM_SHARE = 0.25, 0.7
# Maximum tokens of the question and the answer of a shortened turn, and of sources it names.
_SHORT_QUESTION, _SHORT_ANSWER, _MAX_SOURCES = 40, 40, 2
# Tokens of a passage besides its text: its number, its place, blank lines.
_FRAME_TOKENS = 4
_GAP = 2  # characters between passages that follow each other, at most


@dataclass(frozen=True, slots=True)
class Fitted:
    """What fits a prompt: passages in the order given and their tokens, and the turns kept.

    `shown` are the passages with the text that the model reads, `pruned` where sentences are left out. `shortened`
    counts turns that are kept in a few words, `left_out` those that are not kept.
    """

    taken: tuple[Passage, ...]
    shown: tuple[Passage, ...]
    history: tuple[Turn, ...]
    tokens: int = 0
    shortened: int = 0
    left_out: int = 0
    pruned: bool = False


def fit(passages: Sequence[Passage], history: Sequence[Turn], budget: int, count: Count) -> Fitted:
    """Take passages, best first, while they fit the budget in tokens beside the conversation.

    The best passage is taken whatever its size, so that there is something to answer from. The latest turns are kept
    in full, those before them in a few words with their sources.
    """
    turns, shortened = _fitting_turns(history, int(budget * _HISTORY_SHARE), count)
    left = budget - sum(_turn_tokens(turn, count) for turn in turns)
    taken: list[Passage] = []
    used = 0
    for passage in passages:
        more = size(passage, count)
        if used + more <= left or not taken:
            taken.append(passage)
            used += more
    return Fitted(tuple(taken), tuple(taken), turns, used, shortened, len(history) - len(turns))


def size(passage: Passage, count: Count) -> int:
    """Return the tokens that a passage takes in a prompt."""
    return count(heading(passage)) + count(shown(passage)) + _FRAME_TOKENS


def passages_prompt(
    question: str,
    passages: Sequence[Passage],
    history: Sequence[Turn] = (),
    *,
    together: bool = False,
    pruned: bool = False,
    highlights: Sequence[Passage] = (),
) -> list[Message]:
    """Return the prompt of `retrieve`: rules, passages in reading order, earlier turns, question.

    A passage looks the same whatever its number and those before it, so that it needs to be read only once; one that
    goes on where the last ends is a part of the same block. `together` they are one text, which is read anew for each
    question (docs/decisions/0049-passage-cache.md); `pruned` ones have gaps, so each is a block. Of them, `highlights`
    come once more before the question.
    """
    blocks = tuple(map(_block, [[one] for one in passages] if pruned else runs(passages)))
    first, *later = [*_turns(history), Message("user", f"{again(highlights)}Question: {question}")]
    if together:
        text = "".join((WORDS["passages"], *chain.from_iterable(blocks)))
        return [Message("system", PASSAGE_RULES), replace(first, text=f"{text}\n\n{first.text}"), *later]
    first = replace(first, stable=(WORDS["passages"],), blocks=blocks, text=f"\n\n{first.text}")
    return [Message("system", PASSAGE_RULES), first, *later]


def again(highlights: Sequence[Passage]) -> str:
    """Return the most relevant sentences as they come once more before a question; empty without any."""
    shown_again = "".join(f"\n\n{heading(passage)}\n{shown(passage)}" for passage in highlights)
    return f"{WORDS['highlights']}{shown_again}\n\n" if highlights else ""


def runs(passages: Sequence[Passage]) -> list[list[Passage]]:
    """Return passages in reading order with those together that follow each other in a document."""
    found: list[list[Passage]] = []
    for passage in passages:
        if found and neighbours(found[-1][-1], passage, _GAP):
            found[-1].append(passage)
        else:
            found.append([passage])
    return found


def _block(run: Sequence[Passage]) -> tuple[str, ...]:
    """Return the parts of passages that follow each other, as one text under the heading of the first."""
    rest = ["\n" * (one.start > last.end) + one.text[max(0, last.end - one.start) :] for last, one in pairwise(run)]
    whole = "".join((run[0].text, *rest))
    if len(run) > 1 and prompt_injection.removed(whole) != whole:
        rest, run = [], [replace(run[0], text=whole)]
    return (f"\n\n{heading(run[0])}\n{shown(run[0])}", *filter(None, rest))


def documents_prompt(
    question: str, documents: Sequence[tuple[str, str]], history: Sequence[Turn] = ()
) -> list[Message]:
    """Return the prompt of `read`: rules and whole documents (name, text), then turns and question.

    Each document is a stable part, the first with the rules, so that its prompt cache serves with others behind it.
    """
    parts = [document_block(name, text) for name, text in documents]
    stable = (f"{DOCUMENT_RULES}\n\n{parts[0]}", *parts[1:])
    return [Message("system", "", stable=stable), *_turns(history), Message("user", f"Question: {question}")]


def document_block(name: str, text: str) -> str:
    """Return a whole document as a prompt shows it."""
    return f"Document: {named(name)}\n\n{prompt_injection.removed(text)}\n\n"


def check_prompt(messages: Sequence[Message]) -> list[Message]:
    """Return the same prompt asking whether it holds the answer; it differs only at its very end."""
    return [*messages[:-1], replace(messages[-1], tail=WORDS["check"].format(what=_what(messages)))]


def _what(messages: Sequence[Message]) -> str:
    return "documents" if any(message.stable and not message.blocks for message in messages) else "passages"


def worded(
    messages: Sequence[Message], instructions: str, short: bool = False, full: bool = False, question: str = ""
) -> list[Message]:
    """Return the same prompt with the wording of the answer behind the question: its length, language, instructions.

    The rules are in English, so a 1.5B model answers a German question in English unless it is asked otherwise.

    In front of the documents they would shift the answerability check: a 1.5B model told to "answer in German" says yes
    to more that is not there (docs/decisions/0033).
    """
    tail = WORDS["full"].format(what=_what(messages)) if full and not short else ""
    if instructions:
        tail += WORDS["instructed"].format(instructions=instructions)
    elif spoken := foreign(question):
        tail += WORDS["language"].format(language=spoken.capitalize())
    return [*messages[:-1], replace(messages[-1], tail=tail + (WORDS["short"] if short else ""))]


def kind_prompt(question: str) -> list[Message]:
    """Return the prompt that asks whether a question is about every document; see KIND_OPTIONS."""
    return [*_examples("kind"), Message("user", f"Question: {question}")]


def followup_prompt(question: str, history: Sequence[Turn], count: Count) -> list[Message]:
    """Return the prompt that completes a follow-up from the latest turns, shortened."""
    turns = "\n".join(
        f"Question: {_clipped(turn.question, _FOLLOWUP_QUESTION, count)}\n"
        f"Answer: {_clipped(turn.answer, _FOLLOWUP_ANSWER, count)}"
        for turn in history[-_FOLLOWUP_TURNS:]
    )
    return [*_examples("followup"), Message("user", f"{turns}\nFollow-up: {question}")]


def extractive_prompt(question: str, sentences: Sequence[Passage]) -> list[Message]:
    """Return the prompt that answers from one of these sentences; the examples before them are a stable part."""
    lines: list[str] = []
    for header, own in groupby(sentences, lambda one: one.header):
        lines += [prompt_injection.removed(header), *(" ".join(one.text.split()) for one in own)]
    return _behind_examples("extractive", "\n".join([*lines, "", f"Question: {question}"]))


def comparison_prompt(question: str, documents: str) -> list[Message]:
    """Return the prompt that takes a comparison apart, told the names of documents; its examples are a stable part."""
    return _behind_examples("comparison", f"Documents: {documents}\nQuestion: {question}")


def formula_prompt(question: str) -> list[Message]:
    """Return the prompt that writes the formula which a question asks for; its examples are a stable part."""
    return _behind_examples("formula", question)


def _behind_examples(task: str, asked: str) -> list[Message]:
    """Return a prompt behind the examples of a task, which are a stable part."""
    *examples, final = _examples(task)
    return [*examples, replace(final, text="", stable=(final.text,)), Message("user", asked)]


def _examples(task: str) -> list[Message]:
    """Return the rules of a task and its examples, laid out as a conversation."""
    return [Message("system", WORDS[task]["rules"]), *_turns([Turn(*pair) for pair in WORDS[task]["examples"]])]


def _clipped(text: str, most: int, count: Count) -> str:
    """Return the beginning of a text, on one line, of at most `most` tokens."""
    words = text.split()[:most]
    while len(words) > 1 and (size := count(" ".join(words))) > most:
        words = words[: min(len(words) - 1, len(words) * most // size)] or words[:1]
    return " ".join(words)


def heading(passage: Passage) -> str:
    """Return the name, place and headings of a passage, as the model reads them."""
    path = " › ".join(part for part in passage.heading[-2:] if not prompt_injection.in_name(part))
    place = passage.place if passage.page is not None or passage.unit == "mail" or passage.spot else ""
    if passage.unit == "page" and passage.page is not None:
        place = place.replace(" (printed ", " (")  # the model reads the form it was measured with
    return ", ".join(part for part in (named(passage.document), place, path) if part)


def named(name: str) -> str:
    """Return a document's name; of one that holds a prompt injection only the kind of file."""
    return name if not prompt_injection.in_name(name) else f"document.{name.rpartition('.')[2][:5]}"


def shown(passage: Passage) -> str:
    """Return the passage as the model reads it: table rows under their header, prompt injections left out."""
    return prompt_injection.removed(f"{passage.header}\n{passage.text}" if passage.header else passage.text)


def _turns(history: Sequence[Turn]) -> list[Message]:
    return [
        message for turn in history for message in (Message("user", turn.question), Message("assistant", turn.answer))
    ]


def _fitting_turns(history: Sequence[Turn], budget: int, count: Count) -> tuple[tuple[Turn, ...], int]:
    """Return the turns that fit, oldest first, and how many of them are shortened."""
    kept: list[Turn] = []
    verbatim, left = int(budget * _VERBATIM_SHARE), budget
    for whole in reversed(history):
        size = _turn_tokens(whole, count)
        turn = whole
        if size > verbatim:  # a few words, with the sources of the answer instead of citation numbers
            places = f" ({'; '.join(whole.sources[:_MAX_SOURCES])})" if whole.sources else ""
            answer = _clipped(_MARKER.sub("", whole.answer), _SHORT_ANSWER, count) + places
            turn = Turn(_clipped(whole.question, _SHORT_QUESTION, count), answer, whole.sources)
        verbatim -= size  # once a turn is shortened, so are all before it
        size = _turn_tokens(turn, count)
        if size > left:
            break
        left -= size
        kept.insert(0, turn)
    return tuple(kept), sum(turn not in history for turn in kept)


def _turn_tokens(turn: Turn, count: Count) -> int:
    return count(turn.question) + count(turn.answer) + 2 * _FRAME_TOKENS


(_SAYS_NOTHING,) = phrases("localrag.grounding", "prompts", "says_nothing")


def says_nothing(answer: str) -> bool:
    """Return whether an answer only says that the documents do not say."""
    return (bool(_SAYS_NOTHING.match(answer)) and len(answer) < 300) or answer.startswith(UNCLEAR)


def checked_instructions(text: str) -> str:
    """Return instructions on one line, without control characters."""
    text = " ".join(clean(text).split())
    if not text:
        hint = "Write some, such as 'Answer in German; cite clause numbers.', or remove them with --clear."
        raise UsageError("the instructions are empty", hint)
    if len(text) > MAX_INSTRUCTIONS:
        raise UsageError(
            f"the instructions have {len(text):,} characters, at most {MAX_INSTRUCTIONS} are read with a question",
            "Say how answers should be worded, in a few sentences. Put facts into a document instead.",
        )
    return text


def instructions_of(libraries: Sequence[Library]) -> str:
    """Return the wishes of the owners of these libraries, such as "Answer in German", each under its library's name.

    The model reads them behind the question and only where it writes, so they change neither what is searched nor
    whether the text holds the answer (docs/decisions/0033-instructions-and-conflicts.md). Survey rows ignore them.
    """
    given = [(library.name, library.instructions) for library in libraries if library.instructions]
    if len({text for _, text in given}) < 2 and len(given) in (0, len(libraries)):
        return given[0][1] if given else ""
    return " ".join(f"For documents of {name!r}: {text}" for name, text in given)

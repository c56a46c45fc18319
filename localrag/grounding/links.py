"""Find links and commands in an answer, and write links so that no program opens them.

A link is an address with a scheme, a host name, an e-mail address, the target of a Markdown link or image, an HTML tag.
Limits: host names are known by the most used endings, commands by their program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from localrag.quantities import lazy_re, load_patterns, load_words

_WORDS = load_words("localrag.grounding", "words.toml")["links"]
_ENDINGS, _PROGRAMS = ("|".join(_WORDS[name].split()) for name in ("endings", "programs"))
_SHELLS = frozenset(_WORDS["shells"].split())
_HOST = rf"(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?\.){{1,8}}(?:{_ENDINGS})(?![\w-])(?:\.(?!\w)|\b)"
_REST = r"[^\s<>\"“”|\\)\]】]{0,600}"
_LINK = lazy_re(
    rf"""(?P<scheme>(?<![A-Za-z0-9])(?:https?|ftps?|sftp|file|ssh|smb|wss?|ldaps?|data|javascript|vbscript|mailto|tel|sms
            |blob|about|chrome|ms-[a-z]{{2,20}}|intent|market):(?=[^\s]){_REST})
      | (?P<mail>(?<![\w.+-])[\w](?:[\w.+-]{{0,63}})@(?:[\w-]{{1,63}}\.){{1,8}}[A-Za-z]{{2,24}}(?![\w-]))
      | (?P<unc>\\\\[\w.-]{{2,60}}\\[\w$.-]{{1,60}})
      | (?P<host>(?<![\w@.-])(?://)?(?:www\.[\w-]{{1,63}}\.[\w.-]{{2,80}}|{_HOST})(?:[:/?\#]{_REST})?)""",
    re.X | re.I,
)
_TRAILING = ".,;:!?'’*_`"
_MARKDOWN = re.compile(r"(?P<image>!?)\[(?P<label>[^\]\n]{0,300})\]\(\s*<?(?P<target>[^)\s>]{1,600})>?[^)\n]{0,200}\)")
_REFERENCE = re.compile(r"^[ \t]{0,3}\[(?P<label>[^\]\n]{1,100})\]:[ \t]*", re.M)
_TAG = re.compile(
    r"<(?P<tag>/?(?:a|img|script|iframe|link|meta|svg|object|embed|form|input|button|style|video|audio|source|base|body|"
    r"html|area|map|picture|frame|details|math|image)(?![\w-])[^<>\n]{0,600})>?",
    re.I,
)
_COMMANDS = load_patterns("localrag.grounding", "commands.txt", programs=_PROGRAMS)["command"]
_COMMAND = lazy_re(rf"(?<![\w./-])(?:{'|'.join(_COMMANDS)})")
_PROMPTED = re.compile(
    r"^[ \t]*(?:\$(?![ \t]*[\d(])|PS [A-Z]:\\[^>\n]{0,80}>|[A-Z]:\\[^>\n]{0,80}>)[ \t]+\S[^\n`]{0,300}", re.M
)
_FENCE = re.compile(r"^[ \t]{0,3}(?:```+|~~~+)[ \t]*(?P<tongue>[\w+#-]{0,20})[^\n]{0,100}$", re.M)


@dataclass(frozen=True, slots=True)
class Found:
    """A link or a command in a text; half-open offsets."""

    start: int
    end: int
    text: str


def links(text: str) -> Iterator[Found]:
    """Yield everything in a text that a program may open, but targets of Markdown links (see `without_markup`)."""
    for match in _LINK.finditer(text):
        shown = match[0].rstrip(_TRAILING)
        ending = shown.rpartition(".")[2]
        run_on = match.lastgroup == "host" and ending.isalpha() and ending != ending.lower() and not ending.isupper()
        if len(shown) > 3 and not run_on:  # "the lease.It ends"
            yield Found(match.start(), match.start() + len(shown), shown)


def commands(text: str) -> Iterator[Found]:
    """Yield what a shell or an interpreter would run: lines, and blocks marked as code of such a kind."""
    fences = list(_FENCE.finditer(text))
    blocks = [
        (opening.end(), text[opening.end() : closing.start()].strip())
        for opening, closing in zip(fences[::2], fences[1::2], strict=False)
        if opening["tongue"].lower() in _SHELLS
    ]
    lines = (match for pattern in (_PROMPTED, _COMMAND) for match in pattern.finditer(text))
    shown_lines = ((match.start(), match[0].strip().rstrip(".,; \t")) for match in lines)
    taken: list[Found] = []
    for at, shown in chain(blocks, shown_lines):
        start = text.index(shown, at)
        end = start + len(shown)
        if shown and not any(one.start < end and start < one.end for one in taken):
            taken.append(Found(start, end, shown))
            yield taken[-1]


def is_in(found: str, text: str) -> bool:
    """Whether a link or command is in a text as a whole, in any case, with any line ends and scheme."""
    found, text = (re.sub(r"[\u00ad\u200b-\u200f\u2060\ufeff]", "", one.casefold()) for one in (found, text))
    wanted = re.sub(r"^(?:https?:)?//|^mailto:", "", found).removeprefix("www.").rstrip("/")
    # "bank.example" is not in "notmybank.example", nor in "bank.example.evil.test".
    whole = re.compile(rf"(?<![\w@-]){re.escape(wanted)}(?![\w@-]|[.?=&%#][\w%])")
    # A link may be broken at a line end.
    return bool(wanted) and any(map(whole.search, (text, re.sub(r"(?<=[/.?&=_-])\n\s*", "", text))))


def without_markup(text: str) -> str:
    """Return Markdown links, images and references and HTML tags as plain text, with their targets."""

    def spelled(match: re.Match[str]) -> str:
        label, target = match["label"].strip(), match["target"]
        if match["image"]:
            return f"(image “{label}”: {target})" if label else f"(image: {target})"
        if not re.search(r"[./:#?@]", target) or label.isdigit():
            return match[0]  # "paragraph [3](a)"
        return target if label in ("", target) else f"{label} ({target})"

    text = _REFERENCE.sub(r"\g<label>: ", _MARKDOWN.sub(spelled, text))
    return _TAG.sub(r"‹\g<tag>›", text)


def defang(link: str) -> str:
    """Write a link as no program opens it: "hxxps://host[.]example/path", "name[at]host[.]example"."""
    if link.startswith("\\\\"):
        return "[\\\\]" + link[2:]
    parts = re.fullmatch(r"([a-z][a-z\d+.-]*:)?(/*)([^/?#\\]*)(.*)", link, re.I | re.S)
    assert parts is not None
    scheme, lead, host, rest = parts.groups("")
    scheme = "hxxp" + scheme[4:] if scheme.lower().startswith("http") else scheme.replace(":", "[:]")
    return scheme + lead + re.sub(r"(?<!\[)\.(?!\])", "[.]", host).replace("@", "[at]") + rest

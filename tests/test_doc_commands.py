"""Every command in the documentation runs, or is marked with a reason; all fit the options of their command."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
import tiny_llamas
from docx import Document
from markdown_it import MarkdownIt
from reportlab.pdfgen.canvas import Canvas

from localrag.cli.app import localrag

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# <!-- not run: why -->, or <!-- not run `localrag models install`: why --> for the lines that begin so.
_MARK = re.compile(r"<!-- not run(?: `(?P<only>[^`]+)`)?: (?P<why>[^>]+?) -->")
_SHELL = ("sh", "bash", "console")


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a page shows it; `why_not` is the reason of its mark, empty if it is to be run."""

    page: str
    line: int
    text: str
    why_not: str = ""
    python: bool = False

    @property
    def words(self):
        return f"{self.page}:{self.line}: {self.text}"


def commands(page):
    found = []
    for marks, block in _blocks(page.read_text(encoding="utf-8")):
        first, language = (block.map or [0])[0] + 2, _language(block)
        if language == "python":
            found.append(_marked(page, first, block.content, marks, python=True))
        elif language in _SHELL:
            lines = _lines(block.content, language == "console")
            found += [_marked(page, first + index, line, marks) for index, line in lines]
    return found


def unseen(text):
    blocks = [block for _, block in _blocks(text) if _language(block) not in (*_SHELL, "python")]
    return [line for block in blocks for line in block.content.splitlines() if line.startswith("localrag ")]


def _blocks(text):
    marks = []
    for token in MarkdownIt().parse(text):
        if token.type == "html_block":
            marks += _MARK.finditer(token.content)
            continue
        if token.type in ("fence", "code_block"):
            yield marks, token
        marks = []


def _language(block):
    return block.info.split()[0] if block.info.strip() else ""


def _lines(block, console):
    first, text = 0, ""
    for index, line in enumerate(block.splitlines()):
        if console and not text:
            if not line.startswith("$ "):
                continue  # output
            line = line[2:]
        first = first if text else index
        text += line
        if text.endswith("\\"):
            text = text[:-1]
        elif text.strip() and not text.lstrip().startswith("#"):
            yield first, text.strip()
            text = ""
        else:
            text = ""


def _marked(page, line, text, marks, python=False):
    why = next((mark["why"] for mark in marks if not mark["only"] or text.startswith(mark["only"])), "")
    return Command(page.relative_to(ROOT).as_posix(), line, text, why, python)


EMBEDDER = "all-minilm-l6-v2"
# Random weights: what it writes is noise, but a command takes as long as it must without a model.
MODEL = "tiny"
TEMPLATE = "{% for one in messages %}{{ one.role }}: {{ one.content }}\n{% endfor %}assistant: "

# What a person would type at each prompt. Keys are pressed again where nothing follows: a program that turns to reading
# single keys drops what came a moment before.
_REPLIES = (
    (re.compile(rb"\[y/N\]: $|\[Y/n\]: $"), b"y\n", False),
    (re.compile(rb"(passphrase|Passphrase)[^\n]*: $|Once more: $"), b"five dull grey stones\n", False),
    (re.compile(rb"\x1b\[\?1049h"), b"\x11", True),  # the terminal app opened: Ctrl+Q
    (re.compile(rb"Question: $"), b":quit\n", False),
    (re.compile(rb"1, 2, =, s, q\? $"), b"1", True),  # the arena
    (re.compile(rb"Watching[^\n]*\r\n"), b"\x03", False),
)
_AGAIN = 1.0  # seconds


def run_at_terminal(text, folder, environ, patience=240.0):
    """Run a line of shell at a terminal of its own, answer what it asks, and return exit code and what it showed."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        ["bash", "-c", f"set -o pipefail; {text}"],
        cwd=folder,
        env=environ,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    shown, seen, end, key = b"", 0, time.monotonic() + patience, b""
    try:
        while time.monotonic() < end:
            if select.select([screen], [], [], _AGAIN)[0]:
                try:
                    data = os.read(screen, 65536)
                except OSError:  # Linux: the other side is closed
                    break
                if not data:
                    break
                shown += data
                for pattern, reply, again in _REPLIES:
                    if (found := pattern.search(shown, seen)) is not None:
                        seen, key = found.end(), reply if again else b""
                        os.write(screen, reply)
            elif process.poll() is not None:
                break
            elif key:
                os.write(screen, key)
        else:
            shown += b"\n(still running)"
        if process.poll() is None and time.monotonic() >= end:
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait(timeout=30), shown.decode("utf-8", "replace")
    finally:
        os.close(screen)


CLAUSES = (
    "Services Agreement between Acme Ltd and Harbour Trust",
    "1. Payment. The Customer shall pay each invoice within {days} days after receipt.",
    "2. Term. This Agreement begins on 1 March 2024 and ends on 28 February 2027.",
    "3. Termination for convenience. Either party may end this Agreement by giving {notice} months' written notice.",
    "4. Renewal. This Agreement renews automatically for one year unless a party objects 60 days before its end.",
    "5. Force majeure. No party is liable for a delay by force majeure, such as a pandemic.",
    "6. Liability. The Supplier's liability is limited to GBP 100,000 in each year.",
    "7. Governing law. This Agreement is governed by the law of England.",
)
INVOICE = """\
# Invoice INV-7

Vendor: Acme Ltd
Invoice date: 3 March 2025
Total: GBP 120.00

| Item | Quantity | Amount |
|---|---|---|
| Bolts | 10 | GBP 20.00 |
| Nuts | 50 | GBP 100.00 |
"""
PLAYBOOK = """\
title: Our positions on services agreements
items:
  - id: payment
    question: Within how many days must an invoice be paid?
    type: duration
    like: ["The Customer shall pay each invoice within thirty (30) days after receipt."]
    headings: [Payment]
    expect: {at_most: 45 days}
  - id: governing-law
    question: Which law governs the contract?
    expect: [England]
"""


MAIL = (
    "From: Jane Doe <jane@acme.example>\nTo: ann@trust.example\nSubject: Our offer\n"
    "Date: Tue, 20 Jun 2023 10:00:00 +0000\n\n"
    "We offer to do the work for GBP 12,000, on the delivery date of 1 August 2023.\n"
)
QUESTION = {
    "question": "Which law governs the contract?",
    "answer": "England",
    "doc": "contracts/msa.docx",
    "evidence": "governed by the law of England",
    "page": 1,
}
TEXTS = {
    "msa.yaml": PLAYBOOK,
    "question.txt": "When does the lease end?\n",
    "questions.txt": "When does the lease end?\n",
    "invoices/2025/invoice 7.md": INVOICE,
    "contracts/mail/offer.eml": MAIL,
    "qa.jsonl": "".join(json.dumps({"id": f"q{n}", **QUESTION}) + "\n" for n in (1, 2)),
}
# The days to pay and the months of notice in each agreement.
AGREEMENTS = {
    "contracts/lease.pdf": (30, 6),
    "contracts/old/lease-2019.pdf": (30, 9),
    "contracts/leases/unit 4.pdf": (30, 1),
    "contracts/msa.docx": (30, 3),
    "contracts/msa-v1.docx": (30, 3),
    "contracts/msa-v2.pdf": (60, 3),
    "contracts/acme-msa.pdf": (60, 3),
    "contracts/acme-nda.docx": (30, 6),
    "msa-v1.docx": (30, 3),
    "msa-v2.pdf": (60, 3),
    "base.docx": (30, 3),
    "theirs.docx": (60, 3),
    "ours.docx": (45, 6),
    "our-msa.docx": (30, 3),
}


def write_agreement(path, days, notice):
    clauses = [clause.format(days=days, notice=notice) for clause in CLAUSES]
    if path.suffix == ".pdf":
        canvas = Canvas(str(path))
        for index, clause in enumerate(clauses):
            canvas.drawString(40, 780 - 20 * index, clause)
        canvas.save()
        return
    document = Document()
    paragraphs = [document.add_paragraph(clause) for clause in clauses]
    if path.name == "msa.docx":
        document.add_comment(paragraphs[1].runs[0], text="Too early for us.", author="Jane Doe", initials="JD")
    document.save(str(path))


def lay_out(desk):
    contracts = ("amendment-no-1.pdf", "master-services-agreement.pdf", "Mutual NDA with Hesprin Laboratories.docx")
    copied = (*(f"contracts/{name}" for name in contracts), "people/employee-handbook.pdf")  # all would take longer
    (desk / "stick").mkdir()
    for name in (*AGREEMENTS, *TEXTS, *(f"examples/{each}" for each in copied)):
        (desk / name).parent.mkdir(parents=True, exist_ok=True)
    for name in copied:
        shutil.copy(ROOT / "examples" / name, desk / "examples" / name)
    questions = (ROOT / "examples" / "qa.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (desk / "examples" / "qa.jsonl").write_text("".join(line for line in questions if "amendment-no-1" in line))
    for name, numbers in AGREEMENTS.items():
        write_agreement(desk / name, *numbers)
    for name, text in TEXTS.items():
        (desk / name).write_text(text)


def environment(base, models):
    tools = base / "bin"
    tools.mkdir()
    (tools / "localrag").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m localrag "$@"\n')
    (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    home = base / "home"
    home.mkdir()
    shutil.copytree(models / EMBEDDER, base / "models" / EMBEDDER)  # a link would lead out of what processes may read
    (home / "models").symlink_to(base / "models", target_is_directory=True)
    tiny_llamas.full(base / f"{MODEL}.gguf", template=TEMPLATE)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOCALRAG_", "COLUMNS", "LINES"))}
    return kept | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "HOME": str(base),
        "LOCALRAG_HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "TERM": "xterm-256color",
        "LOCALRAG_KEEP_MODEL_MINUTES": "0",
        "LOCALRAG_ANSWER_TOKENS": "24",
        "PYTHONPATH": str(ROOT),
    }


EXAMPLES = [
    re.sub(r"\s+\([a-z ]+\)$", "", line)  # a remark
    for line in (ROOT / "localrag/cli/examples.txt").read_text(encoding="utf-8").splitlines()
    if line.startswith(("localrag ", "nano "))
]
ALL = {page: commands(page) for page in PAGES}
CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")
READING = ("localrag ask ", "localrag search ", "localrag chat ", "localrag doctor")  # once for all pages
TOOLS = ("jq", "strace", "sqlite3", "curl")  # .ci/run installs them


@dataclass(frozen=True)
class Desk:
    """A folder with documents and a home with a library of them; `reset` makes both as they were."""

    base: Path
    environ: dict[str, str]
    seen: set[str] = field(default_factory=set)

    def reset(self):
        for name in ("desk", "home"):
            shutil.rmtree(self.base / name, ignore_errors=True)
            shutil.copytree(self.base / "kept" / name, self.base / name, symlinks=True)

    def run(self, text):
        return run_at_terminal(text, self.base / "desk", self.environ)


@pytest.fixture(scope="module")
def desk(installed):
    with tempfile.TemporaryDirectory(prefix="lr") as folder:
        base = Path(folder)
        made = Desk(base, environment(base, installed))
        (base / "desk").mkdir()
        lay_out(base / "desk")
        for text in (
            f"localrag models import ../{MODEL}.gguf",
            "localrag ingest ./contracts",
            "localrag chat contracts --plain < questions.txt",  # a conversation to resume
        ):
            code, shown = made.run(text)
            assert code == 0, shown
        for name in ("desk", "home"):
            shutil.copytree(base / name, base / "kept" / name, symlinks=True)
        yield made


def to_run(page):
    return [one for one in ALL[page] if not one.why_not and not one.text.startswith("make ")]


def fails(desk, command):
    if not CI and any(re.search(rf"\b{tool}\b", command.text) and not shutil.which(tool) for tool in TOOLS):
        return ""
    if command.text.startswith(READING) and command.text in desk.seen:
        return ""
    desk.seen.add(command.text)
    text = f"python - <<'END'\n{command.text}\nEND" if command.python else command.text
    began = time.monotonic()
    code, shown = desk.run(text)
    print(f"{time.monotonic() - began:5.1f} s  {command.words}")
    return f"{command.words}\nexit code {code}\n{shown[-2000:]}" if code else ""


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("page", filter(to_run, PAGES), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_runs(desk, page):
    desk.reset()
    failed = [words for command in to_run(page) if (words := fails(desk, command))]
    assert not failed, "\n\n".join(failed)


def misfit(text):
    """Why a line does not fit the command line, or nothing. Files need not exist."""
    words = shlex.split(text, comments=True)
    words = words[words.index("localrag") + 1 :]
    end = next(
        (at for at, word in enumerate(words) if word in ("|", "||", "&&", ">", "<", ">>", ";") or word == "…"), None
    )
    words = words[:end]
    command = localrag
    context = click.Context(command, info_name="localrag")
    try:
        while isinstance(command, click.Group) and words and words[0] not in ("-h", "--help", "--version"):
            command.parse_args(context, words)
            _, found, words = command.resolve_command(context, [*context._protected_args, *context.args])
            command, context = found, click.Context(found, info_name=found.name, parent=context)
        if isinstance(command, click.Group):
            return ""
        given, rest, _ = command.make_parser(context).parse_args(args=list(words))
        if rest:
            return f"too many words: {rest}"
        for option in command.params:
            if isinstance(option.type, click.Choice) and (value := given.get(str(option.name))) is not None:
                option.type_cast_value(context, value)
    except click.UsageError as error:
        return error.format_message()
    return ""


def documented():
    for page, found in ALL.items():
        yield from ((one.words, one.text) for one in found if re.match(r"localrag \S", one.text))
        for text in re.findall(r"`(localrag [a-z]+(?: [^`\n]*)?)`", page.read_text(encoding="utf-8")):
            # Prose names an option without its value.
            yield f"{page.name}: {text}", re.sub(r"(?<= )--(out|report|verify)$", r"--\1 FILE", text)
    yield from ((f"examples.txt: {text}", text) for text in EXAMPLES if text.startswith("localrag "))


def test_every_documented_command_fits_its_options():
    found = list(documented())
    assert len(found) > 250
    assert [f"{place}: {why}" for place, text in found if (why := misfit(text))] == []


def test_a_wrong_command_is_found():
    for text in (
        "localrag aks 'When?'",
        "localrag ask 'When?' --libary contracts",
        "localrag ask When does it end",
        "localrag ask 'When?' --mode reed",
        "localrag vault encript contracts",
    ):
        assert misfit(text), text


def test_commands_stand_in_shell_blocks():
    """A command in another kind of block would be run by nobody."""
    for page in PAGES:
        assert page.name == "commands.md" or unseen(page.read_text(encoding="utf-8")) == [], page  # it is the help


def test_make_targets_in_the_documentation_exist():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = [one.text for found in ALL.values() for one in found if one.text.startswith("make ")]
    named = [word for text in made for word in shlex.split(text, comments=True)[1:]]
    assert named and set(named) <= targets


def test_a_command_that_fails_or_hangs_is_seen(tmp_path):
    environ = {"PATH": os.environ["PATH"]}
    assert run_at_terminal("false | true", tmp_path, environ)[0] == 1
    code, shown = run_at_terminal("printf 'Really? [y/N]: '; read answer; echo got $answer", tmp_path, environ)
    assert code == 0 and "got y" in shown
    assert run_at_terminal("sleep 60", tmp_path, environ, patience=0.5)[0] < 0

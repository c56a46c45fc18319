"""The commands of the documentation, and a desk with the files that they name, to run them at."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import tiny_llamas
from docx import Document
from markdown_it import MarkdownIt
from markdown_it.token import Token
from reportlab.pdfgen.canvas import Canvas

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
    def words(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


Marks = list[re.Match[str]]


def commands(page: Path) -> list[Command]:
    """Every line of the page's shell blocks, continued lines joined, and its Python blocks."""
    found = []
    for marks, block in _blocks(page.read_text(encoding="utf-8")):
        first, language = (block.map or [0])[0] + 2, _language(block)
        if language == "python":
            found.append(_marked(page, first, block.content, marks, python=True))
        elif language in _SHELL:
            lines = _lines(block.content, language == "console")
            found += [_marked(page, first + index, line, marks) for index, line in lines]
    return found


def unseen(text: str) -> list[str]:
    """Commands of localrag in blocks that are not the shell's."""
    blocks = [block for _, block in _blocks(text) if _language(block) not in (*_SHELL, "python")]
    return [line for block in blocks for line in block.content.splitlines() if line.startswith("localrag ")]


def idle_marks(text: str) -> list[str]:
    """Marks that apply to no command below them."""
    used = [
        mark.group()
        for marks, block in _blocks(text)
        for mark in marks
        if not mark["only"] or any(line.startswith(mark["only"]) for line in block.content.splitlines())
    ]
    remarks = "".join(token.content for token in MarkdownIt().parse(text) if token.type == "html_block")
    return [mark["only"] or "" for mark in _MARK.finditer(remarks) if mark.group() not in used]


def _blocks(text: str) -> Iterator[tuple[Marks, Token]]:
    """Each code block with the marks right before it."""
    marks: Marks = []
    for token in MarkdownIt().parse(text):
        if token.type == "html_block":
            marks += _MARK.finditer(token.content)
            continue
        if token.type in ("fence", "code_block"):
            yield marks, token
        marks = []


def _language(block: Token) -> str:
    return block.info.split()[0] if block.info.strip() else ""


def _lines(block: str, console: bool) -> Iterator[tuple[int, str]]:
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


def _marked(page: Path, line: int, text: str, marks: Marks, python: bool = False) -> Command:
    why = next((mark["why"] for mark in marks if not mark["only"] or text.startswith(mark["only"])), "")
    return Command(page.relative_to(ROOT).as_posix(), line, text, why, python)


# --- a terminal -------------------------------------------------------------------------------------------------

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


def run(text: str, folder: Path, environ: dict[str, str], patience: float = 240.0) -> tuple[int, str]:
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


# --- a desk -----------------------------------------------------------------------------------------------------

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


def _word(path: Path, days: int = 30, notice: int = 3) -> None:
    document = Document()
    for clause in CLAUSES:
        document.add_paragraph(clause.format(days=days, notice=notice))
    if path.name == "msa.docx":
        run = document.paragraphs[1].runs[0]
        document.add_comment(run, text="Too early for us.", author="Jane Doe", initials="JD")
    document.save(str(path))


def _pdf(path: Path, days: int = 30, notice: int = 3) -> None:
    canvas = Canvas(str(path))
    for index, clause in enumerate(CLAUSES):
        canvas.drawString(40, 780 - 20 * index, clause.format(days=days, notice=notice))
    canvas.save()


def lay_out(desk: Path) -> None:
    """Make the files that the documentation names, below `desk`."""
    for name in ("contracts/amendment-no-1.pdf", "people/employee-handbook.pdf"):  # all would take longer
        (desk / "examples" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "examples" / name, desk / "examples" / name)
    questions = (ROOT / "examples" / "qa.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (desk / "examples" / "qa.jsonl").write_text("".join(line for line in questions if "amendment-no-1" in line))
    contracts = desk / "contracts"
    for folder in ("leases", "old", "mail"):
        (contracts / folder).mkdir(parents=True)
    _pdf(contracts / "lease.pdf", notice=6)
    _pdf(contracts / "old" / "lease-2019.pdf", notice=9)
    _pdf(contracts / "leases" / "unit 4.pdf", notice=1)
    _word(contracts / "msa.docx")
    _word(contracts / "msa-v1.docx", days=30)
    _pdf(contracts / "msa-v2.pdf", days=60)
    _pdf(contracts / "acme-msa.pdf", days=60)
    _word(contracts / "acme-nda.docx", notice=6)
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Jane Doe <jane@acme.example>", "ann@trust.example", "Our offer"
    mail["Date"] = "Tue, 20 Jun 2023 10:00:00 +0000"
    mail.set_content("We offer to do the work for GBP 12,000, on the delivery date of 1 August 2023.")
    (contracts / "mail" / "offer.eml").write_bytes(bytes(mail))

    _word(desk / "msa-v1.docx")
    _pdf(desk / "msa-v2.pdf", days=60)
    for name, days, notice in (("base", 30, 3), ("theirs", 60, 3), ("ours", 45, 6)):
        _word(desk / f"{name}.docx", days, notice)
    (desk / "msa.yaml").write_text(PLAYBOOK)
    shutil.copy(desk / "base.docx", desk / "our-msa.docx")
    (desk / "question.txt").write_text("When does the lease end?\n")
    (desk / "questions.txt").write_text("When does the lease end?\n")
    (desk / "invoices" / "2025").mkdir(parents=True)
    (desk / "invoices" / "2025" / "invoice 7.md").write_text(INVOICE)
    rows = [
        {
            "id": f"q{n}",
            "question": "Which law governs the contract?",
            "answer": "England",
            "doc": "contracts/msa.docx",
            "evidence": "governed by the law of England",
            "page": 1,
            "answerable": True,
        }
        for n in (1, 2)
    ]
    (desk / "qa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def environment(base: Path, models: Path) -> dict[str, str]:
    """Variables for commands at the desk: a home of their own below `base`, with the models, and `localrag` on the path."""
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

"""Draws the pictures of the terminal app in `docs/pictures/`, by the app itself.

    make pictures                       draws them
    docs/pictures.py --check            writes nothing; names those that show other words than the app does now

The app runs over scripted answers (the fakes of its tests) about documents of `examples/`, so that a picture depends on
nothing but the code. A picture refers to nothing outside itself: the font is whatever monospaced one the reader has.
Its words are compared, not its bytes, since another version of the drawing library may place them otherwise.
"""

from __future__ import annotations

import asyncio
import html
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"
sys.path[:0] = [str(ROOT / "tests")]

from textual.pilot import Pilot  # noqa: E402
from tui import fakes, scenes  # noqa: E402
from tui.screen_text import ask, marked, see, until  # noqa: E402

from localrag.events import Answered, Event, Found, Planned, PromptRead, Surveyed  # noqa: E402
from localrag.security import offline  # noqa: E402
from localrag.types import Citation, Plan  # noqa: E402
from localrag.worker.engine import Shelved  # noqa: E402

MSA, LEASE = "contracts/master-services-agreement.pdf", "contracts/lease-corravane-wharf.pdf"
HANDBOOK = "people/employee-handbook.pdf"
QUESTION = "How much notice must the Trust give to end the agreement?"
NOTICE = (
    "The Trust may end this Agreement at any time after the first twelve months by giving at least 180 days' written "
    "notice."
)
# A font that would be fetched from the network, and an address.
_OUTSIDE = re.compile(r"@font-face\s*\{[^}]*\}\s*|<!--.*?-->\s*", re.S)
_TEXT = re.compile(r"<text[^>]*>([^<]*)</text>")


@dataclass(frozen=True)
class Picture:
    """What the app is run over, the size of its terminal, and the way to what is shown."""

    world: Callable[[], fakes.FakeWorld]
    size: tuple[int, int]
    before: Callable[[Pilot, fakes.FakeWorld], Awaitable[None]]
    options: dict[str, Any]


# --- what is asked, and what stands where -------------------------------------------------------------------


def page(document: str, number: int) -> str:
    """The text of a page of an example; later calls, and the app, find it among the pages of the fakes."""
    if (document, number) not in fakes.PAGES:
        import pypdfium2

        text = pypdfium2.PdfDocument(ROOT / "examples" / document)[number - 1].get_textpage().get_text_range()
        fakes.PAGES[(document, number)] = text.replace("\r\n", "\n")
    return fakes.PAGES[(document, number)]


def cited(document: str, number: int, words: str, marker: int) -> Citation:
    text = page(document, number)
    found = re.search(r"\s+".join(map(re.escape, words.split())), text)
    assert found, f"{words!r} does not stand on page {number} of {document}"
    return Citation("examples", document, number, None, f"p. {number}", found[0], *found.span(), marker)


def answer() -> tuple[Event, ...]:
    plan = Plan("retrieve", "a look-up in a long text")
    citations = (cited(MSA, 17, NOTICE, 1),)
    text = "At least 180 days' written notice, at any time after the first twelve months [1]."
    found = fakes.answered(text, plan=plan, citations=citations, model="qwen2.5-coder-1.5b-instruct")
    return Planned(plan), Found((fakes.passage("a"), fakes.passage("b"))), PromptRead(1204, 1204), found


SAID = (
    (MSA, 17, "180 days", NOTICE),
    (LEASE, 3, "nine months", "by giving at least nine months' written notice."),
    (HANDBOOK, 8, "two weeks", "During probation the notice period on either side is two weeks."),
)
SILENT = ("contracts/amendment-no-1.pdf", "contracts/rent-review-notice.txt", "finance/invoices-2025-q3.md")


def survey() -> tuple[Event, ...]:
    plan = Plan("survey", "the same question is put to each of 6 documents")
    blank = {
        "library": "examples",
        "document": "",
        "found": False,
        "answer": "",
        "place": "",
        "quote": "",
        "why_not": "not in it",
    }
    rows = []
    for number, (document, on, said, quote) in enumerate(SAID, 1):
        there = cited(document, on, quote, number)
        span = {"page": on, "start": there.start, "end": there.end}
        told = {"found": True, "answer": said, "place": there.place, "quote": there.quote, "why_not": ""}
        rows.append({**blank, "document": document, **told, **span})
    rows += [{**blank, "document": document} for document in SILENT]
    done = fakes.answered("3 of 6 documents answer “How much notice ends this?”.").answer
    done = replace(done, plan=plan, table=tuple(rows), citations=(), model="qwen2.5-coder-1.5b-instruct")
    return (Planned(plan), *(Surveyed(n, len(rows), row) for n, row in enumerate(rows, 1)), Answered(done))


def world(*script: Event) -> fakes.FakeWorld:
    """The examples as a library, with its documents in several states."""
    warm = {MSA: 31_200, "finance/invoices-2025-q3.md": 1_150}
    long = {MSA: 30_900, LEASE: 3_300, HANDBOOK: 24_800, "finance/invoices-2025-q3.md": 1_100}
    documents = sorted({*long, *SILENT, "board/minutes-2025-06-19.pdf", "policies/records-retention-schedule.md"})
    pages = {MSA: 41, LEASE: 4, HANDBOOK: 33}
    there = fakes.FakeLibrary(
        "examples",
        shelved=tuple(
            Shelved(fakes.shelved_document(one, pages=pages.get(one, 1)), long.get(one, 900), warm.get(one, 0))
            for one in documents
        ),
        roots=("examples",),
    )
    return fakes.FakeWorld(fakes.FakeAssistant(script or answer()), libraries={"examples": there})


# --- pictures -----------------------------------------------------------------------------------------------


async def answered(pilot: Pilot, world: fakes.FakeWorld) -> None:
    await see(pilot, "8 documents")
    await ask(pilot, QUESTION)
    await see(pilot, "1,204 tokens read")
    await pilot.press("tab")
    await until(pilot, lambda: "180 days" in marked(pilot.app))


async def library(pilot: Pilot, world: fakes.FakeWorld) -> None:
    await see(pilot, "8 documents")
    await pilot.press("f6")
    await see(pilot, "8 documents")
    await pilot.press("home", "down", "right", "down", "down", "space")
    await see(pilot, "Only 1 of 8")


async def table(pilot: Pilot, world: fakes.FakeWorld) -> None:
    await see(pilot, "8 documents")
    await ask(pilot, "How much notice ends each of these?")
    await see(pilot, "6 rows. Ctrl+T")
    await pilot.press("ctrl+t")
    await see(pilot, "document 1")
    await pilot.press("2")
    await see(pilot, "lowest first")
    await pilot.press("home", "down", "enter")
    await until(pilot, lambda: "180 days" in marked(pilot.app))


def of_scene(name: str, size: tuple[int, int]) -> Picture:
    """A picture of a state that the tests know."""
    found = scenes.SCENES[name]
    return Picture(found.world, size, found.before, dict(found.options))


PICTURES_OF = {
    "answer": Picture(world, (120, 30), answered, {}),
    "library": Picture(world, (100, 30), library, {}),
    "survey": Picture(lambda: world(*survey()), (140, 30), table, {}),
    "conversations": of_scene("sessions", (100, 24)),
    "settings": of_scene("settings", (100, 30)),
    "no-model": of_scene("no_model", (90, 24)),
    "light": Picture(world, (120, 30), answered, {"preferences": scenes.Usual(theme="light")}),
}


def drawn(name: str) -> str:
    """A picture as SVG."""
    picture = PICTURES_OF[name]

    async def draw() -> str:
        world = picture.world()
        app = world.app(**picture.options)
        async with app.run_test(size=picture.size) as pilot:
            await picture.before(pilot, world)
            await pilot.pause()
            return app.export_screenshot(title="localrag")

    return _OUTSIDE.sub("", asyncio.run(draw())) + "\n"


def words(svg: str) -> list[str]:
    """The words that a picture shows, in the order of its lines."""
    return html.unescape(" ".join(_TEXT.findall(svg))).replace("\xa0", " ").split()


def stale() -> Iterator[str]:
    """The names of pictures that show other words than the app does now."""
    for name in PICTURES_OF:
        file = PICTURES / f"{name}.svg"
        if not file.is_file() or words(file.read_text(encoding="utf-8")) != words(drawn(name)):
            yield name


def main() -> None:
    # Whether this machine refuses the network to the script is not what a picture is to show.
    offline.confined = lambda: True
    if "--check" in sys.argv[1:]:
        if old := list(stale()):
            sys.exit(f"stale: {', '.join(f'docs/pictures/{name}.svg' for name in old)}; run `make pictures`")
        return
    PICTURES.mkdir(exist_ok=True)
    for name in PICTURES_OF:
        (PICTURES / f"{name}.svg").write_text(drawn(name), encoding="utf-8")


if __name__ == "__main__":
    main()

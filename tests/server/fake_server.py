"""A server over a world of fakes, whose names and texts are hostile: `python -m server.fake_server FOLDER`.

What it answers is said by the first word of a question. It prints its address, with a code, and serves until killed.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_core as fakes
from fake_core import NOTICE, PAGE_12, FakeAssistant, FakeLibrary, FakeWorld, answered, citation, shelved_document
from tui import reviews, surveys

from localrag.errors import ModelError
from localrag.events import Delta, Failure, Planned, Replaced
from localrag.ingest.source_files import PagePicture
from localrag.items import playbook
from localrag.server import listening
from localrag.server.app import create_app
from localrag.server.guard import Access
from localrag.server.served import Served
from localrag.sessions import SessionStore
from localrag.settings import Settings
from localrag.types import Citation
from localrag.worker.engine import Entry

TOKEN = "a-token-for-tests-only"
SCRIPT, IMAGE = "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'
EVIL_NAME = f"contracts/{IMAGE}{SCRIPT}\u202efdp.exe.md"
LONG_NAME = f"contracts/{'Donaudampfschifffahrt' * 12}.pdf"
EVIL_TEXT = f"Clause {SCRIPT} says {IMAGE} and \u202ebackwards\u202c, javascript:alert(1).\n" + "x" * 3000
EVIL_QUOTE = f"{SCRIPT} says {IMAGE}"
EVIL_ANSWER = f"""# {SCRIPT}

**Bold** [a link](javascript:alert(1)) ![x](http://example.org/x.png) <http://example.org> {IMAGE} [1] [99]

- one {"y" * 400}
- two \u202e`{SCRIPT}`

<div onclick="alert(1)">html</div>
"""
# A grey page of 200 by 300 pixels, whose quote is boxed in its lower half.
PICTURE = PagePicture(200, 300, b"\xc8" * 180_000, ((0.1, 0.8, 0.9, 0.85),))
SLOW, HELD = 60, 10  # words, ten in a second; after the second number it waits where there is something to wait for


def evil_citation(marker=1):
    start = EVIL_TEXT.index(EVIL_QUOTE)
    return Citation(
        "contracts", EVIL_NAME, None, None, f"{SCRIPT} › x", EVIL_QUOTE, start, start + len(EVIL_QUOTE), marker
    )


class ByFirstWord(FakeAssistant):
    go: Path | None = None  # a slow answer waits until somebody makes this file, and takes it away
    said = ""

    def ask(self, question, *, stop=lambda: False, **how):
        if question.startswith("slow"):
            yield from self._slowly(question, stop)
            return
        self.scripts = [SCRIPTS.get(question.split()[0], fakes.SCRIPT)]
        yield from super().ask(question, stop=stop, **how)

    def _slowly(self, question, stop):
        yield Planned(fakes.PLAN)
        said = ""
        for number in range(SLOW):
            if number == HELD and self.go is not None:
                while not self.go.exists() and not stop():
                    time.sleep(0.01)
                self.go.unlink(missing_ok=True)
            if stop():
                break
            said += f"word{number} "
            yield Delta(f"word{number} ")
            self.said = said
            time.sleep(0.1 if number < HELD or self.go is None else 0)
        complete = said.endswith(f"word{SLOW - 1} ")
        yield answered(said, question=question, stopped=not complete, found=complete, citations=())


SCRIPTS: dict[str, Any] = {
    "evil": (
        Planned(replace(fakes.PLAN, reason=SCRIPT)),
        Delta(EVIL_ANSWER),
        answered(EVIL_ANSWER, citations=(evil_citation(),)),
    ),
    "survey": surveys.SCRIPT,
    "fail": (Planned(fakes.PLAN), ModelError(f"the model {SCRIPT} is gone", "Install one.")),
    "replaced": (
        Planned(fakes.PLAN),
        Delta("the first try"),
        Replaced("it was empty"),
        Delta("the second"),
        answered(),
    ),
    "unknown": (
        Planned(fakes.PLAN),
        answered("The documents do not say.", found=False, citations=(), nearest=(citation(marker=0),)),
    ),
}


def finding(one):
    evil = {"value": IMAGE, "note": SCRIPT} if one.item == "term" else {}
    items = dict(zip(("notice", "term", "non-compete"), playbook.load("nda").items, strict=False))
    return replace(one, item=items[one.item].id, **evil)


def world():
    names = ("contracts/msa.pdf", "contracts/lease.pdf", LONG_NAME)
    shelved = [Entry(shelved_document(name, pages=60), 900, 0) for name in names]
    shelved.append(Entry(shelved_document(EVIL_NAME, paged=False, title=SCRIPT), 1_900_000, 900, 1.0))
    failed = (Failure(f"contracts/{SCRIPT}.pdf", f"is damaged {IMAGE}", "x.pdf", "/docs"),)
    library = FakeLibrary("contracts", shelved=tuple(shelved), failed=failed, instructions=SCRIPT)
    fakes.PAGES[(EVIL_NAME, 0)] = EVIL_TEXT
    assert NOTICE in PAGE_12
    came = [replace(one, finding=finding(one.finding)) for one in reviews.came()]
    return FakeWorld(
        ByFirstWord(),
        libraries={"contracts": library},
        picture=PICTURE,
        review=[*came, reviews.ReviewEnded((), (reviews.LEFT,))],
    )


def served(folder, over=None):
    settings = Settings(home=folder)
    over = over or world()
    engine = fakes.FakeEngine(over)
    return Served(settings, engine, tuple(over.libraries)), SessionStore(folder / "sessions")


class Reused(Access):
    """One address lets in every browser of the tests."""

    def takes(self, code):
        return code == TOKEN


def in_one_loop(made):
    """Return an application that starlette's client keeps in one event loop, as jobs need."""

    async def app(scope, receive, send):
        if scope["type"] != "lifespan":
            await made(scope, receive, send)
        for moment in ("startup", "shutdown") * (scope["type"] == "lifespan"):
            await receive()
            await send({"type": f"lifespan.{moment}.complete"})

    return app


def main():
    listener = listening.bind(0)
    ByFirstWord.go = Path(sys.argv[1], "go")
    here, store = served(Path(sys.argv[1]))
    app = create_app(here, Reused(listener.hosts, TOKEN), store)
    print(f"{listener.address}/?code={TOKEN}", flush=True)
    listening.run(app, listener)


if __name__ == "__main__":
    main()

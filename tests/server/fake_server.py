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

from localrag.answer import overview
from localrag.errors import ModelError, NotFoundError
from localrag.events import Delta, Failure, Planned, Replaced
from localrag.ingest.source_files import PagePicture
from localrag.items import playbook
from localrag.server import listening
from localrag.server.app import create_app
from localrag.server.guard import Access
from localrag.server.served import Served
from localrag.sessions import SessionStore
from localrag.settings import Settings
from localrag.types import Citation, Fact
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


FACTS = (
    Fact("party", "Acme Ltd", "Acme Ltd", "Acme Ltd", "p. 1", 1, 0, 8),
    Fact("term", "P3Y", "three years", "a term of three years", "p. 2", 2, state="unclear", why=f"two fit {IMAGE}"),
    Fact("end", "2031-03-14", "14 March 2031", NOTICE, "p. 12", 12, PAGE_12.index(NOTICE), PAGE_12.index(NOTICE) + 9),
    Fact("fee", "100 EUR", "EUR 100", "EUR 100 a month", "p. 2", 2),
)
EVIL_FACT = Fact("party", SCRIPT, SCRIPT, EVIL_QUOTE, IMAGE, None, EVIL_TEXT.index(EVIL_QUOTE), state="unclear")


class FirstPage(fakes.FakeEngine):
    """Facts of two documents, which are decided of as in a library."""

    def __init__(self, world):
        super().__init__(world)
        self.facts = {"contracts/msa.pdf": list(FACTS), EVIL_NAME: [EVIL_FACT]}
        self.rejected = {}

    def overview(self, library, *, stop=lambda: False):
        held = self.world.libraries[library]
        listed = [each.document for each in held.entries()]
        documents = tuple(
            overview.DocumentFacts(
                *(library, one.path, one.title or one.path, "contract", "english", one.pages if one.paged else None),
                tuple(self.facts.get(one.path, ())),
                "contracts/msa.pdf" * (one.path == EVIL_NAME),
                "amends" * (one.path == EVIL_NAME),
            )
            for one in listed
        )
        timeline = tuple(event for own in documents for event in overview.events(own))
        asked = (f"When does {SCRIPT} end?",)
        more = {"kinds": {"contract": len(listed)}, "languages": {"english": 4}, "years": {"2031": 1}}
        return overview.Overview((library,), documents, held.failed, 1, timeline, asked, "2030-01-01", **more).to_dict()

    def decide_fact(self, library, document, fact, state, value=""):
        held = self.facts.get(document, [])
        for at, one in enumerate(held):
            if one.id == fact:
                said = replace(one, state=state, value=value or one.value, was=one.value * bool(value), by="anna")
                held[at : at + 1] = [said] * (state != "rejected")
                self.rejected |= {fact: (document, one)} if state == "rejected" else {}
                return said
        if fact in self.rejected and state == "sure":
            document, one = self.rejected.pop(fact)
            self.facts[document].append(one)
            return one
        raise NotFoundError(f"no fact is called {fact!r}", "Name one by its id: localrag overview")


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


def served(folder, over=None, uploads=None):
    settings = Settings(home=folder)
    over = over or world()
    engine = FirstPage(over)
    return Served(settings, engine, tuple(over.libraries), uploads=uploads or {}), SessionStore(folder / "sessions")


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
    uploads = {"contracts": Path(sys.argv[2])} if len(sys.argv) > 2 else {}
    here, store = served(Path(sys.argv[1]), uploads=uploads)
    app = create_app(here, Reused(listener.hosts, TOKEN, bool(uploads)), store)
    print(f"{listener.address}/?code={TOKEN}", flush=True)
    listening.run(app, listener, lambda head: True)


if __name__ == "__main__":
    main()

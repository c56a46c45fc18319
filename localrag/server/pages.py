"""The pages for a browser: ask and read as in the terminal app, with the page of a source beside the answer.

Every page works without its script: a question is then answered by the page that follows. With it, `part` in an address
asks for one panel alone, and /jobs/JOB/events sends what an answer or review under way does.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.grounding.annotations import planned
from localrag.ingest.source_files import SOUNDS, PagePicture
from localrag.items import playbook
from localrag.search import filters
from localrag.search.filters import mentioned
from localrag.security.terminal import counted, visible
from localrag.server import showing
from localrag.server.exchange import FactDecision, as_type, decide_fact, record, while_there
from localrag.server.guard import UPLOAD, client_of
from localrag.server.jobs import Asked, Job, Jobs, Reviewing, news
from localrag.server.served import FairQueue, Served, check_length
from localrag.server.showing import link, render
from localrag.server.uploads import Adding, save
from localrag.sessions import Session, SessionStore, store_of
from localrag.sessions import export as exports
from localrag.sessions.export import binder, reports
from localrag.sessions.session_store import Searched, answer_settings
from localrag.types import EVERYTHING, Decision, Filter, Mode
from localrag.worker import branches
from localrag.worker.engine import Contents

MODE_NAMES: dict[Mode, str] = {
    "auto": "automatic",
    "retrieve": "look up passages",
    "read": "read whole",
    "survey": "ask each document",
    "exact": "count, find, list",
    "extract": "fill a table of fields",
}
WAIT = 120.0  # seconds that a page without a script waits for an answer
PAUSE = 0.1  # seconds between two events of a job
_ALIVE = 15.0  # seconds between signs of life
_MAX_HITS = 200
_MAX_PICTURES = 16
_MAX_LISTED = 5000  # documents
_SOUND_PART = 1 << 20  # bytes
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")


def routes(served: Served, turns: FairQueue, store: SessionStore | None = None) -> list[BaseRoute]:
    """Return the routes of the pages; `store` has the conversations."""
    pages = Pages(served, turns, store or store_of(served.settings))
    return [
        Route("/", pages.home),
        Route("/ask", pages.ask, methods=["POST"]),
        Route("/c/{session}", pages.conversation),
        Route("/c/{session}/export", pages.export),
        Route("/conversations", pages.conversations),
        Route("/conversations", pages.change, methods=["POST"]),
        Route("/jobs/{job}/events", pages.events),
        Route("/jobs/{job}/stop", pages.stop, methods=["POST"]),
        Route("/review", pages.reviews),
        Route("/review", pages.begin_review, methods=["POST"]),
        Route("/review/{job}", pages.review),
        Route("/review/{job}", pages.decide, methods=["POST"]),
        Route("/overview", pages.overviews),
        Route("/overview/{library}", pages.overview),
        Route("/overview/{library}", pages.decide_fact, methods=["POST"]),
        Route("/proofread/{name:path}", pages.proofread),
        Route(f"{UPLOAD}{{library}}", pages.upload, methods=["POST"]),
        Route("/image", pages.image),
        Route("/boxes", pages.boxes),
        Route("/sound", pages.sound),
        Mount("/static", StaticFiles(directory=showing.HERE / "static")),
    ]


def values_of(query: str) -> list[tuple[str, str]]:
    """Return names and values of a query or form; names of documents may hold any bytes."""
    return parse_qsl(query, keep_blank_values=True, errors="surrogateescape")


def number(text: str | None) -> int | None:
    """Return a number of an address, or None. Raises UsageError for what is none."""
    if text in (None, ""):
        return None
    if not str(text).isascii() or not str(text).isdigit() or len(str(text)) > 9:
        raise UsageError(f"{text!r:.40} is no number", "Follow a link of the page.")
    return int(str(text))


class Pages:
    """The handlers, and what they share."""

    def __init__(self, served: Served, turns: FairQueue, store: SessionStore) -> None:
        self._served, self._turns, self._store = served, turns, store
        self._jobs = Jobs()
        self._pictures: OrderedDict[str, tuple[bytes, PagePicture]] = OrderedDict()
        self._drawing = asyncio.Lock()
        self._loading: asyncio.Task[None] | None = None

    async def home(self, request: Request) -> Response:
        if self._loading is None:  # a question is likely to follow
            self._loading = asyncio.create_task(self._load())
        return await self._page(request, None)

    async def _load(self) -> None:
        with suppress(LocalragError, OSError):  # the question meets it again
            async with self._turns.turn("loading"):
                await self._served.call("load")

    async def conversation(self, request: Request) -> Response:
        session = await self._session(request.path_params["session"])
        job = self._jobs.of(session.id)
        if job is not None and "wait" in request.query_params:
            await _ended(job, request)
        return await self._page(request, session)

    async def _page(self, request: Request, session: Session | None) -> Response:
        base = f"/c/{session.id}" if session is not None else "/"
        query = dict(values_of(request.url.query))
        source = await self._source(request, query, base, partial(showing.cited, session) if session else None)
        if query.get("part") == "source":
            return HTMLResponse(source)
        job = self._jobs.of(session.id) if session is not None else None
        if session is not None and job is None:  # the answer may have come since it was read
            session = await self._session(session.id)
        given: dict[str, Any] = {"turns": [], "titled": False, "narrowed": ""}
        if session is not None:
            for n, one in enumerate(session.turns, 1):
                under_way = job if job is not None and n == job.number else None
                given["turns"].append(showing.turn_html(session, n, one, under_way))
            begun = " ".join(session.turns[0].question.split()) if session.turns else ""
            given["titled"] = not begun.startswith(session.title.rstrip("…"))  # not by its first question
            given["narrowed"] = filters.described(replace(session.only, these=()))
        panel, there = await self._panel(base, set(session.only.these) if session is not None else set())
        if query.get("part") == "library":
            return HTMLResponse(panel)
        given |= {"session": session, "base": base, "source": source, "panel": panel, "libraries": there}
        return HTMLResponse(
            render("chat.html", **given, modes=MODE_NAMES, forms=exports.NAMES, served=self._served.libraries)
        )

    async def _panel(self, base: str, ticked: set[branches.Name]) -> tuple[Markup, list[str]]:
        """Return the panel of the library, and the libraries that are still there."""
        held, problems, there = await self._contents()
        tops = branches.build(held) if held else []
        count = sum(len(one.documents) for one in held)
        if count > _MAX_LISTED:
            problems.append(f"{count:,} documents are too many to list here. Name one in a question: @name")
            tops = []
        warm = sum(top.warm for top in tops)
        about = counted(count, "document") + (f", {warm:,} warm" if warm else "")
        given: dict[str, Any] = {"tops": tops, "ticked": ticked, "base": base, "about": about, "problems": problems}
        given["uploads"] = {name: f"{UPLOAD}{quote(name)}" for name in self._served.uploads if name in there}
        return render("library.html", **given, libraries=held, playbooks=playbook.names()), there

    async def _contents(self) -> tuple[list[Contents], list[str], list[str]]:
        """Return what the libraries hold, why some are not among them, and those that are still there."""
        held, problems, there = [], [], list(self._served.libraries)
        for name in self._served.libraries:
            try:
                held.append(await self._served.call("contents", name))
            except NotFoundError:
                there.remove(name)
                problems.append(f"The library {name} is not there any more.")
            except LocalragError as error:
                problems.append(f"{name}: {error.message}. {showing.hint_of(error)}")
        return held, problems, there

    async def _session(self, session_id: str) -> Session:
        """Return a conversation of the libraries that are served. Raises NotFoundError for another."""
        session = await asyncio.to_thread(self._store.load, session_id)
        if not self._may_see(session.libraries):
            raise NotFoundError(f"there is no conversation {session_id!r}", "It may have been deleted.")
        return session

    def _may_see(self, libraries: Sequence[str]) -> bool:
        return bool(libraries) and set(libraries) <= set(self._served.libraries)

    async def conversations(self, request: Request) -> Response:
        words = request.query_params.get("find", "").strip()
        listed = [one for one in await asyncio.to_thread(self._store.list) if self._may_see(one.libraries)]
        hits = []
        if words:
            seen = {one.id for one in listed}
            kept = [one for one in await asyncio.to_thread(self._store.all) if one.id in seen]
            hits = (await asyncio.to_thread(Searched(kept).find, words))[:_MAX_HITS]
        return HTMLResponse(render("conversations.html", listed=listed, hits=hits, find=words))

    async def change(self, request: Request) -> Response:
        """Rename a conversation, or begin a copy of it."""
        form = dict(await _values(request))
        session = await self._session(form.get("session", ""))
        if "branch" in form:
            made = await asyncio.to_thread(self._store.branch, session.id, number(form["branch"]))
            return RedirectResponse(f"/c/{made.id}", 303)
        await asyncio.to_thread(self._store.retitle, session.id, form.get("title", ""))
        return RedirectResponse("/conversations", 303)

    async def export(self, request: Request) -> Response:
        session = await self._session(request.path_params["session"])
        form = request.query_params.get("form", "md")
        if form not in exports.FORMS:
            raise UsageError(f"there is no format {form!r:.40}", f"Formats: {', '.join(exports.FORMS)}.")
        record = self._store.record_of(*session.libraries)
        bind = partial(binder.pdf, engine=self._served.engine)
        data = await asyncio.to_thread(exports.exported, session, form, record, "a browser", bind=bind)
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(exports.file_name(session, form))}"}
        return Response(data, media_type="application/octet-stream", headers=headers)

    async def ask(self, request: Request) -> Response:
        values = await _values(request)
        form = dict(values)
        session, question, only = await self._asked(form, values)
        if self._jobs.of(session.id) is not None:
            raise UsageError("the answer before this question is still coming", "Stop it, or wait for it.")
        await record(self._served, request, "ask", session.libraries)
        session = await asyncio.to_thread(self._store.ask, session, question)
        job = Asked(self._served, self._store, session, question, only, "again" in form)
        self._jobs.add(job)
        job.start(self._turns, client_of(request))
        if "application/json" not in request.headers.get("accept", ""):
            return RedirectResponse(f"/c/{session.id}?wait=1#t{job.number}", 303)
        html = showing.turn_html(session, job.number, session.turns[-1], job)
        return JSONResponse({"url": f"/c/{session.id}", "title": visible(session.title), "html": html})

    async def _asked(self, form: dict[str, str], values: Sequence[tuple[str, str]]) -> tuple[Session, str, Filter]:
        """Return the conversation with the scope of its next questions, the question, and what it alone is asked of."""
        question, mode = form.get("question", "").strip(), form.get("mode", "auto")
        if not question:
            raise UsageError("there is no question", "Type one.")
        check_length(question)
        if mode not in MODE_NAMES:
            raise UsageError(f"there is no mode {mode!r:.40}", f"Modes: {', '.join(MODE_NAMES)}.")
        libraries, ticked = self._chosen(values)
        if session_id := form.get("session"):
            session = await self._session(session_id)
        else:
            session = self._store.new(libraries, settings=answer_settings(self._served.settings, ""))
        only = now = replace(session.only, these=ticked)
        if mode == "extract":
            from localrag.items import schema

            schema.parse(question)
        if "@" in question:
            held = [await self._served.call("contents", library) for library in libraries]
            known = [(each.library, one.document.path) for each in held for one in each.documents]
            question, named = mentioned(question, known, drop=mode == "extract")
            if named:
                now = replace(only, documents=(), these=named)
        return replace(session, libraries=libraries, only=only, mode=mode), question, now

    def _chosen(self, values: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[branches.Name, ...]]:
        """Return the libraries and documents that are ticked. Raises UsageError where no library is."""
        libraries = [value for name, value in values if name == "library"]
        if not libraries:
            raise UsageError("no library is ticked", "Tick one below the question.")
        # Their names are written by `showing.name_of`.
        names = [unquote(value, errors="surrogateescape").partition("/") for name, value in values if name == "tick"]
        ticked = tuple(dict.fromkeys((library, document) for library, _, document in names))
        self._served.check([library for library, _ in ticked])
        return self._served.check(libraries), ticked

    async def events(self, request: Request) -> Response:
        job = self._job(request)
        if isinstance(job, Adding):
            stream = self._adding_events(job)
        else:
            stream = self._asked_events(job) if isinstance(job, Asked) else self._review_events(job)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def _asked_events(self, job: Asked) -> AsyncIterator[str]:
        sent = _Sent()
        async with aclosing(news(job, PAUSE, _ALIVE)) as changes:
            async for changed in changes:
                if not job.ended:
                    yield _event("news", sent.since(job)) if changed else ": still here\n\n"
        session = job.session
        try:
            session = await self._session(session.id)
        except LocalragError as error:  # deleted meanwhile, or the disk is full
            job.error = job.error or error
        saved = session.turns[job.number - 1] if job.number <= len(session.turns) else job.session.turns[-1]
        saved = saved if saved.answer is not None else replace(saved, answer=job.answer)
        yield _event("ended", {"html": showing.turn_html(session, job.number, saved, job)})

    async def upload(self, request: Request) -> Response:
        """Save a file in the folder of a library, and begin to read it."""
        (library,) = self._served.check([request.path_params["library"]])
        if (folder := self._served.uploads.get(library)) is None:
            hint = "Who runs the server allows it with --upload."
            raise UsageError(f"no files may be added to {library!r} here", hint)
        await record(self._served, request, "upload", (library,))
        path = await save(folder, request.query_params.get("name", ""), request.stream())
        job = Adding(self._served, library, path)
        self._jobs.add(job)
        job.start(self._turns, client_of(request))
        return JSONResponse({"job": job.id})

    async def _adding_events(self, job: Adding) -> AsyncIterator[str]:
        async with aclosing(news(job, PAUSE, _ALIVE)) as changes:
            async for changed in changes:
                yield _event("news", showing.state_of(job)) if changed else ": still here\n\n"
        failed = f"{job.path.name} was saved, and not read: {job.error.message}." if job.error is not None else ""
        yield _event("ended", {"text": visible(failed or job.outcome)})

    async def stop(self, request: Request) -> Response:
        job = self._job(request)
        job.stop()
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({})
        with job.looked_at():
            await job.newer(1 << 60, WAIT)
        review = f"/review/{job.id}" if isinstance(job, Reviewing) else "/"
        to = f"/c/{job.session.id}#t{job.number}" if isinstance(job, Asked) else review
        return RedirectResponse(to, 303)

    def _job(self, request: Request) -> Any:
        if (job := self._jobs.get(request.path_params["job"])) is None:
            hint = "Open the conversation again. A review that is begun again goes on from what was found."
            raise NotFoundError("this answer or review is over", hint)
        return job

    async def _source(
        self, request: Request, query: dict[str, str], base: str, cited: Callable[[str], showing.Cited] | None
    ) -> Markup:
        """Return the panel of the source that an address asks for, empty if none; `cited` finds a citation."""
        try:
            if cited is not None and "source" in query:
                return await self._shown(request, query, base, cited(query["source"]))
            return await self._shown(request, query, base) if "read" in query else Markup("")
        except LocalragError as error:
            return render("source.html", error=error, close=base)

    async def _shown(
        self, request: Request, query: dict[str, str], base: str, shown: showing.Cited | None = None
    ) -> Markup:
        """Return the page of a citation, or of the document that the address names."""
        library, _, document = query.get("read", "").partition("/")
        wanted = number(query.get("page"))
        if shown is not None:
            library, document = shown.citation.library, shown.citation.document
            wanted = shown.citation.page if wanted is None else wanted
        self._served.check([library])
        await record(self._served, request, "page", (library,))
        opened = await self._served.call("page", library, document, wanted)
        if shown is None and "mark" in query:
            shown = showing.marked(opened, library, *_span(query["mark"]))
        width, zoom = number(query.get("width")) or showing.PICTURE_WIDTH, number(query.get("zoom")) or 100
        return showing.source_html(opened, library, shown, base, number(query.get("at")), width, zoom)

    async def image(self, request: Request) -> Response:
        data, _ = await self._picture(request)
        return Response(data, media_type="image/png")

    async def boxes(self, request: Request) -> Response:
        """Where the quote is in a picture, in fractions of its width and height."""
        try:
            _, picture = await self._picture(request)
        except LocalragError as error:
            return JSONResponse({"problem": f"No picture of this page: {visible(error.message)}."})
        return JSONResponse({"boxes": picture.boxes, "width": picture.width, "height": picture.height})

    async def sound(self, request: Request) -> Response:
        """A recording, or the range of it that a player asks for."""
        library, _, document = dict(values_of(request.url.query)).get("read", "").partition("/")
        self._served.check([library])
        found = _RANGE.fullmatch(request.headers.get("range", ""))
        if found and found[2] and int(found[2]) < int(found[1]):
            found = None  # no range, so the whole is sent
        start = int(found[1]) if found else 0
        await record(self._served, request, "sound", (library,))
        first = await self._served.call("sound", library, document, start, _SOUND_PART)
        if start >= first.size:
            return Response(status_code=416, headers={"Content-Range": f"bytes */{first.size}"})
        end = min(int(found[2]) + 1 if found and found[2] else first.size, first.size)

        async def parts() -> AsyncIterator[bytes]:
            at, part = start, first
            while part.data and at < end:
                yield part.data[: end - at]
                at += len(part.data)
                part = await self._served.call("sound", library, document, at, _SOUND_PART) if at < end else part

        headers = {"Accept-Ranges": "bytes", "Content-Length": str(end - start)}
        if found:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{first.size}"
        kind = SOUNDS[Path(first.name).suffix.lower()]
        return StreamingResponse(parts(), 206 if found else 200, headers, media_type=kind)

    async def _picture(self, request: Request) -> tuple[bytes, PagePicture]:
        """Draw a page, or return it as it was drawn just now."""
        key = request.url.query
        query = dict(values_of(key))
        library, _, document = query.get("read", "").partition("/")
        self._served.check([library])
        spans = tuple(_span(one) for one in query.get("spans", "").split(",") if one)
        width = min(showing.MAX_WIDTH, number(query.get("width")) or showing.PICTURE_WIDTH)
        async with self._drawing:
            if key not in self._pictures:
                drawn = await self._served.call(
                    "page_image", library, document, number(query.get("page")), width, spans
                )
                self._pictures[key] = await asyncio.to_thread(_png, drawn), drawn
                while len(self._pictures) > _MAX_PICTURES:
                    self._pictures.popitem(last=False)
            return self._pictures[key]

    async def overviews(self, request: Request) -> Response:
        """The first page of the only library, or links to those of all."""
        libraries = self._served.libraries
        if len(libraries) == 1:
            return RedirectResponse(showing.overview_of(libraries[0]), 303)
        return HTMLResponse(render("overviews.html", libraries=libraries))

    async def overview(self, request: Request) -> Response:
        """The first page of a library; for the home page, the part of it that says what comes next."""
        (library,) = self._served.check([request.path_params["library"]])
        base, query = showing.overview_of(library), dict(values_of(request.url.query))
        await record(self._served, request, "overview", (library,))
        held = await while_there(request, self._served.call("overview", library))
        if query.get("part") == "ahead":
            short = showing.short_titles([one["title"] for one in held["documents"]])
            return HTMLResponse(render("ahead.html", held=held, library=library, base=base, short=short, home=True))
        source = await self._source(request, query, base, partial(showing.stated, held))
        if query.get("part") == "source":
            return HTMLResponse(source)
        start = number(query.get("from")) or 0
        return HTMLResponse(await asyncio.to_thread(showing.overview_html, held, library, query, start, source))

    async def decide_fact(self, request: Request) -> Response:
        """Keep what a person decides of a fact, and show its document again."""
        (library,) = self._served.check([request.path_params["library"]])
        form = dict(await _values(request))
        document = unquote(form.get("document", ""), errors="surrogateescape")  # see `showing.name_of`
        given = as_type({**form, "document": document}, FactDecision)
        await decide_fact(self._served, request, library, given)
        then = {"document": document, "rejected": given.fact if given.state == "rejected" else None}
        return RedirectResponse(f"{showing.overview_of(library)}?{showing.encoded(then)}#open", 303)

    async def proofread(self, request: Request) -> Response:
        """The errors of drafting in a document; each leads to its words on their page."""
        name = unquote(request.path_params["name"], errors="surrogateescape")  # written by `showing.name_of`
        library, _, document = name.partition("/")
        self._served.check([library])
        base, query = showing.proofread_of(library, document), dict(values_of(request.url.query))
        source = await self._source(request, query, base, None)
        if query.get("part") == "source":
            return HTMLResponse(source)
        await record(self._served, request, "proofread", (library,))
        found = await while_there(request, self._served.call("proofread", library, document))
        return HTMLResponse(await asyncio.to_thread(showing.proofread_html, found, library, base, source))

    async def reviews(self, request: Request) -> Response:
        """Where a review begins, and those since the server began."""
        held, problems, there = await self._contents()
        short = showing.short_titles([one.title for each in held for one in each.documents])
        documents = [
            (each.library, path := one.document.path, short.get(one.title, one.title) or showing.short_name(path))
            for each in held
            for one in each.documents
        ]
        given: dict[str, Any] = {"libraries": there, "problems": problems}
        books = await asyncio.to_thread(lambda: {name: playbook.load(name) for name in playbook.names()})
        return HTMLResponse(
            render(
                "reviews.html",
                **given,
                documents=documents[:_MAX_LISTED],
                playbooks=books,
                reviews=self._jobs.reviews(),
            )
        )

    async def begin_review(self, request: Request) -> Response:
        values = await _values(request)
        named = dict(values).get("playbook", "")
        if named not in playbook.names():  # a file of the disk is the terminal's
            raise NotFoundError(f"there is no playbook {named!r:.60}", f"Playbooks: {', '.join(playbook.names())}.")
        libraries, ticked = self._chosen(values)
        await record(self._served, request, "review", libraries)
        job = Reviewing(self._served, named, playbook.load(named), libraries, replace(EVERYTHING, these=ticked))
        self._jobs.add(job)
        job.start(self._turns, client_of(request))
        return RedirectResponse(f"/review/{job.id}", 303)

    async def review(self, request: Request) -> Response:
        job: Reviewing = self._job(request)
        base, query = f"/review/{job.id}", dict(values_of(request.url.query))
        source = await self._finding(request, job, query, base)
        if query.get("part") == "source":
            return HTMLResponse(source)
        rows = [self._row(job, name, found) for name, found in showing.grid(job.findings).items()]
        return HTMLResponse(render("review.html", job=job, base=base, rows=rows, source=source))

    def _row(self, job: Reviewing, name: branches.Name, found: dict[str, Any]) -> Markup:
        several = len(job.libraries) > 1
        at, one = next(iter(found.values()))
        shown = f"{name[0]}: {one.document_name}" if several else one.document_name
        given: dict[str, Any] = {"row": at, "name": shown, "found": found}
        return render("review_row.html", **given, job=job, signs=reports.SIGNS)

    async def _review_events(self, job: Reviewing) -> AsyncIterator[str]:
        sent = 0
        async with aclosing(news(job, 3 * PAUSE, _ALIVE)) as changes:
            async for changed in changes:
                names = {(one.library, one.document) for one in job.findings[sent:]}
                sent = len(job.findings)
                grid = showing.grid(job.findings)
                fresh = {
                    **showing.state_of(job),
                    "grid": [self._row(job, name, grid[name]) for name in grid if name in names],
                }
                yield _event("news", fresh) if changed else ": still here\n\n"
        yield _event("ended", {"html": render("review_end.html", job=job, base=f"/review/{job.id}")})

    async def _finding(self, request: Request, job: Reviewing, query: dict[str, str], base: str) -> Markup:
        """Return the panel of a finding: what is known of it, its decision, and its page."""
        at = number(query.get("source"))
        if at is None:
            return Markup("")
        if at >= len(job.findings):
            return render("source.html", error=NotFoundError("there is no such finding"), close=base)
        one = job.findings[at]
        page = Markup("")
        if one.citation is not None:
            try:
                page = await self._shown(request, query, base, showing.Cited(one.citation, str(at)))
            except LocalragError as error:
                page = render("source.html", error=error, close=base)
        given: dict[str, Any] = {"one": one, "at": at, "base": base, "page": page, "summary": reports.summary(one)}
        known = reports.details(one, job.playbook.item(one.item))
        return render("finding.html", **given, known=known, decision=one.decision or Decision("open"))

    async def decide(self, request: Request) -> Response:
        """Keep what the reviewer says of a finding."""
        job: Reviewing = self._job(request)
        form = dict(await _values(request))
        at = number(form.get("finding")) or 0
        verdict = form.get("verdict", "open")
        if at >= len(job.findings) or verdict not in ("accepted", "rejected", "open"):
            raise UsageError("there is no such finding or verdict", "Open the review again.")
        one = job.findings[at]
        await record(self._served, request, "decide", (one.library,))
        decision = await self._served.call(
            "decide",
            job.yaml,
            item=one.item,
            library=one.library,
            document=one.document,
            verdict=verdict,
            comment=form.get("comment", "").strip(),
        )
        job.findings[at] = replace(one, decision=decision)
        return RedirectResponse(link(f"/review/{job.id}", source=at) + "#source", 303)


class _Sent:
    """What a page has of an answer under way."""

    def __init__(self) -> None:
        self._draft = self._era = self._rows = self._notes = self._reasoning = 0
        self._plan = ""

    def since(self, job: Asked) -> dict[str, Any]:
        """Return what is new, for the page's script."""
        fresh: dict[str, Any] = showing.state_of(job)
        if job.era != self._era:
            self._era, self._draft, fresh["reset"] = job.era, 0, True
        fresh["text"], self._draft = visible(job.draft[self._draft :]), len(job.draft)
        thought = job.progress.reasoning
        fresh["reasoning"], self._reasoning = visible(thought[self._reasoning :]), len(thought)
        fresh["notes"], self._notes = [visible(one) for one in job.notes[self._notes :]], len(job.notes)
        plan = planned(job.plan, job.question, job.looked_for, job.found) if job.plan is not None else ""
        if plan != self._plan:
            self._plan, fresh["plan"] = plan, visible(plan)
        if len(job.results.lines) != self._rows:
            self._rows, fresh["rows"] = len(job.results.lines), showing.preview(job)
        return fresh


def _span(text: str) -> tuple[int, int]:
    """Return the offsets of words on a page, as addresses have them: 12-40."""
    first, _, last = text.partition("-")
    return number(first) or 0, number(last) or 0


async def _values(request: Request) -> list[tuple[str, str]]:
    """Return the names and values of a form."""
    return values_of((await request.body()).decode("utf-8", "replace"))


def _event(name: str, value: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"


async def _ended(job: Job, request: Request) -> None:
    """Wait for the end of a job, `WAIT` seconds at most, or until the client has gone."""
    until = asyncio.get_running_loop().time() + WAIT
    with job.looked_at():
        while not job.ended and asyncio.get_running_loop().time() < until and not await request.is_disconnected():
            await job.newer(job.changes, 1.0)


def _png(drawn: PagePicture) -> bytes:
    made = BytesIO()
    drawn.image().save(made, "PNG", compress_level=3)
    return made.getvalue()

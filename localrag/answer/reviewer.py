"""Reviews, tables by a schema, and deadlines: what is asked of documents one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import replace
from datetime import date
from itertools import takewhile
from typing import TYPE_CHECKING

from localrag.errors import UsageError
from localrag.events import Answered, Event, Reviewed, ReviewEnded
from localrag.grounding import context, stages
from localrag.grounding.stages import Pair, answer_of
from localrag.grounding.workspace import Workspace, elsewhere
from localrag.items.engine import Engine
from localrag.llm import loading, priority
from localrag.search import filters
from localrag.security import audit
from localrag.types import Checked, Citation, Decision, Filter, NotRead, Verdict

if TYPE_CHECKING:
    from localrag.answer.overview import DocumentFacts
    from localrag.items.deadlines import Deadline, Kind
    from localrag.items.extraction import Each
    from localrag.items.playbook import Playbook
    from localrag.items.schema import Schema


class Reviewer:
    """Looks in each document by itself for what a playbook, a schema or a calendar asks for."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def review(
        self,
        playbook: Playbook,
        *,
        libraries: Sequence[str],
        documents: Filter | Sequence[str] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Reviewed | ReviewEnded]:
        """Check documents against a playbook; the last event is `ReviewEnded`. What was found before is kept.

        Raises NotFoundError for a library or document that is not there, ModelError without a model.
        """
        from localrag.answer.checks import conflicts
        from localrag.diff.amendments import Related
        from localrag.items import review

        opened = [self._workspace.library(name) for name in libraries]
        chosen = filters.chosen(opened, filters.of(documents))
        name = loading.generator_name(self._workspace.settings)
        related = {library.name: Related(library, library.documents()) for library in opened}

        def amended(pair: Pair) -> Sequence[tuple[Citation, Citation]]:
            with pair[0].snapshot():
                return list(conflicts.amended(*pair, related[pair[0].name]))

        work = review.Work(playbook, Engine(self._workspace), name, stop, amended)
        findings: list[Checked] = []
        titles = stages.titles(((one.name, document.path) for one, document in chosen.documents), opened)
        with priority.asking(self._workspace.settings.questions_dir):
            for event in review.run(chosen.documents, work):
                one = event.finding
                one = replace(one, document_title=titles.get((one.library, one.document), ""))
                findings.append(one)
                yield replace(event, finding=one)
        cited = [one.citation for one in findings if one.new and one.citation is not None]
        self._workspace.record(
            opened,
            "review",
            playbook.title,
            "",
            cited,
            chosen.documents,
            model=name,
            stopped=work.stopped,
            items=len(playbook.items),
            documents=len(chosen.documents),
            **review.counts(findings),
            **elsewhere(self._workspace.read_by(opened)),
        )
        left = (*chosen.left_out, *context.not_read(chosen.documents, opened, filters.of(documents)), *work.injections)
        yield ReviewEnded(tuple(review.ordered(findings)), tuple(dict.fromkeys(left)), work.stopped)

    def extract(
        self,
        schema: Schema,
        *,
        libraries: Sequence[str],
        documents: Filter | Sequence[str] | None = None,
        each: Each = "document",
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """Fill a table from documents by a schema; the last event is `Answered`, with its rows.

        Raises NotFoundError for a library or document that is not there, ModelError where the model is needed and none
        is installed.
        """
        from localrag.items import extraction

        schema = schema.by_line() if each == "row" else schema
        with priority.asking(self._workspace.settings.questions_dir):
            query = self._workspace.prepare(str(schema), libraries, filters.of(documents), "survey", (), stop)
            asks = loading.generator_name(self._workspace.settings), self._workspace.settings.prompt_tokens
            found = yield from extraction.answer(extraction.Work(schema, each, query, Engine(self._workspace), asks))
            answer = answer_of(found, query, read_by=self._workspace.read_by(query.libraries))
            self._workspace.record(
                query.libraries,
                "ask",
                query.text,
                answer.answer,
                answer.citations,
                query.documents,
                plan="extract",
                found=answer.found,
                model=answer.model or "",
                settings=self._workspace.settings.digest,
                **elsewhere(answer.read_by),
            )
        yield Answered(answer)

    def dates(
        self,
        *,
        libraries: Sequence[str],
        documents: Filter | Sequence[str] | None = None,
        since: str = "",
        until: str = "",
        stop: Callable[[], bool] = lambda: False,
    ) -> tuple[list[Deadline], tuple[NotRead, ...]]:
        """Return the deadlines in documents by date (those without one last, or left out of a period), once recorded.

        Also returns what was not read; `stop` is polled at every document.
        """
        from localrag.answer import overview
        from localrag.answer.checks import conflicts
        from localrag.diff.amendments import Related
        from localrag.items import deadlines, facts
        from localrag.store.reviews import Reviews

        opened = [self._workspace.library(name) for name in libraries]
        chosen = filters.chosen(opened, filters.of(documents))
        found: list[Deadline] = []
        read = list(takewhile(lambda pair: not stop(), chosen.documents))
        related = {library.name: Related(library, library.documents()) for library in opened}
        for library, document in read:
            pages, reviewed = library.pages(document.id), Reviews(library).of(document).dated
            known = library.facts([document.id]).get(document.id) or facts.find(document, pages)
            page = overview.document_facts(library, document, known)
            own = deadlines.find(library.name, document, pages, reviewed, known)
            own += _by_facts(page, {one.date for one in own})
            with library.snapshot():
                amended = conflicts.amended(library, document, related[library.name]) if own else ()
                own = deadlines.with_amendments(own, amended)
            found += [replace(one, title=page.title) for one in own]
        period = bool(since or until)
        found = [one for one in found if not period or (one.date and filters.within(since, one.date, until))]
        self._workspace.record(
            opened, "dates", "", "", [one.citation for one in found], documents=len(read), dates=len(found)
        )
        return sorted(found, key=lambda one: one.date or "~"), context.not_read(read, opened, filters.of(documents))

    def decide(
        self,
        playbook: Playbook,
        item: str,
        library: str,
        document: str,
        verdict: Verdict | None = None,
        comment: str | None = None,
    ) -> Decision:
        """Keep what the reviewer decided of an item of a playbook in a document, and record it.

        What is not given stays as it was decided before. Raises UsageError for a document that was not reviewed.
        """
        from localrag.store import reviews

        opened = self._workspace.library(library)
        found = opened.document(document)
        kept = reviews.Reviews(opened)
        if not kept.of(found).looked or playbook.title not in kept.runs():
            problem = f"{found.path!r} was not reviewed with the playbook {playbook.title!r}"
            raise UsageError(problem, "Review it first: localrag review PLAYBOOK --document PATH")
        before = kept.of(found).decisions.get(playbook.title, {}).get(playbook.item(item).id, Decision("open"))
        verdict = verdict or before.verdict
        comment = before.comment if comment is None else comment
        decision = Decision(verdict, comment, audit.user(), reviews.now())
        kept.decide(found, playbook.title, playbook.item(item).id, decision)
        place = Citation(library, found.path, None, None, "", "", 0, 0, 0)
        self._workspace.record(
            [opened], "review", playbook.title, comment, [place], [(opened, found)], item=item, verdict=verdict
        )
        return decision


def _by_facts(page: DocumentFacts, known: Set[str]) -> list[Deadline]:
    """Return the end of a document's term and the last day to give notice, by its facts, where they are not known."""
    from localrag.answer import overview
    from localrag.items.deadlines import Deadline

    kinds: dict[str, Kind] = {"ends": "end", "last day to give notice": "notice"}
    found = []
    for event in overview.events(page):
        near = [date.fromordinal(date.fromisoformat(event.day).toordinal() + step).isoformat() for step in (-1, 0, 1)]
        if event.what in kinds and event.fact.quote and known.isdisjoint(near):
            at = overview.cited(page, event.fact)
            start = (
                next((one for one in page.of("start", "end") if one.clear and one.quote), None)
                if event.counted
                else None
            )
            begun = overview.cited(page, start) if start else None
            when = event.counted or event.day
            found.append(Deadline(kinds[event.what], "", event.what, when, event.day, at, begun))
    return found

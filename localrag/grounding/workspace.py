"""What engines share: settings, the model that answers, open libraries and their searcher, the record of questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from localrag.embeddings.sentence_encoder import Text
from localrag.errors import LocalragError, ModelError, UsageError
from localrag.grounding import context, prompts
from localrag.grounding.stages import Pair, Query
from localrag.llm import Generator as Model
from localrag.llm import PromptCache, calibration, loading, priority, prompt_cache
from localrag.llm.prompt_cache import DiskPromptCache, PassageCache
from localrag.models import endpoint
from localrag.question.question import Question
from localrag.search import filters, retrieval
from localrag.search.retrieval import Searcher
from localrag.security import audit
from localrag.security.audit import AuditEvent
from localrag.settings import Settings
from localrag.store import names
from localrag.store.library import Library
from localrag.types import MODES, Citation, Filter, Mode, NotRead, Passage, Turn

Known = dict[tuple[object, ...], Sequence[Sequence[float]]]


class Workspace:
    """Keeps the model, the embedders and open libraries loaded, and searches. Use it from one thread.

    `generator` is the model that answers, instead of the one in the settings.
    """

    def __init__(self, settings: Settings, generator: Model | None = None) -> None:
        audit.record_refusals(settings.audit_file)
        self.settings = settings
        self._generator = generator
        self.searcher = Searcher(settings)

    def library(self, name: str) -> Library:
        """Return an open library, for reading."""
        return self.searcher.library(name)

    def load(self) -> str:
        """Load the model that answers ahead of time (seconds); return its id."""
        return self.model().model

    def search(
        self,
        question: str,
        *,
        libraries: Sequence[str],
        k: int = 10,
        documents: Filter | Sequence[str] | None = None,
        join: bool = True,
    ) -> list[Passage]:
        """Return the k best passages, best first, adjacent ones joined, once recorded; no generator is loaded."""
        with priority.asking(self.settings.questions_dir):
            opened = [self.library(name) for name in libraries]
            found = self.searcher.find(opened, retrieval.spelled(opened, question), k, documents, join=join)
        self.record(opened, "search", question, "", found, **elsewhere(self.read_by(opened)))
        return found

    def spelled(self, question: str, libraries: Sequence[str]) -> str:
        """Return the question as `search` looks for it, with words corrected that none of the libraries holds."""
        return retrieval.spelled([self.library(name) for name in libraries], question)

    def left_out(self, libraries: Sequence[str], only: Filter) -> tuple[NotRead, ...]:
        """Count the documents that a filter leaves out only because their date, or their pages, are not known."""
        return filters.chosen([self.library(name) for name in libraries], only).left_out

    def embed(self, texts: Sequence[str], *, library: str, question: bool = False) -> tuple[tuple[float, ...], ...]:
        """Return a vector of each text by the embedder of a library; `question`: as it makes those of questions."""
        embedder = self.searcher.embedder(self.library(library))
        vectors = [embedder.embed_question(text) for text in texts] if question else embedder.embed_documents(texts)
        return tuple(tuple(map(float, vector)) for vector in vectors)

    def configure(self, settings: Settings) -> None:
        """Take other settings from the next question on; the model stays loaded where they do not change it."""
        before, self.settings = self.settings, settings
        if not loading.same_model(before, settings):
            self.close()
        self.searcher.configure(settings)

    def close(self) -> None:
        """Free memory and files."""
        if self._generator is not None:
            self._generator.close()
        self._generator = None
        self.searcher.close()

    def model(self) -> Model:
        if self._generator is None:
            self._generator = loading.load_generator(self.settings)
        return self._generator

    def known_speeds(self) -> calibration.Calibration:
        """Return what is known of the model that answers, without loading it."""
        return calibration.load(self.settings.calibration_file, loading.generator_name(self.settings))

    def read_limit(self) -> int:
        return calibration.read_limit(self.settings, loading.generator_name(self.settings))

    def prepare(
        self,
        question: str,
        libraries: Sequence[str],
        only: Filter,
        mode: Mode,
        history: Sequence[Turn],
        stop: Callable[[], bool],
    ) -> Query:
        """Check what was asked, open the libraries, and choose the documents that the filter lets through."""
        if not question.strip():
            raise UsageError("the question is empty", 'Put it in quotes: localrag ask "When does the lease end?"')
        if not libraries:
            raise UsageError("no library was named", "Name one with --library; `localrag libraries` lists them.")
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}", f"Modes: {', '.join(MODES)}.")
        opened = [self.library(name) for name in libraries]
        chosen = filters.chosen(opened, only)
        return Query(
            Question(question.strip(), history, chosen.documents),
            opened,
            only,
            chosen.documents,
            mode,
            instructions=prompts.instructions_of(opened),
            not_read=(*chosen.left_out, *context.not_read(chosen.documents, opened, only)),
            stop=stop,
            strict=self.settings.strict,
            similar=partial(self._similar, opened, chosen.documents, stop, {}),
        )

    def _similar(
        self,
        opened: Sequence[Library],
        documents: Sequence[Pair],
        stop: Callable[[], bool],
        known: Known,
        question: str,
        texts: Sequence[Text],
    ) -> Sequence[Sequence[float]]:
        """Return how near the sentences of texts come to a question; nothing where that cannot be told.

        `known` keeps what one question has compared.
        """
        key = (question, *texts)
        if key not in known and texts and not stop():
            try:
                ids = {store: [one.id for own, one in documents if own is store] for store in opened}
                known[key] = self.searcher.nearness(ids, question, texts, stop)
            except LocalragError:  # what is read whole needs no embedder, and words tell it, too
                known[key] = ()
        return known.get(key, ())

    def passages(self, query: Query, k: int) -> list[Passage]:
        known = {(library.name, document.id) for library, document in query.documents}  # an ingest may add others
        hits = self.searcher.find(query.libraries, query.search_text, k, query.only)
        return [hit for hit in hits if (hit.library, hit.document_id) in known]

    def cache(self, documents: Sequence[Pair], part: str = "") -> PromptCache | None:
        """Return the prompt cache of these documents, or of a part of them."""
        if len({library.name for library, _ in documents}) > 1:
            # It would lie in one of the libraries, and outlive what is deleted from another.
            return None
        if self.settings.generator_server:
            return None
        hashes = [document.sha256 for _, document in documents]
        identity, folder = loading.generator_identity(self.settings), documents[0][0].folder
        held = partial(names.holds, folder, [document.path for _, document in documents])
        return DiskPromptCache(folder, identity, hashes, self.settings.cache_bytes, part=part, held=held)

    def passage_cache(self, passages: Sequence[Passage], among: Sequence[Pair]) -> PromptCache | None:
        """Return the prompt cache of these passages, each in its library."""
        if self.settings.generator_server:
            return None
        pairs = {(library.name, document.id): (library, document) for library, document in among}
        identity, limit = loading.generator_identity(self.settings), self.settings.cache_bytes
        caches = []
        for passage in passages:
            library, document = pairs[passage.library, passage.document_id]
            held = partial(names.holds, library.folder, [document.path])
            caches.append(DiskPromptCache(library.folder, identity, [document.sha256], limit, held=held))
        return PassageCache(caches)

    def examples_cache(self, libraries: Sequence[Library]) -> PromptCache | None:
        """Return the prompt cache of what comes before any document, kept with the first of these libraries."""
        if self.settings.generator_server:
            return None
        folder, identity = libraries[0].folder, loading.generator_identity(self.settings)
        held = partial(names.holds, folder)
        return DiskPromptCache(folder, identity, (), self.settings.cache_bytes, held=held)

    def cached_tokens(self, documents: Sequence[Pair]) -> int:
        """Return the tokens in the prompt cache of exactly these documents, or 0."""
        if len({library.name for library, _ in documents}) > 1:
            return 0
        try:
            identity = loading.generator_identity(self.settings)
        except ModelError:
            return 0  # reported once a model is needed
        cached = prompt_cache.warm(documents[0][0].folder, identity)
        return cached.get(tuple(document.sha256 for _, document in documents), 0)

    def read_by(self, libraries: Sequence[Library]) -> str:
        """Return the other machines that read the question or text of these libraries."""
        settings = self.settings
        served = self._generator is not None and settings.generator_server
        embedded = any(library.identity.engine == "server" for library in libraries) and settings.embedder_server
        return ", ".join(
            dict.fromkeys(
                str(endpoint.parsed(url, setting))
                for url, setting in ((served, "generator_server"), (embedded, "embedder_server"))
                if url
            )
        )

    def record(
        self,
        libraries: Sequence[Library],
        event: AuditEvent,
        question: str,
        answer: str,
        seen: Sequence[Citation | Passage],
        among: Sequence[Pair] = (),
        **details: Any,
    ) -> None:
        """Record a question in each log; with words if they are kept and no document `among` those was forgotten."""
        from localrag.security.encryption import unlocked

        # What is answered from an encrypted library, too, is not kept in clear beside another.
        encrypted = [library for library in libraries if unlocked.encrypted_folder(library.folder)]
        for library in libraries:
            if not names.holds(library.folder):
                continue  # it was forgotten meanwhile, with its record
            file = self.settings.library_audit_file(library.name)
            pages = {(one.document, one.page or 0) for one in seen if one.library == library.name}
            hashes = library.hashes({document for document, _ in pages})  # names of documents may change
            shown = [f"{hashes.get(document, 'forgotten')}#{page}" for document, page in sorted(pages)]
            number = audit.record(file, event, library.name, question=question, answer=answer, shown=shown, **details)
            if self.settings.audit_words == "full" and (not encrypted or library in encrypted):
                with audit.locked(file):
                    if names.holds(library.folder, [document.path for held, document in among if held is library]):
                        audit.keep_words(file, number, question, answer)


def elsewhere(read_by: str) -> dict[str, Any]:
    """Return what the audit record says of machines that read text; nothing where it stayed on this one."""
    return {"read_by": read_by} if read_by else {}

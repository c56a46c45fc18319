"""Ask and search with the fakes in place of models."""

from collections.abc import Callable
from contextlib import closing

from fakes import HashingEmbedder, ScriptedGenerator

from localrag.answer.assistant import Assistant
from localrag.events import Answered, Planned
from localrag.search import retrieval
from localrag.store.library import Library
from localrag.store.writer import Editor

Shelf = Callable[..., Editor]
Put = Callable[..., None]
EMBEDDER = HashingEmbedder()
FILLER = " ".join(f"Clause {n} settles matter number {n} between the parties and nothing else." for n in range(400))
LEASE = "The lease of Hall 3 ends on 31 May 2030. The yearly rent is EUR 48,000, payable in advance."
DOGS = ["Dogs are kept on a lead.", "The kennel is open from 9 to 5. Cats are not admitted."]


def ask(assistant, question, library, **options):
    libraries = [library] if isinstance(library, str) else library
    events = list(assistant.ask(question, libraries=libraries, **options))
    last = events[-1]
    assert isinstance(last, Answered)
    assert sum(isinstance(event, Answered) for event in events) == 1
    assert isinstance(events[0], Planned)
    return events, last.answer


def answered(settings, question, *libraries, **options):
    with closing(Assistant(settings)) as assistant:
        return ask(assistant, question, list(libraries), **options)[1]


def verified(answer, *libraries):
    """Every quote is in the stored text at its offsets, and every marker in the text has its citation."""
    stores = {library.name: library for library in libraries}
    for citation in answer.citations:
        store = stores[citation.library]
        document = store.document(citation.document)
        position = 0 if citation.page is None else citation.page - 1
        text = store.page_text(document.id, position)
        assert citation.quote and text[citation.start : citation.end] == citation.quote
        assert (citation.page is None) == (not document.paged)
    for passage in answer.passages:
        page = stores[passage.library].page_text(passage.document_id, passage.position)
        assert page[passage.start : passage.end] == passage.text


def search(libraries, question, **options):
    libraries = [libraries] if isinstance(libraries, Library) else libraries
    embedders = {library.name: EMBEDDER for library in libraries}
    return retrieval.search(libraries, embedders, question, **options)


class Keeping(ScriptedGenerator):
    """Keeps a state of each prompt with a stable part, as the real one does."""

    def generate(self, messages, *, cache=None, **options):
        stable = "".join(part for message in messages for part in message.stable)
        for prefix in self.prefixes(messages) if cache is not None else ():
            cache.put(prefix, memoryview(stable.encode()))
        yield from super().generate(messages, cache=cache, **options)

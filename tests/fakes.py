"""Stand-ins for models: a generator that follows a script, and an embedder that hashes words."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from localrag.embeddings import EmbedderIdentity
from localrag.errors import Cancelled
from localrag.events import Delta, PromptRead, Reasoning
from localrag.llm import Completed, Prefix, Weighed
from localrag.types import Message, Usage

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(slots=True)
class ScriptedGenerator:
    """Answers by the first pattern found in the last message, else with `otherwise`.

    `weights` does the same for `weigh`: the option to be certain of, else the first. With a `thought` it has a
    thinking mode, and thinks just that. It counts words as tokens and keeps each prompt it was given in `prompts`. It
    reads passages `apart` if so told. Of quotes alone it reads `again`, by default what it wrote last. An answer that
    begins with a quote is a whole one: “The text says: “…” That is it. So: no.”
    """

    script: Sequence[tuple[str, str]] = ()
    otherwise: str = "The documents do not say."
    weights: Sequence[tuple[str, str]] = ()
    window: int = 4096
    model: str = "scripted"
    thought: str = ""
    apart: bool = False
    again: str = ""
    last: str = ""
    prompts: list[tuple[Message, ...]] = field(default_factory=list)
    written: list[tuple[Message, ...]] = field(default_factory=list)

    @property
    def thinks(self):
        return bool(self.thought)

    def count(self, text):
        return len(text.split())

    def state_bytes(self, tokens):
        return tokens

    def overhead(self, messages):
        return 4 * messages

    def generate(self, messages, *, max_tokens, temperature=0.0, seed=0, grammar=None, stop=None, cache=None, think=0):
        self.prompts.append(tuple(messages))
        read = sum(self.count(message.whole) for message in messages)
        yield PromptRead(read, read)
        *asked, begun = messages
        last = begun.whole if begun.role == "user" else asked[-1].whole
        answer = next((reply for pattern, reply in self.script if re.search(pattern, last)), self.otherwise)
        if re.search("as it stands in this passage|as it stands in the text", last):
            answer = self.again or self.last
        elif begun.whole.startswith("The text says: "):
            quote, _, rest = answer.removeprefix("The text says: “").partition("”")
            answer = rest if begun.whole.endswith("”") else f"{quote}”"
        else:
            self.last = answer
            self.written.append(tuple(messages))
        if begun.role == "assistant" and answer.startswith("{"):  # of a reply in JSON only the end is written
            answer = json.dumps(json.loads(answer)["quote"])[1:] + "}"
        written = []
        thoughts = re.findall(r"\s*\S+", self.thought)[:think] if grammar is None else []
        yield from (Reasoning(word) for word in thoughts)
        thought = "".join(thoughts)
        for word in re.findall(r"\s*\S+", answer)[:max_tokens]:
            if stop is not None and stop():
                usage = Usage(read, 0, len(thoughts) + len(written))
                yield Completed("".join(written), usage, "stopped", reasoning=thought)
                return
            written.append(word)
            yield Delta(word)
        ended = "end" if "".join(written) == answer.rstrip() else "length"
        yield Completed("".join(written), Usage(read, 0, len(thoughts) + len(written)), ended, reasoning=thought)

    def weigh(self, messages, options, *, stop=None, cache=None, then=None, room=0):
        self.prompts.append(tuple(messages))
        read = sum(self.count(message.whole) for message in messages)
        yield PromptRead(read, read)
        if stop is not None and stop():
            yield Weighed((), Usage(read, 0, 0))
            return
        last = messages[-1].whole
        reply = next((reply for pattern, reply in self.weights if re.search(pattern, last)), options[0])
        yield Weighed(tuple(float(option == reply) for option in options), Usage(read, 0, 0))

    def read(self, messages, *, stop=None, cache=None):
        self.prompts.append(tuple(messages))
        prefixes = self.prefixes(messages)
        total = len(prefixes[-1].tokens) if prefixes else 0
        yield PromptRead(0, total)
        for prefix in prefixes:
            if stop is not None and stop():
                return
            if cache is not None:
                cache.put(prefix, memoryview(f"state of {len(prefix.tokens)} words".encode()))
            yield PromptRead(len(prefix.tokens), total)

    def prefixes(self, messages):
        words = []
        cuts = []
        for message in messages:
            for part in message.stable:
                words += [zlib.crc32(word.encode()) for word in part.split()]
                cuts.append(len(words))
            if self.apart and message.blocks:
                keys = []
                for number, block in enumerate(message.blocks, 1):
                    before = list(words)
                    for part in block:
                        start = len(before)
                        before += [zlib.crc32(word.encode()) for word in part.split()]
                        keys.append(Prefix(tuple(before), (start, len(before)), number, start))
                return keys
        return [Prefix(tuple(words[:end]), tuple(cuts[: at + 1]), at + 1) for at, end in enumerate(cuts)]

    def close(self):
        pass


class HashingEmbedder:
    """Hashes words into buckets: texts that share words are near, nothing more."""

    def __init__(self, dimension=256, max_tokens=254, sha256="0" * 64):
        self._identity = EmbedderIdentity("hashing", sha256, "float32", "hashing", dimension)
        self._max_tokens = max_tokens

    @property
    def identity(self):
        return self._identity

    @property
    def max_tokens(self):
        return self._max_tokens

    def count(self, text):
        return len(_WORD.findall(text))

    def embed_documents(self, texts, *, progress=None, stop=None):
        if stop is not None and stop():
            raise Cancelled("stopped while embedding")
        rows = np.stack([self._row(text) for text in texts]) if texts else np.empty((0, self._identity.dimension))
        if progress is not None:
            progress(len(texts))
        lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
        return (rows / np.maximum(lengths, 1e-12)).astype(np.float32)

    def embed_question(self, text):
        return self.embed_documents([text])[0]

    def nearness(self, cosines):
        return cosines

    def _row(self, text):
        row = np.zeros(self._identity.dimension)
        for word in _WORD.findall(text.lower()):
            digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
            row[int.from_bytes(digest, "little") % len(row)] += 1.0
        return row


class HashingSentences:
    """Compares sentences by the words that they share with a question, in place of the encoder of sentences.

    No question asks for a fact, as its vector tells.
    """

    def question(self, text):
        return np.zeros(384, np.float32)

    def nearness(self, questions, texts, stop=lambda: False):
        embedder = HashingEmbedder()
        question = embedder.embed_documents(questions, stop=stop).mean(0)
        parts = [[one.text[start:end] for start, end in one.spans] for one in texts]
        return [(embedder.embed_documents(own, stop=stop) @ question).tolist() if own else [] for own in parts]

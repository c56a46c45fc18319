"""The `localrag` command with fakes in place of models, in its own process and in its worker's.

A question that holds the word "slowly" is answered by a word every 20 milliseconds, for minutes; one that holds
"wrongly", with words that no document has. With PRYING set, its server is taken over: it opens any file that is asked
for, /pry?MODE=PATH, and says how that went.
"""

import os
import sys
import time
from pathlib import Path
from urllib.parse import parse_qsl

from localrag import embeddings
from localrag.llm import loading
from localrag.worker import __main__ as worker
from localrag.worker import client

ANSWER = "The lease of Harbour House ends on 14 March 2031."
WRONG = f"Elephants graze on the roof. {ANSWER}"


def embedder(settings, identity=None):
    from fakes import HashingEmbedder  # numpy, which may be imported only once files are limited

    return HashingEmbedder()


def generator(settings):
    from fakes import ScriptedGenerator

    class Slow(ScriptedGenerator):
        def generate(self, messages, **how):
            slow = "slowly" in messages[-1].whole
            if slow:
                self.otherwise = "and so on " * 5000
                how["max_tokens"] = 10**6
            elif "wrongly" in messages[-1].whole:
                self.otherwise = WRONG
            try:
                for event in super().generate(messages, **how):
                    if slow:
                        time.sleep(0.02)
                    yield event
            finally:
                self.otherwise = ANSWER

    return Slow(otherwise=ANSWER)


def pry(app):
    async def prying(scope, receive, send):
        if scope["path"] != "/pry":
            await app(scope, receive, send)
            return
        ((mode, path),) = parse_qsl(scope["query_string"].decode())
        try:
            Path(path).open(mode).close()
            said = b"done"
        except OSError as error:
            said = str(error.strerror).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": said})

    return prying


embeddings.load_embedder = embedder
loading.load_generator = generator
loading.generator_identity = lambda settings: "scripted"
client.WORKER = "server.scripted"

if __name__ == "__main__":
    if len(sys.argv) > 1:
        from localrag.cli import app

        if sys.argv[1] == "serve":
            from localrag.server import guard, listening

            guard._BODY_SECONDS = 5.0
            if "PRYING" in os.environ:
                run = listening.run
                listening.run = lambda app, *more: run(pry(app), *more)
        app.main()
    else:
        worker.main()

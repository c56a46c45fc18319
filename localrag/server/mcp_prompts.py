"""The prompts of `localrag mcp`: what a person picks from a menu of the program, which its model then does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from localrag.security.terminal import one_line

_DOCUMENT = "The path of a document, as list_documents."
_LIBRARY = "The name of the library."
_MAX_ARGUMENT = 1000  # characters
_CITE = " Give the document, the page and the quote for each point, and say what the documents do not say."


class _Prompt(NamedTuple):
    title: str
    about: str
    arguments: Mapping[str, str]
    text: str


_PROMPTS: Mapping[str, _Prompt] = {
    "answer": _Prompt(
        "Answer with sources",
        "Answer a question from the documents.",
        {"question": "The question."},
        "Answer with the tool `ask`: {question}",
    ),
    "brief": _Prompt(
        "Brief me on a library",
        "Say what is there, who it is with, and what comes next.",
        {"library": _LIBRARY},
        "Call `overview` and `dates` for the library {library}. Say what it holds, by kind and party, and what is due "
        "next.",
    ),
    "review": _Prompt(
        "Review a contract",
        "Check a contract against a playbook, and say what to negotiate.",
        {"document": _DOCUMENT, "playbook": "The name of a playbook: nda, dpa ..."},
        "Call `review` for the document {document} with the playbook {playbook}. List what deviates or is absent, the "
        "most important first, each with what to propose; then what is unsure.",
    ),
    "compare": _Prompt(
        "What changed",
        "Explain what changed between two versions of a document.",
        {"old": _DOCUMENT, "new": _DOCUMENT},
        "Call `compare` for the versions {old} (old) and {new} (new). Explain the changes of substance, and for whom "
        "each is better.",
    ),
    "proofread": _Prompt(
        "Proofread a draft",
        "Find errors of drafting, and say how to mend them.",
        {"library": _LIBRARY, "document": _DOCUMENT},
        "Call `proofread` for {document} of the library {library}. Say how to mend each finding; where it may be none, "
        "read the page.",
    ),
}


async def list_prompts(
    ctx: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
) -> types.ListPromptsResult:
    made = []
    for name, one in _PROMPTS.items():
        given = one.arguments.items()
        arguments = [types.PromptArgument(name=each, description=about, required=True) for each, about in given]
        made.append(types.Prompt(name=name, title=one.title, description=one.about, arguments=arguments))
    return types.ListPromptsResult(prompts=made)


async def get_prompt(ctx: ServerRequestContext[Any], params: types.GetPromptRequestParams) -> types.GetPromptResult:
    if (one := _PROMPTS.get(params.name)) is None:
        raise MCPError(types.INVALID_PARAMS, f"there is no prompt {params.name!r:.100}")
    given = {name: one_line(value.strip())[:_MAX_ARGUMENT] for name, value in (params.arguments or {}).items()}
    if wrong := sorted(one.arguments.keys() ^ {name for name, value in given.items() if value}):
        raise MCPError(types.INVALID_PARAMS, f"it takes {', '.join(one.arguments)}; look at {', '.join(wrong):.200}")
    text = one.text.format(**{name: f"“{value}”" for name, value in given.items()}) + _CITE
    content = types.TextContent(type="text", text=text)
    return types.GetPromptResult(description=one.about, messages=[types.PromptMessage(role="user", content=content)])

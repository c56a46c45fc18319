"""Conversations: kept turn by turn, listed, searched, resumed as they were left.

`values` is what a conversation is, `files` its JSON, `store` the folder that holds them, `searching` where words
were said.
"""

from localrag.sessions.store import SessionStore
from localrag.sessions.values import Listed, Origin, SavedTurn, Session

__all__ = ["Listed", "Origin", "SavedTurn", "Session", "SessionStore"]

"""Conversations: kept turn by turn, listed, searched, resumed as they were left.

`values` is what a conversation is, `files` its JSON, `store` the folders that hold them, `searching` where words
were said, `redacting` what is taken out of them with a document that is forgotten.
"""

from localrag.sessions.store import SessionStore, store_of
from localrag.sessions.values import Listed, Origin, SavedTurn, Session

__all__ = ["Listed", "Origin", "SavedTurn", "Session", "SessionStore", "store_of"]

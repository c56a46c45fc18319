"""Conversations: saved turn by turn, listed, searched, resumed, branched and exported."""

from localrag.sessions.session_store import Listed, Origin, SavedTurn, Session, SessionStore, store_of

__all__ = ["Listed", "Origin", "SavedTurn", "Session", "SessionStore", "store_of"]

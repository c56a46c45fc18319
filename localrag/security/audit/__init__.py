"""The record of what was asked, read, exported and deleted: `chain` keeps it, `words` what may be erased again."""

from localrag.security.audit.chain import Anchor, AuditEvent, Entry, Problem, anchor, entries, marked, record, verify

__all__ = ["Anchor", "AuditEvent", "Entry", "Problem", "anchor", "entries", "marked", "record", "verify"]

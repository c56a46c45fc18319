"""Versions of a document, read and compared (`localrag.diff`), written as a redline; and a draft, proofread."""

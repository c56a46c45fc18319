"""Compare texts: read as clauses, words and figures, aligned, and what differs told by kind.

`changes` compares two versions of a document, `sentences` two sentences about the same, `amendments` a document with
what changes it; `related_documents` finds the documents that belong together.
"""

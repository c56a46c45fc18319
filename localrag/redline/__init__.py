"""Two or three versions of a document: read, compared (`localrag.diff`), and written as a redline."""

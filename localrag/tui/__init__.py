"""The terminal app: it draws and listens, and computes nothing.

`core.py` is the door to everything that thinks; `jobs.py` runs it off the screen's thread; `inert.py` makes
text from documents harmless before it is drawn. Nothing here imports a model, a vector index or a reader.
"""

"""The terminal app: app -> screens -> widgets, each importing only from those after it.

`threads.py` calls the engine off the screen's thread, and `text.py` makes text from documents harmless before it is
drawn. Nothing here imports a model, a vector index or a reader.
"""

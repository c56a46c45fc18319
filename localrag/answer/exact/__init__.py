"""What code answers better than a model: occurrences, sums, dates, lists, identifiers.

`parsing` turns a question into one of the `tasks`, or into none; `reckoning` runs it over documents.
"""

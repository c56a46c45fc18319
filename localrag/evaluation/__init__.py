"""Measures on questions with known answers: what is found, and what is answered.

datasets.py   questions from a file, a seeded sample of them, their documents in a library
metrics.py    the figures (pure)
runs.py       results as JSON lines, so that an interrupted run goes on
retrieval.py  are the right document, page and words among the passages found?
answers.py    is the answer right, and do its quotes stand where they are said to stand?
"""

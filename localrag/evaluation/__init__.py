"""Measure retrieval and answers on questions with known answers.

datasets.py   questions from a file, samples of them, the library kept for their documents, and results
metrics.py    words, numbers, rankings, intervals (pure)
retrieval.py  are the right document, page and text among the passages found?
answers.py    is the answer right, and do its quotes occur in the documents? Beside one plain prompt over five passages.
judge.py      free text graded by code, and ways of answering compared on the same questions

Measuring a model for `localrag calibrate`: calibration_run.py.
"""

"""Measures on questions with known answers: what is found, and what is answered.

datasets.py   questions from a file, a seeded sample of them, their documents in a library
beir.py       retrieval sets in the form of BEIR
kept.py       the libraries that a dataset's documents are read into
metrics.py    words, numbers, intervals (pure)
ranking.py    recall, nDCG, MRR by trec_eval (pure)
runs.py       results as JSON lines, so that an interrupted run goes on
retrieval.py  are the right document, page and words among the passages found?
comparing.py  two settings on the same questions: by how much, and is it chance?
misses.py     what was missed, to be read
injections/   documents that carry attacks, each beside the same one without: does the model obey them?
answers.py    is the answer right, and do its quotes stand where they are said to stand?
baselines.py  what localrag is compared with: one plain prompt, and the question alone
worth.py      one figure for one answer, and whether it counts as right (pure)
risk.py       how often is it wrong when it answers, if only the surest answers are given? (pure)
totals.py     what the answers of a run come to, with intervals (pure)
judge.py      free text graded, and one of two answers preferred, by a model or by code
rubric.py     the grade by code: quantities, names, negations (pure)
agreement.py  how far a judge agrees with labels by hand: kappa, and the sample that ships (judged.jsonl)
arena.py      ways of answering paired on the same questions, blind
strengths.py  Bradley and Terry's strengths from votes, with and without length (pure)
report.py     a page over runs of answers: side by side, the curves, the worst answers
pages.py      that page as Markdown or HTML (pure)
plots.py      curves and histograms as SVG (pure)
reading.py    answers read by a person who does not know what gave them
verdicts.py   what judges found, as tables and a page
drafting.py   questions from a person's own documents, for them to correct
"""

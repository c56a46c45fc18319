"""Where documents say different things of the same: an amendment and what it changes, two versions of a document.

`finding` goes from the citations of an answer to conflicts; `relating` tells which documents belong together,
`amending` what an amendment changes, `differing` whether two sentences say different things of the same. All of it is
code; no model is asked. A conflict that is none is worse than one that is missed, so each step says no where it is in
doubt (docs/decisions/0033-instructions-and-conflicts.md).
"""

"""One question put to each of many documents or sections, and the answers joined by code.

`surveying` leads from the question to the answer; `leaf` makes the question for one document, `asking` has it answered,
`joining` counts, sorts and compares; `summarising` works from the bottom up.
"""

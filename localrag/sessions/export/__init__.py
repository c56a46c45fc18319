"""A conversation as a file for other programs: Markdown, HTML, DOCX or JSON (`writing` chooses, `vault` writes).

`contents` says what of it is told, so that every format tells the same; each format has its module.
"""

"""Check an answer against its sources: citations, facts, links, conflicts between documents."""

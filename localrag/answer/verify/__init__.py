"""Check an answer against its sources."""

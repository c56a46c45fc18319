"""One question asked of each of many documents or sections, and the answers joined by code; and summaries."""

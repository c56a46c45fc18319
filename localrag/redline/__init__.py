"""Two versions of a document: what changed, by clause, substance first; shown as a redline."""

"""From a folder of documents to a library."""

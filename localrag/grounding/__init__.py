"""Prompts made of documents, and the words of answers tied to quotes in them."""

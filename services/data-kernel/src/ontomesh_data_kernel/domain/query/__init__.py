"""Queries: the language, the tree it becomes, and what a document must be to match."""

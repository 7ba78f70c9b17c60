"""The two doors."""

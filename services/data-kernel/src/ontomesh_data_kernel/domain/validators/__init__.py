"""Validators, which check commits before they count."""

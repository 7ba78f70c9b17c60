"""The local stack: every service of Ontomesh on one machine."""

__version__ = "0.1.0"

"""The data kernel: the one door to the versioned document store."""

__version__ = "0.1.0"

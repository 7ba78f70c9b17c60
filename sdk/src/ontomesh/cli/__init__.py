"""The `ontomesh` command."""

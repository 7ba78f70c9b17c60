"""Generated stubs of `ontomesh.events.v1`."""

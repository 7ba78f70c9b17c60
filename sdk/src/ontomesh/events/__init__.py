"""Generated stubs of `ontomesh.events`."""

"""Generated stubs of `ontomesh.kernel`."""

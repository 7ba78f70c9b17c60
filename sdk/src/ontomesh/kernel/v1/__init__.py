"""Generated stubs of `ontomesh.kernel.v1`."""

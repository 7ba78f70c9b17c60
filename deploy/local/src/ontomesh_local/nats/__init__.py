"""The NATS server of the local stack: `python -m ontomesh_local.nats`."""

"""`python -m ontomesh_local.nats`."""

from ontomesh_local.nats.main import main

if __name__ == "__main__":
    main()

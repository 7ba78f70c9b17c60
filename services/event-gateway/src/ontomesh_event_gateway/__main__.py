"""`python -m ontomesh_event_gateway`."""

from ontomesh_event_gateway.main import main

if __name__ == "__main__":
    main()

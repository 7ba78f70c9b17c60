"""Where the server has what the port names: a point's commit, and a branch."""

from urllib.parse import quote

from ontomesh_data_kernel.adapters.terminusdb.graph import Entry
from ontomesh_data_kernel.ports import Point


def point_of(native: str, entry: Entry, branch: str = "") -> Point:
    """A commit as a point; of the branch it was made on, unless told otherwise."""
    return Point(entry.commit.id, branch or entry.commit.branch, entry.commit.ontology_digest, (native, entry.backend))


def address(point: Point) -> tuple[str, str]:
    """The server's database, and the server's own id of the commit."""
    state = point.state
    assert isinstance(state, tuple)
    return state


def encoded(branch: str) -> str:
    """A branch's name on the server, which allows no slash."""
    return quote(branch, safe="")

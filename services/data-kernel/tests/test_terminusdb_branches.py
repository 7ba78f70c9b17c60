"""How old a branch of a TerminusDB server is of which the kernel has no record."""

from typing import Any

from ontomesh_data_kernel.adapters.terminusdb.branches import _began
from ontomesh_data_kernel.adapters.terminusdb.graph import Entry, Graph
from ontomesh_data_kernel.domain.model import Commit


def _commit(id: str, parent: str, branch: str, time: int) -> Commit:
    return Commit(id, (parent,) if parent else (), branch, "a", "a", "", time, {}, "", "", 0)


def test_a_branch_without_a_record_stays_as_old_as_its_first_commit() -> None:
    no_client: Any = None
    graph = Graph(no_client, "d")
    began = []
    parent = ""
    for time, branch in enumerate(("main", "side", "main", "main", "side", "side", "side"), 1):
        commit = _commit(f"c{time}", parent, branch, time)
        graph.add(Entry(f"n{time}", commit, (), None, ""))
        began.append(_began(graph, "side", commit))
        parent = commit.id
    assert began == [1, 2, 3, 4, 5, 5, 5]

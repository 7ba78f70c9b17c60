"""One database: everything that can be done in it."""

from ontomesh.sdk.branches import BranchCalls
from ontomesh.sdk.commits import CommitCalls
from ontomesh.sdk.documents import DocumentCalls
from ontomesh.sdk.history import HistoryCalls
from ontomesh.sdk.imports import ImportCalls
from ontomesh.sdk.merges import MergeCalls
from ontomesh.sdk.ontologies import OntologyCalls
from ontomesh.sdk.queries import QueryCalls


class AsyncDatabase(
    DocumentCalls, CommitCalls, QueryCalls, BranchCalls, HistoryCalls, MergeCalls, OntologyCalls, ImportCalls
):
    """A database by its name; making one costs nothing and does not ask whether it exists.

    Every call takes `timeout` in seconds; without one, the connection's own counts.
    """

"""GraphQL requests that are refused before there is a query: what is wrong with a query is GraphQL's to answer."""

from collections.abc import Iterator, Mapping

from tests.contract.calls import Call, HttpCall, spliced
from tests.contract.refusals.row import Row
from tests.contract.world import DB

_PLACE = f"/v1/databases/{DB}/graphql"
_JSON = {"content-type": "application/json"}


def graphql() -> Iterator[Row]:
    """Rows of the HTTP door alone, which is where GraphQL is."""

    def refused(name: str, reason: str, body: object, *fields: str, ref: str = "", token: str = "owner") -> Row:
        call = HttpCall("POST", _PLACE, {"ref": ref}, spliced(body), _JSON)
        return Row(f"graphql: {name}", reason, lambda _: Call("", b"", call), fields, token=token, doors=("http",))

    def asked(name: str, reason: str, query: Mapping[str, str], *fields: str, database: str = DB) -> Row:
        call = HttpCall("GET", f"/v1/databases/{database}/graphql", query)
        return Row(f"graphql: {name}", reason, lambda _: Call("", b"", call), fields, doors=("http",))

    any_query = {"query": "{ __typename }"}
    yield refused("no JSON", "MALFORMED_BODY", b"{", "body")
    yield refused("an array", "MALFORMED_BODY", [], "body")
    yield refused("a key twice", "MALFORMED_BODY", b'{"query":"{a}","query":"{b}"}', "body")
    yield refused("no query", "INVALID_REQUEST", {}, "query")
    yield refused("a query that is no text", "INVALID_REQUEST", {"query": 1}, "query")
    yield refused("variables in a list", "INVALID_REQUEST", {**any_query, "variables": [1]}, "variables")
    yield refused("extensions in a list", "INVALID_REQUEST", {**any_query, "extensions": [1]}, "extensions")
    yield refused("an operation that is no text", "INVALID_REQUEST", {**any_query, "operationName": 1}, "operationName")
    yield refused("an unknown member", "INVALID_REQUEST", {**any_query, "mode": "fast"}, "mode")
    yield refused("too large", "TOO_LARGE", {"query": "#" * (1 << 20)}, "body")
    yield refused("a malformed ref", "INVALID_REF", any_query, "ref", ref="a b")
    yield refused("an unknown branch", "BRANCH_NOT_FOUND", any_query, ref="gone")
    yield refused("an unknown commit", "COMMIT_NOT_FOUND", any_query, ref="commit:00000000")
    yield refused("a branch out of reach", "PERMISSION_DENIED", any_query, ref="main", token="feature reader")
    yield refused("no token", "TOKEN_MISSING", any_query, token="")
    yield asked("no query in the address", "INVALID_REQUEST", {"ref": "main"}, "query")
    yield asked("variables that are no JSON", "MALFORMED_BODY", {**any_query, "variables": "{"}, "variables")
    yield asked("variables that are a number", "MALFORMED_BODY", {**any_query, "variables": "1"}, "variables")
    yield asked("an unknown database", "DATABASE_NOT_FOUND", any_query, database="void")

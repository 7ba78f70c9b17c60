"""The HTTP door's routes of single documents and of the ontology."""

from collections.abc import Iterator, Mapping

from tests.contract import calls
from tests.contract.calls import (
    Call,
    HttpCall,
)
from tests.contract.refusals.row import Row
from tests.contract.world import BEING, DB, MOOD, PERSON, person


def routes() -> Iterator[Row]:
    """The HTTP door's routes of single documents, where a document is the whole body."""

    def refused(name: str, reason: str, call: HttpCall, *fields: str) -> Row:
        return Row(f"route: {name}", reason, lambda _: Call("", b"", call), fields, doors=("http",))

    place = f"/v1/databases/{DB}/documents"
    ada = f"{place}/Person/ada"
    stale = {"if-match": f'"{"0" * 64}"'}
    again = {"idempotency-key": "commit-1"}

    def post(body: object, headers: Mapping[str, str] | None = None) -> HttpCall:
        return HttpCall("POST", place, {}, calls.spliced(body), headers or {})

    yield refused("post of no JSON", "MALFORMED_BODY", post(b"{"), "body")
    yield refused("post of an array", "MALFORMED_BODY", post([]), "body")
    yield refused("post of nothing", "MALFORMED_BODY", post(b""), "body")
    yield refused("post too large", "TOO_LARGE", post(person("x" * (1 << 20))), "body")
    yield refused("post of an unknown class", "UNKNOWN_CLASS", post({"@type": "Persn"}), "@type")
    yield refused(
        "post of wrong types", "SCHEMA_VIOLATION", post(person("x", age="1", tags=["a", 1])), "age", "tags[1]"
    )
    yield refused(
        "post of 1.0", "SCHEMA_VIOLATION", post(b'{"@type":"Person","name":"x","scores":[],"age":1.0}'), "age"
    )
    yield refused("post of what exists", "DOCUMENT_ALREADY_EXISTS", post(person("ada")), "id")
    yield refused("post that dangles", "DANGLING_LINK", post(person("x", friend="Person/none")), "friend")
    yield refused("post of a used key", "REQUEST_ID_REUSED", post(person("x"), again), "request_id")
    yield refused(
        "post to no branch",
        "INVALID_REQUEST",
        HttpCall("POST", place, {"branch": "a b"}, calls.spliced(person("x"))),
        "branch",
    )
    yield refused(
        "put of another id",
        "INVALID_DOCUMENT_ID",
        HttpCall("PUT", ada, {}, calls.spliced({"@id": "Person/bob"})),
        "@id",
    )
    yield refused(
        "put of another key", "INVALID_DOCUMENT_ID", HttpCall("PUT", ada, {}, calls.spliced(person("bob"))), "@id"
    )
    yield refused(
        "put of a wrong type", "SCHEMA_VIOLATION", HttpCall("PUT", ada, {}, calls.spliced(person("ada", age=[]))), "age"
    )
    yield refused("put of the same", "EMPTY_COMMIT", HttpCall("PUT", ada, {}, calls.spliced(person("ada", age=36))))
    yield refused(
        "put over what changed", "ETAG_MISMATCH", HttpCall("PUT", ada, {}, calls.spliced(person("ada")), stale), "etag"
    )
    yield refused(
        "put over nothing",
        "DOCUMENT_NOT_FOUND",
        HttpCall("PUT", f"{place}/Person/none", {}, calls.spliced(person("none")), {"if-match": "*"}),
        "id",
    )
    yield refused(
        "put of what must not exist",
        "DOCUMENT_ALREADY_EXISTS",
        HttpCall("PUT", ada, {}, calls.spliced(person("ada")), {"if-none-match": "*"}),
        "id",
    )
    yield refused("patch of nothing", "DOCUMENT_NOT_FOUND", HttpCall("PATCH", f"{place}/Person/none", {}, b"{}"), "id")
    yield refused("patch that is no object", "MALFORMED_BODY", HttpCall("PATCH", ada, {}, b"3"), "body")
    yield refused("patch to a wrong type", "SCHEMA_VIOLATION", HttpCall("PATCH", ada, {}, b'{"age":"x"}'), "age")
    yield refused("patch of the key", "INVALID_DOCUMENT_ID", HttpCall("PATCH", ada, {}, b'{"name":"eve"}'), "@id")
    yield refused("patch of what changed", "ETAG_MISMATCH", HttpCall("PATCH", ada, {}, b'{"age":1}', stale), "etag")
    yield refused("delete of nothing", "DOCUMENT_NOT_FOUND", HttpCall("DELETE", f"{place}/Person/none"), "id")
    yield refused("delete of what is linked to", "STILL_REFERENCED", HttpCall("DELETE", ada))
    yield refused(
        "delete of what changed", "ETAG_MISMATCH", HttpCall("DELETE", f"{place}/Person/cy", headers=stale), "etag"
    )
    yield refused(
        "delete of nothing at all",
        "DOCUMENT_NOT_FOUND",
        HttpCall("DELETE", f"{place}/Person/none", headers={"if-match": "*"}),
        "id",
    )
    ontology = f"/v1/databases/{DB}/ontology"
    yield refused(
        "an ontology that is an object",
        "INVALID_SCHEMA",
        HttpCall("PATCH", ontology, {}, b'{"x":1}'),
        "ontology.schema[0].@type",
    )
    yield refused(
        "an ontology that the data break",
        "SCHEMA_VIOLATED_BY_DATA",
        HttpCall("PUT", ontology, {}, calls.spliced([BEING, PERSON, MOOD])),
        "Note/one.@type",
    )
    yield refused(
        "an ontology that moved on",
        "ETAG_MISMATCH",
        HttpCall("PUT", ontology, {}, b"[]", stale),
        "ontology.expected_digest",
    )
    yield refused("an address that is not UTF-8", "DOCUMENT_NOT_FOUND", HttpCall("GET", f"{place}/Person/%ff%fe"), "id")

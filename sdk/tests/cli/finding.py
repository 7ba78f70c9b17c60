"""The kernel's queries over the store in memory: of the language just `property = "value"`, which is enough here."""

# ruff: noqa: N802 - the contract names the methods

import json
import re
from collections.abc import Iterator
from typing import Any

from sdk.tests.cli.memory import Commit, Refusal
from sdk.tests.cli.servicers import SCHEMA, Context, Store, document_message

from ontomesh.kernel.v1 import query_pb2 as queries
from ontomesh.kernel.v1 import query_service_pb2 as calls
from ontomesh.kernel.v1.query_service_pb2_grpc import QueryServiceServicer

EQUALS = re.compile(r'(\w+) = "([^"]*)"')
BATCH = 2


class QueryServicer(QueryServiceServicer):
    def __init__(self, store: Store) -> None:
        self.store = store

    def _matches(self, request: Any) -> tuple[Commit, list[str]]:
        self.store.requests.append(request)
        commit, _branch = self.store[request.database].resolve(request.ref)
        wanted = EQUALS.fullmatch(request.filter)
        if request.filter and wanted is None:
            fault = "column 1: a property is due"
            raise Refusal("INVALID_FILTER", "the filter is invalid", (("filter", fault),), column="1")
        found = [
            key
            for key, body in sorted(commit.documents.items())
            if key.startswith(f"{request.type}/") and (not wanted or json.loads(body).get(wanted[1]) == wanted[2])
        ]
        return commit, found

    def StreamQuery(self, request: calls.StreamQueryRequest, context: Context) -> Iterator[calls.StreamQueryResponse]:
        commit, found = self._matches(request)
        if request.order_by:
            name, _, direction = request.order_by.partition(" ")
            found.sort(key=lambda key: str(json.loads(commit.documents[key]).get(name)), reverse=direction == "desc")
        found = found[: request.limit or None]
        for start in range(0, max(len(found), 1), BATCH):
            some = found[start : start + BATCH]
            linked = {
                target
                for key in some
                for path in request.expand
                for target in json.loads(commit.documents[key]).get(path, ())
                if target in commit.documents
            }
            yield calls.StreamQueryResponse(
                documents=[self._message(commit, key, request.fields) for key in some],
                included=[self._message(commit, key) for key in sorted(linked)],
                commit=commit.id,
                next_page_token=str(start + BATCH) if start + BATCH < len(found) else "",
            )

    def _message(self, commit: Commit, key: str, fields: Any = ()) -> Any:
        message = document_message(key, commit.documents[key])
        if fields:
            data = json.loads(message.body)
            kept = {name: part for name, part in data.items() if name in {"@id", "@type", *fields}}
            message.body = json.dumps(kept, separators=(",", ":")).encode()
        return message

    def QueryDocuments(self, request: calls.QueryDocumentsRequest, context: Context) -> calls.QueryDocumentsResponse:
        raise NotImplementedError  # the commands stream

    def CountDocuments(self, request: calls.CountDocumentsRequest, context: Context) -> calls.CountDocumentsResponse:
        commit, found = self._matches(request)
        return calls.CountDocumentsResponse(count=len(found), commit=commit.id)

    def ExplainQuery(self, request: calls.ExplainQueryRequest, context: Context) -> calls.ExplainQueryResponse:
        commit, found = self._matches(request)
        plan = queries.QueryPlan(access=[f"class {request.type}"], reads=len(found), residual=request.filter)
        return calls.ExplainQueryResponse(plan=plan, commit=commit.id)

    def ListReferrers(self, request: calls.ListReferrersRequest, context: Context) -> calls.ListReferrersResponse:
        self.store.requests.append(request)
        commit, _branch = self.store[request.database].resolve(request.ref)
        found = [
            queries.Referrer(id=key, property=name)
            for key, body in sorted(commit.documents.items())
            if not key.startswith(SCHEMA)
            for name, value in json.loads(body).items()
            if isinstance(value, list) and request.id in value
        ]
        return calls.ListReferrersResponse(referrers=found, commit=commit.id)

    def Traverse(self, request: calls.TraverseRequest, context: Context) -> Iterator[calls.TraverseResponse]:
        self.store.requests.append(request)
        for depth in range(1, min(request.max_depth, request.limit, 3) + 1):
            visit = queries.Visit(
                id=f"Package/{depth}", depth=depth, via_id=f"Package/{depth - 1}", via_property=request.properties[0]
            )
            yield calls.TraverseResponse(visits=[visit])

"""Requests in GraphQL against the ontology of a commit: prepared within limits, executed, answered.

What was prepared is remembered: schemas by the ontology's digest, and the queries that were valid against each.
"""

import asyncio
import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from graphql import (
    DocumentNode,
    ExecutionContext,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    execute_sync,
    get_operation_ast,
    parse,
    specified_rules,
    validate,
)
from graphql.execution.values import get_variable_values

from ontomesh_chassis.errors import ErrorTable
from ontomesh_chassis.reply import Reply
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.snapshots import Snapshot
from ontomesh_data_kernel.doors.http.graphql.execution import FieldFault, execute, root_fields
from ontomesh_data_kernel.doors.http.graphql.limits import (
    MAX_INTROSPECTED,
    MAX_QUERY_BYTES,
    MAX_TOKENS,
    check_cost,
    check_shape,
    fragments_of,
    too_costly,
)
from ontomesh_data_kernel.doors.http.graphql.plans import Planner
from ontomesh_data_kernel.doors.http.graphql.requests import GraphQLRequest
from ontomesh_data_kernel.doors.http.graphql.schema import Built, build
from ontomesh_data_kernel.errors import InvalidRequest, QueryTooCostly, TooLarge

_SCHEMAS = 8
_TYPES = 10_000
"""Types of all schemas that are remembered, some 35 MB for a thousand with their fields."""
_QUERIES = 256
_REMEMBERED_BYTES = 8 << 10
"""Texts of queries that are remembered."""
_INTROSPECTIONS = 4
_MAX_ERRORS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer's JSON; `refusal` is why there is no data at all."""

    body: bytes
    refusal: Reply | None


@dataclass(slots=True)
class _Known:
    """A schema with the queries that are known to be valid, and what introspection answered."""

    built: Built
    queries: OrderedDict[str, DocumentNode] = field(default_factory=OrderedDict)
    introspections: OrderedDict[object, Any] = field(default_factory=OrderedDict)


class _Invalid(Exception):
    """The request is no valid GraphQL; `member` is which of its members is at fault."""

    def __init__(self, errors: Sequence[GraphQLError], member: str) -> None:
        super().__init__(member)
        self.errors = errors
        self.member = member


class Engine:
    """Answers requests; for one event loop."""

    def __init__(self, errors: ErrorTable) -> None:
        self._errors = errors
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._building = asyncio.Lock()

    async def answer(self, snapshot: Snapshot, request: GraphQLRequest, trace_id: str) -> Answer:
        """Answer a request at a snapshot. Raises what is no fault of the request, such as StoreUnavailable."""
        try:
            known = await self._schema(snapshot.ontology)
            prepared = await asyncio.to_thread(_prepare, known, request)
            data, faults = await self._execute(known, prepared, snapshot, request)
        except _Invalid as invalid:
            refused = InvalidRequest.at(invalid.member, invalid.errors[0].message)
            reply = self._errors.reply(refused, trace_id)
            errors = [_rendered(error, reply, invalid.member) for error in invalid.errors]
            return self._refusal(errors, reply, snapshot)
        except (InvalidRequest, QueryTooCostly, TooLarge) as error:
            reply = self._errors.reply(error, trace_id)
            return self._refusal([_of_reply(reply)], reply, snapshot)
        told = [self._fault(fault, trace_id) for fault in faults]
        answer = {"data": data} | ({"errors": told} if told else {}) | _extensions(snapshot)
        return Answer(await asyncio.to_thread(orjson.dumps, answer), None)

    async def _schema(self, ontology: Ontology) -> _Known:
        known = self._known.get(ontology.digest)
        if known is None:
            async with self._building:
                known = self._known.get(ontology.digest)
                if known is None:
                    known = self._known[ontology.digest] = _Known(await asyncio.to_thread(build, ontology))
                    while len(self._known) > 1 and self._is_full():
                        self._known.popitem(last=False)
        self._known.move_to_end(ontology.digest)
        return known

    def _is_full(self) -> bool:
        types = sum(len(known.built.schema.type_map) for known in self._known.values())
        return len(self._known) > _SCHEMAS or types > _TYPES

    async def _execute(
        self, known: _Known, prepared: "_Prepared", snapshot: Snapshot, request: GraphQLRequest
    ) -> tuple[dict[str, Any], list[FieldFault]]:
        fields = prepared.fields
        own = {key: nodes for key, nodes in fields.items() if not _is_introspection(nodes)}
        data, faults = await execute(snapshot, prepared.planner, own)
        if len(own) < len(fields):
            told = await asyncio.to_thread(_introspect, known, prepared, request)
            data = {key: told[key] if key in told else data[key] for key in fields}
        return data, faults

    def _fault(self, fault: FieldFault, trace_id: str) -> dict[str, Any]:
        error = GraphQLError(fault.error.message, fault.node)
        told = _of_reply(self._errors.reply(fault.error, trace_id))
        return told | {"locations": [place._asdict() for place in error.locations or ()], "path": fault.path}

    def _refusal(self, errors: list[dict[str, Any]], reply: Reply, snapshot: Snapshot) -> Answer:
        return Answer(orjson.dumps({"errors": errors} | _extensions(snapshot)), reply)


@dataclass(frozen=True, slots=True)
class _Prepared:
    operation: OperationDefinitionNode
    planner: Planner
    fields: Mapping[str, list[FieldNode]]


def _prepare(known: _Known, request: GraphQLRequest) -> _Prepared:
    document = known.queries.get(request.query)
    if document is None:
        document = _valid(known.built, request.query)
        if len(request.query) <= _REMEMBERED_BYTES:
            known.queries[request.query] = document
            while len(known.queries) > _QUERIES:
                known.queries.popitem(last=False)
    operation = get_operation_ast(document, request.operation)
    if operation is None:
        description = (
            "names no operation of the query" if request.operation else "is required: there are several operations"
        )
        raise InvalidRequest.at("operationName", description)
    schema = known.built.schema
    variables = get_variable_values(
        schema, operation.variable_definitions or (), dict(request.variables), max_errors=_MAX_ERRORS
    )
    if isinstance(variables, list):
        raise _Invalid(variables, "variables")
    fragments = fragments_of(document)
    planner = Planner(known.built, fragments, variables)
    try:
        check_cost(schema, fragments, operation, variables)
        return _Prepared(operation, planner, root_fields(planner, operation))
    except GraphQLError as error:
        raise _Invalid([error], "variables") from None


def _valid(built: Built, text: str) -> DocumentNode:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_QUERY_BYTES:
        raise TooLarge.of("query in bytes", size, MAX_QUERY_BYTES, "query")
    try:
        document = parse(text, max_tokens=MAX_TOKENS)
    except GraphQLError as error:
        raise _Invalid([error], "query") from None
    except RecursionError:
        raise InvalidRequest.at("query", "is nested too deeply") from None
    check_shape(document)
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode) and node.operation is not OperationType.QUERY:
            raise InvalidRequest.at("query", f"holds a {node.operation.value}; this door only reads")
    errors = validate(built.schema, document, specified_rules, max_errors=_MAX_ERRORS)
    if errors:
        raise _Invalid(errors, "query")
    return document


def _is_introspection(nodes: Sequence[FieldNode]) -> bool:
    return nodes[0].name.value in ("__schema", "__type")


class _Exhausted(BaseException):
    """Passes through an execution that turns every Exception into an error of a field."""


class _Bounded(ExecutionContext):
    """Executes at most MAX_INTROSPECTED fields."""

    spent = 0

    def execute_field(self, *arguments: Any, **named: Any) -> Any:
        """One field."""
        self.spent += 1
        if self.spent > MAX_INTROSPECTED:
            raise _Exhausted
        return super().execute_field(*arguments, **named)


def _introspect(known: _Known, prepared: _Prepared, request: GraphQLRequest) -> dict[str, Any]:
    """The answer to the operation's fields that ask for the schema."""
    key = (request.query, request.operation, repr(sorted(request.variables.items())))
    remembered: dict[str, Any] | None = known.introspections.get(key)
    if remembered is not None:
        return remembered
    asked = [node for nodes in prepared.fields.values() if _is_introspection(nodes) for node in nodes]
    operation = copy.copy(prepared.operation)
    operation.selection_set = SelectionSetNode(selections=tuple(asked))
    document = DocumentNode(definitions=(operation, *prepared.planner.fragments.values()))
    try:
        result = execute_sync(
            known.built.schema,
            document,
            variable_values=dict(request.variables),
            execution_context_class=_Bounded,
        )
    except _Exhausted:
        raise too_costly(f"asks for more than {MAX_INTROSPECTED:,} fields of the schema", MAX_INTROSPECTED) from None
    if result.errors:
        raise _Invalid(result.errors, "query")
    told = {key: orjson.Fragment(orjson.dumps(value)) for key, value in (result.data or {}).items()}
    if len(request.query) <= _REMEMBERED_BYTES:
        known.introspections[key] = told
        while len(known.introspections) > _INTROSPECTIONS:
            known.introspections.popitem(last=False)
    return told


def _extensions(snapshot: Snapshot) -> dict[str, Any]:
    return {"extensions": {"commit": snapshot.commit}}


def _rendered(error: GraphQLError, reply: Reply, member: str) -> dict[str, Any]:
    """An error of GraphQL's own, with what the table says of it."""
    violation = {"field": member, "description": error.message}
    told = {"code": reply.code.name, "reason": reply.reason, "field": member, "violations": [violation]}
    places = [place._asdict() for place in error.locations or ()]
    return {
        "message": error.message,
        **({"locations": places} if places else {}),
        "extensions": told | {"metadata": {}, "trace_id": reply.metadata["trace_id"]},
    }


def _of_reply(reply: Reply) -> dict[str, Any]:
    """An error of the table."""
    violations = [violation._asdict() for violation in reply.violations]
    return {
        "message": reply.message,
        "extensions": {
            "code": reply.code.name,
            "reason": reply.reason,
            "field": violations[0]["field"] if violations else "",
            "violations": violations,
            "metadata": {name: text for name, text in reply.metadata.items() if name != "trace_id"},
            "trace_id": reply.metadata["trace_id"],
        },
    }

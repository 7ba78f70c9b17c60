"""The few phrases of WOQL that the store uses, as JSON-LD."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from ontomesh_data_kernel.adapters.terminusdb.client import VERSION, Client
from ontomesh_data_kernel.errors import StoreUnavailable

Phrase = dict[str, Any]

_SECONDS_PER_VALUE = 0.002


def node(id: str) -> Phrase:
    """A document or class, by its id."""
    return {"@type": "NodeValue", "node": id}


def variable(name: str) -> Phrase:
    """A variable in a node's place."""
    return {"@type": "NodeValue", "variable": name}


def text(value: str, type: str = "xsd:string") -> Phrase:
    """A string, or what is written as one of another type."""
    return {"@type": "Value", "data": {"@type": type, "@value": value}}


def triple(subject: Phrase, predicate: str, object: Phrase) -> Phrase:
    """That a subject has a property with a value."""
    value = object if "data" in object else {"@type": "Value", **{k: v for k, v in object.items() if k != "@type"}}
    return {"@type": "Triple", "subject": subject, "predicate": node(predicate), "object": value}


def equality(name: str, value: str) -> Phrase:
    """That a variable is a string."""
    return {"@type": "Equals", "left": {"@type": "Value", "variable": name}, "right": text(value)}


def literal(type: str, value: object) -> Phrase:
    """A value of a type."""
    return {"@type": "Value", "data": {"@type": type, "@value": value}}


def member(name: str, values: Iterable[Phrase]) -> Phrase:
    """That a variable is one of these values or nodes."""
    listed = [{**value, "@type": "DataValue"} for value in values]
    return {"@type": "Member", "member": _value(name), "list": {"@type": "DataValue", "list": listed}}


def between(subject: Phrase, predicate: str, name: str, low: Phrase, high: Phrase) -> Phrase:
    """That a subject has a property with a value of `low`'s type that is not below it, but below `high`.

    The server finds the values in its dictionary; it gives them for every property, so that the triple is asked for too.
    It fails where a bound holds a character beyond U+FFFF.
    """
    said = {"@type": "TripleSlice", "subject": subject, "predicate": node(predicate), "object": _value(name)}
    return conjunction([{**said, "low": low, "high": high}, triple(subject, predicate, variable(name))])


def compared(operator: str, name: str, bound: Phrase) -> Phrase:
    """That a variable is `Less`, `Lte`, `Gte` or `Greater` than a value."""
    return {"@type": operator, "left": _datum(name), "right": {**bound, "@type": "DataValue"}}


def matching(name: str, result: str, pattern: str) -> Phrase:
    """That a regular expression finds something in a string; `result` is what it finds."""
    said = {"@type": "DataValue", "data": {"@type": "xsd:string", "@value": pattern}}
    return {"@type": "Regexp", "pattern": said, "string": _datum(name), "result": _datum(result)}


def limit(count: int, query: Phrase) -> Phrase:
    """The first of a query's solutions."""
    return {"@type": "Limit", "limit": count, "query": query}


def _value(name: str) -> Phrase:
    return {"@type": "Value", "variable": name}


def _datum(name: str) -> Phrase:
    return {"@type": "DataValue", "variable": name}


def negation(query: Phrase) -> Phrase:
    """That something is not so."""
    return {"@type": "Not", "query": query}


def conjunction(parts: Iterable[Phrase]) -> Phrase:
    """That all hold, in this order."""
    return {"@type": "And", "and": list(parts)}


def disjunction(parts: Iterable[Phrase]) -> Phrase:
    """That any holds."""
    return {"@type": "Or", "or": list(parts)}


def select(names: Sequence[str], query: Phrase) -> Phrase:
    """The values of some variables alone."""
    return {"@type": "Select", "variables": list(names), "query": query}


def json_text(document: Mapping[str, Any]) -> str:
    """A document as the cast takes it."""
    return orjson.dumps(document).decode()


def write(index: int, document: str, *, insert: bool) -> list[Phrase]:
    """Insert a document or replace it; from its JSON text, since a plain tree would turn its strings into ids."""
    name = f"D{index}"
    cast = {
        "@type": "Typecast",
        "value": text(document),
        "type": node("sys:Dictionary"),
        "result": {"@type": "Value", "variable": name},
    }
    kind = "InsertDocument" if insert else "UpdateDocument"
    return [cast, {"@type": kind, "document": {"@type": "Value", "variable": name}}]


def delete(id: str) -> Phrase:
    """Delete a document."""
    return {"@type": "DeleteDocument", "identifier": node(id)}


async def commit(
    client: Client,
    database: str,
    ref: Sequence[str],
    phrases: Sequence[Phrase],
    *,
    author: str,
    message: str,
    metadata: Mapping[str, str] | None = None,
    head: str = "",
    values: int = 0,
) -> str | None:
    """Write in one transaction and return the new head, or None if one of the phrases did not hold.

    With `head`, that must be where the branch stands; `values` says how much there is to write. Raises Refused and what `Client.ask` raises.
    """
    info = {"author": author, "message": message, "metadata": dict(metadata or {})}
    answer = await client.ask(
        "POST",
        client.path("woql", database, *ref),
        body={"commit_info": info, "query": select((), conjunction(phrases))},
        headers={VERSION: f"branch:{head}"} if head else None,
        seconds=client.server.seconds + _SECONDS_PER_VALUE * (values + len(phrases)),
    )
    if not answer.bindings():
        return None
    if answer.version in ("", head):
        raise StoreUnavailable("TerminusDB says that it wrote, and made no commit")
    return answer.version

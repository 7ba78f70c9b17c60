"""What the server tells of the values that a query orders by, so that the documents need not be read for it."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from ontomesh_data_kernel.adapters.terminusdb import woql
from ontomesh_data_kernel.adapters.terminusdb.projection import Schema
from ontomesh_data_kernel.adapters.terminusdb.ways import Kind, Ways
from ontomesh_data_kernel.domain.ontology import Ontology
from ontomesh_data_kernel.domain.ontology.types import SCALARS
from ontomesh_data_kernel.domain.query.sorting import sort_key
from ontomesh_data_kernel.domain.query.tree import Order


class Orders:
    """Asks for the sort keys of a field, in one ontology and the server's schema at a commit."""

    def __init__(self, ontology: Ontology, schema: Schema) -> None:
        self._ways = Ways(ontology, schema)

    def asked(self, order: Order, condition: woql.Phrase | None) -> woql.Phrase | None:
        """The question for the values of the documents that fulfil a condition; {} if the ids tell enough, None if the
        server does not tell.
        """
        if not order.path.hops:
            return {}
        if order.path.type == "@type":
            return None
        if order.path.indexed:
            names = self._ways.keys(order.path.hops)
        else:
            ways = self._ways.of(order.path.hops)
            if any(way.kind is not Kind.PLAIN or not way.is_single for way in ways):
                return None
            names = sorted({way.name for way in ways})
        values = [woql.triple(woql.variable("Id"), name, woql.variable("Value")) for name in names]
        said = values[0] if len(values) == 1 else woql.disjunction(values)
        return woql.select(["Id", "Value"], said if condition is None else woql.conjunction([condition, said]))

    def keys(self, order: Order, ids: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Mapping[str, bytes]:
        """The sort keys by id of those documents that have a value, from the answer."""
        type_ = order.path.type
        if type_ == "@id":
            return {id: sort_key("@id", id) for id in ids}
        if type_ == "@type":
            return {id: sort_key("@type", id.partition("/")[0]) for id in ids}
        if order.path.indexed:
            return {row["Id"]: bytes.fromhex(row["Value"]["@value"]) for row in rows}
        if type_ == "enum":
            return {row["Id"]: sort_key(type_, unquote(row["Value"].rpartition("/")[2])) for row in rows}
        read = SCALARS[type_]
        return {row["Id"]: sort_key(type_, read(row["Value"]["@value"])) for row in rows}

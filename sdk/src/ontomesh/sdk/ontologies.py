"""Trying a change of an ontology, and of the documents that are there, before it is made; classes as JSON Schema."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from ontomesh.kernel.v1 import ontology_service_pb2
from ontomesh.sdk import convert
from ontomesh.sdk.migrations import Step
from ontomesh.sdk.operations import OntologyChange
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import ClassSchema, OntologyCheck


class OntologyCalls:
    """Trying changes of a database's ontology, and its classes as JSON Schema."""

    name: str
    _raw: Raw

    async def class_schema(self, name: str, ref: str = "", *, timeout: float | None = None) -> ClassSchema:
        """A class at a ref as JSON Schema (draft 2020-12): the form of documents of it and of its subclasses.

        Raises:
            UnknownClass: There is no such class.
        """
        request = ontology_service_pb2.GetClassSchemaRequest(database=self.name, ref=ref, class_name=name)
        return convert.class_schema(await self._raw.ontologies.GetClassSchema(request, timeout=timeout))

    async def check_ontology(
        self,
        schema: bytes | Iterable[Mapping[str, Any] | type] = (),
        *,
        mode: Literal["upsert", "replace"] = "upsert",
        remove: Sequence[str] = (),
        migrations: Sequence[Step | Mapping[str, Any]] = (),
        ref: str = "",
        changes_only: bool = False,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> OntologyCheck:
        """What a change would come to at a ref: the differences, and a page of what would not fit.

        Nothing is changed. With `changes_only` no document is looked at. The next page is asked for with the same
        arguments and `page_token`; it goes on at the same commit. A page may have no violations although more follow.

        Raises:
            InvalidSchema: The schema or a step is wrong; `violations` says where.
        """
        change = OntologyChange(schema, mode, remove, migrations=migrations)
        request = ontology_service_pb2.CheckOntologyRequest(
            database=self.name,
            ref=ref,
            change=convert.ontology_change(change),
            page_size=page_size,
            page_token=page_token,
            changes_only=changes_only,
        )
        return convert.ontology_check(await self._raw.ontologies.CheckOntology(request, timeout=timeout))

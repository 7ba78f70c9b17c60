"""Reading at a commit of the server's: documents in the kernel's canonical form, listings, and a decision's facts."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ontomesh_data_kernel.adapters.terminusdb import woql
from ontomesh_data_kernel.adapters.terminusdb.client import Client, Refused
from ontomesh_data_kernel.adapters.terminusdb.projection import DANGLING, ELEMENT, KEYS, Documents, Schema, native_id
from ontomesh_data_kernel.domain.canonical import document_hash
from ontomesh_data_kernel.domain.model import Document
from ontomesh_data_kernel.domain.ontology import SCHEMA_PREFIX, Ontology
from ontomesh_data_kernel.errors import Corrupt, KernelError, TooLarge, Violation
from ontomesh_data_kernel.ports import Facts, Holder, Needs, Referrers, Version

_READ_IDS = 200
_REMEMBERED = 64
_LISTINGS = 32
_SCHEMAS = 256
_SHOWN_REFERRERS = 10
_ASKED_VALUES = 100


class Reader:
    """Reads of any commit. Remembers ontologies by digest, and the ids of listed classes by commit."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._documents: OrderedDict[str, Documents] = OrderedDict()
        self._schemas: OrderedDict[tuple[str, str], Schema] = OrderedDict()
        self._listings: OrderedDict[tuple[str, ...], Sequence[str]] = OrderedDict()

    def learn(self, ontology: Ontology) -> Documents:
        """Remember an ontology."""
        known = self._documents.get(ontology.digest)
        if known is None:
            known = self._documents[ontology.digest] = Documents(ontology)
            while len(self._documents) > _REMEMBERED:
                self._documents.popitem(last=False)
        return known

    async def converter(self, native: str, backend: str, digest: str) -> Documents:
        """What turns the documents of a commit into the kernel's."""
        known = self._documents.get(digest)
        if known is None:
            known = self.learn(Ontology.from_documents(await self.elements(native, backend)))
        return known

    async def schema(self, native: str, backend: str) -> Schema:
        """The server's own schema at a commit."""
        known = self._schemas.get((native, backend))
        if known is None:
            path = self._client.path("document", native, "local", "commit", backend)
            answer = await self._client.ask("GET", path, query={"graph_type": "schema", "as_list": "true"})
            known = Schema.read(answer.json())
            self.learn_schema(native, backend, known)
        return known

    def learn_schema(self, native: str, backend: str, schema: Schema) -> None:
        """Remember the server's own schema at a commit."""
        self._schemas[native, backend] = schema
        while len(self._schemas) > _SCHEMAS:
            self._schemas.popitem(last=False)

    async def read_head(self, native: str, branch: str, id: str) -> tuple[Any, str] | None:
        """A document at a branch's head and that head, or None if there is no such document."""
        path = self._client.path("document", native, "local", "branch", branch)
        try:
            answer = await self._client.ask("GET", path, query={"id": native_id(id)})
        except Refused as error:
            if error.kind == "DocumentNotFound":
                return None
            raise
        return answer.json(), answer.version

    async def version(self, native: str, backend: str, digest: str, document: dict[str, Any]) -> Version:
        """A document that the server answered, as the kernel has it."""
        if document["@type"] == ELEMENT:
            return _element(document)
        return _version(await self.converter(native, backend, digest), document)

    async def versions(
        self, native: str, backend: str, digest: str, ids: Collection[str], max_bytes: int | None = None
    ) -> dict[str, Version]:
        """Those of the documents that exist. Raises TooLarge."""
        names = {native_id(id): id for id in ids}
        wanted = sorted(names)
        found: dict[str, Version] = {}
        size = 0
        for start in range(0, len(wanted), _READ_IDS):
            documents = await self._by_ids(native, backend, wanted[start : start + _READ_IDS])
            others = [document for document in documents if document["@type"] != ELEMENT]
            some = [(document["@id"], _element(document)) for document in documents if document["@type"] == ELEMENT]
            if others:
                converter = await self.converter(native, backend, digest)
                some += await asyncio.to_thread(_versions, converter, others)
            found |= {names[id]: version for id, version in some}
            size += sum(len(version.body) for _, version in some)
            if max_bytes is not None and size > max_bytes:
                violation = Violation("ids", f"the documents have more than {max_bytes:,} bytes together")
                raise TooLarge(violation.description, (violation,), {"limit": str(max_bytes)})
        return found

    async def _by_ids(self, native: str, backend: str, ids: Sequence[str]) -> list[dict[str, Any]]:
        path = self._client.path("document", native, "local", "commit", backend)
        answer = await self._client.ask(
            "POST", path, body={"ids": ids, "as_list": True}, headers={"x-http-method-override": "GET"}
        )
        documents: list[dict[str, Any]] = await asyncio.to_thread(answer.json)
        return documents

    async def elements(self, native: str, backend: str) -> dict[str, bytes]:
        """The bodies of the ontology's elements by id."""
        path = self._client.path("document", native, "local", "commit", backend)
        answer = await self._client.ask("GET", path, query={"type": ELEMENT, "as_list": "true"})
        return {
            SCHEMA_PREFIX + document["@id"].partition("/")[2]: document["body"].encode() for document in answer.json()
        }

    async def ids(self, native: str, backend: str, classes: Sequence[str]) -> Sequence[str]:
        """The ids of all documents of exactly these classes, in order."""
        key = (native, backend, *sorted(classes))
        known = self._listings.get(key)
        if known is None:
            found: list[str] = []
            if classes:
                kinds = [woql.triple(woql.variable("Id"), "rdf:type", woql.node(f"@schema:{name}")) for name in classes]
                query = woql.select(["Id"], woql.disjunction(kinds))
                found = [one["Id"] for one in await self._client.woql(native, "local", "commit", backend, query=query)]
            known = self._listings[key] = sorted(found)
            while len(self._listings) > _LISTINGS:
                self._listings.popitem(last=False)
        return known

    async def documents(
        self,
        native: str,
        backend: str,
        digest: str,
        classes: Sequence[str],
        after: str,
        limit: int,
        max_bytes: int,
    ) -> tuple[list[Document], bool]:
        """A page of documents of exactly these classes by id, and whether more follow."""
        left = [id for id in await self.ids(native, backend, classes) if id > after]
        page: list[Document] = []
        size = 0
        for start in range(0, min(len(left), limit), _READ_IDS):
            some = left[start : min(start + _READ_IDS, limit)]
            found = await self.versions(native, backend, digest, some)
            for id in some:
                if page and size >= max_bytes:
                    return page, True
                page.append(Document(id, found[id].body, found[id].etag))
                size += len(found[id].body)
        return page, len(left) > len(page)

    async def facts(self, native: str, backend: str, digest: str, needs: Needs) -> Facts:
        """What a decision asks for, but for what only the history tells."""
        named = {*needs.bodies, *needs.etags}
        versions = await self.versions(native, backend, digest, named) if named else {}
        instances: list[tuple[str, bytes]] = []
        if needs.instances:
            ids = await self.ids(native, backend, needs.instances)
            found = await self.versions(native, backend, digest, ids)
            instances = [(id, found[id].body) for id in ids]
        return Facts(
            bodies={id: versions[id] for id in needs.bodies if id in versions},
            etags={id: versions[id].etag for id in needs.etags if id in versions},
            referrers=await self._referrers(native, backend, needs.referrers) if needs.referrers else {},
            holders=await self._value_holders(native, backend, needs.holders),
            ontology=await self.elements(native, backend) if needs.ontology else {},
            instances=instances,
        )

    async def _value_holders(self, native: str, backend: str, asked: Sequence[Holder]) -> Sequence[tuple[str, ...]]:
        """The documents that may have each of the values, by the keys that stand beside them."""
        schema = await self.schema(native, backend) if asked else None
        found: list[tuple[str, ...]] = []
        for start in range(0, len(asked), _ASKED_VALUES):
            allowed: list[set[tuple[str, str]]] = []
            ways = []
            for index, holder in enumerate(asked[start : start + _ASKED_VALUES]):
                paths = [path.partition(".")[::2] for path in holder.paths]
                assert schema is not None
                allowed.append({(cls, name) for cls, path in paths for name in schema.variants(cls, path + KEYS)})
                for name in sorted({name for _, name in allowed[-1]}):
                    said = [woql.equality("Asked", str(index)), woql.equality("Name", name)]
                    has = woql.triple(woql.variable("Holder"), name, woql.text(holder.key.hex()))
                    ways.append(woql.conjunction([*said, has]))
            holders: list[set[str]] = [set() for _ in allowed]
            query = woql.select(["Holder", "Asked", "Name"], woql.disjunction(ways))
            for one in await self._client.woql(native, "local", "commit", backend, query=query) if ways else ():
                index = int(one["Asked"]["@value"])
                if (one["Holder"].partition("/")[0], one["Name"]["@value"]) in allowed[index]:
                    holders[index].add(one["Holder"])
            found += [tuple(sorted(ids)[:_SHOWN_REFERRERS]) for ids in holders]
        return found

    async def _referrers(self, native: str, backend: str, asked: Referrers) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for target in asked.targets:
            links = await self.links(native, backend, target, asked.paths)
            holders = {id for id, _ in links if id not in asked.excluding}
            if holders:
                found[target] = tuple(sorted(holders)[:_SHOWN_REFERRERS])
        return found

    async def links(self, native: str, backend: str, target: str, paths: Collection[str]) -> set[tuple[str, str]]:
        """The links to a document, as (id, path), by any of these paths (`Class.property`)."""
        schema = await self.schema(native, backend)
        allowed: dict[tuple[str, str], str] = {}
        for path in paths:
            cls, _, name = path.partition(".")
            allowed |= {(cls, variant): path for variant in schema.variants(cls, name)}
        properties = sorted({name for _, name in allowed})
        # A link that may dangle, or might when the document was written, is a text.
        texts = {name for cls, name in allowed if schema.may_dangle(cls, name)}
        pairs = await self._holders(native, backend, properties, texts, target) if properties else ()
        named = ((id, allowed.get((id.partition("/")[0], name))) for id, name in pairs)
        return {(id, path) for id, path in named if path is not None}

    async def _holders(
        self, native: str, backend: str, properties: Sequence[str], texts: Collection[str], target: str
    ) -> list[tuple[str, str]]:
        """The (document, property) pairs that link to a document, by itself or in a list."""
        holder, cell = woql.variable("Holder"), woql.variable("Cell")
        ways = []
        for name in properties:
            said = woql.equality("Name", name)
            for value in (woql.node(target), woql.text(target, DANGLING)) if name in texts else (woql.node(target),):
                direct = woql.triple(holder, name, value)
                in_list = [woql.triple(holder, name, cell), woql.triple(cell, "sys:value", value)]
                ways += [woql.conjunction([said, direct]), woql.conjunction([said, *in_list])]
        query = woql.select(["Holder", "Name"], woql.disjunction(ways))
        bindings = await self._client.woql(native, "local", "commit", backend, query=query)
        return [(one["Holder"], one["Name"]["@value"]) for one in bindings]


def _element(document: Mapping[str, Any]) -> Version:
    body = document["body"].encode()
    return Version(document_hash(body).hex(), body)


def _versions(converter: Documents, documents: Sequence[dict[str, Any]]) -> list[tuple[str, Version]]:
    return [(document["@id"], _version(converter, document)) for document in documents]


def _version(converter: Documents, document: dict[str, Any]) -> Version:
    try:
        body, etag = converter.from_native(document)
    except KernelError as error:
        message = f"TerminusDB has {document.get('@id')} in a form that its class does not allow: {error.message}"
        raise Corrupt(message) from error
    return Version(etag, body)

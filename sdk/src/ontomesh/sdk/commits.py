"""Writing, which is committing."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack

from ontomesh.kernel.v1 import commit_service_pb2
from ontomesh.sdk import convert
from ontomesh.sdk.migrations import Step
from ontomesh.sdk.operations import Body, Delete, OntologyChange, Replace, Update
from ontomesh.sdk.raw import Raw
from ontomesh.sdk.resources import Committed

MIGRATION_TIMEOUT = 600.0


class CommitOptions(TypedDict, total=False):
    """The keywords of `commit` that its shorthands pass on."""

    ontology: OntologyChange | None
    author: str
    metadata: Mapping[str, str] | None
    expected_head: str
    request_id: str | None
    validate_only: bool
    timeout: float | None


class CommitCalls:
    """The writing half of a database. A `branch` that is left out means the connection's, else `main`.

    Every write carries a request id, a random one unless given, so that it can be sent again and happens once.
    """

    name: str
    _raw: Raw

    async def commit(
        self,
        *,
        message: str = "",
        branch: str = "",
        insert: Iterable[Body] = (),
        replace: Iterable[Body | Replace] = (),
        put: Iterable[Body] = (),
        update: Iterable[Update] = (),
        delete: Iterable[str | Delete] = (),
        ontology: OntologyChange | None = None,
        author: str = "",
        metadata: Mapping[str, str] | None = None,
        expected_head: str = "",
        request_id: str | None = None,
        validate_only: bool = False,
        timeout: float | None = None,
    ) -> Committed:
        """The commit that does all of this at once, on disk when it returns; or nothing of it.

        `insert` needs documents that do not exist, `replace` such that do, `put` takes both. Documents may link to
        each other in any order. `expected_head` is the commit that the branch must be at. With `validate_only`
        everything is checked and nothing committed.

        Raises:
            SchemaViolation: A document does not fit its class; `violations` says where.
            StaleHead: The branch is not at `expected_head`.
            EtagMismatch: A document is not the one that was read.
            EmptyCommit: Nothing would change.
        """
        request = commit_service_pb2.CreateCommitRequest(
            database=self.name,
            branch=branch,
            operations=convert.operations(insert, replace, put, update, delete),
            ontology=None if ontology is None else convert.ontology_change(ontology),
            message=message,
            author=author,
            metadata=metadata,
            expected_head=expected_head,
            request_id=request_id or str(uuid.uuid4()),
            validate_only=validate_only,
        )
        return convert.committed(await self._raw.commits.CreateCommit(request, timeout=timeout))

    async def insert(
        self, *documents: Body, message: str = "", branch: str = "", **options: Unpack[CommitOptions]
    ) -> Committed:
        """The commit that adds documents. Further keywords are those of `commit`.

        Raises:
            DocumentAlreadyExists: One of them exists.
        """
        return await self.commit(insert=documents, message=message, branch=branch, **options)

    async def put(
        self, *documents: Body, message: str = "", branch: str = "", **options: Unpack[CommitOptions]
    ) -> Committed:
        """The commit that adds documents or puts them in the place of what is there. Further keywords as `commit`."""
        return await self.commit(put=documents, message=message, branch=branch, **options)

    async def update(
        self,
        id: str,
        patch: Mapping[str, Any],
        *,
        mask: Sequence[str] | None = None,
        etag: str = "",
        message: str = "",
        branch: str = "",
        **options: Unpack[CommitOptions],
    ) -> Committed:
        """The commit that changes some properties of a document; see `Update`. Further keywords as `commit`.

        Raises:
            DocumentNotFound: There is none of this id.
        """
        change = Update(id, patch, mask, etag)
        return await self.commit(update=[change], message=message, branch=branch, **options)

    async def delete(
        self, *ids: str | Delete, message: str = "", branch: str = "", **options: Unpack[CommitOptions]
    ) -> Committed:
        """The commit that removes documents. Further keywords are those of `commit`.

        Raises:
            StillReferenced: Another document links to one of them.
        """
        return await self.commit(delete=ids, message=message, branch=branch, **options)

    async def apply_ontology(
        self,
        schema: bytes | Iterable[Mapping[str, Any] | type],
        *,
        mode: Literal["upsert", "replace"] = "upsert",
        remove: Sequence[str] = (),
        expected_digest: str = "",
        migrations: Sequence[Step | Mapping[str, Any]] = (),
        message: str = "",
        branch: str = "",
        validate_only: bool = False,
        timeout: float | None = None,
    ) -> Committed:
        """The commit that changes the ontology, and with `migrations` the documents that are there; see `OntologyChange`.

        Raises:
            InvalidSchema: The schema is wrong; `violations` says where.
            SchemaViolatedByData: Documents of the branch do not fit it.
        """
        change = OntologyChange(schema, mode, remove, expected_digest, migrations)
        return await self.commit(
            ontology=change, message=message, branch=branch, validate_only=validate_only, timeout=timeout
        )

    async def migrate(
        self,
        *steps: Step | Mapping[str, Any],
        schema: bytes | Iterable[Mapping[str, Any] | type] = (),
        expected_digest: str = "",
        message: str = "",
        branch: str = "",
        request_id: str | None = None,
        validate_only: bool = False,
        timeout: float = MIGRATION_TIMEOUT,
    ) -> Committed:
        """The commit that changes documents and ontology together, by steps in order (see `ontomesh.sdk.migrations`).

        All of it happens or nothing. `schema` are elements to lay over what the steps lead to.

        Raises:
            InvalidSchema: A step names what is not there, or the steps lead to no ontology.
            SchemaViolatedByData: A value cannot be changed, or a document does not fit afterwards.
        """
        return await self.commit(
            ontology=OntologyChange(schema, "upsert", (), expected_digest, steps),
            message=message,
            branch=branch,
            request_id=request_id,
            validate_only=validate_only,
            timeout=timeout,
        )

"""Writing validators, which check commits before they count.

    from ontomesh.sdk.validation import Objection, Proposal

    def validate(proposal: Proposal):
        for change in proposal.changes:
            if change.after is not None and not change.after.get("license"):
                yield Objection("must name a license", change.id, "license")

Installed with the kernel and named by an entry point of the group `ontomesh.validators`, such a function is called in
the kernel's process (`PythonCheck`); with `serve` it runs as a service of its own (`GrpcCheck`). It may be async. It
must decide by the proposal alone: a commit may be judged several times, and a verdict is kept as long as the documents
that it was about do not change.
"""

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc

from ontomesh.kernel.v1 import commit_validator_pb2, commit_validator_pb2_grpc
from ontomesh.sdk.decoding import decode

MAX_MESSAGE_BYTES = 16 << 20


@dataclass(frozen=True)
class ProposedChange:
    """One document as it would change.

    Attributes:
        id: The document's id.
        classes: Its class, and all that it inherits from.
        before_json: The document as it is now, canonical JSON; None if there is none.
        after_json: The document as it would be; None if it is deleted.
        paths: The properties that change, such as `address.city`; empty for an insert or a deletion.
    """

    id: str
    classes: tuple[str, ...]
    before_json: bytes | None
    after_json: bytes | None
    paths: tuple[str, ...] = ()

    @property
    def before(self) -> dict[str, Any] | None:
        """The document as it is now; None if there is none."""
        return None if self.before_json is None else decode(self.before_json)

    @property
    def after(self) -> dict[str, Any] | None:
        """The document as it would be; None if it is deleted."""
        return None if self.after_json is None else decode(self.after_json)


@dataclass(frozen=True)
class Proposal:
    """A commit that somebody wants to make, or some of its changes: large ones are shown bit by bit.

    Attributes:
        validator: The validator's name.
        attempt_id: The same for all calls about one attempt to commit.
        database: The database.
        branch: The branch.
        author: The author to be.
        committer: The principal that asks for it.
        message: The message.
        metadata: The metadata.
        head: The commit that the branch is at as far as known.
        changes: The changes that match the validator.
        is_merge: Whether the commit is a merge.
        parameters: Those that the validator was put with; empty in a service of its own.
    """

    validator: str
    attempt_id: str
    database: str
    branch: str
    author: str
    committer: str
    message: str
    metadata: Mapping[str, str]
    head: str
    changes: tuple[ProposedChange, ...]
    is_merge: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Objection:
    """What is wrong: in words for the committer, with the document and the property that it is about, if any."""

    description: str
    id: str = ""
    path: str = ""


Objections = Iterable[Objection] | None
Validate = Callable[[Proposal], Objections | Awaitable[Objections] | AsyncIterable[Objection]]
"""Judges a proposal: what it gives refuses the commit, nothing lets it pass. An error is a failure of the validator."""


async def judge(validate: Validate, proposal: Proposal) -> list[Objection]:
    """All that a validator has to say, whether it is async or not."""
    made = validate(proposal)
    if inspect.isawaitable(made):
        made = await made
    if isinstance(made, AsyncIterable):
        return [each async for each in made]
    return list(made or ())


class _Servicer(commit_validator_pb2_grpc.CommitValidatorServicer):
    def __init__(self, validate: Validate) -> None:
        self._validate = validate

    async def Validate(  # noqa: N802 - the contract's name
        self, request: commit_validator_pb2.ValidateRequest, context: object
    ) -> commit_validator_pb2.ValidateResponse:
        found = await judge(self._validate, proposal_of(request))
        return commit_validator_pb2.ValidateResponse(
            violations=[
                commit_validator_pb2.ValidatorViolation(id=one.id, path=one.path, description=one.description)
                for one in found
            ]
        )


def proposal_of(request: commit_validator_pb2.ValidateRequest) -> Proposal:
    """A proposal as the contract has it."""
    return Proposal(
        request.validator,
        request.attempt_id,
        request.database,
        request.branch,
        request.author,
        request.committer,
        request.message,
        dict(request.metadata),
        request.head,
        tuple(
            ProposedChange(one.id, tuple(one.classes), one.before or None, one.after or None, tuple(one.paths))
            for one in request.changes
        ),
        request.is_merge,
    )


async def serve(
    validate: Validate, address: str, credentials: grpc.ServerCredentials | None = None
) -> tuple[grpc.aio.Server, int]:
    """A started server of `CommitValidator` over a function, and its port; without credentials it speaks no TLS.

    A function that blocks holds up the server's other calls: such a one better runs in a thread.
    """
    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    server = grpc.aio.server(options=options)
    commit_validator_pb2_grpc.add_CommitValidatorServicer_to_server(_Servicer(validate), server)
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    return server, port

"""Proposals and verdicts as the contract has them."""

import secrets
from collections.abc import Iterable

from ontomesh.kernel.v1 import commit_validator_pb2
from ontomesh_chassis.trace import current_span_id, current_trace_id
from ontomesh_data_kernel.domain.validators.judging import MAX_OBJECTIONS
from ontomesh_data_kernel.domain.validators.model import Objection, Proposal

MAX_ANSWER_BYTES = 1 << 20
MAX_DESCRIPTION_BYTES = 1_024
MAX_PLACE_BYTES = 1_024


def request_of(name: str, proposal: Proposal) -> commit_validator_pb2.ValidateRequest:
    """A proposal for a validator."""
    return commit_validator_pb2.ValidateRequest(
        validator=name,
        attempt_id=proposal.attempt_id,
        database=proposal.database,
        branch=proposal.branch,
        author=proposal.author,
        committer=proposal.committer,
        message=proposal.message,
        metadata=proposal.metadata,
        head=proposal.head,
        changes=[
            commit_validator_pb2.ProposedChange(
                id=one.id, classes=one.classes, before=one.before or b"", after=one.after or b"", paths=one.paths
            )
            for one in proposal.changes
        ],
        is_merge=proposal.is_merge,
    )


def objections_of(response: commit_validator_pb2.ValidateResponse) -> list[Objection]:
    """What a verdict objects to."""
    return bounded(Objection(one.description, one.id, one.path) for one in response.violations[:MAX_OBJECTIONS])


def bounded(objections: Iterable[Objection]) -> list[Objection]:
    """Objections within their limits of size."""
    return [
        Objection(
            _cut(one.description, MAX_DESCRIPTION_BYTES) or "objects",
            _cut(one.id, MAX_PLACE_BYTES),
            _cut(one.path, MAX_PLACE_BYTES),
        )
        for one in objections
    ]


def traceparent() -> str:
    """The current span as W3C trace context names it; not sampled if it is not recorded."""
    span = current_span_id()
    return f"00-{current_trace_id()}-{span or secrets.token_hex(8)}-{'01' if span else '00'}"


def _cut(text: str, limit: int) -> str:
    return text[:limit].encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")

"""Asking validators: each within its time, behind its circuit breaker, counted and traced."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from ontomesh.sdk.breaker import CircuitBreaker
from ontomesh.sdk.errors import CircuitOpen
from ontomesh_chassis.outbound import AddressRefused as OutboundRefused
from ontomesh_chassis.outbound import OutboundFilter, Unresolved
from ontomesh_chassis.outbound_http import OutboundClient
from ontomesh_chassis.trace import child_span
from ontomesh_data_kernel.adapters.validators.https import HttpsChecks
from ontomesh_data_kernel.adapters.validators.messages import bounded
from ontomesh_data_kernel.adapters.validators.metrics import ValidatorMetrics
from ontomesh_data_kernel.adapters.validators.patterns import compile_pattern
from ontomesh_data_kernel.adapters.validators.python import PythonChecks
from ontomesh_data_kernel.adapters.validators.remote import GrpcChecks
from ontomesh_data_kernel.domain.validators.model import (
    BuiltinCheck,
    Cause,
    Check,
    CheckFailed,
    GrpcCheck,
    HttpsCheck,
    Objection,
    Proposal,
    PythonCheck,
    Standing,
    Validator,
)
from ontomesh_data_kernel.domain.validators.records import kind_of
from ontomesh_data_kernel.domain.validators.rules import judge_by_rule
from ontomesh_data_kernel.errors import AddressRefused

_IN_THREAD_BYTES = 64 << 10

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    """How one validator fares; the circuit is that of the validator as it is by its etag."""

    etag: str
    circuit: CircuitBreaker = field(default_factory=CircuitBreaker)
    calls: int = 0
    rejections: int = 0
    failures: int = 0


class ValidatorChecks:
    """`ports.Checks` over all kinds of validators."""

    compile_pattern = staticmethod(compile_pattern)

    def __init__(
        self,
        outbound: OutboundFilter,
        metrics: ValidatorMetrics | None = None,
        python: PythonChecks | None = None,
    ) -> None:
        self._metrics = metrics or ValidatorMetrics(CollectorRegistry())
        self._python = python or PythonChecks()
        self._grpc = GrpcChecks(outbound)
        self._https = HttpsChecks(OutboundClient(outbound))
        self._watched: dict[str, _Watched] = {}

    async def examine(self, check: Check) -> None:
        """See `ports.Checks`. A name that leads nowhere yet is taken: it is looked at again at each connection."""
        try:
            match check:
                case PythonCheck():
                    self._python.examine(check)
                case GrpcCheck():
                    await self._grpc.destination(check)
                case HttpsCheck():
                    await self._https.destination(check)
        except OutboundRefused as error:
            field = "validator.grpc.target" if isinstance(check, GrpcCheck) else "validator.https.url"
            raise AddressRefused.at(field, error.message) from None
        except Unresolved as error:
            logger.warning("a validator's address: %s", error)

    async def judge(self, validator: Validator, pieces: Sequence[Proposal], seconds: float) -> Sequence[Objection]:
        """See `ports.Checks`."""
        name, watched, began = validator.name, self._watch(validator), time.monotonic()
        try:
            watched.circuit.admit(name)
        except CircuitOpen as error:
            self._failed(name, watched, Cause.CIRCUIT_OPEN, 0.0)
            raise CheckFailed(Cause.CIRCUIT_OPEN, str(error)) from None
        attributes = {"ontomesh.validator": name, "ontomesh.validator.kind": kind_of(validator.check)}
        with child_span("ontomesh_data_kernel", f"validate {name}", **attributes) as span:
            try:
                objections = bounded(await self._within(validator, pieces, seconds))
            except CheckFailed as failure:
                watched.circuit.failed()
                self._failed(name, watched, failure.cause, time.monotonic() - began)
                raise
            watched.circuit.answered()
            span.set_attribute("ontomesh.validator.objections", len(objections))
        watched.calls += 1
        watched.rejections += bool(objections)
        self._metrics.judged(name, time.monotonic() - began, objects=bool(objections))
        self._metrics.circuit(name, is_open=False)
        return objections

    def standing(self, name: str) -> Standing:
        """See `ports.Checks`."""
        watched = self._watched.get(name)
        if watched is None:
            return Standing()
        return Standing(watched.calls, watched.rejections, watched.failures, watched.circuit.is_open)

    async def close(self) -> None:
        """End connections."""
        await self._grpc.close()
        await self._https.close()

    async def _within(self, validator: Validator, pieces: Sequence[Proposal], seconds: float) -> list[Objection]:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._ask(validator, pieces, seconds)
        except TimeoutError as error:
            if limit.expired():
                raise CheckFailed(Cause.DEADLINE, f"no answer within {seconds:.3g} s") from None
            raise CheckFailed(Cause.ERROR, f"{type(error).__name__}: {error}") from error
        except CheckFailed:
            raise
        except Exception as error:
            # A validator must not be able to fail a commit in another way than its policy says.
            logger.exception("validator %s failed in a way that the kernel has no answer for", validator.name)
            raise CheckFailed(Cause.ERROR, f"{type(error).__name__}: {error}") from error

    async def _ask(self, validator: Validator, pieces: Sequence[Proposal], seconds: float) -> list[Objection]:
        match validator.check:
            case BuiltinCheck() as rule:
                return await _by_rule(rule, pieces)
            case PythonCheck() as check:
                return await self._python.judge(validator.name, check, pieces)
            case GrpcCheck() as check:
                return await self._grpc.judge(validator.name, check, pieces, seconds)
            case HttpsCheck() as check:
                return await self._https.judge(validator.name, check, pieces)

    def _watch(self, validator: Validator) -> _Watched:
        watched = self._watched.get(validator.name)
        if watched is None:
            watched = self._watched[validator.name] = _Watched(validator.etag)
        elif watched.etag != validator.etag:
            watched.etag, watched.circuit = validator.etag, CircuitBreaker()
        return watched

    def _failed(self, name: str, watched: _Watched, cause: Cause, seconds: float) -> None:
        watched.failures += 1
        self._metrics.failed(name, cause.value, seconds)
        self._metrics.circuit(name, is_open=watched.circuit.is_open)


async def _by_rule(rule: BuiltinCheck, pieces: Sequence[Proposal]) -> list[Objection]:
    """What one of the kernel's own rules objects to; much work is done in a thread."""

    def judge() -> list[Objection]:
        return [one for piece in pieces for one in judge_by_rule(rule, piece, compile_pattern)]

    size = sum(len(each.before or b"") + len(each.after or b"") for piece in pieces for each in piece.changes)
    return await asyncio.to_thread(judge) if size > _IN_THREAD_BYTES else judge()

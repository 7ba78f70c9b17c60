"""Validators and what they are shown; what each field means is said in `proto/ontomesh/kernel/v1/validator.proto`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from ontomesh_data_kernel.domain.validators.changed_paths import changed_paths
from ontomesh_data_kernel.errors import Violation

MAX_SHOWN_PATHS = 256 << 10
"""Characters of one change's paths beyond which a call about it might not be taken for its size."""


class FailurePolicy(Enum):
    """What becomes of a commit when a validator does not answer in time, or fails."""

    REJECT = "reject"
    ALLOW = "allow"


class Cause(Enum):
    """Why a validator said nothing."""

    DEADLINE = "deadline"
    CIRCUIT_OPEN = "circuit_open"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class BuiltinCheck:
    """One of the kernel's own rules."""

    rule: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PythonCheck:
    """A function that is installed with the kernel."""

    entry_point: str
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GrpcCheck:
    """A service at `host:port`."""

    target: str
    plaintext: bool = False


@dataclass(frozen=True, slots=True)
class HttpsCheck:
    """An endpoint."""

    url: str


Check = BuiltinCheck | PythonCheck | GrpcCheck | HttpsCheck


@dataclass(frozen=True, slots=True)
class Match:
    """Which commits and which of their changes a validator sees; an empty part stands for all."""

    databases: tuple[str, ...] = ()
    branches: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Validator:
    """What checks commits before they count. `deadline` is in microseconds, as the times are."""

    name: str
    check: Check
    description: str = ""
    match: Match = Match()
    deadline: int = 2_000_000
    order: int = 0
    failure_policy: FailurePolicy = FailurePolicy.REJECT
    disabled: bool = False
    etag: str = ""
    create_time: int = 0
    update_time: int = 0


@dataclass(frozen=True, slots=True)
class ValidatorPage:
    """A page of validators by order and name."""

    validators: tuple[Validator, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How a validator fares since the kernel started."""

    calls: int = 0
    rejections: int = 0
    failures: int = 0
    circuit_open: bool = False


@dataclass(frozen=True)
class ProposedChange:
    """One document as it would change; bodies are canonical JSON, None where there is no document.

    `classes` has its class, and then all that it inherits from. `mark` differs whenever either body does.
    """

    id: str
    classes: tuple[str, ...]
    before: bytes | None
    after: bytes | None
    mark: tuple[str, str]

    @cached_property
    def touched(self) -> tuple[str, ...]:
        """The paths of all values that differ; those of all values for an insert or a deletion."""
        return changed_paths(self.before, self.after)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The properties that change, as paths; none for an insert or a deletion. Of very many, where they begin."""
        if self.before is None or self.after is None:
            return ()
        if sum(map(len, self.touched)) > MAX_SHOWN_PATHS:
            return tuple(dict.fromkeys(path.partition(".")[0] for path in self.touched))
        return self.touched


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one validator is shown of a commit. `earlier` is how many of its changes it was shown before."""

    attempt_id: str
    database: str
    branch: str
    author: str
    committer: str
    message: str
    metadata: Mapping[str, str]
    head: str
    changes: Sequence[ProposedChange]
    is_merge: bool = False
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class Objection:
    """What is wrong; without an id it is about the commit as a whole, without a path about the document as a whole."""

    description: str
    id: str = ""
    path: str = ""

    def by(self, validator: str) -> Violation:
        """The objection as the refusal names it."""
        joint = "." if self.id and self.path else ""
        return Violation(f"{self.id}{joint}{self.path}" or "commit", f"{validator}: {self.description}")


class CheckFailed(Exception):
    """A validator did not answer in time, or failed; `detail` is for the log."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(f"{cause.value}: {detail}")
        self.cause = cause
        self.detail = detail

"""Who calls and what they may do."""

from dataclasses import dataclass, field
from typing import Protocol

from ontomesh_chassis import audit
from ontomesh_chassis.errors import EventPermissionDenied, ForgedAuthor, PermissionDenied
from ontomesh_chassis.policy import Grant, Policy

MAX_DECISIONS = 1024


class PolicySource(Protocol):
    """Where the policy that holds now comes from."""

    def current(self) -> Policy:
        """The policy that holds now; the same object for as long as it holds."""


class _Decisions:
    """What one policy said about one identity."""

    __slots__ = ("by_event", "by_place", "policy")

    def __init__(self) -> None:
        self.policy: Policy | None = None
        self.by_place: dict[tuple[str, str, str | None], bool] = {}
        self.by_event: dict[tuple[str, str | None, str], bool] = {}

    def under(self, policy: Policy) -> "_Decisions":
        """Itself, without what another policy said, and never with very much."""
        if self.policy is not policy or len(self.by_place) + len(self.by_event) >= MAX_DECISIONS:
            self.policy = policy
            self.by_place = {}
            self.by_event = {}
        return self


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated caller.

    `principal` is `user:ana` or `service:relay`; `claim` holds the rights that its token names, None where the
    token names none; `expires_at` is in seconds since the epoch.
    """

    principal: str
    kind: str
    name: str
    claim: tuple[Grant, ...] | None
    expires_at: float
    policy: PolicySource = field(repr=False, compare=False)
    _decisions: _Decisions = field(default_factory=_Decisions, init=False, repr=False, compare=False)

    def allows(self, right: str, database: str, branch: str | None = None) -> bool:
        """Whether the caller has the right now; `branch=None` asks for the database as a whole."""
        policy = self.policy.current()
        decisions = self._decisions.under(policy)
        place = (right, database, branch)
        decision = decisions.by_place.get(place)
        if decision is None:
            decision = policy.allows(self.principal, self.claim, right, database, branch)
            decisions.by_place[place] = decision
        return decision

    def allows_any(self, right: str, database: str) -> bool:
        """Whether the caller may have the right on some branch of the database; for listing databases."""
        return self.policy.current().allows_any(self.principal, self.claim, right, database)

    def allows_everywhere(self, right: str) -> bool:
        """Whether the caller has the right on every database."""
        return self.policy.current().allows_everywhere(self.principal, self.claim, right)

    def allows_somewhere(self, right: str) -> bool:
        """Whether the caller may have the right in some database."""
        return self.policy.current().allows_somewhere(self.principal, self.claim, right)

    def allows_event(self, right: str, type: str | None, subscription: str = "") -> bool:
        """Whether the caller may `publish` events of the type, or `consume` them by the subscription.

        `type=None` asks for some type or other; without a subscription, `consume` is meant outside of all of them.
        """
        policy = self.policy.current()
        decisions = self._decisions.under(policy)
        place = (right, type, subscription)
        decision = decisions.by_event.get(place)
        if decision is None:
            decision = policy.allows_event(self.principal, self.claim, right, type, subscription)
            decisions.by_event[place] = decision
        return decision

    def require_event(self, right: str, type: str | None, subscription: str = "") -> None:
        """Raises EventPermissionDenied unless the caller has the right; see `allows_event`."""
        if not self.allows_event(right, type, subscription):
            raise EventPermissionDenied(self.principal, right, type, subscription)

    def require_everywhere(self, right: str) -> None:
        """Raises PermissionDenied unless the caller has the right on every database."""
        if not self.allows_everywhere(right):
            raise PermissionDenied(self.principal, right, "*")

    def require(self, right: str, database: str, branch: str | None = None) -> None:
        """Raises PermissionDenied unless the caller has the right."""
        if not self.allows(right, database, branch):
            raise PermissionDenied(self.principal, right, database, branch)

    def author(self, named: str, database: str, branch: str) -> str:
        """The author of the caller's write: itself, or the principal that it names and may act for.

        An empty name is the caller. Raises ForgedAuthor without the right `act`; acting for another is audited.
        """
        if not named or named == self.principal:
            return self.principal
        if not self.allows("act", database, branch):
            raise ForgedAuthor(self.principal, named, database, branch)
        audit.record(
            audit.Event.ACTED_FOR_OTHER, principal=self.principal, author=named, database=database, branch=branch
        )
        return named

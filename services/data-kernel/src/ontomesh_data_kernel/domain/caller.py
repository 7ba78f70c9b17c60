"""Who calls, and what that principal may do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ontomesh_data_kernel.errors import ForgedAuthor, PermissionDenied


class Rights(Protocol):
    """What a principal may do under the policy in force."""

    def allows(self, right: str, database: str, branch: str | None = None) -> bool:
        """Whether the right holds on a branch; without one, on the database itself."""
        ...

    def allows_any(self, right: str, database: str) -> bool:
        """Whether the right holds on some branch of the database."""
        ...

    def allows_somewhere(self, right: str) -> bool:
        """Whether the right may hold in some database."""
        ...


def _unnoted(author: str, database: str, branch: str) -> None:
    """Who keeps no account of acting for others."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated principal (`user:ana`, `service:relay`) with what its call carries along.

    `author` and `branch` are the defaults that the call's metadata names; a request's own fields win. `on_acting` is
    told for whom (author, database, branch) the principal acts when it may. `span_id` is that of the call's span, if it
    is recorded.
    """

    principal: str
    trace_id: str
    rights: Rights
    author: str = ""
    branch: str = ""
    on_acting: Callable[[str, str, str], None] = _unnoted
    span_id: str = ""

    def require(self, right: str, database: str, branch: str | None = None) -> None:
        """Raise PermissionDenied unless the right holds there."""
        if not self.rights.allows(right, database, branch):
            raise PermissionDenied.of(self.principal, right, database, branch or "")

    def require_any(self, right: str, database: str) -> None:
        """Raise PermissionDenied unless the right holds on some branch of the database."""
        if not self.rights.allows_any(right, database):
            raise PermissionDenied.of(self.principal, right, database, "")

    def author_of(self, asked: str, database: str, branch: str) -> str:
        """The author to record: the one asked for if this principal may act for others, else itself.

        Raises ForgedAuthor.
        """
        author = asked or self.author or self.principal
        if author != self.principal:
            if not self.rights.allows("act", database, branch):
                raise ForgedAuthor.of(self.principal, author, database, branch)
            self.on_acting(author, database, branch)
        return author

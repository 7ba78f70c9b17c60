"""What a command runs in: its options, its output, and the connection and database that it asks for."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.inputs import abbreviated_commit
from ontomesh.cli.output import Output

if TYPE_CHECKING:
    from ontomesh.sdk import Mesh, SyncDatabase


@dataclass(frozen=True, slots=True)
class Options:
    """The shared options of one call; None where nothing was given."""

    database: str | None = None
    branch: str | None = None
    ref: str | None = None
    address: str | None = None
    events_address: str | None = None
    timeout: float | None = None
    as_json: bool = False
    no_pager: bool = False


class Session:
    """One command's options, output and connection. It connects when the connection is first used."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.out = Output(as_json=options.as_json)
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exits.close()

    @cached_property
    def mesh(self) -> "Mesh":
        """The connection."""
        from ontomesh.sdk import connect
        from ontomesh.sdk.connection import DEFAULT_TIMEOUT

        timeout = self.options.timeout
        if timeout is not None and timeout <= 0:
            raise UsageFailure(f"--timeout {timeout:g}: expected seconds above 0")
        options = self.options
        limit = DEFAULT_TIMEOUT if timeout is None else timeout
        connection = connect(options.address, events_address=options.events_address, timeout=limit)
        return self._exits.enter_context(connection)

    @cached_property
    def database_name(self) -> str:
        """The database that was named, or the only one there is.

        Raises:
            UsageFailure: None was named and there is not exactly one.
        """
        if self.options.database:
            return self.options.database
        names = [database.name for database in self.mesh.databases.list()]
        if len(names) == 1:
            return names[0]
        if not names:
            raise UsageFailure(
                "there is no database that you may read",
                hint="`ontomesh db create NAME` makes one",
                reason="NO_DATABASE",
            )
        raise UsageFailure(
            f"which database? There are {len(names)}: {', '.join(names)}",
            hint="choose one with --db NAME or ONTOMESH_DATABASE",
            reason="NO_DATABASE",
        )

    @cached_property
    def database(self) -> "SyncDatabase":
        """The database, to call."""
        return self.mesh.database(self.database_name)

    @property
    def branch(self) -> str:
        """The branch to write to."""
        return self.options.branch or "main"

    def ref(self, given: str | None = None) -> str:
        """The ref to read at: the one given here or as an option, else the branch.

        Eight or more hexadecimal digits name a commit, as in git, unless a branch has that name.
        """
        ref = given or self.options.ref or self.branch
        commit = abbreviated_commit(ref)
        if not commit:
            return ref
        from ontomesh.sdk.errors import BranchNotFound

        try:
            self.database.branch(ref.partition("~")[0])
        except BranchNotFound:
            return commit
        return ref

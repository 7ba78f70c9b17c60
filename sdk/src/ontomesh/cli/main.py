"""The `ontomesh` command: its commands put together, and the way out of each."""

import sys
from collections.abc import Sequence

import typer

from ontomesh.cli import (
    branches,
    bulk,
    commit,
    databases,
    diff,
    documents,
    event_subscriptions,  # noqa: F401 - its commands join those of events
    event_types,  # noqa: F401 - so do its
    events,
    history,
    hooks,
    merge,
    migrate,
    queries,
    remove,
    schema,
    schema_compare,  # noqa: F401 - its commands join those of schema
    schema_models,  # noqa: F401 - so does its
    status,
    tokens,
)
from ontomesh.cli.failures import INTERRUPTED, OK, report
from ontomesh.cli.options import set_root
from ontomesh.cli.plugins import RootGroup

_HELP = """
Typed, versioned documents: branches, commits, time travel, diff and merge, as git has them for files.

\b
Example:
  ontomesh status
  ontomesh db create catalog
  ontomesh schema apply schema.json -m 'the first classes'
  ontomesh put documents.json -m 'import'
  ontomesh query Package 'license = "MIT"' --order-by name
  ontomesh log --oneline

\b
Exit codes:
  0  done
  1  conflicts, differences (--exit-code) or problems were found
  2  the command makes no sense as given
  3  the server refused
  4  no server answered
"""


def build() -> typer.Typer:
    """The command with all of its own subcommands."""
    app = typer.Typer(
        name="ontomesh",
        cls=RootGroup,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    set_root(app, _HELP)
    for part in (
        *(status, databases, schema, migrate, documents, queries, remove, commit, bulk),
        *(branches, history, diff, merge, events, hooks, tokens),
    ):
        app.add_typer(part.app)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Carries out the command line and returns the exit code; an expected failure is a few lines, no traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = build()(given, prog_name="ontomesh", standalone_mode=False)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if isinstance(error, typer.Abort) and isinstance(error.__context__, KeyboardInterrupt):
            # typer's questions turn a Ctrl-C into this.
            return INTERRUPTED
        # The options may be what could not be understood, so only the bare words tell what form was wanted.
        code = report(error, as_json="--json" in given)
        if code is None:
            raise
        return code
    return result if isinstance(result, int) else OK


if __name__ == "__main__":
    sys.exit(main())

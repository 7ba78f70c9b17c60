"""`ontomesh query`, `referrers` and `walk`: finding documents."""

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ontomesh.cli.completing import complete_class, complete_id
from ontomesh.cli.context import Session
from ontomesh.cli.documents import print_document
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.options import Scope, command
from ontomesh.cli.output import Part, compact, count, plain

if TYPE_CHECKING:
    from ontomesh.sdk.resources import Document

MAX_VISITS = 10_000
"""How many documents a walk reaches unless told otherwise."""

Many = list[str] | None
Limit = Annotated[int, typer.Option("--limit", "-n", min=0, metavar="N", help="At most so many; 0: all.")]

app = typer.Typer()


@command(
    app,
    "query",
    scope=Scope.READ,
    pages=True,
    examples=(
        """query Package 'license = "MIT" AND requires.name = "lib*"'""",
        "query Package 'downloads >= 1000' --order-by 'downloads desc' --limit 10 --fields name,downloads",
        "query Package --count --ref main~3",
        """query Package 'license = "MIT"' --explain""",
        "query Package --expand requires --json",
    ),
)
def query(
    session: Session,
    type_name: Annotated[
        str,
        typer.Argument(metavar="TYPE", help="The class, with its subclasses.", autocompletion=complete_class),
    ],
    words: Annotated[
        Many, typer.Argument(metavar="[FILTER]", help="What the documents must be, in the language of AIP-160.")
    ] = None,
    order_by: Annotated[
        str, typer.Option("--order-by", "-o", metavar="PATHS", help="Such as 'version desc, name'.")
    ] = "",
    limit: Limit = 0,
    fields: Annotated[
        Many, typer.Option("--fields", "-f", metavar="PATHS", help="Show these properties; joined by commas.")
    ] = None,
    expand: Annotated[
        Many, typer.Option("--expand", "-e", metavar="PATHS", help="Show the documents that these links lead to too.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Leave out the subclasses of TYPE.")] = False,
    count_only: Annotated[bool, typer.Option("--count", help="Only how many there are.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Only how the store would find them.")] = False,
    long: Annotated[bool, typer.Option("--long", "-l", help="With their bodies.")] = False,
) -> None:
    """Find the documents of a class that match a filter, all of one commit.

    They are listed by id; with --fields as a table, with --long or --json with their bodies.
    """
    asked, kept, links = " ".join(words or ()), _paths(fields), _paths(expand)
    if count_only and explain:
        raise UsageFailure("--count and --explain exclude each other")
    if (count_only or explain) and (kept or links or limit or (count_only and order_by)):
        raise UsageFailure(f"{'--count' if count_only else '--explain'} shows no documents, which other options shape")
    database, ref, timeout = session.database, session.ref(), session.options.timeout
    if count_only:
        number = database.count(type_name, filter=asked, exact_type=exact, ref=ref)
        if session.out.as_json:
            session.out.json({"count": number})
        else:
            session.out.line(str(number))
    elif explain:
        _print_plan(session, type_name, asked, order_by, exact=exact)
    else:
        documents = database.stream_query(
            type_name,
            filter=asked,
            order_by=order_by,
            fields=kept,
            expand=links,
            exact_type=exact,
            ref=ref,
            limit=limit,
            **({} if timeout is None else {"timeout": timeout}),
        )
        _print(session, documents, kept, is_expanded=bool(links), long=long)


def _print(
    session: Session, documents: "Iterable[Document]", fields: Sequence[str], *, is_expanded: bool, long: bool
) -> None:
    if fields and not (session.out.as_json or long or is_expanded):
        rows: list[list[Part]] = [
            [(document.id, "bold"), *(_cell(document.data, path) for path in fields)] for document in documents
        ]
        session.out.table(["ID", *fields], rows)
        return
    shown: set[str] = set()
    for _, batch in itertools.groupby(documents, key=lambda document: id(document.included)):
        for document in batch:
            included = document.included
            if session.out.as_json and is_expanded:
                session.out.body(b'{"document":' + document.body + b"}")
            elif session.out.as_json or long or fields:
                print_document(session, document, long=False)
            else:
                session.out.line((document.id, "bold"))
        for one in included.values():
            if one.id in shown:
                continue
            shown.add(one.id)
            if session.out.as_json:
                session.out.body(b'{"included":' + one.body + b"}")
            elif long or fields:
                session.out.line(("+ included", "dim"))
                print_document(session, one, long=False)
            else:
                session.out.line(("+ ", "dim"), one.id)


def _print_plan(session: Session, type_name: str, asked: str, order_by: str, *, exact: bool) -> None:
    plan = session.database.explain(type_name, filter=asked, order_by=order_by, exact_type=exact, ref=session.ref())
    if session.out.as_json:
        session.out.json(plan)
        return
    session.out.line("reads     ", (", ".join(plan.access) or "nothing", "green"))
    session.out.line("about     ", f"{plan.reads:,}{' or more' if plan.reads_more else ''}")
    session.out.line("examines  ", plan.residual or "nothing further")
    session.out.line("sorts     ", "every match, in memory" if plan.sorts else "nothing")


@command(
    app,
    "referrers",
    scope=Scope.READ,
    pages=True,
    examples=("referrers Package/numpy", "referrers Package/numpy --over requires --type Package --ref main~3"),
)
def referrers(
    session: Session,
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="The document that is linked to.", autocompletion=complete_id)
    ],
    over: Annotated[
        Many, typer.Option("--over", metavar="PATHS", help="Only links by these properties; joined by commas.")
    ] = None,
    types: Annotated[
        Many,
        typer.Option(
            "--type", "-t", metavar="TYPE", help="Only links of this class; repeatable.", autocompletion=complete_class
        ),
    ] = None,
    limit: Limit = 0,
) -> None:
    """List the documents that link to a document, and by which property."""
    found = session.database.referrers(
        identifier, properties=_paths(over), types=_paths(types), ref=session.ref(), page_size=min(limit or 1000, 1000)
    )
    for referrer in itertools.islice(found, limit or None):
        if session.out.as_json:
            session.out.json(referrer)
        else:
            session.out.line((referrer.id, "bold"), "  ", (referrer.property, "green"))


@command(
    app,
    "walk",
    scope=Scope.READ,
    pages=True,
    examples=(
        "walk Package/requests --over requires",
        "walk Package/numpy --over requires --incoming --depth 2 --json",
    ),
)
def walk(
    session: Session,
    starts: Annotated[list[str], typer.Argument(metavar="ID...", help="Where to begin.", autocompletion=complete_id)],
    over: Annotated[list[str], typer.Option("--over", metavar="PATHS", help="The links to follow; joined by commas.")],
    depth: Annotated[
        int, typer.Option("--depth", "-d", min=1, max=100, metavar="N", help="How many links deep, 1 to 100.")
    ] = 100,
    incoming: Annotated[bool, typer.Option("--incoming", "-i", help="Follow links backwards.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, max=100_000, metavar="N", help="At most so many documents.")
    ] = MAX_VISITS,
) -> None:
    """Follow links from documents on, and list what they lead to, each once, the nearest first.

    Each line has how many links away the document is, its id, and the link by which it was reached.
    """
    timeout = session.options.timeout
    visits = session.database.traverse(
        starts,
        over=_paths(over),
        max_depth=depth,
        direction="incoming" if incoming else "outgoing",
        limit=limit,
        ref=session.ref(),
        **({} if timeout is None else {"timeout": timeout}),
    )
    total = 0
    for visit in visits:
        total += 1
        if session.out.as_json:
            session.out.json(visit)
        else:
            link = (visit.id, visit.via_id) if incoming else (visit.via_id, visit.id)
            way = f"{link[0]} {visit.via_property} {link[1]}"
            session.out.line((f"{visit.depth:>3}", "yellow"), "  ", (visit.id, "bold"), "  ", (f"({way})", "dim"))
    if total == limit:
        session.out.note(("note: ", "bold yellow"), f"stopped at {count(limit, 'document')}; --limit N goes further")


def _paths(given: Sequence[str] | None) -> list[str]:
    """Paths that may stand in one argument, joined by commas."""
    return [part.strip() for text in given or () for part in text.split(",") if part.strip()]


def _cell(data: object, path: str) -> str:
    """What a path leads to, as text: a string as it is, several values after one another, else JSON."""
    found = list(_values(data, path.split(".")))
    return ", ".join(value if isinstance(value, str) else compact(plain(value)) for value in found)


def _values(value: object, names: Sequence[str]) -> Iterable[object]:
    if isinstance(value, list):
        for part in value:
            yield from _values(part, names)
    elif not names:
        if value is not None:
            yield value
    elif isinstance(value, dict):
        yield from _values(value.get(names[0]), names[1:])

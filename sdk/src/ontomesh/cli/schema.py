"""`ontomesh schema`: the ontology of a branch."""

from collections.abc import Mapping
from typing import Annotated

import typer

from ontomesh.cli import inputs
from ontomesh.cli.committed import print_committed
from ontomesh.cli.context import Session
from ontomesh.cli.failures import UsageFailure
from ontomesh.cli.options import Scope, command, group
from ontomesh.cli.output import Part, compact, short

app = group("schema", "Show and change the ontology that documents obey. It is versioned with them.")

_COLLECTIONS = ("Set", "List", "Array", "Cardinality")


@command(
    app,
    "show",
    scope=Scope.READ,
    examples=("schema show", "schema show --ref main~3 --json", "schema show --json-schema Package"),
)
def show(
    session: Session,
    json_schema: Annotated[
        str | None, typer.Option("--json-schema", metavar="CLASS", help="This class as JSON Schema (draft 2020-12).")
    ] = None,
) -> None:
    """Show the ontology at a ref as a table of classes; with --json the schema itself."""
    if json_schema is not None:
        session.out.json(session.database.class_schema(json_schema, session.ref()).json_schema)
        return
    ontology = session.database.ontology(session.ref())
    if session.out.as_json:
        session.out.json(ontology.schema)
        return
    for index, element in enumerate(ontology.schema):
        if index:
            session.out.line()
        _print_element(session, element)
    if not ontology.schema:
        session.out.note("this branch has no ontology; `ontomesh schema apply FILE` gives it one")
    session.out.note((f"digest {short(ontology.digest)} at commit {short(ontology.commit)}", "dim"))


@command(
    app,
    "apply",
    scope=Scope.WRITE,
    examples=("schema apply schema.json -m 'add licences'", "schema apply - --replace < schema.json"),
)
def apply(
    session: Session,
    source: Annotated[
        str | None, typer.Argument(metavar="FILE|-", help="A JSON array of classes and enums, or one after another.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="It is the whole ontology: remove what it lacks.")] = False,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="NAME", help="Remove this class or enum; may be repeated.")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="The commit's message.")] = "",
    expect: Annotated[
        str, typer.Option("--expect", metavar="DIGEST", help="Only if this is the ontology's digest.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, commit nothing.")] = False,
) -> None:
    """Commit a change of the ontology. Elements are added, or replaced as a whole.

    A change that forbids what documents of the branch hold is refused, and names them.
    """
    if source is None and not remove:
        raise UsageFailure("nothing to apply", hint="give a schema file, - for standard input, or --remove NAME")
    committed = session.database.apply_ontology(
        inputs.schema(source) if source is not None else b"",
        mode="replace" if replace else "upsert",
        remove=tuple(remove or ()),
        expected_digest=expect,
        message=message,
        branch=session.branch,
        validate_only=dry_run,
    )
    print_committed(session, committed, dry_run=dry_run)


def _print_element(session: Session, element: Mapping[str, object]) -> None:
    """One class, enum or context: a heading, then a property or value a line."""
    kind = str(element.get("@type", ""))
    heading: list[Part] = [(kind, "cyan"), " ", (str(element.get("@id", "")), "bold")]
    parents = element.get("@inherits")
    if parents:
        heading.append(f" < {', '.join(map(str, parents)) if isinstance(parents, list) else parents}")
    heading += [(f" {name[1:]}", "cyan") for name in ("@abstract", "@subdocument") if name in element]
    key = element.get("@key")
    if isinstance(key, Mapping):
        fields = key.get("@fields")
        heading.append(
            (
                f" key {key.get('@type')}" + (f"({', '.join(map(str, fields))})" if isinstance(fields, list) else ""),
                "dim",
            )
        )
    session.out.line(*heading)
    comment = _comment(element.get("@documentation"))
    if comment:
        session.out.line("  ", (comment, "dim"))
    values = element.get("@value")
    if isinstance(values, list):
        session.out.line("  ", " | ".join(map(str, values)))
    properties = [(name, _type_name(value)) for name, value in element.items() if not name.startswith("@")]
    width = max((len(name) for name, _ in properties), default=0)
    for name, type_name in properties:
        session.out.line("  ", name.ljust(width), "  ", (type_name, "green"))
    for name in ("@oneOf", "@base", "@schema"):
        if name in element:
            session.out.line("  ", name, "  ", compact(element[name]))


def _comment(documentation: object) -> str:
    entries = documentation if isinstance(documentation, list) else [documentation]
    for entry in entries:
        if isinstance(entry, Mapping) and entry.get("@comment"):
            return str(entry["@comment"]).strip().partition("\n")[0]
    return ""


def _type_name(value: object) -> str:
    """A property's type as people write it: `Set<Package>`, `xsd:string?`."""
    if not isinstance(value, Mapping):
        return str(value)
    family, inner = str(value.get("@type", "")), _type_name(value.get("@class", ""))
    if family == "Optional":
        return f"{inner}?"
    if family in _COLLECTIONS:
        bounds = ", ".join(f"{name[1:]} {bound}" for name, bound in value.items() if name not in ("@type", "@class"))
        return f"{family}<{inner}>" + (f" ({bounds})" if bounds else "")
    return compact(value)

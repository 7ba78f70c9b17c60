"""What would break if classes and properties of an ontology were gone."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ontomesh_event_gateway.domain.caller import Caller
from ontomesh_event_gateway.domain.event_types import EventType
from ontomesh_event_gateway.domain.filters import DOCUMENT_TYPES
from ontomesh_event_gateway.domain.patterns import compile_patterns
from ontomesh_event_gateway.domain.subscription import Subscription
from ontomesh_event_gateway.errors import InvalidRequest, PermissionDenied, Violation

MAX_NAMES = 10_000
ANY_CLASS = "*"


@dataclass(frozen=True, slots=True)
class Gone:
    """What would be gone from a branch: classes by name, and properties as `Class.property.within`; `*.property` is
    one that no class would have any more.
    """

    database: str
    branch: str
    classes: tuple[str, ...]
    properties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """A subscription or an event type that names what would be gone; `field` is where it does."""

    subscription: str
    event_type: str
    owner: str
    field: str
    missing: str


class SchemaChanges:
    """Finds what would break, among what is registered now."""

    def __init__(
        self, subscriptions: Callable[[], Iterable[Subscription]], event_types: Callable[[], Iterable[EventType]]
    ) -> None:
        self._subscriptions = subscriptions
        self._event_types = event_types

    def check(self, caller: Caller, gone: Gone) -> tuple[Broken, ...]:
        """What would break, subscriptions by name and then event types. Raises InvalidRequest, PermissionDenied."""
        _check(gone)
        if not caller.rights.allows("read", gone.database, gone.branch):
            raise PermissionDenied(
                f"{caller.principal} lacks the right to read on branch {gone.branch!r} of database {gone.database!r}.",
                (),
                {
                    "principal": caller.principal,
                    "right": "read",
                    "database": gone.database,
                    "branch": gone.branch,
                },
            )
        classes = frozenset(gone.classes)
        properties = _by_class(gone.properties)
        subscriptions = sorted(self._subscriptions(), key=lambda one: one.name)
        event_types = sorted(self._event_types(), key=lambda one: one.name)
        return (
            *(broken for one in subscriptions for broken in _of_subscription(one, gone, classes, properties)),
            *(broken for one in event_types for broken in _of_event_type(one, gone, classes)),
        )


def _check(gone: Gone) -> None:
    found = [Violation(part, "is required") for part in ("database", "branch") if not getattr(gone, part)]
    for part in ("classes", "properties"):
        names = getattr(gone, part)
        if len(names) > MAX_NAMES:
            found.append(Violation(part, f"are more than {MAX_NAMES:,}"))
    for index, name in enumerate(gone.properties[:MAX_NAMES]):
        cls, dot, path = name.partition(".")
        if not (cls and dot and path):
            found.append(Violation(f"properties[{index}]", "is not of the form Class.property"))
            break
    if found:
        raise InvalidRequest(f"{found[0].field}: {found[0].description}", found)


def _by_class(properties: Iterable[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name in properties:
        cls, _, path = name.partition(".")
        found.setdefault(cls, set()).add(path)
    return found


def _of_subscription(
    one: Subscription, gone: Gone, classes: frozenset[str], properties: dict[str, set[str]]
) -> Iterator[Broken]:
    wanted = one.filter
    for patterns, name in ((wanted.databases, gone.database), (wanted.branches, gone.branch)):
        if patterns and not compile_patterns(patterns)(name):
            return

    def broken(field: str, missing: str) -> Broken:
        return Broken(one.name, "", one.owner, f"filter.{field}", missing)

    named = dict.fromkeys(wanted.classes)
    for index, name in enumerate(wanted.classes):
        if name in classes:
            yield broken(f"classes[{index}]", name)
    for index, type_ in enumerate(wanted.types):
        name = type_.removeprefix(DOCUMENT_TYPES)
        if type_.startswith(DOCUMENT_TYPES) and "*" not in name:
            named.setdefault(name)
            if name in classes:
                yield broken(f"types[{index}]", name)
    for index, path in enumerate(wanted.paths):
        for cls in named or (ANY_CLASS,):
            if cls not in classes and (lost := _lost(path, properties.get(cls, ()))):
                yield broken(f"paths[{index}]", f"{cls}.{lost}" if cls != ANY_CLASS else lost)


def _lost(path: str, gone: Iterable[str]) -> str:
    """What is gone of a path: itself, or what it leads through."""
    return next((one for one in sorted(gone) if path == one or path.startswith(f"{one}.")), "")


def _of_event_type(one: EventType, gone: Gone, classes: frozenset[str]) -> Iterator[Broken]:
    named = one.ontology_class
    if named is not None and (named.database, named.branch) == (gone.database, gone.branch) and named.name in classes:
        yield Broken("", one.name, one.author, "ontology_class.name", named.name)

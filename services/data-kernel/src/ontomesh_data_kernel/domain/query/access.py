"""What of a query an index can answer: the ways to reach documents, of which any may be the one that a store reads.

Each reaches at least the documents that match one term of the filter; whoever reads them examines the whole filter.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ontomesh_data_kernel.domain.query.sorting import MAX_STRING_BYTES
from ontomesh_data_kernel.domain.query.tree import And, Compare, Hop, In, Op, Or, Path, Predicate, Present, Query


@dataclass(frozen=True, slots=True)
class Listing:
    """Documents of classes, by id."""

    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """Documents with a value whose key is within [low, high), by key; `high` None is no bound.

    `paths` are the indexes (`Class.path`), and `names` leads there in a document; `type` is the values' type.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    type: str
    low: bytes = b""
    high: bytes | None = None


@dataclass(frozen=True, slots=True)
class Equal:
    """Documents with a value that has one of these keys."""

    paths: tuple[str, ...]
    keys: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Linked:
    """Documents that link to one of these, by links (`Class.path`)."""

    paths: tuple[str, ...]
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ids:
    """The documents with these ids."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Union:
    """What one of the parts reaches."""

    parts: tuple["Equal | Linked | Ids | Union", ...]


@dataclass(frozen=True, slots=True)
class Join:
    """Documents that link to what `targets` reaches; `names` leads to the links in a document."""

    paths: tuple[str, ...]
    names: tuple[str, ...]
    targets: "Access"


Access = Listing | Range | Equal | Linked | Ids | Union | Join

_UNCUT = MAX_STRING_BYTES
"""A key so long may be that of a longer string."""


def terms_of(query: Query) -> tuple[Predicate, ...]:
    """The parts of the filter that all must hold."""
    if query.where is None:
        return ()
    return query.where.terms if isinstance(query.where, And) else (query.where,)


def candidates(query: Query) -> list[tuple[Access, Predicate | None]]:
    """The ways to all documents that match, each with the term that it answers; the last one lists the classes."""
    found: list[tuple[Access, Predicate | None]] = []
    classes = query.classes
    for term in terms_of(query):
        access = _access(term)
        if access is not None:
            found.append((access, term))
        if (own := _own_types(term)) is not None:
            classes = tuple(cls for cls in classes if cls in own)
    return [*found, (Listing(classes), None)]


def _own_types(term: Predicate) -> set[object] | None:
    match term:
        case Compare(Path((), "@type"), Op.EQ, value):
            return {value.canonical}
        case In(Path((), "@type"), values):
            return {value.canonical for value in values}
    return None


def _access(term: Predicate) -> Access | None:
    match term:
        case Compare(path) | In(path) | Present(path):
            return _along(path, term)
        case Or(terms):
            parts = [part for one in terms if (part := _by_node(one)) is not None]
            return Union(tuple(parts)) if len(parts) == len(terms) else None
        case And(terms):
            return next((access for one in terms if (access := _access(one)) is not None), None)
    return None


def _by_node(term: Predicate) -> Equal | Linked | Ids | Union | None:
    """A way that can be merged with others: it comes in the order of nodes."""
    for one in term.terms if isinstance(term, And) else (term,):
        access = _access(one)
        if isinstance(access, Equal | Linked | Ids | Union):
            return access
    return None


def _along(path: Path, term: Compare | In | Present) -> Access | None:
    if not path.hops:
        return Ids(_texts(term)) if path.type == "@id" and not _is_open(term) else None
    if path.type == "@type":
        return None
    *links, last = segments(path)
    access = _at_end(path, last, term)
    for segment in reversed(links):
        if access is None:
            return None
        access = Join(_indexes(segment), _names(segment), access)
    return access


def _at_end(path: Path, segment: Sequence[Hop], term: Compare | In | Present) -> Access | None:
    paths = _indexes(segment)
    if path.type == "link":
        return None if _is_open(term) else Linked(paths, _texts(term))
    if not path.indexed:
        return None
    match term:
        case Compare(_, Op.EQ, value):
            return Equal(paths, (value.key,))
        case In(_, values):
            return Equal(paths, tuple(sorted({value.key for value in values})))
        case Compare(_, op, value):
            return Range(paths, _names(segment), path.type, *_bounds(op, value.key))
        case Present():
            return Range(paths, _names(segment), path.type)


def _is_open(term: Compare | In | Present) -> bool:
    """Whether it is about more than some values."""
    return isinstance(term, Present) or (isinstance(term, Compare) and term.op is not Op.EQ)


def _texts(term: Compare | In | Present) -> tuple[str, ...]:
    values = term.values if isinstance(term, In) else (term.value,) if isinstance(term, Compare) else ()
    return tuple(sorted(str(value.canonical) for value in values))


def _bounds(op: Op, key: bytes) -> tuple[bytes, bytes | None]:
    beyond = key + b"\0"
    is_cut = len(key) >= _UNCUT
    match op:
        case Op.LT:
            return b"", beyond if is_cut else key
        case Op.LE:
            return b"", beyond
        case Op.GE:
            return key, None
        case Op.GT:
            return key if is_cut else beyond, None
        case _:
            return key, beyond if is_cut else _after_prefix(key)


def _after_prefix(prefix: bytes) -> bytes | None:
    """The least key greater than all that begin so. UTF-8 has no byte 0xff."""
    return prefix[:-1] + bytes((prefix[-1] + 1,)) if prefix else None


def segments(path: Path) -> Iterator[Sequence[Hop]]:
    """The parts of a path that lie within one document each: all but the last end at a link that is followed."""
    begin = 0
    for index, hop in enumerate(path.hops[:-1], 1):
        if not hop.is_embedded:
            yield path.hops[begin:index]
            begin = index
    yield path.hops[begin:]


def _names(segment: Sequence[Hop]) -> tuple[str, ...]:
    return tuple(hop.name for hop in segment)


def _indexes(segment: Sequence[Hop]) -> tuple[str, ...]:
    dotted = ".".join(_names(segment))
    return tuple(f"{cls}.{dotted}" for cls in segment[0].classes)


def order_range(query: Query) -> tuple[Range, tuple[Predicate, ...]] | None:
    """The index that has the documents in the query's order, by its first field; within what the filter says of it,
    in the terms returned.
    """
    if not query.order or not query.order[0].path.indexed:
        return None
    path = query.order[0].path
    found = Range(_indexes(path.hops), _names(path.hops), path.type)
    # Such a path has at most one value, so that what all terms allow is one range.
    terms = [term for term in terms_of(query) if isinstance(term, Compare) and term.path == path]
    for term in terms:
        key = term.value.key
        low, high = (key, key + b"\0") if term.op is Op.EQ else _bounds(term.op, key)
        high = found.high if high is None else high if found.high is None else min(high, found.high)
        found = Range(found.paths, found.names, found.type, max(low, found.low), high)
    return found, tuple(term for term in terms if len(term.value.key) < _UNCUT - 1)


def has_all_values(query: Query) -> bool:
    """Whether what matches has a value of the first field that it is ordered by."""
    path = query.order[0].path
    return any(isinstance(term, Compare | In | Present) and term.path == path for term in terms_of(query))


def is_exact(access: Access) -> bool:
    """Whether the documents reached are exactly those that match the term."""
    match access:
        case Equal(_, keys):
            return all(len(key) < _UNCUT for key in keys)
        case Range(_, _, _, low, high):
            return len(low) < _UNCUT and len(high or b"") < _UNCUT
        case Join(_, _, targets):
            return is_exact(targets)
        case Listing() | Linked():
            return True
    return False


def without(query: Query, covered: Sequence[Predicate]) -> Query:
    """The query without the terms that an access has seen to."""
    left = tuple(term for term in terms_of(query) if term not in covered)
    where = None if not left else left[0] if len(left) == 1 else And(left)
    return Query(query.classes, where, query.order)


def described(access: Access) -> tuple[str, ...]:
    """What is read, for people."""
    match access:
        case Listing(classes):
            return tuple(f"class {cls}" for cls in classes)
        case Range(paths) | Equal(paths):
            return tuple(f"index {path}" for path in paths)
        case Linked(paths):
            return tuple(f"links {path}" for path in paths)
        case Ids():
            return ("ids",)
        case Union(parts):
            return tuple(dict.fromkeys(name for part in parts for name in described(part)))
        case Join(paths, _, targets):
            return (*described(targets), *(f"links {path}" for path in paths))

"""Reading what imports staged: pages of it, and what would be wrong if it became the branch's."""

import json
import sqlite3
from collections.abc import Collection, Iterator
from heapq import merge as merge_sorted
from itertools import groupby, islice
from operator import itemgetter

from ontomesh_data_kernel.adapters.sqlite.lineage import State
from ontomesh_data_kernel.adapters.sqlite.reads import Reader
from ontomesh_data_kernel.adapters.sqlite.scans import LINK_TAG, TYPE_TAG, VALUE_TAG, link_value, type_value
from ontomesh_data_kernel.ports import Rules, Staged, StagedLink, StagedRival

MAX_LINKS = 100
MAX_RIVALS = 1_000
_PAGE = 2_000
_HELD = 10
_TYPE = ".@type"

# Each step finds the next path by its index: there are few paths, and many entries of each.
_PATHS = """
WITH RECURSIVE step(path) AS (
    SELECT min(path) FROM prop WHERE lineage=?1
    UNION ALL
    SELECT (SELECT min(path) FROM prop WHERE lineage=?1 AND path>step.path) FROM step WHERE step.path IS NOT NULL
)
SELECT p.id, p.name FROM step JOIN path p ON p.id = step.path
"""
_BY_ID = """
SELECT p.val, p.doc, s.line FROM prop p JOIN staged s ON s.lineage=p.lineage AND s.doc=p.doc
WHERE p.lineage=? AND p.path=? AND p.val>? ORDER BY p.val LIMIT ?
"""
_VERSIONS = """
SELECT d.doc, d.hash, {body} FROM json_each(?1) j CROSS JOIN doc d ON d.lineage=?2 AND d.doc=j.value AND d.seq=?3
"""
_OF = """
SELECT n.iri, s.doc, s.line, s.same FROM json_each(?1) j CROSS JOIN node n ON n.iri=j.value
CROSS JOIN staged s ON s.lineage=?2 AND s.doc=n.id
"""
_TARGETS = "SELECT DISTINCT val FROM prop WHERE lineage=? AND path=? AND val>? AND val<? ORDER BY val LIMIT ?"
_KNOWN = "SELECT j.value FROM json_each(?1) j CROSS JOIN staged s ON s.lineage=?2 AND s.doc=j.value"
_HOLDERS = """
SELECT n.iri, s.line FROM prop p JOIN node n ON n.id=p.doc JOIN staged s ON s.lineage=p.lineage AND s.doc=p.doc
WHERE p.lineage=? AND p.path=? AND p.val=? LIMIT ?
"""
_VALUES = "SELECT val, doc FROM prop WHERE lineage=? AND path=? AND val>? ORDER BY val, doc LIMIT ?"
_LINES = """
SELECT n.iri, s.line FROM json_each(?1) j CROSS JOIN staged s ON s.lineage=?2 AND s.doc=j.value
CROSS JOIN node n ON n.id=s.doc
"""
_EQUAL = "SELECT 1 FROM prop WHERE lineage=? AND path=? AND val=? LIMIT 1"
_TAKEN_OUT = """
SELECT s.line, n.iri FROM staged s CROSS JOIN node n ON n.id=s.doc
WHERE s.lineage=? AND s.same IS NOT NULL ORDER BY s.line LIMIT ?
"""
_HAS_DOC = """
SELECT d.body FROM doc d WHERE d.lineage=?1 AND d.doc=?2 AND d.hash=?3 LIMIT 1
"""

Current = dict[int, tuple[int, bytes | None, bytes | None]]


def paths_of(connection: sqlite3.Connection, lineage: int) -> dict[str, int]:
    """The paths that a lineage has entries of, by name."""
    return {name: id for id, name in connection.execute(_PATHS, (lineage,))}


def link_paths(connection: sqlite3.Connection, lineage: int, rules: Rules) -> list[int]:
    """The paths of a lineage that may hold links to be checked."""
    paths = paths_of(connection, lineage)
    return [id for name, id in paths.items() if not name.endswith(_TYPE) and name not in rules.dangling]


def page(reader: Reader, own: State, point: State, after: str, limit: int, *, bodies: bool) -> list[Staged]:
    """Documents of an import by id, those after `after`, beside what they are at a point."""
    lineage, _ = own
    connection = reader.connection
    classes = {
        name.removesuffix(_TYPE) + "/": id for name, id in paths_of(connection, lineage).items() if _is_type(name)
    }
    rows: list[tuple[bytes, int, int]] = []
    # An id begins with its class and a slash, which no class's name holds: the classes' ids do not interleave.
    for prefix in sorted(classes):
        if prefix + "\U0010ffff" > after and len(rows) < limit:
            asked = (lineage, classes[prefix], type_value(after), limit - len(rows))
            rows += connection.execute(_BY_ID, asked)
    if not rows:
        return []
    nodes = [node for _, node, _ in rows]
    query = _VERSIONS.format(body="d.body" if bodies else "NULL")
    own_versions = {doc: (hash_, body) for doc, hash_, body in connection.execute(query, (json.dumps(nodes), *own))}
    current: Current = reader.newest(point, nodes, bodies=False)
    return [
        Staged(
            value[len(TYPE_TAG) :].decode(),
            line,
            own_versions[node][0].hex(),
            _etag(current, node),
            False,
            own_versions[node][1],
        )
        for value, node, line in rows
    ]


def _is_type(name: str) -> bool:
    return name.endswith(_TYPE)


def _etag(current: Current, node: int) -> str | None:
    hash_ = current.get(node, (0, None, None))[1]
    return hash_.hex() if hash_ is not None else None


def documents_of(reader: Reader, own: State, point: State, ids: Collection[str]) -> list[Staged]:
    """Those of the documents that are in an import, with their bodies; also of those that were taken out."""
    lineage, _ = own
    connection = reader.connection
    rows = connection.execute(_OF, (json.dumps(list(ids)), lineage)).fetchall()
    nodes = [node for _, node, _, _ in rows]
    query = _VERSIONS.format(body="d.body")
    own_versions = {doc: (hash_, body) for doc, hash_, body in connection.execute(query, (json.dumps(nodes), *own))}
    current: Current = reader.newest(point, nodes, bodies=False)
    found = []
    for iri, node, line, same in rows:
        hash_, body = (same, _earlier(reader, point, node, same)) if same is not None else own_versions[node]
        found.append(Staged(iri, line, hash_.hex(), _etag(current, node), same is not None, body))
    return found


def taken_out(connection: sqlite3.Connection, lineage: int, limit: int) -> list[tuple[int, str]]:
    """(line, id) of documents of an import that were taken out, by line."""
    return connection.execute(_TAKEN_OUT, (lineage, limit)).fetchall()


def _earlier(reader: Reader, point: State, node: int, hash_: bytes) -> bytes | None:
    """The body of a version that the branch held when it was compared with."""
    for lineage, _ in reader.lineages.chain(reader.connection, point):
        row = reader.connection.execute(_HAS_DOC, (lineage, node, hash_)).fetchone()
        if row is not None:
            return bytes(row[0])
    return None


def unlinked(reader: Reader, own: State, point: State, rules: Rules) -> list[StagedLink]:
    """Links to what is neither at a point nor in the import."""
    lineage, _ = own
    connection = reader.connection
    found: list[StagedLink] = []
    names = {id: name for name, id in paths_of(connection, lineage).items()}
    good: set[int] = set()
    for path in link_paths(connection, lineage, rules):
        for targets in _targets(connection, lineage, path):
            unknown = [target for target in targets if target not in good]
            missing = _missing(reader, lineage, point, unknown)
            if len(good) > 200_000:
                good.clear()
            good.update(target for target in unknown if target not in missing)
            iris = reader.iris(missing) if missing else {}
            for target in missing:
                asked = (lineage, path, link_value(target), MAX_LINKS - len(found))
                for iri, line in connection.execute(_HOLDERS, asked):
                    found.append(StagedLink(iri, line, names[path].partition(".")[2], iris[target]))
                if len(found) >= MAX_LINKS:
                    return found
    return found


def _targets(connection: sqlite3.Connection, lineage: int, path: int) -> Iterator[list[int]]:
    after, end = LINK_TAG, bytes([LINK_TAG[0] + 1])
    while rows := connection.execute(_TARGETS, (lineage, path, after, end, _PAGE)).fetchall():
        yield [int.from_bytes(value[len(LINK_TAG) :], "big") for (value,) in rows]
        after = rows[-1][0]


def _missing(reader: Reader, lineage: int, point: State, nodes: list[int]) -> list[int]:
    if not nodes:
        return []
    known = {row[0] for row in reader.connection.execute(_KNOWN, (json.dumps(nodes), lineage))}
    rest = [node for node in nodes if node not in known]
    newest = reader.newest(point, rest, bodies=False) if rest else {}
    return [node for node in rest if newest.get(node, (0, None, None))[1] is None]


def unique_entries(reader: Reader, lineage: int, rules: Rules, body: bytes) -> bool:
    """Whether the import has a value that is unique and that a document of this body has too."""
    groups = {name: group for group in rules.unique for name in group}
    for name, key in rules.unique_values(body):
        for path in reader.paths(groups.get(name, ())):
            if reader.connection.execute(_EQUAL, (lineage, path, VALUE_TAG + key)).fetchone():
                return True
    return False


def rivals(reader: Reader, own: State, point: State, rules: Rules) -> list[StagedRival]:
    """Documents that may have one value of a unique path."""
    lineage, _ = own
    found: list[StagedRival] = []
    for group in rules.unique:
        paths = reader.paths(group)
        rows = merge_sorted(*(_values(reader.connection, lineage, path) for path in paths))
        for value, entries in groupby(rows, key=itemgetter(0)):
            nodes = list(dict.fromkeys(node for _, node in entries))
            others = _held(reader, lineage, point, paths, value)
            if len(nodes) + len(others) < 2:
                continue
            lines = dict(reader.connection.execute(_LINES, (json.dumps(nodes), lineage)))
            ids = (*lines, *(id for id in reader.iris(others).values() if id not in lines))
            if len(ids) > 1:
                found.append(StagedRival(ids, next(iter(lines.values()))))
            if len(found) >= MAX_RIVALS:
                return found
    return found


def _values(connection: sqlite3.Connection, lineage: int, path: int) -> Iterator[tuple[bytes, int]]:
    after = VALUE_TAG
    while rows := connection.execute(_VALUES, (lineage, path, after, _PAGE)).fetchall():
        last = rows[-1][0]
        if len(rows) == _PAGE and rows[0][0] != last:
            # The last value may go on behind the page.
            rows = [row for row in rows if row[0] != last]
        for value, doc in rows:
            if not value.startswith(VALUE_TAG):
                return
            yield value, doc
        after = rows[-1][0]


def _held(reader: Reader, lineage: int, point: State, paths: Collection[int], value: bytes) -> list[int]:
    """Documents at a point, but for the import's own, that have a value."""
    holders = list(islice(reader.scan(point).holders(paths, (value,)), _HELD))
    if not holders:
        return []
    # Those that were taken out stand as the branch has them.
    own = {row[0] for row in reader.connection.execute(f"{_KNOWN} AND s.same IS NULL", (json.dumps(holders), lineage))}
    return [node for node in holders if node not in own]

"""What callers may do to documents and ontology at once: drawn at random, mostly fitting, sometimes not."""

from collections.abc import Sequence
from typing import Any

import hypothesis.strategies as st

from tests.contract.evolving import (
    KEY,
    SCHEMA,
    Document,
    Snapshot,
    Unfit,
    allowed,
    documents_of,
    elements_of,
    family,
    fitted,
    is_class,
    is_concrete,
    is_sound,
    links,
    names_of,
    own_properties,
    properties,
)

Asked = list[tuple[str, str, Document]]

CLASSES = ("Base", "Item", "Special", "Other")
PROPERTIES = ("p", "q", "r", "s")
RANGES = ("xsd:string", "xsd:integer", "Mood", "Base", "Item", "Special", "Other")
MOODS = ("good", "bad", "odd")


def optional(range_: str) -> Document:
    return {"@type": "Optional", "@class": range_}


def class_of(name: str, **more: Any) -> Document:
    return {"@type": "Class", "@id": name, "@key": KEY, "name": "xsd:string", **more}


BEGINNING = (
    {"@type": "Enum", "@id": "Mood", "@value": ["bad", "good"]},
    class_of("Base", p=optional("xsd:string")),
    class_of("Item", **{"@inherits": "Base"}, q=optional("Item"), r={"@type": "Set", "@class": "xsd:string"}),
    class_of("Special", **{"@inherits": "Item"}),
    class_of(
        "Other",
        p=optional("Base"),
        q=optional("xsd:string"),
        r=optional("Mood"),
        s={"@type": "List", "@class": "xsd:string"},
    ),
)

every_id = st.builds("{}/{}".format, st.sampled_from(CLASSES), st.sampled_from("abc"))
rarely = st.sampled_from((False,) * 9 + (True,))


@st.composite
def declaration(draw: st.DrawFn, names: Sequence[str]) -> Any:
    range_ = draw(st.sampled_from([one for one in RANGES if one.startswith("xsd:") or one in names]))
    kind = draw(st.sampled_from(("Optional", "Optional", "Optional", "Required", "Set", "List")))
    return range_ if kind == "Required" else {"@type": kind, "@class": range_}


@st.composite
def ontology_edit(draw: st.DrawFn, schema: Snapshot) -> Snapshot:
    """The elements after one edit, which may leave them unsound."""
    known = names_of(schema)
    classes = [name for name in known if is_class(schema, name)]
    absent = [name for name in (*CLASSES, "Mood") if name not in known]
    kinds = ["note", *["add"] * (2 * bool(absent)), *["remove"] * (2 * bool(known))]
    if classes:
        kinds += ["declare", "declare", "alter", "alter", "retype", "retype", "withdraw", "move", "move", "abstract"]
    kinds += ["values", "values"] * ("Mood" in known)
    kind = draw(st.sampled_from(kinds))
    if kind == "remove":
        gone = draw(st.sampled_from(known))
        return {id: one for id, one in schema.items() if id != SCHEMA + gone}
    if kind in ("add", "note"):
        name = draw(st.sampled_from(absent if kind == "add" else known or absent))
        if name in known:
            note = draw(st.sampled_from(("one", "two")))
            return {**schema, SCHEMA + name: {**schema[SCHEMA + name], "@documentation": note}}
    if kind == "values" or (kind == "add" and name == "Mood"):
        values = draw(st.lists(st.sampled_from(MOODS), min_size=1, unique=True))
        return {**schema, SCHEMA + "Mood": {"@type": "Enum", "@id": "Mood", "@value": values}}
    if kind in ("add", "note"):
        return {**schema, SCHEMA + name: class_of(name)}
    name = draw(st.sampled_from(classes))
    return {**schema, SCHEMA + name: draw(class_edit(schema, kind, name))}


@st.composite
def class_edit(draw: st.DrawFn, schema: Snapshot, kind: str, name: str) -> Document:
    element = dict(schema[SCHEMA + name])
    own = sorted(own_properties(schema, name).keys() - {"name"})
    if kind == "abstract":
        return {**element, "@abstract": []} if element.pop("@abstract", None) is None else element
    if kind == "move":
        element.pop("@inherits", None)
        parents = [one for one in names_of(schema) if one != name and is_class(schema, one)]
        if parents and draw(st.sampled_from((True, True, False))):
            parent = draw(st.sampled_from(parents))
            if not draw(rarely):
                inherited = properties(schema, parent).keys() - {"name"}
                element = {one: value for one, value in element.items() if one not in inherited}
            element["@inherits"] = parent
        return element
    if kind == "withdraw" and own:
        del element[draw(st.sampled_from(own))]
        return element
    if kind == "retype" and own:
        # What was a text may be a link, and the other way round, without a change of any document.
        altered = draw(st.sampled_from(own))
        old_kind, old_range = family(element[altered])
        range_ = draw(st.sampled_from(names_of(schema))) if old_range == "xsd:string" else "xsd:string"
        element[altered] = range_ if old_kind == "Required" else {"@type": old_kind, "@class": range_}
        return element
    if kind == "alter" and own:
        altered = draw(st.sampled_from(own))
        old_kind, old_range = family(element[altered])
        if draw(st.booleans()):
            other = {"Optional": "Required", "Required": "Optional", "Set": "List", "List": "Set"}[old_kind]
            element[altered] = old_range if other == "Required" else {"@type": other, "@class": old_range}
        else:
            range_ = family(draw(declaration(names_of(schema))))[1]
            element[altered] = range_ if old_kind == "Required" else {"@type": old_kind, "@class": range_}
        return element
    return {**element, draw(st.sampled_from(PROPERTIES)): draw(declaration(names_of(schema)))}


@st.composite
def schema_after(draw: st.DrawFn, snapshot: Snapshot) -> Snapshot:
    """The elements after a few edits, which mostly fit together."""
    schema = elements_of(snapshot)
    for _ in range(draw(st.integers(1, 3))):
        edited = draw(ontology_edit(schema))
        if not is_sound(edited) and not draw(rarely):
            edited = draw(ontology_edit(schema))
        if not is_sound(edited):
            return edited if draw(st.booleans()) else schema
        schema = edited
    return schema


@st.composite
def value_of(draw: st.DrawFn, target: Snapshot, declared: Any) -> Any:
    """A value that mostly fits a declaration."""
    kind, range_ = family(declared)
    if draw(rarely):
        range_ = draw(st.sampled_from(("xsd:string", "xsd:integer")))
    if range_ == "xsd:integer":
        one: st.SearchStrategy[Any] = st.integers(0, 2)
    elif "@value" in target.get(SCHEMA + range_, {}) and not draw(rarely):
        one = st.sampled_from(target[SCHEMA + range_]["@value"])
    else:
        known = sorted(documents_of(target))
        if is_class(target, range_):
            known = [id for id in known if allowed(target, range_, id)]
            one = st.sampled_from(known) if known and not draw(rarely) else every_id
        else:
            one = st.sampled_from(("good", "odd", "text", *known))
    return draw(st.lists(one, max_size=3) if kind in ("List", "Set") else one)


@st.composite
def a_document(draw: st.DrawFn, target: Snapshot, id: str) -> Document:
    """A document that mostly fits its class."""
    cls, name = id.split("/")
    document = {"@type": cls, "@id": id, "name": name}
    for property, declared in properties(target, cls).items() if is_class(target, cls) else ():
        due = family(declared)[0] in ("Required", "List")
        if property != "name" and not draw(rarely if due else st.booleans()):
            document[property] = draw(value_of(target, declared))
    return document


@st.composite
def change(draw: st.DrawFn, snapshot: Snapshot, target: Snapshot) -> tuple[str, str, Document]:
    """An operation on the snapshot that mostly fits the ontology of `target`."""
    existing = sorted(documents_of(snapshot))
    kinds = ("put", "put", "insert", "replace", "update", "update", "delete", "delete") if existing else ("put",)
    kind = draw(st.sampled_from(kinds))
    if kind in ("put", "insert"):
        concrete = [name for name in names_of(target) if is_concrete(target, name)]
        id = draw(every_id)
        if concrete and not draw(rarely):
            id = f"{draw(st.sampled_from(concrete))}/{id[-1]}"
    else:
        id = draw(st.sampled_from(existing)) if existing and not draw(rarely) else draw(every_id)
    if kind == "delete":
        return kind, id, {}
    document = draw(a_document(target, id))
    if kind != "update":
        return kind, id, document
    patch = {name: value for name, value in document.items() if name in PROPERTIES}
    return kind, id, {**patch, **({draw(st.sampled_from(PROPERTIES)): None} if draw(st.booleans()) else {})}


@st.composite
def migration(draw: st.DrawFn, snapshot: Snapshot, target: Snapshot) -> Asked:
    """Operations that mostly bring along the documents which the ontology of `target` refuses."""
    asked: Asked = []
    careless = draw(st.sampled_from((False, False, True)))
    for id, document in documents_of(snapshot).items():
        try:
            fine = all(to in snapshot for to in links(target, fitted(target, document)))
        except Unfit:
            fine = False
        if fine or (careless and draw(st.booleans())):
            continue
        cls = id.split("/")[0]
        gone = {name: None for name in PROPERTIES if name in document}
        kept = draw(a_document(target, id))
        ways: list[tuple[str, str, Document]] = [("delete", id, {})]
        if is_concrete(target, cls):
            patch = gone | {name: value for name, value in kept.items() if name in PROPERTIES}
            ways += [("replace", id, kept), ("update", id, patch)]
        asked.append(draw(st.sampled_from(ways)))
    return asked

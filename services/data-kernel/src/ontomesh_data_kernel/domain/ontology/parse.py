"""Reading one element of the schema language; whether elements fit together is `resolve`'s to say."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ontomesh_data_kernel.domain.canonical import kind_of, parse_values
from ontomesh_data_kernel.domain.ontology.declarations import read_alternative, read_group, read_key, read_property
from ontomesh_data_kernel.domain.ontology.model import ClassDef, Context, Element, EnumDef, Property
from ontomesh_data_kernel.domain.ontology.names import name_fault
from ontomesh_data_kernel.domain.ontology.notes import Report, read_events, read_notes, read_paths
from ontomesh_data_kernel.errors import Violation

_NOTES = ("@documentation", "@metadata")
_FLAGS = ("@abstract", "@subdocument", "@unfoldable")
_CLASS_KEYS = frozenset(("@type", "@id", "@inherits", "@key", "@oneOf", *_FLAGS, *_NOTES))
_ENUM_KEYS = frozenset(("@type", "@id", "@value", *_NOTES))
_CONTEXT_KEYS = frozenset(("@type", "@base", "@schema", *_NOTES))


def parse_schema_text(data: bytes, *, limit: int, field: str = "schema") -> list[Any]:
    """The elements of a schema text: a JSON array, or values one after another. Raises as `canonical.parse_body`."""
    values = parse_values(data, limit=limit, field=field)
    if len(values) == 1 and isinstance(values[0], list):
        return values[0]
    return values


class ElementParser:
    """Reads elements and collects what is wrong with them; `place` is where violations say the element stands."""

    def __init__(self, *, is_stored: bool = False) -> None:
        self._report = Report(is_stored)

    @property
    def violations(self) -> list[Violation]:
        """What was found so far."""
        return self._report.violations

    def parse(self, value: object, place: str) -> Element | None:
        """The element, or None if it is too malformed to go on with."""
        if not isinstance(value, Mapping):
            self._refuse(place, f"{kind_of(value)} where an object is due")
            return None
        kind = value.get("@type")
        if kind in ("@context", "Context"):
            return self._context(value, place)
        if kind in ("Class", "TaggedUnion"):
            return self._class(value, place)
        if kind == "Enum":
            return self._enum(value, place)
        if kind == "Foreign":
            self._refuse(f"{place}.@type", "Foreign is not supported: a link's target is checked in the same database")
        else:
            self._refuse(f"{place}.@type", "is one of Class, TaggedUnion, Enum and @context")
        return None

    def _refuse(self, field: str, description: str) -> None:
        self._report.refuse(field, description)

    def _context(self, value: Mapping[str, Any], place: str) -> Context | None:
        texts: dict[str, str] = {}
        for name in ("@base", "@schema"):
            text = value.get(name)
            if isinstance(text, str) and text:
                texts[name] = text
            else:
                self._refuse(f"{place}.{name}", "is required: the IRI that ids or names of the schema begin with")
        prefixes = {}
        for name, prefix in value.items():
            if name in _CONTEXT_KEYS:
                continue
            if name.startswith("@") or not isinstance(prefix, str):
                self._refuse(f"{place}.{name}", "a context holds @base, @schema, notes and prefixes (a name: an IRI)")
            else:
                prefixes[name] = prefix
        notes = read_notes(value, place, self._report)
        return Context(texts["@base"], texts["@schema"], prefixes, notes) if len(texts) == 2 else None

    def _enum(self, value: Mapping[str, Any], place: str) -> EnumDef | None:
        name = self._name(value, place)
        for key in value:
            if key not in _ENUM_KEYS:
                self._refuse(f"{place}.{key}", "is not part of an Enum")
        listed = value.get("@value")
        if not isinstance(listed, list) or not listed:
            self._refuse(f"{place}.@value", "is required: an array of one or more strings")
            return None
        seen: set[str] = set()
        for index, item in enumerate(listed):
            if not isinstance(item, str) or not item:
                self._refuse(f"{place}.@value[{index}]", "is a string that is not empty")
            elif item in seen:
                self._refuse(f"{place}.@value[{index}]", f"{item!r} is listed twice")
            else:
                seen.add(item)
        return EnumDef(name, tuple(listed), read_notes(value, place, self._report)) if name else None

    def _class(self, value: Mapping[str, Any], place: str) -> ClassDef | None:
        name = self._name(value, place)
        tagged = value["@type"] == "TaggedUnion"
        for key in value:
            if key.startswith("@") and key not in _CLASS_KEYS:
                hint = self._report.hint(key, _CLASS_KEYS)
                self._refuse(f"{place}.{key}", f"is not part of a {value['@type']}{hint}")
        for flag in _FLAGS:
            if flag in value and value[flag] != []:
                self._refuse(f"{place}.{flag}", "is [] or absent")
        read = read_alternative if tagged else read_property
        properties = {
            key: declared
            for key, declaration in value.items()
            if not key.startswith("@") and (declared := read(key, declaration, f"{place}.{key}", self._report))
        }
        groups = self._groups(value, tagged, properties, place)
        notes = read_notes(value, place, self._report)
        paths = read_paths(notes.metadata, place, self._report)
        cls = ClassDef(
            name=name,
            parents=tuple(self._parents(value, place)),
            abstract="@abstract" in value,
            key=read_key(value["@key"], f"{place}.@key", self._report) if "@key" in value else None,
            properties={} if tagged else properties,
            notes=notes,
            subdocument="@subdocument" in value,
            unfoldable="@unfoldable" in value,
            tagged=tagged,
            one_of=groups,
            indexed=paths["indexed"],
            unique=paths["unique"],
            dangling=paths["dangling"],
            events=read_events(notes.metadata, place, self._report),
        )
        return cls if name else None

    def _groups(
        self, value: Mapping[str, Any], tagged: bool, properties: dict[str, Property], place: str
    ) -> tuple[dict[str, Property], ...]:
        if tagged:
            if "@oneOf" in value:
                self._refuse(f"{place}.@oneOf", "does not go with TaggedUnion, whose properties are the alternatives")
            if not any(not key.startswith("@") for key in value):
                self._refuse(place, "a TaggedUnion has one alternative or more")
            return (properties,)
        if "@oneOf" not in value:
            return ()
        sent = value["@oneOf"]
        groups = []
        seen = dict.fromkeys(properties, "a property of the class")
        for index, item in enumerate(sent if isinstance(sent, list) else [sent]):
            path = f"{place}.@oneOf[{index}]" if isinstance(sent, list) else f"{place}.@oneOf"
            group = read_group(item, path, self._report)
            for name in group:
                if name in seen:
                    self._refuse(f"{path}.{name}", f"{name} is {seen[name]} already")
                seen[name] = "an alternative"
            groups.append(group)
        return tuple(groups)

    def _name(self, value: Mapping[str, Any], place: str) -> str:
        if "@id" not in value:
            self._refuse(f"{place}.@id", "is required: the element's name")
            return ""
        if fault := name_fault(value["@id"]):
            self._refuse(f"{place}.@id", fault)
            return ""
        return str(value["@id"])

    def _parents(self, value: Mapping[str, Any], place: str) -> Iterator[str]:
        inherits = value.get("@inherits", [])
        listed = isinstance(inherits, list)
        # The order and repetition of parents mean nothing, so that they must not make two ontologies differ.
        good = set()
        for index, parent in enumerate(inherits if listed else [inherits]):
            if fault := name_fault(parent):
                self._refuse(f"{place}.@inherits[{index}]" if listed else f"{place}.@inherits", fault)
            else:
                good.add(parent)
        yield from sorted(good)


def elements_at(values: Sequence[object], field: str = "schema") -> Iterator[tuple[str, object]]:
    """Each element with its place: `schema[2]`."""
    for index, value in enumerate(values):
        yield f"{field}[{index}]", value

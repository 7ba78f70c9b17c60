"""An ontology as Python source: pydantic models that give the same ontology again."""

import json
import keyword
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pprint import pformat
from typing import Any

Element = Mapping[str, Any]

_PYTHON = {
    "xsd:string": "str",
    "xsd:boolean": "bool",
    "xsd:integer": "int",
    "xsd:double": "float",
    "xsd:decimal": "Decimal",
    "xsd:dateTime": "datetime",
    "xsd:date": "date",
    "xsd:time": "time",
    "xsd:dayTimeDuration": "timedelta",
    "xsd:base64Binary": "bytes",
    "sys:JSON": "JsonValue",
}
_NUMBERS = ("byte", "short", "int", "long", "integer")
_KEYS = {"Lexical": "lexical", "Hash": "hashed", "ValueHash": "value_hash", "Random": "random_key"}
_MARKERS = {"indexed": "Indexed()", "unique": "Unique()", "dangling": "Dangling()"}
_TAKEN = frozenset(
    (
        *("id", "copy", "json", "dict", "schema", "construct", "validate", "parse_obj", "parse_raw", "parse_file"),
        *("from_orm", "schema_json", "update_forward_refs", "link", "to_document", "from_document"),
        *(f"class_{name}" for name in ("key", "abstract", "subdocument", "tagged", "unfoldable", "indexed")),
        *("class_unique", "class_events", "class_documentation", "class_metadata"),
    )
)
_SOURCES = {
    "datetime": "datetime",
    "date": "datetime",
    "time": "datetime",
    "timedelta": "datetime",
    "Decimal": "decimal",
    "Enum": "enum",
    "Annotated": "typing",
    "Field": "pydantic",
    "JsonValue": "pydantic",
    **dict.fromkeys(
        ("Dangling", "DocumentModel", "Indexed", "Link", "OneOf", "Unique", "Xsd", *_KEYS.values()),
        "ontomesh.sdk.models",
    ),
}


def render(schema: Iterable[Element]) -> str:
    """Python source that defines a model or Enum for each element of a schema.

    `ontology_of` gives the same elements for them. What models cannot say stands in a comment that begins with
    `# Not in these models`: the context, names that Python does not have, a property called id, Sets of subdocuments,
    Arrays of one dimension, and documentation of enums beyond a comment.
    """
    elements = {str(element["@id"]): element for element in schema if "@id" in element}
    rest = [element for element in schema if "@id" not in element]
    body = _Rendering(elements)
    parts = [body.element(name) for name in body.order()]
    comments = [_left_out("the context", element) for element in rest] + body.left_out
    text = "\n\n\n".join([*comments, *parts])
    imports = _imports(text)
    return f'"""Models of an ontology, printed by `ontomesh schema models`."""\n\n{imports}\n\n\n{text}\n'


class _Rendering:
    def __init__(self, elements: Mapping[str, Element]) -> None:
        self.left_out = [
            _left_out(f"{name}, which is no name in Python", element)
            for name, element in elements.items()
            if not _is_name(name)
        ]
        self._elements = {name: element for name, element in elements.items() if _is_name(name)}

    def order(self) -> list[str]:
        """Names so that enums, parents and subdocuments come before what is built on them."""
        done: dict[str, None] = {}
        visiting: set[str] = set()

        def visit(name: str) -> None:
            if name in done or name in visiting or name not in self._elements:
                return
            visiting.add(name)
            for other in self._needed(name):
                visit(other)
            visiting.discard(name)
            done[name] = None

        for name in sorted(self._elements):
            visit(name)
        return list(done)

    def _needed(self, name: str) -> Iterator[str]:
        element = self._elements[name]
        yield from _listed(element.get("@inherits"))
        for _, declared, _ in _properties(element):
            range_ = _range(declared)
            if self._is_enum(range_) or self._is_subdocument(range_):
                yield range_

    def _is_enum(self, name: str) -> bool:
        return self._elements.get(name, {}).get("@type") == "Enum"

    def _is_subdocument(self, name: str) -> bool:
        return "@subdocument" in self._elements.get(name, {})

    def element(self, name: str) -> str:
        """One class of the source."""
        element = self._elements[name]
        return self._enum(name, element) if self._is_enum(name) else self._class(name, element)

    def _enum(self, name: str, element: Element) -> str:
        lines = [f"class {name}(str, Enum):"]
        documentation = element.get("@documentation")
        if isinstance(documentation, Mapping) and documentation.keys() == {"@comment"} and documentation["@comment"]:
            lines += [_docstring(str(documentation["@comment"])), ""]
        elif documentation is not None:
            lines.append(_comment("its documentation", documentation))
        if "@metadata" in element:
            lines.append(_comment("its metadata", element["@metadata"]))
        used: set[str] = set()
        for value in element["@value"]:
            member = re.sub(r"\W", "_", str(value)).strip("_").upper() or "EMPTY"
            member = f"V_{member}" if member[0].isdigit() else member
            while member in used:
                member += "_"
            used.add(member)
            lines.append(f"    {member} = {_quoted(str(value))}")
        return "\n".join(lines)

    def _class(self, name: str, element: Element) -> str:
        parents = _listed(element.get("@inherits"))
        # Python wants a class before those that it inherits from.
        known = sorted((one for one in parents if one in self._elements), key=lambda one: (-self._depth(one), one))
        bases = known or ["DocumentModel"]
        documentation = element.get("@documentation")
        comment, described = _told(documentation)
        keywords = list(self._keywords(element))
        if documentation is not None and comment is None:
            keywords.append(f"documentation={pformat(documentation, width=90)}")
        lines = [f"class {name}({', '.join([*bases, *keywords])}):"]
        if comment:
            lines += [_docstring(comment), ""]
        marked = _marked(element)
        fields = list(_properties(element))
        if missing := [parent for parent in parents if parent not in self._elements]:
            lines.append(_comment("parents", missing))
        for property_, declared, group in fields:
            markers = [_MARKERS[kind] for kind, paths in marked.items() if property_ in paths]
            if group is not None:
                markers.append(f"OneOf({_quoted(group)})" if group else "OneOf()")
            choice = group is not None or element["@type"] == "TaggedUnion"
            lines.append(self._field(property_, declared, markers, described.get(property_), choice=choice))
        if len(lines) == 1:
            lines.append("    pass")
        return "\n".join(lines)

    def _depth(self, name: str) -> int:
        above = _listed(self._elements.get(name, {}).get("@inherits"))
        return 1 + max((self._depth(one) for one in above), default=0)

    def _keywords(self, element: Element) -> Iterator[str]:
        key = element.get("@key")
        if key is not None:
            fields = ", ".join(_quoted(_field_name(field)) for field in key.get("@fields", ()))
            yield f"key={_KEYS[key['@type']]}({fields})"
        inherited = any(self._is_subdocument(parent) for parent in _listed(element.get("@inherits")))
        for flag in ("abstract", "subdocument", "unfoldable"):
            if f"@{flag}" in element and not (flag == "subdocument" and inherited):
                yield f"{flag}=True"
        if element["@type"] == "TaggedUnion":
            yield "tagged=True"
        names = {property_ for property_, _, _ in _properties(element)}
        for kind in ("indexed", "unique"):
            if paths := [path for path in _index(element).get(kind, ()) if path not in names]:
                yield f"{kind}={tuple(paths)!r}"
        events = _index(element).get("events")
        if isinstance(events, bool):
            yield f"events={events}"
        metadata = dict(element.get("@metadata") or {})
        kept = {name: part for name, part in _index(element).items() if name not in _MARKERS and name != "events"}
        metadata.pop("ontomesh", None)
        dangling = [path for path in _index(element).get("dangling", ()) if path not in names]
        kept |= {"dangling": dangling} if dangling else {}
        metadata |= {"ontomesh": kept} if kept else {}
        if metadata:
            yield f"metadata={pformat(metadata, width=90)}"

    def _field(self, name: str, declared: Any, markers: list[str], described: Any, *, choice: bool) -> str:
        type_ = self._type(_range(declared))
        family = declared.get("@type") if isinstance(declared, Mapping) else "Optional" if choice else "Required"
        if name == "id":
            return _comment("id, the name of a model's own field", declared)
        if type_ is None or family == "Table":
            return _comment(f"{name}", declared)
        options = []
        default = ""
        if family == "Optional":
            type_, default = f"{type_} | None", "None"
        elif family in ("Set", "Cardinality"):
            type_, default = f"set[{type_}]", "set()"
            options = _bounds(declared)
        elif family == "List":
            type_ = f"list[{type_}]"
        elif family == "Array":
            depth = declared.get("@dimensions", 1)
            if depth == 1:
                return _comment(f"{name}, an Array of one dimension", declared)
            type_ = "list[" * depth + type_ + "]" * depth
        if choice and family not in ("Optional", "Required"):
            type_, default = f"{type_} | None", "None"
            return _comment(f"{name}, an alternative of several values", declared)
        if self._is_subdocument(_range(declared)) and family in ("Set", "Cardinality"):
            return _comment(f"{name}, a Set of subdocuments", declared)
        field = _field_name(name)
        if field != name:
            options.append(f"alias={_quoted(name)}")
        if isinstance(described, str) and described:
            options.append(f"description={_quoted(described)}")
        if markers:
            type_ = f"Annotated[{type_}, {', '.join(markers)}]"
        if options:
            factory = {"None": "default=None", "set()": "default_factory=set", "": ""}[default]
            if any(option.startswith("min_length") for option in options):
                factory = ""
            arguments = ", ".join([*([factory] if factory else []), *options])
            return f"    {field}: {type_} = Field({arguments})"
        return f"    {field}: {type_}" + (f" = {default}" if default else "")

    def _type(self, range_: str) -> str | None:
        """A value's type in Python; None where there is none."""
        if range_ in _PYTHON:
            return _PYTHON[range_]
        if range_.startswith("xsd:"):
            number = range_.lower().endswith(_NUMBERS)
            python = "int" if number else "float" if range_ == "xsd:float" else "str"
            return f'Annotated[{python}, Xsd("{range_}")]'
        if self._is_enum(range_):
            return range_
        if self._is_subdocument(range_):
            return range_
        return f'Link["{range_}"]' if range_ in self._elements else None


def _properties(element: Element) -> Iterator[tuple[str, Any, str | None]]:
    """A class's own properties, with the group of alternatives that each belongs to."""
    for name, declared in element.items():
        if not name.startswith("@"):
            yield name, declared, None
    groups = _listed(element.get("@oneOf"))
    for index, group in enumerate(groups):
        for name, declared in group.items():
            yield name, declared, str(index or "")


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def _range(declared: Any) -> str:
    return declared if isinstance(declared, str) else str(declared.get("@class", ""))


def _bounds(declared: Mapping[str, Any]) -> list[str]:
    exact = declared.get("@cardinality")
    low, high = declared.get("@min_cardinality", exact), declared.get("@max_cardinality", exact)
    return [f"{name}={bound}" for name, bound in (("min_length", low), ("max_length", high)) if bound is not None]


def _index(element: Element) -> Mapping[str, Any]:
    notes = element.get("@metadata")
    told = notes.get("ontomesh") if isinstance(notes, Mapping) else None
    return told if isinstance(told, Mapping) else {}


def _marked(element: Element) -> dict[str, list[str]]:
    return {kind: list(_index(element).get(kind, ())) for kind in _MARKERS}


def _told(documentation: Any) -> tuple[str | None, Mapping[str, Any]]:
    """The docstring and the descriptions of properties that documentation amounts to; no docstring if it says more."""
    if not isinstance(documentation, Mapping) or not documentation.keys() <= {"@comment", "@properties"}:
        return None, {}
    comment, described = documentation.get("@comment", ""), documentation.get("@properties", {})
    plain = isinstance(described, Mapping) and all(isinstance(text, str) for text in described.values())
    good = isinstance(comment, str) and comment == "\n".join(line.rstrip() for line in comment.strip().split("\n"))
    return (comment, described) if plain and good and "\\" not in comment and '"""' not in comment else (None, {})


def _docstring(text: str) -> str:
    return textwrap.indent(f'"""{text}"""', "    ")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _comment(what: str, value: object) -> str:
    text = " ".join(pformat(value, width=10_000).split())
    return f"    # Not in these models: {what}: {text}"


def _left_out(what: str, value: object) -> str:
    return f"# Not in these models: {what}: {' '.join(pformat(value, width=10_000).split())}"


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_") and name not in _SOURCES


def _field_name(name: str) -> str:
    field = re.sub(r"\W", "_", name).lstrip("_") or "property"
    clashes = keyword.iskeyword(field) or field in _TAKEN or field.startswith("model_") or field in _SOURCES
    return f"{field}_" if clashes or field in _PYTHON.values() else field


def _imports(text: str) -> str:
    used = [name for name in _SOURCES if re.search(rf"\b{name}\b", text)]
    modules: dict[str, list[str]] = {}
    for name in used:
        modules.setdefault(_SOURCES[name], []).append(name)
    standard = [module for module in sorted(modules) if module in ("datetime", "decimal", "enum", "typing")]
    others = [module for module in sorted(modules) if module not in standard]

    def lines(chosen: list[str]) -> str:
        return "\n".join(f"from {module} import {', '.join(sorted(modules[module]))}" for module in chosen)

    blocks = (
        lines(standard),
        lines([one for one in others if one == "pydantic"]),
        lines([o for o in others if o != "pydantic"]),
    )
    return "\n\n".join(block for block in blocks if block)

r"""Names of an ontology as GraphQL takes them: `[_A-Za-z][_0-9A-Za-z]*`, not beginning with two underscores.

A character that GraphQL forbids becomes `_u<hex>_` by its code point: `is-part` is `is_u2d_part`, `größe` is
`gr_uf6__udf_e`. What reads like such an escape is escaped itself, so that no two names become one, and `decode` gives
every name back. A property never begins with an underscore as a field, unless with an escape (`_id` is `_u5f_id`): those
are the schema's own, `_id` among them. Names that the schema makes up yield: where an ontology has the very name, an
underscore is appended to the made-up one.
"""

import re

_ESCAPE = re.compile(r"_u([0-9a-f]+)_")
_FORBIDDEN = re.compile(r"[^0-9A-Za-z_]|_(?=u[0-9a-f]+(?:_|[^0-9A-Za-z_]))")
_OF_GRAPHQL = frozenset(("String", "Int", "Float", "Boolean", "ID"))
_LITERALS = frozenset(("true", "false", "null"))
_CAPITALS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]+")


def type_name(name: str) -> str:
    """A class or enum as a type."""
    return _encode(name, is_taken=name in _OF_GRAPHQL)


def field_name(name: str) -> str:
    """A property as a field."""
    return _encode(name, is_taken=name.startswith("_"))


def value_name(value: str) -> str:
    """A value of an enum."""
    return _encode(value, is_taken=value in _LITERALS)


def decode(name: str) -> str:
    """The name that one of the functions above made into this."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)


def one(name: str) -> str:
    """The root field for one document of a type: `httpServer` for `HTTPServer`."""
    return _CAPITALS.sub(lambda match: match[0].lower(), name, count=1) if name[0].isupper() else name


def many(name: str) -> str:
    """The root field for the documents of a type: `packages` for `Package`, as English mostly has it."""
    single = one(name)
    if re.search(r"(?:s|x|z|ch|sh)$", single):
        return f"{single}es"
    return f"{single[:-1]}ies" if re.search(r"[^aeiou_\d]y$", single) else f"{single}s"


def free(wanted: str, taken: set[str]) -> str:
    """The name wanted, with underscores appended until nothing bears it; it is taken then."""
    while wanted in taken:
        wanted += "_"
    taken.add(wanted)
    return wanted


def _encode(name: str, *, is_taken: bool) -> str:
    rest = _FORBIDDEN.sub(lambda match: _escape(match[0]), name[1:])
    if _FORBIDDEN.match(name) or is_taken or name[0] in "0123456789" or (name[0] + rest).startswith("__"):
        return _escape(name[0]) + rest
    return name[0] + rest


def _escape(character: str) -> str:
    return f"_u{ord(character):x}_"

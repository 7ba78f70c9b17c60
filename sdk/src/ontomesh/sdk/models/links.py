"""Links from one document to another."""

from typing import Any, Generic, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

Target = TypeVar("Target")


class Link(str, Generic[Target]):
    """The id of a document of the class `Target` or of a subclass, such as `Link[Person]("Person/ana")`.

    It is a string; the class is for type checkers and for the ontology. Write `Link["Package"]` where the class is
    not defined yet.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(cls._checked, core_schema.str_schema())

    @classmethod
    def _checked(cls, value: str) -> "Link[Any]":
        kind, slash, key = value.partition("/")
        if not (kind and slash and key):
            raise ValueError(f"a link is a class, a slash and a key, not {value!r}")
        return cls(value)

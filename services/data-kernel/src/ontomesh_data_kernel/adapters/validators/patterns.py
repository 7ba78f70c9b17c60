"""Regular expressions that take time in proportion to the text: a backtracking one would hold up the whole process."""

from collections.abc import Callable
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """What tells whether a text contains a pattern of Rust's `regex`: no look-around, no references. Raises ValueError."""
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex")).isinstance_python
    except SchemaError as error:
        raise ValueError(str(error).splitlines()[-1].removeprefix("error: ")) from None

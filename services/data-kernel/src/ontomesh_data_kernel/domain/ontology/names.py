"""The grammar of names of classes, enums and properties."""

import re

from ontomesh_data_kernel.domain.canonical import kind_of
from ontomesh_data_kernel.domain.ontology.model import MAX_NAME

_NAME = re.compile(r"[^\W\d][\w-]*")


def name_fault(name: object) -> str:
    """Say what is wrong with the name of a class, enum or property; empty if nothing is."""
    if type(name) is not str:
        return f"{kind_of(name)} where a name is due"
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
        return f"{name[:40]!r} is no name: letters, digits, _ and -, beginning with a letter or _, at most {MAX_NAME}"
    return ""

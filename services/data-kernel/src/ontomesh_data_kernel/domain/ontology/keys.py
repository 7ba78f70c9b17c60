"""Ids of documents: their grammar, and how a class's key makes them."""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from urllib.parse import quote

from ontomesh_data_kernel.domain.canonical import encode
from ontomesh_data_kernel.domain.ontology.model import Key, KeyKind
from ontomesh_data_kernel.domain.ontology.types import key_text

MAX_ID_BYTES = 1_024

_NOT = r"""\s\x00-\x1f\x7f-\x9f<>"{}|\\^`"""
_matches_id = re.compile(rf"[^/{_NOT}]+/[^{_NOT}]+").fullmatch

# What TerminusDB leaves as it is in a Lexical key's values (SWI-Prolog's uri_encoded/3 for a path's segment, less the
# joining +), so that one data set has the same ids on every store.
_KEY_SAFE = "!$&'()*,;=@"
_is_plain = re.compile(r"[A-Za-z0-9._~!$&'()*,;=@-]*").fullmatch

IdMaker = Callable[[Mapping[str, object]], str]
"""Makes the id of a document from its canonical properties and `@type`."""


def is_document_id(text: str) -> bool:
    r"""Whether the text is an id: `Class/key` without white space, control characters, backticks and `<>"{}|\^`."""
    return _matches_id(text) is not None and (len(text) <= MAX_ID_BYTES // 4 or len(text.encode()) <= MAX_ID_BYTES)


def id_fault(text: str) -> str:
    """Say what is wrong with an id; empty if nothing is."""
    if is_document_id(text):
        return ""
    if len(text.encode()) > MAX_ID_BYTES:
        return f"is longer than {MAX_ID_BYTES:,} bytes"
    head, _, key = text.partition("/")
    if not head or not key:
        return f"{text[:80]!r} is not of the form Class/key"
    return f'{text[:80]!r} holds white space, a control character or one of <>"{{}}|\\^`'


def id_maker(name: str, key: Key) -> IdMaker | None:
    """What makes the ids of the class's documents; None for Random, whose ids are given or drawn."""
    prefix = f"{name}/"
    fields = key.fields

    def lexical(canonical: Mapping[str, object]) -> str:
        return prefix + _joined(canonical, fields)

    def hashed(canonical: Mapping[str, object]) -> str:
        return prefix + sha256(_joined(canonical, fields).encode()).hexdigest()

    def value_hashed(canonical: Mapping[str, object]) -> str:
        return prefix + sha256(encode(canonical)).hexdigest()

    return {KeyKind.LEXICAL: lexical, KeyKind.HASH: hashed, KeyKind.VALUE_HASH: value_hashed}.get(key.kind)


def _joined(canonical: Mapping[str, object], fields: tuple[str, ...]) -> str:
    return "+".join([_encoded(key_text(canonical[field])) for field in fields])


def _encoded(text: str) -> str:
    return text if _is_plain(text) else quote(text, safe=_KEY_SAFE)

"""Under which subjects events lie."""

import re
from functools import lru_cache
from hashlib import blake2b
from zlib import crc32

from ontomesh_event_gateway.domain.model import PARTITIONS

EVENTS_PREFIX = "ontomesh.ev"
REDRIVEN_PREFIX = "ontomesh.rd"
LONGEST_TOKEN = 200

_ESCAPED = re.compile(rb"[^A-Za-z0-9_-]")
_DIGEST_BYTES = 16


@lru_cache(maxsize=4096)
def escaped(text: str) -> str:
    """A text as one token of a subject: what is not a letter, a digit, `_` or `-` is written as `=XX`."""
    return _ESCAPED.sub(lambda found: b"=%02X" % found[0][0], text.encode()).decode()


@lru_cache(maxsize=4096)
def type_token(type_: str) -> str:
    """An event type as one token of a subject: what is not a letter, a digit, `_` or `-` is written as `=XX`.

    A type whose token would be longer than 200 bytes is cut and closed with `==` and a hash.
    """
    token = escaped(type_)
    if len(token) <= LONGEST_TOKEN:
        return token
    digest = blake2b(type_.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{token[: LONGEST_TOKEN - len(digest) - 2]}=={digest}"


def partition(key: str) -> int:
    """The partition of a key."""
    return crc32(key.encode()) % PARTITIONS


@lru_cache(maxsize=16384)
def event_subject(number: int, type_: str) -> str:
    """Where events of a type lie in a partition."""
    return f"{EVENTS_PREFIX}.{number}.{type_token(type_)}"


def redriven_subject(subscription: str, number: int) -> str:
    """Where events lie that one subscription gets again."""
    return f"{REDRIVEN_PREFIX}.{subscription}.{number}"


def message_id(source: str, id_: str) -> bytes:
    """What JetStream deduplicates on: a hash of source and id."""
    return blake2b(f"{source}\n{id_}".encode(), digest_size=_DIGEST_BYTES).hexdigest().encode()

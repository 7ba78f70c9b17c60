"""Pages of listings, and the tokens with which they go on."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b

from ontomesh_event_gateway.errors import InvalidPageToken, InvalidRequest

DEFAULT_SIZE = 100
MAX_SIZE = 1_000
MAX_BYTES = 3 << 20
"""What a page of events may have."""
_CHECK_CHARS = 16
_MAX_TOKEN = 1_024


def page_size(asked: int) -> int:
    """How many to show. Raises InvalidRequest."""
    if not 0 <= asked <= MAX_SIZE:
        raise InvalidRequest.at("page_size", f"{asked} is not within 1 and {MAX_SIZE}, or 0 for the default")
    return asked or DEFAULT_SIZE


def make_token(listing: tuple[object, ...], position: str) -> str:
    """A token that goes on behind a position of the listing that a method and its arguments name."""
    return urlsafe_b64encode(f"{_check(listing, position)}{position}".encode()).decode().rstrip("=")


def read_token(listing: tuple[object, ...], token: str) -> str:
    """The position of a token. Raises InvalidPageToken unless it was made for this listing."""
    try:
        text = urlsafe_b64decode(token[:_MAX_TOKEN] + "=" * (-len(token) % 4)).decode()
    except (Base64Error, ValueError):
        text = ""
    check, position = text[:_CHECK_CHARS], text[_CHECK_CHARS:]
    if len(token) > _MAX_TOKEN or check != _check(listing, position):
        raise InvalidPageToken.at("page_token", "was not issued by this method for these arguments")
    return position


def _check(listing: tuple[object, ...], position: str) -> str:
    return blake2b(repr((*listing, position)).encode(), digest_size=_CHECK_CHARS // 2).hexdigest()

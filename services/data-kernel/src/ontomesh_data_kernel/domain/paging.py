"""Page tokens: where a listing goes on, bound to the listing they were issued for."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b

from ontomesh_data_kernel.errors import InvalidPageToken

_CHECK_BYTES = 8
_MAX_TOKEN = 8_192
_MAX_DIGITS = 18
"""What a store can count to."""


def _check(listing: tuple[object, ...], position: str) -> str:
    asked = json.dumps([*listing, position], ensure_ascii=False).encode("utf-8", "surrogatepass")
    return blake2b(asked, digest_size=_CHECK_BYTES).hexdigest()


def make_token(listing: tuple[object, ...], *position: str | int) -> str:
    """A token for the listing that `listing` (method and arguments, of JSON's scalars) identifies."""
    text = json.dumps(position, ensure_ascii=False)
    return urlsafe_b64encode(f"{_check(listing, text)}{text}".encode()).decode().rstrip("=")


def read_token(listing: tuple[object, ...], token: str, length: int) -> list[str]:
    """The position of a token, as `length` strings. Raises InvalidPageToken unless it was made for this listing.

    The check is no secret: a token shows nothing that its sender may not see, and yet it may hold anything.
    """
    if len(token) > _MAX_TOKEN:
        raise _refusal()
    try:
        decoded = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
        check, text = decoded[: 2 * _CHECK_BYTES], decoded[2 * _CHECK_BYTES :]
        if check != _check(listing, text):
            raise _refusal()
        position = json.loads(text)
        if type(position) is not list or len(position) != length:
            raise _refusal()
        parts = [str(part) for part in position]
        "".join(parts).encode()
    except (Base64Error, ValueError, RecursionError):
        raise _refusal() from None
    return parts


def read_number(part: str) -> int:
    """A part of a position that is a number from 0 on. Raises InvalidPageToken."""
    if not (part.isascii() and part.isdigit() and len(part) <= _MAX_DIGITS):
        raise _refusal()
    return int(part)


def _refusal() -> InvalidPageToken:
    return InvalidPageToken.at("page_token", "was not issued by this method for these arguments")

"""Page tokens: where a listing goes on, bound to the listing they were issued for."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b

from ontomesh_data_kernel.errors import InvalidPageToken

_CHECK_BYTES = 8


def _check(listing: tuple[object, ...], position: str) -> str:
    asked = json.dumps([*listing, position], ensure_ascii=False).encode("utf-8", "surrogatepass")
    return blake2b(asked, digest_size=_CHECK_BYTES).hexdigest()


def make_token(listing: tuple[object, ...], *position: str | int) -> str:
    """A token for the listing that `listing` (method and arguments, of JSON's scalars) identifies."""
    text = json.dumps(position, ensure_ascii=False)
    return urlsafe_b64encode(f"{_check(listing, text)}{text}".encode()).decode().rstrip("=")


def read_token(listing: tuple[object, ...], token: str, length: int) -> list[str]:
    """The position of a token, as `length` strings. Raises InvalidPageToken unless it was made for this listing."""
    refusal = InvalidPageToken.at("page_token", "was not issued by this method for these arguments")
    if len(token) > 8_192:
        raise refusal
    try:
        decoded = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (Base64Error, ValueError):
        raise refusal from None
    check, text = decoded[: 2 * _CHECK_BYTES], decoded[2 * _CHECK_BYTES :]
    if check != _check(listing, text):
        raise refusal
    position = json.loads(text)
    if len(position) != length:
        raise refusal
    return [str(part) for part in position]

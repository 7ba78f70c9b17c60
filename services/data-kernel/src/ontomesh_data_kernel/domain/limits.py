"""The limits of what a caller may send or ask for, and the checks that hold them."""

from collections.abc import Iterable, Mapping

from ontomesh_data_kernel.errors import InvalidRequest, TooLarge

MAX_BODY_BYTES = 1 << 20
MAX_COMMIT_BYTES = 32 << 20
MAX_SCHEMA_BYTES = 1 << 20
MAX_OPERATIONS = 10_000
MAX_RESOLUTIONS = 10_000
MAX_BATCH_IDS = 1_000
MAX_BATCH_BYTES = 16 << 20
MAX_PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 100
MAX_PAGE_BYTES = 3 << 20
MAX_ID_BYTES = 1_024
MAX_MESSAGE_BYTES = 65_536
MAX_DESCRIPTION_BYTES = 4_096
MAX_METADATA_ENTRIES = 64
MAX_METADATA_KEY_BYTES = 128
MAX_METADATA_VALUE_BYTES = 4_096
MAX_REQUEST_ID = 128
MAX_AUTHOR_BYTES = 200
MAX_PIECE_BYTES = 4 << 20
MAX_FAULTS = 100


def page_size(asked: int) -> int:
    """The page size to use. Raises InvalidRequest."""
    if asked == 0:
        return DEFAULT_PAGE_SIZE
    if not 0 < asked <= MAX_PAGE_SIZE:
        raise InvalidRequest.at("page_size", f"{asked} is not within 1 and {MAX_PAGE_SIZE}, or 0 for the default")
    return asked


def fitting(sizes: Iterable[int], limit: int = MAX_PAGE_BYTES) -> int:
    """How many things of these sizes go on a page: as many as fit, but at least one."""
    count = total = 0
    for size in sizes:
        total += size
        if count and total > limit:
            break
        count += 1
    return count


def check_text(field: str, text: str, limit: int) -> str:
    """Return a text of at most `limit` bytes of UTF-8. Raises TooLarge, InvalidRequest."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidRequest.at(field, "holds half of a surrogate pair, which is no character") from None
    if size > limit:
        raise TooLarge.of(f"{field} in bytes", size, limit, field)
    if "\0" in text:
        raise InvalidRequest.at(field, "holds a NUL character")
    return text


def check_metadata(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """Return a commit's metadata within its limits. Raises TooLarge, InvalidRequest."""
    if len(metadata) > MAX_METADATA_ENTRIES:
        raise TooLarge.of("entries of metadata", len(metadata), MAX_METADATA_ENTRIES, "metadata")
    for key, value in metadata.items():
        if not key:
            raise InvalidRequest.at("metadata", "a key is empty")
        check_text("metadata", key, MAX_METADATA_KEY_BYTES)
        check_text(f"metadata[{key}]", value, MAX_METADATA_VALUE_BYTES)
    return metadata


def check_request_id(request_id: str) -> str:
    """Return a request id. Raises InvalidRequest."""
    if len(request_id) > MAX_REQUEST_ID or not request_id.isprintable():
        raise InvalidRequest.at("request_id", f"is at most {MAX_REQUEST_ID} printable characters")
    return request_id


def check_document_id(field: str, id: str) -> str:
    """Return what may be a document's id. Raises InvalidRequest."""
    if not id:
        raise InvalidRequest.at(field, "is required")
    return check_text(field, id, MAX_ID_BYTES)

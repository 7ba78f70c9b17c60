"""Which failures of a stream may pass."""

from ontomesh.sdk.errors import (
    Aborted,
    Cancelled,
    DeadlineExceeded,
    Internal,
    OntomeshError,
    ResourceExhausted,
    TokenExpired,
    TooLarge,
    Unavailable,
)

_PASSING = (Unavailable, Cancelled, DeadlineExceeded, Internal, Aborted, ResourceExhausted, TokenExpired)


def may_pass(error: OntomeshError) -> bool:
    """Whether a stream that ended so is to be begun again.

    A token may have been renewed meanwhile, and what came without a reason came from something between the two sides.
    """
    return (isinstance(error, _PASSING) and not isinstance(error, TooLarge)) or type(error) is OntomeshError

"""Reading JSON without losing digits."""

import json
from decimal import Decimal
from typing import Any


def decode(text: bytes) -> Any:
    """The value of a JSON text. Integers are exact; other numbers are floats where a float has just that value as
    Python writes it, and Decimals where it would lose digits.
    """
    return json.loads(text, parse_float=_number)


def _number(literal: str) -> float | Decimal:
    number = float(literal)
    written = repr(number)
    if written == literal:
        return number
    exact = Decimal(literal)
    return number if Decimal(written) == exact else exact

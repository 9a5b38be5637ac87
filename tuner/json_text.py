"""JSON whose numbers stay the text they were and whose objects have each field once.

A language model reads digits: 1.10 must not become 1.1, and no number is too large. Knows JSON;
not what a record means.
"""

from __future__ import annotations

import json
from typing import Any


class RepeatedFieldError(ValueError):
    """An object has one field twice; keeping either would lose the other."""


def _unique_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise RepeatedFieldError(f"The field {repeated} stands twice in one object.")
    return record


def _no_value(name: str) -> None:
    """NaN and Infinity are not JSON and mean "no value" where programs write them."""


DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_fields, parse_int=str, parse_float=str, parse_constant=_no_value
)

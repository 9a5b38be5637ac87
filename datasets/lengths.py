"""How long prompts and answers are, in characters: a few numbers and the bars of a histogram.

Knows integers; the pages draw them.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import TypedDict

BAR_COUNT = 20


class Bar(TypedDict):
    """How many lengths lie from `start` to `end`, both included; `end` is None for the rest."""

    start: int
    end: int | None
    count: int


class LengthSummary(TypedDict):
    """What the report keeps of all lengths."""

    minimum: int
    median: int
    p95: int
    maximum: int
    bars: list[Bar]


def summarise(lengths: array[int]) -> LengthSummary:
    """Statistics and histogram of at least one length."""
    ordered = sorted(lengths)
    return {
        "minimum": ordered[0],
        "median": percentile(ordered, 0.5),
        "p95": percentile(ordered, 0.95),
        "maximum": ordered[-1],
        "bars": bars(ordered),
    }


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest length that is not exceeded by `share` of all."""
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def bars(ordered: Sequence[int]) -> list[Bar]:
    """Bars of equal, round width over nine tenths and more; the longest few share the last one."""
    start = ordered[0]
    width = round_width((percentile(ordered, 0.98) - start) / BAR_COUNT)
    start -= start % width
    counts = [0] * (BAR_COUNT + 1)
    for length in ordered:
        counts[min((length - start) // width, BAR_COUNT)] += 1
    last = max(index for index, count in enumerate(counts) if count)
    return [_bar(start, width, index, count) for index, count in enumerate(counts[: last + 1])]


def _bar(start: int, width: int, index: int, count: int) -> Bar:
    first = start + index * width
    end = None if index == BAR_COUNT else first + width - 1
    return {"start": first, "end": end, "count": count}


def round_width(exact: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ..."""
    scale = 1
    while True:
        for factor in (1, 2, 5):
            if factor * scale >= exact:
                return factor * scale
        scale *= 10

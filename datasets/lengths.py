"""How long prompts and answers are, in characters: a few numbers and the bars of a histogram.

Knows integers; the pages draw them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate
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


def summarise(lengths: Mapping[int, int]) -> LengthSummary:
    """Statistics and histogram from how often each length occurs, at least one."""
    return {
        "minimum": min(lengths),
        "median": percentile(lengths, 0.5),
        "p95": percentile(lengths, 0.95),
        "maximum": max(lengths),
        "bars": bars(lengths),
    }


def percentile(lengths: Mapping[int, int], share: float) -> int:
    """The smallest length that `share` of all do not exceed."""
    wanted = math.ceil(sum(lengths.values()) * share)
    ordered = sorted(lengths)
    below = accumulate(lengths[length] for length in ordered)
    return next(length for length, count in zip(ordered, below, strict=True) if count >= wanted)


def bars(lengths: Mapping[int, int]) -> list[Bar]:
    """Bars of equal, round width over all but the longest few, which share the last one."""
    start = min(lengths)
    width = round_width((percentile(lengths, 0.97) - start) / BAR_COUNT)
    start -= start % width
    counts = [0] * (BAR_COUNT + 1)
    for length, count in lengths.items():
        counts[min((length - start) // width, BAR_COUNT)] += count
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

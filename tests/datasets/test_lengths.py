"""Statistics and bars of lengths."""

from __future__ import annotations

from collections import Counter

import pytest

from datasets.histograms import as_histogram
from datasets.lengths import round_width, summarise


@pytest.mark.parametrize("lengths", [[5], [1, 2, 3], list(range(1, 101)), [1] * 99 + [40_000]])
def test_every_length_is_in_exactly_one_bar(lengths: list[int]) -> None:
    summary = summarise(Counter(lengths))
    assert sum(bar["count"] for bar in summary["bars"]) == len(lengths)
    for bar in summary["bars"]:
        end = bar["end"] if bar["end"] is not None else max(lengths)
        assert bar["count"] == sum(bar["start"] <= length <= end for length in lengths)


def test_the_numbers_are_those_of_the_sorted_list() -> None:
    summary = summarise(Counter(range(1, 101)))
    assert (summary["minimum"], summary["maximum"]) == (1, 100)
    assert (summary["median"], summary["p95"]) == (50, 95)


@pytest.mark.parametrize(
    ("exact", "rounded"), [(0, 1), (1, 1), (1.2, 2), (3, 5), (7, 10), (41, 50)]
)
def test_bars_have_round_widths(exact: float, rounded: int) -> None:
    assert round_width(exact) == rounded


def test_the_few_stay_visible_and_empty_bars_do_not_appear() -> None:
    summary = summarise(Counter({1: 10_000, 9: 1}))
    bars = as_histogram("Answer length", dict(summary)).bars
    assert [bar.height for bar in bars if bar.height != "0.0"] == ["100.0", "2.0"]
    assert bars[0].label == "1 characters: 10,000 examples"

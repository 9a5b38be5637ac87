"""The lengths of a report as the page draws them: bars, numbers, and the same in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HistogramBar:
    """One bar, its height as a percentage of the highest."""

    height: str
    label: str


@dataclass(frozen=True)
class Histogram:
    """Everything about the lengths of one part of the examples."""

    title: str
    bars: list[HistogramBar]
    axis: tuple[int, int]
    numbers: list[tuple[str, int]]

    @property
    def in_words(self) -> str:
        """For those who do not see the bars."""
        parts = ", ".join(f"{name} {number:,}" for name, number in self.numbers)
        return f"{self.title}, in characters: {parts}."


def histograms(report: dict[str, Any]) -> list[Histogram]:
    """Of prompts and of answers."""
    lengths = report.get("lengths") or {}
    titles = (("prompt", "Prompt length"), ("answer", "Answer length"))
    return [as_histogram(title, lengths[part]) for part, title in titles if part in lengths]


def as_histogram(title: str, summary: dict[str, Any]) -> Histogram:
    """Bars relative to the highest; the few of an empty bar stay invisible."""
    highest = max(bar["count"] for bar in summary["bars"])
    names = (("shortest", "minimum"), ("median", "median"), ("95 % up to", "p95"))
    return Histogram(
        title=title,
        bars=[HistogramBar(height(bar["count"], highest), label(bar)) for bar in summary["bars"]],
        axis=(summary["bars"][0]["start"], summary["maximum"]),
        numbers=[*((name, summary[key]) for name, key in names), ("longest", summary["maximum"])],
    )


def height(count: int, highest: int) -> str:
    """A percentage for CSS. Even one example among thousands stays visible."""
    return f"{max(100 * count / highest, 2.0) if count else 0:.1f}"


def label(bar: dict[str, Any]) -> str:
    """`20 to 29 characters: 954 examples`."""
    start, end, count = bar["start"], bar["end"], bar["count"]
    if end is None:
        where = f"{start:,} or more"
    else:
        where = f"{start:,}" if start == end else f"{start:,} to {end:,}"
    return f"{where} characters: {count:,} {'example' if count == 1 else 'examples'}"

"""A small line of numbers, drawn as SVG by a template; the points are computed here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django import template

register = template.Library()

WIDTH = 100.0
HEIGHT = 32.0
MARGIN = 2.0


@dataclass(frozen=True)
class Sparkline:
    """The line and the area under it, in the units of the drawing, and what it says in words."""

    line: str
    area: str
    description: str


def draw(values: Sequence[float]) -> Sparkline | None:
    """Spread the values over the width, lowest at the bottom. None when there is no line yet."""
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    spread = high - low or 1.0
    points = [
        f"{WIDTH * index / (len(values) - 1):.1f},"
        f"{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (value - low) / spread:.1f}"
        for index, value in enumerate(values)
    ]
    line = " ".join(points)
    return Sparkline(
        line=line,
        area=f"0,{HEIGHT:g} {line} {WIDTH:g},{HEIGHT:g}",
        description=f"Training loss from {values[0]:.3f} to {values[-1]:.3f}",
    )


@register.inclusion_tag("web/_sparkline.html", name="sparkline")
def show(values: Sequence[float]) -> dict[str, Sparkline | None]:
    """The values as a small chart; nothing for fewer than two."""
    return {"sparkline": draw(values)}

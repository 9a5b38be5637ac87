"""Filters that turn values into words: durations, sizes, counts, times.

A template gives "" for a key that is not there; every filter takes it as None.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma, naturaltime
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html

register = template.Library()

Missing: TypeAlias = Literal[""] | None


@register.filter
def duration(seconds: float | Missing) -> str:
    """`42 s`, `3 min 20 s`, `2 h 5 min`; "unknown yet" for None."""
    if seconds is None or isinstance(seconds, str):
        return "unknown yet"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole, 3600)
    return f"{hours} h {rest // 60} min"


@register.filter
def file_size(size_bytes: int | None) -> str:
    """`1.5 MB`."""
    return filesizeformat(size_bytes or 0)


@register.filter
def gigabytes(size_bytes: float | Missing) -> str:
    """`7.4 GB`, as people count memory: two numbers of it are easier compared in one unit."""
    if size_bytes is None or isinstance(size_bytes, str):
        return "-"
    return f"{size_bytes / 1e9:.1f} GB"


@register.filter
def count(number: int | Missing) -> str:
    """`1,234`; a dash for None."""
    return "-" if number is None or isinstance(number, str) else intcomma(number)


@register.filter
def short_count(number: int | Missing) -> str:
    """`135 M`, `1.2 B`: a number of parameters at a glance; a dash for None."""
    if number is None or isinstance(number, str):
        return "-"
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if number >= size:
            amount = number / size
            return f"{amount:.1f} {letter}" if amount < 10 else f"{amount:.0f} {letter}"
    return str(number)


@register.filter
def percent(share: float | Missing) -> str:
    """`43 %` from 0.43; a dash for None."""
    return "-" if share is None or isinstance(share, str) else f"{share * 100:.0f} %"


@register.filter
def loss(value: float | Missing) -> str:
    """A loss with the digits that matter; a dash for None."""
    return "-" if value is None or isinstance(value, str) else f"{value:.3f}"


@register.filter
def learning_rate(value: float | Missing) -> str:
    """`0.001`, `5e-05`."""
    return "-" if value is None or isinstance(value, str) else f"{value:g}"


@register.filter
def when(moment: datetime | None) -> str:
    """Relative, with the exact time on hover."""
    if moment is None:
        return "-"
    exact = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        exact.isoformat(),
        exact.strftime("%Y-%m-%d %H:%M:%S %Z"),
        naturaltime(moment),
    )

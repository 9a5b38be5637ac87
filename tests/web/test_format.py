"""Values as words: each filter with the values that change its words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.template import Context, Template
from django.utils import timezone

from web.templatetags import format as words


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "unknown yet"),
        ("", "unknown yet"),
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h 0 min"),
        (7530, "2 h 5 min"),
    ],
)
def test_durations_carry_their_units(seconds: float | None, expected: str) -> None:
    assert words.duration(seconds) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (None, "-"),
        ("", "-"),
        (0, "0"),
        (999, "999"),
        (1000, "1.0 K"),
        (134_515_008, "135 M"),
        (1_235_814_400, "1.2 B"),
        (70_000_000_000, "70 B"),
    ],
)
def test_parameters_are_counted_at_a_glance(number: int | None, expected: str) -> None:
    assert words.short_count(number) == expected


def test_counts_shares_and_losses() -> None:
    assert (words.count(1234567), words.count(None)) == ("1,234,567", "-")
    assert (words.percent(0.4251), words.percent(None)) == ("43 %", "-")
    assert (words.loss(1.23456), words.loss(None)) == ("1.235", "-")
    assert (words.learning_rate(0.00005), words.learning_rate(None)) == ("5e-05", "-")


def test_a_key_that_is_not_there_is_no_error_in_a_template() -> None:
    text = "{{ facts.x|count }}{{ facts.x|percent }}{{ facts.x|loss }}{{ facts.x|short_count }}"
    assert Template(text).render(Context({"facts": {}})) == "----"


def test_a_time_is_relative_with_the_exact_one_on_hover() -> None:
    assert words.when(None) == "-"
    assert ">now</time>" in words.when(timezone.now())
    assert 'title="2020-02-03 04:05:06 UTC"' in words.when(
        datetime(2020, 2, 3, 4, 5, 6, tzinfo=UTC)
    )


@pytest.mark.parametrize(
    ("size", "expected"), [(None, "-"), ("", "-"), (0, "0.0 GB"), (7_449_000_000, "7.4 GB")]
)
def test_memory_is_told_in_gigabytes(size: float | None, expected: str) -> None:
    assert words.gigabytes(size) == expected

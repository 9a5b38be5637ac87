"""The small line of losses on cards and on the rail."""

from __future__ import annotations

import pytest
from django.template import Context, Template

from web.templatetags.sparkline import draw


@pytest.mark.parametrize("values", [[], [1.0]])
def test_there_is_no_line_before_the_second_value(values: list[float]) -> None:
    assert draw(values) is None
    text = Template("{% load sparkline %}{% sparkline values %}")
    assert text.render(Context({"values": values})).strip() == ""


def test_the_line_goes_from_corner_to_corner() -> None:
    drawn = draw([3.0, 2.0, 1.0])
    assert drawn is not None
    assert drawn.line == "0.0,2.0 50.0,16.0 100.0,30.0"
    assert drawn.area == f"0,32 {drawn.line} 100,32"
    assert drawn.description == "Training loss from 3.000 to 1.000"


def test_a_flat_line_is_drawn_too() -> None:
    drawn = draw([0.5, 0.5])
    assert drawn is not None
    assert drawn.line == "0.0,30.0 100.0,30.0"

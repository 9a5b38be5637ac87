"""Sampling parameters and stop texts, without a model."""

from __future__ import annotations

import pytest

from tuner.sampling import Sampling, SamplingError, StopScanner


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_k", -1),
        ("max_tokens", 0),
        ("seed", -1),
        ("seed", 2**63),
        ("stop", ("",)),
        ("stop", ("x",) * 17),
    ],
)
def test_a_parameter_out_of_range_is_named(field: str, value: object) -> None:
    with pytest.raises(SamplingError, match=field) as caught:
        Sampling(**{field: value})  # type: ignore[arg-type]
    assert caught.value.field == field


def fed(stops: tuple[str, ...], *pieces: str) -> tuple[list[str], bool]:
    scanner = StopScanner(stops)
    shown = [scanner.feed(piece) for piece in pieces]
    return [*shown, scanner.flush()], scanner.has_stopped


def test_without_stop_texts_everything_passes_at_once() -> None:
    assert fed((), "ab", "c") == (["ab", "c", ""], False)


def test_a_stop_text_split_over_pieces_is_found_and_never_shown() -> None:
    assert fed(("END",), "one E", "N", "D two") == (["one ", "", "", ""], True)


def test_what_looked_like_a_stop_text_is_shown_once_it_is_not() -> None:
    assert fed(("END",), "one E", "Nough") == (["one ", "ENough", ""], False)


def test_what_was_held_back_is_shown_at_the_end() -> None:
    assert fed(("END",), "one EN") == (["one ", "EN"], False)


def test_the_earliest_of_several_stop_texts_counts() -> None:
    assert fed(("two", "one"), "zero one two") == (["zero ", ""], True)

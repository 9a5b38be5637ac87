"""Datasets mixed by weight, and general conversations replayed."""

from __future__ import annotations

from collections import Counter

import pytest

from tuner.errors import SettingsError
from tuner.examples import Example
from tuner.mixture import Source, mix

LETTERS = [Example.from_pair(f"letter {index}", "a") for index in range(10)]
NUMBERS = [Example.from_pair(f"number {index}", "1") for index in range(20)]
GENERAL = [Example.from_pair(f"talk {index}", "hello") for index in range(40)]


def test_weights_say_how_often_a_source_comes():
    mixture = mix([Source(LETTERS, 2), Source(NUMBERS, 0.5)], seed=1)
    assert mixture.counts == (20, 10, 0)
    times = Counter(example.prompt_text for example in mixture)
    assert {times[example.prompt_text] for example in LETTERS} == {2}
    assert {times[example.prompt_text] for example in NUMBERS} == {0, 1}


def test_a_weight_of_one_and_a_half_takes_all_and_a_half_again():
    mixture = mix([Source(LETTERS, 1.5)], seed=0)
    times = Counter(example.prompt_text for example in mixture)
    assert sorted(times.values()) == [1] * 5 + [2] * 5


def test_an_example_that_comes_twice_is_the_same_object():
    mixture = mix([Source(LETTERS, 2)], seed=0)
    assert mixture[0] is mixture[1] is LETTERS[0]


def test_the_same_seed_mixes_alike_and_another_does_not():
    def texts(seed: int) -> list[str]:
        return [example.prompt_text for example in mix([Source(NUMBERS, 0.5)], seed=seed)]

    assert texts(3) == texts(3)
    assert texts(3) != texts(4)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_the_replayed_part_has_the_share_of_the_whole_that_was_asked_for(share):
    mixture = mix([Source(LETTERS)], replay=GENERAL, replay_share=share, seed=0)
    assert abs(mixture.counts[-1] / len(mixture) - share) < 0.05


def test_too_few_conversations_are_replayed_more_than_once_and_evenly():
    mixture = mix([Source(NUMBERS)], replay=GENERAL[:4], replay_share=0.5, seed=0)
    times = Counter(example.prompt_text for example in mixture)
    assert {times[example.prompt_text] for example in GENERAL[:4]} == {5}


def test_where_an_example_came_from_is_known():
    mixture = mix([Source(LETTERS), Source(NUMBERS)], replay=GENERAL, replay_share=0.5, seed=0)
    assert mixture.origin(0) == (0, 0)
    assert mixture.origin(10) == (1, 0)
    assert mixture.origin(len(mixture) - 1)[0] == 2
    assert [example.answer_text for example in mixture[9:11]] == ["a", "1"]


@pytest.mark.parametrize("weight", [0.0, -1.0, 101.0, float("nan")])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(SettingsError, match="weight must be above 0"):
        Source(LETTERS, weight)


def test_a_replay_share_without_conversations_is_refused():
    with pytest.raises(SettingsError, match="needs conversations"):
        mix([Source(LETTERS)], replay_share=0.2, seed=0)
    with pytest.raises(SettingsError, match="Replay share must be"):
        mix([Source(LETTERS)], replay=GENERAL, replay_share=0.95, seed=0)

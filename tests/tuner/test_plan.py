"""The arithmetic of a job: steps, order, learning rate, duration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuner.errors import SettingsError
from tuner.plan import (
    Timing,
    count_evaluations,
    epoch_batches,
    estimate_seconds,
    learning_rate_at,
    total_steps,
    training_batches,
)
from tuner.settings import TuningSettings


def test_the_last_step_of_an_epoch_takes_what_is_left():
    assert total_steps(10, TuningSettings(epochs=3, batch_size=4)) == 9
    assert [len(batch) for batch in epoch_batches(10, 4, seed=0, epoch=0)] == [4, 4, 2]


def test_an_epoch_shows_every_example_once_in_an_order_of_its_own():
    first, second = (epoch_batches(50, 4, seed=0, epoch=epoch) for epoch in (0, 1))
    assert sorted(index for batch in first for index in batch) == list(range(50))
    assert first != second
    assert first != epoch_batches(50, 4, seed=1, epoch=0)


@pytest.mark.parametrize("after_step", [0, 1, 3, 4, 9])
def test_the_steps_after_any_step_are_those_of_the_whole_run(after_step):
    settings = TuningSettings(epochs=3, batch_size=4)
    whole = list(training_batches(10, settings))
    assert [step for step, _ in whole] == list(range(1, 10))
    assert list(training_batches(10, settings, after_step=after_step)) == whole[after_step:]


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_learning_rate_rises_then_falls_and_never_leaves_its_range(schedule):
    settings = TuningSettings(schedule=schedule, warmup_share=0.1, learning_rate=0.01)
    rates = [learning_rate_at(step, 100, settings, 0.01) for step in range(1, 101)]
    assert rates.index(max(rates)) == 10
    assert max(rates) == 0.01
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert all(0 < rate <= 0.01 for rate in rates)


def test_a_constant_learning_rate_stays():
    settings = TuningSettings(schedule="constant", warmup_share=0.0)
    assert {learning_rate_at(step, 10, settings, 0.001) for step in range(1, 11)} == {0.001}


TIMING = Timing(
    start_seconds=2,
    seconds_per_step=0.5,
    seconds_per_token=0.01,
    evaluation_seconds_per_token=0.001,
    save_seconds=0.1,
    shared_tokens=20,
)


def test_the_estimate_counts_start_steps_evaluations_and_saving():
    settings = TuningSettings(epochs=2, batch_size=4)
    seconds = estimate_seconds(TIMING, [50] * 8, settings, [50, 50])
    tokens = 8 * 50 - 6 * 20  # the shared beginning is computed once in each of two steps
    epoch = 2 * 0.5 + tokens * 0.01 + 80 * 0.001 + 0.1
    assert seconds == pytest.approx(2 + 2 * epoch + 0.1)


def test_a_job_of_so_many_steps_costs_its_share_of_the_epochs():
    whole, half = (
        estimate_seconds(TIMING, [50] * 80, settings)
        for settings in (
            TuningSettings(batch_size=4, epochs=2),
            TuningSettings(batch_size=4, max_steps=20),
        )
    )
    assert half == pytest.approx(TIMING.start_seconds + (whole - TIMING.start_seconds) / 2, rel=0.1)


def test_evaluations_follow_the_steps_between_them():
    def evaluations(**asked: Any) -> int:
        return count_evaluations(25, 10, TuningSettings(**asked), has_validation=True)

    assert evaluations() == 3
    assert evaluations(evaluate_every_steps=5) == 5
    assert evaluations(evaluate_every_steps=100) == 1
    assert count_evaluations(25, 10, TuningSettings(), has_validation=False) == 1


def test_full_tuning_and_checkpointing_take_their_share_longer():
    long = [400] * 400
    lora = estimate_seconds(TIMING, long, TuningSettings())
    full = estimate_seconds(TIMING, long, TuningSettings(method="full"))
    checkpointed = estimate_seconds(TIMING, long, TuningSettings(), checkpointed=True)
    assert full / lora == pytest.approx(1.5, rel=0.01)
    assert checkpointed / lora == pytest.approx(1.37, rel=0.01)


def test_the_fixed_prompts_cost_at_each_evaluation_as_much_as_is_answered():
    timing = replace(TIMING, answer_seconds_per_token=0.1)
    settings = TuningSettings(batch_size=4, max_steps=20, evaluate_every_steps=5)
    short, long, longest = (
        estimate_seconds(timing, [50] * 80, settings, longest_answer=tokens)
        for tokens in (10, 20, 1000)
    )
    assert long - short == pytest.approx(4 * 10 * 0.1)
    assert longest - long == pytest.approx(4 * 28 * 0.1)


def test_a_timing_survives_a_dictionary():
    assert Timing.from_dict(TIMING.as_dict()) == TIMING


def test_a_timing_of_another_shape_is_refused():
    with pytest.raises(SettingsError, match="Measure this machine again"):
        Timing.from_dict({"seconds": 1})

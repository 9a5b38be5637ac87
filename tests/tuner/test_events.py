"""Events as flat dictionaries."""

from __future__ import annotations

import json

from tuner.events import Evaluated, Finished, Phase, Step

SHARED = {"event", "step", "epoch", "train_loss", "validation_loss"}


def test_every_event_carries_the_shared_keys_and_is_null_where_it_has_nothing_to_say():
    phase = Phase(name="tuning").as_dict()
    assert phase == {**dict.fromkeys(SHARED), "event": "phase", "name": "tuning"}


def test_a_step_and_an_evaluation_fill_their_own_keys():
    step = Step(
        step=3,
        epoch=0.5,
        train_loss=1.5,
        token_accuracy=0.25,
        learning_rate=0.001,
        gradient_norm=2.0,
        tokens=40,
        memory_bytes=10**9,
        seconds=0.1,
    ).as_dict()
    assert (step["event"], step["step"], step["train_loss"]) == ("step", 3, 1.5)
    assert step["validation_loss"] is None
    evaluated = Evaluated(
        step=3, epoch=1.0, validation_loss=1.25, token_accuracy=0.5, is_best=True, seconds=0.1
    ).as_dict()
    assert (evaluated["validation_loss"], evaluated["train_loss"]) == (1.25, None)


def test_the_last_event_says_how_fast_it_went_and_is_json():
    finished = Finished(
        step=9,
        epoch=1.0,
        train_loss=1.0,
        validation_loss=None,
        ending="complete",
        model_step=9,
        steps=9,
        wall_seconds=2.0,
        examples_per_second=12.0,
    )
    assert {"steps", "wall_seconds", "examples_per_second"} <= set(
        json.loads(json.dumps(finished.as_dict()))
    )

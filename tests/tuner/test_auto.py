"""What "auto" becomes depends on the number of examples alone."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tuner.auto import choice_for, resolve
from tuner.settings import TuningSettings

AUTO = {"epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}


@pytest.mark.parametrize(
    ("examples", "epochs", "batch_size", "multiplier"),
    [
        (1, 5, 2, 0.7),
        (29, 5, 2, 0.7),
        (30, 4, 2, 0.7),
        (59, 4, 2, 0.7),
        (60, 3, 2, 0.7),
        (99, 3, 2, 0.7),
        (100, 3, 4, 1.0),
        (249, 3, 4, 1.0),
        (250, 2, 4, 1.0),
        (499, 2, 4, 1.0),
        (500, 2, 8, 1.4),
        (999, 2, 8, 1.4),
        (1000, 1, 8, 1.4),
        (1999, 1, 8, 1.4),
        (2000, 1, 16, 2.0),
        (1_000_000, 1, 16, 2.0),
    ],
)
def test_auto_becomes_numbers_at_every_border(examples, epochs, batch_size, multiplier):
    assert resolve(AUTO, examples) == {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate_multiplier": multiplier,
    }


@pytest.mark.parametrize(
    ("counts", "fewest", "most"),
    [
        (range(1, 100), 3, 5),
        (range(100, 501), 2, 3),
        (range(500, 2001), 1, 2),
        (range(2001, 5000, 13), 1, 1),
    ],
)
def test_the_epochs_stay_in_the_promised_range(counts, fewest, most):
    assert {choice_for(count).epochs for count in counts} == set(range(fewest, most + 1))


def test_more_examples_never_mean_more_epochs_or_smaller_steps():
    for fewer, more in pairwise(choice_for(count) for count in range(1, 2500)):
        assert more.epochs <= fewer.epochs
        assert more.batch_size >= fewer.batch_size
        assert more.learning_rate_multiplier >= fewer.learning_rate_multiplier


def test_what_was_given_stays_as_it_is():
    given = {"epochs": 7, "batch_size": "Auto", "precision": "auto", "seed": 3}
    resolved = resolve(given, 10)
    assert resolved == {"epochs": 7, "batch_size": 2, "precision": "auto", "seed": 3}
    assert given["batch_size"] == "Auto"


def test_a_learning_rate_given_outright_is_not_scaled():
    settings = TuningSettings(**resolve({**AUTO, "learning_rate": 3e-4}, 5000))
    assert settings.learning_rate_for(100_000_000) == 3e-4


def test_auto_is_the_empty_value_where_that_lets_the_engine_choose():
    given = {"micro_batch_tokens": "auto", "lora_alpha": "auto", "learning_rate": "auto"}
    assert TuningSettings(**resolve(given, 50)) == TuningSettings()

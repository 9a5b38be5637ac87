"""Settings refuse what cannot be tuned with, in a sentence that names the setting."""

from __future__ import annotations

from dataclasses import fields

import pytest

from tuner.errors import SettingsError
from tuner.settings import TuningSettings, default_learning_rate, help_text, label


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("epochs", True),
        ("batch_size", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate_multiplier", -1.0),
        ("learning_rate_multiplier", "abc"),
        ("lora_rank", 257),
        ("lora_dropout", 1.0),
        ("validation_share", 0.9),
        ("seed", -1),
        ("schedule", "zigzag"),
        ("precision", "int4"),
        ("method", "prefix"),
        ("max_steps", 0),
        ("over_length", "cut"),
        ("trained_on", "questions"),
        ("activation_checkpointing", True),
        ("use_dora", "yes"),
        ("lora_layers", " , "),
        ("early_stopping_patience", 0),
        ("replay_share", 1.0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(name, value):
    with pytest.raises(SettingsError, match=label(name)):
        TuningSettings(**{name: value})


def test_the_multiplier_scales_the_default_learning_rate():
    settings = TuningSettings(learning_rate_multiplier=0.5)
    default = default_learning_rate("lora", 135_000_000)
    assert settings.learning_rate_for(135_000_000) == default * 0.5


def test_a_learning_rate_and_a_multiplier_together_are_refused():
    with pytest.raises(SettingsError, match="not both"):
        TuningSettings(learning_rate=0.001, learning_rate_multiplier=2.0)


@pytest.mark.parametrize("switch", ["use_rslora", "use_dora"])
def test_what_needs_an_adapter_is_refused_in_full_tuning(switch):
    with pytest.raises(SettingsError, match="needs an adapter"):
        TuningSettings.from_dict({"method": "full", switch: True})


def test_larger_models_and_full_tuning_take_smaller_steps():
    sizes = [135e6, 600e6, 8e9, 70e9]
    rates = [default_learning_rate("lora", int(size)) for size in sizes]
    assert rates == sorted(set(rates), reverse=True)
    assert all(
        default_learning_rate("full", int(size)) == pytest.approx(rate / 10)
        for size, rate in zip(sizes, rates, strict=True)
    )


def test_settings_survive_a_dictionary():
    settings = TuningSettings(epochs=3, lora_rank=16, learning_rate=0.0002)
    assert TuningSettings.from_dict(settings.as_dict()) == settings


def test_an_unknown_setting_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"'epoch'.*mean epochs.*epochs, max_steps"):
        TuningSettings.from_dict({"epoch": 3})


def test_every_setting_is_explained_in_one_sentence():
    for setting in fields(TuningSettings):
        assert help_text(setting.name).endswith(".")

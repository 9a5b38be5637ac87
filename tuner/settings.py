"""The settings of one tuning job: one frozen schema for the form, the API and the command line.

Every field carries a `help` sentence in its metadata. Knows ranges and how settings depend on
each other, not where they come from or what they do to a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from tuner.errors import SettingsError

DEFAULT_LEARNING_RATE = 0.001
SCHEDULES = ("linear", "cosine", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")

_WHOLE_NUMBER_RANGES = {
    "epochs": (1, 1000),
    "batch_size": (1, 1024),
    "lora_rank": (1, 256),
    "lora_alpha": (1, 1024),
    "seed": (0, 2**31 - 1),
    "max_length_tokens": (8, 1_000_000),
}
_NUMBER_RANGES = {
    "learning_rate": (1e-8, 1.0),
    "learning_rate_multiplier": (1e-4, 100.0),
    "lora_dropout": (0.0, 0.9),
    "validation_share": (0.0, 0.5),
    "warmup_share": (0.0, 0.5),
    "weight_decay": (0.0, 1.0),
    "gradient_clip_norm": (1e-3, 1000.0),
}
_CHOICES = {"schedule": SCHEDULES, "precision": PRECISIONS}


def _setting(default: Any, help_text: str) -> Any:
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """How to tune: checked when made, so that whoever holds one holds a possible job."""

    epochs: int = _setting(5, "How many times the training goes through all examples.")
    batch_size: int = _setting(4, "Examples per step: more is steadier, fewer learns sooner.")
    learning_rate: float | None = _setting(
        None, "Size of a step, given outright; empty takes the default times the multiplier."
    )
    learning_rate_multiplier: float = _setting(
        1.0, "Scales the default learning rate: raise it to learn more, lower it to forget less."
    )
    lora_rank: int = _setting(8, "Width of the adapter: wider learns more and forgets more.")
    lora_alpha: int | None = _setting(
        None, "Strength of the adapter; empty takes twice the adapter size."
    )
    lora_dropout: float = _setting(
        0.0, "Share of the adapter's inputs blanked at random, against learning by heart."
    )
    validation_share: float = _setting(
        0.0, "Share of the examples held out to measure the validation loss."
    )
    seed: int = _setting(0, "The same seed on the same machine gives the same model.")
    max_length_tokens: int = _setting(
        2048, "Longer examples are left out and counted; none is cut."
    )
    schedule: str = _setting("linear", "How the learning rate falls after the warm-up.")
    warmup_share: float = _setting(0.05, "Share of the steps in which the learning rate rises.")
    weight_decay: float = _setting(0.0, "Pull of the adapter's weights towards zero.")
    gradient_clip_norm: float = _setting(1.0, "Longest gradient a step may follow.")
    precision: str = _setting(
        "auto", "Number format of the frozen base; auto takes the faster one on this machine."
    )

    def __post_init__(self) -> None:
        for name, (low, high) in _WHOLE_NUMBER_RANGES.items():
            _check_whole_number(name, getattr(self, name), low, high)
        for name, (low_number, high_number) in _NUMBER_RANGES.items():
            _check_number(name, getattr(self, name), low_number, high_number)
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise SettingsError(
                    f"{label(name)} must be one of {', '.join(choices)}, "
                    f"not {getattr(self, name)!r}."
                )
        if self.learning_rate is not None and self.learning_rate_multiplier != 1.0:
            raise SettingsError("Give either a learning rate or a multiplier, not both.")

    @property
    def resolved_learning_rate(self) -> float:
        """The learning rate the optimiser starts from after the warm-up."""
        if self.learning_rate is not None:
            return self.learning_rate
        return DEFAULT_LEARNING_RATE * self.learning_rate_multiplier

    @property
    def resolved_lora_alpha(self) -> int:
        return self.lora_alpha if self.lora_alpha is not None else 2 * self.lora_rank

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TuningSettings:
        unknown = sorted(set(values) - {setting.name for setting in fields(cls)})
        if unknown:
            known = ", ".join(setting.name for setting in fields(cls))
            raise SettingsError(f"Unknown setting {unknown[0]!r}. The settings are: {known}.")
        return cls(**values)


def label(name: str) -> str:
    """The name of a setting as it begins a sentence: lora_rank -> 'LoRA rank'."""
    words = name.replace("_", " ").replace("lora", "LoRA")
    return words[0].upper() + words[1:]


def help_text(name: str) -> str:
    """The one sentence that explains a setting to the person choosing it."""
    for setting in fields(TuningSettings):
        if setting.name == name:
            return str(setting.metadata["help"])
    raise SettingsError(f"Unknown setting {name!r}.")


def _check_whole_number(name: str, value: object, low: int, high: int) -> None:
    if value is None and name == "lora_alpha":
        return
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SettingsError(
            f"{label(name)} must be a whole number from {low} to {high}, not {value!r}."
        )


def _check_number(name: str, value: object, low: float, high: float) -> None:
    if value is None and name == "learning_rate":
        return
    if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
        return  # not a number and infinity fail the comparison
    raise SettingsError(f"{label(name)} must be a number from {low:g} to {high:g}, not {value!r}.")

"""What "auto" means for epochs, batch size and learning rate: one function of the example count.

Few examples are seen more often and in smaller steps, many are seen once. Knows nothing of models
or machines, and leaves every other setting as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What suits a number of examples."""

    epochs: int
    batch_size: int
    learning_rate_multiplier: float
    """Grows with the root of the batch size, as suits Adam (Malladi et al., On the SDEs and
    Scaling Rules for Adaptive Gradient Algorithms, 2022); 1 at four examples a step."""


_CHOICES = (
    (30, Choice(epochs=5, batch_size=2, learning_rate_multiplier=0.7)),
    (60, Choice(epochs=4, batch_size=2, learning_rate_multiplier=0.7)),
    (100, Choice(epochs=3, batch_size=2, learning_rate_multiplier=0.7)),
    (250, Choice(epochs=3, batch_size=4, learning_rate_multiplier=1.0)),
    (500, Choice(epochs=2, batch_size=4, learning_rate_multiplier=1.0)),
    (1000, Choice(epochs=2, batch_size=8, learning_rate_multiplier=1.4)),
    (2000, Choice(epochs=1, batch_size=8, learning_rate_multiplier=1.4)),
)
"""(fewer examples than, what suits them)."""
_MANY = Choice(epochs=1, batch_size=16, learning_rate_multiplier=2.0)

_EMPTY_IS_AUTO = ("max_steps", "learning_rate", "lora_alpha", "micro_batch_tokens")
"""Settings whose empty value already means that the engine chooses."""


def choice_for(examples: int) -> Choice:
    """The choice for so many training examples."""
    return next((choice for limit, choice in _CHOICES if examples < limit), _MANY)


def resolve(values: Mapping[str, Any], examples: int) -> dict[str, Any]:
    """The values with numbers in place of "auto"; what else is wrong with them stays as it is."""
    choice = choice_for(examples)
    resolved = dict(values)
    for name in ("epochs", "batch_size", "learning_rate_multiplier"):
        if is_auto(values.get(name)):
            resolved[name] = getattr(choice, name)
    for name in _EMPTY_IS_AUTO:
        if is_auto(values.get(name)):
            resolved[name] = None
    if resolved.get("learning_rate") is not None and is_auto(
        values.get("learning_rate_multiplier")
    ):
        resolved["learning_rate_multiplier"] = 1.0  # a rate given outright is not scaled
    return resolved


def is_auto(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower() == AUTO

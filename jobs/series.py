"""The names of a job's metrics, as they stand in the database, in messages and in the charts.

Knows names, titles and units; no rows.
"""

from __future__ import annotations

from typing import NamedTuple

TRAINING_LOSS = "train/loss"
VALIDATION_LOSS = "validation/loss"
TOKEN_ACCURACY = "train/token_accuracy"
VALIDATION_ACCURACY = "validation/token_accuracy"
LEARNING_RATE = "train/learning_rate"
GRADIENT_NORM = "train/gradient_norm"
TOKENS_PER_SECOND = "train/tokens_per_second"
MEMORY = "train/memory_bytes"

DETAIL_POINTS = 1000
"""Of a job's metrics beside its loss no more points than this are written, give or take a few."""


class Chart(NamedTuple):
    """One chart beside the loss: its lines, and how its values are written."""

    title: str
    training: str
    validation: str
    """Empty where there is no line of the held-out examples."""
    form: str
    """"percent", "bytes", "small" (1e-3) or "plain"."""
    says: str


CHARTS = (
    Chart(
        "Token accuracy",
        TOKEN_ACCURACY,
        VALIDATION_ACCURACY,
        "percent",
        "Share of the answers' tokens that the model would have said itself.",
    ),
    Chart("Learning rate", LEARNING_RATE, "", "small", "How large a step is, by its schedule."),
    Chart(
        "Gradient norm",
        GRADIENT_NORM,
        "",
        "plain",
        "How hard a step pulls, before it is clipped. It should stay level or fall.",
    ),
    Chart("Tokens per second", TOKENS_PER_SECOND, "", "plain", "How fast this machine tunes."),
    Chart("Memory", MEMORY, "", "bytes", "What the tuning holds at the end of each step."),
)

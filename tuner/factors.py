"""From peaks that were measured to the factors between them and what a model's shape says.

Arithmetic alone: the slope between a short and a long step is what a token takes, and what is left
at length zero is the overhead. Measures nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tuner.footprint import Footprint
from tuner.memory import MemoryCalibration

_SMALLEST_FACTOR, _LARGEST_FACTOR = 0.2, 5.0
"""Beyond them it is the measurement that is wrong, as with models too small to be seen at all."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A step that was watched."""

    tokens: float
    answers: int
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The four steps that tell the factors apart."""

    short: Seen
    long: Seen
    checkpointed: Seen
    """As long, with activation checkpointing."""
    talkative: Seen
    """About as long, and nearly all of it to be learned."""


def as_calibration(
    footprint: Footprint,
    measured: Measured,
    *,
    device: str,
    device_bytes: int,
    process_bytes: int,
) -> MemoryCalibration:
    held = process_bytes + footprint.weight_bytes + footprint.training_bytes
    held += footprint.gradient_bytes
    short, long = measured.short, measured.long
    per_token = footprint.token_bytes(checkpointed=False)
    token = _plausible(
        (long.peak_bytes - short.peak_bytes) / ((long.tokens - short.tokens) * per_token)
    )
    overhead = max(0.0, long.peak_bytes - held - long.tokens * per_token * token)
    beyond = held + overhead
    again, talkative = measured.checkpointed, measured.talkative
    per_token_again = footprint.token_bytes(checkpointed=True)
    checkpointed = _plausible((again.peak_bytes - beyond) / (again.tokens * per_token_again))
    head = talkative.peak_bytes - beyond - talkative.tokens * per_token * token
    answer = _plausible(head / footprint.head_bytes(talkative.answers))
    return MemoryCalibration(
        device=device,
        device_bytes=device_bytes,
        precision=footprint.precision,
        process_bytes=process_bytes,
        overhead_bytes=overhead,
        layout=footprint.layout,
        token_factor=token,
        checkpointed_token_factor=checkpointed,
        answer_factor=answer,
    )


def _plausible(factor: float) -> float:
    return min(_LARGEST_FACTOR, max(_SMALLEST_FACTOR, factor))
